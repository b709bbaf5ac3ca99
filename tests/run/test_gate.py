"""The gate: it closes when a score drops, is null or is missing, and stays open otherwise."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench.errors import RequestError
from bench.run.gate import (
    Expected,
    Outcome,
    Reference,
    compare_with_reference,
    read_reference,
    to_junit,
    write_reference,
)
from bench.types import Better, Score

ROW = "DFINet (width 8) on synthetic"
REFERENCE = Reference(
    "gate",
    {ROW: {"IoU/pooled": Expected(0.75, 0.125), "Fa/unmatched-area": Expected(0.25, 0.125)}},
)


def measured(iou: float | None, fa: float | None = 0.25) -> dict[str, dict[str, Score]]:
    """Results of one row."""

    def score(value: float | None, better: Better) -> Score:
        return Score(value, unit="fraction", better=better, reason="" if value is not None else "no images in the list")

    return {ROW: {"IoU/pooled": score(iou, "higher"), "Fa/unmatched-area": score(fa, "lower")}}


@pytest.mark.parametrize(
    ("iou", "fa", "verdicts", "passed"),
    [
        (0.75, 0.25, ("kept", "kept"), True),
        (0.625, 0.375, ("kept", "kept"), True),  # worse by exactly the margin
        (0.875, 0.125, ("kept", "kept"), True),  # better by exactly the margin
        (0.624, 0.25, ("worse", "kept"), False),
        (0.75, 0.376, ("kept", "worse"), False),
        (0.876, 0.124, ("improved", "improved"), True),
        (0.0, 0.0, ("worse", "improved"), False),
        (None, 0.25, ("null", "kept"), False),
        (float("nan"), 0.25, ("null", "kept"), False),
    ],
)
def test_the_gate_closes_when_a_value_is_worse_than_its_margin_or_null(
    iou: float | None, fa: float | None, verdicts: tuple[Outcome, Outcome], passed: bool
) -> None:
    report = compare_with_reference(measured(iou, fa), REFERENCE)
    assert tuple(check.verdict for check in report.checks) == verdicts
    assert report.passed is passed
    assert bool(report.failures) is not passed


def test_a_missing_row_closes_the_gate() -> None:
    report = compare_with_reference({"DFINet on other": measured(0.75)[ROW]}, REFERENCE)
    assert [check.verdict for check in report.failures] == ["missing", "missing"]
    assert report.unknown_rows == ("DFINet on other",)
    assert report.failures[0].sentence() == (
        f"{ROW}: IoU/pooled is missing, expected the reference 0.75 (margin 0.125); "
        "no result for this row; measured were 'DFINet on other'"
    )


def test_a_missing_metric_closes_the_gate() -> None:
    report = compare_with_reference({ROW: {"IoU/pooled": measured(0.75)[ROW]["IoU/pooled"]}}, REFERENCE)
    assert [(check.metric, check.verdict) for check in report.failures] == [("Fa/unmatched-area", "missing")]
    assert "the row has IoU/pooled" in report.failures[0].sentence()


def test_a_row_the_reference_does_not_know_is_named_and_not_judged() -> None:
    report = compare_with_reference({**measured(0.75), "ACM on synthetic": {}}, REFERENCE)
    assert report.passed
    assert report.unknown_rows == ("ACM on synthetic",)


def test_metrics_the_reference_does_not_name_are_not_judged() -> None:
    results = measured(0.75)
    results[ROW]["F1/pooled"] = Score(0.0, unit="fraction", better="higher")
    report = compare_with_reference(results, REFERENCE)
    assert report.passed
    assert len(report.checks) == 2


def test_a_report_says_how_far_a_value_moved() -> None:
    worse, kept = compare_with_reference(measured(0.5), REFERENCE).checks
    assert worse.moved == -0.25
    assert worse.sentence() == f"{ROW}: IoU/pooled is 0.5, -0.25 from the reference 0.75 (margin 0.125)"
    assert kept.moved == 0.0
    improved = compare_with_reference(measured(1.0), REFERENCE).checks[0]
    assert improved.sentence().endswith("improved, update the reference")
    assert compare_with_reference(measured(None), REFERENCE).checks[0].moved is None


def test_junit_names_every_comparison_and_escapes_what_it_prints() -> None:
    row = 'A <b> & "c" on synthetic'
    reference = Reference("gate", {row: {"IoU/pooled": Expected(0.75, 0.0), "F1/pooled": Expected(0.5, 0.0)}})
    results = {
        row: {
            "IoU/pooled": Score(0.5, unit="fraction", better="higher"),
            "F1/pooled": Score(0.5, unit="fraction", better="higher"),
        }
    }
    suite = ElementTree.fromstring(to_junit(compare_with_reference(results, reference)).encode())
    assert (suite.tag, suite.get("tests"), suite.get("failures")) == ("testsuite", "2", "1")
    cases = suite.findall("testcase")
    assert [(case.get("classname"), case.get("name")) for case in cases] == [(row, "IoU/pooled"), (row, "F1/pooled")]
    failure = cases[0].find("failure")
    assert failure is not None
    assert failure.get("type") == "worse"
    assert failure.get("message") == f"{row}: IoU/pooled is 0.5, -0.25 from the reference 0.75 (margin 0)"
    assert cases[1].find("failure") is None


def test_a_written_reference_comes_back_and_accepts_its_own_results(tmp_path: Path) -> None:
    path = tmp_path / "reference.json"
    results = measured(0.7123456789012345, 2.27e-5)
    written = write_reference(results, path, margins={"IoU/pooled": 0.01, "Fa/unmatched-area": 1e-6})
    assert read_reference(path) == written
    assert compare_with_reference(results, read_reference(path)).passed
    assert not compare_with_reference(measured(0.70, 2.27e-5), read_reference(path)).passed
    assert json.loads(path.read_text()) == {
        "schema": 1,
        "suite": "gate",
        "rows": {
            ROW: {
                "IoU/pooled": {"value": 0.7123456789012345, "margin": 0.01},
                "Fa/unmatched-area": {"value": 2.27e-05, "margin": 1e-06},
            }
        },
    }
    assert [file.name for file in tmp_path.iterdir()] == ["reference.json"]


def test_margins_that_were_edited_in_a_reference_outlast_its_update(tmp_path: Path) -> None:
    path = tmp_path / "reference.json"
    margins = {"IoU/pooled": 0.005, "Fa/unmatched-area": 5e-6}
    write_reference(measured(0.7, 2e-5), path, margins=margins)
    path.write_text(path.read_text().replace("0.005", "0.0005"))
    kept = write_reference(measured(0.71, 3e-5), path, margins=margins).rows[ROW]
    assert kept == {"IoU/pooled": Expected(0.71, 0.0005), "Fa/unmatched-area": Expected(3e-5, 5e-6)}
    path.write_text("damaged")
    assert write_reference(measured(0.71, 3e-5), path, margins=margins).rows[ROW]["IoU/pooled"].margin == 0.005


@pytest.mark.parametrize(
    ("iou", "fa", "named"),
    [
        (0.0011, 2e-5, ["IoU/pooled"]),  # of a network that learnt next to nothing: IoU 0 would pass
        (0.005, 2e-5, ["IoU/pooled"]),
        (0.0051, 2e-5, []),
        (0.7, 0.999996, ["Fa/unmatched-area"]),  # everything is a false alarm already
        (0.7, 0.0, []),
    ],
)
def test_a_check_that_nothing_could_fail_is_said_when_it_is_written_and_at_every_run(
    iou: float, fa: float, named: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    results = measured(iou, fa)
    path = tmp_path / "reference.json"
    written = write_reference(results, path, margins={"IoU/pooled": 0.005, "Fa/unmatched-area": 5e-6})
    report = compare_with_reference(results, read_reference(path))
    assert [sentence.partition(" cannot fail")[0] for sentence in report.powerless] == [f"{ROW}: {m}" for m in named]
    assert caplog.messages == list(report.powerless)
    worst = compare_with_reference(measured(0.0, 1.0), written)
    assert [check.metric for check in worst.checks if check.passes] == named


@pytest.mark.parametrize(
    ("results", "margins", "message"),
    [
        (measured(None), {"IoU/pooled": 0.1}, r"IoU/pooled has no value \(no images in the list\)"),
        (measured(0.5), {"F1/pooled": 0.1}, "no F1/pooled, expected one of IoU/pooled, Fa/unmatched-area"),
        (measured(0.5), {"IoU/pooled": -0.1}, "margin is -0.1, expected 0 or a positive number"),
        (measured(float("nan")), {"IoU/pooled": 0.1}, "value is nan, expected a number"),
        (measured(0.5), {}, "has no metrics, expected at least one"),
        ({}, {"IoU/pooled": 0.1}, "reference has no rows, expected at least one"),
    ],
)
def test_a_reference_that_could_not_hold_anything_is_not_written(
    results: dict[str, dict[str, Score]], margins: dict[str, float], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        write_reference(results, tmp_path / "reference.json", margins=margins)
    assert list(tmp_path.iterdir()) == []


def test_a_reference_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"reference .*absent\.json: no such file"):
        read_reference(tmp_path / "absent.json")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "Expecting property name"),
        ("[]", "found list, expected an object with schema, suite and rows"),
        ('{"schema": 2, "suite": "gate", "rows": {}}', "schema is 2, expected 1"),
        ('{"suite": "gate"}', "schema is None, expected 1"),
        ('{"schema": 1, "rows": {}}', "suite is None, expected a name"),
        ('{"schema": 1, "suite": "gate"}', "rows: found NoneType, expected an object"),
        ('{"schema": 1, "suite": "gate", "rows": {}}', "reference has no rows"),
        ('{"schema": 1, "suite": "gate", "rows": {"a": {}}}', "reference row 'a' has no metrics"),
        ('{"schema": 1, "suite": "gate", "rows": {"a": {"m": 3}}}', "a: m: found int, expected an object"),
        ('{"schema": 1, "suite": "gate", "rows": {"a": {"m": {"value": 1}}}}', "a: m: margin is None, expected a num"),
        (
            '{"schema": 1, "suite": "gate", "rows": {"a": {"m": {"value": "1", "margin": 0}}}}',
            "a: m: value is '1', expected a number",
        ),
        (
            '{"schema": 1, "suite": "gate", "rows": {"a": {"m": {"value": NaN, "margin": 0}}}}',
            "a: m: value is nan, expected a number",
        ),
        (
            '{"schema": 1, "suite": "gate", "rows": {"a": {"m": {"value": 1, "margin": -1}}}}',
            "a: m: margin is -1.0, expected 0 or a positive number",
        ),
    ],
)
def test_a_reference_file_that_is_no_reference_is_refused_with_its_path(
    text: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "reference.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=f"reference .*reference.json: .*{message}"):
        read_reference(path)


def test_a_report_without_comparisons_does_not_pass() -> None:
    assert not dataclasses.replace(compare_with_reference(measured(0.75), REFERENCE), checks=()).passed


def test_the_gate_and_the_metrics_need_no_torch() -> None:
    code = "import sys, bench.run.gate, bench.metrics.registry as s, bench.metrics.curves; s.find_metrics()"
    found = subprocess.run(
        [sys.executable, "-c", f"{code}; print('torch' in sys.modules)"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == "False"


def test_a_row_that_failed_is_not_stored_as_a_reference(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="synthetic: no scores to store; mend what its run failed of"):
        write_reference({ROW: {}}, tmp_path / "reference.json")
    assert not (tmp_path / "reference.json").exists()
