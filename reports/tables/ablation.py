"""The ablation table: what each variant of a network leaves out or does otherwise, and what its numbers make of it."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from bench.metrics.registry import MetricInfo
from bench.types import Choice, Config, Mixed
from reports.columns import Column, metrics_shown
from reports.results.differences import Trait, differing_traits, differs, words_of_row
from reports.results.entries import Entry, choose_cost
from reports.results.groups import Group, Rows, datasets_of, group_rows
from reports.results.same_rules import rules_of
from reports.table import Cell, Line, Notes, Table
from reports.tables.captions import all_notes, caption, macs_sentence, signs
from reports.tables.cells import MODEL_COST_COLUMNS, absence, dataset_cells, model_cost_cells, values_of
from reports.tables.comparison import RANKING

ANCESTORS = {"DFINet": ("FANet",)}
"""By network, those it grew from: rows without its design choices that belong into its ablation table."""


@dataclass(frozen=True)
class Family:
    """A network with the rows that are compared with it.

    Attributes:
        model: name of the full network.
        label: of its row.
        rows: all of them in the suite's order, the full network among them.
    """

    model: str
    label: str
    rows: tuple[Rows, ...]

    @property
    def full(self) -> Rows:
        return next(row for row in self.rows if row.label == self.label)

    @property
    def entries(self) -> tuple[Entry, ...]:
        return tuple(entry for row in self.rows for entry in row.entries)

    def full_group(self, group: Group, dataset: str) -> Group | None:
        """The full network's group on a dataset under the rules of the other group; None where it has none."""
        candidates = [row.groups[dataset] for row in self.rows if row.label == self.label and dataset in row.groups]
        mine = rules_of(group.entries[0])
        return next((other for other in candidates if rules_of(other.entries[0]).agrees(mine)), None)

    def is_ancestor(self, row: Rows) -> bool:
        """True where the row is a network that the full one was developed from."""
        return bool(row.models & set(ANCESTORS.get(self.model, ())))


def families(entries: Sequence[Entry], *, mixed: Mixed = "refuse") -> list[Family]:
    """Every network of which the suite has an ablation, with its rows.

    Raises:
        MixedRulesError, TableError: as the comparison table does.
    """
    rows = group_rows(entries, mixed=mixed)
    ablated = dict.fromkeys(result.model.ablates for row in rows for result in row.results)
    found = []
    for model in ablated:
        own = [row for row in rows if model in row.models]
        if model and own:
            full = next((row for row in own if _is_full(row)), own[0])
            members = tuple(row for row in rows if _belongs(row, model))
            found.append(Family(model, full.label, members))
    return found


def _is_full(row: Rows) -> bool:
    """True where a row of the full network's model has its registered settings, as far as is known."""
    return all(
        result.experiment.weights.config == _registered(result.model.config, result.model.choices)
        for result in row.results
    )


def _registered(config: Config, choices: Sequence[Choice]) -> Config:
    """A model's own settings without the choices that stand at their default."""
    defaults = {choice.setting: choice.default for choice in choices}
    return tuple((name, value) for name, value in config if name not in defaults or defaults[name] != value)


def _belongs(row: Rows, model: str) -> bool:
    """True for the network, its ablations and its ancestors; a row without a result is known by its name."""
    if row.models & {model, *ANCESTORS.get(model, ())}:
        return True
    if row.results:
        return any(result.model.ablates == model for result in row.results)
    return any(name.startswith((f"{model}/", f"{model}-")) for name in row.models)


def variants_of(family: Family) -> tuple[str, ...]:
    """Labels of a family's ablations: neither an ancestor nor the full network, however that is trained and run."""
    return tuple(
        dict.fromkeys(
            row.label
            for row in family.rows
            if row.label != family.label
            and not family.is_ancestor(row)
            and not (family.model in row.models and _is_full(row))
        )
    )


def ablation_tables(
    entries: Sequence[Entry], *, title: str, mixed: Mixed = "refuse", metrics: Sequence[MetricInfo] = ()
) -> Iterator[tuple[str, Table]]:
    """The name and table of each ablated network.

    Args:
        metrics: of the columns; default those of `metrics_shown`.

    Raises:
        MixedRulesError, TableError: as the comparison table does.
    """
    for family in families(entries, mixed=mixed):
        yield family.model, ablation_table(family, title=title, metrics=metrics)


def ablation_table(family: Family, *, title: str, metrics: Sequence[MetricInfo] = ()) -> Table:
    """A column for everything in which a row differs from the full network, its numbers and their change, its cost."""
    entries, notes = family.entries, Notes()
    columns, cells = _trait_cells(family, notes)
    metrics = metrics or metrics_shown(entry.scored.scores for entry in entries if entry.scored)
    for dataset in datasets_of(entries):
        more, block = dataset_cells(family.rows, dataset, metrics=metrics, notes=notes)
        columns += more
        changed = [
            _with_changes(family, row, dataset, metrics, line) for row, line in zip(family.rows, block, strict=True)
        ]
        cells = [old + new for old, new in zip(cells, changed, strict=True)]
    remarks = [
        f"Beside each value its difference to {family.label}, in the unit of the column, taken before rounding.",
        RANKING,
    ]
    place = choose_cost(entries)
    if place is not None:
        columns += MODEL_COST_COLUMNS
        cells = [old + model_cost_cells(row, place, notes) for old, row in zip(cells, family.rows, strict=True)]
        remarks.append(macs_sentence(entries, place))
    return Table(
        caption=caption(entries, title=f"{title.rstrip('.')}: ablation of {family.label}", remarks=remarks),
        columns=tuple(columns),
        lines=tuple(_line(family, row, line, notes) for row, line in zip(family.rows, cells, strict=True)),
        notes=all_notes(entries, notes),
        limited=any(entry.is_limited for entry in entries),
        label="tab:ablation",
    )


def _trait_cells(family: Family, notes: Notes) -> tuple[list[Column], list[list[Cell]]]:
    """The columns of what differs, and per line its words; the ancestors' differences make no column."""
    traits = family_traits(family)
    cells = [[_trait_cell(family, row, trait, notes) for trait in traits] for row in family.rows]
    return [Column(trait.head, trait.group, is_text=True, is_centred=True) for trait in traits], cells


def family_traits(family: Family) -> tuple[Trait, ...]:
    """Traits that differ between the full network and its variants."""
    return differing_traits(family.full, [row for row in family.rows if not family.is_ancestor(row)])


def _trait_cell(family: Family, row: Rows, trait: Trait, notes: Notes) -> Cell:
    if row.results or family.is_ancestor(row):
        return Cell(words_of_row(trait, row))
    reasons = {entry.row.seed: entry.reason for entry in row.entries}
    return Cell(marks=(notes.mark(absence(reasons, among=len(reasons))),))


def _with_changes(
    family: Family, row: Rows, dataset: str, metrics: Sequence[MetricInfo], cells: Sequence[Cell]
) -> list[Cell]:
    """The cells of one line and dataset with their differences to the full network, where both have a value."""
    group = row.groups.get(dataset)
    full = family.full_group(group, dataset) if group and row.label != family.label else None
    if group is None or full is None:
        return list(cells)
    return [replace(cell, change=change(group, full, metric)) for cell, metric in zip(cells, metrics, strict=True)]


def change(group: Group, full: Group, metric: MetricInfo) -> str:
    """The difference of two means as printed, `−3.10`; empty where either has no value."""
    (ours, _), (theirs, _) = values_of(group, metric), values_of(full, metric)
    return signed(metric, statistics.fmean(ours) - statistics.fmean(theirs)) if ours and theirs else ""


def signed(metric: MetricInfo, difference: float) -> str:
    """A difference with its sign; one that rounds to nothing has none."""
    text = metric.printed(difference)
    if not float(text):
        return text.lstrip("-")
    return text.replace("-", "−") if difference < 0 else f"+{text}"


def _line(family: Family, row: Rows, cells: list[Cell], notes: Notes) -> Line:
    marks = signs(row)
    if family.is_ancestor(row):
        marks = (*marks, notes.mark(_ancestry(family, row)))
    return Line(row.label, tuple(cells), marks)


def _ancestry(family: Family, row: Rows) -> str:
    """Note on an ancestor: its differences beside the design."""
    traits = differing_traits(family.full, [row]) if row.results else ()
    shown = {trait.head for trait in family_traits(family)}
    others = [
        f"{trait.head} {words_of_row(trait, row)}"
        for trait in traits
        if trait.head not in shown and words_of_row(trait, row) and differs(trait, row, family.full)
    ]
    also = f"; it also differs in {', '.join(others)}" if others else ""
    return f"the network that {family.model} grew from, without its design choices{also}"
