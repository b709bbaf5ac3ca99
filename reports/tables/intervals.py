"""The intervals tables: how sure every value is, how far it is from the best, and whether that can be told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from bench.metrics.registry import MetricInfo
from bench.metrics.significance import LEVEL, RESAMPLES, Interval
from bench.types import Mixed
from reports.columns import Column
from reports.results.entries import Entry
from reports.results.image_counts import Counted, CountedLine, read_counted, statistics_of
from reports.table import BLANK, Cell, Line, Notes, Table
from reports.tables.ablation import families, signed
from reports.tables.captions import all_notes, caption, signs
from reports.tables.significance import ALPHA, SEED, ComparedTable, ComparedValue, compare_with_line

FAMILIES = ("IoU", "nIoU", "Pd", "Fa")

LEAST_P = 0.001

Formatter = Callable[[MetricInfo, float], str]
"""How a number of a column is printed."""


def interval_tables(
    counted: Sequence[Counted], compared: ComparedTable, *, title: str, reference: str = ""
) -> Iterator[tuple[str, Table]]:
    """Per dataset on which anything was counted its name and table.

    Args:
        reference: label of the line that all were compared with; empty for the best of each column.
    """
    for each in counted:
        if any(method.seeds for method in each.methods):
            yield each.dataset, interval_table(each, compared, title=title, reference=reference)


def change_tables(
    entries: Sequence[Entry], *, title: str, mixed: Mixed = "refuse", metrics: Sequence[MetricInfo] = ()
) -> Iterator[tuple[str, str, Table]]:
    """Per ablated network and dataset their names and the table of differences to the full network.

    Raises:
        MixedRulesError, TableError: as the comparison table does.
    """
    for family in families(entries, mixed=mixed):
        counted = read_counted(family.entries, mixed=mixed, metrics=metrics)
        compared = compare_with_line(counted, family.label)
        words = f"{title.rstrip('.')}: differences to {family.label}"
        for dataset, table in interval_tables(counted, compared, title=words, reference=family.label):
            yield family.model, dataset, replace(table, label="tab:changes")


def interval_table(each: Counted, compared: ComparedTable, *, title: str, reference: str = "") -> Table:
    """Of IoU, nIoU, Pd and Fa: value, difference to the best or another reference, both with intervals, p, and power.

    Args:
        reference: label of the line that all were compared with; empty for the best of each column.
    """
    metrics = [metric for metric in each.metrics if each.is_chosen or metric.family in FAMILIES]
    notes = Notes()
    lines = [
        Line(
            method.row.label,
            tuple(cell for metric in metrics for cell in _cells(each, method, metric, compared, notes, reference)),
            signs(method.row.on(each.dataset)),
        )
        for method in each.methods
    ]
    return Table(
        caption=caption(
            each.entries,
            title=f"{title.rstrip('.')}: intervals on {each.dataset}",
            remarks=[*_remarks(each, compared, reference)],
            several="Mean",
        ),
        columns=tuple(column for metric in metrics for column in _columns(metric, reference)),
        lines=tuple(lines),
        notes=all_notes(each.entries, notes),
        limited=any(entry.is_limited for entry in each.entries),
        label="tab:intervals",
    )


def _columns(metric: MetricInfo, reference: str) -> tuple[Column, ...]:
    return (
        Column("value", metric.head, metric.printed_unit, metric.better),
        Column("Δ" if reference else "Δ to best", metric.head, metric.printed_unit),
        Column("p", metric.head),
        Column("least Δ", metric.head, metric.printed_unit),
    )


def _remarks(each: Counted, compared: ComparedTable, reference: str) -> Iterator[str]:
    several = any(len(method.seeds) > 1 for method in each.methods)
    what = "test images and seeds" if several else "test images"
    yield (
        f"Brackets: {LEVEL:.0%} BCa intervals of {RESAMPLES:,} bootstrap resamples of the {what}, the same "
        f"for all methods (generator seed {SEED}), each by itself and not corrected for their number."
    )
    if not compared.tests:
        return
    trained = ", for the networks as trained" if several else ""
    yield (
        f"Δ: difference to {reference or 'the best of the column'}. p: paired permutation test over images{trained}, "
        f"{compared.flips:,} permutations or all there are, two-sided, corrected by Holm over the {compared.tests} "
        f"comparisons {'with it' if reference else 'of the comparison table'}."
    )
    yield f"Least Δ: the true difference that such a list shows with power 0.8 at {ALPHA} before correction."


def _cells(
    each: Counted, method: CountedLine, metric: MetricInfo, compared: ComparedTable, notes: Notes, reference: str
) -> list[Cell]:
    own = compared.of(method.position, each.dataset, metric)
    if own is None:
        reason = statistics_of(method, metric)[1]
        return [Cell(marks=(notes.mark(reason),)), BLANK, BLANK, BLANK]
    value = _value_cell(own, metric, notes, is_best=own.is_reference and not reference)
    if own.is_reference:
        return [value, Cell("reference" if reference else "best"), BLANK, BLANK]
    if own.difference is None:
        mark = (notes.mark(own.reason),) if own.reason else ()
        return [value, Cell(marks=mark), BLANK, BLANK]
    least = metric.printed(own.detectable) if own.detectable is not None else ""
    return [
        value,
        interval_cell(own.difference, metric, signed, notes),
        Cell(p_words(own.p)) if own.p is not None else Cell(marks=(notes.mark(own.difference.reason),)),
        Cell(least) if least else Cell(marks=(notes.mark(own.difference.reason),)),
    ]


def _value_cell(own: ComparedValue, metric: MetricInfo, notes: Notes, *, is_best: bool) -> Cell:
    cell = interval_cell(own.interval, metric, MetricInfo.printed, notes)
    return Cell(cell.text, rank="best" if is_best else "", marks=cell.marks, limits=cell.limits)


def interval_cell(interval: Interval, metric: MetricInfo, printed: Formatter, notes: Notes) -> Cell:
    """A value with its limits, which need a digit less; without them, with the reason."""
    text = "" if interval.value is None else printed(metric, interval.value)
    if interval.low is None or interval.high is None:
        return Cell(text, marks=(notes.mark(f"no interval: {interval.reason}"),))
    coarse = replace(metric, digits=metric.digits - 1)
    return Cell(text, limits=(printed(coarse, interval.low), printed(coarse, interval.high)))


def p_words(p: float) -> str:
    """A p-value to three digits.

    >>> p_words(0.0004), p_words(0.0312), p_words(1.0)
    ('<0.001', '0.031', '1.000')
    """
    return f"<{LEAST_P}" if p < LEAST_P else f"{p:.3f}"
