"""Every value of a comparison with its interval and its test against the best, as plain records."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.metrics.registry import MetricInfo
from bench.metrics.significance import Interval
from reports.columns import chosen_metrics, metrics_shown
from reports.results.entries import plain_entries, read_suite
from reports.results.image_counts import Counted, CountedLine, read_counted, statistics_of
from reports.tables.cells import values_of
from reports.tables.significance import ComparedTable, compare_with_best


@dataclass(frozen=True)
class PlainInterval:
    """A number as a plain fraction with the limits of its 95 % interval; None where there are none."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class ComparedNumber:
    """One metric of one method.

    Attributes:
        metric: its id.
        head: as tables print it.
        is_best: whether it is the one that others are compared with.
        difference: to the best; None where it is not compared.
        p: of the paired permutation test against the best, corrected by Holm over all of them.
        detectable: the smallest true difference that such a list shows with power 0.8.
        reason: why there is no interval or no comparison; empty where there is.
    """

    metric: str
    head: str
    method: str
    score: PlainInterval
    is_best: bool = False
    difference: PlainInterval | None = None
    p: float | None = None
    detectable: float | None = None
    reason: str = ""


def read_compared(root: Path, suite: str) -> tuple[ComparedNumber, ...]:
    """The numbers of a suite's columns, metric by metric, as its tables have them.

    Raises:
        BenchError: as a report of the suite does.
    """
    manifest, every = read_suite(root, suite)
    entries = plain_entries(every)
    scores = [entry.scored.scores for entry in entries if entry.scored]
    metrics = chosen_metrics(manifest.columns, scores) or metrics_shown(scores)
    counted = read_counted(entries, mixed=manifest.mixed, metrics=metrics)
    compared = compare_with_best(counted)
    return tuple(number for each in counted for metric in metrics for number in _numbers(each, metric, compared))


def _numbers(each: Counted, metric: MetricInfo, compared: ComparedTable) -> Iterator[ComparedNumber]:
    for method in each.methods:
        own = compared.of(method.position, each.dataset, metric)
        named = metric.id, metric.head, method.row.label
        if own is None:
            yield ComparedNumber(*named, _lone_value(method, metric), reason=statistics_of(method, metric)[1])
            continue
        yield ComparedNumber(
            *named,
            _plain(own.interval),
            is_best=own.is_reference,
            difference=None if own.difference is None else _plain(own.difference),
            p=own.p,
            detectable=own.detectable,
            reason=own.reason or own.interval.reason or (own.difference.reason if own.difference else ""),
        )


def _lone_value(method: CountedLine, metric: MetricInfo) -> PlainInterval:
    """The mean of a metric whose interval is not known."""
    values, _ = values_of(method.group, metric)
    return PlainInterval(sum(values) / len(values) if values else None)


def _plain(interval: Interval) -> PlainInterval:
    return PlainInterval(interval.value, interval.low, interval.high)
