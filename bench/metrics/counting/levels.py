"""Probability maps as levels: unsigned 16 bit, from 0 to 65535.

A probability p is the level `min(65535, ceil(p * 65536))`, so that `p > k/65536` is `level > k` for every k below
65535.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.arrays import LevelArray
from bench.errors import RequestError

LEVELS = 65536

FAINT = LEVELS // 16
"""A map whose levels all stay below this is faint: it has too few of them to be stretched without error."""


def quantise(prob: NDArray[Any]) -> LevelArray:
    """Return probabilities as levels, in the shape they came in.

    Raises:
        RequestError: when a value is not a number or outside [0, 1], or the type is not float32 or float64.

    >>> quantise(np.array([0.0, 0.5, 0.50001, 1.0])).tolist()
    [0, 32768, 32769, 65535]
    """
    if prob.dtype not in (np.float32, np.float64):
        raise RequestError(f"probabilities are {prob.dtype}, expected float32 or float64 in [0, 1]")
    check_unit_range("probabilities", prob)
    levels: LevelArray = np.minimum(np.ceil(prob * LEVELS), LEVELS - 1).astype(np.uint16)
    return levels


def check_unit_range(what: str, values: NDArray[Any]) -> None:
    """Raise RequestError when a value is not a number or outside [0, 1]."""
    lowest, highest = values.min(initial=0.0), values.max(initial=0.0)
    if np.isnan(lowest):
        place = tuple(int(i) for i in np.argwhere(np.isnan(values))[0])
        raise RequestError(f"{what} hold NaN (first at {place}), expected numbers in [0, 1]; look at what made them")
    if lowest < 0 or highest > 1:
        raise RequestError(
            f"{what} reach from {lowest:g} to {highest:g}, expected [0, 1]; apply the sigmoid or rescale"
        )


def threshold_level(threshold: float) -> int:
    """Return the level k of a threshold: a pixel is predicted where its level is above k.

    The threshold is rounded up as probabilities are, so that a probability equal to it is never above it, whatever it
    is: 102/255 is not above 0.4. Probabilities above a threshold that lie in the same 65536th as it count as equal.

    Raises:
        RequestError: when it is not in [0, 65534/65536], where levels can tell above from below.

    >>> threshold_level(0.5), threshold_level(0.4), int(quantise(np.array([102 / 255]))[0])
    (32768, 26215, 26215)
    """
    level = math.ceil(threshold * LEVELS) if 0 <= threshold <= 1 else LEVELS
    if level > LEVELS - 2:
        raise RequestError(f"threshold is {threshold!r}, expected a probability in [0, 65534/65536]")
    return level
