"""Intervals, tests and strata in the report: what is compared with what, what is marked, and what becomes a note."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.metrics.counting.counts import CountsWriter, CountTable
from bench.metrics.registry import score_counts
from bench.metrics.significance import holm, permutation_tests
from bench.store.files import write_arrays
from bench.types import ModelInfo, RunResult, Score
from reports.figures.strata import strata_figures
from reports.render.csv_markdown import table_to_csv, table_to_markdown
from reports.render.latex import table_to_latex
from reports.results.entries import Entry, read_suite
from reports.results.image_counts import missing_counts, read_counted, registered_metric
from reports.table import Table
from reports.tables.comparison import comparison_table
from reports.tables.intervals import interval_tables, p_words
from reports.tables.significance import ALIKE, ALIKE_AS_METHOD, ALIKE_AS_TRAINED, SEED, ComparedTable, compare_with_best
from reports.tables.strata import strata_tables
from tests.reports.fake_runs import ACM, SCORING, result, write_suite

IMAGES = 40
NAMES = tuple(f"{number:03d}" for number in range(IMAGES))


def counted_table(skill: float, *, seed: int, names: Sequence[str] = NAMES, wide: bool = False) -> CountTable:
    """Counts of a method that finds a target of 3 x 3 px with that chance, on frames of 32 x 32 px."""
    generator = np.random.default_rng(seed)
    writer = CountsWriter(SCORING)
    for name in names:
        row = 4 + int(name) % 20
        mask = np.zeros((32, 32), np.uint8)
        mask[row : row + 3, 10 : 13 + wide] = 1
        prediction = mask * (generator.random() < skill)
        if generator.random() > skill:
            prediction[1, 25:30] = 1
        writer.add(name, [np.where(prediction > 0, 65535, 0).astype(np.uint16)], truth=mask)
    return writer.table()


def method(
    root: Path, label: str, table: CountTable | None, *, seed: int = 42, **changes: object
) -> tuple[str, RunResult, None]:
    """A row of a suite whose scores are those of its counts, which are written beside it."""
    info: ModelInfo = replace(ACM, name=label)
    made = result(info, seed=seed, **changes)  # type: ignore[arg-type]
    if table is not None:
        write_arrays(root / made.key / "counts.npz", table.to_arrays())
        made = replace(made, scores=score_counts(table.round(0), SCORING))
    return label, made, None


Rows = Sequence[tuple[str, RunResult, None]]


def entries_of(root: Path, rows: Rows) -> tuple[Entry, ...]:
    write_suite(root, rows)
    return read_suite(root, "trial")[1]


def tables_of(entries: Sequence[Entry]) -> tuple[Table, Table, ComparedTable]:
    """The comparison table, the intervals table and what both were made from."""
    counted = read_counted(entries, mixed="refuse")
    compared = compare_with_best(counted)
    ((_, intervals),) = interval_tables(counted, compared, title="Trial")
    return comparison_table(entries, title="Trial", compared=compared), intervals, compared


def three_methods(root: Path) -> tuple[Entry, ...]:
    """One good method, one as good but for chance, one far worse."""
    return entries_of(
        root,
        [
            method(root, "good", counted_table(0.9, seed=7)),
            method(root, "alike", counted_table(0.84, seed=2)),
            method(root, "poor", counted_table(0.3, seed=3)),
        ],
    )


def texts(table: Table, notes: Sequence[str]) -> str:
    return " ".join(note.text for note in table.notes if note.mark in notes)


def test_what_cannot_be_told_from_the_best_is_marked_and_what_can_is_not(tmp_path: Path):
    table, _, _ = tables_of(three_methods(tmp_path))
    marks = {line.label: [texts(table, cell.marks) for cell in line.cells[:5]] for line in table.lines}
    assert marks["alike"] == [ALIKE] * 5
    assert marks["good"] == marks["poor"] == [""] * 5
    assert table.lines[0].cells[0].rank == "best"


def test_every_value_has_its_interval_and_the_best_is_not_compared(tmp_path: Path):
    _, table, _ = tables_of(three_methods(tmp_path))
    assert [(c.group, c.head) for c in table.columns[:4]] == [
        ("IoU", "value"),
        ("IoU", "Δ to best"),
        ("IoU", "p"),
        ("IoU", "least Δ"),
    ]
    assert [c.group for c in table.columns[::4]] == ["IoU", "nIoU", "Pd", "Fa"]
    best, alike, poor = (line.cells for line in table.lines)
    assert (best[1].text, best[2].text, best[3].text) == ("best", " ", " ")
    for cells in (alike, poor):
        low, high = (float(limit) for limit in cells[0].limits)
        assert low < float(cells[0].text) < high
    difference = float(alike[0].text) - float(best[0].text)
    assert float(alike[1].text.replace("−", "-")) == pytest.approx(difference, abs=0.011)  # two roundings
    assert poor[2].text == "<0.001"  # 1 of 10,001 permutations times 10 comparisons
    assert float(poor[3].text) > 0


def test_p_values_are_those_of_the_tests_corrected_over_the_whole_table(tmp_path: Path):
    entries = three_methods(tmp_path)
    counted = read_counted(entries, mixed="refuse")
    compared = compare_with_best(counted)
    (each,) = counted
    pairs = []
    for metric in each.metrics:
        registered = registered_metric(metric, SCORING)
        assert registered is not None
        good, alike, poor = ([registered.statistic(m.seeds[0])] for m in each.methods)
        pairs += [(alike, good), (poor, good)]
    expected = holm([t.p for t in permutation_tests(pairs, generator=np.random.default_rng(SEED))])
    found = [compared.of(line, each.dataset, metric) for metric in each.metrics for line in (1, 2)]
    assert [own.p for own in found if own] == expected
    assert compared.tests == 10


def test_the_same_results_give_the_same_numbers(tmp_path: Path):
    entries = three_methods(tmp_path)
    assert tables_of(entries)[1] == tables_of(entries)[1]


def test_another_method_changes_no_interval(tmp_path: Path):
    entries = three_methods(tmp_path)
    all_three, two = tables_of(entries)[1], tables_of(entries[:2])[1]
    assert [line.cells[0] for line in two.lines] == [line.cells[0] for line in all_three.lines[:2]]


def test_several_seeds_give_wider_intervals_and_the_mean(tmp_path: Path):
    rows = [method(tmp_path, "good", counted_table(0.9, seed=7))]
    rows += [
        method(tmp_path, "uneven", counted_table(skill, seed=9), seed=n) for n, skill in enumerate((0.2, 0.5, 0.9))
    ]
    comparison, table, _ = tables_of(entries_of(tmp_path, rows))
    low, high = (float(limit) for limit in table.lines[1].cells[0].limits)
    alone = tables_of(entries_of(tmp_path, [rows[0], rows[2]]))[1].lines[1].cells[0].limits
    assert high - low > 1.5 * (float(alone[1]) - float(alone[0]))
    assert table.lines[1].cells[0].text == comparison.lines[1].cells[0].text
    assert "Mean over seeds 0, 1, 2, 42" in table.caption
    assert "test images and seeds" in table.caption
    assert "for the networks as trained" in table.caption


def test_what_differs_as_trained_and_not_as_a_method_is_marked(tmp_path: Path):
    """One seed far below the best and one above: the networks differ; whether the methods do, two seeds cannot tell."""
    rows = [method(tmp_path, "steady", counted_table(0.9, seed=n), seed=n) for n in (7, 8)]
    rows += [method(tmp_path, "uneven", counted_table(skill, seed=9), seed=n) for n, skill in ((7, 0.2), (8, 0.97))]
    comparison, intervals, _ = tables_of(entries_of(tmp_path, rows))
    steady, uneven = (line.cells for line in intervals.lines)
    assert (steady[1].text, uneven[2].text) == ("best", "<0.001")
    low, high = (float(limit.replace("−", "-")) for limit in uneven[1].limits)
    assert low < 0 < high
    assert texts(comparison, comparison.lines[1].cells[0].marks) == ALIKE_AS_METHOD
    assert "each by itself and not corrected for their number" in intervals.caption


def test_networks_that_are_alike_as_trained_have_a_note_that_says_so(tmp_path: Path):
    rows = [method(tmp_path, label, counted_table(0.9, seed=n), seed=n) for label in ("one", "other") for n in (7, 8)]
    comparison, _, _ = tables_of(entries_of(tmp_path, rows))
    assert texts(comparison, comparison.lines[1].cells[0].marks) == ALIKE_AS_TRAINED


def test_the_caption_says_resamples_seed_and_method(tmp_path: Path):
    caption = tables_of(three_methods(tmp_path))[1].caption
    for words in (
        "95% BCa intervals of 10,000 bootstrap resamples of the test images",
        "generator seed 0",
        "paired permutation test over images, 10,000 permutations",
        "Holm over the 10 comparisons of the comparison table",
        "power 0.8 at 0.05",
    ):
        assert words in caption


def test_a_method_without_counts_is_a_note_and_the_others_are_compared(tmp_path: Path):
    rows = [
        method(tmp_path, "good", counted_table(0.9, seed=7)),
        method(tmp_path, "uncounted", None, found={"IoU/pooled": Score(0.1, "fraction", "higher")}),
        method(tmp_path, "poor", counted_table(0.3, seed=3)),
    ]
    entries = entries_of(tmp_path, rows)
    _, table, compared = tables_of(entries)
    assert "counts.npz: no such file" in texts(table, table.lines[1].cells[0].marks)
    assert str(tmp_path) not in " ".join(note.text for note in table.notes)
    assert table.lines[2].cells[2].text
    assert compared.tests == 5
    assert missing_counts(read_counted(entries, mixed="refuse")).startswith("no intervals and strata for uncounted on")


def test_where_the_best_has_no_counts_nothing_of_its_column_is_compared(tmp_path: Path):
    rows = [
        method(tmp_path, "unknown", None, found={"IoU/pooled": Score(0.99, "fraction", "higher")}),
        method(tmp_path, "good", counted_table(0.9, seed=7)),
        method(tmp_path, "poor", counted_table(0.3, seed=3)),
    ]
    _, table, compared = tables_of(entries_of(tmp_path, rows))
    for line in table.lines[1:]:
        assert line.cells[0].limits
        assert texts(table, line.cells[1].marks) == "not compared: unknown has no counts of its images"
    assert compared.tests == 4, "nIoU, F1, Pd and Fa have a best with counts"


def test_other_images_are_not_compared_and_another_order_is(tmp_path: Path):
    backwards = CountTable.from_arrays(counted_table(0.3, seed=3, names=NAMES[::-1]).to_arrays())
    rows = [
        method(tmp_path, "good", counted_table(0.9, seed=7)),
        method(tmp_path, "backwards", backwards),
        method(tmp_path, "half", counted_table(0.5, seed=4, names=NAMES[:20])),
        method(tmp_path, "wider targets", counted_table(0.5, seed=5, wide=True)),
    ]
    _, table, _ = tables_of(entries_of(tmp_path, rows))
    assert table.lines[1].cells[2].text
    for line in table.lines[2:]:
        assert line.cells[0].limits
        assert texts(table, line.cells[1].marks) == "not compared: tested on other images or targets than the best"


def test_an_oracle_is_neither_the_best_nor_compared(tmp_path: Path):
    oracle = method(tmp_path, "oracle", counted_table(1.0, seed=1))
    start = replace(oracle[1].experiment, start="ground-truth")
    moved = replace(oracle[1], experiment=start, key=start.key)
    write_arrays(tmp_path / moved.key / "counts.npz", counted_table(1.0, seed=1).to_arrays())
    rows = [("oracle", moved, None), method(tmp_path, "good", counted_table(0.9, seed=2))]
    rows += [method(tmp_path, "poor", counted_table(0.3, seed=3))]
    comparison, table, compared = tables_of(entries_of(tmp_path, rows))
    assert texts(table, table.lines[0].cells[1].marks) == "not compared: an oracle is no result"
    assert table.lines[1].cells[1].text == "best"
    assert compared.tests == 5
    assert ALIKE not in texts(comparison, comparison.lines[0].cells[0].marks)


def test_a_leak_is_neither_the_best_nor_compared(tmp_path: Path):
    label, made, row = method(tmp_path, "leaky", counted_table(1.0, seed=1))
    rows = [(label, replace(made, leaked=3), row), method(tmp_path, "good", counted_table(0.9, seed=2))]
    rows += [method(tmp_path, "poor", counted_table(0.3, seed=3))]
    comparison, table, compared = tables_of(entries_of(tmp_path, rows))
    assert texts(table, table.lines[0].cells[1].marks) == "not compared: what was learnt from is no test"
    assert table.lines[0].marks == comparison.lines[0].marks == ("¶",)
    assert table.lines[1].cells[1].text == "best"
    assert compared.tests == 5


def test_counts_that_are_not_those_of_the_scores_are_told(tmp_path: Path):
    rows = [method(tmp_path, "good", counted_table(0.9, seed=7)), method(tmp_path, "poor", counted_table(0.3, seed=3))]
    write_arrays(tmp_path / rows[1][1].key / "counts.npz", counted_table(0.5, seed=3).to_arrays())
    _, table, _ = tables_of(entries_of(tmp_path, rows))
    words = texts(table, table.lines[1].cells[0].marks)
    assert "counts.npz: gives IoU/pooled" in words
    assert words.endswith("score the run again")


@pytest.mark.parametrize("content", [b"", b"no zip"])
def test_broken_counts_are_told(tmp_path: Path, content: bytes):
    rows = [method(tmp_path, "good", counted_table(0.9, seed=7)), method(tmp_path, "poor", counted_table(0.3, seed=3))]
    (tmp_path / rows[1][1].key / "counts.npz").write_bytes(content)
    _, table, _ = tables_of(entries_of(tmp_path, rows))
    assert "not a readable .npz file" in texts(table, table.lines[1].cells[0].marks)


def test_a_lone_method_has_intervals_and_no_comparison(tmp_path: Path):
    comparison, table, compared = tables_of(
        entries_of(tmp_path, [method(tmp_path, "good", counted_table(0.9, seed=7))])
    )
    assert table.lines[0].cells[0].limits
    assert texts(table, table.lines[0].cells[1].marks) == "not compared: nothing to compare with"
    assert (compared.tests, "permutation" in table.caption) == (0, False)
    assert ALIKE not in [note.text for note in comparison.notes]


def test_identical_methods_have_p_one_and_are_marked(tmp_path: Path):
    rows = [method(tmp_path, label, counted_table(0.9, seed=7)) for label in ("one", "other")]
    comparison, table, _ = tables_of(entries_of(tmp_path, rows))
    cells = table.lines[1].cells
    assert (cells[1].text, cells[2].text) == ("0.00", "1.000")
    assert texts(table, cells[1].marks) == "no interval: the same in every resample"
    assert texts(comparison, comparison.lines[1].cells[0].marks) == ALIKE


def test_rows_under_other_rules_are_not_compared(tmp_path: Path):
    rows = [
        method(tmp_path, "good", counted_table(0.9, seed=7)),
        method(tmp_path, "other rules", counted_table(0.3, seed=3), protocol="dfinet"),
    ]
    counted = read_counted(entries_of(tmp_path, rows), mixed="mark")
    compared = compare_with_best(counted)
    assert compared.tests == 0
    ((_, table),) = interval_tables(counted, compared, title="Trial")
    for line in table.lines:
        assert line.cells[0].limits
        assert texts(table, line.cells[1].marks) == "not compared: made under other rules than its neighbours"


def test_without_any_counts_there_is_no_table(tmp_path: Path):
    counted = read_counted(entries_of(tmp_path, [method(tmp_path, "good", None)]), mixed="refuse")
    assert list(interval_tables(counted, compare_with_best(counted), title="Trial")) == []
    assert list(strata_tables(counted, title="Trial")) == []


def test_limits_stand_beside_their_value_in_every_rendering(tmp_path: Path):
    _, table, _ = tables_of(three_methods(tmp_path))
    poor = table.lines[2].cells
    low, high = poor[1].limits
    assert f"{poor[1].text} \\[{low}, {high}\\]" in table_to_markdown(table)
    assert f"[\\ensuremath{{-}}{low[1:]}, \\ensuremath{{-}}{high[1:]}]" in table_to_latex(table)
    head, *lines = table_to_csv(table).splitlines()
    columns = head.split(",")
    assert any(column.endswith("IoU value (1e-2; higher is better) low") for column in columns) or "low" in head
    assert lines[2].count(low.replace("−", "-")) >= 1
    assert "−" not in lines[2]


def test_p_is_printed_to_three_digits() -> None:
    assert [p_words(p) for p in (0.0, 0.00099, 0.001, 0.0499, 1.0)] == ["<0.001", "<0.001", "0.001", "0.050", "1.000"]


def strata_of(entries: Sequence[Entry]) -> Table:
    ((_, table),) = strata_tables(read_counted(entries, mixed="refuse"), title="Trial")
    return table


def test_strata_say_how_many_targets_they_hold_and_leave_out_empty_ones(tmp_path: Path):
    table = strata_of(three_methods(tmp_path))
    heads = [(column.group, column.head) for column in table.columns]
    assert heads == [
        ("Pd by target size, px", "1–9"),
        ("Pd by signal-to-clutter ratio", "undefined"),
        ("Pd by distance to border, px", "0–9"),
        ("Pd by distance to border, px", "10–29"),
        ("Pd by targets per image", "1"),
        ("IoU by targets per image", "1"),
    ]
    first = table.lines[0]
    assert first.label == "number in the list"
    assert [cell.text for cell in first.cells] == ["40", "40", "20", "20", "40", "40"]
    assert "Not shown, for there are none in the list: target size 10–30 px;" in table.caption
    assert "images without targets" in table.caption
    assert "Undefined: targets whose surroundings" in table.caption
    for line in table.lines[1:]:
        assert all(cell.limits for cell in line.cells)


def test_strata_of_other_images_and_without_counts_are_notes(tmp_path: Path):
    rows = [
        method(tmp_path, "good", counted_table(0.9, seed=7)),
        method(tmp_path, "alike", counted_table(0.84, seed=2)),
        method(tmp_path, "half", counted_table(0.5, seed=4, names=NAMES[:20])),
        method(tmp_path, "uncounted", None),
    ]
    table = strata_of(entries_of(tmp_path, rows))
    assert texts(table, table.lines[3].cells[0].marks) == "tested on other images, whose strata hold other targets"
    assert "counts.npz: no such file" in texts(table, table.lines[4].cells[0].marks)


def test_the_figure_draws_every_stratum_of_every_method_and_says_whom_it_leaves_out(tmp_path: Path):
    rows = [method(tmp_path, f"method {n}", counted_table(0.5 + n / 20, seed=n)) for n in range(9)]
    (drawn,) = strata_figures(entries_of(tmp_path, rows))
    assert drawn.name == "strata-nudt-sirst"
    assert [axes.get_title() for axes in drawn.figure.axes] == [
        "NUDT-SIRST: target size (px)",
        "NUDT-SIRST: signal-to-clutter ratio",
        "NUDT-SIRST: distance to border (px)",
        "NUDT-SIRST: targets per image",
    ]
    border = drawn.figure.axes[2]
    assert [label.get_text() for label in border.get_xticklabels()] == ["0–9\nn = 20", "10–29\nn = 20"]
    assert len(border.containers) == 7
    assert drawn.caption.endswith("Not drawn: method 7, method 8.")
    assert "Hidden" not in drawn.caption
    assert "Wilson's 95% intervals" in drawn.caption


def test_strata_of_fewer_than_five_targets_are_hidden_and_named(tmp_path: Path):
    (drawn,) = strata_figures(
        entries_of(tmp_path, [method(tmp_path, "A", counted_table(0.9, seed=7, names=NAMES[:9]))])
    )
    assert "Hidden, for fewer than 5 targets: distance to border 10–29 (3)." in drawn.caption
    border = drawn.figure.axes[2]
    assert [label.get_text() for label in border.get_xticklabels()] == ["0–9\nn = 6"]
