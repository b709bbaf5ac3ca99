"""Metrics of a table of their own, as `errors.npz` and `contrast.npz` hold one: named functions of it, in order.

`bench.metrics.scores` is the registry of those that are functions of `Counts`; these take another record.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from bench.metrics.scores import DEFAULT_DISTANCE, MetricInfo
from bench.types import Better, Score, Scoring

T = TypeVar("T")


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
        of_distance: whether the value depends on the matching distance.
    """

    id: str
    compute: Callable[[T], Found]
    unit: str
    better: Better
    of_distance: bool

    def score(self, table: T) -> Score:
        """The metric's value over the table, or null with the reason."""
        found = self.compute(table)
        return Score(found.value, unit=self.unit, better=self.better, reason=found.reason)

    def id_under(self, scoring: Scoring) -> str:
        """The id under a scoring: another matching distance or connectivity is another metric."""
        is_far = self.of_distance and scoring.distance != DEFAULT_DISTANCE
        if not is_far and scoring.connectivity == 8:
            return self.id
        distance = f"-{scoring.distance:g}px" if self.of_distance else ""
        neighbours = "" if scoring.connectivity == 8 else f"-{scoring.connectivity}conn"
        return f"{self.id}{distance}{neighbours}"


class TableMetrics(Generic[T]):
    """The metrics of one kind of table, in order of definition."""

    def __init__(self) -> None:
        self._entries: list[TableMetric[T]] = []

    def __iter__(self) -> Iterator[TableMetric[T]]:
        return iter(self._entries)

    def metric(
        self, name: str, *, unit: str, better: Better, of_distance: bool = False
    ) -> Callable[[Callable[[T], Found]], Callable[[T], Found]]:
        """Register a function of the table as a metric."""

        def register(compute: Callable[[T], Found]) -> Callable[[T], Found]:
            self._entries.append(TableMetric(name, compute, unit, better, of_distance))
            return compute

        return register

    def score(self, table: T, scoring: Scoring) -> dict[str, Score]:
        """Every score of the table, by metric id."""
        return {entry.id_under(scoring): entry.score(table) for entry in self}

    def infos(self) -> tuple[MetricInfo, ...]:
        """What every metric is: its summary is the first line of its docstring."""
        return tuple(
            MetricInfo(entry.id, entry.unit, entry.better, (inspect.getdoc(entry.compute) or "").partition("\n")[0])
            for entry in self
        )
