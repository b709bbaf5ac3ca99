"""Bring a probability map and its mask to one size, as a scoring asks, before anything is counted.

Every score is taken from levels (bench/metrics/counting/levels.py). Where a scoring stretches maps, a faint one may
come as probabilities, of which levels are made afterwards.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.arrays import LevelArray, Size
from bench.data.images.decode import resize_bilinear
from bench.data.images.frames import Masked
from bench.metrics.counting.levels import LEVELS, quantise
from bench.types import Scoring


def aligned_size(levels: LevelArray, frame: Masked, scoring: Scoring) -> Size:
    """Height and width that the scoring compares a map and its mask at: the mask's, or the map's."""
    is_native = scoring.resolution == "native" and scoring.ground_truth == "binary"
    return frame.size if is_native else (levels.shape[0], levels.shape[1])


def align_map(values: NDArray[Any], scoring: Scoring, *, size: Size) -> LevelArray:
    """Stretch a map where the scoring says so, and resize it bilinearly.

    Args:
        values: (H, W) levels; or probabilities, float, which a faint map is stretched from before it is rounded.
    """
    if scoring.normalise != "none":
        levels = stretch(values, lowest=0 if scoring.normalise == "max" else values.min())
    else:
        levels = values if values.dtype == np.uint16 else quantise(values)
    if levels.shape == size:
        return levels
    prob = levels.astype(np.float32) / LEVELS
    resized = cv2.resize(prob, size[::-1], interpolation=cv2.INTER_LINEAR)
    return quantise(np.clip(resized, 0, 1))


def align_mask(frame: Masked, scoring: Scoring, *, size: Size) -> NDArray[np.generic]:
    """Resize a mask bilinearly: uint8 in {0, 1}, cut at 127, or under soft ground truth float32 in [0, 1]."""
    if scoring.ground_truth == "binary":
        return frame.binary_at(size, resize=scoring.mask_resize)
    return resize_bilinear(frame.required_mask, size).astype(np.float32) / np.float32(255)


def stretch(values: NDArray[Any], *, lowest: Any) -> LevelArray:
    """Stretch a map (H, W) over all levels, (value - lowest) / (max - lowest); a map of `lowest` alone becomes 0.

    Args:
        values: levels, or probabilities.

    UIU-Net's script, whose `lowest` is the map's least level, divides 0 by 0 there and gets NaN, of which nothing is
    above a threshold; RPCANet's divides by the maximum.

    >>> stretch(np.array([[100, 150, 300]], np.uint16), lowest=100).tolist()
    [[0, 16384, 65535]]
    >>> stretch(np.array([[100, 150, 300]], np.uint16), lowest=0).tolist()
    [[21846, 32768, 65535]]
    >>> stretch(np.full((1, 2), 65535, np.uint16), lowest=65535).tolist()
    [[0, 0]]
    >>> stretch(np.array([[1e-6, 4e-6]], np.float32), lowest=0).tolist()
    [[16384, 65535]]
    """
    highest = values.max()
    if lowest == highest:
        return np.zeros(values.shape, np.uint16)
    if values.dtype != np.uint16:
        return quantise((values - lowest) / (highest - lowest))
    above = (values.astype(np.int64) - int(lowest)) * LEVELS
    return np.minimum(-(-above // (int(highest) - int(lowest))), LEVELS - 1).astype(np.uint16)
