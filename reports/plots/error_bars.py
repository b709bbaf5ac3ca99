"""Errors by cause as stacked bars, one for each method: correct and lost shares of locating and segmenting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from reports.plots.legend import draw_samples
from reports.plots.style import LEGEND_LINE, PAGE, PALETTE, add_panel, drawable, empty_figure, house_style

COLOURS = {
    "IoU": PALETTE[0],
    "S2M": PALETTE[8],
    "M2S": PALETTE[1],
    "MRG": PALETTE[4],
    "ITF": PALETTE[3],
    "PCP": "0.72",
}
"""Colour of every part, the same in both panels."""

RIGHT, BELOW, ABOVE, GAP = 0.5, 0.34, 0.24, 0.26
"""Room for hIoU, for the axis, for titles, and between the panels, inches."""

LETTER, LETTERS = 0.062, 26
"""Width of a letter of a method's name, inches, and most letters shown."""

BAR, THICKNESS = 0.19, 0.78
"""Height of a method's slot, inches, and the share of it that the bar takes."""

LEAST_WRITTEN = 12
"""Least percentage that is written into its part of a bar."""


@dataclass(frozen=True)
class ErrorShares:
    """Shares of one method.

    Attributes:
        label: of the method.
        hiou: hierarchical IoU, percent.
        locating, segmenting: part to percent; empty if undefined.
    """

    label: str
    hiou: float
    locating: Mapping[str, float]
    segmenting: Mapping[str, float]


def errors_figure(bars: Sequence[ErrorShares]) -> Figure:
    """Two panels of stacked bars with a row for each method; hIoU stands at the right."""
    names = [drawable(bar.label, limit=LETTERS) for bar in bars]
    with house_style():
        figure, panels = _panels(len(bars), left=0.2 + LETTER * max(map(len, names)))
        for axes, title, kind in zip(panels, ("Locating", "Segmenting"), ("locating", "segmenting"), strict=True):
            for place, bar in enumerate(bars):
                _draw(axes, place, getattr(bar, kind))
            _dress(axes, title, len(bars))
        panels[0].set_yticks(range(len(bars)), names)
        panels[1].set_yticks([])
        panels[1].text(1.03, 1.0, "hIoU", transform=panels[1].transAxes, fontsize=7, va="bottom", fontweight="bold")
        for place, bar in enumerate(bars):
            panels[1].text(103, place, f"{bar.hiou:.1f}", fontsize=7, va="center", fontweight="bold")
        _legend(figure)
    return figure


def _panels(count: int, *, left: float) -> tuple[Figure, list[Axes]]:
    """Two axes side by side.

    Args:
        left: room for names, inches.
    """
    room = LEGEND_LINE + 0.1
    total = ABOVE + count * BAR + BELOW + room
    figure = empty_figure(PAGE, total)
    width = (PAGE - left - RIGHT - GAP) / 2
    panels = []
    for index in range(2):
        start = left + index * (width + GAP)
        panels.append(add_panel(figure, start, room + BELOW, width, count * BAR))
    return figure, panels


def _draw(axes: Axes, place: int, parts: Mapping[str, float]) -> None:
    """Draw one bar, its parts from left to right, or a word if there are none."""
    if not parts:
        axes.text(1, place, "undefined", fontsize=6.5, va="center", color="0.35", style="italic")
        return
    start = 0.0
    for name, value in parts.items():
        axes.barh(place, value, THICKNESS, left=start, color=COLOURS[name], edgecolor="white", linewidth=0.4)
        if value >= LEAST_WRITTEN:
            ink = "black" if name in ("PCP", "M2S", "S2M", "MRG") else "white"
            axes.text(start + value / 2, place, f"{value:.0f}", fontsize=6, ha="center", va="center", color=ink)
        start += value


def _dress(axes: Axes, title: str, count: int) -> None:
    axes.set_title(title, pad=4)
    axes.set_xlim(0, 100)
    axes.set_ylim(count - 0.5, -0.5)  # the first method on top
    axes.set_xlabel("Share (×10⁻²)", labelpad=2)
    axes.tick_params(length=2, pad=2)
    axes.tick_params(axis="y", length=0)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _legend(figure: Figure) -> None:
    samples = [Patch(facecolor=colour, label=name) for name, colour in COLOURS.items()]
    draw_samples(figure, samples, columns=len(samples), handlelength=1.2, columnspacing=1.6)
