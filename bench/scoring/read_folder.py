"""Anybody's predictions and masks by name, in a folder, an archive or a run's folder, and which go together.

Names are those of the files without extension; frames of sequences keep their folder, as `seq1/0001`. A prediction
finds its mask by name, or else by a name that differs in case, in Unicode form, in the `_pixels0` that official SIRST
masks end in, or in a folder that all predictions or all masks share.
"""

from __future__ import annotations

import hashlib
import unicodedata
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import Protocol

from bench.data.catalogue.file_names import named_files
from bench.digest import file_digest
from bench.errors import DataError
from bench.scoring.read_map import (
    ARRAYS,
    CONTENT_ERRORS,
    PICTURES,
    Map,
    ValueKind,
    first_words,
    load_array,
    map_of,
    read_map,
)
from bench.store.files import RESULT_FILE

STORED = "predictions.npz"
MASK_SUFFIX = "_pixels0"
SHOWN = 3
"""Names that an error shows of many."""


class Maps(Protocol):
    """Maps by name, read one at a time, by several threads if need be."""

    @property
    def place(self) -> Path:
        """The folder or file, for an error's reader."""

    @property
    def names(self) -> tuple[str, ...]:
        """In order."""

    def read(self, name: str) -> Map:
        """One of them; DataError in one line when it is no map."""


@dataclass(frozen=True)
class Folder:
    """The maps of a folder, or of a single file."""

    place: Path
    files: Mapping[str, Path]

    @property
    def names(self) -> tuple[str, ...]:
        """Of the files, without extension, sorted."""
        return tuple(sorted(self.files))

    def read(self, name: str) -> Map:
        """The map in that file."""
        return read_map(self.files[name])


@dataclass(frozen=True, eq=False)
class Archive:
    """The maps of an .npz file with an array an image.

    Attributes:
        uint16: what unsigned 16-bit values stand for: levels in a run's own file.
    """

    place: Path
    archive: zipfile.ZipFile
    members: Mapping[str, str]
    uint16: ValueKind = "16-bit"

    @property
    def names(self) -> tuple[str, ...]:
        """Of the arrays, in the file's order."""
        return tuple(self.members)

    def read(self, name: str) -> Map:
        """The map in that array."""
        where = f"{self.place}: {name}"
        try:
            member = self.archive.getinfo(self.members[name])
            with self.archive.open(member) as stream:
                return map_of(load_array(stream, where, size=member.file_size), where, uint16=self.uint16)
        except DataError:
            raise
        except CONTENT_ERRORS as error:
            raise DataError(f"{where}: damaged or cut short ({first_words(error)}); write it again") from None


@dataclass(frozen=True)
class Suffixed:
    """The maps whose names end in a suffix, by their names without it; the others are left aside."""

    inner: Maps
    suffix: str

    @property
    def place(self) -> Path:
        """That of all maps."""
        return self.inner.place

    @property
    def names(self) -> tuple[str, ...]:
        """Without the suffix, in the order of all maps."""
        ending = [name for name in self.inner.names if name.endswith(self.suffix)]
        return tuple(name.removesuffix(self.suffix) for name in ending)

    def read(self, name: str) -> Map:
        """The map of that name with the suffix."""
        return self.inner.read(name + self.suffix)


@dataclass(frozen=True)
class Renamed:
    """Some of the maps under other names.

    Attributes:
        own: name here to name there.
    """

    inner: Maps
    own: Mapping[str, str]

    @property
    def place(self) -> Path:
        """That of all maps."""
        return self.inner.place

    @property
    def names(self) -> tuple[str, ...]:
        """In the order of the mapping."""
        return tuple(self.own)

    def read(self, name: str) -> Map:
        """The map that is called so here."""
        return self.inner.read(self.own[name])


def with_suffix(maps: Maps, suffix: str, option: str) -> Maps:
    """The maps whose names end in the suffix; all of them if it is empty.

    Raises:
        DataError: naming the option that gave the suffix, when no name ends so.
    """
    if not suffix:
        return maps
    found = Suffixed(maps, suffix)
    if not found.names:
        raise DataError(f"{maps.place}: no name ends in {option} {suffix!r}, found {few(maps.names)}")
    return found


@contextmanager
def open_maps(path: Path) -> Iterator[Maps]:
    """The maps at a path: a folder of files, an .npz file of all, a single file, or a run's folder.

    Raises:
        DataError: in one line, when there is nothing of the kind.
    """
    stored = path / STORED
    if path.is_dir() and (path / RESULT_FILE).is_file():
        if not stored.is_file():
            raise DataError(f"{path}: a run's folder without {STORED}, from which it is scored; run the suite again")
        path, uint16 = stored, "levels"
    elif path.name == STORED and path.with_name(RESULT_FILE).is_file():
        uint16 = "levels"
    else:
        uint16 = "16-bit"
    if path.is_dir():
        yield Folder(path, list_maps(path))
    elif path.suffix.lower() == ".npz" and path.is_file():
        with _open_zip(path) as archive:
            yield Archive(path, archive, _members(path, archive), "levels" if uint16 == "levels" else "16-bit")
    elif path.suffix.lower() in (*PICTURES, *ARRAYS) and path.is_file():
        yield Folder(path, {path.stem: path})
    else:
        found = "a file of another kind" if path.is_file() else "no such file or folder"
        raise DataError(f"{path}: {found}, expected a folder of maps, an .npz file or a run's folder")


@contextmanager
def _open_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise DataError(f"{path}: not a readable .npz file ({first_words(error)}); write it again") from None
    with archive:
        yield archive


def _members(path: Path, archive: zipfile.ZipFile) -> dict[str, str]:
    """Image name to array: people name arrays after files, so that the extension of a picture is taken away.

    So is the folder in front of such files, unless two arrays differ in it alone.
    """
    found: dict[str, str] = {}
    written_names = [member.removesuffix(".npy").lstrip("/") for member in archive.namelist()]
    bare = {PurePosixPath(_plain_name(name, PICTURES)).name for name in written_names}
    for member in archive.namelist():
        if not member.endswith(".npy"):
            raise DataError(f"{path}: holds {member!r}, expected arrays alone, as numpy.savez writes them")
        written = member.removesuffix(".npy").lstrip("/")
        name = _plain_name(written, PICTURES)
        if name != written and len(bare) == len(written_names):
            name = PurePosixPath(name).name
        if name in found:
            raise DataError(f"{path}: {name!r} stands twice, expected one array an image")
        found[name] = member
    if not found:
        raise DataError(f"{path}: no arrays, expected one an image")
    return found


def _plain_name(written: str, suffixes: Sequence[str]) -> str:
    """Name without an extension of those given."""
    path = PurePosixPath(written)
    return path.with_suffix("").as_posix() if path.suffix.lower() in suffixes else written


def maps_digest(maps: Maps) -> str:
    """SHA-256 over the files of a folder in the order of their names, or of an archive."""
    paths = [maps.files[name] for name in maps.names] if isinstance(maps, Folder) else [maps.place]
    digests = [file_digest(path) for path in paths]
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


def list_maps(folder: Path) -> dict[str, Path]:
    """The map files of a folder by name, as `named_files` has it.

    Raises:
        DataError: when it cannot be listed, holds no map, or two files that differ in their extension alone.
    """
    found: dict[str, Path] = {}
    try:
        for name, path in named_files(folder, (*PICTURES, *ARRAYS)):
            if not path.is_dir() and (other := found.setdefault(name, path)) != path:
                raise DataError(f"{path}: {other.name} has the same name, expected one file per image; remove one")
        paths = sorted(path for path in folder.iterdir() if not path.name.startswith(".") and not path.is_dir())
    except OSError as error:
        raise DataError(f"{folder}: {(error.strerror or str(error)).lower()}, expected a folder of maps") from None
    if not found:
        others = f"{len(paths)} other files ({path_names(paths)})" if paths else "no files"
        raise DataError(f"{folder}: {others}, expected maps as {', '.join((*PICTURES, *ARRAYS))}")
    return found


def path_names(paths: Sequence[Path]) -> str:
    """The first names of many."""
    return few([path.name for path in paths])


def few(names: Sequence[str]) -> str:
    """The first of many names, quoted.

    >>> few(["a", "b", "c", "d"])
    "'a', 'b', 'c', …"
    """
    return ", ".join([*map(repr, names[:SHOWN]), *(["…"] if len(names) > SHOWN else [])])


def pair_names(predictions: Maps, masks: Maps, *, names: Sequence[str] | None = None) -> dict[str, str]:
    """Prediction name to mask name, for all or for the listed ones; a single file each is a pair whatever the names.

    Raises:
        DataError: when one lacks the other; surplus is no slip that can be told from a missing file, so it is named.
    """
    if names is None and is_single_file(predictions) and is_single_file(masks):
        return {predictions.names[0]: masks.names[0]}
    if names is not None:
        return _listed(predictions, masks, names)
    found = match_names(predictions.names, masks.names)
    if not found:
        raise DataError(
            f"{predictions.place}: no prediction is called as a mask in {masks.place} is, predictions "
            f"{few(predictions.names)}, masks {few(masks.names)}; give both the same names, "
            "or say how they end by --suffix and --mask-suffix"
        )
    lonely = [name for name in predictions.names if name not in found]
    matched = set(found.values())
    bare = [name for name in masks.names if name not in matched]
    parts = []
    if bare:
        parts.append(f"{len(bare)} of {len(masks.names)} masks have no prediction ({few(bare)})")
    if lonely:
        parts.append(f"{len(lonely)} of {len(predictions.names)} predictions have no mask ({few(lonely)})")
    if parts:
        raise DataError(
            f"{predictions.place} against {masks.place}: {' and '.join(parts)}; "
            "add what is missing, or name the images to score in a file, one a line: --list FILE"
        )
    return found


def is_single_file(maps: Maps) -> bool:
    """True if the maps are one map in one file."""
    return maps.place.is_file() and len(maps.names) == 1


def _listed(predictions: Maps, masks: Maps, names: Sequence[str]) -> dict[str, str]:
    mine, theirs = match_names(names, predictions.names), match_names(names, masks.names)
    for what, known in ((predictions, mine), (masks, theirs)):
        if absent := [name for name in names if name not in known]:
            raise DataError(f"{what.place}: {len(absent)} of {len(names)} listed images are not there ({few(absent)})")
    return {mine[name]: theirs[name] for name in names}


def match_names(names: Iterable[str], others: Iterable[str]) -> dict[str, str]:
    """Each name's counterpart: the same, or else the only one that differs in case, Unicode form or `_pixels0`.

    Failing that, the only one that differs in folders that all names of one side share, or that one of the two lacks.

    >>> match_names(["Misc_1", "b"], ["misc_1_pixels0", "b", "c"])
    {'Misc_1': 'misc_1_pixels0', 'b': 'b'}
    >>> match_names(["out/s1/1", "out/s2/1"], ["s1/1", "s2/1"])
    {'out/s1/1': 's1/1', 'out/s2/1': 's2/1'}
    """
    names, free = list(names), dict.fromkeys(others)
    mine, theirs = _shared_folders(names), _shared_folders(free)
    found = {name: name for name in names if name in free}
    for name in found:
        del free[name]
    for here, there in ((0, 0), (mine, 0), (0, theirs)):
        ours = _folded((name for name in names if name not in found), folders=here)
        rest = _folded(free, folders=there)
        for key, alike in ours.items():
            if len(alike) == 1 and len(rest.get(key, ())) == 1:
                found[alike[0]] = rest[key][0]
                del free[rest[key][0]]
    mine_by_file, theirs_by_file = _by_file(names), _by_file(free)
    for name in [name for name in names if name not in found]:
        file, is_nested = name.rpartition("/")[2], "/" in name
        alike, rivals = theirs_by_file.get((file, not is_nested), []), mine_by_file[file, is_nested]
        if len(alike) == len(rivals) == 1:
            found[name] = alike[0]
    return {name: found[name] for name in names if name in found}


def _by_file(names: Iterable[str]) -> dict[tuple[str, bool], list[str]]:
    """Names by what stands behind their folders, and whether there are any."""
    known: dict[tuple[str, bool], list[str]] = {}
    for name in names:
        known.setdefault((name.rpartition("/")[2], "/" in name), []).append(name)
    return known


def _shared_folders(names: Iterable[str]) -> int:
    """Number of folders that stand in front of all names."""
    levels = zip(*(name.split("/")[:-1] for name in names), strict=False)
    return sum(1 for _ in takewhile(lambda folders: len(set(folders)) == 1, levels))


def _folded(names: Iterable[str], *, folders: int) -> dict[str, list[str]]:
    """Names by their common form, without that many folders in front."""
    folded: dict[str, list[str]] = {}
    for name in names:
        plain = name.split("/", folders)[-1]
        key = unicodedata.normalize("NFC", plain).casefold().removesuffix(MASK_SUFFIX)
        folded.setdefault(key, []).append(name)
    return folded


def listed_names(names: Iterable[str]) -> tuple[str, ...]:
    """The names of a list file without the extensions that some lists have.

    Raises:
        DataError: when two of them are one name.

    >>> listed_names(["a.png", "b", "c.d"])
    ('a', 'b', 'c.d')
    """
    found = tuple(_plain_name(name, (*PICTURES, *ARRAYS)) for name in names)
    if twice := [name for name, count in Counter(found).items() if count > 1]:
        raise DataError(f"list: {few(twice)} stands twice, once with an extension; expected every image once")
    return found
