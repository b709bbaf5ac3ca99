"""Connected components by runs of pixels, compiled: two passes over the rows, one union-find over the runs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.arrays import IntArray
from bench.metrics.counting.compiled import compiled

Runs = tuple[IntArray, IntArray, IntArray, IntArray, int]
"""Row, first column, column behind the last, and component of every run, in raster order; the components' number."""


@compiled
def find_root(parent: NDArray[Any], node: int) -> int:
    """The root of a node's tree; the path to it is halved on the way."""
    while parent[node] != node:
        parent[node] = parent[parent[node]]
        node = parent[node]
    return node


@compiled
def label_runs(positive: NDArray[np.bool_], reach: int) -> Runs:
    """The runs of positive pixels of a map (H, W) with the component of each, components in raster order.

    Args:
        reach: columns that a run looks beyond its ends in the row above: 1 for 8 neighbours, 0 for 4.
    """
    rows, starts, ends, count = _find_runs(positive)
    parent = np.arange(count)
    above, last_row = 0, -2
    first_of_row = 0
    for run in range(count):
        if rows[run] != last_row:  # a new row: those before it are what lies above, if they touch it
            above = first_of_row if last_row == rows[run] - 1 else run
            first_of_row = run
            last_row = rows[run]
        # Runs above that end before this one begins cannot touch later runs of the row either: never looked at again.
        while above < first_of_row and ends[above] + reach <= starts[run]:
            above += 1
        other = above
        while other < first_of_row and starts[other] < ends[run] + reach:
            one, two = find_root(parent, run), find_root(parent, other)
            if one < two:  # the earlier run stays the root, so that numbering roots in order is raster order
                parent[two] = one
            else:
                parent[one] = two
            other += 1
    owner, components = _number_roots(parent)
    return rows, starts, ends, owner, components


@compiled
def _find_runs(positive: NDArray[np.bool_]) -> tuple[IntArray, IntArray, IntArray, int]:
    """Rows, starts and ends of the runs; eight empty pixels in a line are passed at once."""
    height, width = positive.shape
    pixels = positive.reshape(-1)
    size = len(pixels)
    eights = pixels[: size // 8 * 8].view(np.uint64)  # nearly all pixels are empty, so eight are tested as one number
    room = height * ((width + 1) // 2)  # no row has more runs than this
    rows, starts, ends = np.empty(room, np.int64), np.empty(room, np.int64), np.empty(room, np.int64)
    count = at = 0
    while at < size:
        if not pixels[at]:
            at += 1
            if at & 7 == 0:
                while at + 8 <= size and eights[at >> 3] == 0:
                    at += 8
            continue
        row = at // width  # divided once a run, not once a pixel
        first, end = at, (row + 1) * width
        while at < end and pixels[at]:
            at += 1
        rows[count], starts[count], ends[count] = row, first - row * width, at - row * width
        count += 1
    return rows[:count], starts[:count], ends[:count], count


@compiled
def _number_roots(parent: IntArray) -> tuple[IntArray, int]:
    """Every run's component, numbered in the order of their first runs; roots come before what hangs on them."""
    owner = np.empty(len(parent), np.int64)
    components = 0
    for run in range(len(parent)):
        root = find_root(parent, run)
        if root == run:
            owner[run] = components
            components += 1
        else:
            owner[run] = owner[root]
    return owner, components


@compiled
def measure_runs(
    rows: IntArray, starts: IntArray, ends: IntArray, owner: IntArray, components: int
) -> tuple[IntArray, NDArray[np.float64]]:
    """Area (C,) in pixels and centroid (C, 2) of every component: sums of whole numbers over the area, in float64."""
    areas = np.zeros(components, np.int64)
    row_sums, col_sums = np.zeros(components, np.int64), np.zeros(components, np.int64)
    for run in range(len(rows)):
        length = ends[run] - starts[run]
        areas[owner[run]] += length
        row_sums[owner[run]] += rows[run] * length
        col_sums[owner[run]] += (starts[run] + ends[run] - 1) * length // 2  # whole: one of the factors is even
    centroids = np.empty((components, 2), np.float64)
    for one in range(components):
        centroids[one, 0] = row_sums[one] / areas[one]
        centroids[one, 1] = col_sums[one] / areas[one]
    return areas, centroids


@compiled
def count_under(rows: IntArray, starts: IntArray, ends: IntArray, positive: NDArray[np.bool_]) -> int:
    """Pixels of runs that are positive on another map (H, W)."""
    count = 0
    for run in range(len(rows)):
        for col in range(starts[run], ends[run]):
            count += positive[rows[run], col]
    return count


@compiled
def border_distances(
    rows: IntArray, starts: IntArray, ends: IntArray, owner: IntArray, components: int, height: int, width: int
) -> IntArray:
    """(C,) pixels between every component's outermost pixel and the border of a map (H, W); 0 on the first row."""
    nearest = np.full(components, max(height, width), np.int64)
    for run in range(len(rows)):
        to_border = min(rows[run], height - 1 - rows[run], starts[run], width - ends[run])
        nearest[owner[run]] = min(nearest[owner[run]], to_border)
    return nearest


@compiled
def area_unlike(areas: IntArray, is_alarm: NDArray[np.bool_]) -> int:
    """Pixels of the components whose area is that of no component that is not an alarm."""
    kept = areas[~is_alarm]  # few: a set would cost more than it saves
    total = 0
    for area in areas:
        is_unlike = True
        for other in kept:
            is_unlike &= other != area
        total += area if is_unlike else 0
    return total
