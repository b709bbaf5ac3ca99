"""LCM: the brightness of a cell's brightest pixel, times its ratio to the means of the cells around.

Source: C. L. P. Chen, H. Li, Y. Wei, T. Xia, Y. Y. Tang, "A Local Contrast Method for Small Infrared Target Detection",
IEEE TGRS 52(1), 2014.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import cv2
import numpy as np

from baselines.classical.parts import settings
from baselines.classical.parts.cells import exact, means, neighbours
from bench.models.detector import Detector, Grey, ScoreMap
from bench.models.network import model
from bench.models.published_numbers import reported


def lcm(grey: Grey, *, scales: Sequence[int]) -> ScoreMap:
    """Local contrast max_s min_i L^2 / m_i over cell sizes s and neighbours i; the grey level on flat ground.

    L is the centre cell's maximum, m_i the mean of neighbour i. A cell that is all black counts as if one pixel of it
    had grey level 1, the least that an 8-bit cell can have.
    """
    image = exact(grey)
    score = np.zeros(grey.shape)
    for size in scales:
        brightest = cv2.dilate(image, np.ones((size, size), np.uint8)).astype(np.float64)
        surroundings = reduce(np.maximum, neighbours(means(image, size), size))
        np.maximum(score, brightest**2 / np.maximum(surroundings, 1 / size**2), out=score)
    return score


class LCM(Detector):
    """The local contrast method.

    The rule is the paper's, mean + k standard deviations; it names k from 3 to 5, of which 4 is the middle. The level
    `"best"` is tuned on the training list.
    """

    def __init__(self, *, scales: str, rule: str, level: float | str, channels: int = 1) -> None:
        super().__init__(rule=rule, level=level, channels=channels)
        self.scales = settings.scales("LCM: scales", scales)

    def score(self, grey: Grey) -> ScoreMap:
        return lcm(grey, scales=self.scales)


@model(
    "LCM",
    cite="C. L. P. Chen, H. Li, Y. Wei, T. Xia, Y. Y. Tang, A Local Contrast Method for Small Infrared Target "
    "Detection, IEEE TGRS 52(1), 2014",
    source="the paper; the implementation is ours",
    licence="MIT",
    recipe="",
    channels=1,
    config={"scales": "3-5-7-9", "rule": "k-sigma", "level": 4.0},
    reported=reported("LCM"),
)
def build(*, channels: int, scales: str, rule: str, level: float | str) -> LCM:
    """LCM with cells of 3, 5, 7 and 9 pixels."""
    return LCM(scales=scales, rule=rule, level=level, channels=channels)
