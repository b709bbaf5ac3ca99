"""What the ablation table says: a column for every difference, the change of every number, and what is no result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from bench.errors import MixedRulesError
from bench.types import RunResult, Scoring, Training
from reports.render.csv_markdown import table_to_csv, table_to_markdown
from reports.results.entries import Entry, entry_of
from reports.table import Cell, Table
from reports.tables.ablation import ablation_table, ablation_tables, families, variants_of
from reports.tables.comparison import comparison_table
from tests.reports.fake_ablation import FANET, FULL, ablation, started, variant
from tests.reports.fake_runs import ACM, DFINET, result, row_of, scores


def entry(made: RunResult, label: str = "") -> Entry:
    return entry_of(row_of(made, label), Path(made.key), made)


def missing(made: RunResult, label: str = "") -> Entry:
    return Entry(row_of(made, label), Path(made.key), reason="not run")


def table_of(entries: Sequence[Entry]) -> Table:
    ((model, table),) = ablation_tables(entries, title="T")
    assert model == "DFINet"
    return table


def column(table: Table, head: str, group: str = "NUDT-SIRST") -> list[Cell]:
    index = [(c.group, c.head) for c in table.columns].index((group, head))
    return [line.cells[index] for line in table.lines]


def texts(cells: Sequence[Cell]) -> list[str]:
    return [cell.text for cell in cells]


def notes_of(table: Table) -> dict[str, str]:
    return {note.mark: note.text for note in table.notes}


THREE = [
    entry(variant(FULL, iou=0.9)),
    entry(variant(ablation("no-dfffm"), iou=0.85)),
    entry(variant(ablation("max-pool"), iou=0.91)),
]


def test_only_choices_that_differ_have_a_column_in_words_of_their_own():
    table = table_of(THREE)
    assert [c.head for c in table.columns if c.group == "Design choices"] == ["DFFFM", "resize"]
    assert texts(column(table, "DFFFM", "Design choices")) == ["✓", "✗", "✓"]
    assert texts(column(table, "resize", "Design choices")) == ["nearest", "nearest", "max-pool"]
    assert not [c for c in table.columns if c.group == "Beside the design"]


def test_each_number_stands_beside_its_difference_to_the_full_network():
    table = table_of(THREE)
    assert [cell.plain for cell in column(table, "IoU")] == ["90.00", "85.00 (−5.00)", "91.00 (+1.00)"]
    assert [cell.change for cell in column(table, "Pd")] == ["", "0.00", "0.00"]
    assert "its difference to DFINet, in the unit of the column" in table.caption
    assert [cell.rank for cell in column(table, "IoU")] == ["second", "", "best"]


def test_a_difference_of_false_alarms_is_in_their_unit():
    fewer = entry(replace(variant(ablation("no-chpp")), scores=scores(0.9, fa=7.5e-6)))
    assert [cell.plain for cell in column(table_of([THREE[0], fewer]), "Fa")] == ["20.00", "7.50 (−12.50)"]


def test_the_difference_is_one_of_means_over_seeds():
    full = [entry(variant(FULL, iou=iou, seed=seed)) for seed, iou in ((1, 0.90), (2, 0.92))]
    less = [entry(variant(ablation("no-chpp"), iou=iou, seed=seed)) for seed, iou in ((1, 0.80), (2, 0.84))]
    assert column(table_of([*full, *less]), "IoU")[1].plain == "82.00 ± 2.83 (−9.00)"


def test_parameters_and_macs_close_the_table_without_speed():
    table = table_of(THREE)
    assert [c.head for c in table.columns if c.group == "Cost"] == ["Params", "MACs"]
    assert texts(column(table, "MACs", "Cost")) == ["24.13 × 8"] * 3
    assert "FPS" not in table.caption


def test_an_ancestor_is_a_row_without_choices():
    table = table_of([entry(variant(FANET, iou=0.8)), *THREE])
    assert [line.label for line in table.lines] == ["FANet", "DFINet", "DFINet/no-dfffm", "DFINet/max-pool"]
    assert column(table, "DFFFM", "Design choices")[0].plain == "—"
    assert column(table, "IoU")[0].plain == "80.00 (−10.00)"
    (mark,) = table.lines[0].marks
    assert notes_of(table)[mark].startswith("the network that DFINet grew from, without its design choices; ")
    assert "it also differs in Rounds 10" in notes_of(table)[mark]
    assert not [c for c in table.columns if c.head == "Rounds"]


def test_other_networks_of_the_suite_are_left_to_the_comparison():
    assert [line.label for line in table_of([*THREE, entry(result())]).lines] == [e.row.label for e in THREE]


def test_failed_and_missing_rows_stay_with_their_reasons():
    failed = entry(variant(ablation("no-chpp"), status="failed", reason="loss is NaN", scores={}))
    unreached = missing(variant(ablation("no-dsfm")))
    table = table_of([*THREE, failed, unreached])
    assert [line.label for line in table.lines][3:] == ["DFINet/no-chpp", "DFINet/no-dsfm"]
    assert [cell.plain for cell in column(table, "IoU")][3:] == ["—", "—"]
    assert texts(column(table, "CHPP", "Design choices")) == ["2", "2", "2", "✗", ""]
    notes = notes_of(table)
    assert notes[column(table, "IoU")[3].marks[0]] == "failed: loss is NaN"
    assert notes[column(table, "CHPP", "Design choices")[4].marks[0]] == "not run"


def test_without_the_full_networks_result_its_defaults_still_tell_what_differs():
    table = table_of([missing(variant(FULL)), THREE[1]])
    assert texts(column(table, "DFFFM", "Design choices")) == ["", "✗"]
    assert [cell.plain for cell in column(table, "IoU")] == ["—", "85.00"]


def test_differences_beside_the_design_have_columns_too():
    full = variant(FULL)
    training = full.experiment.weights
    assert isinstance(training, Training)
    best = replace(training.selection, rule="best", on="held-out")
    changed = replace(training, selection=best, selection_images=training.images)
    experiment = replace(full.experiment, weights=replace(changed, recipe=replace(training.recipe, align_start=False)))
    other = replace(full, experiment=experiment, key=experiment.key)
    entries = [*THREE[:2], entry(other, "DFINet, best"), entry(started(full, "zeros", rounds=4), "DFINet, zeros")]
    table = table_of(entries)
    beside = [c.head for c in table.columns if c.group == "Beside the design"]
    assert beside == ["Start mask", "Rounds", "Weights", "align start"]
    assert texts(column(table, "Start mask", "Beside the design")) == ["Otsu", "Otsu", "Otsu", "all zeros"]
    assert texts(column(table, "Rounds", "Beside the design")) == ["8", "8", "8", "4"]
    assert texts(column(table, "Weights", "Beside the design"))[2] == "best IoU on held-out"
    assert texts(column(table, "align start", "Beside the design")) == ["✓", "✓", "✗", "✓"]


def test_settings_without_a_choice_are_told_by_their_names():
    whole = replace(DFINET, config=(("feedback", True), ("width", 32)))
    without = replace(DFINET, name="DFINet-plain", ablates="DFINet", config=(("feedback", False), ("width", 32)))
    table = table_of([entry(result(whole)), entry(result(without))])
    assert [c.head for c in table.columns if c.group == "Design choices"] == ["feedback"]
    assert texts(column(table, "feedback", "Design choices")) == ["✓", "✗"]


def test_an_oracle_is_marked_and_never_ranked_in_any_table():
    oracle = entry(started(variant(FULL, iou=0.99), "ground-truth"), "DFINet, given the truth")
    entries = [*THREE, oracle]
    for table in (table_of(entries), comparison_table(entries, title="T")):
        assert [cell.rank for cell in column(table, "IoU")] == ["second", "", "best", ""]
        assert table.lines[3].marks == ("§",)
        assert notes_of(table)["§"].startswith("oracle: its first feedback mask is the ground truth; not a result")
    start = column(table_of(entries), "Start mask", "Beside the design")
    assert texts(start) == ["Otsu", "Otsu", "Otsu", "ground truth (oracle)"]


def test_a_limited_row_watermarks_the_table():
    table = table_of([entry(variant(FULL, limit=8)), entry(variant(ablation("no-chpp"), limit=8))])
    assert table.limited
    assert table.caption.startswith("LIMITED TRIAL, not comparable")


def test_mixed_rules_are_refused_or_not_subtracted():
    other = entry(variant(ablation("no-chpp"), scoring=Scoring("near", distance=5)))
    with pytest.raises(MixedRulesError):
        list(ablation_tables([*THREE, other], title="T"))
    ((_, table),) = ablation_tables([*THREE, other], title="T", mixed="mark")
    assert [cell.change for cell in column(table, "IoU")] == ["", "−5.00", "+1.00", ""]


def test_without_an_ablation_of_one_of_its_rows_a_suite_has_no_table():
    assert list(ablation_tables([entry(variant(FULL)), entry(result())], title="T")) == []
    assert list(ablation_tables([THREE[1], entry(result(ACM))], title="T")) == []


def test_a_row_of_the_full_network_with_other_settings_is_an_ablation():
    made = variant(FULL)
    changed = replace(made.experiment, weights=replace(made.experiment.weights, config=(("chpp", 1),)))
    own = entry(replace(made, experiment=changed, key=changed.key), "one HPPM")
    (family,) = families([own, *THREE])
    assert family.label == "DFINet"
    assert variants_of(family) == ("one HPPM", "DFINet/no-dfffm", "DFINet/max-pool")
    assert texts(column(ablation_table(family, title="T"), "CHPP", "Design choices")) == ["1", "2", "2", "2"]


def test_a_whole_family_of_another_width_has_its_full_network_too():
    narrow = []
    for made in (variant(FULL), variant(ablation("no-chpp"))):
        config = (*made.experiment.weights.config, ("width", 8))
        changed = replace(made.experiment, weights=replace(made.experiment.weights, config=config))
        narrow.append(entry(replace(made, experiment=changed, key=changed.key)))
    (family,) = families(narrow)
    assert (family.label, variants_of(family)) == ("DFINet", ("DFINet/no-chpp",))


def test_csv_and_markdown_carry_the_differences():
    head, full, less, _ = table_to_csv(table_of(THREE)).splitlines()
    assert '"NUDT-SIRST IoU (1e-2, higher is better) difference"' in head
    assert full.startswith("DFINet,✓,nearest,90.00,,")
    assert less.startswith("DFINet/no-dfffm,✗,nearest,85.00,-5.00,")
    assert "| 85.00 (−5.00) |" in table_to_markdown(table_of(THREE))
