"""Response surfaces: a window of an image and of every map of it as relief, side by side."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from bench.arrays import FloatArray
from reports.plots.style import COLUMN, PAGE, drawable, empty_figure, house_style

MOST = 6
"""Surfaces in a line."""

DEPTH, HEIGHT = 0.45, 0.75
"""Of the ground's diagonal as it is drawn, and of value 1, in widths of the ground."""

HEAD, BELOW, SCALE = 0.2, 0.08, 0.32
"""Room above and below a surface, and for its scale, inches."""

WIDEST = 1.6
"""Of a ground, inches."""


def surface_figure(surfaces: Mapping[str, FloatArray]) -> Figure:
    """Surfaces over the same window, seen from its lower corner, all from 0 to 1.

    Args:
        surfaces: head to values (H, W) in [0, 1].
    """
    down = -(-len(surfaces) // MOST)
    across = -(-len(surfaces) // down)
    width = COLUMN if across <= 2 else PAGE
    side = width / across
    size = min(side - SCALE, WIDEST)
    height = HEAD + BELOW + size * (DEPTH + HEIGHT)
    with house_style():
        figure = empty_figure(width, down * height)
        for place, (head, values) in enumerate(surfaces.items()):
            row, column = divmod(place, across)
            box = (column / across, 1 - (row + 1) / down, 1 / across, 1 / down)
            axes = figure.add_axes(box, xlim=(column * side, (column + 1) * side), ylim=(0, height))
            axes.set_axis_off()
            _draw(axes, values, middle=(column + 0.5) * side + SCALE / 2 - 0.05, size=size)
            axes.text((column + 0.5) * side, height - 0.04, drawable(head, limit=26), ha="center", va="top", fontsize=7)
    return figure


def _draw(axes: Axes, values: FloatArray, *, middle: float, size: float) -> None:
    """Draw the relief on its ground, from the farthest corner to the nearest, with a scale at its left."""
    across, up = _placed(values, size)
    corners = np.stack([across + middle, up + BELOW], axis=-1)  # (H, W, 2)
    quads = np.stack([corners[:-1, :-1], corners[:-1, 1:], corners[1:, 1:], corners[1:, :-1]], axis=2)
    heights = (values[:-1, :-1] + values[:-1, 1:] + values[1:, 1:] + values[1:, :-1]) / 4
    depth = np.add.outer(np.arange(quads.shape[0]), np.arange(quads.shape[1]))
    order = np.argsort(depth.ravel(), kind="stable")
    faces = mpl.colormaps["viridis"](heights.ravel()[order])
    relief = PolyCollection(
        list(quads.reshape(-1, 4, 2)[order]), facecolors=faces, edgecolors=(0, 0, 0, 0.35), linewidth=0.2
    )
    axes.add_collection(relief, autolim=False)
    left = middle - size / 2
    ground = BELOW + DEPTH * size / 2
    for share in (0.0, 0.5, 1.0):
        level = ground + share * HEIGHT * size
        axes.plot([left - 0.04, left], [level, level], color="0.3", linewidth=0.6)
        axes.text(left - 0.05, level, f"{100 * share:g}", ha="right", va="center", fontsize=5.5, color="0.3")
    axes.plot([left, left], [ground, ground + HEIGHT * size], color="0.3", linewidth=0.6)


def _placed(values: FloatArray, size: float) -> tuple[FloatArray, FloatArray]:
    """(H, W) across and up of every value, inches; the ground is a rhombus, its first corner the farthest."""
    rows, cols = (np.linspace(0, 1, count) for count in values.shape)
    across = size * (cols[None] - rows[:, None]) / 2
    up = size * DEPTH * (1 - (cols[None] + rows[:, None]) / 2) + size * HEIGHT * values
    return np.asarray(across), np.asarray(up)
