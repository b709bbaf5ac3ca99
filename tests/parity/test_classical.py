"""Top-hat, max-median and local contrast methods against the score maps and figures of an outside implementation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from bench.models.detector import RULES, Detector, Grey, ScoreMap
from bench.models.network import build_model
from bench.types import Setting

STORED = np.load(Path(__file__).parent / "golden" / "classical.npz")
TARGET = (slice(40 - 14, 40 + 15), slice(24 - 14, 24 + 15))
"""Image B: within 14 pixels of the target at row 40, column 24."""


@dataclass(frozen=True)
class Vector:
    """What the outside implementation makes of the two images.

    Attributes:
        model: registered name.
        stored: name of the array in `classical.npz`: the score map of image B.
        square: image A: the scores at (32, 32) and (5, 5), and how many pixels have a score above 0.
        peak: image B: the highest score, its row and column.
        target: image B: the score at (40, 24).
        mean, std: of the scores of image B.
        outside: image B: pixels above mean + 3, 4 and 5 standard deviations that are far from the target.
        tolerance: relative; the arrays are float32.
    """

    model: str
    stored: str
    square: tuple[float, float, int]
    peak: tuple[float, int, int]
    target: float
    mean: float
    std: float
    outside: tuple[int, int, int] = (0, 0, 0)
    tolerance: float = 1e-6


VECTORS = (
    Vector("TopHat", "tophat", (100, 0, 9), (55, 40, 24), 55, 1.215881, 1.603551, outside=(49, 20, 5)),
    Vector("MaxMedian", "maxmedian", (0, 0, 0), (22, 40, 24), 22, 0.064880, 0.359548, outside=(197, 197, 197)),
    Vector("LCM", "lcm", (450, 50, 64 * 64), (206.727829, 42, 22), 202.8, 74.126892, 21.316812),
    Vector("RLCM", "rlcm", (300, 0, 81), (43.109434, 38, 21), 26.066225, 0.181390, 1.924110),
    Vector("MPCM", "mpcm", (10_000, 0, 81), (1053, 40, 24), 1053, 0.831908, 12.093775),
    Vector("TLLCM", "tllcm", (300, 0, 25), (42.625372, 40, 24), 42.625372, 0.014942, 0.548890, outside=(9, 2, 0)),
    Vector("WSLCM", "wslcm", (99_163.435, 0, 21), (276.199950, 40, 23), 266.093013, 0.084743, 4.010158),
)
every_method = pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.model)


def score(model: str, grey: Grey, **settings: Setting) -> ScoreMap:
    detector = build_model(model, channels=1, settings=settings)
    assert isinstance(detector, Detector)
    return detector.score(grey)


def image_a() -> Grey:
    """64 x 64 pixels, 50 everywhere, a block of 3 x 3 of 150."""
    grey = np.full((64, 64), 50.0)
    grey[31:34, 31:34] = 150
    return grey


def image_b() -> Grey:
    """128 x 128 pixels: waves, a step, noise and a Gaussian target of 60 grey levels at row 40, column 24."""
    y, x = np.mgrid[:128, :128]
    waves = 60 + 30 * np.sin(2 * np.pi * x / 64) * np.cos(2 * np.pi * y / 96) + 20 * (x > 80)
    noise = np.random.RandomState(7).normal(0, 1.5, (128, 128))  # the legacy generator is what the array was made with
    target = 60 * np.exp(-((y - 40) ** 2 + (x - 24) ** 2) / (2 * 1.2**2))
    return (waves + noise + target).round().clip(0, 255)


def test_the_images_are_those_the_score_maps_were_made_of() -> None:
    assert np.array_equal(STORED["image_A"], image_a())
    assert np.array_equal(STORED["image_B"], image_b())
    assert image_b().sum() == 1_103_729


@every_method
def test_score_maps_equal_the_outside_implementation(vector: Vector) -> None:
    np.testing.assert_allclose(score(vector.model, image_b()), STORED[vector.stored], rtol=vector.tolerance, atol=0)


@every_method
def test_scores_of_a_square_on_flat_ground_are_as_tabulated(vector: Vector) -> None:
    scores = score(vector.model, image_a())
    middle, corner, positive = vector.square
    assert scores[32, 32] == pytest.approx(middle, rel=1e-8)
    assert scores[5, 5] == corner
    assert np.count_nonzero(scores) == positive


@every_method
def test_peak_target_mean_and_deviation_are_as_tabulated(vector: Vector) -> None:
    scores = score(vector.model, image_b())
    highest, row, column = vector.peak
    assert np.unravel_index(scores.argmax(), scores.shape) == (row, column)
    found = (scores.max(), scores[40, 24], scores.mean(), scores.std())
    assert found == pytest.approx((highest, vector.target, vector.mean, vector.std), rel=0, abs=5.1e-7)  # as printed


def test_a_longer_line_keeps_the_square_in_the_max_median() -> None:
    scores = score("MaxMedian", image_a(), length=7)
    assert scores[32, 32] == 100
    assert np.count_nonzero(scores) == 9


def near_and_elsewhere(vector: Vector, rule: str, level: float) -> tuple[int, int]:
    """Pixels above the rule's threshold: near the target and elsewhere."""
    scores = score(vector.model, image_b())
    found = scores > RULES.get(rule)(scores, np.array(level))
    near = int(found[TARGET].sum())
    return near, int(found.sum()) - near


@every_method
@pytest.mark.parametrize(("rule", "level"), [("lambda-blend", 0.8), ("max-or-sigma", 0.7)])
def test_two_rules_find_the_target_and_nothing_else(vector: Vector, rule: str, level: float) -> None:
    near, elsewhere = near_and_elsewhere(vector, rule, level)
    assert near > 0
    assert elsewhere == 0


@every_method
def test_deviations_above_the_mean_find_as_many_other_pixels_as_tabulated(vector: Vector) -> None:
    assert tuple(near_and_elsewhere(vector, "k-sigma", k)[1] for k in (3, 4, 5)) == vector.outside


@every_method
def test_half_the_maximum_finds_the_target_and_nothing_else_but_for_lcm(vector: Vector) -> None:
    near, elsewhere = near_and_elsewhere(vector, "share-of-max", 0.5)
    if vector.model == "LCM":
        assert near + elsewhere == 1382
    else:
        assert near > 0
        assert elsewhere == 0
