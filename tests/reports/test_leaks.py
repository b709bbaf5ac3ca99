"""A method that learnt from test images is marked wherever it stands, and is the best of nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bench.types import RunResult
from reports.build import build_report
from reports.caption import leak_words
from reports.comparison import comparison_table
from reports.frame import Entry, entry_of, to_frame
from reports.latex import table_to_latex
from reports.plain import table_to_csv, table_to_markdown
from reports.table import Table
from tests.reports.fake_ablation import FULL, variant
from tests.reports.fake_runs import ACM, DFINET, result, row_of, scores, write_realistic_suite

SENTENCE = "417 of 664 test images were in the training list"


def entry(made: RunResult, label: str = "") -> Entry:
    return entry_of(replace(row_of(made, label), leaked=made.leaked), Path(made.key), made)


LEAKY = result(ACM, found=scores(0.99), leaked=417)
HONEST = result(DFINET, found=scores(0.9))


def compared(*entries: Entry) -> Table:
    return comparison_table(list(entries), title="T")


def test_a_leak_is_marked_and_never_ranked() -> None:
    table = compared(entry(LEAKY), entry(HONEST), entry(replace(variant(FULL, iou=0.7)), "third"))
    assert [line.cells[0].rank for line in table.lines] == ["", "best", "second"]
    assert [line.marks for line in table.lines] == [("¶",), (), ()]
    assert {note.mark: note.text for note in table.notes}["¶"] == (
        f"leak: {SENTENCE} (NUDT-SIRST: ACM); not a result, and not ranked"
    )


@pytest.mark.parametrize("render", [table_to_latex, table_to_csv, table_to_markdown])
def test_every_form_of_a_table_says_how_many(render: Callable[[Table], str]) -> None:
    assert SENTENCE in render(compared(entry(LEAKY), entry(HONEST)))
    assert "leak" not in render(compared(entry(HONEST), entry(replace(LEAKY, leaked=0))))


def test_the_line_of_a_leak_carries_the_sentence_in_its_own_csv_row() -> None:
    leaky, honest = table_to_csv(compared(entry(LEAKY), entry(HONEST))).splitlines()[1:]
    assert SENTENCE in leaky
    assert SENTENCE not in honest


def test_a_leak_on_one_of_two_datasets_marks_that_datasets_cells_as_well() -> None:
    clean = result(ACM, "NUAA-SIRST")
    table = compared(entry(LEAKY), entry(clean), entry(HONEST), entry(result(DFINET, "NUAA-SIRST")))
    first = table.lines[0]
    marked = [(column.group, "¶" in cell.marks) for column, cell in zip(table.columns, first.cells, strict=True)]
    assert {group for group, is_marked in marked if is_marked} == {"NUDT-SIRST"}
    assert first.marks == ("¶",)


def test_a_leak_without_a_result_is_marked_too() -> None:
    absent = Entry(replace(row_of(LEAKY), leaked=417), Path(LEAKY.key), reason="not run")
    table = compared(absent, entry(HONEST))
    assert table.lines[0].marks == ("¶",)
    assert any(note.text.startswith("leak: 417 test images were in the training list") for note in table.notes)


def test_methods_that_share_a_count_are_told_in_one_part() -> None:
    second = entry(result(DFINET, leaked=417), "second")
    third = entry(result(DFINET, "NUAA-SIRST", leaked=1))
    assert leak_words([entry(LEAKY), second, third]) == (
        f"{SENTENCE} (NUDT-SIRST: ACM, second); 1 of 214 test images were in the training list (NUAA-SIRST: DFINet)"
    )
    assert leak_words([entry(HONEST)]) == ""


def test_the_frame_of_a_suite_has_the_number() -> None:
    assert to_frame((entry(LEAKY), entry(HONEST)))["leaked"].tolist() == [417, 0]


def test_a_leak_is_called_one_in_figures_and_not_held_against_published_numbers(tmp_path: Path) -> None:
    """Every table, page and caption of a whole report in which ACM learnt from test images."""
    write_realistic_suite(tmp_path, change=lambda made: replace(made, leaked=9) if made.model.name == "ACM" else made)
    report = build_report(tmp_path, "trial", out=tmp_path / "out", compile_pdf=False)
    words = re.compile("9 of (214|664) test images were in the training list")
    tables = [path for path in report.paths if path.suffix in (".csv", ".md") and path.name != "results.csv"]
    assert len(tables) > 8
    for path in tables:
        text = path.read_text()
        assert "ACM" not in text or words.search(text) or "published-elsewhere" in path.name, path.name
    assert words.search((tmp_path / "out" / "published.md").read_text())
    page = (tmp_path / "out" / "index.html").read_text()
    assert len(words.findall(page)) > len(tables) / 2
    assert "ACM (leak)" in page
    captions = (tmp_path / "out" / "report.tex").read_text()
    assert "Leak, no result: 9 of 214 test images" in captions
