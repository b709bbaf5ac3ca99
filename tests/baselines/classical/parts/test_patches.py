"""Patches: where they lie, and the three ways back to an image."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from baselines.classical.parts.patches import Grid, rescaled, up_to_the_border, whole_steps


def test_whole_steps_leave_the_last_incomplete_one_out() -> None:
    grid = whole_steps((256, 64), patch=50, step=10)
    assert grid.tops == tuple(range(0, 201, 10))  # rows up to 200 + 50; 6 are in none
    assert grid.lefts == (0, 10)


def test_one_more_position_reaches_the_border() -> None:
    grid = up_to_the_border((256, 60), patch=50, step=10)
    assert grid.tops == (*range(0, 201, 10), 206)
    assert grid.lefts == (0, 10)


def test_an_image_smaller_than_a_patch_is_its_own() -> None:
    for grid in (whole_steps((30, 70), patch=50, step=10), up_to_the_border((30, 70), patch=50, step=10)):
        assert grid == Grid((30, 70), (30, 50), (0,), (0, 10, 20))


def test_a_patch_is_what_lies_under_its_position() -> None:
    image = np.arange(30.0).reshape(5, 6)
    patches = up_to_the_border((5, 6), patch=3, step=2).cut(image)
    assert patches.shape == (2, 3, 3, 3)
    assert np.array_equal(patches[1, 2], image[2:5, 3:6])


@pytest.mark.parametrize("shape", [(23, 31), (8, 40), (5, 5), (1, 9)], ids=str)
@pytest.mark.parametrize(("patch", "step"), [(8, 3), (7, 7), (9, 2)])
def test_patches_of_an_image_give_it_back(shape: tuple[int, int], patch: int, step: int) -> None:
    image = np.random.default_rng(1).normal(size=shape)
    grid = up_to_the_border(shape, patch=patch, step=step)
    patches = grid.cut(image)
    assert np.array_equal(grid.median(patches), image)
    assert np.array_equal(grid.last(patches), image)
    assert np.allclose(grid.mean(patches), image, rtol=1e-14, atol=0)


@pytest.mark.parametrize("build", [whole_steps, up_to_the_border])
def test_median_mean_and_last_are_those_of_each_pixels_values(build: Callable[..., Grid]) -> None:
    grid = build((23, 31), patch=8, step=3)
    patches = np.random.default_rng(2).normal(size=(len(grid.tops), len(grid.lefts), 8, 8))
    for y in range(23):
        for x in range(31):
            over = [
                patches[i, j, y - top, x - left]
                for i, top in enumerate(grid.tops)
                for j, left in enumerate(grid.lefts)
                if 0 <= y - top < 8 and 0 <= x - left < 8
            ]
            if not over:
                continue
            assert grid.median(patches)[y, x] == pytest.approx(np.median(over), rel=1e-14)
            assert grid.mean(patches)[y, x] == pytest.approx(np.mean(over), rel=1e-12)
            assert grid.last(patches)[y, x] == over[-1]


def test_pixels_in_no_patch_are_0() -> None:
    grid = whole_steps((12, 10), patch=4, step=3)  # rows 0 to 9, that is 10 and 11 in none
    for back in (grid.median, grid.mean, grid.last):
        image = back(np.ones((3, 3, 4, 4)))
        assert np.array_equal(image[:10], np.ones((10, 10)))
        assert not image[10:].any()


def test_rescaled_values_go_from_0_to_1() -> None:
    assert rescaled(np.array([3.0, 5.0, 4.0])).tolist() == [0, 1, 0.5]
    assert rescaled(np.array([7.0, 7.0])).tolist() == [0, 0]
