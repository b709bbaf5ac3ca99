"""Rules that rows of one dataset must share to stand in one column of a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bench.errors import MixedRulesError
from bench.protocols.scorings import describe_scoring
from bench.types import Predictions, Scoring, Weights
from reports.results.entries import Entry


@dataclass(frozen=True)
class ComparisonRules:
    """Rules of a number that may stand in a column: protocol, split, scoring; where known, test list and input.

    Attributes:
        images: digest and count of the test list; None for a row without a result.
        reading: decoder and size of the input; None for a row without a result or of given predictions, and where
            they are no rule but a property of the method: of a published checkpoint that is compared at native size.
    """

    protocol: str
    split: str
    scoring: Scoring
    images: tuple[str, int] | None = None
    reading: tuple[str, tuple[int, int] | None] | None = None

    def agrees(self, other: ComparisonRules) -> bool:
        """True where nothing that both know differs; the name of a scoring does not count."""
        return (
            (self.protocol, self.split) == (other.protocol, other.split)
            and replace(self.scoring, name="") == replace(other.scoring, name="")
            and (None in (self.images, other.images) or self.images == other.images)
            and (None in (self.reading, other.reading) or self.reading == other.reading)
        )

    def __str__(self) -> str:
        images = f", {_listed(self.images)}" if self.images else ""
        reading = f", input {_read(self.reading)}" if self.reading else ""
        return (
            f"protocol {self.protocol}, split {self.split}{images}{reading}, scoring {describe_scoring(self.scoring)}"
        )


def rules_of(entry: Entry) -> ComparisonRules:
    """The rules of one row, as far as they are known."""
    row = entry.row
    rules = ComparisonRules(row.protocol, row.split, row.scoring)
    if (result := entry.scored) is None:
        return rules
    images, reading, weights = result.experiment.images, result.experiment.input, result.experiment.weights
    rules = replace(rules, images=(images.digest, images.count))
    if isinstance(weights, Predictions):
        return rules
    if isinstance(weights, Weights) and weights.name and row.scoring.resolution == "native":
        return rules
    return replace(rules, reading=(reading.decoder, reading.size))


def distinct_rules(entries: Sequence[Entry]) -> tuple[ComparisonRules, ...]:
    """The different rules among the rows of one dataset, the first row's first."""
    found: list[ComparisonRules] = []
    for entry in sorted(entries, key=lambda e: e.scored is None):
        rules = rules_of(entry)
        if not any(rules.agrees(known) for known in found):
            found.append(rules)
    return tuple(found)


def refuse_mixing(dataset: str, entries: Sequence[Entry]) -> None:
    """Return when all rows of one dataset share their rules.

    Raises:
        MixedRulesError: naming two rows and the fields in which they differ.
    """
    first, *others = distinct_rules(entries)
    if not others:
        return
    other = others[0]
    labels = [next(e.row.label for e in entries if rules_of(e).agrees(rules)) for rules in (first, other)]
    raise MixedRulesError(
        f"{dataset}: {labels[0]!r} and {labels[1]!r} differ in {_difference(first, other)}; "
        "report them in two suites, or have each cell marked (--mixed mark)"
    )


def _difference(one: ComparisonRules, other: ComparisonRules) -> str:
    pairs = [
        ("protocol", one.protocol, other.protocol),
        ("split", one.split, other.split),
        ("scoring", describe_scoring(one.scoring), describe_scoring(other.scoring)),
    ]
    if one.images and other.images:
        pairs.append(("test list", _listed(one.images), _listed(other.images)))
    if one.reading and other.reading:
        pairs.append(("input", _read(one.reading), _read(other.reading)))
    same_judge = replace(one.scoring, name="") == replace(other.scoring, name="")
    parts = [
        f"{name} ({found} against {expected})"
        for name, found, expected in pairs
        if found != expected and not (name == "scoring" and same_judge)
    ]
    return " and ".join(parts)


def _listed(images: tuple[str, int]) -> str:
    return f"{images[1]} images of digest {images[0][:8]}"


def _read(reading: tuple[str, tuple[int, int] | None]) -> str:
    return f"{reading[0]} {f'resized to {reading[1][0]} × {reading[1][1]}' if reading[1] else 'at native size'}"
