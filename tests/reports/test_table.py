"""What the comparison table says: best and second, null cells, seeds, marks, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.errors import MixedRulesError, TableError
from bench.metrics.registry import metric_info
from bench.types import EarlyEnd, RunResult, Score, Scoring, Training, Weights
from reports.render.csv_markdown import table_to_csv, table_to_markdown
from reports.results.entries import Entry, entry_of, one_line, read_suite, to_frame
from reports.table import LIMITED_NOTICE, Cell, Table
from reports.tables.comparison import comparison_table
from tests.reports.fake_runs import ACM, DFINET, result, row_of, scores, write_suite


def entry(made: RunResult, label: str = "") -> Entry:
    return entry_of(row_of(made, label), Path(made.key), made)


def missing(made: RunResult, label: str = "") -> Entry:
    return Entry(row_of(made, label), Path(made.key), reason="not run")


def column(table: Table, head: str, group: str = "NUDT-SIRST") -> list[Cell]:
    index = [(c.group, c.head) for c in table.columns].index((group, head))
    return [line.cells[index] for line in table.lines]


def three(*values: float | None, fa: tuple[float, ...] = (1e-5, 2e-5, 3e-5)) -> Table:
    """A table of three methods with these IoU values."""
    entries = []
    for name, value, false_alarms in zip("ABC", values, fa, strict=True):
        found = scores(0.5, fa=false_alarms)
        found["IoU/pooled"] = Score(value, "fraction", "higher", reason="" if value is not None else "no pixels")
        entries.append(entry(result(replace(ACM, name=name), found=found)))
    return comparison_table(entries, title="Three")


def test_the_highest_iou_is_best_and_the_next_second():
    cells = column(three(0.60, 0.70, 0.65), "IoU")
    assert [cell.text for cell in cells] == ["60.00", "70.00", "65.00"]
    assert [cell.rank for cell in cells] == ["", "best", "second"]


def test_the_lowest_false_alarm_rate_is_best():
    cells = column(three(0.6, 0.7, 0.8), "Fa")
    assert [(cell.text, cell.rank) for cell in cells] == [("10.00", "best"), ("20.00", "second"), ("30.00", "")]


def test_values_that_print_alike_share_their_rank():
    cells = column(three(0.700001, 0.700004, 0.65), "IoU")
    assert [cell.rank for cell in cells] == ["best", "best", "second"]


def test_a_null_is_an_em_dash_with_its_reason_and_has_no_rank():
    table = three(0.6, None, 0.5)
    cells = column(table, "IoU")
    assert (cells[1].plain, cells[1].rank) == ("—", "")
    assert [cell.rank for cell in cells] == ["best", "", "second"]
    notes = {note.mark: note.text for note in table.notes}
    assert notes[cells[1].marks[0]] == "IoU/pooled undefined: no pixels"


def test_a_lone_value_is_not_called_best():
    table = comparison_table([entry(result())], title="One")
    assert {cell.rank for line in table.lines for cell in line.cells} == {""}
    assert "bold" not in table.caption


def test_failed_and_missing_rows_stay_with_their_reasons():
    failed = result(DFINET, status="failed", reason="loss is NaN at epoch 3\nTraceback …", scores={})
    table = comparison_table([entry(result()), entry(failed), missing(result(ACM), "U-Net")], title="T")
    assert [line.label for line in table.lines] == ["ACM", "DFINet", "U-Net"]
    assert [cell.plain for cell in column(table, "Pd")] == ["95.00", "—", "—"]
    notes = {note.mark: note.text for note in table.notes}
    reasons = [notes[cell.marks[0]] for cell in column(table, "Pd")[1:]]
    assert reasons == ["failed: loss is NaN at epoch 3 Traceback …", "not run"]


def test_a_dataset_that_a_method_never_met_is_said_to_be_no_part_of_the_suite():
    table = comparison_table([entry(result()), entry(result(DFINET, "NUAA-SIRST"))], title="T")
    notes = {note.mark: note.text for note in table.notes}
    assert notes[column(table, "IoU", "NUAA-SIRST")[0].marks[0]] == "not part of the suite"


def test_seeds_become_mean_and_sample_deviation():
    entries = [entry(result(seed=seed, found=scores(iou))) for seed, iou in ((1, 0.60), (2, 0.62), (3, 0.64))]
    table = comparison_table(entries, title="T")
    assert len(table.lines) == 1
    cell = column(table, "IoU")[0]
    assert (cell.text, cell.spread) == ("62.00", "2.00")
    assert "over seeds 1, 2, 3" in table.caption


def test_a_failed_seed_is_left_out_of_the_mean_and_named():
    failed = result(seed=3, status="failed", reason="out of memory", scores={})
    table = comparison_table([*(entry(result(seed=s, found=scores(0.6))) for s in (1, 2)), entry(failed)], title="T")
    cell = column(table, "IoU")[0]
    assert (cell.text, cell.spread) == ("60.00", "0.00")
    assert [n.text for n in table.notes if n.mark in cell.marks] == ["seed 3 without value: failed: out of memory"]


def test_one_label_on_two_experiments_is_refused():
    made = result()
    training = made.experiment.weights
    assert isinstance(training, Training)
    slower = replace(training, recipe=replace(training.recipe, lr=1e-5), seed=43)
    other = replace(made.experiment, weights=slower)
    with pytest.raises(TableError, match="differ in more than the seed; give the rows different labels"):
        comparison_table([entry(made), entry(replace(made, experiment=other, key=other.key))], title="T")


def test_one_label_and_seed_on_two_keys_is_refused():
    made = result()
    with pytest.raises(TableError, match="share seed 42; give the rows different labels"):
        comparison_table([entry(made), missing(replace(made, key="0" * 12))], title="T")


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (result(DFINET, split="dfinet"), r"differ in split \(basicirstd against dfinet\) and test list"),
        (result(DFINET, protocol="native"), r"differ in protocol \(basicirstd against native\)"),
        (
            result(DFINET, scoring=Scoring("near", distance=5)),
            r"differ in scoring \(basicirstd \(.*3 px.*near \(.*5 px",
        ),
        (result(DFINET, limit=32), r"differ in test list \(664 images .* against 32 images"),
    ],
)
def test_mixed_rules_are_refused_in_one_line(other: RunResult, words: str):
    with pytest.raises(MixedRulesError, match=words) as caught:
        comparison_table([entry(result()), entry(other)], title="T")
    assert "\n" not in str(caught.value)


def test_another_input_size_is_mixing():
    made = result(DFINET)
    resized = replace(made.experiment, input=replace(made.experiment.input, size=(256, 256)))
    with pytest.raises(MixedRulesError, match="pillow-grey at native size against pillow-grey resized to 256 × 256"):
        comparison_table([entry(result()), entry(replace(made, experiment=resized))], title="T")


def test_a_published_checkpoint_brings_its_input_size_where_all_are_compared_at_native_size():
    def given(size: tuple[int, int] | None, *, name: str, scoring: Scoring) -> RunResult:
        made = result(scoring=scoring)
        weights = Weights("ACM", sha256=f"{size}", name=name)
        experiment = replace(made.experiment, weights=weights, input=replace(made.experiment.input, size=size))
        return replace(made, key=f"{size}", experiment=experiment)

    def table(*, name: str, scoring: Scoring) -> Table:
        sizes = {"native": None, "resized": (256, 256)}
        return comparison_table(
            [entry(given(s, name=name, scoring=scoring), label) for label, s in sizes.items()], title="T"
        )

    native = Scoring("native")
    assert "Rules differ" not in table(name="LESPS-ACM-full", scoring=native).caption
    with pytest.raises(MixedRulesError, match="differ in input"):
        table(name="", scoring=native)
    with pytest.raises(MixedRulesError, match="differ in input"):
        table(name="LESPS-ACM-full", scoring=Scoring("network", resolution="network"))


def test_a_missing_row_on_another_split_is_mixing_too():
    with pytest.raises(MixedRulesError, match="split"):
        comparison_table([entry(result()), missing(result(DFINET, split="dfinet"))], title="T")


def test_a_scoring_that_differs_in_name_alone_is_the_same():
    table = comparison_table([entry(result()), entry(result(DFINET, scoring=Scoring("other name")))], title="T")
    assert len(table.lines) == 2


def test_different_splits_of_different_datasets_are_not_mixed():
    table = comparison_table([entry(result()), entry(result(dataset="NUAA-SIRST", split="dfinet"))], title="T")
    assert "NUDT-SIRST (split basicirstd, 664 images); NUAA-SIRST (split dfinet, 214 images)" in table.caption


def test_mixed_rules_are_marked_cell_by_cell_when_asked_for_and_not_ranked():
    entries = [entry(result()), entry(result(DFINET, split="dfinet"))]
    table = comparison_table(entries, title="T", mixed="mark")
    cells = column(table, "IoU")
    assert {cell.rank for cell in cells} == {""}
    notes = {note.mark: note.text for note in table.notes}
    texts = [notes[cell.marks[0]] for cell in cells]
    assert ["split basicirstd" in texts[0], "split dfinet" in texts[1]] == [True, True]
    assert "Rules differ within NUDT-SIRST" in table.caption


def test_one_label_under_two_rules_gets_two_marked_lines():
    table = comparison_table([entry(result()), entry(result(split="dfinet"))], title="T", mixed="mark")
    assert [line.label for line in table.lines] == ["ACM", "ACM"]
    assert column(table, "IoU")[0].marks != column(table, "IoU")[1].marks


def test_weights_chosen_on_the_test_list_are_marked_optimistic():
    table = comparison_table([entry(result()), entry(result(DFINET, optimistic=True))], title="T")
    assert [line.marks for line in table.lines] == [(), ("†",)]
    assert ("†", "optimistic: the weights were chosen on the test list") in [(n.mark, n.text) for n in table.notes]


def test_only_the_optimistic_dataset_is_marked_where_the_other_is_not():
    entries = [entry(result(optimistic=True)), entry(result(dataset="NUAA-SIRST"))]
    table = comparison_table(entries, title="T")
    assert table.lines[0].marks == ()
    assert column(table, "IoU", "NUDT-SIRST")[0].marks == ("†",)
    assert column(table, "IoU", "NUAA-SIRST")[0].marks == ()


def test_a_limited_row_watermarks_the_table_in_every_output():
    table = comparison_table([entry(result(limit=32))], title="T")
    assert table.limited
    assert table.caption.startswith("LIMITED TRIAL, not comparable")
    assert table.lines[0].marks == ("‡",)
    assert table_to_markdown(table).startswith(f"**{LIMITED_NOTICE}**")
    assert LIMITED_NOTICE in table_to_csv(table)


def test_the_caption_says_lists_protocol_scoring_seed_and_where_speed_was_measured():
    caption = comparison_table([entry(result())], title="T").caption
    for words in (
        "NUDT-SIRST (split basicirstd, 664 images)",
        "Protocol basicirstd.",
        "probability > 0.5, centroids nearer than 3 px",
        "Seed 42.",
        "MACs of one feedback round × rounds (torch FlopCounterMode / 2)",
        "FPS of all rounds on NVIDIA H200, float32",
    ):
        assert words in caption


def test_the_caption_of_given_weights_says_that_no_network_was_trained_and_names_no_seed():
    made = result()
    given = replace(made, experiment=replace(made.experiment, weights=Weights("ACM", sha256="a" * 64)))
    caption = comparison_table([entry(given)], title="T").caption
    assert "No network was trained." in caption
    assert "Seed" not in caption
    both = comparison_table([entry(given), entry(result(DFINET, seed=7))], title="T").caption
    assert "Seed 7." in both


def test_costs_are_per_round_times_rounds_and_unranked():
    table = comparison_table([entry(result(DFINET)), entry(result())], title="T")
    assert [cell.plain for cell in column(table, "MACs", "Cost")] == ["24.13 × 8", "0.402"]
    assert [cell.plain for cell in column(table, "Params", "Cost")] == ["9.300", "0.398"]
    assert [cell.plain for cell in column(table, "FPS", "Cost")] == ["16.3", "322.6"]
    assert {cell.rank for cell in column(table, "FPS", "Cost")} == {""}


def test_early_end_has_columns_of_its_own_beside_the_rate_of_all_rounds():
    dfinet = result(DFINET)
    cost = replace(dfinet.costs[0], every_round=True, early_end=EarlyEnd(images=8, rounds=2.375, images_per_s=51.6))
    entries = [entry(replace(dfinet, costs=(cost,))), entry(result())]
    table = comparison_table(entries, title="T")
    assert [cell.plain for cell in column(table, "FPS", "Cost")] == ["16.3", "322.6"]
    assert [cell.plain for cell in column(table, "FPS, early end", "Cost")] == ["51.6", " "]
    assert [cell.plain for cell in column(table, "Rounds", "Cost")] == ["2.4 of 8", " "]
    assert "where nothing is calculated once a mask repeats" in table.caption
    assert "mean over 8 test images of different sizes, one at a time" in {note.text for note in table.notes}
    frame = to_frame(tuple(entries))
    assert frame["early_end_rounds"].tolist()[0] == 2.375
    assert frame["every_round"].tolist() == [True, False]


def test_a_rate_below_one_image_a_second_is_never_printed_as_zero():
    slow = replace(result().costs[0], images_per_s=0.0123, latency_p50=81300.0, latency_p95=81300.0)
    (cell,) = column(comparison_table([entry(replace(result(), costs=(slow,)))], title="T"), "FPS", "Cost")
    assert cell.plain == "0.012"


@pytest.mark.parametrize(
    ("model", "change", "words"),
    [
        (ACM, {"others_busy": 0.43}, "other work took over 10% of the processors while it was timed"),
        (ACM, {"latency_p95": 6.3}, "one pass in 20 took over 1.5 times as long as the median"),
        (DFINET, {"every_round": False}, "timed on noise, where the network may have ended early"),
    ],
)
def test_a_doubtful_rate_is_marked(model, change, words):
    made = result(model)
    marked = replace(made, costs=(replace(made.costs[0], **{"every_round": True, **change}),))
    table = comparison_table([entry(marked)], title="T")
    (cell,) = column(table, "FPS", "Cost")
    assert [note.text for note in table.notes if note.mark in cell.marks] == [words]


def test_macs_with_operators_that_were_not_counted_are_a_lower_bound_and_name_them():
    made = result()
    cost = replace(made.costs[0], macs_uncounted=("aten.mkldnn_rnn_layer",))
    table = comparison_table([entry(replace(made, costs=(cost,)))], title="T")
    (cell,) = column(table, "MACs", "Cost")
    assert cell.text.startswith("≥ ")
    assert {note.mark: note.text for note in table.notes}[cell.marks[0]] == (
        "at least: not counted are aten.mkldnn_rnn_layer"
    )


def test_a_classical_detector_has_no_macs_and_the_note_says_why():
    detector = replace(ACM, name="TopHat")
    cost = replace(result().costs[0], parameters=0, macs=None)
    entries = [entry(result()), entry(result(detector, costs=(cost,)))]
    table = comparison_table(entries, title="T")
    macs = column(table, "MACs", "Cost")[1]
    assert macs.plain == "—"
    assert {note.mark: note.text for note in table.notes}[macs.marks[0]].startswith("no MACs")
    assert column(table, "Params", "Cost")[1].plain == "0"
    assert to_frame(tuple(entries))["macs_per_round"].isna().tolist() == [False, True]
    alone = comparison_table(entries[1:], title="T")
    assert "Costs at 256 × 256 pixels, batch 1: FPS of all rounds on NVIDIA H200" in alone.caption


def test_a_cost_from_another_device_is_no_neighbour():
    elsewhere = replace(result().costs[0], device="a laptop")
    entries = [entry(result(DFINET)), entry(result(costs=(elsewhere,)))]
    cell = column(comparison_table(entries, title="T"), "FPS", "Cost")[1]
    assert cell.plain == "—"


def test_legacy_metrics_are_shown_only_without_standard_ones_and_headed_as_such():
    soft = Scoring("dfinet", ground_truth="soft", resolution="network")
    found = {
        "legacy:Fa/soft-mask": Score(2e-5, "fraction", "lower"),
        "legacy:IoU/soft-mask": Score(0.5, "fraction", "higher"),
    }
    table = comparison_table([entry(result(found=found, scoring=soft))], title="T")
    assert [c.head for c in table.columns if c.group == "NUDT-SIRST"] == ["IoU (soft mask)", "Fa (soft mask)"]
    both = comparison_table([entry(result(found={**scores(0.6), **found}))], title="T")
    assert [c.head for c in both.columns if c.group == "NUDT-SIRST"] == ["IoU", "nIoU", "F1", "Pd", "Fa"]
    assert metric_info("legacy:F1/macro-pr").head == "F1 (macro pr)"


def test_another_matching_distance_finds_its_own_ids():
    found = scores(0.6)
    found["Pd/centroid-5px"] = found.pop("Pd/centroid-3px")
    found["Fa/unmatched-area-5px"] = found.pop("Fa/unmatched-area")
    table = comparison_table([entry(result(found=found, scoring=Scoring("near", distance=5)))], title="T")
    assert (column(table, "Pd")[0].text, column(table, "Fa")[0].text) == ("95.00", "20.00")


def test_a_result_that_is_not_what_the_manifest_says_is_not_used():
    made = result()
    for row, words in (
        (replace(row_of(made), split="dfinet"), "the result's test set is 'NUDT-SIRST/basicirstd'"),
        (replace(row_of(made), scoring=Scoring("strict", threshold=0.9)), "the result is scored as basicirstd"),
    ):
        found = entry_of(row, Path("x"), made)
        assert found.scored is None
        assert words in found.reason


def test_a_result_without_the_scores_of_its_rounds_is_not_used():
    made = result()
    found = entry_of(row_of(made), Path("x"), replace(made, rounds=()))
    assert found.scored is None
    assert found.reason == "no scores of its rounds in its result"


def test_the_frame_keeps_a_line_for_every_row(tmp_path: Path):
    gone = result(DFINET)
    broken = result(ACM, "NUAA-SIRST")
    write_suite(tmp_path, [("ACM", result(), None), ("DFINet", None, row_of(gone)), ("ACM", broken, None)])
    (tmp_path / broken.key / "result.json").write_text("{")
    _, entries = read_suite(tmp_path, "trial")
    frame = to_frame(entries)
    assert frame["status"].tolist() == ["done", "missing", "missing"]
    assert frame["reason"].tolist()[1] == "not run"
    assert frame["reason"].tolist()[2].startswith(f"unreadable result: {broken.key}/result.json")
    assert str(tmp_path) not in frame.to_csv()
    assert frame.loc[0, "IoU/pooled"] == 0.65
    assert frame.loc[0, "macs_per_round"] == 402_343_000


def test_csv_spells_out_spreads_and_notes():
    entries = [entry(result(seed=s, found=scores(i))) for s, i in ((1, 0.6), (2, 0.62))]
    text = table_to_csv(comparison_table([*entries, missing(result(DFINET))], title="T"))
    head, ours, absent = text.splitlines()
    assert head.startswith('Method,"NUDT-SIRST IoU (1e-2, higher is better)"')
    assert ours.startswith("ACM,61.00,1.41,")
    assert absent.endswith("not run")


def test_markdown_escapes_hostile_labels():
    evil = "a|b <script>x</script> `c` [d](e) *f* _g_\nh"
    text = table_to_markdown(comparison_table([entry(result(), evil)], title="T"))
    line = next(line for line in text.splitlines() if line.startswith("| a"))
    assert line.startswith(r"| a\|b &lt;script&gt;x&lt;/script&gt; \`c\` \[d\](e) \*f\* \_g\_ h |")


def test_a_reason_is_cut_to_one_line():
    assert one_line("a\n\tb\x00c", limit=10) == "a b c"
    assert one_line("x" * 20, limit=10) == "x" * 9 + "…"
