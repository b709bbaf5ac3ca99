"""The registry of executors: functions that run a list of experiments somewhere and hand back their results.

One file of this package with one `@executor("name")` line adds one; `dfinet-bench run --executor name` finds it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from bench.errors import UnknownNameError
from bench.registry import Registry, discover
from bench.run.workspace import Session
from bench.suites.expand import Job
from bench.types import RunResult


class Executor(Protocol):
    """A function that runs experiments."""

    def __call__(self, jobs: Sequence[Job], session: Session, *, budget: float | None = None) -> list[RunResult | None]:
        """The results of all jobs, in order; None for a job that the budget (seconds) left no time to begin.

        A failed experiment is a result with the reason. `session.workspace` can be pickled and sent to other processes;
        the rest of the session belongs to this one.
        """
        ...


_EXECUTORS: Registry[Executor] = Registry("executor")


def executor(name: str) -> Callable[[Executor], Executor]:
    """Register an executor under a name."""
    return lambda run: _EXECUTORS.add(name, run)


def find_executor(name: str) -> Executor:
    """The executor of that name.

    Raises:
        UnknownNameError: when there is none.
    """
    discover(("bench.run",))
    if name not in _EXECUTORS:
        raise UnknownNameError(f"--executor {name!r}: expected {' or '.join(sorted(_EXECUTORS))}")
    return _EXECUTORS.get(name)
