"""Legends below the panels of a figure, where they cover no data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from reports.plots.style import PAGE, stroke


def legend_rows(labels: Sequence[str], panels: int) -> int:
    """Lines that the legend of these labels takes below so many panels."""
    return -(-len(labels) // _most_columns(labels, panels))


def even_columns(labels: Sequence[str], panels: int) -> int:
    """Entries per line that fill all lines of the legend about equally."""
    return -(-len(labels) // legend_rows(labels, panels))


def _most_columns(labels: Sequence[str], panels: int) -> int:
    """Entries that fit side by side, at about 0.058 inches a letter and half an inch for the sample."""
    width = PAGE if panels > 1 else PAGE / 2
    return max(1, min(len(labels), int(width / (0.5 + 0.058 * max(map(len, labels))))))


def draw_legend(figure: Figure, labels: Sequence[str]) -> None:
    """Draw the legend of curves: colour, dashes and marker of every label in their order."""
    samples = []
    for index, label in enumerate(labels):
        look = stroke(index)
        samples.append(Line2D([], [], color=look.colour, linestyle=look.dashes, marker=look.marker, label=label))
    draw_samples(figure, samples, columns=_most_columns(labels, len(figure.axes)), handlelength=3.2)


def draw_samples(figure: Figure, samples: Sequence[Artist], *, columns: int, **spacing: Any) -> None:
    """Draw a legend of labelled samples.

    Args:
        columns: samples per line.
        spacing: as `Figure.legend` takes it.
    """
    spaces = {"borderaxespad": 0.1, "labelspacing": 0.25, "columnspacing": 1.4, **spacing}
    figure.legend(handles=samples, loc="lower center", ncols=columns, frameon=False, **spaces)
