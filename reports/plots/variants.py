"""Small multiples: a panel for each variant of a network, its difference to the full one after every round."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from reports.plots.curves import Curve
from reports.plots.legend import draw_legend, legend_rows
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

COLUMNS = 5
LEFT, RIGHT, BELOW, ABOVE = 0.5, 0.06, 0.29, 0.06
"""Room around all panels, inches."""

HEIGHT, TITLE, GAP = 1.02, 0.17, 0.07
"""Height of a panel with its title, of the title, and room between panels, inches."""

SINGLE_HEIGHT = 1.6
"""Height of a panel with its title where all stand in one row, beside the whole label of the axis; inches."""

TITLE_SIZE, TITLE_LETTERS = 6.5, 26
LEAST_REACH = 1.0
"""Least extent of the axis of differences to either side of zero, in the printed unit of the metric."""


def variants_figure(panels: Mapping[str, Sequence[Curve]], *, y: str) -> Figure:
    """A panel for each variant, a curve for each dataset, the same axes for all; the line at zero is the full network.

    Args:
        panels: variant to its curves, labelled with datasets.
        y: label of the axis of differences.
    """
    datasets = list(dict.fromkeys(curve.label for curves in panels.values() for curve in curves))
    names = [drawable(dataset) for dataset in datasets]
    with house_style():
        figure, every = _grid(len(panels), legend_rows(names, 2))
        for axes, (variant, curves) in zip(every, panels.items(), strict=True):
            axes.set_title(drawable(variant, limit=TITLE_LETTERS), fontsize=TITLE_SIZE, pad=2)
            axes.axhline(0.0, color="0.35", linewidth=0.7, zorder=1)
            for curve in curves:
                look = stroke(datasets.index(curve.label))
                axes.plot(
                    curve.x, curve.y, color=look.colour, linestyle=look.dashes, marker=look.marker, markersize=2.6
                )
        _dress(every, [curve for curves in panels.values() for curve in curves])
        width, height = figure.get_size_inches()
        middle = (LEFT + width - RIGHT) / 2 / width
        room = LEGEND_LINE * legend_rows(names, 2) + 0.08
        figure.text(middle, (room + 0.02) / height, "Feedback round", ha="center", va="bottom")
        figure.text(0.08 / width, (room + BELOW + height - ABOVE) / 2 / height, y, rotation=90, ha="left", va="center")
        draw_legend(figure, names)
    return figure


def _grid(count: int, legend: int) -> tuple[Figure, list[Axes]]:
    columns = min(count, COLUMNS)
    rows = -(-count // columns)
    width, height = (COLUMN if columns == 1 else PAGE), (SINGLE_HEIGHT if rows == 1 else HEIGHT)
    total = rows * height + ABOVE + BELOW + LEGEND_LINE * legend + 0.08
    figure = empty_figure(width, total)
    slot = (width - LEFT - RIGHT) / columns
    axes = []
    for index in range(count):
        row, column = divmod(index, columns)
        bottom = total - ABOVE - (row + 1) * height + GAP / 2
        left = LEFT + column * slot + GAP / 2
        axes.append(add_panel(figure, left, bottom, slot - GAP, height - TITLE - GAP / 2))
    return figure, axes


def _dress(every: Sequence[Axes], curves: Sequence[Curve]) -> None:
    """Set the same limits everywhere, with numbers at the left and below the lowest panel of each column."""
    low = min(-LEAST_REACH, *(float(curve.y.min()) for curve in curves))
    high = max(LEAST_REACH, *(float(curve.y.max()) for curve in curves))
    margin = 0.06 * (high - low)
    last = max(float(curve.x.max()) for curve in curves)
    for index, axes in enumerate(every):
        axes.set_ylim(low - margin, high + margin)
        axes.set_xlim(0.6, last + 0.4)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 5, 10]))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}".replace("-", "−")))
        axes.tick_params(
            labelsize=6, pad=2, length=2, labelleft=index % COLUMNS == 0, labelbottom=index + COLUMNS >= len(every)
        )
        draw_grid(axes)
