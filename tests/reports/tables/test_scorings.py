"""The tables of scorings: what every code base would print for the same predictions, nothing missing silently."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.protocols.scorings import ScoringRecord, named_scoring, with_prints, write_records
from bench.types import RunResult, Score, Scoring
from reports.results.entries import Entry, entry_of
from reports.table import Table
from reports.tables.scorings import scorings_tables, unrecorded
from tests.reports.fake_runs import ACM, DFINET, result, row_of


def judgement(name: str, **values: float | None) -> ScoringRecord:
    """A judgement under a named scoring with those printed values."""
    named = named_scoring(name)
    ids = named.printed_ids()
    scores = {
        ids[head]: Score(value, "fraction", "lower" if head == "Fa" else "higher", "" if value else "no targets")
        for head, value in values.items()
    }
    return ScoringRecord(named.scoring, ids, 10, 12, scores)


NATIVE = judgement("native", IoU=0.6, nIoU=0.58, F1=0.75, Pd=0.9, Fa=2e-5)
DNANET = judgement("dnanet", IoU=0.6, Pd=0.9, Fa=1.5e-5)
UIUNET = judgement("uiunet", IoU=0.45)


def entry(root: Path, made: RunResult, judgements: list[ScoringRecord] | None, label: str = "") -> Entry:
    """A result whose predictions have been judged so."""
    folder = root / made.key
    if judgements is not None:
        write_records(folder, judgements)
    return entry_of(row_of(made, label), folder, made)


def table_of(entries: list[Entry]) -> Table:
    ((_, table),) = scorings_tables(entries, title="Trial")
    return table


def heads(table: Table) -> list[str]:
    return [f"{column.group} {column.head}" for column in table.columns]


def lines(table: Table) -> list[tuple[str, ...]]:
    """Label and cells of every line, as plain text."""
    return [(line.label, *(cell.plain.strip() for cell in line.cells)) for line in table.lines]


def test_every_different_set_of_numbers_has_a_column(tmp_path: Path) -> None:
    table = table_of([entry(tmp_path, result(), [NATIVE, DNANET, UIUNET])])
    assert heads(table) == [
        "IoU native",
        "IoU uiunet",
        "nIoU native",
        "F1 native",
        "Pd native",
        "Fa native",
        "Fa dnanet",
    ]
    assert lines(table) == [("ACM", "60.00", "45.00", "58.00", "75.00", "90.00", "20.00", "15.00")]
    assert "the same predictions under 3 scorings" in table.caption
    assert "A scoring without a column under a head prints the numbers of native there, or none." in table.caption
    assert "Printed alike" not in table.caption
    notes = {note.mark: note.text for note in table.notes}
    (mark,) = table.columns[-1].marks
    assert notes[mark].startswith("dnanet: DNANet; SCTransNet and MSHNet count false alarms alike. Known defects: ")
    assert not any(cell.rank for line in table.lines for cell in line.cells)


def test_a_scoring_that_differs_for_one_method_has_a_column_for_all(tmp_path: Path) -> None:
    same = judgement("uiunet", IoU=0.6)
    table = table_of([entry(tmp_path, result(), [NATIVE, same]), entry(tmp_path, result(DFINET), [NATIVE, UIUNET])])
    assert heads(table)[:2] == ["IoU native", "IoU uiunet"]
    assert [line[1:3] for line in lines(table)] == [("60.00", "60.00"), ("60.00", "45.00")]


def test_scorings_that_differ_alike_from_native_share_a_column_and_are_named(tmp_path: Path) -> None:
    older = judgement("basicirstd-2023", Fa=1.5e-5)
    table = table_of([entry(tmp_path, result(), [NATIVE, older, DNANET])])
    assert heads(table)[-2:] == ["Fa native", "Fa basicirstd-2023"]
    assert "Printed alike: Fa of basicirstd-2023 also dnanet." in table.caption


def test_seeds_are_averaged(tmp_path: Path) -> None:
    second = [judgement("native", IoU=0.7), judgement("uiunet", IoU=0.65)]
    table = table_of(
        [entry(tmp_path, result(seed=1), [NATIVE, UIUNET]), entry(tmp_path, result(seed=2), second)],
    )
    assert lines(table)[0][1:3] == ("65.00", "55.00")
    assert "Mean over seeds 1, 2." in table.caption


def test_every_dataset_has_a_table(tmp_path: Path) -> None:
    entries = [
        entry(tmp_path, result(info, dataset), [NATIVE])
        for info in (DFINET, ACM)
        for dataset in ("NUAA-SIRST", "NUDT-SIRST")
    ]
    found = {dataset: [line[0] for line in lines(table)] for dataset, table in scorings_tables(entries, title="Trial")}
    assert found == {"NUAA-SIRST": ["DFINet", "ACM"], "NUDT-SIRST": ["DFINet", "ACM"]}


def test_an_undefined_number_is_a_dash_with_its_reason(tmp_path: Path) -> None:
    table = table_of([entry(tmp_path, result(), [replace(NATIVE, scores=judgement("native", Pd=None).scores)])])
    cell = table.lines[0].cells[heads(table).index("Pd native")]
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
    told = {line.label: reasons[line.cells[0].marks[0]] for line in table.lines[1:]}
    assert told["RDIAN"] == "failed: boom"
    assert told["DFINet"].startswith("no scorings.json; `dfinet-bench score runs/KEY --data DIR --record` makes it")
    assert told["UIU-Net"].startswith(f"unreadable: {broken.row.key}/scorings.json: not a JSON file")
    assert all(cell.plain == "—" for line in table.lines[1:] for cell in line.cells)
    (note,) = unrecorded(entries)
    assert note.startswith("not in the table of scorings: DFINet on NUDT-SIRST: no scorings.json")


def test_a_seed_or_a_method_that_lacks_a_scoring_is_named(tmp_path: Path) -> None:
    entries = [
        entry(tmp_path, result(seed=1), [NATIVE, UIUNET]),
        entry(tmp_path, result(seed=2), [NATIVE]),
        entry(tmp_path, result(DFINET), [NATIVE]),
    ]
    table = table_of(entries)
    reasons = {note.mark: note.text for note in table.notes}
    first, second = (line.cells[heads(table).index("IoU uiunet")] for line in table.lines)
    assert reasons[first.marks[0]].startswith("seed 2 without value: not recorded under uiunet")
    assert reasons[second.marks[0]].startswith("not recorded under uiunet")
    assert second.plain == "—"


def test_a_scoring_of_a_users_own_is_shown_without_a_note(tmp_path: Path) -> None:
    own = with_prints(Scoring("my rules", threshold=0.3))
    judged = ScoringRecord(own.scoring, own.printed_ids(), 10, 12, judgement("native", IoU=0.7).scores)
    table = table_of([entry(tmp_path, result(), [NATIVE, judged])])
    column = table.columns[heads(table).index("IoU my rules")]
    assert column.marks == ()


def test_without_any_record_there_is_no_table(tmp_path: Path) -> None:
    entries = [entry(tmp_path, result(), None)]
    assert list(scorings_tables(entries, title="Trial")) == []
    assert len(list(unrecorded(entries))) == 1


@pytest.mark.parametrize("count", [3, 5])
def test_many_unrecorded_results_are_one_note(count: int, tmp_path: Path) -> None:
    entries = [entry(tmp_path, result(replace(ACM, name=f"Net {i}")), None) for i in range(count)]
    (note,) = unrecorded(entries)
    assert (", and 2 more" in note) == (count == 5)
