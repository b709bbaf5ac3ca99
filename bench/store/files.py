"""Results as files: `runs/<key>/`, trainings and suite manifests, each written whole or not at all.

    runs/<experiment key>/       result.json, counts.npz, curves.npz, distances.npz, predictions.npz, examples.npz,
                                 scorings.json, and rounds.npz where a network gave several rounds
    runs/<experiment key>/scored.json   in place of result.json, while the cost is still to be measured
    runs/trainings/<key>/        checkpoint.safetensors, state.pt, log.jsonl
    runs/suites/<suite>.json     which rows the suite's last run planned, by label and key

The files are the truth; MLflow mirrors them. Nothing here needs torch.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from bench.characters import show_steering
from bench.errors import BenchError, RecordError, StoreError
from bench.input_files import parse_json, read_utf8, regular_file
from bench.part_files import replacing
from bench.records import from_plain, to_plain
from bench.types import SCHEMA_VERSION, Mixed, Row, RunResult

RESULT_FILE, ERROR_LOG = "result.json", "error.log"
SCORED_FILE = "scored.json"
"""A result without its cost, from when it is scored until `result.json` is written."""

NPY_1 = b"\x93NUMPY\x01\x00"
"""The first bytes of an .npy file of version 1.0, as NumPy writes arrays of numbers and short text."""

NO_COST = "scored, but its cost is not measured yet; run the suite again"
"""The reason that a folder with `scored.json` alone has no result."""

Arrays = Mapping[str, NDArray[Any]]


def first_line(error: Exception) -> str:
    """The first line of an error's message, its steering characters as code points; its class if it has none."""
    return show_steering((str(error).strip() or type(error).__name__).splitlines()[0])


def write_text(path: Path, text: str) -> Path:
    """Write `text` to `path`, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def write_json(path: Path, content: Any) -> Path:
    """Write plain JSON types to `path`; NaN and infinity are refused."""
    return write_text(path, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """The JSON content of `path`.

    Raises:
        StoreError: when the file is missing or not JSON.
    """
    try:
        return parse_json(read_utf8(path))
    except FileNotFoundError as error:
        raise StoreError(str(error)) from None
    except RecordError as error:
        raise StoreError(f"{path}: not a JSON file ({error})") from None


def write_arrays(path: Path, arrays: Arrays) -> Path:
    """Write named arrays as a compressed .npz, whole or not at all."""
    with ArrayWriter(path) as writer:
        for name, array in arrays.items():
            writer.add(name, array)
    return path


def load_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The named arrays of an .npz file.

    Raises:
        StoreError: when the file is missing or broken.
    """
    return dict(iterate_arrays(path))


def iterate_arrays(path: Path) -> Iterator[tuple[str, NDArray[Any]]]:
    """Name and array of an .npz file one after the other, holding one at a time."""
    try:
        with zipfile.ZipFile(regular_file(path)) as archive:
            for member in archive.namelist():
                with archive.open(member) as stream:
                    array = _read_array(stream)
                    if stream.read():  # to the end, where the checksum is compared
                        raise ValueError(f"{member} is longer than its array")
                yield member.removesuffix(".npy"), array
    except FileNotFoundError as error:
        raise StoreError(str(error)) from None
    except Exception as error:  # zlib's, zipfile's, NumPy's and the parser's of a header: a damaged file brings any
        raise StoreError(f"{path}: not a readable .npz file ({first_line(error)})") from None


def _read_array(stream: IO[bytes]) -> NDArray[Any]:
    """The array of an .npy member; its header, of which few kinds differ, is parsed once for all files that have it."""
    start = stream.read(len(NPY_1))
    if start != NPY_1:
        whole: NDArray[Any] = np.lib.format.read_array(io.BytesIO(start + stream.read()), allow_pickle=False)
        return whole
    size = stream.read(2)
    shape, is_fortran, kind = _header(size + stream.read(int.from_bytes(size, "little")))
    content = bytearray(stream.read(math.prod(shape) * kind.itemsize))
    if len(content) != math.prod(shape) * kind.itemsize:
        raise ValueError("ends too early")
    return np.frombuffer(content, kind).reshape(shape, order="F" if is_fortran else "C")


@lru_cache(maxsize=4096)
def _header(header: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    shape, is_fortran, kind = np.lib.format.read_array_header_1_0(io.BytesIO(header))
    if kind.hasobject:
        raise ValueError("holds Python objects")
    return shape, is_fortran, kind


class ArrayWriter:
    """Streams named arrays into an .npz file, which appears under its name only when the block ends well."""

    def __init__(self, path: Path) -> None:
        self._path, self._open = path, ExitStack()

    def __enter__(self) -> ArrayWriter:
        temporary = self._open.enter_context(replacing(self._path))
        self._zip = self._open.enter_context(zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1))
        return self

    def add(self, name: str, array: NDArray[Any]) -> None:
        """Append one array."""
        member = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
        member.compress_type = zipfile.ZIP_DEFLATED
        with self._zip.open(member, "w", force_zip64=True) as stream:
            np.lib.format.write_array(stream, np.asanyarray(array), allow_pickle=False)

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self._open.__exit__(kind, error, trace)


def read_log(path: Path) -> list[dict[str, float]]:
    """The epochs in a training's `log.jsonl`, each with its number, its loss and what else was written of it.

    Raises:
        StoreError: when the file is missing or a line of it is broken.
    """
    try:
        lines = read_utf8(path).splitlines()
    except FileNotFoundError as error:
        raise StoreError(str(error)) from None
    except RecordError as error:
        raise StoreError(f"{path}: {error}; train again") from None
    return [_epoch(path, number, line) for number, line in enumerate(lines, start=1)]


def _epoch(path: Path, number: int, line: str) -> dict[str, float]:
    try:
        record = from_plain(Mapping[str, float], parse_json(line))
        if {"epoch", "loss"} <= set(record) and record["epoch"].is_integer():
            return dict(record)
    except RecordError:
        pass
    raise StoreError(f"{path}: line {number}: expected an object of numbers with epoch and loss; train again")


def write_result(folder: Path, result: RunResult) -> Path:
    """Write `result.json`."""
    return write_json(folder / RESULT_FILE, to_plain(result))


def write_without_cost(folder: Path, result: RunResult) -> Path:
    """Write `scored.json`: a result whose cost is still to be measured."""
    return write_json(folder / SCORED_FILE, to_plain(result))


def read_result(folder: Path) -> RunResult:
    """The result in a run's folder.

    Raises:
        StoreError: when it is missing, broken or of another schema.
    """
    path = folder / RESULT_FILE
    if not path.is_file() and (folder / SCORED_FILE).is_file():
        raise StoreError(f"{path}: no such file ({NO_COST})")
    return _read_record(path)


def read_without_cost(folder: Path) -> RunResult:
    """The result in a run's folder whose cost is still to be measured.

    Raises:
        StoreError: when it is missing, broken or of another schema.
    """
    return _read_record(folder / SCORED_FILE)


def _read_record(path: Path) -> RunResult:
    content = read_json(path)
    found = content.get("schema") if isinstance(content, dict) else None
    if found != SCHEMA_VERSION:
        raise StoreError(f"{path}: schema {found!r}, expected {SCHEMA_VERSION}; run the suite again")
    try:
        result: RunResult = from_plain(RunResult, content)
    except BenchError as error:
        raise StoreError(f"{path}: {error}") from None
    return result


@dataclass(frozen=True)
class Manifest:
    """Which rows a suite's last run planned: what a report looks for, so that nothing goes missing unseen.

    Attributes:
        columns: metric ids of the tables' columns; empty for the default ones.
        mixed: what a report does with a table that would mix rules on one dataset.
        unreached: by the row's key, why it has no result: a run ended before it, or only finished ones were collected.
    """

    suite: str
    title: str
    rows: tuple[Row, ...]
    limited: bool = False
    unreached: Mapping[str, str] = field(default_factory=dict)
    columns: tuple[str, ...] = ()
    mixed: Mixed = "refuse"
    schema: int = SCHEMA_VERSION


def manifest_path(root: Path, suite: str) -> Path:
    """The path of a suite's manifest below `root`."""
    return root / "suites" / f"{suite}.json"


def write_manifest(root: Path, manifest: Manifest) -> Path:
    """Write a suite's manifest."""
    return write_json(manifest_path(root, manifest.suite), to_plain(manifest))


def read_manifest(root: Path, suite: str) -> Manifest:
    """The manifest of a suite's last run below `root`.

    Raises:
        StoreError: when the suite has not been run there.
    """
    path = manifest_path(root, suite)
    if not path.is_file():
        found = ", ".join(sorted(p.stem for p in path.parent.glob("*.json"))) or "none"
        raise StoreError(f"{path}: no such file; run the suite with `dfinet-bench run {suite}` (found there: {found})")
    content = read_json(path)
    try:
        manifest: Manifest = from_plain(Manifest, content)
    except BenchError as error:
        raise StoreError(f"{path}: {error}") from None
    return manifest
