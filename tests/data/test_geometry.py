"""Geometries: exact where pixels are only moved, and within a grey level of OpenCV where they are interpolated."""

from __future__ import annotations

from itertools import product

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from bench.data.geometry import Geometry

Levels = NDArray[np.uint8]


def frame_mask(height: int = 40, width: int = 60) -> Levels:
    mask = np.zeros((height, width), np.uint8)
    mask[30, 50] = 255
    return mask


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
    mask = frame_mask()
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
    assert np.allclose(back[22:28, 32:42], 1, rtol=0, atol=1e-6)  # four weights add up to 1 but for float32 rounding


def test_undo_brings_a_resized_prediction_to_the_map() -> None:
    geometry = Geometry((20, 40), flip_lr=True, resize=(16, 16))
    plane = np.zeros((16, 16), np.float32)
    plane[:, :8] = 1
    back = geometry.undo(plane, np.zeros((20, 40), np.float32))
    assert back[:, 22:].all()
    assert not back[:, :18].any()


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
