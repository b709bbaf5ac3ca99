"""Lock files for one process at a time, removed when the work is done."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from bench.errors import DataError

log = logging.getLogger(__name__)


@contextmanager
def refusing_lock(lock: Path, busy: str) -> Iterator[None]:
    """Hold a lock that one process at a time can hold; the lock of a killed process is free.

    Raises:
        DataError: with the message `busy`, if another process holds it.
    """
    held = FileLock(lock)
    try:
        held.acquire(timeout=0)
    except Timeout:
        raise DataError(busy) from None
    with _removed_afterwards(held, lock):
        yield


@contextmanager
def free_lock(lock: Path) -> Iterator[bool]:
    """Hold a lock as `refusing_lock` does, and provide true; false while another process holds it."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    held = FileLock(lock)
    try:
        held.acquire(timeout=0)
    except Timeout:
        yield False
        return
    with _removed_afterwards(held, lock):
        yield True


@contextmanager
def waiting_lock(lock: Path, busy: str) -> Iterator[None]:
    """Hold a lock as `refusing_lock` does; while another process holds it, log `busy` and wait."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    held = FileLock(lock)
    try:
        held.acquire(timeout=0)
    except Timeout:
        log.info(busy)
        held.acquire()
    with _removed_afterwards(held, lock):
        yield


@contextmanager
def _removed_afterwards(held: FileLock, lock: Path) -> Iterator[None]:
    """Remove the file while it is still held.

    A process that had opened it finds that the name belongs to no file any more once the lock is free, and makes a new
    one.
    """
    try:
        yield
    finally:
        with suppress(OSError):  # some systems cannot remove an open file; an empty one does no harm
            lock.unlink()
        held.release()
