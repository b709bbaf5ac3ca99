"""An MLflow store on sqlite for tests: made by copying, filled as the command line does, read by MLflow's client."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from bench.run.experiment import environment_of
from bench.run.local import run_all
from bench.run.workspace import Session, Workspace
from bench.store.files import Manifest, write_manifest
from bench.store.mirror import open_mirror
from bench.store.mlflow_tracker import KEY_TAG
from bench.store.tracker import PlannedExperiment
from bench.suites.expand import Job, manifest_of
from bench.suites.suite import load_suite


def fresh_store(empty_store: Path, path: Path) -> str:
    """The empty store copied to `path`, its artifacts beside it; by its uri."""
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(empty_store.read_bytes())
    with sqlite3.connect(path) as database:
        database.execute("UPDATE experiments SET artifact_location = ?", ((path.parent / "mlartifacts").as_uri(),))
    database.close()
    return f"sqlite:///{path}"


def run_suite(jobs: list[Job], folder: Path, uri: str) -> Manifest:
    """The jobs as the command line runs them: manifest, live tracking, files."""
    manifest = manifest_of(load_suite(str(folder / "fakes.toml")), jobs)
    write_manifest(folder / "runs", manifest)
    session = Session(Workspace.open(folder / "runs"), tracker=open_mirror(uri, folder / "runs"))
    plans = {job.row.key: PlannedExperiment(job.experiment, environment_of(job, session)) for job in jobs}
    session.tracker.begin_suite(manifest, plans)
    results = run_all(jobs, session)
    session.tracker.end_suite(manifest, failed=any(result and result.status == "failed" for result in results))
    return manifest


def client_of(uri: str) -> Any:
    """MLflow's own client on the store."""
    import mlflow

    return mlflow.MlflowClient(tracking_uri=uri)


def runs_in(uri: str) -> list[Any]:
    """All active runs, oldest first."""
    client = client_of(uri)
    experiment = client.get_experiment_by_name("dfinet-bench")
    return sorted(client.search_runs([experiment.experiment_id]), key=lambda run: run.info.start_time)


def child_of(uri: str, key: str) -> Any:
    """The one run of an experiment."""
    (child,) = [run for run in runs_in(uri) if run.data.tags.get(KEY_TAG) == key]
    return child


def metrics_of(uri: str, run: Any) -> dict[str, list[tuple[int, float]]]:
    """Metric name to its (step, value) history."""
    client = client_of(uri)
    return {
        name: sorted((one.step, one.value) for one in client.get_metric_history(run.info.run_id, name))
        for name in run.data.metrics
    }
