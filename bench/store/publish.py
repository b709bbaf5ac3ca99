"""Send a suite's stored results to MLflow, read them back, and open MLflow's page on them."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from bench.errors import StoreError, TrackingError
from bench.stop import STOPS
from bench.store.files import Manifest, read_manifest, read_result
from bench.store.mlflow_tracker import DEFAULT_URI, RESULTS, SQLITE, MlflowTracker, is_available
from bench.store.tracker import SuiteSummary, Tracker
from bench.types import Row

log = logging.getLogger(__name__)

Summarise = Callable[[Path, str], SuiteSummary | None]
"""Returns the outcome of a suite below a folder of results."""


def publish_suite(root: Path, suite: str, tracker: Tracker, *, summarise: Summarise | None = None) -> int:
    """Send a suite's stored runs to the tracker, those that are there already left alone; how many rows have results.

    Raises:
        StoreError: when the suite was never run below `root`.
        TrackingError: when the store cannot be written.
    """
    manifest = read_manifest(root, suite)
    tracker.begin_suite(manifest)
    statuses = send_stored(root, manifest.rows, tracker, complain=lambda error: log.warning("%s", error))
    end_published(root, manifest, tracker, failed="failed" in statuses, summarise=summarise)
    return len(statuses)


def send_models(root: Path, suite: str, tracker: MlflowTracker) -> None:
    """Send the trained networks of a suite that has been published.

    Raises:
        TrackingError: when the store cannot be written.
    """
    for row in read_manifest(root, suite).rows:
        try:
            result = read_result(root / row.key)
        except StoreError:
            continue  # which publish_suite has said
        tracker.log_model(row, result, root / row.key)


def send_stored(
    root: Path,
    rows: Sequence[Row],
    tracker: Tracker,
    *,
    complain: Callable[[StoreError], None],
    without: Collection[str] = (),
) -> list[str]:
    """Send the stored results of rows to the tracker; the status of each that has one.

    Args:
        complain: called for each row without a readable result.
        without: keys of rows to leave alone.
    """
    statuses: list[str] = []
    for row in rows:
        if row.key in without:
            continue
        try:
            result = read_result(root / row.key)
        except StoreError as error:
            complain(error)
            continue
        tracker.log_stored(row, result, root / row.key)
        statuses.append(result.status)
    return statuses


def end_published(
    root: Path, manifest: Manifest, tracker: Tracker, *, failed: bool, summarise: Summarise | None
) -> None:
    """End a suite with its outcome over all rows."""
    tracker.end_suite(manifest, failed=failed, summary=summarise(root, manifest.suite) if summarise else None)


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
