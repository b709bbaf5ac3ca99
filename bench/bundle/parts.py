"""Parts: files of a limited size and number that carry results, states and weights from one machine to another.

`bundle-parts.json` lists them with their SHA-256. A parcel is a zip archive, cut into parts.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import IO, Literal

import numpy as np

from bench.digest import file_digest
from bench.errors import BenchError, StoreError
from bench.part_files import replacing, writing
from bench.records import from_plain, to_plain
from bench.store.files import first_line, read_json, write_json

PARTS_FILE = "bundle-parts.json"
PLANES = ".planes"
"""Ending of a member whose bytes are ordered by `_in_planes`."""
BLOCK = 1 << 22
"""Bytes of a file that are ordered together; a multiple of 4."""
SHOWN = 12  # digits of a SHA-256 in messages

ParcelKind = Literal["results", "state", "weights"]


@dataclass(frozen=True)
class PartFile:
    """A file of a parcel: its name, bytes and SHA-256."""

    file: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Parcel:
    """Files of a folder of results that travel together.

    Attributes:
        epoch: of a state, the last epoch that is finished in it.
    """

    kind: ParcelKind
    name: str
    parts: tuple[PartFile, ...]
    epoch: int = 0


@dataclass(frozen=True)
class PartsList:
    """The parcels of a slice.

    Attributes:
        code: SHA-256 over the code that made them.
        number: how many slices there have been.
        rows, finished: rows of the bundle's suites, and those with a result.
        left_out: what found no room, in words.
    """

    code: str
    number: int
    rows: int
    finished: int
    parcels: tuple[Parcel, ...] = ()
    left_out: tuple[str, ...] = ()
    schema: int = 1


@dataclass(frozen=True)
class Room:
    """The most files that may be written, and the most bytes of each and of all together."""

    files: int
    file_size: int
    total: int

    def holds(self, size: int) -> bool:
        """True if a parcel of so many bytes fits."""
        return size <= self.total and -(-size // self.file_size) <= self.files

    def without(self, size: int) -> Room:
        """The room that is left beside a parcel of so many bytes."""
        return Room(self.files - -(-size // self.file_size), self.file_size, self.total - size)


def read_parts_list(folder: Path) -> PartsList:
    """The list of the parts in a folder.

    Raises:
        StoreError: when there is none, or it is broken.
    """
    path = folder / PARTS_FILE
    if not path.is_file():
        raise StoreError(f"{path}: no such file, expected the parts that a slice of a bundle wrote; copy all of them")
    try:
        found: PartsList = from_plain(PartsList, read_json(path))
    except StoreError:
        raise
    except BenchError as error:
        raise StoreError(f"{path}: {error}; copy it again") from None
    for part in (part for parcel in found.parcels for part in parcel.parts):
        if part.file != PurePosixPath(part.file).name:
            raise StoreError(
                f"{path}: part {part.file!r} lies in another folder, expected a file's name; copy it again"
            )
    return found


def write_parcel(path: Path, files: Mapping[str, Path]) -> Path:
    """Pack files by their names in the folder of results; states and weights so that they take less."""
    with writing(path), zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for name, file in files.items():
            has_floats = file.suffix in (".pt", ".safetensors")
            member = zipfile.ZipInfo(name + PLANES * has_floats, date_time=(1980, 1, 1, 0, 0, 0))
            member.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(member, "w", force_zip64=True) as target, file.open("rb") as source:
                while block := source.read(BLOCK):
                    target.write(_in_planes(block) if has_floats else block)
    return path


def _in_planes(block: bytes) -> bytes:
    """Every fourth byte together: the exponents of float32 numbers, which alone can be compressed, stand side by side.

    >>> _in_planes(b"aAbBcCdDx"), _in_order(_in_planes(b"aAbBcCdDx"))
    (b'acACbdBDx', b'aAbBcCdDx')
    """
    whole = len(block) // 4 * 4
    return np.frombuffer(block[:whole], np.uint8).reshape(-1, 4).T.tobytes() + block[whole:]


def _in_order(block: bytes) -> bytes:
    """The block that `_in_planes` was given."""
    whole = len(block) // 4 * 4
    return np.frombuffer(block[:whole], np.uint8).reshape(4, -1).T.tobytes() + block[whole:]


def cut_parcel(archive: Path, folder: Path, parcel: Parcel, *, file_size: int, stem: str) -> Parcel:
    """The parcel with the parts that its archive is cut into, which are written to a folder as `stem-1` and so on."""
    parts: list[PartFile] = []
    with archive.open("rb") as source:
        while content := source.read(file_size):
            file = f"{stem}-{len(parts) + 1}"
            with replacing(folder / file) as path:
                path.write_bytes(content)
            parts.append(PartFile(file, len(content), hashlib.sha256(content).hexdigest()))
    return Parcel(parcel.kind, parcel.name, tuple(parts), parcel.epoch)


def write_parts_list(folder: Path, found: PartsList) -> None:
    """Write the list in place of an earlier one, and remove the parts of that one."""
    earlier = read_parts_list(folder) if (folder / PARTS_FILE).is_file() else None
    write_json(folder / PARTS_FILE, to_plain(found))
    kept = {part.file for parcel in found.parcels for part in parcel.parts}
    for part in (part for parcel in (earlier.parcels if earlier else ()) for part in parcel.parts):
        if part.file not in kept:
            (folder / part.file).unlink(missing_ok=True)


def check_parts(folder: Path, parcels: Sequence[Parcel]) -> None:
    """Compare parts with their list.

    Raises:
        StoreError: naming the first that is missing or has other bytes.
    """
    for part in (part for parcel in parcels for part in parcel.parts):
        path = folder / part.file
        if not path.is_file():
            raise StoreError(f"{path}: no such file, {PARTS_FILE} names it; copy all of its files")
        if (found := file_digest(path)) != part.sha256:
            raise StoreError(
                f"{path}: SHA-256 is {found[:SHOWN]}…, {PARTS_FILE} says {part.sha256[:SHOWN]}…; copy it again"
            )


@contextmanager
def _joined(folder: Path, parcel: Parcel) -> Iterator[Path]:
    """The parcel's archive, put together of its parts."""
    with TemporaryDirectory(prefix="dfinet-bundle-") as scratch:
        path = Path(scratch) / "parcel.zip"
        with writing(path), path.open("wb") as file:
            for part in parcel.parts:
                file.write((folder / part.file).read_bytes())
        yield path


def unpack_parcel(folder: Path, parcel: Parcel, runs: Path, *, wanted: Callable[[PurePosixPath], bool]) -> None:
    """Write a parcel's files below a folder of results; they replace files of the same name.

    Args:
        wanted: whether the file of that name is to be written.

    Raises:
        StoreError: when it is no such archive, or a file of it would lie elsewhere.
    """
    check_parts(folder, [parcel])
    with _joined(folder, parcel) as joined:
        try:
            with zipfile.ZipFile(joined) as archive:
                for member in archive.infolist():
                    name = PurePosixPath(member.filename)
                    if name.is_absolute() or ".." in name.parts:
                        raise StoreError(f"{folder}: parcel {parcel.name} has a file {str(name)!r} outside of it")
                    if wanted(name):
                        with archive.open(member) as source:
                            path = runs / str(name).removesuffix(PLANES)
                            _write_member(source, path, in_planes=name.suffix == PLANES)
        except BenchError:
            raise
        except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, ValueError) as error:
            raise StoreError(
                f"{folder}: parcel {parcel.name} is not readable ({first_line(error)}); copy it again"
            ) from None


def _write_member(source: IO[bytes], path: Path, *, in_planes: bool) -> None:
    with replacing(path) as part, part.open("wb") as file:
        while block := source.read(BLOCK):
            file.write(_in_order(block) if in_planes else block)


@contextmanager
def results_in(folder: Path) -> Iterator[Path]:
    """The folder of results itself; where it holds parts of a bundle, a temporary one of the results in them.

    Raises:
        StoreError: when a part of the results is missing or damaged.
    """
    if not (folder / PARTS_FILE).is_file():
        yield folder
        return
    with TemporaryDirectory(prefix="dfinet-bundle-") as runs:
        for parcel in read_parts_list(folder).parcels:
            if parcel.kind == "results":
                unpack_parcel(folder, parcel, Path(runs), wanted=lambda name: True)
        yield Path(runs)
