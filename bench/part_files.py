"""Files written under another name beside their own and renamed when they are whole, and sweeping of what is left.

One rule says which part files nobody writes any more: a writer holds a lock on its part file, which the system frees
when the process ends, however it ends. Locks do not reach other machines in every shared folder, so that a part file
of another machine is left alone for a day.
"""

from __future__ import annotations

import errno
import os
import platform
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bench.errors import BenchError, WriteError

SUFFIX = ".part"
ADVICE = {
    errno.ENOSPC: "make room and run the same command again",
    errno.EDQUOT: "make room and run the same command again",
    errno.EFBIG: "raise the limit of a file's size (ulimit -f)",
}
"""Suggestions by the system's error number; no reading fails with one of these."""
ABANDONED = 24 * 3600
"""Seconds after its last change before a part file of another machine is taken for that of a killed process."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends well, and vanishes when it does not.

    What killed writers of the same file left is removed. A path that is such a temporary one is written in place.

    Raises:
        WriteError: naming the path and the cause, when the system refuses to write.
    """
    if path.suffix == SUFFIX:
        yield path
        return
    temporary = path.with_name(f".{path.name}.{_here()}{os.getpid()}-{secrets.token_hex(4)}{SUFFIX}")
    with writing(path, temporary):
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path.parent, f".{path.name}.*{SUFFIX}")
        with _held(temporary):
            try:
                yield temporary
                temporary.replace(path)
            finally:
                temporary.unlink(missing_ok=True)


@contextmanager
def writing(path: Path, temporary: Path | None = None) -> Iterator[None]:
    """Name `path` and the cause where the system refuses to write it, whatever a library makes of that.

    Raises:
        WriteError: in place of an error that has one of the system's behind it, unless that is about another file.
    """
    try:
        yield
    except BenchError:
        raise
    except Exception as error:
        refusal = _refusal(error)
        if refusal is None or refusal.strerror is None:
            raise
        ours = (None, *map(str, (path, *path.parents, temporary)))
        if refusal.filename not in ours and refusal.errno not in ADVICE:  # of a copy the system names the source
            raise
        advice = ADVICE.get(refusal.errno or 0, "choose a folder that can be written")
        raise WriteError(f"{path}: cannot be written, {refusal.strerror.lower()}; {advice}") from error


def _refusal(error: BaseException | None) -> OSError | None:
    """The system's error behind an error; of a file opened by torch.save, say, a library tells only that it failed."""
    while error is not None and not isinstance(error, OSError):
        error = error.__cause__ or error.__context__
    return error


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
