"""Published numbers beside ours, and when they may be compared at all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.types import Recipe, Reported, RunResult, Training, Weights
from reports.frame import Entry, entry_of
from reports.published import Badge, Comparison, Tolerance, compare_published, published_table
from tests.reports.fake_runs import ACM, DFINET, result, row_of, scores

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
        (result(ONE, split="dfinet"), "run on split dfinet, published on basicirstd"),
        (result(ONE, protocol="native"), "run under protocol native, published under basicirstd"),
        (
            with_training(result(ONE), recipe=replace(recipe_of(result(ONE)), epochs=20)),
            "trained by another recipe: epochs 20 instead of 400",
        ),
        (with_training(result(ONE), config=(("depth", 3),)), "run with other settings: depth=3"),
    ],
)
def test_a_number_made_otherwise_than_the_published_one_is_not_run(made: RunResult, reason: str):
    found = compare(made)
    assert (found.badge, found.ours, found.reason) == ("not run", (), reason)


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


def test_the_table_states_tolerance_sources_and_badges():
    entries = [entry_of(row_of(made), Path(made.key), made) for made in (result(), result(DFINET))]
    table = published_table(compare_published(entries))
    assert table is not None
    assert "±1×10⁻² in IoU, nIoU, F1 and Pd, ±5×10⁻⁶ in Fa" in table.caption
    assert [line.cells[-1].text for line in table.lines] == ["reproduced", "not reproduced", "not run"]
    assert [line.cells[3].text for line in table.lines] == ["64.85", "28.59", "70.00"]
    assert "source: BasicIRSTD README, 95650c3" in {note.text for note in table.notes}


def test_no_published_number_makes_no_table():
    made = result(DFINET)
    assert published_table(compare_published([entry_of(row_of(made), Path("x"), made)])) is None


def test_a_tolerance_can_be_stricter():
    made = result(ONE, found=scores(0.655))
    (found,) = compare_published([entry_of(row_of(made), Path("x"), made)], tolerance=Tolerance(points=0.1))
    assert found.badge == "not reproduced"
