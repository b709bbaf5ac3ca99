"""The structure tensor of images whose gradients are known."""

from __future__ import annotations

import numpy as np
import pytest

from baselines.classical.parts.structure import gaussian_3x3, gradient, structure_eigenvalues


def test_a_points_blur_is_the_gaussian() -> None:
    point = np.zeros((5, 5))
    point[2, 2] = 1
    blurred = gaussian_3x3(point, 1.2)
    assert blurred.sum() == pytest.approx(1)
    assert blurred[2, 1] / blurred[2, 2] == pytest.approx(np.exp(-1 / (2 * 1.44)))
    assert blurred[1, 1] / blurred[2, 2] == pytest.approx(np.exp(-1 / 1.44))
    assert np.count_nonzero(blurred) == 9


def test_the_border_is_mirrored() -> None:
    """In (1, 0, 0) the first pixel sees itself once more outside: weights a, b, a give a + b."""
    side = np.exp(-1 / 8)
    blurred = gaussian_3x3(np.array([[1.0, 0.0, 0.0]]), 2.0)
    assert blurred[0] == pytest.approx(np.array([1 + side, side, 0]) / (1 + 2 * side))


def test_gradients_are_central_and_one_sided_at_the_border() -> None:
    squares = np.array([[0.0, 1.0, 4.0, 9.0]])
    assert gradient(squares, 1).tolist() == [[1, 2, 4, 5]]
    assert gradient(squares, 0).tolist() == [[0, 0, 0, 0]]


def test_a_slope_has_one_eigenvalue_the_square_of_its_gradient() -> None:
    y, x = np.mgrid[:11, :11].astype(float)
    larger, smaller = structure_eigenvalues(3 * x + 4 * y, noise=1.2, window=2.0)
    inside = slice(3, -3)  # both blurs and the gradient reach one pixel beyond the border each
    assert larger[inside, inside] == pytest.approx(np.full((5, 5), 25.0))
    assert smaller[inside, inside] == pytest.approx(np.zeros((5, 5)), abs=1e-12)


def test_a_points_neighbourhood_has_two_and_a_line_has_one() -> None:
    point, line = np.zeros((11, 11)), np.zeros((11, 11))
    point[5, 5] = line[5] = 10
    larger, smaller = structure_eigenvalues(point, noise=1.2, window=2.0)
    assert smaller[5, 5] == pytest.approx(larger[5, 5])
    assert larger[5, 5] > 0
    larger, smaller = structure_eigenvalues(line, noise=1.2, window=2.0)
    assert larger[5, 5] > 0
    assert smaller[5, 5] == 0
