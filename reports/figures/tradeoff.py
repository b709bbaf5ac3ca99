"""Figures of accuracy against cost: a point per method, and the reason why a method has none."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from bench.metrics.registry import MetricInfo
from bench.metrics.significance import LEVEL, Interval, bootstrap
from bench.types import Cost
from reports.columns import metrics_shown
from reports.figures.figure import CaptionedFigure, rules_words
from reports.plots.tradeoff import MethodKind, Point, tradeoff_figure
from reports.results.entries import Entry, choose_cost, is_of
from reports.results.image_counts import read_counted, statistics_of
from reports.results.same_rules import distinct_rules, rules_of
from reports.tables.significance import SEED

PAPER = "DFINet"
"""The network this project is about; its variants' names begin with it."""


@dataclass(frozen=True)
class CostAxis:
    """A cost that accuracy is drawn against.

    Attributes:
        name: of the figure's files.
        head: label of the axis.
        words: of the caption, after "against".
        fits: whether a measured cost belongs on this axis.
        value: of a cost in the axis's unit, or None.
        without: reason for leaving out a method whose cost has no value.
        misfit: reason for leaving out a method none of whose costs fits.
        is_doubtful: whether a cost that fits may be wrong.
    """

    name: str
    head: str
    words: str
    fits: Callable[[Cost], bool]
    value: Callable[[Cost], float | None]
    without: str
    misfit: str
    is_doubtful: Callable[[Cost], bool] = lambda cost: False


@dataclass
class CostPoints:
    """Points by dataset, and the methods without one by reason, as (label, dataset)."""

    panels: dict[str, list[Point]] = field(default_factory=dict)
    left_out: dict[str, list[tuple[str, str]]] = field(default_factory=dict)


def tradeoff_figures(entries: Sequence[Entry]) -> Iterator[CaptionedFigure]:
    """Accuracy against MACs and against latency, of all results with costs."""
    metric = metrics_shown(entry.scored.scores for entry in entries if entry.scored)[0]
    axes = list(cost_axes(entries))
    intervals = single_seed_intervals(entries, metric) if axes else {}
    for axis in axes:
        found = cost_points(entries, axis, metric, intervals)
        if not found.panels:
            continue
        figure = tradeoff_figure(found.panels, x=axis.head, y=f"{metric.head} ({metric.unit_text})")
        sentences = [
            f"{metric.head} against {axis.words}.",
            *_explain([point for members in found.panels.values() for point in members]),
            not_drawn(found),
            rules_words(entries, seeds="mean over seeds"),
        ]
        yield CaptionedFigure(axis.name, figure, " ".join(filter(None, sentences)))


def cost_axes(entries: Sequence[Entry]) -> Iterator[CostAxis]:
    """MACs and latency at the image size and on the device of most measurements; none without costs."""
    place = choose_cost(tuple(entries))
    if place is None:
        return
    costs = [cost for entry in entries if entry.scored for cost in entry.scored.costs]
    ((size, _),) = Counter(cost.size for cost in costs).most_common(1)
    device, precision = place
    pixels = f"{size[0]} × {size[1]}"
    counters = " and ".join(dict.fromkeys(c.macs_counter for c in costs if c.size == size and c.macs))
    missing = sorted({name for c in costs if c.size == size for name in c.macs_uncounted})
    counters += f", {', '.join(missing)} not counted" if missing else ""
    yield CostAxis(
        "tradeoff-macs",
        f"MACs of all rounds at {pixels} (G)",
        f"the multiply-accumulates of an image of {pixels} pixels (MACs of a round × feedback rounds, {counters})",
        lambda cost: cost.size == size,
        lambda cost: cost.macs * cost.rounds / 1e9 if cost.macs else None,
        "no MACs",
        f"no cost measured at {pixels} pixels",
    )
    yield CostAxis(
        "tradeoff-latency",
        f"Median latency at {pixels} (ms)",
        f"the median latency of an image of {pixels} pixels, all feedback rounds calculated, batch 1, on {device}, "
        f"networks in {precision}",
        lambda cost: is_of(cost, place) and cost.size == size,
        lambda cost: cost.latency_p50 if cost.latency_p50 > 0 else None,
        "no latency",
        f"not timed on {device} at {pixels} pixels",
        is_doubtful=lambda cost: bool(cost.disturbance),
    )


def cost_points(
    entries: Sequence[Entry],
    axis: CostAxis,
    metric: MetricInfo,
    intervals: Mapping[tuple[str, str], Interval] = MappingProxyType({}),
) -> CostPoints:
    """A point for every method with a value and a cost, by dataset, under the first set of rules of each dataset.

    Args:
        intervals: of the values of one seed, by label and dataset.
    """
    found = CostPoints()
    for dataset in dict.fromkeys(entry.dataset for entry in entries):
        mine = [entry for entry in entries if entry.dataset == dataset]
        rules = distinct_rules(mine)[0]
        for label in dict.fromkeys(entry.row.label for entry in mine):
            rows = [entry for entry in mine if entry.row.label == label]
            own = intervals.get((label, dataset))
            point = _point(label, [row for row in rows if rules_of(row).agrees(rules)], axis, metric, own)
            if isinstance(point, Point):
                found.panels.setdefault(dataset, []).append(point)
            else:
                found.left_out.setdefault(point, []).append((label, dataset))
    return found


def single_seed_intervals(entries: Sequence[Entry], metric: MetricInfo) -> dict[tuple[str, str], Interval]:
    """The bootstrap interval over test images by label and dataset, of those with one seed."""
    found = {}
    for each in read_counted(entries, mixed="mark", metrics=(metric,)):
        for method in each.methods:
            terms, _ = statistics_of(method, metric)
            if len(terms) == 1:
                (drawn,) = bootstrap([terms], generator=np.random.default_rng(SEED))
                found[method.row.label, each.dataset] = drawn.interval()
    return found


def _reach(interval: Interval | None, metric: MetricInfo) -> tuple[float, float]:
    if interval is None or interval.value is None or interval.low is None or interval.high is None:
        return 0.0, 0.0
    return metric.factor * (interval.value - interval.low), metric.factor * (interval.high - interval.value)


def _point(
    label: str, rows: Sequence[Entry], axis: CostAxis, metric: MetricInfo, interval: Interval | None
) -> Point | str:
    """The mean over a method's seeds at its first cost that fits, or the reason why there is none."""
    if not rows:
        return "made under other rules"
    if any(row.is_oracle for row in rows):
        return "oracle, its first feedback mask is the ground truth"
    if any(row.leaked for row in rows):
        return "test images were in its training list"
    scored = [row.scored for row in rows if row.scored]
    scores = [metric.score_in(result.scores) for result in scored]
    values = [score.value * metric.factor for score in scores if score is not None and score.value is not None]
    if not values:
        return f"no {metric.head}"
    cost = next((cost for result in scored for cost in result.costs if axis.fits(cost)), None)
    if cost is None:
        return axis.misfit
    if (value := axis.value(cost)) is None:
        return axis.without
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return Point(
        label,
        value,
        statistics.fmean(values),
        (spread, spread) if spread else _reach(interval, metric),
        cost.parameters,
        _kind(scored[0].model.name, cost),
        is_doubtful=axis.is_doubtful(cost),
    )


def _kind(model: str, cost: Cost) -> MethodKind:
    if cost.macs is None:
        return "classical"
    return "ours" if model.startswith(PAPER) else "network"


def not_drawn(found: CostPoints) -> str:
    """A sentence with the methods without a point and the reasons; empty if there are none.

    >>> not_drawn(CostPoints(left_out={"no MACs": [("TopHat", "A"), ("TopHat", "B")], "no IoU": [("ACM", "B")]}))
    'Not drawn: TopHat (no MACs); ACM on B (no IoU).'
    """
    datasets = {dataset for pairs in found.left_out.values() for _, dataset in pairs} | set(found.panels)
    parts = []
    for reason, pairs in found.left_out.items():
        names = []
        for label in dict.fromkeys(label for label, _ in pairs):
            where = [dataset for name, dataset in pairs if name == label]
            names.append(label if len(where) == len(datasets) else f"{label} on {' and '.join(where)}")
        parts.append(f"{', '.join(names)} ({reason})")
    return f"Not drawn: {'; '.join(parts)}." if parts else ""


def _explain(points: Sequence[Point]) -> list[str]:
    """The sentences of a caption about markers, bars and line."""
    kinds = {point.kind for point in points}
    sentences = []
    if kinds - {"classical"}:
        sentences.append("Circles: networks; their area grows with the square root of the parameters.")
    if "ours" in kinds:
        sentences.append("Bold: DFINet and its variants.")
    if "classical" in kinds:
        sentences.append("Diamonds: classical detectors, which have no parameters.")
    if any(any(point.reach) for point in points):
        sentences.append(
            f"Bars: sample standard deviation over seeds; of one seed, the {LEVEL:.0%} bootstrap interval over test "
            "images."
        )
    if doubtful := list(dict.fromkeys(point.label for point in points if point.is_doubtful)):
        sentences.append(f"Timed while other work disturbed, or with rounds left out: {', '.join(doubtful)}.")
    return [*sentences, "Grey line: no method drawn is better at the same cost or less."]
