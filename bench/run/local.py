"""The local executor: run experiments here, one after the other or side by side in processes of their own."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from bench.lock import free_lock, waiting_lock
from bench.run.attempt import lock_of, name_of, run_one, waiting_for
from bench.run.executor import executor
from bench.run.preflight import is_done
from bench.run.side_by_side import allot, run_side_by_side
from bench.run.workspace import Session
from bench.suites.expand import Job
from bench.types import RunResult

log = logging.getLogger(__name__)


@executor("local")
def run_all(jobs: Sequence[Job], session: Session, *, budget: float | None = None) -> list[RunResult | None]:
    """The results of all jobs, in order; those finished earlier are read from their files.

    An experiment that fails is recorded, and the rest goes on. One that another process with the same folder works on
    is left to it, and read when the others are done.

    A stop (Ctrl-C, SIGTERM) ends the list at once; what was finished stays, and the next call goes on from there.

    Args:
        budget: seconds after which no further experiment is begun; those it did not reach are None.
    """
    if (share := allot(jobs, session)) is not None:
        return run_side_by_side(jobs, session, share, budget=budget)
    began = time.monotonic()
    results: dict[int, RunResult | None] = {}
    busy: list[int] = []
    for place, job in enumerate(jobs):
        if budget is not None and time.monotonic() - began >= budget and not is_done(job, session.workspace):
            results[place] = None
            continue
        with free_lock(lock_of(job, session)) as is_free:
            if is_free:
                results[place] = run_one(job, session)
            else:
                log.info("%s: another run works on it; going on with the next", name_of(job))
                busy.append(place)
    for place in busy:
        with waiting_lock(lock_of(jobs[place], session), waiting_for(jobs[place])):
            results[place] = run_one(jobs[place], session)
    return [results[place] for place in range(len(jobs))]
