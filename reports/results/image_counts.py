"""Counts of a suite's methods image by image, by dataset: the basis of intervals, tests and strata."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.errors import StoreError
from bench.metrics.contrast import ContrastTable
from bench.metrics.counting.counts import TRUTH_FIELDS, Counts, CountTable
from bench.metrics.errors import ErrorTable
from bench.metrics.registry import TABLES, Metric, MetricInfo, TableName, ordered_metrics
from bench.metrics.significance import pair_images
from bench.metrics.statistic import Statistic, Value
from bench.store.files import load_arrays
from bench.types import Mixed, Scoring
from reports.columns import metrics_shown
from reports.results.entries import Entry, one_line
from reports.results.groups import Group, Rows, datasets_of, group_rows
from reports.results.same_rules import distinct_rules

COUNTS_FILE = "counts.npz"
OTHER_TABLES: Mapping[TableName, type[ErrorTable | ContrastTable]] = {"errors": ErrorTable, "contrast": ContrastTable}
SAME = 1e-12
"""How far a stored score may lie from that of the stored counts, as a part of it: a rounding of sums."""


@dataclass(frozen=True, eq=False)
class CountedLine:
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
        metrics: of the comparison table's columns.
        methods: in the order of the table's lines, those that have no counts as well.
        names: the list of images most methods have, in the order of the first of these.
        truth: that one's counts, whose images and targets are those of the list.
        has_one_rule: whether all were made and judged under the same rules, so that they can be compared.
        is_chosen: True where the suite or `--columns` chose the metrics.
    """

    dataset: str
    metrics: tuple[MetricInfo, ...]
    methods: tuple[CountedLine, ...]
    names: tuple[str, ...]
    truth: Counts | None
    has_one_rule: bool
    is_chosen: bool = False

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The suite's rows on this dataset."""
        return tuple(entry for method in self.methods for entry in method.group.entries)

    def is_on_list(self, method: CountedLine) -> bool:
        """True where a method counted the images of the list that most have, and the same targets in them."""
        return self.truth is not None and method.names == self.names and _is_alike(self.truth, method.seeds)


def read_counted(entries: Sequence[Entry], *, mixed: Mixed, metrics: Sequence[MetricInfo] = ()) -> tuple[Counted, ...]:
    """The counts of all rows, dataset by dataset; those that are missing, broken or contradict scores have a reason.

    Args:
        metrics: of the comparison table's columns; default those of `metrics_shown`.

    Raises:
        MixedRulesError, TableError: as the comparison table does.
    """
    rows = group_rows(entries, mixed=mixed)
    shown = tuple(metrics) or metrics_shown(entry.scored.scores for entry in entries if entry.scored)
    return tuple(_read_dataset(dataset, rows, shown, is_chosen=bool(metrics)) for dataset in datasets_of(entries))


def _read_dataset(dataset: str, rows: Sequence[Rows], metrics: tuple[MetricInfo, ...], *, is_chosen: bool) -> Counted:
    lines = [CountedLine(place, row, row.groups[dataset]) for place, row in enumerate(rows) if dataset in row.groups]
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
        has_one_rule=len(distinct_rules(entries)) <= 1,
        is_chosen=is_chosen,
    )


def _read_method(line: CountedLine, metrics: Sequence[MetricInfo]) -> CountedLine:
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


def read_rounds(group: Group) -> list[list[Counts]]:
    """Counts of every round and seed of a group with scores, on the same images in the same order; rounds first.

    Raises:
        StoreError: when counts are missing or broken, or the seeds' images, targets or rounds differ.
    """
    tables = [_read_table(entry, ()) for entry in group.scored]
    if not tables:
        return []
    first = tables[0]
    if len({(frozenset(table.names), table.rounds) for table in tables}) > 1:
        raise StoreError("its seeds were tested on different images, or in different numbers of rounds")
    places = [{name: place for place, name in enumerate(table.names)} for table in tables]
    orders = [[place[name] for name in first.names] for place in places]
    found = [
        [table.round(number).take(order) for table, order in zip(tables, orders, strict=True)]
        for number in range(first.rounds)
    ]
    if not _is_alike(found[0][0], found[0]):
        raise StoreError("its seeds counted different targets in images of the same names")
    return found


def _is_alike(truth: Counts, seeds: Sequence[Counts]) -> bool:
    """True where all seeds counted those images with those targets."""
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
        raise StoreError(_with_file(error, path, named)) from None
    for metric in metrics:
        registered = registered_metric(metric, entry.row.scoring)
        if registered is not None and registered.table == "counts":
            _check_score(entry, metric, registered, table.round(-1), named)
    return table


def _with_file(error: Exception, path: Path, named: str) -> str:
    """An error's message with the file that it is of, by the run's key."""
    text = str(error).replace(str(path), named)
    return text if named in text else f"{named}: {text}"


def _check_score(entry: Entry, metric: MetricInfo, registered: Metric, table: Any, named: str) -> None:
    """Raise StoreError where a result's score is not that of the stored integers."""
    stored = metric.score_in(entry.scored.scores) if entry.scored else None
    if stored is None:
        return
    found = registered.score(table).value
    if not _agree(found, stored.value):
        raise StoreError(f"{named}: gives {metric.id} {found}, its result.json {stored.value}; score the run again")


def _agree(found: float | None, stored: float | None) -> bool:
    if found is None or stored is None:
        return found is stored
    return abs(found - stored) <= SAME * max(abs(found), abs(stored))


def registered_metric(metric: MetricInfo, scoring: Scoring) -> Metric | None:
    """The metric behind a column, whatever its id is under the scoring; None where no metric here computes it."""
    every = (entry for table in TABLES for entry in ordered_metrics(table))
    return next((entry for entry in every if metric.id in (entry.id, entry.id_under(scoring))), None)


def statistics_of(line: CountedLine, metric: MetricInfo) -> tuple[tuple[Statistic, ...], str]:
    """The metric's terms image by image, of every seed; or none, and the reason."""
    registered = registered_metric(metric, line.group.entries[0].row.scoring)
    if not line.seeds:
        return (), line.reason
    if registered is None:
        return (), f"no metric here computes {metric.id}"
    if registered.table == "curves":
        return (), f"no interval: {metric.id} is of a curve, of which nothing is kept image by image"
    try:
        tables = line.seeds if registered.table == "counts" else _read_others(line, metric, registered)
    except StoreError as error:
        return (), f"no interval: {one_line(str(error))}"
    found = [registered.evaluate(table) for table in tables]
    if any(isinstance(one, Value) for one in found):
        return (), f"no interval: {metric.id} is no sum over images"
    return tuple(one for one in found if isinstance(one, Statistic)), ""


def _read_others(line: CountedLine, metric: MetricInfo, registered: Metric) -> list[ErrorTable | ContrastTable]:
    """The seeds' tables of errors or contrast, over the images of the line's counts in their order.

    Raises:
        StoreError: when one is missing or broken, has other images, or does not give its result's score.
    """
    found: list[ErrorTable | ContrastTable] = []
    for entry in line.group.scored:
        path = entry.folder / f"{registered.table}.npz"
        named = f"{entry.row.key}/{path.name}"
        try:
            table = OTHER_TABLES[registered.table].from_arrays(load_arrays(path))
        except ValueError as error:
            raise StoreError(_with_file(error, path, named)) from None
        if table.names != line.names:
            raise StoreError(f"{named}: other images than those of the list, or in another order")
        _check_score(entry, metric, registered, table, named)
        found.append(table)
    return found


def _ordered(method: CountedLine, names: tuple[str, ...]) -> CountedLine:
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
