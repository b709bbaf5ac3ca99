"""What a suite's methods counted image by image, a dataset at a time: what intervals, tests and strata are made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from bench.errors import StoreError
from bench.metrics.counting.counts import TRUTH_FIELDS, Counts, CountTable
from bench.metrics.registry import Metric, MetricInfo, ordered_metrics
from bench.metrics.significance import pair_images
from bench.store.files import load_arrays
from bench.types import Scoring
from reports.columns import metrics_shown
from reports.results.entries import Entry, one_line
from reports.results.groups import Group, Rows, datasets_of, group_rows
from reports.results.same_rules import rulings
from reports.table import Mixed

COUNTS_FILE = "counts.npz"
SAME = 1e-12
"""How far a stored score may lie from that of the stored counts, as a part of it: a rounding of sums."""


@dataclass(frozen=True, eq=False)
class Method:
    """One line of a table on one dataset, with what it counted.

    Attributes:
        position: of the line in the table, for labels may repeat.
        row, group: as the table has them.
        names: of the images; empty where there are no counts.
        seeds: the last round's counts of every seed that has scores, all of the same images in the same order.
        reason: why there are no counts; empty where there are.
    """

    position: int
    row: Rows
    group: Group
    names: tuple[str, ...] = ()
    seeds: tuple[Counts, ...] = ()
    reason: str = ""


@dataclass(frozen=True, eq=False)
class Counted:
    """One dataset of a suite.

    Attributes:
        metrics: those its tables print.
        methods: in the order of the table's lines, those that have no counts as well.
        names: the list of images most methods have, in the order of the first of these.
        truth: that one's counts, whose images and targets are those of the list.
        has_one_rule: whether all were made and judged under the same rules, so that they can be compared.
    """

    dataset: str
    metrics: tuple[MetricInfo, ...]
    methods: tuple[Method, ...]
    names: tuple[str, ...]
    truth: Counts | None
    has_one_rule: bool

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The suite's rows on this dataset."""
        return tuple(entry for method in self.methods for entry in method.group.entries)

    def is_on_list(self, method: Method) -> bool:
        """Whether a method counted the images of the list that most have, and the same targets in them."""
        return self.truth is not None and method.names == self.names and _is_alike(self.truth, method.seeds)


def read_counted(entries: Sequence[Entry], *, mixed: Mixed) -> tuple[Counted, ...]:
    """The counts of all rows, dataset by dataset; what is not there, broken or contradicts its scores has a reason.

    Raises:
        MixedRulesError, TableError: as the comparison table does.
    """
    rows = group_rows(entries, mixed=mixed)
    metrics = metrics_shown(entry.scored.scores for entry in entries if entry.scored)
    return tuple(_read_dataset(dataset, rows, metrics) for dataset in datasets_of(entries))


def _read_dataset(dataset: str, rows: Sequence[Rows], metrics: tuple[MetricInfo, ...]) -> Counted:
    lines = [Method(place, row, row.groups[dataset]) for place, row in enumerate(rows) if dataset in row.groups]
    methods = [_read_method(line, metrics) for line in lines]
    lists = Counter(frozenset(method.names) for method in methods if method.seeds)
    common = max(lists, key=lambda names: lists[names]) if lists else frozenset()  # the first met on a tie
    first = next((method for method in methods if method.seeds and frozenset(method.names) == common), None)
    names = first.names if first else ()
    entries = [entry for method in methods for entry in method.group.entries]
    return Counted(
        dataset,
        metrics,
        tuple(_ordered(method, names) for method in methods),
        names,
        first.seeds[0] if first else None,
        has_one_rule=len(rulings(entries)) <= 1,
    )


def _read_method(line: Method, metrics: Sequence[MetricInfo]) -> Method:
    """The line with its counts, or with the reason why there are none."""
    tables = []
    for entry in line.group.scored:
        try:
            tables.append(_read_table(entry, metrics))
        except StoreError as error:
            return replace(line, reason=one_line(str(error)))
    if not tables:
        return replace(line, reason="; ".join(dict.fromkeys(entry.reason for entry in line.group.entries)))
    if len({frozenset(table.names) for table in tables}) > 1:
        return replace(line, reason="its seeds were tested on different images")
    seeds = tuple(pair_images(tables))
    if not _is_alike(seeds[0], seeds):
        return replace(line, reason="its seeds counted different targets in images of the same names")
    return replace(line, names=tables[0].names, seeds=seeds)


def _is_alike(truth: Counts, seeds: Sequence[Counts]) -> bool:
    """Whether all seeds counted those images with those targets."""
    return all(
        np.array_equal(getattr(counts, name), getattr(truth, name))
        for counts in seeds
        for name in (*TRUTH_FIELDS, "target_area")
    )


def _read_table(entry: Entry, metrics: Sequence[MetricInfo]) -> CountTable:
    """The counts of one result.

    Raises:
        StoreError: when they are missing or broken, or are not those its scores were made of.
    """
    path, named = entry.folder / COUNTS_FILE, f"{entry.row.key}/{COUNTS_FILE}"
    try:
        table = CountTable.from_arrays(load_arrays(path))
        pair_images([table])
    except ValueError as error:
        raise StoreError(str(error).replace(str(path), named)) from None
    scores = entry.scored.scores if entry.scored else {}
    for metric in metrics:
        stored, registered = metric.score_in(scores), registered_metric(metric, entry.row.scoring)
        if stored is None or registered is None:
            continue
        found = registered.score(table.round(-1)).value
        if not _agree(found, stored.value):
            raise StoreError(f"{named}: gives {metric.id} {found}, its result.json {stored.value}; score the run again")
    return table


def _agree(found: float | None, stored: float | None) -> bool:
    if found is None or stored is None:
        return found is stored
    return abs(found - stored) <= SAME * max(abs(found), abs(stored))


def registered_metric(metric: MetricInfo, scoring: Scoring) -> Metric | None:
    """The metric behind a column, whatever its id is under the scoring; None where no metric here computes it."""
    return next((m for m in ordered_metrics() if metric.id in (m.id, m.id_under(scoring))), None)


def _ordered(method: Method, names: tuple[str, ...]) -> Method:
    """The method with its images in the order of the list, where it has the same ones."""
    if method.names == names or frozenset(method.names) != frozenset(names):
        return method
    places = {name: place for place, name in enumerate(method.names)}
    order = [places[name] for name in names]
    return replace(method, names=names, seeds=tuple(counts.take(order) for counts in method.seeds))


def missing_counts(counted: Sequence[Counted]) -> str:
    """One sentence on the methods with scores and without counts; empty where all have theirs."""
    found = [
        f"{method.row.label} on {each.dataset}: {method.reason}"
        for each in counted
        for method in each.methods
        if method.reason and method.group.scored
    ]
    if not found:
        return ""
    return f"no intervals and strata for {found[0]}" + (f", and {len(found) - 1} more" if len(found) > 1 else "")
