from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from bench.data.catalogue.splits import list_names
from bench.data.images.frames import Frame
from bench.data.quality.dataset_statistics import (
    ALL,
    describe,
    image_lines,
    measure,
    quartiles,
    summarise,
    target_lines,
)
from bench.errors import DataError


def frame(name: str, image: np.ndarray, mask: np.ndarray) -> Frame:
    return Frame(name, image, image, mask)


def one_target() -> Frame:
    """20 x 40 pixels of alternating 90 and 110, a target of 2 x 3 pixels of 200 whose top left is row 4, column 7."""
    image = np.full((20, 40), 90, np.uint8)
    image[:, 1::2] = 110
    mask = np.zeros((20, 40), np.uint8)
    image[4:6, 7:10], mask[4:6, 7:10] = 200, 255
    return frame("one", image, mask)


def none() -> Frame:
    return frame("none", np.full((10, 10), 50, np.uint8), np.zeros((10, 10), np.uint8))


def test_a_target_is_measured_as_it_was_made() -> None:
    found = measure("made", [one_target()], lists={ALL: np.array([0])})
    assert (found.heights.tolist(), found.widths.tolist(), found.counts.tolist()) == ([20], [40], [1])
    assert (found.areas.tolist(), found.box_heights.tolist(), found.box_widths.tolist()) == ([6], [2], [3])
    assert found.borders.tolist() == [4]
    assert found.brightness.tolist() == [200.0]
    assert found.rows.tolist() == [5 / 20]  # the middle of rows 4 and 5, from the upper edge
    assert found.cols.tolist() == [8.5 / 40]


def test_signal_and_clutter_are_those_of_the_surroundings() -> None:
    """Surroundings: 20 px around the box, rows 0 to 19 and columns 0 to 29, 15 of each level a row, less the target."""
    found = measure("made", [one_target()], lists={ALL: np.array([0])})
    light, dark = 15 * 20 - 4, 15 * 20 - 2  # columns 7 and 9 of two rows are of 110, column 8 of 90
    mean = (110 * light + 90 * dark) / (light + dark)
    deviation = (light * (110 - mean) ** 2 + dark * (90 - mean) ** 2) / (light + dark)
    assert found.signals.tolist() == pytest.approx([200 - mean], rel=1e-12)
    assert found.clutters.tolist() == pytest.approx([deviation**0.5], rel=1e-12)
    assert found.ratios.tolist() == pytest.approx([(200 - mean) / deviation**0.5], rel=1e-12)
    assert found.over_frame.tolist() == pytest.approx([200 - found.means[0]], rel=1e-12)


def test_an_even_background_has_no_ratio_and_is_counted() -> None:
    image, mask = np.full((30, 30), 80, np.uint8), np.zeros((30, 30), np.uint8)
    image[3, 3], mask[3, 3] = 120, 255
    found = measure("made", [frame("even", image, mask)], lists={ALL: np.array([0])})
    assert np.isnan(found.ratios).all()
    (summary,) = summarise(found)
    assert (summary.undefined_ratios, summary.signal) == (1, (40.0, 40.0, 40.0))
    assert np.isnan(summary.ratio).all()


def test_a_darker_target_has_a_signal_above_0_and_lies_below_its_frame() -> None:
    image, mask = np.full((30, 30), 80, np.uint8), np.zeros((30, 30), np.uint8)
    image[3, 3], mask[3, 3] = 20, 255
    found = measure("made", [frame("dark", image, mask)], lists={ALL: np.array([0])})
    assert found.signals.tolist() == [60.0]
    assert found.over_frame[0] < 0


def test_targets_that_touch_at_a_corner_are_one() -> None:
    mask = np.zeros((9, 9), np.uint8)
    mask[2, 2] = mask[3, 3] = mask[7, 7] = 255
    found = measure("made", [frame("corner", mask, mask)], lists={ALL: np.array([0])})
    assert found.areas.tolist() == [2, 1]


def test_a_list_takes_its_images_and_their_targets_in_its_own_order() -> None:
    frames = [one_target(), none(), one_target()]
    found = measure("made", frames, lists={ALL: np.arange(3), "a/test": np.array([2, 1])})
    taken = found.take("a/test")
    assert taken.names == ("one", "none")
    assert (taken.counts.tolist(), taken.image.tolist(), taken.areas.tolist()) == ([1, 0], [0], [6])


def test_a_summary_counts_images_without_targets() -> None:
    found = measure("made", [one_target(), none()], lists={ALL: np.arange(2), "a/test": np.array([1])})
    whole, test = summarise(found)
    assert (whole.images, whole.targets, whole.targets_an_image, whole.without_targets) == (2, 1, 0.5, 0.5)
    assert whole.sizes == (10, 20, 10, 40)
    assert whole.level == pytest.approx((found.means[0] + 50) / 2)
    assert (test.images, test.targets, test.without_targets) == (1, 0, 1.0)
    assert np.isnan(test.area).all()


def test_an_empty_list_has_no_numbers() -> None:
    (summary,) = summarise(measure("made", [], lists={ALL: np.arange(0)}))
    assert (summary.images, summary.targets, summary.sizes) == (0, 0, None)
    assert np.isnan([summary.targets_an_image, summary.level, *summary.area]).all()


def test_quartiles_leave_undefined_values_out() -> None:
    assert quartiles(np.array([np.nan, 4.0])) == (4.0, 4.0, 4.0)
    assert np.isnan(quartiles(np.array([np.nan]))).all()


def test_lines_name_every_image_with_its_lists_and_every_target() -> None:
    found = measure("made", [one_target(), none()], lists={ALL: np.arange(2), "a/test": np.array([0])})
    first, second = image_lines(found)
    assert (first["image"], first["lists"], first["targets"], second["lists"]) == ("one", "a/test", 1, "")
    (target,) = target_lines(found)
    assert (target["image"], target["area"], target["border"], target["row"]) == ("one", 6, 4, 0.25)


def test_the_generated_dataset_has_the_targets_its_card_counts() -> None:
    found = describe("synthetic")
    assert list(found.lists) == [ALL, "bench/train", "bench/test"]
    assert (len(found.names), len(found.areas)) == (400, 724)
    train = summarise(found)[1]
    assert (round(train.level, 4), round(train.deviation, 5)) == (79.0695, 15.46282)  # the card's constants


def test_a_split_alone_has_no_line_for_all_images() -> None:
    seen: list[tuple[int, int]] = []
    found = describe("synthetic", split="bench", progress=lambda *at: seen.append(at))
    assert list(found.lists) == ["bench/train", "bench/test"]
    assert seen == [(at + 1, 400) for at in range(400)]
    with pytest.raises(LookupError, match="no split of synthetic is called 'basic'"):
        describe("synthetic", split="basic")


def test_a_folder_that_is_not_there_and_a_missing_image_are_named(made: Path) -> None:
    with pytest.raises(DataError, match="IRSTD-1k: no data folder was given; pass the folder"):
        describe("IRSTD-1k", None)
    with pytest.raises(DataError, match=r"no such file, the list names it; run dfinet-bench data verify IRSTD-1k"):
        describe("IRSTD-1k", made, split="dfinet")


def test_a_damaged_mask_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "IRSTD-1k"
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
        for name in {*list_names("IRSTD-1k", "dfinet", "train"), *list_names("IRSTD-1k", "dfinet", "test")}:
            cv2.imwrite(str(folder / kind / f"{name}.png"), np.zeros((8, 8), np.uint8))
    damaged = folder / "masks" / f"{list_names('IRSTD-1k', 'dfinet', 'test')[0]}.png"
    damaged.write_bytes(damaged.read_bytes()[:40])
    with pytest.raises(DataError, match=f"{damaged.name}: not an image, expected one of PNG"):
        describe("IRSTD-1k", tmp_path)
