"""Significance of a comparison table: intervals, tests against the best of a column, Holm's correction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean

import numpy as np

from bench.metrics.registry import MetricInfo
from bench.metrics.significance import RESAMPLES, Bootstrap, Interval, bootstrap, holm, permutation_tests
from bench.metrics.statistic import Statistic
from reports.results.image_counts import Counted, CountedLine, statistics_of
from reports.table import Cell, Notes
from reports.tables.cells import values_of

SEED = 0
ALPHA = 0.05
FLIPS_A_TEST = 100
"""Permutations for every comparison of the table, at least: Holm's smallest p can then be 0.01."""

ALIKE = f"not distinguishable from the best (paired permutation test over images, Holm over the table, p > {ALPHA})"
ALIKE_AS_TRAINED = (
    "not distinguishable from the best, the networks as trained (paired permutation test over images of the means over "
    f"seeds, Holm over the table, p > {ALPHA})"
)
ALIKE_AS_METHOD = (
    "not distinguishable from the best as a method: over test images and seeds the interval of the difference contains "
    f"0; the networks as trained differ (paired permutation test over images, Holm over the table, p ≤ {ALPHA})"
)

SeedStatistics = tuple[Statistic, ...]

ReferenceOf = Callable[[Counted, MetricInfo], CountedLine | None]
"""The line that the others of a column are compared with."""


@dataclass(frozen=True)
class ComparedValue:
    """One value of the comparison table.

    Attributes:
        interval: of the value.
        is_reference: whether it is the one that others of its column are compared with, as a rule the best.
        difference: to the reference, with its interval; None where it is not compared.
        p: of the permutation test against the reference, corrected over the table.
        detectable: the smallest difference to the reference that could have been told.
        has_seeds: whether it or the reference is a mean over several seeds, which the interval resamples, and p does
            not.
        reason: why it is not compared; empty where it is, and for the best.
    """

    interval: Interval
    is_reference: bool = False
    difference: Interval | None = None
    p: float | None = None
    detectable: float | None = None
    has_seeds: bool = False
    reason: str = ""

    @property
    def likeness(self) -> str:
        """The note on a value that cannot be told from the best; empty where it can, or was not compared."""
        if self.p is None:
            return ""
        if self.p > ALPHA:
            return ALIKE_AS_TRAINED if self.has_seeds else ALIKE
        spans_zero = self.difference is not None and self.difference.contains(0.0)
        return ALIKE_AS_METHOD if self.has_seeds and spans_zero else ""


CellKey = tuple[int, str]
"""A line's position in the table and a metric's id."""


@dataclass(frozen=True)
class ComparedTable:
    """Intervals and tests of every value of a comparison table.

    Attributes:
        by_dataset: dataset to place to what is known there.
        tests: comparisons that Holm's correction is over.
        flips: permutations of each, unless there are fewer.
    """

    by_dataset: Mapping[str, Mapping[CellKey, ComparedValue]] = field(default_factory=dict)
    tests: int = 0
    flips: int = RESAMPLES

    def of(self, position: int, dataset: str, metric: MetricInfo) -> ComparedValue | None:
        """Interval and test of one value, or None; `position` is that of its line in the table."""
        return self.by_dataset.get(dataset, {}).get((position, metric.id))


@dataclass
class _PendingTest:
    """A comparison that still has to be tested."""

    dataset: str
    key: CellKey
    pair: tuple[SeedStatistics, SeedStatistics]


def compare_with_best(counted: Sequence[Counted]) -> ComparedTable:
    """Intervals of all values, and tests of all values against the best of their column.

    The best is that of the comparison table: where it has no counts, no value of its column is compared. Oracles and
    leaks are never the best and never compared. The draws come from one seed, so that the same results give the same
    numbers.
    """
    return _compare(counted, _best)


def compare_with_line(counted: Sequence[Counted], label: str) -> ComparedTable:
    """Intervals of all values, and tests of all values against those of the line with that label."""
    return _compare(counted, lambda each, _: next((m for m in each.methods if m.row.label == label), None))


def _compare(counted: Sequence[Counted], choose: ReferenceOf) -> ComparedTable:
    found: dict[str, dict[CellKey, ComparedValue]] = {}
    tests: list[_PendingTest] = []
    for each in counted:
        found[each.dataset] = {}
        for metric in each.metrics:
            values, opened = _compare_column(each, metric, choose)
            found[each.dataset] |= values
            tests += opened
    flips = max(RESAMPLES, FLIPS_A_TEST * len(tests))
    p_values = [p for each in counted for p in _tested([t for t in tests if t.dataset == each.dataset], flips)]
    for test, p in zip(tests, holm(p_values), strict=True):
        found[test.dataset][test.key] = replace(found[test.dataset][test.key], p=p)
    return ComparedTable(found, sum(p is not None for p in p_values), flips)


def _tested(tests: Sequence[_PendingTest], flips: int) -> list[float | None]:
    pairs = [test.pair for test in tests]
    return [found.p for found in permutation_tests(pairs, generator=np.random.default_rng(SEED), flips=flips)]


def _compare_column(
    each: Counted, metric: MetricInfo, choose: ReferenceOf
) -> tuple[dict[CellKey, ComparedValue], list[_PendingTest]]:
    """One metric on one dataset, and the comparisons in it."""
    terms = {m.position: own for m in each.methods if (own := statistics_of(m, metric)[0])}
    drawn = _drawn(each, terms)
    best = choose(each, metric) if each.has_one_rule else None
    obstacle = _obstacle(each, best, drawn)
    values: dict[CellKey, ComparedValue] = {}
    tests = []
    for method in each.methods:
        key, place = method.position, (method.position, metric.id)
        if key not in drawn:
            continue
        interval = drawn[key].interval()
        reason = obstacle or _why_not_compared(each, method)
        if method is best:
            values[place] = ComparedValue(interval, is_reference=True)
        elif reason or best is None:
            values[place] = ComparedValue(interval, reason=reason)
        else:
            difference = drawn[key].minus(drawn[best.position])
            detectable = difference.smallest_detectable(alpha=ALPHA)
            has_seeds = len(terms[key]) > 1 or len(terms[best.position]) > 1
            values[place] = ComparedValue(
                interval, difference=difference.interval(), detectable=detectable, has_seeds=has_seeds
            )
            tests.append(_PendingTest(each.dataset, place, (terms[key], terms[best.position])))
    return values, tests


def _drawn(each: Counted, terms: Mapping[int, SeedStatistics]) -> dict[int, Bootstrap]:
    """The bootstrap of every line: all on the common list under the same resamples, others by themselves."""
    together = [m.position for m in each.methods if m.position in terms and each.is_on_list(m)]
    alone = [[key] for key in terms if key not in together]
    found: dict[int, Bootstrap] = {}
    for keys in filter(None, [together, *alone]):
        draws = bootstrap([terms[key] for key in keys], generator=np.random.default_rng(SEED))
        found |= dict(zip(keys, draws, strict=True))
    return found


def _best(each: Counted, metric: MetricInfo) -> CountedLine | None:
    """The method with the best mean over seeds, with counts or without; an oracle is none, nor is a leak."""
    values = {
        id(method): fmean(found)
        for method in each.methods
        if method.group.is_rival and (found := values_of(method.group, metric)[0])
    }
    sign = 1 if metric.better == "higher" else -1
    ranked = [method for method in each.methods if id(method) in values]
    return max(ranked, key=lambda method: sign * values[id(method)]) if len(ranked) > 1 else None


def _obstacle(each: Counted, best: CountedLine | None, drawn: Mapping[int, Bootstrap]) -> str:
    """Reason why nothing in a column can be compared; empty where it can."""
    if not each.has_one_rule:
        return "not compared: made under other rules than its neighbours"
    if best is None:
        return "not compared: nothing to compare with"
    if best.position not in drawn:
        return f"not compared: {best.row.label} has no counts of its images"
    if not each.is_on_list(best):
        return f"not compared: {best.row.label} was tested on other images than most"
    return ""


def _why_not_compared(each: Counted, method: CountedLine) -> str:
    if method.group.is_oracle:
        return "not compared: an oracle is no result"
    if method.group.is_leaked:
        return "not compared: what was learnt from is no test"
    return "" if each.is_on_list(method) else "not compared: tested on other images or targets than the best"


def with_marks(
    block: Sequence[Sequence[Cell]],
    dataset: str,
    *,
    metrics: Sequence[MetricInfo],
    compared: ComparedTable,
    notes: Notes,
) -> list[list[Cell]]:
    """The cells of one dataset of a comparison table, those marked that cannot be told from the best."""

    def marked(cell: Cell, position: int, metric: MetricInfo) -> Cell:
        own = compared.of(position, dataset, metric)
        if own is None or not own.likeness:
            return cell
        return replace(cell, marks=(*cell.marks, notes.mark(own.likeness)))

    return [
        [marked(cell, position, metric) for cell, metric in zip(line, metrics, strict=True)]
        for position, line in enumerate(block)
    ]
