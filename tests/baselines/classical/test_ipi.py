"""IPI: its solver against the textbook's two-part iteration, and the border it does not see."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest

from baselines.classical.ipi import IPISettings, ipi, separate
from baselines.classical.parts.patches import rescaled
from baselines.classical.parts.shrinkage import Array
from tests.baselines.classical.scenes import image_b

SMALL = IPISettings(patch=16, step=6)


@dataclass(frozen=True)
class Textbook:
    """What the iteration on both parts gives: the last targets, and the residual, rank and target entries of each."""

    target: Array
    residuals: list[float]
    ranks: list[int]
    counts: list[int]


def textbook(data: Array, *, sparsity: float, iterations: int) -> Textbook:
    """Accelerated proximal gradient on both parts, after Lin et al., without a stop."""
    spectrum = np.linalg.svd(data, compute_uv=False)
    mu, least = spectrum[1], 0.005 * spectrum[3]
    B = past_B = T = past_T = np.zeros_like(data)
    t = past_t = 1.0
    residuals, ranks, counts = [], [], []
    for _ in range(iterations):
        Y_B, Y_T = B + (past_t - 1) / t * (B - past_B), T + (past_t - 1) / t * (T - past_T)
        gradient = (Y_B + Y_T - data) / 2
        past_B, past_T = B, T
        left, values, right = np.linalg.svd(Y_B - gradient, full_matrices=False)
        B = (left * np.maximum(values - mu / 2, 0)) @ right
        T = np.sign(Y_T - gradient) * np.maximum(np.abs(Y_T - gradient) - sparsity * mu / 2, 0)
        change = B + T - Y_B - Y_T
        residual = math.hypot(np.linalg.norm(2 * (Y_B - B) + change), np.linalg.norm(2 * (Y_T - T) + change))
        residuals.append(residual / (2 * max(1.0, math.hypot(np.linalg.norm(B), np.linalg.norm(T)))))
        ranks.append(int(np.count_nonzero(values > mu / 2 * (1 + 1e-12))))  # at first the second value is mu / 2
        counts.append(int(np.count_nonzero(T)))
        past_t, t = t, (1 + math.sqrt(1 + 4 * t**2)) / 2
        mu = max(0.9 * mu, least)
    return Textbook(T, residuals, ranks, counts)


def low_rank_plus_a_point() -> Array:
    """40 patches of 60 pixels from 0 to 1, of rank 3 but for one pixel."""
    left, right = np.random.default_rng(4).normal(size=(40, 3)), np.random.default_rng(5).normal(size=(3, 60))
    data = rescaled(left @ right)
    data[7, 30] += 0.8
    return data


@pytest.mark.parametrize("iterations", [1, 2, 3, 10, 15])
def test_the_difference_of_the_two_parts_is_all_the_solver_needs(iterations: int) -> None:
    data = low_rank_plus_a_point()
    found = separate(data, sparsity=0.15, settings=IPISettings(iterations=iterations))
    both = textbook(data, sparsity=0.15, iterations=iterations)
    assert (found.iterations, found.rank) == (iterations, both.ranks[-1])
    assert np.abs(found.target - both.target).max() < 1e-12


def test_the_residual_is_that_of_both_parts() -> None:
    """A tolerance just above the least residual of 15 iterations stops there; one just below it goes on."""
    data = low_rank_plus_a_point()
    residuals = textbook(data, sparsity=0.15, iterations=15).residuals
    least = int(np.argmin(residuals))
    stops, goes_on = (
        separate(data, sparsity=0.15, settings=IPISettings(tolerance=residuals[least] * share, iterations=least + 2))
        for share in (1 + 1e-6, 1 - 1e-6)
    )
    assert (stops.iterations, goes_on.iterations) == (least + 1, least + 2)


def test_the_solver_stops_after_eleven_iterations_of_the_same_rank_and_about_as_many_target_entries() -> None:
    data = low_rank_plus_a_point()
    found = separate(data, sparsity=0.15, settings=IPISettings())
    both = textbook(data, sparsity=0.15, iterations=found.iterations)
    assert both.ranks[-12:] == [found.rank] * 12
    assert both.ranks[-13] != found.rank
    assert abs(both.counts[-1] - both.counts[-12]) < 20


def test_the_last_incomplete_step_has_no_scores() -> None:
    grey = image_b()[:57, :64]
    grey[54, 20] = 255  # 57 = 16 + 6 * 6 + 5
    scores = ipi(grey, SMALL).target
    assert not scores[52:].any()
    assert scores[:52].any()


def test_scores_are_shares_of_the_grey_range() -> None:
    """Twice the contrast on another level has the same scores."""
    grey = image_b()[16:64, :48]
    assert ipi(2 * grey + 7, SMALL).target == pytest.approx(ipi(grey, SMALL).target, abs=1e-9)


def test_the_weight_falls_with_the_images_longer_side() -> None:
    """48 rows and 64 columns: lambda = L / 8."""
    grey, settings = image_b()[16:64, :64], IPISettings(patch=16, step=16, L=1.5)
    data = rescaled(grey.reshape(3, 16, 4, 16).swapaxes(1, 2).reshape(12, 256))
    by_hand = separate(data, sparsity=1.5 / 8, settings=settings).target
    assert by_hand.any()
    back = by_hand.reshape(3, 4, 16, 16).swapaxes(1, 2).reshape(48, 64)
    assert np.abs(ipi(grey, settings).target - np.maximum(back, 0)).max() < 1e-12
