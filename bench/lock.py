"""Lock files for one process at a time, on one machine or several that share a folder, removed when the work is done.

Two files together say who works: the system's lock, which a killed process frees at once and a paused one keeps, and
beside it a lease for machines that the system's lock does not reach. It names host, process and its start, and is
refreshed by a thread of its own while it is held. One whose process is gone from this machine is void; one of another
machine is, when it was not refreshed for `LEASE` seconds by the clock of the one who waits.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import filelock
from filelock import FileLock, Timeout

from bench.errors import DataError
from bench.part_files import writing

log = logging.getLogger(__name__)

LEASE = 120.0
"""Seconds without a sign of life; longer than a shared folder's clients keep what they know of a file (NFS: 60 s)."""
HEARTBEAT = 20.0
"""Seconds between two signs of life."""
SUFFIX = ".lease"
POLL = 0.2
"""Seconds between two looks at a lease that another machine holds."""


@contextmanager
def refusing_lock(lock: Path, busy: str) -> Iterator[None]:
    """Hold a lock that one process at a time can hold; the lock of a killed process is free.

    Raises:
        DataError: with the message `busy`, if another process holds it.
    """
    with free_lock(lock) as is_free:
        if not is_free:
            raise DataError(busy)
        yield


@contextmanager
def free_lock(lock: Path) -> Iterator[bool]:
    """Hold a lock as `refusing_lock` does, and provide true; false while another process holds it."""
    held = _Lock(lock)
    if not held.acquire(timeout=0):
        yield False
        return
    with held:
        yield True


@contextmanager
def waiting_lock(lock: Path, busy: str) -> Iterator[None]:
    """Hold a lock as `refusing_lock` does; while another process holds it, log `busy` and wait."""
    held = _Lock(lock)
    if not held.acquire(timeout=0):
        log.info(busy)
        held.acquire(timeout=-1)
    with held:
        yield


class _Lock:
    """The system's lock and the lease, which are taken and freed together."""

    def __init__(self, lock: Path) -> None:
        with writing(lock):
            lock.parent.mkdir(parents=True, exist_ok=True)
        self._path, self._here = lock, FileLock(lock)
        self._everywhere = _lease(lock.with_name(lock.name + SUFFIX))

    def acquire(self, *, timeout: float) -> bool:
        """True when both are held within some seconds, -1 for however long it takes."""
        try:
            with writing(self._path):
                self._here.acquire(timeout=timeout)
                try:
                    if self._everywhere is not None:
                        _clear_zombie(self._everywhere)
                        self._everywhere.acquire(timeout=timeout, poll_interval=POLL)
                except BaseException:
                    self._free_here()
                    raise
        except Timeout:
            return False
        return True

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        try:
            if self._everywhere is not None:
                self._everywhere.release()
        finally:
            self._free_here()

    def _free_here(self) -> None:
        """Remove the file while it is still held.

        A process that had opened it finds that the name belongs to no file any more once the lock is free, and makes a
        new one.
        """
        with suppress(OSError):  # some systems cannot remove an open file; an empty one does no harm
            self._path.unlink()
        self._here.release()


def _lease(path: Path) -> Any:
    """The lease of that name; None where filelock is older than leases, as beside the torch of a lent machine."""
    if not hasattr(filelock, "SoftFileLease"):
        return None
    return filelock.SoftFileLease(path, lease_duration=LEASE, heartbeat_interval=HEARTBEAT, on_compromise=_tell_of_loss)


def _tell_of_loss(loss: Any) -> None:
    """Log that another machine may do the same work: both write the same contents, each file at once."""
    log.warning("%s: lost (%s): another run may do the same work", loss.lock_file, loss.reason)


def _clear_zombie(lease: Any) -> None:
    """Remove the lease of a process of this machine that has ended and that its parent has not asked after yet.

    filelock takes it for one at work, for the system still lists it. Others of this machine are held back by the
    system's lock meanwhile.
    """
    path = Path(lease.lock_file)
    with suppress(OSError, ValueError, LookupError):
        owner = _record(path)
        if owner["host"] == _own_host():
            state = Path(f"/proc/{int(owner['pid'])}/stat").read_text().rpartition(")")[2].split()[0]
            if state == "Z":
                path.unlink()


def _record(path: Path) -> dict[str, str]:
    """The lines `name=value` of a lease."""
    lines = path.read_text(encoding="ascii").splitlines()
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


@functools.cache
def _own_host() -> str:
    """This machine, or container, by the name that filelock writes into leases."""
    with TemporaryDirectory() as folder, filelock.SoftFileLease(Path(folder) / "own") as lease:
        return _record(Path(lease.lock_file))["host"]
