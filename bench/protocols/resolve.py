"""A protocol's rules for one network on one dataset, and how single fields of them are replaced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench.data.catalogue.cards import Card
from bench.errors import RecordError, RuleError
from bench.input_files import parse_toml
from bench.protocols.recipes import RECIPES, fit_to_native
from bench.records import describe_type, field_types, fits, show_value
from bench.registry import unknown
from bench.types import Input, ModelInfo, Protocol, Recipe, Scoring, Selection

SECTIONS = ("input", "recipe", "selection", "scoring")
FEEDBACK = ("rounds", "start")
"""What only networks with feedback have; the others ignore it."""

GREY_LEVELS: Mapping[str, Any] = {"decoder": "pillow-grey", "channels": 1, "mean": 0.0, "std": 1.0}


@dataclass(frozen=True)
class Rules:
    """A protocol's records for one network on one dataset, after all overrides.

    A classical detector learns nothing: `recipe` and `selection` say nothing of it.
    """

    input: Input
    recipe: Recipe
    selection: Selection
    scoring: Scoring
    rounds: int
    start: str


def resolve_rules(protocol: Protocol, card: Card, info: ModelInfo, *, overrides: Mapping[str, Any]) -> Rules:
    """The protocol's records for one network on one dataset, with the overrides in place.

    A classical detector reads grey levels as they are, at the protocol's size and without padding.
    """
    recipe = RECIPES.get((info.recipe or "basicirstd") if protocol.recipe == "published" else protocol.recipe)
    inputs = protocol.input
    if inputs.size is None:
        recipe = fit_to_native(recipe)
    if protocol.normalisation == "card" and info.recipe:
        if card.mean is None or card.std is None:
            raise RuleError(
                f"{card.name}: its card has no mean and std, which protocol {protocol.name!r} normalises with; "
                "choose a protocol with fixed normalisation"
            )
        inputs = replace(inputs, mean=card.mean, std=card.std, source=card.statistics)
    feedback = info.rounds > 1
    rules = Rules(
        input=inputs,
        recipe=recipe,
        selection=protocol.selection,
        scoring=protocol.scoring,
        rounds=protocol.rounds if feedback else 1,
        start=protocol.start if feedback else "",
    )
    if not feedback:
        overrides = {path: value for path, value in overrides.items() if path not in FEEDBACK}
    rules = override(rules, overrides)
    return rules if info.recipe else replace(rules, input=Input(**GREY_LEVELS, size=rules.input.size))


def parse_overrides(words: Sequence[str]) -> dict[str, Any]:
    """`["recipe.epochs=40", "recipe.optimiser=adagrad"]` as a mapping; values are TOML, or else text.

    Raises:
        RuleError: for a word without `=`.
    """
    parsed: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name:
            raise RuleError(f"--set {word!r}: expected NAME=VALUE, as in recipe.epochs=40")
        try:
            parsed[name.strip()] = parse_toml(f"value = {text}")["value"]
        except RecordError:
            parsed[name.strip()] = text.strip()
    return parsed


def override(rules: Rules, changes: Mapping[str, Any]) -> Rules:
    """The rules with fields replaced, by their paths: `recipe.epochs`, `scoring.threshold`, `rounds`, `start`.

    All fields of a record are replaced at once, so that those that go together (schedule and milestones) can change.

    Raises:
        RuleError: when there is no such field, or it cannot take the value.
    """
    known = settable(rules)
    changed: dict[str, dict[str, Any]] = {}
    for path, value in changes.items():
        if path == "recipe.device":
            raise RuleError("recipe.device is chosen with --device")
        if path not in known:
            raise RuleError(unknown("setting", path, known))
        section, _, name = path.rpartition(".")
        changed.setdefault(section, {})[name] = fitted(value, known[path], path=path)
    records = {name: replace(getattr(rules, name), **new) for name, new in changed.items() if name}
    return replace(rules, **records, **changed.get("", {}))


def settable(rules: Rules) -> dict[str, Any]:
    """Every path that `override` replaces, with its annotated type."""
    kinds: dict[str, Any] = {"rounds": int, "start": str}
    for section in SECTIONS:
        kinds |= fields_of(section, type(getattr(rules, section)))
    del kinds["recipe.device"]
    return kinds


def fields_of(section: str, record: type) -> dict[str, Any]:
    """A record's fields by their paths, as `scoring.threshold`, with their annotated types."""
    return {f"{section}.{name}": kind for name, kind in field_types(record).items()}


def fitted(value: Any, kind: Any, *, path: str) -> Any:
    """The value as the annotated type takes it: lists as tuples, whole numbers where a float is due, `"none"` as None.

    Raises:
        RuleError: when it does not fit.
    """
    found = tuple(value) if isinstance(value, list) else value
    if kind is float and type(found) is int:
        found = float(found)
    if not fits(found, kind) and found == "none":
        found = None
    if not fits(found, kind):
        raise RuleError(f"{path} is {show_value(value)}, expected {describe_type(kind)}")
    return found
