from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from dataset_sources import LAYOUT_FILES, NAMES_AFTER, members_of, picture, tar_of, write_files, zip_of
from filelock import FileLock
from PIL import Image

from bench.data.images.decode import decode_grey, decode_rgb, file_format
from bench.data.importing.importer import Import, ImportRequest, import_dataset, replace_dataset, try_import
from bench.errors import DataError

PAIR = ("images/XDU0.png", "masks/XDU0.png")
LISTED = {"img_idx/train.txt": b"XDU0\r\nXDU1.png", "README.txt": b"how to cite\n", "LICENSE": b"x"}


@pytest.fixture
def request_(tmp_path: Path) -> ImportRequest:
    """IRSTD-1k from a folder of two pairs, a list, a text and a licence."""
    source = write_files(tmp_path / "source", LAYOUT_FILES["images-masks"][1], LISTED)
    return ImportRequest("IRSTD-1k", source, tmp_path / "data")


def hidden(data: Path) -> list[str]:
    """What lies in a data folder besides datasets."""
    return sorted(path.name for path in data.iterdir() if path.name.startswith("."))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(request: ImportRequest, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence) as caught:
        import_dataset(request)
    assert "\n" not in str(caught.value)
    assert not (request.data / request.dataset).exists()
    assert hidden(request.data) == []


def test_a_folder_becomes_the_dataset_and_is_left_as_it_is(request_: ImportRequest) -> None:
    before = contents(request_.source)
    made = import_dataset(request_)
    folder = request_.data / "IRSTD-1k"
    assert made.folder == folder
    after = contents(folder)
    record = json.loads(after.pop("import.json"))
    assert after == {name: picture(name) for name in LAYOUT_FILES["images-masks"][1]} | {
        "img_idx/train.txt": b"XDU0\nXDU1\n"
    }
    assert contents(request_.source) == before
    assert hidden(request_.data) == []
    assert record == {
        "dataset": "IRSTD-1k",
        "origin": str(request_.source),
        "sha256": "",
        "form": "folder",
        "layout": "images-masks",
        "root": ".",
        "images": 2,
        "lists": 1,
        "renamed": 0,
        "left_out": 2,
        "conversions": [],
        "notes": [],
        "problems": len(made.proof.problems),
        "made_by": record["made_by"],
    }


@pytest.mark.parametrize("form", ["folder", "zip", "tar", "tar.gz", "tar.bz2", "tar.xz"])
@pytest.mark.parametrize("layout", LAYOUT_FILES)
def test_every_layout_comes_from_every_form(tmp_path: Path, layout: str, form: str) -> None:
    dataset, names = LAYOUT_FILES[layout]
    members = {f"wrapper/{name}": picture(name) for name in names}
    if form == "folder":
        source = write_files(tmp_path / "source", [], members)
    else:
        source = (zip_of if form == "zip" else tar_of)(tmp_path / f"source.{form}", members)
    made = import_dataset(ImportRequest(dataset, source, tmp_path / "data"))
    assert (made.layout, made.form, made.root) == (layout, form, "wrapper")
    assert made.sha256 == ("" if form == "folder" else hashlib.sha256(source.read_bytes()).hexdigest())
    for kind in ("images", "masks"):
        stems = sorted(path.stem for path in (tmp_path / "data" / dataset / kind).iterdir())
        assert tuple(stems) == NAMES_AFTER[layout]


def test_what_verify_would_say_is_said_about_the_later_place(request_: ImportRequest) -> None:
    proof = import_dataset(request_).proof
    folder = request_.data / "IRSTD-1k"
    assert f"{folder}/images/XDU2: missing, the card names it" in proof.problems
    assert not [finding for finding in proof.findings if ".import-" in finding]


def test_a_trial_leaves_nothing_and_says_the_same(request_: ImportRequest) -> None:
    tried = try_import(request_)
    assert list(request_.data.iterdir()) == []
    assert tried == import_dataset(request_)


def test_a_place_that_is_taken_is_refused_before_anything_is_read(request_: ImportRequest) -> None:
    (request_.data / "IRSTD-1k").mkdir(parents=True)
    with pytest.raises(DataError, match="is there already, expected a free place; pass --replace"):
        import_dataset(replace(request_, source=Path("/nowhere")))


def test_an_older_dataset_is_replaced_and_gone(request_: ImportRequest) -> None:
    old = request_.data / "IRSTD-1k"
    write_files(old, ["images/old.png", "masks/old.png"])
    replace_dataset(request_)
    assert sorted(path.name for path in (old / "images").iterdir()) == ["XDU0.png", "XDU1.png"]
    assert hidden(request_.data) == []


def test_an_older_dataset_stays_when_the_new_one_is_refused(request_: ImportRequest) -> None:
    old = write_files(request_.data / "IRSTD-1k", PAIR)
    before = contents(old)
    (request_.source / "images/XDU0.png").write_bytes(b"")
    with pytest.raises(DataError, match="empty file"):
        replace_dataset(request_)
    assert contents(old) == before
    assert hidden(request_.data) == []


def test_a_link_to_a_dataset_is_replaced_and_what_it_points_to_stays(request_: ImportRequest, tmp_path: Path) -> None:
    elsewhere = write_files(tmp_path / "elsewhere", PAIR)
    request_.data.mkdir()
    (request_.data / "IRSTD-1k").symlink_to(elsewhere)
    replace_dataset(request_)
    assert not (request_.data / "IRSTD-1k").is_symlink()
    assert sorted(contents(elsewhere)) == sorted(PAIR)


def test_a_dataset_can_be_imported_over_itself(request_: ImportRequest) -> None:
    import_dataset(request_)
    again = replace_dataset(replace(request_, source=request_.data / "IRSTD-1k"))
    assert (again.images, again.lists, again.left_out) == (2, 1, 1)


def spoil(path: Path, content: bytes) -> None:
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("images/XDU0.png", b"", r"source: images/XDU0\.png: empty file, expected an image; nothing was imported"),
        ("masks/XDU0.png", picture("masks/a.png")[:-30], r"source: masks/XDU0\.png: damaged or cut short"),
        ("images/XDU1.png", b"text", r"source: images/XDU1\.png: not an image"),
        (
            "img_idx/test.txt",
            b"XDU0\nXDU1\nXDU9\n",
            r"source: img_idx/test\.txt lists 1 image that the source does not hold: XDU9",
        ),
        ("images/XDU0.bmp", picture("a.bmp"), "would be called 'XDU0' as images/XDU0.bmp is"),
        ("images/XDU3.png", picture("a.png"), "1 file without mask: images/XDU3.png"),
    ],
)
def test_what_no_run_could_read_is_refused(request_: ImportRequest, name: str, content: bytes, sentence: str) -> None:
    write_files(request_.source, [], {name: content})
    refused(request_, sentence)


def test_a_pair_of_two_sizes_is_refused(request_: ImportRequest) -> None:
    cv2.imwrite(str(request_.source / "masks/XDU1.png"), np.zeros((5, 5), np.uint8))
    refused(request_, r"source: masks/XDU1\.png: mask 5x5 over image 20x30 .* nothing was imported")


def test_several_unusable_files_are_one_line(request_: ImportRequest) -> None:
    for path in (request_.source / "images").iterdir():
        path.write_bytes(b"")
    refused(request_, r"XDU0\.png: empty file, expected an image \(and 1 more such\); nothing was imported")


def test_a_folder_that_is_not_there_is_refused(request_: ImportRequest) -> None:
    refused(replace(request_, source=Path("/nowhere/set.zip")), "/nowhere/set.zip: no such file or directory")


def test_a_generated_dataset_is_not_imported(request_: ImportRequest) -> None:
    with pytest.raises(DataError, match="synthetic: is generated"):
        import_dataset(replace(request_, dataset="synthetic"))


def test_deep_and_cmyk_files_are_refused_with_what_to_do(request_: ImportRequest) -> None:
    for number in range(4):
        name = f"images/D{number}.png"
        write_files(request_.source, [f"masks/D{number}.png"])
        Image.fromarray(np.full((20, 30), 300, np.uint16)).save(request_.source / name)
    refused(
        request_,
        r"source: images/D0\.png: more than 8 bits a pixel \(4 such files\), expected 8-bit grey or RGB; "
        "pass --convert to make PNG of them; nothing was imported",
    )


def test_a_cmyk_file_is_refused_with_what_to_do(request_: ImportRequest) -> None:
    Image.new("CMYK", (30, 20)).save(request_.source / "images/XDU0.png", format="JPEG")
    refused(request_, r"images/XDU0\.png: CMYK \(1 such file\), expected 8-bit grey or RGB; pass --convert")


def converted(request: ImportRequest) -> Import:
    return import_dataset(replace(request, convert=True))


def test_sixteen_bits_become_eight_by_one_rule_over_all_images(request_: ImportRequest) -> None:
    for name, level in (("XDU0", 1000), ("XDU1", 1510)):
        pixels = np.full((20, 30), level, np.uint16)
        pixels[0, 0] = 1004
        Image.fromarray(pixels).save(request_.source / f"images/{name}.png")
    Image.fromarray(np.full((20, 30), 7, np.uint16) * np.eye(20, 30, dtype=np.uint16)).save(
        request_.source / "masks/XDU0.png"
    )
    made = converted(request_)
    images = [decode_grey(made.folder / f"images/{name}.png") for name in ("XDU0", "XDU1")]
    assert [int(image[1, 1]) for image in images] == [0, 255]
    assert [int(image[0, 0]) for image in images] == [2, 2]
    assert np.unique(decode_grey(made.folder / "masks/XDU0.png")).tolist() == [0, 255]
    assert made.conversions == (
        "2 images of more than 8 bits: level = round((value - 1000) * 255 / 510), one rule for them all",
        "1 mask of more than 8 bits: level = round((value - 0) * 255 / 7), one rule for them all",
    )
    assert json.loads((made.folder / "import.json").read_text())["conversions"] == list(made.conversions)


def test_cmyk_becomes_rgb(request_: ImportRequest) -> None:
    path = request_.source / "images/XDU0.png"
    Image.new("CMYK", (30, 20), (0, 255, 255, 0)).save(path, format="JPEG", quality=100)
    made = converted(request_)
    assert made.conversions == ("1 file from CMYK to RGB",)
    red = decode_rgb(made.folder / "images/XDU0.png")[3, 3]
    assert red[0] > 250
    assert max(red[1:]) < 5


def test_a_damaged_file_is_named_by_its_source_when_formats_are_converted(request_: ImportRequest) -> None:
    (request_.source / "masks/XDU1.png").write_bytes(b"")
    with pytest.raises(
        DataError, match=r"source: masks/XDU1\.png: empty file, expected an image; nothing was imported"
    ):
        converted(request_)


def test_masks_that_would_be_read_as_empty_are_refused(request_: ImportRequest) -> None:
    cv2.imwrite(str(request_.source / "masks/XDU1.png"), 38 * np.eye(20, 30, dtype=np.uint8))
    refused(
        request_,
        r"masks/XDU1\.png: mask values reach only 38, expected 0 and 255; it would be read as empty; "
        "say which values are target: --target-values nonzero, 1,3 or #ff0000; nothing",
    )


@pytest.mark.parametrize("suffix", [".bmp", ".jpg", ".tif"])
def test_other_formats_stay_as_they_are_or_become_png_without_losing_a_level(
    request_: ImportRequest, suffix: str
) -> None:
    path = request_.source / f"images/XDU0{suffix}"
    Image.open(request_.source / "images/XDU0.png").save(path)
    (request_.source / "images/XDU0.png").unlink()
    kept = import_dataset(request_)
    assert (kept.folder / f"images/XDU0{suffix}").read_bytes() == path.read_bytes()
    made = replace_dataset(replace(request_, convert=True))
    assert made.conversions == ("1 file stored again as PNG, pixels unchanged",)
    assert file_format(made.folder / "images/XDU0.png") == "PNG"
    assert not (made.folder / f"images/XDU0{suffix}").exists()
    assert np.array_equal(decode_rgb(made.folder / "images/XDU0.png"), decode_rgb(path))


def test_a_jpeg_called_png_is_stored_as_png(request_: ImportRequest) -> None:
    Image.new("L", (30, 20), 9).save(request_.source / "images/XDU0.png", format="JPEG")
    made = converted(request_)
    assert file_format(made.folder / "images/XDU0.png") == "PNG"


def test_two_imports_of_one_dataset_do_not_meet(request_: ImportRequest) -> None:
    request_.data.mkdir()
    with (
        FileLock(request_.data / ".import-IRSTD-1k.lock"),
        pytest.raises(DataError, match="another import of IRSTD-1k is at work there"),
    ):
        import_dataset(request_)


def test_leftovers_of_a_killed_import_are_removed_by_the_next(request_: ImportRequest) -> None:
    write_files(request_.data / ".import-IRSTD-1k-abc", ["unpacked/0000001.png"])
    write_files(request_.data / ".import-NUAA-SIRST-abc", ["unpacked/0000001.png"])
    import_dataset(request_)
    assert hidden(request_.data) == [".import-NUAA-SIRST-abc"]


def test_a_replacement_that_was_killed_between_its_two_renames_is_undone(request_: ImportRequest) -> None:
    write_files(request_.data / ".replaced-IRSTD-1k", PAIR)
    with pytest.raises(DataError, match="nowhere"):
        replace_dataset(replace(request_, source=Path("/nowhere")))
    assert sorted(contents(request_.data / "IRSTD-1k")) == sorted(PAIR)
    assert hidden(request_.data) == []


KILLED = textwrap.dedent(
    """
    import os, signal, sys
    from pathlib import Path
    from bench.data.importing.importer import ImportRequest, import_dataset

    def step(what, done, total):
        print(what, flush=True)
        if what == sys.argv[3] and done == int(sys.argv[4]):
            os.kill(os.getpid(), signal.SIGKILL)

    import_dataset(ImportRequest("IRSTD-1k", Path(sys.argv[1]), Path(sys.argv[2])), steps=step)
    """
)


@pytest.mark.parametrize(("step", "done"), [("unpack", 1), ("copy", 2), ("check", 1), ("check", 2)])
def test_a_kill_at_any_step_leaves_nothing_that_counts_as_a_dataset(tmp_path: Path, step: str, done: int) -> None:
    source = zip_of(tmp_path / "source.zip", members_of(LAYOUT_FILES["images-masks"][1]))
    data = tmp_path / "data"
    words = [sys.executable, "-c", KILLED, str(source), str(data), step, str(done)]
    killed = subprocess.run(words, capture_output=True, check=False, cwd=Path(__file__).parents[3])
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (data / "IRSTD-1k").exists()
    assert len(hidden(data)) == 3  # the stage, and the lock with its lease that nobody holds any more
    assert import_dataset(ImportRequest("IRSTD-1k", source, data)).images == 2
    assert hidden(data) == []


def test_an_interrupt_leaves_nothing(request_: ImportRequest) -> None:
    def step(what: str, done: int, total: int) -> None:
        if what == "check":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_dataset(request_, steps=step)
    assert hidden(request_.data) == []
    assert not (request_.data / "IRSTD-1k").exists()


def test_every_step_is_told(request_: ImportRequest) -> None:
    seen: list[tuple[str, int, int]] = []
    source = zip_of(request_.source.parent / "set.zip", members_of(LAYOUT_FILES["images-masks"][1]))
    import_dataset(replace(request_, source=source, convert=True), steps=lambda *at: seen.append(at))
    assert [at for at in seen if at[1] == at[2]] == [
        ("unpack", 4, 4),
        ("copy", 4, 4),
        ("convert", 4, 4),
        ("check", 2, 2),
    ]


def test_a_disk_that_is_too_small_is_said_before_anything_is_copied(
    request_: ImportRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 10}))
    refused(request_, r"data: 10 bytes free, expected [0-9,]+ for the copies; make room")


def test_lists_that_would_get_one_name_are_all_kept_and_told(request_: ImportRequest) -> None:
    write_files(request_.source, [], {"train.txt": b"XDU0\n", "train.TXT": b"XDU1\n"})
    made = import_dataset(request_)
    lists = {name: text for name, text in contents(made.folder).items() if name.startswith("img_idx/")}
    assert lists == {
        "img_idx/train.txt": b"XDU0\nXDU1\n",
        "img_idx/train-2.txt": b"XDU1\n",
        "img_idx/train-3.txt": b"XDU0\n",
    }
    assert made.lists == 3
    assert made.notes == (
        "train.TXT: kept as img_idx/train-2.txt, as another list has its name",
        "train.txt: kept as img_idx/train-3.txt, as another list has its name",
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"XDU0\nXDU0\nXDU1\n", "'XDU0' stands twice, expected every name once"),
        (b"XDU0\nXDU0.png\n", "'XDU0' stands twice, expected every name once"),
        ("XDU0\nXDU1\n".encode("utf-16"), "not UTF-8 text, expected a list of image names, one a line"),
        (b"images/XDU0.png\n", "'images/XDU0.png' is a path, expected an image name without folder or extension"),
        (b"XDU0\nXDU8\n", "1 of its 2 lines names images"),
        (b"XDU0\nXDU1\nXDU7\nXDU8\nXDU9", "2 of its 5 lines name images"),
    ],
)
def test_a_text_that_names_images_and_is_not_kept_is_told_with_the_reason(
    request_: ImportRequest, content: bytes, reason: str
) -> None:
    write_files(request_.source, [], {"some.txt": content})
    made = import_dataset(request_)
    assert made.notes == (f"some.txt: not kept as a list, {reason}",)
    assert (made.lists, made.left_out) == (1, 3)
    assert json.loads((made.folder / "import.json").read_text())["notes"] == list(made.notes)


def test_texts_that_name_no_image_are_left_out_without_a_word(request_: ImportRequest) -> None:
    write_files(request_.source, [], {"NOTES.txt": b"see images/ and masks/\nsee images/ and masks/\n\xff\n"})
    assert import_dataset(request_).notes == ()


def test_a_text_that_cannot_be_read_is_named(request_: ImportRequest) -> None:
    (request_.source / "loop.txt").symlink_to("loop.txt")
    with pytest.raises(DataError, match=r"loop\.txt"):
        import_dataset(request_)
