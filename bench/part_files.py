"""Files written under another name beside their own and renamed when they are whole, and sweeping of what is left.

One rule says which part files nobody writes any more: a writer holds a lock on its part file, which the system frees
when the process ends, however it ends. Locks do not reach other machines in every shared folder, so that a part file
of another machine is left alone for a day.
"""

from __future__ import annotations

import os
import platform
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SUFFIX = ".part"
ABANDONED = 24 * 3600
"""Seconds after its last change before a part file of another machine is taken for that of a killed process."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends well, and vanishes when it does not.

    What killed writers of the same file left is removed. A path that is such a temporary one is written in place.
    """
    if path.suffix == SUFFIX:
        yield path
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path.parent, f".{path.name}.*{SUFFIX}")
    temporary = path.with_name(f".{path.name}.{_here()}{os.getpid()}-{secrets.token_hex(4)}{SUFFIX}")
    with _held(temporary):
        try:
            yield temporary
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def sweep(folder: Path, pattern: str = f"**/.*{SUFFIX}") -> None:
    """Remove the part files below a folder whose writers are gone."""
    for path in list(folder.glob(pattern)):
        with suppress(OSError):
            is_ours = f".{_here()}" in path.name
            if is_ours or time.time() - path.stat().st_mtime > ABANDONED:
                _remove_free(path)


def _here() -> str:
    return f"{platform.node()}-"


def _remove_free(path: Path) -> None:
    """Remove a file that nobody holds; OSError for one that somebody does, or where there are no locks."""
    file = os.open(path, os.O_RDWR)
    try:
        if _lock(file, wait=False):
            path.unlink()
    finally:
        os.close(file)


@contextmanager
def _held(path: Path) -> Iterator[None]:
    """Make a file and hold its lock."""
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _lock(file, wait=True)
            if os.fstat(file).st_nlink:  # 0 when it was swept before it was locked
                yield
                return
        finally:
            os.close(file)


def _lock(file: int, *, wait: bool) -> bool:
    """Take an open file's lock; False where there are no locks, or somebody else holds it and it is not waited for."""
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except (ImportError, OSError):
        return False
    return True
