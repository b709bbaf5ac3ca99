"""Cells of tables: means over seeds with best and second marked, and costs."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace

from bench.metrics.registry import MetricInfo
from bench.metrics.units import rate_text
from bench.types import Better, Cost, Score
from reports.columns import Column
from reports.results.entries import cost_on, one_line
from reports.results.groups import Group, Rows
from reports.results.same_rules import ComparisonRules, distinct_rules, rules_of
from reports.table import BLANK, LEAKED, OPTIMISTIC, Cell, Notes, Rank


def dataset_cells(
    rows: Sequence[Rows], dataset: str, *, metrics: Sequence[MetricInfo], notes: Notes
) -> tuple[list[Column], list[list[Cell]]]:
    """A dataset's columns, and per line its cells, best and second marked; oracles and leaks are never ranked."""
    entries = [entry for row in rows if dataset in row.groups for entry in row.groups[dataset].entries]
    rules = distinct_rules(entries)
    columns = [Column(m.head, dataset, m.printed_unit, m.better) for m in metrics]
    block = []
    for row in rows:
        group = row.groups.get(dataset)
        marks = _cell_marks(group, rules, notes) if group else ()
        partly = {OPTIMISTIC: _is_partly_optimistic(row, dataset), LEAKED: _is_partly_leaked(row, dataset)}
        extra = (*marks, *(sign for sign, is_there in partly.items() if is_there))
        block.append([metric_cell(group, metric, notes, extra) for metric in metrics])
    if len(rules) > 1:
        return columns, block
    rivals = [dataset in row.groups and row.groups[dataset].is_rival for row in rows]
    ranked = [rank([line[i] for line in block], metric.better, rivals) for i, metric in enumerate(metrics)]
    return columns, [list(line) for line in zip(*ranked, strict=True)]


def _cell_marks(group: Group, rules: Sequence[ComparisonRules], notes: Notes) -> tuple[str, ...]:
    """The note with the rules of this group, where the dataset's rows have several sets of rules."""
    if len(rules) < 2 or not group.scored:
        return ()
    mine = next(r for r in rules if rules_of(group.scored[0]).agrees(r))
    return (notes.mark(f"made under other rules than its neighbours: {mine}"),)


def _is_partly_optimistic(row: Rows, dataset: str) -> bool:
    """True where this dataset's weights were chosen on the test list and not all of the line's were."""
    if all(group.is_optimistic for group in row.groups.values() if group.scored):
        return False
    return dataset in row.groups and row.groups[dataset].is_optimistic


def _is_partly_leaked(row: Rows, dataset: str) -> bool:
    """True where this dataset's test images were learnt from and those of another one were not."""
    if all(group.is_leaked for group in row.groups.values()):
        return False
    return dataset in row.groups and row.groups[dataset].is_leaked


def metric_cell(group: Group | None, metric: MetricInfo, notes: Notes, extra: tuple[str, ...] = ()) -> Cell:
    """Mean and deviation of one metric over the seeds that have it; an em dash with the reason where none has."""
    if group is None:
        return Cell(marks=(notes.mark("not part of the suite"),))
    values, absent = values_of(group, metric)
    marks = (notes.mark(absence(absent, among=len(group.entries))),) if absent else ()
    if not values:
        return Cell(marks=marks)
    spread = metric.printed(statistics.stdev(values)) if len(values) > 1 else ""
    return Cell(metric.printed(statistics.fmean(values)), spread, marks=(*extra, *marks))


def values_of(group: Group, metric: MetricInfo) -> tuple[list[float], dict[int, str]]:
    """The values there are, and per seed without one the reason."""
    values, absent = [], {}
    for entry in group.entries:
        score = metric.score_in(entry.scored.scores) if entry.scored else None
        if score is not None and score.value is not None:
            values.append(score.value)
        else:
            absent[entry.row.seed] = entry.reason or _why_null(score, metric)
    return values, absent


def absence(reasons: Mapping[int, str], *, among: int) -> str:
    """Reasons why seeds have no value, as one sentence that names the seeds where there are several.

    >>> absence({1: "not run", 2: "not run"}, among=3)
    'seeds 1, 2 without value: not run'
    """
    if among == 1:
        return next(iter(reasons.values()))
    parts = []
    for reason in dict.fromkeys(reasons.values()):
        seeds = [str(seed) for seed, its in reasons.items() if its == reason]
        parts.append(f"seed{'s' if len(seeds) > 1 else ''} {', '.join(seeds)} without value: {reason}")
    return "; ".join(parts)


def _why_null(score: Score | None, metric: MetricInfo) -> str:
    if score is None:
        return f"{metric.id} is not among its scores"
    return f"{metric.id} undefined: {one_line(score.reason) or 'no reason recorded'}"


def rank(cells: Sequence[Cell], better: Better, rivals: Sequence[bool]) -> list[Cell]:
    """The cells of one column with best and second marked: values that print alike share, a lone value is neither.

    Args:
        rivals: which of the cells are ranked.
    """
    values = [float(cell.text) for cell, is_rival in zip(cells, rivals, strict=True) if cell.text and is_rival]
    if len(values) < 2:
        return list(cells)
    order = sorted(set(values), reverse=better == "higher")
    ranks: dict[float, Rank] = dict(zip(order, ("best", "second"), strict=False))
    return [
        replace(cell, rank=ranks.get(float(cell.text), "")) if cell.text and is_rival else cell
        for cell, is_rival in zip(cells, rivals, strict=True)
    ]


MODEL_COST_COLUMNS = (Column("Params", "Cost", "M"), Column("MACs", "Cost", "G"))
TIME_COLUMN = Column("FPS", "Cost", "images/s")
EARLY_END_COLUMNS = (
    Column("FPS, early end", "Cost", "images/s"),
    Column("Rounds", "Cost", "calculated"),
)


def has_early_end(rows: Sequence[Rows], place: tuple[str, str]) -> bool:
    """True where a network of the table was timed on test images, ending early."""
    costs = (cost_of(row, place) for row in rows)
    return any(cost is not None and cost.early_end is not None for cost in costs)


def cost_of(row: Rows, place: tuple[str, str]) -> Cost | None:
    """The cost of the first result of a line that has one on that (device, precision)."""
    return next((c for entry in row.entries if entry.scored and (c := cost_on(entry.scored, place))), None)


def model_cost_cells(row: Rows, place: tuple[str, str], notes: Notes) -> list[Cell]:
    """Parameters, and MACs of one round times rounds."""
    cost = cost_of(row, place)
    if cost is None:
        return [_no_cost(row, place, notes)] * len(MODEL_COST_COLUMNS)
    return [Cell(f"{cost.parameters / 1e6:.3f}" if cost.parameters else "0"), _macs_cell(cost, notes)]


def time_cell(row: Rows, place: tuple[str, str], notes: Notes) -> Cell:
    """Images a second with all rounds calculated, with notes where the measurement is doubtful."""
    cost = cost_of(row, place)
    if cost is None:
        return _no_cost(row, place, notes)
    marks = (notes.mark(cost.disturbance),) if cost.disturbance else ()
    return Cell(rate_text(cost.images_per_s), marks=marks)


def early_end_cells(row: Rows, place: tuple[str, str], notes: Notes) -> list[Cell]:
    """Images a second on test images with early end, and the mean number of rounds calculated."""
    cost = cost_of(row, place)
    if cost is None:
        return [_no_cost(row, place, notes)] * len(EARLY_END_COLUMNS)
    if cost.early_end is None:
        return [BLANK] * len(EARLY_END_COLUMNS)
    early = cost.early_end
    timed = notes.mark(f"mean over {early.words}, one at a time")
    return [Cell(rate_text(early.images_per_s), marks=(timed,)), Cell(f"{early.rounds:.1f} of {cost.rounds}")]


def _no_cost(row: Rows, place: tuple[str, str], notes: Notes) -> Cell:
    absent = {entry.row.seed: entry.reason for entry in row.entries}
    has_results = any(entry.scored for entry in row.entries)
    reason = f"no cost measured on {place[0]}" if has_results else absence(absent, among=len(absent))
    return Cell(marks=(notes.mark(reason),))


def _macs_cell(cost: Cost, notes: Notes) -> Cell:
    if cost.macs is None:
        return Cell(marks=(notes.mark("no MACs: not made of operators that are counted"),))
    per_round = f"{cost.macs / 1e9:.3f}" if cost.macs < 1e10 else f"{cost.macs / 1e9:.2f}"
    text = f"{per_round} × {cost.rounds}" if cost.rounds > 1 else per_round
    if not cost.macs_uncounted:
        return Cell(text)
    return Cell(f"≥ {text}", marks=(notes.mark(f"at least: not counted are {', '.join(cost.macs_uncounted)}"),))
