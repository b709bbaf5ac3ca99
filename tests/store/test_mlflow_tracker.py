"""MLflow mirrors the files: live or published later, once or twice, the same runs with the same numbers."""

from __future__ import annotations

import importlib.util
import json
import logging
import math
import os
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import cv2
import fakes
import numpy as np
import pytest
import torch
from fakes import LossBreaks, make_jobs
from mlflow_stores import child_of, client_of, fresh_store, metrics_of, run_suite, runs_in
from records import RESULT, ROW

from bench.data.images.frames import Frame
from bench.errors import StoreError, TrackingError
from bench.prediction.predict import predict
from bench.run.local import run_all
from bench.run.workspace import Session, Workspace
from bench.store import mlflow_tracker
from bench.store.files import Manifest, load_arrays, read_result, write_manifest, write_result, write_text
from bench.store.mirror import Mirror, open_mirror
from bench.store.mlflow_tracker import KEY_TAG, PARENT_TAG, SUITE_TAG, MlflowTracker, open_tracker
from bench.store.publish import open_page, publish_suite, send_models
from bench.store.tracker import PlannedExperiment, Tracker
from bench.suites.expand import manifest_of
from bench.suites.suite import load_suite
from bench.types import RunResult, Score
from bench.weights.load import load_model
from reports.tables.suite_summary import summarise_suite

pytestmark = pytest.mark.usefixtures("environment")


@pytest.fixture(autouse=True)
def fake_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    fakes.register_fakes(monkeypatch)


def test_the_note_of_a_run_says_how_many_test_images_it_learnt_from(tmp_path: Path, uri: str) -> None:
    (job,) = make_jobs(tmp_path, "Dot", recipe__epochs=1)
    leaky = replace(job, row=replace(job.row, leaked=1))
    run_suite([leaky], tmp_path, uri)
    count = job.experiment.images.count
    note = child_of(uri, job.row.key).data.tags["mlflow.note.content"]
    assert note == f"leak: 1 of {count} test images were in the training list"


def test_experiments_that_run_at_the_same_time_have_their_own_epochs(tmp_path: Path, uri: str) -> None:
    first, second = (job.row for job in make_jobs(tmp_path, "Dot", "Echo", rounds=2))
    tracker = MlflowTracker(uri)
    tracker.begin_suite(Manifest("fakes", "Fakes", (first, second)))
    tracker.begin_experiment(first)
    tracker.begin_experiment(second)
    for row, epoch, loss in ((first, 1, 0.5), (second, 1, 0.25), (first, 2, 0.125)):
        tracker.continue_experiment(row)
        tracker.log_epoch({"epoch": epoch, "loss": loss})
    losses = [metrics_of(uri, child_of(uri, row.key))["train/loss"] for row in (first, second)]
    assert losses == [[(1, 0.5), (2, 0.125)], [(1, 0.25)]]


def test_a_suite_is_a_parent_and_its_experiments_are_children(tmp_path: Path, uri: str) -> None:
    jobs = make_jobs(tmp_path, "Dot", "Echo", rounds=2, recipe__epochs=2)
    run_suite(jobs, tmp_path, uri)
    (parent,) = [run for run in runs_in(uri) if SUITE_TAG in run.data.tags]
    assert parent.data.tags[SUITE_TAG] == "fakes (limited)"
    assert parent.data.tags["mlflow.note.content"] == "Fakes"
    assert parent.info.status == "FINISHED"
    children = [run for run in runs_in(uri) if PARENT_TAG in run.data.tags]
    assert [run.data.tags[KEY_TAG] for run in children] == [job.row.key for job in jobs]
    assert {run.data.tags[PARENT_TAG] for run in children} == {parent.info.run_id}
    assert [run.info.run_name for run in children] == ["Dot on synthetic, seed 42", "Echo on synthetic, seed 42"]

    child, result = children[1], read_result(tmp_path / "runs" / jobs[1].row.key)
    assert child.info.status == "FINISHED"
    params = child.data.params
    assert (params["model"], params["protocol"], params["seed"]) == ("Echo", "native", "42")
    assert float(params["experiment.weights.recipe.lr"]) == 5e-4
    assert params["experiment.images.digest"] == result.experiment.images.digest
    assert params["scoring.threshold"] == "0.5"
    assert child.data.tags["dataset_digest"] == result.environment["dataset_digest"]
    metrics = metrics_of(uri, child)
    assert [step for step, _ in metrics["train/loss"]] == [1, 2]
    assert {"train/lr", "train/seconds", "train/selection_IoU", "train/selection_loss"} <= set(metrics)
    assert metrics["IoU/pooled"] == [(0, result.scores["IoU/pooled"].value)]
    assert metrics["round/IoU/pooled"] == [
        (number, scores["IoU/pooled"].value) for number, scores in enumerate(result.rounds, start=1)
    ]
    assert metrics["FPS"] == [(0, result.costs[0].images_per_s)]
    cost = result.costs[0]
    assert cost.macs is not None
    assert metrics["cost/MACs"] == [(0, cost.macs)]
    assert metrics["FLOPs"] == [(0, 2 * cost.macs)], "a multiply-accumulate is two operations"
    assert ("cost/MACs_fvcore" in metrics) == (cost.flops_fvcore is not None)
    assert metrics["cost/parameters"] == [(0, 3.0)]
    inputs = {one.dataset.name: one for one in child.inputs.dataset_inputs}
    assert set(inputs) == {"synthetic/bench/fit", "synthetic/bench/test"}
    assert inputs["synthetic/bench/test"].dataset.digest == result.experiment.images.digest[:32]
    stored = client_of(uri).download_artifacts(child.info.run_id, "result.json")
    assert json.loads(Path(stored).read_text())["key"] == jobs[1].row.key


def test_running_a_suite_twice_and_publishing_it_leaves_one_copy(tmp_path: Path, uri: str) -> None:
    jobs = make_jobs(tmp_path, "Dot", "Echo", recipe__epochs=2)
    run_suite(jobs, tmp_path, uri)
    before = {run.info.run_id: metrics_of(uri, run) for run in runs_in(uri)}
    run_suite(jobs, tmp_path, uri)
    assert publish_suite(tmp_path / "runs", "fakes", open_tracker(uri)) == 2
    assert {run.info.run_id: metrics_of(uri, run) for run in runs_in(uri)} == before
    assert len(before) == 3


def test_publishing_files_makes_what_live_logging_makes(tmp_path: Path, uri: str, empty_store: Path) -> None:
    jobs = make_jobs(tmp_path, "Dot", "Echo", recipe__epochs=2)
    run_suite(jobs, tmp_path, uri)
    later = fresh_store(empty_store, tmp_path / "later" / "mlflow.db")
    assert publish_suite(tmp_path / "runs", "fakes", open_tracker(later)) == 2
    assert [run.info.run_name for run in runs_in(later)] == [run.info.run_name for run in runs_in(uri)]
    for job in jobs:
        live, published = child_of(uri, job.row.key), child_of(later, job.row.key)
        assert metrics_of(later, published) == metrics_of(uri, live)
        assert "train/loss" in metrics_of(later, published)
        assert published.data.params == live.data.params
        assert published.info.status == live.info.status


def test_a_training_shared_by_two_experiments_is_logged_with_both(tmp_path: Path, uri: str) -> None:
    one, two = (make_jobs(tmp_path, "Echo", rounds=rounds, recipe__epochs=2)[0] for rounds in (2, 3))
    run_suite([one, two], tmp_path, uri)
    assert len(list((tmp_path / "runs" / "trainings").iterdir())) == 1
    histories = [metrics_of(uri, child_of(uri, job.row.key))["train/loss"] for job in (one, two)]
    assert histories[0] == histories[1]
    assert [step for step, _ in histories[0]] == [1, 2]


def test_a_failed_experiment_is_failed_there_and_replaced_when_it_succeeds(
    tmp_path: Path, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = make_jobs(tmp_path, "LossBreaks", recipe__epochs=2)
    run_suite(jobs, tmp_path, uri)
    parent, failed = runs_in(uri)
    assert (parent.info.status, failed.info.status) == ("FAILED", "FAILED")
    assert "the loss is nan in epoch 2" in failed.data.tags["mlflow.note.content"]
    monkeypatch.setattr(LossBreaks, "found", 1.0)
    run_suite(jobs, tmp_path, uri)
    parent, done = runs_in(uri)
    assert (parent.info.status, done.info.status) == ("FINISHED", "FINISHED")
    assert done.data.tags["mlflow.note.content"] == ""
    assert [step for step, _ in metrics_of(uri, done)["train/loss"]] == [1, 2]
    assert [artifact.path for artifact in client_of(uri).list_artifacts(done.info.run_id)] == [
        "examples",
        "result.json",
    ]


def test_a_result_that_was_made_again_replaces_the_earlier_one(tmp_path: Path, uri: str) -> None:
    (job,) = make_jobs(tmp_path, "Dot")
    run_suite([job], tmp_path, uri)
    (tmp_path / "runs" / job.row.key / "result.json").unlink()
    run_suite([job], tmp_path, uri)
    child, result = child_of(uri, job.row.key), read_result(tmp_path / "runs" / job.row.key)
    assert metrics_of(uri, child)["FPS"] == [(0, result.costs[0].images_per_s)]


def test_a_report_lies_below_the_parent_and_leaves_its_status(tmp_path: Path, uri: str) -> None:
    jobs = make_jobs(tmp_path, "LossBreaks", recipe__epochs=2)
    manifest = run_suite(jobs, tmp_path, uri)
    write_text(tmp_path / "report" / "tables" / "table.tex", "x")
    open_tracker(uri).log_report(manifest, tmp_path / "report")
    parent = next(run for run in runs_in(uri) if SUITE_TAG in run.data.tags)
    assert parent.info.status == "FAILED"
    listed = client_of(uri).list_artifacts(parent.info.run_id, "report/tables")
    assert [artifact.path for artifact in listed] == ["report/tables/table.tex"]
    assert (tmp_path / "mlartifacts").is_dir(), "artifacts lie beside the store"


def test_a_report_of_a_suite_that_was_never_logged_makes_a_finished_parent(tmp_path: Path, uri: str) -> None:
    write_text(tmp_path / "report" / "index.html", "x")
    open_tracker(uri).log_report(Manifest("alone", "Title", rows=()), tmp_path / "report")
    (parent,) = runs_in(uri)
    assert (parent.data.tags[SUITE_TAG], parent.info.status) == ("alone", "FINISHED")


def test_publishing_skips_rows_without_a_result_and_says_so(
    tmp_path: Path, uri: str, caplog: pytest.LogCaptureFixture
) -> None:
    write_manifest(tmp_path, Manifest("s", "Title", rows=(ROW,)))
    with caplog.at_level(logging.WARNING):
        assert publish_suite(tmp_path, "s", open_tracker(uri)) == 0
    assert f"{ROW.key}/result.json: no such file" in caplog.text
    with pytest.raises(StoreError, match="dfinet-bench run never"):
        publish_suite(tmp_path, "never", open_tracker(uri))


def test_telemetry_is_off(uri: str) -> None:
    open_tracker(uri)
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"


def test_opening_a_tracker_makes_the_database(empty_store: Path) -> None:
    with sqlite3.connect(empty_store) as database:
        names = [name for (name,) in database.execute("SELECT name FROM experiments")]
    database.close()
    assert "dfinet-bench" in names


def test_the_environment_names_the_store_where_the_call_does_not(
    uri: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    tracker = open_tracker()
    assert isinstance(tracker, MlflowTracker)
    assert tracker.uri == uri
    assert type(open_tracker("off")) is Tracker
    assert not (tmp_path / "elsewhere.db").exists()


@pytest.mark.parametrize("broken", ["nonsense://x", "sqlite:////proc/none/x.db", "http://127.0.0.1:9"])
def test_a_store_that_cannot_be_used_is_named_in_one_line(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(TrackingError) as caught:
        open_tracker(broken)
    assert str(caught.value).startswith(f"MLflow store {broken}: cannot be used (")
    assert "\n" not in str(caught.value)
    assert ("expected one as sqlite:///FILE.db" in str(caught.value)) == broken.startswith("nonsense")


def test_a_server_that_is_not_there_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, uri: str) -> None:
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", raising=False)
    open_tracker(uri)
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "2", "MLflow's own seven take four minutes"


@contextmanager
def silent_server() -> Iterator[str]:
    """The address of a server that takes connections and answers nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_a_store_that_cannot_be_used_costs_one_line_within_ten_seconds(
    tmp_path: Path, uri: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mlflow_tracker, "PATIENCE", 1.0)
    monkeypatch.setattr(mlflow_tracker, "SQLITE_PATIENCE", 1.0)
    (tmp_path / "text.db").write_text("no database")
    with silent_server() as silent, closing(sqlite3.connect(tmp_path / "mlflow.db")) as other:
        other.execute("BEGIN EXCLUSIVE")
        reasons = {
            "http://127.0.0.1:9": "connection refused",
            silent: "no answer within 1 s",
            uri: "database is locked",
            f"sqlite:///{tmp_path}/text.db": "file is not a database",
        }
        for store, reason in reasons.items():
            caplog.clear()
            began = time.monotonic()
            assert isinstance(open_mirror(store, tmp_path / "runs"), Mirror)
            assert time.monotonic() - began < 5
            assert [record.message for record in caplog.records] == [
                f"MLflow store {store}: cannot be used ({reason}): results stay in files; this run, or the next one on "
                "them, sends them when it answers"
            ]


def test_a_store_that_is_locked_on_the_way_is_given_up_in_one_line(
    tmp_path: Path, uri: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """MLflow itself waits 20 s for the lock at every event."""
    mirror = open_mirror(uri, tmp_path / "runs")
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as other:
        other.execute("BEGIN EXCLUSIVE")
        began = time.monotonic()
        manifest = Manifest("s", "Title", rows=())
        mirror.begin_suite(manifest)
        mirror.end_suite(manifest, failed=False)
        assert time.monotonic() - began < 10
    assert [record.message for record in caplog.records] == [
        f"MLflow store {uri}: database is locked: results stay in files; this run, or the next one on them, sends them "
        "when it answers"
    ]
    assert capfd.readouterr().err == ""


def test_a_database_that_several_runs_make_at_once_serves_them_all(tmp_path: Path) -> None:
    code = "import sys; from bench.store.mlflow_tracker import open_tracker; open_tracker(sys.argv[1])"
    command = [sys.executable, "-c", code, f"sqlite:///{tmp_path}/new.db"]
    started = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    assert [(process.communicate()[1], process.returncode)[1] for process in started] == [0, 0]


def test_without_mlflow_there_is_one_warning_and_everything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    usual = importlib.util.find_spec
    monkeypatch.setattr(
        mlflow_tracker.importlib.util,  # type: ignore[attr-defined]
        "find_spec",
        lambda name, package=None: None if name == "mlflow" else usual(name, package),
    )
    jobs = make_jobs(tmp_path, "Dot")
    with caplog.at_level(logging.WARNING):
        run_suite(jobs, tmp_path, "sqlite:///never.db")
    assert [record.message for record in caplog.records] == [
        "mlflow is not installed: results stay in files; `dfinet-bench publish` can send them later"
    ]
    assert read_result(tmp_path / "runs" / jobs[0].row.key).status == "limited"
    assert not (tmp_path / "never.db").exists()
    with pytest.raises(TrackingError, match="pip install mlflow"):
        open_page(None, port=5000)


def test_a_store_that_breaks_on_the_way_costs_a_warning_and_no_result(
    tmp_path: Path, uri: str, caplog: pytest.LogCaptureFixture
) -> None:
    jobs = make_jobs(tmp_path, "Dot", "Echo", recipe__epochs=2)
    manifest = manifest_of(load_suite(str(tmp_path / "fakes.toml")), jobs)
    mirror = Mirror(uri, tmp_path / "runs", open_tracker(uri))
    mirror.begin_suite(manifest)
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        database.execute("DROP TABLE metrics")
    database.close()
    with caplog.at_level(logging.WARNING):
        results = run_all(jobs, Session(Workspace.open(tmp_path / "runs"), tracker=mirror))
    assert [result.status for result in results] == ["limited", "limited"]
    (warning,) = [record.message for record in caplog.records if record.name.startswith("bench")]
    assert warning.startswith(f"MLflow store {uri}: ")
    assert warning.endswith("sends them when it answers")


def test_publishing_into_a_store_that_breaks_is_an_error(tmp_path: Path, uri: str) -> None:
    write_result(tmp_path / ROW.key, RESULT)
    write_manifest(tmp_path, Manifest("s", "Title", rows=(ROW,)))
    tracker = open_tracker(uri)
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        database.execute("DROP TABLE metrics")
    database.close()
    with pytest.raises(TrackingError) as caught:
        publish_suite(tmp_path, "s", tracker)
    assert str(caught.value).startswith(f"MLflow store {uri}: ")
    assert "\n" not in str(caught.value)


def stored_suite(root: Path, *results: RunResult) -> None:
    """A suite called trial of finished results, as files."""
    rows = tuple(replace(ROW, label=f"row {number}", key=each.key) for number, each in enumerate(results))
    for each in results:
        write_result(root / each.key, each)
    write_manifest(root, Manifest("trial", "Trial", rows))


def test_a_stored_metric_that_mlflow_does_not_take_is_left_out_and_costs_nothing_else(
    tmp_path: Path, uri: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Files of a version that registered any id, or of a plugin's metric that a hand renamed."""
    scores = {**RESULT.scores, "IoU@0.5": Score(0.25, "fraction", "higher")}
    results = [replace(RESULT, key=key, scores=scores, rounds=(scores,)) for key in ("a" * 12, "b" * 12)]
    stored_suite(tmp_path, *results)
    assert publish_suite(tmp_path, "trial", MlflowTracker(uri)) == 2
    for each in results:
        assert child_of(uri, each.key).data.metrics["IoU/pooled"] == 0.5
        assert child_of(uri, each.key).data.metrics["round/IoU/pooled"] == 0.5
    said = [record.message for record in caplog.records if "left out" in record.message]
    assert said == [
        f"metric {name!r}: left out, MLflow takes no such name; the result files have its values"
        for name in ("IoU@0.5", "round/IoU@0.5")
    ]


@pytest.mark.parametrize("line", ["{", "[1]", '{"epoch": 1}', '{"epoch": 1, "loss": "low"}', "[" * 20_000, "\x80"])
def test_a_damaged_log_of_a_training_costs_its_curve_alone(
    line: str, tmp_path: Path, uri: str, caplog: pytest.LogCaptureFixture
) -> None:
    stored_suite(tmp_path, RESULT)
    path = tmp_path / "trainings" / RESULT.experiment.training_key / "log.jsonl"
    path.parent.mkdir(parents=True)
    path.write_bytes(b'{"epoch": 1, "loss": 0.5}\n' + line.encode("latin-1"))
    assert publish_suite(tmp_path, "trial", MlflowTracker(uri)) == 1
    metrics = child_of(uri, RESULT.key).data.metrics
    assert metrics["IoU/pooled"] == 0.5
    assert not any(name.startswith("train/") for name in metrics)
    (said,) = [record.message for record in caplog.records if "log.jsonl" in record.message]
    assert said.startswith(str(path))
    assert said.endswith("; MLflow gets no curve of this training")
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("suite", ["o'neil", "o'ne\"il 100%", "dünn 我`s"])
def test_a_suite_with_quotes_in_its_name_is_mirrored_and_found_again(suite: str, tmp_path: Path, uri: str) -> None:
    write_result(tmp_path / RESULT.key, RESULT)
    for name in (suite, suite.replace("'", "x")):
        write_manifest(tmp_path, Manifest(name, "Trial", (replace(ROW, key=RESULT.key),)))
        for _ in range(2):
            assert publish_suite(tmp_path, name, MlflowTracker(uri)) == 1
    parents = [run.data.tags[SUITE_TAG] for run in runs_in(uri) if SUITE_TAG in run.data.tags]
    assert sorted(parents) == sorted({suite, suite.replace("'", "x")})


@pytest.mark.slow
def test_a_logged_model_predicts_as_the_run_did_at_another_size_and_batch(tmp_path: Path, uri: str) -> None:
    import mlflow

    jobs = make_jobs(tmp_path, "Dot", "Echo", rounds=2, recipe__epochs=1)
    run_suite(jobs, tmp_path, uri)
    tracker = MlflowTracker(uri)
    for _ in range(2):  # the second time they are there
        publish_suite(tmp_path / "runs", "fakes", tracker)
        send_models(tmp_path / "runs", "fakes", tracker)
    generator = np.random.default_rng(0)
    for job in jobs:
        (output,) = client_of(uri).get_run(child_of(uri, job.row.key).info.run_id).outputs.model_outputs
        mlflow.set_tracking_uri(uri)
        loaded = mlflow.pyfunc.load_model(f"models:/{output.model_id}")
        checkpoint = tmp_path / "runs" / "trainings" / job.experiment.training_key / "checkpoint.safetensors"
        network = load_model(job.row.model, checkpoint)
        rounds = job.experiment.rounds
        for shape in ((1, 48, 80), (3, 33, 21)):
            grey = generator.integers(0, 256, shape, dtype=np.uint8)
            frames = [Frame(str(place), each, each) for place, each in enumerate(grey)]
            own = predict(network, frames, input=job.experiment.input, rounds=rounds, device=torch.device("cpu"))
            expected = np.stack([each.rounds[-1] for each in own]).astype(np.float32) / 65536
            np.testing.assert_array_equal(loaded.predict(grey), expected)


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_what_is_no_number_is_not_sent(value: float, tmp_path: Path, uri: str) -> None:
    """MLflow gives infinity back as 1.797e308."""
    scores = {**RESULT.scores, "SCR/mean": Score(value, "ratio", "higher")}
    result = replace(RESULT, scores=scores)
    tracker = MlflowTracker(uri)
    tracker.begin_suite(Manifest("s", "Title", (ROW,)))
    tracker.begin_experiment(ROW)
    tracker.log_epoch({"epoch": 1, "loss": value})
    tracker.end_experiment(ROW, result, tmp_path)
    assert set(child_of(uri, ROW.key).data.metrics) == {"IoU/pooled", "legacy:Fa/equal-area", "time/train_s"} | {
        "round/IoU/pooled",
        "round/legacy:Fa/equal-area",
    }


def test_a_run_tells_what_it_is_before_its_first_epoch(tmp_path: Path, uri: str) -> None:
    (job,) = make_jobs(tmp_path, "Dot")
    tracker = MlflowTracker(uri)
    environment = {"device": "a CPU", "commit": "abc", "torch": "2.13.0", "dataset_digest": "d1"}
    manifest = Manifest("fakes", "Fakes", (job.row,))
    tracker.begin_suite(manifest, {job.row.key: PlannedExperiment(job.experiment, environment)})
    tracker.begin_experiment(job.row)
    run = child_of(uri, job.row.key)
    assert run.info.status == "RUNNING"
    tags = run.data.tags
    found = {name: tags[name] for name in ("model", "dataset", "device", "torch", "dataset_digest", "limited")}
    assert found == {
        "model": "Dot",
        "dataset": "synthetic",
        "device": "a CPU",
        "torch": "2.13.0",
        "dataset_digest": "d1",
        "limited": "yes",
    }
    assert tags["mlflow.source.git.commit"] == "abc"
    assert float(run.data.params["experiment.weights.recipe.lr"]) == 5e-4
    assert {each.dataset.name for each in run.inputs.dataset_inputs} == {"synthetic/bench/fit", "synthetic/bench/test"}
    experiment = client_of(uri).get_experiment(run.info.experiment_id)
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"


def test_means_with_intervals_and_the_main_table_are_the_parents(tmp_path: Path, uri: str) -> None:
    jobs = make_jobs(tmp_path, "Dot", "Echo", recipe__epochs=1)
    run_suite(jobs, tmp_path, uri)
    assert publish_suite(tmp_path / "runs", "fakes", open_tracker(uri), summarise=summarise_suite) == 2
    (parent,) = [run for run in runs_in(uri) if SUITE_TAG in run.data.tags]
    result = read_result(tmp_path / "runs" / jobs[0].row.key)
    value = result.scores["IoU/pooled"].value
    name = "IoU/pooled/synthetic/Dot"
    metrics = parent.data.metrics
    assert metrics[name] == value
    assert metrics[f"{name} low"] <= metrics[name] <= metrics[f"{name} high"]
    path = client_of(uri).download_artifacts(parent.info.run_id, "table.json")
    table = json.loads(Path(path).read_text())
    assert table["columns"][:2] == ["Method", "synthetic IoU (1e-2)"]
    assert [line[0] for line in table["data"]] == ["Dot", "Echo"]
    assert json.loads(parent.data.tags["mlflow.loggedArtifacts"]) == [{"path": "table.json", "type": "table"}]


def test_example_pictures_are_those_of_the_result(tmp_path: Path, uri: str) -> None:
    (job,) = make_jobs(tmp_path, "Echo", rounds=2, recipe__epochs=1)
    run_suite([job], tmp_path, uri)
    run = child_of(uri, job.row.key).info.run_id
    stored = load_arrays(tmp_path / "runs" / job.row.key / "examples.npz")
    listed = client_of(uri).list_artifacts(run, "examples")
    assert [item.path for item in listed] == [f"examples/{place + 1}.png" for place in range(len(stored["names"]))]
    picture = cv2.imread(client_of(uri).download_artifacts(run, "examples/1.png"), cv2.IMREAD_GRAYSCALE)
    height, width = stored["mask_0"].shape
    assert picture.shape == (height, 4 * width + 6)
    np.testing.assert_array_equal(picture[:, :width], stored["image_0"])
    np.testing.assert_array_equal(picture[:, width + 2 : 2 * width + 2], 255 * stored["mask_0"])
