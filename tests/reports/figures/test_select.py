"""The methods that figures show where a suite has very many."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from reports.figures.select import BEST, MANY, best_methods
from reports.results.entries import Entry, entry_of
from tests.reports.fake_runs import ACM, result, row_of, scores


def entries(count: int) -> list[Entry]:
    """As many methods on two datasets, the later ones with the higher IoU on both together."""
    found = []
    for dataset, sign in (("NUAA-SIRST", 1), ("NUDT-SIRST", -1)):
        for number in range(count):
            iou = 0.5 + 0.005 * number + sign * 0.1
            made = result(replace(ACM, name=f"Net {number}"), dataset, found=scores(iou))
            found.append(entry_of(row_of(made), Path(), made))
    return found


def test_all_methods_are_shown_until_there_are_very_many() -> None:
    assert best_methods(some := entries(MANY)).entries == tuple(some)
    assert best_methods(some).left_out == ""


def test_of_very_many_the_best_are_shown_in_the_order_of_the_suite() -> None:
    shown = best_methods(entries(MANY + 5))
    labels = [f"Net {number}" for number in range(MANY + 5 - BEST, MANY + 5)]
    assert [entry.row.label for entry in shown.entries] == labels * 2
    assert shown.left_out == (
        f"Not drawn: {MANY + 5 - BEST} methods whose mean IoU/pooled over datasets and seeds is lower; "
        "the tables have them."
    )


def test_leaks_and_rows_without_scores_are_not_among_the_best() -> None:
    some = entries(MANY + 1)
    leaked = [replace(each, row=replace(each.row, leaked=3)) for each in some if each.row.label == f"Net {MANY}"]
    failed = [replace(each, reason="failed") for each in some if each.row.label == f"Net {MANY - 1}"]
    others = [each for each in some if each.row.label not in (f"Net {MANY}", f"Net {MANY - 1}")]
    shown = {each.row.label for each in best_methods([*others, *failed, *leaked], count=2).entries}
    assert shown == {f"Net {MANY - 2}", f"Net {MANY - 3}"}
