"""What image files are called: the one form of a name, whatever a list, an archive or a file system made of it."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

SUFFIXES = (".png", ".bmp", ".jpg", ".jpeg", ".tif", ".tiff")

ID_DIGITS = {"NUDT-SIRST": 6}
"""Datasets whose numbered files are called by that many digits, whatever a list says: DFINet's 0001 is 000001."""

PREFIXES = {("SIRST-Aug", "test"): "w"}
"""(dataset, part) whose files are called with that in front, so that they can lie beside the others."""


def composed(name: str) -> str:
    """The name with every accented letter as one character (Unicode NFC), so that two spellings of it are equal."""
    return unicodedata.normalize("NFC", name)


def plain(name: str) -> str:
    """Letters and digits in lower case: by what folders of one dataset are alike.

    >>> plain("SIRST-Aug") == plain("sirst_aug")
    True
    """
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def counted(count: int, noun: str) -> str:
    """The number and what is counted.

    >>> counted(1, "image"), counted(2, "image")
    ('1 image', '2 images')
    """
    return f"{count} {noun}{'' if count == 1 else 's'}"


def stem_of(name: str) -> str:
    """The name without an image's extension, however it is written; other dots stay.

    >>> stem_of("Misc_1.PNG"), stem_of("v1.2")
    ('Misc_1', 'v1.2')
    """
    stem, dot, suffix = name.rpartition(".")
    return stem if dot and f".{suffix.lower()}" in SUFFIXES else name


def published_name(name: str, dataset: str, part: str = "") -> str:
    """The name as the dataset's image files bear it, from a file of the part `part` or from a list.

    >>> published_name("0001", "NUDT-SIRST"), published_name("000001", "SIRST-Aug", "test")
    ('000001', 'w000001')
    """
    digits = ID_DIGITS.get(dataset)
    prefix = PREFIXES.get((dataset, part), "")
    filled = name.zfill(digits) if digits and name.isdecimal() else name
    return composed(filled if filled.startswith(prefix) else prefix + filled)


def published_names(names: Sequence[str], dataset: str) -> tuple[str, ...]:
    """The names as the image files bear them."""
    return tuple(published_name(name, dataset) for name in names)
