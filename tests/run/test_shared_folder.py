"""Several runs on one folder of results: nothing is done twice, and each has everything in the end."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import fakes
import mlflow
import pytest
from fakes import make_jobs

from bench.lock import free_lock
from bench.run.local import run_all
from bench.run.workspace import Session, Workspace

ROOT = Path(__file__).parents[2]
SUITE = """
title = "Detectors"
protocol = "native"
datasets = ["synthetic"]

[[row]]
model = "TopHat"
[[row]]
model = "ACM"
set = { "recipe.epochs" = 1 }
"""


def test_an_experiment_of_another_run_is_left_to_it_and_read_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fakes.register_fakes(monkeypatch)
    caplog.set_level(logging.INFO)
    jobs = make_jobs(tmp_path, "Dot", "Bright", recipe__epochs=1)
    workspace = Workspace.open(tmp_path / "runs")
    first, second = (workspace.result_folder(job.row.key) for job in jobs)

    def other_run() -> None:
        """Hold the first experiment until the second is done here, then finish it."""
        with free_lock(first / ".lock") as is_free:
            assert is_free
            held.set()
            while not (second / "result.json").exists():
                time.sleep(0.01)
            while "waiting for it to finish" not in caplog.text:
                time.sleep(0.01)
        done.set()

    held, done = threading.Event(), threading.Event()
    thread = threading.Thread(target=other_run, daemon=True)
    thread.start()
    held.wait(10)
    results = run_all(jobs, Session(workspace))
    assert done.is_set()
    assert [result and result.status for result in results] == ["limited", "limited"]
    label = f"{jobs[0].row.title} on {jobs[0].row.test_set}"
    assert f"{label}: another run works on it; going on with the next" in caplog.messages
    assert not list(tmp_path.rglob(".lock"))


@pytest.mark.slow
def test_two_runs_of_one_suite_share_the_work_and_one_mirror(tmp_path: Path) -> None:
    (tmp_path / "two.toml").write_text(SUITE)
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    words = ["-m", "bench", "run", "two.toml", "--limit", "train=8,test=4", "--mlflow", uri, "--json"]
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    started = [
        subprocess.Popen(
            [sys.executable, *words],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    (out, said), (other_out, other_said) = (process.communicate(timeout=300) for process in started)
    assert [process.returncode for process in started] == [0, 0]
    assert out == other_out
    assert "MLflow store" not in said + other_said
    assert "done already" in said + other_said
    client = mlflow.MlflowClient(uri)
    experiment = client.get_experiment_by_name("dfinet-bench")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    assert sorted(run.info.run_name for run in runs) == [
        "ACM on synthetic, seed 42", "TopHat on synthetic, seed 42", "two (limited)"
    ]  # fmt: skip
    assert {run.info.status for run in runs} == {"FINISHED"}
