"""Published numbers beside ours, each with a badge: reproduced, not reproduced or not run.

A published number is only judged against a result on the same dataset and split, under the protocol it was published
under, by the published network and recipe, on whole lists. Everything else is *not run*, with the reason.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from bench.protocols import PROTOCOLS
from bench.recipes import RECIPES, fit_to_native
from bench.types import Recipe, Reported, RunResult, Training
from reports.columns import LEGACY, STANDARD, Column, Metric, legacy_metric
from reports.frame import Entry
from reports.plain import UNITS
from reports.table import Cell, Line, Note, Notes, Table

Badge = Literal["reproduced", "not reproduced", "not run"]


@dataclass(frozen=True)
class Tolerance:
    """How far ours may lie from a published number to count as reproduced.

    Attributes:
        points: of IoU, nIoU, F1 and Pd, in units of 1e-2.
        fa: of Fa, in units of 1e-6.
    """

    points: float = 1.0
    fa: float = 5.0

    def allows(self, metric: Metric, difference: float) -> bool:
        """Whether that difference, in the metric's printed unit, is inside (the bound itself is)."""
        return abs(difference) <= (self.fa if metric.unit == "1e-6" else self.points) + 1e-9

    def __str__(self) -> str:
        return f"±{self.points:g}×10⁻² in IoU, nIoU, F1 and Pd, ±{self.fa:g}×10⁻⁶ in Fa"


@dataclass(frozen=True)
class Comparison:
    """One published number and what came of it here.

    Attributes:
        ours: plain fractions, one a seed; empty when not run.
        reason: why not run; empty otherwise.
    """

    label: str
    reported: Reported
    metric: Metric
    ours: tuple[float, ...]
    badge: Badge
    reason: str = ""


def compare_published(entries: Sequence[Entry], *, tolerance: Tolerance | None = None) -> tuple[Comparison, ...]:
    """Every number published for one of the networks on one of the datasets, in the order of the suite's rows."""
    tolerance = tolerance or Tolerance()
    groups: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        groups.setdefault((entry.row.label, entry.dataset), []).append(entry)
    return tuple(found for group in groups.values() for found in _compare(group, tolerance))


def _compare(group: Sequence[Entry], tolerance: Tolerance) -> Iterator[Comparison]:
    info = next((entry.result.model for entry in group if entry.result), None)
    label, dataset = group[0].row.label, group[0].dataset
    for reported in info.reported if info else ():
        if reported.dataset != dataset:
            continue
        metric = _metric(reported)
        reasons = [_why_not(entry, reported) for entry in group]
        usable = [entry for entry, reason in zip(group, reasons, strict=True) if not reason]
        ours = tuple(v for entry in usable if (v := _value(entry, metric)) is not None)
        if not ours:
            reason = next((r for r in reasons if r), f"{metric.id} has no value")
            yield Comparison(label, reported, metric, (), "not run", reason)
            continue
        difference = (statistics.fmean(ours) - reported.value) * metric.scale
        badge: Badge = "reproduced" if tolerance.allows(metric, difference) else "not reproduced"
        yield Comparison(label, reported, metric, ours, badge)


def _metric(reported: Reported) -> Metric:
    standard = next((metric for metric in STANDARD if metric.id == reported.metric), None)
    if standard:
        return standard
    return legacy_metric(reported.metric) if reported.metric.startswith(LEGACY) else _other(reported.metric)


def _other(name: str) -> Metric:
    role, _, rule = name.partition("/")
    metric = legacy_metric(f"{LEGACY}{role}/{rule}")
    return replace(metric, id=name)


def _value(entry: Entry, metric: Metric) -> float | None:
    score = entry.scored.scores.get(metric.id) if entry.scored else None
    return score.value if score else None


def _why_not(entry: Entry, reported: Reported) -> str:
    """Why this result cannot be held against that number; empty when it can."""
    if (result := entry.scored) is None:
        return entry.reason
    if entry.is_limited:
        return "only a limited trial was run"
    if entry.row.split != reported.split:
        return f"run on split {entry.row.split}, published on {reported.split}"
    if reported.rules != entry.row.protocol:
        return f"run under protocol {entry.row.protocol}, published under {reported.rules or 'rules not stated'}"
    return _why_not_the_published(result)


def _why_not_the_published(result: RunResult) -> str:
    """How the network, its recipe or its scoring differ from what its protocol publishes; empty when they do not."""
    own = dict(result.model.config)
    changed = [f"{k}={v}" for k, v in result.experiment.weights.config if own.get(k) != v]
    if changed:
        return f"run with other settings: {', '.join(changed)}"
    if result.protocol not in PROTOCOLS:
        return f"protocol {result.protocol} is not one of this project's"
    protocol = PROTOCOLS.get(result.protocol)
    if replace(result.scoring, name="") != replace(protocol.scoring, name=""):
        return f"scored otherwise than protocol {protocol.name} says"
    weights = result.experiment.weights
    if not isinstance(weights, Training):
        return ""
    name = result.model.recipe if protocol.recipe == "published" else protocol.recipe
    if name not in RECIPES:
        return f"recipe {name} is not one of this project's"
    recipe = RECIPES.get(name) if protocol.input.size else fit_to_native(RECIPES.get(name))
    if changed := list(_recipe_changes(weights.recipe, recipe)):
        return f"trained by another recipe: {', '.join(changed)}"
    if weights.selection != protocol.selection:
        return "weights chosen otherwise than the protocol says"
    return ""


def _recipe_changes(used: Recipe, published: Recipe) -> Iterator[str]:
    """`epochs 20 instead of 400`, for every field that differs; the device is not part of a published recipe."""
    for name, value in vars(replace(published, device=used.device)).items():
        if getattr(used, name) != value:
            yield f"{name} {getattr(used, name)} instead of {value}"


def published_table(comparisons: Sequence[Comparison], *, tolerance: Tolerance | None = None) -> Table | None:
    """The table of published numbers beside ours; None where nothing is published for the suite's rows."""
    if not comparisons:
        return None
    notes = Notes()
    columns = (
        Column("Dataset (split)", is_text=True),
        Column("Protocol", is_text=True),
        Column("Metric", is_text=True),
        Column("Published"),
        Column("Ours"),
        Column("Badge", is_text=True),
    )
    caption = (
        f"Published numbers beside ours. Reproduced: the mean over seeds lies within {tolerance or Tolerance()}; "
        "not run: nothing here was made under the published rules."
    )
    lines = tuple(_comparison_line(comparison, notes) for comparison in comparisons)
    marks = tuple(Note(mark, text) for text, mark in notes.texts.items())
    return Table(caption, columns, lines, marks, label="tab:published")


def _comparison_line(comparison: Comparison, notes: Notes) -> Line:
    reported, metric = comparison.reported, comparison.metric
    source = "; ".join(filter(None, (f"source: {reported.source}", reported.note)))
    ours = Cell()
    if comparison.ours:
        spread = metric.printed(statistics.stdev(comparison.ours)) if len(comparison.ours) > 1 else ""
        ours = Cell(metric.printed(statistics.fmean(comparison.ours)), spread)
    why = (notes.mark(comparison.reason),) if comparison.reason else ()
    cells = (
        Cell(f"{reported.dataset} ({reported.split})"),
        Cell(reported.rules or "not stated"),
        Cell(f"{metric.head} ({UNITS[metric.unit]})"),
        Cell(metric.printed(reported.value), marks=(notes.mark(source),)),
        ours,
        Cell(comparison.badge, marks=why),
    )
    return Line(comparison.label, cells)
