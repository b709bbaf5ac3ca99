"""Ctrl-C, SIGTERM and SIGHUP: end a command at once, with its temporary files removed and one line on where it stopped.

A signal raises `Stopped` in the main thread, so that every `with` and `finally` on the way out cleans up. Code that
knows how far the work has come adds that to the exception with `add_note`, and raises it again.

Python drops what a handler raises within `__del__`, a callback from C or of the garbage collector, and a library may
catch everything. A stop that nobody holds any more before it has come through is raised again, by a thread that looks
every `AGAIN` seconds, by `raise_if_asked` between the parts of the work, and at the latest when the command is done.
"""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType
from typing import Any, NoReturn

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))

AGAIN = 0.2
"""Seconds between two looks whether a stop that was asked for has been swallowed."""


class Stopped(BaseException):
    """A signal that asks the process to end; no KeyboardInterrupt, which typer would swallow.

    Attributes:
        exit_code: 128 and the signal's number, as shells have it: 130 for Ctrl-C, 143 for SIGTERM.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


STOPS = (KeyboardInterrupt, Stopped)
"""What ends work from outside: Stopped in a command, KeyboardInterrupt in a script that calls `bench`."""


@dataclass
class _Request:
    """The stop that this process was asked for.

    Attributes:
        number: of the signal.
        raised: the exception, which lives as long as it is on its way out; None while it waits for a block's end.
        is_reminder: True where the next signal comes from the thread that reminds.
    """

    number: int
    raised: weakref.ref[Stopped] | None = None
    is_reminder: bool = False

    @property
    def is_on_its_way(self) -> bool:
        """True while somebody holds the exception, or will raise it."""
        return self.raised is None or self.raised() is not None


_asked: _Request | None = None
_holds = 0
"""Number of blocks that a stop waits for."""
_is_reminding = False
"""True while a thread looks after the stop."""


@contextmanager
def raising_on_signals() -> Iterator[None]:
    """Raise `Stopped` on the first signal; a second one ends the process without cleaning up.

    A signal that is ignored, as SIGHUP under nohup, stays so.
    """
    before, hook = {number: signal.getsignal(number) for number in SIGNALS}, sys.unraisablehook
    handled = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
    _handle(handled, _stop)
    try:
        yield
        _raise_late()
    except SystemExit as end:
        if not end.code:
            _raise_late()
        raise
    finally:
        heed_stop()
        for number in handled:
            signal.signal(number, before[number])
        sys.unraisablehook = hook


def raise_once_on(numbers: Iterable[int]) -> None:
    """Raise `Stopped` on the first of these signals from now on, and pass over those that come while it is on its way.

    For a worker process, whose parent and process group may send one each. Where it has come through, call `heed_stop`.
    """
    heed_stop()
    _handle(numbers, _stop_once)


def heed_stop() -> None:
    """Take a stop as having come through: it is not raised again."""
    global _asked
    _asked = None


def raise_if_asked() -> None:
    """Raise a stop again that was asked for and has been swallowed; to be called between the parts of long work."""
    if _asked is not None:
        _raise(_asked.number)


@contextmanager
def holding_stops() -> Iterator[None]:
    """Let a stop that is asked for in this block come at its end: what the block does is done whole, or not begun."""
    global _holds
    if threading.current_thread() is not threading.main_thread():  # where no signal raises
        yield
        return
    _holds += 1
    try:
        yield
    finally:
        _holds -= 1
        if not _holds and _asked is not None and _asked.raised is None:
            _raise(_asked.number)


def _handle(numbers: Iterable[int], handler: Callable[[int, FrameType | None], None]) -> None:
    """Install a handler, and a hook that tells nobody of a swallowed stop, which comes again."""
    for number in numbers:
        signal.signal(number, handler)
    if not isinstance(sys.unraisablehook, _TellsOthers):  # each task of a process installs its handlers again
        sys.unraisablehook = _TellsOthers(sys.unraisablehook)


@dataclass(frozen=True)
class _TellsOthers:
    """A hook that tells an earlier one of all exceptions but stops."""

    tell: Callable[[sys.UnraisableHookArgs], Any]

    def __call__(self, unraisable: sys.UnraisableHookArgs) -> None:
        if not isinstance(unraisable.exc_value, Stopped):
            self.tell(unraisable)


def _stop(number: int, frame: FrameType | None) -> None:
    if _is_further(number):
        os._exit(128 + number)


def _stop_once(number: int, frame: FrameType | None) -> None:
    _is_further(number)


def _is_further(number: int) -> bool:
    """Raise the stop, or keep it for a block's end; True for a signal while an earlier one's stop is on its way."""
    global _asked
    is_reminder = _asked is not None and _asked.is_reminder
    if _asked is not None:
        _asked.is_reminder = False
        if _asked.is_on_its_way:
            return not is_reminder
    if not _holds:
        _raise(number)
    _asked = _Request(number)
    return False


def _raise(number: int) -> NoReturn:
    global _asked, _is_reminding
    stop = Stopped(number)
    _asked = _Request(number, weakref.ref(stop))
    if not _is_reminding:
        with suppress(RuntimeError):  # no further thread can be started; raise_if_asked is left
            _thread.start_new_thread(_remind, ())  # threading's own start takes locks that a handler may interrupt
            _is_reminding = True
    try:
        raise stop
    finally:
        del stop  # which this frame would keep alive


def _remind() -> None:
    """Send the signal of a stop again whenever it was swallowed, until it has come through."""
    global _is_reminding
    while (asked := _asked) is not None:
        if not asked.is_on_its_way:
            asked.is_reminder = True
            if hasattr(signal, "pthread_kill"):
                signal.pthread_kill(threading.main_thread().ident or 0, asked.number)
            else:
                _thread.interrupt_main(signal.Signals(asked.number))
        time.sleep(AGAIN)
    _is_reminding = False


def _raise_late() -> None:
    """Raise a stop that nothing was left to heed."""
    if _asked is not None:
        stop = Stopped(_asked.number)
        stop.add_note("after the last step")
        raise stop from None


def describe_stop(stop: BaseException) -> str:
    """The line for the user: `stopped`, with what was noted on the way out, innermost first."""
    notes = getattr(stop, "__notes__", [])
    return " ".join(["stopped", *notes]) if notes else "stopped; the same command starts over"
