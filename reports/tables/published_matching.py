"""Published numbers beside ours, each with a badge; those made under other rules are listed apart, beside nothing.

A published number is only held against results on its dataset and split under the protocol it was published under.
Among those it is *reproduced* or *not reproduced* where the published network and recipe were run on whole lists, and
*not run*, with the reason, where they were not.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from bench.metrics.registry import MetricInfo, metric_info
from bench.protocols.protocols import PROTOCOLS
from bench.protocols.recipes import RECIPES, fit_to_native
from bench.types import Recipe, Reported, RunResult, Training, Weights
from reports.results.entries import STARTS, Entry
from reports.table import Badge


@dataclass(frozen=True)
class Tolerance:
    """Largest difference to a published number that counts as reproduced.

    Attributes:
        points: of IoU, nIoU, F1 and Pd, in units of 1e-2.
        fa: of Fa, in units of 1e-6 whatever unit it is printed in.
    """

    points: float = 1.0
    fa: float = 5.0

    def allows(self, metric: MetricInfo, difference: float) -> bool:
        """True where that difference, a plain fraction, is at most the bound."""
        bound = 1e-6 * self.fa if metric.family == "Fa" else 1e-2 * self.points
        return abs(difference) <= bound + 1e-11

    def __str__(self) -> str:
        return f"±{self.points:g}×10⁻² in IoU, nIoU, F1 and Pd, ±{self.fa:g}×10⁻⁶ in Fa"


TOLERANCE = Tolerance()
WEIGHTS_TOLERANCE = Tolerance(points=0.1, fa=0.1)
"""Of numbers that were published for the very checkpoint that was run: nothing is left to chance but arithmetic."""


@dataclass(frozen=True)
class Comparison:
    """One published number and what came of it here.

    Attributes:
        ours: plain fractions, one a seed; empty when not run.
        badge: empty where no row of the suite has its split and rules.
        reason: why not run; empty otherwise.
        is_of_checkpoint: whether the number was published for the very checkpoint that was run.
    """

    label: str
    reported: Reported
    metric: MetricInfo
    ours: tuple[float, ...] = ()
    badge: Badge = ""
    reason: str = ""
    is_of_checkpoint: bool = False


def compare_published(entries: Sequence[Entry]) -> tuple[Comparison, ...]:
    """Every number published for one of the networks on one of the datasets, in the order of the suite's rows."""
    groups: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        groups.setdefault((entry.row.label, entry.dataset), []).append(entry)
    return tuple(found for group in groups.values() for found in _compare(group))


def _compare(group: Sequence[Entry]) -> Iterator[Comparison]:
    info = next((entry.result.model for entry in group if entry.result), None)
    for reported in info.reported if info else ():
        if reported.dataset == group[0].dataset:
            alike = [e for e in group if (e.row.split, e.row.protocol) == (reported.split, reported.rules)]
            found = Comparison(group[0].row.label, reported, metric_info(reported.metric))
            found = replace(found, is_of_checkpoint=any(_checkpoint(e) == reported.weights != "" for e in group))
            yield _judge(found, alike) if alike else found


def _checkpoint(entry: Entry) -> str:
    """Name of the published checkpoint that was run; empty for other weights."""
    weights = entry.result.experiment.weights if entry.result else None
    return weights.name if isinstance(weights, Weights) else ""


def _judge(found: Comparison, alike: Sequence[Entry]) -> Comparison:
    """The comparison with rows of the same split and rules."""
    metric = found.metric
    reasons = [_why_not(entry) for entry in alike]
    usable = [entry for entry, reason in zip(alike, reasons, strict=True) if not reason]
    ours = tuple(v for entry in usable if (v := _value(entry, metric)) is not None)
    if not ours:
        reason = next((r for r in reasons if r), f"our results have no {metric.id}")
        return replace(found, badge="not run", reason=reason)
    tolerance = WEIGHTS_TOLERANCE if found.is_of_checkpoint else TOLERANCE
    is_near = tolerance.allows(metric, statistics.fmean(ours) - found.reported.value)
    return replace(found, ours=ours, badge="reproduced" if is_near else "not reproduced")


def _value(entry: Entry, metric: MetricInfo) -> float | None:
    score = entry.scored.scores.get(metric.id) if entry.scored else None
    return score.value if score else None


def _why_not(entry: Entry) -> str:
    """Reason why a result cannot be compared with a number of its split and protocol; empty when it can."""
    if (result := entry.scored) is None:
        return entry.reason
    if entry.is_limited:
        return "only a limited trial was run"
    if entry.leaked:
        return entry.leak_words
    return _why_not_the_published(result)


def _why_not_the_published(result: RunResult) -> str:
    """First difference of network, recipe or scoring to those that the protocol publishes; empty when there is none."""
    own = dict(result.model.config)
    changed = [f"{k}={v}" for k, v in result.experiment.weights.config if own.get(k) != v]
    if changed:
        return f"run with other settings: {', '.join(changed)}"
    if result.protocol not in PROTOCOLS:
        return f"protocol {result.protocol} is not one of this project's"
    protocol = PROTOCOLS.get(result.protocol)
    if replace(result.scoring, name="") != replace(protocol.scoring, name=""):
        return f"scored otherwise than protocol {protocol.name} says"
    if (start := result.experiment.start) not in ("", protocol.start):
        return f"run from another first feedback mask: {STARTS.get(start, start)}"
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
