"""The robustness tables: what is left of each method's numbers on corrupted test images, in all and kind by kind."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import replace

from bench.metrics.registry import MetricInfo
from bench.types import Better, Mixed
from reports.columns import Column
from reports.results.entries import Entry
from reports.table import Cell, Line, Notes, Table
from reports.tables.by_condition import (
    CorruptedRow,
    by_seed,
    cell_of,
    cell_of_seeds,
    corrupted_methods,
    kind_title,
    kinds_of,
    matrix_metrics,
)
from reports.tables.captions import all_notes, caption, signs
from reports.tables.cells import rank

ZERO = "no relative drop of a score that is 0 on clean images"


def robustness_tables(
    entries: Sequence[Entry], *, title: str, mixed: Mixed = "refuse", metrics: Sequence[MetricInfo] = ()
) -> Iterator[tuple[str, Table, Table]]:
    """The name, the summary of all methods and their means by kind, of every dataset with corrupted test images.

    Args:
        metrics: of the columns; default those of `matrix_metrics`.

    Raises:
        MixedRulesError, TableError: as the comparison table does.
    """
    for dataset, methods in corrupted_methods(entries, mixed=mixed).items():
        shown = metrics or matrix_metrics([entry for method in methods for entry in method.row.entries])
        if methods and shown:
            yield dataset, summary_table(methods, shown, title=title), kinds_table(methods, shown[0], title=title)


def summary_table(methods: Sequence[CorruptedRow], metrics: Sequence[MetricInfo], *, title: str) -> Table:
    """Each metric on clean images and its mean over corruptions; of the first one the drop, and the worst kind."""
    notes, first = Notes(), metrics[0]
    columns = [column for metric in metrics for column in _columns(metric, is_first=metric is first)]
    lines = [
        [cell for metric in metrics for cell in _cells(method, metric, notes, is_first=metric is first)]
        for method in methods
    ]
    names = methods[0].names
    remarks = [
        f"Corrupted: mean over {_kinds_words(names)}. Drop: the part of the clean {first.head} that this mean lacks. "
        f"Worst: the kind with the lowest mean of {first.head}, and that mean.",
        *_closing(methods),
    ]
    return _table(
        methods,
        columns,
        lines,
        notes,
        title=f"{title.rstrip('.')}: robustness on {methods[0].dataset}",
        remarks=remarks,
    )


def kinds_table(methods: Sequence[CorruptedRow], metric: MetricInfo, *, title: str) -> Table:
    """A column a kind of corruption: the mean of one metric over its levels, after that on clean images."""
    notes, kinds = Notes(), kinds_of(methods[0].names)
    group = f"{metric.head}, mean over levels"
    columns = [Column("clean", metric.head, metric.printed_unit, metric.better)]
    columns += [Column(kind_title(kind), group, metric.printed_unit, metric.better) for kind in kinds]
    lines = [
        [
            cell_of(method.clean, metric, notes),
            *(_mean_cell(method, metric, method.of_kind(kind), notes) for kind in kinds),
        ]
        for method in methods
    ]
    return _table(
        methods,
        columns,
        lines,
        notes,
        title=f"{title.rstrip('.')}: {metric.head} by kind of corruption on {methods[0].dataset}",
        remarks=_closing(methods),
    )


def _table(
    methods: Sequence[CorruptedRow],
    columns: Sequence[Column],
    lines: Sequence[Sequence[Cell]],
    notes: Notes,
    *,
    title: str,
    remarks: Sequence[str],
) -> Table:
    """The table with the best and second of every judged column marked."""
    entries = [entry for method in methods for entry in method.row.entries]
    clean = [entry for method in methods for entry in method.clean.entries] or entries
    rivals = [method.clean.is_rival for method in methods]
    ranked = [_ranked([line[i] for line in lines], column.better, rivals) for i, column in enumerate(columns)]
    return Table(
        caption=caption(clean, title=title, remarks=remarks),
        columns=tuple(columns),
        lines=tuple(
            Line(method.row.label, cells, signs(method.row))
            for method, cells in zip(methods, zip(*ranked, strict=True), strict=True)
        ),
        notes=all_notes(entries, notes),
        limited=any(entry.is_limited for entry in entries),
        label="tab:robustness",
    )


def _ranked(cells: Sequence[Cell], better: Better | None, rivals: Sequence[bool]) -> list[Cell]:
    ranked = list(cells) if better is None else rank(cells, better, rivals)
    return [replace(cell, text=cell.text.replace("-", "−")) if better else cell for cell in ranked]


def _columns(metric: MetricInfo, *, is_first: bool) -> list[Column]:
    columns = [Column(head, metric.head, metric.printed_unit, metric.better) for head in ("clean", "corrupted")]
    if is_first:
        columns += [Column("drop", metric.head, "%", "lower"), Column("worst", metric.head, is_text=True)]
    return columns


def _cells(method: CorruptedRow, metric: MetricInfo, notes: Notes, *, is_first: bool) -> list[Cell]:
    cells = [cell_of(method.clean, metric, notes), _mean_cell(method, metric, method.names, notes)]
    if is_first:
        cells += [_drop_cell(method, metric, notes), _worst_cell(method, metric, notes)]
    return cells


def _mean_cell(method: CorruptedRow, metric: MetricInfo, names: Sequence[str], notes: Notes) -> Cell:
    means = method.mean(metric, names)
    return cell_of_seeds(means, metric.printed, why=method.without(metric, names), notes=notes)


def _drop_cell(method: CorruptedRow, metric: MetricInfo, notes: Notes) -> Cell:
    """The part of the clean score that is lost, %, seed by seed."""
    clean, means = by_seed(method.clean, metric), method.mean(metric, method.names)
    drops = {seed: 100 * (1 - mean / clean[seed]) for seed, mean in means.items() if clean[seed]}
    why = method.without(metric, method.names) or (ZERO if len(drops) < len(means) else "")
    return cell_of_seeds(drops, _percent, why=why, notes=notes)


def _percent(value: float) -> str:
    """One digit behind the point; what rounds to nothing has no sign."""
    return f"{value:.1f}" if abs(value) >= 0.05 else "0.0"


def _worst_cell(method: CorruptedRow, metric: MetricInfo, notes: Notes) -> Cell:
    """The kind whose mean is worst, and that mean."""
    found = {kind: method.mean(metric, method.of_kind(kind)) for kind in kinds_of(method.names)}
    known = {kind: statistics.fmean(means.values()) for kind, means in found.items() if means}
    if len(known) < len(found):
        return Cell(marks=(notes.mark(method.without(metric, method.names)),))
    worst = (min if metric.better == "higher" else max)(known, key=lambda kind: known[kind])
    return Cell(f"{kind_title(worst)} {metric.printed(known[worst])}")


def _kinds_words(names: Sequence[str]) -> str:
    """`10 kinds of corruption of the mean over levels 1 to 5`, or what the suite has of them."""
    kinds = kinds_of(names)
    levels = [[name.partition("@")[2] for name in names if name.startswith(f"{kind}@")] for kind in kinds]
    counted = f"{len(kinds)} kind{'s' if len(kinds) > 1 else ''} of corruption"
    if all(found == ["1", "2", "3", "4", "5"] for found in levels):
        return f"{counted} of the mean over levels 1 to 5"
    return (
        f"{counted} of the mean over levels ("
        + "; ".join(f"{kind_title(kind)} {', '.join(found)}" for kind, found in zip(kinds, levels, strict=True))
        + ")"
    )


def _closing(methods: Sequence[CorruptedRow]) -> list[str]:
    ranking = ["Best of each column bold, second underlined."] if len(methods) > 1 else []
    return ["One training for clean and corrupted images; nothing is trained on corrupted ones.", *ranking]
