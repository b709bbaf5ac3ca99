from __future__ import annotations

import dataclasses
import hashlib
import os
import stat
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

import pytest
from dataset_sources import members_of, picture, tar_of, write_files, zip_of

from bench.data.importing.archives import Contents, Limits, open_source
from bench.errors import DataError

PAIR = ("images/a.png", "masks/a.png")
FORMS = ("zip", "tar", "tar.gz", "tar.bz2", "tar.xz")


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


def pack(path: Path, members: dict[str, bytes]) -> Path:
    return zip_of(path, members) if path.suffix == ".zip" else tar_of(path, members)


def refused(path: Path, work: Path, sentence: str, limits: Limits | None = None) -> None:
    with pytest.raises(DataError, match=sentence) as caught:
        open_source(path, work, limits=limits)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize("form", FORMS)
def test_an_archive_gives_its_images_and_text_files_by_their_names(tmp_path: Path, work: Path, form: str) -> None:
    other = {"README.md": b"x", "__MACOSX/images/._a.png": b"x", "images/.DS_Store": b"x", "img_idx/train.txt": b"a\n"}
    path = pack(tmp_path / f"set.{form}", {**members_of(PAIR), **other})
    contents = open_source(path, work)
    assert {str(name): file.read_bytes() for name, file in contents.files.items()} == {
        "images/a.png": picture("images/a.png"),
        "masks/a.png": picture("masks/a.png"),
        "img_idx/train.txt": b"a\n",
    }
    assert (contents.total, contents.form) == (6, form)
    assert contents.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_an_archive_is_known_by_its_content_and_not_by_its_name(tmp_path: Path, work: Path) -> None:
    path = zip_of(tmp_path / "set.zip", members_of(PAIR)).rename(tmp_path / "NAME.part")
    assert open_source(path, work).form == "zip"


def test_a_folder_gives_its_files_where_they_are(tmp_path: Path, work: Path) -> None:
    folder = write_files(tmp_path / "set", PAIR, {"Thumbs.db": b"x", "images/notes.doc": b"x"})
    contents = open_source(folder, work)
    assert contents.files == {
        PurePosixPath(name): folder / name for name in ("images/a.png", "images/notes.doc", "masks/a.png")
    }
    assert (contents.total, contents.form, contents.sha256) == (4, "folder", "")


def test_links_to_folders_are_followed_once(tmp_path: Path, work: Path) -> None:
    folder = write_files(tmp_path / "elsewhere", ["a.png"])
    (tmp_path / "set").mkdir()
    (tmp_path / "set/images").symlink_to(folder)
    (folder / "around").symlink_to(tmp_path / "set")
    assert list(open_source(tmp_path / "set", work).files) == [PurePosixPath("images/a.png")]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["../a.png", "/a.png", "images/../../a.png", "..\\a.png", "C:\\a.png"])
def test_a_name_that_leads_out_is_refused(tmp_path: Path, work: Path, form: str, name: str) -> None:
    path = pack(tmp_path / f"set.{form}", {"images/b.png": b"x", name: b"escaped"})
    refused(path, work, "leads out of the folder, expected plain files")
    assert not [file for file in tmp_path.rglob("*") if file.is_file() and file.read_bytes() == b"escaped"]


@pytest.mark.parametrize("form", FORMS)
def test_names_that_differ_in_letter_case_alone_are_refused(tmp_path: Path, work: Path, form: str) -> None:
    refused(pack(tmp_path / f"set.{form}", {"images/a.png": b"x", "images/A.png": b"y"}), work, "in the archive twice")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar_are_refused(tmp_path: Path, work: Path, kind: bytes) -> None:
    path = tmp_path / "set.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        member = tarfile.TarInfo("images/a.png")
        member.type, member.linkname = kind, "/etc/passwd"
        archive.addfile(member)
    refused(path, work, "member 'images/a.png' is a link, a device or a sparse file")


def test_links_in_a_zip_are_refused(tmp_path: Path, work: Path) -> None:
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w") as archive:
        member = zipfile.ZipInfo("images/a.png")
        member.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(member, "/etc/passwd")
    refused(path, work, "member 'images/a.png' is a link or a device")


def test_an_encrypted_member_is_refused(tmp_path: Path, work: Path) -> None:
    path = zip_of(tmp_path / "set.zip", {"images/a.png": b"x"})
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    refused(path, work, "is encrypted")


@pytest.mark.parametrize("form", FORMS)
def test_a_bomb_is_refused(tmp_path: Path, work: Path, form: str) -> None:
    path = pack(tmp_path / f"set.{form}", {f"images/{n}.png": bytes(200_000) for n in range(10)})
    refused(path, work, "unpacks to more than 1,000,000 bytes", Limits(bytes=1_000_000))
    refused(path, work, "more than 4 members", Limits(members=4))
    if form != "tar":
        refused(path, work, "unpack to more than 50 times as much", Limits(ratio=50, free_ratio=1000))
    written = sum(file.stat().st_size for file in work.iterdir())
    assert written <= 1_000_000 + 4 * 200_000 + 2_000_000


def test_a_zip_with_a_forged_size_writes_no_more_than_it_says(tmp_path: Path, work: Path) -> None:
    path = zip_of(tmp_path / "set.zip", {"images/a.png": bytes(1_000_000)})
    content = bytearray(path.read_bytes())
    at = content.index(b"PK\x01\x02") + 24
    content[at : at + 4] = (10).to_bytes(4, "little")
    path.write_bytes(content)
    refused(path, work, "damaged or cut short")
    assert sum(file.stat().st_size for file in work.iterdir()) <= 10


def test_a_header_that_would_fill_the_memory_is_refused(tmp_path: Path, work: Path) -> None:
    path = tmp_path / "set.tar.gz"
    with tarfile.open(path, "w:gz", format=tarfile.PAX_FORMAT) as archive:
        member = tarfile.TarInfo("images/a.png")
        member.pax_headers = {"comment": "x" * 300_000}
        archive.addfile(member)
    refused(path, work, "a header of more than 100,000 bytes", Limits(header=100_000))


@pytest.mark.parametrize("form", FORMS)
def test_an_archive_that_is_cut_short_is_one_line(tmp_path: Path, work: Path, form: str) -> None:
    path = pack(tmp_path / f"set.{form}", {f"images/{n}.png": bytes(range(256)) * 40 for n in range(9)})
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2 - 100])
    refused(path, work, "damaged or cut short")


def test_a_changed_byte_in_a_zip_is_found(tmp_path: Path, work: Path) -> None:
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("images/a.png", b"levels")
    path.write_bytes(path.read_bytes().replace(b"levels", b"lovels"))
    refused(path, work, "damaged or cut short .Bad CRC-32")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "empty file"),
        (b"7z\xbc\xaf\x27\x1c...", "a 7z archive, expected a folder, zip or tar; unpack it first"),
        (b"Rar!\x1a\x07\x00...", "a rar archive"),
        (b"<html>", "no archive by its first bytes"),
        (b"\x1f\x8b\x08" + bytes(30), "damaged or cut short"),
    ],
)
def test_what_is_no_archive_is_one_line(tmp_path: Path, work: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "set.zip"
    path.write_bytes(content)
    refused(path, work, sentence)


def test_nothing_at_the_path_is_one_line(tmp_path: Path, work: Path) -> None:
    refused(tmp_path / "none.zip", work, "no such file or directory, expected a folder or an archive")


def test_a_packing_that_python_does_not_know_is_one_line(tmp_path: Path, work: Path) -> None:
    path = zip_of(tmp_path / "set.zip", {"images/a.png": b"x"})
    content = bytearray(path.read_bytes())
    for head, at in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        content[content.index(head) + at] = 9  # Deflate64
    path.write_bytes(content)
    refused(path, work, "unpack it with another program and import the folder")


def test_names_in_utf_8_are_read_where_a_zip_forgot_to_say_so(tmp_path: Path, work: Path) -> None:
    path = zip_of(tmp_path / "set.zip", {"images/ü.png": b"x"})
    content = bytearray(path.read_bytes())
    for head, at in ((b"PK\x03\x04", 7), (b"PK\x01\x02", 9)):
        content[content.index(head) + at] &= ~8
    path.write_bytes(content)
    assert list(open_source(path, work).files) == [PurePosixPath("images/ü.png")]


def test_backslashes_part_folders(tmp_path: Path, work: Path) -> None:
    path = zip_of(tmp_path / "set.zip", {"images\\a.png": b"x"})
    assert list(open_source(path, work).files) == [PurePosixPath("images/a.png")]


def test_more_than_the_disk_has_is_refused_before_anything_is_written(
    tmp_path: Path, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = zip_of(tmp_path / "set.zip", {"images/a.png": bytes(5000)})
    usage = dataclasses.make_dataclass("Usage", ["free"])(4000)
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    refused(path, work, "unpacks to more than the 4,000 bytes free")
    assert not list(work.iterdir())
    assert open_source(zip_of(tmp_path / "set.zip", {"video.mp4": bytes(5000)}), work).files == {}


def test_progress_reaches_the_end(tmp_path: Path, work: Path) -> None:
    seen: list[tuple[int, int]] = []
    path = zip_of(tmp_path / "set.zip", members_of(PAIR))
    open_source(path, work, progress=lambda *at: seen.append(at))
    assert seen == [(1, 2), (2, 2)]


def test_a_tar_in_a_tar_gz_is_no_folder(tmp_path: Path, work: Path) -> None:
    inner = tar_of(tmp_path / "inner.tar", members_of(PAIR)).read_bytes()
    contents: Contents = open_source(tar_of(tmp_path / "outer.tar.gz", {"inner.tar": inner}), work)
    assert (dict(contents.files), contents.total) == ({}, 1)


def test_a_pipe_in_the_place_of_an_archive_is_refused_and_not_waited_for(tmp_path: Path, work: Path) -> None:
    path = tmp_path / "set.zip"
    os.mkfifo(path)
    refused(path, work, "a named pipe, expected a folder or an archive")
