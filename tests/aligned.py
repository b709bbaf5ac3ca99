"""One map and its mask brought to one size, for tests of what a scoring compares."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.arrays import LevelArray
from bench.data.images.frames import Masked
from bench.scoring.align import align_map, align_mask, aligned_size
from bench.types import Scoring


def align(levels: LevelArray, frame: Masked, scoring: Scoring) -> tuple[LevelArray, NDArray[np.generic]]:
    """The map (H, W) in levels, and the mask at its size."""
    size = aligned_size(levels, frame, scoring)
    return align_map(levels, scoring, size=size), align_mask(frame, scoring, size=size)
