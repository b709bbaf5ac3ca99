"""One-to-one choices between targets and components by the distance of their centroids, compiled.

Every function takes the centroids of targets (T, 2) and of components (C, 2), both in raster order, in pixels, and
gives each target's component, or -1. Distances are Euclidean, in float64, and a pair is possible where its distance is
less than the limit, so that a distance of exactly the limit is a miss.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.arrays import IntArray, Points
from bench.metrics.counting.compiled import compiled

UNMATCHED = -1
GREEDY, NEAREST, OPTIMAL = 0, 1, 2


@compiled
def distance_of(targets: Points, target: int, found: Points, component: int) -> float:
    """Pixels between two centroids."""
    rows, cols = found[component, 0] - targets[target, 0], found[component, 1] - targets[target, 1]
    # The root is taken although squares order alike: 3 px is compared as the published codes do, to the last bit.
    return np.sqrt(rows * rows + cols * cols)  # type: ignore[no-any-return]


@compiled
def pair_greedily(targets: Points, found: Points, limit: float) -> IntArray:
    """Targets in raster order each take the first component, in raster order, that is free and near enough.

    That is neither the nearest component nor the best assignment.

    Source: the rule of BasicIRSTD, DNANet and DFINet.
    """
    partner = np.full(len(targets), UNMATCHED, np.int64)
    is_free = np.ones(len(found), np.bool_)
    for target in range(len(targets)):
        for component in range(len(found)):
            if is_free[component] and distance_of(targets, target, found, component) < limit:
                partner[target] = component
                is_free[component] = False
                break
    return partner


@compiled
def pair_nearest(targets: Points, found: Points, limit: float) -> IntArray:
    """The nearest pair first, then the nearest of what is left; equal distances in raster order, targets first."""
    partner = np.full(len(targets), UNMATCHED, np.int64)
    is_free = np.ones(len(found), np.bool_)
    for _ in range(len(targets)):
        best, best_target, best_component = limit, UNMATCHED, UNMATCHED
        for target in range(len(targets)):
            if partner[target] != UNMATCHED:
                continue
            for component in range(len(found)):
                if is_free[component]:
                    apart = distance_of(targets, target, found, component)
                    if apart < best:  # strictly, so that of equal distances the first in raster order stays
                        best, best_target, best_component = apart, target, component
        if best_target == UNMATCHED:
            break
        partner[best_target] = best_component
        is_free[best_component] = False
    return partner


@compiled
def pair_optimally(targets: Points, found: Points, limit: float) -> IntArray:
    """As many pairs as can be; of those choices one with the least sum of distances.

    The Hungarian method with potentials, a row a target and a column a component that is near any target; behind them
    as many columns that stand for no component, whose cost is more than any sum of distances.

    Source: Kuhn, Naval Research Logistics 2, 1955, in the form of shortest augmenting paths.
    """
    near = _near_any(targets, found, limit)  # the cost is cubic in what is left, and most components are far away
    rows, columns = len(targets), len(near) + len(targets)
    none = (rows + 1) * limit
    cost = np.full((rows, columns), none)
    for target in range(rows):
        for place in range(len(near)):
            apart = distance_of(targets, target, found, near[place])
            cost[target, place] = apart if apart < limit else 2 * none  # dearer than to have no component
    partner = np.full(rows, UNMATCHED, np.int64)
    chosen = _assign(cost)
    for column in range(len(near)):
        if chosen[column] != UNMATCHED and cost[chosen[column], column] < limit:
            partner[chosen[column]] = near[column]
    return partner


@compiled
def _near_any(targets: Points, found: Points, limit: float) -> IntArray:
    near = np.empty(len(found), np.int64)
    count = 0
    for component in range(len(found)):
        for target in range(len(targets)):
            if distance_of(targets, target, found, component) < limit:
                near[count] = component
                count += 1
                break
    return near[:count]


@compiled
def _assign(cost: NDArray[np.float64]) -> IntArray:
    """The row that each column of a cost matrix (n, m), n <= m, goes to at the least total cost, or -1."""
    rows, columns = cost.shape
    row_price, column_price = np.zeros(rows), np.zeros(columns)
    owner = np.full(columns + 1, UNMATCHED, np.int64)  # the last column is where a path begins
    for row in range(rows):
        owner[columns] = row
        reach, is_used = np.full(columns, np.inf), np.zeros(columns + 1, np.bool_)
        previous = np.full(columns, columns, np.int64)
        column = columns
        while owner[column] != UNMATCHED:
            is_used[column] = True
            step, closest = np.inf, UNMATCHED  # the cheapest way on from all columns reached so far
            for other in range(columns):
                if is_used[other]:
                    continue
                slack = cost[owner[column], other] - row_price[owner[column]] - column_price[other]
                if slack < reach[other]:
                    reach[other], previous[other] = slack, column
                if reach[other] < step:
                    step, closest = reach[other], other
            row_price[row] += step  # prices keep reduced costs of taken pairs at zero, the others at or above it
            for other in range(columns):
                if is_used[other]:
                    row_price[owner[other]] += step
                    column_price[other] -= step
                else:
                    reach[other] -= step
            column = closest
        while column != columns:  # a free column is reached: every row on the path moves one column on
            owner[column] = owner[previous[column]]
            column = previous[column]
    return owner[:columns]


@compiled
def pair(rule: int, targets: Points, found: Points, limit: float) -> IntArray:
    """The choice by one of the rules `GREEDY`, `NEAREST`, `OPTIMAL`."""
    if rule == NEAREST:
        return pair_nearest(targets, found, limit)
    if rule == OPTIMAL:
        return pair_optimally(targets, found, limit)
    return pair_greedily(targets, found, limit)
