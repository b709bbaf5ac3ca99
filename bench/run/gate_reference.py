"""References of the gate: what a suite's rows gave when they were stored, as one JSON file, and why it was changed.

A row keeps the counts of every image, so that a later run is compared with it image by image; the digests of what it
was measured on; its cost; and its plain form, which the network's time is measured against.
"""

from __future__ import annotations

import base64
import io
import json
import logging
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from bench.characters import refuse_steering
from bench.errors import BenchError, RequestError
from bench.input_files import parse_json, read_utf8
from bench.metrics.counting.counts import ROUND_FIELDS, CountTable
from bench.records import from_plain, to_plain
from bench.store.files import first_line, write_text
from bench.types import Score, Scoring

log = logging.getLogger(__name__)

REFERENCE_SCHEMA = 2

DEFAULT_MARGINS: Mapping[str, float] = MappingProxyType(
    {"IoU/pooled": 0.005, "nIoU/per-image": 0.005, "Pd/centroid-3px": 0.01, "Fa/unmatched-area": 5e-6}
)
"""How much worse a score of given weights may be: more than another processor's rounding, less than a real loss."""

SLOWER = 0.15
"""Share by which the ratio to the plain form may grow: more than it differs between machines, half of what matters."""


@dataclass(frozen=True)
class Expected:
    """A stored value and the margin by which a measured one may be worse, in the metric's unit."""

    value: float
    margin: float

    def __post_init__(self) -> None:
        if not math.isfinite(self.value):
            raise RequestError(f"value is {self.value}, expected a number")
        if not (math.isfinite(self.margin) and self.margin >= 0):
            raise RequestError(f"margin is {self.margin}, expected 0 or a positive number")


@dataclass(frozen=True)
class GateCost:
    """Numbers that a network costs on any machine: parameters, and multiply-accumulates of one round at a size."""

    parameters: int
    macs: int | None
    size: tuple[int, int]


@dataclass(frozen=True)
class StoredTime:
    """Time of a network's round as a ratio to its plain form, both in one process in turns.

    Attributes:
        margin: share by which the ratio may grow.
        device: kind of device, `cpu` or `cuda`; on another the times are not compared.
        plain: the plain form, packed.
    """

    ratio: float
    margin: float
    device: str
    plain: str

    def __post_init__(self) -> None:
        if not (math.isfinite(self.ratio) and self.ratio > 0):
            raise RequestError(f"ratio is {self.ratio}, expected a positive number")
        if not 0 <= self.margin < 1:
            raise RequestError(f"margin is {self.margin}, expected a share below 1: twice the time would pass")


@dataclass(frozen=True)
class StoredRow:
    """One row of a reference.

    Attributes:
        metrics: expected value by metric id.
        scoring: the rules that its counts were made under.
        dataset_digest, images_digest: of the dataset's card and of the image files; empty if unknown.
        weights: SHA-256 of given weights; empty for trained ones.
        counts: of every image, packed; empty where there are none, and scores are compared by their margin alone.
        cost, time: None where nothing was measured, as of a classical detector.
    """

    metrics: Mapping[str, Expected]
    scoring: Scoring | None = None
    dataset_digest: str = ""
    images_digest: str = ""
    weights: str = ""
    counts: str = ""
    cost: GateCost | None = None
    time: StoredTime | None = None


@dataclass(frozen=True)
class ReferenceChange:
    """One update of a reference: its date (ISO 8601), the reason that was given, and the commit of the checkout."""

    date: str
    reason: str
    commit: str | None = None


@dataclass(frozen=True)
class Reference:
    """The expected values of a suite by row, with their history, newest change last.

    Attributes:
        environment: versions and processor that the values were made with.
    """

    suite: str
    rows: Mapping[str, StoredRow]
    history: tuple[ReferenceChange, ...] = ()
    environment: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.rows:
            raise RequestError("reference has no rows, expected at least one; a gate without any would pass everything")
        for row, stored in self.rows.items():
            if not stored.metrics:
                raise RequestError(f"reference row {row!r} has no metrics, expected at least one")


@dataclass(frozen=True)
class MeasuredTime:
    """Ratio of a network's time to its plain form, median and lower quartile over pairs of passes."""

    ratio: float
    low: float
    device: str
    plain: str


@dataclass(frozen=True, eq=False)
class MeasuredRow:
    """One row of a suite as it was just measured.

    Attributes:
        failure: why it has no scores; empty where it has.
        time: None where it cannot be measured, for the reason in `untimed`.
    """

    scores: Mapping[str, Score]
    counts: CountTable | None = None
    scoring: Scoring | None = None
    dataset_digest: str = ""
    images_digest: str = ""
    weights: str = ""
    cost: GateCost | None = None
    time: MeasuredTime | None = None
    untimed: str = ""
    failure: str = ""


Measured = Mapping[str, MeasuredRow]
"""Row ("DFINet on NUAA-SIRST") to what it gave."""


def pack_text(content: bytes) -> str:
    """Bytes as short text."""
    return base64.b64encode(zlib.compress(content, 9)).decode("ascii")


def unpack_text(text: str, what: str) -> bytes:
    """The bytes of `pack_text`.

    Raises:
        RequestError: when the text is damaged.
    """
    try:
        return zlib.decompress(base64.b64decode(text, validate=True))
    except (ValueError, zlib.error) as error:
        raise RequestError(f"{what} are damaged ({error}); write the reference again with --update") from None


def pack_counts(table: CountTable) -> str:
    """The last round's counts as short text."""
    last = {name: array[-1:] if name in _ROUNDS else array for name, array in table.to_arrays().items()}
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **last)
    return pack_text(file.getvalue())


_ROUNDS = frozenset((*ROUND_FIELDS, "target_matched"))


def unpack_counts(text: str) -> CountTable:
    """The table of `pack_counts`.

    Raises:
        RequestError: when the text is damaged.
    """
    content = unpack_text(text, "counts")
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return CountTable.from_arrays(dict(arrays))
    except Exception as error:  # zipfile's, NumPy's, the parser's of a header: damaged content brings any
        said = first_line(error)
        raise RequestError(f"counts are damaged ({said}); write the reference again with --update") from None


def make_reference(
    measured: Measured,
    *,
    suite: str,
    change: ReferenceChange,
    before: Reference | None = None,
    margins: Mapping[str, float] = DEFAULT_MARGINS,
    environment: Mapping[str, Any] | None = None,
) -> Reference:
    """A reference of measured rows.

    Args:
        before: the one that it replaces, whose history and margins stay.
        margins: metric id to margin, in the metric's unit; other metrics are left out.

    Raises:
        RequestError: when there is no reason, or a row lacks one of those metrics or its value is null.
    """
    refuse_steering({"reason": change.reason}, "reference")
    if not change.reason.strip():
        raise RequestError("gate: no --reason, expected the reason for the update in a few words; it is stored")
    old = before.rows if before is not None else {}
    rows = {row: _stored_row(row, one, old.get(row), margins) for row, one in measured.items()}
    history = (*(before.history if before is not None else ()), change)
    return Reference(suite, rows, history, dict(environment or {}))


def _stored_row(row: str, measured: MeasuredRow, before: StoredRow | None, margins: Mapping[str, float]) -> StoredRow:
    if not measured.scores:
        raise RequestError(f"{row}: no scores to store; mend what its run failed of{_because(measured.failure)}")
    kept = {} if before is None else {name: one.margin for name, one in before.metrics.items()}
    metrics = {
        metric: Expected(_stored_value(row, metric, measured.scores), margin)
        for metric, margin in {**margins, **kept}.items()
        if metric in margins or metric in measured.scores
    }
    time = None
    if measured.time is not None:
        slower = before.time.margin if before is not None and before.time is not None else SLOWER
        time = StoredTime(measured.time.ratio, slower, measured.time.device, measured.time.plain)
    return StoredRow(
        metrics,
        scoring=measured.scoring,
        dataset_digest=measured.dataset_digest,
        images_digest=measured.images_digest,
        weights=measured.weights,
        counts="" if measured.counts is None else pack_counts(measured.counts),
        cost=measured.cost,
        time=time,
    )


def _because(reason: str) -> str:
    return f" ({reason})" if reason else ""


def _stored_value(row: str, metric: str, scores: Mapping[str, Score]) -> float:
    if metric not in scores:
        raise RequestError(f"{row}: no {metric}, expected one of {', '.join(scores)}; correct the margins")
    value = scores[metric].value
    if value is None:
        raise RequestError(f"{row}: {metric} has no value ({scores[metric].reason}); leave it out of the margins")
    return value


def write_reference(reference: Reference, path: Path) -> Path:
    """Write a reference as JSON, whole or not at all.

    Raises:
        WriteError: when the system refuses to write the file.
    """
    content = {"schema": REFERENCE_SCHEMA, **to_plain(reference)}
    return write_text(path, json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False) + "\n")


def previous_reference(path: Path) -> Reference | None:
    """The reference that is to be replaced; None where there is none, or none that can be read, which the log tells."""
    try:
        return read_reference(path)
    except FileNotFoundError:
        return None
    except (BenchError, OSError) as error:
        reason = str(error).partition("; ")[0]
        log.warning("%s; it is replaced, its history and margins are not kept", reason)
        return None


def read_reference(path: Path) -> Reference:
    """The reference stored in a JSON file.

    Raises:
        FileNotFoundError: when there is no such file.
        RequestError: when it is not a reference of a schema we know.
    """
    if not path.exists():
        raise FileNotFoundError(f"reference {path}: no such file; make it with --update, or check the path")
    try:
        return _parse(parse_json(read_utf8(path, "reference")))
    except FileNotFoundError:
        raise
    except (BenchError, ValueError) as error:  # also what is not JSON, or not UTF-8
        raise RequestError(f"reference {path}: {error}") from error


def _parse(content: Any) -> Reference:
    if not isinstance(content, dict):
        raise RequestError(f"found {type(content).__name__}, expected an object with schema, suite and rows")
    if content.get("schema") != REFERENCE_SCHEMA:
        raise RequestError(
            f"schema is {content.get('schema')!r}, expected {REFERENCE_SCHEMA}; write the reference again with "
            "--update --reason TEXT"
        )
    reference: Reference = from_plain(Reference, {k: v for k, v in content.items() if k != "schema"})
    for row, stored in reference.rows.items():
        _check_counts(row, stored)
    return reference


def _check_counts(row: str, stored: StoredRow) -> None:
    """Refuse counts that are damaged before anything runs."""
    try:
        if stored.counts:
            unpack_counts(stored.counts)
    except RequestError as error:
        raise RequestError(f"{row}: {error}") from None
