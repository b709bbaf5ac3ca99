"""Every threshold in one pass: components that grow and merge as the threshold falls, compiled.

Pixels join from the highest level down. A union-find over pixels carries area, sums of coordinates and first pixel of
every component; after each level that occurs, the numbers of that threshold are there, equal to labelling the map anew.
What changes from one level to the next is added to `steps`, so that the steps of images add up to those of a list.

    matched, unmatched, area at threshold k  =  sum of the steps at all levels above k
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.metrics.counting.compiled import compiled
from bench.metrics.counting.labelling import find_root
from bench.metrics.counting.pairing import UNMATCHED, pair

IntArray = NDArray[np.int64]
QArray = NDArray[np.uint16]
Points = NDArray[np.float64]
Nodes = NDArray[np.int32]
Flags = NDArray[np.bool_]

LEVELS = 65536
DIGITS = 256
SIZE, FIRST, ROWS, COLS = 0, 1, 2, 3
"""What is kept of every component: pixels, first node, sums of rows and of columns."""

MATCHED, COMPONENTS, AREA = 0, 1, 2
"""Rows of `steps`: matched targets, components that are false alarms, pixels that are."""


@compiled
def falling_order(q: QArray) -> tuple[Nodes, QArray]:
    """The pixels of a map (H, W) above level 0, highest level first, equal ones in raster order: a radix sort.

    A pixel is given as its node in the map with a frame of one node all around: (row + 1) * (W + 2) + column + 1.
    """
    height, width = q.shape
    nodes, levels = np.empty(height * width, np.int32), np.empty(height * width, np.uint16)
    count = 0
    for row in range(height):
        for col in range(width):
            if q[row, col]:
                nodes[count], levels[count] = (row + 1) * (width + 2) + col + 1, q[row, col]
                count += 1
    other_nodes, other_levels = np.empty(count, np.int32), np.empty(count, np.uint16)
    for shift in (0, 8):
        place = np.zeros(DIGITS + 1, np.int64)
        for number in range(count):
            place[DIGITS - ((levels[number] >> shift) & 255)] += 1
        for digit in range(DIGITS):
            place[digit + 1] += place[digit]
        for number in range(count):
            digit = DIGITS - 1 - ((levels[number] >> shift) & 255)
            other_nodes[place[digit]], other_levels[place[digit]] = nodes[number], levels[number]
            place[digit] += 1
        for number in range(count):
            nodes[number], levels[number] = other_nodes[number], other_levels[number]
    return nodes[:count], levels[:count]


@compiled
def _neighbours(width: int, connectivity: int) -> IntArray:
    """Offsets of a node's neighbours in a map of that width: left, right, above, below, then the diagonals."""
    near = np.array([-1, 1, -width, width, -width - 1, -width + 1, width - 1, width + 1])
    return near[:connectivity]


@compiled
def _zone(targets: Points, limit: float, height: int, width: int) -> NDArray[np.bool_]:
    """Cells that a component's centroid lies in if it is near a target, and some more: one cell for rounding."""
    zone = np.zeros((height, width), np.bool_)
    for target in range(len(targets)):
        row, col = targets[target]
        top, bottom = max(0, int(np.floor(row - limit)) - 1), min(height - 1, int(np.floor(row + limit)) + 1)
        left, right = max(0, int(np.floor(col - limit)) - 1), min(width - 1, int(np.floor(col + limit)) + 1)
        zone[top : bottom + 1, left : right + 1] = True
    return zone


@compiled
def sweep_pairs(q: QArray, targets: Points, connectivity: int, rule: int, limit: float, steps: IntArray) -> None:
    """Add the steps of one map (H, W), its targets (T, 2) paired with components by distance, to `steps` (3, 65536)."""
    height, width = q.shape
    wide, room = width + 2, (height + 2) * (width + 2)
    per_row = 1 / wide
    order, levels = falling_order(q)
    offsets = _neighbours(wide, connectivity)
    zone = _zone(targets, limit, height, width)
    parent = np.full(room, -1, np.int32)
    parts = np.empty((room, 4), np.int64)  # of every root, side by side in memory
    is_near, is_listed = np.zeros(room, np.bool_), np.zeros(room, np.bool_)
    seen = np.full(room, -1, np.int32)
    listed = np.empty(64, np.int32)
    listed_count = components = matched = matched_area = 0
    end = 0
    while end < len(order):
        begin, level = end, levels[end]
        was_alarms, was_alarm_area, was_matched = components - matched, begin - matched_area, matched
        while end < len(order) and levels[end] == level:
            end += 1
        is_changed = False
        if end == height * width:  # the whole map: one component, whatever it grew from
            root = wide + 1
            for number in range(listed_count):
                is_near[listed[number]] = False
            components, parent[root] = 1, root
            parts[root, SIZE], parts[root, FIRST] = end, root
            parts[root, ROWS] = width * (height * (height - 1) // 2)
            parts[root, COLS] = height * (width * (width - 1) // 2)
            begin, order[end - 1] = end - 1, root
            is_changed = True
        else:
            for number in range(begin, end):
                root = order[number]
                parent[root] = root
                line = int((root + 0.5) * per_row)
                parts[root, SIZE], parts[root, FIRST] = 1, root
                parts[root, ROWS], parts[root, COLS] = line - 1, root - line * wide - 1
                is_near[root] = False
                components += 1
                for offset in offsets:
                    if parent[order[number] + offset] < 0:
                        continue
                    other = find_root(parent, order[number] + offset)
                    if other == root:
                        continue
                    is_changed |= is_near[root] or is_near[other]
                    if parts[other, SIZE] > parts[root, SIZE]:
                        root, other = other, root
                    parent[other] = root
                    parts[root, SIZE] += parts[other, SIZE]
                    parts[root, ROWS] += parts[other, ROWS]
                    parts[root, COLS] += parts[other, COLS]
                    parts[root, FIRST] = min(parts[root, FIRST], parts[other, FIRST])
                    components -= 1
        if len(targets):
            for number in range(begin, end):
                root = find_root(parent, order[number])
                if seen[root] == begin:
                    continue
                seen[root] = begin
                is_near[root] = zone[
                    int(parts[root, ROWS] / parts[root, SIZE]), int(parts[root, COLS] / parts[root, SIZE])
                ]
                if is_near[root]:
                    is_changed = True
                    if not is_listed[root]:
                        is_listed[root] = True
                        listed = _with_room(listed, listed_count)
                        listed[listed_count] = root
                        listed_count += 1
        if is_changed:
            listed_count = _keep_near(listed, listed_count, parent, is_near, is_listed, parts)
            found = np.empty((listed_count, 2), np.float64)
            for number in range(listed_count):
                root = listed[number]
                found[number, 0] = parts[root, ROWS] / parts[root, SIZE]
                found[number, 1] = parts[root, COLS] / parts[root, SIZE]
            matched = matched_area = 0
            for component in pair(rule, targets, found, limit):
                if component != UNMATCHED:
                    matched += 1
                    matched_area += parts[listed[component], SIZE]
        steps[MATCHED, level] += matched - was_matched
        steps[COMPONENTS, level] += components - matched - was_alarms
        steps[AREA, level] += end - matched_area - was_alarm_area


@compiled
def _with_room(listed: Nodes, count: int) -> Nodes:
    """The list, longer where it is full."""
    if count < len(listed):
        return listed
    longer = np.empty(4 * len(listed), np.int32)
    longer[:count] = listed
    return longer


@compiled
def _keep_near(listed: Nodes, count: int, parent: Nodes, is_near: Flags, is_listed: Flags, parts: IntArray) -> int:
    """How many of the listed nodes are still roots near a target; those come to the front, in raster order."""
    kept = 0
    for number in range(count):
        root = listed[number]
        if parent[root] != root or not is_near[root]:
            is_listed[root] = False
            continue
        place = kept
        while place and parts[listed[place - 1], FIRST] > parts[root, FIRST]:
            listed[place] = listed[place - 1]
            place -= 1
        listed[place] = root
        kept += 1
    return kept


@compiled
def sweep_untouched(q: QArray, zone: Flags, connectivity: int, components: IntArray, areas: IntArray) -> None:
    """Add the steps of a map's components (H, W) that have no pixel in a zone (H, W), and of their pixels.

    Args:
        components, areas: (65536,) they are added to.
    """
    height, width = q.shape
    wide, room = width + 2, (height + 2) * (width + 2)
    order, levels = falling_order(q)
    offsets = _neighbours(wide, connectivity)
    parent, area = np.full(room, -1, np.int32), np.empty(room, np.int32)
    is_touching = np.empty(room, np.bool_)
    for number in range(len(order)):
        root, level = order[number], levels[number]
        parent[root], area[root] = root, 1
        is_touching[root] = zone[root // wide - 1, root % wide - 1]
        if not is_touching[root]:
            components[level] += 1
            areas[level] += 1
        for offset in offsets:
            if parent[order[number] + offset] < 0:
                continue
            other = find_root(parent, order[number] + offset)
            if other == root:
                continue
            if area[other] > area[root]:
                root, other = other, root
            if not (is_touching[root] and is_touching[other]):  # one alarm less: it merges, or comes to touch the zone
                components[level] -= 1
            if is_touching[root] != is_touching[other]:
                areas[level] -= area[other] if is_touching[root] else area[root]
                is_touching[root] = True
            parent[other] = root
            area[root] += area[other]


@compiled
def coarse_levels(q: QArray, step: int) -> QArray:
    """The levels of a map (H, W) rounded up to multiples of a step, 65535 at most.

    A pixel is above k * step after as before, for every k * step below 65535.
    """
    height, width = q.shape
    coarse = np.empty((height, width), np.uint16)
    for row in range(height):
        for col in range(width):
            coarse[row, col] = min((q[row, col] + step - 1) // step * step, 65535)
    return coarse


@compiled
def add_levels(q: QArray, positive: Flags, on: IntArray, off: IntArray) -> None:
    """Count every pixel of a map (H, W) in at its level: in `on` (65536,) where it is positive, in `off` elsewhere."""
    height, width = q.shape
    for row in range(height):
        for col in range(width):
            if positive[row, col]:
                on[q[row, col]] += 1
            else:
                off[q[row, col]] += 1
