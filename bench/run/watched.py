"""Show a run's rows: every event that a tracker is told of goes to a display as well, whichever executor runs them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from bench.progress import PlannedRow, Progress, RowProgress, rows_of
from bench.progress.rows import STORED
from bench.run.attempt import name_of
from bench.store.files import Manifest
from bench.store.tracker import PlannedExperiment, SuiteSummary, Tracker
from bench.suites.expand import Job
from bench.types import Row, RunResult, Training


def watched(tracker: Tracker, jobs: Iterable[Job], progress: Progress) -> Tracker:
    """The tracker, with a display told of the rows as it is; itself where `progress` shows steps alone."""
    if not hasattr(progress, "plan"):
        return tracker
    rows = rows_of(progress)
    rows.plan(planned_rows(list(jobs)))
    return WatchedTracker(tracker, rows)


def planned_rows(jobs: list[Job]) -> list[PlannedRow]:
    """The rows of these experiments, as a display needs them."""
    has_seeds = len({job.row.seed for job in jobs}) > 1
    return [_planned(job, has_seeds=has_seeds) for job in jobs]


def _planned(job: Job, *, has_seeds: bool) -> PlannedRow:
    weights, row = job.experiment.weights, job.row
    training, epochs = (weights.key, weights.recipe.epochs) if isinstance(weights, Training) else ("", 0)
    method = f"{row.title} on {row.dataset}"
    return PlannedRow(row.key, name_of(job), method, training, epochs, row.seed if has_seeds else None)


class WatchedTracker(Tracker):
    """A tracker that passes every event on to another one, and those of experiments to a display."""

    def __init__(self, tracker: Tracker, rows: RowProgress) -> None:
        self._tracker, self._rows = tracker, rows
        self._key = ""

    def begin_suite(self, manifest: Manifest, plans: Mapping[str, PlannedExperiment] | None = None) -> None:
        """Tell the other tracker."""
        self._tracker.begin_suite(manifest, plans)

    def begin_experiment(self, row: Row) -> None:
        """Show the row as running."""
        self._key = row.key
        self._rows.row_began(row.key)
        self._tracker.begin_experiment(row)

    def continue_experiment(self, row: Row) -> None:
        """Let the next epochs be those of that row."""
        self._key = row.key
        self._tracker.continue_experiment(row)

    def log_epoch(self, record: Mapping[str, float]) -> None:
        """Show an epoch."""
        self._rows.row_learnt(self._key, record)
        self._tracker.log_epoch(record)

    def end_experiment(self, row: Row, result: RunResult, folder: Path) -> None:
        """Show the row as over."""
        self._rows.row_ended(row.key, result.status)
        self._tracker.end_experiment(row, result, folder)

    def log_stored(self, row: Row, result: RunResult, folder: Path) -> None:
        """Show the row as one that ran earlier."""
        self._rows.row_ended(row.key, STORED)
        self._tracker.log_stored(row, result, folder)

    def end_suite(self, manifest: Manifest, *, failed: bool, summary: SuiteSummary | None = None) -> None:
        """Tell the other tracker."""
        self._tracker.end_suite(manifest, failed=failed, summary=summary)

    def log_report(self, manifest: Manifest, folder: Path) -> None:
        """Tell the other tracker."""
        self._tracker.log_report(manifest, folder)
