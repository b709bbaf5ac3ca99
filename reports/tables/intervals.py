"""The intervals tables: how sure every value is, how far it is from the best, and whether that can be told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from bench.metrics.registry import MetricInfo
from bench.metrics.significance import LEVEL, RESAMPLES, Interval
from reports.columns import Column
from reports.results.image_counts import Counted, CountedLine, statistics_of
from reports.table import BLANK, Cell, Line, Notes, Table
from reports.tables.ablation import signed
from reports.tables.captions import all_notes, caption, signs
from reports.tables.significance import ALPHA, SEED, ComparedTable, ComparedValue

FAMILIES = ("IoU", "nIoU", "Pd", "Fa")

LEAST_P = 0.001

Formatter = Callable[[MetricInfo, float], str]
"""How a number of a column is printed."""


def interval_tables(counted: Sequence[Counted], compared: ComparedTable, *, title: str) -> Iterator[tuple[str, Table]]:
    """Per dataset on which anything was counted its name and table."""
    for each in counted:
        if any(method.seeds for method in each.methods):
            yield each.dataset, interval_table(each, compared, title=title)


def interval_table(each: Counted, compared: ComparedTable, *, title: str) -> Table:
    """Of IoU, nIoU, Pd and Fa: value and interval, difference to the best and interval, p, and what could be told."""
    metrics = [metric for metric in each.metrics if each.is_chosen or metric.family in FAMILIES]
    notes = Notes()
    lines = [
        Line(
            method.row.label,
            tuple(cell for metric in metrics for cell in _cells(each, method, metric, compared, notes)),
            signs(method.row.on(each.dataset)),
        )
        for method in each.methods
    ]
    return Table(
        caption=caption(
            each.entries,
            title=f"{title.rstrip('.')}: intervals on {each.dataset}",
            remarks=[*_remarks(each, compared)],
            several="Mean",
        ),
        columns=tuple(column for metric in metrics for column in _columns(metric)),
        lines=tuple(lines),
        notes=all_notes(each.entries, notes),
        limited=any(entry.is_limited for entry in each.entries),
        label="tab:intervals",
    )


def _columns(metric: MetricInfo) -> tuple[Column, ...]:
    return (
        Column("value", metric.head, metric.printed_unit, metric.better),
        Column("Δ to best", metric.head, metric.printed_unit),
        Column("p", metric.head),
        Column("least Δ", metric.head, metric.printed_unit),
    )


def _remarks(each: Counted, compared: ComparedTable) -> Iterator[str]:
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
        f"Δ: difference to the best of the column. p: paired permutation test over images{trained}, "
        f"{compared.flips:,} permutations or all there are, two-sided, corrected by Holm over the {compared.tests} "
        "comparisons of the comparison table."
    )
    yield f"Least Δ: the true difference that such a list shows with power 0.8 at {ALPHA} before correction."


def _cells(each: Counted, method: CountedLine, metric: MetricInfo, compared: ComparedTable, notes: Notes) -> list[Cell]:
    own = compared.of(method.position, each.dataset, metric)
    if own is None:
        reason = statistics_of(method, metric)[1]
        return [Cell(marks=(notes.mark(reason),)), BLANK, BLANK, BLANK]
    value = _value_cell(own, metric, notes)
    if own.is_best:
        return [value, Cell("best"), BLANK, BLANK]
    if own.difference is None:
        mark = (notes.mark(own.reason),) if own.reason else ()
        return [value, Cell(marks=mark), BLANK, BLANK]
    least = metric.printed(own.detectable) if own.detectable is not None else ""
    return [
        value,
        _interval_cell(own.difference, metric, signed, notes),
        Cell(p_words(own.p)) if own.p is not None else Cell(marks=(notes.mark(own.difference.reason),)),
        Cell(least) if least else Cell(marks=(notes.mark(own.difference.reason),)),
    ]


def _value_cell(own: ComparedValue, metric: MetricInfo, notes: Notes) -> Cell:
    cell = _interval_cell(own.interval, metric, MetricInfo.printed, notes)
    return Cell(cell.text, rank="best" if own.is_best else "", marks=cell.marks, limits=cell.limits)


def _interval_cell(interval: Interval, metric: MetricInfo, printed: Formatter, notes: Notes) -> Cell:
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
