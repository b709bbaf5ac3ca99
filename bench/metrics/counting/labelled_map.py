"""A probability map at a threshold, labelled once for everything that is counted of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.arrays import BoolArray, LevelArray
from bench.errors import RequestError
from bench.metrics.counting.components import Components, Connectivity, find_components
from bench.metrics.counting.levels import threshold_level
from bench.metrics.counting.truth import Truth


@dataclass(frozen=True, eq=False)
class LabelledMap:
    """A map (H, W) at a threshold.

    Attributes:
        predicted: (H, W) pixels above the threshold.
        components: of those pixels.
    """

    predicted: BoolArray
    components: Components

    @property
    def width(self) -> int:
        """Columns, pixels."""
        _, width = self.predicted.shape
        return int(width)


def label_map(levels: LevelArray, *, threshold: float, connectivity: Connectivity) -> LabelledMap:
    """Threshold a map (H, W) and find its components."""
    predicted = levels > threshold_level(threshold)
    return LabelledMap(predicted, find_components(predicted, connectivity=connectivity))


def check_levels(levels: LevelArray, truth: Truth) -> None:
    """Raise RequestError unless the map is uint16 and of the mask's shape."""
    if levels.dtype != np.uint16:
        raise RequestError(f"prediction is {levels.dtype}, expected uint16 levels; make them with quantise()")
    if levels.shape != truth.shape:
        raise RequestError(f"prediction has shape {levels.shape} and its mask {truth.shape}, expected the same")
