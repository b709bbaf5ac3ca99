"""WSLCM: TLLCM's contrast, weighted by the contrast of a cell's largest pixels to the cell and to the cells around.

Source: J. Han, S. Moradi, I. Faramarzi, H. Zhang, Q. Zhao, X. Zhang, N. Li, "Infrared Small Target Detection Based on
the Weighted Strengthened Local Contrast Measure", IEEE GRSL 18(9), 2021, and what its authors' MATLAB computes, with
the border repeated where that has zeros.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np

from baselines.classical.parts import settings
from baselines.classical.parts.cells import Cells, Image, centre, exact, means, neighbours, top_means
from baselines.classical.parts.ranks import largest
from baselines.classical.tllcm import contrast, core
from bench.models.detector import Detector, Grey, ScoreMap
from bench.models.network import model
from bench.models.published_numbers import reported

XI = 5.0
"""Grey levels: the least deviation of a background that divides."""


def wslcm(grey: Grey, *, scales: Sequence[int], K: int) -> ScoreMap:
    """Contrast (W_T W_D / W_B) SLCM of the 3 x 3 median of the image, the highest over the cell sizes.

    SLCM is the contrast of TLLCM; `weight` computes the fraction.
    """
    calm = median(exact(grey))
    g = core(calm)
    score = np.zeros(grey.shape)
    for size in scales:
        top = top_means(calm, size, counts=[K])[K]
        weighted = weight(top - means(calm, size), size=size) * contrast(g, top, size=size, K=K)
        np.maximum(score, weighted, out=score)
    return score


def median(image: Image) -> Image:
    """The median of the 3 x 3 pixels around each one, the image's border repeated."""
    middle: Image = largest(np.pad(image, 1, mode="edge"), (3, 3), count=5)[0]
    return middle


def weight(irregularity: Cells, *, size: int) -> ScoreMap:
    """Weight W_T W_D / W_B: of the target, its difference from its neighbours, and the background.

    Args:
        irregularity: IRIL of every cell, the mean of its K largest pixels less that of all.
        size: of a cell, in pixels.
    """
    target, around = centre(irregularity, size), neighbours(irregularity, size)
    difference = np.maximum(target - reduce(np.maximum, around), 0)
    mean = reduce(np.add, around) / len(around)
    background = np.sqrt(reduce(np.add, ((one - mean) ** 2 for one in around)) / (len(around) - 1))
    return target * difference / np.maximum(background, XI)


class WSLCM(Detector):
    """The weighted strengthened local contrast measure.

    The rule is that of TLLCM, by the same authors; this paper's own factor we could not verify. The level `"best"` is
    tuned on the training list.
    """

    def __init__(self, *, scales: str, K: int, rule: str, level: float | str, channels: int = 1) -> None:
        super().__init__(rule=rule, level=level, channels=channels)
        self.scales = settings.scales("WSLCM: scales", scales)
        self.K = settings.pixels("WSLCM: K", K, size=min(self.scales))

    def score(self, grey: Grey) -> ScoreMap:
        return wslcm(grey, scales=self.scales, K=self.K)


@model(
    "WSLCM",
    cite="J. Han, S. Moradi, I. Faramarzi, H. Zhang, Q. Zhao, X. Zhang, N. Li, Infrared Small Target Detection Based "
    "on the Weighted Strengthened Local Contrast Measure, IEEE GRSL 18(9), 2021",
    source="the paper; the implementation is ours",
    licence="MIT",
    recipe="",
    channels=1,
    config={"scales": "5-7-9-11", "K": 9, "rule": "lambda-blend", "level": 0.8},
    reported=reported("WSLCM"),
)
def build(*, channels: int, scales: str, K: int, rule: str, level: float | str) -> WSLCM:
    """WSLCM with cells of 5, 7, 9 and 11 pixels."""
    return WSLCM(scales=scales, K=K, rule=rule, level=level, channels=channels)
