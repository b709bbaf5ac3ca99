"""Ctrl-C and SIGTERM: one line, the state kept, the signal's exit code, and no process or file left behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import fakes
import numpy as np
import pytest
from PIL import Image

from bench.stop import (
    AGAIN,
    Stopped,
    describe_stop,
    holding_stops,
    raise_if_asked,
    raise_once_on,
    raising_on_signals,
)
from bench.training import train as train_module
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


SWALLOWS = """
import ctypes, os, pathlib, signal, time
import torch
from torch import nn
from bench.models.network import Segmenter, model

class Gone:
    def __del__(self):
        WAY["asks"]()
        time.sleep(0.01)

def in_a_destructor():
    Gone()

def in_a_callback():
    sort = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
    compare = sort(lambda a, b: WAY["asks"]() or 0)
    numbers = (ctypes.c_int * 2)(2, 1)
    ctypes.CDLL(None).qsort(numbers, 2, ctypes.sizeof(ctypes.c_int), compare)

def by_a_bare_except():
    try:
        WAY["asks"]()
        time.sleep(0.01)
    except:
        pass

def kept_for_later():
    try:
        WAY["asks"]()
        time.sleep(0.01)
    except BaseException as error:
        WAY["kept"] = error

def as_another_error():
    try:
        WAY["asks"]()
        time.sleep(0.01)
    except BaseException as error:
        raise RuntimeError("a library has failed") from error

WAY = {"asks": lambda: os.kill(os.getpid(), signal.SIGINT)}

class Swallows(Segmenter):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 1)

    def forward(self, image, start=None):
        return self.conv(image)

    def training_loss(self, batch, loss, *, epoch):
        if epoch == 3 and not pathlib.Path("asked").exists():
            pathlib.Path("asked").touch()
            HERE()
        return super().training_loss(batch, loss, epoch=epoch)

@model("Swallows", cite="none", source="tests", licence="MIT", recipe="basicirstd")
def build(*, channels):
    return Swallows()
"""
SWALLOWING_SUITE = """
plugins = ["swallows.py"]
datasets = ["synthetic"]
[set]
"recipe.epochs" = 1000
"recipe.patch" = 32
"recipe.batch" = 2
[[row]]
model = "Swallows"
"""
WAYS = ["in_a_destructor", "in_a_callback", "by_a_bare_except", "kept_for_later", "as_another_error"]


def run_swallowing(folder: Path, code: str, *words: str) -> subprocess.CompletedProcess[str]:
    """A run of 1,000 epochs that asks itself to stop in the third one, and swallows that."""
    (folder / "swallows.py").write_text(SWALLOWS + code)
    (folder / "one.toml").write_text(SWALLOWING_SUITE)
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    command = ["run", "one.toml", "--limit", "train=4,test=2", "--mlflow", "off", "--runs", "runs", *words]
    return subprocess.run(
        [sys.executable, "-m", "bench", *command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, "DFINET_BENCH_CACHE": str(folder / "cache")},
        capture_output=True,
        text=True,
        timeout=120,
        preexec_fn=heed_interrupts,
        check=False,
    )


@pytest.mark.parametrize("way", WAYS)
def test_a_stop_that_is_swallowed_still_ends_the_run(way: str, tmp_path: Path) -> None:
    """Python drops exceptions of destructors and of callbacks from C; others may catch everything."""
    done = run_swallowing(tmp_path, f"HERE = {way}\n", "--workers", "1")
    assert done.returncode == 130, done.stderr
    (log,) = tmp_path.glob("runs/trainings/*/log.jsonl")
    epochs = len(log.read_text().splitlines())
    last = done.stderr.splitlines()[-1]
    if way == "as_another_error":
        assert last == "stopped (Swallows on synthetic); the same command goes on"
    else:
        assert last == f"stopped after epoch {epochs} of 1000 (Swallows on synthetic); the same command goes on"
    assert epochs < 100
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert not list(tmp_path.glob("runs/*/result.json"))


def test_a_worker_that_swallows_its_stop_still_says_where_it_was(tmp_path: Path) -> None:
    """Its parent is interrupted, and stops it while a destructor runs."""
    code = 'WAY["asks"] = lambda: (os.kill(os.getppid(), signal.SIGINT), time.sleep(1.5))\nHERE = in_a_destructor\n'
    done = run_swallowing(tmp_path, code, "--workers", "2")
    assert done.returncode == 130, done.stderr
    (log,) = tmp_path.glob("runs/trainings/*/log.jsonl")
    epochs = len(log.read_text().splitlines())
    expected = f"stopped after epoch {epochs} of 1000 (Swallows on synthetic); the same command goes on"
    assert done.stderr.splitlines()[-1] == expected
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


def swallow(number: int) -> None:
    """Ask this process to stop, and drop that."""
    with suppress(BaseException):
        os.kill(os.getpid(), number)
        time.sleep(0.01)


def stop_of(work: Callable[[], None]) -> Stopped:
    """The stop that ends some work."""
    with pytest.raises(Stopped) as caught, raising_on_signals():
        work()
    return caught.value


def test_a_stop_that_is_swallowed_is_raised_again_until_it_comes_through() -> None:
    def work() -> None:
        swallow(signal.SIGTERM)
        for _ in range(2):  # which the reminders end, and are swallowed as well
            with suppress(BaseException):
                time.sleep(30)
        time.sleep(30)

    began = time.monotonic()
    assert stop_of(work).exit_code == 143
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("end", [lambda: None, lambda: sys.exit(0)])
def test_a_stop_that_nothing_was_left_to_heed_is_told_of_at_the_end(end: Callable[[], None]) -> None:
    stop = stop_of(lambda: (swallow(signal.SIGTERM), end())[1])
    assert stop.exit_code == 143
    assert describe_stop(stop) == "stopped after the last step"


def test_an_error_after_a_swallowed_stop_stays_the_error() -> None:
    def work() -> None:
        with raising_on_signals():
            swallow(signal.SIGTERM)
            sys.exit(2)

    with pytest.raises(SystemExit) as caught:
        work()
    assert caught.value.code == 2


def test_a_stop_on_its_way_is_not_raised_again_while_it_is_cleaned_up() -> None:
    cleaned = []

    def work() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(30)
        finally:
            time.sleep(4 * AGAIN)
            cleaned.append(True)

    stop_of(work)
    assert cleaned
    time.sleep(2 * AGAIN)  # in which the thread that reminds has nothing to do any more


def test_a_stop_waits_for_the_end_of_a_block_that_holds_it() -> None:
    done = []

    def work() -> None:
        with holding_stops():
            with holding_stops():
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(2 * AGAIN)
                done.append("inner")
            done.append("outer")
        done.append("behind")

    stop_of(work)
    assert done == ["inner", "outer"]


def test_a_stop_while_an_epoch_is_written_knows_of_that_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The signal comes as the log has its line, before anything else has been told of the epoch."""
    fakes.register_fakes(monkeypatch)
    frames, log = fakes.synthetic_frames("fit", fakes.FIT), tmp_path / "log.jsonl"
    write_text = train_module.write_text

    def write_and_stop(path: Path, text: str) -> Path:
        written = write_text(path, text)
        if len(text.splitlines()) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.01)
        return written

    monkeypatch.setattr(train_module, "write_text", write_and_stop)

    def work() -> None:
        train_module.train(fakes.make_training("Dot"), frames, folder=tmp_path, selection_frames=frames)

    stop = stop_of(work)
    assert describe_stop(stop) == "stopped after epoch 2 of 4"
    assert len(log.read_text().splitlines()) == 2


def test_signals_are_as_before_after_a_stop() -> None:
    def handlers() -> list[object]:
        return [signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM), sys.unraisablehook]

    before = handlers()
    stop_of(lambda: swallow(signal.SIGTERM))
    assert handlers() == before
    raise_if_asked()


def test_a_process_of_many_tasks_keeps_one_hook() -> None:
    with raising_on_signals():
        raise_once_on([signal.SIGTERM])
        first = sys.unraisablehook
        raise_once_on([signal.SIGTERM])
        assert sys.unraisablehook is first
