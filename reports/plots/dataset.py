"""Sheet of one dataset: sizes, contrast, positions and brightness of its targets and images, list against list."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import numpy as np
import seaborn
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullFormatter, NullLocator
from matplotlib.typing import LineStyleType
from numpy.typing import NDArray
from scipy.stats import ks_2samp

from bench.data.quality.dataset_statistics import Description
from bench.metrics.strata import KINDS
from reports.plots.legend import draw_samples
from reports.plots.style import PALETTE, draw_grid, drawable, house_style, panel_axes

PANEL_HEIGHT = 1.85
COLOURS = (PALETTE[0], PALETTE[1], PALETTE[2])
"""Of the lists, in their order; dashes tell them apart in print without colours."""

DASHES: tuple[LineStyleType, ...] = ("-", "--", ":")
MARKERS = ("o", "+", "x")
HATCHES = ("", "////", "....")
SIZE_EDGES = tuple(int(band.low) for band in KINDS[0].bands[1:])
"""Least areas of the size classes of the strata but the first, pixels."""

BINS, CELLS = 22, 10
"""Bars of a histogram, and cells per side of a map of positions."""

MOST_COUNTED = 5
"""Images with this many targets or more share one bar."""

AREA_TICKS = (1, 3, 10, 30, 100, 300, 1000, 3000, 10000, 100000)
RATIO_TICKS = (0.1, 0.3, 1, 3, 10, 30, 100)

MOST_DECADES = 2.3
"""Span of an axis up to which ticks at 3, 30, … do not touch their neighbours."""

AnyArray = NDArray[np.generic]


def dataset_sheet(described: Mapping[str, Description]) -> Figure:
    """Nine panels of one dataset; histograms are shares of a list's targets or images, so that lists can be compared.

    Args:
        described: title of a list to its description: one list, or two or three against each other.
    """
    lists = list(described.values())
    with house_style():
        figure, axes = panel_axes(9, height=PANEL_HEIGHT, legend_rows=1, most=3)
        for panel, draw in zip(axes, _panels(lists), strict=True):
            draw(panel)
        _draw_legend(figure, described)
    return figure


def _panels(lists: Sequence[Description]) -> list[Callable[[Axes], None]]:
    """The function that draws each panel, row by row."""
    first, last = lists[0], lists[-1]
    most = max(float(_place_shares(own).max()) for own in (first, last))
    return [
        lambda axes: _draw_areas(axes, lists),
        lambda axes: _draw_ratios(axes, lists),
        lambda axes: _draw_sizes_against_ratios(axes, lists),
        lambda axes: _draw_counts(axes, lists),
        lambda axes: _draw_borders(axes, lists),
        lambda axes: _draw_over_frame(axes, lists),
        lambda axes: _draw_places(axes, first, most=most),
        lambda axes: _draw_places(axes, last, most=most),
        lambda axes: _draw_brightness(axes, lists),
    ]


def _draw_areas(axes: Axes, lists: Sequence[Description]) -> None:
    edges = _area_edges(lists)
    _steps(axes, [own.areas for own in lists], edges=edges)
    axes.set_xscale("log")
    axes.set_xlim(edges[0], edges[-1])
    _plain_ticks(axes, AREA_TICKS)
    for edge in (edge for edge in SIZE_EDGES if edges[0] < edge - 0.5 < edges[-1]):
        axes.axvline(edge - 0.5, color="0.6", linewidth=0.6, linestyle=(0, (2, 2)), zorder=1)
    _dress(axes, "Target area (px)", "targets", lists, lambda own: own.areas)


def _area_edges(lists: Sequence[Description]) -> NDArray[np.float64]:
    """Edges between whole pixels from the smallest area to the largest, so that no bar crosses a size class.

    Their ratios are about equal, as far as whole pixels allow.
    """
    areas = np.concatenate([own.areas for own in lists])
    least, most = (int(areas.min()), int(areas.max()) + 1) if len(areas) else (1, 2)
    classes = [least, *(edge for edge in SIZE_EDGES if least < edge < most), most]
    width = np.log(most / least) / BINS
    parts = [
        np.geomspace(low, high, max(2, 1 + round(float(np.log(high / low)) / width))) for low, high in pairwise(classes)
    ]
    return np.asarray(np.unique(np.round(np.concatenate(parts))) - 0.5)


def _draw_ratios(axes: Axes, lists: Sequence[Description]) -> None:
    found = [_positive(own.ratios) for own in lists]
    _steps(axes, found, edges=_log_edges(found))
    axes.set_xscale("log")
    _plain_ticks(axes, RATIO_TICKS)
    _dress(axes, "Signal-to-clutter ratio", "targets", lists, lambda own: _positive(own.ratios))


def _positive(values: AnyArray) -> AnyArray:
    """The values with a logarithm."""
    known = np.asarray(values, np.float64)
    return known[known > 0]


def _log_edges(found: Sequence[AnyArray]) -> NDArray[np.float64]:
    joined = np.concatenate([np.asarray(values, np.float64) for values in found])
    if not len(joined):
        return np.geomspace(0.1, 10, BINS)
    low, high = float(joined.min()), float(joined.max())
    return np.geomspace(low * 0.99, max(high, low * 1.1) * 1.01, BINS)


def _draw_sizes_against_ratios(axes: Axes, lists: Sequence[Description]) -> None:
    axes.set_xlabel("Target area (px)", labelpad=2)
    axes.set_ylabel("Signal-to-clutter ratio", labelpad=2)
    if not any(len(_positive(own.ratios)) for own in lists):
        _draw_absence(axes, _absence(lists))
        return
    for index, own in enumerate(lists):
        known = own.ratios > 0
        _scatter(axes, own.areas[known], own.ratios[known], index)
    axes.set_xscale("log")
    axes.set_yscale("log")
    _plain_ticks(axes, AREA_TICKS)
    axes.yaxis.set_major_locator(FixedLocator(RATIO_TICKS))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_locator(NullLocator())
    draw_grid(axes)


def _draw_counts(axes: Axes, lists: Sequence[Description]) -> None:
    width = 0.8 / len(lists)
    places = np.arange(MOST_COUNTED + 1)
    for index, own in enumerate(lists):
        held = np.bincount(np.minimum(own.counts, MOST_COUNTED), minlength=MOST_COUNTED + 1)
        share = 100 * held / max(len(own.counts), 1)
        left = places - 0.4 + width * (index + 0.5)
        axes.bar(
            left, share, 0.9 * width, color=COLOURS[index % 3], hatch=HATCHES[index % 3], edgecolor="white", lw=0.3
        )
    axes.set_xticks(places, [*map(str, places[:-1]), f"≥ {MOST_COUNTED}"])
    axes.tick_params(axis="x", length=0)
    _dress(axes, "Targets an image", "images", lists, lambda own: own.counts)


def _draw_borders(axes: Axes, lists: Sequence[Description]) -> None:
    _draw_histogram(axes, "Distance to the border (px)", "targets", lists, lambda own: own.borders)


def _draw_over_frame(axes: Axes, lists: Sequence[Description]) -> None:
    _draw_histogram(axes, "Target less image (grey levels)", "targets", lists, lambda own: own.over_frame)
    if any(len(own.areas) for own in lists):
        axes.axvline(0, color="0.6", linewidth=0.6, linestyle=(0, (2, 2)), zorder=1)


def _draw_histogram(
    axes: Axes,
    title: str,
    of: str,
    lists: Sequence[Description],
    values_of: Callable[[Description], AnyArray],
) -> None:
    found = [np.asarray(values_of(own), np.float64) for own in lists]
    joined = np.concatenate(found)
    low, high = (float(joined.min()), float(joined.max())) if len(joined) else (0.0, 1.0)
    _steps(axes, found, edges=np.linspace(low, high if high > low else low + 1, BINS))
    axes.xaxis.set_major_locator(MaxNLocator(5))
    _dress(axes, title, of, lists, values_of)


def _draw_brightness(axes: Axes, lists: Sequence[Description]) -> None:
    """Draw the mean level of every image against the deviation of its levels."""
    for index, own in enumerate(lists):
        _scatter(axes, own.means, own.deviations, index)
    axes.set_xlim(0, 255)
    axes.set_ylim(0, 1.08 * max([1.0, *(float(own.deviations.max()) for own in lists if len(own.names))]))
    axes.xaxis.set_major_locator(FixedLocator([0, 64, 128, 192, 255]))
    axes.set_xlabel("Mean level of an image", labelpad=2)
    axes.set_ylabel("Deviation of its levels", labelpad=2)
    draw_grid(axes)


def _scatter(axes: Axes, across: AnyArray, up: AnyArray, index: int) -> None:
    """Draw small marks of the index-th list, as one raster image in a PDF, however many there are."""
    (marks,) = axes.plot(across, up, linestyle="none", marker=MARKERS[index % 3], color=COLOURS[index % 3], alpha=0.5)
    marks.set(markersize=2.0, markeredgewidth=0.5, markerfacecolor="none", rasterized=True)


def _place_shares(own: Description) -> NDArray[np.float64]:
    """Percent of the targets in each cell of the image; an even spread would put 1 % into each."""
    held, _, _ = np.histogram2d(own.rows, own.cols, bins=CELLS, range=((0, 1), (0, 1)))
    return np.asarray(100 * held / max(held.sum(), 1))


def _draw_places(axes: Axes, own: Description, *, most: float) -> None:
    """Draw the density of targets over the frame; all lists share one colour scale up to `most` percent."""
    paint = LinearSegmentedColormap.from_list("places", ["white", PALETTE[0], "black"])
    bar = {"fraction": 0.06, "pad": 0.03}
    seaborn.heatmap(_place_shares(own), vmin=0, vmax=max(most, 1.0), cmap=paint, ax=axes, cbar_kws=bar, rasterized=True)
    scale = axes.collections[0].colorbar
    assert scale is not None
    scale.ax.tick_params(labelsize=6, width=0.4, length=2)
    axes.set_xticks([0, CELLS / 2, CELLS], ["0", "0.5", "1"])
    axes.set_yticks([0, CELLS / 2, CELLS], ["0", "0.5", "1"], rotation=0)
    for spine in axes.spines.values():
        spine.set_visible(True)
    (title,) = own.lists
    axes.set_title(f"{drawable(title, limit=26)}: % a cell", pad=3, fontsize=7)
    if not len(own.areas):
        axes.text(0.5, 0.5, _absence([own]), transform=axes.transAxes, ha="center", va="center", color="0.4")
    axes.set_xlabel("Column / width", labelpad=2)
    axes.set_ylabel("Row / height", labelpad=2)


def _steps(axes: Axes, found: Sequence[AnyArray], *, edges: NDArray[np.float64]) -> None:
    """Draw the histogram of each list as an outline, in percent of its values."""
    for index, values in enumerate(found):
        known = np.asarray(values, np.float64)
        held, _ = np.histogram(known, bins=edges)
        share = 100 * held / max(len(known), 1)
        axes.stairs(share, edges, color=COLOURS[index % 3], linestyle=DASHES[index % 3], linewidth=1.0, zorder=3)
        if index == 0:
            axes.stairs(share, edges, color=COLOURS[0], alpha=0.15, fill=True, zorder=2)


def _dress(
    axes: Axes, title: str, of: str, lists: Sequence[Description], values_of: Callable[[Description], AnyArray]
) -> None:
    axes.set_xlabel(title, labelpad=2)
    axes.set_ylabel(f"% of {of}", labelpad=2)
    if not any(len(values_of(own)) for own in lists):
        _draw_absence(axes, _absence(lists, of))
        return
    axes.set_ylim(0, 1.12 * axes.get_ylim()[1])
    distance = axes.text(0.975, 0.965, _distance(lists, values_of), transform=axes.transAxes, ha="right", va="top")
    distance.set(fontsize=7, bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0})
    axes.yaxis.set_major_locator(MaxNLocator(4))
    draw_grid(axes, axis="y")


def _absence(lists: Sequence[Description], of: str = "targets") -> str:
    """The reason why a panel is empty: `no targets`, or `undefined` if there are some."""
    held = [len(own.names if of == "images" else own.areas) for own in lists]
    return "undefined" if any(held) else f"no {of}"


def _draw_absence(axes: Axes, words: str) -> None:
    """Draw an empty panel with the reason."""
    for patch in list(axes.patches):
        patch.remove()
    axes.set_xticks([])
    axes.set_yticks([])
    axes.text(0.5, 0.5, words, transform=axes.transAxes, ha="center", va="center", color="0.4")


def _distance(lists: Sequence[Description], values_of: Callable[[Description], AnyArray]) -> str:
    """The largest distance between the distribution functions of the first and the last list: `D = 0.07`."""
    first, last = (np.asarray(values_of(own), np.float64) for own in (lists[0], lists[-1]))
    if len(lists) < 2 or not len(first) or not len(last):
        return ""
    return f"D = {float(ks_2samp(first, last).statistic):.2f}"


def _plain_ticks(axes: Axes, places: Sequence[float]) -> None:
    low, high = axes.get_xlim()
    inside = [place for place in places if low <= place <= high]
    if high > low * 10**MOST_DECADES:
        inside = [place for place in inside if float(np.log10(place)).is_integer()]
    if len(inside) < 2:
        inside = [n * 10.0**power for power in range(-1, 6) for n in range(1, 10) if low <= n * 10.0**power <= high]
    axes.xaxis.set_major_locator(FixedLocator(inside))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_minor_locator(NullLocator())


def _draw_legend(figure: Figure, described: Mapping[str, Description]) -> None:
    samples = [
        Line2D(
            [],
            [],
            color=COLOURS[index % 3],
            linestyle=DASHES[index % 3],
            marker=MARKERS[index % 3],
            markersize=3,
            markeredgewidth=0.6,
            markerfacecolor="none",
            label=f"{drawable(name, limit=40)} ({len(own.names)} images, {len(own.areas)} targets)",
        )
        for index, (name, own) in enumerate(described.items())
    ]
    draw_samples(figure, samples, columns=len(samples), columnspacing=2.0)
