"""Connected components of a binary map, and which of them match which targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Connectivity = Literal[4, 8]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

NEIGHBOURS = {
    4: np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], dtype=bool),
    8: np.ones((3, 3), dtype=bool),
}
UNMATCHED = -1


@dataclass(frozen=True, eq=False)
class Components:
    """The components of one map, in raster order: by their first pixel in a row-major scan.

    Attributes:
        rows, cols: (P,) coordinates of the map's positive pixels, in raster order.
        owner: (P,) which component each of those pixels belongs to.
        areas: (C,) pixels.
        centroids: (C, 2) mean row and mean column, pixels.
    """

    rows: IntArray
    cols: IntArray
    owner: IntArray
    areas: IntArray
    centroids: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.areas)


def find_components(positive: BoolArray, *, connectivity: Connectivity = 8) -> Components:
    """The connected components of a map (H, W), in raster order (scipy numbers them so; the tests hold it to that).

    >>> find_components(np.array([[0, 1, 0, 0], [1, 0, 0, 1]], dtype=bool)).areas.tolist()
    [2, 1]
    """
    pixels = np.flatnonzero(positive)
    rows, cols = np.divmod(pixels, max(positive.shape[1], 1))
    if not len(pixels):
        return Components(rows, cols, pixels, pixels, np.zeros((0, 2)))
    labels, _ = ndimage.label(positive, structure=NEIGHBOURS[connectivity])
    owner = labels.ravel()[pixels].astype(np.int64) - 1
    areas = np.bincount(owner)
    sums = np.stack([np.bincount(owner, weights=rows), np.bincount(owner, weights=cols)], axis=1)
    return Components(rows, cols, owner, areas, sums / areas[:, None])


def match_targets(targets: Components, found: Components, *, distance: float) -> IntArray:
    """For each target, the found component it is matched with, or -1: the greedy rule of BasicIRSTD and DFINet.

    Targets in raster order each take the first component, in raster order, that is still free and whose centroid is
    nearer than `distance` pixels. That is neither the nearest component nor the best assignment.
    Distances are Euclidean, in float64, as in the published code, so that a distance of exactly `distance` is a miss.

    >>> target = find_components(np.array([[0, 1, 1, 0, 0, 0]], dtype=bool))
    >>> found = find_components(np.array([[1, 0, 0, 0, 1, 0]], dtype=bool))
    >>> match_targets(target, found, distance=3.0).tolist()
    [0]
    >>> match_targets(target, found, distance=1.5).tolist()
    [-1]
    """
    partner = np.full(len(targets), UNMATCHED, dtype=np.int64)
    is_free = np.ones(len(found), dtype=bool)
    for t, centroid in enumerate(targets.centroids):
        offset = found.centroids - centroid
        is_near = np.sqrt(offset[:, 0] ** 2 + offset[:, 1] ** 2) < distance
        candidates = np.flatnonzero(is_near & is_free)
        if len(candidates):
            partner[t] = candidates[0]
            is_free[candidates[0]] = False
    return partner
