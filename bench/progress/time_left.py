"""Time that a run still takes, estimated from its measured epochs and rows; none before there are any."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from bench.progress import PlannedRow

RECENT = 5
"""Epochs whose median is the time of one: a pause, or other work on the machine, soon counts no more."""


@dataclass
class RowTimes:
    """A row's times so far, in seconds of one clock.

    Attributes:
        began: when it began; None while it waits.
        epoch: the last finished epoch, at first 0.
        learnt: when that was told.
        seconds: of each epoch, in order.
        scored: when all but its cost was known.
        ended: when it was over.
        is_counted: False where it ran earlier, or failed: its time says nothing of others.
    """

    plan: PlannedRow
    began: float | None = None
    epoch: int = 0
    learnt: float | None = None
    seconds: list[float] = field(default_factory=list)
    scored: float | None = None
    ended: float | None = None
    is_counted: bool = True

    @property
    def is_running(self) -> bool:
        """True between its beginning and its scores."""
        return self.began is not None and self.scored is None and self.ended is None

    @property
    def is_waiting(self) -> bool:
        """True before its beginning."""
        return self.began is None and self.scored is None and self.ended is None

    @property
    def per_epoch(self) -> float | None:
        """Seconds of an epoch of late; None before the first one."""
        return statistics.median(self.seconds[-RECENT:]) if self.seconds else None

    @property
    def after_training(self) -> float | None:
        """Seconds from its last epoch, or from its beginning, to its scores; None where they were not measured."""
        done = self.scored if self.scored is not None else self.ended
        if done is None or self.began is None or not self.is_counted:
            return None
        return done - max(self.began, self.learnt or self.began)


@dataclass(frozen=True)
class TimeLeft:
    """Estimate of the time to a run's last scores.

    Attributes:
        seconds: until all rows are scored that there is a basis for.
        guessed: rows of methods that nothing was measured of, taken for the mean of the others.
        unknown: rows without any basis, whose time is not in it.
    """

    seconds: float
    guessed: int = 0
    unknown: int = 0


def estimate(rows: Iterable[RowTimes], *, now: float) -> TimeLeft | None:
    """The time left, if the rows that wait are shared by as many as run now; None while no row has a basis for it.

    A training counts once, for the first row that needs it. Its epochs are taken to go on as the recent ones of its
    method; the steps after it, which are few beside epochs, count from the first row on that was measured.
    """
    rows = list(rows)
    open_rows = [row for row in rows if row.is_running] + [row for row in rows if row.is_waiting]
    epochs: dict[str, int] = {}
    for row in rows:
        epochs[row.plan.training] = max(row.epoch, epochs.get(row.plan.training, 0))
    pace = _Pace.of(rows)
    found = [(row, _own_time(row, pace, epochs, now=now)) for row in open_rows]
    known = [(row, own) for row, own in found if own is not None]
    if not known:
        return None
    running = [own.seconds for row, own in known if row.is_running]
    share = sum(own.seconds for _, own in known) / max(1, sum(row.is_running for row in open_rows))
    guessed = sum(own.guessed for _, own in known)
    return TimeLeft(max([share, *running]), guessed, len(found) - len(known))


@dataclass(frozen=True)
class _Pace:
    """Mean seconds of an epoch, and of what comes after a training, by method; under `` those of all methods."""

    epochs: Mapping[str, float]
    after: Mapping[str, float]

    @classmethod
    def of(cls, rows: Iterable[RowTimes]) -> _Pace:
        epochs: dict[str, list[float]] = {}
        after: dict[str, list[float]] = {}
        for row in rows:
            if row.per_epoch is not None:
                epochs.setdefault(row.plan.method, []).append(row.per_epoch)
            if row.after_training is not None:
                after.setdefault(row.plan.method, []).append(row.after_training)
        return cls(_means(epochs), _means(after))


def _means(values: Mapping[str, list[float]]) -> dict[str, float]:
    means = {method: statistics.fmean(own) for method, own in values.items()}
    return means | {"": statistics.fmean(means.values())} if means else {}


def _own_time(row: RowTimes, pace: _Pace, epochs: dict[str, int], *, now: float) -> TimeLeft | None:
    """A row's own time left; its training is then taken as accounted for."""
    plan = row.plan
    left = plan.epochs - epochs.get(plan.training, 0) if plan.training and plan.epochs else 0
    epochs[plan.training] = plan.epochs
    per_epoch = pace.epochs.get(plan.method, pace.epochs.get(""))
    after = pace.after.get(plan.method, pace.after.get(""))
    if (left and per_epoch is None) or (not plan.epochs and after is None):
        return None
    learning, scoring = left * (per_epoch or 0.0), after or 0.0
    if row.is_running and row.began is not None:
        passed = now - max(row.began, row.learnt or row.began)
        if left:
            learning -= min(passed, per_epoch or 0.0)
        else:
            scoring = max(0.0, scoring - passed)
    is_guessed = plan.method not in (pace.epochs if left else pace.after) and (bool(left) or not plan.epochs)
    return TimeLeft(learning + scoring, int(is_guessed))


def duration_text(seconds: float) -> str:
    """A time as people say it, in two units at most.

    >>> [duration_text(each) for each in (0.84, 8.2, 38, 100, 600, 8_000, 100_000)]
    ['0.8 s', '8 s', '38 s', '1 min 40 s', '10 min', '2 h 13 min', '1 d 4 h']
    """
    whole = max(0, round(seconds))
    if seconds < 1:
        return f"{max(0.0, seconds):.1f} s"
    if whole < 60:
        return f"{whole} s"
    if whole < 600:
        return _two_units(whole, 60, "min", 1, "s")
    if whole < 86_400 - 30:
        return f"{(whole + 30) // 60} min" if whole < 3570 else _two_units((whole + 30) // 60, 60, "h", 1, "min")
    return _two_units((whole + 1800) // 3600, 24, "d", 1, "h")


def _two_units(number: int, large: int, name: str, small: int, rest: str) -> str:
    first, second = divmod(number, large)
    return f"{first} {name} {second // small} {rest}" if second else f"{first} {name}"
