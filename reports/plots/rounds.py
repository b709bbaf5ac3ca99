"""Curves over whole numbers, such as feedback rounds: a panel for each metric and dataset, one legend."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, ScalarFormatter

from reports.plots.curves import TICKS, Curve
from reports.plots.decades import draw_decades, whole_decades
from reports.plots.legend import draw_legend, legend_rows
from reports.plots.style import draw_grid, drawable, house_style, panel_axes, stroke

LEAST_SPAN = 2.0
"""Least span of the axis of a metric, in its printed unit, so that noise does not look like a trend."""

ABOVE_CEILING = 0.06
"""Share of an axis above the highest possible value, as room for markers."""

PANEL_HEIGHT = 2.0

IN_THOUSANDS = 1e4
"""From where on ticks are in thousands, as 1e6 false alarms in 1e6 pixels are."""


@dataclass(frozen=True, eq=False)
class CurvePanel:
    """One panel.

    Attributes:
        title: the dataset.
        y: label of the axis of values.
        curves: over rounds, values as printed.
        is_logarithmic: whether the axis of values is; zero then lies in a strip below it.
        ceiling: highest possible value.
    """

    title: str
    y: str
    curves: tuple[Curve, ...]
    is_logarithmic: bool = False
    ceiling: float = math.inf


def rounds_figure(panels: Sequence[CurvePanel], *, most: int, x: str = "Feedback round") -> Figure:
    """Panels of curves over feedback rounds, or other whole numbers, with one legend.

    Args:
        most: panels in a row.
        x: label of the axis of whole numbers.
    """
    labels = list(dict.fromkeys(curve.label for panel in panels for curve in panel.curves))
    names = [drawable(label) for label in labels]
    with house_style():
        figure, every = panel_axes(
            len(panels), height=PANEL_HEIGHT, legend_rows=legend_rows(names, len(panels)), most=most
        )
        for axes, panel in zip(every, panels, strict=True):
            for curve in panel.curves:
                _draw(axes, curve, labels.index(curve.label))
            _dress(axes, panel, x=x)
        limits = [axes.get_xlim() for axes in every]
        for axes in every:
            axes.set_xlim(min(low for low, _ in limits), max(high for _, high in limits))
        draw_legend(figure, names)
    return figure


def _draw(axes: Axes, curve: Curve, index: int) -> None:
    look = stroke(index)
    axes.plot(curve.x, curve.y, color=look.colour, linestyle=look.dashes, marker=look.marker, clip_on=False)


def _dress(axes: Axes, panel: CurvePanel, *, x: str) -> None:
    axes.set_title(drawable(panel.title), pad=4)
    axes.set_xlabel(x, labelpad=2)
    axes.set_ylabel(panel.y, labelpad=2)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=TICKS))
    axes.margins(x=0.05, y=0.08)
    axes.yaxis.set_major_formatter(_PlainTicks())
    if panel.is_logarithmic:
        _dress_logarithm(axes)
    else:
        widen(axes, ceiling=panel.ceiling)
    draw_grid(axes)


class _PlainTicks(ScalarFormatter):
    """Ticks as numbers alike in decimals, of large ones in thousands: no power of ten stands apart above the axis.

    >>> ticks = _PlainTicks()
    >>> ticks.set_locs([0.0, 250000.0, 1000000.0])
    >>> [ticks(value) for value in (0.0, 250000.0, 1000000.0)]
    ['0', '250k', '1000k']
    """

    def __init__(self) -> None:
        super().__init__(useOffset=False)
        self.set_scientific(False)
        self._is_large = False

    def set_locs(self, locs: Any) -> None:
        super().set_locs(locs)
        self._is_large = bool(np.abs(locs).max(initial=0.0) >= IN_THOUSANDS)

    def __call__(self, x: float, pos: int | None = None) -> str:
        if not self._is_large:
            return super().__call__(x, pos)
        return f"{x / 1000:g}k" if x else "0"


def widen(axes: Axes, *, ceiling: float) -> None:
    """Extend the axis of values to `LEAST_SPAN`, not below zero and little above the ceiling."""
    low, high = axes.get_ylim()
    middle, reach = (low + high) / 2, max(high - low, LEAST_SPAN) / 2
    bottom = max(0.0, middle - reach)
    top = min(middle + reach, ceiling + ABOVE_CEILING * (ceiling - bottom)) if ceiling < math.inf else middle + reach
    axes.set_ylim(bottom, top)
    axes.set_yticks([tick for tick in axes.get_yticks() if bottom <= tick <= min(top, ceiling)])


def _dress_logarithm(axes: Axes) -> None:
    """Show whole decades around the values above zero; stay linear if all are zero."""
    decades = whole_decades(np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in axes.lines]))
    if decades is None:
        axes.set_ylim(0.0, 1.0)
    else:
        draw_decades(axes, "y", *decades)
