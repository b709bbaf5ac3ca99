"""NRAM: what its three proximal steps do to single numbers, and that the parts add up to the data."""

from __future__ import annotations

import numpy as np
import pytest

from baselines.classical.nram import NRAMSettings, gamma_shrink, nram, reweighted_threshold, separate
from tests.baselines.classical.scenes import image_b


def test_large_singular_values_keep_more_than_small_ones() -> None:
    """gamma 0.5 and mu 3: a value goes down to s + 0.25 / (0.5 + s)^2 = value, or to 0."""
    shrunk = gamma_shrink(np.array([10.0, 1.0, 0.3]), np.zeros(3), gamma=0.5, mu=3.0)
    assert shrunk[:2] + 0.25 / (0.5 + shrunk[:2]) ** 2 == pytest.approx([10.0, 1.0], abs=1e-3)
    assert 10.0 - shrunk[0] < 1.0 - shrunk[1]
    assert shrunk[2] == 0


def test_a_value_that_was_large_before_stays() -> None:
    """0.9 from 0: 0.25 / 0.25 = 1 is taken off, so that it stays 0; from 0.8, 0.25 / 1.69 = 0.148 is."""
    alone, kept = (gamma_shrink(np.array([0.9]), np.array([past]), gamma=0.5, mu=3.0)[0] for past in (0.0, 0.8))
    assert alone == 0
    assert kept + 0.25 / (0.5 + kept) ** 2 == pytest.approx(0.9, abs=1e-3)


def test_strong_entries_are_hardly_thresholded_and_negative_ones_mu_times_as_much() -> None:
    """Weight 0.5 and mu 10: 0.96 loses 0.05 / 1, 0.01 all, -2 loses 0.5 / 2.04, -0.5 all."""
    moved = reweighted_threshold(np.array([0.96, 0.01, -2.0, -0.5]), 0.5, mu=10.0, eps=0.04)
    assert moved == pytest.approx([0.91, 0, -2 + 0.5 / 2.04, 0])


def test_a_patch_unlike_all_others_is_an_edge_and_no_target() -> None:
    """Thirty equal patches and one of noise over all of its pixels."""
    rng = np.random.default_rng(6)
    data = np.tile(rng.uniform(0.4, 0.6, 100), (31, 1))
    data[13] += rng.normal(0, 0.1, 100)
    point = data.copy()
    point[20, 40] += 0.4
    for scene, has_target in ((data, False), (point, True)):
        found = separate(scene, NRAMSettings())
        assert found.target.any() == has_target
    assert np.unravel_index(found.target.argmax(), data.shape) == (20, 40)
    assert np.count_nonzero(found.target) == 1


def test_scores_are_shares_of_the_grey_range() -> None:
    """Twice the contrast on another level has the same scores."""
    grey, settings = image_b()[16:64, :48], NRAMSettings(patch=16, step=6)
    assert nram(2 * grey + 7, settings).target == pytest.approx(nram(grey, settings).target, abs=1e-9)
    assert nram(grey, settings).target.argmax() == 24 * 48 + 24
