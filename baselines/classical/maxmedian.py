"""MaxMedian: the part of the image above the medians along all four directions.

Source: S. D. Deshpande, M. H. Er, V. Ronda, P. Chan, "Max-mean and max-median filters for detection of small targets",
Proc. SPIE 3809, 1999. Lines of 5 pixels and the mirrored border are ISTD-Benchmark's.
"""

from __future__ import annotations

from functools import reduce

import numpy as np

from baselines.classical.parts import settings
from baselines.classical.parts.cells import Image, exact
from baselines.classical.parts.ranks import largest_of_line
from bench.models.detector import Detector, Grey, ScoreMap
from bench.models.network import model
from bench.models.published_numbers import reported


def max_median(grey: Grey, *, length: int) -> ScoreMap:
    """Residual max(0, I - max_d M_d) of an image I under the max-median filter.

    M_d is the median of the `length` pixels around each one in direction d, with the border mirrored. A target must
    be narrower than half a line: one of w pixels needs a length of 2 w + 1.
    """
    image = exact(grey)
    background = reduce(np.maximum, line_medians(image, length))
    return np.maximum(image.astype(np.float64) - background, 0)


def line_medians(image: Image, length: int) -> list[Image]:
    """The medians along columns, rows and both diagonals, (H, W) each."""
    H, W = image.shape
    reach = length // 2
    around = np.pad(image, reach, mode="symmetric")

    def medians(part: Image, step: tuple[int, int]) -> Image:
        return largest_of_line([part], length, step=step, count=reach + 1)[0]

    return [
        medians(around[:, reach : reach + W], (1, 0)),
        medians(around[reach : reach + H], (0, 1)),
        medians(around, (1, 1)),
        medians(around[:, ::-1], (1, 1))[:, ::-1],
    ]


class MaxMedian(Detector):
    """The max-median filter: the image above its largest directional median.

    Half the maximum as the rule is ISTD-python's; the level `"best"` is tuned on the training list.
    """

    def __init__(self, *, length: int, rule: str, level: float | str, channels: int = 1) -> None:
        super().__init__(rule=rule, level=level, channels=channels)
        self.length = settings.odd("MaxMedian: length", length)

    def score(self, grey: Grey) -> ScoreMap:
        return max_median(grey, length=self.length)


@model(
    "MaxMedian",
    cite="S. D. Deshpande, M. H. Er, V. Ronda, P. Chan, Max-mean and max-median filters for detection of small "
    "targets, Proc. SPIE 3809, 1999",
    source="the paper; the implementation is ours",
    licence="MIT",
    recipe="",
    channels=1,
    config={"length": 5, "rule": "share-of-max", "level": 0.5},
    reported=reported("MaxMedian"),
)
def build(*, channels: int, length: int, rule: str, level: float | str) -> MaxMedian:
    """The max-median filter with lines of 5 pixels."""
    return MaxMedian(length=length, rule=rule, level=level, channels=channels)
