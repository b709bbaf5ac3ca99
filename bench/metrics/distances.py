"""Detections and false alarms as the distance at which a target counts as found goes from 1 to 10 px."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from bench.arrays import FloatArray, IntArray, LevelArray
from bench.errors import RequestError
from bench.metrics.counting.array_table import ArrayTable, Shape
from bench.metrics.counting.labelled_map import LabelledMap, check_levels, label_map
from bench.metrics.counting.matching import PAIRINGS, match_one_to_one
from bench.metrics.counting.pairing import pair
from bench.metrics.counting.truth import Truth
from bench.types import Matching, Scoring

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


class ImageDistances(NamedTuple):
    """The integers of one image: its targets and pixels, and at every distance (D,) as in `DistanceTable`."""

    targets: int
    pixels: int
    matched: tuple[int, ...]
    unmatched_area: tuple[int, ...]


def count_distances(labelled: LabelledMap, truth: Truth, matching: Matching) -> ImageDistances:
    """Count one labelled map at all distances, under a rule that pairs by distance alone."""
    found = labelled.components
    matches = [
        match_one_to_one(pair(PAIRINGS[matching], truth.targets.centroids, found.centroids, float(distance)), found)
        for distance in DISTANCES
    ]
    return ImageDistances(
        targets=len(truth.targets),
        pixels=truth.full.size,
        matched=tuple(int(np.count_nonzero(one.is_found)) for one in matches),
        unmatched_area=tuple(one.alarm_area for one in matches),
    )


class DistanceCounts:
    """Counts a list at all distances, image by image; keeps integers alone."""

    def __init__(self, scoring: Scoring) -> None:
        if scoring.matching not in PAIRINGS:
            raise RequestError(f"distances: matching {scoring.matching!r} pairs by more than distance")
        self.scoring = scoring
        self._images: list[ImageDistances] = []

    def add_against(self, levels: LevelArray, truth: Truth) -> None:
        """Count one image whose mask has been read before.

        Raises:
            RequestError: when the map is not uint16 or differs in shape from the mask.
        """
        check_levels(levels, truth)
        labelled = label_map(levels, threshold=self.scoring.threshold, connectivity=self.scoring.connectivity)
        self.append(count_distances(labelled, truth, self.scoring.matching))

    def append(self, image: ImageDistances) -> None:
        """Take the integers of one image."""
        self._images.append(image)

    def extend(self, other: DistanceCounts) -> None:
        """Add the images of another behind one's own."""
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
    >>> levels = np.array([[0, 0, 0, 0, 65535, 0, 0, 0]], np.uint16)  # 4 px from the target
    >>> counts.add_against(levels, read_truth(np.array([[1, 0, 0, 0, 0, 0, 0, 0]], np.uint8), scoring))
    >>> pd_fa_by_distance(counts.table()).pd.tolist()
    [0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    """
    targets, pixels = int(table.targets.sum()), int(table.pixels.sum())
    none = np.full(len(table.distances), np.nan)
    return PdFaByDistance(
        pd=table.matched.sum(axis=1) / targets if targets else none,
        fa=table.unmatched_area.sum(axis=1) / pixels if pixels else none,
    )
