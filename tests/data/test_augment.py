from __future__ import annotations

from itertools import product

import cv2
import numpy as np
import pytest
import torch

from bench.data.augment import Geometry, black_out, blurred, draw, draw_crop, draw_holes
from bench.data.frames import Frame
from bench.types import Input, Recipe

GREY = Input("pillow-grey", 1, mean=100.0, std=10.0)
RESIZED = Input("pillow-grey", 1, size=(64, 64))


def recipe(augmentation: str, patch: int | None = 16, positive: float = 0.5) -> Recipe:
    return Recipe("adam", 1e-3, 1, 4, loss="soft-iou", augmentation=augmentation, patch=patch, positive_crop=positive)


def frame(height: int = 40, width: int = 60, target: tuple[int, int] | None = (30, 50)) -> Frame:
    levels = (np.arange(height * width) % 251).astype(np.uint8).reshape(height, width)
    mask = np.zeros((height, width), np.uint8)
    if target is not None:
        mask[target] = 255
    return Frame("made", levels, levels, mask)


def draws(made: Frame, rule: Recipe, count: int, given: Input = GREY) -> list[Geometry]:
    return [
        draw(made, input=given, recipe=rule, generator=np.random.default_rng(seed)).geometry for seed in range(count)
    ]


def test_flips_and_transpose_follow_in_this_order() -> None:
    plane = np.array([[1, 2], [3, 4]])
    turned = {
        (False, False, False): [[1, 2], [3, 4]],
        (True, False, False): [[3, 4], [1, 2]],
        (False, True, False): [[2, 1], [4, 3]],
        (False, False, True): [[1, 3], [2, 4]],
        (True, False, True): [[3, 1], [4, 2]],
        (True, True, True): [[4, 2], [3, 1]],
    }
    for (ud, lr, transpose), expected in turned.items():
        geometry = Geometry((2, 2), flip_ud=ud, flip_lr=lr, transpose=transpose)
        assert geometry.apply(plane).tolist() == expected


def test_a_patch_beyond_the_image_is_filled_with_zeros() -> None:
    geometry = Geometry((2, 3), crop=(0, 1), patch=3)
    assert geometry.apply(np.array([[1, 2, 3], [4, 5, 6]])).tolist() == [[2, 3, 0], [5, 6, 0], [0, 0, 0]]
    assert geometry.output == (3, 3)


def test_a_quarter_turn_about_the_centre_is_exact() -> None:
    plane = np.arange(9, dtype=np.float32).reshape(3, 3)
    assert Geometry((3, 3), angle=90.0).apply(plane, "nearest").tolist() == np.rot90(plane).tolist()


def test_a_rotation_reflects_at_the_border_and_never_shows_black() -> None:
    assert Geometry((20, 30), angle=35.0).apply(np.full((20, 30), 7, np.uint8)).min() == 7


def test_a_rotated_mask_stays_binary_with_nearest() -> None:
    mask = frame().mask
    assert set(np.unique(Geometry((40, 60), angle=20.0).apply(mask, "nearest"))) <= {0, 255}


def test_tensors_and_stacks_of_maps_move_like_one_map() -> None:
    geometry = Geometry((6, 8), angle=10.0, flip_lr=True, crop=(1, 2), patch=4, transpose=True)
    planes = np.random.default_rng(0).random((2, 3, 6, 8)).astype(np.float32)
    moved = geometry.apply(planes)
    assert moved.shape == (2, 3, 4, 4)
    assert np.array_equal(moved[1, 2], geometry.apply(planes[1, 2]))
    tensor = geometry.apply(torch.from_numpy(planes))
    assert torch.equal(tensor, torch.from_numpy(moved.copy()))


def test_a_map_at_the_networks_size_turns_with_its_image() -> None:
    image = np.zeros((64, 128), np.float32)
    image[8:16, 96:112] = 1
    geometry = Geometry((64, 128), angle=25.0, flip_ud=True, resize=(64, 64))
    by_image = geometry.apply(image)
    by_map = geometry.apply(cv2.resize(image, (64, 64)))
    assert by_map.shape == (64, 64)
    rows, columns = np.mgrid[:64, :64]
    for axis in (rows, columns):  # the same centre of gravity; OpenCV 4 places pixels to 1/32, twice
        assert (axis * by_image).sum() / by_image.sum() == pytest.approx(
            (axis * by_map).sum() / by_map.sum(), abs=1 / 16
        )


def test_a_map_of_another_size_is_refused_where_there_is_no_resize() -> None:
    with pytest.raises(ValueError, match=r"map of \(4, 4\), expected \(6, 8\)"):
        Geometry((6, 8), flip_ud=True).apply(np.zeros((4, 4)))


def test_contradicting_geometries_are_refused() -> None:
    with pytest.raises(ValueError, match="crop None and patch 4 go together"):
        Geometry((6, 8), patch=4)
    with pytest.raises(ValueError, match="exclude each other"):
        Geometry((6, 8), crop=(0, 0), patch=4, resize=(4, 4))


@pytest.mark.parametrize(("ud", "lr", "transpose"), list(product((False, True), repeat=3)))
def test_undo_puts_a_patch_back_where_it_came_from(ud: bool, lr: bool, transpose: bool) -> None:
    plane = np.random.default_rng(1).random((10, 13)).astype(np.float32)
    geometry = Geometry((10, 13), crop=(3, 5), patch=6, flip_ud=ud, flip_lr=lr, transpose=transpose)
    back = geometry.undo(geometry.apply(plane), np.zeros_like(plane))
    expected = np.zeros_like(plane)
    expected[3:9, 5:11] = plane[3:9, 5:11]
    assert np.array_equal(back, expected)


def test_undo_of_a_padded_patch_leaves_the_padding_behind() -> None:
    plane = torch.arange(1.0, 7.0).reshape(2, 3)
    geometry = Geometry((2, 3), crop=(0, 0), patch=4, flip_lr=True)
    assert torch.equal(geometry.undo(geometry.apply(plane), torch.zeros(2, 3)), plane)


def test_undo_of_a_rotation_keeps_what_the_view_did_not_show() -> None:
    spot = np.zeros((65, 65), np.float32)
    spot[20:30, 30:44] = 1
    geometry = Geometry((65, 65), angle=30.0, flip_ud=True, flip_lr=True)
    back = geometry.undo(geometry.apply(spot), np.full_like(spot, 5.0))
    assert back[0, 0] == 5.0
    assert back[32, 32] == 0.0
    assert np.array_equal(back[22:28, 32:42], np.ones((6, 10), np.float32))


def test_undo_brings_a_resized_prediction_to_the_map() -> None:
    geometry = Geometry((20, 40), flip_lr=True, resize=(16, 16))
    plane = np.zeros((16, 16), np.float32)
    plane[:, :8] = 1
    back = geometry.undo(plane, np.zeros((20, 40), np.float32))
    assert back[:, 22:].all()
    assert not back[:, :18].any()


def test_flips_and_transpose_come_half_of_the_time() -> None:
    drawn = draws(frame(), recipe("basicirstd"), 2000)
    for rate in (
        np.mean([g.flip_ud for g in drawn]),
        np.mean([g.flip_lr for g in drawn]),
        np.mean([g.transpose for g in drawn]),
    ):
        assert rate == pytest.approx(0.5, abs=0.045)  # four standard errors of 2000 draws
    assert not any(g.angle for g in drawn)
    together = np.mean([g.flip_ud and g.flip_lr and g.transpose for g in drawn])
    assert together == pytest.approx(0.125, abs=0.03)  # independent of each other


def test_dfinets_steps_come_three_times_in_ten() -> None:
    drawn = [
        draw(
            frame(),
            input=RESIZED,
            recipe=recipe("dfinet", patch=None),
            generator=np.random.default_rng(seed),
        )
        for seed in range(2000)
    ]
    steps = [(d.geometry.angle != 0, d.geometry.flip_ud, d.geometry.flip_lr, bool(d.holes)) for d in drawn]
    assert np.mean(steps, axis=0) == pytest.approx([0.3] * 4, abs=0.041)  # four standard errors of 2000 draws
    untouched = np.mean([not any(step[:3]) for step in steps])
    assert untouched == pytest.approx(0.7**3, abs=0.043)
    angles = [d.geometry.angle for d in drawn if d.geometry.angle]
    assert -35 <= min(angles) < -30
    assert 30 < max(angles) <= 35


def test_no_augmentation_only_crops() -> None:
    drawn = draws(frame(), recipe("none"), 50)
    assert {(g.angle, g.flip_ud, g.flip_lr, g.transpose) for g in drawn} == {(0.0, False, False, False)}
    assert len({g.crop for g in drawn}) > 30


def test_an_unknown_augmentation_is_answered_with_the_nearest() -> None:
    with pytest.raises(LookupError, match="no augmentation is called 'basicirst'; did you mean basicirstd"):
        draws(frame(), recipe("basicirst"), 1)


def test_a_crop_around_a_target_always_holds_it_and_may_put_it_anywhere() -> None:
    rule = recipe("none", positive=1.0)
    places = {(30 - g.crop[0], 50 - g.crop[1]) for g in draws(frame(60, 90), rule, 3000) if g.crop}
    assert {row for row, _ in places} == set(range(16))
    assert {column for _, column in places} == set(range(16))


def test_a_crop_around_a_target_at_the_border_stays_inside_the_image() -> None:
    rule = recipe("none", positive=1.0)
    crops = {g.crop for g in draws(frame(40, 60, target=(39, 0)), rule, 100)}
    assert crops == {(24, 0)}


def test_the_share_of_crops_around_a_target_is_the_recipes() -> None:
    made = frame(400, 400, target=(10, 10))
    holds = [g.crop is not None and max(g.crop) <= 10 for g in draws(made, recipe("none", positive=0.3), 2000)]
    assert np.mean(holds) == pytest.approx(0.3, abs=0.042)  # four standard errors; by chance a crop holds it in 0.1 %


def test_an_image_without_targets_is_cropped_anywhere() -> None:
    crops = [g.crop for g in draws(frame(20, 18, target=None), recipe("none", positive=1.0), 300)]
    assert set(crops) == set(product(range(5), range(3)))


def test_an_image_smaller_than_the_patch_is_cropped_at_its_corner() -> None:
    crops = {g.crop for g in draws(frame(10, 12, target=(4, 4)), recipe("none"), 20)}
    assert crops == {(0, 0)}


def test_a_crop_of_a_rotated_image_holds_the_rotated_target() -> None:
    made = frame(100, 100, target=(20, 20))
    made.mask[19:22, 19:22] = 255
    geometry = Geometry((100, 100), angle=30.0)
    moved = geometry.apply(made.binary_mask, "nearest")
    for seed in range(50):
        top, left = draw_crop(
            made, geometry, recipe=recipe("dfinet", positive=1.0), generator=np.random.default_rng(seed)
        )
        assert moved[top : top + 16, left : left + 16].any()


def test_dropout_is_ten_squares_of_32_pixels_inside_the_image() -> None:
    holes = draw_holes((40, 60), np.random.default_rng(0))
    assert len(holes) == 10
    assert all(hole[2:] == (32, 32) and hole[0] <= 8 and hole[1] <= 28 for hole in holes)
    assert draw_holes((20, 60), np.random.default_rng(0))[0][2:] == (20, 32)


def test_holes_are_black_in_a_copy() -> None:
    image = np.full((2, 4, 4), 9, np.uint8)
    holed = black_out(image, ((1, 1, 2, 3),))
    assert holed[0].tolist() == [[9, 9, 9, 9], [9, 0, 0, 0], [9, 0, 0, 0], [9, 9, 9, 9]]
    assert image.min() == 9
    assert black_out(image, ()) is image


def test_a_scaled_patch_shows_the_image_larger() -> None:
    plane = np.zeros((40, 60), np.uint8)
    plane[20:24, 30:36] = 200
    geometry = Geometry((40, 60), scale=(80, 120), crop=(32, 52), patch=24)
    moved = geometry.apply(plane, "nearest")
    expected = np.zeros((24, 24), np.uint8)
    expected[8:16, 8:20] = 200
    assert np.array_equal(moved, expected)
    assert geometry.output == (24, 24)


def test_undo_of_a_scaled_patch_puts_it_back_where_it_came_from() -> None:
    plane = np.zeros((40, 60), np.float32)
    plane[20:24, 30:36] = 1
    geometry = Geometry((40, 60), scale=(80, 120), crop=(32, 52), patch=24, flip_lr=True)
    back = geometry.undo(geometry.apply(plane, "nearest"), np.full_like(plane, 5.0))
    assert np.array_equal(back[20:24, 30:36], np.ones((4, 6)))
    assert back[10, 10] == 5.0
    assert back[19, 30] == 0.0


def test_dnanets_steps_come_as_often_as_published() -> None:
    rule = recipe("dnanet", patch=32, positive=0.0)
    drawn = [
        draw(frame(40, 60), input=GREY, recipe=rule, generator=np.random.default_rng(seed)) for seed in range(2000)
    ]
    longest = [max(one.geometry.uncropped) for one in drawn]
    assert set(longest) == set(range(16, 65))
    assert np.mean(longest) == pytest.approx(40, abs=1.3)  # four standard errors of 2000 draws
    assert all(abs(a.geometry.uncropped[0] - max(a.geometry.uncropped) * 2 / 3) <= 0.5 for a in drawn)
    assert np.mean([one.geometry.flip_lr for one in drawn]) == pytest.approx(0.5, abs=0.045)
    blurs = [one.blur for one in drawn if one.blur]
    assert len(blurs) / len(drawn) == pytest.approx(0.5, abs=0.045)
    assert np.mean(blurs) == pytest.approx(0.5, abs=0.037)
    assert max(blurs) < 1


def test_a_crop_of_a_scaled_image_holds_the_scaled_target() -> None:
    made = frame(100, 100, target=(80, 20))
    geometry = Geometry((100, 100), scale=(200, 200))
    moved = geometry.apply(made.binary_mask, "nearest")
    rule = recipe("none", positive=1.0)
    crops = [draw_crop(made, geometry, recipe=rule, generator=np.random.default_rng(seed)) for seed in range(50)]
    assert all(moved[top : top + 16, left : left + 16].any() for top, left in crops)
    assert max(top for top, _ in crops) > 150


def test_scaling_needs_a_patch_and_no_rotation() -> None:
    with pytest.raises(ValueError, match="augmentation 'dnanet' scales, so it needs a patch"):
        draws(frame(), recipe("dnanet", patch=None), 1, RESIZED)
    with pytest.raises(ValueError, match="excludes angle"):
        Geometry((6, 8), scale=(12, 16), angle=3.0)


def test_a_blur_keeps_the_mean_of_an_image_and_spreads_a_pixel() -> None:
    image = np.zeros((1, 21, 21), np.float32)
    image[0, 10, 10] = 1
    spread = blurred(image, 0.8)
    assert spread.sum() == pytest.approx(1, abs=1e-6)
    kernel = np.exp(-(np.arange(-3, 4) ** 2) / (2 * 0.8**2))
    assert spread[0, 10, 10] == pytest.approx((1 / kernel.sum()) ** 2, abs=1e-6)
    assert blurred(image, 0.0) is image
