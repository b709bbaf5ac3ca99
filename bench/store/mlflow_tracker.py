"""The only module that knows MLflow: live logging of a suite, later publishing of stored runs, and the page on them.

A suite is a parent run, an experiment a child of it, found again by tag. A child that holds what the files say is left
alone, any other is replaced whole, so that logging the same thing twice leaves one copy. The files under `runs/` are
the truth: without MLflow everything runs, and `publish` sends the runs later.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import json
import logging
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar, cast

from bench.errors import StoreError, StoreUriError, TrackingError
from bench.lock import waiting_lock
from bench.metrics.ids import is_mlflow_name
from bench.records import to_plain
from bench.stop import STOPS
from bench.store.collect import KEPT
from bench.store.files import (
    ERROR_LOG,
    RESULT_FILE,
    Manifest,
    first_line,
    read_log,
    read_manifest,
    read_result,
)
from bench.types import Method, Row, RunResult, Training

log = logging.getLogger(__name__)

EXPERIMENT = "dfinet-bench"
DEFAULT_URI = "sqlite:///mlflow.db"
SUITE_TAG, KEY_TAG, RESULT_TAG = "dfinet_bench.suite", "dfinet_bench.key", "dfinet_bench.result"
PARENT_TAG, NAME_TAG = "mlflow.parentRunId", "mlflow.runName"
OFF = "off"
RESULTS = "results"
"""The folder below a suite's parent run that is a folder of results, pictures and maps left out."""
QUIET_AND_QUICK = {
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # standard output belongs to --json
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # three attempts of 3 s: a dead server costs 10 s, not minutes
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "3",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0",
    "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0",
}
"""MLflow's settings here, where the environment says nothing else."""
SQLITE = "sqlite:///"
PATIENCE, SQLITE_PATIENCE = 9.0, 4.0
"""Seconds after which a store that does not answer when it is opened, or an sqlite file that is locked, is given up."""


class Tracker:
    """Receives what happens in a suite, in this order. This one keeps nothing: the files under `runs/` are enough.

    Several experiments may be open at a time: epochs belong to the one that began, or was continued, last.
    """

    def begin_suite(self, manifest: Manifest) -> None:
        """A suite starts or goes on."""

    def begin_experiment(self, row: Row) -> None:
        """One of its experiments starts or goes on."""

    def continue_experiment(self, row: Row) -> None:
        """An experiment that has begun, to which the next epochs belong."""

    def log_epoch(self, record: Mapping[str, float]) -> None:
        """An epoch of the experiment's training is over; one that goes on tells its earlier epochs again."""

    def end_experiment(self, row: Row, result: RunResult, folder: Path) -> None:
        """The experiment is done or has failed; its files are in `folder`."""

    def log_stored(self, row: Row, result: RunResult, folder: Path) -> None:
        """The experiment was run earlier; its files are in `folder`."""

    def end_suite(self, *, failed: bool) -> None:
        """All experiments are done."""

    def log_report(self, manifest: Manifest, folder: Path) -> None:
        """A report of the suite was written to `folder`."""


def is_available() -> bool:
    """True if MLflow is installed."""
    return importlib.util.find_spec("mlflow") is not None


def open_tracker(uri: str | None = None) -> Tracker:
    """A tracker on an MLflow store: `uri`, else $MLFLOW_TRACKING_URI, else a local sqlite file; made if need be.

    Without MLflow, or with the uri `off`, the tracker keeps nothing and says so once in the log.

    Raises:
        TrackingError: when the store cannot be reached.
    """
    chosen = uri or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI
    if chosen == OFF:
        return Tracker()
    if not is_available():
        log.warning("mlflow is not installed: results stay in files; `dfinet-bench publish` can send them later")
        return Tracker()
    return MlflowTracker(chosen)


def open_mirror(uri: str | None = None) -> Tracker:
    """A tracker that never stops a run: a store that cannot be used, or is lost on the way, is a warning.

    Raises:
        StoreUriError: for an address of a kind that MLflow does not know.
    """
    try:
        return Mirror(open_tracker(uri))
    except StoreUriError:
        raise
    except TrackingError as error:
        log.warning("%s: nothing goes there; `dfinet-bench publish` can send the results later", error)
        return Tracker()


def _forwarded(event: str) -> Callable[..., None]:
    """A method of `Mirror` that tells its tracker of an event."""

    def forward(mirror: Mirror, *args: Any, **named: Any) -> None:
        mirror.tell(lambda tracker: getattr(tracker, event)(*args, **named))

    return forward


class Mirror(Tracker):
    """A tracker that passes every event on to another one until that fails, which it logs once.

    A lost store costs nothing else: the result files have everything.
    """

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker
        self._lost = False

    def tell(self, event: Callable[[Tracker], None]) -> None:
        """Call the function with the other tracker, unless its store is lost."""
        if self._lost:
            return
        try:
            event(self._tracker)
        except TrackingError as error:
            self._lost = True
            log.warning("%s: nothing more goes there; `dfinet-bench publish` can send the results later", error)

    begin_suite = _forwarded("begin_suite")
    begin_experiment = _forwarded("begin_experiment")
    continue_experiment = _forwarded("continue_experiment")
    log_epoch = _forwarded("log_epoch")
    end_experiment = _forwarded("end_experiment")
    log_stored = _forwarded("log_stored")
    end_suite = _forwarded("end_suite")
    log_report = _forwarded("log_report")


TrackerMethod = TypeVar("TrackerMethod", bound=Callable[..., None])


def reaching(method: TrackerMethod) -> TrackerMethod:
    """The method with every error of MLflow's as a `TrackingError` that names the store."""

    @functools.wraps(method)
    def told(self: MlflowTracker, *args: Any, **options: Any) -> None:
        try:
            if self.database is not None:
                _check_unlocked(self.database)
            method(self, *args, **options)
        except TrackingError:
            raise
        except Exception as error:
            raise TrackingError(f"MLflow store {self.uri}: {_reason(error)}") from error

    return cast(TrackerMethod, told)


class MlflowTracker(Tracker):
    """Logging into one MLflow store."""

    def __init__(self, uri: str) -> None:
        os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
        for name, value in QUIET_AND_QUICK.items():
            os.environ.setdefault(name, value)
        for name in ("urllib3.connectionpool", "mlflow.store.db.utils"):
            logging.getLogger(name).setLevel(logging.CRITICAL)  # their errors become one line of ours
        import mlflow  # three seconds, and not installed everywhere

        self._mlflow = mlflow
        self.uri = uri
        self.database = Path(uri.removeprefix(SQLITE)).resolve() if uri.startswith(SQLITE) else None
        try:
            if self.database is not None:
                self._experiment = self._experiment_in(self.database)
            else:
                self._experiment = _within(PATIENCE, self._open)
        except Exception as error:
            if "URIException" in type(error).__name__:
                raise StoreUriError(
                    f"MLflow store {uri}: cannot be used (an address of a kind that MLflow does not know), expected "
                    "one as sqlite:///FILE.db or http://HOST:PORT, or off"
                ) from error
            raise TrackingError(f"MLflow store {uri}: cannot be used ({_reason(error)})") from error
        self._parent: Any = None
        self._child: Any = None
        self._children: dict[str, Any] = {}
        self._left_out: set[str] = set()

    def _experiment_in(self, database: Path) -> str:
        """The experiment in an sqlite file, which one process at a time opens: MLflow may make its tables first."""
        with waiting_lock(database.with_name(f".{database.name}.lock"), f"{database}: another run opens it; waiting"):
            _check_unlocked(database)
            return self._open((database.parent / "mlartifacts").as_uri())

    def _open(self, artifacts: str | None = None) -> str:
        """Open the store; the id of the experiment in it, which is made if need be."""
        self._client = self._mlflow.MlflowClient(tracking_uri=self.uri)
        found = self._client.get_experiment_by_name(EXPERIMENT)
        if found is not None:
            if found.lifecycle_stage == "deleted":  # by hand, on MLflow's page
                self._client.restore_experiment(found.experiment_id)
            return str(found.experiment_id)
        return str(self._client.create_experiment(EXPERIMENT, artifact_location=artifacts))

    @reaching
    def begin_suite(self, manifest: Manifest) -> None:
        """Find or make the suite's parent run."""
        name = f"{manifest.suite} (limited)" if manifest.limited else manifest.suite
        tags = {SUITE_TAG: name}
        found = self._find(tags)
        self._parent = found[0].info.run_id if found else self._create(name, tags)
        self._client.set_tag(self._parent, "mlflow.note.content", manifest.title)
        self._client.log_dict(self._parent, to_plain(manifest), f"{RESULTS}/suites/{manifest.suite}.json")

    @reaching
    def begin_experiment(self, row: Row) -> None:
        """Make the experiment's child run, in place of what an earlier attempt left."""
        tags = {KEY_TAG: row.key, PARENT_TAG: self._parent}
        for earlier in self._find(tags):
            self._client.delete_run(earlier.info.run_id)
        self._child = self._children[row.key] = self._create(f"{row.title} on {row.test_set}, seed {row.seed}", tags)

    def continue_experiment(self, row: Row) -> None:
        """Go on with the child run of an experiment that has begun."""
        self._child = self._children[row.key]

    @reaching
    def log_epoch(self, record: Mapping[str, float]) -> None:
        """Log an epoch's loss, rate and selection values as they come."""
        self._log_metrics(list(_epoch_metrics(record, self._metric)))

    @reaching
    def end_experiment(self, row: Row, result: RunResult, folder: Path) -> None:
        """Log what is known of a finished experiment: parameters, metrics per round, costs, files, dataset."""
        self._log_params(row, result)
        self._log_metrics(list(_result_metrics(result, self._metric)))
        self._log_dataset(result)
        for name in (RESULT_FILE, ERROR_LOG):
            if (folder / name).is_file():
                self._client.log_artifact(self._child, str(folder / name))
        self._log_files(result, folder)
        self._client.set_tag(self._child, "mlflow.note.content", _note(result))
        self._client.set_tag(self._child, RESULT_TAG, _digest(result))
        self._client.set_terminated(self._child, "FAILED" if result.status == "failed" else "FINISHED")

    @reaching
    def log_stored(self, row: Row, result: RunResult, folder: Path) -> None:
        """Log a result from its files, unless it is there already."""
        if self._find({KEY_TAG: row.key, PARENT_TAG: self._parent, RESULT_TAG: _digest(result)}):
            if not self._client.list_artifacts(self._parent, f"{RESULTS}/{row.key}"):
                self._log_files(result, folder)
            return
        self.begin_experiment(row)
        for record in _stored_log(folder.parent, result):
            self.log_epoch(record)
        self.end_experiment(row, result, folder)

    @reaching
    def end_suite(self, *, failed: bool) -> None:
        """Close the parent run."""
        self._client.set_terminated(self._parent, "FAILED" if failed else "FINISHED")

    @reaching
    def log_report(self, manifest: Manifest, folder: Path) -> None:
        """Put a report's files below the parent run."""
        self.begin_suite(manifest)
        self._client.log_artifacts(self._parent, str(folder), "report")
        if self._client.get_run(self._parent).info.status == "RUNNING":
            self._client.set_terminated(self._parent, "FINISHED")

    @reaching
    def fetch_suite(self, suite: str, folder: Path) -> None:
        """Write a suite's manifest and the files of its results into `folder`/results.

        Raises:
            TrackingError: when the store holds no such suite.
        """
        found = self._find({SUITE_TAG: suite}) or self._find({SUITE_TAG: f"{suite} (limited)"})
        if not found:
            known = sorted({run.data.tags[SUITE_TAG] for run in self._find({}) if SUITE_TAG in run.data.tags})
            raise TrackingError(
                f"MLflow store {self.uri}: no suite {suite!r} (found there: {', '.join(known) or 'none'}); "
                f"send it with dfinet-bench publish {suite}"
            )
        parent = found[0].info.run_id
        there = {Path(item.path).name for item in self._client.list_artifacts(parent, f"{RESULTS}/suites")}
        if f"{suite}.json" not in there:
            raise TrackingError(
                f"MLflow store {self.uri}: suite {suite!r} was logged without its files; send them with "
                f"dfinet-bench publish {suite}"
            )
        self._client.download_artifacts(parent, RESULTS, str(folder))

    def _log_files(self, result: RunResult, folder: Path) -> None:
        """Put the small files of a result, and the log of its training, below the suite's parent."""
        for name in KEPT:
            if (folder / name).is_file():
                self._client.log_artifact(self._parent, str(folder / name), f"{RESULTS}/{result.key}")
        if (log_path := _log_path(folder.parent, result)) and log_path.is_file():
            self._client.log_artifact(self._parent, str(log_path), f"{RESULTS}/trainings/{log_path.parent.name}")

    def _find(self, tags: Mapping[str, str]) -> list[Any]:
        condition = " and ".join(f"tags.`{key}` {_clause(value)}" for key, value in tags.items())
        found = self._client.search_runs([self._experiment], condition)
        return [run for run in found if tags.items() <= run.data.tags.items()]

    def _create(self, name: str, tags: Mapping[str, str]) -> str:
        return str(self._client.create_run(self._experiment, tags={NAME_TAG: name, **tags}).info.run_id)

    def _metric(self, key: str, value: float, step: int) -> Any:
        return self._mlflow.entities.Metric(key, value, int(time.time() * 1000), step)

    def _log_metrics(self, metrics: list[Any]) -> None:
        """Log what MLflow takes; one warning for each other name."""
        for name in sorted({each.key for each in metrics if not is_mlflow_name(each.key)} - self._left_out):
            self._left_out.add(name)
            log.warning("metric %s: left out, MLflow takes no such name; the result files have its values", repr(name))
        metrics = [each for each in metrics if is_mlflow_name(each.key)]
        for first in range(0, len(metrics), 1000):
            self._client.log_batch(self._child, metrics=metrics[first : first + 1000])

    def _log_params(self, row: Row, result: RunResult) -> None:
        params = _params(row, result)
        entities = [self._mlflow.entities.Param(name, value[:6000]) for name, value in params.items()]
        for first in range(0, len(entities), 100):
            self._client.log_batch(self._child, params=entities[first : first + 100])

    def _log_dataset(self, result: RunResult) -> None:
        entities = self._mlflow.entities
        for images, context in _lists(result):
            dataset = entities.Dataset(
                name=f"{images.dataset}/{images.split}/{images.part}",
                digest=images.digest[:32],
                source_type="local",
                source=json.dumps({"dataset": images.dataset, "list": images.digest, "limit": images.limit}),
                profile=json.dumps({"images": images.count}),
            )
            tag = entities.InputTag("mlflow.data.context", context)
            self._client.log_inputs(self._child, [entities.DatasetInput(dataset, [tag])])


def _clause(value: str) -> str:
    """The condition on a tag's value; MLflow's filters have no way to write a quote, so that any letter stands for it.

    >>> _clause("quick"), _clause("o'neil")
    ("= 'quick'", "LIKE 'o_neil'")
    """
    pattern = value.replace("'", "_")
    return f"= '{value}'" if pattern == value else f"LIKE '{pattern}'"


def _check_unlocked(database: Path) -> None:
    """Raise sqlite3's error unless an sqlite file can be written soon; MLflow itself waits 20 s for a locked one."""
    with closing(sqlite3.connect(database, timeout=SQLITE_PATIENCE)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.rollback()


def _within(seconds: float, call: Callable[[], str]) -> str:
    """The result of a call that is given up after some seconds, whatever it waits for: an address, a name, an answer.

    Raises:
        TimeoutError: when it takes longer; its thread is left alone.
    """
    task: Future[str] = Future()

    def work() -> None:
        try:
            task.set_result(call())
        except BaseException as error:
            task.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    try:
        return task.result(seconds)
    except TimeoutError:
        raise TimeoutError(f"no answer within {seconds:g} s") from None


def _reason(error: Exception) -> str:
    """The reason of an error in a few words: that of the system, where one of its errors lies behind it."""
    behind: BaseException | None = error
    while behind is not None:
        if isinstance(behind, OSError) and behind.strerror:
            return behind.strerror.lower()
        behind = behind.__cause__ or behind.__context__
    return first_line(error)


def _note(result: RunResult) -> str:
    """Why it failed, and how many test images it learnt from; empty where there is nothing to say."""
    leak = f"leak: {result.leaked} of {result.experiment.images.count} test images were in the training list"
    return "; ".join(filter(None, (result.reason, leak if result.leaked else "")))


def _digest(result: RunResult) -> str:
    return hashlib.sha256(json.dumps(to_plain(result), sort_keys=True).encode()).hexdigest()


def _lists(result: RunResult) -> Iterator[tuple[Any, str]]:
    weights = result.experiment.weights
    if isinstance(weights, Training | Method) and weights.images is not None:
        yield weights.images, "training"
    yield result.experiment.images, "testing"


def _params(row: Row, result: RunResult) -> dict[str, str]:
    """The resolved records as flat names, `weights.recipe.lr` and the like."""
    flat = {"model": row.model, "label": row.label, "protocol": result.protocol, "seed": str(row.seed)}
    for name, value in (("experiment", result.experiment), ("scoring", result.scoring)):
        flat.update(_flatten(to_plain(value), name))
    flat["dataset_digest"] = str(result.environment.get("dataset_digest", ""))
    return flat


def _flatten(content: Any, prefix: str) -> dict[str, str]:
    if isinstance(content, dict):
        flat: dict[str, str] = {}
        for name, value in content.items():
            flat.update(_flatten(value, f"{prefix}.{name}"))
        return flat
    return {prefix: content if isinstance(content, str) else json.dumps(content)}


def _epoch_metrics(record: Mapping[str, float], metric: Any) -> Iterator[Any]:
    for name, value in record.items():
        if name != "epoch":
            yield metric(f"train/{name}", float(value), int(record["epoch"]))


def _result_metrics(result: RunResult, metric: Any) -> Iterator[Any]:
    """Final scores, scores of every round (step = round) and the costs: FLOPs are twice the MACs, all of one round."""
    for name, score in result.scores.items():
        if score.value is not None:
            yield metric(name, score.value, 0)
    for number, scores in enumerate(result.rounds, start=1):
        for name, score in scores.items():
            if score.value is not None:
                yield metric(f"round/{name}", score.value, number)
    for cost in result.costs:
        numbers = {
            "parameters": cost.parameters,
            "MACs": cost.macs,
            "MACs_fvcore": cost.flops_fvcore,
            "FLOPs": None if cost.macs is None else 2 * cost.macs,
            "FPS": cost.images_per_s,
            "latency_p50_ms": cost.latency_p50,
            "latency_p95_ms": cost.latency_p95,
            "peak_memory_bytes": cost.peak_memory,
            "others_busy": cost.others_busy,
            "FPS_early_end": cost.early_end.images_per_s if cost.early_end else None,
            "rounds_early_end": cost.early_end.rounds if cost.early_end else None,
        }
        for name, value in numbers.items():
            if value is not None:
                yield metric(f"cost/{name}" if name not in ("FLOPs", "FPS") else name, float(value), 0)
    for name, seconds in result.times.items():
        yield metric(f"time/{name}", seconds, 0)


def publish_suite(root: Path, suite: str, tracker: Tracker) -> int:
    """Send a suite's stored runs to the tracker, those that are there already left alone; how many rows have results.

    Raises:
        StoreError: when the suite was never run below `root`.
        TrackingError: when the store cannot be written.
    """
    manifest = read_manifest(root, suite)
    tracker.begin_suite(manifest)
    sent = failed = 0
    for row in manifest.rows:
        folder = root / row.key
        try:
            result = read_result(folder)
        except StoreError as error:
            log.warning("%s", error)
            continue
        tracker.log_stored(row, result, folder)
        sent += 1
        failed += result.status == "failed"
    tracker.end_suite(failed=bool(failed))
    return sent


def _log_path(root: Path, result: RunResult) -> Path | None:
    """The log of the training that made a result's weights; None where they were not trained here."""
    weights = result.experiment.weights
    return root / "trainings" / weights.key / "log.jsonl" if isinstance(weights, Training) else None


def _stored_log(root: Path, result: RunResult) -> list[Mapping[str, float]]:
    path = _log_path(root, result)
    if path is None or not path.is_file():
        return []
    try:
        return list(read_log(path))
    except StoreError as error:
        log.warning("%s; MLflow gets no curve of this training", error)
        return []


def fetch_suite(uri: str, suite: str, folder: Path) -> Path:
    """Write a suite's manifest and the files of its results in an MLflow store below `folder`; the folder of results.

    Raises:
        TrackingError: without MLflow, or when there is no such store or suite.
    """
    if not is_available():
        raise TrackingError("mlflow is not installed; install it with `pip install mlflow`")
    if uri.startswith(SQLITE) and not Path(uri.removeprefix(SQLITE)).is_file():
        raise TrackingError(f"MLflow store {uri}: no such file")  # which MLflow would make
    MlflowTracker(uri).fetch_suite(suite, folder)
    return folder / RESULTS


def open_page(uri: str | None, *, port: int) -> int:
    """Serve MLflow's own page on the store until it is stopped; the server's exit code.

    Raises:
        TrackingError: without MLflow.
    """
    if not is_available():
        raise TrackingError("mlflow is not installed; install it with `pip install mlflow`")
    chosen = uri or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI
    environment = {
        **os.environ,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", chosen, "--port", str(port)]
    with subprocess.Popen(command, env=environment) as server:
        try:
            return server.wait()
        except STOPS as stop:
            server.terminate()  # and not kill: the server ends the workers that it started
            stop.add_note("serving MLflow's page")
            raise
