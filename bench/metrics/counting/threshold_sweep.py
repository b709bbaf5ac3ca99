"""Every threshold in one pass: components that grow and merge as the threshold falls, compiled.

Pixels join from the highest level down. `grow` follows, with a union-find over pixels, which components merge when;
this depends on the map and the connectivity alone. The sweeps replay the merges and carry along what a matching rule
asks for, so that after each level that occurs the numbers of that threshold are there, equal to labelling it again.
What changes from one level to the next is a step, so that the steps of images add up to those of a list.

    matched, unmatched, area at threshold k  =  sum of the steps at all levels above k

P pixels above level 0, L levels that occur, M merges, T targets.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.arrays import IntArray, LevelArray, Points
from bench.metrics.counting.compiled import compiled
from bench.metrics.counting.labelling import find_root
from bench.metrics.counting.pairing import UNMATCHED, pair

Nodes = NDArray[np.int32]
Flags = NDArray[np.bool_]

DIGITS = 256
SIZE, FIRST, ROWS, COLS = 0, 1, 2, 3
"""Columns of what is kept of every component: pixels, first node, sums of rows and of columns."""

MATCHED, COMPONENTS, AREA = 0, 1, 2
"""Rows of steps: matched targets, components that are false alarms, pixels that are."""


@dataclass(frozen=True, eq=False)
class Growth:
    """The components of one map at all thresholds, as the merges that make them.

    A pixel is given as its node in the map with a frame of one node all around: (row + 1) * (W + 2) + column + 1.
    The frame spares every look at a neighbour the question whether it lies in the map.

    Attributes:
        height, width: of the map.
        nodes: (P,) pixels above level 0, highest level first, equal ones in raster order.
        levels: (L + 1,) the levels above 0 that occur, falling, and 0.
        ends: (L,) how many pixels have joined when all of a level have.
        merge_ends: (P,) how many merges there have been when a pixel has joined.
        kept, absorbed: (M,) nodes that stand for the two components of every merge, and from then on for none. Where no
            pixel is at level 0, the merges of the lowest level, which makes one component of all, are left out.
    """

    height: int
    width: int
    nodes: Nodes
    levels: LevelArray
    ends: Nodes
    merge_ends: Nodes
    kept: Nodes
    absorbed: Nodes


def grow(levels: LevelArray, connectivity: int) -> Growth:
    """Follow the components of a map (H, W) through all thresholds."""
    height, width = levels.shape
    nodes, pixel_levels = _falling_order(np.ascontiguousarray(levels))
    last_of_level = np.flatnonzero(np.diff(pixel_levels, append=np.uint16(0)))
    used, ends = np.append(pixel_levels[last_of_level], np.uint16(0)), (last_of_level + 1).astype(np.int32)
    stop = len(nodes)
    if stop == height * width:
        stop = int(ends[-2]) if len(ends) > 1 else 0
    merges = _merge(nodes, stop, height, width, connectivity)
    return Growth(height, width, nodes, used, ends, *merges)


@compiled
def _falling_order(levels: LevelArray) -> tuple[Nodes, LevelArray]:
    """The pixels of a map (H, W) above level 0, highest level first, equal ones in raster order, and their levels.

    A radix sort of two digits: it takes two passes whatever the levels are, and keeps equal ones in their order.
    """
    height, width = levels.shape
    nodes, values = np.empty(height * width, np.int32), np.empty(height * width, np.uint16)
    count = 0
    for row in range(height):
        for col in range(width):
            if levels[row, col]:
                nodes[count], values[count] = (row + 1) * (width + 2) + col + 1, levels[row, col]
                count += 1
    other_nodes, other_values = np.empty(count, np.int32), np.empty(count, np.uint16)
    for shift in (0, 8):
        place = np.zeros(DIGITS + 1, np.int64)
        for number in range(count):  # counted from the highest digit down, so that the order falls
            place[DIGITS - ((values[number] >> shift) & 255)] += 1
        for digit in range(DIGITS):
            place[digit + 1] += place[digit]
        for number in range(count):
            digit = DIGITS - 1 - ((values[number] >> shift) & 255)
            other_nodes[place[digit]], other_values[place[digit]] = nodes[number], values[number]
            place[digit] += 1
        for number in range(count):
            nodes[number], values[number] = other_nodes[number], other_values[number]
    return nodes[:count], values[:count]


@compiled
def _neighbours(wide: int, connectivity: int) -> IntArray:
    """Offsets of a node's neighbours in a framed map of that width: left, right, above, below, then the diagonals."""
    near = np.array([-1, 1, -wide, wide, -wide - 1, -wide + 1, wide - 1, wide + 1])
    return near[:connectivity]


@compiled
def _merge(nodes: Nodes, stop: int, height: int, width: int, connectivity: int) -> tuple[Nodes, Nodes, Nodes]:
    """The merges that the first pixels up to `stop` make: `merge_ends`, `kept` and `absorbed` of `Growth`."""
    room = (height + 2) * (width + 2)
    offsets = _neighbours(width + 2, connectivity)
    parent = np.full(room, -1, np.int32)  # -1: not joined yet, and so the frame for ever
    size = np.empty(room, np.int32)
    merge_ends = np.empty(len(nodes), np.int32)
    kept, absorbed = np.empty(len(nodes), np.int32), np.empty(len(nodes), np.int32)
    count = 0
    for number in range(stop):
        node = nodes[number]
        root = node
        parent[root], size[root] = root, 1
        for offset in offsets:
            if parent[node + offset] < 0:
                continue
            other = find_root(parent, node + offset)
            if other == root:
                continue
            if size[other] > size[root]:  # the smaller hangs on the larger, so that paths stay short
                root, other = other, root
            parent[other] = root
            size[root] += size[other]
            kept[count], absorbed[count] = root, other
            count += 1
        merge_ends[number] = count
    return merge_ends, kept[:count], absorbed[:count]


@compiled
def _zone(targets: Points, limit: float, height: int, width: int) -> Flags:
    """Cells that a component's centroid lies in if it is near a target, and some more: one cell for rounding."""
    zone = np.zeros((height, width), np.bool_)
    for target in range(len(targets)):
        row, col = targets[target]
        top, bottom = max(0, int(np.floor(row - limit)) - 1), min(height - 1, int(np.floor(row + limit)) + 1)
        left, right = max(0, int(np.floor(col - limit)) - 1), min(width - 1, int(np.floor(col + limit)) + 1)
        zone[top : bottom + 1, left : right + 1] = True
    return zone


def sweep_pairs(growth: Growth, targets: Points, *, rule: int, limit: float) -> IntArray:
    """(3, L + 1) steps of a map whose targets (T, 2) are paired with components by distance."""
    zone = _zone(targets, limit, growth.height, growth.width)
    return _sweep_pairs(
        *(growth.nodes, growth.ends, growth.merge_ends, growth.kept, growth.absorbed), zone, targets, rule, limit
    )


@compiled
def _sweep_pairs(
    nodes: Nodes,
    ends: Nodes,
    merge_ends: Nodes,
    kept: Nodes,
    absorbed: Nodes,
    zone: Flags,
    targets: Points,
    rule: int,
    limit: float,
) -> IntArray:
    height, width = zone.shape
    wide, room = width + 2, (height + 2) * (width + 2)
    per_row = 1 / wide
    parts = np.empty((room, 4), np.int64)  # of every root, side by side in memory
    is_root = np.zeros(room, np.bool_)
    is_near, is_listed = np.zeros(room, np.bool_), np.zeros(room, np.bool_)
    seen = np.full(room, -1, np.int32)
    listed = np.empty(64, np.int32)  # roots near a target: all that pairing ever has to look at
    steps = np.zeros((3, len(ends) + 1), np.int64)
    listed_count = components = matched = matched_area = 0
    end = merge = 0
    for step in range(len(ends)):
        begin, end = end, ends[step]
        was_alarms, was_alarm_area, was_matched = components - matched, begin - matched_area, matched
        is_changed = False  # whether a component near a target is another than before; pairs are the same otherwise
        is_whole = end == height * width
        if is_whole:  # the whole map: one component, whatever it grew from
            root = wide + 1
            for number in range(listed_count):
                is_near[listed[number]] = False
            components, is_root[root] = 1, True
            parts[root, SIZE], parts[root, FIRST] = end, root
            parts[root, ROWS] = width * (height * (height - 1) // 2)
            parts[root, COLS] = height * (width * (width - 1) // 2)
            is_changed = True
        else:
            for number in range(begin, end):
                root = nodes[number]
                line = int((root + 0.5) * per_row)  # root // wide, without the slow division of integers
                parts[root, SIZE], parts[root, FIRST] = 1, root
                parts[root, ROWS], parts[root, COLS] = line - 1, root - line * wide - 1
                is_root[root] = True
                components += 1
                while merge < merge_ends[number]:
                    root, other = kept[merge], absorbed[merge]
                    is_changed |= is_near[root] or is_near[other]
                    is_root[other] = False
                    parts[root, SIZE] += parts[other, SIZE]
                    parts[root, ROWS] += parts[other, ROWS]
                    parts[root, COLS] += parts[other, COLS]
                    parts[root, FIRST] = min(parts[root, FIRST], parts[other, FIRST])
                    components -= 1
                    merge += 1
        if len(targets):
            for number in range(end - 1 if is_whole else begin, end):
                root = nodes[number]
                if is_whole:
                    root = wide + 1
                elif number and merge_ends[number] > merge_ends[number - 1]:
                    root = kept[merge_ends[number] - 1]
                if seen[root] == begin or not is_root[root]:  # absorbed later in this level: seen with what absorbed it
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
            listed_count = _keep_near(listed, listed_count, is_root, is_near, is_listed, parts)
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
        steps[MATCHED, step] = matched - was_matched
        steps[COMPONENTS, step] = components - matched - was_alarms
        steps[AREA, step] = end - matched_area - was_alarm_area
    return steps


@compiled
def _with_room(listed: Nodes, count: int) -> Nodes:
    """The list, longer where it is full."""
    if count < len(listed):
        return listed
    longer = np.empty(4 * len(listed), np.int32)
    longer[:count] = listed
    return longer


@compiled
def _keep_near(listed: Nodes, count: int, is_root: Flags, is_near: Flags, is_listed: Flags, parts: IntArray) -> int:
    """Bring the listed nodes that are still roots near a target to the front, in raster order; return their number.

    Raster order is what every pairing rule breaks ties by. The list is nearly sorted, which suits insertion.
    """
    count_kept = 0
    for number in range(count):
        root = listed[number]
        if not is_root[root] or not is_near[root]:
            is_listed[root] = False
            continue
        place = count_kept
        while place and parts[listed[place - 1], FIRST] > parts[root, FIRST]:
            listed[place] = listed[place - 1]
            place -= 1
        listed[place] = root
        count_kept += 1
    return count_kept


def sweep_untouched(growth: Growth, zone: Flags) -> IntArray:
    """(3, L + 1) steps of the components of a map that have no pixel in a zone (H, W), and of their pixels."""
    return _sweep_untouched(growth.nodes, growth.ends, growth.merge_ends, growth.kept, growth.absorbed, zone)


@compiled
def _sweep_untouched(
    nodes: Nodes, ends: Nodes, merge_ends: Nodes, kept: Nodes, absorbed: Nodes, zone: Flags
) -> IntArray:
    height, width = zone.shape
    wide, room = width + 2, (height + 2) * (width + 2)
    per_row = 1 / wide
    size = np.empty(room, np.int32)
    is_touching = np.empty(room, np.bool_)
    steps = np.zeros((3, len(ends) + 1), np.int64)
    components = area = 0
    end = merge = 0
    for step in range(len(ends)):
        begin, end = end, ends[step]
        was_components, was_area = components, area
        if end == height * width:  # the whole map: one component, which touches the zone unless that is empty
            components = 0 if zone.any() else 1
            area = components * end
        else:
            for number in range(begin, end):
                root = nodes[number]
                line = int((root + 0.5) * per_row)
                size[root] = 1
                is_touching[root] = zone[line - 1, root - line * wide - 1]
                if not is_touching[root]:
                    components += 1
                    area += 1
                while merge < merge_ends[number]:
                    root, other = kept[merge], absorbed[merge]
                    if not (is_touching[root] and is_touching[other]):  # one alarm less: it merges, or comes to touch
                        components -= 1
                    if is_touching[root] != is_touching[other]:
                        area -= size[other] if is_touching[root] else size[root]
                        is_touching[root] = True
                    size[root] += size[other]
                    merge += 1
        steps[COMPONENTS, step] = components - was_components
        steps[AREA, step] = area - was_area
    return steps


def count_levels(growth: Growth, positive: Flags) -> tuple[IntArray, IntArray]:
    """(L + 1,) pixels of a map at each of its levels: those positive on another map (H, W), and the others."""
    on, off = _count_levels(growth.nodes, growth.ends, positive)
    on[-1] = np.count_nonzero(positive) - on.sum()
    off[-1] = positive.size - len(growth.nodes) - on[-1]
    return on, off


@compiled
def _count_levels(nodes: Nodes, ends: Nodes, positive: Flags) -> tuple[IntArray, IntArray]:
    wide = positive.shape[1] + 2
    per_row = 1 / wide
    on, off = np.zeros(len(ends) + 1, np.int64), np.zeros(len(ends) + 1, np.int64)
    number = 0
    for step in range(len(ends)):
        begin = number
        while number < ends[step]:
            line = int((nodes[number] + 0.5) * per_row)
            on[step] += positive[line - 1, nodes[number] - line * wide - 1]
            number += 1
        off[step] = number - begin - on[step]
    return on, off


@compiled
def coarse_levels(levels: LevelArray, step: int) -> LevelArray:
    """The levels of a map (H, W) rounded up to multiples of a step, 65535 at most.

    A pixel is above k * step after as before, for every k * step below 65535.
    """
    height, width = levels.shape
    coarse = np.empty((height, width), np.uint16)
    for row in range(height):
        for col in range(width):
            coarse[row, col] = min((levels[row, col] + step - 1) // step * step, 65535)
    return coarse
