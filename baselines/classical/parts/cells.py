"""Cells of the local contrast methods: s x s pixels, a centre and its eight neighbours.

A map of cells has one value per cell of the padded image and is larger than the image by s on each side, so that
`centre` and `neighbours` are views of one and the same map. It is computed once for all nine.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from baselines.classical.parts.ranks import largest
from bench.models.detector import Grey

Image = NDArray[Any]
"""(H, W) grey levels as uint8, float32 or float64."""

Cells = NDArray[np.float64]
"""(H + 2s, W + 2s): one value per cell, the image's own at [s:-s, s:-s]."""

RESOLUTION = 2.0**-32
"""Grey levels that are told apart. Their sums are exact in float64, so that a flat image has no contrast at all."""

AROUND = ((0, 0), (0, 1), (0, 2), (1, 2), (2, 2), (2, 1), (2, 0), (1, 0))
"""Row and column of the eight neighbours in the 3 x 3 cells, clockwise: k + 4 is opposite to k."""


def exact(grey: Grey) -> Image:
    """Grey levels to the nearest 2^-32, in the narrowest type that holds them: sums of them are exact.

    8-bit levels come back as uint8, whose ranking is several times faster than that of float64 and the same.
    """
    rounded: Grey = np.round(grey / RESOLUTION) * RESOLUTION
    if rounded.min() >= 0 and rounded.max() <= 255 and np.array_equal(rounded, whole := rounded.astype(np.uint8)):
        return whole
    single = rounded.astype(np.float32)
    return single if np.array_equal(rounded, single) else rounded


def padded(image: Image, size: int) -> Image:
    """The image (H, W) with its border repeated, so that its border pixels have all nine cells: H + 3 size - 1 rows."""
    return np.pad(image, size + size // 2, mode="edge")


def means(image: Image, size: int) -> Cells:
    """The mean of every cell of an image (H, W)."""
    inside = slice(size // 2, -(size // 2))
    sums = cv2.boxFilter(padded(image, size).astype(np.float64), -1, (size, size), normalize=False)
    return sums[inside, inside] / size**2


def top_means(image: Image, size: int, *, counts: Sequence[int]) -> dict[int, Cells]:
    """For every K of `counts`, the mean of the K largest pixels of every cell of an image (H, W)."""
    planes = largest(padded(image, size), (size, size), count=max(counts))
    total = np.zeros(planes.shape[1:])
    found = {}
    for taken, plane in enumerate(planes[::-1], start=1):
        total += plane
        if taken in counts:
            found[taken] = total / taken
    return found


def centre(cells: Cells, size: int) -> Cells:
    """The cell at each pixel, (H, W)."""
    return cells[size:-size, size:-size]


def neighbours(cells: Cells, size: int) -> list[Cells]:
    """The eight cells around the one at each pixel, (H, W) each, clockwise from the top left."""
    H, W = cells.shape[0] - 2 * size, cells.shape[1] - 2 * size
    return [cells[size * row : size * row + H, size * column : size * column + W] for row, column in AROUND]
