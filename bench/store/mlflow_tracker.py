"""Logging into an MLflow store, and reading back from it: the only module that knows MLflow.

A suite is a parent run, an experiment a child of it, found again by tag. A child that holds what the files say is left
alone, any other is replaced whole, so that logging the same thing twice leaves one copy. The files under `runs/` are
the truth: without MLflow everything runs, and the runs are sent later.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import logging
import os
import sqlite3
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar, cast

import numpy as np

from bench._version import __version__
from bench.errors import StoreError, StoreUriError, TrackingError
from bench.lock import waiting_lock
from bench.records import to_plain
from bench.store.collect import KEPT
from bench.store.files import ERROR_LOG, RESULT_FILE, Manifest, first_line, read_log, write_json
from bench.store.mlflow_values import (
    WHOLE_PARAMS,
    Sent,
    digest_of,
    epoch_metrics,
    example_pictures,
    lists_in_use,
    note_of,
    params_of,
    result_metrics,
    sort_metrics,
    tags_of,
)
from bench.store.tracker import PlannedExperiment, SuiteSummary, Tracker
from bench.types import Row, RunResult, Training

log = logging.getLogger(__name__)

EXPERIMENT = "dfinet-bench"
DEFAULT_URI = "sqlite:///mlflow.db"
SUITE_TAG, KEY_TAG, RESULT_TAG = "dfinet_bench.suite", "dfinet_bench.key", "dfinet_bench.result"
OUTCOMES_TAG = "dfinet_bench.outcomes"
"""The number of times that the outcome of a suite over all rows was another one: the step of its latest values."""

PARENT_TAG, NAME_TAG = "mlflow.parentRunId", "mlflow.runName"
OFF = "off"
EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}
"""The kind of experiment whose runs are trainings, not evaluations; MLflow 3.17.2's page, where a mode of the browser
decides what runs are called, shows the same without it."""

RESULTS, PICTURES = "results", "examples"
"""The folder below a suite's parent run that is a folder of results, pictures and maps left out; that of an
experiment's pictures below its own run."""

MODEL_CODE = Path(__file__).with_name("mlflow_model.py")
"""The file that MLflow runs where a model is loaded."""

PAGE, MOST_METRICS, MOST_PARAMS = 1000, 1000, 100
"""Runs that are asked for at a time, and metrics and parameters that MLflow takes at a time."""

LONGEST_NAME = 250
"""Characters of a run's name at most: PostgreSQL refuses longer ones."""

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
        self._parent = ""
        self._child = ""
        self._children: dict[str, str] = {}
        self._plans: dict[str, PlannedExperiment] = {}
        self._there: dict[str, str] | None = None
        self._with_files: set[str] = set()
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
        if found is None:
            return str(self._client.create_experiment(EXPERIMENT, artifact_location=artifacts, tags=EXPERIMENT_TAGS))
        if found.lifecycle_stage == "deleted":  # by hand, on MLflow's page
            self._client.restore_experiment(found.experiment_id)
        for name in sorted(set(EXPERIMENT_TAGS) - set(found.tags)):
            self._client.set_experiment_tag(found.experiment_id, name, EXPERIMENT_TAGS[name])
        return str(found.experiment_id)

    @reaching
    def begin_suite(self, manifest: Manifest, plans: Mapping[str, PlannedExperiment] | None = None) -> None:
        """Find or make the suite's parent run, and let it run."""
        self._open_parent(manifest)
        self._plans = dict(plans or {})
        self._client.update_run(self._parent, status="RUNNING")

    def _open_parent(self, manifest: Manifest) -> None:
        name = f"{manifest.suite} (limited)" if manifest.limited else manifest.suite
        tags = {SUITE_TAG: name}
        found = self._find(tags)
        self._parent = found[0].info.run_id if found else self._create(name, tags)
        self._there, self._with_files = None, set()
        self._client.set_tag(self._parent, "mlflow.note.content", manifest.title)
        self._log_manifest(manifest)

    @reaching
    def begin_experiment(self, row: Row) -> None:
        """Make the experiment's child run, with what is known of it, in place of what an earlier attempt left."""
        tags = {KEY_TAG: row.key, PARENT_TAG: self._parent}
        for earlier in self._find(tags):
            self._client.delete_run(earlier.info.run_id)
        plan = self._plans.get(row.key)
        if plan is not None:
            tags |= tags_of(row, plan)
        where = f" on {row.test_set}, seed {row.seed}"
        self._child = self._children[row.key] = self._create(row.title[: LONGEST_NAME - len(where)] + where, tags)
        if plan is not None:
            self._log_plan(row, plan)

    def continue_experiment(self, row: Row) -> None:
        """Go on with the child run of an experiment that has begun."""
        self._child = self._children[row.key]

    @reaching
    def log_epoch(self, record: Mapping[str, float]) -> None:
        """Log an epoch's loss, rate and selection values as they come."""
        self._log_metrics(epoch_metrics(record))

    @reaching
    def end_experiment(self, row: Row, result: RunResult, folder: Path) -> None:
        """Log what is known of a finished experiment: metrics per round, costs, files, pictures."""
        plan = PlannedExperiment(result.experiment, result.environment)
        if row.key not in self._plans:
            self._log_plan(row, plan)
        self._log_metrics(result_metrics(result))
        for name in (RESULT_FILE, ERROR_LOG):
            if (folder / name).is_file():
                self._client.log_artifact(self._child, str(folder / name))
        self._log_pictures(folder)
        self._log_files(result, folder)
        self._client.set_terminated(self._child, "FAILED" if result.status == "failed" else "FINISHED")
        # The digest comes last: until it is there, the run is made anew.
        last = {**tags_of(row, plan), "mlflow.note.content": note_of(result), RESULT_TAG: digest_of(result)}
        self._set_tags(self._child, last)

    @reaching
    def log_stored(self, row: Row, result: RunResult, folder: Path) -> None:
        """Log a result from its files, unless it is there already."""
        if self._is_there(row.key, digest_of(result)):
            if row.key not in self._with_files:
                self._log_files(result, folder)
            return
        self._plans[row.key] = PlannedExperiment(result.experiment, result.environment)
        self.begin_experiment(row)
        for record in _stored_log(folder.parent, result):
            self.log_epoch(record)
        self.end_experiment(row, result, folder)

    def _is_there(self, key: str, digest: str) -> bool:
        """True if the store has the result; all that were there at first are looked up in one go."""
        if self._there is None:
            children = self._find({PARENT_TAG: self._parent})
            self._there = {run.data.tags.get(KEY_TAG, ""): run.data.tags.get(RESULT_TAG, "") for run in children}
            listed = self._client.list_artifacts(self._parent, RESULTS)
            self._with_files = {Path(item.path).name for item in listed}
        if self._there.get(key) == digest:
            return True
        return bool(self._find({KEY_TAG: key, PARENT_TAG: self._parent, RESULT_TAG: digest}))

    @reaching
    def end_suite(self, manifest: Manifest, *, failed: bool, summary: SuiteSummary | None = None) -> None:
        """Log the outcome over all rows, and close the parent run."""
        self._log_manifest(manifest)
        if summary is not None:
            self._log_summary(summary)
        self._client.set_terminated(self._parent, "FAILED" if failed else "FINISHED")

    @reaching
    def log_report(self, manifest: Manifest, folder: Path) -> None:
        """Put a report's files below the parent run."""
        self._open_parent(manifest)
        self._client.log_artifacts(self._parent, str(folder), "report")
        if self._client.get_run(self._parent).info.status == "RUNNING":
            self._client.set_terminated(self._parent, "FINISHED")

    @reaching
    def log_model(self, row: Row, result: RunResult, folder: Path) -> None:
        """Log the trained network of a result that is there, with signature and input example, unless it is there too.

        Nothing is logged of a result whose weights were not trained here.
        """
        training = result.experiment.weights
        if not isinstance(training, Training) or result.status == "failed":
            return
        checkpoint = folder.parent / "trainings" / training.key / "checkpoint.safetensors"
        found = self._find({KEY_TAG: row.key, PARENT_TAG: self._parent, RESULT_TAG: digest_of(result)})
        if not checkpoint.is_file() or not found or found[0].outputs.model_outputs:
            return
        self._mlflow.set_tracking_uri(self.uri)
        example = np.tile(np.arange(64, dtype=np.uint8), (1, 64, 1))
        grey, probability = (
            self._mlflow.types.Schema([self._mlflow.types.TensorSpec(np.dtype(kind), (-1, -1, -1))])
            for kind in (np.uint8, np.float32)
        )
        with (
            TemporaryDirectory() as temporary,
            warnings.catch_warnings(),
            self._mlflow.start_run(run_id=found[0].info.run_id),
        ):
            warnings.simplefilter("ignore", UserWarning)  # MLflow's about hints, which the signature makes needless
            experiment = write_json(Path(temporary, "experiment.json"), to_plain(result.experiment))
            self._mlflow.pyfunc.log_model(
                name=training.model,
                python_model=str(MODEL_CODE),
                artifacts={"checkpoint": str(checkpoint), "experiment": str(experiment)},
                signature=self._mlflow.models.ModelSignature(grey, probability),
                input_example=example,
                pip_requirements=[f"dfinet-bench=={__version__}"],
            )

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

    def _log_plan(self, row: Row, plan: PlannedExperiment) -> None:
        """Log the parameters and the lists of images; what is too long for a parameter is a file too."""
        entities = self._mlflow.entities
        found = params_of(row, plan.experiment)
        if found.whole:
            self._log_json(self._child, WHOLE_PARAMS, found.whole)
        params = [entities.Param(name, value) for name, value in found.sent.items()]
        for first in range(0, len(params), MOST_PARAMS):
            self._client.log_batch(self._child, params=params[first : first + MOST_PARAMS])
        inputs = []
        for images, context in lists_in_use(plan.experiment):
            dataset = entities.Dataset(
                name=f"{images.dataset}/{images.split}/{images.part}",
                digest=images.digest[:32],
                source_type="local",
                source=json.dumps({"dataset": images.dataset, "list": images.digest, "limit": images.limit}),
                profile=json.dumps({"images": images.count}),
            )
            inputs.append(entities.DatasetInput(dataset, [entities.InputTag("mlflow.data.context", context)]))
        self._client.log_inputs(self._child, inputs)

    def _log_pictures(self, folder: Path) -> None:
        with TemporaryDirectory() as temporary:
            for name, png in example_pictures(folder):
                Path(temporary, name).write_bytes(png)
            if any(Path(temporary).iterdir()):
                self._client.log_artifacts(self._child, temporary, PICTURES)

    def _log_files(self, result: RunResult, folder: Path) -> None:
        """Put the small files of a result, and the log of its training, below the suite's parent."""
        for name in KEPT:
            if (folder / name).is_file():
                self._client.log_artifact(self._parent, str(folder / name), f"{RESULTS}/{result.key}")
        if (log_path := _log_path(folder.parent, result)) and log_path.is_file():
            self._client.log_artifact(self._parent, str(log_path), f"{RESULTS}/trainings/{log_path.parent.name}")

    def _log_manifest(self, manifest: Manifest) -> None:
        """Put the manifest, byte for byte as its file, below the suite's parent."""
        self._log_json(self._parent, f"{manifest.suite}.json", to_plain(manifest), below=f"{RESULTS}/suites")

    def _log_summary(self, summary: SuiteSummary) -> None:
        """Log values over all rows that the parent has not as its metrics, and tables that MLflow's page shows."""
        parent = self._client.get_run(self._parent).data
        changed = {name: value for name, value in summary.metrics.items() if parent.metrics.get(name) != value}
        if changed:
            # A further step each time: of equal steps MLflow shows the latest by the clocks of those who sent them.
            step = int(parent.tags.get(OUTCOMES_TAG, "0")) + 1
            self._client.set_tag(self._parent, OUTCOMES_TAG, str(step))
            self._log_metrics([(name, value, step) for name, value in changed.items()], run=self._parent)
        for stem, table in summary.tables.items():  # the form of MLflow's log_table, which appends to an earlier one
            content = {"columns": list(table.heads), "data": [list(line) for line in table.lines]}
            self._log_json(self._parent, f"{stem}.json", content)
        tables = [{"path": f"{stem}.json", "type": "table"} for stem in summary.tables]
        self._client.set_tag(self._parent, "mlflow.loggedArtifacts", json.dumps(tables))

    def _log_json(self, run: str, name: str, content: Any, *, below: str | None = None) -> None:
        with TemporaryDirectory() as temporary:
            self._client.log_artifact(run, str(write_json(Path(temporary, name), content)), below)

    def _find(self, tags: Mapping[str, str]) -> list[Any]:
        """The active runs with these tags, however many."""
        condition = " and ".join(f"tags.`{key}` {_clause(value)}" for key, value in tags.items())
        found, token = [], None
        while token != "":
            page = self._client.search_runs([self._experiment], condition, max_results=PAGE, page_token=token)
            found += [run for run in page if tags.items() <= run.data.tags.items()]
            token = page.token or ""
        return found

    def _create(self, name: str, tags: Mapping[str, str]) -> str:
        named = {NAME_TAG: name[:LONGEST_NAME], **tags}
        return str(self._client.create_run(self._experiment, tags=named).info.run_id)

    def _set_tags(self, run: str, tags: Mapping[str, str]) -> None:
        entities = [self._mlflow.entities.RunTag(name, value) for name, value in tags.items()]
        self._client.log_batch(run, tags=entities)

    def _log_metrics(self, metrics: Iterable[Sent], *, run: str = "") -> None:
        """Log what MLflow takes, to the child by default; one warning for each other name."""
        found = sort_metrics(metrics)
        for name in sorted(set(found.refused) - self._left_out):
            self._left_out.add(name)
            log.warning("metric %s: left out, MLflow takes no such name; the result files have its values", repr(name))
        now, metric = int(time.time() * 1000), self._mlflow.entities.Metric
        entities = [metric(name, value, now, step) for name, value, step in found.taken]
        for first in range(0, len(entities), MOST_METRICS):
            self._client.log_batch(run or self._child, metrics=entities[first : first + MOST_METRICS])


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
