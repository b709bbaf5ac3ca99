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
from scipy import ndimage

from bench.metrics import curves as curves_module
from bench.metrics.counting.counts import count_image
from bench.metrics.counting.levels import quantise
from bench.metrics.curves import (
    CurveCounts,
    average_precision,
    levels_used,
    pd_fa,
    pd_fa_at,
    pixel_counts,
    pooled_iou,
    precision_recall,
    roc,
    roc_auc,
    target_counts,
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


LEVELS_AROUND = st.sampled_from([0, 1, 2, 3, 32768, 32769, 65534, 65535])
RULES = st.sampled_from(["greedy-raster", "nearest", "optimal", "overlap", "shooting"])


def counted_anew(q: NDArray[np.uint16], mask: NDArray[Any], scoring: Scoring, level: int) -> list[int]:
    """What labelling the map from scratch at one threshold comes to."""
    counts = count_image(q, mask, scoring=dataclasses.replace(scoring, threshold=level / 65536))
    return [counts.matched, counts.unmatched, counts.unmatched_area, counts.intersection, counts.predicted]


def swept(curves: CurveCounts, level: int) -> list[int]:
    """The same numbers from the sweep."""
    levels = np.array([level])
    on, off = pixel_counts(curves, levels)
    return [int(column[0]) for column in (*target_counts(curves, levels), on, on + off)]


@pytest.mark.parametrize("matching", ["greedy-raster", "nearest", "optimal", "overlap", "shooting"])
@pytest.mark.parametrize("seed", range(4))
def test_every_threshold_gives_the_counts_of_counting_at_that_threshold(seed: int, matching: Any) -> None:
    q, mask = noisy(seed)
    scoring = dataclasses.replace(NATIVE, matching=matching)
    curves = drawn(q, mask, scoring)
    for level in {0, 1, 32768, 65534, *(int(k) for k in levels_used(curves) if k < 65535)}:
        assert swept(curves, level) == counted_anew(q, mask, scoring, level)


@settings(max_examples=200, deadline=None)
@given(
    q=hnp.arrays(np.uint16, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=LEVELS_AROUND),
    data=st.data(),
    connectivity=st.sampled_from([4, 8]),
    distance=st.sampled_from([1.0, 1.5, 3.0, 5.0]),
    matching=RULES,
)
def test_plateaus_mergers_and_ties_are_followed_exactly(
    q: NDArray[np.uint16], data: st.DataObject, connectivity: Any, distance: float, matching: Any
) -> None:
    mask = data.draw(hnp.arrays(np.uint8, q.shape, elements=st.integers(0, 1)))
    scoring = Scoring("any", connectivity=connectivity, distance=distance, matching=matching)
    curves = drawn(q, mask, scoring)
    for level in (0, 1, 2, 3, 32767, 32768, 65533, 65534):
        assert swept(curves, level) == counted_anew(q, mask, scoring, level)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), smoothing=st.sampled_from([0.0, 1.0, 2.5]))
def test_maps_with_tens_of_components_are_followed_exactly(seed: int, smoothing: float) -> None:
    generator = np.random.default_rng(seed)
    clutter = ndimage.gaussian_filter(generator.random((40, 37)), smoothing)
    q = quantise((clutter - clutter.min()) / np.ptp(clutter))
    mask = (generator.random(q.shape) > 0.99).astype(np.uint8)
    curves = drawn(q, mask)
    for level in generator.choice(levels_used(curves)[1:], 40):
        assert swept(curves, int(level)) == counted_anew(q, mask, NATIVE, int(level))


@pytest.mark.parametrize("thresholds", [2, 16, 256])
def test_fewer_thresholds_give_the_counts_of_those_thresholds(thresholds: int) -> None:
    q, mask = noisy(5)
    exact, coarse = drawn(q, mask), CurveCounts(NATIVE, thresholds=thresholds)
    coarse.add(q, mask)
    for level in range(0, 65536, 65536 // thresholds):
        assert swept(coarse, level) == swept(exact, level) == counted_anew(q, mask, NATIVE, level)


def test_thresholds_that_levels_cannot_be_divided_into_are_refused() -> None:
    with pytest.raises(ValueError, match="100 thresholds, expected a power of two from 2 to 65536"):
        CurveCounts(NATIVE, thresholds=100)


def test_a_soft_mask_gives_the_counts_of_its_own_readings() -> None:
    mask = np.array([[0.25, 0.6, 1.0, 0.0, 0.0, 0.0, 0.75]])
    q = np.array([[0, 40000, 65535, 0, 0, 0, 50000]], np.uint16)
    curves, counts = drawn(q, mask, SOFT), count_image(q, mask, scoring=SOFT)
    found = target_counts(curves, np.array([32768]))
    assert (found.matched[0], found.unmatched_area[0]) == (counts.matched, counts.unmatched_area)
    assert curves.target_levels[32769:].sum() == counts.hits
    assert curves.target_levels.sum() == counts.actual


def test_a_rule_that_no_sweep_follows_has_pixel_curves_alone() -> None:
    q, mask = noisy(1)
    curves = drawn(q, mask, dataclasses.replace(NATIVE, matching="overlap-priority"))
    assert roc_auc(curves) == roc_auc(drawn(q, mask))
    assert len(pd_fa(curves).fa) == 0
    assert np.isnan(pd_fa_at(curves, 0.5)).all()


def test_the_curve_begins_where_nothing_is_predicted_and_ends_at_the_lowest_level_above_zero() -> None:
    q = np.array([[900, 0, 0, 0, 500, 0, 0, 0]], np.uint16)
    curve = pd_fa(drawn(q, np.array([[1, 0, 0, 0, 0, 0, 0, 0]], np.uint8)))
    assert (curve.thresholds * 65536).tolist() == [65535, 899, 499]
    assert curve.pd.tolist() == [0, 1, 1]
    assert curve.fa.tolist() == [0, 0, 1 / 8]


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


def test_pooled_iou_of_nothing_against_nothing_is_zero() -> None:
    curves = drawn(np.zeros((1, 2), np.uint16), np.zeros((1, 2), np.uint8))
    assert pooled_iou(curves, np.array([0, 32768])).tolist() == [0, 0]


@pytest.mark.parametrize("seed", range(3))
def test_pooled_iou_is_that_of_the_counts_at_every_threshold(seed: int) -> None:
    q, mask = noisy(seed)
    curves = drawn(q, mask)
    for level in levels_used(curves)[1:]:
        counts = count_image(q, mask, scoring=dataclasses.replace(NATIVE, threshold=int(level) / 65536))
        union = counts.predicted + counts.labelled - counts.intersection
        assert pooled_iou(curves, np.array([level]))[0] == counts.intersection / union


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
    first.extend(second)
    for name, array in whole.to_arrays().items():
        np.testing.assert_array_equal(first.to_arrays()[name], array)


def test_curves_under_different_rules_are_not_merged() -> None:
    with pytest.raises(
        ValueError,
        match="counted under binary masks, matching greedy-raster, 3 px, 8 neighbours, 65536 thresholds, the other",
    ):
        CurveCounts(NATIVE).extend(CurveCounts(dataclasses.replace(NATIVE, distance=5)))


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


def test_arrays_with_a_part_missing_are_refused() -> None:
    arrays = CurveCounts(NATIVE).to_arrays()
    with pytest.raises(ValueError, match="curves: no steps; score the run again"):
        CurveCounts.from_arrays({k: v for k, v in arrays.items() if k != "steps"}, NATIVE)


def test_a_prediction_of_the_wrong_kind_or_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="prediction is float32, expected uint16"):
        CurveCounts(NATIVE).add(np.zeros((2, 2), np.float32), np.zeros((2, 2), np.uint8))
    with pytest.raises(ValueError, match="expected the same"):
        CurveCounts(NATIVE).add(np.zeros((2, 2), np.uint16), np.zeros((2, 3), np.uint8))
