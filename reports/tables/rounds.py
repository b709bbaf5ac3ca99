"""The rounds table: IoU, Pd and Fa after every feedback round, and how the masks changed on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bench.errors import StoreError
from bench.metrics.ids import CUMULATIVE, LEGACY
from bench.metrics.registry import MetricInfo
from bench.types import Mixed, RunResult, Score
from reports.columns import Column, metrics_shown
from reports.render.csv_markdown import ARROWS
from reports.results.differences import start_words
from reports.results.entries import Entry, one_line
from reports.results.groups import Group, Rows, datasets_of, group_rows
from reports.results.mask_changes import MaskChanges, pooled, read_changes
from reports.table import BLANK, Cell, Line, Notes, Table
from reports.tables.captions import all_notes, caption, signs
from reports.tables.cells import metric_cell

ROLES = ("IoU", "Pd", "Fa")

MASK_COLUMNS = (("changed", "px"), ("settled", "1e-2"), ("fixed at", "round"), ("flicker", "px"))

MASKS_REMARK = (
    "Masks: changed, pixels of the binary mask that differ from the round before, mean over images and rounds; "
    "settled, images whose mask the last round left as it was; fixed at, the first round from which an image's mask "
    "stays the same, median; flicker, pixels that changed more than once, mean over images."
)
NO_MASKS = "What the masks did from round to round is not stored with these results."
NOT_RANKED = "Not ranked: a round chosen by these numbers would be chosen on the test list."


def rounds_table(entries: Sequence[Entry], *, title: str, mixed: Mixed = "refuse") -> Table | None:
    """The table of the suite's networks with feedback, rounds across; None where no result has several rounds.

    Raises:
        MixedRulesError, TableError: as the comparison table does.
    """
    rows = feedback_rows(group_rows(entries, mixed=mixed))
    if not any(len(result.rounds) > 1 for row in rows for result in row.results):
        return None
    shown, notes = [entry for row in rows for entry in row.entries], Notes()
    metrics = [m for m in metrics_shown(e.scored.scores for e in shown if e.scored) if m.family in ROLES]
    columns, cells = _start_cells(rows, notes)
    for dataset in datasets_of(shown):
        found = {index: _changes(row.groups[dataset]) for index, row in enumerate(rows) if dataset in row.groups}
        for metric in metrics:
            more, block = _round_cells(rows, dataset, metric, found, notes)
            columns += more
            cells = [old + new for old, new in zip(cells, block, strict=True)]
        if any(isinstance(changes, MaskChanges) for changes in found.values()):
            columns += [Column(head, f"{dataset}: masks", unit) for head, unit in MASK_COLUMNS]
            cells = [old + _mask_cells(found.get(index), notes) for index, old in enumerate(cells)]
    has_masks = any(column.group.endswith(": masks") for column in columns)
    return Table(
        caption=caption(
            shown,
            title=f"{title.rstrip('.')}: feedback rounds",
            remarks=[_columns_remark(columns), MASKS_REMARK if has_masks else NO_MASKS, NOT_RANKED],
            several="Mean",
        ),
        columns=tuple(columns),
        lines=tuple(Line(row.label, tuple(line), signs(row)) for row, line in zip(rows, cells, strict=True)),
        notes=all_notes(shown, notes),
        limited=any(entry.is_limited for entry in shown),
        label="tab:rounds",
    )


def feedback_rows(rows: Sequence[Rows]) -> list[Rows]:
    """The rows of networks with feedback; one without a result is known by the names of those that have one."""
    models = {r.model.name for row in rows for r in row.results if _has_feedback(r)}
    stems = tuple(stem for name in models for stem in (f"{name}/", f"{name}-"))

    def belongs(row: Rows) -> bool:
        if row.results:
            return any(map(_has_feedback, row.results))
        return any(name in models or name.startswith(stems) for name in row.models)

    return [row for row in rows if belongs(row)]


def _has_feedback(result: RunResult) -> bool:
    return max(result.model.rounds, result.experiment.rounds) > 1


def _columns_remark(columns: Sequence[Column]) -> str:
    heads = {column.head for column in columns}
    last = max(int(head) for head in heads if head.isdigit())
    start = "; 0: the first feedback mask itself" if "0" in heads else ""
    return f"1 to {last}: after that feedback round{start}."


def _start_cells(rows: Sequence[Rows], notes: Notes) -> tuple[list[Column], list[list[Cell]]]:
    """A column that names the first feedback mask, where rows differ in it."""
    if len({start_words(result) for row in rows for result in row.results}) < 2:
        return [], [[] for _ in rows]
    cells = [[Cell(start_words(row.results[0])) if row.results else BLANK] for row in rows]
    return [Column("Start mask", is_text=True)], cells


def _changes(group: Group) -> MaskChanges | str:
    """Mask changes of a group over all its seeds, or the reason for having none."""
    found = []
    for entry in group.scored:
        try:
            changes = read_changes(entry)
        except StoreError as error:
            return f"unreadable: {one_line(str(error))}"
        if changes is not None:
            found.append(changes)
    if not found:
        return "what its masks did from round to round is not stored" if group.scored else group.entries[0].reason
    return pooled(found)


def _round_cells(
    rows: Sequence[Rows], dataset: str, metric: MetricInfo, found: dict[int, MaskChanges | str], notes: Notes
) -> tuple[list[Column], list[list[Cell]]]:
    """One metric on one dataset, a column a round; of IoU also the start mask's and the script's, where known."""
    group = f"{dataset}: {metric.head}{ARROWS[metric.better]} ({metric.unit_text})"
    groups = [row.groups.get(dataset) for row in rows]
    last = max((len(e.scored.rounds) for g in groups if g for e in g.scored if e.scored), default=1)
    columns = [Column(str(number), group) for number in range(1, last + 1)]
    cells = [[_round_cell(own, metric, number, notes) for number in range(1, last + 1)] for own in groups]
    if metric.family != "IoU":
        return columns, cells
    starts = [_start_cell(found.get(index), metric) for index in range(len(rows))]
    if any(cell != BLANK for cell in starts):
        columns = [Column("0", group), *columns]
        cells = [[start, *line] for start, line in zip(starts, cells, strict=True)]
    printed = [_script_cell(own, metric, notes) for own in groups]
    if any(cell != BLANK for cell in printed):
        columns = [*columns, Column("script", group)]
        cells = [[*line, cell] for line, cell in zip(cells, printed, strict=True)]
    return columns, cells


def _round_cell(group: Group | None, metric: MetricInfo, number: int, notes: Notes) -> Cell:
    """The mean over seeds after one round; a blank where the network has not so many."""
    if group is None:
        return metric_cell(None, metric, notes)
    if group.scored and all(e.scored and len(e.scored.rounds) < number for e in group.scored):
        return BLANK
    return replace(metric_cell(_after(group, number), metric, notes), spread="")


def _after(group: Group, number: int) -> Group:
    """The group as if that round had been the last."""
    return Group(tuple(replace(e, result=_cut(e.scored, number)) if e.scored else e for e in group.entries))


def _cut(result: RunResult, number: int) -> RunResult:
    return replace(result, scores=result.rounds[number - 1] if number <= len(result.rounds) else {})


def _start_cell(changes: MaskChanges | str | None, metric: MetricInfo) -> Cell:
    iou = changes.start_iou if isinstance(changes, MaskChanges) else None
    return BLANK if iou is None else Cell(metric.printed(iou))


def _script_cell(group: Group | None, metric: MetricInfo, notes: Notes) -> Cell:
    """The IoU that DFINet's script prints after the last round, marked as such; a blank where it is not known."""
    results = [entry.scored for entry in group.scored if entry.scored] if group else []
    values = [score.value for result in results if (score := _cumulative(result)) and score.value is not None]
    if not values:
        return BLANK
    mark = notes.mark(
        "what DFINet's script prints as the IoU of its last round: pooled over all rounds up to it, because its sums "
        "are not reset between rounds"
    )
    return Cell(metric.printed(float(np.mean(values))), marks=(mark,))


def _cumulative(result: RunResult) -> Score | None:
    """The last round's cumulative IoU."""
    for scores in (result.scores, *result.rounds[-1:]):
        for name, score in scores.items():
            if name.startswith(f"{LEGACY}IoU/") and CUMULATIVE in name:
                return score
    return None


def _mask_cells(changes: MaskChanges | str | None, notes: Notes) -> list[Cell]:
    """Mean changed pixels, share of settled images, median fixed round, mean flicker."""
    if not isinstance(changes, MaskChanges):
        return [Cell(marks=(notes.mark(changes or "not part of the suite"),))] * len(MASK_COLUMNS)
    if not len(changes.changed):
        return [BLANK] * len(MASK_COLUMNS)
    return [
        Cell(f"{changes.changed.mean():.2f}"),
        Cell(f"{100 * changes.unchanged[-1]:.1f}"),
        Cell(f"{np.median(changes.fixed):g}"),
        Cell(f"{changes.flicker.mean():.2f}"),
    ]
