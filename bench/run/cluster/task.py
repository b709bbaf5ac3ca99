"""The side of the tasks: run one experiment in a process of Ray's, and tell the driver everything that happens.

Messages that a long task tells go to the mailbox while it runs; the last ones are the task's result.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from bench.environment import describe_environment
from bench.run.attempt import GOES_ON
from bench.run.worker import Tell, WorkerSetup, ignore_signals, open_worker_session, work_on
from bench.run.workspace import Session
from bench.stop import STOPS, Stopped, raise_once_on
from bench.store.files import first_line
from bench.suites.expand import Job

PERIOD = 0.5
"""Seconds between two letters of a task."""

Message = tuple[str, tuple[Any, ...]]
"""A name of `bench.run.worker.WorkerMessages`, and its arguments."""

RunTask = Callable[[Job, Session, Tell, bool], None]
"""Called with an experiment, the session, where to tell, and whether to wait for another one that has it."""


@dataclass(frozen=True)
class TaskSetup:
    """The state of the driver that its tasks take over.

    Attributes:
        worker: settings as those of a worker process.
        folder: the driver's working folder, which relative names in suites refer to.
        run: function that carries out an experiment.
    """

    worker: WorkerSetup
    folder: Path
    run: RunTask


@dataclass(frozen=True)
class TaskAnswer:
    """The result of a task: its last messages, and the number of letters that it has posted before them."""

    messages: list[Message]
    letters: int


class _Post:
    """The messages of the task that this process has at the moment; threads of it may tell."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a warning may come from within
        self.begin(0, None)

    def begin(self, number: int, employer: _Employer | None) -> None:
        """Let all that follows be of that task."""
        with self._lock:
            self._number, self._employer = number, employer
            self._kept: list[Message] = []
            self._letters, self._last = 0, time.monotonic()
            self._posted: Any = None

    def tell(self, name: str, *values: Any) -> None:
        """Keep a message, and post the earlier ones if the last letter is some time ago."""
        with self._lock:
            if self._kept and self._employer is not None and time.monotonic() - self._last >= PERIOD:
                self._posted = self._employer.mailbox.post.remote((self._number, self._kept))
                self._letters, self._kept, self._last = self._letters + 1, [], time.monotonic()
            self._kept.append((name, values))

    def answer(self) -> TaskAnswer:
        """The rest, when every letter has arrived."""
        import ray

        with self._lock:
            if self._posted is not None:
                ray.get(self._posted)  # those of one sender arrive in order
            answer = TaskAnswer(self._kept, self._letters)
            self._employer, self._kept = None, []
            return answer


_POST = _Post()


class _Employer:
    """The run that this process works for.

    Args:
        name: of its mailbox.
        setup: a list of one reference to its setup.
    """

    def __init__(self, name: str, setup: list[Any]) -> None:
        import ray

        self.name = name
        self.setup: TaskSetup = ray.get(setup[0])

    @cached_property
    def mailbox(self) -> Any:
        """The actor."""
        import ray

        return ray.get_actor(self.name)

    @cached_property
    def session(self) -> Session:
        """The session of the driver's run, which tasks of one process share."""
        setup, workspace = self.setup, self.setup.worker.workspace
        with suppress(OSError):
            os.chdir(setup.folder)
        commit = {name: workspace.environment[name] for name in ("commit", "dirty") if name in workspace.environment}
        environment = {**describe_environment(workspace.device), **commit}  # of this node, the code as it was
        here = replace(setup.worker, workspace=replace(workspace, environment=environment))
        return open_worker_session(here, _POST.tell)


_EMPLOYERS: list[_Employer] = []
"""The present one, or none."""


def _employer(name: str, setup: list[Any]) -> _Employer:
    """The run whose mailbox has that name."""
    if [each.name for each in _EMPLOYERS] != [name]:
        _EMPLOYERS[:] = [_Employer(name, setup)]
    return _EMPLOYERS[0]


def run_as_task(number: int, job: Job, mailbox: str, setup: list[Any], *, waits: bool) -> TaskAnswer:
    """Run an experiment as the task of that number; whatever it raises or calls, the task ends well.

    The mailbox is named, and the setup a reference in a list, so that a process fetches both once and not for each
    task. Ray takes a process that calls `sys.exit`, even with 0, for one that has died.
    """
    employer = _employer(mailbox, setup)
    _POST.begin(number, employer)
    raise_once_on([signal.SIGTERM])  # Ray's own would end the model's code as its sys.exit does
    try:
        employer.setup.run(job, employer.session, _POST.tell, waits)
    except STOPS as stop:
        if isinstance(stop, Stopped):
            ignore_signals()
        _POST.tell("stopped", " ".join(getattr(stop, "__notes__", [])).removesuffix(GOES_ON))
    except (Exception, SystemExit) as error:
        _POST.tell("unusable", f"{type(error).__name__}: {first_line(error)}")  # type: ignore[arg-type]
    return _POST.answer()


def run_task(job: Job, session: Session, tell: Tell, waits: bool) -> None:
    """Carry out an experiment as a worker process does."""
    work_on(job, session, tell, waits=waits)


@dataclass(frozen=True)
class NodeView:
    """The things on a node that have to be as on the driver's.

    Attributes:
        versions: of Python, of this project and of torch.
        missing: folders that are not there.
        unwritable: reason that results cannot be written; empty where they can.
    """

    versions: tuple[str, ...]
    missing: tuple[str, ...]
    unwritable: str


def view_node(folders: tuple[Path, ...], proof: Path) -> NodeView:
    """The view of this node; `proof` is a file that the driver has written into the folder of results."""
    import torch

    from bench._version import __version__

    missing = tuple(str(folder) for folder in folders if not folder.is_dir())
    reason = "" if proof.is_file() else f"{proof.parent}: not the driver's folder"
    if not reason:
        try:
            with proof.open("a") as file:
                file.write(".")
        except OSError as error:
            reason = f"{proof.parent}: {error.strerror or error}"
    return NodeView((sys.version.split()[0], __version__, torch.__version__), missing, reason)
