"""Maps and masks are brought to one size, and maps stretched where a scoring says so."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from aligned import align

from bench.data.images.frames import Frame
from bench.errors import DataError
from bench.scoring.accumulator import AlignedImage
from bench.scoring.align import stretch
from bench.types import Scoring

NATIVE = Scoring("native")
NETWORK = Scoring("network", resolution="network")
SOFT = Scoring("soft", resolution="network", ground_truth="soft")
STRETCHED = Scoring("stretched", normalise="min-max")
DIVIDED = Scoring("divided", normalise="max")
NEAREST = Scoring("nearest mask", resolution="network", mask_resize="opencv-nearest")


def make_frame(height: int, width: int, *, name: str = "made-up", level: int = 255) -> Frame:
    """A frame whose top left 2 x 3 pixels are a target of that mask level."""
    grey = np.arange(height * width, dtype=np.uint8).reshape(height, width)
    mask = np.zeros((height, width), np.uint8)
    mask[:2, :3] = level
    return Frame(name, grey, grey, mask)


def test_a_map_of_the_images_size_stays_as_it_is() -> None:
    levels = np.arange(24, dtype=np.uint16).reshape(4, 6)
    for scoring in (NATIVE, NETWORK):
        aligned, truth = align(levels, make_frame(4, 6), scoring)
        assert aligned is levels
        assert truth.dtype == np.uint8
        assert truth.tolist() == [[1, 1, 1, 0, 0, 0]] * 2 + [[0] * 6] * 2


@pytest.mark.parametrize(("level", "is_target"), [(127, 0), (128, 1)])
def test_a_mask_is_binarised_above_127(level: int, is_target: int) -> None:
    _, truth = align(np.zeros((4, 6), np.uint16), make_frame(4, 6, level=level), NATIVE)
    assert truth.sum() == 6 * is_target


def test_at_native_resolution_the_map_is_brought_to_the_image() -> None:
    levels = np.zeros((4, 4), np.uint16)
    levels[:2] = 32768
    aligned, truth = align(levels, make_frame(8, 8), NATIVE)
    assert aligned.shape == truth.shape == (8, 8)
    assert truth.sum() == 6
    assert aligned[:, 0].tolist() == [32768, 32768, 32768, 24576, 8192, 0, 0, 0]


def test_a_full_map_stays_full_when_it_is_resized() -> None:
    aligned, _ = align(np.full((5, 7), 65535, np.uint16), make_frame(13, 9), NATIVE)
    assert aligned.min() == 65535


def test_at_network_resolution_the_mask_is_brought_to_the_map() -> None:
    """Halved, the 2 x 3 target is one pixel of 255 and one of 128, which is more than half."""
    levels = np.zeros((4, 4), np.uint16)
    aligned, truth = align(levels, make_frame(8, 8), NETWORK)
    assert aligned is levels
    assert truth.dtype == np.uint8
    assert truth.tolist() == [[1, 1, 0, 0], [0] * 4, [0] * 4, [0] * 4]


def test_soft_ground_truth_keeps_what_resizing_makes() -> None:
    _, truth = align(np.zeros((4, 4), np.uint16), make_frame(8, 8), SOFT)
    assert truth.dtype == np.float32
    assert truth[0].tolist() == [1.0, np.float32(128 / 255), 0.0, 0.0]
    assert truth[1:].sum() == 0


def test_soft_ground_truth_of_the_maps_size_is_the_stored_mask() -> None:
    _, truth = align(np.zeros((4, 6), np.uint16), make_frame(4, 6, level=51), SOFT)
    assert truth[0, 0] == np.float32(0.2)


def test_the_grey_image_follows_the_size_that_is_compared() -> None:
    frame = make_frame(8, 8)
    small, large = (AlignedImage("a", [np.zeros(size, np.uint16)], frame, grey=frame.grey) for size in ((4, 2), (8, 8)))
    assert large.truth(NETWORK).grey is small.truth(NATIVE).grey is frame.grey
    grey = small.truth(NETWORK).grey
    assert grey is not None
    assert grey.shape == (4, 2)


def test_a_stretched_map_reaches_from_the_lowest_level_to_the_highest() -> None:
    """(q - 100) / 200 of 65536, rounded up as all levels are."""
    levels = np.array([[100, 101, 150, 300]], np.uint16)
    assert stretch(levels, lowest=int(levels.min())).tolist() == [[0, 328, 16384, 65535]]


@pytest.mark.parametrize("level", [0, 1, 40000, 65535])
def test_a_constant_map_is_stretched_to_nothing(level: int) -> None:
    assert not stretch(np.full((2, 3), level, np.uint16), lowest=level).any()


def test_a_map_is_stretched_before_it_is_resized() -> None:
    """At 2 x 2 the map reaches from 0 to 300; brought to 4 x 4 its corners still do, and its middle is half-way."""
    levels = np.array([[300, 300], [0, 0]], np.uint16)
    aligned, _ = align(levels, make_frame(4, 4), STRETCHED)
    assert aligned[:, 0].tolist() == [65535, 49152, 16384, 0]


def test_a_divided_map_reaches_its_highest_and_keeps_its_zero() -> None:
    levels = np.array([[0, 100, 300]], np.uint16)
    assert align(levels, make_frame(1, 3), DIVIDED)[0].tolist() == [[0, 21846, 65535]]
    assert not align(np.zeros((1, 3), np.uint16), make_frame(1, 3), DIVIDED)[0].any()


@pytest.mark.parametrize(("scoring", "expected"), [(DIVIDED, [16384, 32768, 65535]), (STRETCHED, [0, 21846, 65535])])
def test_probabilities_are_stretched_before_they_are_rounded(scoring: Scoring, expected: list[int]) -> None:
    """All three are level 1, so that as levels each of them is the highest."""
    probs = np.array([[0.25e-5, 0.5e-5, 1e-5]], np.float32)
    image = AlignedImage("faint", [probs], make_frame(1, 3))
    assert image.levels(scoring)[0] == pytest.approx(expected, abs=1)
    assert image.levels(NATIVE).tolist() == [[1, 1, 1]]
    assert align(np.ones((1, 3), np.uint16), make_frame(1, 3), DIVIDED)[0].tolist() == [[65535] * 3]


def test_a_nearest_mask_takes_every_second_pixel_and_is_not_shared_with_a_bilinear_one() -> None:
    """Halved, the 2 x 3 target is columns 0 and 2 of row 0; bilinearly it is as wide, of 255 and 128."""
    frame = make_frame(8, 8)
    frame.mask[:] = 0
    frame.mask[0, 2] = frame.mask[2, 1] = 255
    image = AlignedImage("a", [np.zeros((4, 4), np.uint16)], frame)
    assert np.argwhere(image.truth(NEAREST).full).tolist() == [[0, 1]]
    assert not image.truth(NETWORK).full.any()
    assert image.truth(replace(NEAREST, distance=1)) is image.truth(NEAREST)


@pytest.mark.parametrize("changes", [{"resolution": "native"}, {"ground_truth": "soft"}])
def test_a_nearest_mask_needs_binary_masks_of_the_networks_size(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="mask_resize 'opencv-nearest' is of binary ground truth at resolution"):
        replace(NEAREST, **changes)


def test_a_map_that_is_not_to_be_stretched_stays_as_it_is() -> None:
    levels = np.array([[100, 300]], np.uint16)
    aligned, _ = align(levels, make_frame(1, 2), NATIVE)
    assert aligned is levels


def test_scorings_that_see_alike_share_map_and_mask() -> None:
    levels = np.arange(16, dtype=np.uint16).reshape(4, 4)
    near, four = Scoring("near", distance=1), Scoring("four", connectivity=4)
    scorings = (NATIVE, near, four, NETWORK, STRETCHED)
    image = AlignedImage("a", [levels], make_frame(8, 8))
    aligned = {scoring: (image.levels(scoring), image.truth(scoring)) for scoring in scorings}
    assert aligned[NATIVE][0] is aligned[near][0] is aligned[four][0]
    assert aligned[NATIVE][1] is aligned[near][1] is aligned[STRETCHED][1]
    assert aligned[four][1] is not aligned[NATIVE][1]
    assert aligned[NATIVE][1].shape == aligned[STRETCHED][0].shape == (8, 8)
    assert aligned[NETWORK][0] is levels
    assert aligned[NETWORK][1].shape == (4, 4)
    assert aligned[STRETCHED][0].max() > aligned[NATIVE][0].max()


def test_signal_to_clutter_is_measured_at_the_size_that_is_compared() -> None:
    """The target's 6 pixels are 10, the background 0 and 2 in turn, mean 1 and deviation 1: a ratio of 9."""
    frame = make_frame(4, 6)
    grey = np.where(np.indices((4, 6)).sum(axis=0) % 2, 2, 0).astype(np.uint8)
    grey[:2, :3] = 10
    truth = AlignedImage("a", [np.zeros((4, 6), np.uint16)], frame, grey=grey).truth(NATIVE)
    assert truth.target_scr.tolist() == [9.0]
    without = AlignedImage("a", [np.zeros((4, 6), np.uint16)], frame).truth(NATIVE)
    assert np.isnan(without.target_scr).all()


@pytest.mark.parametrize("scoring", [NATIVE, NETWORK, SOFT, STRETCHED])
def test_a_frame_without_a_mask_is_not_scored_but_named(scoring: Scoring) -> None:
    grey = np.zeros((4, 6), np.uint8)
    with pytest.raises(
        DataError, match=r"^image plain: no ground-truth mask, expected one to train on or to score against"
    ):
        align(np.zeros((2, 3), np.uint16), Frame("plain", grey, grey), scoring)
