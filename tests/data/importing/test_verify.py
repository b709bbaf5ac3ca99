from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from bench.data.catalogue.cards import Card, FileDigest, Repair, load_card
from bench.data.images.decode import decode_grey, decode_rgb, find_files, pixel_digest
from bench.data.importing.verify import verify_dataset, verify_folder

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
    return dataclasses.replace(load_card("IRSTD-1k"), images=3, splits={}, digests=digests_of(folder))


def sentences(card: Card, folder: Path) -> list[str]:
    report = verify_folder(card, folder)
    assert not report.ok
    assert set(report.broken) <= set(report.problems)
    assert report.findings == report.problems + report.notes
    return [problem.replace(f"{folder}/", "") for problem in report.problems]


def unproven(card: Card) -> Card:
    """The card without digests, lists and sizes."""
    return dataclasses.replace(card, digests={}, splits={}, height=None, width=None)


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
    without = unproven(card)
    path = folder / "masks/XDU0.png"
    cv2.imwrite(str(path), decode_grey(path) // 255)
    assert list(verify_folder(without, folder).problems) == [
        f"{path}: mask values reach only 1, expected 0 and 255; it would be read as empty"
    ]


def test_grey_mask_borders_are_noted_and_no_problem(card: Card, folder: Path) -> None:
    path = folder / "masks/XDU0.png"
    mask = decode_grey(path)
    mask[0, :2] = (100, 200)
    cv2.imwrite(str(path), mask)
    report = verify_folder(dataclasses.replace(card, digests=digests_of(folder)), folder)
    assert report.ok
    assert report.notes == (f"{path}: mask values between 0 and 255 (4 in all), those above 127 count as target",)


def test_a_card_without_digests_says_that_it_proves_no_pixels(folder: Path, made: Path) -> None:
    report = verify_dataset("IRSTD-1k", made)
    assert not report.ok
    missing = [problem for problem in report.problems if problem.endswith("missing, the card names it")]
    assert len(missing) == 2 * (1001 - 3)
    assert [problem for problem in report.problems if problem not in missing] == [
        f"{folder}/images/{name}.png: 20x30 (height x width), the card says 512 x 512" for name in NAMES
    ]
    assert report.notes == (
        "IRSTD-1k: no digests to prove pixels of 1001 images with (none: no copy of the images was at hand when the "
        "card was written); they were only decoded",
    )
    assert report.broken == ()


def test_a_card_of_masks_alone_proves_them_and_says_that_it_proves_no_image(card: Card, folder: Path) -> None:
    masks = {file: digest for file, digest in card.digests.items() if file.startswith("masks/")}
    known = dataclasses.replace(unproven(card), digests=masks)
    note = (
        "IRSTD-1k: no digests to prove pixels of 3 images with (none: no copy of the images was at hand when the card "
        "was written); they were only decoded, masks were compared with 3 digests"
    )
    report = verify_folder(known, folder)
    assert (report.problems, report.notes) == ((), (note,))
    for kind in ("images", "masks"):
        cv2.imwrite(str(folder / kind / "XDU1.png"), np.full((20, 30), 255, np.uint8) * np.eye(20, 30, dtype=np.uint8))
    assert sentences(known, folder) == [
        "masks/XDU1.png: digest differs, the pixels are not the published ones; fetch it again"
    ]


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
    cv2.imwrite(str(path), cv2.resize(decode_grey(path), (60, 40), interpolation=cv2.INTER_NEAREST))
    repair = Repair("masks/XDU0", "nearest", (40, 60), (20, 30), "it is twice as large")
    repaired = dataclasses.replace(card, digests=digests_of(folder), repairs={"masks/XDU0": repair})
    report = verify_folder(repaired, folder)
    assert report.ok
    assert report.findings == (f"{path}: mask 40x60 over image 20x30, repaired on reading: it is twice as large",)


def test_a_repair_that_is_not_needed_is_a_note(card: Card, folder: Path) -> None:
    repair = Repair("masks/XDU0", "nearest", (40, 60), (20, 30), "it is twice as large")
    report = verify_folder(dataclasses.replace(card, repairs={"masks/XDU0": repair}), folder)
    path = folder / "masks/XDU0.png"
    assert report.findings == (f"{path}: its declared repair is not needed, mask and image are 20x30",)


@pytest.mark.parametrize(
    ("counted", "problem", "note"),
    [
        (0, "no target in the mask, the card counts 0 such masks", None),
        (1, None, None),
        (None, None, "no target in the mask; the card does not say how many are"),
    ],
)
def test_an_empty_mask_is_what_the_card_makes_of_it(
    card: Card, folder: Path, counted: int | None, problem: str | None, note: str | None
) -> None:
    path = folder / "masks/XDU1.png"
    cv2.imwrite(str(path), np.zeros((20, 30), np.uint8))
    given = dataclasses.replace(card, digests=digests_of(folder), empty_masks=counted)
    report = verify_folder(given, folder)
    assert report.problems == ((f"{path}: {problem}",) if problem else ())
    assert report.notes == ((f"{path}: {note}",) if note else ())


def test_a_counted_empty_mask_that_is_not_there_is_found(card: Card, folder: Path) -> None:
    assert sentences(dataclasses.replace(card, empty_masks=2), folder) == [
        "IRSTD-1k: every mask has a target, the card counts 2 without"
    ]


def test_a_folder_that_lacks_masks_may_hold_fewer_empty_ones(card: Card, folder: Path) -> None:
    cv2.imwrite(str(folder / "masks/XDU1.png"), np.zeros((20, 30), np.uint8))
    given = dataclasses.replace(card, digests=digests_of(folder), empty_masks=2)
    for kind in ("images", "masks"):
        (folder / kind / "XDU0.png").unlink()
    assert sentences(given, folder) == [f"{kind}/XDU0: missing, the card names it" for kind in ("images", "masks")]


def test_a_mask_that_is_all_target_is_found(card: Card, folder: Path) -> None:
    path = folder / "masks/XDU1.png"
    cv2.imwrite(str(path), np.full((20, 30), 255, np.uint8))
    assert sentences(dataclasses.replace(card, digests=digests_of(folder)), folder) == [
        "masks/XDU1.png: the whole mask is target, expected 0 where there is none; fetch the pair again"
    ]


def test_many_notes_of_a_kind_are_three_and_a_number(card: Card, folder: Path) -> None:
    for number in range(5):
        cv2.imwrite(str(folder / f"images/{number}.png"), np.zeros((20, 30), np.uint8))
        cv2.imwrite(str(folder / f"masks/{number}.png"), np.zeros((20, 30), np.uint8))
    report = verify_folder(dataclasses.replace(unproven(card), images=8), folder)
    told = [note for note in report.notes if "target" in note]
    assert [note.split(":")[0].removeprefix(f"{folder}/") for note in told] == [
        "masks/0.png",
        "masks/1.png",
        "masks/2.png",
        "and 2 more",
    ]


def test_a_jpeg_called_png_is_read_and_noted(card: Card, folder: Path) -> None:
    path = folder / "images/XDU1.png"
    Image.open(path).convert("L").save(path, format="JPEG", quality=100, subsampling=0)
    report = verify_folder(dataclasses.replace(card, digests=digests_of(folder)), folder)
    assert report.findings == (f"{path}: is a JPEG file by its content and is read as one",)


def test_without_names_in_the_card_the_count_and_the_pairs_are_checked(card: Card, folder: Path) -> None:
    (folder / "masks/XDU1.png").rename(folder / "masks/other.png")
    assert sentences(dataclasses.replace(unproven(card), images=4), folder) == [
        "images: 3 images, the card says 4",
        "images/XDU1.png: nothing of that name in masks, expected a pair",
        "masks/other.png: nothing of that name in images, expected a pair",
    ]


def test_two_files_of_one_name_are_one_finding(card: Card, folder: Path) -> None:
    Image.open(folder / "images/XDU1.png").save(folder / "images/XDU1.bmp")
    (problem,) = sentences(card, folder)
    assert problem == "images/XDU1.png: XDU1.bmp has the same name, expected one file per image; remove one"


def test_images_that_stand_in_no_list_of_the_folder_are_noted(card: Card, folder: Path) -> None:
    (folder / "img_idx").mkdir()
    (folder / "img_idx/train.txt").write_text("XDU0.png\nXDU2")
    report = verify_folder(card, folder)
    assert report.findings == (f"{folder}/img_idx: in no list: XDU1 (images: 1)",)


def test_a_mixture_without_a_folder_is_its_parts(made: Path) -> None:
    report = verify_dataset("SIRST3", made)
    assert report.files == 6
    assert report.notes[0] == (f"{made}/SIRST3: no such folder, SIRST3 is read from NUAA-SIRST, NUDT-SIRST, IRSTD-1k")
    assert report.problems[0].startswith(f"{made}/NUAA-SIRST: no such folder")


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
    pass_it = (
        "pass the folder that holds NUDT-SIRST with --data DIR or DFINET_BENCH_DATA, or see dfinet-bench data fetch "
        "NUDT-SIRST"
    )
    assert verify_dataset("NUDT-SIRST", tmp_path).problems == (
        f"{tmp_path}/NUDT-SIRST: no such folder, expected NUDT-SIRST/images and NUDT-SIRST/masks; {pass_it}",
    )
    assert verify_dataset("NUDT-SIRST", None).problems == (f"NUDT-SIRST: no data folder was given; {pass_it}",)


def test_the_synthetic_dataset_is_proven_without_a_folder() -> None:
    report = verify_dataset("synthetic", None)
    assert report.ok
    assert report.files == 800
    assert report.notes == ("generated from a seed, no folder is needed",)


def test_an_unknown_dataset_is_no_finding_but_an_error() -> None:
    with pytest.raises(LookupError, match="no dataset is called 'nudt'"):
        verify_dataset("nudt", None)
