"""Names of array types and of an image's size, as signatures use them."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

BoolArray: TypeAlias = NDArray[np.bool_]
IntArray: TypeAlias = NDArray[np.int64]
FloatArray: TypeAlias = NDArray[np.float64]
LevelArray: TypeAlias = NDArray[np.uint16]
"""A probability map in levels, from `bench.metrics.counting.levels.quantise`."""
Points: TypeAlias = NDArray[np.float64]
"""(N, 2) rows and columns, in pixels."""
Size: TypeAlias = tuple[int, int]
"""Height and width, in pixels."""
