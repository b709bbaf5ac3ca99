"""A metric over the level of corruption: a panel for each kind, a line for each method, one scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.arrays import FloatArray
from reports.plots.legend import draw_samples, even_columns, legend_rows
from reports.plots.style import (
    COLUMN,
    LEGEND_LINE,
    PAGE,
    add_panel,
    draw_grid,
    drawable,
    empty_figure,
    house_style,
    stroke,
)

MOST = 5
"""Most panels side by side."""

HEIGHT, TITLE, LEFT, RIGHT, GAP, AXIS = 1.02, 0.2, 0.46, 0.06, 0.1, 0.34
"""Height of a panel; room above it, left and right of all, between panels, and below each, inches."""


def levels_figure(panels: Mapping[str, Mapping[str, FloatArray]], *, levels: Sequence[int], y: str) -> Figure:
    """One panel for each kind; level 0 is the clean image.

    Args:
        panels: kind to method to its values (levels,), NaN for none.
        levels: the first of which is 0.
        y: label of the axis of values.
    """
    names = list(next(iter(panels.values())))
    across = min(MOST, len(panels))
    down = -(-len(panels) // across)
    width = COLUMN if across == 1 else PAGE
    slot = HEIGHT + TITLE + AXIS
    height = down * slot + LEGEND_LINE * legend_rows(names, len(panels)) + 0.06
    part = (width - LEFT - RIGHT - GAP * (across - 1)) / across
    known = [value for lines in panels.values() for values in lines.values() for value in values if np.isfinite(value)]
    with house_style():
        figure = empty_figure(width, height)
        for index, (kind, lines) in enumerate(panels.items()):
            row, column = divmod(index, across)
            corner = (LEFT + column * (part + GAP), height - row * slot - TITLE - HEIGHT)
            axes = add_panel(figure, *corner, part, HEIGHT)
            for number, values in enumerate(lines.values()):
                _draw(axes, np.array(levels), values, number)
            axes.set_ylim(0, 1.05 * max(known, default=0) or 1)
            _dress(axes, kind, levels, y=y if column == 0 else "")
        _legend(figure, [drawable(name) for name in names])
    return figure


def _draw(axes: Axes, levels: FloatArray, values: FloatArray, number: int) -> None:
    look = stroke(number)
    axes.plot(
        levels,
        values,
        color=look.colour,
        linestyle=look.dashes,
        marker=look.marker,
        markersize=2.8,
        linewidth=0.9,
        clip_on=False,
    )


def _dress(axes: Axes, kind: str, levels: Sequence[int], *, y: str) -> None:
    axes.set_title(drawable(kind), pad=3)
    axes.set_xticks(list(levels))
    axes.set_xlim(min(levels) - 0.2, max(levels) + 0.2)
    axes.set_xlabel("Level", labelpad=1)
    axes.tick_params(pad=2, length=2)
    draw_grid(axes, axis="y")
    if y:
        axes.set_ylabel(y, labelpad=2)
    else:
        axes.set_yticklabels([])


def _legend(figure: Figure, names: Sequence[str]) -> None:
    looks = [stroke(number) for number in range(len(names))]
    samples = [
        Line2D([], [], color=look.colour, linestyle=look.dashes, marker=look.marker, markersize=3.2, label=name)
        for look, name in zip(looks, names, strict=True)
    ]
    draw_samples(figure, samples, columns=even_columns(names, len(figure.axes)), handlelength=2.6)
