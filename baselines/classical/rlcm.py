"""RLCM: the largest pixels of a cell against the largest pixels of the cells around, for several counts.

Source: J. Han, K. Liang, B. Zhou, X. Zhu, J. Zhao, L. Zhao, "Infrared Small Target Detection Utilizing the Multiscale
Relative Local Contrast Measure", IEEE GRSL 15(4), 2018; cell and counts as in the public MATLAB collections. Comparison
papers quote "8 x 8 cells in steps of 4", which fits another method, ILCM.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np

from baselines.classical.parts import settings
from baselines.classical.parts.cells import centre, exact, neighbours, top_means
from bench.errors import RequestError
from bench.models.detector import Detector, Grey, ScoreMap
from bench.models.network import model
from bench.models.published_numbers import reported


def rlcm(grey: Grey, *, size: int, pairs: Sequence[tuple[int, int]]) -> ScoreMap:
    """Contrast max(0, C^2 / N - C), the highest over the `pairs` (K1, K2).

    C is the mean of the centre cell's K1 largest pixels, N the highest of the neighbours' means of their K2 largest. A
    cell that is all black counts as if one pixel of it had grey level 1, the least that an 8-bit cell can have.
    """
    cells = top_means(exact(grey), size, counts=[count for pair in pairs for count in pair])
    score = np.zeros(grey.shape)
    for inner, outer in pairs:
        C = centre(cells[inner], size)
        N = np.maximum(reduce(np.maximum, neighbours(cells[outer], size)), 1 / outer)
        np.maximum(score, C * (C - N) / N, out=score)
    return score


class RLCM(Detector):
    """The relative local contrast measure.

    Half the maximum stands for the paper's rule, whose factor we could not verify; the level `"best"` is tuned on the
    training list.

    Args:
        size: of a cell, in pixels.
        pairs: (K1, K2), K1 pixels of the centre against K2 of the neighbours: `2-4,5-9,9-16`.
        rule, level, channels: see `Detector`.
    """

    def __init__(self, *, size: int, pairs: str, rule: str, level: float | str, channels: int = 1) -> None:
        super().__init__(rule=rule, level=level, channels=channels)
        self.size = settings.odd("RLCM: size", size)
        self.pairs = [self._pair(text) for text in str(pairs).split(",")]

    def _pair(self, text: str) -> tuple[int, int]:
        counts = settings.numbers("RLCM: pairs", text)
        if len(counts) != 2:
            raise RequestError(f"RLCM: pairs has {text!r}, expected pairs of whole numbers such as '2-4,5-9,9-16'")
        inner, outer = (settings.pixels("RLCM: pairs", count, size=self.size) for count in counts)
        return inner, outer

    def score(self, grey: Grey) -> ScoreMap:
        return rlcm(grey, size=self.size, pairs=self.pairs)


@model(
    "RLCM",
    cite="J. Han, K. Liang, B. Zhou, X. Zhu, J. Zhao, L. Zhao, Infrared Small Target Detection Utilizing the "
    "Multiscale Relative Local Contrast Measure, IEEE GRSL 15(4), 2018",
    source="the paper; the implementation is ours",
    licence="MIT",
    recipe="",
    channels=1,
    config={"size": 9, "pairs": "2-4,5-9,9-16", "rule": "share-of-max", "level": 0.5},
    reported=reported("RLCM"),
)
def build(*, channels: int, size: int, pairs: str, rule: str, level: float | str) -> RLCM:
    """RLCM with cells of 9 x 9 pixels and three pairs of counts."""
    return RLCM(size=size, pairs=pairs, rule=rule, level=level, channels=channels)
