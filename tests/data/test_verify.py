from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from bench.data.cards import Card, FileDigest, Repair, load_card
from bench.data.decode import decode_grey, decode_rgb, find_files, pixel_digest
from bench.data.verify import verify, verify_folder

NAMES = ("XDU0", "XDU1", "XDU2")


def digests_of(folder: Path) -> Mapping[str, FileDigest]:
    digests = {}
    for kind, decode in (("images", decode_rgb), ("masks", decode_grey)):
        for name, path in find_files(folder / kind).items():
            pixels = decode(path)
            digests[f"{kind}/{name}"] = FileDigest((pixels.shape[0], pixels.shape[1]), pixel_digest(pixels))
    return digests


@pytest.fixture
def folder(made: Path) -> Path:
    return made / "IRSTD-1k"


@pytest.fixture
def card(folder: Path) -> Card:
    return dataclasses.replace(load_card("IRSTD-1k"), images=3, digests=digests_of(folder))


def sentences(card: Card, folder: Path) -> list[str]:
    report = verify_folder(card, folder)
    assert not report.ok
    assert report.findings == report.problems + report.notes
    return [problem.replace(f"{folder}/", "") for problem in report.problems]


def test_an_untouched_folder_has_no_findings(card: Card, folder: Path) -> None:
    seen: list[tuple[int, int]] = []
    report = verify_folder(card, folder, lambda *at: seen.append(at))
    assert report.ok
    assert report.findings == ()
    assert report.files == 6
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_a_lossless_copy_in_another_format_is_the_same_dataset(card: Card, folder: Path) -> None:
    path = folder / "images/XDU1.png"
    Image.open(path).convert("RGB").save(path.with_suffix(".bmp"))
    path.unlink()
    assert verify_folder(card, folder).ok


def test_missing_and_extra_files_are_told_apart(card: Card, folder: Path) -> None:
    (folder / "masks/XDU1.png").rename(folder / "masks/ein Bild ü.png")
    assert sentences(card, folder) == [
        "masks/XDU1: missing, the card names it",
        "masks/ein Bild ü.png: extra, the card does not name it",
    ]


def test_one_changed_level_is_found(card: Card, folder: Path) -> None:
    path = folder / "images/XDU2.png"
    pixels = decode_grey(path)
    pixels[19, 29] += 1
    cv2.imwrite(str(path), pixels)
    assert sentences(card, folder) == [
        "images/XDU2.png: digest differs, the pixels are not the published ones; fetch it again"
    ]


def test_another_size_is_found_and_the_pair_with_it(card: Card, folder: Path) -> None:
    cv2.imwrite(str(folder / "masks/XDU0.png"), np.zeros((10, 15), np.uint8))
    assert sentences(card, folder) == [
        "masks/XDU0.png: size differs, 10x15 (height x width), the card says 20x30",
        "masks/XDU0.png: mask 10x15 over image 20x30 (height x width), expected equal sizes; fetch the pair again",
    ]


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-25])


def animate(path: Path) -> None:
    Image.new("L", (30, 20)).save(path, save_all=True, append_images=[Image.new("L", (30, 20), 9)])


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda path: path.write_bytes(b""), "empty file, expected an image"),
        (cut_short, "damaged or cut short"),
        (lambda path: path.write_text("text"), "not an image"),
        (animate, "2 pictures in one file"),
        (lambda path: Image.fromarray(np.full((20, 30), 999, np.uint16)).save(path), "pixels of mode 'I;16'"),
        (lambda path: Image.new("CMYK", (30, 20)).save(path, format="JPEG"), "pixels of mode 'CMYK'"),
    ],
)
@pytest.mark.parametrize("kind", ["images", "masks"])
def test_what_cannot_be_read_is_one_finding(card: Card, folder: Path, kind: str, spoil: object, sentence: str) -> None:
    spoil(folder / kind / "XDU1.png")  # type: ignore[operator]
    (problem,) = sentences(card, folder)
    assert problem.startswith(f"{kind}/XDU1.png: {sentence}")


def test_masks_of_zeros_and_ones_would_be_read_as_empty(card: Card, folder: Path) -> None:
    without = dataclasses.replace(card, digests={}, splits={})
    path = folder / "masks/XDU0.png"
    cv2.imwrite(str(path), decode_grey(path) // 255)
    problems = [p for p in verify_folder(without, folder).problems if "extra" not in p]
    assert problems == [f"{path}: mask values reach only 1, expected 0 and 255; it would be read as empty"]


def test_grey_mask_borders_are_noted_and_no_problem(card: Card, folder: Path) -> None:
    path = folder / "masks/XDU0.png"
    mask = decode_grey(path)
    mask[0, :2] = (100, 200)
    cv2.imwrite(str(path), mask)
    report = verify_folder(dataclasses.replace(card, digests=digests_of(folder)), folder)
    assert report.ok
    assert report.notes == (f"{path}: mask values between 0 and 255 (4 in all), those above 127 count as target",)


def test_a_card_without_digests_says_that_it_proves_no_pixels(folder: Path, made: Path) -> None:
    report = verify("IRSTD-1k", made)
    assert not report.ok
    assert len(report.problems) == 2 * (1001 - 3)
    assert report.notes == (
        "IRSTD-1k: no digests to prove pixels with (none: no copy of the images was at hand when the card was "
        "written); files were only decoded",
    )


def test_lists_that_came_with_the_folder_are_checked(card: Card, folder: Path) -> None:
    (folder / "img_idx").mkdir()
    (folder / "img_idx/train.txt").write_bytes(b"XDU0\r\nXDU7\r\nXDU2")
    (folder / "img_idx/test.txt").write_bytes(b"XDU1\nXDU1\n")
    assert sentences(card, folder) == [
        "img_idx/test.txt: 'XDU1' stands twice, expected every name once",
        "img_idx/train.txt: 'XDU7' is listed, there is no such image",
    ]


def test_the_declared_repair_is_a_note(card: Card, folder: Path) -> None:
    path = folder / "masks/XDU0.png"
    cv2.imwrite(str(path), np.zeros((40, 60), np.uint8))
    repair = Repair("masks/XDU0", "nearest", (40, 60), (20, 30), "it is twice as large")
    repaired = dataclasses.replace(card, digests=digests_of(folder), repairs={"masks/XDU0": repair})
    report = verify_folder(repaired, folder)
    assert report.ok
    assert report.findings == (f"{path}: mask 40x60 over image 20x30, repaired on reading: it is twice as large",)


def test_other_files_are_noted(card: Card, folder: Path) -> None:
    (folder / "images/Thumbs.db").write_bytes(b"x")
    report = verify_folder(card, folder)
    assert report.ok
    assert report.notes == (f"{folder}/images: files that are no images are ignored (1): Thumbs.db",)


def test_a_folder_without_masks_is_named_once_for_itself(card: Card, folder: Path) -> None:
    (folder / "masks").rename(folder / "labels")
    problems = sentences(card, folder)
    assert problems[0] == "masks: no such file or directory, expected a folder of images"
    assert problems[1:] == [f"masks/{name}: missing, the card names it" for name in NAMES]


def test_the_wrong_root_is_one_finding(tmp_path: Path) -> None:
    for root, found in ((tmp_path, f"{tmp_path}/NUDT-SIRST: no such folder"), (None, "no data folder was given")):
        report = verify("NUDT-SIRST", root)
        assert report.problems == (
            f"{found}, expected NUDT-SIRST/images and NUDT-SIRST/masks; "
            "pass the folder that holds NUDT-SIRST with --data DIR or DFINET_BENCH_DATA",
        )


def test_the_synthetic_dataset_is_proven_without_a_folder() -> None:
    report = verify("synthetic", None)
    assert report.ok
    assert report.files == 800
    assert report.notes == ("generated from a seed, no folder is needed",)


def test_an_unknown_dataset_is_no_finding_but_an_error() -> None:
    with pytest.raises(LookupError, match="no dataset is called 'nudt'"):
        verify("nudt", None)
