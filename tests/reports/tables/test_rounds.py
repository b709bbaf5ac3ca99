"""What the rounds table says: every round's numbers, how the masks changed, and what only a script prints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.errors import StoreError
from bench.store.files import write_arrays
from bench.types import RunResult, Score
from reports.columns import metrics_shown
from reports.results.entries import Entry, entry_of
from reports.results.mask_changes import read_changes
from reports.table import Cell, Table
from reports.tables.comparison import comparison_table
from reports.tables.rounds import rounds_table
from tests.reports.fake_ablation import FANET, FULL, ablation, iterated, started, variant
from tests.reports.fake_runs import result, row_of

IOU, FA, MASKS = "NUDT-SIRST: IoU ↑ (×10⁻²)", "NUDT-SIRST: Fa ↓ (×10⁻⁶)", "NUDT-SIRST: masks"
MADE_TWICE = {
    "names": np.array(["a", "b"]),
    "pixels": np.array([100, 100]),
    "changed": np.array([[4, 6], [0, 3]]),
    "fixed": np.array([2, 3]),
    "repeats": np.array([3, 0]),
    "flicker": np.array([0, 1]),
    "start_intersection": np.array([2, 4]),
    "start_predicted": np.array([8, 10]),
    "actual": np.array([5, 7]),
}
"""Two images over three rounds: the first one's mask is settled after the second; the start's IoU is 6 / 24."""


def entry(made: RunResult, folder: Path = Path("nowhere"), label: str = "") -> Entry:
    return entry_of(row_of(made, label), folder / made.key, made)


def table_of(entries: Sequence[Entry]) -> Table:
    table = rounds_table(entries, title="T")
    assert table is not None
    return table


def line(table: Table, index: int, group: str) -> list[str]:
    cells = zip(table.columns, table.lines[index].cells, strict=True)
    return [cell.plain for column, cell in cells if column.group == group]


def heads(table: Table, group: str) -> list[str]:
    return [column.head for column in table.columns if column.group == group]


FULL_RUN = iterated(variant(FULL), 0.5, 0.625, 0.75)


def test_every_round_has_a_column_for_iou_pd_and_fa():
    table = table_of([entry(FULL_RUN)])
    assert list(dict.fromkeys(column.group for column in table.columns)) == [
        "NUDT-SIRST: IoU ↑ (×10⁻²)",
        "NUDT-SIRST: Pd ↑ (×10⁻²)",
        "NUDT-SIRST: Fa ↓ (×10⁻⁶)",
    ]
    assert heads(table, IOU) == ["1", "2", "3"]
    assert line(table, 0, IOU) == ["50.00", "62.50", "75.00"]
    assert line(table, 0, FA) == ["20.00"] * 3
    assert "1 to 3: after that feedback round." in table.caption
    assert "What the masks did from round to round is not stored" in table.caption


def test_a_network_of_fewer_rounds_leaves_blanks_and_one_without_feedback_is_left_out():
    longer = iterated(variant(FANET), 0.1, 0.2, 0.3, 0.4)
    table = table_of([entry(FULL_RUN), entry(longer), entry(result())])
    assert [own.label for own in table.lines] == ["DFINet", "FANet"]
    assert line(table, 0, IOU) == ["50.00", "62.50", "75.00", " "]
    assert line(table, 1, IOU) == ["10.00", "20.00", "30.00", "40.00"]


def test_a_suite_without_several_rounds_has_no_rounds_table():
    assert rounds_table([entry(result())], title="T") is None
    assert rounds_table([Entry(row_of(FULL_RUN), Path("x"), reason="not run")], title="T") is None


def test_several_seeds_are_their_mean():
    seeds = [iterated(variant(FULL, seed=seed), *ious) for seed, ious in ((1, (0.5, 0.6)), (2, (0.6, 0.8)))]
    table = table_of([entry(made) for made in seeds])
    assert line(table, 0, IOU) == ["55.00", "70.00"]
    assert "Mean over seeds 1, 2." in table.caption


def test_no_round_is_ranked():
    table = table_of([entry(FULL_RUN), entry(iterated(variant(ablation("no-chpp")), 0.1, 0.2, 0.3))])
    assert {cell.rank for own in table.lines for cell in own.cells} == {""}
    assert "a round chosen by these numbers would be chosen on the test list" in table.caption


def test_the_masks_changes_and_the_start_come_from_their_file(tmp_path: Path):
    write_arrays(tmp_path / FULL_RUN.key / "rounds.npz", MADE_TWICE)
    without = iterated(variant(ablation("no-chpp")), 0.1, 0.2, 0.3)
    table = table_of([entry(FULL_RUN, tmp_path), entry(without, tmp_path)])
    assert heads(table, MASKS) == ["changed", "settled", "fixed at", "flicker"]
    assert line(table, 0, MASKS) == ["3.25", "50.0", "2.5", "0.50"]
    assert line(table, 0, IOU) == ["25.00", "50.00", "62.50", "75.00"]
    assert heads(table, IOU) == ["0", "1", "2", "3"]
    assert "0: the first feedback mask itself" in table.caption
    assert line(table, 1, MASKS) == ["—"] * 4
    assert [note.text for note in table.notes] == ["what its masks did from round to round is not stored"]


def test_settled_images_are_counted_from_the_round_after_which_nothing_changes(tmp_path: Path):
    arrays = {**MADE_TWICE, "changed": np.array([[0, 6], [2, 0]])}
    write_arrays(tmp_path / FULL_RUN.key / "rounds.npz", arrays)
    found = read_changes(entry(FULL_RUN, tmp_path))
    assert found is not None
    assert found.unchanged.tolist() == [0.0, 0.5]
    assert found.by_step.tolist() == [3.0, 1.0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"changed": np.array([[4, 6]])}, r"changed is of shape \(1, 2\), which does not go with 3 rounds of 2 images"),
        ({"flicker": np.array([1])}, r"flicker is of shape \(1,\)"),
    ],
)
def test_a_file_of_other_rounds_or_images_is_refused_and_told_in_the_table(
    tmp_path: Path, change: dict[str, np.ndarray], words: str
):
    write_arrays(tmp_path / FULL_RUN.key / "rounds.npz", {**MADE_TWICE, **change})
    with pytest.raises(StoreError, match=words):
        read_changes(entry(FULL_RUN, tmp_path))
    write_arrays(tmp_path / FULL_RUN.key / "rounds.npz", {"names": MADE_TWICE["names"]})
    with pytest.raises(StoreError, match=r"^[0-9a-f]{12}/rounds.npz: no array 'changed'; run the suite again$"):
        read_changes(entry(FULL_RUN, tmp_path))


def test_the_start_mask_is_named_where_rows_differ_in_it():
    oracle = started(FULL_RUN, "ground-truth")
    table = table_of([entry(FULL_RUN), entry(oracle, label="given the truth")])
    assert [own.cells[0].text for own in table.lines] == ["Otsu", "ground truth (oracle)"]
    assert table.lines[1].marks == ("§",)
    assert table.notes[0].text.startswith("oracle: its first feedback mask is the ground truth")
    assert "Start mask" not in [column.head for column in table_of([entry(FULL_RUN)]).columns]


def test_a_failed_row_keeps_its_dashes_and_its_reason():
    failed = replace(variant(ablation("no-chpp"), status="failed", reason="boom", scores={}), rounds=())
    unreached = Entry(row_of(variant(ablation("no-dsfm"))), Path("x"), reason="not run")
    table = table_of([entry(FULL_RUN), entry(failed), unreached])
    assert [line(table, index, IOU) for index in (1, 2)] == [["—"] * 3] * 2
    assert [note.text for note in table.notes] == ["failed: boom", "not run"]


CUMULATIVE = "legacy:IoU/cumulative-rounds"


def test_what_the_script_prints_is_marked_and_stands_in_no_other_table():
    last = {**FULL_RUN.scores, CUMULATIVE: Score(0.62, "fraction", "higher")}
    made = replace(FULL_RUN, scores=last, rounds=(*FULL_RUN.rounds[:2], last))
    table = table_of([entry(made)])
    assert heads(table, IOU) == ["1", "2", "3", "script"]
    cell: Cell = table.lines[0].cells[3]
    assert cell.text == "62.00"
    (note,) = [note.text for note in table.notes if note.mark in cell.marks]
    assert note.startswith("what DFINet's script prints as the IoU of its last round: pooled over all rounds")
    shown = comparison_table([entry(made)], title="T")
    assert [c.head for c in shown.columns if c.group == "NUDT-SIRST"] == ["IoU", "nIoU", "F1", "Pd", "Fa"]


def test_a_cumulative_score_is_no_column_even_without_standard_ones():
    legacy = {
        "legacy:IoU/soft-mask": Score(0.5, "fraction", "higher"),
        CUMULATIVE: Score(0.4, "fraction", "higher"),
    }
    assert [metric.id for metric in metrics_shown([legacy])] == ["legacy:IoU/soft-mask"]
