"""The table of transfer: networks trained on one dataset and tested on another, and what that costs them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from bench.metrics.registry import MetricInfo
from bench.types import Mixed
from reports.columns import Column
from reports.results.entries import Entry
from reports.results.groups import Rows, datasets_of
from reports.table import LEAKED, Cell, Line, Notes, Table
from reports.tables.ablation import change
from reports.tables.by_condition import Transferred, matrix_metrics, transferred_methods
from reports.tables.captions import all_notes, caption, signs
from reports.tables.cells import metric_cell, rank

HOME = "trained on the training list of the dataset it is tested on; not ranked"


def cross_table(
    entries: Sequence[Entry], *, title: str, mixed: Mixed = "refuse", metrics: Sequence[MetricInfo] = ()
) -> Table | None:
    """A line a method and training set, a group of columns a test set; None where the suite has no training sets.

    Beside every first metric stands its difference to the same method trained on the dataset that it is tested on.

    Args:
        metrics: of the columns; default those of `matrix_metrics`.

    Raises:
        MixedRulesError, TableError: as the comparison table does.
    """
    methods = transferred_methods(entries, mixed=mixed)
    if not methods:
        return None
    shown = [entry for method in methods for row in method.lines.values() for entry in row.entries]
    metrics, tests, notes = metrics or matrix_metrics(shown), datasets_of(shown), Notes()
    places = [(method, trained) for method in methods for trained in method.lines]
    columns = [Column(m.head, tested, m.printed_unit, m.better) for tested in tests for m in metrics]
    blocks = [_block(places, tested, metrics, notes) for tested in tests]
    cells = [[cell for block in blocks for cell in block[index]] for index in range(len(places))]
    return Table(
        caption=caption(shown, title=title, remarks=list(_remarks(methods, metrics))),
        columns=tuple(columns),
        lines=tuple(_line(method.lines[trained], row) for (method, trained), row in zip(places, cells, strict=True)),
        notes=all_notes(shown, notes),
        limited=any(entry.is_limited for entry in shown),
        label="tab:cross",
    )


def _line(row: Rows, cells: Sequence[Cell]) -> Line:
    return Line(row.label, tuple(cells), signs(row))


def _block(
    places: Sequence[tuple[Transferred, str]], tested: str, metrics: Sequence[MetricInfo], notes: Notes
) -> list[list[Cell]]:
    """The cells of one test set, a row a line: the best of those that have not learnt from it is marked."""
    rows = [_cells(method, trained, tested, metrics, notes) for method, trained in places]
    rivals = [trained != tested and _is_rival(method, trained, tested) for method, trained in places]
    ranked = [rank([row[i] for row in rows], metric.better, rivals) for i, metric in enumerate(metrics)]
    return [list(row) for row in zip(*ranked, strict=True)]


def _is_rival(method: Transferred, trained: str, tested: str) -> bool:
    group = method.group(trained, tested)
    return group is not None and group.is_rival


def _cells(method: Transferred, trained: str, tested: str, metrics: Sequence[MetricInfo], notes: Notes) -> list[Cell]:
    group, home = method.group(trained, tested), method.group(tested, tested)
    leak = (LEAKED,) if group and group.is_leaked else ()
    marks = (*leak, *((notes.mark(HOME),) if trained == tested else ()))
    cells = [metric_cell(group, metric, notes, marks) for metric in metrics]
    if group is None or home is None or not trained or trained == tested:
        return cells
    return [replace(cells[0], change=change(group, home, metrics[0])), *cells[1:]]


def _remarks(methods: Sequence[Transferred], metrics: Sequence[MetricInfo]) -> Iterator[str]:
    yield "A network keeps the normalisation of the dataset that it learnt from."
    yield (
        f"Beside each {metrics[0].head} its difference to the same method trained on the dataset that it is tested on, "
        "in the unit of the column, taken before rounding."
    )
    if any("" in method.lines for method in methods):
        yield "A line without a training set learns nothing."
    yield "Best of each column among those that have not learnt from the dataset bold, second underlined."
