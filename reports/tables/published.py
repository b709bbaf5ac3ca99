"""Tables of published numbers: those beside ours, and, a dataset at a time, those made under other rules."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace

from bench.metrics.registry import MetricInfo
from bench.types import Reported
from reports.columns import FAMILIES, STANDARD_METRICS, Column
from reports.table import BLANK, Cell, Line, Note, Notes, Table
from reports.tables.published_matching import TOLERANCE, WEIGHTS_TOLERANCE, Comparison

PublishedRow = list[Comparison]
"""Numbers that were published together: of one method and dataset, from one source, each metric once."""


def _published_rows(comparisons: Sequence[Comparison]) -> list[PublishedRow]:
    """The numbers as they stood in rows of their sources; a metric that comes again begins another row."""
    rows: list[PublishedRow] = []
    last: dict[tuple[str, Reported], PublishedRow] = {}
    for found in comparisons:
        together = (found.label, replace(found.reported, metric="", value=0.0, note=""))
        row = last.get(together)
        if row is None or found.metric.family in {other.metric.family for other in row}:
            row = last[together] = []
            rows.append(row)
        row.append(found)
    return rows


def published_table(comparisons: Sequence[Comparison]) -> Table | None:
    """The published numbers of the suite's own splits and protocols beside ours; None where there are none."""
    judged = [found for found in comparisons if found.badge]
    if not judged:
        return None
    words = {
        False: f"the mean over seeds lies within {TOLERANCE}",
        True: f"the published checkpoint gives the number within {WEIGHTS_TOLERANCE}",
    }
    bounds = [words[kind] for kind in sorted({found.is_of_checkpoint for found in judged})]
    caption = (
        "Published numbers beside ours, on the same split under the same rules. "
        f"✓ reproduced: {'; '.join(bounds)}. ✗ not reproduced. "
        "A dash: not run, for the reason noted."
    )
    texts = (Column("Dataset (split)", is_text=True), Column("Protocol", is_text=True))
    return _table(judged, caption, "tab:published", texts, lambda r: (f"{r.dataset} ({r.split})", r.rules))


def elsewhere_tables(comparisons: Sequence[Comparison]) -> dict[str, Table]:
    """Dataset to the table of numbers published under other rules or on other lists than the suite's."""
    others = [found for found in comparisons if not found.badge]
    texts = (Column("Rules", is_text=True), Column("Split", is_text=True))
    return {
        dataset: _table(
            [found for found in others if found.reported.dataset == dataset],
            f"Published on {dataset} under other rules, or on other lists, than those of this suite: not comparable "
            "with its numbers, and among each other only where rules and split are stated and equal.",
            f"tab:elsewhere-{dataset}",
            texts,
            lambda r: (r.rules or "not stated", r.split),
        )
        for dataset in dict.fromkeys(found.reported.dataset for found in others)
    }


def _table(
    comparisons: Sequence[Comparison],
    caption: str,
    label: str,
    texts: tuple[Column, ...],
    words: Callable[[Reported], tuple[str, str]],
) -> Table:
    """One line a published row; a metric has a column of published numbers and, where any was judged, one of ours.

    Args:
        texts: the first columns.
        words: what stands in them; the first bears the mark of the source.
    """
    notes, rows = Notes(), _published_rows(comparisons)
    found = {_role(comparison.metric): comparison.metric for comparison in comparisons}
    roles = [*(role for role in FAMILIES if role in found), *(role for role in found if role not in FAMILIES)]
    with_ours = any(comparison.badge for comparison in comparisons)
    columns, lines = list(texts), []
    for role in roles:
        unit = found[role].printed_unit
        columns += (
            [Column("published", role, unit), Column("ours", role, unit)] if with_ours else [Column(role, "", unit)]
        )
    for row in rows:
        shared = _shared_remarks(row)
        first, second = words(row[0].reported)
        marks = (notes.mark(f"source: {row[0].reported.source}"), *map(notes.mark, shared))
        cells = [Cell(first, marks=marks), Cell(second)]
        numbers = {_role(comparison.metric): comparison for comparison in row}
        for role in roles:
            cells += _number_cells(numbers.get(role), shared, notes, with_ours)
        lines.append(Line(row[0].label, tuple(cells)))
    return Table(
        caption,
        tuple(columns),
        tuple(lines),
        tuple(Note(mark, text) for text, mark in notes.texts.items()),
        label=label,
    )


def _role(metric: MetricInfo) -> str:
    """The head of a metric's column: its family, or its own head where it is printed in another unit."""
    usual = next((other for other in STANDARD_METRICS if other.family == metric.family), metric)
    return metric.family if metric.printed_unit == usual.printed_unit else metric.head


def _remarks(found: Comparison) -> list[str]:
    return [remark for remark in found.reported.note.split("; ") if remark]


def _shared_remarks(row: PublishedRow) -> list[str]:
    """Remarks that all numbers of a row share."""
    if len(row) < 2:
        return []
    return [remark for remark in _remarks(row[0]) if all(remark in _remarks(other) for other in row)]


def _number_cells(found: Comparison | None, shared: Sequence[str], notes: Notes, with_ours: bool) -> list[Cell]:
    """The published number, and ours where the table has it; a blank where the row has no such number."""
    if found is None:
        return [BLANK] * (1 + with_ours)
    metric = found.metric
    own = [remark for remark in _remarks(found) if remark not in shared]
    if metric not in STANDARD_METRICS:
        own = [f"{metric.id}: {'; '.join(own)}" if own else metric.id]
    published = Cell(metric.printed(found.reported.value), marks=tuple(map(notes.mark, own)))
    if not with_ours:
        return [published]
    spread = metric.printed(statistics.stdev(found.ours)) if len(found.ours) > 1 else ""
    text = metric.printed(statistics.fmean(found.ours)) if found.ours else ""
    why = (notes.mark(found.reason),) if found.reason else ()
    return [published, Cell(text, spread, marks=why, badge=found.badge)]
