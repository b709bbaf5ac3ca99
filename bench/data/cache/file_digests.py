"""SHA-256 of files, remembered with size, times and inode, so that an unchanged file is not read again."""

from __future__ import annotations

import json
import logging
import os
import re
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from bench.data.cache.array_file import unfinished
from bench.digest import file_digest
from bench.input_files import parse_json, read_utf8
from bench.parallel import usable_processors

log = logging.getLogger(__name__)

SETTLED = 2_000_000_000
"""Nanoseconds after its last change before a file is remembered.

File systems count time in ticks: a second change within one tick would leave the times as they are.
"""

_SHA256 = re.compile("[0-9a-f]{64}")

Stamp = tuple[int, int, int, int]
"""Size in bytes, times of the last change of content and of inode in ns, and inode number."""


class Content(NamedTuple):
    """Digest and state of a file at one time.

    Attributes:
        path: the file.
        digest: SHA-256 of its bytes; empty where it could not be read, or changed while it was read.
        stamp: its size, times and inode; None where there was no file.
    """

    path: Path
    digest: str
    stamp: Stamp | None

    def has_changed(self) -> bool:
        """Return true if size, times or inode differ from the stamp."""
        return _stamp(str(self.path)) != self.stamp


def contents_of(paths: Sequence[Path], memory: Path | None) -> list[Content]:
    """Digests of files, in order.

    Args:
        memory: file with the digests of earlier calls, which is brought up to date; None remembers nothing.
    """
    names = [str(path) for path in paths]
    stamps = [_stamp(name) for name in names]
    known = _read(memory) if memory is not None else {}
    digests = [known.get(name, {}).get(_text(stamp), "") for name, stamp in zip(names, stamps, strict=True)]
    unknown = [row for row, digest in enumerate(digests) if not digest]
    if unknown:
        with ThreadPoolExecutor(usable_processors()) as executor:
            for row, digest in zip(unknown, executor.map(_digest, [names[row] for row in unknown]), strict=True):
                digests[row] = digest if _stamp(names[row]) == stamps[row] else ""
    settled = [row for row in unknown if digests[row] and _is_settled(stamps[row])]
    if memory is not None and settled:
        _write(memory, known | {names[row]: {_text(stamps[row]): digests[row]} for row in settled})
    return [Content(*one) for one in zip(paths, digests, stamps, strict=True)]


def _is_settled(stamp: Stamp | None) -> bool:
    return stamp is not None and max(stamp[1:3]) < time.time_ns() - SETTLED


def _stamp(name: str) -> Stamp | None:
    try:
        found = os.stat(name)  # noqa: PTH116  (a third of a Path's time, and there may be 80,000)
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino


def _text(stamp: Stamp | None) -> str:
    return "" if stamp is None else " ".join(map(str, stamp))


def _digest(name: str) -> str:
    try:
        return file_digest(Path(name))
    except OSError:
        return ""


def _read(memory: Path) -> dict[str, dict[str, str]]:
    try:
        known = parse_json(read_utf8(memory))
        if all(_is_memory(found) for found in known.values()):
            return dict(known)
        log.warning("%s: expected SHA-256 digests of 64 hexadecimal digits; files are read again", memory)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError, AttributeError) as error:
        log.warning("%s: not readable (%s); files are read again", memory, error)
    return {}


def _is_memory(found: object) -> bool:
    digests = found.values() if isinstance(found, dict) else [None]
    return all(isinstance(digest, str) and _SHA256.fullmatch(digest) for digest in digests)


def _write(memory: Path, known: dict[str, dict[str, str]]) -> None:
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        path = unfinished(memory.parent)
        path.write_text(json.dumps(known), encoding="utf-8")
        path.replace(memory)
    except OSError as error:
        log.info("%s: %s; files are read again at the next start", memory, error)
