"""Lock files, which are removed when the work is done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from bench.errors import DataError


@contextmanager
def locked(lock: Path, busy: str) -> Iterator[None]:
    """Hold a lock that one process at a time can hold; the lock of a killed process is free.

    The file is removed while it is still held: a process that had opened it finds, once it is free, that it is no
    longer the file of that name, and takes a new one.

    Raises:
        DataError: with the message `busy`, when another process holds it.
    """
    held = FileLock(lock, timeout=0)
    try:
        held.acquire()
    except Timeout:
        raise DataError(busy) from None
    try:
        yield
    finally:
        with suppress(OSError):  # a system that removes no open file leaves it, empty
            lock.unlink()
        held.release()
