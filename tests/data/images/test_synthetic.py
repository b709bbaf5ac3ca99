from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest

from bench.data.catalogue.cards import FileDigest, load_card
from bench.data.catalogue.splits import list_names
from bench.data.images import synthetic
from bench.data.images.frames import Frames, measure_statistics, open_frames
from bench.data.images.synthetic import Dice, checked_scene, make_scene, named_scene
from bench.errors import DataError


@pytest.fixture(scope="module")
def train() -> Frames:
    return open_frames("synthetic", list_names("synthetic", "bench", "train"), root=None, decoder="pillow-grey")


@pytest.fixture(scope="module")
def test() -> Frames:
    return open_frames("synthetic", list_names("synthetic", "bench", "test"), root=None, decoder="pillow-grey")


@pytest.mark.parametrize("kind", ["sky", "sea", "ground"])
def test_a_card_of_one_kind_holds_the_scenes_of_that_kind_in_the_same_lists(kind: str) -> None:
    card = load_card(f"synthetic-{kind}")
    for part in ("train", "test"):
        whole = list_names("synthetic", "bench", part)
        assert list_names(card.name, "bench", part) == tuple(n for n in whole if named_scene(n).kind == kind)
    train = open_frames(card.name, list_names(card.name, "bench", "train"), root=None, decoder="pillow-grey")
    test = open_frames(card.name, list_names(card.name, "bench", "test"), root=None, decoder="pillow-grey")
    assert sum(components(frame.mask) for frame in [*train, *test]) == card.targets
    assert measure_statistics(train) == pytest.approx((card.mean, card.std), abs=5e-6)  # five published digits


def components(mask: np.ndarray) -> int:
    return int(cv2.connectedComponents(mask, connectivity=8)[0]) - 1


def test_every_scene_is_the_one_the_card_has_the_digest_of(train: Frames, test: Frames) -> None:
    card = load_card("synthetic")
    assert len(train) + len(test) == card.images == len(card.digests) / 2


def test_the_card_counts_targets_and_levels_right(train: Frames, test: Frames) -> None:
    card = load_card("synthetic")
    assert sum(components(frame.mask) for frame in [*train, *test]) == card.targets
    assert measure_statistics(train) == pytest.approx((card.mean, card.std), abs=5e-6)  # five published digits


def test_scenes_hold_none_to_four_targets_of_1_to_80_pixels(train: Frames) -> None:
    scenes = [named_scene(name) for name in train.names]
    assert {len(scene.targets) for scene in scenes} == {0, 1, 2, 3, 4}
    assert {scene.kind for scene in scenes} == {"sky", "sea", "ground"}
    areas = {target.area for scene in scenes for target in scene.targets}
    assert min(areas) == 1
    assert 70 <= max(areas) <= 80
    for scene in scenes:
        assert components(scene.mask) == len(scene.targets)
        assert (scene.mask > 0).sum() == sum(target.area for target in scene.targets)


def test_a_targets_peak_is_its_ratio_times_the_clutter_around_it(train: Frames) -> None:
    targets = [target for name in train.names for target in named_scene(name).targets]
    assert {target.ratio for target in targets} == set(synthetic.SIGNAL_TO_CLUTTER)
    assert all(3 <= target.peak / target.ratio <= 12 for target in targets)


def test_the_mask_is_where_a_target_exceeds_half_of_its_peak() -> None:
    levels = np.full((synthetic.SIDE, synthetic.SIDE), 50.0)
    for number in range(20):
        lit = levels.copy()
        mask, targets = synthetic.add_targets(lit, Dice(number))
        for target in targets:
            top, left = int(target.row) - 11, int(target.column) - 11
            window = slice(max(top, 0), top + 23), slice(max(left, 0), left + 23)
            own = (lit - levels)[window]
            assert own.max() == target.peak
            assert np.array_equal(own > target.peak / 2, mask[window] == 255)


def best_top_hat_threshold(frames: Frames, kernel: np.ndarray) -> int:
    return max(range(5, 100, 5), key=lambda threshold: top_hat_iou(frames, kernel, threshold))


def top_hat_iou(frames: Frames, kernel: np.ndarray, threshold: int) -> float:
    shared = joined = 0
    for frame in frames:
        found = cv2.morphologyEx(frame.image, cv2.MORPH_TOPHAT, kernel) > threshold
        shared += int((found & (frame.mask > 0)).sum())
        joined += int((found | (frame.mask > 0)).sum())
    return shared / joined


@pytest.mark.parametrize("side", [5, 9, 13])
def test_a_top_hat_tuned_on_the_training_list_stays_below_0_3(train: Frames, test: Frames, side: int) -> None:
    kernel = np.ones((side, side), np.uint8)
    assert 0.01 < top_hat_iou(test, kernel, best_top_hat_threshold(train, kernel)) < 0.3


def test_a_scene_depends_on_its_number_alone() -> None:
    one = make_scene(7)
    make_scene.cache_clear()
    make_scene(8)
    assert np.array_equal(make_scene(7).grey, one.grey)
    assert not np.array_equal(make_scene(8).grey, one.grey)
    assert not np.array_equal(make_scene(7, seed=1).grey, one.grey)


def test_a_generated_image_cannot_be_changed_in_place() -> None:
    with pytest.raises(ValueError, match="read-only"):
        make_scene(7).grey[0, 0] = 1


def test_other_pixels_than_the_cards_are_refused() -> None:
    card = load_card("synthetic")
    wrong = {**card.digests, "masks/scene-0002": FileDigest((128, 128), "0" * 64)}
    with pytest.raises(DataError, match="synthetic/masks/scene-0002: generated pixels differ from the card's digest"):
        checked_scene(dataclasses.replace(card, digests=wrong), "scene-0002")
    with pytest.raises(DataError, match="scene-0999"):
        checked_scene(card, "scene-0999")


@pytest.mark.parametrize("name", ["scene-1", "scene-00001", "0001", "scene-00x1", ""])
def test_a_name_of_another_form_is_refused(name: str) -> None:
    with pytest.raises(DataError, match="no image is called"):
        named_scene(name)


def test_both_decoders_see_the_same_levels() -> None:
    grey = open_frames("synthetic", ["scene-0003"], root=None, decoder="pillow-grey")[0]
    colour = open_frames("synthetic", ["scene-0003"], root=None, decoder="opencv-bgr")[0]
    assert colour.image.shape == (128, 128, 3)
    assert all(np.array_equal(colour.image[..., channel], grey.image) for channel in range(3))
    assert np.array_equal(colour.grey, grey.grey)


def test_dice_are_written_down() -> None:
    dice = Dice(1, 2)
    assert [dice.whole(0, 9) for _ in range(8)] == [9, 3, 0, 4, 6, 4, 2, 5]
    assert all(0 <= number <= 1 for number in (dice.real(0, 1) for _ in range(100)))
    bell = dice.bell(100, 100)
    assert abs(bell.mean()) < 0.04  # four standard errors of 10,000 numbers
    assert abs(bell.std() - 1) < 0.03
