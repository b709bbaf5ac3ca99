"""Selection of the methods that a figure shows: all, without ablations if they are many, or the best of very many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from reports.results.entries import Entry
from reports.tables.ablation import families, variants_of

MOST = 7
"""Most methods in one panel: as many as there are markers."""

FEW = 3
"""Ablations that are always drawn, and methods of very many whose example images are."""

MANY, BEST = 40, MOST
"""Methods of which figures are still drawn of all, and those that are drawn where there are more."""

RANKED_BY = "IoU/pooled"
"""The metric whose mean over datasets and seeds says which methods are the best."""


@dataclass(frozen=True)
class Shown:
    """The entries that figures show, and the methods left out.

    Attributes:
        entries: of the methods that are drawn.
        left_out: sentence of the caption on the methods left out; empty if all are drawn.
    """

    entries: tuple[Entry, ...]
    left_out: str = ""


def without_ablations(entries: Sequence[Entry]) -> Shown:
    """All entries, or, of more than `MOST` methods with more than `FEW` ablations, those that are no ablations."""
    if len({entry.row.label for entry in entries}) <= MOST:
        return Shown(tuple(entries))
    ablated = {label: family.label for family in families(entries, mixed="mark") for label in variants_of(family)}
    shown = tuple(entry for entry in entries if entry.row.label not in ablated)
    if len(ablated) <= FEW or not any(entry.scored for entry in shown):
        return Shown(tuple(entries))
    full = " and ".join(dict.fromkeys(ablated.values()))
    return Shown(shown, f"Not drawn: {len(ablated)} ablations of {full}.")


def best_methods(entries: Sequence[Entry], *, count: int = BEST) -> Shown:
    """All entries, or, of more than `MANY` methods, those of the best `count` by mean IoU; tables have them all."""
    names = list(dict.fromkeys(entry.row.label for entry in entries))
    if len(names) <= MANY:
        return Shown(tuple(entries))
    found: dict[str, list[float]] = {name: [] for name in names}
    for entry in entries:
        score = entry.scored.scores.get(RANKED_BY) if entry.scored else None
        if score is not None and score.value is not None and not entry.is_oracle and not entry.leaked:
            found[entry.row.label].append(score.value)
    ranked = sorted((name for name in names if found[name]), key=lambda name: -fmean(found[name]))
    best = set(ranked[:count] or names[:count])
    shown = tuple(entry for entry in entries if entry.row.label in best)
    which = f"whose mean {RANKED_BY} over datasets and seeds is lower" if ranked else "without scores"
    return Shown(shown, f"Not drawn: {len(names) - len(best)} methods {which}; the tables have them.")


def with_feedback(entries: Sequence[Entry]) -> Shown:
    """The entries of the first `MOST` methods with several rounds; oracles have a figure of their own."""
    found = [entry for entry in entries if entry.scored and len(entry.scored.rounds) > 1]
    names = list(dict.fromkeys(entry.name for entry in found if not entry.is_oracle))
    shown = tuple(entry for entry in found if entry.name in names[:MOST])
    others = dict.fromkeys(entry.name for entry in found if entry not in shown)
    return Shown(shown, f"Not drawn: {', '.join(others)}." if others else "")
