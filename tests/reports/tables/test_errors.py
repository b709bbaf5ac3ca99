"""The errors table and its figure: what they print, what is absent, and when there are none."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from bench.types import RunResult, Score
from reports.figures.errors import error_figures
from reports.plots.error_bars import ErrorShares, errors_figure
from reports.render.csv_markdown import table_to_csv
from reports.results.entries import Entry, entry_of
from reports.tables.errors import errors_table
from tests.reports.fake_runs import ACM, DFINET, result, row_of, scores

PARTS = {
    "hIoU/overlap-priority": 0.375,
    "hIoU/loc-IoU": 0.75,
    "hIoU/loc-S2M": 0.05,
    "hIoU/loc-M2S": 0.0,
    "hIoU/loc-ITF": 0.15,
    "hIoU/loc-PCP": 0.05,
    "hIoU/seg-IoU": 0.5,
    "hIoU/seg-MRG": 0.125,
    "hIoU/seg-ITF": 0.125,
    "hIoU/seg-PCP": 0.25,
}


def told(made: RunResult, *, suffix: str = "", **changed: float | None) -> RunResult:
    """The result with errors by cause; those changed by their last word, None being undefined."""
    parts = {**PARTS, **{f"hIoU/{name.replace('_', '-')}": value for name, value in changed.items()}}
    better = {name: "higher" if name.endswith(("IoU", "priority")) else "lower" for name in parts}
    found = {
        f"{name}{suffix}": Score(value, "fraction", better[name], "" if value is not None else "no target matched")  # type: ignore[arg-type]
        for name, value in parts.items()
    }
    return replace(made, scores={**made.scores, **found}, rounds=({**made.scores, **found},))


def entry(made: RunResult, label: str = "") -> Entry:
    return entry_of(row_of(made, label), Path("runs"), made)


def test_a_line_prints_ten_numbers_in_percent() -> None:
    table = errors_table([entry(told(result(ACM)))], title="Trial")
    assert table is not None
    assert [column.head for column in table.columns] == [
        *["hIoU", "IoU", "S2M", "M2S", "ITF", "PCP", "IoU", "MRG", "ITF", "PCP"]
    ]
    assert [column.group for column in table.columns] == ["", *["Locating"] * 5, *["Segmenting"] * 4]
    (line,) = table.lines
    assert [cell.text for cell in line.cells] == [
        *["37.50", "75.00", "5.00", "0.00", "15.00", "5.00", "50.00", "12.50", "12.50", "25.00"]
    ]


def test_every_dataset_has_its_lines_and_its_own_best() -> None:
    made = [
        (told(result(DFINET, "NUAA-SIRST")), "DFINet"),
        (told(result(DFINET, "NUDT-SIRST"), overlap_priority=0.5), "DFINet"),
        (told(result(ACM, "NUAA-SIRST"), overlap_priority=0.25), "ACM"),
    ]
    table = errors_table([entry(one, label) for one, label in made], title="Trial")
    assert table is not None
    shown = [(line.label, line.cells[0].text, line.cells[1].text, line.cells[1].rank) for line in table.lines]
    assert shown == [
        ("DFINet", "NUAA-SIRST", "37.50", "best"),
        ("ACM", "NUAA-SIRST", "25.00", "second"),
        ("DFINet", "NUDT-SIRST", "50.00", ""),
    ]
    assert {cell.rank for line in table.lines for cell in line.cells[3:7]} == {""}, "parts are not ranked"


def test_seeds_are_averaged_and_parts_have_no_deviation() -> None:
    made = [told(result(ACM, seed=1), overlap_priority=0.3), told(result(ACM, seed=2), overlap_priority=0.4)]
    table = errors_table([entry(one) for one in made], title="Trial")
    assert table is not None
    (line,) = table.lines
    assert (line.cells[0].text, line.cells[0].spread) == ("35.00", "7.07")
    assert (line.cells[2].text, line.cells[2].spread) == ("5.00", "")


def test_what_is_undefined_or_not_stored_is_a_dash_with_its_reason() -> None:
    undefined = told(result(ACM), seg_IoU=None)
    table = errors_table([entry(undefined), entry(result(DFINET))], title="Trial")
    assert table is not None
    rows = list(csv.reader(table_to_csv(table).splitlines()))
    assert rows[1][7] == ""
    assert "hIoU/seg-IoU undefined: no target matched" in rows[1][-1]
    assert "hIoU/overlap-priority is not among its scores" in rows[2][-1]


def test_errors_at_another_distance_are_shown_too() -> None:
    table = errors_table([entry(told(result(ACM), suffix="-5px"))], title="Trial")
    assert table is not None
    assert table.lines[0].cells[0].text == "37.50"


def test_without_errors_there_is_neither_table_nor_figure() -> None:
    entries = [entry(replace(result(ACM), scores=scores(0.6)))]
    assert errors_table(entries, title="Trial") is None
    assert list(error_figures(entries)) == []


def test_a_figure_for_each_dataset_names_who_is_not_in_it() -> None:
    made = [
        entry(told(result(DFINET, "NUAA-SIRST"))),
        entry(result(ACM, "NUAA-SIRST")),
        entry(told(result(DFINET, "NUDT-SIRST"))),
    ]
    first, second = error_figures(made)
    assert (first.name, second.name) == ("errors-nuaa-sirst", "errors-nudt-sirst")
    assert "Not drawn, for want of hIoU: ACM." in first.caption
    assert "Not drawn" not in second.caption
    assert [text.get_text() for text in first.figure.axes[0].get_yticklabels()] == ["DFINet"]
    assert first.is_wide
    assert next(error_figures([entry(told(result(ACM)))])).name == "errors"


def test_bars_are_as_long_as_their_parts_and_say_what_is_undefined() -> None:
    parts = {"IoU": 75.0, "S2M": 5.0, "M2S": 0.0, "ITF": 15.0, "PCP": 5.0}
    figure = errors_figure([ErrorShares("A", 37.5, parts, {})])
    left, right = figure.axes
    assert [patch.get_width() for patch in left.patches] == pytest.approx(list(parts.values()))  # type: ignore[attr-defined]
    assert [patch.get_x() for patch in left.patches] == pytest.approx([0, 75, 80, 80, 95])  # type: ignore[attr-defined]
    assert [text.get_text() for text in left.texts] == ["75", "15"], "small parts have no number"
    assert {text.get_text() for text in right.texts} == {"undefined", "hIoU\n(×10⁻²)", "37.5"}
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    assert words == [
        "correct (IoU)",
        "targets that share a component (S2M)",
        "where no target is (ITF)",
        "not seen (PCP)",
    ]
