"""Matching rules: which targets are found and which components are false alarms, by hand and by trying all choices."""

from __future__ import annotations

import doctest
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from bench.metrics.counting import labelling, matching, pairing
from bench.metrics.counting.components import find_components
from bench.metrics.counting.matching import Matches, match_targets
from bench.metrics.counting.pairing import pair_optimally
from bench.types import Scoring
from tests.metrics import reference as slow

Flags = NDArray[np.bool_]


def full(*rows: str) -> Flags:
    """A drawn map: `#` is set."""
    return np.array([[letter == "#" for letter in row] for row in rows])


def matched(mask: Flags, prediction: Flags, **rule: Any) -> Matches:
    return match_targets(mask, find_components(mask), prediction, find_components(prediction), Scoring("any", **rule))


def test_the_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(matching).attempted > 5
    assert [doctest.testmod(module).failed for module in (matching, pairing, labelling)] == [0, 0, 0]


def test_the_raster_order_loses_a_target_that_the_optimal_choice_finds() -> None:
    mask = full("...#..", "#.....")  # the first target takes the component that only the second could have used
    prediction = full(".#...#", "......")
    assert matched(mask, prediction, distance=2.5).is_found.tolist() == [True, False]
    assert matched(mask, prediction, distance=2.5, matching="optimal").is_found.tolist() == [True, True]


def test_the_nearest_pair_first_loses_a_target_that_both_others_find() -> None:
    mask, prediction = full("#..#.."), full("..#..#")
    found = {
        rule: matched(mask, prediction, distance=2.5, matching=rule).is_found.tolist()
        for rule in ("greedy-raster", "nearest", "optimal")
    }
    assert found == {"greedy-raster": [True, True], "nearest": [False, True], "optimal": [True, True]}


def test_the_nearest_component_is_taken_before_the_first_one() -> None:
    mask, prediction = full("....#...."), full("..#..#...")
    greedy, nearest = (matched(mask, prediction, matching=rule) for rule in ("greedy-raster", "nearest"))
    assert greedy.is_alarm.tolist() == [False, True]
    assert nearest.is_alarm.tolist() == [True, False]


def test_one_component_over_two_targets_finds_both_by_overlap_and_one_by_distance() -> None:
    mask, prediction = full("#.#"), full("###")
    assert matched(mask, prediction, matching="overlap").is_found.tolist() == [True, True]
    assert matched(mask, prediction).is_found.tolist() == [True, False]


def test_overlap_goes_before_distance() -> None:
    mask = full("##########")
    half, less = full(".....#####"), full("......####")  # centroids 2.5 and 3 px off; IoU 0.5 and 0.4
    assert matched(mask, half, distance=2).is_found.tolist() == [False]
    assert matched(mask, half, distance=2, matching="overlap-priority").is_found.tolist() == [True]
    assert matched(mask, less, distance=2, matching="overlap-priority").is_found.tolist() == [False]


def test_the_shooting_rule_hits_within_one_pixel_and_spares_four() -> None:
    mask = full("#.........")
    beside, spared, far = full(".#........"), full("....#....."), full(".....#....")
    assert matched(mask, beside, matching="shooting").is_found.tolist() == [True]
    assert matched(mask, spared, matching="shooting").is_found.tolist() == [False]
    assert matched(mask, spared, matching="shooting").alarm_area == 0
    assert matched(mask, far, matching="shooting").alarm_area == 1


def test_a_component_half_inside_the_spared_box_is_no_alarm_but_its_far_pixels_are() -> None:
    matches = matched(full("#........."), full("...#####.."), matching="shooting")
    assert matches.is_alarm.tolist() == [False]
    assert matches.alarm_area == 3


@settings(max_examples=300, deadline=None)
@given(
    mask=hnp.arrays(np.bool_, (5, 6), elements=st.sampled_from([True, False, False])),
    prediction=hnp.arrays(np.bool_, (5, 6), elements=st.sampled_from([True, False, False])),
    distance=st.sampled_from([1.0, 1.5, 2.0, 3.0, 6.0]),
)
def test_the_optimal_choice_is_the_best_of_all_choices(mask: Flags, prediction: Flags, distance: float) -> None:
    targets, found = find_components(mask, connectivity=4), find_components(prediction, connectivity=4)
    if len(targets) > 5 or len(found) > 5:
        return
    partner = pair_optimally(targets.centroids, found.centroids, distance)
    chosen = [(t, c) for t, c in enumerate(partner) if c >= 0]
    assert len({c for _, c in chosen}) == len(chosen)
    far = [float(np.hypot(*(targets.centroids[t] - found.centroids[c]))) for t, c in chosen]
    assert all(each < distance for each in far)
    slow_targets = slow.flood_fill(mask.astype(int).tolist(), connectivity=4)
    slow_found = slow.flood_fill(prediction.astype(int).tolist(), connectivity=4)
    most, least = slow.most_pairs_and_least_distance(slow_targets, slow_found, distance)
    assert len(chosen) == most
    assert sum(far) == pytest.approx(least, abs=1e-9)  # sums of a few distances, rounded differently
