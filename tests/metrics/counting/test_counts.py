"""Counting: the quantised prediction, the readings of a mask, components, matching, and the table of counts."""

from __future__ import annotations

import dataclasses
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from bench.metrics.counting.components import find_components
from bench.metrics.counting.counts import (
    ROUND_FIELDS,
    TRUTH_FIELDS,
    CountsWriter,
    CountTable,
    count_image,
    counts_of,
    join_tables,
)
from bench.metrics.counting.levels import quantise, threshold_level
from bench.metrics.counting.truth import read_truth
from bench.types import Scoring
from tests.metrics import reference as slow

NATIVE = Scoring("native")
SOFT = Scoring("soft", ground_truth="soft", resolution="network")
INTEGERS = (*TRUTH_FIELDS, *ROUND_FIELDS)


def full(*rows: str) -> NDArray[np.uint8]:
    """A mask drawn with # and dots."""
    return np.array([[cell == "#" for cell in row] for row in rows], dtype=np.uint8)


def sure(mask: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """A prediction that is certain of a mask."""
    return np.where(mask > 0, 65535, 0).astype(np.uint16)


def test_levels_are_the_ceiling_and_one_stays_below_65536() -> None:
    prob = np.array([0.0, 2**-40, 1 / 65536, 0.5, np.nextafter(0.5, 1), 65534.5 / 65536, 1.0])
    assert quantise(prob).tolist() == [0, 1, 1, 32768, 32769, 65535, 65535]


@given(
    p=st.floats(0, 1, width=32),
    k=st.integers(0, 65534),
)
def test_a_level_is_above_a_grid_threshold_exactly_where_its_probability_is(p: float, k: int) -> None:
    assert (int(quantise(np.array([p], dtype=np.float32))[0]) > k) == (p > k / 65536)


@given(k=st.integers(0, 65534), step=st.sampled_from([-1, 0, 1]), dtype=st.sampled_from([np.float32, np.float64]))
def test_neighbours_of_a_grid_threshold_fall_on_their_own_side(k: int, step: int, dtype: type) -> None:
    p: NDArray[Any] = np.array([k / 65536], dtype=dtype)
    if step:
        p = np.clip(np.nextafter(p, dtype(2 * step)), 0, 1)
    assert (int(quantise(p)[0]) > k) == bool(p[0] > k / 65536)


@pytest.mark.parametrize("level_below", [0, 1, 32768, 65534])
def test_a_threshold_is_the_level_below_which_nothing_is_predicted(level_below: int) -> None:
    assert threshold_level(level_below / 65536) == level_below


@pytest.mark.parametrize("threshold", [0.1, 0.2, 0.22, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9])
@pytest.mark.parametrize("full", [255, 65535])
def test_a_grey_level_that_is_the_threshold_is_not_above_it(threshold: float, full: int) -> None:
    values = np.arange(full + 1)
    above = Fraction(str(threshold)) * full  # in whole numbers: v / full > threshold
    predicted = quantise(values / full) > threshold_level(threshold)
    wrong = np.flatnonzero(predicted != (values > above))
    assert len(wrong) <= (full == 65535)  # one 16-bit value may share the threshold's 65536th
    assert all(0 < v - above < 1 for v in wrong)


def test_a_threshold_between_levels_is_rounded_up_as_probabilities_are() -> None:
    assert threshold_level(100.5 / 65536) == int(quantise(np.array([100.5 / 65536]))[0]) == 101


@pytest.mark.parametrize(
    ("prob", "message"),
    [
        (np.array([[0.1, np.nan]]), r"probabilities hold NaN \(first at \(0, 1\)\)"),
        (np.array([0.2, 1.25]), "reach from 0 to 1.25"),
        (np.array([-0.5, 1.0]), "reach from -0.5 to 1"),
        (np.array([0.0, np.inf]), "reach from 0 to inf"),
        (np.array([0, 1]), "probabilities are int64"),
        (np.array([0.5], dtype=np.float16), "probabilities are float16"),
    ],
)
def test_what_is_not_a_probability_is_refused(prob: NDArray[Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        quantise(prob)


@pytest.mark.parametrize(
    ("q", "truth", "scoring", "message"),
    [
        (np.zeros((2, 2), np.uint16), np.full((2, 2), 255, np.uint8), NATIVE, "mask holds 255, expected 0 and 1"),
        (np.zeros((2, 2), np.uint16), np.zeros((2, 2), np.float32), NATIVE, "mask is float32"),
        (np.zeros((2, 2), np.uint16), np.zeros((2, 2), np.int64), NATIVE, "mask is int64"),
        (np.zeros((2, 2), np.uint16), np.zeros((2, 3), np.uint8), NATIVE, r"shape \(2, 2\) and its mask \(2, 3\)"),
        (np.zeros((2, 2), np.uint16), np.zeros((1, 2, 2), np.uint8), NATIVE, r"mask has shape \(1, 2, 2\)"),
        (np.zeros((0, 2), np.uint16), np.zeros((0, 2), np.uint8), NATIVE, r"mask has shape \(0, 2\)"),
        (np.zeros((2, 2), np.float32), np.zeros((2, 2), np.uint8), NATIVE, "prediction is float32, expected uint16"),
        (np.zeros((2, 2), np.uint16), np.zeros((2, 2), np.uint8), SOFT, "soft mask is uint8"),
        (np.zeros((1, 2), np.uint16), np.array([[0.0, np.nan]]), SOFT, "soft masks hold NaN"),
        (np.zeros((1, 2), np.uint16), np.array([[0.0, 255.0]]), SOFT, "soft masks reach from 0 to 255"),
        (
            np.zeros((2, 2), np.uint16),
            np.zeros((2, 2), np.uint8),
            dataclasses.replace(NATIVE, threshold=65535 / 65536),
            "threshold is 0.9999847412109375",
        ),
    ],
)
def test_hostile_input_gets_one_clear_error(
    q: NDArray[Any], truth: NDArray[Any], scoring: Scoring, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        count_image(q, truth, scoring=scoring)


def test_a_grey_image_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"grey image has shape \(2, 2\) and its mask \(2, 3\)"):
        read_truth(np.zeros((2, 3), np.uint8), NATIVE, grey=np.zeros((2, 2), np.uint8))


def test_every_integer_of_a_drawn_example() -> None:
    mask = full(
        "##........",
        "##........",
        "..........",
        "........##",
    )
    drawn = full(
        ".##.......",
        "..........",
        "..........",
        "#.......##",
    )
    counts = count_image(sure(drawn), mask, scoring=NATIVE)
    assert {name: getattr(counts, name) for name in INTEGERS} == {
        "pixels": 40,
        "labelled": 6,
        "actual": 6,
        "positive": 6,
        "targets": 2,
        "intersection": 3,
        "predicted": 5,
        "hits": 3,
        "matched": 2,
        "components": 3,
        "unmatched": 1,
        "unmatched_area": 1,
        "equal_area": 1,
    }
    assert counts.target_area.tolist() == [4, 2]
    assert counts.target_border.tolist() == [0, 0]
    assert counts.target_matched.tolist() == [True, True]


def test_false_alarms_are_told_apart_by_identity_and_not_by_area() -> None:
    counts = count_image(sure(full("##......##")), full("##........"), scoring=NATIVE)
    assert (counts.unmatched_area, counts.equal_area) == (2, 0)


def test_a_distance_of_exactly_three_pixels_is_a_miss() -> None:
    mask, drawn = full("#...."), full("...#.")
    assert count_image(sure(drawn), mask, scoring=NATIVE).matched == 0
    assert count_image(sure(drawn), mask, scoring=dataclasses.replace(NATIVE, distance=3.001)).matched == 1


def test_a_target_takes_the_first_free_component_and_not_the_nearest() -> None:
    counts = count_image(sure(full("#.##..")), full("..#..."), scoring=NATIVE)
    assert (counts.matched, counts.unmatched_area) == (1, 2)


def test_pixels_that_touch_at_a_corner_are_one_target_with_eight_neighbours_and_two_with_four() -> None:
    mask = full("#.", ".#")
    assert count_image(sure(mask), mask, scoring=NATIVE).targets == 1
    assert count_image(sure(mask), mask, scoring=dataclasses.replace(NATIVE, connectivity=4)).targets == 2


def test_a_probability_of_exactly_one_half_is_background() -> None:
    q = quantise(np.array([[0.5, 0.5 + 2**-16]]))
    assert count_image(q, full("##"), scoring=NATIVE).predicted == 1


def test_a_soft_mask_has_five_readings() -> None:
    mask = np.array([[0.25, 0.5, 0.75, 1.0, 0.0]])
    counts = count_image(np.full((1, 5), 65535, np.uint16), mask, scoring=SOFT)
    assert counts.intersection == 1
    assert counts.labelled == 3
    assert counts.targets == 1
    assert counts.target_area.tolist() == [1]
    assert counts.actual == 2
    assert counts.hits == 2
    assert counts.positive == 4


def test_border_distance_is_zero_on_the_first_row_and_counts_pixels_inward() -> None:
    mask = np.zeros((9, 9), np.uint8)
    mask[0, 4] = mask[3:5, 2] = mask[7, 6] = 1
    assert count_image(sure(mask), mask, scoring=NATIVE).target_border.tolist() == [0, 2, 1]


def test_signal_to_clutter_is_measured_on_the_box_around_the_target_less_all_targets() -> None:
    mask = np.zeros((50, 100), np.uint8)
    mask[25, 30] = mask[25, 40] = 1
    grey = np.full((50, 100), 200, np.uint8)
    grey[5:46, 10:51] = 10
    grey[5:46:2, 10:51] = 14
    grey[mask == 1] = 50
    window = [int(grey[r, c]) for r in range(5, 46) for c in range(10, 51) if not mask[r, c]]
    mean = sum(window) / len(window)
    spread = (sum((value - mean) ** 2 for value in window) / len(window)) ** 0.5
    counts = count_image(sure(mask), mask, scoring=NATIVE, grey=grey)
    assert counts.target_scr[0] == pytest.approx((50 - mean) / spread, rel=1e-12)  # sums in another order
    assert counts.target_scr[1] < 1  # its box reaches into the bright part


def test_signal_to_clutter_is_null_without_a_grey_image_or_on_a_constant_background() -> None:
    mask = full("#..")
    assert np.isnan(count_image(sure(mask), mask, scoring=NATIVE).target_scr).all()
    flat = np.array([[9, 3, 3]], np.uint8)
    assert np.isnan(count_image(sure(mask), mask, scoring=NATIVE, grey=flat).target_scr).all()
    assert np.isnan(count_image(sure(full("###")), full("###"), scoring=NATIVE, grey=flat).target_scr).all()


maps = st.tuples(st.integers(1, 14), st.integers(1, 14))


@settings(max_examples=150, deadline=None)
@given(data=st.data(), shape=maps, connectivity=st.sampled_from([4, 8]))
def test_components_come_in_the_order_of_their_first_pixel(
    data: st.DataObject, shape: tuple[int, int], connectivity: Any
) -> None:
    drawn = data.draw(hnp.arrays(np.bool_, shape))
    components = find_components(drawn, connectivity=connectivity)
    expected = slow.flood_fill(drawn.tolist(), connectivity=connectivity)
    fast = [
        sorted(zip(components.rows[mine].tolist(), components.cols[mine].tolist(), strict=True))
        for mine in (components.owner == i for i in range(len(components)))
    ]
    assert fast == [sorted(pixels) for pixels in expected]


@settings(max_examples=200, deadline=None)
@given(
    data=st.data(),
    shape=maps,
    connectivity=st.sampled_from([4, 8]),
    distance=st.sampled_from([1.0, 2.0, 3.0, 5.0]),
    threshold=st.sampled_from([0.25, 0.5, 0.75]),
    matching=st.sampled_from(["greedy-raster", "nearest", "overlap", "shooting"]),
)
def test_counts_equal_a_slow_count_by_flood_fill(
    data: st.DataObject, shape: tuple[int, int], connectivity: Any, distance: float, threshold: float, matching: Any
) -> None:
    prob = data.draw(hnp.arrays(np.float32, shape, elements=st.sampled_from([0.0, 0.25, 0.5, 0.625, 0.75, 1.0])))
    mask = data.draw(hnp.arrays(np.uint8, shape, elements=st.integers(0, 1)))
    scoring = Scoring("any", threshold=threshold, distance=distance, connectivity=connectivity, matching=matching)
    counts = count_image(quantise(prob), mask, scoring=scoring)
    rule = {"distance": distance, "connectivity": connectivity, "matching": matching}
    expected = slow.slow_counts(prob.tolist(), mask.tolist(), threshold=threshold, **rule)
    assert {name: getattr(counts, name) for name in INTEGERS} == expected


@given(p=st.floats(0, 1))
def test_levels_equal_exact_arithmetic(p: float) -> None:
    assert int(quantise(np.array([p]))[0]) == slow.level(p)


def _noise(seed: int, count: int, *, rounds: int = 2) -> CountTable:
    generator = np.random.default_rng(seed)
    writer = CountsWriter(NATIVE)
    for index in range(count):
        size = (int(generator.integers(5, 12)), 9)
        mask = (generator.random(size) > 0.9).astype(np.uint8)
        grey = generator.integers(0, 256, size).astype(np.uint8)
        writer.add(f"{seed}-{index}", [quantise(generator.random(size)) for _ in range(rounds)], truth=mask, grey=grey)
    return writer.table()


def test_a_writer_hands_out_the_same_counts_as_counting_each_image() -> None:
    first, second = full("#..#", "...."), full("....", "####")
    writer = CountsWriter(NATIVE)
    writer.add("a", [sure(first), sure(second)], truth=first)
    writer.add("b", [sure(second), sure(first)], truth=second)
    table = writer.table()
    for index, drawn in ((0, (first, second)), (1, (second, first))):
        expected = counts_of(
            [count_image(sure(d), truth, scoring=NATIVE) for d, truth in zip(drawn, (first, second), strict=True)]
        )
        for name in INTEGERS:
            assert getattr(table.round(index), name).tolist() == getattr(expected, name).tolist()
    assert table.names == ("a", "b")
    assert table.sizes.tolist() == [[2, 4], [2, 4]]
    assert table.target_image.tolist() == [0, 0, 1]
    assert table.round(-1).target_matched.tolist() == table.target_matched[1].tolist()


def test_a_writer_names_the_image_that_is_wrong() -> None:
    writer = CountsWriter(NATIVE)
    with pytest.raises(ValueError, match=re.escape("Misc_1: mask holds 255")):
        writer.add("Misc_1", [np.zeros((1, 1), np.uint16)], truth=np.array([[255]], np.uint8))
    with pytest.raises(ValueError, match="Misc_1: 0 rounds, expected 1"):
        writer.add("Misc_1", [], truth=np.zeros((1, 1), np.uint8))
    assert writer.table().names == ()
    writer.add("Misc_1", [np.zeros((1, 1), np.uint16)] * 3, truth=np.zeros((1, 1), np.uint8))
    with pytest.raises(ValueError, match="Misc_2: 2 rounds, expected 3 as for the images before it"):
        writer.add("Misc_2", [np.zeros((1, 1), np.uint16)] * 2, truth=np.zeros((1, 1), np.uint8))
    assert writer.table().rounds == 3


def test_a_table_survives_its_arrays(tmp_path: Path) -> None:
    table = _noise(3, 4)
    arrays: dict[str, Any] = dict(table.to_arrays())
    np.savez_compressed(tmp_path / "counts.npz", **arrays)
    with np.load(tmp_path / "counts.npz", allow_pickle=False) as stored:
        back = CountTable.from_arrays(stored)
    assert back.names == table.names
    for name, array in table.to_arrays().items():
        np.testing.assert_array_equal(back.to_arrays()[name], array)


def test_a_table_of_no_images_survives_its_arrays() -> None:
    back = CountTable.from_arrays(CountsWriter(NATIVE).table().to_arrays())
    assert back.names == ()
    assert len(back.round(0)) == 0


def test_a_table_with_a_field_missing_or_cut_is_refused() -> None:
    arrays = _noise(4, 3).to_arrays()
    with pytest.raises(ValueError, match="no matched, expected"):
        CountTable.from_arrays({name: array for name, array in arrays.items() if name != "matched"})
    with pytest.raises(ValueError, match=r"hits has shape \(2, 2\), expected \(2, 3\)"):
        CountTable.from_arrays(arrays | {"hits": arrays["hits"][:, :2]})


def test_the_counts_of_a_list_are_the_counts_of_its_parts() -> None:
    parts = [_noise(5, 3), _noise(6, 0), _noise(7, 4)]
    whole = join_tables(parts)
    assert whole.names == parts[0].names + parts[2].names
    for name in INTEGERS:
        for index in (0, 1):
            total = sum(int(getattr(part.round(index), name).sum()) for part in parts if part.names)
            assert getattr(whole.round(index), name).sum() == total
    again = CountTable.from_arrays(whole.to_arrays())
    assert again.target_image.tolist() == [*parts[0].target_image.tolist(), *(parts[2].target_image + 3).tolist()]


def test_parts_with_different_rounds_are_not_joined() -> None:
    with pytest.raises(ValueError, match=r"parts have \[2, 1\] rounds"):
        join_tables([_noise(1, 1), _noise(1, 1, rounds=1)])
    with pytest.raises(ValueError, match=r"parts have \[\] rounds"):
        join_tables([])
    assert join_tables([_noise(1, 0), _noise(1, 0)]).names == ()


def test_a_resample_takes_an_images_targets_with_it_each_time() -> None:
    counts = _noise(8, 5).round(0)
    taken = counts.take([4, 0, 4])
    assert taken.pixels.tolist() == counts.pixels[[4, 0, 4]].tolist()
    for position, image in enumerate([4, 0, 4]):
        mine, theirs = taken.target_image == position, counts.target_image == image
        np.testing.assert_array_equal(taken.target_area[mine], counts.target_area[theirs])
        np.testing.assert_array_equal(taken.target_scr[mine], counts.target_scr[theirs])
    assert len(counts.take([])) == 0
