"""The numbers a comparison table prints: which metric stands in which column, in what unit, and which way is better."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bench.types import Better, Score

LEGACY = "legacy:"
CUMULATIVE = "cumulative-rounds"
"""In ids of what DFINet's script prints: pooled over all rounds up to the last, so of no round by itself."""


PD_FAMILY = ("Pd/centroid-", "Pd/nearest-", "Pd/optimal-", "Pd/overlap", "Pd/shooting")
"""What ids of a probability of detection at one threshold begin with."""


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        head: what stands above it.
        group: dataset or kind of column, printed above several heads.
        unit: as the head's second line says it: `1e-2`, `1e-6`, `M`, `G`, `images/s` or nothing.
        better: which way is better; None where the column is not judged.
        is_text: whether its cells are words.
        is_centred: whether its words stand in the middle.
        marks: of the notes that its head refers to.
    """

    head: str
    group: str = ""
    unit: str = ""
    better: Better | None = None
    is_text: bool = False
    is_centred: bool = False
    marks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Metric:
    """A metric as tables print it.

    Attributes:
        id: in `RunResult.scores`, at 3 px and 8 neighbours.
        head: what stands above it.
        unit: of the printed number, `1e-2` or `1e-6`; stored values are plain fractions.
        better: which way is better.
        family: what the ids of other matching rules, distances and connectivities begin with, as `Pd/optimal-` does.
        digits: behind the point.
    """

    id: str
    head: str
    unit: str
    better: Better
    family: tuple[str, ...] = ()
    digits: int = 2

    @property
    def scale(self) -> float:
        """What a stored value is multiplied by for printing."""
        return {"1e-2": 1e2, "1e-6": 1e6}[self.unit]

    def printed(self, value: float) -> str:
        """The value with its digits: 0.694 is `69.40` in 1e-2."""
        return f"{value * self.scale:.{self.digits}f}"

    def score(self, scores: Mapping[str, Score]) -> Score | None:
        """This metric's score, by whatever matching rule the scoring has; None where it is not there."""
        if self.id in scores or not self.family:
            return scores.get(self.id)
        return next((score for name, score in scores.items() if name.startswith(self.family)), None)


STANDARD = (
    Metric("IoU/pooled", "IoU", "1e-2", "higher"),
    Metric("nIoU/per-image", "nIoU", "1e-2", "higher"),
    Metric("F1/pooled", "F1", "1e-2", "higher"),
    Metric("Pd/centroid-3px", "Pd", "1e-2", "higher", family=PD_FAMILY),
    Metric("Fa/unmatched-area", "Fa", "1e-6", "lower", family=("Fa/unmatched-area-",)),
)
"""The columns of every table under a scoring that has standard metrics."""

ROLES = tuple(metric.head for metric in STANDARD)


def metrics_shown(results: Iterable[Mapping[str, Score]]) -> tuple[Metric, ...]:
    """The standard metrics, or the legacy ones where no result has a standard value.

    Args:
        results: each result's scores by metric id.
    """
    found = [scores for scores in results if scores]
    if not found or any(_value(metric.score(scores)) is not None for metric in STANDARD for scores in found):
        return STANDARD
    named = dict.fromkeys(name for scores in found for name in scores if name.startswith(LEGACY))
    names = [name for name in named if CUMULATIVE not in name]
    shown = [legacy_metric(name) for name in names if any(_value(s.get(name)) is not None for s in found)]
    return tuple(sorted(shown, key=_rank)) or STANDARD


def _value(score: Score | None) -> float | None:
    return score.value if score else None


def legacy_metric(name: str) -> Metric:
    """How a legacy id is headed: `legacy:IoU/soft-mask` is `IoU (soft mask)`, so that nobody takes it for IoU."""
    role, _, rule = name.removeprefix(LEGACY).partition("/")
    head = f"{role} ({rule.replace('-', ' ')})" if rule else f"{role} (legacy)"
    if role == "Fa":
        return Metric(name, head, "1e-6", "lower")
    return Metric(name, head, "1e-2", "higher")


def role_of(metric: Metric) -> str:
    """What a metric is about, however it is counted: `Fa` for `Fa/unmatched-area` and for `legacy:Fa/equal-area`."""
    return metric.id.removeprefix(LEGACY).partition("/")[0]


def _rank(metric: Metric) -> int:
    role = role_of(metric)
    return ROLES.index(role) if role in ROLES else len(ROLES)
