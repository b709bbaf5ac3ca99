"""Scores by name: the registry of metrics, and every metric that is valid under a scoring, computed from counts.

A metric is a function of `Counts` under one `@metric` line. Values are plain fractions at the scoring's threshold.
An id says what was done: ids without a prefix are the standard definitions; `legacy:` marks what published code
computes differently; anything taken from a soft mask is `legacy:…/soft-mask`, so that it cannot pass for the right one.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from bench.metrics.counts import Counts
from bench.registry import Registry, discover
from bench.types import Better, Score, Scoring

Compute = Callable[[Counts], float | None]
"""A value, or None where the counts leave it undefined (a zero denominator)."""

DEFAULT_DISTANCE = 3.0


@dataclass(frozen=True)
class Metric:
    """A registered metric.

    Attributes:
        id: its name at 3 px and 8 neighbours.
        compute: counts to value.
        undefined: when it has no value, as a reason a table can print.
        undefined_value: what stands for it then; None is null.
        ground_truth: the kind of mask it is a statement about.
        of_components: whether the value depends on the matching distance and the connectivity.
    """

    id: str
    compute: Compute
    unit: str
    better: Better
    undefined: str
    undefined_value: float | None
    ground_truth: Literal["binary", "soft"]
    of_components: bool

    def score(self, counts: Counts) -> Score:
        """The metric's value over the counts, or null with the reason."""
        if not len(counts):
            return Score(None, unit=self.unit, better=self.better, reason="no images in the list")
        value = self.compute(counts)
        if value is None:
            return Score(self.undefined_value, unit=self.unit, better=self.better, reason=self.undefined)
        return Score(float(value), unit=self.unit, better=self.better)

    def id_under(self, scoring: Scoring) -> str:
        """The id under a scoring: another matching distance or connectivity is another metric.

        >>> find_metrics().get("Pd/centroid-3px").id_under(Scoring("near", distance=5))
        'Pd/centroid-5px'
        >>> find_metrics().get("Fa/unmatched-area").id_under(Scoring("near", distance=5, connectivity=4))
        'Fa/unmatched-area-5px-4conn'
        """
        if not self.of_components or (scoring.distance == DEFAULT_DISTANCE and scoring.connectivity == 8):
            return self.id
        neighbours = "" if scoring.connectivity == 8 else f"-{scoring.connectivity}conn"
        return f"{self.id.removesuffix('-3px')}-{scoring.distance:g}px{neighbours}"


METRICS: Registry[Metric] = Registry("metric")


def metric(
    name: str,
    *,
    unit: str,
    better: Better,
    undefined: str,
    undefined_value: float | None = None,
    ground_truth: Literal["binary", "soft"] = "binary",
    of_components: bool = False,
) -> Callable[[Compute], Compute]:
    """Register a function of counts as a metric: `@metric("IoU/pooled", unit="fraction", better="higher", …)`."""

    def register(compute: Compute) -> Compute:
        entry = Metric(name, compute, unit, better, undefined, undefined_value, ground_truth, of_components)
        METRICS.add(name, entry)
        return compute

    return register


@functools.cache
def _import_metrics() -> None:
    discover(("bench.metrics",))


def find_metrics() -> Registry[Metric]:
    """The registry with every metric of this project in it, and those of plugins loaded so far."""
    _import_metrics()
    return METRICS


def ordered_metrics() -> tuple[Metric, ...]:
    """Every metric: of pixels, then of components, then legacy ones; in the order of definition within those."""
    entries = [find_metrics().get(name) for name in find_metrics()]
    return tuple(sorted(entries, key=lambda entry: (entry.id.startswith("legacy:"), entry.of_components)))


def score(counts: Counts, scoring: Scoring) -> dict[str, Score]:
    """Every score that is valid under the scoring, by metric id, standard ones first.

    >>> from bench.metrics.counts import count_masks
    >>> scores = score(count_masks([[1, 1, 0, 0]], [[0, 1, 1, 0]]), Scoring("native"))
    >>> list(scores)[0], scores["Pd/centroid-3px"].value
    ('IoU/pooled', 1.0)
    """
    valid = [entry for entry in ordered_metrics() if entry.ground_truth == scoring.ground_truth]
    return {entry.id_under(scoring): entry.score(counts) for entry in valid}


@dataclass(frozen=True)
class MetricInfo:
    """What a metric is, for lists: its summary is the first line of its docstring."""

    id: str
    unit: str
    better: Better
    summary: str


def metric_infos() -> tuple[MetricInfo, ...]:
    """What every metric is, in the order of `score`."""
    return tuple(
        MetricInfo(entry.id, entry.unit, entry.better, (inspect.getdoc(entry.compute) or "").partition("\n")[0])
        for entry in ordered_metrics()
    )
