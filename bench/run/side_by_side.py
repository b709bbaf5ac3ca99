"""Run experiments at the same time, each in a process of its own with its share of the threads; measure costs last.

Costs are timed, so that no other work of this run may go on beside: the workers leave them, and this process measures
one after the other when all are done.
"""

from __future__ import annotations

import logging
import signal
import time
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing import Pipe, connection
from typing import Any, Protocol

import torch

from bench.cost.fresh_process import Arithmetic
from bench.errors import WorkerError
from bench.lock import waiting_lock
from bench.parallel import start_process, usable_processors
from bench.progress import ROWS, Progress, Silent, further_line, rows_of, track
from bench.registry import loaded_plugins
from bench.run.attempt import (
    GOES_ON,
    attempt,
    lock_of,
    name_of,
    record_failure,
    run_one,
    stored_result,
    waiting_for,
)
from bench.run.experiment import run_job, scored_result
from bench.run.preflight import finished_result
from bench.run.worker import WorkerMessages, WorkerSetup, work
from bench.run.workspace import Session
from bench.stop import STOPS
from bench.store.tracker import Tracker
from bench.suites.expand import Job
from bench.types import RunResult

log = logging.getLogger(__name__)

GRACE = 5.0
"""Seconds that stopped workers have to say where they were and to remove their temporary files."""
NAMED = 4
"""Experiments that the line on a stopped run names."""


@dataclass(frozen=True)
class Allotment:
    """Number of workers at the same time, and of threads in each."""

    workers: int
    threads: int


def allot(jobs: Sequence[Job], session: Session) -> Allotment | None:
    """The workers that the session asks for; None where the jobs are to run in this process."""
    workers = session.workers
    if workers is None:  # all jobs count, finished ones too, so that a run that goes on has as many threads as before
        workers = min(usable_processors(), len(jobs)) if session.device.type == "cpu" else 1
    if workers < 2:
        return None
    # A user who allows this process fewer threads means it.
    return Allotment(workers, max(1, min(usable_processors() // workers, torch.get_num_threads())))


def run_side_by_side(
    jobs: Sequence[Job], session: Session, share: Allotment, *, budget: float | None = None
) -> list[RunResult | None]:
    """The results of all jobs, in order, as those of the local executor."""
    with Crew(jobs, session, LocalStaff(share)) as crew:
        crew.run(budget)
    return with_costs(crew)


def with_costs(crew: Crew) -> list[RunResult | None]:
    """The results of a crew that has finished, in order; costs are measured here, one after the other."""
    jobs, session = crew.jobs, crew.session
    results, scored = crew.results, sorted(crew.scored)
    if scored:
        log.info("costs to measure, one after the other: %d", len(scored))
    for place in track(scored, "measure costs", total=len(scored), progress=session.progress):
        results[place] = _completed(jobs[place], session, is_begun=place in crew.begun)
    return [results[place] for place in range(len(jobs))]


def _completed(job: Job, session: Session, *, is_begun: bool) -> RunResult:
    """The result of a scored experiment with its cost; the tracker knows the epochs of one that began in this run."""
    tracker, folder = session.tracker, session.workspace.result_folder(job.row.key)
    session = replace(session, progress=Silent())
    with waiting_lock(lock_of(job, session), waiting_for(job)):
        if not is_begun:
            return run_one(job, session)
        result = finished_result(job, session.workspace)
        if result is None:
            result = attempt(job, replace(session, tracker=Tracker()), run_job)
    tracker.continue_experiment(job.row)
    tracker.end_experiment(job.row, result, folder)
    return result


class Staff(Protocol):
    """A source of workers; as text, how many there are.

    Attributes:
        workers: number at the same time.
        threads: of each.
    """

    @property
    def workers(self) -> int: ...

    @property
    def threads(self) -> int: ...

    def start(self, setup: WorkerSetup) -> tuple[Any, Any]:
        """A new worker: an end of a pipe as of `multiprocessing.Pipe`, and a process as of `multiprocessing`."""

    def ready(self, pipes: Sequence[Any]) -> Sequence[Any]:
        """Wait until some of the pipes have a message or are at their end, and return them."""

    def order(self, jobs: Sequence[Job]) -> Sequence[int]:
        """The places of the jobs in the order to begin them in."""


@dataclass(frozen=True)
class LocalStaff:
    """Processes of this machine."""

    share: Allotment

    def __str__(self) -> str:
        return f"workers: {self.workers}, threads of each: {self.threads}"

    @property
    def workers(self) -> int:
        """Number at the same time."""
        return self.share.workers

    @property
    def threads(self) -> int:
        """Number in each."""
        return self.share.threads

    def start(self, setup: WorkerSetup) -> tuple[Any, Any]:
        """A process with a pipe to it."""
        pipe, theirs = Pipe()
        process = start_process(work, theirs, setup, threads=self.threads)
        theirs.close()  # so that the pipe ends with the worker
        return pipe, process

    def ready(self, pipes: Sequence[Any]) -> Sequence[Any]:
        """The pipes that can be read."""
        return connection.wait(pipes)

    def order(self, jobs: Sequence[Job]) -> Sequence[int]:
        """The order of the list."""
        return range(len(jobs))


class Crew:
    """Workers, and the jobs that they have or that wait for one. Places are those in the list of jobs.

    Attributes:
        results: of the jobs that are over, by place; None for one that the budget did not reach.
        scored: places of the jobs whose cost is still to be measured.
        begun: places of the jobs that the tracker was told of.
        elsewhere: places of the jobs that another run works on.
        trained: keys of the trainings that are finished.
    """

    def __init__(self, jobs: Sequence[Job], session: Session, staff: Staff) -> None:
        self.jobs, self.session, self.staff = jobs, session, staff
        self.results: dict[int, RunResult | None] = {}
        self.scored: list[int] = []
        self.begun: set[int] = set()
        self.elsewhere: list[int] = []
        self.trained: set[str] = set()
        self.setup = _setup_of(session, staff.threads)
        self.warned: dict[Any, Any] = {}
        self._waiting = list(staff.order(jobs))
        self._workers: list[_Worker] = []

    def __enter__(self) -> Crew:
        self.session.progress.begin(ROWS, len(self.jobs))
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None:
            self._stop(error)
        for worker in self._workers:  # they have nothing left to do, and a second to take themselves apart
            worker.end(within=0)
        self.session.progress.end()

    @property
    def _busy(self) -> list[_Worker]:
        return [worker for worker in self._workers if worker.place is not None]

    def run(self, budget: float | None) -> None:
        """Give every job to a worker, and heed the workers until all are done."""
        began = time.monotonic()
        while self._waiting or self._busy:
            self._assign(is_late=budget is not None and time.monotonic() - began >= budget)
            pipes = [worker.pipe for worker in self._busy]
            for pipe in self.staff.ready(pipes) if pipes else ():
                self._heed(next(worker for worker in self._busy if worker.pipe is pipe))
            if self.elsewhere and not self._waiting and not self._busy:
                job = self.jobs[self.elsewhere[0]]
                with waiting_lock(lock_of(job, self.session), waiting_for(job)):
                    self._waiting, self.elsewhere = self.elsewhere, []

    def _assign(self, *, is_late: bool) -> None:
        """Give jobs to workers, in order, until all are busy."""
        while len(self._busy) < self.staff.workers and (place := self._next_ready()) is not None:
            self._waiting.remove(place)
            job = self.jobs[place]
            if (done := stored_result(job, self.session)) is not None:
                self.settle(place, done)
            elif is_late:
                self.settle(place, None)
            elif scored_result(job, self.session.workspace) is not None:
                self.scored.append(place)
                rows_of(self.session.progress).row_scored(job.row.key)
                self.session.progress.advance()
            else:
                self._free_worker().give(place)

    def _next_ready(self) -> int | None:
        """The first job whose experiment and training no worker has at this moment."""
        busy = [self.jobs[worker.place] for worker in self._workers if worker.place is not None]
        keys = {job.row.key for job in busy}
        training = {job.experiment.training_key for job in busy} - self.trained - {""}
        for place in self._waiting:
            job = self.jobs[place]
            if job.row.key not in keys and job.experiment.training_key not in training:
                return place
        return None

    def _free_worker(self) -> _Worker:
        for worker in [each for each in self._workers if each.place is None]:
            if worker.process.is_alive():
                return worker
            self._workers.remove(worker)
        if not self._workers:
            log.info("%s", self.staff)
        self._workers.append(_Worker(self))
        return self._workers[-1]

    def _heed(self, worker: _Worker) -> None:
        """Act on a worker's message, or on its end."""
        try:
            name, values = worker.pipe.recv()
        except (EOFError, OSError):
            self._workers.remove(worker)
            worker.bury()
            return
        getattr(worker, name)(*values)

    def settle(self, place: int, result: RunResult | None) -> None:
        """Keep the result of a job."""
        self.results[place] = result
        self.session.progress.advance()

    def _stop(self, error: BaseException) -> None:
        """Stop the workers, and add to a stop where they were."""
        for worker in self._workers:
            worker.process.terminate()
        until = time.monotonic() + GRACE
        places = [worker.last_words(until=until) for worker in self._busy]
        if isinstance(error, STOPS):
            more = f" and {len(places) - NAMED} more" if len(places) > NAMED else ""
            where = f"{', '.join(places[:NAMED])}{more}" if places else "between experiments"
            error.add_note(f"{where}{GOES_ON}")


class _Worker(WorkerMessages):
    """A worker as its parent sees it: its messages are methods.

    Attributes:
        place: of its job; None while it has none.
    """

    def __init__(self, crew: Crew) -> None:
        self._crew, self._session = crew, crew.session
        self.place: int | None = None
        self._reason = ""
        self._line: Progress = Silent()
        self.pipe, self.process = crew.staff.start(crew.setup)

    @property
    def _job(self) -> Job:
        assert self.place is not None
        return self._crew.jobs[self.place]

    def give(self, place: int) -> None:
        """Let it run a job."""
        self.place = place
        self._line = further_line(self._session.progress, self._job.row.key)
        with suppress(OSError):  # of one that has just died, which its pipe tells as well
            self.pipe.send(self._job)

    def bury(self) -> None:
        """Record the experiment of a worker that has died as failed."""
        self.end()
        self._line.end()
        if self.place not in self._crew.begun:
            self.begun()
        error = WorkerError(self._reason or describe_end(self.process.exitcode))
        with waiting_lock(lock_of(self._job, self._session), waiting_for(self._job)):
            self.failed(record_failure(self._job, self._session, error, details=f"{error}\n"))

    def last_words(self, *, until: float) -> str:
        """Answer of a worker that is being stopped: how far it has come."""
        with suppress(EOFError, OSError):
            while self.pipe.poll(max(0.0, until - time.monotonic())):
                name, values = self.pipe.recv()
                if name == "stopped" and values[0]:
                    return str(values[0])
        return f"({name_of(self._job)})"

    def end(self, *, within: float = GRACE) -> None:
        """Wait some seconds for its end, then kill it."""
        self.process.join(max(0.0, within))
        self.process.kill()
        self.process.join()
        self.pipe.close()

    def begun(self) -> None:
        assert self.place is not None
        self._crew.begun.add(self.place)
        self._session.tracker.begin_experiment(self._job.row)

    def epoch(self, record: Mapping[str, float]) -> None:
        self._session.tracker.continue_experiment(self._job.row)
        self._session.tracker.log_epoch(record)

    def scored(self, result: RunResult) -> None:
        place, crew = self._released(), self._crew
        crew.trained.add(result.training)
        crew.scored.append(place)
        rows_of(crew.session.progress).row_scored(crew.jobs[place].row.key)
        crew.session.progress.advance()

    def failed(self, result: RunResult) -> None:
        row, tracker = self._job.row, self._session.tracker
        tracker.continue_experiment(row)
        tracker.end_experiment(row, result, self._session.workspace.result_folder(row.key))
        self._crew.settle(self._released(), result)

    def finished(self) -> None:
        done = stored_result(self._job, self._session)
        self._crew.settle(self._released(), done)

    def elsewhere(self) -> None:
        log.info("%s: another run works on it; going on with the next", name_of(self._job))
        self._crew.elsewhere.append(self._released())

    def _released(self) -> int:
        """The place of its job, which is over."""
        assert self.place is not None
        place, self.place = self.place, None
        return place

    def unusable(self, reason: str) -> None:
        self._reason = reason

    def stopped(self, where: str) -> None:
        self._reason = f"the worker process was stopped {where}".rstrip()

    def logged(self, record: logging.LogRecord) -> None:
        logging.getLogger(record.name).handle(record)

    def warned(self, message: str, category: type[Warning], filename: str, lineno: int) -> None:
        warnings.warn_explicit(message, category, filename, lineno, registry=self._crew.warned)

    def step_began(self, what: str, total: int) -> None:
        self._line.begin(what, total)

    def step_advanced(self, parts: int, note: str) -> None:
        for _ in range(parts):
            self._line.advance(note)

    def step_ended(self) -> None:
        self._line.end()


def _setup_of(session: Session, threads: int) -> WorkerSetup:
    arithmetic = replace(Arithmetic.here(), threads=threads)
    levels = {name: logging.getLogger(name or None).level for name in ("", "bench")}
    return WorkerSetup(session.workspace, arithmetic, loaded_plugins(), levels)


def describe_end(code: int | None) -> str:
    """The reason for a failure, from the exit code of a worker whose experiment was not done.

    >>> describe_end(-9)
    'the worker process was killed by SIGKILL, as one is that runs out of memory'
    """
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        memory = ", as one is that runs out of memory" if name == "SIGKILL" else ""
        return f"the worker process was killed by {name}{memory}"
    return f"the worker process ended with exit code {code}"
