"""Proximal steps by hand, and against the singular value decomposition they do without."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from baselines.classical.parts.shrinkage import (
    shrink_rows,
    shrink_singular_values,
    singular_value_threshold,
    soft_threshold,
)


def of_values(values: list[float], rows: int, columns: int) -> NDArray[np.float64]:
    """A matrix with these singular values and random vectors."""
    rng = np.random.default_rng(3)
    left = np.linalg.qr(rng.normal(size=(rows, len(values))))[0]
    right = np.linalg.qr(rng.normal(size=(columns, len(values))))[0]
    made: NDArray[np.float64] = (left * values) @ right.T
    return made


def by_decomposition(x: NDArray[np.float64], amount: float) -> NDArray[np.float64]:
    left, values, right = np.linalg.svd(x, full_matrices=False)
    thresholded: NDArray[np.float64] = (left * np.maximum(values - amount, 0)) @ right
    return thresholded


def test_entries_move_towards_0_and_stop_there() -> None:
    assert soft_threshold(np.array([-3.0, -0.5, 0.0, 0.5, 2.0]), 1.0).tolist() == [-2, 0, 0, 0, 1]


def test_rows_keep_their_direction_and_lose_norm() -> None:
    rows = np.array([[3.0, 4.0], [0.6, 0.8], [0.0, 0.0]])
    assert shrink_rows(rows, 1.0) == pytest.approx(np.array([[2.4, 3.2], [0, 0], [0, 0]]))


@pytest.mark.parametrize(("rows", "columns"), [(6, 40), (40, 6), (20, 20)])
def test_singular_values_move_towards_0_and_the_rank_counts_those_that_are_left(rows: int, columns: int) -> None:
    x = of_values([9.0, 5.0, 2.5, 2.0, 0.5], rows, columns)
    thresholded, rank = singular_value_threshold(x, 2.2)
    assert rank == 3
    assert thresholded.shape == (rows, columns)
    assert np.linalg.svd(thresholded, compute_uv=False)[:4] == pytest.approx([6.8, 2.8, 0.3, 0], abs=1e-12)
    assert np.abs(thresholded - by_decomposition(x, 2.2)).max() < 1e-13


def test_nothing_is_left_below_the_threshold() -> None:
    thresholded, rank = singular_value_threshold(of_values([2.0, 1.0], 3, 5), 2.5)
    assert (rank, thresholded.any()) == (0, False)


def test_the_shrinking_rule_sees_the_values_largest_first() -> None:
    seen = []

    def keep_the_second(values: NDArray[np.float64]) -> NDArray[np.float64]:
        seen.append(values)
        return np.array([values[1], values[1], 0.0])

    shrunk, values = shrink_singular_values(of_values([7.0, 4.0, 1.0], 3, 8), keep_the_second)
    assert seen[0] == pytest.approx([7, 4, 1])
    assert values == pytest.approx([4, 4, 0])
    assert np.linalg.svd(shrunk, compute_uv=False) == pytest.approx([4, 4, 0], abs=1e-13)


@pytest.mark.parametrize(("rows", "columns"), [(4, 30), (30, 4)])
def test_values_that_vanish_in_a_gram_matrix_are_still_told_apart(rows: int, columns: int) -> None:
    """The squares of 3e-9 and 1e-9 are far below the rounding of 1."""
    x = of_values([1.0, 3e-9, 1e-9], rows, columns)
    thresholded, rank = singular_value_threshold(x, 2e-9)
    assert rank == 2
    assert np.linalg.svd(thresholded, compute_uv=False)[1] == pytest.approx(1e-9, rel=1e-5)


def test_values_down_to_a_millionth_are_as_good_as_those_of_a_decomposition() -> None:
    x = of_values([1.0, 1e-3, 4e-6, 1e-6], 50, 200)
    thresholded, rank = singular_value_threshold(x, 2e-6)
    assert rank == 3
    assert np.abs(thresholded - by_decomposition(x, 2e-6)).max() < 1e-9
