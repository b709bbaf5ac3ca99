"""The book of a run's rows, told of by hand with a clock of its own."""

from __future__ import annotations

from bench.progress import PlannedRow, Silent, SilentRows, further_line, rows_of
from bench.progress.rows import STORED, RowBook


class Watch:
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def planned(*keys: str, epochs: int = 4) -> list[PlannedRow]:
    return [PlannedRow(key, f"Net on set {key}", "Net", f"training {key}", epochs) for key in keys]


def test_a_run_side_by_side_is_counted_from_its_plan_to_its_costs() -> None:
    watch = Watch()
    book = RowBook(watch)
    book.plan(planned("a", "b", "c", "d"))
    assert (book.counts(), book.time_words()) == ("0 of 4 rows done, 4 waiting", "")
    book.end("d", STORED)
    book.begin("a")
    book.begin("b")
    assert (book.counts(), book.time_words()) == ("1 of 4 rows done, 2 running, 1 waiting", "")
    watch.now = 10.0
    book.learn("a", {"epoch": 1, "loss": 0.5, "seconds": 10.0})
    assert book.time_words() == "about 50 s left"  # 30 each of those that run, 40 of the one that waits, by two
    book.end("b", "failed")
    assert book.counts() == "2 of 4 rows done (1 failed), 1 running, 1 waiting"
    for epoch in (2, 3, 4):
        book.learn("a", {"epoch": epoch, "loss": 0.5, "seconds": 10.0})
    watch.now = 15.0
    book.score("a")
    assert book.time_words() == "about 45 s left (without the measurement of costs)"
    book.score("c")
    assert (book.counts(), book.time_words()) == ("2 of 4 rows done (1 failed), 2 scored", "")
    watch.now = 18.0
    book.end("a", "done")
    assert book.time_words() == "about 3 s left"
    book.end("c", "done")
    assert (book.counts(), book.time_words()) == ("4 of 4 rows done (1 failed)", "")


def test_rows_of_one_experiment_are_told_of_one_after_the_other() -> None:
    book = RowBook(Watch())
    book.plan(planned("a", "a"))
    book.begin("a")
    book.end("a", "done")
    assert book.counts() == "1 of 2 rows done, 1 waiting"
    book.end("a", STORED)
    assert book.counts() == "2 of 2 rows done"


def test_events_of_rows_that_are_not_planned_change_nothing() -> None:
    book = RowBook(Watch())
    book.plan(planned("a"))
    assert (book.begin("x"), book.learn("x", {"epoch": 1}), book.score("x"), book.end("x", "done")) == (None,) * 4
    assert book.counts() == "0 of 1 rows done, 1 waiting"


def test_a_display_of_steps_alone_is_told_of_no_row() -> None:
    assert isinstance(rows_of(Silent()), SilentRows)
    assert rows_of(silent := SilentRows()) is silent
    assert isinstance(further_line(Silent(), "a"), Silent)
