"""Where maps meet masks: what a scoring makes of both before anything is counted, at training's end or years later.

Every score, also the live one, is taken from the stored levels: q = min(65535, ceil(p * 65536)).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.data.images.decode import Pixels, resize_bilinear
from bench.data.images.frames import Frame, Masked
from bench.metrics.counting.levels import LEVELS, LevelArray, quantise
from bench.metrics.counting.truth import Truth, read_truth
from bench.types import Scoring

Pair = tuple[LevelArray, NDArray[np.generic]]
"""A map (H, W) in 1/65536 and its truth (H, W): uint8 in {0, 1}, or float32 in [0, 1] under soft ground truth."""


def judged_pair(levels: LevelArray, frame: Masked, scoring: Scoring) -> Pair:
    """One map and the ground truth it is judged against, at the same size.

    The map is stretched first, where the scoring says so, and then brought to the mask's size, or the mask to its.
    """
    if scoring.normalise == "min-max":
        levels = stretch(levels)
    if scoring.ground_truth == "soft":
        return levels, soft_mask(frame, levels.shape)
    if levels.shape == frame.size:
        return levels, frame.binary_mask
    if scoring.resolution == "network":
        return levels, frame.binary_at((levels.shape[0], levels.shape[1]))
    height, width = frame.size
    prob = levels.astype(np.float32) / LEVELS
    enlarged = cv2.resize(prob, (width, height), interpolation=cv2.INTER_LINEAR)
    return quantise(np.clip(enlarged, 0, 1)), frame.binary_mask


def judged_under(
    levels: LevelArray, frame: Masked, scorings: Iterable[Scoring], *, grey: Pixels | None = None
) -> Iterator[tuple[Scoring, LevelArray, Truth]]:
    """Each scoring with the map and the mask that it judges; those that see alike share both.

    Args:
        grey: (H, W) grey levels at the mask's size, for the signal-to-clutter ratios.
    """
    pairs: dict[tuple[str, ...], Pair] = {}
    truths: dict[tuple[str | int, ...], Truth] = {}
    for scoring in scorings:
        view = scoring.ground_truth, scoring.resolution, scoring.normalise
        if view not in pairs:
            pairs[view] = judged_pair(levels, frame, scoring)
        map_, mask = pairs[view]
        reading = scoring.ground_truth, scoring.resolution, scoring.connectivity
        if reading not in truths:
            seen = None if grey is None else resize_bilinear(grey, (mask.shape[0], mask.shape[1]))
            truths[reading] = read_truth(mask, scoring, grey=seen)
        yield scoring, map_, truths[reading]


def stretch(levels: LevelArray) -> LevelArray:
    """The map (H, W) stretched over all levels, (q - min) / (max - min); a constant map becomes 0.

    UIU-Net's script, whose rule this is, divides 0 by 0 there and gets NaN, of which nothing is above a threshold.

    >>> stretch(np.array([[100, 150, 300]], np.uint16)).tolist()
    [[0, 16384, 65535]]
    >>> stretch(np.full((1, 2), 65535, np.uint16)).tolist()
    [[0, 0]]
    """
    lowest, highest = int(levels.min()), int(levels.max())
    if lowest == highest:
        return np.zeros_like(levels)
    above = (levels.astype(np.int64) - lowest) * LEVELS
    return np.minimum(-(-above // (highest - lowest)), LEVELS - 1).astype(np.uint16)


def soft_mask(frame: Masked, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """The mask at another size, bilinear and not binarised, in [0, 1]: DFINet's ground truth."""
    return resize_bilinear(frame.mask, (shape[0], shape[1])).astype(np.float32) / np.float32(255)


def grey_like(frame: Frame, truth: NDArray[np.generic]) -> Pixels:
    """The frame's grey levels at the size it is judged at."""
    return resize_bilinear(frame.grey, (truth.shape[0], truth.shape[1]))
