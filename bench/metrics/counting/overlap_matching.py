"""Which components match which targets when overlap goes first: the matching behind hierarchical IoU."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from bench.arrays import BoolArray, FloatArray, IntArray
from bench.errors import RequestError
from bench.metrics.counting.components import Components
from bench.metrics.counting.pairing import UNMATCHED

OVERLAP = 0.5
"""Least IoU of a pair that overlap alone makes."""

DISTANCE = 3.0
"""A pair that distance makes has centroids nearer than this, pixels."""

TIE = 1e-9
"""Totals of distances nearer to each other than this are equal, pixels: sums of square roots are not exact."""


def match_overlap_priority(
    distances: FloatArray, ious: FloatArray, *, distance: float = DISTANCE, overlap: float = OVERLAP
) -> IntArray:
    """For each target, the component it is matched with, or -1: by overlap first, then by distance.

    First, all targets and components are assigned to each other with the least total distance, and of those pairs the
    ones whose IoU is at least `overlap` are kept. Then what is left is assigned in the same way, and the pairs nearer
    than `distance` are kept. As published, the first assignment is made over all pairs, not only over those that
    overlap. Where several assignments have the same least total, see `assign`.

    Args:
        distances: (T, C) between centroids, pixels.
        ious: (T, C) intersection over union.

    Source: pyirstdmetrics 1.0.2, `OPDCMatching`.
    Differs: no target and no component are made up on an image that has none; ties follow a rule.

    Raises:
        RequestError: when the tables differ in shape.

    >>> match_overlap_priority(np.array([[4.0, 0.5]]), np.array([[0.6, 0.1]])).tolist()  # 0.5 px is the least total
    [1]
    >>> match_overlap_priority(np.array([[4.0]]), np.array([[0.5]])).tolist()  # far, but half of it overlaps
    [0]
    >>> match_overlap_priority(np.array([[3.0]]), np.array([[0.4]])).tolist()
    [-1]
    """
    if distances.ndim != 2 or distances.shape != ious.shape:
        raise RequestError(f"distances have shape {distances.shape} and IoUs {ious.shape}, expected (T, C) of both")
    partner = np.full(len(distances), UNMATCHED, dtype=np.int64)
    _keep(partner, distances, ious >= overlap)
    _keep(partner, distances, distances < distance)
    return partner


def _keep(partner: IntArray, distances: FloatArray, wanted: BoolArray) -> None:
    """Assign what has no partner yet, and take the wanted pairs over."""
    if not wanted.any():  # the assignment is what costs
        return
    targets = np.flatnonzero(partner == UNMATCHED)
    free = np.setdiff1d(np.arange(distances.shape[1]), partner)
    rows, cols = assign(distances[np.ix_(targets, free)])
    rows, cols = targets[rows], free[cols]
    is_kept = wanted[rows, cols]
    partner[rows[is_kept]] = cols[is_kept]


def assign(distances: FloatArray) -> tuple[IntArray, IntArray]:
    """The pairs of an assignment with the least total distance, each row and each column at most once.

    Where several have that total, within 1e-9 px: of the side with fewer members (of the targets, where both have as
    many), each in raster order takes the first of the other side that it can.

    Args:
        distances: (T, C).

    Returns:
        Rows and columns of min(T, C) pairs.

    >>> [found.tolist() for found in assign(np.array([[2.0, 1.0, 1.0]]))]
    [[0], [1]]
    >>> [found.tolist() for found in assign(np.ones((3, 2)))]
    [[0, 1], [0, 1]]
    """
    if distances.shape[0] > distances.shape[1]:  # every row has to get a column below
        cols, rows = assign(distances.T)
        return rows, cols
    choice = np.asarray(linear_sum_assignment(distances)[1], dtype=np.int64)
    rows = np.arange(len(choice))
    rivals = _rivals(distances, choice)
    return rows, _first_in_order(distances, choice, rivals) if rivals.any() else choice


def _rivals(distances: FloatArray, choice: IntArray) -> BoolArray:
    """(T, C) pairs outside the assignment that another one with the same total may have; T is not above C.

    They are those whose reduced cost is zero. The prices that reduce costs are shortest paths in the residual graph,
    found by relaxing at most T times.
    """
    taken = distances[np.arange(len(choice)), choice]
    price = np.zeros(distances.shape[1])
    for _ in range(len(choice)):
        reach = (distances - (taken - price[choice])[:, None]).min(axis=0, initial=0.0)
        if (reach >= price - TIE / 10).all():  # what is left is rounding, well within TIE
            break
        price = np.minimum(price, reach)
    rivals = distances - (taken - price[choice])[:, None] - price <= TIE
    rivals[np.arange(len(choice)), choice] = False
    return np.asarray(rivals, dtype=np.bool_)


def _first_in_order(distances: FloatArray, choice: IntArray, rivals: BoolArray) -> IntArray:
    """Of the assignments with the same total, the one in which every row in turn has the first column it can."""
    rows = np.arange(len(choice))
    least = distances[rows, choice].sum()
    costs = distances.copy()
    barred = (len(rows) + 1) * (distances.max() + 1)  # more than any total, and finite as the solver wants it
    for row in rows:
        for column in np.flatnonzero(rivals[row, : choice[row]]):
            trial = costs.copy()
            trial[row], trial[row, column] = barred, costs[row, column]  # the row has no choice but this column
            other = np.asarray(linear_sum_assignment(trial)[1], dtype=np.int64)
            if trial[rows, other].sum() <= least + TIE:
                choice = other
                break
        fixed = costs[row, choice[row]]  # later rows must not undo what an earlier one has got
        costs[row], costs[:, choice[row]] = barred, barred
        costs[row, choice[row]] = fixed
    return choice


def pair_distances(targets: Components, found: Components) -> FloatArray:
    """(T, C) Euclidean distances between centroids, pixels, in float64 as the published codes compute them."""
    offset = targets.centroids[:, None, :] - found.centroids[None, :, :]
    return np.asarray(np.sqrt(offset[..., 0] ** 2 + offset[..., 1] ** 2), dtype=np.float64)


def pair_intersections(targets: Components, found: Components, *, width: int) -> IntArray:
    """(T, C) pixels that each target and each component have in common.

    Args:
        width: of the map that both were found in, pixels.

    >>> from bench.metrics.counting.components import find_components
    >>> one, other = np.array([[1, 1, 0, 1]], dtype=bool), np.array([[0, 1, 1, 1]], dtype=bool)
    >>> pair_intersections(find_components(one), find_components(other), width=4).tolist()
    [[1], [1]]
    """
    mine, theirs = targets.rows * width + targets.cols, found.rows * width + found.cols  # both ascending
    place = np.searchsorted(theirs, mine)
    is_shared = np.append(theirs, -1)[place] == mine
    pair = targets.owner[is_shared] * len(found) + found.owner[place[is_shared]]
    counts = np.bincount(pair, minlength=len(targets) * len(found))
    return counts.reshape(len(targets), len(found))


def pair_ious(targets: Components, found: Components, intersections: IntArray) -> FloatArray:
    """(T, C) intersection over union of each target and each component."""
    union = targets.areas[:, None] + found.areas[None, :] - intersections
    return np.asarray(intersections / union, dtype=np.float64)
