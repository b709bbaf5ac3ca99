"""Names of image files: one form for the spellings that lists, archives and file systems use."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Collection, Sequence
from pathlib import Path

SUFFIXES = (".png", ".bmp", ".jpg", ".jpeg", ".tif", ".tiff")

ID_DIGITS = {"NUDT-SIRST": 6}
"""Datasets whose files are numbered with that many digits, even if a list has fewer: DFINet's 0001 is 000001."""

PREFIXES = {("SIRST-Aug", "test"): "w"}
"""(dataset, part) to a prefix of its names, so that its files can lie in one folder with the other parts'."""


def composed(name: str) -> str:
    """Name with every accented letter as one character (Unicode NFC), so that its two spellings are equal."""
    return unicodedata.normalize("NFC", name)


def plain(name: str) -> str:
    """Letters and digits of a name in lower case, which folders of one dataset have in common.

    >>> plain("SIRST-Aug") == plain("sirst_aug")
    True
    """
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def counted(count: int, noun: str) -> str:
    """Number with its noun, in the plural except for 1.

    >>> counted(1, "image"), counted(2, "image")
    ('1 image', '2 images')
    """
    return f"{count} {noun}{'' if count == 1 else 's'}"


def stem_of(name: str) -> str:
    """Name without the extension of an image, in any letter case; other dots stay.

    >>> stem_of("Misc_1.PNG"), stem_of("v1.2")
    ('Misc_1', 'v1.2')
    """
    stem, dot, suffix = name.rpartition(".")
    return stem if dot and f".{suffix.lower()}" in SUFFIXES else name


def named_files(folder: Path, suffixes: Collection[str]) -> list[tuple[str, Path]]:
    """Name and path of every file in a folder with one of these extensions, sorted by name; hidden ones left aside.

    Names have no extension. Where the folder has no such file itself, those of its subfolders are found, with the
    subfolder in front of their names, as frames of sequences are called: `seq1/0001`.

    Raises:
        OSError: when the folder cannot be listed.
    """
    with os.scandir(folder) as entries:
        direct = [Path(one.path) for one in entries if _is_wanted(one.name, suffixes)]
    paths = direct or [path for path in _below(folder) if _is_wanted(path.name, suffixes)]
    named = ((path.relative_to(folder).with_suffix("").as_posix(), path) for path in paths)
    return sorted(named, key=lambda item: (item[0], item[1].name))


def _is_wanted(file: str, suffixes: Collection[str]) -> bool:
    return not file.startswith(".") and os.path.splitext(file)[1].lower() in suffixes  # noqa: PTH122  (there are many)


def _below(folder: Path) -> list[Path]:
    """Files of all subfolders that are not hidden; linked folders are followed once."""
    found: list[Path] = []
    visited: set[str] = set()
    for place, folders, files in os.walk(folder, followlinks=True):
        here = os.path.realpath(place)
        folders[:] = [] if here in visited else [name for name in folders if not name.startswith(".")]
        found += [Path(place) / file for file in files if here not in visited]
        visited.add(here)
    return found


def published_name(name: str, dataset: str, part: str = "") -> str:
    """Name of a dataset's image in its published form, from a file of the part `part` or from a list.

    >>> published_name("0001", "NUDT-SIRST"), published_name("000001", "SIRST-Aug", "test")
    ('000001', 'w000001')
    """
    digits = ID_DIGITS.get(dataset)
    prefix = PREFIXES.get((dataset, part), "")
    filled = name.zfill(digits) if digits and name.isdecimal() else name
    return composed(filled if filled.startswith(prefix) else prefix + filled)


def published_names(names: Sequence[str], dataset: str) -> tuple[str, ...]:
    """Names of a dataset's images in their published form."""
    return tuple(published_name(name, dataset) for name in names)
