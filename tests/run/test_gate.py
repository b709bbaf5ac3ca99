"""The gate: it closes when a score drops, is null or is missing, or cost, time or images change; else it stays open."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.errors import RequestError
from bench.metrics.counting.counts import CountsWriter, CountTable
from bench.metrics.registry import score_rounds
from bench.records import from_plain, to_plain
from bench.run.gate import GateReport, Outcome, compare_with_reference, refuse_powerless
from bench.run.gate_reference import (
    Expected,
    GateCost,
    Measured,
    MeasuredRow,
    MeasuredTime,
    Reference,
    ReferenceChange,
    StoredRow,
    make_reference,
    previous_reference,
    read_reference,
    write_reference,
)
from bench.run.gate_text import to_junit, to_markdown
from bench.types import Better, Score, Scoring

ROW = "DFINet (width 8) on synthetic"
REFERENCE = Reference(
    "gate",
    {ROW: StoredRow({"IoU/pooled": Expected(0.75, 0.125), "Fa/unmatched-area": Expected(0.25, 0.125)})},
)


def measured(iou: float | None, fa: float | None = 0.25) -> dict[str, MeasuredRow]:
    """Results of one row."""

    def score(value: float | None, better: Better) -> Score:
        return Score(value, unit="fraction", better=better, reason="" if value is not None else "no images in the list")

    return {ROW: MeasuredRow({"IoU/pooled": score(iou, "higher"), "Fa/unmatched-area": score(fa, "lower")})}


def store(results: Measured, path: Path, *, margins: dict[str, float], reason: str = "a test") -> Reference:
    """Make a reference of the results in place of the one at `path`, and write it."""
    change = ReferenceChange("2026-01-02", reason, "c0ffee")
    made = make_reference(results, suite="gate", change=change, before=previous_reference(path), margins=margins)
    refuse_powerless(made, measured=results)
    write_reference(made, path)
    return made


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
    report = compare_with_reference(
        {ROW: MeasuredRow({"IoU/pooled": measured(0.75)[ROW].scores["IoU/pooled"]})}, REFERENCE
    )
    assert [(check.metric, check.verdict) for check in report.failures] == [("Fa/unmatched-area", "missing")]
    assert "the row has IoU/pooled" in report.failures[0].sentence()


def test_a_row_the_reference_does_not_know_is_named_and_not_judged() -> None:
    report = compare_with_reference({**measured(0.75), "ACM on synthetic": MeasuredRow({})}, REFERENCE)
    assert report.passed
    assert report.unknown_rows == ("ACM on synthetic",)


def test_metrics_the_reference_does_not_name_are_not_judged() -> None:
    scores = {**measured(0.75)[ROW].scores, "F1/pooled": Score(0.0, unit="fraction", better="higher")}
    report = compare_with_reference({ROW: MeasuredRow(scores)}, REFERENCE)
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
    reference = Reference(
        "gate", {row: StoredRow({"IoU/pooled": Expected(0.75, 0.0), "F1/pooled": Expected(0.5, 0.0)})}
    )
    results = {
        row: MeasuredRow(
            {
                "IoU/pooled": Score(0.5, unit="fraction", better="higher"),
                "F1/pooled": Score(0.5, unit="fraction", better="higher"),
            }
        )
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
    written = store(results, path, margins={"IoU/pooled": 0.01, "Fa/unmatched-area": 1e-6})
    assert read_reference(path) == written
    assert compare_with_reference(results, read_reference(path)).passed
    assert not compare_with_reference(measured(0.70, 2.27e-5), read_reference(path)).passed
    content = json.loads(path.read_text())
    assert (content["schema"], content["suite"]) == (2, "gate")
    assert content["history"] == [{"date": "2026-01-02", "reason": "a test", "commit": "c0ffee"}]
    assert content["rows"][ROW]["metrics"] == {
        "IoU/pooled": {"value": 0.7123456789012345, "margin": 0.01},
        "Fa/unmatched-area": {"value": 2.27e-05, "margin": 1e-06},
    }
    assert [file.name for file in tmp_path.iterdir()] == ["reference.json"]


def test_margins_that_were_edited_in_a_reference_and_its_history_outlast_its_update(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "reference.json"
    margins = {"IoU/pooled": 0.005, "Fa/unmatched-area": 5e-6}
    store(measured(0.7, 2e-5), path, margins=margins, reason="first")
    path.write_text(path.read_text().replace("0.005", "0.0005"))
    made = store(measured(0.71, 3e-5), path, margins=margins, reason="learnt more")
    assert made.rows[ROW].metrics == {"IoU/pooled": Expected(0.71, 0.0005), "Fa/unmatched-area": Expected(3e-5, 5e-6)}
    assert [change.reason for change in read_reference(path).history] == ["first", "learnt more"]
    path.write_text("damaged")
    assert store(measured(0.71, 3e-5), path, margins=margins).rows[ROW].metrics["IoU/pooled"].margin == 0.005
    assert "its history and margins are not kept" in caplog.text


@pytest.mark.parametrize("reason", ["", "  ", "\x1b[31m"])
def test_an_update_without_a_reason_is_refused(reason: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="reason"):
        store(measured(0.7), tmp_path / "reference.json", margins={"IoU/pooled": 0.005}, reason=reason)
    assert list(tmp_path.iterdir()) == []


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
def test_a_reference_with_a_score_that_could_not_fail_is_neither_written_nor_compared_with(
    iou: float, fa: float, named: list[str], tmp_path: Path
) -> None:
    results, path = measured(iou, fa), tmp_path / "reference.json"
    margins = {"IoU/pooled": 0.005, "Fa/unmatched-area": 5e-6}
    stored = {name: Expected(results[ROW].scores[name].value or 0.0, margin) for name, margin in margins.items()}
    reference = Reference("gate", {ROW: StoredRow(stored)})
    if not named:
        store(results, path, margins=margins)
        assert not compare_with_reference(measured(0.0, 1.0), reference).checks[0].passes
        return
    for attempt in (lambda: store(results, path, margins=margins), lambda: compare_with_reference(results, reference)):
        with pytest.raises(RequestError, match=f"reference: .*: {named[0]} cannot fail: [01] is within the margin"):
            attempt()
    assert not path.exists()


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
    results: dict[str, MeasuredRow], margins: dict[str, float], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        store(results, tmp_path / "reference.json", margins=margins)
    assert list(tmp_path.iterdir()) == []


def test_a_reference_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"reference .*absent\.json: no such file"):
        read_reference(tmp_path / "absent.json")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "Expecting property name"),
        ("[]", "found list, expected an object with schema, suite and rows"),
        (
            '{"schema": 1, "suite": "gate", "rows": {}}',
            "schema is 1, expected 2; write the reference again with --update",
        ),
        ('{"suite": "gate"}', "schema is None, expected 2"),
        ('{"schema": 2, "rows": {}}', "suite is None, expected text"),
        ('{"schema": 2, "suite": "gate"}', "rows is None, expected an object"),
        (
            '{"schema": 2, "suite": "g", "rows": {"a": {"metrics": {"m": {"value": 1, "margin": 0}}, "counts": "?"}}}',
            "counts are damaged",
        ),
        ('{"schema": 2, "suite": "gate", "rows": {}}', "reference has no rows"),
        ('{"schema": 2, "suite": "gate", "rows": {"a": {"metrics": {}}}}', "reference row 'a' has no metrics"),
        (
            '{"schema": 2, "suite": "gate", "rows": {"a": {"metrics": {"m": 3}}}}',
            "a: metrics: m: found int, expected an object",
        ),
        (
            '{"schema": 2, "suite": "gate", "rows": {"a": {"metrics": {"m": {"value": 1}}}}}',
            "a: metrics: m: margin is None, expected a num",
        ),
        (
            '{"schema": 2, "suite": "gate", "rows": {"a": {"metrics": {"m": {"value": "1", "margin": 0}}}}}',
            "a: metrics: m: value is '1', expected a number",
        ),
        (
            '{"schema": 2, "suite": "gate", "rows": {"a": {"metrics": {"m": {"value": NaN, "margin": 0}}}}}',
            "a: metrics: m: value is nan, expected a number",
        ),
        (
            '{"schema": 2, "suite": "gate", "rows": {"a": {"metrics": {"m": {"value": 1, "margin": -1}}}}}',
            "a: metrics: m: margin is -1.0, expected 0 or a positive number",
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
    modules = "bench.run.gate, bench.run.gate_text, bench.metrics.registry as s, bench.metrics.curves"
    code = f"import sys, {modules}; s.find_metrics()"
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
        store({ROW: MeasuredRow({})}, tmp_path / "reference.json", margins={"IoU/pooled": 0.1})
    assert not (tmp_path / "reference.json").exists()


TARGET, IMAGES = 100, 80
"""Pixels of the target of each image, and images."""

MARGINS = {"IoU/pooled": 0.005, "Pd/centroid-3px": 0.01}


def counted(found: Sequence[int], *, rows: int = 20) -> CountTable:
    """Counts of images with a target of 10 x 10 pixels each, of which so many are found."""
    writer = CountsWriter(Scoring("native"))
    mask = np.zeros((rows, 20), np.uint8)
    mask[5:15, 5:15] = 1
    places = np.flatnonzero(mask)
    for number, pixels in enumerate(found):
        levels = np.zeros(mask.shape, np.uint16)
        levels.flat[places[:pixels]] = 65535
        writer.add(f"{number}.png", [levels], truth=mask)
    return writer.table()


def row_of(table: CountTable, **fields: Any) -> dict[str, MeasuredRow]:
    """A measured row of such counts, with its scores."""
    scoring = Scoring("native")
    scores = score_rounds(table, scoring)[-1]
    given = {"scoring": scoring, "dataset_digest": "d", "images_digest": "i", "cost": GateCost(7, 10**9, (256, 256))}
    return {ROW: MeasuredRow(scores, counts=table, **{**given, **fields})}


def usual(seed: int = 0) -> NDArray[np.int64]:
    """Pixels found of each target by a network of about 0.8 IoU."""
    return np.random.default_rng(seed).integers(70, 90, IMAGES)


def reference_of(measured: dict[str, MeasuredRow], margins: dict[str, float] | None = None) -> Reference:
    """A reference of a measured row, as it is read back from its file."""
    change = ReferenceChange("2026-01-02", "a test")
    made = make_reference(measured, suite="gate", change=change, margins=margins or MARGINS)
    read: Reference = from_plain(Reference, json.loads(json.dumps(to_plain(made))))
    return read


def verdicts(report: GateReport) -> dict[str, str]:
    """Verdicts that are not `kept`, by the check's name."""
    return {check.metric: check.verdict for check in report.checks if check.verdict != "kept"}


def test_a_loss_of_two_points_over_the_images_is_caught_and_its_size_said() -> None:
    reference = reference_of(row_of(counted(usual())))
    report = compare_with_reference(row_of(counted(usual() - 2)), reference)
    assert verdicts(report) == {"IoU/pooled": "worse"}
    (failure,) = report.failures
    assert failure.moved == pytest.approx(-0.02, abs=1e-12)
    assert failure.p is not None
    assert failure.p < 0.001
    assert re.search(
        r"IoU/pooled is 0\.\d+, -0\.02 from the reference 0\.\d+ \(margin 0\.005\), p = 0\.0", failure.sentence()
    )


def test_a_loss_beyond_the_margin_that_one_image_alone_makes_is_within_chance() -> None:
    found = usual()
    reference = reference_of(row_of(counted(found)), {"IoU/pooled": 0.005})
    found[3] = 0
    report = compare_with_reference(row_of(counted(found)), reference)
    assert verdicts(report) == {"IoU/pooled": "chance"}
    assert report.passed
    assert report.checks[2].sentence().endswith("p = 1; within chance")


def test_a_real_loss_within_the_margin_is_kept() -> None:
    reference = reference_of(row_of(counted(usual())), {"IoU/pooled": 0.03})
    report = compare_with_reference(row_of(counted(usual() - 2)), reference)
    assert verdicts(report) == {}
    assert report.checks[2].p is not None
    assert report.checks[2].p < 0.001


def test_twenty_honest_reruns_raise_nothing() -> None:
    """Other processors flip a pixel here and there: two images of eighty, a pixel each."""
    reference = reference_of(row_of(counted(usual())))
    for seed in range(20):
        flips = np.zeros(IMAGES, np.int64)
        generator = np.random.default_rng(seed)
        flips[generator.integers(0, IMAGES, 2)] = generator.choice([-1, 1], 2)
        assert verdicts(compare_with_reference(row_of(counted(usual() + flips)), reference)) == {}


def test_networks_that_differ_by_chance_alone_seldom_fail() -> None:
    """Twenty networks trained alike on other seeds: at most one fails, for the chance of any false alarm is 0.05."""
    reference = reference_of(row_of(counted(usual())), {"IoU/pooled": 0.0})
    failed = [not compare_with_reference(row_of(counted(usual(seed))), reference).passed for seed in range(1, 21)]
    assert sum(failed) <= 1


def test_on_a_limited_list_the_reference_is_that_of_the_same_images() -> None:
    found = usual()
    reference = reference_of(row_of(counted(found)))
    report = compare_with_reference(row_of(counted(found[:40]), images_digest="of forty"), reference)
    assert verdicts(report) == {}
    assert report.checks[2].reference == pytest.approx(found[:40].sum() / (40 * TARGET))
    assert report.notes == (f"{ROW}: compared on 40 of the reference's 80 images",)


@pytest.mark.parametrize(
    ("fields", "check", "said"),
    [
        ({"images_digest": "other"}, "images", "are other files than those of the reference"),
        ({"dataset_digest": "other"}, "images", "are of a dataset whose card has changed"),
        ({"scoring": Scoring("native", threshold=0.4)}, "scoring", "has threshold 0.4 in place of 0.5, so that"),
        ({"cost": GateCost(8, 10**9, (256, 256))}, "parameters", "parameters is 8, +1 from the reference 7; changed"),
        (
            {"cost": GateCost(7, 10**9 + 1, (256, 256))},
            "MACs",
            "MACs is 1000000001, +1 from the reference 1e+09; changed",
        ),
        ({"cost": None}, "parameters", "is not measured, expected as in the reference"),
    ],
)
def test_a_change_of_what_may_not_differ_is_caught_and_named(fields: dict[str, Any], check: str, said: str) -> None:
    reference = reference_of(row_of(counted(usual())))
    report = compare_with_reference(row_of(counted(usual()), **fields), reference)
    assert not report.passed
    assert report.failures[0].metric == check
    assert said in report.failures[0].sentence()


def test_other_masks_are_told_from_a_loss() -> None:
    reference = reference_of(row_of(counted(usual())))
    report = compare_with_reference(row_of(counted(usual(), rows=21)), reference)
    assert "have other masks" in report.failures[0].sentence()


@pytest.mark.parametrize(
    ("ratio", "low", "verdict"),
    [(1.0, 0.98, {}), (1.3, 1.28, {"time": "slower"}), (1.3, 1.1, {}), (0.7, 0.6, {"time": "improved"})],
)
def test_time_fails_where_most_pairs_of_passes_are_slower_than_the_plain_form_allows(
    ratio: float, low: float, verdict: dict[str, str]
) -> None:
    def timed(ratio: float, low: float) -> dict[str, MeasuredRow]:
        return row_of(counted(usual()), time=MeasuredTime(ratio, low, "cpu", "plain"))

    report = compare_with_reference(timed(ratio, low), reference_of(timed(1.0, 0.99)))
    assert verdicts(report) == verdict


def test_time_that_cannot_be_compared_is_skipped_with_the_reason() -> None:
    reference = reference_of(row_of(counted(usual()), time=MeasuredTime(1.0, 0.99, "cpu", "plain")))
    report = compare_with_reference(row_of(counted(usual()), untimed="timed on cuda"), reference)
    assert verdicts(report) == {"time": "skipped"}
    assert report.checks[-1].sentence() == f"{ROW}: time not compared: timed on cuda"
    assert report.passed
    assert ElementTree.fromstring(to_junit(report).encode()).get("skipped") == "1"


def test_a_failed_row_says_why() -> None:
    reference = reference_of(row_of(counted(usual())))
    report = compare_with_reference({ROW: MeasuredRow({}, failure="RuntimeError: no memory")}, reference)
    assert report.failures[0].sentence().endswith("; its run failed (RuntimeError: no memory)")


@pytest.mark.parametrize(
    ("found", "margins", "said"),
    [
        (usual()[:4], {"IoU/pooled": 0.005}, "4 images are too few to tell even the worst predictions from chance"),
        (usual(), {"IoU/pooled": 0.9}, r"even the worst predictions lose 0\.\d+, within the margin 0\.9"),
        (usual(), {"Fa/unmatched-area": 1.0}, "even the worst predictions lose 1, within the margin 1"),
        (usual() * 0, {"IoU/pooled": 0.005}, r"even the worst predictions lose 0, within the margin 0\.005"),
    ],
)
def test_a_reference_that_no_prediction_of_its_images_could_fail_is_refused(
    found: NDArray[np.int64], margins: dict[str, float], said: str, tmp_path: Path
) -> None:
    with pytest.raises(RequestError, match=f"cannot fail: {said}"):
        store(row_of(counted(found)), tmp_path / "reference.json", margins=margins)
    assert list(tmp_path.iterdir()) == []


def test_too_few_images_of_a_limited_list_are_refused() -> None:
    reference = reference_of(row_of(counted(usual())))
    with pytest.raises(RequestError, match="IoU/pooled cannot fail: 3 images are too few"):
        compare_with_reference(row_of(counted(usual()[:3])), reference)


def test_a_value_that_is_not_that_of_its_counts_is_refused() -> None:
    made = reference_of(row_of(counted(usual())))
    edited = {**made.rows[ROW].metrics, "IoU/pooled": Expected(0.5, 0.005)}
    reference = dataclasses.replace(made, rows={ROW: dataclasses.replace(made.rows[ROW], metrics=edited)})
    with pytest.raises(
        RequestError, match=r"IoU/pooled is 0\.5, but its counts give 0\.\d+; write it again with --update"
    ):
        compare_with_reference(row_of(counted(usual())), reference)


def test_markdown_leads_with_what_failed_and_escapes_what_it_prints() -> None:
    reference = reference_of(row_of(counted(usual())))
    renamed = dataclasses.replace(reference, rows={"A|<b>": reference.rows[ROW]})
    text = to_markdown(compare_with_reference({"A|<b>": row_of(counted(usual() - 2))[ROW]}, renamed))
    lines = text.splitlines()
    assert lines[0] == "### Gate gate: failed"
    assert lines[2] == "6 checks, 1 failed."
    assert lines[4].startswith("- ✗ A\\|&lt;b&gt;: IoU/pooled is 0.")
    assert "<details><summary>5 checks kept</summary>" in text
    assert to_markdown(compare_with_reference(row_of(counted(usual())), reference)).startswith("### Gate gate: passed")
