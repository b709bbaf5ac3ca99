"""Connected components of a binary map."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.arrays import BoolArray, IntArray
from bench.metrics.counting.labelling import label_runs, measure_runs

Connectivity = Literal[4, 8]

REACH = {4: 0, 8: 1}


@dataclass(frozen=True, eq=False)
class Components:
    """The components of one map, in raster order: by their first pixel in a row-major scan.

    Attributes:
        run_rows, run_starts, run_ends: (S,) row, first column and column behind the last of every horizontal run of
            positive pixels, in raster order.
        run_owner: (S,) which component each run belongs to.
        areas: (C,) pixels.
        centroids: (C, 2) mean row and mean column, pixels.
    """

    run_rows: IntArray
    run_starts: IntArray
    run_ends: IntArray
    run_owner: IntArray
    areas: IntArray
    centroids: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.areas)

    @cached_property
    def rows(self) -> IntArray:
        """(P,) row of every positive pixel, in raster order."""
        return np.repeat(self.run_rows, self.run_ends - self.run_starts)

    @cached_property
    def cols(self) -> IntArray:
        """(P,) column of every positive pixel, in raster order."""
        lengths = self.run_ends - self.run_starts
        before = np.cumsum(lengths) - lengths
        return np.repeat(self.run_starts - before, lengths) + np.arange(lengths.sum())

    @cached_property
    def owner(self) -> IntArray:
        """(P,) which component every positive pixel belongs to, in raster order."""
        return np.repeat(self.run_owner, self.run_ends - self.run_starts)


def find_components(positive: BoolArray, *, connectivity: Connectivity = 8) -> Components:
    """The connected components of a map (H, W), in raster order: as scikit-image numbers them.

    >>> find_components(np.array([[0, 1, 0, 0], [1, 0, 0, 1]], dtype=bool)).areas.tolist()
    [2, 1]
    """
    rows, starts, ends, owner, count = label_runs(np.ascontiguousarray(positive), REACH[connectivity])
    areas, centroids = measure_runs(rows, starts, ends, owner, count)
    return Components(rows, starts, ends, owner, areas, centroids)
