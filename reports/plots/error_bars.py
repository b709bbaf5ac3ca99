"""Errors by cause as stacked bars, one for each method: correct and lost shares of locating and segmenting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from reports.plots.legend import draw_samples
from reports.plots.style import LEGEND_LINE, PAGE, PALETTE, add_panel, drawable, empty_figure, house_style

PARTS = {
    "IoU": (PALETTE[0], "", "correct"),
    "S2M": (PALETTE[8], "", "targets that share a component"),
    "M2S": (PALETTE[1], "....", "components that share a target"),
    "MRG": (PALETTE[4], "----", "on other targets"),
    "ITF": (PALETTE[3], "////", "where no target is"),
    "PCP": ("0.78", "", "not seen"),
}
"""Colour, hatch and words of every part, the same in both panels; hatches tell them apart in grey."""

RIGHT, BELOW, ABOVE, GAP = 0.55, 0.34, 0.24, 0.26
"""Room for hIoU, for the axis, for titles, and between the panels, inches."""

LETTER, LETTERS = 0.058, 32
"""Width of a letter of a method's name, inches, and most letters shown."""

BAR, THICKNESS = 0.19, 0.78
"""Height of a method's slot, inches, and the share of it that the bar takes."""

MOST_SAMPLES = 3
"""Parts in a line of the legend."""

TITLES = ("Locating targets", "Segmenting matched targets")

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
    located, segmented = [bar.locating for bar in bars], [bar.segmenting for bar in bars]
    occurring = [name for name in PARTS if any(parts.get(name) for parts in (*located, *segmented))]
    with house_style():
        figure, panels = _panels(len(bars), left=0.2 + LETTER * max(map(len, names)), samples=len(occurring))
        for axes, title, shares in zip(panels, TITLES, (located, segmented), strict=True):
            for place, parts in enumerate(shares):
                _draw(axes, place, parts)
            _dress(axes, title, len(bars))
        panels[0].set_yticks(range(len(bars)), names)
        panels[1].set_yticks([])
        head = panels[1].text(1.03, 1.0, "hIoU\n(×10⁻²)", transform=panels[1].transAxes, fontsize=6.5, va="bottom")
        head.set(fontweight="bold", linespacing=1.1)
        for place, bar in enumerate(bars):
            panels[1].text(103, place, f"{bar.hiou:.1f}", fontsize=7, va="center", fontweight="bold")
        _legend(figure, occurring)
    return figure


def _panels(count: int, *, left: float, samples: int) -> tuple[Figure, list[Axes]]:
    """Two axes side by side.

    Args:
        left: room for names, inches.
        samples: in the legend.
    """
    room = LEGEND_LINE * -(-samples // MOST_SAMPLES) + 0.1
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
        colour, hatch, _ = PARTS[name]
        axes.barh(place, value, THICKNESS, left=start, color=colour, hatch=hatch, edgecolor="white", linewidth=0.4)
        if value >= LEAST_WRITTEN:
            ink = "black" if name in ("PCP", "M2S", "S2M", "MRG") else "white"
            paper = {"facecolor": colour, "linewidth": 0, "pad": 0.8} if hatch else None
            number = axes.text(start + value / 2, place, f"{value:.0f}", fontsize=6, ha="center", va="center")
            number.set(color=ink, bbox=paper)
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


def _legend(figure: Figure, names: Sequence[str]) -> None:
    """Draw the legend of the parts that occur."""
    samples = [
        Patch(facecolor=colour, hatch=hatch, edgecolor="white", linewidth=0, label=f"{words} ({name})")
        for name, (colour, hatch, words) in PARTS.items()
        if name in names
    ]
    draw_samples(figure, samples, columns=MOST_SAMPLES, handlelength=1.6, handleheight=1.0, columnspacing=1.6)
