"""Output to the terminal: two consoles, the progress bar, and the text form of a score."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from bench.progress import Step
    from bench.types import Score

FILE_WIDTH = 200  # columns where output goes to a file or a pipe, which have no width of their own
out = Console(highlight=False, width=None if sys.stdout.isatty() else FILE_WIDTH)
err = Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else FILE_WIDTH)


def _new_display() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=err,
        transient=True,
        disable=not err.is_terminal,
    )


class ProgressBar:
    """Progress bar with count, rate and time left; silent when standard error is no terminal.

    Args:
        above: a bar that shows other steps at the same time.
    """

    def __init__(self, above: ProgressBar | None = None) -> None:
        self._bar: Progress = _new_display() if above is None else above._bar
        self._task: TaskID | None = None

    def begin(self, what: str, total: int) -> None:
        """Show a new bar."""
        self._bar.start()
        self._task = self._bar.add_task(what, total=total, note="", rate="")

    def advance(self, note: str = "") -> None:
        """Move the bar by one."""
        if self._task is None:
            return
        speed = next((task.speed for task in self._bar.tasks if task.id == self._task), None)
        self._bar.update(self._task, advance=1, note=note, rate=f"{speed:.1f}/s" if speed else "")

    def end(self) -> None:
        """Remove the bar."""
        if self._task is not None:
            self._bar.remove_task(self._task)
            self._task = None
        if not self._bar.tasks:
            self._bar.stop()

    def further(self) -> ProgressBar:
        """One more bar, below."""
        return ProgressBar(self)


@contextmanager
def shown_steps(what: str) -> Iterator[Step]:
    """Provide a callback `(done, total)` that moves a progress bar."""
    bar = ProgressBar()
    started = False

    def step(done: int, total: int) -> None:
        nonlocal started
        if not started:
            bar.begin(what, total)
            started = True
        bar.advance()

    try:
        yield step
    finally:
        bar.end()


def format_score(name: str, score: Score | None) -> str:
    """A metric's value as people read it: in the power of ten of its tables where that is below a hundredth."""
    from bench.metrics.registry import metric_info  # here, so that the command line starts without it

    if score is None or score.value is None:
        return "—"
    info = metric_info(name, score)
    return f"{score.value:.4f}" if info.factor <= 100 else f"{score.value * info.factor:.2f}{info.scale[1:]}"
