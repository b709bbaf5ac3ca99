"""Scores of whole curves, over all thresholds at once: areas, and the highest Pd within a budget of false alarms.

They have no intervals: a curve adds up all images at every threshold, so that nothing of single images is kept.
"""

from __future__ import annotations

import numpy as np

from bench.metrics.curves import CurveCounts, average_precision, pd_fa, roc_auc
from bench.metrics.ids import id_under
from bench.metrics.registry import MetricsOf, metric
from bench.metrics.statistic import Value
from bench.types import Score, Scoring

CURVES: MetricsOf[CurveCounts] = MetricsOf("curves")

BUDGETS = ("1e-6", "5e-6", "1e-5", "5e-5")
AREA_LIMIT = 1e-4
NO_TARGETS = Value(None, "no targets in the list")


def score_curves(curves: CurveCounts, scoring: Scoring) -> dict[str, Score]:
    """Every score of the curves, by metric id; none under a soft ground truth, of which no curve is a statement.

    >>> curves = CurveCounts(Scoring("native"))
    >>> curves.add(np.array([[900, 500, 100]], np.uint16), np.array([[1, 0, 0]], np.uint8))
    >>> score_curves(curves, Scoring("native"))["AUC/roc-pixels"].value
    1.0
    """
    return CURVES.score(curves, scoring)


def _or_none(value: float | None, why: str) -> Value:
    return Value(value, why if value is None else "")


def _not_swept(curves: CurveCounts) -> Value | None:
    """Reason why a curve of targets has no value; None where it has one."""
    if not curves.is_swept:
        return Value(None, f"matching {curves.scoring.matching} is not followed through all thresholds")
    return None if curves.targets else NO_TARGETS


@metric(
    "AUC/roc-pixels",
    unit="fraction",
    better="higher",
    table="curves",
)
def auc_roc(curves: CurveCounts) -> Value:
    """Area under the ROC curve of pixels: the chance that a target pixel's level exceeds another's, ties counted half.

    Nearly 1 for every network, for nearly all pixels are easy background; it tells little apart.

    >>> curves = CurveCounts(Scoring("native"))
    >>> curves.add(np.array([[900, 500, 500]], np.uint16), np.array([[1, 0, 1]], np.uint8))
    >>> auc_roc(curves).value
    0.75
    """
    return _or_none(roc_auc(curves), "no target pixel, or no other, in the list")


@metric(
    "AP/pixels",
    unit="fraction",
    better="higher",
    table="curves",
)
def ap_pixels(curves: CurveCounts) -> Value:
    """Average precision of pixels: sum over levels of precision times the gain in recall, nothing interpolated.

    >>> curves = CurveCounts(Scoring("native"))
    >>> curves.add(np.array([[900, 500, 100, 50]], np.uint16), np.array([[1, 0, 1, 0]], np.uint8))
    >>> round(ap_pixels(curves).value, 6)  # (1/1 + 2/3) / 2
    0.833333
    """
    return _or_none(average_precision(curves), "no target pixel in the list")


@metric("AUC/pd-fa-1e-4", unit="fraction", better="higher", table="curves", named_by=id_under)
def auc_pd_fa(curves: CurveCounts) -> Value:
    """Mean over Fa budgets from 0 to 1e-4 of the highest Pd that any threshold reaches within the budget.

    The area under the Pd-Fa staircase, over its width; Fa in pixels of false alarms over all pixels.

    >>> curves = CurveCounts(Scoring("native"))
    >>> levels = np.zeros((100, 200), np.uint16)
    >>> levels[0, 0], levels[50, 100] = 500, 900  # a false alarm of 1/20000 = 5e-5 above the target
    >>> mask = np.zeros((100, 200), np.uint8)
    >>> mask[0, 0] = 1
    >>> curves.add(levels, mask)
    >>> auc_pd_fa(curves).value
    0.5
    """
    if absent := _not_swept(curves):
        return absent
    found = pd_fa(curves)
    within = found.fa <= AREA_LIMIT
    fa, pd = found.fa[within], found.pd[within]
    order = np.lexsort((-pd, fa))
    fa, best = fa[order], np.maximum.accumulate(pd[order])
    widths = np.diff(fa, append=AREA_LIMIT)
    return Value(float((widths * best).sum() / AREA_LIMIT))


def pd_within(curves: CurveCounts, budget: float) -> Value:
    """The highest Pd among all thresholds whose Fa is at most the budget.

    >>> curves = CurveCounts(Scoring("native"))
    >>> curves.add(np.array([[500, 0, 0, 0, 0, 900]], np.uint16), np.array([[1, 0, 0, 0, 0, 0]], np.uint8))
    >>> pd_within(curves, 0.1).value, pd_within(curves, 0.2).value
    (0.0, 1.0)
    """
    if absent := _not_swept(curves):
        return absent
    found = pd_fa(curves)
    return Value(float(found.pd[found.fa <= budget].max()))


def _register_budget(budget: str) -> None:
    def compute(curves: CurveCounts) -> Value:
        return pd_within(curves, float(budget))

    compute.__doc__ = f"The highest Pd that any threshold reaches with an Fa of at most {budget}."
    metric(f"Pd/at-Fa-{budget}", unit="fraction", better="higher", table="curves", named_by=id_under)(compute)


for _budget in BUDGETS:
    _register_budget(_budget)
