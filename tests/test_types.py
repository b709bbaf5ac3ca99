"""Records: their keys and the contradictions they refuse."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from records import EXPERIMENT, IMAGES, INPUT, RECIPE, TRAINING

from bench.types import Experiment, Input, Scoring, Selection, Weights, identity, key_of


def test_a_key_is_twelve_hexadecimal_digits() -> None:
    assert len(EXPERIMENT.key) == 12
    assert set(EXPERIMENT.key) <= set("0123456789abcdef")


def test_equal_content_has_an_equal_key() -> None:
    again = Experiment(replace(TRAINING), replace(IMAGES), replace(INPUT))
    assert again.key == EXPERIMENT.key


@pytest.mark.parametrize(
    "other",
    [
        replace(EXPERIMENT, rounds=2),
        replace(EXPERIMENT, start="zeros"),
        replace(EXPERIMENT, images=replace(IMAGES, digest="e" * 64)),
        replace(EXPERIMENT, images=replace(IMAGES, limit=3)),
        replace(EXPERIMENT, weights=replace(TRAINING, seed=43)),
        replace(EXPERIMENT, weights=replace(TRAINING, recipe=replace(RECIPE, lr=2e-3))),
        replace(EXPERIMENT, weights=replace(TRAINING, config=(("width", 8),))),
        replace(EXPERIMENT, weights=Weights("ACM", sha256="0" * 64)),
    ],
)
def test_what_changes_predictions_changes_the_key(other: Experiment) -> None:
    assert other.key != EXPERIMENT.key


def test_where_statistics_come_from_is_no_part_of_the_key() -> None:
    noted = replace(INPUT, source="measured")
    assert replace(EXPERIMENT, input=noted).key == EXPERIMENT.key


def test_a_new_field_at_its_default_keeps_old_keys() -> None:
    @dataclass(frozen=True)
    class Old:
        a: int

    @dataclass(frozen=True)
    class New:
        a: int
        b: int = 7

    assert key_of(New(1)) == key_of(Old(1))
    assert key_of(New(1, b=8)) != key_of(Old(1))


def test_identity_leaves_defaults_out_and_keeps_the_rest() -> None:
    assert identity(Input("pillow-grey", 1, std=30.0)) == {"decoder": "pillow-grey", "channels": 1, "std": 30.0}


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Input("opencv-bgr", 1), "opencv-bgr"),
        (lambda: Input("pillow-grey", 2), "channels"),
        (lambda: Input("pillow-grey", 1, std=0), "std"),
        (lambda: replace(RECIPE, epochs=0), "epochs"),
        (lambda: replace(RECIPE, lr=float("nan")), "lr"),
        (lambda: replace(RECIPE, schedule="multistep"), "milestones"),
        (lambda: replace(RECIPE, patch=8), "patch"),
        (lambda: Scoring("s", ground_truth="soft"), "soft"),
        (lambda: Scoring("s", threshold=1.0), "threshold"),
        (lambda: replace(TRAINING, recipe=replace(RECIPE, patch=None)), "patch"),
        (lambda: replace(TRAINING, input=replace(INPUT, size=(64, 64))), "size"),
        (lambda: replace(TRAINING, selection=Selection("best")), "selection_images"),
        (lambda: replace(EXPERIMENT, rounds=0), "rounds"),
    ],
)
def test_contradictions_are_refused_by_name(make: object, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        make()  # type: ignore[operator]


def test_only_a_choice_on_the_test_list_is_optimistic() -> None:
    assert Selection("best", on="test").is_optimistic
    assert not Selection("best", on="held-out").is_optimistic
    assert not Selection("last", on="test").is_optimistic


def test_a_limit_on_either_list_makes_an_experiment_limited() -> None:
    limited = replace(IMAGES, limit=3)
    assert not EXPERIMENT.is_limited
    assert replace(EXPERIMENT, images=limited).is_limited
    assert replace(EXPERIMENT, weights=replace(TRAINING, images=limited)).is_limited


@pytest.mark.parametrize("distance", [0.0, -1.0, float("nan")])
def test_a_distance_that_no_two_points_have_is_refused(distance: float) -> None:
    with pytest.raises(ValueError, match=r"scoring: distance is .*, expected a positive number of pixels"):
        Scoring("near", distance=distance)
