"""The tracker that also tells a display of a run's rows."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from bench.progress import Silent, SilentRows
from bench.progress.rows import RowBook
from bench.run.watched import WatchedTracker, planned_rows, watched
from bench.store.files import Manifest
from bench.store.tracker import Tracker
from bench.suites.expand import Job
from tests.reports.fake_runs import ACM, result, row_of

MADE = result(ACM)
JOB = Job(row_of(MADE), MADE.experiment)


class Notes(Tracker):
    """A tracker that keeps the name of each event."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def __getattribute__(self, name: str) -> Any:
        if name in EVENTS:
            return lambda *_, **__: self.events.append(name)
        return super().__getattribute__(name)


EVENTS = {name for name, _ in inspect.getmembers(Tracker, inspect.isfunction) if not name.startswith("_")}


class Book(SilentRows):
    """A display that keeps the book alone."""

    def __init__(self) -> None:
        self.book = RowBook()
        self.plan, self.row_began, self.row_learnt = self.book.plan, self.book.begin, self.book.learn  # type: ignore
        self.row_ended = self.book.end  # type: ignore[assignment,method-assign]


def test_every_event_of_a_tracker_reaches_both() -> None:
    assert set(vars(WatchedTracker)) >= EVENTS
    notes, shown = Notes(), Book()
    tracker = watched(notes, [JOB, JOB], shown)
    manifest = Manifest("trial", "Trial", (JOB.row,))
    tracker.begin_suite(manifest)
    tracker.begin_experiment(JOB.row)
    tracker.continue_experiment(JOB.row)
    tracker.log_epoch({"epoch": 3, "loss": 0.5, "seconds": 2.0})
    assert [(row.plan.title, row.epoch, row.seconds) for row in shown.book.running] == [("ACM on NUDT-SIRST", 3, [2.0])]
    tracker.end_experiment(JOB.row, MADE, Path())
    tracker.log_stored(JOB.row, MADE, Path())
    assert shown.book.counts() == "2 of 2 rows done"
    tracker.end_suite(manifest, failed=False)
    tracker.log_report(manifest, Path())
    assert set(notes.events) == EVENTS
    assert len(notes.events) == 8


def test_a_display_of_steps_alone_leaves_the_tracker_as_it_is() -> None:
    notes = Notes()
    assert watched(notes, [JOB], Silent()) is notes


def test_rows_are_named_with_their_seed_where_there_are_several() -> None:
    other = result(ACM, seed=7)
    rows = planned_rows([JOB, Job(row_of(other), other.experiment)])
    assert [row.title for row in rows] == ["ACM on NUDT-SIRST, seed 42", "ACM on NUDT-SIRST, seed 7"]
    assert [row.epochs for row in rows] == [400, 400]
    assert len({row.training for row in rows}) == 2
    assert len({row.method for row in rows}) == 1
