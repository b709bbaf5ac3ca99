"""A real MLflow server on PostgreSQL: results sent and read back, a server that goes away, and many runs."""

from __future__ import annotations

import logging
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import fakes
import mlflow_servers
import pytest
from fakes import make_jobs
from mlflow_servers import Server, mlflow_server, postgres
from mlflow_stores import client_of

from bench.cli.mlflow import publish as publish_command
from bench.errors import TrackingError
from bench.run.local import run_all
from bench.run.workspace import Session, Workspace
from bench.store import mirror
from bench.store.collect import KEPT
from bench.store.files import Manifest, read_manifest, write_manifest
from bench.store.mirror import open_mirror
from bench.store.mlflow_tracker import KEY_TAG, MlflowTracker, open_tracker
from bench.store.publish import fetch_suite, publish_suite
from bench.store.unsent import UnsentMarkers
from bench.suites.expand import Job, manifest_of
from bench.suites.suite import load_suite
from reports.tables.suite_summary import summarise_suite
from tests.reports import fake_runs


@pytest.fixture(autouse=True)
def fake_networks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fakes.register_fakes(monkeypatch)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for this module: starting one takes seconds."""
    with postgres() as database, mlflow_server(database, tmp_path_factory.mktemp("server")) as running:
        yield running


def children_in(uri: str, suite: str) -> dict[str, list[Any]]:
    """The suite's children by key."""
    client = client_of(uri)
    experiment = client.get_experiment_by_name("dfinet-bench")
    runs = client.search_runs([experiment.experiment_id])
    (parent,) = [run for run in runs if run.data.tags.get("dfinet_bench.suite") == f"{suite} (limited)"]
    found: dict[str, list[Any]] = {}
    for run in runs:
        if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id:
            found.setdefault(run.data.tags[KEY_TAG], []).append(run)
    return found


def histories(uri: str, run: Any) -> dict[str, list[tuple[int, float]]]:
    client = client_of(uri)
    names = run.data.metrics
    return {name: [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, name)] for name in names}


def contents(root: Path, jobs: list[Job], suite: str) -> dict[str, bytes]:
    """Every file of a folder of results that a store holds."""
    paths = [root / "suites" / f"{suite}.json", *root.glob("trainings/*/log.jsonl")]
    paths += [root / job.row.key / name for job in jobs for name in KEPT]
    return {str(path.relative_to(root)): path.read_bytes() for path in paths if path.is_file()}


def test_results_that_are_sent_come_back_bit_for_bit(server: Server, tmp_path: Path) -> None:
    jobs = make_jobs(tmp_path, "Dot", "Echo", rounds=2, recipe__epochs=2)
    runs = tmp_path / "runs"
    write_manifest(runs, manifest_of(load_suite(str(tmp_path / "fakes.toml")), jobs))
    run_all(jobs, Session(Workspace.open(runs)))
    sent = contents(runs, jobs, "fakes")
    assert len(sent) > 10
    for _ in range(2):  # the second time all are there
        assert publish_suite(runs, "fakes", open_tracker(server.uri), summarise=summarise_suite) == 2
        back = fetch_suite(server.uri, "fakes", tmp_path / "back")
        assert {str(p.relative_to(back)): p.read_bytes() for p in back.rglob("*") if p.is_file()} == sent
    assert {key: len(found) for key, found in children_in(server.uri, "fakes").items()} == {j.row.key: 1 for j in jobs}


def test_a_row_whose_label_is_longer_than_a_name_in_the_database_is_sent(server: Server, tmp_path: Path) -> None:
    """PostgreSQL holds every text to the length that MLflow declares; sqlite takes any."""
    made = fake_runs.result()
    fake_runs.write_suite(tmp_path, [("× @ (50 %), " * 40, made, None)])
    manifest = replace(read_manifest(tmp_path, "trial"), suite="long", limited=True)
    write_manifest(tmp_path, manifest)
    assert publish_suite(tmp_path, "long", open_tracker(server.uri), summarise=summarise_suite) == 1
    (child,) = children_in(server.uri, "long")[made.key]
    assert child.info.status == "FINISHED"
    assert child.info.run_name.startswith("× @ (50 %), × @")
    assert child.info.run_name.endswith(" on NUDT-SIRST, seed 42")


class Interrupted:
    """Hands a function's calls on, and acts before one of them."""

    def __init__(self, act: Any, *, before: int) -> None:
        self._act, self._before, self.calls = act, before, 0

    def __call__(self) -> None:
        self.calls += 1
        if self.calls == self._before:
            self._act()


def test_a_server_that_goes_away_and_comes_back_misses_nothing_and_has_nothing_twice(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(mirror, "LEAST_PAUSE", 0.0)
    monkeypatch.setattr(mirror, "PAUSES", 0.0)
    caplog.set_level(logging.INFO)
    jobs = make_jobs(tmp_path, "Dot", "Echo", "Bright", recipe__epochs=4)
    jobs = [replace(job, row=replace(job.row, label=f"away {job.row.label}")) for job in jobs]
    runs, manifest = tmp_path / "runs", manifest_of(load_suite(str(tmp_path / "fakes.toml")), jobs)
    manifest = replace(manifest, suite="away")
    write_manifest(runs, manifest)
    session = Session(Workspace.open(runs), tracker=open_mirror(server.uri, runs))
    tracker = session.tracker
    kill, start = Interrupted(server.kill, before=2), Interrupted(server.start, before=7)
    log_epoch = tracker.log_epoch

    def watched(record: Any) -> None:  # dies in the second epoch of the first training, back in the third of the second
        kill()
        start()
        log_epoch(record)

    monkeypatch.setattr(tracker, "log_epoch", watched)
    tracker.begin_suite(manifest)
    results = run_all(jobs, session)
    tracker.end_suite(manifest, failed=False)
    assert start.calls >= 8
    assert {result.status for result in results if result} == {"limited"}
    assert not list(runs.rglob("*.unsent"))
    said = [record.message for record in caplog.records if "MLflow store" in record.message]
    assert len(said) == 2
    assert "connection refused: results stay in files" in said[0]
    assert said[1].endswith("answers again and has what it missed")
    children = children_in(server.uri, "away")
    assert {key: len(found) for key, found in children.items()} == {job.row.key: 1 for job in jobs}
    for job, result in zip(jobs, results, strict=True):
        (child,) = children[job.row.key]
        assert child.info.status == "FINISHED"
        found = histories(server.uri, child)
        assert result is not None
        assert found["IoU/pooled"] == [(0, result.scores["IoU/pooled"].value)]
        if result.epochs:
            assert [step for step, _ in found["train/loss"]] == [1, 2, 3, 4]


@pytest.mark.slow
def test_what_a_dead_server_missed_is_sent_by_the_next_command(server: Server, tmp_path: Path) -> None:
    (job,) = make_jobs(tmp_path, "Dot", recipe__epochs=1)
    runs, manifest = tmp_path / "runs", manifest_of(load_suite(str(tmp_path / "fakes.toml")), [job])
    manifest = replace(manifest, suite="late")
    write_manifest(runs, manifest)
    server.kill()
    session = Session(Workspace.open(runs), tracker=open_mirror(server.uri, runs))
    session.tracker.begin_suite(manifest)
    run_all([job], session)
    session.tracker.end_suite(manifest, failed=False)
    (marker,) = runs.rglob("*.unsent")
    assert marker.name.startswith("late.")
    server.start()
    open_mirror("sqlite:///other.db", runs)  # another store has missed nothing
    assert marker.exists()
    open_mirror(server.uri, runs)
    assert not marker.exists()
    assert [len(found) for found in children_in(server.uri, "late").values()] == [1]


REPORT = {"index.html": b"page", "tables/main.tex": b"table", "figures/one.png": b"picture"}


def write_report(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def report_in(uri: str, suite: str, folder: Path) -> dict[str, bytes]:
    """The files of the report below the one parent of a suite."""
    client = client_of(uri)
    runs = client.search_runs([client.get_experiment_by_name("dfinet-bench").experiment_id])
    (parent,) = [run for run in runs if run.data.tags.get("dfinet_bench.suite") == suite]
    assert parent.info.status == "FINISHED"
    folder.mkdir()
    where = Path(client.download_artifacts(parent.info.run_id, "report", str(folder)))
    return {str(path.relative_to(where)): path.read_bytes() for path in where.rglob("*") if path.is_file()}


def test_reports_that_a_server_missed_are_sent_once_by_the_next_command(
    server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One report finds the server gone, another one loses it on the way; a third suite's is removed meanwhile."""
    caplog.set_level(logging.INFO)
    runs, manifests = tmp_path / "runs", [Manifest(f"reported {name}", "Title", rows=()) for name in "abc"]
    for manifest in manifests:
        write_manifest(runs, manifest)
    mirror_before = open_mirror(server.uri, runs)
    server.kill()
    folders = [write_report(tmp_path / f"report {number}", REPORT) for number in range(3)]
    for manifest, folder in zip(manifests, folders, strict=True):
        tracker = mirror_before if manifest is manifests[1] else open_mirror(server.uri, runs)
        tracker.log_report(manifest, folder)
    assert len(list(runs.rglob("*.unsent"))) == 3
    write_report(folders[1], {"index.html": b"another page", "more.txt": b"made anew"})
    shutil.rmtree(folders[2])
    open_mirror(server.uri, runs)  # the server is away still
    assert len(list(runs.rglob("*.unsent"))) == 3

    server.start()
    open_mirror("sqlite:///other.db", runs)  # another store has missed nothing
    assert len(list(runs.rglob("*.unsent"))) == 3
    caplog.clear()
    open_mirror(server.uri, runs)
    assert not list(runs.rglob("*.unsent"))
    (lost,) = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert lost.endswith(f"{folders[2]}: no such folder; dfinet-bench report reported c makes the report again")
    said = [record.message for record in caplog.records if "is there now" in record.message]
    assert len(said) == 2
    expected = [REPORT, {**REPORT, "index.html": b"another page", "more.txt": b"made anew"}]
    for place, files in enumerate(expected):
        assert report_in(server.uri, manifests[place].suite, tmp_path / f"back {place}") == files

    caplog.clear()
    open_mirror(server.uri, runs)
    assert not [record for record in caplog.records if "is there now" in record.message]


def test_publish_sends_a_report_that_was_missed_and_a_report_that_is_sent_leaves_no_mark(
    server: Server, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    fake_runs.write_suite(runs, [("ACM", fake_runs.result(), None)])
    manifest = replace(read_manifest(runs, "trial"), suite="published")
    write_manifest(runs, manifest)
    folder = write_report(tmp_path / "report", REPORT)
    server.kill()
    try:
        open_mirror(server.uri, runs).log_report(manifest, folder)
        with pytest.raises(TrackingError):
            publish_command("published", source=runs, mlflow=server.uri)
        assert len(list(runs.rglob("*.unsent"))) == 1
    finally:
        server.start()
    publish_command("published", source=runs, mlflow=server.uri)
    assert not list(runs.rglob("*.unsent"))
    assert report_in(server.uri, "published", tmp_path / "back") == REPORT
    write_report(folder, {"index.html": b"later page"})
    open_mirror(server.uri, runs).log_report(manifest, folder)
    assert not list(runs.rglob("*.unsent"))
    assert report_in(server.uri, "published", tmp_path / "again") == {**REPORT, "index.html": b"later page"}


def test_the_means_of_a_suite_that_was_missed_are_sent_by_the_next_command(server: Server, tmp_path: Path) -> None:
    fake_runs.write_suite(tmp_path, [("ACM", fake_runs.result(), None)])
    manifest = replace(read_manifest(tmp_path, "trial"), suite="means", limited=True)
    write_manifest(tmp_path, manifest)
    UnsentMarkers(tmp_path, server.uri).mark("means")
    open_mirror(server.uri, tmp_path, summarise=summarise_suite)
    client = client_of(server.uri)
    runs = client.search_runs([client.get_experiment_by_name("dfinet-bench").experiment_id])
    (parent,) = [run for run in runs if run.data.tags.get("dfinet_bench.suite") == "means (limited)"]
    assert parent.data.metrics["IoU/pooled/NUDT-SIRST/ACM"] == 0.65


def test_more_than_a_thousand_runs_are_all_found(tmp_path: Path) -> None:
    """A search gives 1,000 runs at a time."""
    tracker = MlflowTracker(f"sqlite:///{tmp_path}/mlflow.db")
    number = int(tracker._experiment)
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        rows = [(f"{place:032x}", number, place) for place in range(2300)]
        database.executemany(
            "INSERT INTO runs (run_uuid, name, source_type, user_id, status, start_time, lifecycle_stage, "
            "artifact_uri, experiment_id) SELECT ?1, 'r', 'LOCAL', 'u', 'FINISHED', ?3, 'active', 'file:///none', ?2",
            rows,
        )
        tags = [(KEY_TAG, f"k{place}", f"{place:032x}") for place in range(2300)]
        database.executemany("INSERT INTO tags (key, value, run_uuid) VALUES (?, ?, ?)", tags)
    database.close()
    found = tracker._find({})
    assert len(found) == 2300
    assert {run.data.tags[KEY_TAG] for run in found} == {f"k{place}" for place in range(2300)}


def test_the_reason_why_a_test_is_skipped_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="apt-get install postgresql"):
        mlflow_servers._program("no-such-program")
