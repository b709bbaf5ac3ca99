"""Cells: the types grey levels are held in, the order of neighbours, means."""

from __future__ import annotations

import numpy as np
import pytest

from baselines.classical.parts.cells import centre, exact, means, neighbours, padded, top_means

EIGHT_BIT = np.random.default_rng(1).integers(0, 256, (14, 17)).astype(np.float64)


@pytest.mark.parametrize(
    ("grey", "kind"),
    [
        (EIGHT_BIT, np.uint8),
        (EIGHT_BIT + 0.5, np.float32),
        (EIGHT_BIT - 300, np.float32),
        (EIGHT_BIT + 300, np.float32),
        (EIGHT_BIT + 2.0**-31, np.float64),
    ],
    ids=["8-bit", "fractions", "below 0", "above 255", "fine fractions"],
)
def test_levels_are_held_exactly_in_the_narrowest_type(grey: np.ndarray, kind: type) -> None:
    held = exact(grey)
    assert held.dtype == kind
    assert np.array_equal(held, grey)


def test_levels_finer_than_the_resolution_are_rounded() -> None:
    assert np.array_equal(exact(EIGHT_BIT + 2.0**-34), EIGHT_BIT)


def test_the_border_is_repeated_as_far_as_the_neighbours_of_border_pixels_reach() -> None:
    wide = padded(np.array([[7]], np.uint8), 5)
    assert np.array_equal(wide, np.full((15, 15), 7))


def test_neighbours_go_clockwise_and_opposite_ones_are_four_apart() -> None:
    cells = np.arange(7.0 * 8).reshape(7, 8)  # cells of 3 pixels of an image of 1 x 2
    assert centre(cells, 3).tolist() == [[27, 28]]
    assert [around.tolist() for around in neighbours(cells, 3)] == [
        [[0, 1]], [[3, 4]], [[6, 7]], [[30, 31]], [[54, 55]], [[51, 52]], [[48, 49]], [[24, 25]],
    ]  # fmt: skip


@pytest.mark.parametrize("size", [3, 9])
def test_both_ways_of_holding_levels_give_the_same_means_bit_for_bit(size: int) -> None:
    narrow = exact(EIGHT_BIT)
    assert np.array_equal(means(narrow, size), means(EIGHT_BIT, size))
    few, many = (top_means(image, size, counts=[2, 9]) for image in (narrow, EIGHT_BIT))
    assert all(np.array_equal(few[count], many[count]) for count in (2, 9))


def test_means_of_a_flat_image_are_its_level_wherever_they_are_taken() -> None:
    flat = exact(np.full((20, 30), 100 / 3))
    assert np.unique(means(flat, 7)).size == 1
    assert np.unique(top_means(flat, 7, counts=[9])[9]).tolist() == [flat[0, 0]]
