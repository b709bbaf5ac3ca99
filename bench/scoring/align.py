"""Bring a probability map and its mask to one size, as a scoring asks, before anything is counted.

Every score, also the live one, is taken from the stored levels (bench/metrics/counting/levels.py).
"""

from __future__ import annotations

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


def align_map(levels: LevelArray, scoring: Scoring, *, size: Size) -> LevelArray:
    """Stretch a map where the scoring says so, and resize it bilinearly."""
    if scoring.normalise != "none":
        levels = stretch(levels, lowest=0 if scoring.normalise == "max" else int(levels.min()))
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


def stretch(levels: LevelArray, *, lowest: int) -> LevelArray:
    """Stretch a map (H, W) over all levels, (level - lowest) / (max - lowest); a map of `lowest` alone becomes 0.

    UIU-Net's script, whose `lowest` is the map's least level, divides 0 by 0 there and gets NaN, of which nothing is
    above a threshold; RPCANet's divides by the maximum.

    >>> stretch(np.array([[100, 150, 300]], np.uint16), lowest=100).tolist()
    [[0, 16384, 65535]]
    >>> stretch(np.array([[100, 150, 300]], np.uint16), lowest=0).tolist()
    [[21846, 32768, 65535]]
    >>> stretch(np.full((1, 2), 65535, np.uint16), lowest=65535).tolist()
    [[0, 0]]
    """
    highest = int(levels.max())
    if lowest == highest:
        return np.zeros_like(levels)
    above = (levels.astype(np.int64) - lowest) * LEVELS
    return np.minimum(-(-above // (highest - lowest)), LEVELS - 1).astype(np.uint16)
