"""Labels beside their points, moved apart until none covers another label or a point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.text import Text
from numpy.typing import NDArray

from bench.arrays import FloatArray

DISTANCES = (1.5, 5, 9, 14, 20, 27, 35, 44, 54, 66, 80, 96, 114, 134, 156)
"""From the edge of a marker to its name, points."""

ANGLES = np.deg2rad([0, 45, 315, 90, 270, 135, 225, 180, 22, 338, 68, 292, 112, 248, 158, 202])
"""Directions from a marker to its name, preferred ones first: on a tie the first wins."""

SIDEWAYS = 0.3
"""Cosine from which on a name begins (or ends) where its direction points, instead of being centred there."""

OVER_NAME, OVER_POINT, ACROSS_NAME, ACROSS_POINT, ACROSS_LINE, NEARER = 60.0, 40.0, 150.0, 90.0, 60.0, 8.0
"""Costs, in points of distance: of a square point of a name or a marker that a name covers; of a name, a marker or a
line that its line crosses; of each point by which another marker is nearer to a name than its own."""

OVER_BAR, BAR = 4.0, 0.7
"""Cost of a square point of a bar that a name covers, and half the width of a bar, points."""

SWEEPS, CROWD = 6, 60.0
"""Passes in which every name may move again, and distance within which markers crowd each other, points."""

LINE_FROM = 4.0
"""Least distance between a marker and a name that are joined by a line, points."""

PAD, MARGIN = 0.8, 2.0
"""Room around a name, and between names and the panel's border, points."""


@dataclass(frozen=True, eq=False)
class Anchor:
    """A point with a name.

    Attributes:
        x, y: in data coordinates.
        radius: of its marker, points.
        text: the name.
        colour: of the name.
        weight: `normal` or `bold`.
        bar: lower and upper end of a vertical bar through the point, in data coordinates, or None.
    """

    x: float
    y: float
    radius: float
    text: str
    colour: str
    weight: str = "normal"
    bar: tuple[float, float] | None = None


def draw_labels(axes: Axes, anchors: Sequence[Anchor], *, size: float) -> list[Text]:
    """Write every anchor's name into axes whose limits are final; a thin line joins a name that had to move away.

    Args:
        size: of the letters, points.
    """
    scale = axes.figure.dpi / 72
    centres = axes.transData.transform([(a.x, a.y) for a in anchors]) / scale
    texts = [
        axes.text(
            a.x,
            a.y,
            a.text,
            fontsize=size,
            color=a.colour,
            fontweight=a.weight,
            va="center",
            ha="center",
            zorder=6,
            bbox={"facecolor": (1, 1, 1, 0.7), "linewidth": 0, "pad": 0.3},
        )
        for a in anchors
    ]
    extents = [text.get_window_extent() for text in texts]
    sizes = np.array([(box.width, box.height) for box in extents]) / scale + 2 * PAD
    bounds = np.array(axes.get_window_extent().extents) / scale + np.array([1, 1, -1, -1]) * MARGIN
    tips = [axes.transData.transform([(a.x, end) for end in a.bar or (a.y, a.y)]) / scale for a in anchors]
    bars = np.array([(low[0] - BAR, low[1], high[0] + BAR, high[1]) for low, high in tips]).reshape(-1, 4)
    layout = LabelLayout(centres, np.array([a.radius for a in anchors]), sizes, bounds, bars=bars)
    to_data = axes.transData.inverted()
    for text, box, anchor, centre in zip(texts, layout.place(), anchors, centres, strict=True):
        across, up = to_data.transform((box[:2] + box[2:]) / 2 * scale)
        text.set_position((float(across), float(up)))
        near = np.clip(centre, box[:2] + PAD, box[2:] - PAD)
        if np.hypot(*(near - centre)) > anchor.radius + LINE_FROM:
            ends = to_data.transform(np.array([centre, near]) * scale)
            axes.plot(*ends.T, color=anchor.colour, linewidth=0.5, marker="o", markersize=1.6, markevery=[0], zorder=5)
    return texts


class LabelLayout:
    """Boxes for names around markers.

    Args:
        centres: (N, 2) of the markers, points.
        radii: (N,) of the markers, points.
        sizes: (N, 2) width and height of the names, points.
        bounds: left, bottom, right and top that no name may leave.
        bars: (M, 4) left, bottom, right and top of further places to keep free.
    """

    def __init__(
        self,
        centres: FloatArray,
        radii: FloatArray,
        sizes: FloatArray,
        bounds: FloatArray,
        *,
        bars: FloatArray | None = None,
    ) -> None:
        self.centres, self.radii, self.sizes, self.bounds = centres, radii, sizes, bounds
        self.bars = np.zeros((0, 4)) if bars is None else bars
        self.markers = np.hstack([centres - radii[:, None], centres + radii[:, None]])  # (N, 4)

    def place(self) -> FloatArray:
        """(N, 4) left, bottom, right and top of every name: the cheapest layout of several orders of placing."""
        gaps = np.hypot(*(self.centres[:, None] - self.centres[None]).transpose(2, 0, 1))
        crowded, across, up = -(gaps < CROWD).sum(1), self.centres[:, 0], self.centres[:, 1]
        orders = [np.argsort(keys, kind="stable") for keys in (crowded, across, -across, up, -up, -self.sizes[:, 0])]
        return min(map(self._place, orders), key=self._total)

    def _place(self, order: NDArray[np.int64]) -> FloatArray:
        """Place every name in that order, then each again beside all others until none moves."""
        boxes = np.full((len(self.centres), 4), np.nan)
        for _ in range(SWEEPS):
            before = boxes.copy()
            for index in order:
                boxes[index] = np.nan
                candidates = self._candidates(index)
                boxes[index] = candidates[int(np.argmin(self._costs(index, candidates, boxes)))]
            if np.array_equal(before, boxes):
                break
        return boxes

    def _total(self, boxes: FloatArray) -> float:
        return float(sum(self._costs(index, boxes[[index]], boxes)[0] for index in range(len(boxes))))

    def _costs(self, index: int, candidates: FloatArray, boxes: FloatArray) -> FloatArray:
        """(K,) what each candidate box (K, 4) of a name costs beside the others' boxes (nan where not placed yet)."""
        others = np.arange(len(boxes)) != index
        placed = others & ~np.isnan(boxes[:, 0])
        ends = np.clip(self.centres[index], candidates[:, :2], candidates[:, 2:])  # (K, 2)
        starts = np.broadcast_to(self.centres[index], ends.shape)
        length = np.maximum(np.hypot(*(ends - starts).T) - self.radii[index], 0)
        cost = length + OVER_NAME * _overlap(candidates, boxes[placed]).sum(1)
        cost += OVER_POINT * _overlap(candidates, self.markers).sum(1)
        cost += OVER_BAR * _overlap(candidates, self.bars).sum(1)
        cost += NEARER * np.maximum(length[:, None] + 1 - self._gaps(candidates)[:, others], 0).sum(1)
        has_line = length > LINE_FROM
        lines = np.clip(self.centres[placed], boxes[placed, :2], boxes[placed, 2:])  # (P, 2)
        drawn = np.hypot(*(lines - self.centres[placed]).T) - self.radii[placed] > LINE_FROM
        crossed = _cross_boxes(starts, ends, boxes[placed]).sum(1) * ACROSS_NAME
        crossed += _cross_boxes(starts, ends, self.markers[others]).sum(1) * ACROSS_POINT
        crossed += _cross(starts, ends, self.centres[placed][drawn], lines[drawn]).sum(1) * ACROSS_LINE
        cost += has_line * crossed
        theirs = _cross_boxes(self.centres[placed][drawn], lines[drawn], candidates)  # (P, K)
        return np.asarray(cost + ACROSS_NAME * theirs.sum(0))

    def _gaps(self, boxes: FloatArray) -> FloatArray:
        """(K, N) from boxes (K, 4) to the edges of all markers."""
        nearest = np.clip(self.centres[None], boxes[:, None, :2], boxes[:, None, 2:])  # (K, N, 2)
        return np.asarray(np.hypot(*(nearest - self.centres).transpose(2, 0, 1)) - self.radii)

    def _candidates(self, index: int) -> FloatArray:
        """(K, 4) boxes around a marker, near and preferred ones first; all are moved inside the bounds."""
        directions = np.stack([np.cos(ANGLES), np.sin(ANGLES)], 1)  # (A, 2)
        half = self.sizes[index] / 2
        reach = self.radii[index] + np.array(DISTANCES)
        tips = self.centres[index] + reach[:, None, None] * directions  # (D, A, 2)
        shift = np.where(np.abs(directions) > SIDEWAYS, np.sign(directions), 0) * half  # (A, 2)
        middles = np.clip((tips + shift).reshape(-1, 2), self.bounds[:2] + half, self.bounds[2:] - half)
        return np.hstack([middles - half, middles + half])


def _overlap(one: FloatArray, other: FloatArray) -> FloatArray:
    """(K, P) area that boxes (K, 4) and (P, 4) share."""
    low = np.maximum(one[:, None, :2], other[None, :, :2])
    high = np.minimum(one[:, None, 2:], other[None, :, 2:])
    return np.asarray(np.prod(np.maximum(high - low, 0), axis=2))


def _cross(a: FloatArray, b: FloatArray, c: FloatArray, d: FloatArray) -> NDArray[np.bool_]:
    """(K, P) whether segments a-b (K, 2) and c-d (P, 2) cross."""

    def side(p: FloatArray, q: FloatArray, r: FloatArray) -> FloatArray:
        return np.asarray(
            (q[..., 0] - p[..., 0]) * (r[..., 1] - p[..., 1]) - (q[..., 1] - p[..., 1]) * (r[..., 0] - p[..., 0])
        )

    a, b, c, d = a[:, None], b[:, None], c[None], d[None]
    return np.asarray((side(a, b, c) * side(a, b, d) < 0) & (side(c, d, a) * side(c, d, b) < 0))


def _cross_boxes(a: FloatArray, b: FloatArray, boxes: FloatArray) -> NDArray[np.bool_]:
    """(K, P) whether segments a-b (K, 2) cross boxes (P, 4), which their diagonals stand for."""
    low, high = boxes[:, :2], boxes[:, 2:]
    left_top, right_bottom = boxes[:, [0, 3]], boxes[:, [2, 1]]
    return _cross(a, b, low, high) | _cross(a, b, left_top, right_bottom)
