"""Top-hat, max-median and the local contrast methods: against their definitions, and what is particular to each."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

from baselines.classical.lcm import lcm
from baselines.classical.maxmedian import max_median
from baselines.classical.mpcm import mpcm
from baselines.classical.rlcm import rlcm
from baselines.classical.tllcm import contrast, core, tllcm
from baselines.classical.tophat import top_hat
from baselines.classical.wslcm import median, weight, wslcm
from bench.models.detector import Detector
from bench.models.network import build_model
from tests.baselines.classical import plain

NAMES = ("TopHat", "MaxMedian", "LCM", "RLCM", "MPCM", "TLLCM", "WSLCM")
PAIRS = ((2, 4), (5, 9))
METHODS = {
    "top-hat": (partial(top_hat, size=5), partial(plain.top_hat, size=5)),
    "max-median": (partial(max_median, length=7), partial(plain.max_median, length=7)),
    "LCM": (partial(lcm, scales=(3, 5)), partial(plain.lcm, scales=(3, 5))),
    "RLCM": (partial(rlcm, size=5, pairs=PAIRS), partial(plain.rlcm, size=5, pairs=PAIRS)),
    "MPCM": (partial(mpcm, scales=(3, 5)), partial(plain.mpcm, scales=(3, 5))),
    "TLLCM": (partial(tllcm, scales=(3, 5), K=4), partial(plain.tllcm, scales=(3, 5), K=4)),
    "WSLCM": (partial(wslcm, scales=(3, 5), K=4), partial(plain.wslcm, scales=(3, 5), K=4)),
}


def detector(name: str, **settings: bool | int | float | str) -> Detector:
    built = build_model(name, channels=1, settings=settings)
    assert isinstance(built, Detector)
    return built


def frame(height: int, width: int) -> np.ndarray:
    """Noise of 8 bits around 60, with two bright targets."""
    grey = np.random.default_rng(8).normal(60, 9, (height, width)).round()
    grey[height // 2, width // 3] = 190
    grey[1:3, width - 3 : width - 1] = 140
    return grey


@pytest.mark.parametrize("finer", [0.0, 0.375, 2.0**-31], ids=["uint8", "float32", "float64"])
@pytest.mark.parametrize("name", METHODS)
def test_scores_equal_the_definition_evaluated_pixel_by_pixel(name: str, finer: float) -> None:
    grey = frame(13, 16) + finer * np.arange(16)
    ours, definition = METHODS[name]
    expected = definition(grey)
    assert np.count_nonzero(expected > 1e-6) > 0
    # sums in another order: 1e-12 of the grey levels' products, which the scores are small differences of
    np.testing.assert_allclose(ours(grey), expected, rtol=1e-11, atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_grey_levels_that_no_8_bits_hold_change_nothing_far_from_them(name: str) -> None:
    grey, other = frame(48, 48), frame(48, 48)
    other[0, 0] += 2.0**-31
    method = detector(name)
    assert np.array_equal(method.score(grey)[20:, 20:], method.score(other)[20:, 20:])


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (33, 2), (37, 50)], ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_any_size_comes_back_at_its_own_size_and_never_below_zero(name: str, size: tuple[int, int]) -> None:
    grey = np.random.default_rng(2).integers(0, 256, size).astype(np.float64)
    before = grey.copy()
    scores = detector(name).score(grey)
    assert scores.shape == size
    assert scores.dtype == np.float64
    assert np.isfinite(scores).all()
    assert scores.min() >= 0
    assert np.array_equal(grey, before)


@pytest.mark.parametrize("level", [0.0, 1 / 3, 50.0, 77.7, 255.0])
@pytest.mark.parametrize("name", NAMES)
def test_a_flat_image_has_no_target(name: str, level: float) -> None:
    method = detector(name)
    scores = method.score(np.full((30, 21), level))
    flat = level if name == "LCM" else 0
    np.testing.assert_allclose(scores, flat, rtol=1e-9)
    with torch.no_grad():
        assert not (method(torch.full((1, 1, 30, 21), level)) > 0).any()


@pytest.mark.parametrize("name", NAMES)
def test_a_target_is_found_by_the_rule_it_comes_with(name: str) -> None:
    image = torch.full((2, 1, 80, 80), 50.0)
    image[0, 0, 19:22, 9:12] = 150
    method = detector(name, **({"length": 7} if name == "MaxMedian" else {}))
    found = method(image) > 0
    assert found[0, 0, 20, 10]
    assert not found[0, 0, :, 20:].any()
    assert not found[1].any()


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("TopHat", {"size": 4}, "TopHat: size is 4, expected an odd number of pixels from 3"),
        ("TopHat", {"size": True}, "TopHat: size is True, expected an odd number"),
        ("MaxMedian", {"length": 1}, "MaxMedian: length is 1, expected an odd number of pixels from 3"),
        ("LCM", {"scales": "3-6"}, "LCM: scales is 6, expected an odd number of pixels from 3"),
        ("MPCM", {"scales": ""}, "MPCM: scales is '', expected whole numbers such as '3-5-7-9'"),
        ("TLLCM", {"scales": "5;7"}, "TLLCM: scales is '5;7', expected whole numbers such as '3-5-7-9'"),
        ("TLLCM", {"scales": "9-3", "K": 10}, "TLLCM: K is 10, expected a number of pixels from 1 to 9, a 3 x 3 cell"),
        ("WSLCM", {"K": 0}, "WSLCM: K is 0, expected a number of pixels from 1 to 25, a 5 x 5 cell"),
        ("RLCM", {"size": 3}, "RLCM: pairs is 16, expected a number of pixels from 1 to 9, a 3 x 3 cell"),
        ("RLCM", {"pairs": "2-4,5"}, "RLCM: pairs has '5', expected pairs of whole numbers such as '2-4,5-9,9-16'"),
        ("RLCM", {"pairs": "2-4,5-x"}, "RLCM: pairs is '5-x', expected whole numbers"),
        ("LCM", {"level": 0}, "LCM: level is 0, expected a number above 0 or 'best'"),
    ],
)
def test_settings_that_make_no_sense_are_refused_in_one_line(name: str, settings: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError) as refused:
        detector(name, **settings)
    assert str(refused.value).startswith(message)
    assert "\n" not in str(refused.value)


def test_a_top_hat_loses_what_its_square_fits_into_even_at_the_border() -> None:
    grey = np.zeros((30, 30))
    grey[:4, :4], grey[20:25, 20:25], grey[10:14, 20:29] = 9, 9, 9
    scores = top_hat(grey, size=5)
    assert scores[:4, :4].min() == 0  # the square may reach beyond the border
    assert scores[20:25, 20:25].max() == 0
    assert scores[10:14, 20:29].min() == 9


def test_a_max_median_asks_for_a_line_more_than_twice_as_long_as_the_target_is_wide() -> None:
    grey = np.full((40, 40), 50.0)
    grey[20:23, 20:23] = 150
    assert max_median(grey, length=5).max() == 0
    assert np.array_equal(max_median(grey, length=7), grey - 50)


@pytest.mark.parametrize("turn", [(1, 0), (0, 1), (1, 1), (-1, 1)], ids=str)
def test_a_bright_line_in_any_of_the_four_directions_is_background_to_a_max_median(turn: tuple[int, int]) -> None:
    grey = np.zeros((41, 41))
    for step in range(-20, 21):
        grey[20 + step * turn[0], 20 + step * turn[1]] = 99
    assert max_median(grey, length=5)[20, 20] == 0


@pytest.mark.parametrize(
    ("ours", "score"),
    [
        (partial(lcm, scales=(3,)), 8**2 / (1 / 9)),  # no neighbour with a bright pixel: their means count as 1/9
        (partial(rlcm, size=3, pairs=((1, 4),)), 8**2 / (1 / 4) - 8),
        (partial(tllcm, scales=(3,), K=9), 2**2 / (1 / 9) - 2),  # the core of 8 is 8 * 4 / 16
    ],
    ids=["LCM", "RLCM", "TLLCM"],
)
def test_a_black_cell_counts_as_one_with_a_pixel_of_grey_level_one(ours: partial, score: float) -> None:
    grey = np.zeros((21, 21))
    grey[10, 10] = 8
    assert ours(grey)[10, 10] == pytest.approx(score, rel=1e-12)
    grey[10, 13] = 1  # just that cell: nothing changes
    assert ours(grey)[10, 10] == pytest.approx(score, rel=1e-12)


def test_mpcm_answers_to_dark_targets_as_to_bright_ones() -> None:
    grey = np.full((30, 30), 100.0)
    grey[14:17, 14:17] = 70
    assert mpcm(grey, scales=(3,))[15, 15] == 30**2 == mpcm(200 - grey, scales=(3,))[15, 15]


def test_tllcm_scores_the_core_against_the_largest_pixels_of_its_brightest_neighbour() -> None:
    grey = np.full((30, 30), 50.0)
    grey[15, 15] = 210
    grey[15, 20] = 95  # in one cell of 5 pixels: the mean of its nine largest is 55
    assert core(grey)[15, 15] == 90
    assert tllcm(grey, scales=(5,), K=9)[15, 15] == pytest.approx(90**2 / 55 - 90, rel=1e-12)


def test_wslcm_takes_single_pixels_for_noise() -> None:
    grey = np.full((30, 30), 50.0)
    grey[15, 15] = 250
    assert np.array_equal(median(grey), np.full((30, 30), 50.0))
    assert wslcm(grey, scales=(5, 7), K=9).max() == 0


def test_wslcm_divides_by_the_deviation_of_the_background_but_never_by_less_than_five() -> None:
    around = np.array([0.0, 0, 0, 0, 4, 4, 4, 4])
    target = 24.0
    cells = np.array(
        [[around[0], around[1], around[2]], [around[7], target, around[3]], [around[6], around[5], around[4]]]
    )
    spread = np.kron(cells, np.ones((3, 3)))[1:8, 1:8]  # cells of 3 pixels of an image of one pixel
    assert weight(spread, size=3).tolist() == [[24 * 20 / 5]]
    louder = np.where(spread == target, 240, 10 * spread)
    assert weight(louder, size=3)[0, 0] == pytest.approx(240 * 200 / (20 * np.sqrt(8 / 7)), rel=1e-12)


def test_wslcm_has_no_weight_where_a_neighbour_stands_out_as_much() -> None:
    spread = np.full((7, 7), 3.0)
    spread[3, 3] = spread[0, 0] = 30
    assert weight(spread, size=3).tolist() == [[0]]


def test_contrast_is_zero_where_the_core_is_no_brighter() -> None:
    g, cells = np.array([[50.0]]), np.full((7, 7), 50.0)
    assert contrast(g, cells, size=3, K=9).tolist() == [[0]]
    assert contrast(2 * g, cells, size=3, K=9).tolist() == [[100**2 / 50 - 100]]
