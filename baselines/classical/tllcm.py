"""TLLCM: a pixel's smoothed core against the largest pixels of the cells around (a tri-layer window).

Source: J. Han, S. Moradi, I. Faramarzi, C. Liu, H. Zhang, Q. Zhao, "A Local Contrast Method for Infrared Small-Target
Detection Utilizing a Tri-Layer Window", IEEE GRSL 17(10), 2020. The authors' released MATLAB has cells of 9
pixels alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np

from baselines.classical.parts import settings
from baselines.classical.parts.cells import Cells, Image, exact, neighbours, top_means
from bench.models.detector import Detector, Grey, ScoreMap
from bench.models.network import model
from bench.models.published_numbers import reported


def tllcm(grey: Grey, *, scales: Sequence[int], K: int) -> ScoreMap:
    """Contrast max(0, min_i (g / t_i) g - g), the highest over the cell sizes.

    g is the core, t_i the mean of the K largest pixels of neighbour i.
    """
    image = exact(grey)
    g = core(image)
    cells = ((size, top_means(image, size, counts=[K])[K]) for size in scales)
    return reduce(np.maximum, (contrast(g, one, size=size, K=K) for size, one in cells))


def core(image: Image) -> ScoreMap:
    """The image (H, W) under the 3 x 3 kernel (1 2 1; 2 4 2; 1 2 1) / 16, its border repeated."""
    wide = np.pad(image, 1, mode="edge").astype(np.float64)
    rows = wide[:-2] + 2 * wide[1:-1] + wide[2:]
    g: ScoreMap = (rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]) / 16
    return g


def contrast(g: ScoreMap, cells: Cells, *, size: int, K: int) -> ScoreMap:
    """Contrast max(0, g^2 / max_i t_i - g) at one cell size, t_i the mean of the K largest pixels of neighbour i.

    A cell that is all black counts as if one pixel of it had grey level 1, the least that an 8-bit cell can have.
    """
    t = np.maximum(reduce(np.maximum, neighbours(cells, size)), 1 / K)
    return np.maximum(g * (g - t) / t, 0)


class TLLCM(Detector):
    """The tri-layer local contrast method.

    The rule is the paper's, which names a lambda from 0.7 to 0.9, of which 0.8 is the middle. The level `"best"` is
    tuned on the training list.
    """

    def __init__(self, *, scales: str, K: int, rule: str, level: float | str, channels: int = 1) -> None:
        super().__init__(rule=rule, level=level, channels=channels)
        self.scales = settings.scales("TLLCM: scales", scales)
        self.K = settings.pixels("TLLCM: K", K, size=min(self.scales))

    def score(self, grey: Grey) -> ScoreMap:
        return tllcm(grey, scales=self.scales, K=self.K)


@model(
    "TLLCM",
    cite="J. Han, S. Moradi, I. Faramarzi, C. Liu, H. Zhang, Q. Zhao, A Local Contrast Method for Infrared "
    "Small-Target Detection Utilizing a Tri-Layer Window, IEEE GRSL 17(10), 2020",
    source="the paper; the implementation is ours",
    licence="MIT",
    recipe="",
    channels=1,
    config={"scales": "5-7-9", "K": 9, "rule": "lambda-blend", "level": 0.8},
    reported=reported("TLLCM"),
)
def build(*, channels: int, scales: str, K: int, rule: str, level: float | str) -> TLLCM:
    """TLLCM with cells of 5, 7 and 9 pixels."""
    return TLLCM(scales=scales, K=K, rule=rule, level=level, channels=channels)
