"""Overrides: every path by its type, refused in one sentence that says what is allowed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bench.data.catalogue.cards import load_card
from bench.errors import RuleError
from bench.protocols.protocols import PROTOCOLS
from bench.protocols.recipes import RECIPES, fit_to_native
from bench.protocols.resolve import Rules, override, parse_overrides, resolve_rules, settable
from bench.types import Input, ModelInfo, Recipe, Scoring, Selection

INFO = ModelInfo("Net", cite="none", source="tests", licence="MIT", recipe="basicirstd")
FEEDBACK = ModelInfo("Loop", cite="none", source="tests", licence="MIT", recipe="dfinet", rounds=8)


def rules_of(protocol: str = "native", info: ModelInfo = INFO, dataset: str = "synthetic", **changes: Any) -> Rules:
    """The protocol's rules, with overrides by path (`recipe__lr` is `recipe.lr`)."""
    overrides = {path.replace("__", "."): value for path, value in changes.items()}
    return resolve_rules(PROTOCOLS.get(protocol), load_card(dataset), info, overrides=overrides)


def value_at(rules: Rules, path: str) -> Any:
    """The rules' value at a path."""
    found: Any = rules
    for name in path.split("."):
        found = getattr(found, name)
    return found


NEW_VALUES: dict[str, tuple[Any, Any]] = {
    "input.decoder": ("pillow-grey", "pillow-grey"),
    "input.channels": (3, 3),
    "input.mean": (100, 100.0),
    "input.std": (30.5, 30.5),
    "input.size": ([64, 96], (64, 96)),
    "input.multiple": (16, 16),
    "input.source": ("mine", "mine"),
    "recipe.optimiser": ("adagrad", "adagrad"),
    "recipe.lr": (1, 1.0),
    "recipe.epochs": (3, 3),
    "recipe.batch": (2, 2),
    "recipe.loss": ("dice-bce", "dice-bce"),
    "recipe.augmentation": ("none", "none"),
    "recipe.schedule": ("multistep", "multistep"),
    "input.padding": ("further", "further"),
    "recipe.milestones": ([5, 7, 9], (5, 7, 9)),
    "recipe.gamma": (0.5, 0.5),
    "recipe.patience": (2, 2),
    "recipe.weight_decay": (1e-4, 1e-4),
    "recipe.momentum": (0, 0.0),
    "recipe.stepped": ("epoch", "epoch"),
    "recipe.power": (2, 2.0),
    "recipe.warm_up": (0, 0),
    "recipe.lr_end": (1e-5, 1e-5),
    "recipe.drop_single": (False, False),
    "recipe.shuffle": ("once", "once"),
    "recipe.patch": ("none", None),
    "recipe.positive_crop": (0, 0.0),
    "recipe.align_start": (False, False),
    "recipe.precision": ("bfloat16", "bfloat16"),
    "recipe.average": (0.99, 0.99),
    "recipe.compiled": (True, True),
    "recipe.deterministic": (True, True),
    "selection.rule": ("last", "last"),
    "selection.criterion": ("loss", "loss"),
    "selection.on": ("val", "val"),
    "selection.every": (10, 10),
    "scoring.name": ("mine", "mine"),
    "scoring.ground_truth": ("binary", "binary"),
    "scoring.resolution": ("network", "network"),
    "scoring.threshold": (0.25, 0.25),
    "scoring.distance": (5, 5.0),
    "scoring.connectivity": (4, 4),
    "scoring.matching": ("optimal", "optimal"),
    "scoring.normalise": ("min-max", "min-max"),
    "scoring.mask_resize": ("bilinear", "bilinear"),
    "rounds": (3, 3),
    "start": ("zeros", "zeros"),
}


def test_every_field_of_a_protocols_records_can_be_replaced() -> None:
    assert set(settable(rules_of())) == set(NEW_VALUES)


@pytest.mark.parametrize("path", NEW_VALUES)
def test_an_override_replaces_its_field_and_no_other(path: str) -> None:
    before = rules_of(info=FEEDBACK, recipe__schedule="multistep", recipe__milestones=[1])
    given, expected = NEW_VALUES[path]
    after = override(before, {path: given})
    assert value_at(after, path) == expected
    assert type(value_at(after, path)) is type(expected)
    for other in NEW_VALUES:
        if other != path:
            assert value_at(after, other) == value_at(before, other)


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("recipe.epochs", 2.5, "recipe.epochs is 2.5, expected a whole number"),
        ("recipe.epochs", True, "recipe.epochs is True, expected a whole number"),
        ("recipe.epochs", "many", "recipe.epochs is 'many', expected a whole number"),
        ("recipe.lr", "fast", "recipe.lr is 'fast', expected a number"),
        ("recipe.lr", True, "recipe.lr is True, expected a number"),
        ("recipe.weight_decay", float("nan"), "recipe.weight_decay is nan, expected a number"),
        ("recipe.lr", float("inf"), "recipe.lr is inf, expected a number"),
        ("recipe.lr", "none", "recipe.lr is 'none', expected a number"),
        ("recipe.drop_single", 1, "recipe.drop_single is 1, expected true or false"),
        ("recipe.optimiser", "lamb", "recipe.optimiser is 'lamb', expected 'adam' or 'adagrad' or 'sgd'"),
        ("scoring.connectivity", 6, "scoring.connectivity is 6, expected 4 or 8"),
        ("selection.on", "train", "selection.on is 'train', expected 'held-out' or 'val' or 'test'"),
        ("input.size", [64], "input.size is [64], expected a list of a whole number, a whole number or none"),
        ("input.size", 64, "input.size is 64, expected a list of a whole number, a whole number or none"),
        ("recipe.milestones", [1, 2.5], "recipe.milestones is [1, 2.5], expected a list of a whole number, …"),
        ("recipe.loss", 3, "recipe.loss is 3, expected text"),
        ("recipe.patch", {}, "recipe.patch is {}, expected a whole number or none"),
        ("recipe.epoch", 3, "no setting is called 'recipe.epoch'; did you mean recipe.epochs"),
        ("epochs", 3, "no setting is called 'epochs'; did you mean recipe.epochs"),
        ("recipe", 3, "no setting is called 'recipe'; "),
        ("scoring.treshold", 0.5, "no setting is called 'scoring.treshold'; did you mean scoring.threshold"),
        ("start", 0, "start is 0, expected text"),
        ("strat", "zeros", "no setting is called 'strat'; did you mean start"),
        ("recipe.device", "cuda", "recipe.device is chosen with --device"),
    ],
)
def test_an_override_that_does_not_fit_is_refused_with_what_would(path: str, value: Any, sentence: str) -> None:
    with pytest.raises(RuleError) as caught:
        override(rules_of(), {path: value})
    assert str(caught.value).startswith(sentence)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"recipe.epochs": 0}, "epochs=0"),
        ({"recipe.lr": 0}, "lr is 0"),
        ({"selection.every": 0}, "every is 0"),
        ({"recipe.schedule": "multistep", "recipe.milestones": []}, "multistep"),
        ({"scoring.ground_truth": "soft"}, "soft"),
        ({"scoring.threshold": 1}, "threshold is 1.0"),
        ({"input.decoder": "opencv-bgr"}, "opencv-bgr"),
    ],
)
def test_what_a_record_refuses_an_override_cannot_make(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        override(rules_of(), changes)


@pytest.mark.parametrize("turned", [False, True])
def test_fields_that_go_together_change_together_in_any_order(turned: bool) -> None:
    changes: dict[str, Any] = {
        "recipe.schedule": "constant",
        "recipe.milestones": [],
        "input.decoder": "opencv-bgr",
        "input.channels": 3,
        "scoring.ground_truth": "soft",
        "scoring.resolution": "network",
    }
    ordered = dict(reversed(changes.items())) if turned else changes
    rules = override(rules_of(), ordered)
    assert (rules.recipe.schedule, rules.recipe.milestones) == ("constant", ())
    assert (rules.input.decoder, rules.input.channels) == ("opencv-bgr", 3)
    assert (rules.scoring.ground_truth, rules.scoring.resolution) == ("soft", "network")


def test_words_of_the_command_line_are_read_as_toml_or_else_as_text() -> None:
    words = ["recipe.epochs=40", "recipe.lr = 1e-3", "recipe.optimiser=adagrad", "input.size=[64, 96]"]
    words += ["recipe.drop_single=false", "recipe.patch=none", 'scoring.name="a=b"']
    assert parse_overrides(words) == {
        "recipe.epochs": 40,
        "recipe.lr": 1e-3,
        "recipe.optimiser": "adagrad",
        "input.size": [64, 96],
        "recipe.drop_single": False,
        "recipe.patch": "none",
        "scoring.name": "a=b",
    }


@pytest.mark.parametrize("word", ["recipe.epochs", "=3", ""])
def test_a_word_without_name_or_value_is_refused(word: str) -> None:
    with pytest.raises(RuleError, match="expected NAME=VALUE"):
        parse_overrides([word])


def test_a_network_without_feedback_has_one_round_whatever_is_asked() -> None:
    assert rules_of(rounds=5).rounds == 1
    assert rules_of().start == ""
    assert rules_of(info=FEEDBACK).rounds == 8
    assert rules_of(info=FEEDBACK, rounds=5).rounds == 5
    assert rules_of(info=FEEDBACK).start == "otsu"


def test_a_start_mask_is_of_networks_with_feedback_alone() -> None:
    assert rules_of(info=FEEDBACK, start="zeros").start == "zeros"
    assert rules_of(start="zeros") == rules_of()


def test_native_takes_the_networks_own_recipe_made_fit_for_crops() -> None:
    published = rules_of("dfinet", FEEDBACK, "NUDT-SIRST").recipe
    native = rules_of("native", FEEDBACK).recipe
    assert (native.optimiser, native.lr, native.schedule, native.epochs, native.batch, native.loss) == (
        published.optimiser,
        published.lr,
        published.schedule,
        published.epochs,
        published.batch,
        published.loss,
    )
    assert (published.patch, native.patch, native.augmentation) == (None, 256, "basicirstd")
    assert (published.align_start, native.align_start) == (False, True)


def test_normalisation_is_the_cards_or_the_protocols() -> None:
    assert (rules_of(dataset="NUDT-SIRST").input.mean, rules_of(dataset="NUDT-SIRST").input.std) == (
        107.80905,
        33.02275,
    )
    assert (rules_of("dfinet", dataset="NUDT-SIRST").input.mean, rules_of("dfinet").input.std) == (0.0, 255.0)


def test_a_card_without_statistics_is_refused_where_they_are_needed() -> None:
    with pytest.raises(RuleError, match="SIRST-Aug: its card has no mean and std"):
        rules_of(dataset="SIRST-Aug")
    assert rules_of("dfinet", dataset="SIRST-Aug").input.std == 255.0


def test_the_records_that_hold_settings_are_the_protocols() -> None:
    rules = rules_of()
    kinds = (type(rules.input), type(rules.recipe), type(rules.selection), type(rules.scoring))
    assert kinds == (Input, Recipe, Selection, Scoring)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"recipe.momentum": 0.9}, "momentum is of optimiser 'sgd', not of 'adam'"),
        ({"recipe.stepped": "iteration"}, "schedule 'multistep' is stepped every epoch, not every iteration"),
        ({"recipe.warm_up": 3}, "warm_up is 3 epochs, expected 0 or more of a cosine schedule"),
    ],
)
def test_fields_that_do_not_go_together_are_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        override(rules_of(protocol="basicirstd"), changes)


@pytest.mark.parametrize("protocol", ["native", "dfinet"])
def test_a_classical_detector_reads_grey_levels_as_they_are(protocol: str) -> None:
    rules = rules_of(protocol=protocol, info=replace(INFO, recipe=""), recipe__epochs=3)
    assert rules.input == Input("pillow-grey", 1, mean=0.0, std=1.0, size=(256, 256) if protocol == "dfinet" else None)


def test_every_published_recipe_can_be_fitted_to_native_crops() -> None:
    for name in RECIPES:
        assert fit_to_native(RECIPES.get(name)).patch == 256
