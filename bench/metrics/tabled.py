"""Metrics of a table of their own, as `errors.npz` and `contrast.npz` hold one: named functions of it, in order.

`bench.metrics.registry` is the registry of those that are functions of `Counts`; these take another record.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from bench.metrics.registry import DEFAULT_DISTANCE, MetricInfo
from bench.types import Better, Score, Scoring

T = TypeVar("T")


NamedBy = Callable[[str, Scoring], str]


def by_connectivity(name: str, scoring: Scoring) -> str:
    """The id with 4 neighbours, where the scoring has them.

    >>> by_connectivity("SCRG/local-20px", Scoring("four", connectivity=4))
    'SCRG/local-20px-4conn'
    """
    return name if scoring.connectivity == 8 else f"{name}-{scoring.connectivity}conn"


def by_distance(name: str, scoring: Scoring) -> str:
    """The id with the distance and the neighbours, where the scoring has others than 3 px and 8.

    >>> by_distance("hIoU/loc-IoU", Scoring("near", distance=5))
    'hIoU/loc-IoU-5px'
    """
    if scoring.connectivity == 8 and scoring.distance == DEFAULT_DISTANCE:
        return name
    return by_connectivity(f"{name}-{scoring.distance:g}px", scoring)


@dataclass(frozen=True)
class Found:
    """A value with what a reader has to know of it, or None with the reason."""

    value: float | None
    reason: str = ""


@dataclass(frozen=True)
class TableMetric(Generic[T]):
    """A metric of a table.

    Attributes:
        id: its name at 3 px and 8 neighbours.
        compute: table to value.
        named_by: what its id becomes under a scoring, whose rules make another metric of it.
    """

    id: str
    compute: Callable[[T], Found]
    unit: str
    better: Better
    named_by: NamedBy

    def score(self, table: T) -> Score:
        """The metric's value over the table, or null with the reason."""
        found = self.compute(table)
        return Score(found.value, unit=self.unit, better=self.better, reason=found.reason)


class TableMetrics(Generic[T]):
    """The metrics of one kind of table, in order of definition."""

    def __init__(self) -> None:
        self._entries: list[TableMetric[T]] = []

    def __iter__(self) -> Iterator[TableMetric[T]]:
        return iter(self._entries)

    def metric(
        self, name: str, *, unit: str, better: Better, named_by: NamedBy = by_connectivity
    ) -> Callable[[Callable[[T], Found]], Callable[[T], Found]]:
        """Register a function of the table as a metric."""

        def register(compute: Callable[[T], Found]) -> Callable[[T], Found]:
            self._entries.append(TableMetric(name, compute, unit, better, named_by))
            return compute

        return register

    def score(self, table: T, scoring: Scoring) -> dict[str, Score]:
        """Every score of the table, by metric id."""
        return {entry.named_by(entry.id, scoring): entry.score(table) for entry in self}

    def infos(self) -> tuple[MetricInfo, ...]:
        """What every metric is: its summary is the first line of its docstring."""
        return tuple(
            MetricInfo(entry.id, entry.unit, entry.better, (inspect.getdoc(entry.compute) or "").partition("\n")[0])
            for entry in self
        )
