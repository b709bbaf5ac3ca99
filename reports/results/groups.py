"""The lines of a table: under each label, per dataset, the seeds of one experiment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bench.errors import TableError
from bench.types import Mixed, RunResult
from reports.results.entries import Entry, same_but_seed
from reports.results.same_rules import distinct_rules, refuse_mixing, rules_of


@dataclass(frozen=True)
class Group:
    """The entries that one line has for one dataset: the seeds of one experiment under one set of rules."""

    entries: tuple[Entry, ...]

    @property
    def scored(self) -> tuple[Entry, ...]:
        return tuple(entry for entry in self.entries if entry.scored)

    @property
    def is_optimistic(self) -> bool:
        """True where the weights of any seed were chosen on the test list."""
        return any(entry.scored and entry.scored.optimistic for entry in self.entries)

    @property
    def is_oracle(self) -> bool:
        """True where its numbers start from the ground truth, so that they are not ranked."""
        return any(entry.is_oracle for entry in self.entries)

    @property
    def is_leaked(self) -> bool:
        """True where the weights of any seed learnt from test images, so that its numbers are not ranked."""
        return any(entry.leaked for entry in self.entries)

    @property
    def is_rival(self) -> bool:
        """True where its numbers are results, which can be ranked."""
        return not self.is_oracle and not self.is_leaked


@dataclass(frozen=True)
class Rows:
    """A line of a table: its label, and by dataset its group."""

    label: str
    groups: Mapping[str, Group]

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The entries of all datasets."""
        return tuple(entry for group in self.groups.values() for entry in group.entries)

    def on(self, dataset: str) -> Rows:
        """The line on one dataset alone."""
        return Rows(self.label, {name: group for name, group in self.groups.items() if name == dataset})

    @property
    def results(self) -> tuple[RunResult, ...]:
        """Their results, those of failed runs as well."""
        return tuple(entry.result for entry in self.entries if entry.result)

    @property
    def models(self) -> frozenset[str]:
        """Names of the networks, one unless a label stands for different ones on different datasets."""
        return frozenset(entry.row.model for entry in self.entries)


def datasets_of(entries: Sequence[Entry]) -> tuple[str, ...]:
    """Names of the test sets in order of first use."""
    return tuple(dict.fromkeys(entry.dataset for entry in entries))


def group_rows(entries: Sequence[Entry], *, mixed: Mixed) -> list[Rows]:
    """Per label one line; several where it has several sets of rules on one dataset, which only a marked table may.

    Raises:
        MixedRulesError: when rows of one dataset differ in their rules and `mixed` is `refuse`.
        TableError: when one label stands for several experiments that differ in more than the seed.
    """
    datasets = datasets_of(entries)
    if mixed == "refuse":
        for dataset in datasets:
            refuse_mixing(dataset, [entry for entry in entries if entry.dataset == dataset])
    cells: dict[str, dict[str, list[Entry]]] = {}
    for entry in entries:
        cells.setdefault(entry.row.label, {}).setdefault(entry.dataset, []).append(entry)
    lines: dict[tuple[str, int], dict[str, Group]] = {}
    for label, cell in cells.items():
        for dataset in datasets:
            for index, group in enumerate(_by_rules(cell.get(dataset, []))):
                _check_group(group, label=label, dataset=dataset)
                lines.setdefault((label, index), {})[dataset] = Group(group)
    return [Rows(label, groups) for (label, _), groups in lines.items()]


def _by_rules(entries: Sequence[Entry]) -> Iterator[tuple[Entry, ...]]:
    if entries:
        for rules in distinct_rules(entries):
            yield tuple(entry for entry in entries if rules_of(entry).agrees(rules))


def _check_group(entries: tuple[Entry, ...], *, label: str, dataset: str) -> None:
    """Refuse to average what is not the same experiment under different seeds."""
    seeds: dict[int, str] = {}
    for entry in entries:
        other = seeds.setdefault(entry.row.seed, entry.row.key)
        if other != entry.row.key:
            raise TableError(
                f"{label!r} on {dataset}: results {other} and {entry.row.key} share seed {entry.row.seed}; "
                "give the rows different labels"
            )
    experiments = {same_but_seed(entry.scored.experiment): entry.row.key for entry in entries if entry.scored}
    if len(experiments) > 1:
        first, second, *_ = experiments.values()
        raise TableError(
            f"{label!r} on {dataset}: results {first} and {second} differ in more than the seed; "
            "give the rows different labels"
        )
