"""Pack files: arrays of many shapes in one file, read through a memory map.

A pack is the bytes of its arrays, each at a multiple of 4; an index, which is an `.npz` of keys, places and shapes; and
a trailer of 56 bytes: place, length and SHA-256 of the index, and a signature. The index comes last because its content
is known only when the last image has been decoded, and decoded images are not held in memory until then.

One file, and not a folder of `data.npy` and `index.npz`, because a file can be renamed over an older one and removed in
one step, so that processes which write or remove the same pack at once never meet a half of it. The trailer finds a
file that was cut short or has grown, as well as any changed byte of the index, at the cost of reading the index alone.
The index holds the CRC-32 of every record, which is compared for those that are about to be used.
"""

from __future__ import annotations

import hashlib
import io
import os
import secrets
import struct
import zipfile
import zlib
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.arrays import IntArray
from bench.errors import BenchError
from bench.parallel import usable_processors

Array = NDArray[Any]

SUFFIX = ".pack"
_MAGIC = b"DFBPACK1"
_TRAILER = struct.Struct("<QQ32s8s")
_ALIGNMENT = 4
"""Multiple of bytes at which every array begins, so that 32-bit integers can be read in place."""


class DamagedPackError(BenchError, ValueError):
    """A file is not a whole pack; the message gives the reason."""


class OldPackError(DamagedPackError):
    """A pack that another version of this project has written."""


@dataclass(frozen=True, eq=False)
class Pack:
    """Records of several arrays each, as bytes and their places.

    Attributes:
        flat: (n,) all bytes. At least as many elements as the widest row has follow the last array, so that a row of
            that width can be read from any place in it.
        keys: key of each record.
        table: (N, F, 4) first byte and shape (c, h, w) of each array of a record; a vector has c = h = 1, a plane
            c = 1, and an empty array w = 0.
        widest: elements of the widest row of all arrays.
        sums: (N, 2) bytes and CRC-32 of each record, which begins where its first array does.
    """

    flat: NDArray[np.uint8]
    keys: tuple[bytes, ...]
    table: IntArray
    widest: int
    sums: IntArray

    def check(self, wanted: Collection[bytes]) -> None:
        """Raise DamagedPackError if the bytes of a wanted record are not those that were written."""
        rows = [row for row, key in enumerate(self.keys) if key in wanted]
        with ThreadPoolExecutor(usable_processors()) as executor:  # zlib lets other threads run meanwhile
            damaged = sum(not whole for whole in executor.map(self._is_whole, rows))
        if damaged:
            raise DamagedPackError(f"{damaged} of {len(rows)} records are not those that were written")

    def _is_whole(self, row: int) -> bool:
        begin, length = int(self.table[row, 0, 0]), int(self.sums[row, 0])
        return zlib.crc32(self.flat[begin : begin + length].data) == int(self.sums[row, 1])


class PackWriter:
    """Writer of a pack: records go to a file in `folder` as they come, or to memory without a folder.

    When the disk refuses a write, the records so far are read back into memory, later ones join them there, and
    `refusal` holds the error: a full disk costs the next start its time, but not this run its images.
    """

    def __init__(self, folder: Path | None) -> None:
        self.refusal: OSError | None = None
        self._memory = bytearray()
        self._path: Path | None = None
        self._keys: list[bytes] = []
        self._table: list[list[tuple[int, ...]]] = []
        self._sums: list[tuple[int, int]] = []
        self._at, self._widest = 0, 0
        if folder is not None:
            try:
                self._open(folder)
            except OSError as error:
                self.refusal = error

    def add(self, key: bytes, arrays: Sequence[Array]) -> None:
        """Write one record."""
        parts, rows, at = [], [], self._at
        for array in arrays:
            data = np.ascontiguousarray(array).tobytes()
            shape = (1,) * (3 - array.ndim) + array.shape
            rows.append((at, *shape))
            self._widest = max(self._widest, shape[-1])
            parts += [data, bytes(-len(data) % _ALIGNMENT)]
            at += len(data) + len(parts[-1])
        record = b"".join(parts)
        self._write(record)
        self._sums.append((len(record), zlib.crc32(record)))
        self._keys.append(key)
        self._table.append(rows)

    def finish(self) -> Pack:
        """Close the pack: its file if that could be written, else memory; without records there is no file."""
        if not self._keys and self._path is not None:
            self._leave(self._path)
        self._write(bytes(_ALIGNMENT * (self._widest + 1)))
        table, sums = np.array(self._table, np.int64), np.array(self._sums, np.int64)
        pack = self._close(table, sums) if self._path is not None else None
        return pack or Pack(np.frombuffer(self._memory, np.uint8), tuple(self._keys), table, self._widest, sums)

    def _open(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        path = unfinished(folder)
        self._path, self._file = path, path.open("xb", buffering=0)

    def _write(self, data: bytes) -> None:
        if self._path is None:
            self._memory += data
        else:
            try:
                left = memoryview(data)
                while left:
                    left = left[self._file.write(left) :]
            except OSError as error:
                self._give_up(self._path, error)
                self._memory += data
        self._at += len(data)

    def _close(self, table: IntArray, sums: IntArray) -> Pack | None:
        """Write the index, read the file back, and rename it; None when the disk refused in the end."""
        index = io.BytesIO()
        keys = np.frombuffer(b"".join(self._keys), np.uint8).reshape(len(self._keys), -1)
        np.savez(index, keys=keys, table=table, widest=np.array(self._widest), sums=sums)
        # The name is the index's digest: processes that made the same records at once write one name; the last wins.
        begin, written = self._at, index.getvalue()
        digest = hashlib.sha256(written).digest()
        self._write(written + _TRAILER.pack(begin, len(written), digest, _MAGIC))
        path = self._path
        if path is None:
            return None
        try:
            self._file.close()
            pack = read_pack(path)
            path.replace(path.with_name(f"{digest.hex()[:20]}{SUFFIX}"))
        except OSError as error:
            self._give_up(path, error)
            return None
        self._path = None
        return pack

    def _give_up(self, path: Path, error: OSError) -> None:
        """Continue in memory with the records that the file holds so far."""
        self.refusal = error
        with path.open("rb") as file:
            self._memory += file.read(self._at)
        self._leave(path)

    def _leave(self, path: Path) -> None:
        self._path = None
        self._file.close()
        path.unlink(missing_ok=True)


def unfinished(folder: Path) -> Path:
    """Path of a file that is being written, of a name that no other process uses."""
    return folder / f"{os.getpid()}-{secrets.token_hex(8)}.tmp"


def read_pack(path: Path) -> Pack:
    """Open a pack file; its arrays stay on disk until they are read.

    Raises:
        DamagedPackError: when the file is cut short, has grown, or its index is not the one that was written.
        OldPackError: when another version of this project wrote it.
        OSError: when it cannot be read.
    """
    length = path.stat().st_size
    if length <= _TRAILER.size:
        raise DamagedPackError(f"{length} bytes")
    flat = np.memmap(path, np.uint8, mode="r")
    begin, size, digest, magic = _TRAILER.unpack(flat[-_TRAILER.size :].tobytes())
    if magic != _MAGIC or begin + size + _TRAILER.size != length:
        raise DamagedPackError("cut short or overwritten")
    index = flat[begin : begin + size].tobytes()
    if hashlib.sha256(index).digest() != digest:
        raise DamagedPackError("its index is not the one that was written")
    try:
        with np.load(io.BytesIO(index), allow_pickle=False) as arrays:
            keys, table, widest, sums = arrays["keys"], arrays["table"], int(arrays["widest"]), arrays["sums"]
    except (ValueError, KeyError, zipfile.BadZipFile):
        raise OldPackError("of another version of this project") from None
    return Pack(np.asarray(flat), tuple(row.tobytes() for row in keys), table, widest, sums)
