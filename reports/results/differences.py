"""Differences between the experiments of an ablation: design choices first, then all other settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields

from bench.types import Choice, Input, Predictions, Recipe, RunResult, Setting, Training, Weights
from reports.results.entries import ORACLE_START, STARTS
from reports.results.groups import Rows

DESIGN, BESIDE = "Design choices", "Beside the design"
FLAGS: dict[Setting, str] = {True: "✓", False: "✗"}


@dataclass(frozen=True)
class Trait:
    """Something in which experiments may differ.

    Attributes:
        head: what stands above its column.
        group: `DESIGN` or `BESIDE`.
        of: its words for a result; empty where it does not apply.
        default: its words in a full network of which no result is left.
    """

    head: str
    group: str
    of: Callable[[RunResult], str]
    default: str = ""


def differing_traits(full: Rows, rows: Sequence[Rows]) -> tuple[Trait, ...]:
    """The traits in which any of the rows differs from the full network's on the same dataset, in a fixed order."""
    results = [result for row in (full, *rows) for result in row.results]
    return tuple(trait for trait in _traits(results) if any(differs(trait, row, full) for row in rows))


def differs(trait: Trait, row: Rows, full: Rows) -> bool:
    """True where that trait of a row is not the full network's, on any dataset."""
    return any(trait.of(result) != _reference(trait, full, result) for result in row.results)


def _reference(trait: Trait, full: Rows, result: RunResult) -> str:
    """The full network's words, on the result's own dataset where it has been there; else its default, or no other."""
    dataset = result.experiment.images.dataset
    known = sorted(full.results, key=lambda own: own.experiment.images.dataset != dataset)
    return trait.of(known[0]) if known else trait.default or trait.of(result)


def words_of_row(trait: Trait, row: Rows) -> str:
    """A row's words for a trait, by its first result; empty where it has none."""
    return trait.of(row.results[0]) if row.results else ""


def _traits(results: Sequence[RunResult]) -> Iterator[Trait]:
    choices = {choice.setting: choice for result in results for choice in result.model.choices}
    yield from (_choice_trait(choice) for choice in choices.values())
    names = dict.fromkeys(name for result in results for name, _ in result.experiment.weights.config)
    yield from (_setting_trait(name) for name in names if name not in choices)
    yield Trait("Start mask", BESIDE, start_words)
    yield Trait("Rounds", BESIDE, lambda result: str(result.experiment.rounds))
    yield Trait("Weights", BESIDE, weights_words)
    yield from (_recipe_trait(field.name) for field in fields(Recipe))
    yield from (_input_trait(field.name) for field in fields(Input) if field.metadata.get("key", True))


def _choice_trait(choice: Choice) -> Trait:
    def words(result: RunResult) -> str:
        if choice.setting not in {own.setting for own in result.model.choices}:
            return ""
        return choice.describe(dict(result.experiment.weights.config).get(choice.setting, choice.default))

    return Trait(choice.head, DESIGN, words, default=choice.describe(choice.default))


def _setting_trait(name: str) -> Trait:
    def words(result: RunResult) -> str:
        config = dict(result.experiment.weights.config)
        return value_words(config[name]) if name in config else "default"

    return Trait(name.replace("_", " "), DESIGN, words)


def _recipe_trait(name: str) -> Trait:
    def words(result: RunResult) -> str:
        weights = result.experiment.weights
        return value_words(getattr(weights.recipe, name)) if isinstance(weights, Training) else ""

    return Trait(name.replace("_", " "), BESIDE, words)


def _input_trait(name: str) -> Trait:
    return Trait(f"input {name}", BESIDE, lambda result: value_words(getattr(result.experiment.input, name)))


def value_words(value: object) -> str:
    """A tick or a cross for yes or no, short numbers, `none` for nothing.

    >>> [value_words(value) for value in (True, 0.00007, None, (256, 256), "bce")]
    ['✓', '7e-05', 'none', '256 256', 'bce']
    """
    if isinstance(value, bool):
        return FLAGS[value]
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, tuple):
        return " ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)


def start_words(result: RunResult) -> str:
    """The first feedback mask; an oracle is called one."""
    start = result.experiment.start
    words = STARTS.get(start, start)
    return f"{words} (oracle)" if start == ORACLE_START else words


def weights_words(result: RunResult) -> str:
    """Selection of weights in words: `last epoch`, `best IoU on held-out`, or given weights."""
    weights = result.experiment.weights
    if isinstance(weights, Weights | Predictions):
        return f"given ({weights.sha256[:8]})"
    if not isinstance(weights, Training):
        return ""
    rule = weights.selection
    return "last epoch" if rule.rule == "last" else f"best {rule.criterion.partition('/')[0]} on {rule.on}"
