"""The comparison table: methods down, datasets across with best and second marked, then what a forward pass costs."""

from __future__ import annotations

from collections.abc import Sequence

from bench.errors import TableError
from bench.metrics.registry import MetricInfo
from bench.types import Mixed
from reports.columns import Column, metrics_shown
from reports.results.entries import Entry, choose_cost
from reports.results.groups import Rows, datasets_of, group_rows
from reports.table import Cell, Line, Notes, Table
from reports.tables.captions import all_notes, caption, cost_sentence, signs
from reports.tables.cells import (
    EARLY_END_COLUMNS,
    MODEL_COST_COLUMNS,
    TIME_COLUMN,
    dataset_cells,
    early_end_cells,
    has_early_end,
    model_cost_cells,
    time_cell,
)
from reports.tables.significance import ComparedTable, with_marks

RANKING = "Best of each column bold, second underlined; costs are not ranked."


def comparison_table(
    entries: Sequence[Entry],
    *,
    title: str,
    mixed: Mixed = "refuse",
    compared: ComparedTable | None = None,
    metrics: Sequence[MetricInfo] = (),
) -> Table:
    """The table of a suite's rows: per dataset its metrics, then the cost of a forward pass.

    Args:
        title: first sentence of the caption.
        mixed: what to do with rows of one dataset under different rules: refuse, or mark each of their cells.
        metrics: of the columns; default those of `metrics_shown`.
        compared: which of the differences are more than chance; cells that cannot be told from the best are marked.

    Raises:
        MixedRulesError: when rows of one dataset differ in protocol, split, test list, input or scoring.
        TableError: when one label stands for several experiments that differ in more than the seed.
    """
    if not entries:
        raise TableError(f"table {title!r}: found no rows, expected at least one")
    rows, notes = group_rows(entries, mixed=mixed), Notes()
    metrics = metrics or metrics_shown(entry.scored.scores for entry in entries if entry.scored)
    columns: list[Column] = []
    cells: list[list[Cell]] = [[] for _ in rows]
    for dataset in datasets_of(entries):
        more, block = dataset_cells(rows, dataset, metrics=metrics, notes=notes)
        columns += more
        if compared is not None:
            block = with_marks(block, dataset, metrics=metrics, compared=compared, notes=notes)
        cells = [old + new for old, new in zip(cells, block, strict=True)]
    place = choose_cost(tuple(entries))
    if place is not None:
        more, block = _cost_cells(rows, place, notes)
        columns += more
        cells = [old + new for old, new in zip(cells, block, strict=True)]
    remarks = [RANKING] if len(rows) > 1 else []
    if place is not None:
        remarks.append(cost_sentence(entries, place))
    return Table(
        caption=caption(entries, title=title, remarks=remarks),
        columns=tuple(columns),
        lines=tuple(Line(row.label, tuple(c), signs(row)) for row, c in zip(rows, cells, strict=True)),
        notes=all_notes(entries, notes),
        limited=any(entry.is_limited for entry in entries),
    )


def _cost_cells(rows: Sequence[Rows], place: tuple[str, str], notes: Notes) -> tuple[list[Column], list[list[Cell]]]:
    """The columns of what a pass costs, and the cells of each line."""
    columns = [*MODEL_COST_COLUMNS, TIME_COLUMN]
    block = [[*model_cost_cells(row, place, notes), time_cell(row, place, notes)] for row in rows]
    if not has_early_end(rows, place):
        return columns, block
    early = [early_end_cells(row, place, notes) for row in rows]
    return [*columns, *EARLY_END_COLUMNS], [old + new for old, new in zip(block, early, strict=True)]
