"""How long the classical detectors take, and how much less than plainer ways of computing the same scores.

`pytest -m speed --log-cli-level=INFO tests/speed/test_classical.py` prints the ratios.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from time import process_time
from typing import Any

import cv2
import numpy as np
import pytest

from baselines.classical.parts.ranks import largest
from bench.models.detector import Detector, Grey
from bench.models.network import build_model
from tests.baselines.classical import plain

log = logging.getLogger(__name__)

SCALES = (3, 5, 7, 9)
PLAIN = {
    "TopHat": lambda grey: plain.top_hat(grey, size=5),
    "MaxMedian": lambda grey: plain.max_median(grey, length=5),
    "LCM": lambda grey: plain.lcm(grey, scales=SCALES),
    "RLCM": lambda grey: plain.rlcm(grey, size=9, pairs=((2, 4), (5, 9), (9, 16))),
    "MPCM": lambda grey: plain.mpcm(grey, scales=SCALES),
    "TLLCM": lambda grey: plain.tllcm(grey, scales=(5, 7, 9), K=9),
    "WSLCM": lambda grey: plain.wslcm(grey, scales=(5, 7, 9, 11), K=9),
}
"""The definitions with the settings that are registered."""


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    yield
    cv2.setNumThreads(threads)


def frame(side: int, *, finer: float = 0) -> Grey:
    """Waves and noise of 8 bits with a target in the middle; `finer` is added to every other column."""
    y, x = np.mgrid[:side, :side]
    noise = np.random.default_rng(7).normal(0, 1.5, (side, side))
    target = 60 * np.exp(-((y - side / 2) ** 2 + (x - side / 2) ** 2) / (2 * 1.2**2))
    grey: Grey = (60 + 30 * np.sin(2 * np.pi * x / 64) * np.cos(2 * np.pi * y / 96) + noise + target).round()
    return grey + finer * (x % 2)


def detector(name: str) -> Detector:
    built = build_model(name, channels=1)
    assert isinstance(built, Detector)
    return built


def timed(compute: Callable[[], np.ndarray], *, rounds: int) -> tuple[np.ndarray, float]:
    """The result, and the least processor seconds of a round."""
    seconds = []
    for _ in range(rounds):
        begun = process_time()
        result = compute()
        seconds.append(process_time() - begun)
    return result, min(seconds)


def report(benchmark: Any, what: str, ratio: float) -> float:
    benchmark.extra_info[what] = round(ratio, 1)
    log.info("%s: %.1f times faster", what, ratio)
    return ratio


@pytest.mark.speed
@pytest.mark.parametrize("finer", [0, 0.5, 2.0**-31], ids=["8-bit", "float32", "float64"])
@pytest.mark.parametrize("name", PLAIN)
def test_score_of_256_by_256_pixels(benchmark: Any, name: str, finer: float) -> None:
    grey = frame(256, finer=finer)
    scores = benchmark.pedantic(detector(name).score, args=(grey,), rounds=10, warmup_rounds=2)
    assert scores[128, 128] > 0


@pytest.mark.speed
@pytest.mark.parametrize("name", PLAIN)
def test_score_is_ten_times_faster_than_its_definition_and_equal_to_it(benchmark: Any, name: str) -> None:
    """At 64 x 64 pixels, side by side; processor time, which other programs do not lengthen."""
    grey, method = frame(64), detector(name)
    expected, of_definition = timed(lambda: PLAIN[name](grey), rounds=1)
    scores, ours = timed(lambda: method.score(grey), rounds=5)
    benchmark.pedantic(method.score, args=(grey,), rounds=5)
    ratio = report(benchmark, f"{name} against a loop over its pixels", of_definition / ours)
    np.testing.assert_allclose(scores, expected, rtol=1e-11, atol=1e-9)  # sums in another order
    assert ratio > 10


@pytest.mark.speed
@pytest.mark.parametrize("kind", [np.uint8, np.float32, np.float64])
def test_merging_sorted_planes_is_faster_than_partitioning_every_window(benchmark: Any, kind: type) -> None:
    """The nine largest pixels of 9 x 9 windows of 256 x 256 pixels."""
    grey = frame(256).astype(kind)

    def partitioned() -> np.ndarray:
        pixels = np.lib.stride_tricks.sliding_window_view(grey, (9, 9)).reshape(248, 248, 81)
        return np.sort(np.partition(pixels, 72)[..., 72:]).transpose(2, 0, 1)

    expected, of_partition = timed(partitioned, rounds=2)
    planes, ours = timed(lambda: largest(grey, (9, 9), count=9), rounds=5)
    benchmark.pedantic(largest, args=(grey, (9, 9)), kwargs={"count": 9}, rounds=5)
    assert np.array_equal(planes, expected)
    assert report(benchmark, f"largest, {kind.__name__}, against np.partition", of_partition / ours) > 2
