"""RIPT: its local prior, its unfoldings, and targets in grey levels."""

from __future__ import annotations

import math

import numpy as np
import pytest

from baselines.classical.ript import RIPTSettings, edge_weight, ript, separate, unfolding_threshold
from tests.baselines.classical.scenes import image_b


def test_edges_weigh_e_and_even_ground_1() -> None:
    grey = np.full((20, 20), 50.0)
    grey[:, 10:] = 90
    weight = edge_weight(grey, 1.0)
    assert weight[:, [0, 1, 2, 17, 18, 19]] == pytest.approx(np.ones((20, 6)))
    assert weight[:, [9, 10]] == pytest.approx(np.full((20, 2), math.e))
    assert edge_weight(grey, 2.0)[10, 10] == pytest.approx(math.e**2)


@pytest.mark.parametrize("mode", [0, 1, 2])
def test_an_unfolding_has_one_slice_a_row(mode: int) -> None:
    x = np.random.default_rng(8).normal(size=(4, 5, 6))
    matrix = np.stack([x.take(i, axis=mode).ravel() for i in range(x.shape[mode])])
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    amount = float(values[2:4].mean())
    thresholded, rank = unfolding_threshold(x, amount, mode)
    slices = np.stack([thresholded.take(i, axis=mode).ravel() for i in range(x.shape[mode])])
    assert rank == 3
    assert np.abs(slices - (left * np.maximum(values - amount, 0)) @ right).max() < 1e-12


def test_the_first_step_by_hand() -> None:
    """Two patches of 1 x 2 pixels: sides 2, 1, 2; lambda = 0.7; mu = 5 deviations shrinks every unfolding to nothing,
    so that T is F - mu * 0.7 / 3 * weight."""
    data = np.array([[[1.0, 0.0]], [[0.0, 9.0]]])
    mu = 5 * data.std(ddof=1)
    weight = np.array([[[0.01, 0.01]], [[0.01, 1.0]]])
    found = separate(data, weight, RIPTSettings(iterations=1))
    assert found.target == pytest.approx(np.maximum(data - mu * 0.7 / 3 * weight, 0))
    assert (found.iterations, found.rank) == (1, 0)


def test_scores_are_grey_levels() -> None:
    """A level more everywhere leaves them; twice the contrast nearly doubles them, for a target's weight has 0.01 grey
    levels in it."""
    grey, settings = image_b()[16:64, :48], RIPTSettings(patch=16, step=6)
    scores = ript(grey, settings).target
    assert scores.argmax() == 24 * 48 + 24
    assert 20 < scores.max() < 60
    assert ript(2 * grey, settings).target.max() == pytest.approx(2 * scores.max(), rel=0.05)
