"""Work shared among processors, with results in the order of the items, and the processes that share it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager, suppress
from multiprocessing import connection, parent_process
from multiprocessing.connection import Connection
from multiprocessing.context import ForkProcess, SpawnContext, SpawnProcess
from pathlib import Path
from typing import Any, Generic, TypeVar

from bench.stop import STOPS

Item = TypeVar("Item")
Made = TypeVar("Made")


THREADS = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NUMBA_NUM_THREADS"
)  # fmt: skip
"""Variables by which numerical libraries choose their number of threads when they are imported."""

AUTOGROUP = Path("/proc/self/autogroup")
"""Priority of this process's session where Linux shares processors among sessions; elsewhere there is no such file."""

CAN_FORK = sys.platform == "linux"
"""Other systems lack it, or their libraries do not stand it."""

LOWEST_PRIORITY = 19
"""The highest nice value: the process runs where no other one wants to."""

_limit: int | None = None
"""Share of the processors that this process was given."""


def limit_processors(count: int) -> None:
    """Make `usable_processors` answer `count`: this process is one of several that share the machine."""
    global _limit
    _limit = count


def give_way() -> None:
    """Leave the machine to others: one thread for this process and those it starts, and the lowest priority.

    To be called before the numerical libraries are imported. Linux may share processors among sessions first and weigh
    priorities within each (autogroup); a process that leads its session, as one started by `setsid` does, lowers that
    of the whole session.
    """
    os.environ.update(dict.fromkeys(THREADS, "1"))
    limit_processors(1)
    if hasattr(os, "nice"):
        os.nice(LOWEST_PRIORITY)
    if hasattr(os, "getsid") and os.getsid(0) == os.getpid() and AUTOGROUP.exists():
        with suppress(OSError):  # a kernel that has the file and does not allow it
            AUTOGROUP.write_text(str(LOWEST_PRIORITY))


def usable_processors() -> int:
    """Number of processors that this process may run on, or its share of them."""
    if _limit is not None:
        return _limit
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def ordered_map(
    executor: Executor, function: Callable[[Item], Made], items: Iterable[Item], *, ahead: int
) -> Iterator[Made]:
    """Yield `function(item)` for every item, in the items' order, calculated by the executor's threads or processes.

    Items are read lazily: never more than `ahead` of them are submitted and not yet yielded, so memory stays bounded
    however many there are. An error of `function` is raised in the place of its result. When the consumer stops, by an
    error or by closing the iterator, the calls that have not begun are cancelled; the executor stays open, its owner
    shuts it down.

    Args:
        ahead: at least 1; a small multiple of the executor's workers keeps all of them busy.

    >>> from concurrent.futures import ThreadPoolExecutor
    >>> with ThreadPoolExecutor(2) as executor:
    ...     list(ordered_map(executor, abs, [3, -1, -2], ahead=4))
    [3, 1, 2]
    """
    running: deque[Future[Made]] = deque()
    try:
        for item in items:
            running.append(executor.submit(function, item))
            # Yield before the next item is read: filling up first would hold `ahead` + 1 of them.
            if len(running) >= ahead:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
    finally:
        for future in running:
            future.cancel()


@contextmanager
def process_pool(workers: int, **options: Any) -> Iterator[ProcessPoolExecutor]:
    """Fresh processes that end with this one, however it ends, and leave Ctrl-C to it.

    When the block ends by an error, or because somebody stopped it, they are killed: nobody waits for their results.

    Args:
        options: the further ones of `ProcessPoolExecutor`.
    """
    context = _WorkerContext()
    with ProcessPoolExecutor(workers, mp_context=context, **options) as executor:
        try:
            yield executor
        except BaseException:
            for process in context.started:
                process.kill()
            raise


class Beside(Generic[Made]):
    """A function without arguments that a forked process calls while this one goes on.

    The process has all that this one has in memory; its result is pickled. Where processes cannot be forked, there is
    one processor, or the process ends without a result, the function is called when the result is asked for.
    """

    def __init__(self, function: Callable[[], Made]) -> None:
        self._function = function
        self._process: ForkProcess | None = None
        if not CAN_FORK or usable_processors() == 1:
            return
        self._receiver, sender = multiprocessing.Pipe(duplex=False)
        self._process = multiprocessing.get_context("fork").Process(target=_send_made, args=(function, sender))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of threads, of which the child uses none
            self._process.start()
        sender.close()

    def result(self) -> Made:
        """Wait for the result; an error of the function is raised here."""
        if self._process is None:
            return self._function()
        try:
            is_made, made = self._receiver.recv()
        except EOFError:
            self._process.join()
            return self._function()
        self._process.join()
        if not is_made:
            raise made
        return made  # type: ignore[no-any-return]

    def stop(self) -> None:
        """End the process, whether it has a result or not."""
        if self._process is not None and self._process.is_alive():
            self._process.terminate()
            self._process.join()


def _send_made(function: Callable[[], Any], sender: Connection) -> None:
    """Send what a function gives, or its error; where neither can be sent, or on a stop, end without."""
    _end_with_parent()
    try:
        found = True, function()
    except Exception as error:
        found = False, error
    except STOPS:  # which the process that waits for this one is told of as well
        return
    with suppress(Exception):
        sender.send(found)


def start_process(target: Callable[..., None], *args: Any, threads: int) -> SpawnProcess:
    """Start a fresh process that calls `target`, ends with this one, however it ends, and leaves Ctrl-C to it.

    Args:
        threads: of the numerical libraries in it.
    """
    process = _Worker(target=target, args=args)
    with starting_with(threads):
        process.start()
    return process


@contextmanager
def starting_with(threads: int) -> Iterator[None]:
    """Give the numerical libraries of processes that are started in this context so many threads."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, str(threads)))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


class _Worker(SpawnProcess):
    """A process that is started with SIGINT blocked: it would print a traceback even while it imports its modules."""

    def start(self) -> None:
        if not hasattr(signal, "pthread_sigmask"):
            super().start()
            return
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        try:
            super().start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def run(self) -> None:
        _end_with_parent()
        super().run()


class _WorkerContext(SpawnContext):
    """The context of a pool of workers, which it keeps."""

    def __init__(self) -> None:
        self.started: list[_Worker] = []

    def Process(self, *args: Any, **options: Any) -> _Worker:  # type: ignore[override]  # noqa: N802
        worker = _Worker(*args, **options)
        self.started.append(worker)
        return worker


def _end_with_parent() -> None:
    """End this process when its parent ends, be it killed: the pipe behind the sentinel closes then."""
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=_end_after, args=(parent.sentinel,), daemon=True).start()


def _end_after(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)
