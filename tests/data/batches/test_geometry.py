"""Geometries: exact where pixels are only moved, and within a grey level of OpenCV where they are interpolated."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.data.batches.crops import Planes
from bench.data.batches.geometry import Geometry, Views

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


SIZES = [(20, 24), (37, 53), (64, 64), (90, 31)]


def real_like(height: int, width: int, seed: int = 0) -> Levels:
    """Smooth clutter with a few small bright targets."""
    noise = np.random.default_rng(seed).random((height, width))
    levels = cv2.GaussianBlur(noise, (0, 0), 2.5)
    levels = 40 + 120 * (levels - levels.min()) / np.ptp(levels)
    levels[height // 3 : height // 3 + 3, width // 2 : width // 2 + 2] = 230
    return levels.astype(np.uint8)


def batch(images: list[Levels]) -> Tensor:
    """Images of several sizes (B, 1, H, W), each at the top left; the rest is a level that none of them has."""
    height, width = (max(image.shape[axis] for image in images) for axis in range(2))
    stacked = torch.full((len(images), 1, height, width), 255, dtype=torch.uint8)
    for row, image in enumerate(images):
        stacked[row, 0, : image.shape[0], : image.shape[1]] = torch.from_numpy(image)
    return stacked


def random_crops(generator: np.random.Generator, patch: int) -> list[Geometry]:
    found = []
    for height, width in SIZES:
        crop = int(generator.integers(max(height - patch, 0) + 1)), int(generator.integers(max(width - patch, 0) + 1))
        ud, lr, transpose = generator.random(3) < 0.5
        flips = {"flip_ud": bool(ud), "flip_lr": bool(lr), "transpose": bool(transpose)}
        found.append(Geometry((height, width), crop=crop, patch=patch, **flips))
    return found


def by_hand(image: Levels, geometry: Geometry) -> Levels:
    """Crop, padding, flips and transposition in plain NumPy."""
    assert geometry.crop is not None
    assert geometry.patch is not None
    top, left = geometry.crop
    inside = image[top : top + geometry.patch, left : left + geometry.patch]
    patch = np.zeros((geometry.patch, geometry.patch), np.uint8)
    patch[: inside.shape[0], : inside.shape[1]] = inside
    patch = patch[::-1] if geometry.flip_ud else patch
    patch = patch[:, ::-1] if geometry.flip_lr else patch
    return patch.T if geometry.transpose else patch


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("patch", [16, 32])
def test_crops_flips_and_transposition_of_a_batch_are_exact(seed: int, patch: int) -> None:
    geometries = random_crops(np.random.default_rng(seed), patch)
    images = [real_like(*size) for size in SIZES]
    moved = Views.of(geometries).apply(batch(images))
    for row, (image, geometry) in enumerate(zip(images, geometries, strict=True)):
        assert np.array_equal(moved[row, 0], by_hand(image, geometry))


@pytest.mark.parametrize("turn", [{}, {"flip_ud": True}, {"flip_lr": True}, {"flip_ud": True, "transpose": True}])
@pytest.mark.parametrize("size", [(32, 32), (64, 64), (48, 80)])
def test_a_resized_batch_is_what_opencv_makes_of_each_image(turn: dict[str, bool], size: tuple[int, int]) -> None:
    """Equal in every level, images of several sizes in one batch."""
    images = [real_like(*one) for one in SIZES]
    views = Views.of([Geometry(one, resize=size, **turn) for one in SIZES])
    moved = views.finish(views.window(Planes.stacked(batch(images), np.array(SIZES))), np.array(SIZES))
    for row, image in enumerate(images):
        image = image[::-1] if turn.get("flip_ud") else image
        image = image[:, ::-1] if turn.get("flip_lr") else image
        image = image.T if turn.get("transpose") else image
        expected = cv2.resize(np.ascontiguousarray(image), size[::-1], interpolation=cv2.INTER_LINEAR)
        assert np.array_equal(moved[row, 0], expected)


@pytest.mark.parametrize("scale", [(40, 48), (111, 90), (20, 23), (64, 64)])
def test_a_scaled_crop_is_what_opencv_makes_of_the_image(scale: tuple[int, int]) -> None:
    """The levels are equal; a mask is that of OpenCV's exact nearest neighbour, which has no half pixel of shift."""
    image, mask = real_like(37, 53), (real_like(37, 53) > 200).astype(np.uint8) * 255
    crop = max(scale[0] - 24, 0) // 2, max(scale[1] - 24, 0) // 3
    geometry = Geometry((37, 53), scale=scale, crop=crop, patch=24, flip_lr=True)
    for plane, interpolation, flag in (
        (image, "linear", cv2.INTER_LINEAR),
        (mask, "nearest", cv2.INTER_NEAREST_EXACT),
    ):
        scaled = np.asarray(cv2.resize(plane, scale[::-1], interpolation=flag), dtype=np.uint8)
        expected = by_hand(scaled, replace(geometry, scale=None))
        assert np.array_equal(geometry.apply(plane, interpolation), expected)  # type: ignore[arg-type]


ANGLES = [-35.0, -12.5, 3.0, 20.0, 35.0]


@pytest.mark.parametrize("angles", [ANGLES[:4], ANGLES[1:], [0.0, 30.0, 0.0, -30.0]])
def test_a_rotated_batch_is_within_a_grey_level_of_opencv(angles: list[float]) -> None:
    """Images of several sizes, borders reflected without the edge pixel. On smooth clutter: OpenCV 4 places pixels to
    1/32, which at an edge of 180 levels would be three."""
    images = [cv2.GaussianBlur(real_like(*size), (0, 0), 1.5) for size in SIZES]
    planes = Planes.stacked(batch(images), np.array(SIZES))
    views = Views.of(
        [Geometry(size, angle=angle, crop=(0, 0), patch=100) for size, angle in zip(SIZES, angles, strict=True)]
    )
    moved = views.window(planes)
    for row, (image, angle) in enumerate(zip(images, angles, strict=True)):
        height, width = image.shape
        expected = rotated(image, angle, cv2.INTER_LINEAR).astype(int)
        difference = np.abs(moved[row, 0, :height, :width].numpy().astype(int) - expected)
        assert difference.max() <= 1


def rotated(image: Levels, angle: float, flag: int) -> Levels:
    height, width = image.shape
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, 1.0)
    return np.asarray(
        cv2.warpAffine(image, matrix, (width, height), flags=flag, borderMode=cv2.BORDER_REFLECT_101), dtype=np.uint8
    )


@pytest.mark.parametrize("angle", ANGLES)
@pytest.mark.parametrize("size", SIZES)
def test_a_rotated_mask_is_opencvs_but_for_ties(angle: float, size: tuple[int, int]) -> None:
    """A tie is a point that lies, to 1/32 of a pixel, as near to one pixel as to the next."""
    mask = (np.random.default_rng(3).random(size) > 0.7).astype(np.uint8)
    geometry = Geometry(size, angle=angle)
    differs = geometry.apply(mask, "nearest") != rotated(mask, angle, cv2.INTER_NEAREST)
    rows, columns = np.nonzero(differs)
    views = Views.of([geometry])
    y, x = views.backward(np.zeros(len(rows), np.int64), rows.astype(float), columns.astype(float))
    from_tie = np.minimum(np.abs(y - np.floor(y) - 0.5), np.abs(x - np.floor(x) - 0.5))
    assert (from_tie <= 1 / 32).all()
    assert differs.mean() < 0.05


def test_points_go_to_the_turned_image_and_back() -> None:
    views = Views.of([Geometry((40, 60), angle=25.0), Geometry((31, 20), angle=-35.0)])
    rows = np.array([0, 1, 1])
    points = np.array([25.0, 30.0, 7.5]), np.array([40.0, 2.0, 19.0])
    assert np.allclose(views.backward(rows, *views.forward(rows, *points)), points)
    spot = np.zeros((40, 60), np.float32)
    spot[25, 40] = 1
    y, x = views.forward(np.array([0]), np.array([25.0]), np.array([40.0]))
    moved = views[0].apply(spot)
    assert moved[int(np.rint(y[0])), int(np.rint(x[0]))] > 0.25


@pytest.mark.parametrize("seed", range(4))
def test_a_batch_moves_maps_as_its_geometries_do_one_by_one(seed: int) -> None:
    generator = np.random.default_rng(seed)
    geometries = [
        Geometry((24, 24), angle=float(angle), crop=(3, 5), patch=16, flip_lr=bool(lr), transpose=bool(transpose))
        for angle, lr, transpose in zip([0, 20, -30, 0], *(generator.random((2, 4)) < 0.5), strict=True)
    ]
    maps, probs = (torch.rand(4, 1, side, side, generator=torch.Generator().manual_seed(seed)) for side in (24, 16))
    views = Views.of(geometries)
    for row, geometry in enumerate(geometries):
        assert torch.equal(views.apply(maps)[row, 0], geometry.apply(maps[row, 0]))
        assert torch.equal(views.undo(probs, maps)[row, 0], geometry.undo(probs[row, 0], maps[row, 0]))


def test_views_give_back_the_geometries_they_are_of() -> None:
    geometries = random_crops(np.random.default_rng(0), 16)
    views = Views.of(geometries)
    assert list(views) == geometries
    assert list(views[1:3]) == geometries[1:3]
    assert views[-1] == geometries[-1]


def test_a_batch_that_cannot_be_stacked_is_refused() -> None:
    with pytest.raises(ValueError, match="a batch has one patch, one resize, and all or none scaled"):
        Views.of([Geometry((8, 8)), Geometry((8, 8), resize=(4, 4))])
    with pytest.raises(ValueError, match=r"images of several sizes make no batch; set recipe.patch or input.size"):
        Views.of([Geometry((8, 8)), Geometry((8, 9))]).apply(torch.zeros(2, 1, 8, 9))
    with pytest.raises(ValueError, match="only some of the maps that are not square are transposed"):
        Views.of([Geometry((8, 9)), Geometry((8, 9), transpose=True)]).apply(torch.zeros(2, 1, 8, 9))
