"""What is drawn for an image: how often, within which bounds, and what holes and blur do to it."""

from __future__ import annotations

from itertools import product

import cv2
import numpy as np
import pytest
import torch

from bench.data.batches.augment import AUGMENTATIONS, Draws, Turns, black_out, blurred, draw, draw_holes
from bench.data.batches.geometry import Geometry
from bench.data.images.frames import Frame, Frames
from bench.types import Input, Recipe

GREY = Input("pillow-grey", 1, mean=100.0, std=10.0)
RESIZED = Input("pillow-grey", 1, size=(64, 64))
AUGMENTATIONS.add("turned and scaled", Turns(flip_lr=0.5, scale=(0.5, 4.0)))


def recipe(augmentation: str, patch: int | None = 16, positive: float = 0.5) -> Recipe:
    return Recipe("adam", 1e-3, 1, 4, loss="soft-iou", augmentation=augmentation, patch=patch, positive_crop=positive)


def frame(height: int = 40, width: int = 60, target: tuple[int, int] | None = (30, 50)) -> Frame:
    levels = (np.arange(height * width) % 251).astype(np.uint8).reshape(height, width)
    mask = np.zeros((height, width), np.uint8)
    if target is not None:
        mask[target] = 255
    return Frame("made", levels, levels, mask)


def draws(made: Frame, rule: Recipe, count: int, given: Input = GREY) -> Draws:
    """What is drawn for so many images, all the same."""
    frames = Frames("synthetic", [made] * count)
    return draw(frames, input=given, recipe=rule, generator=np.random.default_rng(5))


def crops(drawn: Draws) -> set[tuple[int, ...]]:
    assert drawn.views.crop is not None
    return {tuple(corner) for corner in drawn.views.crop.tolist()}


def test_flips_and_transpose_come_half_of_the_time() -> None:
    views = draws(frame(), recipe("basicirstd"), 2000).views
    turns = np.stack([views.flip_ud, views.flip_lr, views.transpose])
    assert turns.mean(axis=1) == pytest.approx([0.5] * 3, abs=0.045)  # four standard errors of 2000 draws
    assert turns.all(axis=0).mean() == pytest.approx(0.125, abs=0.03)  # independent of each other
    assert not views.angle.any()


def test_dfinets_steps_come_three_times_in_ten() -> None:
    drawn = draws(frame(), recipe("dfinet", patch=None), 2000, RESIZED)
    views = drawn.views
    steps = np.stack([views.angle != 0, views.flip_ud, views.flip_lr, drawn.holes[:, :, 2].any(axis=1)])
    assert steps.mean(axis=1) == pytest.approx([0.3] * 4, abs=0.041)  # four standard errors of 2000 draws
    assert (~steps[:3]).all(axis=0).mean() == pytest.approx(0.7**3, abs=0.043)
    assert -35 <= views.angle.min() < -30
    assert 30 < views.angle.max() <= 35


def test_no_augmentation_only_crops() -> None:
    drawn = draws(frame(), recipe("none"), 50)
    views = drawn.views
    for step in (views.angle, views.flip_ud, views.flip_lr, views.transpose, drawn.holes, drawn.blur):
        assert not step.any()
    assert len(crops(drawn)) > 30


def test_an_unknown_augmentation_is_answered_with_the_nearest() -> None:
    with pytest.raises(LookupError, match="no augmentation is called 'basicirst'; did you mean basicirstd"):
        draws(frame(), recipe("basicirst"), 1)


def test_a_crop_around_a_target_always_holds_it_and_may_put_it_anywhere() -> None:
    drawn = draws(frame(60, 90), recipe("none", positive=1.0), 3000)
    places = {(30 - top, 50 - left) for top, left in crops(drawn)}
    assert {row for row, _ in places} == set(range(16))
    assert {column for _, column in places} == set(range(16))


def test_a_crop_around_a_target_at_the_border_stays_inside_the_image() -> None:
    assert crops(draws(frame(40, 60, target=(39, 0)), recipe("none", positive=1.0), 100)) == {(24, 0)}


def test_the_share_of_crops_around_a_target_is_the_recipes() -> None:
    views = draws(frame(400, 400, target=(10, 10)), recipe("none", positive=0.3), 2000).views
    assert views.crop is not None
    holds = views.crop.max(axis=1) <= 10
    assert holds.mean() == pytest.approx(0.3, abs=0.042)  # four standard errors; by chance a crop holds it in 0.1 %


def test_an_image_without_targets_is_cropped_anywhere() -> None:
    found = crops(draws(frame(20, 18, target=None), recipe("none", positive=1.0), 300))
    assert found == set(product(range(5), range(3)))


def test_an_image_smaller_than_the_patch_is_cropped_at_its_corner() -> None:
    assert crops(draws(frame(10, 12, target=(4, 4)), recipe("none"), 20)) == {(0, 0)}


def shows_a_target(made: Frame, drawn: Draws) -> list[bool]:
    mask = np.asarray(made.binary_mask)
    return [bool(view.apply(mask, "nearest").any()) for view in drawn.views]


def test_a_crop_around_a_rotated_target_always_holds_it() -> None:
    made = frame(100, 100, target=(20, 20))
    made.mask[19:22, 19:22] = 255
    drawn = draws(made, recipe("dfinet", positive=1.0), 200)
    assert drawn.views.angle.any()
    assert all(shows_a_target(made, drawn))


def test_a_target_that_every_rotation_hides_is_cropped_anywhere() -> None:
    drawn = draws(frame(100, 100, target=(0, 0)), recipe("dfinet", positive=1.0), 400)
    assert drawn.views.crop is not None
    hidden = np.abs(drawn.views.angle) > 5
    assert len(np.unique(drawn.views.crop[hidden], axis=0)) > 0.9 * hidden.sum()
    assert (drawn.views.crop[drawn.views.angle == 0] == 0).all()


def test_a_crop_around_a_scaled_target_always_holds_it() -> None:
    made = frame(100, 100, target=(80, 20))
    made.mask[80:84, 20:24] = 255  # so large that it is shown at the smallest scale, too
    drawn = draws(made, recipe("turned and scaled", patch=64, positive=1.0), 200)
    assert drawn.views.scale is not None
    assert np.ptp(drawn.views.scale[:, 0]) > 150
    assert all(shows_a_target(made, drawn))


def test_dropout_is_ten_squares_of_32_pixels_inside_the_image() -> None:
    sizes, chosen = np.array([[40, 60], [20, 60], [40, 60]]), np.array([True, True, False])
    holes = draw_holes(sizes, chosen, np.random.default_rng(0))
    assert holes.shape == (3, 10, 4)
    assert (holes[0, :, 2:] == 32).all()
    assert (holes[0, :, 0].max(), holes[0, :, 1].max()) <= (8, 28)
    assert holes[1, 0, 2:].tolist() == [20, 32]
    assert (holes[2, :, 2:] == 0).all()


def test_holes_are_black_in_a_copy() -> None:
    images = torch.full((2, 2, 4, 4), 9, dtype=torch.uint8)
    holes = np.zeros((2, 1, 4), np.int64)
    holes[1, 0] = (1, 1, 2, 3)
    holed = black_out(images, holes, None)
    assert holed[1, 1].tolist() == [[9, 9, 9, 9], [9, 0, 0, 0], [9, 0, 0, 0], [9, 9, 9, 9]]
    assert holed[0].min() == 9
    assert images.min() == 9
    assert black_out(images, holes[:, :0], None) is images


def test_holes_are_where_they_are_in_the_image_whatever_the_crop() -> None:
    holed = black_out(torch.full((1, 1, 2, 3), 9, dtype=torch.uint8), np.array([[[4, 5, 2, 2]]]), np.array([[3, 4]]))
    assert holed[0, 0].tolist() == [[9, 9, 9], [9, 0, 0]]


def test_dnanets_steps_come_as_often_as_published() -> None:
    drawn = draws(frame(40, 60), recipe("dnanet", patch=32, positive=0.0), 2000)
    scale = drawn.views.scale
    assert scale is not None
    longest = scale.max(axis=1)
    assert set(longest.tolist()) == set(range(16, 65))
    assert longest.mean() == pytest.approx(40, abs=1.3)  # four standard errors of 2000 draws
    assert (np.abs(scale[:, 0] - longest * 2 / 3) <= 0.5).all()
    assert drawn.views.flip_lr.mean() == pytest.approx(0.5, abs=0.045)
    blurs = drawn.blur[drawn.blur > 0]
    assert len(blurs) / 2000 == pytest.approx(0.5, abs=0.045)
    assert blurs.mean() == pytest.approx(0.5, abs=0.037)
    assert blurs.max() < 1


def test_scaling_needs_a_patch_and_no_rotation() -> None:
    with pytest.raises(ValueError, match="augmentation 'dnanet' scales, so it needs a patch"):
        draws(frame(), recipe("dnanet", patch=None), 1, RESIZED)
    with pytest.raises(ValueError, match="excludes angle"):
        Geometry((6, 8), scale=(12, 16), angle=3.0)


def test_a_blur_spreads_a_pixel_over_three_deviations() -> None:
    image = torch.zeros(2, 1, 21, 21)
    image[:, 0, 10, 10] = 200
    spread = blurred(image.to(torch.uint8), np.array([0.8, 0.0]))
    kernel = np.exp(-(np.arange(-3, 4) ** 2) / (2 * 0.8**2))
    kernel /= kernel.sum()
    assert spread[0, 0, 7:14, 7:14].tolist() == np.floor(200 * np.outer(kernel, kernel) + 0.5).tolist()
    assert torch.equal(spread[1], image[1].to(torch.uint8))
    assert blurred(image, np.zeros(2)) is image


def test_a_blurred_batch_is_what_opencv_makes_of_each_image() -> None:
    """OpenCV's own numbers before they are rounded; at 8 bits it also rounds the kernel's weights, to 1/256."""
    images = np.random.default_rng(0).integers(0, 256, (6, 3, 40, 50)).astype(np.uint8)
    deviations = np.array([0.05, 0.2, 0.0, 0.45, 0.7, 0.999])
    found = blurred(torch.from_numpy(images), deviations).numpy().astype(np.float64)
    for row, deviation in enumerate(deviations.tolist()):
        side = round(6 * deviation + 1) | 1
        for channel, plane in enumerate(images[row].astype(np.float32)):
            expected = cv2.GaussianBlur(plane, (side, side), deviation) if deviation else plane
            assert np.abs(found[row, channel] - expected).max() <= 0.5001  # rounding, of float32 numbers


def test_an_images_draws_are_the_same_in_every_batch_and_of_every_epochs_own() -> None:
    frames = Frames("synthetic", [frame()] * 7)
    rule = recipe("dfinet")
    one, again, other = (
        draw(frames, input=GREY, recipe=rule, generator=np.random.default_rng((3, epoch))) for epoch in (1, 1, 2)
    )
    assert list(one.views) == list(again.views) != list(other.views)
    assert list(one.take(np.array([5, 2])).views) == [one.views[5], one.views[2]]
