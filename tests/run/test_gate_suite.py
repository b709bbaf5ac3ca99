"""The gate over a suite: planted losses, slowdowns and changes of cost are caught; reruns raise nothing."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from torch import Tensor

import bench
from baselines.acm import ACM
from bench.run.gate import GateReport

ROOT = Path(__file__).parents[2]
WEIGHTS = ROOT / "bench/suites/gate/acm.safetensors"


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A suite of ACM's frozen weights, with a reference beside it."""
    folder = tmp_path_factory.mktemp("gate")
    path = folder / "acm.toml"
    path.write_text(f'datasets = ["synthetic"]\n[[row]]\nmodel = "ACM"\nweights = "{WEIGHTS}"\n')
    assert bench.gate(path, folder / "reference.json", update=True, reason="a test") is None
    return path


def compared(suite: Path, **given: object) -> GateReport:
    """The gate's report on the suite."""
    report = bench.gate(suite, suite.parent / "reference.json", **given)  # type: ignore[arg-type]
    assert report is not None
    return report


def failures(report: GateReport) -> dict[str, str]:
    """Verdicts of the checks that fail, by name."""
    return {check.metric: check.verdict for check in report.failures}


@pytest.mark.slow
def test_a_planted_loss_of_more_than_two_points_is_caught(suite: Path) -> None:
    """Images are normalised as those of another camera would be: brighter and with less contrast."""
    report = compared(suite, overrides={"input.std": 40.0, "input.mean": 110.0})
    (iou,) = (check for check in report.checks if check.metric == "IoU/pooled")
    assert iou.moved is not None
    assert iou.moved < -0.02
    assert failures(report)["IoU/pooled"] == "worse"


@pytest.mark.slow
def test_a_planted_slowdown_of_30_percent_is_caught(suite: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = ACM.forward

    def slower(network: ACM, image: Tensor, start: Tensor | None = None) -> Tensor:
        began = time.process_time()
        found = plain(network, image, start)
        end = began + 1.3 * (time.process_time() - began)
        while time.process_time() < end:
            pass
        return found

    monkeypatch.setattr(ACM, "forward", slower)
    assert failures(compared(suite)) == {"time": "slower"}


@pytest.mark.slow
def test_a_planted_change_of_macs_is_caught(suite: Path) -> None:
    """The reference's count is put off by one, for the work itself cannot change without the weights."""
    reference = suite.parent / "reference.json"
    text = reference.read_text()
    macs = next(line for line in text.splitlines() if '"macs"' in line)
    number = int(macs.split(":")[1].strip(" ,"))
    reference.write_text(text.replace(macs, macs.replace(str(number), str(number + 1))))
    try:
        report = compared(suite)
    finally:
        reference.write_text(text)
    assert failures(report) == {"MACs": "changed"}
    assert f"MACs is {number}, -1 from the reference" in report.failures[0].sentence()


@pytest.mark.slow
def test_an_honest_rerun_raises_nothing(suite: Path) -> None:
    report = compared(suite)
    assert failures(report) == {}
    assert {check.verdict for check in report.checks} <= {"kept", "improved"}
