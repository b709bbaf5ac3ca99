"""Augmented data is distributed as published: our batches against plain per-image code of each recipe, by tests.

Every hypothesis is rejected below 0.001, with fixed seeds, and every kind of test is shown to reject a wrong variant.

Source: the pipelines of BasicIRSTD (random crop, half of the draws on a target), of DFINet (albumentations 1.3.1:
Rotate, HorizontalFlip, VerticalFlip and CoarseDropout, each with probability 0.3) and of DNANet (flip, scale, crop,
blur).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from bench.data.batches.augment import AUGMENTATIONS, Draws, draw
from bench.data.batches.loader import Feed
from bench.data.catalogue.splits import list_names
from bench.data.images.frames import Frame, Frames, open_frames
from bench.protocols.recipes import RECIPES
from bench.types import Input, Recipe

LEAST = 0.001
"""Probability below which a difference is no chance."""

COUNT = 4000
Levels = NDArray[np.uint8]
Floats = NDArray[np.float64]
Augment = Callable[[Levels, Levels, np.random.Generator], Levels]

BASICIRSTD, DFINET, DNANET = (RECIPES.get(name) for name in ("basicirstd", "dfinet", "dnanet"))
GREY = Input("pillow-grey", 1)
RESIZED = Input("pillow-grey", 1, size=(256, 256))

turns = AUGMENTATIONS.get("dfinet")
for name, wrong in {
    "flipped too often": replace(turns, flip_ud=0.4, flip_lr=0.4),
    "rotated too often": replace(turns, rotate=0.4),
    "turned too little": replace(turns, most_degrees=30.0),
    "never covered": replace(turns, dropout=0.0),
}.items():
    AUGMENTATIONS.add(name, wrong)
AUGMENTATIONS.add("blurred too often", replace(AUGMENTATIONS.get("dnanet"), blur=0.6))
AUGMENTATIONS.add("never blurred", replace(AUGMENTATIONS.get("dnanet"), blur=0.0))
AUGMENTATIONS.add("scaled too little", replace(AUGMENTATIONS.get("dnanet"), scale=(0.5, 1.5)))


def frame(height: int, width: int, targets: list[tuple[int, int]]) -> Frame:
    mask = np.zeros((height, width), np.uint8)
    for target in targets:
        mask[target] = 255
    return Frame("made", mask, mask, mask)


def drawn(made: Frame, recipe: Recipe, given: Input = GREY, *, count: int = COUNT, seed: int = 11) -> Draws:
    frames = Frames("synthetic", [made] * count)
    return draw(frames, input=given, recipe=recipe, generator=np.random.default_rng(seed))


def corners(draws: Draws) -> NDArray[np.int64]:
    assert draws.views.crop is not None
    return draws.views.crop


def evenness(values: NDArray[np.int64], count: int) -> float:
    """The probability of such counts if every whole number from 0 to count - 1 were as likely as every other."""
    return float(stats.chisquare(np.bincount(values, minlength=count)).pvalue)


def rate(hits: NDArray[np.bool_], published: float) -> float:
    """The probability of so many hits, or of a number as far off, at the published rate."""
    return float(stats.binomtest(int(hits.sum()), len(hits), published).pvalue)


# Crops


def test_a_crop_is_as_likely_anywhere() -> None:
    crop = corners(drawn(frame(280, 271, [(3, 3)]), replace(BASICIRSTD, positive_crop=0.0)))
    assert evenness(crop[:, 0], 25) > LEAST
    assert evenness(crop[:, 1], 16) > LEAST
    together = np.histogram2d(crop[:, 0] // 5, crop[:, 1] // 4, bins=(5, 4))[0]
    assert stats.chi2_contingency(together).pvalue > LEAST


def test_a_crop_around_a_target_holds_it_and_shows_it_as_likely_anywhere() -> None:
    """Target and patch far from the border: every place in the patch is as likely."""
    crop = corners(drawn(frame(800, 900, [(400, 450)]), replace(BASICIRSTD, patch=32, positive_crop=1.0)))
    place = np.array([400, 450]) - crop
    assert place.min() >= 0
    assert place.max() < 32
    assert evenness(place[:, 0], 32) > LEAST
    assert evenness(place[:, 1], 32) > LEAST


def test_half_of_basicirstds_crops_are_put_around_a_target() -> None:
    crop = corners(drawn(frame(2000, 2000, [(1999, 1999)]), replace(BASICIRSTD, patch=16)))
    assert rate((crop == 2000 - 16).all(axis=1), BASICIRSTD.positive_crop) > LEAST
    assert rate((crop == 2000 - 16).all(axis=1), 0.4) < LEAST


def test_every_target_pixel_draws_as_many_crops() -> None:
    """A target of three pixels draws three times as many as one of a single pixel."""
    targets = [(100, 100), (100, 101), (101, 100), (700, 700)]
    crop = corners(drawn(frame(800, 800, targets), replace(BASICIRSTD, patch=16, positive_crop=1.0)))
    assert rate(crop[:, 0] > 400, 1 / 4) > LEAST
    assert rate(crop[:, 0] > 400, 1 / 2) < LEAST


def crop_as_published(mask: Levels, patch: int, generator: np.random.Generator) -> tuple[int, int]:
    """BasicIRSTD's rule image by image, but for the row and column that it begins too early."""
    height, width = mask.shape
    most = max(height - patch, 0), max(width - patch, 0)
    targets = np.argwhere(mask > 127)
    if generator.random() < 0.5 and len(targets):
        pixel = targets[generator.integers(len(targets))]
        top, left = (
            generator.integers(max(at - patch + 1, 0), min(at, last) + 1) for at, last in zip(pixel, most, strict=True)
        )
    else:
        top, left = (generator.integers(last + 1) for last in most)
    return int(top), int(left)


@pytest.mark.parametrize("targets", [[(10, 300)], [(5, 5), (290, 200)], [(150, 150), (150, 151)], []])
def test_crops_are_distributed_as_the_published_rule_puts_them(targets: list[tuple[int, int]]) -> None:
    made = frame(300, 330, targets)
    crop = corners(drawn(made, BASICIRSTD))
    generator = np.random.default_rng(12)
    plain = np.array([crop_as_published(made.mask, 256, generator) for _ in range(COUNT)])
    for axis in range(2):
        assert stats.ks_2samp(crop[:, axis], plain[:, axis]).pvalue > LEAST


# Flips, rotation, scale, blur, holes


def test_basicirstds_turns_come_half_of_the_time() -> None:
    views = drawn(frame(256, 256, []), BASICIRSTD).views
    for step in (views.flip_ud, views.flip_lr, views.transpose):
        assert rate(step, 0.5) > LEAST
        assert rate(step, 0.4) < LEAST
    eighths = views.flip_ud * 4 + views.flip_lr * 2 + views.transpose
    assert evenness(eighths.astype(np.int64), 8) > LEAST


def test_dfinets_steps_come_three_times_in_ten_each_for_itself() -> None:
    draws = drawn(frame(256, 256, []), DFINET, RESIZED)
    views = draws.views
    steps = np.stack([views.angle != 0, views.flip_ud, views.flip_lr, draws.holes[:, :, 2].any(axis=1)])
    for step in steps:
        assert rate(step, 0.3) > LEAST
    code = (steps * 2 ** np.arange(4)[:, None]).sum(axis=0)
    chances = [np.prod([0.3 if number >> step & 1 else 0.7 for step in range(4)]) for number in range(16)]
    assert stats.chisquare(np.bincount(code, minlength=16), COUNT * np.array(chances)).pvalue > LEAST


def test_a_rate_of_four_in_ten_is_found_out() -> None:
    often = drawn(frame(256, 256, []), replace(DFINET, augmentation="flipped too often"), RESIZED).views
    assert rate(often.flip_ud, 0.3) < LEAST
    assert rate(often.flip_lr, 0.3) < LEAST
    rotated = drawn(frame(256, 256, []), replace(DFINET, augmentation="rotated too often"), RESIZED).views
    assert rate(rotated.angle != 0, 0.3) < LEAST


def test_every_angle_up_to_35_degrees_is_as_likely() -> None:
    def chance(augmentation: str) -> float:
        angle = drawn(frame(256, 256, []), replace(DFINET, augmentation=augmentation), RESIZED).views.angle
        return float(stats.kstest(angle[angle != 0], stats.uniform(-35, 70).cdf).pvalue)

    assert chance("dfinet") > LEAST
    assert chance("turned too little") < LEAST


def test_ten_holes_of_32_pixels_lie_anywhere_in_the_image() -> None:
    holes = drawn(frame(120, 100, []), DFINET, RESIZED).holes
    holes = holes[holes[:, :, 2].any(axis=1)]
    assert holes.shape[1] == 10
    assert (holes[:, :, 2:] == 32).all()
    assert evenness(holes[:, :, 0].ravel(), 120 - 31) > LEAST
    assert evenness(holes[:, :, 1].ravel(), 100 - 31) > LEAST
    assert evenness(holes[:, :, 0].ravel() // 2, 120 // 2) < LEAST  # and so would holes that can stand out


def test_dnanets_scale_and_blur_are_as_likely_anywhere_in_their_bounds() -> None:
    draws = drawn(frame(256, 200, []), DNANET)
    assert draws.views.scale is not None
    assert evenness(draws.views.scale[:, 0] - 128, 512 - 128 + 1) > LEAST
    assert np.abs(draws.views.scale[:, 1] - draws.views.scale[:, 0] * 200 / 256).max() <= 0.5
    assert rate(draws.views.flip_lr, 0.5) > LEAST
    assert not draws.views.flip_ud.any()
    assert rate(draws.blur > 0, 0.5) > LEAST
    assert stats.kstest(draws.blur[draws.blur > 0], stats.uniform(0, 1).cdf).pvalue > LEAST
    often = drawn(frame(256, 200, []), replace(DNANET, augmentation="blurred too often"))
    assert rate(often.blur > 0, 0.5) < LEAST
    assert stats.kstest(often.blur[often.blur > 0], stats.uniform(0, 0.9).cdf).pvalue < LEAST


# Levels that come out, against plain code


def basicirstd(image: Levels, mask: Levels, generator: np.random.Generator) -> Levels:
    top, left = crop_as_published(mask, 256, generator)
    inside = image[top : top + 256, left : left + 256]
    patch = np.zeros((256, 256), np.uint8)
    patch[: inside.shape[0], : inside.shape[1]] = inside
    for change in (np.flipud, np.fliplr, np.transpose):
        patch = np.asarray(change(patch)) if generator.random() < 0.5 else patch
    return patch


def dfinet(image: Levels, mask: Levels, generator: np.random.Generator) -> Levels:
    height, width = image.shape
    if generator.random() < 0.3:
        centre = ((width - 1) / 2, (height - 1) / 2)
        matrix = cv2.getRotationMatrix2D(centre, generator.uniform(-35, 35), 1.0)
        image = np.asarray(cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REFLECT_101), np.uint8)
    image = image[:, ::-1] if generator.random() < 0.3 else image
    image = image[::-1] if generator.random() < 0.3 else image
    if generator.random() < 0.3:
        image = image.copy()
        for _ in range(10):
            top, left = generator.integers(height - 32 + 1), generator.integers(width - 32 + 1)
            image[top : top + 32, left : left + 32] = 0
    return np.asarray(cv2.resize(np.ascontiguousarray(image), (256, 256)), np.uint8)


def dnanet(image: Levels, mask: Levels, generator: np.random.Generator) -> Levels:
    image = image[:, ::-1] if generator.random() < 0.5 else image
    share = int(generator.integers(128, 512 + 1)) / max(image.shape)
    size = round(image.shape[1] * share), round(image.shape[0] * share)
    image = np.asarray(cv2.resize(np.ascontiguousarray(image), size), np.uint8)
    top, left = (int(generator.integers(max(length - 256, 0) + 1)) for length in image.shape)
    image = image[top : top + 256, left : left + 256]
    if generator.random() < 0.5:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), max(generator.random(), 1e-3)), np.uint8)
    patch = np.zeros((256, 256), np.uint8)
    patch[: image.shape[0], : image.shape[1]] = image
    return patch


PLAIN: dict[str, Augment] = {"basicirstd": basicirstd, "dfinet": dfinet, "dnanet": dnanet}


def scenes() -> Frames:
    """48 made-up images of one size."""
    return open_frames("synthetic", list_names("synthetic", "bench", "train", 48), root=None, decoder="pillow-grey")


@pytest.fixture(scope="module", params=["synthetic", pytest.param("NUAA-SIRST", marks=pytest.mark.realdata)])
def images(request: pytest.FixtureRequest) -> Frames:
    """48 images: real ones of 48 sizes, or made-up ones."""
    if request.param == "synthetic":
        return scenes()
    root = request.getfixturevalue("real_data")
    names = list_names("NUAA-SIRST", "basicirstd", "train", 48)
    return open_frames("NUAA-SIRST", names, root=root, decoder="pillow-grey")


def described(patch: NDArray[np.floating]) -> tuple[float, ...]:
    """What is compared of an image: mean, deviation, share of black, brightest level, roughness and sharpness.

    Sharpness is the size of the second differences over that of the first, which a blur lowers in any image.
    """
    first, second = (np.abs(np.diff(patch, n=order, axis=0)).mean() for order in (1, 2))
    black = (patch == 0).mean()
    return tuple(map(float, (patch.mean(), patch.std(), black, patch.max(), first, second / max(first, 1e-9))))


EPOCHS = 8


def ours(frames: Frames, recipe: Recipe) -> Iterator[tuple[float, ...]]:
    given = RESIZED if recipe.patch is None else GREY
    feed = Feed(frames, input=given, recipe=recipe, seed=21, needs_start=False)
    for epoch in range(EPOCHS):
        for batch in feed.epoch(epoch):
            for image in batch.image[:, 0].numpy().astype(np.float64) * 255:
                yield described(np.round(image))


def plain(frames: Frames, augment: Augment) -> Iterator[tuple[float, ...]]:
    generator = np.random.default_rng(22)
    for _ in range(EPOCHS):
        for one in frames:
            yield described(augment(one.image, one.mask, generator).astype(np.float64))


def chances(frames: Frames, recipe: Recipe, augment: Augment) -> list[float]:
    """For each description the probability that both ways of making images differ no more than by chance."""
    one, other = np.array(list(ours(frames, recipe))), np.array(list(plain(frames, augment)))
    return [float(stats.ks_2samp(one[:, column], other[:, column]).pvalue) for column in range(one.shape[1])]


@pytest.mark.parametrize("name", PLAIN)
def test_levels_are_distributed_as_plain_code_makes_them(images: Frames, name: str) -> None:
    assert min(chances(images, RECIPES.get(name), PLAIN[name])) > LEAST


@pytest.mark.parametrize(
    ("name", "wrong"), [("dfinet", "never covered"), ("dnanet", "never blurred"), ("dnanet", "scaled too little")]
)
def test_wrong_levels_are_found_out(name: str, wrong: str) -> None:
    """On made-up images: NUAA-SIRST's, enlarged, are so smooth that a blur of less than a pixel does not show."""
    recipe = replace(RECIPES.get(name), augmentation=wrong)
    assert min(chances(scenes(), recipe, PLAIN[name])) < LEAST
