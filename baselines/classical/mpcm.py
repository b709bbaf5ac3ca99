"""MPCM: the difference between a cell's mean and those of opposite neighbours, with the same sign on both sides.

Source: Y. Wei, X. You, H. Li, "Multiscale patch-based contrast measure for small infrared target detection", Pattern
Recognition 58, 2016. Dark targets answer as bright ones do, as in the public code: a product of two negatives.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np

from baselines.classical.parts import settings
from baselines.classical.parts.cells import centre, exact, means, neighbours
from bench.models.detector import Detector, Grey, ScoreMap
from bench.models.network import model
from bench.models.published_numbers import reported


def mpcm(grey: Grey, *, scales: Sequence[int]) -> ScoreMap:
    """Contrast max(0, max_s min_k D_k D_(k+4)) over cell sizes s and pairs of opposite neighbours k and k + 4.

    D_i is the centre cell's mean less that of neighbour i. The unit is that of squared grey levels.
    """
    image = exact(grey)
    score = np.zeros(grey.shape)
    for size in scales:
        cells = means(image, size)
        D = [centre(cells, size) - mean for mean in neighbours(cells, size)]
        np.maximum(score, reduce(np.minimum, (D[k] * D[k + 4] for k in range(4))), out=score)
    return score


class MPCM(Detector):
    """The multiscale patch-based contrast measure.

    Half the maximum as the rule is ISTD-python's; the level `"best"` is tuned on the training list.
    """

    def __init__(self, *, scales: str, rule: str, level: float | str, channels: int = 1) -> None:
        super().__init__(rule=rule, level=level, channels=channels)
        self.scales = settings.scales("MPCM: scales", scales)

    def score(self, grey: Grey) -> ScoreMap:
        return mpcm(grey, scales=self.scales)


@model(
    "MPCM",
    cite="Y. Wei, X. You, H. Li, Multiscale patch-based contrast measure for small infrared target detection, Pattern "
    "Recognition 58, 2016",
    source="the paper; the implementation is ours",
    licence="MIT",
    recipe="",
    channels=1,
    config={"scales": "3-5-7-9", "rule": "share-of-max", "level": 0.5},
    reported=reported("MPCM"),
)
def build(*, channels: int, scales: str, rule: str, level: float | str) -> MPCM:
    """MPCM with cells of 3, 5, 7 and 9 pixels."""
    return MPCM(scales=scales, rule=rule, level=level, channels=channels)
