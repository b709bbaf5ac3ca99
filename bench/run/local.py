"""The local executor: run experiments one after the other; record a failed one and go on with the rest."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from bench.errors import PluginError
from bench.lock import free_lock, waiting_lock
from bench.run.executor import executor
from bench.run.experiment import LOCK_FILE, failed_result, run_job
from bench.run.preflight import finished_result, is_done
from bench.run.workspace import Session
from bench.stop import STOPS
from bench.store.files import ERROR_LOG, write_result, write_text
from bench.suites.expand import Job
from bench.types import RunResult

log = logging.getLogger(__name__)


@executor("local")
def run_all(jobs: Sequence[Job], session: Session, *, budget: float | None = None) -> list[RunResult | None]:
    """The results of all jobs, in order; those finished earlier are read from their files.

    An experiment that another process with the same folder works on is left to it, and read when the others are done.

    A stop (Ctrl-C, SIGTERM) ends the list at once; what was finished stays, and the next call goes on from there.

    Args:
        budget: seconds after which no further experiment is begun; those it did not reach are None.
    """
    began = time.monotonic()
    results: dict[int, RunResult | None] = {}
    busy: list[int] = []
    for place, job in enumerate(jobs):
        if budget is not None and time.monotonic() - began >= budget and not is_done(job, session.workspace):
            results[place] = None
            continue
        with free_lock(_lock_of(job, session)) as is_free:
            if is_free:
                results[place] = _run_one(job, session)
            else:
                log.info("%s on %s: another run works on it; going on with the next", job.row.title, job.row.test_set)
                busy.append(place)
    for place in busy:
        job = jobs[place]
        waiting = f"{job.row.title} on {job.row.test_set}: another run works on it; waiting for it to finish"
        with waiting_lock(_lock_of(job, session), waiting):
            results[place] = _run_one(job, session)
    return [results[place] for place in range(len(jobs))]


def _lock_of(job: Job, session: Session) -> Path:
    return session.workspace.result_folder(job.row.key) / LOCK_FILE


def _run_one(job: Job, session: Session) -> RunResult:
    folder, tracker = session.workspace.result_folder(job.row.key), session.tracker
    if (done := finished_result(job, session.workspace)) is not None:
        log.info("%s on %s: done already (%s)", job.row.title, job.row.test_set, job.row.key)
        tracker.log_stored(job.row, done, folder)
        return done
    tracker.begin_experiment(job.row)
    (folder / ERROR_LOG).unlink(missing_ok=True)
    try:
        result = run_job(job, session)
    except STOPS as stop:
        stop.add_note(f"({job.row.title} on {job.row.test_set}); the same command goes on")
        raise
    except (Exception, SystemExit) as raised:
        error = raised if isinstance(raised, Exception) else PluginError(f"the model called sys.exit({raised.code!r})")
        log.error("%s on %s failed: %s", job.row.title, job.row.test_set, error)
        result = failed_result(job, session, error)
        write_text(folder / ERROR_LOG, traceback.format_exc())
        write_result(folder, result)
    tracker.end_experiment(job.row, result, folder)
    return result
