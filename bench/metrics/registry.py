"""Scores by name: the registry of metrics, and every metric that is valid under a scoring, computed from counts.

A metric is a function from `Counts` to a `Statistic` under one `@metric` line, so that it has a value and, where images
are resampled, an interval. Values are plain fractions at the scoring's threshold.
An id says what was done: ids without a prefix are the standard definitions; `legacy:` marks what published code
computes differently; anything taken from a soft mask is `legacy:…/soft-mask…`, so that it cannot pass for the right
one; `legacy:…cumulative-rounds` takes all feedback rounds so far, where the others take each by itself.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

from bench.errors import PluginError
from bench.metrics.counting.counts import Counts, CountTable
from bench.metrics.statistic import Statistic
from bench.registry import Registry, discover
from bench.types import Better, Score, Scoring

Compute = Callable[[Counts], Statistic]
"""What the value is made of, image by image; the statistic says where the counts leave it undefined."""

Computed = TypeVar("Computed", bound=Compute)

DEFAULT_DISTANCE = 3.0
BY_CENTROID = "Pd/centroid-3px"
WITHOUT_DISTANCE = ("overlap", "shooting")
"""Matching rules that ask for no distance of centroids."""


@dataclass(frozen=True)
class Metric:
    """A registered metric.

    Attributes:
        id: its name at 3 px and 8 neighbours.
        compute: counts to statistic.
        undefined: when it has no value, as a reason a table can print.
        undefined_value: what stands for it then; None is null.
        ground_truth: the kind of mask it is a statement about.
        of_components: whether the value depends on the matching distance and the connectivity.
        cumulative: whether it is a statement about all feedback rounds so far, whose counts it is given as one list.
    """

    id: str
    compute: Compute
    unit: str
    better: Better
    undefined: str
    undefined_value: float | None
    ground_truth: Literal["binary", "soft"]
    of_components: bool
    cumulative: bool = False

    def statistic(self, counts: Counts) -> Statistic:
        """What the metric is made of, image by image.

        Raises:
            PluginError: when the metric's function returns something else.
        """
        found: object = self.compute(counts)
        if not isinstance(found, Statistic):
            raise PluginError(
                f"metric {self.id} returned {type(found).__name__}, expected a Statistic; "
                "return Ratio.of(part, whole) with a number an image (bench.metrics.statistic)"
            )
        return found

    def score(self, counts: Counts) -> Score:
        """The metric's value over the counts, or null with the reason."""
        if not len(counts):
            return Score(None, unit=self.unit, better=self.better, reason="no images in the list")
        value = self.statistic(counts).value()
        if value is None:
            return Score(self.undefined_value, unit=self.unit, better=self.better, reason=self.undefined)
        return Score(value, unit=self.unit, better=self.better)

    def id_under(self, scoring: Scoring) -> str:
        """The id under a scoring: another matching rule, distance or connectivity is another metric.

        >>> find_metrics().get("Pd/centroid-3px").id_under(Scoring("near", distance=5))
        'Pd/centroid-5px'
        >>> find_metrics().get("Fa/unmatched-area").id_under(Scoring("near", distance=5, connectivity=4))
        'Fa/unmatched-area-5px-4conn'
        """
        return id_under(self.id, scoring) if self.of_components else self.id


def id_under(name: str, scoring: Scoring) -> str:
    """What the id of a metric of components becomes under a scoring: its matching rule, distance, connectivity.

    >>> id_under("Pd/centroid-3px", Scoring("overlap", matching="overlap"))
    'Pd/overlap'
    >>> id_under("Fa/unmatched-area", Scoring("optimal", matching="optimal", connectivity=4))
    'Fa/unmatched-area-optimal-4conn'
    """
    rule = "" if scoring.matching == "greedy-raster" else scoring.matching
    apart = "" if rule in WITHOUT_DISTANCE else f"{scoring.distance:g}px"
    neighbours = "" if scoring.connectivity == 8 else f"{scoring.connectivity}conn"
    if name == BY_CENTROID:
        name = "Pd/" + (rule or "centroid")
        return "-".join(filter(None, (name, apart, neighbours)))
    if not rule and not neighbours and scoring.distance == DEFAULT_DISTANCE:
        return name
    if rule and scoring.distance == DEFAULT_DISTANCE:
        apart = ""
    return "-".join(filter(None, (name, rule, apart, neighbours)))


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
    cumulative: bool = False,
) -> Callable[[Computed], Computed]:
    """Register a function of counts as a metric: `@metric("IoU/pooled", unit="fraction", better="higher", …)`."""

    def register(compute: Computed) -> Computed:
        entry = Metric(name, compute, unit, better, undefined, undefined_value, ground_truth, of_components, cumulative)
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
    """Every metric: of pixels, of components, legacy ones, cumulative ones; in the order of definition within those."""
    entries = [find_metrics().get(name) for name in find_metrics()]
    return tuple(sorted(entries, key=_place))


def _place(entry: Metric) -> tuple[bool, bool, bool]:
    return entry.cumulative, entry.id.startswith("legacy:"), entry.of_components


def score(counts: Counts, scoring: Scoring) -> dict[str, Score]:
    """Every score of one round that is valid under the scoring, by metric id, standard ones first.

    >>> from bench.metrics.counting.counts import count_masks
    >>> scores = score(count_masks([[1, 1, 0, 0]], [[0, 1, 1, 0]]), Scoring("native"))
    >>> list(scores)[0], scores["Pd/centroid-3px"].value
    ('IoU/pooled', 1.0)
    """
    return {entry.id_under(scoring): entry.score(counts) for entry in _valid_under(scoring) if not entry.cumulative}


def score_rounds(table: CountTable, scoring: Scoring) -> tuple[dict[str, Score], ...]:
    """Every round's scores, first to last; behind them, where there are several, those of all rounds so far.

    >>> import numpy as np
    >>> from bench.metrics.counting.counts import CountsWriter
    >>> writer, mask = CountsWriter(Scoring("native")), np.array([[1]], np.uint8)
    >>> _ = writer.add("a", [np.array([[0]], np.uint16), np.array([[65535]], np.uint16)], truth=mask)
    >>> second = score_rounds(writer.table(), Scoring("native"))[1]
    >>> second["Pd/centroid-3px"].value, second["legacy:Pd/cumulative-rounds"].value
    (1.0, 0.5)
    """
    alone = [score(table.round(number), scoring) for number in range(table.rounds)]
    if table.rounds == 1:
        return tuple(alone)
    return tuple(scores | _score_so_far(table.through(k), scoring) for k, scores in enumerate(alone))


def _score_so_far(counts: Counts, scoring: Scoring) -> dict[str, Score]:
    return {entry.id_under(scoring): entry.score(counts) for entry in _valid_under(scoring) if entry.cumulative}


def _valid_under(scoring: Scoring) -> tuple[Metric, ...]:
    return tuple(entry for entry in ordered_metrics() if entry.ground_truth == scoring.ground_truth)


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
