"""Matrices as heat maps: a panel for each method, one colour scale for all, a number in every cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter

from bench.arrays import FloatArray
from bench.types import Better
from reports.plots.style import COLUMN, PAGE, add_panel, drawable, empty_figure, house_style
from reports.table import DASH

CELL_WIDTH, CELL_HEIGHT = 0.36, 0.19
"""Size of a cell, inches; cells of few columns are wider."""

WIDEST_CELL = 0.68
LETTER = 0.058
"""Width of a letter of a row's name at 7 points, inches."""

TITLE, GAP, RIGHT, TOP = 0.22, 0.16, 0.08, 0.02
"""Room above a panel, between panels, at the right edge and at the top, inches."""

BAR, BAR_ROOM = 0.09, 0.4
"""Height of the colour bar, and of it with its labels, inches."""

AXIS_ROOM = 0.34
"""Room below a panel for level names of its columns and the name of its axis, inches."""

LEANING = 35.0
"""Degrees by which names of columns lean that are wider than a cell."""

FRAME = 1.4
"""Width of a frame's line, points."""

INSET = 0.014
"""Of a frame from every edge of its cell, inches: half its line and half the white one between cells."""

LABEL_GAP = 0.07
"""Between the colour bar and its label, inches."""

WIDEST_BAR = 3.0
"""Of the colour bar, inches."""


@dataclass(frozen=True, eq=False)
class HeatMap:
    """One panel.

    Attributes:
        title: of the panel.
        rows, columns: names of its lines and columns.
        values: (R, C) as printed, NaN for none.
        framed: (row, column) of cells with a frame.
    """

    title: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: FloatArray
    framed: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Scale:
    """Meaning of the colours.

    Attributes:
        label: beside the bar, with the unit.
        better: which end is good, which is bright.
        span: least and largest value; None for those of the panels, on a logarithmic scale.
    """

    label: str
    better: Better
    span: tuple[float, float] | None = None

    @property
    def is_logarithmic(self) -> bool:
        """True if equal steps of colour stand for equal factors."""
        return self.span is None

    @property
    def colours(self) -> Colormap:
        """From dark to bright, or from bright to dark, equally far apart for colour-blind eyes and in grey print."""
        return mpl.colormaps["viridis" if self.better == "higher" else "viridis_r"]

    def norm(self, panels: Sequence[HeatMap]) -> Normalize:
        """Over the span, or from the least positive to the largest value of all panels."""
        if self.span is not None:
            return Normalize(*self.span, clip=True)
        values = np.concatenate([panel.values.ravel() for panel in panels])
        positive = values[np.isfinite(values) & (values > 0)]
        low, high = (positive.min(), positive.max()) if len(positive) else (1.0, 10.0)
        return LogNorm(low / 1.01, high * 1.01, clip=True)


def heatmap_figure(panels: Sequence[HeatMap], *, scale: Scale, x: str, y: str, most: int = 3) -> Figure:
    """All panels in rows as long as each other, at most `most` side by side; names of lines stand at the left.

    Args:
        x, y: labels of columns and rows.
        most: panels side by side.
    """
    down = -(-len(panels) // most)
    across = -(-len(panels) // down)
    lines, columns = len(panels[0].rows), len(panels[0].columns)
    left = 0.26 + LETTER * max(len(drawable(name)) for name in panels[0].rows)
    width = COLUMN if across == 1 else PAGE
    cell = min(WIDEST_CELL, (width - left - RIGHT - GAP * (across - 1)) / (across * columns))
    size = (cell * columns, CELL_HEIGHT * lines)
    width = max(COLUMN, left + across * size[0] + GAP * (across - 1) + RIGHT)
    longest = LETTER * max(len(drawable(name)) for name in panels[0].columns)
    lean = LEANING if longest > cell - 0.04 else 0.0
    slot = size[1] + TITLE + AXIS_ROOM + longest * np.sin(np.deg2rad(lean))
    height = TOP + down * slot + BAR_ROOM
    norm = scale.norm(panels)
    with house_style():
        figure = empty_figure(width, height)
        for index, panel in enumerate(panels):
            row, column = divmod(index, across)
            corner = (left + column * (size[0] + GAP), height - TOP - row * slot - TITLE - size[1])
            axes = add_panel(figure, *corner, *size)
            _draw(axes, panel, scale, norm)
            _dress(axes, panel, x=x, y=y if column == 0 else "", is_left=column == 0, lean=lean)
        _bar(figure, scale, norm, left=left, widest=across * size[0] + GAP * (across - 1))
    return figure


def _draw(axes: Axes, panel: HeatMap, scale: Scale, norm: Normalize) -> None:
    colours = scale.colours.with_extremes(bad="0.93")
    axes.pcolormesh(
        np.ma.masked_invalid(np.where(panel.values <= 0, norm.vmin or 0, panel.values))
        if scale.is_logarithmic
        else np.ma.masked_invalid(panel.values),
        cmap=colours,
        norm=norm,
        edgecolors="white",
        linewidth=0.5,
    )
    axes.set_ylim(len(panel.rows), 0)
    for (row, column), value in np.ndenumerate(panel.values):
        shade = colours(norm(value)) if np.isfinite(value) else (0.93, 0.93, 0.93, 1.0)
        axes.text(
            column + 0.5,
            row + 0.53,
            printed(value),
            ha="center",
            va="center",
            fontsize=6.5,
            color="black" if _is_bright(shade) else "white",
        )
    across, down = _inset(axes, panel)
    for row, column in panel.framed:
        frame = Rectangle((column + across, row + down), 1 - 2 * across, 1 - 2 * down, fill=False, edgecolor="#d55e00")
        frame.set(linewidth=FRAME, joinstyle="miter", zorder=5)
        axes.add_patch(frame)


def _inset(axes: Axes, panel: HeatMap) -> tuple[float, float]:
    """`INSET` in cells across and down: the same length on paper, however wide a cell is."""
    dots = INSET * axes.figure.dpi
    return dots * len(panel.columns) / axes.bbox.width, dots * len(panel.rows) / axes.bbox.height


def printed(value: float) -> str:
    """A number of a cell in at most four letters, three digits of it; an em dash for none.

    >>> [printed(v) for v in (69.44, 0.0, 100.0, 1234.4, 12345.0, 3.1e6, float("nan"))]
    ['69.4', '0.0', '100', '1234', '12k', '3.1M', '—']
    """
    if not np.isfinite(value):
        return DASH
    if value >= 1e4:
        return brief(float(f"{value:.2g}"))
    return f"{value:.1f}" if value < 99.95 else f"{value:.0f}"


def brief(value: float) -> str:
    """A round number with `k` for thousands and `M` for millions.

    >>> [brief(v) for v in (0.1, 100.0, 1000.0, 270000.0)]
    ['0.1', '100', '1k', '270k']
    """
    for size, sign in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{sign}"
    return f"{value:g}"


def _is_bright(colour: Sequence[float]) -> bool:
    """Return whether black has more contrast to a colour than white, by the luminance of WCAG 2."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3]]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return (luminance + 0.05) ** 2 > 0.05 * 1.05


def _dress(axes: Axes, panel: HeatMap, *, x: str, y: str, is_left: bool, lean: float) -> None:
    axes.set_title(drawable(panel.title), pad=3)
    names = axes.set_xticks(np.arange(len(panel.columns)) + 0.5, [drawable(name) for name in panel.columns])
    if lean:
        for tick in names:
            tick.label1.set(rotation=lean, ha="right", rotation_mode="anchor")
    axes.set_yticks(np.arange(len(panel.rows)) + 0.5, [drawable(name) for name in panel.rows] if is_left else [])
    axes.tick_params(length=0, pad=2)
    axes.set_xlabel(x, labelpad=1)
    if y:
        axes.set_ylabel(y, labelpad=2)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _bar(figure: Figure, scale: Scale, norm: Normalize, *, left: float, widest: float) -> None:
    """Draw the colour scale at the lower edge, with its label beside it."""
    room = LABEL_GAP + LETTER * len(scale.label) + RIGHT
    span = min(widest, WIDEST_BAR, figure.get_figwidth() - left - room)
    axes = add_panel(figure, left, 0.24, span, BAR)
    bar = figure.colorbar(ScalarMappable(norm, scale.colours), cax=axes, orientation="horizontal")
    bar.outline.set_linewidth(0.4)
    axes.tick_params(length=2, pad=1.5, labelsize=6.5)
    axes.minorticks_off()
    if scale.is_logarithmic:
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: brief(value)))
    axes.text(1 + LABEL_GAP / span, 0.5, scale.label, transform=axes.transAxes, ha="left", va="center", fontsize=7)
