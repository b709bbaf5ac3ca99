"""Scores of whole curves, over all thresholds at once: areas, and what is detected within a budget of false alarms."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bench.metrics.curves import CurveCounts, average_precision, pd_fa, roc_auc
from bench.metrics.scores import MetricInfo, id_under
from bench.registry import Registry
from bench.types import Better, Score, Scoring

Compute = Callable[[CurveCounts], float | None]

BUDGETS = (1e-6, 5e-6, 1e-5, 5e-5)
AREA_LIMIT = 1e-4


@dataclass(frozen=True)
class CurveMetric:
    """A registered metric of curves.

    Attributes:
        id: its name at 3 px and 8 neighbours.
        compute: curve counts to value; None where they leave it undefined.
        undefined: when it has no value, as a reason a table can print.
        of_components: whether the value depends on the matching rule, distance and connectivity.
    """

    id: str
    compute: Compute
    better: Better
    undefined: str
    of_components: bool
    unit: str = "fraction"

    def score(self, curves: CurveCounts) -> Score:
        """The metric's value over the curve, or null with the reason."""
        if self.of_components and not curves.is_swept:
            reason = f"matching {curves.scoring.matching} is not followed through all thresholds"
            return Score(None, unit=self.unit, better=self.better, reason=reason)
        value = self.compute(curves)
        return Score(value, unit=self.unit, better=self.better, reason=self.undefined if value is None else "")


CURVE_METRICS: Registry[CurveMetric] = Registry("metric of curves")


def curve_metric(
    name: str, *, undefined: str, better: Better = "higher", of_components: bool = False
) -> Callable[[Compute], Compute]:
    """Register a function of curve counts as a metric."""

    def register(compute: Compute) -> Compute:
        CURVE_METRICS.add(name, CurveMetric(name, compute, better, undefined, of_components))
        return compute

    return register


def score_curves(curves: CurveCounts, scoring: Scoring) -> dict[str, Score]:
    """Every score of the curves, by metric id; none under a soft ground truth, of which no curve is a statement.

    >>> curves = CurveCounts(Scoring("native"))
    >>> curves.add(np.array([[900, 500, 100]], np.uint16), np.array([[1, 0, 0]], np.uint8))
    >>> score_curves(curves, Scoring("native"))["AUC/roc-pixels"].value
    1.0
    """
    if scoring.ground_truth != "binary":
        return {}
    entries = [CURVE_METRICS.get(name) for name in CURVE_METRICS]
    return {id_under(entry.id, scoring) if entry.of_components else entry.id: entry.score(curves) for entry in entries}


def curve_metric_infos() -> tuple[MetricInfo, ...]:
    """What every metric of curves is, in the order of `score_curves`."""
    entries = [CURVE_METRICS.get(name) for name in CURVE_METRICS]
    return tuple(
        MetricInfo(entry.id, entry.unit, entry.better, (inspect.getdoc(entry.compute) or "").partition("\n")[0])
        for entry in entries
    )


@curve_metric("AUC/roc-pixels", undefined="no target pixel, or no other, in the list")
def auc_roc(curves: CurveCounts) -> float | None:
    """Area under the ROC curve of pixels: the chance that a target pixel's level exceeds another's, ties counted half.

    Nearly 1 for every network, for nearly all pixels are easy background; it tells little apart.

    >>> curves = CurveCounts(Scoring("native"))
    >>> curves.add(np.array([[900, 500, 500]], np.uint16), np.array([[1, 0, 1]], np.uint8))
    >>> auc_roc(curves)
    0.75
    """
    return roc_auc(curves)


@curve_metric("AP/pixels", undefined="no target pixel in the list")
def ap_pixels(curves: CurveCounts) -> float | None:
    """Average precision of pixels: sum over levels of precision times the gain in recall, nothing interpolated.

    >>> curves = CurveCounts(Scoring("native"))
    >>> curves.add(np.array([[900, 500, 100, 50]], np.uint16), np.array([[1, 0, 1, 0]], np.uint8))
    >>> round(ap_pixels(curves), 6)  # (1/1 + 2/3) / 2
    0.833333
    """
    return average_precision(curves)


@curve_metric("AUC/pd-fa-1e-4", undefined="no targets in the list", of_components=True)
def auc_pd_fa(curves: CurveCounts) -> float | None:
    """Mean over Fa budgets from 0 to 1e-4 of the highest Pd that any threshold reaches within the budget.

    The area under the Pd-Fa staircase, over its width; Fa in pixels of false alarms over all pixels.

    >>> curves = CurveCounts(Scoring("native"))
    >>> q = np.zeros((100, 200), np.uint16)
    >>> q[0, 0], q[50, 100] = 500, 900  # a false alarm of 1/20000 = 5e-5 above the target
    >>> mask = np.zeros((100, 200), np.uint8)
    >>> mask[0, 0] = 1
    >>> curves.add(q, mask)
    >>> auc_pd_fa(curves)
    0.5
    """
    found = pd_fa(curves)
    if not curves.targets or not len(found.fa):
        return None
    within = found.fa <= AREA_LIMIT
    fa, pd = found.fa[within], found.pd[within]
    order = np.lexsort((-pd, fa))
    fa, best = fa[order], np.maximum.accumulate(pd[order])
    widths = np.diff(fa, append=AREA_LIMIT)
    return float((widths * best).sum() / AREA_LIMIT)


def pd_within(curves: CurveCounts, budget: float) -> float | None:
    """The highest Pd among all thresholds whose Fa is at most the budget; None without targets.

    >>> curves = CurveCounts(Scoring("native"))
    >>> curves.add(np.array([[500, 0, 0, 0, 0, 900]], np.uint16), np.array([[1, 0, 0, 0, 0, 0]], np.uint8))
    >>> pd_within(curves, 0.1), pd_within(curves, 0.2)
    (0.0, 1.0)
    """
    found = pd_fa(curves)
    within = found.fa <= budget
    return float(found.pd[within].max()) if curves.targets and within.any() else None


def _register_budget(budget: float, words: str) -> None:
    def compute(curves: CurveCounts) -> float | None:
        return pd_within(curves, budget)

    compute.__doc__ = f"The highest Pd that any threshold reaches with an Fa of at most {words}."
    curve_metric(f"Pd/at-Fa-{words}", undefined="no targets in the list", of_components=True)(compute)


for _budget in BUDGETS:
    _register_budget(_budget, f"{_budget:.0e}".replace("e-0", "e-"))
