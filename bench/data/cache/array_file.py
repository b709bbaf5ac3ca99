"""Arrays of many shapes in one file, one after another without padding, read through a memory map.

A file is its arrays' bytes, an index, and a trailer that proves the index. It is written under another name and renamed
when it is whole, so that there is no half of one.
"""

from __future__ import annotations

import hashlib
import io
import os
import secrets
import struct
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError

Array = NDArray[Any]
Ints = NDArray[np.int64]

SUFFIX = ".pack"
_MAGIC = b"DFBPACK1"
_TRAILER = struct.Struct("<QQ32s8s")
_ALIGNMENT = 4
"""Every array begins at a multiple of so many bytes, so that one of 32-bit integers can be read where it lies."""


class DamagedPackError(BenchError, ValueError):
    """A file is no whole pack; the message says why."""


@dataclass(frozen=True, eq=False)
class Pack:
    """Records of arrays, as bytes.

    Attributes:
        flat: (n,) all bytes. Behind the last array come at least as many as the widest row of any array has.
        keys: what each record is of.
        table: (N, F, 4) for each of a record's arrays, its first byte and its shape (c, h, w); a vector has
            c = h = 1, a plane c = 1, and nothing at all w = 0.
        widest: elements of the widest row.
    """

    flat: NDArray[np.uint8]
    keys: tuple[bytes, ...]
    table: Ints
    widest: int


class PackWriter:
    """Takes records and makes a pack of them: a file of `folder`, or bytes in memory where there is no folder.

    When the disk refuses, what was taken goes on in memory, and `refusal` says why.
    """

    def __init__(self, folder: Path | None) -> None:
        self.refusal: OSError | None = None
        self._memory = bytearray()
        self._path: Path | None = None
        self._keys: list[bytes] = []
        self._table: list[list[tuple[int, ...]]] = []
        self._at, self._widest = 0, 0
        if folder is not None:
            try:
                self._open(folder)
            except OSError as error:
                self.refusal = error

    def add(self, key: bytes, arrays: Sequence[Array]) -> None:
        """Take one record."""
        parts, rows, at = [], [], self._at
        for array in arrays:
            data = np.ascontiguousarray(array).tobytes()
            shape = (1,) * (3 - array.ndim) + array.shape
            rows.append((at, *shape))
            self._widest = max(self._widest, shape[-1])
            parts += [data, bytes(-len(data) % _ALIGNMENT)]
            at += len(data) + len(parts[-1])
        self._write(b"".join(parts))
        self._keys.append(key)
        self._table.append(rows)

    def finish(self) -> Pack:
        """The pack of all records taken, in its file where that could be written; no file for none."""
        if not self._keys and self._path is not None:
            self._leave(self._path)
        self._write(bytes(_ALIGNMENT * (self._widest + 1)))
        table = np.array(self._table, np.int64)
        pack = self._close(table) if self._path is not None else None
        return pack or Pack(np.frombuffer(self._memory, np.uint8), tuple(self._keys), table, self._widest)

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

    def _close(self, table: Ints) -> Pack | None:
        """The finished file, read back and renamed; None when the disk refused in the end."""
        index = io.BytesIO()
        keys = np.frombuffer(b"".join(self._keys), np.uint8).reshape(len(self._keys), -1)
        np.savez(index, keys=keys, table=table, widest=np.array(self._widest))
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
        """Go on in memory with what the file has so far."""
        self.refusal = error
        with path.open("rb") as file:
            self._memory += file.read(self._at)
        self._leave(path)

    def _leave(self, path: Path) -> None:
        self._path = None
        self._file.close()
        path.unlink(missing_ok=True)


def unfinished(folder: Path) -> Path:
    """A name in a folder for a file that is being written, which no other process takes."""
    return folder / f"{os.getpid()}-{secrets.token_hex(8)}.tmp"


def read_pack(path: Path) -> Pack:
    """The pack that a file is; its arrays stay on the disk until they are looked at.

    Raises:
        DamagedPackError: when the file is cut short, has grown, or its index is not what was written.
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
            keys, table, widest = arrays["keys"], arrays["table"], int(arrays["widest"])
    except (ValueError, KeyError, zipfile.BadZipFile) as error:
        raise DamagedPackError(f"its index is of another version ({error})") from None
    return Pack(np.asarray(flat), tuple(row.tobytes() for row in keys), table, widest)
