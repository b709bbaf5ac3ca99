"""A tracker that never stops a run: what a store missed is sent when it answers again, by this run or the next.

The buffer is the folder of results itself: results, logs of trainings and reports are files before a tracker is told of
them. Beside them lies one file for each suite, or report, and store that has missed it, until it has everything.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from bench.errors import BenchError, StoreError, StoreUriError, TrackingError
from bench.store.files import Manifest, read_manifest
from bench.store.mlflow_tracker import DEFAULT_URI, MlflowTracker, open_tracker
from bench.store.publish import Summarise, publish_suite, send_stored
from bench.store.tracker import PlannedExperiment, SuiteSummary, Tracker
from bench.store.unsent import UnsentMarkers
from bench.types import Row, RunResult

log = logging.getLogger(__name__)

LEAST_PAUSE, PAUSES = 10.0, 60.0
"""A lost store is tried again after this many seconds, and after as many times the seconds that the last try took."""


@dataclass
class _Running:
    """An experiment that has begun, and the epochs of its training so far."""

    row: Row
    epochs: list[Mapping[str, float]] = field(default_factory=list)


def open_mirror(uri: str | None = None, root: Path | None = None, *, summarise: Summarise | None = None) -> Tracker:
    """A tracker on the store that `open_tracker` opens, which outlives the store's absence.

    Args:
        root: folder of results; what earlier runs on it could not send goes to the store now. Without one, what the
            store misses is sent by the same tracker alone.
        summarise: makes the outcome of the suites that go to the store now.

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
    mirror.send_unsent(summarise=summarise)
    return mirror


def send_missed(root: Path, suite: str, tracker: Tracker, *, uri: str | None) -> None:
    """Send what a store has missed of a suite beside its results, which have been published.

    Raises:
        TrackingError: when the store cannot be written.
    """
    markers = UnsentMarkers(root, _name(uri))
    markers.unmark(suite)
    _send_reports(root, markers, tracker, of=suite)


def _send_reports(root: Path, markers: UnsentMarkers, tracker: Tracker, *, of: str = "") -> None:
    """Send the reports that a store has missed, or those of one suite; one whose files are gone is told of once."""
    for report in list(markers.reports()):
        if of and report.suite != of:
            continue
        folder = Path(report.folder)
        try:
            if not folder.is_dir():
                raise StoreError(f"{folder}: no such folder; dfinet-bench report {report.suite} makes the report again")
            tracker.log_report(read_manifest(root, report.suite), folder)
        except StoreError as error:
            log.warning("a report that an MLflow store had missed is not there any more: %s", error)
        else:
            log.info("%s: the report in %s, which the MLflow store had missed, is there now", report.suite, folder)
        markers.unmark_report(report.suite, folder)


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
        self._markers = UnsentMarkers(root, uri) if root is not None else None
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
        if self._tracker is not None and self._markers is not None:
            self._markers.unmark(manifest.suite)

    def log_report(self, manifest: Manifest, folder: Path) -> None:
        """Pass it on; a store that was lost is tried once more when its pause is over."""
        self._note(lambda markers: markers.mark_report(manifest.suite, folder))
        if self._tracker is None and time.monotonic() >= self._next_try:
            self._reach()
        if self._tracker is not None:
            self._tell(lambda tracker: tracker.log_report(manifest, folder))
        if self._tracker is not None and self._markers is not None:
            self._markers.unmark_report(manifest.suite, folder)

    def send_unsent(self, *, summarise: Summarise | None = None) -> None:
        """Send what earlier runs on the folder of results could not; of a suite that is gone there is nothing."""
        if self._root is None or self._markers is None or self._tracker is None:
            return
        began = time.monotonic()
        try:
            for suite in self._markers.suites():
                sent = 0
                try:
                    sent = publish_suite(self._root, suite, self._tracker, summarise=summarise)
                except StoreError as error:
                    log.warning("%s", error)
                log.info("%s: %d results that MLflow store %s had missed are there now", suite, sent, self._uri)
                self._markers.unmark(suite)
                began = time.monotonic()
            _send_reports(self._root, self._markers, self._tracker)
        except TrackingError as error:
            self.lose(error, took=time.monotonic() - began)

    def lose(self, error: TrackingError, *, took: float = 0.0) -> None:
        """Leave the store alone for a while; what it misses from now on is on disk."""
        self._tracker = None
        self._next_try = time.monotonic() + max(LEAST_PAUSE, PAUSES * took)
        self._mark()
        if not self._is_told:
            self._is_told = True
            by = "the same command" if self._root is None else "this run, or the next one on them,"
            log.warning("%s: results stay in files; %s sends them when it answers", error, by)

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

    def _mark(self) -> None:
        """Note that the store has missed something of the suite that runs."""
        if self._suite is not None:
            suite = self._suite[0].suite
            self._note(lambda markers: markers.mark(suite))

    def _note(self, what: Callable[[UnsentMarkers], None]) -> None:
        if self._markers is not None:
            with suppress(BenchError):  # a folder that cannot be written has the run say so
                what(self._markers)
