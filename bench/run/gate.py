"""The gate: compare scores with a stored reference and its margins, so that a loss of accuracy is noticed.

A reference names rows (a label on a dataset), in each row metrics, and for each metric a value and a margin in the
metric's own unit. A value that is worse by more than the margin fails; one that is better by more than it passes and
asks for an updated reference; what is missing or null fails.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal
from xml.etree import ElementTree

from bench.errors import BenchError, RequestError
from bench.input_files import parse_json, read_utf8
from bench.records import field_types, from_plain
from bench.store.files import write_text
from bench.types import Score

log = logging.getLogger(__name__)

REFERENCE_SCHEMA = 1

DEFAULT_MARGINS: Mapping[str, float] = MappingProxyType(
    {"IoU/pooled": 0.005, "nIoU/per-image": 0.005, "Pd/centroid-3px": 0.01, "Fa/unmatched-area": 5e-6}
)
"""How much worse a score of given weights may be: more than another processor's rounding, less than a real loss."""

Outcome = Literal["kept", "improved", "worse", "null", "missing"]
Results = Mapping[str, Mapping[str, Score]]
"""Row ("DFINet on NUAA-SIRST") to metric id to score."""


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
class Reference:
    """The expected values of a suite, by row and metric id."""

    suite: str
    rows: Mapping[str, Mapping[str, Expected]]

    def __post_init__(self) -> None:
        if not self.rows:
            raise RequestError("reference has no rows, expected at least one; a gate without any would pass everything")
        for row, metrics in self.rows.items():
            if not metrics:
                raise RequestError(f"reference row {row!r} has no metrics, expected at least one")


@dataclass(frozen=True)
class GateCheck:
    """One metric of one row, measured and expected.

    Attributes:
        value: the measured one, or None where it is null or missing.
        verdict: `kept` inside the margin, `improved` or `worse` outside it, `null` without a value, `missing` without a
            score.
        reason: why there is no value.
    """

    row: str
    metric: str
    value: float | None
    reference: float
    margin: float
    verdict: Outcome
    reason: str = ""

    @property
    def moved(self) -> float | None:
        """Measured less reference, in the metric's unit."""
        return None if self.value is None else self.value - self.reference

    @property
    def passes(self) -> bool:
        """True if the metric passes the gate."""
        return self.verdict in ("kept", "improved")

    def sentence(self) -> str:
        """The outcome in one line."""
        where = f"{self.row}: {self.metric}"
        expected = f"the reference {self.reference:.6g} (margin {self.margin:.6g})"
        if self.verdict == "missing":
            return f"{where} is missing, expected {expected}; {self.reason}"
        if self.value is None:
            return f"{where} has no value ({self.reason}), expected {expected}"
        distance = f"{where} is {self.value:.6g}, {self.moved:+.6g} from {expected}"
        return f"{distance}; improved, update the reference" if self.verdict == "improved" else distance


@dataclass(frozen=True)
class GateReport:
    """Every check of a gate, in the reference's order.

    Attributes:
        unknown_rows: measured rows that the reference does not have; they are not checked.
        powerless: sentences on checks that no measured value could fail.
    """

    suite: str
    checks: tuple[GateCheck, ...]
    unknown_rows: tuple[str, ...] = ()
    powerless: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """True if there was something to compare and nothing was worse, null or missing."""
        return bool(self.checks) and all(check.passes for check in self.checks)

    @property
    def failures(self) -> tuple[GateCheck, ...]:
        """The checks that fail the gate."""
        return tuple(check for check in self.checks if not check.passes)


def compare_with_reference(results: Results, reference: Reference) -> GateReport:
    """The verdict on every metric that the reference names."""
    return GateReport(
        suite=reference.suite,
        checks=tuple(
            _judge(row, metric, results, expected)
            for row, metrics in reference.rows.items()
            for metric, expected in metrics.items()
        ),
        unknown_rows=tuple(row for row in results if row not in reference.rows),
        powerless=tuple(powerless_checks(results, reference)),
    )


def powerless_checks(results: Results, reference: Reference) -> Iterator[str]:
    """One sentence for each check that no value could fail, because the worst one lies within its margin.

    The worst value is 0 where higher is better, and 1 where a lower fraction is.
    """
    for row, metrics in reference.rows.items():
        for metric, expected in metrics.items():
            score = results.get(row, {}).get(metric)
            if score is None:
                continue
            is_held = score.better == "higher" or score.unit == "fraction"
            left = expected.value if score.better == "higher" else 1 - expected.value
            if is_held and left <= expected.margin:
                worst = 0 if score.better == "higher" else 1
                yield (
                    f"{row}: {metric} cannot fail, for {worst} is within the margin {expected.margin:.6g} of the "
                    f"reference {expected.value:.6g}; take a smaller margin, or weights that have learnt something"
                )


def _judge(row: str, metric: str, results: Results, expected: Expected) -> GateCheck:
    score = results.get(row, {}).get(metric)
    value: float | None = None
    reason = ""
    verdict: Outcome
    if score is None:
        verdict, reason = "missing", _what_there_is(row, results)
    elif score.value is None or not math.isfinite(score.value):
        verdict, reason = "null", score.reason or f"it is {score.value}"
    else:
        value = score.value
        gain = value - expected.value if score.better == "higher" else expected.value - value
        verdict = "worse" if gain < -expected.margin else "improved" if gain > expected.margin else "kept"
    return GateCheck(row, metric, value, expected.value, expected.margin, verdict, reason)


def _what_there_is(row: str, results: Results) -> str:
    if row not in results:
        return f"no result for this row; measured were {', '.join(map(repr, results)) or 'none'}"
    return f"the row has {', '.join(results[row]) or 'no scores'}"


def to_junit(report: GateReport) -> str:
    """The report as JUnit XML: one test case for each metric, a failure for each metric that fails the gate."""
    suite = ElementTree.Element(
        "testsuite",
        name=f"gate {report.suite}",
        tests=str(len(report.checks)),
        failures=str(len(report.failures)),
        errors="0",
        skipped="0",
    )
    for check in report.checks:
        case = ElementTree.SubElement(suite, "testcase", classname=check.row, name=check.metric, time="0")
        if check.passes:
            ElementTree.SubElement(case, "system-out").text = check.sentence()
        else:
            ElementTree.SubElement(case, "failure", type=check.verdict, message=check.sentence())
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def write_reference(
    results: Results, path: Path, *, margins: Mapping[str, float] = DEFAULT_MARGINS, suite: str = "gate"
) -> Reference:
    """Make a reference of the results and write it to `path` as JSON.

    Args:
        margins: metric id to margin, in the metric's unit; other metrics are left out. Margins that a reference at
            `path` has for a row's metrics stay.

    Raises:
        RequestError: when a row lacks one of those metrics or its value is null.
        WriteError: when the system refuses to write the file.
    """
    kept = _margins_in(path)
    rows = {
        row: {
            metric: Expected(_stored_value(row, metric, scores), margin)
            for metric, margin in {**margins, **kept.get(row, {})}.items()
            if metric in margins or metric in scores
        }
        for row, scores in results.items()
    }
    reference = Reference(suite, rows)
    content = {"schema": REFERENCE_SCHEMA, **asdict(reference)}
    write_text(path, json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False) + "\n")
    for sentence in powerless_checks(results, reference):
        log.warning("%s", sentence)
    return reference


def _margins_in(path: Path) -> dict[str, dict[str, float]]:
    """Margins by row and metric in the reference that is to be replaced; none where it cannot be read."""
    try:
        rows = read_reference(path).rows
    except (BenchError, OSError):
        return {}
    return {row: {metric: expected.margin for metric, expected in metrics.items()} for row, metrics in rows.items()}


def _stored_value(row: str, metric: str, scores: Mapping[str, Score]) -> float:
    if not scores:
        raise RequestError(f"{row}: no scores to store; mend what its run failed of")
    if metric not in scores:
        raise RequestError(f"{row}: no {metric}, expected one of {', '.join(scores)}; correct the margins")
    value = scores[metric].value
    if value is None:
        raise RequestError(f"{row}: {metric} has no value ({scores[metric].reason}); leave it out of the margins")
    return value


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
    except ValueError as error:  # also what is not JSON, or not UTF-8
        raise RequestError(f"reference {path}: {error}") from error


def _parse(content: Any) -> Reference:
    if not isinstance(content, dict):
        raise RequestError(f"found {type(content).__name__}, expected an object with schema, suite and rows")
    if content.get("schema") != REFERENCE_SCHEMA:
        raise RequestError(
            f"schema is {content.get('schema')!r}, expected {REFERENCE_SCHEMA}; write the reference again"
        )
    if not isinstance(content.get("suite"), str):
        raise RequestError(f"suite is {content.get('suite')!r}, expected a name")
    rows = from_plain(field_types(Reference)["rows"], content.get("rows"), where="rows")
    return Reference(content["suite"], rows)
