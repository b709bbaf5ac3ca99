"""Picture rows: image, mask and the maps of chosen feedback rounds, with targets, misses and false alarms marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend_handler import HandlerPatch
from matplotlib.patches import Circle, Patch, Rectangle
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from bench.arrays import Points
from bench.data.images.decode import Pixels
from bench.errors import RequestError
from bench.metrics.counting.components import Components, find_components
from bench.metrics.counting.levels import LEVELS, threshold_level
from bench.metrics.counting.matching import Matches, match_targets
from bench.types import Scoring
from reports.plots.style import COLUMN, PAGE, drawable, empty_figure, house_style

FOUND, MISSED, ALARM = "#56b4e9", "#f0e442", "#d55e00"
"""Blue, yellow and vermilion of Okabe and Ito's palette, of a luminance each; shapes and dashes differ as well."""

TARGET, INSET = "white", "0.75"

HALO = [withStroke(linewidth=1.9, foreground="black", alpha=0.75)]
"""Dark edge, by which a mark shows on bright ground."""

GAP, ABOVE, BELOW = 0.04, 0.2, 0.22
"""Between maps, above and below all rows, inches."""

SIDE, LETTER = 0.16, 0.05
"""Room for the names of rows at the left, and width of a letter of a name, inches."""

LINE, HEAD_LINE, HEAD_LETTER = 0.1, 0.115, 0.055
"""Room for a further line of names and of heads, and width of a letter of a head, inches."""

MOST_LINES = 3
"""Of a name or a head."""

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
        image: (H, W) grey levels, 0 to 255; None for a row without this column.
        mask: (H, W) in {0, 1}.
        predictions: every row of a figure has the same heads.
        words: why it is shown.
    """

    name: str
    image: Pixels | None
    mask: Pixels
    predictions: tuple[ProbabilityMap, ...]
    words: str = ""


def picture_figure(pictures: Sequence[Picture], *, scoring: Scoring) -> Figure:
    """Rows of image, mask and maps; each target is circled, and one is enlarged in a corner.

    Found and missed targets and false alarms are told apart by the scoring's own matching rule.

    Raises:
        RequestError: when the rows have not all the same columns, or there are none.
    """
    heads = _heads(pictures)
    width = COLUMN if len(heads) <= 4 else PAGE
    narrow = (width - SIDE) / len(heads)
    left = SIDE + LINE * max(_in_lines(_words(p), limit=_room(p, narrow)).count("\n") for p in pictures)
    side = (width - left) / len(heads)
    heights = [_height(picture, side) for picture in pictures]
    shown = [_in_lines(head, limit=max(8, int(side / HEAD_LETTER))) for head in heads]
    above = ABOVE + HEAD_LINE * max(head.count("\n") for head in shown)
    total = sum(heights) + above + BELOW
    with house_style():
        figure = empty_figure(width, total)
        axes = figure.add_axes((0.0, 0.0, 1.0, 1.0), xlim=(0.0, width), ylim=(0.0, total))
        axes.set_axis_off()
        for column, head in enumerate(shown):
            axes.text(left + (column + 0.5) * side, total - above + 0.05, head, ha="center", va="bottom", fontsize=7)
        top = total - above
        for picture, height in zip(pictures, heights, strict=True):
            row = _Row(picture, scoring)
            scale = (side - GAP) / picture.mask.shape[1]
            for column in range(len(heads)):
                row.draw(MapArea(axes, left + column * side + GAP / 2, top - GAP / 2, scale), column)
            name = axes.text(left - 0.02, top - height / 2, _in_lines(_words(picture), limit=_room(picture, side)))
            name.set(rotation=90, ha="right", va="center", ma="center", fontsize=6, linespacing=1.1)
            top -= height
        _legend(axes)
        axes.set(xlim=(0.0, width), ylim=(0.0, total))
    return figure


def _height(picture: Picture, side: float) -> float:
    """Inches of a row whose maps are so wide, with the gap to the next."""
    down, across = picture.mask.shape
    return (side - GAP) * float(down / across) + GAP


def _words(picture: Picture) -> str:
    return f"{picture.words}: {picture.name}" if picture.words else picture.name


def _room(picture: Picture, side: float) -> int:
    """Letters that a line beside a row has room for."""
    return max(8, int(_height(picture, side) / LETTER))


def _in_lines(text: str, *, limit: int) -> str:
    """The text in lines of at most so many letters, three at most; what is too long is cut."""
    lines = wrap(drawable(text, limit=MOST_LINES * limit), limit)
    rest = " ".join(lines[MOST_LINES - 1 :])
    return "\n".join([*lines[: MOST_LINES - 1], *([drawable(rest, limit=limit)] if rest else [])])


def _heads(pictures: Sequence[Picture]) -> list[str]:
    if not pictures:
        raise RequestError("picture figure: found no pictures, expected at least one")
    heads = _heads_of(pictures[0])
    for picture in pictures:
        if _heads_of(picture) != heads:
            raise RequestError(
                f"picture {picture.name!r}: its columns differ from {heads}; draw it in a figure of its own"
            )
    return heads


def _heads_of(picture: Picture) -> list[str]:
    first = ["Mask"] if picture.image is None else ["Image", "Mask"]
    return [*first, *(prediction.head for prediction in picture.predictions)]


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

    def frame(
        self, rows: slice, cols: slice, *, colour: str, dashes: str = "-", width: float = 0.9, has_halo: bool = False
    ) -> None:
        """Draw the border of a window, in pixels."""
        corner = self.at(rows.stop, cols.start)
        size = ((cols.stop - cols.start) * self.scale, (rows.stop - rows.start) * self.scale)
        self.mark(Rectangle(corner, *size, fill=False, edgecolor=colour, linewidth=width, linestyle=dashes), has_halo)

    def mark(self, patch: Patch, has_halo: bool = True) -> None:
        """Draw the outline of a patch."""
        patch.set_path_effects([*HALO] if has_halo else [])
        self.axes.add_artist(patch)  # add_patch would fit limits that are fixed


class _Row:
    """One row while it is drawn: its targets and every map's matches, found once."""

    def __init__(self, picture: Picture, scoring: Scoring) -> None:
        self.picture, self.mask = picture, picture.mask > 0
        self.targets = find_components(self.mask, connectivity=scoring.connectivity)
        self.matches = [self._match(each.q, scoring) for each in picture.predictions]
        self.focus = focus_of(self.targets, [match.is_found for match, _ in self.matches])

    def _match(self, q: NDArray[np.uint16], scoring: Scoring) -> tuple[Matches, Components]:
        prediction = q > threshold_level(scoring.threshold)
        found = find_components(prediction, connectivity=scoring.connectivity)
        return match_targets(self.mask, self.targets, prediction, found, scoring), found

    def draw(self, area: MapArea, column: int) -> None:
        """Draw one map with its marks: the image, the mask, or a probability map matched as the scoring matches it."""
        first = 1 if self.picture.image is None else 2
        shown, limits = self._map(column - first)
        area.show(shown, limits)
        if self.focus is not None:
            _inset(area, shown, limits, window=zoom_window(self.targets, self.focus, shown.shape), avoid=self._marked())
        if column < first:
            for target in range(len(self.targets)):
                _circle(area, self.targets, target, colour=TARGET, width=0.6)
        else:
            self._mark_matches(area, *self.matches[column - first])

    def _map(self, place: int) -> tuple[NDArray[Any], tuple[float, float]]:
        """The pixels of a prediction, of the mask at -1 or of the image at -2, with the values of black and white."""
        if place >= 0:
            return self.picture.predictions[place].q / LEVELS, (0.0, 1.0)
        if place == -1 or self.picture.image is None:
            return self.picture.mask, (0.0, 1.0)
        low, high = np.percentile(self.picture.image, (0.5, 99.9))
        return self.picture.image, (float(low), max(float(high), float(low) + 1))

    def _marked(self) -> Points:
        """(M, 2) row and column of every target, and of every predicted component in any map of the row."""
        return np.concatenate([self.targets.centroids, *(found.centroids for _, found in self.matches)])

    def _mark_matches(self, area: MapArea, verdict: Matches, found: Components) -> None:
        """Circle found and missed targets and box every false alarm, as the scoring counts them."""
        for target, is_found in enumerate(verdict.is_found):
            _circle(area, self.targets, target, colour=FOUND if is_found else MISSED, dashes="-" if is_found else ":")
        for alarm in np.flatnonzero(verdict.is_alarm):
            mine = found.owner == alarm
            rows = _extent(found.rows[mine], area, self.mask.shape[0])
            cols = _extent(found.cols[mine], area, self.mask.shape[1])
            area.frame(rows, cols, colour=ALARM, dashes="--", has_halo=True)


def focus_of(targets: Components, found: Sequence[NDArray[np.bool_]]) -> int | None:
    """The target that is enlarged: the one that fewest maps find, of several the largest; None without targets."""
    if not len(targets):
        return None
    hits = np.sum(list(found), axis=0) if found else np.zeros(len(targets))
    return int(np.lexsort((-np.asarray(targets.areas), hits))[0])


def telling_target(pictures: Sequence[Picture], scoring: Scoring) -> tuple[Picture, tuple[float, float]] | None:
    """The target that most nearly half of the maps find, of several the first and largest, as its picture and centre.

    None if no picture has a target.
    """
    rows = [_Row(picture, scoring) for picture in pictures]
    found = [
        (abs(2 * sum(match.is_found[target] for match, _ in row.matches) - len(row.matches)), place, -area, target)
        for place, row in enumerate(rows)
        for target, area in enumerate(row.targets.areas)
    ]
    if not found:
        return None
    _, place, _, target = min(found)
    down, across = rows[place].targets.centroids[target]
    return pictures[place], (float(down), float(across))


def _extent(pixels: NDArray[np.int64], area: MapArea, end: int) -> slice:
    """First and last pixel with a margin that is 0.03 inches wide in print, at least two pixels, inside the map."""
    margin = max(2, round(0.03 / area.scale))
    return slice(max(0, int(pixels.min()) - margin), min(end, int(pixels.max()) + 1 + margin))


def _circle(
    area: MapArea, components: Components, index: int, *, colour: str, dashes: str = "-", width: float = 1.0
) -> None:
    row, col = components.centroids[index]
    own = float(np.sqrt(components.areas[index] / np.pi)) * area.scale
    radius = max(0.05, 1.6 * own + 0.02)
    middle = area.at(row + 0.5, col + 0.5)
    area.mark(Circle(middle, radius, fill=False, edgecolor=colour, linewidth=width, linestyle=dashes))


def _inset(
    area: MapArea, shown: NDArray[Any], limits: tuple[float, float], *, window: tuple[slice, slice], avoid: Points
) -> None:
    """Enlarge a window in the corner farthest from all marks, and frame it in the map."""
    rows, cols = window
    side = rows.stop - rows.start
    wide = min(0.4 * min(shown.shape), ZOOM * side)
    top, left = farthest_corner(avoid, shown.shape, side=wide)
    enlarged = MapArea(area.axes, *area.at(top, left), area.scale * wide / side)
    enlarged.show(shown[rows, cols], limits)
    enlarged.frame(slice(0, side), slice(0, side), colour=INSET, width=0.8)
    area.frame(rows, cols, colour=INSET, width=0.5)


def zoom_window(targets: Components, index: int, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """The square around a target, inside the image: at least 16 pixels and twice the target's extent."""
    mine = targets.owner == index
    rows, cols = targets.rows[mine], targets.cols[mine]
    side = min(max(16, 2 * int(max(np.ptp(rows), np.ptp(cols)) + 1)), *shape[:2])
    centre = targets.centroids[index]
    top, left = (int(np.clip(round(c - side / 2), 0, n - side)) for c, n in zip(centre, shape, strict=True))
    return slice(top, top + side), slice(left, left + side)


def farthest_corner(marked: Points, shape: tuple[int, ...], *, side: float) -> tuple[float, float]:
    """Top and left, in pixels, of the square of that side in the corner farthest from any marked place."""
    bottom, right = shape[0] - side, shape[1] - side
    corners = [(0.0, 0.0), (0.0, right), (bottom, right), (bottom, 0.0)]

    def distance(corner: tuple[float, float]) -> float:
        return float(np.min(np.linalg.norm(marked - (np.array(corner) + side / 2), axis=1)))

    return max(corners, key=distance)


def _legend(axes: Axes) -> None:
    """Draw the legend of circles, boxes and frames below the rows."""
    style: dict[str, Any] = {"fill": False, "linewidth": 1.0, "path_effects": HALO}
    samples = [
        Circle((0, 0), edgecolor=TARGET, label="target", **style),
        Circle((0, 0), edgecolor=FOUND, label="found", **style),
        Circle((0, 0), edgecolor=MISSED, linestyle=":", label="missed", **style),
        Rectangle((0, 0), 1, 1, edgecolor=ALARM, linestyle="--", label="false alarm", **style),
        Rectangle((0, 0), 1, 1, edgecolor="0.5", label="enlarged", fill=False, linewidth=0.8),
    ]
    axes.legend(
        handles=samples,
        loc="lower center",
        ncols=5,
        handler_map={Circle: HandlerPatch(_ring), Rectangle: HandlerPatch(_box)},
        frameon=False,
        borderaxespad=0.1,
        handletextpad=0.1,
        columnspacing=1.2,
    )


def _ring(*, width: float, height: float, **_: Any) -> Patch:
    return Circle((width / 2, height / 2), 0.65 * height)


def _box(*, width: float, height: float, **_: Any) -> Patch:
    return Rectangle((width / 2 - 0.6 * height, -0.1 * height), 1.2 * height, 1.2 * height)
