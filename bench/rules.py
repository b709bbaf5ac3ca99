"""A protocol's rules for one network on one dataset, and how single fields of them are replaced."""

from __future__ import annotations

import tomllib
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from bench.data.cards import Card
from bench.recipes import RECIPES, fit_to_native
from bench.registry import unknown
from bench.types import Input, ModelInfo, Protocol, Recipe, Scoring, Selection

SECTIONS = ("input", "recipe", "selection", "scoring")
TOP_LEVEL = ("rounds", "start")


class RuleError(ValueError):
    """An override that names no field, or gives a value that the field cannot take."""


@dataclass(frozen=True)
class Rules:
    """A protocol's records for one network on one dataset, after all overrides."""

    input: Input
    recipe: Recipe
    selection: Selection
    scoring: Scoring
    rounds: int
    start: str


def resolve_rules(protocol: Protocol, card: Card, info: ModelInfo, *, overrides: Mapping[str, Any]) -> Rules:
    """The protocol's records for one network on one dataset, with the overrides in place."""
    recipe = RECIPES.get(info.recipe if protocol.recipe == "published" else protocol.recipe)
    inputs = protocol.input
    if inputs.size is None:
        recipe = fit_to_native(recipe)
    if protocol.normalisation == "card":
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
    changes = {path: value for path, value in overrides.items() if feedback or path not in TOP_LEVEL}
    return override(rules, changes)


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
            parsed[name.strip()] = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            parsed[name.strip()] = text.strip()
    return parsed


def override(rules: Rules, changes: Mapping[str, Any]) -> Rules:
    """The rules with fields replaced by their paths: `recipe.epochs`, `input.size`, `scoring.threshold`, `rounds`.

    Fields of one record are replaced together, so that `recipe.schedule` and `recipe.milestones` may change at once.

    Raises:
        RuleError: when there is no such field or it cannot take the value.
    """
    replaced: dict[str, dict[str, Any]] = {}
    for path, value in changes.items():
        section, _, name = path.partition(".")
        if path in TOP_LEVEL:
            rules = replace(rules, **{path: _checked(rules, path, value, path=path)})
        elif section in SECTIONS and name:
            replaced.setdefault(section, {})[name] = _checked(getattr(rules, section), name, value, path=path)
        else:
            known = [f"{s}.{f.name}" for s in SECTIONS for f in fields(getattr(rules, s))]
            raise RuleError(unknown("setting", path, [*known, *TOP_LEVEL]))
    return replace(rules, **{section: replace(getattr(rules, section), **names) for section, names in replaced.items()})


def _checked(record: Any, name: str, value: Any, *, path: str) -> Any:
    """The value in the type of the record's field."""
    kinds = typing.get_type_hints(type(record))
    if name not in kinds:
        raise RuleError(unknown("setting", path, [path.replace(name, known) for known in kinds]))
    found = tuple(value) if isinstance(value, list) else value
    if found == "none":
        found = None
    if kinds[name] is float and type(found) is int:
        found = float(found)
    if not fits(found, kinds[name]):
        raise RuleError(f"{path} is {value!r}, expected {describe(kinds[name])}")
    return found


def fits(value: Any, kind: Any) -> bool:
    """Whether a value is of an annotated type: plain types, Literal, unions and tuples."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        return value in arguments and type(value) is not bool
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, one) for one in arguments)
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        each = arguments[:1] * len(value) if arguments[-1] is Ellipsis else arguments
        return len(value) == len(each) and all(map(fits, value, each))
    return value is None if kind is type(None) else type(value) is kind


def describe(kind: Any) -> str:
    """An annotated type in words, for an error's reader."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        return " or ".join(map(repr, arguments))
    if origin in (typing.Union, types.UnionType):
        return " or ".join(map(describe, arguments))
    if origin is tuple:
        return "a list of " + ", ".join("…" if one is Ellipsis else describe(one) for one in arguments)
    return {int: "a whole number", float: "a number", str: "text", bool: "true or false", type(None): "none"}.get(
        kind, str(kind)
    )
