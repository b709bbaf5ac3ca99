"""Picture rows: image, mask and the maps of chosen feedback rounds, with targets, misses and false alarms marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, Rectangle
from numpy.typing import NDArray

from bench.arrays import Points
from bench.data.images.decode import Pixels
from bench.errors import RequestError
from bench.metrics.counting.components import Components, find_components
from bench.metrics.counting.levels import LEVELS, threshold_level
from bench.metrics.counting.matching import match_targets
from bench.types import Scoring
from reports.plots.style import COLUMN, PAGE, drawable, empty_figure, house_style

FOUND, MISSED, ALARM, INSET = "#029e73", "#de8f05", "#d55e00", "#56b4e9"
"""Green, orange, red and blue of the colour-blind palette; shapes and dashes tell them apart as well."""

GAP, ABOVE, BELOW = 0.04, 0.2, 0.22
"""Between maps, above and below all rows, inches."""

ZOOM = 4
"""Least magnification of a target in its inset, if there is room."""


@dataclass(frozen=True, eq=False)
class ProbabilityMap:
    """One probability map of a picture row.

    Attributes:
        head: of its column.
        q: (H, W) probability in units of 1/65536.
    """

    head: str
    q: NDArray[np.uint16]


@dataclass(frozen=True, eq=False)
class Picture:
    """One row: an image, its mask, and maps of it.

    Attributes:
        name: of the image.
        image: (H, W) grey levels, 0 to 255.
        mask: (H, W) in {0, 1}.
        predictions: every row of a figure has the same heads.
    """

    name: str
    image: Pixels
    mask: Pixels
    predictions: tuple[ProbabilityMap, ...]


def picture_figure(pictures: Sequence[Picture], *, scoring: Scoring) -> Figure:
    """Rows of image, mask and maps; each target is circled and enlarged in a corner.

    Found and missed targets and false alarms are told apart by the scoring's own matching rule.

    Raises:
        RequestError: when the rows have not all the same columns, or there are none.
    """
    heads = _heads(pictures)
    width = COLUMN if len(heads) <= 4 else PAGE
    side = width / len(heads)
    heights = [(side - GAP) * p.image.shape[0] / p.image.shape[1] + GAP for p in pictures]
    total = sum(heights) + ABOVE + BELOW
    with house_style():
        figure = empty_figure(width, total)
        axes = figure.add_axes((0.0, 0.0, 1.0, 1.0), xlim=(0.0, width), ylim=(0.0, total))
        axes.set_axis_off()
        for column, head in enumerate(heads):
            axes.text((column + 0.5) * side, total - ABOVE + 0.05, head, ha="center", va="bottom")
        top = total - ABOVE
        for picture, height in zip(pictures, heights, strict=True):
            scale = (side - GAP) / picture.image.shape[1]
            for column in range(len(heads)):
                _draw(MapArea(axes, column * side + GAP / 2, top - GAP / 2, scale), picture, column, scoring)
            top -= height
        _legend(axes)
        axes.set(xlim=(0.0, width), ylim=(0.0, total))
    return figure


def _heads(pictures: Sequence[Picture]) -> list[str]:
    if not pictures:
        raise RequestError("picture figure: found no pictures, expected at least one")
    heads = [prediction.head for prediction in pictures[0].predictions]
    for picture in pictures:
        if [prediction.head for prediction in picture.predictions] != heads:
            raise RequestError(
                f"picture {picture.name!r}: its columns differ from {heads}; draw it in a figure of its own"
            )
    return ["Image", "Mask", *map(drawable, heads)]


@dataclass(frozen=True, eq=False)
class MapArea:
    """The area of one map on the figure's only axes, whose unit is the inch.

    Attributes:
        left, top: of the map.
        scale: inches a pixel.
    """

    axes: Axes
    left: float
    top: float
    scale: float

    def at(self, row: float, col: float) -> tuple[float, float]:
        """Position on the axes of a point in pixels; (0, 0) is the top left corner of the first pixel."""
        return self.left + col * self.scale, self.top - row * self.scale

    def show(self, shown: NDArray[Any], limits: tuple[float, float]) -> None:
        """Draw the map without interpolation."""
        right, bottom = self.at(shown.shape[0], shown.shape[1])[0], self.at(shown.shape[0], 0)[1]
        self.axes.imshow(
            shown,
            cmap="gray",
            vmin=limits[0],
            vmax=limits[1],
            interpolation="nearest",
            extent=(self.left, right, bottom, self.top),
            aspect="auto",
        )

    def frame(self, rows: slice, cols: slice, *, colour: str, dashes: str = "-", width: float = 0.9) -> None:
        """Draw the border of a window, in pixels."""
        corner = self.at(rows.stop, cols.start)
        size = ((cols.stop - cols.start) * self.scale, (rows.stop - rows.start) * self.scale)
        self.axes.add_patch(Rectangle(corner, *size, fill=False, edgecolor=colour, linewidth=width, linestyle=dashes))


def _draw(area: MapArea, picture: Picture, column: int, scoring: Scoring) -> None:
    """Draw one map with its marks: the image, the mask, or a probability map matched as the scoring matches it."""
    targets = find_components(picture.mask > 0, connectivity=scoring.connectivity)
    shown, limits = _map(picture, column)
    area.show(shown, limits)
    if column < 2:
        for target in range(len(targets)):
            _circle(area, targets, target, colour=FOUND)
    else:
        _mark_matches(area, picture.predictions[column - 2].q, picture.mask > 0, targets, scoring)
    if len(targets):
        _inset(area, shown, limits, targets=targets, avoid=_marked(picture, targets, scoring))
    if column == 0:
        paper = {"facecolor": "black", "alpha": 0.6, "linewidth": 0, "pad": 1.0}
        across, up = area.at(picture.image.shape[0], 0)
        area.axes.text(
            across + 0.03,
            up + 0.03,
            drawable(picture.name, limit=24),
            color="white",
            fontsize=5.5,
            bbox=paper,
            zorder=6,
        )


def _map(picture: Picture, column: int) -> tuple[NDArray[Any], tuple[float, float]]:
    """The pixels that a column shows, with the values of black and white."""
    if column == 0:
        low, high = np.percentile(picture.image, (0.5, 99.9))
        return picture.image, (float(low), max(float(high), float(low) + 1))
    if column == 1:
        return picture.mask, (0.0, 1.0)
    return picture.predictions[column - 2].q / LEVELS, (0.0, 1.0)


def _mark_matches(
    area: MapArea, q: NDArray[np.uint16], mask: NDArray[np.bool_], targets: Components, scoring: Scoring
) -> None:
    """Circle found and missed targets and box every false alarm, as the scoring counts them."""
    prediction = q > threshold_level(scoring.threshold)
    found = find_components(prediction, connectivity=scoring.connectivity)
    verdict = match_targets(mask, targets, prediction, found, scoring)
    for target, is_found in enumerate(verdict.is_found):
        _circle(area, targets, target, colour=FOUND if is_found else MISSED, dashes="-" if is_found else ":")
    for alarm in np.flatnonzero(verdict.is_alarm):
        mine = found.owner == alarm
        rows, cols = _extent(found.rows[mine], area), _extent(found.cols[mine], area)
        area.frame(rows, cols, colour=ALARM, dashes="--")


def _extent(pixels: NDArray[np.int64], area: MapArea) -> slice:
    """First and last pixel with a margin that is 0.04 inches wide in print, at least two pixels."""
    margin = max(2, round(0.04 / area.scale))
    return slice(int(pixels.min()) - margin, int(pixels.max()) + 1 + margin)


def _circle(area: MapArea, components: Components, index: int, *, colour: str, dashes: str = "-") -> None:
    row, col = components.centroids[index]
    own = float(np.sqrt(components.areas[index] / np.pi)) * area.scale
    radius = max(0.05, 1.6 * own + 0.02)
    middle = area.at(row + 0.5, col + 0.5)
    patch = Circle(middle, radius, fill=False, edgecolor=colour, linewidth=0.9, linestyle=dashes)
    area.axes.add_patch(patch)


def _marked(picture: Picture, targets: Components, scoring: Scoring) -> Points:
    """(M, 2) row and column of every target, and of every predicted component in any map of the row."""
    level = threshold_level(scoring.threshold)
    found = [find_components(p.q > level, connectivity=scoring.connectivity) for p in picture.predictions]
    return np.concatenate([targets.centroids, *(components.centroids for components in found)])


def _inset(
    area: MapArea, shown: NDArray[Any], limits: tuple[float, float], *, targets: Components, avoid: Points
) -> None:
    """Enlarge the largest target in the corner farthest from all marks, and frame it in the map."""
    rows, cols = zoom_window(targets, shown.shape)
    side = rows.stop - rows.start
    wide = min(0.4 * min(shown.shape), ZOOM * side)
    top, left = farthest_corner(avoid, shown.shape, side=wide)
    enlarged = MapArea(area.axes, *area.at(top, left), area.scale * wide / side)
    enlarged.show(shown[rows, cols], limits)
    enlarged.frame(slice(0, side), slice(0, side), colour=INSET, width=0.8)
    area.frame(rows, cols, colour=INSET, width=0.4)


def zoom_window(targets: Components, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """The square around the largest target, inside the image: at least 16 pixels and twice the target's extent."""
    mine = targets.owner == int(np.argmax(targets.areas))
    rows, cols = targets.rows[mine], targets.cols[mine]
    side = min(max(16, 2 * int(max(np.ptp(rows), np.ptp(cols)) + 1)), *shape[:2])
    centre = targets.centroids[int(np.argmax(targets.areas))]
    top, left = (int(np.clip(round(c - side / 2), 0, n - side)) for c, n in zip(centre, shape, strict=True))
    return slice(top, top + side), slice(left, left + side)


def farthest_corner(marked: Points, shape: tuple[int, ...], *, side: float) -> tuple[float, float]:
    """Top and left, in pixels, of the square of that side in the corner whose centre is farthest from any marked place.

    The bottom left corner, where the image's name stands, is taken last.
    """
    bottom, right = shape[0] - side, shape[1] - side
    corners = [(0.0, 0.0), (0.0, right), (bottom, right), (bottom, 0.0)]

    def distance(corner: tuple[float, float]) -> float:
        return float(np.min(np.linalg.norm(marked - (np.array(corner) + side / 2), axis=1)))

    free = [corner for corner in corners[:3] if distance(corner) > side]
    return max(free or corners, key=distance)


def _legend(axes: Axes) -> None:
    """Draw the legend of circles, boxes and frames below the rows."""
    style: dict[str, Any] = {"linestyle": "none", "fillstyle": "none", "markersize": 6}
    samples = [
        Line2D([], [], marker="o", markeredgecolor=FOUND, label="target, found", **style),
        Line2D([], [], marker="o", markeredgecolor=MISSED, label="missed", **style),
        Line2D([], [], marker="s", markeredgecolor=ALARM, label="false alarm", **style),
        Line2D([], [], marker="s", markeredgecolor=INSET, label="enlarged", **style),
    ]
    axes.legend(
        handles=samples,
        loc="lower center",
        ncols=4,
        frameon=False,
        borderaxespad=0.1,
        handletextpad=0.1,
        columnspacing=1.2,
    )
