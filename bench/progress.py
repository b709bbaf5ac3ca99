"""Interface through which long steps report progress, and the command line shows it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

T = TypeVar("T")

Step = Callable[[int, int], None]
"""Called with (parts done, parts in all) while one step goes on."""


class Progress(Protocol):
    """Receives the start, the advance and the end of one step at a time."""

    def begin(self, what: str, total: int) -> None:
        """A step of `total` parts starts."""

    def advance(self, note: str = "") -> None:
        """One more part is done; `note` is worth showing (a loss, say)."""

    def end(self) -> None:
        """The step is over."""


class Silent:
    """Discard all progress reports."""

    def begin(self, what: str, total: int) -> None:
        """Show nothing."""

    def advance(self, note: str = "") -> None:
        """Show nothing."""

    def end(self) -> None:
        """Show nothing."""


def further_line(progress: Progress) -> Progress:
    """A line for the steps of one worker: `progress.further()`; silent where it has none and shows one step alone."""
    line: Progress = getattr(progress, "further", Silent)()
    return line


def track(items: Iterable[T], what: str, *, total: int, progress: Progress) -> Iterator[T]:
    """Yield the items; each counts as done when the next is requested."""
    progress.begin(what, total)
    try:
        for item in items:
            yield item
            progress.advance()
    finally:
        progress.end()


@contextmanager
def counting(what: str, *, total: int, progress: Progress) -> Iterator[Step]:
    """Report a step through a callback `(done, total)`, which may advance by several parts at once."""
    done = 0

    def tell(now: int, total: int) -> None:
        nonlocal done
        while done < now:
            progress.advance()
            done += 1

    progress.begin(what, total)
    try:
        yield tell
    finally:
        progress.end()
