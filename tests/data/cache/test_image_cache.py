"""The cache of decoded images: nothing is decoded twice, nothing wrong is believed, little is held."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest

from bench.data.cache import array_file, file_digests
from bench.data.cache.array_file import PackWriter, read_pack
from bench.data.images import pairs
from bench.data.images.frames import Frames, open_frames
from bench.errors import DataError

NAMES = ("XDU0", "XDU1", "XDU2")


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The image files that are decoded from now on."""
    seen: list[Path] = []
    real = pairs.decode_image

    def decode(path: Path, decoder: pairs.Decoder) -> object:
        seen.append(path)
        return real(path, decoder)

    monkeypatch.setattr(pairs, "decode_image", decode)
    return seen


def opened(root: Path, names: Sequence[str] = NAMES) -> Frames:
    return open_frames("IRSTD-1k", names, root=root, decoder="pillow-grey")


def levels(frames: Frames) -> list[int]:
    return [int(frame.image[0, 0]) for frame in frames]


def write(root: Path, name: str, level: int, *, size: tuple[int, int] = (20, 30)) -> None:
    cv2.imwrite(str(root / f"IRSTD-1k/images/{name}.png"), np.full(size, level, np.uint8))
    cv2.imwrite(str(root / f"IRSTD-1k/masks/{name}.png"), np.zeros(size, np.uint8))


def packs(cache: Path) -> list[Path]:
    return sorted(cache.rglob("*.pack"))


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are remembered however young they are."""
    monkeypatch.setattr(file_digests, "SETTLED", 0)


def test_a_second_start_decodes_nothing_and_shows_the_same(made: Path, decoded: list[Path]) -> None:
    first = opened(made)
    assert len(decoded) == 3
    second = opened(made)
    assert len(decoded) == 3
    for one, other in zip(first, second, strict=True):
        assert np.array_equal(one.image, other.image)
        assert np.array_equal(one.mask, other.mask)
        assert one.target_pixels.tolist() == other.target_pixels.tolist() == [127, 128, 129, 157, 158, 159]


def test_only_what_is_not_there_yet_is_decoded(made: Path, decoded: list[Path], empty_cache: Path) -> None:
    opened(made, ("XDU1",))
    assert levels(opened(made, ("XDU2", "XDU1", "XDU0"))) == [52, 51, 50]
    assert [path.stem for path in decoded] == ["XDU1", "XDU2", "XDU0"]
    assert len(packs(empty_cache)) == 2
    assert [frame.target_pixels.size for frame in opened(made)] == [6, 6, 6]


@pytest.mark.usefixtures("settled")
def test_a_changed_file_is_decoded_again(made: Path, decoded: list[Path]) -> None:
    opened(made)
    write(made, "XDU1", 90)
    assert levels(opened(made)) == [50, 90, 52]
    assert [path.stem for path in decoded] == ["XDU0", "XDU1", "XDU2", "XDU1"]


@pytest.mark.usefixtures("settled")
def test_a_file_of_another_content_but_the_same_size_and_time_is_decoded_again(made: Path) -> None:
    """Bitmaps of one shape are all of one size, and archives give all files one time."""
    for number, name in enumerate(NAMES):
        (made / f"IRSTD-1k/images/{name}.png").unlink()
        cv2.imwrite(str(made / f"IRSTD-1k/images/{name}.bmp"), np.full((20, 30), 10 + number, np.uint8))
        os.utime(made / f"IRSTD-1k/images/{name}.bmp", (0, 0))
    assert levels(opened(made)) == [10, 11, 12]
    cv2.imwrite(str(made / "IRSTD-1k/images/XDU1.bmp"), np.full((20, 30), 77, np.uint8))
    os.utime(made / "IRSTD-1k/images/XDU1.bmp", (0, 0))
    assert levels(opened(made)) == [10, 77, 12]


def test_a_file_that_was_just_written_is_not_remembered_by_its_times(made: Path, empty_cache: Path) -> None:
    opened(made)
    assert not list(empty_cache.glob("files/*.json"))


@pytest.mark.usefixtures("settled")
def test_an_unchanged_file_is_not_even_read(made: Path, empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened(made)
    (memory,) = empty_cache.glob("files/*.json")
    assert len(json.loads(memory.read_text())) == 6
    monkeypatch.setattr(file_digests, "_digest", lambda name: pytest.fail(f"{name} was read"))
    assert levels(opened(made)) == [50, 51, 52]


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("wrong", [5, "", "0" * 63, "g" * 64, None, ["0" * 64]])
def test_a_memory_of_anything_but_digests_is_not_believed(
    made: Path, empty_cache: Path, wrong: object, caplog: pytest.LogCaptureFixture
) -> None:
    first = opened(made).digest
    (memory,) = empty_cache.glob("files/*.json")
    known = json.loads(memory.read_text())
    memory.write_text(json.dumps({name: dict.fromkeys(found, wrong) for name, found in known.items()}))
    again = opened(made)
    assert (levels(again), again.digest) == ([50, 51, 52], first)
    assert "expected SHA-256 digests of 64 hexadecimal digits; files are read again" in caplog.text
    assert json.loads(memory.read_text()) == known


def test_a_copy_of_the_dataset_elsewhere_is_known_by_its_content(
    made: Path, tmp_path: Path, decoded: list[Path]
) -> None:
    opened(made)
    shutil.copytree(made / "IRSTD-1k", tmp_path / "copy/IRSTD-1k")
    assert levels(opened(tmp_path / "copy")) == [50, 51, 52]
    assert len(decoded) == 3


def test_a_copy_of_other_content_under_the_same_names_is_not_taken_for_it(made: Path, tmp_path: Path) -> None:
    opened(made)
    shutil.copytree(made / "IRSTD-1k", tmp_path / "copy/IRSTD-1k")
    write(tmp_path / "copy", "XDU2", 200)
    assert levels(opened(tmp_path / "copy")) == [50, 51, 200]
    assert levels(opened(made)) == [50, 51, 52]


def test_a_file_that_breaks_after_it_was_decoded_is_named(made: Path) -> None:
    opened(made)
    path = made / "IRSTD-1k/images/XDU1.png"
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DataError, match=r"XDU1\.png: damaged or cut short"):
        opened(made)


def test_what_was_decoded_before_a_broken_file_is_kept(made: Path, decoded: list[Path]) -> None:
    good = (made / "IRSTD-1k/images/XDU2.png").read_bytes()
    (made / "IRSTD-1k/images/XDU2.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"XDU2\.png: empty file"):
        opened(made)
    (made / "IRSTD-1k/images/XDU2.png").write_bytes(good)
    decoded.clear()
    opened(made)
    assert [path.stem for path in decoded] == ["XDU2"]


def test_a_file_that_changes_while_it_is_read_is_named(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = pairs.decode_mask

    def decode(path: Path) -> object:
        found = real(path)
        if path.parts[-2:] == ("masks", "XDU0.png"):
            write(made, "XDU0", 1, size=(40, 40))
        return found

    monkeypatch.setattr(pairs, "decode_mask", decode)
    with pytest.raises(DataError, match=r"XDU0\.png: changed while it was read, expected a file at rest; run again"):
        opened(made)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def grown(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"more")


def of_zeros(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def with_another_index(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)


def with_another_pixel(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[7] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("break_", [cut_short, grown, of_zeros, emptied, with_another_index, with_another_pixel])
def test_a_damaged_pack_is_thrown_away_with_one_line_and_made_anew(
    break_: object, made: Path, empty_cache: Path, decoded: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    opened(made)
    (pack,) = packs(empty_cache)
    whole = pack.read_bytes()
    break_(pack)  # type: ignore[operator]
    with caplog.at_level(logging.WARNING):
        assert levels(opened(made)) == [50, 51, 52]
    (line,) = [record.message for record in caplog.records]
    assert line.startswith(f"{pack}: damaged (")
    assert len(decoded) == 6
    assert [path.read_bytes() for path in packs(empty_cache)] == [whole]


def test_a_pack_of_an_older_version_is_made_anew_and_not_called_damaged(
    made: Path, empty_cache: Path, decoded: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    opened(made)
    (pack,) = packs(empty_cache)
    whole = pack.read_bytes()
    begin, size, _, magic = array_file._TRAILER.unpack(whole[-array_file._TRAILER.size :])
    with np.load(io.BytesIO(whole[begin : begin + size])) as arrays:
        kept = {name: arrays[name] for name in arrays.files if name != "sums"}
    index = io.BytesIO()
    np.savez(index, **kept)
    old = index.getvalue()
    trailer = array_file._TRAILER.pack(begin, len(old), hashlib.sha256(old).digest(), magic)
    pack.write_bytes(whole[:begin] + old + trailer)
    with caplog.at_level(logging.INFO):
        assert levels(opened(made)) == [50, 51, 52]
    (line,) = [record.message for record in caplog.records]
    assert line == f"{pack}: of another version of this project; deleted, it will be written again"
    assert [path.read_bytes() for path in packs(empty_cache)] == [whole]


def test_a_damaged_record_that_is_not_asked_for_costs_nothing(
    made: Path, empty_cache: Path, decoded: list[Path]
) -> None:
    opened(made)
    with_another_pixel(packs(empty_cache)[0])
    assert levels(opened(made, NAMES[1:])) == [51, 52]
    assert len(decoded) == 3


def test_a_cache_folder_that_cannot_be_written_is_one_line_and_memory(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a file").write_text("in the way")
    monkeypatch.setenv("DFINET_BENCH_CACHE", str(tmp_path / "a file"))
    with caplog.at_level(logging.WARNING):
        frames = opened(made)
    (line,) = [record.message for record in caplog.records]
    assert "not a directory; decoded into memory, so the next start decodes again" in line
    assert levels(frames) == [50, 51, 52]
    assert frames[1].target_pixels.tolist() == [127, 128, 129, 157, 158, 159]


def test_a_full_disk_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`/dev/full` takes no byte; here the file does until the third record."""
    writer = PackWriter(tmp_path)
    arrays = [np.full((4, 5), level, np.uint8) for level in range(4)]
    for number, array in enumerate(arrays):
        if number == 2:
            full = Path("/dev/full").open("wb", buffering=0)  # noqa: SIM115
            writer._file.close()
            writer._file = full
        writer.add(bytes([number]), [array])
    pack = writer.finish()
    assert writer.refusal is not None
    assert writer.refusal.strerror == "No space left on device"
    for array, (begin, *_) in zip(arrays, pack.table[:, 0].tolist(), strict=True):
        assert pack.flat[begin : begin + 20].tolist() == array.ravel().tolist()
    assert not list(tmp_path.iterdir())


def test_arrays_lie_one_after_another_without_padding(tmp_path: Path) -> None:
    writer = PackWriter(tmp_path)
    writer.add(b"a", [np.ones((3, 5, 7), np.uint8), np.arange(3, dtype=np.int32)])
    writer.add(b"b", [np.full((2, 2), 9, np.uint8), np.empty(0, np.int32)])
    pack = writer.finish()
    assert pack.table.tolist() == [[[0, 3, 5, 7], [108, 1, 1, 3]], [[120, 1, 2, 2], [124, 1, 1, 0]]]
    (path,) = tmp_path.glob("*.pack")
    again = read_pack(path)
    assert (again.keys, again.table.tolist(), again.widest) == ((b"a", b"b"), pack.table.tolist(), 7)
    assert again.flat[108:120].view(np.int32).tolist() == [0, 1, 2]


def test_several_starts_at_once_are_all_right(made: Path, empty_cache: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from bench.data.images.frames import open_frames;"
        "frames = open_frames('IRSTD-1k', sys.argv[2:], root=Path(sys.argv[1]), decoder='pillow-grey');"
        "print([int(frame.image[0, 0]) for frame in frames])"
    )
    lists = [NAMES, NAMES[::-1], NAMES[1:], NAMES]

    def start(names: Sequence[str]) -> str:
        command = [sys.executable, "-c", code, str(made), *names]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    with ThreadPoolExecutor(4) as executor:
        assert list(executor.map(start, lists)) == ["[50, 51, 52]", "[52, 51, 50]", "[51, 52]", "[50, 51, 52]"]
    assert levels(opened(made)) == [50, 51, 52]
    assert not list(empty_cache.rglob("*.tmp"))


def test_unfinished_files_of_killed_starts_are_removed_after_a_day(made: Path, empty_cache: Path) -> None:
    opened(made, NAMES[:1])
    folder = packs(empty_cache)[0].parent
    for name, hours in (("old.tmp", 25), ("young.tmp", 1)):
        (folder / name).write_bytes(b"half")
        then = (folder / name).stat().st_mtime - 3600 * hours
        os.utime(folder / name, (then, then))
    opened(made)
    assert [path.name for path in folder.glob("*.tmp")] == ["young.tmp"]


def test_the_same_image_under_two_names_is_kept_once(made: Path, empty_cache: Path, decoded: list[Path]) -> None:
    for kind in ("images", "masks"):
        shutil.copy(made / f"IRSTD-1k/{kind}/XDU0.png", made / f"IRSTD-1k/{kind}/XDU9.png")
    frames = opened(made, ("XDU9", "XDU0"))
    assert frames.names == ("XDU9", "XDU0")
    assert len(decoded) == 1


def test_equal_channels_and_grey_levels_are_kept_once(made: Path, empty_cache: Path) -> None:
    colour = np.zeros((20, 30, 3), np.uint8)
    colour[:] = (10, 20, 200)
    cv2.imwrite(str(made / "IRSTD-1k/images/XDU0.png"), colour)
    frames = open_frames("IRSTD-1k", NAMES[:2], root=made, decoder="opencv-bgr")
    assert [frame.image.shape for frame in frames] == [(20, 30, 3)] * 2
    assert frames[1].image[4, 7].tolist() == [200] * 3
    assert frames.records.table[:, 0, 1].tolist() == [3, 1]
    assert frames.records.table[:, 1, 3].tolist() == [30, 0]
    assert frames[0].grey[0, 0] == cv2.imread(str(made / "IRSTD-1k/images/XDU0.png"), cv2.IMREAD_GRAYSCALE)[0, 0]
    assert np.array_equal(frames[1].grey, frames[1].image[..., 0])


def test_otsu_starts_are_made_once(made: Path, empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = opened(made).starts((16, 8))
    monkeypatch.setattr("bench.data.images.frames.otsu_start", lambda grey: pytest.fail("made again"))
    again = opened(made).starts((16, 8))
    assert np.array_equal(first.array(1, 0), again.array(1, 0))
    assert again.array(1, 0).shape == (1, 16, 8)


LARGE = """
import ctypes
import sys
from pathlib import Path
import numpy as np
from bench.data.images.frames import Frames, _record
from bench.data.batches.loader import Feed
from bench.data.images.pairs import Pair
from bench.data.cache.image_cache import ImageCache
from bench.protocols.recipes import RECIPES
from bench.types import Input

def held():
    ctypes.CDLL(None).malloc_trim(0)  # glibc keeps some of what is freed, now more, now less
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon"))

def make(row):
    level = np.full((256, 256), row % 256, np.uint8)
    return _record(Pair(level, level, level))

count = int(sys.argv[1])
input = Input("pillow-grey", 1, mean=0.0, std=255.0)
few = Frames.of("synthetic", ["0"] * 32, ImageCache(None).fetch([b"0"] * 32, make), colour=False)
for batch in Feed(few, input=input, recipe=RECIPES.get("basicirstd"), seed=0, needs_start=False).epoch(0):
    pass
before = held()
keys = [row.to_bytes(32, "big") for row in range(count)]
records = ImageCache(Path(sys.argv[2])).fetch(keys, make)
frames = Frames.of("synthetic", [str(row) for row in range(count)], records, colour=False)
shown = sum(len(b.name) for b in Feed(frames, input=input, recipe=RECIPES.get("basicirstd"), seed=0,
                                      needs_start=False).epoch(0))
seen = sum(int(frame.image[0, 0]) + len(frame.target_pixels) for frame in frames)
print(shown, held() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="the system does not say what a process holds")
def test_a_large_set_is_decoded_shown_and_trained_on_without_being_held(tmp_path: Path) -> None:
    """What is held beside the map is a few MiB of buffers and an index."""
    count = 1344
    command = [sys.executable, "-c", LARGE, str(count), str(tmp_path)]
    found = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    (size,) = [path.stat().st_size / 2**20 for path in tmp_path.glob("*.pack")]
    assert int(found[0]) == count
    assert size > 300
    assert float(found[1]) < size / 8


def test_images_that_are_not_the_published_ones_are_told_at_every_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "NUDT-SIRST"
    for kind in ("images", "masks"):
        (root / kind).mkdir(parents=True)
        for name in ("000001", "000002"):
            cv2.imwrite(str(root / kind / f"{name}.png"), np.full((256, 256), 7 if kind == "images" else 0, np.uint8))
    for _ in range(2):
        caplog.clear()
        frames = open_frames("NUDT-SIRST", ["000001", "000002"], root=tmp_path, decoder="pillow-grey")
        assert frames.others == ("000001", "000002")
        (line,) = [record.getMessage() for record in caplog.records]
        assert "2 of 2 images or their masks do not have the published pixels, the first '000001'" in line


def test_the_digest_of_a_list_follows_contents_and_order_not_places(made: Path, tmp_path: Path) -> None:
    before = opened(made).digest
    shutil.copytree(made, tmp_path / "copy")
    assert opened(tmp_path / "copy").digest == before
    assert opened(made, NAMES[::-1]).digest != before
    write(tmp_path / "copy", "XDU1", 99)
    assert opened(tmp_path / "copy").digest != before
    assert opened(made).others == (), "this card has no digests"
