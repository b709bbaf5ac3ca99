"""Edges and corners of an image: Gaussian smoothing, gradients, and the eigenvalues of the structure tensor."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Image = NDArray[np.float64]
"""(H, W)."""


def gaussian_3x3(image: Image, sigma: float) -> Image:
    """The image (H, W) smoothed by a 3x3 Gaussian of `sigma` pixels whose weights sum to 1; the border is mirrored."""
    side = np.exp(-1 / (2 * sigma**2))
    line = np.array([side, 1.0, side]) / (1 + 2 * side)
    rows: Image = ndimage.correlate1d(image, line, axis=0, mode="reflect")
    smooth: Image = ndimage.correlate1d(rows, line, axis=1, mode="reflect")
    return smooth


def gradient(image: Image, axis: int) -> Image:
    """Grey levels a pixel along an axis: central differences, one-sided at the border; 0 along a single pixel."""
    if image.shape[axis] < 2:
        return np.zeros_like(image)
    slope: Image = np.gradient(image, axis=axis)
    return slope


def structure_eigenvalues(image: Image, *, noise: float, window: float) -> tuple[Image, Image]:
    """The larger and the smaller eigenvalue (H, W) of the structure tensor at each pixel, not below 0.

    Both are large at a corner, one on an edge, none where the image is even.

    Args:
        image: (H, W).
        noise: sigma in pixels of the Gaussian before the gradients.
        window: sigma in pixels of the Gaussian over the gradients' products.
    """
    smooth = gaussian_3x3(image, noise)
    down, right = gradient(smooth, 0), gradient(smooth, 1)
    a, b, c = (gaussian_3x3(product, window) for product in (down * down, down * right, right * right))
    spread = np.hypot(a - c, 2 * b)
    return (a + c + spread) / 2, np.maximum(a + c - spread, 0.0) / 2


def rescaled(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values of x scaled linearly to 0 to 1; all 0 where they are equal."""
    low, high = x.min(), x.max()
    return (x - low) / (high - low) if high > low else np.zeros_like(x)
