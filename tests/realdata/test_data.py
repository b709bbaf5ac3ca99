"""Against the published images; fingerprints in parity/preprocess were made by the published pipelines, OpenCV 4.11."""

from __future__ import annotations

import json
import re
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from bench.data.batches.loader import evaluation_batches
from bench.data.catalogue.cards import load_card
from bench.data.catalogue.splits import list_names
from bench.data.images.frames import Frames, measure_statistics, open_frames
from bench.data.importing.verify import expected_files, verify_dataset
from bench.types import Decoder, Input

pytestmark = pytest.mark.realdata

PREPROCESS = Path(__file__).parents[1] / "parity" / "preprocess"
BASICIRSTD = json.loads((PREPROCESS / "preprocess_basicirstd_test.json").read_text())
DFINET = json.loads((PREPROCESS / "preprocess_dfinet.json").read_text())
SETS = ("NUAA-SIRST", "NUDT-SIRST")


@cache
def whole_set(root: Path, dataset: str) -> Frames:
    return open_frames(dataset, sorted(expected_files(load_card(dataset))), root=root, decoder="pillow-grey")


def one_frame(root: Path, case: str, decoder: Decoder) -> Frames:
    dataset, name = case.split(" ")[0].split("/")
    return open_frames(dataset, [name], root=root, decoder=decoder)


def assert_like(tensor: np.ndarray, fingerprint: dict[str, Any], *, ulp: float) -> None:
    """The tensor has a fingerprint's shape, sum and 16 samples, to `ulp` a value."""
    values = tensor.astype(np.float64).ravel()
    places = np.linspace(0, values.size - 1, 16).round().astype(int)
    assert list(tensor.shape) == fingerprint["shape"]
    assert np.abs(values[places] - fingerprint["samples_at_linspace16"]).max() <= ulp
    assert abs(values.sum() - fingerprint["sum"]) <= ulp * values.size
    assert values.std() == pytest.approx(fingerprint["std"], abs=max(ulp, 1e-12))


@pytest.mark.parametrize("case", BASICIRSTD)
def test_grey_padded_images_equal_basicirstds_test_loader(real_data: Path, case: str) -> None:
    frames, expected = one_frame(real_data, case, "pillow-grey"), BASICIRSTD[case]
    card = load_card(frames.dataset)
    assert card.mean is not None
    assert card.std is not None
    given = Input("pillow-grey", 1, mean=card.mean, std=card.std, multiple=32)
    (batch,) = evaluation_batches(frames, input=given, needs_start=False)
    assert_like(batch.image[0].numpy(), expected["image"], ulp=4.8e-7)  # one step of float32 between 4 and 8
    assert_like(batch.mask[0].numpy(), expected["mask"], ulp=0)
    assert list(batch.size[0]) == expected["size_hw"]


@pytest.mark.parametrize("case", DFINET["IRDATASET_no_transform"])
def test_resized_colour_images_and_soft_masks_equal_dfinets_loader(real_data: Path, case: str) -> None:
    expected = DFINET["IRDATASET_no_transform"][case]
    (batch,) = evaluation_batches(
        one_frame(real_data, case, "opencv-bgr"),
        input=Input("opencv-bgr", 3, size=size_of(case)),
        needs_start=False,
    )
    # to the last digit of the sum: float64 adds up in another order only
    assert_like(batch.image[0].numpy(), expected["image"], ulp=1e-14)
    assert_like(batch.mask[0].numpy(), expected["mask"], ulp=1e-14)
    soft = (batch.mask > 0) & (batch.mask < 1)
    assert int(soft.sum()) == expected["mask_soft_pixels"]


@pytest.mark.parametrize("case", DFINET["otsu_init_mask"])
def test_otsu_starts_equal_opencv_4_11_bit_for_bit(real_data: Path, case: str) -> None:
    expected = DFINET["otsu_init_mask"][case]
    start = one_frame(real_data, case, "opencv-bgr")[0].start(size_of(case))
    assert int(start.sum()) == expected["n_ones"]
    assert zlib.crc32(start.tobytes()) == expected["crc32_uint8"]


def size_of(case: str) -> tuple[int, int]:
    found = re.search(r"\((\d+), (\d+)\)$", case)
    assert found is not None
    return int(found[2]), int(found[1])


def test_nuaa_is_as_published_but_for_the_declared_repair(real_data: Path) -> None:
    report = verify_dataset("NUAA-SIRST", real_data)
    assert report.problems == ()
    assert report.files == 854
    (note,) = report.notes
    assert "masks/Misc_111.png: mask 400x592 over image 220x325, repaired on reading" in note


def test_nudt_is_as_published(real_data: Path) -> None:
    report = verify_dataset("NUDT-SIRST", real_data)
    assert report.findings == ()
    assert report.files == 2654


@pytest.mark.parametrize(("dataset", "targets"), [("NUAA-SIRST", 533), ("NUDT-SIRST", 1863)])
def test_targets_are_as_many_as_the_card_says(real_data: Path, dataset: str, targets: int) -> None:
    frames = whole_set(real_data, dataset)
    counted = sum(cv2.connectedComponents(frame.binary_mask, connectivity=8)[0] - 1 for frame in frames)
    assert counted == targets == load_card(dataset).targets


@pytest.mark.parametrize("dataset", SETS)
def test_measured_constants_are_the_cards(real_data: Path, dataset: str) -> None:
    card = load_card(dataset)
    measured = measure_statistics(whole_set(real_data, dataset))
    assert measured == pytest.approx((card.measured_mean, card.measured_std), abs=5e-6)  # five digits are published
    reproduces = measured == pytest.approx((card.mean, card.std), abs=5e-6)
    assert reproduces == (dataset == "NUDT-SIRST")


def test_the_repaired_target_lies_on_the_bright_spot(real_data: Path) -> None:
    (frame,) = open_frames("NUAA-SIRST", ["Misc_111"], root=real_data, decoder="pillow-grey")
    assert frame.binary_mask.sum() == 36
    assert frame.mask[np.unravel_index(frame.grey.argmax(), frame.size)] == 255


@pytest.mark.parametrize("decoder", ["pillow-grey", "opencv-bgr"])
def test_every_listed_image_opens_without_a_word(
    real_data: Path, decoder: Decoder, capfd: pytest.CaptureFixture[str]
) -> None:
    names = list_names("NUAA-SIRST", "basicirstd", "train")
    assert open_frames("NUAA-SIRST", names, root=real_data, decoder=decoder).names == names
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("dataset", ["NUAA-SIRST", "NUDT-SIRST"])
def test_the_published_images_are_told_to_be_the_published_ones(dataset: str, real_data: Path) -> None:
    frames = open_frames(dataset, list_names(dataset, "basicirstd", "test"), root=real_data, decoder="opencv-bgr")
    assert frames.others == ()
