"""Let one process at a time work on a training's folder, so that runs that share a training make it once."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

log = logging.getLogger(__name__)

LOCK_FILE = ".lock"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; wait, and say so, while another process holds it. A killed process holds nothing.

    The lock file is removed while it is still held: a process that opened it before then notices that the name belongs
    to no file any more, and makes a new one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOCK_FILE
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        log.info("%s: another run is working on this training; waiting for it to finish", folder)
        lock.acquire()
    try:
        yield
    finally:
        with suppress(OSError):  # some systems cannot remove an open file; an empty one does no harm
            path.unlink()
        lock.release()
