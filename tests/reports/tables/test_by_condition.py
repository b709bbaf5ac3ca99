"""Robustness and transfer in reports: what their tables and figures say, and that the other tables keep out of it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.errors import TableError
from bench.store.files import Manifest, read_manifest, write_manifest, write_result
from bench.types import Row, RunResult, Score, Training
from reports.build import build_report
from reports.figures.by_condition import matrix_figures
from reports.plots.heatmap import HeatMap, Scale, heatmap_figure, printed
from reports.render.csv_markdown import table_to_csv
from reports.results.entries import Entry, entry_of, plain_entries, to_frame
from reports.table import LEAKED, Cell, Table
from reports.tables.comparison import comparison_table
from reports.tables.cross_dataset import cross_table
from reports.tables.robustness import robustness_tables
from tests.reports.fake_runs import ACM, DFINET, result, row_of, scores

LEVELS = (1, 2, 3, 4, 5)
KINDS = ("drift", "stripes")


def under(made: RunResult, corruption: str, iou: float | None, *, pd: float = 0.9, fa: float = 3e-5) -> RunResult:
    """The result of the same weights on corrupted images."""
    experiment = replace(made.experiment, corruption=corruption)
    found = scores(iou or 0.0, pd=pd, fa=fa)
    if iou is None:
        found["IoU/pooled"] = Score(None, "fraction", "higher", reason="no pixels")
    return replace(made, key=experiment.key, experiment=experiment, scores=found, rounds=(found,))


def entry(made: RunResult, label: str = "", *, trained_on: str = "") -> Entry:
    """An entry as a suite with corruptions or training sets has it."""
    row = replace(row_of(made, label), corruption=made.experiment.corruption, trained_on=trained_on)
    return entry_of(row, Path(made.key), made)


def absent(one: Entry) -> Entry:
    """The entry as if it had not been run."""
    return Entry(one.row, one.folder, reason="not run")


def corrupted(made: RunResult, *, drift: float = 0.06, stripes: float = 0.1, label: str = "") -> list[Entry]:
    """Clean images and two kinds at five levels, each of which takes a fixed part of IoU more."""
    clean = made.scores["IoU/pooled"].value or 0.0
    losses = {"drift": drift, "stripes": stripes}
    return [
        entry(made, label),
        *(
            entry(under(made, f"{kind}@{level}", clean - level * losses[kind]), label)
            for kind in KINDS
            for level in LEVELS
        ),
    ]


def cells(table: Table, head: str, group: str) -> list[Cell]:
    """The cells of one column."""
    index = [(c.group, c.head) for c in table.columns].index((group, head))
    return [line.cells[index] for line in table.lines]


def tables(entries: list[Entry]) -> tuple[Table, Table]:
    """The summary and the kinds of the one dataset there is."""
    ((dataset, summary, kinds),) = robustness_tables(entries, title="T")
    assert dataset == "NUDT-SIRST"
    return summary, kinds


def test_a_summary_has_clean_mean_drop_and_worst_kind():
    summary, kinds = tables([*corrupted(result(DFINET, found=scores(0.8))), *corrupted(result(found=scores(0.6)))])
    assert [line.label for line in summary.lines] == ["DFINet", "ACM"]
    assert [cell.text for cell in cells(summary, "clean", "IoU")] == ["80.00", "60.00"]
    # drift loses 6, 12, ... 30 (mean 18), stripes 10, ... 50 (mean 30): 24 of 80 and of 60
    assert [cell.text for cell in cells(summary, "corrupted", "IoU")] == ["56.00", "36.00"]
    assert [cell.text for cell in cells(summary, "drop", "IoU")] == ["30.0", "40.0"]
    assert [cell.rank for cell in cells(summary, "drop", "IoU")] == ["best", "second"]
    assert [cell.text for cell in cells(summary, "worst", "IoU")] == ["Stripes 50.00", "Stripes 30.00"]
    assert [cell.text for cell in cells(summary, "corrupted", "Fa")] == ["30.00", "30.00"]
    assert [cell.text for cell in cells(kinds, "Stripes", "IoU, mean over levels")] == ["50.00", "30.00"]
    assert [cell.text for cell in cells(kinds, "Drift", "IoU, mean over levels")] == ["62.00", "42.00"]
    assert "2 kinds of corruption of the mean over levels 1 to 5" in summary.caption
    assert "NUDT-SIRST (split basicirstd, 664 images)" in summary.caption


def test_a_missing_level_makes_a_dash_with_its_reason_of_every_mean_it_belongs_to():
    entries = corrupted(result(DFINET, found=scores(0.8)))
    entries[3] = absent(entries[3])
    summary, kinds = tables(entries)
    (cell,) = cells(summary, "corrupted", "IoU")
    assert cell.plain == "—"
    assert {n.mark: n.text for n in summary.notes}[
        cell.marks[0]
    ] == "no mean over what is not complete: drift@3: not run"
    assert cells(summary, "worst", "IoU")[0].plain == "—"
    assert cells(summary, "clean", "IoU")[0].text == "80.00"
    assert cells(kinds, "Drift", "IoU, mean over levels")[0].plain == "—"
    assert cells(kinds, "Stripes", "IoU, mean over levels")[0].text == "50.00"


def test_a_score_that_is_undefined_is_no_zero():
    made = result(DFINET, found=scores(0.8))
    entries = corrupted(made)
    entries[-1] = entry(under(made, "stripes@5", None))
    summary, _ = tables(entries)
    assert cells(summary, "corrupted", "IoU")[0].plain == "—"
    assert "stripes@5: IoU/pooled undefined" in summary.notes[0].text
    assert cells(summary, "corrupted", "Pd")[0].text == "90.00"  # the clean 95.00 is no part of it


def test_seeds_become_mean_and_deviation_of_the_mean_over_corruptions():
    entries = [e for seed, iou in ((1, 0.8), (2, 0.7)) for e in corrupted(result(seed=seed, found=scores(iou)))]
    summary, _ = tables(entries)
    (cell,) = cells(summary, "corrupted", "IoU")
    assert (cell.text, cell.spread) == ("51.00", "7.07")  # 56 and 46
    (drop,) = cells(summary, "drop", "IoU")
    assert (drop.text, drop.spread) == ("32.1", "3.0")  # 24 / 0.8 and 24 / 0.7


def test_a_method_that_finds_nothing_clean_has_no_drop():
    entries = corrupted(result(found=scores(0.0)), drift=0.0, stripes=0.0)
    summary, _ = tables(entries)
    assert cells(summary, "corrupted", "IoU")[0].text == "0.00"
    assert cells(summary, "drop", "IoU")[0].plain == "—"


def test_what_is_better_on_corrupted_images_has_a_negative_drop():
    entries = [*corrupted(result(found=scores(0.5)), drift=-0.02, stripes=-0.02), *corrupted(result(DFINET))]
    summary, _ = tables(entries)
    (gained, lost) = cells(summary, "drop", "IoU")
    assert (gained.text, gained.rank) == ("−12.0", "best")  # 56 of 50
    assert lost.rank == "second"
    assert ",-12.0," in table_to_csv(summary)


def test_a_method_without_any_result_keeps_its_panel():
    entries = [*corrupted(result()), *map(absent, corrupted(result(DFINET)))]
    drawn = next(iter(matrix_figures(entries)))
    assert [axes.get_title() for axes in drawn.figure.axes[:2]] == ["ACM", "DFINet"]
    assert {text.get_text() for text in drawn.figure.axes[1].texts} == {"—"}
    assert "Dash: no result, of 11 of 22 tests." in drawn.caption


def test_limited_trials_are_marked_and_uneven_levels_named():
    made = result(limit=8, found=scores(0.6))
    entries = [entry(made), entry(under(made, "drift@2", 0.5)), entry(under(made, "stripes@4", 0.4))]
    summary, _ = tables(entries)
    assert summary.limited
    assert summary.caption.startswith("LIMITED TRIAL")
    assert "levels (Stripes 4; Drift 2)" in summary.caption
    (figure, *_) = matrix_figures(entries)
    assert "LIMITED TRIAL" in figure.caption


def test_the_other_tables_see_clean_images_and_home_datasets_alone():
    made = result(found=scores(0.6))
    entries = corrupted(made)
    assert [e.row.key for e in plain_entries(entries)] == [made.key]
    away = elsewhere(made, "NUAA-SIRST", 0.3)
    assert plain_entries([entry(made, trained_on="NUDT-SIRST"), away]) == (entry(made, trained_on="NUDT-SIRST"),)
    table = comparison_table(plain_entries(entries), title="T")
    assert [column.group for column in table.columns[:5]] == ["NUDT-SIRST"] * 5
    frame = to_frame(tuple(entries))
    assert frame["corruption"].tolist()[:3] == ["", "drift@1", "drift@2"]
    assert frame["dataset"].tolist()[1] == "NUDT-SIRST + drift@1"


def test_a_suite_without_corruptions_and_training_sets_has_no_matrices():
    entries = [entry(result()), entry(result(DFINET))]
    assert list(robustness_tables(entries, title="T")) == []
    assert cross_table(entries, title="T") is None
    assert list(matrix_figures(entries)) == []


def test_a_result_of_another_corruption_than_the_row_says_is_not_used():
    made = under(result(), "drift@2", 0.5)
    found = entry_of(replace(row_of(made), corruption="drift@3"), Path("x"), made)
    assert "the result's corruption is 'drift@2', the suite expects 'drift@3'" in found.reason
    found = entry_of(replace(row_of(result()), trained_on="NUAA-SIRST"), Path("x"), result())
    assert "the result's training set is 'NUDT-SIRST', the suite expects 'NUAA-SIRST'" in found.reason


def elsewhere(made: RunResult, trained: str, iou: float, *, label: str = "") -> Entry:
    """The entry of a method that learnt from another dataset than it is tested on."""
    weights = made.experiment.weights
    assert isinstance(weights, Training)
    digest = hashlib.sha256(trained.encode()).hexdigest()
    learnt = replace(weights, images=replace(weights.images, dataset=trained, digest=digest))
    experiment = replace(made.experiment, weights=learnt)
    found = scores(iou)
    other = replace(made, key=experiment.key, experiment=experiment, scores=found, rounds=(found,))
    return entry(other, label, trained_on=trained)


def matrix(info=ACM, *, label: str = "", values: tuple[float, float, float, float] = (0.7, 0.4, 0.5, 0.6)):
    """Two training sets by two test sets: NUAA on NUAA, NUAA on NUDT, NUDT on NUAA, NUDT on NUDT."""
    nuaa, nudt = (result(info, dataset, found=scores(0.5)) for dataset in ("NUAA-SIRST", "NUDT-SIRST"))
    return [
        elsewhere(nuaa, "NUAA-SIRST", values[0], label=label),
        elsewhere(nuaa, "NUDT-SIRST", values[2], label=label),
        elsewhere(nudt, "NUAA-SIRST", values[1], label=label),
        elsewhere(nudt, "NUDT-SIRST", values[3], label=label),
    ]


def test_a_cross_table_has_a_line_a_training_set_and_the_difference_to_training_at_home():
    table = cross_table([*matrix(), *matrix(DFINET, values=(0.8, 0.3, 0.45, 0.9))], title="T")
    assert table is not None
    assert [line.label for line in table.lines] == [
        "ACM, from NUAA-SIRST",
        "ACM, from NUDT-SIRST",
        "DFINet, from NUAA-SIRST",
        "DFINet, from NUDT-SIRST",
    ]
    nuaa, nudt = cells(table, "IoU", "NUAA-SIRST"), cells(table, "IoU", "NUDT-SIRST")
    assert [cell.plain for cell in nuaa] == ["70.00", "50.00 (−20.00)", "80.00", "45.00 (−35.00)"]
    assert [cell.plain for cell in nudt] == ["40.00 (−20.00)", "60.00", "30.00 (−60.00)", "90.00"]
    assert [cell.rank for cell in nuaa] == ["", "best", "", "second"]
    notes = {note.mark: note.text for note in table.notes}
    assert [notes[cell.marks[0]][:25] if cell.marks else "" for cell in nudt] == ["", "trained on the training l"] * 2
    assert "NUAA-SIRST IoU (1e-2, higher is better) difference" in table_to_csv(table)


def test_what_learns_nothing_has_one_line_and_competes_everywhere():
    detector = replace(ACM, name="TopHat")
    lines = [entry(result(detector, dataset, found=scores(0.55))) for dataset in ("NUAA-SIRST", "NUDT-SIRST")]
    table = cross_table([*matrix(), *lines], title="T")
    assert table is not None
    assert table.lines[-1].label == "TopHat"
    assert [cell.rank for cell in cells(table, "IoU", "NUAA-SIRST")] == ["", "second", "best"]
    assert "A line without a training set learns nothing." in table.caption


def test_a_test_on_images_that_were_learnt_from_is_marked_and_not_ranked():
    entries = matrix()
    leak = replace(entries[1], row=replace(entries[1].row, leaked=3))
    table = cross_table([entries[0], leak, *entries[2:], *matrix(DFINET, values=(0.8, 0.3, 0.45, 0.9))], title="T")
    assert table is not None
    nuaa = cells(table, "IoU", "NUAA-SIRST")
    assert (nuaa[1].rank, nuaa[1].marks) == ("", (LEAKED,))
    assert table.lines[1].marks == (LEAKED,)
    assert any(note.mark == LEAKED and note.text.startswith("leak: ") for note in table.notes)
    leaked = [replace(one, row=replace(one.row, leaked=3)) for one in corrupted(result())]
    summary, _ = tables([*leaked, *corrupted(result(DFINET, found=scores(0.5)))])
    assert [cell.rank for cell in cells(summary, "clean", "IoU")] == ["", ""]
    assert summary.lines[0].marks == (LEAKED,)


def test_a_test_that_was_not_run_is_a_dash_and_makes_no_difference():
    entries = matrix()
    table = cross_table([absent(entries[0]), *entries[1:]], title="T")
    assert table is not None
    assert [cell.plain for cell in cells(table, "IoU", "NUAA-SIRST")] == ["—", "50.00"]


def test_two_rows_of_one_label_and_seed_are_refused():
    entries = matrix()
    with pytest.raises(TableError, match="share seed 42"):
        cross_table([*entries, replace(entries[1], row=replace(entries[1].row, key="0" * 12))], title="T")


def test_maps_and_curves_are_drawn_of_every_metric():
    drawn = list(matrix_figures([*corrupted(result(DFINET, found=scores(0.8))), *corrupted(result())]))
    assert [one.name for one in drawn] == [
        "robustness-iou-nudt-sirst",
        "robustness-pd-nudt-sirst",
        "robustness-fa-nudt-sirst",
        "robustness-levels-nudt-sirst",
    ]
    texts = [text.get_text() for text in drawn[0].figure.axes[0].texts]
    assert texts[:6] == ["80.0", "70.0", "60.0", "50.0", "40.0", "30.0"]  # stripes come first
    assert [axes.get_title() for axes in drawn[0].figure.axes[:2]] == ["DFINet", "ACM"]
    assert drawn[3].figure.axes[1].lines[0].get_ydata().tolist() == pytest.approx([80, 74, 68, 62, 56, 50])


def test_a_missing_cell_is_drawn_as_a_dash_and_counted():
    entries = corrupted(result(found=scores(0.8)))
    entries[2] = absent(entries[2])
    drawn = next(iter(matrix_figures(entries)))
    assert "—" in [text.get_text() for text in drawn.figure.axes[0].texts]
    assert "Dash: no result, of 1 of 11 tests." in drawn.caption


def test_a_cross_map_frames_the_same_dataset():
    drawn = list(matrix_figures(matrix()))
    assert [one.name for one in drawn] == ["cross-iou", "cross-pd", "cross-fa"]
    axes = drawn[0].figure.axes[0]
    assert [text.get_text() for text in axes.texts] == ["70.0", "40.0", "50.0", "60.0"]
    assert [(int(p.get_x()), int(p.get_y())) for p in axes.patches] == [(0, 0), (1, 1)]


def test_a_frame_lies_as_far_inside_its_cell_on_every_side():
    figure = next(iter(matrix_figures(matrix()))).figure
    axes = figure.axes[0]
    frame = axes.patches[0].get_window_extent()
    (x0, y0), (x1, y1) = axes.transData.transform([(0, 1), (1, 0)])
    sides = np.array([frame.x0 - x0, x1 - frame.x1, frame.y0 - y0, y1 - frame.y1]) / figure.dpi
    assert sides.tolist() == pytest.approx([0.014] * 4)  # inches: half of 1.4 points and a little


@pytest.mark.parametrize("methods", [1, 2, 4])
@pytest.mark.parametrize("label", ["IoU (×10⁻²)", "Fa (×10⁻⁶)"])
def test_the_label_of_the_colour_bar_stays_inside_the_figure(methods: int, label: str):
    names = ("NUAA-SIRST", "NUDT-SIRST", "IRSTD-1k")
    panels = [HeatMap(f"A{number}", names, names, np.full((3, 3), 50.0)) for number in range(methods)]
    figure = heatmap_figure(panels, scale=Scale(label, "higher", (0.0, 100.0)), x="Tested on", y="Trained on")
    bar = figure.axes[-1]
    box = bar.texts[-1].get_window_extent(figure.canvas.get_renderer())  # type: ignore[attr-defined]
    assert bar.texts[-1].get_text() == label
    assert bar.bbox.x1 < box.x0 < box.x1 <= figure.bbox.x1


def test_numbers_of_cells_are_readable_on_their_colours():
    values = np.array([[0.0, 50.0, 100.0, np.nan]])
    panel = HeatMap("A", ("a",), ("1", "2", "3", "4"), values)
    figure = heatmap_figure([panel], scale=Scale("IoU", "higher", (0.0, 100.0)), x="x", y="y")
    colours = [text.get_color() for text in figure.axes[0].texts]
    assert colours == ["white", "black", "black", "black"]
    assert [printed(value) for value in values[0]] == ["0.0", "50.0", "100", "—"]


def test_a_scale_of_false_alarms_holds_zeros():
    panel = HeatMap("A", ("a",), ("1", "2"), np.array([[0.0, 1000.0]]))
    figure = heatmap_figure([panel], scale=Scale("Fa", "lower"), x="x", y="y")
    assert [text.get_text() for text in figure.axes[0].texts] == ["0.0", "1000"]


def test_a_caption_says_how_false_alarms_of_zero_are_painted():
    """Fa, on a logarithmic scale, has to; an IoU of 0 has a colour of its own."""
    made = result(found=scores(0.8))
    entries = [entry(made), entry(under(made, "drift@1", 0.0, fa=0.0))]
    drawn = {one.name: one.caption for one in matrix_figures(entries)}
    words = "Fa of 0, which a logarithmic scale lacks, is painted as the bar's lower end."
    assert [name for name, caption in drawn.items() if words in caption] == ["robustness-fa-nudt-sirst"]
    assert not any("is painted" in one.caption for one in matrix_figures(corrupted(made)))


def write_rows(root: Path, entries: list[Entry]) -> None:
    """A manifest of these rows, with the results that are there."""
    for one in entries:
        if one.result is not None:
            write_result(root / one.row.key, one.result)
    write_manifest(root, Manifest("trial", "Trial", tuple(one.row for one in entries)))


def test_a_report_shows_both_matrices_and_keeps_every_row(tmp_path: Path):
    entries = [*matrix(), *corrupted(result(DFINET, found=scores(0.8)))]
    write_rows(tmp_path / "runs", entries)
    made = build_report(tmp_path / "runs", "trial", out=tmp_path / "out", compile_pdf=False)
    names = {path.name for path in made.paths}
    assert {
        "cross.tex",
        "cross.csv",
        "cross.md",
        "robustness-nudt-sirst.tex",
        "robustness-kinds-nudt-sirst.csv",
    } <= names
    assert {"robustness-iou-nudt-sirst.pdf", "robustness-levels-nudt-sirst.png", "cross-iou.pdf"} <= names
    page = (tmp_path / "out" / "index.html").read_text()
    assert "Robustness: NUDT-SIRST" in page
    assert "Trained on one dataset, tested on another" in page
    assert "10 tests on corrupted images have the rules of the clean test" in page
    assert page.count('<table class="rules one">') == 5
    assert "ACM (trained on NUDT-SIRST), seed 42" in page
    assert len((tmp_path / "out" / "results.csv").read_text().splitlines()) == len(entries) + 1


def test_a_report_of_transfer_alone_is_made_too(tmp_path: Path):
    write_rows(tmp_path, [one for one in matrix() if one.row.is_transferred])
    made = build_report(tmp_path, "trial", out=tmp_path / "out", compile_pdf=False)
    names = {path.name for path in made.paths}
    assert "cross.tex" in names
    assert "table.tex" in names, "nothing is tested at home, so that the methods are compared where they are tested"


def test_methods_that_all_learnt_elsewhere_from_one_set_each_have_the_comparison_alone(tmp_path: Path):
    one = [each for each in matrix() if each.row.is_transferred and each.row.trained_on == "NUDT-SIRST"]
    write_rows(tmp_path, one)
    made = build_report(tmp_path, "trial", out=tmp_path / "out", compile_pdf=False)
    names = {path.name for path in made.paths}
    assert "table.tex" in names
    assert not [name for name in names if name.startswith("cross")]
    assert "(trained on NUDT-SIRST)" in (tmp_path / "out" / "table.md").read_text()


def test_a_manifest_of_an_older_version_is_read(tmp_path: Path):
    write_rows(tmp_path, [entry(result())])
    path = tmp_path / "suites" / "trial.json"
    content = json.loads(path.read_text())
    for row in content["rows"]:
        del row["corruption"], row["trained_on"]
    path.write_text(json.dumps(content))
    (row,) = read_manifest(tmp_path, "trial").rows
    assert isinstance(row, Row)
    assert (row.corruption, row.trained_on, row.is_transferred) == ("", "", False)
