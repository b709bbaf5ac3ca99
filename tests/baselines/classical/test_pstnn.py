"""PSTNN: its local prior, its partial sum of singular values, and the order of its patches."""

from __future__ import annotations

import numpy as np
import pytest

from baselines.classical.parts.patches import up_to_the_border
from baselines.classical.pstnn import (
    PSTNNSettings,
    corner_prior,
    leading_values,
    partial_threshold,
    pstnn,
    separate,
)
from tests.baselines.classical.scenes import image_b


def test_a_points_prior_is_high_and_an_edges_is_not() -> None:
    grey = np.full((30, 30), 50.0)
    grey[:, 20:] = 90
    grey[10, 8] = 90
    prior = corner_prior(grey)
    assert np.hypot(*(np.array(np.unravel_index(prior.argmax(), prior.shape)) - (10, 8))) < 2
    assert prior.max() == 1
    assert prior[:, 19:21].max() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("count", [1, 2, 5, 6])
def test_half_of_the_slices_stand_for_all(count: int) -> None:
    x = np.random.default_rng(9).normal(size=(count, 4, 3))
    slices = np.fft.fft(x, axis=0)
    left, values, right = np.linalg.svd(slices, full_matrices=False)
    values[:, 1:] = np.maximum(values[:, 1:] - 0.7, 0)
    full = np.fft.ifft((left * values[:, None]) @ right, axis=0)
    assert np.abs(full.imag).max() < 1e-14
    assert np.abs(partial_threshold(x, 0.7, leading=1) - full.real).max() < 1e-14


def test_leading_values_are_those_of_the_reshape_in_matlabs_order() -> None:
    """Two slices 1 0 1 and 0 1 0 follow each other as 1 0 1 0 1 0, which fills two rows, column by column, with
    1 1 1 and 0 0 0: rank 1, where one slice a row has rank 2."""
    slices = np.array([[[1.0, 0.0, 1.0]], [[0.0, 1.0, 0.0]]])
    assert leading_values(slices, 0.1) == 1
    assert np.linalg.matrix_rank(slices[:, 0]) == 2


def test_the_share_decides_how_many_values_lead() -> None:
    """The identity in MATLAB's order, whichever way it is read."""
    tensor = np.zeros((3, 1, 3))
    tensor[[0, 1, 2], 0, [0, 1, 2]] = 10, 5, 0.9
    assert [leading_values(tensor, share) for share in (0.01, 0.1, 0.5, 0.6)] == [3, 2, 2, 1]


def test_patches_are_taken_column_after_column() -> None:
    """Row after row, the independent implementation found the target of image B at 73.765 instead of 73.413."""
    grey, settings = image_b(), PSTNNSettings()
    grid = up_to_the_border(grey.shape, patch=40, step=40)
    patches, priors = (grid.cut(image).reshape(-1, 40, 40) for image in (grey, corner_prior(grey)))
    assert pstnn(grey, settings).target.max() == pytest.approx(73.412751, rel=1e-6)
    assert separate(patches, priors, settings).target.max() == pytest.approx(73.765, rel=1e-5)


def test_scores_are_grey_levels() -> None:
    scores = pstnn(image_b() + 40, PSTNNSettings()).target
    assert np.unravel_index(scores.argmax(), scores.shape) == (40, 24)
    assert scores.max() == pytest.approx(73.4, abs=1)
