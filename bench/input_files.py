"""Files that other people or earlier runs wrote: regular files alone, and JSON and TOML that are safe to walk."""

from __future__ import annotations

import json
import stat
import tomllib
from pathlib import Path
from typing import Any

from bench.errors import DataError, RecordError

DEEPEST = 64  # levels of nesting; our own files have fewer than ten
NESTED = f"nested deeper than {DEEPEST} levels"
LONGEST = 2**26  # bytes of a text file; our own have less than a hundredth
LARGEST = 2**63  # whole numbers lie below it, as those of arrays and databases do

KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISCHR, "a device"),
)


def regular_file(path: Path | str, what: str = "", *, expected: str = "") -> Path:
    """The path, if it leads to a regular file: reading a pipe or a device may never end.

    Args:
        what: the role of the file, for the error's message.
        expected: the content it should have, such as `an image`, likewise.

    Raises:
        FileNotFoundError: when there is no file, or one of another kind.
    """
    path = Path(path)
    named = f"{what} {path}".lstrip()
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(f"{named}: no such file{expected and f', expected {expected}'}") from None
    except ValueError as error:  # a NUL in the name
        raise FileNotFoundError(f"{named!r}: no name of a file ({error})") from None
    if not stat.S_ISREG(mode):
        raise FileNotFoundError(f"{named}: {_kind_of(mode)}, expected {expected or 'a file'}")
    return path


def refuse_endless(path: Path, *, expected: str) -> None:
    """Raise DataError if the path leads to a pipe, a socket or a device; whatever else is wrong, reading it tells.

    Args:
        expected: the content it should have, such as `an image`, for the message.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise DataError(f"{path}: {_kind_of(mode)}, expected {expected}")


def _kind_of(mode: int) -> str:
    return next((kind for is_kind, kind in KINDS if is_kind(mode)), "no regular file")


def read_utf8(path: Path | str, what: str = "") -> str:
    """The text of a file, without the byte order mark that some editors put in front.

    Raises:
        FileNotFoundError: when there is no regular file.
        RecordError: when it is not UTF-8, or longer than any file that this project reads.
    """
    path = regular_file(path, what)
    if (size := path.stat().st_size) > LONGEST:
        raise RecordError(f"{size} bytes, expected a text file of at most {LONGEST}")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise RecordError(f"not UTF-8 text ({error})") from None


def parse_json(text: str | bytes) -> Any:
    """The content of a JSON text.

    Raises:
        RecordError: when it is not JSON, or is nested too deep.
    """
    try:
        content = json.loads(text, parse_int=_bounded_number)
    except RecursionError:
        raise RecordError(NESTED) from None
    except RecordError:
        raise
    except ValueError as error:  # also of a whole number of thousands of digits
        raise RecordError(f"not JSON ({error})") from None
    if _may_hold_surrogates(text):
        _check_content(content)
    else:
        _check_depth(content)
    return content


def parse_toml(text: str) -> dict[str, Any]:
    """The content of a TOML text.

    Raises:
        RecordError: when it is not TOML, or is nested too deep.
    """
    try:
        content = tomllib.loads(text)
    except RecursionError:
        raise RecordError(NESTED) from None
    except ValueError as error:
        raise RecordError(str(error)) from None
    _check_content(content)
    return content


def whole_number(text: str) -> int | None:
    """The number that a text of ASCII digits writes; None for anything else, such as `²`, `٣`, `+1` or 20 digits.

    >>> whole_number("12"), whole_number("²"), whole_number("")
    (12, None, None)
    """
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def _bounded_number(text: str) -> int:
    number = int(text)
    _check_number(number)
    return number


def _check_number(number: int) -> None:
    """Raise RecordError where no array takes a number."""
    if abs(number) >= LARGEST:
        raise RecordError(f"found a whole number of {number.bit_length()} bits, expected at most 63")


def _may_hold_surrogates(text: str | bytes) -> bool:
    """True where a JSON text has an escape that may be half a character, or such a half itself; few files have."""
    if isinstance(text, bytes) or "\\ud" in text or "\\uD" in text:
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _check_content(content: Any) -> None:
    """Raise RecordError where plain content is nested too deep, or has a value that no file or array takes."""
    _check_depth(content)
    level = [content]
    for _ in range(DEEPEST):
        for value in level:
            if isinstance(value, str) and not value.isascii() and any("\ud800" <= c <= "\udfff" for c in value):
                raise RecordError(f"found {value[:40]!r}, expected text without surrogates")
            if type(value) is int:
                _check_number(value)
        level = [
            item
            for value in level
            if isinstance(value, dict | list)
            for item in ([*value, *value.values()] if isinstance(value, dict) else value)
        ]


def _check_depth(content: Any) -> None:
    """Raise RecordError where plain content is nested too deep."""
    level = [content]
    for _ in range(DEEPEST):
        level = [
            item
            for value in level
            if isinstance(value, dict | list)
            for item in (value.values() if isinstance(value, dict) else value)
            if isinstance(item, dict | list)
        ]
        if not level:
            return
    raise RecordError(NESTED)
