"""One process at a time: a lock file that is gone when the work is done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from bench.errors import DataError


@contextmanager
def alone(lock: Path, busy: str) -> Iterator[None]:
    """No other process holds the lock meanwhile; a killed one holds nothing back.

    The file is removed while it is still held: whoever opened it before then finds, once it is free, that it is no
    longer the file of that name, and takes a new one.

    Raises:
        DataError: with `busy`, when another process holds it.
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
