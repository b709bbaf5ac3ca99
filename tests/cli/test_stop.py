"""Ctrl-C and SIGTERM: one line, the state kept, the signal's exit code, and no process or file left behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.stop import Stopped, describe_stop
from tests.reports.fake_runs import DFINET, measured, result, write_suite

ROOT = Path(__file__).parents[2]
LONG = ["run", "quick", "--limit", "train=8,test=4", "--set", "recipe.epochs=400", "--mlflow", "off", "--runs", "runs"]


def heed_interrupts() -> None:
    """Undo that a shell's background jobs ignore SIGINT, as their processes and the tests in them do."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def stopped(folder: Path, number: int, words: list[str], *, at: str) -> tuple[int, list[str]]:
    """Exit code and lines of a command that gets a signal, with all of its processes, once a file `at` exists."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    process = subprocess.Popen(
        [sys.executable, "-m", "bench", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=heed_interrupts,
    )
    end = time.monotonic() + 60
    while not any(folder.glob(at)) and process.poll() is None and time.monotonic() < end:
        time.sleep(0.02)
    os.killpg(process.pid, number)
    said = process.communicate(timeout=60)[0]
    return process.returncode, said.splitlines()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_run_says_where_and_goes_on_from_there(
    number: int, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DFINET_BENCH_CACHE", str(tmp_path / "cache"))
    found, lines = stopped(tmp_path, number, LONG, at="runs/trainings/*/log.jsonl")
    (log,) = tmp_path.glob("runs/trainings/*/log.jsonl")
    epochs = len(log.read_text().splitlines())
    assert found == code
    assert lines[-1] == (
        f"stopped after epoch {epochs} of 400 (DFINet (width 8) on synthetic); the same command goes on"
    )
    assert not any("Traceback" in line for line in lines)
    assert sorted(path.name for path in log.parent.iterdir()) == ["log.jsonl", "state.pt"]
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped_workers_say_in_one_line_where_each_was(
    number: int, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DFINET_BENCH_CACHE", str(tmp_path / "cache"))
    found, lines = stopped(tmp_path, number, [*LONG, "--workers", "2"], at="runs/trainings/*/log.jsonl")
    assert found == code
    said = re.fullmatch(
        r"stopped (after epoch \d+ of 400 )?\(DFINet \(width 8\) on synthetic\), "
        r"(after epoch \d+ of 400 )?\(without DFFFM on synthetic\); the same command goes on",
        lines[-1],
    )
    assert said, lines
    epochs = sum(len(log.read_text().splitlines()) for log in tmp_path.glob("runs/trainings/*/log.jsonl"))
    assert epochs == sum(int(words.split()[2]) for words in said.groups() if words)
    assert not any("Traceback" in line for line in lines)
    assert not list(tmp_path.rglob("*.part"))
    assert not list(tmp_path.glob("runs/*/result.json"))


SLEEPS = """
import pathlib, time
from bench.models.network import Segmenter, model

class Sleeps(Segmenter):
    def forward(self, image, start=None):
        pathlib.Path("measuring").touch()
        time.sleep(600)

@model("Sleeps", cite="none", source="tests", licence="MIT", recipe="basicirstd")
def build(*, channels):
    return Sleeps()
"""


def test_a_stopped_measurement_is_one_line_of_one_process(tmp_path: Path) -> None:
    (tmp_path / "sleeps.py").write_text(SLEEPS)
    words = ["cost", "Sleeps", "--plugin", "sleeps.py"]
    assert stopped(tmp_path, signal.SIGINT, words, at="measuring") == (
        130,
        ["stopped; the same command starts over"],
    )


SLOW_METRIC = """
import pathlib, time
from bench.metrics.registry import metric
from bench.metrics.statistic import Ratio

@metric("Slow/always", unit="images", better="higher")
def slow(counts):
    pathlib.Path("scoring").touch()
    time.sleep(600)
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_report_and_a_stopped_scoring_are_one_line_and_leave_no_temporary_file(
    number: int, code: int, tmp_path: Path
) -> None:
    write_suite(tmp_path / "runs", [("DFINet", measured(result(DFINET), tmp_path / "runs", skill=0.8, frames=4), None)])
    for folder in ("maps", "masks"):
        (tmp_path / folder).mkdir()
        Image.fromarray(np.eye(16, dtype=np.uint8) * 255).save(tmp_path / folder / "a.png")
    (tmp_path / "slow.py").write_text(SLOW_METRIC)
    one_line = (code, ["stopped; the same command starts over"])
    report = ["report", "trial", "--from", "runs", "--out", "out", "--mlflow", "off"]
    assert stopped(tmp_path, number, report, at="out/figures/*.p*") == one_line
    assert not (tmp_path / "out/index.html").exists()
    found, lines = stopped(tmp_path, number, ["score", "maps", "masks", "--plugin", "slow.py"], at="scoring")
    assert (found, lines[-1:]) == one_line
    assert not any("Traceback" in line for line in lines)
    assert not [path for path in tmp_path.rglob(".*") if path.is_file()]


def test_notes_stand_in_the_line_from_the_inside_out() -> None:
    stop = Stopped(signal.SIGTERM)
    assert describe_stop(stop) == "stopped; the same command starts over"
    stop.add_note("after epoch 3 of 40")
    stop.add_note("(ACM on NUDT-SIRST); the same command goes on")
    assert describe_stop(stop) == "stopped after epoch 3 of 40 (ACM on NUDT-SIRST); the same command goes on"
    assert stop.exit_code == 143
