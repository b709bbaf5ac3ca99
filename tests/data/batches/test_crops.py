"""Rectangles cut from flat memory: exact in every pixel of the image, whatever file it lies in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from bench.data.batches.crops import Planes, flat_memory
from bench.data.cache.array_file import Array
from bench.data.cache.image_cache import ImageCache, Records

CPU = torch.device("cpu")
SHAPES = [(1, 4, 5), (3, 6, 3), (1, 2, 11), (1, 9, 2)]
ARRAYS = [np.random.default_rng(row).integers(0, 256, shape).astype(np.uint8) for row, shape in enumerate(SHAPES)]


def kept(folder: Path, *, at_once: bool) -> Records:
    """The four arrays in one file, or in one each."""

    def make(row: int) -> list[Array]:
        return [ARRAYS[row]]

    keys = [str(row).encode() for row in range(len(ARRAYS))]
    for count in [len(keys)] if at_once else range(1, len(keys) + 1):
        records = ImageCache(folder).fetch(keys[:count], make)
    return records


def planes_of(records: Records) -> Planes:
    return Planes.of(records, 0, flats=flat_memory(records.packs, CPU), device=CPU)


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("shape", [(1, 1), (4, 5), (9, 11), (20, 30)])
def test_a_rectangle_shows_the_image_where_there_is_one(tmp_path: Path, at_once: bool, shape: tuple[int, int]) -> None:
    records = kept(tmp_path, at_once=at_once)
    assert len(records.packs) == (1 if at_once else 4)
    top, left = np.array([1, 2, 0, 3]), np.array([2, 0, 4, 1])
    cut = planes_of(records).cut(top, left, shape)
    assert cut.shape == (4, 3, *shape)
    for row, array in enumerate(ARRAYS):
        expected = array[:, top[row] : top[row] + shape[0], left[row] : left[row] + shape[1]]
        found = cut[row, : len(array), : expected.shape[1], : expected.shape[2]]
        assert np.array_equal(found, expected)


def test_equal_channels_are_one_plane_shown_as_often_as_others_have_channels(tmp_path: Path) -> None:
    planes = planes_of(kept(tmp_path, at_once=True))
    corner = np.zeros(4, np.int64)
    cut = planes.cut(corner, corner, (2, 2))
    assert torch.equal(cut[0, 0], cut[0, 2])
    assert not torch.equal(cut[1, 0], cut[1, 2])
    assert planes.take(np.array([0, 2])).distinct().cut(corner[:2], corner[:2], (2, 2)).shape == (2, 1, 2, 2)
    assert planes.distinct() is planes


def test_planes_of_a_tensor_are_cut_alike() -> None:
    stack = torch.arange(2 * 3 * 4, dtype=torch.float32).reshape(2, 1, 3, 4)
    cut = Planes.stacked(stack, np.array([[3, 4], [2, 3]])).cut(np.array([1, 0]), np.array([2, 1]), (2, 2))
    assert cut[0, 0].tolist() == [[6, 7], [10, 11]]
    assert cut[1, 0].tolist() == [[13, 14], [17, 18]]
