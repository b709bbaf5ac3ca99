"""The driver's side: each experiment is a task of Ray, seen by the crew as a worker with a pipe and a process.

A task that dies with its process or its node is begun again and goes on from its last epoch; one that dies `TRIES`
times without finishing an epoch is recorded as failed. Ray's own retries are off: they count no epochs, and would train
four times what ends its process.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench.run.attempt import name_of
from bench.run.cluster.connect import fitting_nodes, task_variables
from bench.run.cluster.longest_first import longest_first
from bench.run.cluster.mailbox import Letter, Mailbox
from bench.run.cluster.task import Message, RunTask, TaskAnswer, TaskSetup, run_as_task, run_task
from bench.run.worker import WorkerSetup
from bench.run.workspace import Workspace
from bench.store.files import first_line
from bench.suites.expand import Job

log = logging.getLogger(__name__)

TRIES = 3
"""Deaths of a task, without an epoch between them, after which its experiment has failed."""
AHEAD = 4
"""Tasks that are handed to Ray for each place, so that none waits for the driver between two of them."""
LOOK = 5.0
"""Seconds between two looks at the cluster's size."""


class RayStaff:
    """Tasks of a cluster that this process is connected to.

    Args:
        resources: of each task, by Ray's names.
        run: function that carries out an experiment in a task.
        ahead: tasks that are handed to Ray for each place; those that wait there cannot be kept from beginning.
    """

    def __init__(
        self,
        ray: Any,
        workspace: Workspace,
        resources: Mapping[str, float],
        *,
        threads: int,
        run: RunTask = run_task,
        ahead: int = AHEAD,
    ) -> None:
        self.ray, self.threads, self._ahead = ray, threads, ahead
        self._workspace, self._resources, self._run = workspace, resources, run
        self._looked, self._places = -LOOK, 0
        self._pipes: dict[int, _TaskPipe] = {}
        self._count = 0
        self._name = f"dfinet-bench-{secrets.token_hex(8)}"
        self._setup: list[Any] = []
        self._variables = {"env_vars": task_variables(threads)}
        self._task = ray.remote(
            num_cpus=resources["CPU"],
            num_gpus=resources["GPU"],
            memory=resources["memory"],
            max_retries=0,
            runtime_env=self._variables,
        )(run_as_task)
        self._mailbox = self._open_mailbox()
        self._mail = self._mailbox.take.remote()

    def _open_mailbox(self) -> Any:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = NodeAffinitySchedulingStrategy(self.ray.get_runtime_context().get_node_id(), soft=False)
        actor = self.ray.remote(num_cpus=0, scheduling_strategy=here, runtime_env=self._variables)(Mailbox)
        return actor.options(name=self._name).remote()

    def __str__(self) -> str:
        return f"experiments at the same time: {max(1, self._places)}, threads of each: {self.threads}"

    @property
    def workers(self) -> int:
        """Number of tasks to have at Ray at the same time, by the size of the cluster at the moment."""
        self._look()
        return self._ahead * max(1, self._places)

    def _look(self) -> None:
        """Count the places of the cluster, if that is some time ago."""
        if time.monotonic() - self._looked < LOOK:
            return
        places = sum(fitting_nodes(self.ray, self._resources).values())
        if not places and self._places:
            log.warning("no node of the cluster has room for an experiment any more; waiting for one")
        self._looked, self._places = time.monotonic(), places

    def order(self, jobs: Sequence[Job]) -> Sequence[int]:
        """The longest first."""
        return longest_first(jobs, self._workspace)

    def start(self, setup: WorkerSetup) -> tuple[Any, Any]:
        """A place for tasks, one at a time: it is the pipe and the process."""
        if not self._setup:
            self._setup = [self.ray.put(TaskSetup(setup, Path.cwd(), self._run))]
        pipe = _TaskPipe(self)
        return pipe, pipe

    def ready(self, pipes: Sequence[Any]) -> Sequence[Any]:
        """The pipes that have a message or are at their end."""
        while not (found := [pipe for pipe in pipes if pipe.is_ready]):
            self.receive(LOOK)
            self._look()
        return found

    def receive(self, timeout: float | None) -> bool:
        """Wait for a letter or the end of a task, and pass it on; false when nothing came in time."""
        running = {pipe.answer: pipe for pipe in self._pipes.values()}
        done, _ = self.ray.wait([self._mail, *running], num_returns=1, timeout=timeout)
        for each in done:
            if each is self._mail or each == self._mail:
                self._deliver()
            else:
                self._finish(running[each])
        return bool(done)

    def _deliver(self) -> None:
        """Pass on the letters that have come; those of tasks that are over for the driver are dropped."""
        letters: list[Letter] = self.ray.get(self._mail)
        self._mail = self._mailbox.take.remote()
        for number, messages in letters:
            if (pipe := self._pipes.get(number)) is not None:
                pipe.letters += 1
                pipe.take(messages)

    def _finish(self, pipe: _TaskPipe) -> None:
        """Take the last messages of a task that has ended, or learn that it died."""
        try:
            answer: TaskAnswer = self.ray.get(pipe.answer)
            while pipe.letters < answer.letters:
                self._deliver()
        except self.ray.exceptions.RayError as error:
            self.forget(pipe)
            pipe.mourn(f"{type(error).__name__}: {first_line(error).partition('. Check')[0]}")
            return
        self.forget(pipe)
        pipe.conclude(answer.messages)

    def submit(self, pipe: _TaskPipe, job: Job, *, waits: bool) -> Any:
        """Hand a task to Ray."""
        self._count += 1
        pipe.number = self._count
        self._pipes[pipe.number] = pipe
        return self._task.remote(pipe.number, job, self._name, self._setup, waits=waits)

    def runs(self, pipe: _TaskPipe) -> bool:
        """True while its present task is not over."""
        return pipe.number in self._pipes

    def forget(self, pipe: _TaskPipe) -> None:
        """Drop whatever its present task may still send."""
        self._pipes.pop(pipe.number, None)


class _TaskPipe:
    """A place for one task at a time, as a pipe to a worker and as the worker's process.

    Attributes:
        number: of the present task.
        answer: reference to its answer.
        letters: number of its letters that have come.
    """

    exitcode = None

    def __init__(self, staff: RayStaff) -> None:
        self._staff = staff
        self._came: deque[Message] = deque()
        self._job: Job | None = None
        self._is_over = False
        self.number, self.letters, self.answer = 0, 0, None

    @property
    def is_ready(self) -> bool:
        """True if `recv` would not wait."""
        return bool(self._came) or self._is_over

    def send(self, job: Job) -> None:
        """Begin a job."""
        self._job, self._deaths, self._epoch, self._has_begun = job, 0, 0.0, False
        self._submit()

    def _submit(self) -> None:
        assert self._job is not None
        self.letters = 0
        self.answer = self._staff.submit(self, self._job, waits=self._deaths > 0)

    def recv(self) -> Message:
        """The next message.

        Raises:
            EOFError: when the job's tasks have died too often.
        """
        if self._came:
            return self._came.popleft()
        raise EOFError

    def poll(self, timeout: float) -> bool:
        """Wait some seconds; true if there is a message."""
        until = time.monotonic() + timeout
        while not self._came and self._staff.runs(self):
            if not self._staff.receive(max(0.0, until - time.monotonic())):
                break
        return bool(self._came)

    def take(self, messages: Sequence[Message]) -> None:
        """Queue messages, but for those that an earlier task of the same job has sent."""
        for name, values in messages:
            if name == "begun":
                if self._has_begun:
                    continue
                self._has_begun = True
            elif name == "epoch":
                if values[0]["epoch"] <= self._epoch:
                    continue
                self._epoch, self._deaths = values[0]["epoch"], 0
            self._came.append((name, values))

    def conclude(self, messages: Sequence[Message]) -> None:
        """Take the last messages of a task that has ended by itself."""
        *rest, last = messages
        self.take(rest)
        if last[0] in ("stopped", "unusable"):
            self.mourn(str(last[1][0]) or "it was stopped", stopped=last)
        else:
            self.take([last])

    def mourn(self, reason: str, *, stopped: Message | None = None) -> None:
        """Begin the job again after a task of it has died; give it up after too many."""
        if self._is_over:  # it was asked to stop
            if stopped is not None:
                self._came.append(stopped)
            return
        assert self._job is not None
        self._deaths += 1
        if self._deaths < TRIES:
            log.warning("%s: %s; it is begun again (death %d)", name_of(self._job), reason, self._deaths)
            self._submit()
            return
        self._came.append(("unusable", (f"its task died {TRIES} times without an epoch in between, last: {reason}",)))
        self._is_over = True

    def is_alive(self) -> bool:
        """True if it takes a further job."""
        return not self._is_over

    def terminate(self) -> None:
        """Ask the task to stop, which raises KeyboardInterrupt in it."""
        self._is_over = True
        if self._staff.runs(self):
            with suppress(self._staff.ray.exceptions.RayError):
                self._staff.ray.cancel(self.answer, force=False)

    def kill(self) -> None:
        """End the task at once."""
        if self._staff.runs(self):
            self._staff.forget(self)
            with suppress(self._staff.ray.exceptions.RayError):
                self._staff.ray.cancel(self.answer, force=True)

    def join(self, timeout: float | None = None) -> None:
        """Wait for nothing: the task has ended or was killed."""

    def close(self) -> None:
        """Release nothing: there is no pipe."""
