"""The rows of a run as they are told of: what runs, how far it is, and the lines that say so."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bench.progress import PlannedRow
from bench.progress.time_left import RowTimes, TimeLeft, duration_text, estimate

STORED = "stored"
Clock = Callable[[], float]


@dataclass(eq=False)
class RowSteps:
    """The steps of one row, one after the other.

    Attributes:
        what: the step that goes on; empty between two.
        done, total: its parts.
        note: a loss, say; it stays until there is another one.
    """

    what: str = ""
    done: int = 0
    total: int = 0
    note: str = ""

    def begin(self, what: str, total: int) -> None:
        """A step starts."""
        self.what, self.done, self.total = what, 0, total

    def advance(self, note: str = "") -> None:
        """One more part is done."""
        self.done, self.note = self.done + 1, note or self.note

    def end(self) -> None:
        """The step is over."""
        self.what = ""


class RowBook:
    """Keeps what is told of a run's rows.

    Attributes:
        rows: every row with its times, in the order of the plan.
        steps: of the rows that run, by key, in the order in which they began.
        costs: seconds of each cost that was measured after all rows were scored.
    """

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self.rows: list[RowTimes] = []
        self.steps: dict[str, RowSteps] = {}
        self.costs: list[float] = []
        self.failed = 0
        self._last_cost: float | None = None
        self._by_key: dict[str, list[RowTimes]] = {}

    def plan(self, rows: Sequence[PlannedRow]) -> None:
        """Begin with these rows, all of which wait."""
        self.rows, self.steps, self.costs, self.failed = [RowTimes(row) for row in rows], {}, [], 0
        self._by_key = {}
        for row in self.rows:
            self._by_key.setdefault(row.plan.key, []).append(row)

    def begin(self, key: str) -> RowTimes | None:
        """The row with that key that begins now; None for one that is not in the plan or has begun."""
        row = self._first(key, lambda row: row.is_waiting)
        if row is not None:
            row.began = self._clock()
            self.steps.setdefault(key, RowSteps())
        return row

    def learn(self, key: str, record: Mapping[str, float]) -> RowTimes | None:
        """The row that an epoch belongs to."""
        row = self._first(key, lambda row: row.is_running)
        if row is not None:
            row.epoch, row.learnt = int(record["epoch"]), self._clock()
            if "seconds" in record:
                row.seconds.append(float(record["seconds"]))
        return row

    def score(self, key: str) -> RowTimes | None:
        """The row that waits for its cost alone."""
        row = self._first(key, lambda row: row.scored is None and row.ended is None)
        if row is not None:
            row.scored = self._last_cost = self._clock()
            self.steps.pop(key, None)
        return row

    def end(self, key: str, outcome: str) -> RowTimes | None:
        """The row that is over."""
        row = self._first(key, lambda row: row.ended is None)
        if row is None:
            return None
        now = self._clock()
        if row.scored is not None and self._last_cost is not None:
            self.costs.append(now - self._last_cost)
            self._last_cost = now
        row.ended, row.is_counted = now, outcome not in (STORED, "failed")
        self.failed += outcome == "failed"
        self.steps.pop(key, None)
        return row

    def _first(self, key: str, is_meant: Callable[[RowTimes], bool]) -> RowTimes | None:
        mine = [row for row in self._by_key.get(key, ()) if is_meant(row)]
        return next((row for row in mine if row.began is not None), mine[0] if mine else None)

    @property
    def running(self) -> list[RowTimes]:
        """The rows that run, in the order of the plan."""
        return [row for row in self.rows if row.is_running]

    def time_left(self) -> TimeLeft | None:
        """The time to the last scores, or that of the costs once nothing else is left; None without a basis."""
        if any(row.is_running or row.is_waiting for row in self.rows):
            return estimate(self.rows, now=self._clock())
        left = sum(row.ended is None for row in self.rows)
        return TimeLeft(left * sum(self.costs) / len(self.costs)) if left and self.costs else None

    def counts(self) -> str:
        """`3 of 10 rows done (1 failed), 2 running, 5 waiting`."""
        done = sum(row.ended is not None for row in self.rows)
        counts = {
            "scored": sum(row.ended is None and row.scored is not None for row in self.rows),
            "running": len(self.running),
            "waiting": sum(row.is_waiting for row in self.rows),
        }
        failed = f" ({self.failed} failed)" if self.failed else ""
        parts = [f"{done} of {len(self.rows)} rows done{failed}"]
        return ", ".join([*parts, *(f"{count} {name}" for name, count in counts.items() if count)])

    def time_words(self) -> str:
        """`about 12 min left (3 rows guessed, without costs)`; empty while there is no basis for it."""
        left = self.time_left()
        if left is None:
            return ""
        is_scoring = any(row.is_running or row.is_waiting for row in self.rows)
        has_scored = any(row.ended is None and row.scored is not None for row in self.rows)
        notes = [
            *([f"{_rows(left.guessed)} guessed from the others"] if left.guessed else []),
            *([f"without {_rows(left.unknown)} of which nothing is known"] if left.unknown else []),
            *(["without the measurement of costs"] if is_scoring and has_scored else []),
        ]
        noted = f" ({', '.join(notes)})" if notes else ""
        return f"about {duration_text(left.seconds)} left{noted}"

    def since(self, row: RowTimes) -> str:
        """The time in words that a row took until it was scored or over; empty where it ran earlier."""
        until = row.scored if row.scored is not None else row.ended
        return duration_text(until - row.began) if row.began is not None and until is not None else ""


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"
