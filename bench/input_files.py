"""Files that other people or earlier runs wrote: regular files alone, and JSON and TOML that are safe to walk."""

from __future__ import annotations

import json
import stat
import tomllib
from pathlib import Path
from typing import Any

from bench.errors import RecordError

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


def regular_file(path: Path | str, what: str = "") -> Path:
    """The path, if it leads to a regular file: reading a pipe or a device may never end.

    Args:
        what: the role of the file, for the error's message.

    Raises:
        FileNotFoundError: when there is no file, or one of another kind.
    """
    path = Path(path)
    named = f"{what} {path}".lstrip()
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(f"{named}: no such file") from None
    except ValueError as error:  # a NUL in the name
        raise FileNotFoundError(f"{named!r}: no name of a file ({error})") from None
    if not stat.S_ISREG(mode):
        found = next((kind for is_kind, kind in KINDS if is_kind(mode)), "no regular file")
        raise FileNotFoundError(f"{named}: {found}, expected a file")
    return path


def read_utf8(path: Path | str, what: str = "") -> str:
    """The text of a file.

    Raises:
        FileNotFoundError: when there is no regular file.
        RecordError: when it is not UTF-8, or longer than any file that this project reads.
    """
    path = regular_file(path, what)
    if (size := path.stat().st_size) > LONGEST:
        raise RecordError(f"{size} bytes, expected a text file of at most {LONGEST}")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise RecordError(f"not UTF-8 text ({error})") from None


def parse_json(text: str | bytes) -> Any:
    """The content of a JSON text.

    Raises:
        RecordError: when it is not JSON, or is nested too deep.
    """
    try:
        content = json.loads(text)
    except RecursionError:
        raise RecordError(NESTED) from None
    except ValueError as error:  # also of a whole number of thousands of digits
        raise RecordError(str(error)) from None
    _check_content(content)
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


def _check_content(content: Any) -> None:
    """Raise RecordError where plain content is nested too deep, or has a value that no file or array takes."""
    level = [content]
    for _ in range(DEEPEST):
        for value in level:
            if isinstance(value, str) and not value.isascii() and any("\ud800" <= c <= "\udfff" for c in value):
                raise RecordError(f"found {value[:40]!r}, expected text without surrogates")
            if type(value) is int and abs(value) >= LARGEST:
                raise RecordError(f"found a whole number of {value.bit_length()} bits, expected at most 63")
        level = [
            item
            for value in level
            if isinstance(value, dict | list)
            for item in ([*value, *value.values()] if isinstance(value, dict) else value)
        ]
        if not level:
            return
    raise RecordError(NESTED)
