"""Selection of the methods that a figure shows: all, or without ablations if there are too many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reports.results.entries import Entry
from reports.tables.ablation import families, variants_of

MOST = 7
"""Most methods in one panel: as many as there are markers."""

FEW = 3
"""Ablations that are always drawn."""


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


def with_feedback(entries: Sequence[Entry]) -> Shown:
    """The entries of the first `MOST` methods with several rounds; oracles have a figure of their own."""
    found = [entry for entry in entries if entry.scored and len(entry.scored.rounds) > 1]
    names = list(dict.fromkeys(entry.name for entry in found if not entry.is_oracle))
    shown = tuple(entry for entry in found if entry.name in names[:MOST])
    others = dict.fromkeys(entry.name for entry in found if entry not in shown)
    return Shown(shown, f"Not drawn: {', '.join(others)}." if others else "")
