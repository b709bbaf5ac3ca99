"""Curves: exact against brute force over thresholds and pixel pairs, and equal to the counts at 0.5."""

from __future__ import annotations

import dataclasses
import doctest
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from bench.metrics import curves as curves_module
from bench.metrics.counts import count_image, quantise
from bench.metrics.curves import (
    PD_FA_LEVELS,
    CurveCounts,
    average_precision,
    pd_fa,
    precision_recall,
    roc,
    roc_auc,
)
from bench.types import Scoring

NATIVE = Scoring("native")
SOFT = Scoring("soft", ground_truth="soft", resolution="network")


def drawn(q: NDArray[np.uint16], mask: NDArray[Any], scoring: Scoring = NATIVE) -> CurveCounts:
    """The curve counts of one image."""
    curves = CurveCounts(scoring)
    curves.add(q, mask)
    return curves


def noisy(seed: int, shape: tuple[int, int] = (24, 20)) -> tuple[NDArray[np.uint16], NDArray[np.uint8]]:
    """A prediction that knows a little of its mask, with levels over the whole logit range."""
    generator = np.random.default_rng(seed)
    mask = (generator.random(shape) > 0.93).astype(np.uint8)
    logits = generator.normal(4.0 * mask - 2, 3)
    return quantise(1 / (1 + np.exp(-logits))), mask


def test_the_examples_in_the_docstrings_hold() -> None:
    outcome = doctest.testmod(curves_module)
    assert outcome.attempted > 10
    assert outcome.failed == 0


def test_thresholds_rise_in_equal_steps_of_logit_through_one_half() -> None:
    assert len(PD_FA_LEVELS) == 41
    assert (PD_FA_LEVELS[0], PD_FA_LEVELS[20], PD_FA_LEVELS[40]) == (2, 32768, 65534)
    p = np.array(PD_FA_LEVELS) / 65536
    assert (np.diff(PD_FA_LEVELS) > 0).all()
    middle = np.log(p / (1 - p))[8:33]
    step = 2 * np.log(32767) / 40
    np.testing.assert_allclose(np.diff(middle), step, rtol=0.02)  # levels are whole numbers
    assert [65536 - level for level in PD_FA_LEVELS[::-1]] == list(PD_FA_LEVELS)


@pytest.mark.parametrize("seed", range(5))
def test_every_threshold_gives_the_counts_of_counting_at_that_threshold(seed: int) -> None:
    q, mask = noisy(seed)
    curves = drawn(q, mask)
    for k, level in enumerate(PD_FA_LEVELS):
        counts = count_image(q, mask, scoring=dataclasses.replace(NATIVE, threshold=level / 65536))
        assert curves.matched[k] == counts.matched
        assert curves.unmatched[k] == counts.unmatched
        assert curves.unmatched_area[k] == counts.unmatched_area
    assert (curves.targets, curves.pixels, curves.images) == (counts.targets, counts.pixels, 1)


@settings(max_examples=60, deadline=None)
@given(
    q=hnp.arrays(np.uint16, (7, 6), elements=st.sampled_from([0, 1, 2, 3, 32768, 32769, 65534, 65535])),
    mask=hnp.arrays(np.uint8, (7, 6), elements=st.integers(0, 1)),
    connectivity=st.sampled_from([4, 8]),
    distance=st.sampled_from([1.5, 3.0]),
)
def test_a_skipped_threshold_is_never_a_different_one(
    q: NDArray[np.uint16], mask: NDArray[np.uint8], connectivity: Any, distance: float
) -> None:
    scoring = Scoring("any", connectivity=connectivity, distance=distance)
    curves = drawn(q, mask, scoring)
    for k in (0, 1, 20, 39, 40):
        counts = count_image(q, mask, scoring=dataclasses.replace(scoring, threshold=PD_FA_LEVELS[k] / 65536))
        assert (curves.matched[k], curves.unmatched_area[k]) == (counts.matched, counts.unmatched_area)


def test_a_soft_mask_gives_the_counts_of_its_own_readings() -> None:
    mask = np.array([[0.25, 0.6, 1.0, 0.0, 0.0, 0.0, 0.75]])
    q = np.array([[0, 40000, 65535, 0, 0, 0, 50000]], np.uint16)
    curves, counts = drawn(q, mask, SOFT), count_image(q, mask, scoring=SOFT)
    assert (curves.matched[20], curves.unmatched_area[20]) == (counts.matched, counts.unmatched_area)
    assert curves.target_levels[32769:].sum() == counts.hits
    assert curves.target_levels.sum() == counts.actual


@pytest.mark.parametrize("seed", range(3))
def test_pixel_curves_have_a_point_for_every_level_that_occurs(seed: int) -> None:
    q, mask = noisy(seed)
    curves = drawn(q, mask)
    levels = sorted({int(level) for level in q.ravel()}, reverse=True)
    true = [int(((q >= level) & (mask == 1)).sum()) for level in levels]
    false = [int(((q >= level) & (mask == 0)).sum()) for level in levels]
    curve = roc(curves)
    assert curve.tpr.tolist() == [0.0] + [n / true[-1] for n in true]
    assert curve.fpr.tolist() == [0.0] + [n / false[-1] for n in false]
    precision, recall = precision_recall(curves)
    assert precision.tolist() == [t / (t + f) for t, f in zip(true, false, strict=True)]
    assert recall.tolist() == [n / true[-1] for n in true]


def test_at_one_half_precision_and_recall_are_those_of_the_counts() -> None:
    q, mask = noisy(9)
    counts, curves = count_image(q, mask, scoring=NATIVE), drawn(q, mask)
    assert curves.target_levels[32769:].sum() == counts.hits
    assert curves.other_levels[32769:].sum() == counts.predicted - counts.hits


def test_roc_area_is_the_share_of_pixel_pairs_in_the_right_order() -> None:
    generator = np.random.default_rng(2)
    q = generator.integers(0, 9, (8, 8)).astype(np.uint16)  # many ties
    mask = (generator.random((8, 8)) > 0.7).astype(np.uint8)
    pairs = [(int(a), int(b)) for a in q[mask == 1] for b in q[mask == 0]]
    won = sum(1.0 if a > b else 0.5 if a == b else 0.0 for a, b in pairs)
    assert roc_auc(drawn(q, mask)) == won / len(pairs)


def test_roc_area_is_the_area_under_its_points() -> None:
    curves = drawn(*noisy(4))
    curve = roc(curves)
    assert roc_auc(curves) == pytest.approx(float(np.trapezoid(curve.tpr, curve.fpr)), rel=1e-12)


def test_average_precision_is_one_for_a_perfect_order_and_the_base_rate_for_a_constant() -> None:
    mask = np.array([[1, 0, 0, 1]], np.uint8)
    assert average_precision(drawn(np.array([[9, 3, 2, 9]], np.uint16), mask)) == 1.0
    assert average_precision(drawn(np.full((1, 4), 7, np.uint16), mask)) == 0.5


def test_without_target_pixels_areas_are_none_and_rates_are_nan() -> None:
    curves = drawn(np.array([[1, 2]], np.uint16), np.zeros((1, 2), np.uint8))
    assert roc_auc(curves) is None
    assert average_precision(curves) is None
    assert np.isnan(roc(curves).tpr).all()
    assert np.isnan(precision_recall(curves).recall).all()
    assert np.isnan(pd_fa(curves).pd).all()
    assert not np.isnan(pd_fa(curves).fa).any()


def test_curves_of_no_images_do_not_crash() -> None:
    curves = CurveCounts(NATIVE)
    assert roc_auc(curves) is None
    assert average_precision(curves) is None
    assert np.isnan(roc(curves).fpr).all()
    assert len(precision_recall(curves).precision) == 0
    assert np.isnan(pd_fa(curves).fa).all()


def test_curves_of_a_list_are_the_sum_of_its_parts() -> None:
    whole, first, second = (CurveCounts(NATIVE) for _ in range(3))
    for seed in range(4):
        whole.add(*noisy(seed))
        (first if seed < 1 else second).add(*noisy(seed))
    first.merge(second)
    for name, array in whole.to_arrays().items():
        np.testing.assert_array_equal(first.to_arrays()[name], array)


def test_curves_under_different_rules_are_not_merged() -> None:
    with pytest.raises(ValueError, match="counted under binary masks, 3 px, 8 neighbours, the other under binary"):
        CurveCounts(NATIVE).merge(CurveCounts(dataclasses.replace(NATIVE, distance=5)))


def test_curves_survive_their_arrays(tmp_path: Path) -> None:
    curves = drawn(*noisy(6))
    arrays: dict[str, Any] = dict(curves.to_arrays())
    np.savez_compressed(tmp_path / "curves.npz", **arrays)
    with np.load(tmp_path / "curves.npz", allow_pickle=False) as stored:
        back = CurveCounts.from_arrays(stored, NATIVE)
    np.testing.assert_array_equal(back.target_levels, curves.target_levels)
    np.testing.assert_array_equal(back.other_levels, curves.other_levels)
    np.testing.assert_array_equal(pd_fa(back).fa, pd_fa(curves).fa)
    np.testing.assert_array_equal(pd_fa(back).pd, pd_fa(curves).pd)
    back.add(*noisy(7))
    assert back.images == 2


def test_arrays_with_a_part_missing_or_of_other_thresholds_are_refused() -> None:
    arrays = CurveCounts(NATIVE).to_arrays()
    with pytest.raises(ValueError, match="curves: no matched; score the run again"):
        CurveCounts.from_arrays({k: v for k, v in arrays.items() if k != "matched"}, NATIVE)
    with pytest.raises(ValueError, match="counted at 2 other thresholds"):
        CurveCounts.from_arrays(arrays | {"levels": np.array([1, 2])}, NATIVE)


def test_a_prediction_of_the_wrong_kind_or_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="prediction is float32, expected uint16"):
        CurveCounts(NATIVE).add(np.zeros((2, 2), np.float32), np.zeros((2, 2), np.uint8))
    with pytest.raises(ValueError, match="expected the same"):
        CurveCounts(NATIVE).add(np.zeros((2, 2), np.uint16), np.zeros((2, 3), np.uint8))
