from __future__ import annotations

import cv2
import numpy as np
import pytest

from bench.data.images.decode import Pixels
from bench.data.quality.near_duplicates import (
    LEAST_CORRELATION,
    ORIENTATIONS,
    Match,
    confirm,
    full_map,
    oriented,
    propose,
    sketch,
)


def scene(seed: int, size: tuple[int, int] = (192, 192)) -> Pixels:
    """Texture at all scales, grey levels 0 to 255: a place no other seed shows."""
    noise = np.random.default_rng(seed).normal(size=(4, *size)).astype(np.float32)
    octaves = [cv2.GaussianBlur(layer, (0, 0), 1.5 * 2**at) * 2**at for at, layer in enumerate(noise)]
    return cv2.normalize(np.sum(octaves, axis=0), None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)  # type: ignore[call-overload, no-any-return]


def twins_of(images: list[Pixels], *, judged: int | None = None) -> list[Match]:
    proposals = propose([sketch(image) for image in images], judged=len(images) if judged is None else judged)
    return confirm(proposals, lambda index: images[index])


def test_images_of_different_places_are_no_twins() -> None:
    assert twins_of([scene(seed) for seed in range(12)]) == []


def test_an_image_with_another_target_is_a_twin_at_no_shift() -> None:
    image = scene(1)
    with_target = image.copy()
    with_target[40:45, 60:66] = 255
    (match,) = twins_of([image, scene(2), with_target])
    assert (match.one, match.two, match.rows, match.cols, match.common) == (0, 2, 0, 0, 1.0)
    assert ORIENTATIONS[match.orientation] == "upright"
    assert match.correlation > 0.95


def test_brightness_and_contrast_do_not_hide_a_twin() -> None:
    image = scene(3)
    (match,) = twins_of([image, (60 + 0.4 * image).astype(np.uint8)])
    assert match.correlation > 0.95


@pytest.mark.parametrize(("rows", "cols"), [(12, -20), (-33, 5), (70, 10)])
def test_a_shift_is_found_to_the_pixel(rows: int, cols: int) -> None:
    """Two windows of one large frame; the first lies `rows` lower and `cols` further right on the second."""
    large = scene(4, (360, 360))
    one, two = large[80:272, 80:272], large[80 - rows : 272 - rows, 80 - cols : 272 - cols]
    (match,) = twins_of([np.ascontiguousarray(one), np.ascontiguousarray(two)])
    assert (match.rows, match.cols) == (rows, cols)
    assert match.common == pytest.approx((1 - abs(rows) / 192) * (1 - abs(cols) / 192), abs=1e-12)


def test_views_that_share_less_than_a_quarter_are_no_twins() -> None:
    large = scene(5, (360, 360))
    assert twins_of([np.ascontiguousarray(large[:192, :192]), np.ascontiguousarray(large[120:312, 120:312])]) == []


@pytest.mark.parametrize("orientation", range(1, 8))
def test_a_turned_or_mirrored_copy_is_a_twin(orientation: int) -> None:
    image = scene(6, (160, 192))
    (match,) = twins_of([image, np.asarray(oriented(image, orientation), np.uint8)])
    assert match.orientation == orientation
    assert (match.rows, match.cols, match.common) == (0, 0, 1.0)
    assert match.correlation == pytest.approx(1.0, abs=0.02)  # the thumbnail's blur at the borders is all that differs


def test_a_copy_at_another_size_is_a_twin() -> None:
    image = scene(7)
    smaller = cv2.resize(image, (128, 128), interpolation=cv2.INTER_AREA).astype(np.uint8)
    (match,) = twins_of([image, smaller])
    assert match.correlation > LEAST_CORRELATION


def test_even_images_are_twins_of_nothing() -> None:
    even = np.full((128, 128), 90, np.uint8)
    assert twins_of([even, even + 20, scene(8, (128, 128))]) == []


def test_even_skies_with_noise_of_their_own_are_no_twins() -> None:
    dice = np.random.default_rng(9)
    ramp = np.linspace(60, 120, 192)[:, None] + np.zeros((192, 192))
    skies = [np.rint(ramp + dice.normal(0, 1.5, ramp.shape)).astype(np.uint8) for _ in range(4)]
    assert twins_of(skies) == []


def test_images_that_nobody_judges_are_not_compared_with_each_other() -> None:
    images = [scene(10), scene(11), scene(11)]
    assert twins_of(images, judged=1) == []
    assert [(match.one, match.two) for match in twins_of(images, judged=2)] == [(1, 2)]


def test_nothing_and_a_single_image_have_no_twins() -> None:
    assert twins_of([]) == []
    assert twins_of([scene(12)]) == []


def test_a_tiny_image_is_read_without_a_word() -> None:
    assert twins_of([scene(13, (20, 30)), scene(14, (20, 30))]) == []


def test_a_band_pass_map_of_an_even_image_is_zero() -> None:
    """But for the rounding of blurs in float32: 77 levels times 2^-23 and some operations, over a floor of 2 levels."""
    assert np.abs(full_map(np.full((40, 50), 77, np.uint8))).max() < 1e-4


def test_steps_count_to_the_number_of_judged_images_and_of_proposals() -> None:
    images = [scene(15), scene(15), scene(16)]
    seen: list[tuple[int, int]] = []
    proposals = propose([sketch(image) for image in images], judged=2, step=lambda *at: seen.append(at))
    assert seen == [(1, 2), (2, 2)]
    seen.clear()
    confirm(proposals, lambda index: images[index], step=lambda *at: seen.append(at))
    assert seen == [(at + 1, len(proposals)) for at in range(len(proposals))]
