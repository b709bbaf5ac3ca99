"""A tracker that never stops a run: what a store missed is sent when it answers again, by this run or the next.

The buffer is the folder of results itself: results and logs of trainings are files before a tracker is told of them.
Beside them lies one file for each suite and store that has missed something, until it has everything.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from bench.errors import BenchError, StoreError, StoreUriError, TrackingError
from bench.store.files import Manifest, manifest_path, write_text
from bench.store.mlflow_tracker import DEFAULT_URI, MlflowTracker, open_tracker
from bench.store.publish import publish_suite, send_stored
from bench.store.tracker import PlannedExperiment, SuiteSummary, Tracker
from bench.types import Row, RunResult

log = logging.getLogger(__name__)

LEAST_PAUSE, PAUSES = 10.0, 60.0
"""A lost store is tried again after this many seconds, and after as many times the seconds that the last try took."""

UNSENT = ".unsent"


@dataclass
class _Running:
    """An experiment that has begun, and the epochs of its training so far."""

    row: Row
    epochs: list[Mapping[str, float]] = field(default_factory=list)


def open_mirror(uri: str | None = None, root: Path | None = None) -> Tracker:
    """A tracker on the store that `open_tracker` opens, which outlives the store's absence.

    Args:
        root: folder of results; what earlier runs on it could not send goes to the store now.

    Raises:
        StoreUriError: for an address of a kind that MLflow does not know.
    """
    try:
        tracker = open_tracker(uri)
    except StoreUriError:
        raise
    except TrackingError as error:
        mirror = Mirror(_name(uri), root)
        mirror.lose(error)
        return mirror
    if not isinstance(tracker, MlflowTracker):
        return tracker
    mirror = Mirror(_name(uri), root, tracker)
    mirror.send_unsent()
    return mirror


def _name(uri: str | None) -> str:
    return uri or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI


class Mirror(Tracker):
    """A tracker that passes every event on to a store, and catches up when the store was away.

    Args:
        uri: of the store.
        root: folder of results, from which it catches up.
        tracker: on the store; None where it does not answer.
    """

    def __init__(self, uri: str, root: Path | None = None, tracker: Tracker | None = None) -> None:
        self._uri, self._root, self._tracker = uri, root, tracker
        self._suite: tuple[Manifest, Mapping[str, PlannedExperiment] | None] | None = None
        self._running: dict[str, _Running] = {}
        self._current = ""
        self._next_try = 0.0
        self._is_told = False

    def begin_suite(self, manifest: Manifest, plans: Mapping[str, PlannedExperiment] | None = None) -> None:
        """Pass it on."""
        self._suite = (manifest, plans)
        self._running = {}
        self._tell(lambda tracker: tracker.begin_suite(manifest, plans))
        if self._tracker is None:
            self._mark()

    def begin_experiment(self, row: Row) -> None:
        """Pass it on."""
        self._running[row.key] = _Running(row)
        self._current = row.key
        self._tell(lambda tracker: tracker.begin_experiment(row))

    def continue_experiment(self, row: Row) -> None:
        """Pass it on."""
        self._current = row.key
        self._tell(lambda tracker: tracker.continue_experiment(row))

    def log_epoch(self, record: Mapping[str, float]) -> None:
        """Pass it on."""
        if self._current in self._running:
            self._running[self._current].epochs.append(record)
        self._tell(lambda tracker: tracker.log_epoch(record))

    def end_experiment(self, row: Row, result: RunResult, folder: Path) -> None:
        """Pass it on."""
        self._running.pop(row.key, None)
        self._tell(lambda tracker: tracker.end_experiment(row, result, folder))

    def log_stored(self, row: Row, result: RunResult, folder: Path) -> None:
        """Pass it on."""
        self._running.pop(row.key, None)
        self._tell(lambda tracker: tracker.log_stored(row, result, folder))

    def end_suite(self, manifest: Manifest, *, failed: bool, summary: SuiteSummary | None = None) -> None:
        """Pass it on; a store that was lost is tried once more."""
        if self._tracker is None:
            self._reach()
        self._tell(lambda tracker: tracker.end_suite(manifest, failed=failed, summary=summary))
        if self._tracker is not None:
            self._unmark(manifest.suite)

    def log_report(self, manifest: Manifest, folder: Path) -> None:
        """Pass it on, if the store answers: the report can be made again."""
        if self._tracker is not None:
            self._tell(lambda tracker: tracker.log_report(manifest, folder))

    def send_unsent(self) -> None:
        """Send what earlier runs on the folder of results could not; of a suite that is gone there is nothing."""
        for suite in self._unsent():
            if self._tracker is None:
                return
            sent = [0]
            began = time.monotonic()
            try:
                sent[0] = publish_suite(self._root or Path(), suite, self._tracker)
            except TrackingError as error:
                self.lose(error, took=time.monotonic() - began)
                return
            except StoreError as error:
                log.warning("%s", error)
            log.info("%s: %d results that MLflow store %s had missed are there now", suite, sent[0], self._uri)
            self._unmark(suite)

    def lose(self, error: TrackingError, *, took: float = 0.0) -> None:
        """Leave the store alone for a while; what it misses from now on is on disk."""
        self._tracker = None
        self._next_try = time.monotonic() + max(LEAST_PAUSE, PAUSES * took)
        self._mark()
        if not self._is_told:
            self._is_told = True
            log.warning(
                "%s: results stay in files; this run, or the next one on them, sends them when it answers", error
            )

    def _tell(self, event: Callable[[Tracker], None]) -> None:
        """Tell the store of an event, or of everything that it missed, which holds the event."""
        if self._tracker is None:
            if time.monotonic() >= self._next_try:
                self._reach()
            return
        began = time.monotonic()
        try:
            event(self._tracker)
        except TrackingError as error:
            self.lose(error, took=time.monotonic() - began)

    def _reach(self) -> None:
        """Open the lost store again and send what it missed: stored results, and the experiments that run."""
        began = time.monotonic()
        try:
            tracker = open_tracker(self._uri)
            self._catch_up(tracker)
        except TrackingError as error:
            self.lose(error, took=time.monotonic() - began)
            return
        self._tracker, self._is_told = tracker, False
        log.info("MLflow store %s answers again and has what it missed", self._uri)

    def _catch_up(self, tracker: Tracker) -> None:
        if self._suite is None:
            return
        manifest, plans = self._suite
        tracker.begin_suite(manifest, plans)
        if self._root is not None:
            send_stored(self._root, manifest.rows, tracker, complain=lambda error: None, without=self._running)
        for running in self._running.values():
            tracker.begin_experiment(running.row)
            for record in running.epochs:
                tracker.log_epoch(record)
        if self._current in self._running:
            tracker.continue_experiment(self._running[self._current].row)

    def _unsent(self) -> list[str]:
        """Names of suites of which the store has missed something."""
        if self._root is None:
            return []
        ending = self._marker("").name
        return sorted(path.name.removesuffix(ending) for path in self._marker("").parent.glob(f"*{ending}"))

    def _marker(self, suite: str) -> Path:
        """The file that says that the store has missed something of a suite; it does not tell a password in the uri."""
        digest = hashlib.sha256(self._uri.encode()).hexdigest()[:12]
        folder = manifest_path(self._root or Path(), suite).parent
        return folder / f"{suite}.{digest}{UNSENT}"

    def _mark(self) -> None:
        if self._suite is not None and self._root is not None:
            with suppress(BenchError):  # a folder that cannot be written has the run say so
                write_text(self._marker(self._suite[0].suite), "an MLflow store has missed something of this suite\n")

    def _unmark(self, suite: str) -> None:
        if self._root is not None:
            with suppress(OSError):
                self._marker(suite).unlink(missing_ok=True)
