"""Image cache: records made once from a dataset's files and kept in packs, found again by digests of their content."""

from __future__ import annotations

import hashlib
import logging
import time
import warnings
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.arrays import IntArray
from bench.data.cache.array_file import SUFFIX, Array, DamagedPackError, OldPackError, Pack, PackWriter, read_pack
from bench.digest import file_digest
from bench.parallel import ordered_map, usable_processors
from bench.progress import Step

log = logging.getLogger(__name__)

ABANDONED = 24 * 3600
"""Seconds after which an unfinished file is taken for that of a killed process."""


def fingerprint(*files: str, **versions: str) -> str:
    """Twelve hexadecimal digits that change with the source files and versions, so that older records are not found."""
    digest = hashlib.sha256(repr(sorted(versions.items())).encode())
    for file in files:
        digest.update(file_digest(Path(file)).encode())
    return digest.hexdigest()[:12]


@dataclass(frozen=True, eq=False)
class Records:
    """Records of a list of images, in its order, spread over any number of packs.

    Attributes:
        keys: (N,) key of each record.
        packs: the packs that hold them.
        pack: (N,) index of each record's pack.
        table: (N, F, 4) first byte and shape of each of a record's arrays, as in `Pack.table`.
    """

    keys: tuple[bytes, ...]
    packs: tuple[Pack, ...]
    pack: IntArray
    table: IntArray

    @classmethod
    def of(cls, keys: Sequence[bytes], packs: Sequence[Pack]) -> Records:
        """Collect the records of keys that the packs hold."""
        where = {key: (number, row) for number, pack in enumerate(packs) for row, key in enumerate(pack.keys)}
        places = np.array([where[key] for key in keys], np.int64).reshape(-1, 2)
        used, pack = np.unique(places[:, 0], return_inverse=True)
        fields = packs[0].table.shape[1:] if packs else (0, 4)
        table = np.empty((len(keys), *fields), np.int64)
        for number, one in enumerate(used):
            table[pack == number] = packs[one].table[places[pack == number, 1]]
        return cls(tuple(keys), tuple(packs[one] for one in used), pack, table)

    def take(self, rows: Sequence[int] | IntArray) -> Records:
        """Records at the positions `rows`."""
        rows = np.asarray(rows, np.int64)
        return Records(tuple(self.keys[row] for row in rows), self.packs, self.pack[rows], self.table[rows])

    def array(self, row: int, number: int, dtype: Any = np.uint8) -> Array:
        """View of one array (c, h, w) of one record."""
        begin, *shape = self.table[row, number].tolist()
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        found: Array = self.packs[self.pack[row]].flat[begin : begin + size].view(dtype).reshape(shape)
        return found


class ImageCache:
    """Cache of records in the packs of one folder; without a folder records stay in memory."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    def fetch(
        self,
        keys: Sequence[bytes],
        make: Callable[[int], Sequence[Array]],
        *,
        progress: Step | None = None,
    ) -> Records:
        """Records of these keys; those that no pack holds are made and kept for later starts.

        Args:
            make: function from a position to the arrays of its record; called in several threads at once.
            progress: called for every record that is made; those that were found count as done.

        Raises:
            Exception: the error of `make` for the first record, in order, that has one; earlier records are kept.
        """
        packs = self._packs(set(keys))
        found = {key for pack in packs for key in pack.keys}
        # The first position of every key that no pack has: an image under two names is decoded once.
        missing = list({key: row for row, key in reversed(list(enumerate(keys))) if key not in found}.values())[::-1]
        if missing:
            packs.append(self._make(keys, missing, make, progress or (lambda done, total: None)))
        return Records.of(keys, packs)

    def _make(
        self, keys: Sequence[bytes], missing: Sequence[int], make: Callable[[int], Sequence[Array]], tell: Step
    ) -> Pack:
        """Make a pack of the missing records; records made before an error are kept."""
        self._sweep()
        workers = usable_processors()
        writer = PackWriter(self.folder)
        done = len(keys) - len(missing)
        try:
            # Decoders ignore warnings in their threads, each restoring filters that another may have changed meanwhile.
            with warnings.catch_warnings(), ThreadPoolExecutor(workers) as executor:
                warnings.simplefilter("ignore")
                for row, arrays in zip(missing, ordered_map(executor, make, missing, ahead=4 * workers), strict=True):
                    writer.add(keys[row], arrays)
                    done += 1
                    tell(done, len(keys))
        finally:
            pack = writer.finish()
        if writer.refusal is not None:
            reason = writer.refusal.strerror or str(writer.refusal)
            log.warning("%s: %s; decoded into memory, so the next start decodes again", self.folder, reason.lower())
        return pack

    def _packs(self, wanted: Collection[bytes]) -> list[Pack]:
        """Open all packs of the folder, and remove damaged ones: of the wanted records every byte is checked."""
        packs = []
        for path in sorted(self.folder.glob(f"*{SUFFIX}")) if self.folder is not None else ():
            try:
                pack = read_pack(path)
                pack.check(wanted)
                packs.append(pack)
            except OldPackError as error:
                log.info("%s: %s; deleted, it will be written again", path, error)
                _remove(path)
            except DamagedPackError as error:
                log.warning("%s: damaged (%s); deleted, it will be written again", path, error)
                _remove(path)
            except OSError as error:
                log.warning("%s: %s; passed over", path, (error.strerror or str(error)).lower())
        return packs

    def _sweep(self) -> None:
        """Remove unfinished files of killed processes."""
        for path in self.folder.glob("*.tmp") if self.folder is not None else ():
            try:
                if time.time() - path.stat().st_mtime > ABANDONED:
                    path.unlink()
            except OSError as error:
                log.info("%s: %s", path, error)


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        log.warning("%s: %s; delete it by hand", path, (error.strerror or str(error)).lower())
