"""What `run` shows while it runs: real commands on a pseudo-terminal, into a pipe, quietly, and into a log file."""

from __future__ import annotations

import errno
import fcntl
import io
import json
import logging
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from commands import caller
from rich.console import Console

from bench.cli.display.log_file import logged_to, rows_log
from bench.cli.display.rows import RunDisplay
from bench.progress import PlannedRow

ROOT = Path(__file__).parents[2]
WIDTH, HEIGHT = 80, 24
NETWORK = """
import os, pathlib, time
import torch
from torch import nn
from bench.models.network import Segmenter, model

class Waits(Segmenter):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 1)

    def forward(self, image, start=None):
        while len(list(pathlib.Path("runs").glob("*/scored.json"))) == 3:  # all rows are scored, and costs measured
            time.sleep(0.1)
        return self.conv(image)

    def training_loss(self, batch, loss, *, epoch):
        time.sleep(0.05)
        while epoch == 2 and "TOGETHER" in os.environ and len(list(pathlib.Path("runs").glob("*/*/log.jsonl"))) < 2:
            time.sleep(0.05)
        return super().training_loss(batch, loss, epoch=epoch)

@model("Waits", cite="none", source="tests", licence="MIT", recipe="basicirstd")
def build(*, channels):
    return Waits()
"""
SUITE = """
plugins = ["waits.py"]
datasets = ["synthetic"]
seeds = [1, 2, 3]
[set]
"recipe.epochs" = 4
"recipe.patch" = 32
"recipe.batch" = 2
[[row]]
model = "Waits"
"""


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """A command that runs three rows of a network that takes its time."""
    (tmp_path / "waits.py").write_text(NETWORK)
    (tmp_path / "few.toml").write_text(SUITE)
    return [sys.executable, "-m", "bench", "run", "few.toml", "--limit", "train=10,test=3", "--mlflow", "off"]


@pytest.fixture
def environment() -> dict[str, str]:
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path, "TERM": "xterm-256color", "OMP_NUM_THREADS": "1"}


@dataclass
class Shown:
    """What a terminal showed: its screens, one after the other, and the exit code."""

    screens: list[str]
    code: int
    is_cursor_hidden: bool


def on_a_terminal(words: list[str], folder: Path, env: dict[str, str], heed: Callable[[str, int], None]) -> Shown:
    """Run a command on a pseudo-terminal of 80 columns; `heed` is called with each screen and the process."""
    pyte = pytest.importorskip("pyte")
    parent, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", HEIGHT, WIDTH, 0, 0))
    process = subprocess.Popen(
        words, cwd=folder, env=env, stdin=child, stdout=child, stderr=child, start_new_session=True
    )
    os.close(child)
    screen = pyte.Screen(WIDTH, HEIGHT)
    stream, screens = pyte.ByteStream(screen), [""]
    until = time.monotonic() + 120
    while time.monotonic() < until:
        if select.select([parent], [], [], 0.2)[0]:
            try:
                stream.feed(os.read(parent, 65536))
            except OSError as error:
                assert error.errno == errno.EIO  # noqa: PT017  the end of the process
                break
        now = "\n".join(line.rstrip() for line in screen.display).rstrip()
        if now != screens[-1]:
            screens.append(now)
            heed(now, process.pid)
    os.close(parent)
    return Shown(screens, process.wait(timeout=30), screen.cursor.hidden)


@pytest.mark.slow
def test_a_terminal_shows_every_row_that_runs_and_is_left_as_it_was_by_an_interrupt(
    words: list[str], environment: dict[str, str], tmp_path: Path
) -> None:
    sent = []

    def interrupt(screen: str, process: int) -> None:
        if "measure costs" in screen and not sent:
            sent.append(os.killpg(process, signal.SIGINT))

    environment["TOGETHER"] = "for the second epoch two rows wait for each other"
    log = tmp_path / "logs/run.log"
    shown = on_a_terminal([*words, "--workers", "2", "--log-file", str(log)], tmp_path, environment, interrupt)
    both = [screen for screen in shown.screens if "0 of 3 rows done, 2 running, 1 waiting" in screen]
    assert both
    assert "left" not in both[0]  # before the first epoch
    rows = "\n".join(both)
    line = r"^Waits on synthetic, seed {} +epoch [234]/4 +━\S* +loss 0\.\d{{4}}$"
    assert all(re.search(line.format(seed), rows, re.M) for seed in (1, 2)), rows
    assert re.search(r"^about [\d.]+ s left$", rows, re.M)
    assert any(re.search("0 of 3 rows done, 3 scored\nmeasure costs +━+ +0/3", each) for each in shown.screens)
    assert (shown.code, shown.is_cursor_hidden) == (130, False)
    last = shown.screens[-1]
    assert "Waits on synthetic, seed 3: scored after" in last
    assert last.endswith("stopped (Waits on synthetic); the same command goes on")
    assert not re.search("rows done|measure costs +━", last), last
    assert log.read_text().splitlines()[-1].endswith(f"ERROR   {last.splitlines()[-1]}")


def test_elsewhere_there_are_plain_lines_and_standard_output_is_json_alone(
    words: list[str],
    environment: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    log = tmp_path / "run.log"
    words += ["--seed", "1", "--seed", "2", "--log-file", str(log)]
    done = subprocess.run(
        [*words, "--background", "--json"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert len(json.loads(done.stdout)["results"]) == 2
    lines = done.stderr.splitlines()
    took = r"done after [\dmins .]+"
    first = rf"Waits on synthetic, seed 1: {took}; 1 of 2 rows done, 1 waiting; about [\dmins .]+ left"
    assert re.fullmatch(first, lines[0])
    assert re.fullmatch(rf"Waits on synthetic, seed 2: {took}; 2 of 2 rows done", lines[1])
    assert len(lines) == 2
    logged = log.read_text().splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4} INFO    ", line) for line in logged)
    assert sum(": epoch " in line and "loss 0." in line and "seconds " in line for line in logged) == 8

    monkeypatch.chdir(tmp_path)
    quiet = caller(monkeypatch, capfd)(*words[3:], "--quiet")
    assert (quiet.code, quiet.err) == (0, "")
    assert quiet.out.count("synthetic") == 2
    assert log.read_text().count("done already") == 2
    assert log.read_text().startswith(logged[0])


class Watch:
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def display_into(text: io.StringIO, watch: Watch, **options: float) -> RunDisplay:
    return RunDisplay(console=Console(file=text, width=200), clock=watch, **options)


def test_epochs_are_plain_lines_at_most_once_a_minute() -> None:
    text, watch = io.StringIO(), Watch()
    display = display_into(text, watch)
    with display.shown():
        display.plan([PlannedRow("a", "Net on set", "Net", "training", 400)])
        display.row_began("a")
        for epoch in range(1, 14):
            watch.now = 10.0 * epoch
            display.row_learnt("a", {"epoch": epoch, "loss": 1 / epoch, "seconds": 10.0})
    assert text.getvalue().splitlines() == [
        "Net on set: epoch 6 of 400, loss 0.1667; 0 of 1 rows done, 1 running; about 1 h 6 min left",
        "Net on set: epoch 12 of 400, loss 0.0833; 0 of 1 rows done, 1 running; about 1 h 5 min left",
    ]


def test_a_budget_stands_beside_the_time_that_all_rows_need() -> None:
    text, watch = io.StringIO(), Watch()
    display = display_into(text, watch, budget=100.0)
    display.plan([PlannedRow(key, f"Net on {key}", "Net") for key in "abc"])
    for at, key in ((0.0, "a"), (60.0, "b")):
        watch.now = at
        display.row_began(key)
        watch.now = at + 60
        display.row_ended(key, "done")
    assert text.getvalue().splitlines() == [
        "Net on a: done after 1 min; 1 of 3 rows done, 2 waiting; about 2 min left; rows begin for 40 s more",
        "Net on b: done after 1 min; 2 of 3 rows done, 1 waiting; about 1 min left; the budget is over",
    ]


def test_a_terminal_too_small_for_all_rows_says_how_many_more_run() -> None:
    small = Console(file=io.StringIO(), width=60, height=10)
    display = RunDisplay(console=small, clock=Watch())
    name = "A network of a long name on set"
    display.plan([PlannedRow(f"{number}", f"{name} {number}", "Net", f"{number}", 400) for number in range(30)])
    for number in range(20):
        display.row_began(f"{number}")
    with small.capture() as shown:
        small.print(display.render())
    lines = [line.rstrip() for line in shown.get().splitlines()]
    assert lines[0] == "0 of 30 rows done, 20 running, 10 waiting"
    assert lines[-1] == "and 16 more"
    assert len(lines) == 6


def test_a_log_file_that_takes_no_more_is_told_of_once_and_one_that_cannot_be_opened_at_once(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(IsADirectoryError), logged_to(tmp_path):
        pass
    with logged_to(Path("/dev/full")):
        rows_log.info("one")
        logging.getLogger("bench").warning("two")
    said = capfd.readouterr().err
    assert said.count("/dev/full: takes no more lines; the run goes on without") == 1
    assert "Traceback" not in said
