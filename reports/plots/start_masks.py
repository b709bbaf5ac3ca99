"""One network from several first feedback masks: a metric from the mask itself to the last round."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from bench.arrays import FloatArray
from reports.plots.legend import draw_samples
from reports.plots.rounds import widen
from reports.plots.style import draw_grid, drawable, house_style, panel_axes, stroke
from reports.results.entries import ORACLE_START, STARTS

PANEL_HEIGHT = 2.2


@dataclass(frozen=True, eq=False)
class StartCurve:
    """The course of one first feedback mask.

    Attributes:
        start: as the experiment names it.
        x: (K,) rounds, from 0 if the value of the mask itself is known.
        y: (K,) values as printed.
    """

    start: str
    x: FloatArray
    y: FloatArray


def starts_figure(panels: Mapping[str, Sequence[StartCurve]], *, y: str) -> Figure:
    """Two panels for each dataset: from the first mask on, and the rounds alone on their own axis; oracles are dashed.

    Args:
        y: label of the axis of values.
    """
    starts = [start for start in STARTS if any(c.start == start for curves in panels.values() for c in curves)]
    with house_style():
        figure, every = panel_axes(2 * len(panels), height=PANEL_HEIGHT, legend_rows=1)
        for number, (dataset, curves) in enumerate(panels.items()):
            whole, rounds = every[2 * number : 2 * number + 2]
            for curve in curves:
                _draw(whole, curve, first=0)
                _draw(rounds, curve, first=1)
            whole.set_ylim(0.0, 100.0)
            _dress(whole, f"{dataset}, from the first mask", y)
            _dress(rounds, f"{dataset}, rounds alone", y)
            widen(rounds, ceiling=100.0)
        draw_samples(figure, [_sample(start) for start in starts], columns=len(starts), handlelength=2.6)
    return figure


def _draw(axes: Axes, curve: StartCurve, *, first: int) -> None:
    shown = curve.x >= first
    axes.plot(curve.x[shown], curve.y[shown], clip_on=False, **_look(curve.start))


def _look(start: str) -> dict[str, Any]:
    """Colour, marker and a solid line; dashed and grey for the oracle."""
    if start == ORACLE_START:
        return {"color": "0.3", "linestyle": "--", "marker": "*"}
    look = stroke(list(STARTS).index(start))
    return {"color": look.colour, "linestyle": "-", "marker": look.marker}


def _sample(start: str) -> Line2D:
    label = f"{STARTS[start]} (oracle)" if start == ORACLE_START else STARTS[start]
    return Line2D([], [], label=label, **_look(start))


def _dress(axes: Axes, title: str, y: str) -> None:
    axes.set_title(drawable(title), pad=4)
    axes.set_xlabel("Feedback round", labelpad=2)
    axes.set_ylabel(y, labelpad=2)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.margins(x=0.04, y=0.08)
    draw_grid(axes)
