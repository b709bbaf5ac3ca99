"""Display of the rows of a run: lines that move on a terminal, plain lines elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar as Bar
from rich.table import Column, Table
from rich.text import Text

from bench.cli.console import err
from bench.cli.display.log_file import rows_log
from bench.progress import ROWS, PlannedRow, Progress
from bench.progress.rows import STORED, Clock, RowBook, RowSteps
from bench.progress.time_left import RowTimes, duration_text

EVERY = 60.0
"""Seconds between two plain lines about epochs."""
BAR = 12
LINES_BESIDE = 6
"""Lines of a terminal that rows are not shown on: the summary, the one about further rows, the cursor's."""


class RunDisplay:
    """Shows a run: rows done, running with epoch and loss, waiting, and the time left.

    On a terminal that is some lines that move, elsewhere a line for each row that is over and, at most once in `EVERY`
    seconds, for an epoch. Everything that it is told goes to the log file.

    Args:
        quiet: show nothing.
        budget: seconds from now on after which no further row begins.
    """

    def __init__(
        self,
        *,
        console: Console = err,
        quiet: bool = False,
        budget: float | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        self._console, self._quiet, self._clock = console, quiet, clock
        self._ends = None if budget is None else clock() + budget
        self._is_live = console.is_terminal and not console.is_dumb_terminal and not quiet
        self._book = RowBook(clock)
        self._open: list[RowSteps] = []
        self._told = clock()
        self._lock = threading.RLock()  # the terminal's lines are drawn in a thread of their own
        self._live: Live | None = None

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show what is told meanwhile; afterwards the terminal is as before."""
        try:
            yield
        finally:
            if self._live is not None:
                self._live.stop()
            with self._lock:
                self._live, self._open = None, []
                self._book.plan(())

    def begin(self, what: str, total: int) -> None:
        """A step of the run starts, or one of the row that runs in this process."""
        if what != ROWS:
            rows_log.info("%s: %d", what, total)
        with self._lock:
            self._open.append(self._steps_here() if what != ROWS else RowSteps())
            self._open[-1].begin(what if what != ROWS else "", total)
        self._start()

    def advance(self, note: str = "") -> None:
        """One more part of the step is done."""
        with self._lock:
            if self._open:
                self._open[-1].advance(note)

    def end(self) -> None:
        """The step is over."""
        with self._lock:
            if self._open:
                self._open.pop().end()

    def further(self, key: str = "") -> Progress:
        """A line for the steps of a row that runs elsewhere."""
        return _RowLine(self, key)

    def plan(self, rows: Sequence[PlannedRow]) -> None:
        """Show these rows as waiting."""
        rows_log.info("rows: %d", len(rows))
        with self._lock:
            self._book.plan(rows)
            self._told = self._clock()
        self._start()

    def row_began(self, key: str) -> None:
        """Show a row as running."""
        with self._lock:
            row = self._book.begin(key)
        if row is not None:
            rows_log.info("%s: begins (%s)", row.plan.title, key)

    def row_learnt(self, key: str, record: Mapping[str, float]) -> None:
        """Show an epoch and its loss."""
        with self._lock:
            row = self._book.learn(key, record)
            if row is None:
                return
            if key in self._book.steps and "loss" in record:
                self._book.steps[key].note = f"loss {record['loss']:.4f}"
            line = f"{row.plan.title}: epoch {row.epoch} of {row.plan.epochs}"
            is_due = not self._is_live and self._clock() - self._told >= EVERY
            shown = f"{line}, {self._book.steps[key].note}; {self._summary()}" if is_due else ""
        rows_log.info("%s: %s", line, ", ".join(f"{name} {value:.6g}" for name, value in record.items()))
        if shown:
            self._say(shown)

    def row_scored(self, key: str) -> None:
        """Show a row as scored."""
        with self._lock:
            row = self._book.score(key)
        if row is not None and row.began is not None:
            self._tell_end(row, "scored")

    def row_ended(self, key: str, outcome: str) -> None:
        """Show a row as over."""
        with self._lock:
            row = self._book.end(key, outcome)
        if row is None:
            return
        if outcome == STORED or row.scored is not None:  # which the log says, or has been said
            rows_log.info("%s: %s (%s)", row.plan.title, outcome, key)
        else:
            self._tell_end(row, "failed" if outcome == "failed" else "done")

    def steps_of(self, key: str) -> RowSteps:
        """The steps of a row that runs; of one that does not, steps that are not shown."""
        with self._lock:
            return self._book.steps.get(key, RowSteps())

    def change(self, steps: RowSteps, what: str, total: int) -> None:
        """Begin a step of a row, or end it where `what` is empty."""
        with self._lock:
            if what:
                steps.begin(what, total)
            else:
                steps.end()

    def _steps_here(self) -> RowSteps:
        """The steps of the row that began last, for one that runs in this process; of none, those of the run."""
        return list(self._book.steps.values())[-1] if self._book.steps else RowSteps()

    def _tell_end(self, row: RowTimes, outcome: str) -> None:
        with self._lock:
            took = self._book.since(row)
            line = f"{row.plan.title}: {outcome}{f' after {took}' if took else ''}"
            summary = self._summary()
        rows_log.info("%s (%s); %s", line, row.plan.key, summary)
        self._say(line if self._is_live else f"{line}; {summary}", in_log=False)

    def _say(self, line: str, *, in_log: bool = True) -> None:
        self._told = self._clock()
        if in_log:
            rows_log.info(line)
        if not self._quiet:
            self._console.print(line, markup=False, soft_wrap=True)

    def _summary(self) -> str:
        return "; ".join(self._summary_lines())

    def _summary_lines(self) -> list[str]:
        """Counts of rows, the time left where there is a basis for it, and what a budget leaves."""
        lines = [self._book.counts(), self._book.time_words()]
        if self._ends is not None and any(row.is_waiting for row in self._book.rows):
            rest = self._ends - self._clock()
            lines.append(f"rows begin for {duration_text(rest)} more" if rest > 0 else "the budget is over")
        return [line for line in lines if line]

    def _start(self) -> None:
        if self._is_live and self._live is None:
            self._live = Live(get_renderable=self.render, console=self._console, refresh_per_second=4, transient=True)
            self._live.start()

    def render(self) -> RenderableType:
        """The lines on the terminal at this moment."""
        with self._lock:
            lines: list[RenderableType] = []
            if self._book.rows:
                lines += [Text(line) for line in self._summary_lines()]
            table = Table.grid(
                Column(ratio=1, no_wrap=True, overflow="ellipsis"),
                Column(no_wrap=True, min_width=len("epoch 000/000")),
                Column(width=BAR),
                Column(no_wrap=True, justify="right", min_width=len("loss 0.0000")),
                padding=(0, 1, 0, 0),
                expand=True,
            )
            running = [row for row in self._book.running if row.plan.key in self._book.steps]
            shown = running[: max(1, self._console.height - LINES_BESIDE - len(self._open))]
            for row in shown:
                table.add_row(*_cells(row, self._book.steps[row.plan.key]))
            own = [steps for steps in self._open if steps.what and steps not in self._book.steps.values()]
            for steps in own:
                table.add_row(steps.what, "", Bar(steps.total or None, steps.done), _part(steps))
            lines.append(table)
            if len(shown) < len(running):
                lines.append(Text(f"and {len(running) - len(shown)} more"))
            return Group(*lines)


def _cells(row: RowTimes, steps: RowSteps) -> tuple[RenderableType, ...]:
    """A running row's name, step, bar, and loss."""
    plan = row.plan
    what = steps.what.removesuffix(plan.name).strip()
    if what.startswith("epoch") or (not what and plan.epochs and row.epoch < plan.epochs):
        at = row.epoch + min(1.0, steps.done / steps.total if steps.what and steps.total else 0.0)
        what, bar = f"epoch {min(row.epoch + 1, plan.epochs)}/{plan.epochs}", Bar(plan.epochs, at)
        return Text(plan.title), what, bar, steps.note
    return Text(plan.title), what, Bar(steps.total or 1, steps.done if steps.what else 0), _part(steps)


def _part(steps: RowSteps) -> str:
    return f"{steps.done}/{steps.total}" if steps.what else ""


class _RowLine:
    """The steps of one row that runs elsewhere."""

    def __init__(self, display: RunDisplay, key: str) -> None:
        self._display, self._key = display, key
        self._steps = RowSteps()

    def begin(self, what: str, total: int) -> None:
        """A step starts."""
        self._steps = self._display.steps_of(self._key)
        self._display.change(self._steps, what, total)

    def advance(self, note: str = "") -> None:
        """One more part is done."""
        self._steps.advance(note)

    def end(self) -> None:
        """The step is over."""
        self._display.change(self._steps, "", 0)
