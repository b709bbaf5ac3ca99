"""Estimates of the time left, from times made by hand."""

from __future__ import annotations

import pytest

from bench.progress import PlannedRow
from bench.progress.time_left import RECENT, RowTimes, TimeLeft, duration_text, estimate


def row(key: str, *, method: str = "A", training: str = "", epochs: int = 0, **times: float | list[float]) -> RowTimes:
    """A row of a training of its own, with these times."""
    plan = PlannedRow(key, key, method, training or (f"t{key}" if epochs else ""), epochs)
    return RowTimes(plan, **times)  # type: ignore[arg-type]


def test_nothing_is_estimated_before_anything_is_measured() -> None:
    assert estimate([], now=0) is None
    assert estimate([row("1", epochs=10, began=0.0), row("2")], now=500) is None


def test_epochs_left_count_at_the_pace_of_the_recent_ones() -> None:
    slow_at_first = [90.0, *[10.0] * RECENT]
    running = row("1", epochs=20, began=0.0, epoch=6, learnt=140.0, seconds=slow_at_first)
    assert estimate([running], now=140) == TimeLeft(140.0)
    assert estimate([running], now=144) == TimeLeft(136.0)
    assert estimate([running], now=500) == TimeLeft(130.0)  # an epoch that takes longer does not go on to count


def test_rows_that_wait_are_shared_by_as_many_as_run() -> None:
    running = [row(key, epochs=10, began=0.0, epoch=5, learnt=50.0, seconds=[10.0] * 5) for key in "12"]
    assert estimate([*running, *(row(key, epochs=10) for key in "3456")], now=50) == TimeLeft(50 + 4 * 100 / 2)


def test_the_longest_row_that_runs_is_waited_for() -> None:
    short = row("1", epochs=10, began=0.0, epoch=9, learnt=90.0, seconds=[10.0] * 9)
    long = row("2", method="B", epochs=100, began=0.0, epoch=1, learnt=90.0, seconds=[90.0])
    assert estimate([short, long], now=90) == TimeLeft(99 * 90.0)


def test_a_method_that_was_not_measured_is_taken_for_the_mean_of_the_others_and_counted() -> None:
    known = row("1", epochs=10, began=0.0, epoch=10, learnt=100.0, seconds=[10.0] * 10, scored=104.0, ended=104.0)
    assert estimate([known, row("2", method="B", epochs=5)], now=104) == TimeLeft(54.0, guessed=1)
    assert estimate([known, row("2", epochs=5)], now=104) == TimeLeft(54.0)


def test_rows_without_a_basis_are_left_out_and_counted() -> None:
    running = row("1", epochs=10, began=0.0, epoch=5, learnt=50.0, seconds=[10.0] * 5)
    assert estimate([running, row("2", method="B")], now=50) == TimeLeft(50.0, unknown=1)


def test_a_training_that_rows_share_counts_once() -> None:
    first = row("1", training="shared", epochs=10, began=0.0, epoch=4, learnt=40.0, seconds=[10.0] * 4)
    others = [row(key, training="shared", epochs=10) for key in "23"]
    assert estimate([first, *others], now=40) == TimeLeft(60.0)


def test_what_comes_after_a_training_counts_from_the_first_row_that_was_measured() -> None:
    done = row("1", training="shared", epochs=10, began=0.0, epoch=10, learnt=100.0, seconds=[10.0] * 10, ended=107.0)
    running = row("2", training="shared", epochs=10, began=107.0, epoch=10, learnt=108.0, seconds=[10.0] * 10)
    waiting = row("3", training="shared", epochs=10)
    assert estimate([done, running, waiting], now=110) == TimeLeft(5.0 + 7.0)


def test_rows_that_ran_earlier_or_failed_say_nothing_of_the_others() -> None:
    stored = row("1", ended=0.0, is_counted=False)
    failed = row("2", began=0.0, ended=1.0, is_counted=False)
    assert estimate([stored, failed, row("3")], now=1) is None


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        *((-1, "0.0 s"), (59.6, "1 min"), (61, "1 min 1 s"), (599, "9 min 59 s"), (3569, "59 min"), (3571, "1 h")),
        *((86_369, "23 h 59 min"), (86_390, "1 d"), (90_000, "1 d 1 h")),
    ],
)
def test_durations_have_two_units_at_most(seconds: float, words: str) -> None:
    assert duration_text(seconds) == words
