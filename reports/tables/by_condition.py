"""Numbers by two things at once: by kind and level of a corruption, or by training and test set; means over seeds."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from bench.data.images.corruptions import CORRUPTIONS
from bench.metrics.registry import MetricInfo
from bench.types import Mixed
from reports.columns import metrics_shown
from reports.results.entries import Entry, by_title
from reports.results.groups import Group, Rows, group_rows
from reports.table import Cell, Notes
from reports.tables.cells import metric_cell

ROLES = ("IoU", "Pd", "Fa")
"""What matrices are drawn and tabled of, however it is counted."""

NO_GROUP = Group(())


@dataclass(frozen=True)
class CorruptedRow:
    """One method on one dataset, clean and corrupted.

    Attributes:
        row: a line of the suite, whose datasets are `NAME` and `NAME + kind@level`.
        dataset: NAME.
        names: of the corruptions that the suite has of it.
    """

    row: Rows
    dataset: str
    names: tuple[str, ...]

    @property
    def name(self) -> str:
        """Name in figures, which says so of an oracle."""
        return next((entry.name for entry in self.row.entries if entry.scored), self.row.label)

    @property
    def clean(self) -> Group:
        """The seeds on clean images."""
        return self.row.groups.get(self.dataset, NO_GROUP)

    def under(self, corruption: str) -> Group:
        """The seeds on images with that corruption."""
        return self.row.groups.get(f"{self.dataset} + {corruption}", NO_GROUP)

    def of_kind(self, kind: str) -> tuple[str, ...]:
        """The corruptions of one kind."""
        return tuple(name for name in self.names if kind_of(name) == kind)

    def mean(self, metric: MetricInfo, names: Sequence[str]) -> dict[int, float]:
        """By seed the mean over kinds of the mean over levels, of seeds with a value for clean images and all names."""
        found = [by_seed(self.under(name), metric) for name in names]
        seeds = [seed for seed in by_seed(self.clean, metric) if all(seed in values for values in found)]
        kinds = {kind: [name for name in names if kind_of(name) == kind] for kind in kinds_of(names)}
        value = dict(zip(names, found, strict=True))
        return {
            seed: statistics.fmean(statistics.fmean(value[n][seed] for n in levels) for levels in kinds.values())
            for seed in seeds
        }

    def without(self, metric: MetricInfo, names: Sequence[str]) -> str:
        """Reason why seeds have no mean over these corruptions, as a sentence; empty where all have one."""
        groups = [(self.dataset, self.clean), *((name, self.under(name)) for name in names)]
        found = [(name, reason) for name, group in groups for reason in _reasons(group, metric)]
        if not found:
            return ""
        more = f", and {len(found) - 1} more" if len(found) > 1 else ""
        return f"no mean over what is not complete: {found[0][0]}: {found[0][1]}{more}"


def corrupted_methods(entries: Sequence[Entry], *, mixed: Mixed) -> dict[str, tuple[CorruptedRow, ...]]:
    """The methods of every dataset of which the suite has corrupted test images, in its order.

    Raises:
        MixedRulesError, TableError: as the comparison table does.
    """
    found = {}
    for dataset in dict.fromkeys(entry.row.dataset for entry in entries if entry.row.corruption):
        mine = [by_title(entry) for entry in entries if entry.row.dataset == dataset]
        names = tuple(dict.fromkeys(entry.row.corruption for entry in mine if entry.row.corruption))
        rows = group_rows(mine, mixed=mixed)
        is_corrupted = [any(entry.row.corruption for entry in row.entries) for row in rows]
        found[dataset] = tuple(
            CorruptedRow(row, dataset, names) for row, is_one in zip(rows, is_corrupted, strict=True) if is_one
        )
    return found


@dataclass(frozen=True)
class Transferred:
    """One method, trained on each of some datasets and tested on others.

    Attributes:
        label: as the suite has it.
        lines: by training set the line of its tests; the empty name stands for what learns nothing.
    """

    label: str
    lines: Mapping[str, Rows]

    @property
    def name(self) -> str:
        """Name in figures, which says so of an oracle."""
        entries = [entry for row in self.lines.values() for entry in row.entries]
        title = next((entry.name for entry in entries if entry.scored), self.label)
        return title.replace(next(iter(self.lines.values())).label, self.label)

    def group(self, trained: str, tested: str) -> Group | None:
        """The seeds of one training set and one test set; None where the suite has no such row."""
        return self.lines[trained].groups.get(tested) if trained in self.lines else None


def transferred_methods(entries: Sequence[Entry], *, mixed: Mixed) -> tuple[Transferred, ...]:
    """The methods of a suite that says what is learnt from, on clean test images; nothing of other suites.

    Where every method has one training set and none is tested at home, there is nothing to compare that the comparison
    table does not.

    Raises:
        MixedRulesError, TableError: as the comparison table does.
    """
    mine = [entry for entry in entries if not entry.row.corruption]
    if not any(entry.row.trained_on for entry in mine):
        return ()
    places = dict.fromkeys((entry.row.label, entry.row.trained_on) for entry in mine)
    told = [replace(entry, row=replace(entry.row, label=line_label(entry), trained_on="")) for entry in mine]
    if len(places) == len({label for label, _ in places}) and not any(entry.is_plain for entry in mine):
        return ()
    rows = {row.label: row for row in group_rows(told, mixed=mixed)}
    methods: dict[str, dict[str, Rows]] = {}
    for entry, retold in zip(mine, told, strict=True):
        methods.setdefault(entry.row.label, {})[entry.row.trained_on] = rows[retold.row.label]
    order = list(places)
    return tuple(
        Transferred(label, {source: lines[source] for name, source in order if name == label})
        for label, lines in methods.items()
    )


def line_label(entry: Entry) -> str:
    """`ACM, from NUAA-SIRST`; the label alone of what learns nothing."""
    return f"{entry.row.label}, from {entry.row.trained_on}" if entry.row.trained_on else entry.row.label


def matrix_metrics(entries: Sequence[Entry]) -> tuple[MetricInfo, ...]:
    """Metrics of IoU, Pd and Fa, as far as the suite's scoring has them."""
    shown = metrics_shown(entry.scored.scores for entry in entries if entry.scored)
    return tuple(metric for role in ROLES for metric in shown if metric.family == role)


def by_seed(group: Group, metric: MetricInfo) -> dict[int, float]:
    """The value of every seed that has one."""
    return dict(_values(group, metric))


def _values(group: Group, metric: MetricInfo) -> Iterator[tuple[int, float]]:
    for entry in group.scored:
        score = metric.score_in(entry.scored.scores) if entry.scored else None
        if score is not None and score.value is not None:
            yield entry.row.seed, score.value


def _reasons(group: Group, metric: MetricInfo) -> Iterator[str]:
    """Reasons why seeds of a group have no value."""
    if not group.entries:
        yield "not part of the suite"
    known = by_seed(group, metric)
    for entry in group.entries:
        if entry.row.seed not in known:
            yield entry.reason or f"{metric.id} undefined"


def mean_of(group: Group | None, metric: MetricInfo) -> float | None:
    """The mean over the seeds that have a value; None where none has."""
    values = by_seed(group, metric).values() if group else ()
    return statistics.fmean(values) if values else None


def cell_of(group: Group, metric: MetricInfo, notes: Notes) -> Cell:
    """Mean and deviation over seeds; an em dash with the reason where the suite has no such row, or it no value."""
    return metric_cell(group if group.entries else None, metric, notes)


def cell_of_seeds(values: Mapping[int, float], form: Callable[[float], str], *, why: str, notes: Notes) -> Cell:
    """Mean and deviation over seeds of numbers that are made from several results; a dash where there are none.

    Args:
        form: prints a number.
        why: why seeds have none; empty where all have theirs.
    """
    marks = (notes.mark(why),) if why else ()
    if not values:
        return Cell(marks=marks)
    spread = form(statistics.stdev(values.values())) if len(values) > 1 else ""
    return Cell(form(statistics.fmean(values.values())), spread, marks=marks)


def kind_of(name: str) -> str:
    """`drift` of `drift@3`."""
    return name.partition("@")[0]


def kinds_of(names: Sequence[str]) -> tuple[str, ...]:
    """The kinds of these corruptions, in the order in which they are registered, unknown ones last."""
    found = set(map(kind_of, names))
    return (*(kind for kind in CORRUPTIONS if kind in found), *sorted(found - set(CORRUPTIONS)))


def kind_title(kind: str) -> str:
    """Title of a kind of corruption in tables and figures."""
    return CORRUPTIONS.get(kind).title if kind in CORRUPTIONS else kind
