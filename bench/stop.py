"""Ctrl-C, SIGTERM and SIGHUP: end a command at once, with its temporary files removed and one line on where it stopped.

A signal raises `Stopped` in the main thread, so that every `with` and `finally` on the way out cleans up. Code that
knows how far the work has come adds that to the exception with `add_note`, and raises it again.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


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


@contextmanager
def raising_on_signals() -> Iterator[None]:
    """Raise `Stopped` on the first signal; a second one ends the process without cleaning up.

    A signal that is ignored, as SIGHUP under nohup, stays so.
    """
    before = {number: signal.getsignal(number) for number in SIGNALS}
    handled = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
    for number in handled:
        signal.signal(number, _stop)
    try:
        yield
    finally:
        for number in handled:
            signal.signal(number, before[number])


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    for each in SIGNALS:
        if signal.getsignal(each) is _stop:
            signal.signal(each, _end)
    raise Stopped(number)


def _end(number: int, frame: FrameType | None) -> NoReturn:
    os._exit(128 + number)


def describe_stop(stop: BaseException) -> str:
    """The line for the user: `stopped`, with what was noted on the way out, innermost first."""
    notes = getattr(stop, "__notes__", [])
    return " ".join(["stopped", *notes]) if notes else "stopped; the same command starts over"
