"""Detections and false alarms as the distance at which a target counts as found goes from 1 to 10 px."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from bench.errors import RequestError
from bench.metrics.counting.array_table import ArrayTable, Shape
from bench.metrics.counting.components import IntArray, find_components
from bench.metrics.counting.labelled_map import check_levels
from bench.metrics.counting.levels import LevelArray, threshold_level
from bench.metrics.counting.matching import PAIRINGS, match_one_to_one
from bench.metrics.counting.pairing import pair
from bench.metrics.counting.truth import FloatArray, Truth
from bench.types import Scoring

DISTANCES = tuple(range(1, 11))
"""Pixels, D of them."""


class PdFaByDistance(NamedTuple):
    """Probability of detection and false-alarm rate at every distance (D,); NaN where undefined."""

    pd: FloatArray
    fa: FloatArray


@dataclass(frozen=True, eq=False)
class DistanceTable(ArrayTable):
    """The integers of a test list at every distance: what `distances.npz` holds.

    Attributes:
        distances: (D,) pixels.
        targets, pixels: (N,) of every image.
        matched, unmatched_area: (D, N) as in `bench.metrics.counting.counts.ImageCounts`.
    """

    WHAT = "distances"

    distances: IntArray
    targets: IntArray
    pixels: IntArray
    matched: IntArray
    unmatched_area: IntArray

    def shapes(self) -> Mapping[str, Shape]:
        shape = (len(self.distances), len(self.targets))
        return {"pixels": shape[1:], "matched": shape, "unmatched_area": shape}


class DistanceCounts:
    """Counts a list at all distances, image by image; keeps integers alone."""

    def __init__(self, scoring: Scoring) -> None:
        if scoring.matching not in PAIRINGS:
            raise RequestError(f"distances: matching {scoring.matching!r} pairs by more than distance")
        self.scoring = scoring
        self._images: list[tuple[int, int, list[int], list[int]]] = []

    def add_against(self, q: LevelArray, truth: Truth) -> None:
        """Count one image in, whose mask has been read.

        Raises:
            RequestError: when `q` is not uint16 or differs in shape from the mask.
        """
        check_levels(q, truth)
        scoring = self.scoring
        found = find_components(q > threshold_level(scoring.threshold), connectivity=scoring.connectivity)
        matched, areas = [], []
        for distance in DISTANCES:
            partner = pair(PAIRINGS[scoring.matching], truth.targets.centroids, found.centroids, float(distance))
            matches = match_one_to_one(partner, found)
            matched.append(int(np.count_nonzero(matches.is_found)))
            areas.append(matches.alarm_area)
        self._images.append((len(truth.targets), q.size, matched, areas))

    def extend(self, other: DistanceCounts) -> None:
        """Count in the images that another has counted, behind one's own."""
        self._images += other._images

    def table(self) -> DistanceTable:
        """Everything added so far."""
        targets, pixels, matched, areas = zip(*self._images, strict=True) if self._images else ((), (), (), ())
        shape = (len(self._images), len(DISTANCES))
        return DistanceTable(
            distances=np.array(DISTANCES, dtype=np.int64),
            targets=np.array(targets, dtype=np.int64),
            pixels=np.array(pixels, dtype=np.int64),
            matched=np.array(matched, dtype=np.int64).reshape(shape).T,
            unmatched_area=np.array(areas, dtype=np.int64).reshape(shape).T,
        )


def pd_fa_by_distance(table: DistanceTable) -> PdFaByDistance:
    """Pd and Fa of the list at every distance; at 3 px the values of the main table.

    >>> from bench.metrics.counting.truth import read_truth
    >>> counts, scoring = DistanceCounts(Scoring("native")), Scoring("native")
    >>> q = np.array([[0, 0, 0, 0, 65535, 0, 0, 0]], np.uint16)  # 4 px from the target
    >>> counts.add_against(q, read_truth(np.array([[1, 0, 0, 0, 0, 0, 0, 0]], np.uint8), scoring))
    >>> pd_fa_by_distance(counts.table()).pd.tolist()
    [0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    """
    targets, pixels = int(table.targets.sum()), int(table.pixels.sum())
    none = np.full(len(table.distances), np.nan)
    return PdFaByDistance(
        pd=table.matched.sum(axis=1) / targets if targets else none,
        fa=table.unmatched_area.sum(axis=1) / pixels if pixels else none,
    )
