"""Corruptions: the same pixels everywhere, stronger level by level, and each what its name says."""

from __future__ import annotations

import hashlib
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bench.data.catalogue.splits import list_names
from bench.data.images.corrupted_frames import as_seen
from bench.data.images.corruptions import CORRUPTIONS, SEVERITIES, corruption_names, parse_corruption
from bench.data.images.frames import Frames, open_frames
from bench.data.images.lazy_frames import RECENT, LazyFrames
from bench.data.images.synthetic import make_scene

KINDS = tuple(CORRUPTIONS)

DIGESTS = {
    "stripes": "ae4fb1f24f039bc7",
    "fixed-pattern": "1b4b508cfc9c4b2f",
    "gaussian-noise": "b7acf7cfd4d55236",
    "poisson-noise": "8e6112c83f65164e",
    "defocus": "e7da641c4106b96a",
    "motion-blur": "849baee5cc15794a",
    "dead-pixels": "0d8d6c0d0a3fb52a",
    "low-contrast": "29ed96b8092d0f2a",
    "bit-depth": "3ea5a9d64bdf1959",
    "drift": "5050d3a46fe4ec49",
}
"""Kind to the first digits of the SHA-256 of scenes 3 and 4 at all five levels: the same on every machine."""


def flat(level: int, side: int = 64) -> np.ndarray:
    """An image of one level."""
    return np.full((side, side), level, np.uint8)


def applied(name: str, pixels: np.ndarray, image: str = "a") -> np.ndarray:
    """The image corrupted."""
    return parse_corruption(name)(pixels, name=image)


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    """Peak signal-to-noise ratio, in dB."""
    error = float(np.mean((one.astype(float) - other.astype(float)) ** 2))
    return 10 * np.log10(255**2 / error)


@pytest.fixture(scope="module")
def scenes() -> Frames:
    names = list_names("synthetic", "bench", "test", 24)
    return open_frames("synthetic", names, root=None, decoder="pillow-grey")


def test_there_are_ten_kinds_of_five_levels() -> None:
    assert len(KINDS) == 10
    assert SEVERITIES == (1, 2, 3, 4, 5)
    assert all(len(CORRUPTIONS.get(kind).strengths) == 5 for kind in KINDS)
    assert all(CORRUPTIONS.get(kind).name == kind for kind in KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_the_pixels_are_those_of_every_machine(kind: str) -> None:
    digest = hashlib.sha256()
    for scene in (3, 4):
        for level in SEVERITIES:
            digest.update(applied(f"{kind}@{level}", make_scene(scene).grey, f"scene-{scene:04}").tobytes())
    assert digest.hexdigest()[:16] == DIGESTS[kind]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "bit-depth"])
def test_a_higher_level_leaves_less_of_every_image(kind: str, scenes: Frames) -> None:
    for frame in scenes:
        found = [psnr(frame.grey, applied(f"{kind}@{level}", frame.grey, frame.name)) for level in SEVERITIES]
        assert all(weaker > stronger for weaker, stronger in pairwise(found)), frame.name


def test_fewer_bits_leave_less_of_the_images_on_average(scenes: Frames) -> None:
    found = [
        np.mean([psnr(frame.grey, applied(f"bit-depth@{level}", frame.grey)) for frame in scenes])
        for level in SEVERITIES
    ]
    assert all(weaker > stronger for weaker, stronger in pairwise(found))


@pytest.mark.parametrize("kind", KINDS)
def test_all_channels_of_an_image_get_the_same(kind: str) -> None:
    grey = make_scene(3).grey
    made = applied(f"{kind}@4", np.stack([grey] * 3, axis=2))
    assert made.shape == (*grey.shape, 3)
    assert all(np.array_equal(made[..., channel], applied(f"{kind}@4", grey)) for channel in range(3))


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_drawn_belongs_to_the_image_or_to_the_sensor(kind: str) -> None:
    grey = make_scene(3).grey
    alike = np.array_equal(applied(f"{kind}@5", grey, "a"), applied(f"{kind}@5", grey, "b"))
    assert alike == (CORRUPTIONS.get(kind).belongs_to != "image")
    assert np.array_equal(applied(f"{kind}@5", grey, "a"), applied(f"{kind}@5", grey, "a"))


@settings(max_examples=20, deadline=None)
@given(
    pixels=arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9))),
    name=st.sampled_from([f"{kind}@{level}" for kind in KINDS for level in SEVERITIES]),
)
def test_any_image_keeps_its_shape_and_type(pixels: np.ndarray, name: str) -> None:
    made = applied(name, pixels)
    assert (made.shape, made.dtype) == (pixels.shape, np.uint8)


def test_stripes_are_constant_along_columns_or_rows_as_the_image_has_it() -> None:
    across = {f"{image}": applied("stripes@3", flat(100), str(image)) for image in range(8)}
    columns = [bool((made == made[:1]).all()) for made in across.values()]
    rows = [bool((made == made[:, :1]).all()) for made in across.values()]
    assert [one != other for one, other in zip(columns, rows, strict=True)] == [True] * 8
    assert any(columns)
    assert any(rows)


@pytest.mark.parametrize(("level", "deviation"), [(1, 2), (3, 7), (5, 16)])
def test_gaussian_noise_has_the_stated_deviation_whatever_the_grey(level: int, deviation: float) -> None:
    for grey in (90, 160):
        noise = applied(f"gaussian-noise@{level}", flat(grey, 256)).astype(float) - grey
        # 65536 pixels: the deviation's own standard error is 0.3 %, the mean's deviation / 256
        assert noise.std() == pytest.approx(deviation, rel=0.02)
        assert abs(noise.mean()) < 5 * deviation / 256


@pytest.mark.parametrize(("level", "photons"), [(1, 4000), (3, 600), (5, 100)])
def test_poisson_noise_grows_with_the_root_of_the_level(level: int, photons: float) -> None:
    for grey in (20, 60, 130):
        noise = applied(f"poisson-noise@{level}", flat(grey, 256)).astype(float) - grey
        deviation = np.sqrt(255 * grey / photons)
        rounding = 1 / 12  # variance of rounding to whole levels
        assert noise.std() == pytest.approx(np.sqrt(deviation**2 + rounding), rel=0.03)
        assert abs(noise.mean()) < 0.5 + 5 * deviation / 256  # a coarse lattice of counts is rounded to levels
    assert not applied(f"poisson-noise@{level}", flat(0)).any()


def test_fixed_pattern_is_a_gain_and_an_offset_of_every_detector() -> None:
    dark, bright = (applied("fixed-pattern@2", flat(grey, 256)).astype(float) - grey for grey in (60, 180))
    # offsets of 3 levels and gains of 3 %: 3.50 at level 60, 6.18 at level 180; the same detectors in both
    assert dark.std() == pytest.approx(np.hypot(3, 0.03 * 60), rel=0.02)
    assert bright.std() == pytest.approx(np.hypot(3, 0.03 * 180), rel=0.02)
    assert np.corrcoef(dark.ravel(), bright.ravel())[0, 1] > 0.8


def test_defocus_spreads_a_point_over_a_disc() -> None:
    point = flat(0)
    point[32, 32] = 255
    made = applied("defocus@5", point).astype(int)
    rows, columns = np.nonzero(made)
    assert np.hypot(rows - 32, columns - 32).max() <= 3.0  # radius 2.5, and a pixel counts that the disc touches
    assert made.sum() == pytest.approx(255, abs=10)  # rounded in 21 pixels
    assert made[32, 32] == round(255 / (np.pi * 2.5**2))
    assert np.array_equal(made, made.T)
    assert np.array_equal(applied("defocus@5", flat(77)), flat(77))


def test_motion_blur_draws_a_point_into_a_line_of_the_stated_length() -> None:
    point = flat(0)
    point[32, 32] = 255
    for image in "abc":
        made = applied("motion-blur@5", point, image).astype(float)
        rows, columns = np.nonzero(made)
        spread = np.cov(np.stack([rows, columns]), aweights=made[rows, columns], ddof=0)
        along = np.linalg.eigvalsh(spread)
        # a line of 7 px has a variance of 49 / 12 along itself; bilinear shares add up to 1/4 to both directions
        assert along[1] == pytest.approx(49 / 12, abs=0.5)
        assert along[0] < 0.5
    assert np.array_equal(applied("motion-blur@5", flat(77)), flat(77))


def test_dead_pixels_stay_dead_and_half_of_them_are_dark() -> None:
    dead = [applied(f"dead-pixels@{level}", flat(100, 512)) for level in SEVERITIES]
    for made, share in zip(dead, (0.0002, 0.0005, 0.001, 0.002, 0.005), strict=True):
        assert set(np.unique(made)) == {0, 100, 255}
        assert np.mean(made != 100) == pytest.approx(share, rel=0.25)  # 52 of 262144 at level 1, give or take 7
    assert all(((weaker == stronger) | (weaker == 100)).all() for weaker, stronger in pairwise(dead))
    assert np.mean(dead[-1] == 0) == pytest.approx(np.mean(dead[-1] == 255), rel=0.15)


def test_low_contrast_leaves_the_stated_share_around_the_mean() -> None:
    pixels = np.array([[80, 120]], np.uint8)
    assert applied("low-contrast@2", pixels).tolist() == [[90, 110]]
    assert applied("low-contrast@4", pixels).tolist() == [[95, 105]]


def test_bit_depth_keeps_black_and_white_and_the_levels_between() -> None:
    ramp = np.arange(256, dtype=np.uint8)[None]
    made = [applied(f"bit-depth@{level}", ramp)[0] for level in SEVERITIES]
    assert [len(np.unique(levels)) for levels in made] == [128, 64, 32, 16, 8]
    assert {(int(levels[0]), int(levels[-1])) for levels in made} == {(0, 255)}
    assert made[4][:40].tolist() == [0] * 19 + [36] * 21


def test_drift_is_smooth_and_reaches_its_peak() -> None:
    for image in "abcd":
        made = applied("drift@4", flat(100, 128), image).astype(float) - 100
        assert np.abs(np.diff(made, axis=0)).max() <= 3  # 30 levels and 15 % over 128 px
        assert 12 <= np.abs(made).max() <= 45  # the peaks of offset (30) and gain (15) may meet or cancel
        assert abs(made.mean()) < 20


def test_a_name_is_answered_with_suggestions() -> None:
    with pytest.raises(LookupError, match="no corruption is called 'gausian-noise'; did you mean gaussian-noise"):
        parse_corruption("gausian-noise@3")
    for text in ("drift", "drift@", "drift@0", "drift@6", "drift@1.5", "drift@٣"):
        with pytest.raises(LookupError, match="expected a level from 1 to 5, as in drift@3"):
            parse_corruption(text)
    assert parse_corruption("drift@3").strength == 20


@pytest.mark.parametrize("word", ["clean", "all"])
def test_a_word_that_is_no_kind_has_no_levels(word: str) -> None:
    with pytest.raises(LookupError, match=f"corruption '{word}@1': '{word}' has no levels, expected it alone"):
        corruption_names([f"{word}@1"])


def test_words_stand_for_levels_kinds_and_all_with_the_clean_image_first() -> None:
    assert corruption_names([]) == ("",)
    assert corruption_names(["drift@2", "clean"]) == ("", "drift@2")
    assert corruption_names(["defocus", "defocus@1"]) == ("", *(f"defocus@{level}" for level in SEVERITIES))
    assert len(corruption_names(["all"])) == 51
    with pytest.raises(LookupError, match="did you mean drift"):
        corruption_names(["drif"])
    with pytest.raises(LookupError, match="expected a level from 1 to 5"):
        corruption_names(["drift@9"])


def test_corrupted_frames_keep_their_names_and_masks_and_start_from_what_is_seen(scenes: Frames) -> None:
    seen = as_seen(scenes, "stripes@5")
    assert isinstance(seen, LazyFrames)
    assert len(seen) == len(scenes)
    clean, frame = scenes[2], seen[2]
    assert (frame.name, frame.size) == (clean.name, clean.size)
    assert np.array_equal(frame.mask, clean.mask)
    assert np.array_equal(frame.grey, applied("stripes@5", clean.grey, clean.name))
    assert np.array_equal(frame.image, frame.grey)
    assert not np.array_equal(frame.start(), clean.start())
    assert [one.name for one in seen[1:3]] == [one.name for one in scenes[1:3]]
    assert seen[-1].name == scenes[-1].name
    with pytest.raises(IndexError):
        seen[len(scenes)]
    assert as_seen(scenes, "") is scenes


def test_colour_frames_are_corrupted_in_image_and_grey() -> None:
    frames = open_frames("synthetic", ["scene-0003"], root=None, decoder="opencv-bgr")
    frame = as_seen(frames, "drift@5")[0]
    assert np.array_equal(frame.image[..., 1], frame.grey)


def test_few_corrupted_frames_are_kept_and_each_is_made_once_a_batch(scenes: Frames) -> None:
    seen = as_seen(scenes, "drift@1")
    assert seen[3] is seen[3]
    assert RECENT <= 64
