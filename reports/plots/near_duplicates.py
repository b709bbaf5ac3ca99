"""Contact sheet of near duplicates: pairs side by side, with their names and correlation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.data.images.decode import Pixels
from bench.data.quality.leak_search import Twin
from reports.plots.style import PAGE, add_panel, drawable, empty_figure, house_style

ACROSS = 3
"""Pairs in a row."""

GAP, CAPTION = 0.08, 0.2
"""Room between pairs and above each, inches."""


@dataclass(frozen=True, eq=False)
class Pictured:
    """A pair with its grey levels (H, W) each."""

    twin: Twin
    one: Pixels
    two: Pixels


def contact_sheet(pairs: Sequence[Pictured]) -> Figure:
    """Rows of up to three pairs, in the order given; grey levels of every image are stretched to its range."""
    rows = -(-len(pairs) // ACROSS)
    slot = PAGE / ACROSS
    side = (slot - GAP) / 2
    height = rows * (side + CAPTION + GAP)
    with house_style():
        figure = empty_figure(PAGE, height)
        for index, pair in enumerate(pairs):
            row, column = divmod(index, ACROSS)
            bottom = height - row * (side + CAPTION + GAP) - CAPTION - side
            for place, pixels in enumerate((pair.one, pair.two)):
                left = column * slot + place * side + 0.5 * GAP
                _show(add_panel(figure, left, bottom, 0.98 * side, side), pixels)
            words = f"{drawable(pair.twin.one, limit=16)}, {drawable(pair.twin.two, limit=16)}: {_likeness(pair.twin)}"
            figure.text((column * slot + 0.5 * GAP) / PAGE, (bottom + side + 0.04) / height, words, fontsize=6)
    return figure


def _likeness(twin: Twin) -> str:
    """`0.98`, with the shift in pixels and the orientation, if any."""
    moved = f", {twin.rows:+d} {twin.cols:+d} px" if twin.rows or twin.cols else ""
    turned = f", {twin.orientation}" if twin.orientation != "upright" else ""
    return f"{twin.correlation:.2f}{moved}{turned}"


def _show(axes: Axes, pixels: Pixels) -> None:
    axes.imshow(pixels, cmap="gray", aspect="auto", interpolation="antialiased")
    axes.set_axis_off()
