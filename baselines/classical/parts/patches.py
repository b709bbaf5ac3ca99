"""An image as overlapping patches, and three ways back: their median, their mean, or the last one over each pixel.

Neighbouring patches of a scene look alike, so that, one patch a row, they make a matrix of low rank plus what is
nowhere else: small targets.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Image = NDArray[np.float64]
"""(H, W)."""

Patches = NDArray[np.float64]
"""(R, C, h, w): the patch of h x w pixels at each of R rows and C columns of positions."""


@dataclass(frozen=True)
class Grid:
    """The positions of patches on an image.

    Attributes:
        shape: (H, W) of the image in pixels.
        patch: (h, w) of a patch in pixels.
        tops: first row of pixels of each row of positions, rising from 0.
        lefts: first column of pixels of each column of positions, rising from 0.
    """

    shape: tuple[int, int]
    patch: tuple[int, int]
    tops: tuple[int, ...]
    lefts: tuple[int, ...]

    def cut(self, image: Image) -> Patches:
        """The patches (R, C, h, w) of an image (H, W)."""
        return sliding_window_view(image, self.patch)[np.ix_(self.tops, self.lefts)]

    def median(self, patches: Patches) -> Image:
        """The image (H, W) of each pixel's median over the patches that cover it; 0 where none does."""
        # patches i and i + deep have no row of pixels in common, so that they can lie in one layer
        deep, wide = _most_over(self.patch[0], self.tops), _most_over(self.patch[1], self.lefts)
        layers = np.full((deep, wide, *self.shape), np.inf)
        for i, j in np.ndindex(patches.shape[:2]):
            layers[(i % deep, j % wide, *self._window(i, j))] = patches[i, j]
        layers = np.sort(layers.reshape(deep * wide, *self.shape), axis=0)  # what is not covered comes last
        count = np.isfinite(layers).sum(axis=0)
        low, high = np.maximum(count - 1, 0) // 2, np.minimum(count // 2, deep * wide - 1)
        middle = np.take_along_axis(layers, np.stack([low, high]), axis=0)  # (2, H, W)
        return np.where(count > 0, middle.mean(axis=0), 0.0)

    def mean(self, patches: Patches) -> Image:
        """The image (H, W) of each pixel's mean over the patches that cover it; 0 where none does."""
        total, count = np.zeros(self.shape), np.zeros(self.shape)
        for i, j in np.ndindex(patches.shape[:2]):
            total[self._window(i, j)] += patches[i, j]
            count[self._window(i, j)] += 1
        return total / np.maximum(count, 1)

    def last(self, patches: Patches) -> Image:
        """The image (H, W) that is left when each patch overwrites those before it; 0 where there is none."""
        image = np.zeros(self.shape)
        for i, j in np.ndindex(patches.shape[:2]):
            image[self._window(i, j)] = patches[i, j]
        return image

    def _window(self, i: int, j: int) -> tuple[slice, slice]:
        top, left = self.tops[i], self.lefts[j]
        return slice(top, top + self.patch[0]), slice(left, left + self.patch[1])


def whole_steps(shape: tuple[int, int], *, patch: int, step: int) -> Grid:
    """The grid at every `step` pixels while the patch fits; no patch covers up to `step - 1` last rows and columns.

    An image (H, W) smaller than a patch is its own patch along that side.
    """
    h, w = (min(patch, side) for side in shape)
    H, W = shape
    return Grid(shape, (h, w), tuple(range(0, H - h + 1, step)), tuple(range(0, W - w + 1, step)))


def up_to_the_border(shape: tuple[int, int], *, patch: int, step: int) -> Grid:
    """The grid at every `step` pixels and, where that leaves pixels over, once more at the very border.

    An image (H, W) smaller than a patch is its own patch along that side.
    """
    h, w = (min(patch, side) for side in shape)
    H, W = shape
    return Grid(shape, (h, w), (*range(0, H - h, step), H - h), (*range(0, W - w, step), W - w))


def rescaled(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values of x scaled linearly to 0 to 1; all 0 where they are equal."""
    low, high = x.min(), x.max()
    return (x - low) / (high - low) if high > low else np.zeros_like(x)


def _most_over(length: int, starts: tuple[int, ...]) -> int:
    """The largest number of patches of `length` pixels that have a pixel in common."""
    return max(sum(start - length < other <= start for other in starts) for start in starts)
