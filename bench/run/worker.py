"""A worker process: run the experiments that the parent sends, one at a time, and tell it everything that happens.

A message is a name and its arguments; `WorkerMessages` lists them. Costs are left to the parent.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol, TextIO

import cv2

from bench.cost.fresh_process import Arithmetic
from bench.data.catalogue.cards import read_cards_in
from bench.environment import device_name
from bench.lock import free_lock, waiting_lock
from bench.parallel import limit_processors
from bench.registry import load_plugin
from bench.run.attempt import GOES_ON, attempt, lock_of, waiting_for
from bench.run.experiment import score_job
from bench.run.preflight import is_done
from bench.run.workspace import Session, Workspace
from bench.stop import SIGNALS, Stopped, heed_stop, holding_stops, raise_once_on
from bench.store.files import first_line
from bench.store.tracker import Tracker
from bench.suites.expand import Job
from bench.types import RunResult

Tell = Callable[..., None]
"""Called with a message's name and its arguments."""

OFTEN = 0.2
"""Seconds between two reports of progress: a message a batch would keep the parent from its work."""


class WorkerMessages(Protocol):
    """The messages of a worker."""

    def begun(self) -> None:
        """It holds the experiment's lock and runs it."""

    def epoch(self, record: Mapping[str, float]) -> None:
        """An epoch's record, those of an interrupted training first."""

    def scored(self, result: RunResult) -> None:
        """The experiment is done, but for its cost."""

    def failed(self, result: RunResult) -> None:
        """The experiment failed, which is recorded."""

    def finished(self) -> None:
        """Another run has finished it meanwhile."""

    def elsewhere(self) -> None:
        """Another run works on it."""

    def unusable(self, reason: str) -> None:
        """The worker cannot start."""

    def stopped(self, where: str) -> None:
        """It was stopped, and says how far it had come."""

    def logged(self, record: logging.LogRecord) -> None:
        """A line of the log."""

    def warned(self, message: str, category: type[Warning], filename: str, lineno: int) -> None:
        """A warning of Python's."""

    def step_began(self, what: str, total: int) -> None:
        """A long step began."""

    def step_advanced(self, parts: int, note: str) -> None:
        """Further parts of it are done."""

    def step_ended(self) -> None:
        """The step is over."""


@dataclass(frozen=True)
class WorkerSetup:
    """The state of the parent that a worker takes over.

    Attributes:
        workspace: that of the run.
        arithmetic: threads and torch's settings.
        plugins: files to load.
        levels: the least important lines that are logged, by logger.
    """

    workspace: Workspace
    arithmetic: Arithmetic
    plugins: tuple[Path, ...]
    levels: Mapping[str, int]


def work(pipe: Connection, setup: WorkerSetup) -> None:
    """Run each job that comes through the pipe, until the parent closes it or stops this process."""
    tell = _sender(pipe)
    numbers = set(SIGNALS) - {signal.SIGINT}  # which is blocked: Ctrl-C is the parent's
    raise_once_on(number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN)
    try:
        try:
            session = open_worker_session(setup, tell)
        except Exception as error:
            tell("unusable", f"{type(error).__name__}: {first_line(error)}")
            return
        while True:
            try:
                job = pipe.recv()
            except EOFError:
                return
            work_on(job, session, tell)
    except Stopped as stop:
        ignore_signals()
        tell("stopped", " ".join(getattr(stop, "__notes__", [])).removesuffix(GOES_ON))


def _sender(pipe: Connection) -> Tell:
    """A function that sends a message; threads of this process may call it."""
    lock = threading.RLock()  # a warning may come from within

    def tell(name: str, *values: Any) -> None:
        with holding_stops(), lock:  # half a message would be none, and spoil the next one
            pipe.send((name, values))

    return tell


def ignore_signals() -> None:
    """Pass over the signals that follow the first one: the parent and its process group may send one each."""
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    heed_stop()


def open_worker_session(setup: WorkerSetup, tell: Tell) -> Session:
    """A session in this process with the parent's settings; all that happens in it is told."""
    _forward_log(setup.levels, tell)
    threads = setup.arithmetic.threads
    setup.arithmetic.apply()
    cv2.setNumThreads(threads)
    limit_processors(threads)
    for path in setup.plugins:
        load_plugin(path)
    read_cards_in(setup.workspace.data)
    environment = {**setup.workspace.environment, "threads": threads, "device": device_name(setup.workspace.device)}
    workspace = replace(setup.workspace, environment=environment)
    return Session(workspace, tracker=_ToldTracker(tell), progress=_ToldProgress(tell))


def work_on(job: Job, session: Session, tell: Tell, *, waits: bool = False) -> None:
    """Run an experiment and tell its outcome; one that another run works on is left to it, or waited for."""
    lock = lock_of(job, session)
    with _always(lock, waiting_for(job)) if waits else free_lock(lock) as is_free:
        if not is_free:
            tell("elsewhere")
            return
        if is_done(job, session.workspace):
            tell("finished")
            return
        tell("begun")
        result = attempt(job, session, lambda job, session: score_job(job, session)[1])
    tell("failed" if result.status == "failed" else "scored", result)


@contextmanager
def _always(lock: Path, busy: str) -> Iterator[bool]:
    with waiting_lock(lock, busy):
        yield True


class _ToldTracker(Tracker):
    """Sends the epochs to the parent, which begins and ends the experiment."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell

    def log_epoch(self, record: Mapping[str, float]) -> None:
        self._tell("epoch", dict(record))


class _ToldProgress:
    """Sends progress to the parent, several parts at once."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._parts, self._note, self._sent = 0, "", 0.0

    def begin(self, what: str, total: int) -> None:
        self._tell("step_began", what, total)
        self._parts, self._sent = 0, time.monotonic()

    def advance(self, note: str = "") -> None:
        self._parts, self._note = self._parts + 1, note
        if time.monotonic() - self._sent >= OFTEN:
            self._tell("step_advanced", self._parts, self._note)
            self._parts, self._sent = 0, time.monotonic()

    def end(self) -> None:
        self._tell("step_ended")


def _forward_log(levels: Mapping[str, int], tell: Tell) -> None:
    """Send log lines and warnings to the parent, which shows them as its own.

    Lines about images are left out: the parent has read the same lists, and said it.
    """
    for name, level in levels.items():
        logging.getLogger(name or None).setLevel(level)
    logging.getLogger().handlers[:] = [_ToldHandler(tell)]

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        kind = category if category.__module__ == "builtins" else UserWarning
        tell("warned", str(message), kind, filename, lineno)

    warnings.showwarning = show


class _ToldHandler(logging.Handler):
    """Sends each record to the parent, its message put together so that it can be pickled."""

    def __init__(self, tell: Tell) -> None:
        super().__init__()
        self._tell = tell
        self.addFilter(lambda record: not record.name.startswith("bench.data.") or record.levelno >= logging.ERROR)

    def emit(self, record: logging.LogRecord) -> None:
        plain = logging.makeLogRecord(record.__dict__)
        plain.msg, plain.args, plain.exc_info, plain.exc_text = record.getMessage(), None, None, None
        self._tell("logged", plain)
