"""Files of a folder, or of an archive that is unpacked without trust in its content.

A member's name is only a key: on disk members are named by number, so that no name can lead out of the folder. Names
that try to are refused all the same, as are links, devices, encrypted and duplicate members, and archives that unpack
to more than the limits allow.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import shutil
import stat
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from bench.data.catalogue.file_names import SUFFIXES
from bench.digest import file_digest
from bench.errors import DataError
from bench.input_files import refuse_endless
from bench.progress import Step

WANTED = (*SUFFIXES, ".txt", ".xml", ".json")
JUNK = ("__macosx", "thumbs.db", "desktop.ini")
CHUNK = 1 << 20
MEBI = 1 << 20

HEADS = {
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",
    b"\x1f\x8b": "tar.gz",
    b"BZh": "tar.bz2",
    b"\xfd7zXZ\x00": "tar.xz",
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"Rar!\x1a\x07": "rar",
    b"\x28\xb5\x2f\xfd": "zst",
}
"""First bytes of a file to its format."""

OPENERS: Mapping[str, Callable[[IO[bytes]], Any]] = {
    "tar": lambda packed: packed,
    "tar.gz": gzip.open,
    "tar.bz2": bz2.open,
    "tar.xz": lzma.open,
}
DAMAGE = (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, OSError, NotImplementedError)


@dataclass(frozen=True)
class Limits:
    """Limits on the content of an archive.

    Attributes:
        members: number of files and folders.
        bytes: size of all files together.
        ratio: size of all files in multiples of the archive's own, checked beyond `free_ratio` bytes.
        header: bytes of one header, which is read into memory.
    """

    members: int = 500_000
    bytes: int = 64 * 1024 * MEBI
    ratio: int = 200
    free_ratio: int = 64 * MEBI
    header: int = 16 * MEBI


@dataclass(frozen=True)
class Contents:
    """Content of a source.

    Attributes:
        files: path inside the source to the file on disk; of an archive only unpacked images, texts and labels.
        total: number of all files in the source.
        form: `folder`, `zip`, `tar`, `tar.gz`, `tar.bz2` or `tar.xz`.
        sha256: of the archive; empty for a folder.
    """

    files: Mapping[PurePosixPath, Path]
    total: int
    form: str
    sha256: str = ""


def open_source(path: Path, work: Path, *, limits: Limits | None = None, progress: Step | None = None) -> Contents:
    """List the files of a folder where they are, or unpack those of an archive into the empty folder `work`.

    Raises:
        DataError: when `path` does not exist, is no readable folder or archive, or has a member that is refused.
    """
    if path.is_dir():
        files = dict(_walk(path))
        kept = {name: file for name, file in files.items() if not _is_junk(name)}
        for name, file in kept.items():
            if name.suffix.lower() in WANTED:
                refuse_endless(file, expected="a plain file")
        return Contents(kept, len(files), "folder")
    form = archive_form(path)
    if form in ("7z", "rar", "zst"):
        raise DataError(
            f"{path}: a {form} archive, expected a folder, zip or tar; unpack it first and import the folder"
        )
    if not form:
        raise DataError(
            f"{path}: no archive by its first bytes, expected a folder, zip, tar, tar.gz, tar.bz2 or tar.xz"
        )
    intake = _Intake(path, work, limits or Limits(), shutil.disk_usage(work).free)
    with _damage_told(path):
        if form == "zip":
            _unpack_zip(path, intake, progress)
        else:
            _unpack_tar(path, form, intake, progress)
    return Contents(intake.files, intake.total, form, file_digest(path))


def archive_form(path: Path) -> str:
    """Format of an archive by its first bytes; empty for none.

    Raises:
        DataError: when it cannot be read or is empty.
    """
    refuse_endless(path, expected="a folder or an archive")
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except OSError as error:
        raise DataError(f"{path}: {(error.strerror or str(error)).lower()}, expected a folder or an archive") from None
    if not head:
        raise DataError(f"{path}: empty file, expected a folder or an archive")
    if head[257:262] == b"ustar":
        return "tar"
    return next((form for start, form in HEADS.items() if head.startswith(start)), "")


@dataclass
class _Intake:
    """Intake of an archive's members, each under a number; refuses members that break a rule or limit."""

    path: Path
    work: Path
    limits: Limits
    free: int
    files: dict[PurePosixPath, Path] = field(default_factory=dict)
    total: int = 0
    _members: int = 0
    _bytes: int = 0
    _kept: int = 0
    _seen: set[str] = field(default_factory=set)

    def take(self, name: str, size: int) -> Path | None:
        """Path to write a file of that name and size to; None when it is not needed."""
        inside = self.check_name(name)
        self._count(size)
        key = unicodedata.normalize("NFC", inside.as_posix()).casefold()
        if key in self._seen:
            raise self.refusal(name, "is in the archive twice (letter case and accents aside)")
        self._seen.add(key)
        self.total += 1
        if _is_junk(inside) or inside.suffix.lower() not in WANTED:
            return None
        self._kept += size
        if self._kept > self.free:
            raise DataError(f"{self.path}: unpacks to more than the {_size(self.free)} free at {self.work.parent}")
        self.files[inside] = self.work / f"{self.total:07d}{inside.suffix.lower()}"
        return self.files[inside]

    def check_name(self, name: str) -> PurePosixPath:
        """Path of a member; one that leads out of the folder is refused."""
        self._members += 1
        if self._members > self.limits.members:
            raise DataError(f"{self.path}: more than {self.limits.members} members, expected a dataset; not unpacked")
        plain = name.replace("\\", "/")
        inside = PurePosixPath(plain)
        if inside.is_absolute() or plain[1:3] == ":/" or ".." in inside.parts or "\0" in name or not inside.parts:
            raise self.refusal(name, "leads out of the folder")
        return inside

    def refusal(self, name: str, why: str) -> DataError:
        return DataError(f"{self.path}: member {name[:120]!r} {why}, expected plain files; not unpacked")

    def _count(self, size: int) -> None:
        self._bytes += size
        packed = self.path.stat().st_size
        if self._bytes > self.limits.bytes:
            raise DataError(f"{self.path}: unpacks to more than {_size(self.limits.bytes)}; not unpacked")
        if self._bytes > max(self.limits.free_ratio, self.limits.ratio * packed):
            raise DataError(
                f"{self.path}: {_size(packed)} that unpack to more than {self.limits.ratio} times as much, "
                "no dataset of images does; not unpacked"
            )


def _unpack_zip(path: Path, intake: _Intake, progress: Step | None) -> None:
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        wanted = [(member, target) for member in members if (target := _take_zipped(member, intake)) is not None]
        for done, (member, target) in enumerate(wanted, start=1):
            with archive.open(member) as source, target.open("wb") as file:
                shutil.copyfileobj(source, file, CHUNK)
            if progress is not None:
                progress(done, len(wanted))


def _take_zipped(member: zipfile.ZipInfo, intake: _Intake) -> Path | None:
    name = _zipped_name(member)
    kind = stat.S_IFMT(member.external_attr >> 16)
    if member.is_dir():
        intake.check_name(name)
        return None
    if kind not in (0, stat.S_IFREG):
        raise intake.refusal(name, "is a link or a device")
    if member.flag_bits & 1:
        raise intake.refusal(name, "is encrypted")
    return intake.take(name, member.file_size)


def _zipped_name(member: zipfile.ZipInfo) -> str:
    """Name of a member, read as UTF-8 even if the archive does not declare it."""
    if member.flag_bits & 0x800:
        return member.orig_filename
    try:
        return member.orig_filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return member.orig_filename


def _unpack_tar(path: Path, form: str, intake: _Intake, progress: Step | None) -> None:
    size = path.stat().st_size
    with path.open("rb") as packed, OPENERS[form](packed) as plain:
        guarded = cast(IO[bytes], _Guarded(plain, path, intake.limits))
        with tarfile.open(fileobj=guarded, mode="r:") as archive:
            for member in archive:
                _unpack_member(archive, member, intake)
                archive.members.clear()  # type: ignore[attr-defined]  # headers are not kept: there may be many
                if progress is not None:
                    progress(packed.tell(), size)


def _unpack_member(archive: tarfile.TarFile, member: tarfile.TarInfo, intake: _Intake) -> None:
    if member.isdir():
        if member.name not in (".", "./"):
            intake.check_name(member.name)
        return
    if not member.isreg() or member.issparse():
        raise intake.refusal(member.name, "is a link, a device or a sparse file")
    target = intake.take(member.name, member.size)
    source = archive.extractfile(member) if target is not None else None
    if target is None or source is None:
        return
    with source, target.open("wb") as file:
        shutil.copyfileobj(source, file, CHUNK)
    if target.stat().st_size != member.size:
        raise EOFError("the archive ends inside a file")


class _Guarded(io.RawIOBase):
    """Stream that limits the size of one read and of the whole.

    tarfile reads a header's extension into memory at whatever length the archive states, before a member is seen.
    """

    def __init__(self, stream: Any, path: Path, limits: Limits) -> None:
        self._stream, self._path, self._limits = stream, path, limits

    def read(self, size: int = -1) -> bytes:
        if size < 0 or size > self._limits.header:
            raise DataError(f"{self._path}: a header of more than {_size(self._limits.header)}; not unpacked")
        return bytes(self._stream.read(size))

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if offset > 2 * self._limits.bytes:
            raise DataError(f"{self._path}: unpacks to more than {_size(self._limits.bytes)}; not unpacked")
        return int(self._stream.seek(offset, whence))

    def tell(self) -> int:
        return int(self._stream.tell())


@contextmanager
def _damage_told(path: Path) -> Iterator[None]:
    try:
        yield
    except DataError:
        raise
    except NotImplementedError as error:
        raise DataError(f"{path}: {error}; unpack it with another program and import the folder") from None
    except DAMAGE as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise DataError(f"{path}: cannot be unpacked ({error.strerror})") from None
        raise DataError(f"{path}: damaged or cut short ({error}); fetch it again") from None


def _walk(folder: Path) -> Iterator[tuple[PurePosixPath, Path]]:
    """Yield every file below a folder with its path relative to it; links to folders are followed once."""
    visited: set[str] = set()

    def cannot(error: OSError) -> None:
        raise DataError(f"{error.filename}: {(error.strerror or str(error)).lower()}, expected a readable folder")

    for place, folders, files in os.walk(folder, followlinks=True, onerror=cannot):
        here = os.path.realpath(place)
        if here in visited:
            folders.clear()
            continue
        visited.add(here)
        folders.sort()
        for file in sorted(files):
            path = Path(place) / file
            yield PurePosixPath(path.relative_to(folder).as_posix()), path


def _is_junk(inside: PurePosixPath) -> bool:
    """Return true for files that operating systems leave in folders."""
    return any(part.startswith(".") or part.lower() in JUNK for part in inside.parts)


def _size(count: int) -> str:
    return f"{count / MEBI:,.1f} MiB" if count >= MEBI else f"{count:,} bytes"
