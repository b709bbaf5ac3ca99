"""How much sooner counts and whole curves are there than by the field's way of counting: both, in one run, printed.

`OMP_NUM_THREADS=1 pytest -m speed --log-cli-level=INFO tests/speed/test_counting.py` prints the table. The field's way
labels mask and prediction with scikit-image at every threshold, asks `regionprops` for centroids and areas, and
compares them in Python loops. Both sides give the same numbers, which is asserted.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from time import process_time
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage
from skimage import measure

from bench.metrics.counting.counts import count_image
from bench.metrics.counting.levels import quantise
from bench.metrics.curves import CurveCounts, pixel_counts, target_counts
from bench.types import Scoring

log = logging.getLogger(__name__)

NATIVE = Scoring("native")
SIZE = (256, 256)
LEVELS_256 = np.arange(256) * 256
Case = tuple[NDArray[np.uint16], NDArray[np.uint8]]
Table = NDArray[np.int64]
Row = tuple[int, int, int, int, int]


def targets(generator: np.random.Generator) -> NDArray[np.float64]:
    """Three soft spots of a few pixels, 1 in the middle."""
    spots = np.zeros(SIZE)
    for row, col in generator.integers(10, 246, (3, 2)):
        spots[row, col] = 1
    blurred = ndimage.gaussian_filter(spots, 1.3)
    return np.asarray(blurred / blurred.max())


def sigmoid(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-logits)))


def clean(generator: np.random.Generator) -> Case:
    """A trained network's map: sure of its background, at logits around -10."""
    spots = targets(generator)
    return quantise(sigmoid(18 * spots - 10 + generator.normal(0, 0.5, SIZE))), (spots > 0.5).astype(np.uint8)


def smooth(generator: np.random.Generator) -> Case:
    """A map of clouds with spots on them: every pixel has a level of its own."""
    spots = targets(generator)
    clouds = ndimage.gaussian_filter(generator.random(SIZE), 4)
    clouds = (clouds - clouds.min()) / np.ptp(clouds)
    return quantise(np.clip(0.7 * clouds + 0.5 * spots, 0, 1)), (spots > 0.5).astype(np.uint8)


def noisy(generator: np.random.Generator) -> Case:
    """An untrained network's map: noise around logit -2, thousands of components at most thresholds."""
    spots = targets(generator)
    return quantise(sigmoid(generator.normal(-2, 1.5, SIZE) + 4 * spots)), (spots > 0.5).astype(np.uint8)


def count_by_regionprops(q: NDArray[np.uint16], mask: NDArray[np.uint8], level: int) -> Row:
    """Matched targets, false components and their pixels, intersection and predicted pixels, the field's way."""
    prediction = (q > level).astype(np.int64)
    found = list(measure.regionprops(measure.label(prediction, connectivity=2)))
    marked = measure.regionprops(measure.label(mask.astype(np.int64), connectivity=2))
    matched = 0
    for target in marked:
        centre = np.array(target.centroid)
        for number, component in enumerate(found):
            if np.linalg.norm(np.array(component.centroid) - centre) < 3:
                matched += 1
                del found[number]
                break
    false_area = sum(int(component.area) for component in found)
    return matched, len(found), false_area, int((prediction * mask).sum()), int(prediction.sum())


def count_compiled(q: NDArray[np.uint16], mask: NDArray[np.uint8]) -> Row:
    counts = count_image(q, mask, scoring=NATIVE)
    return counts.matched, counts.unmatched, counts.unmatched_area, counts.intersection, counts.predicted


def curve_by_regionprops(cases: Sequence[Case]) -> Table:
    """(256, 5) the numbers of a list at every threshold, summed over its images."""
    return np.array([[count_by_regionprops(*case, int(level)) for level in LEVELS_256] for case in cases]).sum(axis=0)


def curve_by_sweep(cases: Sequence[Case], thresholds: int) -> Table:
    """The same numbers."""
    curves = CurveCounts(NATIVE, thresholds=thresholds)
    for case in cases:
        curves.add(*case)
    on, off = pixel_counts(curves, LEVELS_256)
    return np.stack([*target_counts(curves, LEVELS_256), on, on + off], axis=1)


def seconds_of(function: Callable[[], Any], *, repeats: int) -> float:
    """Processor time of one call, the least of three times that many."""
    function()
    best = float("inf")
    for _ in range(3):
        begun = process_time()
        for _ in range(repeats):
            function()
        best = min(best, (process_time() - begun) / repeats)
    return best


MAPS: dict[str, Callable[[np.random.Generator], Case]] = {"clean": clean, "smooth": smooth, "noisy": noisy}


@pytest.mark.speed
@pytest.mark.parametrize(("name", "least"), [("clean", 10), ("smooth", 15), ("noisy", 20)])
def test_one_threshold_is_counted_sooner_than_the_fields_way(name: str, least: float) -> None:
    cases = [MAPS[name](np.random.default_rng(seed)) for seed in range(4)]
    level = 32768
    assert [count_compiled(*case) for case in cases] == [count_by_regionprops(*case, level) for case in cases]
    ours = seconds_of(lambda: [count_compiled(*case) for case in cases], repeats=50) / len(cases)
    theirs = seconds_of(lambda: [count_by_regionprops(*case, level) for case in cases], repeats=2) / len(cases)
    log.info(
        "%s, one threshold, ms an image of 256 x 256: field's way %.3f, here %.4f, %.0f times",
        *(name, 1e3 * theirs, 1e3 * ours, theirs / ours),
    )
    assert theirs / ours >= least


@pytest.mark.speed
@pytest.mark.parametrize(("name", "least", "count"), [("clean", 200, 8), ("smooth", 80, 4), ("noisy", 500, 1)])
def test_curves_of_256_thresholds_are_counted_sooner_than_the_fields_way(name: str, least: float, count: int) -> None:
    cases = [MAPS[name](np.random.default_rng(seed)) for seed in range(count)]
    begun = process_time()
    expected = curve_by_regionprops(cases)
    theirs = (process_time() - begun) / count
    seconds = []
    for thresholds in (256, 65536):
        np.testing.assert_array_equal(curve_by_sweep(cases, thresholds), expected)
        seconds.append(seconds_of(lambda thresholds=thresholds: curve_by_sweep(cases, thresholds), repeats=5) / count)
    ours, exact = seconds
    log.info(
        "%s, 256 thresholds, ms an image of 256 x 256: field's way %.0f, here %.2f, %.0f times; all 65536: %.2f",
        *(name, 1e3 * theirs, 1e3 * ours, theirs / ours, 1e3 * exact),
    )
    assert theirs / ours >= least
