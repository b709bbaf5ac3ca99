"""Run one experiment of a list: what is done is read, a failure is recorded, a stop says where it was."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from pathlib import Path

from bench.errors import PluginError
from bench.run.experiment import LOCK_FILE, failed_result, run_job
from bench.run.preflight import finished_result
from bench.run.workspace import Session
from bench.stop import STOPS, raise_if_asked
from bench.store.files import ERROR_LOG, write_result, write_text
from bench.suites.expand import Job
from bench.types import RunResult

log = logging.getLogger(__name__)

GOES_ON = "; the same command goes on"
"""The end of the line on a stopped run."""


def name_of(job: Job) -> str:
    """The experiment as log lines call it: `ACM on NUDT-SIRST`."""
    return f"{job.row.title} on {job.row.test_set}"


def lock_of(job: Job, session: Session) -> Path:
    """The lock that is held by the process that works on the job's experiment."""
    return session.workspace.result_folder(job.row.key) / LOCK_FILE


def waiting_for(job: Job) -> str:
    """The line about an experiment that another run has to finish first."""
    return f"{name_of(job)}: another run works on it; waiting for it to finish"


def run_one(job: Job, session: Session) -> RunResult:
    """The experiment's result: read if it is finished, otherwise made, a failure included; the tracker is told."""
    if (stored := stored_result(job, session)) is not None:
        return stored
    session.tracker.begin_experiment(job.row)
    result = attempt(job, session, run_job)
    session.tracker.end_experiment(job.row, result, session.workspace.result_folder(job.row.key))
    return result


def stored_result(job: Job, session: Session) -> RunResult | None:
    """The finished result of an earlier run, of which the tracker is told; None where there is none."""
    done = finished_result(job, session.workspace)
    if done is not None:
        log.info("%s: done already (%s)", name_of(job), job.row.key)
        session.tracker.log_stored(job.row, done, session.workspace.result_folder(job.row.key))
    return done


def attempt(job: Job, session: Session, run: Callable[[Job, Session], RunResult]) -> RunResult:
    """The result of `run`; an exception is recorded as a failed result, a stop gets the experiment's name as a note."""
    (session.workspace.result_folder(job.row.key) / ERROR_LOG).unlink(missing_ok=True)
    try:
        return _heeding_stops(job, session, run)
    except STOPS as stop:
        stop.add_note(f"({name_of(job)}){GOES_ON}")
        raise
    except (Exception, SystemExit) as raised:
        error = raised if isinstance(raised, Exception) else PluginError(f"the model called sys.exit({raised.code!r})")
        return record_failure(job, session, error, details=traceback.format_exc())


def _heeding_stops(job: Job, session: Session, run: Callable[[Job, Session], RunResult]) -> RunResult:
    """The result of `run`, unless a stop was asked for meanwhile that the model or a library has swallowed."""
    try:
        result = run(job, session)
    except (Exception, SystemExit):
        raise_if_asked()  # a library may say of a stop that something else has failed
        raise
    raise_if_asked()
    return result


def record_failure(job: Job, session: Session, error: Exception, *, details: str) -> RunResult:
    """The failed result, which is written and logged with its reason; `details` go to a file beside it."""
    log.error("%s failed: %s", name_of(job), error)
    folder, result = session.workspace.result_folder(job.row.key), failed_result(job, session, error)
    write_text(folder / ERROR_LOG, details)
    write_result(folder, result)
    return result
