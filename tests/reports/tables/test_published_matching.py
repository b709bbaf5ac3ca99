"""Published numbers beside ours, and when they may be compared at all."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bench.models.published_numbers import reported
from bench.types import Recipe, Reported, RunResult, Score, Training, Weights
from reports.render.csv_markdown import table_to_csv, table_to_markdown
from reports.render.latex import table_to_latex
from reports.results.entries import Entry, entry_of
from reports.table import Badge, Cell, Table
from reports.tables.published import elsewhere_tables, published_table
from reports.tables.published_matching import Comparison, compare_published
from tests.reports.fake_runs import ACM, DFINET, field_results, result, row_of, scores

ONE = replace(ACM, reported=(Reported("NUDT-SIRST", "basicirstd", "IoU/pooled", 0.65, "README", "basicirstd"),))


def compare(*made: RunResult) -> Comparison:
    (found,) = compare_published([entry_of(row_of(each), Path(each.key), each) for each in made])
    return found


@pytest.mark.parametrize(
    ("ours", "badge"),
    [
        (0.65, "reproduced"),
        (0.66, "reproduced"),
        (0.64, "reproduced"),
        (0.661, "not reproduced"),
        (0.639, "not reproduced"),
    ],
)
def test_a_point_of_iou_is_the_tolerance(ours: float, badge: Badge):
    assert compare(result(ONE, found=scores(ours))).badge == badge


@pytest.mark.parametrize(("ours", "badge"), [(33e-6, "reproduced"), (34e-6, "not reproduced")])
def test_five_in_a_million_is_the_tolerance_of_false_alarms(ours: float, badge: Badge):
    info = replace(ACM, reported=(Reported("NUDT-SIRST", "basicirstd", "Fa/unmatched-area", 28e-6, "x", "basicirstd"),))
    assert compare(result(info, found=scores(0.6, fa=ours))).badge == badge


def test_the_mean_over_seeds_is_compared():
    found = compare(*(result(ONE, seed=s, found=scores(v)) for s, v in ((1, 0.60), (2, 0.70))))
    assert (found.ours, found.badge) == ((0.60, 0.70), "reproduced")


def with_training(made: RunResult, **changes: object) -> RunResult:
    training = made.experiment.weights
    assert isinstance(training, Training)
    return replace(made, experiment=replace(made.experiment, weights=replace(training, **changes)))  # type: ignore[arg-type]


def recipe_of(made: RunResult) -> Recipe:
    training = made.experiment.weights
    assert isinstance(training, Training)
    return training.recipe


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (result(ONE, status="failed", reason="out of memory", scores={}), "failed: out of memory"),
        (result(ONE, limit=8), "only a limited trial was run"),
        (
            with_training(result(ONE), recipe=replace(recipe_of(result(ONE)), epochs=20)),
            "trained by another recipe: epochs 20 instead of 400",
        ),
        (with_training(result(ONE), config=(("depth", 3),)), "run with other settings: depth=3"),
        (
            replace(result(ONE), experiment=replace(result(ONE).experiment, start="ground-truth")),
            "run from another first feedback mask: ground truth",
        ),
    ],
)
def test_a_number_made_otherwise_than_the_published_one_is_not_run(made: RunResult, reason: str):
    found = compare(made)
    assert (found.badge, found.ours, found.reason) == ("not run", (), reason)


@pytest.mark.parametrize("changes", [{"split": "dfinet"}, {"protocol": "native"}])
def test_a_number_of_another_split_or_protocol_is_not_judged(changes: dict[str, str]):
    found = compare(result(ONE, **changes))
    assert (found.badge, found.ours, found.reason) == ("", (), "")


def test_rows_under_other_rules_take_no_part_in_a_judgement():
    same, other = result(ONE, found=scores(0.65)), result(ONE, protocol="native", seed=7, found=scores(0.1))
    found = compare(same, other)
    assert (found.badge, found.ours) == ("reproduced", (0.65,))


def test_another_device_is_no_other_recipe():
    made = result(ONE)
    assert compare(with_training(made, recipe=replace(recipe_of(made), device="cuda"))).badge == "reproduced"


def test_given_weights_are_compared_without_a_recipe():
    made = result(ONE)
    given = Weights("ACM", sha256="a" * 64)
    assert compare(replace(made, experiment=replace(made.experiment, weights=given))).badge == "reproduced"


def test_a_published_number_whose_row_is_missing_is_not_run():
    there = result(ONE)
    absent = Entry(row_of(result(ONE, seed=7)), Path("x"), reason="not run")
    failed = entry_of(row_of(there), Path("y"), replace(there, status="failed", reason="boom"))
    (found,) = compare_published([absent, failed])
    assert (found.badge, found.reason) == ("not run", "not run")


def tables(*made: RunResult) -> tuple[Table | None, dict[str, Table]]:
    """The table of numbers beside ours, and those of other rules by dataset."""
    comparisons = compare_published([entry_of(row_of(each), Path(each.key), each) for each in made])
    return published_table(comparisons), elsewhere_tables(comparisons)


def plain(table: Table) -> list[list[str]]:
    return [[line.label, *(cell.plain.strip() for cell in line.cells)] for line in table.lines]


def notes_of(table: Table, cell: Cell) -> list[str]:
    texts = {note.mark: note.text for note in table.notes}
    return [texts[mark] for mark in cell.marks]


def test_numbers_of_the_suite_s_rules_stand_beside_ours_with_their_badges():
    table, _ = tables(result(), result(DFINET))
    assert table is not None
    assert (
        "✓ reproduced: the mean over seeds lies within ±1×10⁻² in IoU, nIoU, F1 and Pd, ±5×10⁻⁶ in Fa" in table.caption
    )
    assert [(c.group, c.head) for c in table.columns[2:]] == [
        ("IoU", "published"),
        ("IoU", "ours"),
        ("Fa", "published"),
        ("Fa", "ours"),
    ]
    assert plain(table) == [["ACM", "NUDT-SIRST (basicirstd)", "basicirstd", "64.85", "65.00", "28.59", "20.00"]]
    assert [cell.badge for cell in table.lines[0].cells] == ["", "", "", "reproduced", "", "not reproduced"]
    assert notes_of(table, table.lines[0].cells[0]) == ["source: BasicIRSTD README, 95650c3"]


def test_numbers_of_other_rules_are_listed_apart_and_beside_nothing():
    _, elsewhere = tables(result(), result(DFINET))
    assert list(elsewhere) == ["NUDT-SIRST"]
    assert [c.head for c in elsewhere["NUDT-SIRST"].columns] == ["Rules", "Split", "IoU"]
    assert plain(elsewhere["NUDT-SIRST"]) == [["ACM", "dfinet", "dfinet", "70.00"]]


def test_what_was_not_run_is_a_dash_with_the_reason():
    table, _ = tables(result(ONE, limit=8))
    assert table is not None
    ours = table.lines[0].cells[-1]
    assert (ours.plain, ours.badge) == ("—", "not run")
    assert notes_of(table, ours) == ["only a limited trial was run"]


def test_two_rows_of_one_source_stay_two_lines_each_with_its_remark():
    info = replace(ACM, name="DNANet", reported=reported("DNANet"))
    table = tables(result(info))[1]["NUDT-SIRST"]
    own = [line for line in table.lines if line.cells[0].text == "dnanet"]
    assert [line.cells[2].text for line in own] == ["87.09", "88.61"]
    source = "source: YeRen123455/Infrared-Small-Target-Detection README at 21584be"
    assert [notes_of(table, line.cells[0]) for line in own] == [
        [source, "backbone ResNet-18"],
        [source, "backbone ResNet-18, released weights"],
    ]


def test_a_number_counted_otherwise_than_its_column_says_bears_its_id():
    info = replace(ACM, name="DNANet", reported=reported("DNANet"))
    table = tables(result(info))[1]["NUDT-SIRST"]
    heads = [column.head for column in table.columns]
    (fa, *_) = [line.cells[heads.index("Fa")] for line in table.lines if line.cells[0].text == "dnanet"]
    assert (fa.text, fa.badge) == ("4.22", "")
    assert notes_of(table, fa)[0].startswith("legacy:Fa/equal-area: false alarms as large as a matched component")


def test_the_whole_field_is_listed_once_a_published_row():
    _, elsewhere = tables(*field_results())
    assert {dataset: len(table.lines) for dataset, table in elsewhere.items()} == {"NUAA-SIRST": 40, "NUDT-SIRST": 37}
    numbers = sum(
        1 for table in elsewhere.values() for line in table.lines for cell in line.cells[2:] if cell.text != " "
    )
    named = {made.model.name: made.model for made in field_results()}
    published = [r for info in named.values() for r in info.reported if r.dataset in elsewhere]
    assert numbers == len([r for r in published if r.rules != "basicirstd"])


def test_no_published_number_makes_no_table():
    assert tables(result(DFINET)) == (None, {})


@pytest.mark.parametrize("render", [table_to_latex, table_to_markdown])
def test_badges_are_printed_as_signs(render: Callable[[Table], str]):
    table, _ = tables(result())
    assert table is not None
    text = render(table)
    for number, signs in (("65.00", ("✓", r"\ding{51}")), ("20.00", ("✗", r"\ding{55}"))):
        assert any(f"{number}{space}{sign}" in text for sign in signs for space in (" ", r"{\,"))


def test_badges_have_words_in_a_csv():
    table, _ = tables(result())
    assert table is not None
    head, line = csv.reader(table_to_csv(table).splitlines())
    found = dict(zip(head, line, strict=True))
    assert found["IoU ours (1e-2) badge"] == "reproduced"
    assert found["Fa ours (1e-6) badge"] == "not reproduced"


OF_CHECKPOINT = replace(ONE, reported=tuple(replace(one, weights="LESPS-ACM-full") for one in ONE.reported))


def with_checkpoint(made: RunResult, name: str = "LESPS-ACM-full") -> RunResult:
    """The result, made by given weights, those of a published checkpoint where they have a name."""
    return replace(made, experiment=replace(made.experiment, weights=Weights("ACM", sha256="a" * 64, name=name)))


@pytest.mark.parametrize(("ours", "badge"), [(0.651, "reproduced"), (0.6511, "not reproduced")])
def test_the_very_checkpoint_has_to_give_its_number_within_a_tenth(ours: float, badge: Badge):
    found = compare(with_checkpoint(result(OF_CHECKPOINT, found=scores(ours))))
    assert (found.badge, found.is_of_checkpoint) == (badge, True)
    other = compare(with_checkpoint(result(OF_CHECKPOINT, found=scores(ours)), name=""))
    assert (other.badge, other.is_of_checkpoint) == ("reproduced", False), "a point for other weights"


def test_captions_say_which_tolerances_were_applied():
    of_checkpoint, trained = with_checkpoint(result(OF_CHECKPOINT)), result(ONE, seed=7)
    words = "the published checkpoint gives the number within ±0.1×10⁻² in IoU, nIoU, F1 and Pd, ±0.1×10⁻⁶ in Fa"
    for made, has_mean, has_words in (([of_checkpoint], False, True), ([trained], True, False)):
        table, _ = tables(*made)
        assert table is not None
        assert ("the mean over seeds" in table.caption, words in table.caption) == (has_mean, has_words)


def test_rates_printed_in_another_unit_have_a_column_of_their_own():
    fa = [
        Reported("NUDT-SIRST", "basicirstd", "Fa/unmatched-area", 2e-5, "x", "basicirstd"),
        Reported("NUDT-SIRST", "basicirstd", "Fa/background-pixels", 3e-5, "y", "basicirstd"),
    ]
    found = scores(0.6, fa=2e-5) | {"Fa/background-pixels": Score(3.005e-5, "fraction", "lower")}
    table, _ = tables(result(replace(ACM, reported=tuple(fa)), found=found))
    assert table is not None
    assert [(c.group, c.head, c.unit) for c in table.columns[2:]] == [
        ("Fa", "published", "1e-6"),
        ("Fa", "ours", "1e-6"),
        ("Fa (background pixels)", "published", "1e-5"),
        ("Fa (background pixels)", "ours", "1e-5"),
    ]
    assert [line.cells[-2].text for line in table.lines] == [" ", "3.00"]
    assert table.lines[1].cells[-1].badge == "reproduced", "0.05e-6 apart"
