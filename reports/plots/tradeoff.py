"""Accuracy against cost: a point for each method, its marker by the size of the network, its name beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from reports.plots.decades import decade_words
from reports.plots.labels import Anchor, draw_labels
from reports.plots.legend import draw_samples
from reports.plots.style import PALETTE, draw_grid, drawable, house_style, panel_axes

MethodKind = Literal["ours", "network", "classical"]

COLOURS: dict[MethodKind, str] = {"ours": "#c04f00", "network": PALETTE[0], "classical": "#5a5a5a"}
"""Darker orange, blue and grey of the colour-blind palette, in which names are legible."""

WORDS: dict[MethodKind, str] = {
    "ours": "DFINet and variants",
    "network": "other networks",
    "classical": "classical detectors",
}

SAMPLES = (0.1, 1.0, 10.0, 50.0)
"""Million parameters of the legend's markers."""

LEGEND_DIAMETER = 6.0
LABEL_SIZE = 6.5

BREAK, LEAST_PART = 0.3, 3
"""Least share of the axis of values for a gap to be cut out, and least number of points on either side of it."""

BETWEEN = {1: (1.0, 1.5, 2.0, 3.0, 5.0, 7.0), 2: (1.0, 2.0, 5.0), 3: (1.0, 3.0)}
"""First digits of the labels of an axis of costs, by the most powers of ten that it spans; of a longer one these alone
are labelled."""

BREAK_GAP = 0.07
"""Between the parts of a broken axis, inches."""


@dataclass(frozen=True)
class Point:
    """One method on one dataset.

    Attributes:
        label: of the method.
        cost: in the unit of the axis.
        value: of the metric as printed, the mean over seeds.
        reach: of its bar below and above the value; zeros for none.
        parameters: of the network; 0 for a classical detector.
        kind: determines its look.
        is_doubtful: whether other work may have disturbed the measurement of its cost.
    """

    label: str
    cost: float
    value: float
    reach: tuple[float, float]
    parameters: int
    kind: MethodKind
    is_doubtful: bool = False


def tradeoff_figure(panels: Mapping[str, Sequence[Point]], *, x: str, y: str) -> Figure:
    """A metric over a cost, a panel for each dataset.

    Args:
        x, y: labels of the axes.
    """
    kinds: list[MethodKind] = [kind for kind in WORDS if any(p.kind == kind for some in panels.values() for p in some)]
    with house_style():
        most = max(map(len, panels.values()))
        figure, every = panel_axes(len(panels), height=_height(most), legend_rows=2 if len(panels) > 1 else 3)
        for axes, (dataset, points) in zip(every, panels.items(), strict=True):
            axes.set_title(drawable(dataset), pad=4)
            _draw_panel(figure, axes, points, x=x, y=y)
        largest = max(point.parameters for points in panels.values() for point in points)
        _legend(figure, kinds, columns=99 if len(panels) > 1 else 3, most=largest)
    return figure


def _draw_panel(figure: Figure, axes: Axes, points: Sequence[Point], *, x: str, y: str) -> None:
    """Draw the points of a dataset; a wide gap between high and low values becomes a break in the axis."""
    limits = _cost_limits(points)
    parts = broken(points)
    for part, members in zip(_break_axes(figure, axes, parts), parts, strict=True):
        _draw_front(part, points)
        for point in sorted(members, key=lambda p: -p.parameters):
            _draw(part, point)
        _dress(part, members, limits)
        draw_labels(part, [_anchor(point) for point in members], size=LABEL_SIZE)
    part.set_xlabel(x, labelpad=2)
    axes.set_ylabel(y, labelpad=2)


def broken(points: Sequence[Point]) -> list[list[Point]]:
    """Split the points at the widest gap between their values if it is worth a break, the higher part first.

    >>> values = (95, 90, 85, 12, 11, 10)
    >>> [[p.value for p in part] for part in broken([Point("", 1, v, (0, 0), 0, "network") for v in values])]
    [[95, 90, 85], [12, 11, 10]]
    """
    ordered = sorted(points, key=lambda p: -p.value)
    gaps = [one.value - other.value for one, other in pairwise(ordered)]
    widest = max(range(len(gaps)), key=lambda i: gaps[i], default=0)
    parts = [ordered[: widest + 1], ordered[widest + 1 :]]
    if min(map(len, parts)) < LEAST_PART or gaps[widest] < BREAK * (ordered[0].value - ordered[-1].value):
        return [ordered]
    return parts


def _break_axes(figure: Figure, axes: Axes, parts: Sequence[Sequence[Point]]) -> list[Axes]:
    """Split the axes for two parts into an upper and a lower one, with heights by their numbers of points."""
    if len(parts) == 1:
        return [axes]
    place = axes.get_position()
    share = float(np.clip(len(parts[1]) / (len(parts[0]) + len(parts[1])), 0.25, 0.6))
    gap = BREAK_GAP / figure.get_figheight()
    lower = figure.add_axes((place.x0, place.y0, place.width, share * place.height - gap / 2))
    top = (1 - share) * place.height - gap / 2
    axes.set_position((place.x0, place.y1 - top, place.width, top))
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(axis="x", which="both", bottom=False, labelbottom=False)
    lower.spines["top"].set_visible(False)
    slash: dict[str, Any] = {
        "marker": [(-1, -0.6), (1, 0.6)],
        "markersize": 6,
        "linestyle": "none",
        "color": "k",
        "markeredgewidth": 0.6,
    }
    axes.plot([0, 1], [0, 0], transform=axes.transAxes, clip_on=False, **slash)
    lower.plot([0, 1], [1, 1], transform=lower.transAxes, clip_on=False, **slash)
    return [axes, lower]


def _height(count: int) -> float:
    """Height of a panel that leaves room for that many names, inches."""
    return min(2.6 + 0.07 * max(0, count - 8), 4.2)


def diameter(parameters: float) -> float:
    """Diameter of a marker, points: its area grows with the square root of the parameters, 6 points for a million.

    >>> diameter(1e6), diameter(16e6)
    (6.0, 12.0)
    """
    return 6.0 * float((parameters / 1e6) ** 0.25)


def _size(point: Point) -> float:
    return diameter(point.parameters) if point.parameters else 4.5


def _draw(axes: Axes, point: Point) -> None:
    colour = COLOURS[point.kind]
    axes.errorbar(
        [point.cost],
        [point.value],
        yerr=[[reach] for reach in point.reach] if any(point.reach) else None,
        marker="D" if point.kind == "classical" else "o",
        markersize=_size(point),
        markerfacecolor="white" if point.kind == "classical" else (colour, 0.45),
        markeredgecolor=(colour, 0.55),
        markeredgewidth=0.7,
        ecolor=(colour, 0.55),
        elinewidth=0.7,
        linestyle="none",
        zorder=4,
    )


def front(points: Sequence[Point]) -> list[Point]:
    """The points with no better one at the same cost or less, cheapest first."""
    best: list[Point] = []
    for point in sorted(points, key=lambda p: (p.cost, -p.value)):
        if not best or point.value > best[-1].value:
            best.append(point)
    return best


def _draw_front(axes: Axes, points: Sequence[Point]) -> None:
    best = front(points)
    axes.step([p.cost for p in best], [p.value for p in best], where="post", color="0.78", linewidth=0.9, zorder=1)


def _cost_limits(points: Sequence[Point]) -> tuple[float, float]:
    """Ends of the axis of costs, with a margin for markers and names."""
    costs = np.log10([point.cost for point in points])
    margin = max(0.15, 0.1 * float(np.ptp(costs)))
    return float(10 ** (costs.min() - margin)), float(10 ** (costs.max() + margin))


def _dress(axes: Axes, points: Sequence[Point], limits: tuple[float, float]) -> None:
    """Set a logarithmic axis of costs, and an axis of values that extends a little beyond the points."""
    axes.set_xscale("log")
    axes.set_xlim(limits)
    span = np.log10(limits[1] / limits[0])
    digits = next((digits for most, digits in BETWEEN.items() if span <= most), (1.0,))
    axes.xaxis.set_major_locator(LogLocator(base=10, subs=digits, numticks=12))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _cost_words(value)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    low, high = min(p.value - p.reach[0] for p in points), max(p.value + p.reach[1] for p in points)
    room = max(1.0, 0.1 * (high - low))
    axes.set_ylim(max(low - room, -2.0), min(high + room, 102.0))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
    draw_grid(axes)


def _cost_words(value: float) -> str:
    """A plain number, or a power of ten far from 1."""
    return f"{value:g}" if 0.0009 < value < 99000 else decade_words([value])[0]


def _anchor(point: Point) -> Anchor:
    weight = "bold" if point.kind == "ours" else "normal"
    text = drawable(point.label, limit=34)
    below, above = point.reach
    bar = (point.value - below, point.value + above) if any(point.reach) else None
    return Anchor(point.cost, point.value, _size(point) / 2, text, COLOURS[point.kind], weight, bar)


def _legend(figure: Figure, kinds: Sequence[MethodKind], *, columns: int, most: int) -> None:
    """Draw the legend of the kinds of method, and of the markers of round numbers of parameters.

    Args:
        most: parameters of the largest network.
    """
    samples = [_sample(WORDS[kind], kind, 6.0 if kind != "classical" else 4.5) for kind in kinds]
    if most:
        needed = 1 + next((place for place, millions in enumerate(SAMPLES) if 1e6 * millions >= most), len(SAMPLES))
        samples += [_sample(f"{millions:g} M", "network", diameter(1e6 * millions)) for millions in SAMPLES[:needed]]
    spacing = {"borderaxespad": 1.0, "labelspacing": 0.5, "handletextpad": 0.5}
    draw_samples(figure, samples, columns=min(columns, len(samples)), **spacing)


def _sample(text: str, kind: MethodKind, size: float) -> Line2D:
    colour = COLOURS[kind]
    return Line2D(
        [],
        [],
        linestyle="none",
        marker="D" if kind == "classical" else "o",
        markersize=size,
        markerfacecolor="white" if kind == "classical" else (colour, 0.45),
        markeredgecolor=(colour, 0.55),
        markeredgewidth=0.7,
        label=text,
    )
