"""Interface through which long steps report progress, and the command line shows it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, TypeVar, cast

T = TypeVar("T")

ROWS = "experiments"
"""The step whose parts are the rows of a run."""

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


@dataclass(frozen=True)
class PlannedRow:
    """A row of a run, as far as a display needs it.

    Attributes:
        key: of its experiment; several rows may share it.
        name: `ACM on NUDT-SIRST`.
        method: rows of one method are taken to need the same time for an epoch, and for everything after the last one.
        training: key of the training that it shares with other rows; empty where no network is trained.
        epochs: of that training; 0 where no network is trained.
        seed: where rows differ in it.
    """

    key: str
    name: str
    method: str
    training: str = ""
    epochs: int = 0
    seed: int | None = None

    @property
    def title(self) -> str:
        """Its name, with the seed where rows differ in it."""
        return self.name if self.seed is None else f"{self.name}, seed {self.seed}"


class RowProgress(Progress, Protocol):
    """Receives the rows of a run as well, wherever they run.

    `bench.api.run_suite` passes on to it what the tracker is told, so that an executor has two things to do: ask
    `further_line` for a line for the steps of each row that runs, and call `row_scored` where a row's cost comes later.
    """

    def plan(self, rows: Sequence[PlannedRow]) -> None:
        """These rows are to run, or to be read where they ran earlier."""

    def row_began(self, key: str) -> None:
        """A row runs from now on."""

    def row_learnt(self, key: str, record: Mapping[str, float]) -> None:
        """An epoch of its training is over: its number, loss and seconds; one that goes on tells the earlier ones."""

    def row_scored(self, key: str) -> None:
        """All is known of a row but its cost, which is measured later."""

    def row_ended(self, key: str, outcome: str) -> None:
        """A row is over: `done`, `limited`, `failed`, or `stored` where it ran earlier."""

    def further(self, key: str = "") -> Progress:
        """A line for the steps of that row, beside those of other rows."""


class SilentRows(Silent):
    """Discard all that is told of rows."""

    def plan(self, rows: Sequence[PlannedRow]) -> None:
        """Show nothing."""

    def row_began(self, key: str) -> None:
        """Show nothing."""

    def row_learnt(self, key: str, record: Mapping[str, float]) -> None:
        """Show nothing."""

    def row_scored(self, key: str) -> None:
        """Show nothing."""

    def row_ended(self, key: str, outcome: str) -> None:
        """Show nothing."""

    def further(self, key: str = "") -> Progress:
        """A line that is not shown."""
        return Silent()


def rows_of(progress: Progress) -> RowProgress:
    """The receiver of a run's rows: the progress itself, or a silent one where it shows steps alone."""
    return cast(RowProgress, progress) if hasattr(progress, "plan") else SilentRows()


def further_line(progress: Progress, key: str = "") -> Progress:
    """A line for the steps of one worker, or of the row with that key; silent where `progress` has one line alone."""
    further: Callable[..., Progress] = getattr(progress, "further", lambda *_: Silent())
    return further(key) if key and hasattr(progress, "plan") else further()


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
