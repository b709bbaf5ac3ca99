"""TopHat: the image less its opening by a small flat square.

Source: V. T. Tom, T. Peli, M. Leung, J. E. Bondaryk, "Morphology-based algorithm for point target detection in infrared
backgrounds", Proc. SPIE 1954, 1993. The square of 5 x 5 is that of ISTD-python and ISTD-Benchmark; comparisons also
quote 3 x 3.
"""

from __future__ import annotations

import cv2
import numpy as np

from baselines.classical.parts import settings
from bench.models.detector import Detector, Grey, ScoreMap
from bench.models.network import model
from bench.models.published_numbers import reported


def top_hat(grey: Grey, *, size: int) -> ScoreMap:
    """White top-hat I - open(I) of an image I, by a square of `size` x `size` pixels, cut off at the border.

    Everything that the square fits into is background.
    """
    square = np.ones((size, size), np.uint8)
    return np.asarray(cv2.morphologyEx(grey, cv2.MORPH_TOPHAT, square), np.float64)


class TopHat(Detector):
    """The white top-hat.

    Half the maximum as the rule is ISTD-python's; the level `"best"` is tuned on the training list.
    """

    def __init__(self, *, size: int, rule: str, level: float | str, channels: int = 1) -> None:
        super().__init__(rule=rule, level=level, channels=channels)
        self.size = settings.odd("TopHat: size", size)

    def score(self, grey: Grey) -> ScoreMap:
        return top_hat(grey, size=self.size)


@model(
    "TopHat",
    cite="V. T. Tom, T. Peli, M. Leung, J. E. Bondaryk, Morphology-based algorithm for point target detection in "
    "infrared backgrounds, Proc. SPIE 1954, 1993",
    source="the paper; the implementation is ours",
    licence="MIT",
    recipe="",
    channels=1,
    config={"size": 5, "rule": "share-of-max", "level": 0.5},
    reported=reported("TopHat"),
)
def build(*, channels: int, size: int, rule: str, level: float | str) -> TopHat:
    """The top-hat with a square of 5 x 5 pixels."""
    return TopHat(size=size, rule=rule, level=level, channels=channels)
