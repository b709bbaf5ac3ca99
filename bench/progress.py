"""How long steps tell how far they are: an interface the engine calls and the command line shows."""

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
    """Progress that nobody watches."""

    def begin(self, what: str, total: int) -> None:
        """Show nothing."""

    def advance(self, note: str = "") -> None:
        """Show nothing."""

    def end(self) -> None:
        """Show nothing."""


def track(items: Iterable[T], what: str, *, total: int, progress: Progress) -> Iterator[T]:
    """The items, one by one, each counted as done when the next is asked for."""
    progress.begin(what, total)
    try:
        for item in items:
            yield item
            progress.advance()
    finally:
        progress.end()


@contextmanager
def counting(what: str, *, total: int, progress: Progress) -> Iterator[Step]:
    """A step that is told how many of its parts are done, several at once where they went fast."""
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
