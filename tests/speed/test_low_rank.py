"""How long the low-rank detectors take, and how much less than with a whole decomposition of every matrix.

`pytest -m speed --log-cli-level=INFO tests/speed/test_low_rank.py` prints the ratios. OMP_NUM_THREADS=1 keeps both
forms on one core.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import process_time
from typing import Any

import numpy as np
import pytest

from baselines.classical import nram, pstnn
from baselines.classical.ipi import IPISettings, ipi
from baselines.classical.parts import shrinkage
from baselines.classical.parts.shrinkage import Array, Shrink, Split
from baselines.classical.ript import RIPTSettings, ript
from bench.models.detector import Grey
from tests.baselines.classical.scenes import clouds

log = logging.getLogger(__name__)

METHODS: dict[str, Callable[[Grey], Split]] = {
    "IPI": lambda grey: ipi(grey, IPISettings()),
    "NRAM": lambda grey: nram.nram(grey, nram.NRAMSettings()),
    "RIPT": lambda grey: ript(grey, RIPTSettings()),
    "PSTNN": lambda grey: pstnn.pstnn(grey, pstnn.PSTNNSettings()),
}


def shrink_by_decomposition(x: Array, shrink: Shrink) -> tuple[Array, Array]:
    left, values, right = np.linalg.svd(x, full_matrices=False)
    shrunk = shrink(values)
    return (left * shrunk) @ right, shrunk


def threshold_every_slice(x: Array, amount: float, *, leading: int) -> Array:
    slices = np.fft.fft(x, axis=0)
    for number, one in enumerate(slices):
        left, values, right = np.linalg.svd(one, full_matrices=False)
        values[leading:] = np.maximum(values[leading:] - amount, 0)
        slices[number] = (left * values) @ right
    return np.fft.ifft(slices, axis=0).real


@pytest.mark.speed
@pytest.mark.parametrize(("name", "least"), [("IPI", 2.5), ("NRAM", 2), ("RIPT", 1.5), ("PSTNN", 1.3)])
def test_scores_of_256_by_256_pixels_are_those_of_whole_decompositions_and_sooner_there(
    benchmark: Any, monkeypatch: pytest.MonkeyPatch, name: str, least: float
) -> None:
    """Side by side; processor time, which other programs do not lengthen."""
    grey, seconds = clouds(256, 256), []

    def timed() -> Split:
        begun = process_time()
        found = METHODS[name](grey)
        seconds.append(process_time() - begun)
        return found

    found = benchmark.pedantic(timed, rounds=3)
    ours = min(seconds)
    monkeypatch.setattr(shrinkage, "shrink_singular_values", shrink_by_decomposition)
    monkeypatch.setattr(nram, "shrink_singular_values", shrink_by_decomposition)
    monkeypatch.setattr(pstnn, "partial_threshold", threshold_every_slice)
    expected = timed()
    ratio = seconds[-1] / ours
    benchmark.extra_info["against whole decompositions"] = round(ratio, 1)
    log.info("%s: %d ms, %.1f times faster than by whole decompositions", name, 1e3 * ours, ratio)
    assert (found.iterations, found.rank) == (expected.iterations, expected.rank)
    assert np.abs(found.target - expected.target).max() < 1e-9 * expected.target.max()
    assert ratio > least
