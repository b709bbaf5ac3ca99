"""The table of scorings: what every code base would print for the same predictions, nothing missing silently."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.scorings import Judgement, named_scoring, with_prints, write_judgements
from bench.types import RunResult, Score, Scoring
from reports.frame import Entry, entry_of
from reports.migration import scorings_table, unrecorded
from reports.table import Table
from tests.reports.fake_runs import ACM, DFINET, result, row_of


def judgement(name: str, **values: float | None) -> Judgement:
    """A judgement under a named scoring with those printed values."""
    named = named_scoring(name)
    ids = named.printed_ids()
    scores = {
        ids[head]: Score(value, "fraction", "lower" if head == "Fa" else "higher", "" if value else "no targets")
        for head, value in values.items()
    }
    return Judgement(named.scoring, ids, 10, 12, scores)


NATIVE = judgement("native", IoU=0.6, nIoU=0.58, F1=0.75, Pd=0.9, Fa=2e-5)
DNANET = judgement("dnanet", IoU=0.6, Pd=0.9, Fa=1.5e-5)
UIUNET = judgement("uiunet", IoU=0.45)


def entry(root: Path, made: RunResult, judgements: list[Judgement] | None, label: str = "") -> Entry:
    """A result whose predictions have been judged so."""
    folder = root / made.key
    if judgements is not None:
        write_judgements(folder, judgements)
    return entry_of(row_of(made, label), folder, made)


def table_of(entries: list[Entry]) -> Table:
    table = scorings_table(entries, title="Trial")
    assert table is not None
    return table


def lines(table: Table) -> list[tuple[str, ...]]:
    """Label and cells of every line, as plain text."""
    return [(line.label, *(cell.plain.strip() for cell in line.cells)) for line in table.lines]


def test_a_line_a_scoring_says_what_its_code_base_prints_and_how_far_that_is_from_native(tmp_path: Path) -> None:
    table = table_of([entry(tmp_path, result(), [NATIVE, DNANET, UIUNET])])
    assert [column.head for column in table.columns] == ["Dataset", "Scoring", "IoU", "nIoU", "F1", "Pd", "Fa"]
    assert lines(table) == [
        ("ACM", "NUDT-SIRST", "native", "60.00", "58.00", "75.00", "90.00", "20.00"),
        ("ACM", "NUDT-SIRST", "dnanet", "60.00", "", "", "90.00", "15.00 (−5.00)"),
        ("ACM", "NUDT-SIRST", "uiunet", "45.00 (−15.00)", "", "", "", ""),
    ]
    assert "the same predictions under 3 scorings" in table.caption
    notes = {note.mark: note.text for note in table.notes}
    (mark,) = table.lines[1].cells[1].marks
    assert notes[mark].startswith("DNANet; SCTransNet and MSHNet count false alarms alike. Known defects: ")
    assert not any(cell.rank for line in table.lines for cell in line.cells)


def test_a_difference_too_small_to_print_is_told_from_none(tmp_path: Path) -> None:
    other = judgement("optimal", IoU=0.600001, nIoU=0.58, F1=0.75, Pd=0.9, Fa=2e-5)
    table = table_of([entry(tmp_path, result(), [NATIVE, other])])
    assert [cell.change for cell in table.lines[1].cells[2:]] == ["0.00", "", "", "", ""]


def test_seeds_are_averaged(tmp_path: Path) -> None:
    second = [judgement("native", IoU=0.7), judgement("uiunet", IoU=0.65)]
    table = table_of(
        [entry(tmp_path, result(seed=1), [NATIVE, UIUNET]), entry(tmp_path, result(seed=2), second)],
    )
    assert table.lines[0].cells[2].plain == "65.00"
    assert table.lines[1].cells[2].plain == "55.00 (−10.00)"
    assert "Mean over seeds 1, 2." in table.caption


def test_datasets_come_one_after_the_other(tmp_path: Path) -> None:
    entries = [
        entry(tmp_path, result(info, dataset), [NATIVE])
        for info in (DFINET, ACM)
        for dataset in ("NUAA-SIRST", "NUDT-SIRST")
    ]
    found = [line[:3] for line in lines(table_of(entries))]
    assert found == [
        ("DFINet", "NUAA-SIRST", "native"),
        ("ACM", "NUAA-SIRST", "native"),
        ("DFINet", "NUDT-SIRST", "native"),
        ("ACM", "NUDT-SIRST", "native"),
    ]


def test_an_undefined_number_is_a_dash_with_its_reason(tmp_path: Path) -> None:
    table = table_of([entry(tmp_path, result(), [replace(NATIVE, scores=judgement("native", Pd=None).scores)])])
    cell = table.lines[0].cells[5]
    (reason,) = [note.text for note in table.notes if note.mark in cell.marks]
    assert (cell.plain, reason) == ("—", "Pd/centroid-3px undefined: no targets")


def test_failed_missing_unrecorded_and_broken_results_are_lines_of_dashes(tmp_path: Path) -> None:
    failed = result(replace(ACM, name="RDIAN"), status="failed", reason="boom", scores={})
    broken = entry(tmp_path, result(replace(ACM, name="UIU-Net")), [NATIVE])
    (broken.folder / "scorings.json").write_text("{")
    entries = [
        entry(tmp_path, result(), [NATIVE]),
        entry(tmp_path, failed, None),
        entry(tmp_path, result(DFINET), None),
        broken,
    ]
    table = table_of(entries)
    reasons = {note.mark: note.text for note in table.notes}
    told = {line.label: reasons[line.cells[2].marks[0]] for line in table.lines[1:]}
    assert told["RDIAN"] == "failed: boom"
    assert told["DFINet"].startswith("no scorings.json; `dfinet-bench score runs/KEY --data DIR --record` makes it")
    assert told["UIU-Net"].startswith(f"unreadable: {broken.row.key}/scorings.json: not a JSON file")
    assert all(cell.plain == "—" for line in table.lines[1:] for cell in line.cells[2:])
    (note,) = unrecorded(entries)
    assert note.startswith("not in the table of scorings: DFINet on NUDT-SIRST: no scorings.json")


def test_a_seed_that_lacks_a_scoring_is_named(tmp_path: Path) -> None:
    entries = [entry(tmp_path, result(seed=1), [NATIVE, UIUNET]), entry(tmp_path, result(seed=2), [NATIVE])]
    table = table_of(entries)
    cell = table.lines[1].cells[2]
    (reason,) = [note.text for note in table.notes if note.mark in cell.marks]
    assert reason.startswith("seed 2 without value: not recorded under uiunet")


def test_a_scoring_of_a_users_own_is_shown_without_a_note(tmp_path: Path) -> None:
    own = with_prints(Scoring("my rules", threshold=0.3))
    judged = Judgement(own.scoring, own.printed_ids(), 10, 12, NATIVE.scores)
    table = table_of([entry(tmp_path, result(), [NATIVE, judged])])
    assert (table.lines[1].cells[1].plain, table.lines[1].cells[1].marks) == ("my rules", ())


def test_without_any_record_there_is_no_table(tmp_path: Path) -> None:
    entries = [entry(tmp_path, result(), None)]
    assert scorings_table(entries, title="Trial") is None
    assert len(list(unrecorded(entries))) == 1


@pytest.mark.parametrize("count", [3, 5])
def test_many_unrecorded_results_are_one_note(count: int, tmp_path: Path) -> None:
    entries = [entry(tmp_path, result(replace(ACM, name=f"Net {i}")), None) for i in range(count)]
    (note,) = unrecorded(entries)
    assert (", and 2 more" in note) == (count == 5)
