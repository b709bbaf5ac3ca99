"""First feedback masks at test time: each kind exactly, at native and at another size, padded like the image."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.data.batches.loader import evaluation_batches, train_batches
from bench.data.images.frames import Frame, Frames
from bench.data.images.start_masks import STARTS
from bench.types import Input, Recipe

GREY = Input("pillow-grey", 1, mean=100.0, std=10.0, multiple=16)
RESIZED = Input("pillow-grey", 1, size=(4, 4))


def make_frame(name: str = "made-up") -> Frame:
    """An 8 x 8 frame, its right half bright, whose top left 2 x 3 pixels are a target."""
    grey = np.zeros((8, 8), np.uint8)
    grey[:, 4:] = 200
    mask = np.zeros((8, 8), np.uint8)
    mask[:2, :3] = 255
    return Frame(name, grey, grey, mask)


def fed(frames: list[Frame], start: str, given: Input = GREY) -> list[NDArray[np.float32]]:
    """What a network is fed first for each frame, padding included."""
    batches = evaluation_batches(frames, input=given, needs_start=True, start=start, batch=len(frames))
    return [plane[0].numpy() for batch in batches if batch.start is not None for plane in batch.start]


def test_there_are_five_kinds() -> None:
    assert list(STARTS) == ["otsu", "zeros", "ones", "noise", "ground-truth"]


@pytest.mark.parametrize("kind", STARTS)
@pytest.mark.parametrize("size", [(8, 8), (4, 6)])
def test_every_kind_is_binary_at_the_size_asked_for(kind: str, size: tuple[int, int]) -> None:
    start = STARTS.get(kind)(make_frame(), size)
    assert (start.dtype, start.shape) == (np.uint8, size)
    assert set(np.unique(start)) <= {0, 1}


def test_zeros_ones_and_otsu_are_what_they_say() -> None:
    frame = make_frame()
    assert STARTS.get("zeros")(frame, (8, 8)).sum() == 0
    assert STARTS.get("ones")(frame, (8, 8)).sum() == 64
    assert STARTS.get("otsu")(frame, (8, 8)) is frame.start()


def test_the_oracle_is_the_binary_mask_at_the_networks_size() -> None:
    """Halved, the 2 x 3 target is one pixel of 255 and one of 128, which is more than half."""
    oracle = STARTS.get("ground-truth")
    assert oracle(make_frame(), (8, 8)).tolist() == [[1, 1, 1, 0, 0, 0, 0, 0]] * 2 + [[0] * 8] * 6
    assert oracle(make_frame(), (4, 4)).tolist() == [[1, 1, 0, 0], [0] * 4, [0] * 4, [0] * 4]


def test_noise_is_decided_by_the_name_alone() -> None:
    a, b = make_frame("a"), make_frame("b")
    alone = fed([a], "noise")[0]
    first, second = fed([b, a], "noise")
    assert np.array_equal(alone, second)
    assert not np.array_equal(first, second)
    bright = Frame("a", a.image + 7, a.grey + 7, 255 - a.mask)
    assert np.array_equal(fed([bright], "noise")[0], alone)


def test_noise_has_each_pixel_with_probability_one_half() -> None:
    noise = STARTS.get("noise")(make_frame(), (512, 512))
    assert abs(noise.mean() - 0.5) < 4 * 0.5 / 512, "four standard deviations of the mean of 512 x 512 fair coins"
    assert abs((noise[:, 1:] == noise[:, :-1]).mean() - 0.5) < 4 * 0.5 / 511, "neighbours agree as often as not"


def test_the_noise_of_a_name_never_changes() -> None:
    assert STARTS.get("noise")(make_frame(), (2, 8)).tolist() == NOISE


NOISE = [[1, 1, 1, 0, 0, 1, 0, 1], [0, 1, 1, 0, 1, 1, 0, 0]]
"""Made with NumPy 2.4."""


@pytest.mark.parametrize("kind", STARTS)
def test_the_named_start_is_fed_with_zeros_where_the_image_is_padded(kind: str) -> None:
    (start,) = fed([make_frame()], kind)
    assert start.shape == (16, 16)
    assert np.array_equal(start[:8, :8], STARTS.get(kind)(make_frame(), (8, 8)))
    assert start[8:].sum() == start[:, 8:].sum() == 0


@pytest.mark.parametrize("kind", STARTS)
def test_the_named_start_of_a_resized_input_has_its_size(kind: str) -> None:
    (start,) = fed([make_frame()], kind, RESIZED)
    assert np.array_equal(start, STARTS.get(kind)(make_frame(), (4, 4)))


def test_otsu_is_fed_where_nothing_is_named_and_in_training() -> None:
    frame = make_frame()
    (batch,) = evaluation_batches([frame], input=GREY, needs_start=True)
    assert batch.start is not None
    assert np.array_equal(batch.start[0, 0, :8, :8], frame.start())
    recipe = Recipe("adam", 1e-3, 1, 1, loss="soft-iou", augmentation="none", patch=16)
    (learnt,) = train_batches(
        Frames("synthetic", [frame]), input=GREY, recipe=recipe, seed=0, epoch=0, needs_start=True
    )
    assert learnt.start is not None
    assert learnt.start.sum() == frame.start().sum() > 0


def test_an_unknown_start_is_answered_with_the_nearest() -> None:
    with pytest.raises(LookupError, match="no start mask is called 'zero'; did you mean zeros"):
        fed([make_frame()], "zero")
