"""A method that learnt from test images is marked wherever it stands, and is the best of nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bench.types import RunResult
from reports.build import build_report
from reports.render.csv_markdown import table_to_csv, table_to_markdown
from reports.render.latex import table_to_latex
from reports.results.entries import Entry, entry_of, to_frame
from reports.table import Table
from reports.tables.captions import leak_words
from reports.tables.comparison import comparison_table
from reports.tables.cross_dataset import cross_table
from reports.tables.robustness import robustness_tables
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


def test_corruptions_of_a_list_are_told_once() -> None:
    clean = entry(LEAKY)
    experiment = replace(LEAKY.experiment, corruption="stripes@1")
    made = replace(LEAKY, key=experiment.key, experiment=experiment)
    striped = Entry(replace(row_of(made), leaked=417, corruption="stripes@1"), Path(made.key), made)
    assert striped.dataset == "NUDT-SIRST + stripes@1"
    assert leak_words([clean, striped]) == f"{SENTENCE} (NUDT-SIRST: ACM)"


def transferred(made: RunResult, trained_on: str) -> Entry:
    row = replace(row_of(made), leaked=made.leaked, trained_on=trained_on)
    return Entry(row, Path(made.key), made)


def test_a_leak_between_datasets_is_marked_in_its_cells_and_is_the_best_of_no_transfer() -> None:
    """ACM trained on a mixture has learnt from NUDT-SIRST's test images; ACM and DFINet trained on NUAA-SIRST not."""
    leaky = transferred(result(ACM, found=scores(0.99), leaked=417, seed=1), "SIRST3")
    honest = [transferred(result(model, found=scores(iou)), "NUAA-SIRST") for model, iou in ((ACM, 0.6), (DFINET, 0.7))]
    table = cross_table([leaky, *honest], title="T")
    assert table is not None
    ranks = {line.label: (line.cells[0].rank, "¶" in line.cells[0].marks, line.marks) for line in table.lines}
    assert ranks == {
        "ACM, from SIRST3": ("", True, ("¶",)),
        "ACM, from NUAA-SIRST": ("second", False, ()),
        "DFINet, from NUAA-SIRST": ("best", False, ()),
    }
    assert any(SENTENCE in note.text for note in table.notes)


def test_a_leak_is_the_best_of_no_robustness_table() -> None:
    def both(made: RunResult) -> list[Entry]:
        experiment = replace(made.experiment, corruption="drift@1")
        lower = replace(made, key=experiment.key, experiment=experiment)
        rows = (row_of(made), replace(row_of(lower), corruption="drift@1"))
        return [Entry(replace(r, leaked=m.leaked), Path(m.key), m) for r, m in zip(rows, (made, lower), strict=True)]

    entries = [*both(LEAKY), *both(HONEST), *both(replace(variant(FULL, iou=0.5), model=replace(DFINET, name="Third")))]
    entries[-2:] = [replace(e, row=replace(e.row, label="Third")) for e in entries[-2:]]
    ((_, summary, kinds),) = robustness_tables(entries, title="T")
    for table in (summary, kinds):
        assert [line.cells[0].rank for line in table.lines] == ["", "best", "second"]
        assert table.lines[0].marks == ("¶",)


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
