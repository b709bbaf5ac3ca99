"""Experiments side by side, each in its own process: the same numbers, each event told once, a dead worker survived."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bench.errors import StoreError
from bench.lock import free_lock
from bench.models.network import MODELS
from bench.registry import load_plugin
from bench.run import side_by_side
from bench.run.local import run_all
from bench.run.workspace import Session, Workspace
from bench.store.files import read_result, write_manifest
from bench.store.tracker import Tracker
from bench.suites.expand import Job, expand, manifest_of
from bench.suites.suite import Limit, load_suite
from bench.types import Row, RunResult
from reports.results.entries import read_suite

PLUGIN = """
import logging, os, signal, warnings
from multiprocessing import parent_process

import torch
from torch import nn

from bench.models.network import Segmenter, model

log = logging.getLogger("bench.tiny")
PAPER = {"cite": "none", "source": "tests", "licence": "MIT", "recipe": "basicirstd"}


class Tiny(Segmenter):
    def __init__(self, width=3):
        super().__init__()
        self.first, self.last = nn.Conv2d(1, width, 3, padding=1), nn.Conv2d(width, 1, 1)

    def forward(self, image, start=None):
        return self.last(torch.relu(self.first(image)))


@model("Tiny", **PAPER)
def tiny(*, channels, width=3):
    return Tiny(width)


class Dies(Tiny):
    def training_loss(self, batch, loss, *, epoch):
        if epoch == 2 and parent_process() is not None:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().training_loss(batch, loss, epoch=epoch)


@model("Dies", **PAPER)
def dies(*, channels):
    return Dies()


class Quits(Tiny):
    def training_loss(self, batch, loss, *, epoch):
        log.warning("about to quit")
        warnings.warn("about to quit", UserWarning)
        raise SystemExit(3)


@model("Quits", **PAPER)
def quits(*, channels):
    return Quits()
"""
SUITE = """
datasets = ["synthetic"]
{more}

[set]
"recipe.patch" = 32
"recipe.epochs" = 2

{rows}
"""


@dataclass
class Diary(Tracker):
    """A tracker that notes for every experiment what it is told."""

    told: dict[str, list[str]] = field(default_factory=dict)
    row: str = ""

    def note(self, row: Row, event: str) -> None:
        self.row = f"{row.label} on {row.test_set}"
        self.told.setdefault(self.row, []).append(event)

    def begin_experiment(self, row: Row) -> None:
        self.note(row, "begin")

    def continue_experiment(self, row: Row) -> None:
        self.row = f"{row.label} on {row.test_set}"

    def log_epoch(self, record: Mapping[str, float]) -> None:
        self.told[self.row].append(f"epoch {record['epoch']}")

    def end_experiment(self, row: Row, result: RunResult, folder: Path) -> None:
        self.note(row, f"end: {result.status}")
        assert read_result(folder) == result

    def log_stored(self, row: Row, result: RunResult, folder: Path) -> None:
        self.note(row, f"stored: {result.status}")


class Lines:
    """Progress that notes its lines' steps."""

    def __init__(self, shown: list[str]) -> None:
        self.shown = shown

    def further(self) -> Lines:
        return Lines(self.shown)

    def begin(self, what: str, total: int) -> None:
        self.shown.append(f"{what} of {total}")

    def advance(self, note: str = "") -> None:
        self.shown.append(note)

    def end(self) -> None:
        pass


@pytest.fixture(autouse=True)
def plugin(tmp_path: Path, one_thread: None, own_networks: None) -> None:
    """Three networks of a plugin."""
    (tmp_path / "tiny.py").write_text(PLUGIN)
    load_plugin(tmp_path / "tiny.py")


def jobs_of(folder: Path, *models: str, more: str = "") -> list[Job]:
    """A suite of the models on three synthetic images; its manifest is written."""
    rows = "".join(f'[[row]]\nmodel = "{model}"\n' for model in models)
    (folder / "side.toml").write_text(SUITE.format(more=more, rows=rows))
    suite = load_suite(str(folder / "side.toml"))
    jobs = expand(suite, info_of=lambda name: MODELS.get(name).info, limit=Limit(train=7, test=3))
    write_manifest(folder / "runs", manifest_of(suite, jobs))
    return jobs


def session_of(runs: Path, workers: int | None, **live: Any) -> Session:
    return Session(Workspace.open(runs), workers=workers, **live)


def test_two_workers_give_the_numbers_of_one_process_and_survive_a_dead_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    caplog.set_level(logging.INFO)
    jobs = jobs_of(tmp_path, "Dies", "Quits", "Tiny", more='corruptions = ["clean", "drift@5"]')
    diary, shown = Diary(), list[str]()
    results = run_all(jobs, session_of(tmp_path / "runs", 2, tracker=diary, progress=Lines(shown)))
    assert [result and result.status for result in results] == ["failed"] * 4 + ["limited"] * 2
    assert diary.told == {
        "Dies on synthetic": ["begin", "epoch 1", "end: failed"],
        "Dies on synthetic + drift@5": ["begin", "epoch 1", "end: failed"],
        "Quits on synthetic": ["begin", "end: failed"],
        "Quits on synthetic + drift@5": ["begin", "end: failed"],
        "Tiny on synthetic": ["begin", "epoch 1", "epoch 2", "end: limited"],
        "Tiny on synthetic + drift@5": ["begin", "epoch 1", "epoch 2", "end: limited"],
    }
    died, quit_ = (results[place] for place in (0, 2))
    assert died is not None
    assert quit_ is not None
    assert died.reason == "WorkerError: the worker process was killed by SIGKILL, as one is that runs out of memory"
    assert quit_.reason == "PluginError: the model called sys.exit(3)"
    assert caplog.messages.count("about to quit") == 2
    assert [str(each.message) for each in recwarn if each.category is UserWarning] == ["about to quit"]
    assert {"epoch 1/2 of 1", "predict Tiny on synthetic of 3", "experiments of 6", "measure costs of 2"} <= set(shown)
    assert len(list((tmp_path / "runs/trainings").iterdir())) == 3
    assert not [path for name in ("scored.json", "*.part") for path in tmp_path.rglob(name)]

    plain = run_all(jobs[4:], session_of(tmp_path / "plain", 1))
    for one, other in zip(results[4:], plain, strict=True):
        assert one is not None
        assert other is not None
        assert one.rounds == other.rounds
        assert [cost.parameters for cost in one.costs] == [cost.parameters for cost in other.costs]
        assert [stretch["threads"] for stretch in one.environment["trained_with"]] == [1]
        assert one.environment == other.environment
        stored = "predictions.npz"
        assert (tmp_path / "runs" / one.key / stored).read_bytes() == (
            tmp_path / "plain" / one.key / stored
        ).read_bytes()


def test_a_run_that_is_killed_before_its_costs_measures_them_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = jobs_of(tmp_path, "Tiny", more="seeds = [1, 2]")

    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("bench.run.experiment.measure_fresh", stop)
        with pytest.raises(KeyboardInterrupt) as stopped:
            run_all(jobs, session_of(tmp_path / "runs", 2))
    assert stopped.value.__notes__ == ["(Tiny on synthetic); the same command goes on"]
    folders = [tmp_path / "runs" / job.row.key for job in jobs]
    assert [(folder / "scored.json").is_file() for folder in folders] == [True, True]
    with pytest.raises(StoreError, match=r"result\.json: no such file \(scored, but its cost is not measured yet"):
        read_result(folders[0])
    _, entries = read_suite(tmp_path / "runs", "side")
    assert {entry.reason for entry in entries} == {"scored, but its cost is not measured yet; run the suite again"}

    monkeypatch.setattr("bench.run.experiment.predict_and_score", lambda *_: pytest.fail("it was predicted again"))
    monkeypatch.setattr(side_by_side, "start_process", lambda *_, **__: pytest.fail("a worker was started"))
    states = [path.stat().st_mtime_ns for path in sorted((tmp_path / "runs").rglob("state.pt"))]
    assert len(states) == 2
    diary = Diary()
    first = run_all(jobs[:1], session_of(tmp_path / "runs", 1, tracker=diary))
    second = run_all(jobs[1:], session_of(tmp_path / "runs", 2, tracker=diary))
    assert [result and result.status for result in (*first, *second)] == ["limited", "limited"]
    assert diary.told == {"Tiny on synthetic": ["begin", "epoch 1", "epoch 2", "end: limited"] * 2}
    assert states == [path.stat().st_mtime_ns for path in sorted((tmp_path / "runs").rglob("state.pt"))]
    assert not list(tmp_path.rglob("scored.json"))


def test_an_experiment_of_another_run_is_left_to_it_and_no_worker_waits_for_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    jobs = jobs_of(tmp_path, "Tiny", more="seeds = [1, 2]")
    first, second = (tmp_path / "runs" / job.row.key for job in jobs)
    held = threading.Event()

    def other_run() -> None:
        """Hold the first experiment until the second is scored here and this run waits."""
        with free_lock(first / ".lock"):
            held.set()
            while not (second / "scored.json").exists() or "waiting for it to finish" not in caplog.text:
                time.sleep(0.01)

    threading.Thread(target=other_run, daemon=True).start()
    assert held.wait(10)
    results = run_all(jobs, session_of(tmp_path / "runs", 2))
    assert [result and result.status for result in results] == ["limited", "limited"]
    assert caplog.messages.count("Tiny on synthetic: another run works on it; going on with the next") == 1
