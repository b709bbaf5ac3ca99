"""Runs a list of experiments one after the other on this machine; a failed one is recorded and the rest go on."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Sequence

from bench.run.experiment import Place, failed_result, is_done, run
from bench.store.files import ERROR_LOG, read_result, write_result, write_text
from bench.suites.suite import Job
from bench.types import RunResult

log = logging.getLogger(__name__)


def run_all(jobs: Sequence[Job], place: Place, *, budget: float | None = None) -> list[RunResult | None]:
    """The results of all jobs, in order; those finished earlier are taken from their files.

    An interrupt (Ctrl-C) ends the list at once; what was finished stays, and the next call goes on from there.

    Args:
        budget: seconds after which no further experiment is begun; those it did not reach are None.
    """
    began = time.monotonic()
    results: list[RunResult | None] = []
    for job in jobs:
        spent = budget is not None and time.monotonic() - began >= budget
        results.append(None if spent and not is_done(job, place) else _run_one(job, place))
    return results


def _run_one(job: Job, place: Place) -> RunResult:
    folder = place.runs / job.row.key
    if is_done(job, place):
        log.info("%s on %s: done already (%s)", job.row.title, job.row.test_set, job.row.key)
        result = read_result(folder)
        place.tracker.log_stored(job.row, result, folder)
        return result
    place.tracker.begin_experiment(job.row)
    (folder / ERROR_LOG).unlink(missing_ok=True)
    try:
        result = run(job, place)
    except Exception as error:
        log.error("%s on %s failed: %s", job.row.title, job.row.test_set, error)
        result = failed_result(job, place, error)
        write_text(folder / ERROR_LOG, traceback.format_exc())
        write_result(folder, result)
    place.tracker.end_experiment(job.row, result, folder)
    return result
