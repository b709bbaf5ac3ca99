"""The largest pixels of windows: against sorting every window."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from baselines.classical.parts.ranks import STRIP, ascending, largest, largest_of_line, merge


@pytest.mark.parametrize("kind", [np.uint8, np.float32, np.float64])
@pytest.mark.parametrize("window", [(1, 1), (3, 3), (5, 5), (7, 7), (9, 9), (11, 11), (2, 7), (6, 1)], ids=str)
@pytest.mark.parametrize("count", [1, 2, 5, 9, 16])
def test_the_largest_equal_those_of_sorted_windows(kind: type, window: tuple[int, int], count: int) -> None:
    image = np.random.default_rng(3).integers(0, 256, (23, 19)).astype(kind)
    count = min(count, window[0] * window[1])
    found = largest(image, window, count=count)
    pixels = np.sort(sliding_window_view(image, window).reshape(24 - window[0], 20 - window[1], -1))
    assert found.dtype == kind
    assert np.array_equal(found, np.moveaxis(pixels[..., -count:], -1, 0))


def test_strips_meet_without_a_seam() -> None:
    image = np.random.default_rng(4).random((700, 40))
    assert STRIP // (40 * 8) < 700 // 2
    inside = largest(image, (3, 3), count=2)
    assert np.array_equal(
        inside, np.sort(sliding_window_view(image, (3, 3)).reshape(698, 38, 9))[..., -2:].transpose(2, 0, 1)
    )


def test_the_image_stays_as_it_was() -> None:
    image = np.random.default_rng(5).random((12, 12))
    before = image.copy()
    largest(image, (5, 5), count=9)
    assert np.array_equal(image, before)


def test_a_line_may_run_along_the_diagonal() -> None:
    image = np.arange(16.0).reshape(4, 4)
    (middle, greatest) = largest_of_line([image], 3, step=(1, 1), count=2)
    assert np.array_equal(middle, image[1:3, 1:3])
    assert np.array_equal(greatest, image[2:, 2:])


@pytest.mark.parametrize(
    ("one", "other"), [([1], [2]), ([1, 4, 6], [2]), ([3], [1, 2, 2, 9]), ([0, 5], [5, 5, 7])], ids=str
)
@pytest.mark.parametrize("count", [3, 4, 8])
def test_a_merge_keeps_the_largest_of_lists_of_any_length(one: list[int], other: list[int], count: int) -> None:
    merged = merge(
        [np.full((1, 1), v) for v in one[-count:]], [np.full((1, 1), v) for v in other[-count:]], count=count
    )
    assert [int(plane[0, 0]) for plane in merged] == sorted(one + other)[-count:]


@pytest.mark.parametrize("length", range(1, 18))
def test_every_list_that_falls_and_then_rises_is_sorted(length: int) -> None:
    """Zeros and ones suffice: a network that sorts all of them sorts everything (the 0-1 principle)."""
    for zeros in range(length + 1):
        for first in range(length - zeros + 1):
            valley = [1] * first + [0] * zeros + [1] * (length - zeros - first)
            assert [int(p[0]) for p in ascending([np.array([v]) for v in valley])] == sorted(valley)
