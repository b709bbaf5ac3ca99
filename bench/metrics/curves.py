"""Curves over thresholds: ROC and precision-recall from exact histograms, Pd against Fa at a fixed set of thresholds.

Pixel curves lose nothing: the levels of all target pixels and of all other pixels are counted apart, 65536 bins each,
so every point that any threshold could give is there. Pd and Fa need components, so they are counted at 41 thresholds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.metrics.components import UNMATCHED, IntArray, find_components, match_targets
from bench.metrics.counts import LEVELS, FloatArray, QArray, check_levels, read_truth
from bench.types import Scoring

THRESHOLDS = 41


def _logit_spaced_levels() -> tuple[int, ...]:
    """41 levels from 2 to 65534, uniform in log(p / (1 - p)), with 32768 (p > 0.5) in the middle."""
    reach = np.log(32767)  # logit of 65534/65536, the last level that q can be above of
    logits = np.linspace(-reach, reach, THRESHOLDS)
    return tuple(int(level) for level in np.rint(LEVELS / (1 + np.exp(-logits))))


PD_FA_LEVELS = _logit_spaced_levels()
"""The levels k of the Pd-Fa curve: predicted where q > k, that is p > k/65536."""

_HISTOGRAMS = ("target_levels", "other_levels")
_PER_THRESHOLD = ("matched", "unmatched", "unmatched_area")
_TOTALS = ("targets", "pixels", "images")


class Roc(NamedTuple):
    """False- and true-positive rates of pixels, from (0, 0) to (1, 1); NaN where there are no such pixels."""

    fpr: FloatArray
    tpr: FloatArray


class PrecisionRecall(NamedTuple):
    """Precision and recall of pixels, from the highest level down; recall is NaN where there is no target pixel."""

    precision: FloatArray
    recall: FloatArray


class PdFa(NamedTuple):
    """False-alarm rate and probability of detection per threshold, thresholds rising; Pd is NaN without targets."""

    fa: FloatArray
    pd: FloatArray
    thresholds: FloatArray


class CurveCounts:
    """The integers all curves are made of, added up image by image in constant memory.

    Targets are matched as the scoring says; its threshold plays no part. Under a soft ground truth, pixels count as
    target where the mask is above 0.5 and targets are made of mask 1.0, as in `count_image`.

    Attributes:
        target_levels, other_levels: (65536,) pixels at each level of q, on targets and off.
        levels: (K,) levels of the Pd-Fa curve.
        matched, unmatched, unmatched_area: (K,) as in `ImageCounts`, summed over images.
        targets, pixels, images: totals.
    """

    def __init__(self, scoring: Scoring) -> None:
        self.scoring = scoring
        self.levels: IntArray = np.array(PD_FA_LEVELS, dtype=np.int64)
        self.target_levels: IntArray = np.zeros(LEVELS, dtype=np.int64)
        self.other_levels: IntArray = np.zeros(LEVELS, dtype=np.int64)
        self.matched: IntArray = np.zeros(THRESHOLDS, dtype=np.int64)
        self.unmatched: IntArray = np.zeros(THRESHOLDS, dtype=np.int64)
        self.unmatched_area: IntArray = np.zeros(THRESHOLDS, dtype=np.int64)
        self.targets = 0
        self.pixels = 0
        self.images = 0

    def add(self, q: QArray, truth: NDArray[Any]) -> None:
        """Count one image in.

        Args:
            q: (H, W) uint16, from `quantise`.
            truth: (H, W), see `read_truth`.

        Raises:
            ValueError: when a map is not of the kind asked for, or shapes differ.
        """
        read = read_truth(truth, self.scoring)
        check_levels(q, read)
        on_target = np.bincount(q[read.real], minlength=LEVELS)
        everywhere = np.bincount(q.ravel(), minlength=LEVELS)
        self.target_levels += on_target
        self.other_levels += everywhere - on_target
        self.targets += len(read.targets)
        self.pixels += q.size
        self.images += 1

        at_most = np.cumsum(everywhere)
        predicted = q.size - at_most[self.levels]
        before, result = -1, (0, 0, 0)
        for k in np.flatnonzero(predicted):
            if predicted[k] != before:  # maps of rising thresholds are nested: as many pixels are the same pixels
                found = find_components(q > self.levels[k], connectivity=self.scoring.connectivity)
                partner = match_targets(read.targets, found, distance=self.scoring.distance)
                taken = partner[partner != UNMATCHED]
                area = len(found.rows) - int(found.areas[taken].sum())
                before, result = predicted[k], (len(taken), len(found) - len(taken), area)
            self.matched[k] += result[0]
            self.unmatched[k] += result[1]
            self.unmatched_area[k] += result[2]

    def merge(self, other: CurveCounts) -> None:
        """Count in what another accumulator has seen: the curves of a list are those of its parts, added up.

        Raises:
            ValueError: when the two match targets under different rules.
        """
        mine, theirs = _rules(self.scoring), _rules(other.scoring)
        if mine != theirs:
            raise ValueError(f"curves: one is counted under {mine}, the other under {theirs}; count both alike")
        for name in (*_HISTOGRAMS, *_PER_THRESHOLD, *_TOTALS):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Plain arrays by name, for `numpy.savez`; histograms as their levels in use and the pixels at each."""
        arrays: dict[str, NDArray[Any]] = {"levels": self.levels}
        for name in _HISTOGRAMS:
            histogram = getattr(self, name)
            arrays[f"{name}_used"] = np.flatnonzero(histogram)
            arrays[f"{name}_pixels"] = histogram[arrays[f"{name}_used"]]
        return arrays | {name: np.asarray(getattr(self, name)) for name in (*_PER_THRESHOLD, *_TOTALS)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], scoring: Scoring) -> CurveCounts:
        """The accumulator that `to_arrays` took apart; `scoring` is the one it was counted under.

        Raises:
            ValueError: when an array is missing or counted at other thresholds.
        """
        curves = cls(scoring)
        parts = [f"{name}_{part}" for name in _HISTOGRAMS for part in ("used", "pixels")]
        missing = [name for name in ("levels", *parts, *_PER_THRESHOLD, *_TOTALS) if name not in arrays]
        if missing:
            raise ValueError(f"curves: no {', '.join(missing)}; score the run again")
        if not np.array_equal(arrays["levels"], curves.levels):
            raise ValueError(
                f"curves: counted at {len(arrays['levels'])} other thresholds than the {THRESHOLDS} in use; "
                "score the run again"
            )
        for name in _HISTOGRAMS:
            getattr(curves, name)[arrays[f"{name}_used"]] = arrays[f"{name}_pixels"]
        for name in _PER_THRESHOLD:
            setattr(curves, name, np.array(arrays[name], dtype=np.int64))
        for name in _TOTALS:
            setattr(curves, name, int(arrays[name]))
        return curves


def _rules(scoring: Scoring) -> str:
    return f"{scoring.ground_truth} masks, {scoring.distance:g} px, {scoring.connectivity} neighbours"


def _cumulated(curves: CurveCounts) -> tuple[IntArray, IntArray]:
    """Target and other pixels at or above each level that occurs, from the highest level down."""
    used = np.flatnonzero(curves.target_levels + curves.other_levels)[::-1]
    return np.cumsum(curves.target_levels[used]), np.cumsum(curves.other_levels[used])


def _share(part: IntArray, whole: int) -> FloatArray:
    return part / whole if whole else np.full(len(part), np.nan)


def roc(curves: CurveCounts) -> Roc:
    """The ROC curve of pixels: one point for every level that occurs, and (0, 0).

    >>> curves = CurveCounts(Scoring("native"))
    >>> curves.add(np.array([[900, 500, 100]], np.uint16), np.array([[1, 0, 1]], np.uint8))
    >>> roc(curves).fpr.tolist(), roc(curves).tpr.tolist()
    ([0.0, 0.0, 1.0, 1.0], [0.0, 0.5, 0.5, 1.0])
    """
    true, false = (np.concatenate([[0], column]) for column in _cumulated(curves))
    return Roc(fpr=_share(false, int(false[-1])), tpr=_share(true, int(true[-1])))


def precision_recall(curves: CurveCounts) -> PrecisionRecall:
    """The precision-recall curve of pixels: one point for every level that occurs, nothing interpolated.

    >>> curves = CurveCounts(Scoring("native"))
    >>> curves.add(np.array([[900, 500, 100, 50]], np.uint16), np.array([[1, 0, 1, 0]], np.uint8))
    >>> precision_recall(curves).precision.round(3).tolist(), precision_recall(curves).recall.tolist()
    ([1.0, 0.5, 0.667, 0.5], [0.5, 0.5, 1.0, 1.0])
    """
    true, false = _cumulated(curves)
    return PrecisionRecall(precision=true / (true + false), recall=_share(true, int(true[-1]) if len(true) else 0))


def pd_fa(curves: CurveCounts) -> PdFa:
    """Probability of detection and false-alarm rate at the 41 thresholds; at 0.5 the values of the main table.

    >>> curves = CurveCounts(Scoring("native"))
    >>> q = np.array([[65535, 0, 0, 0, 40000, 0, 0, 0]], np.uint16)
    >>> curves.add(q, np.array([[1, 0, 0, 0, 0, 0, 0, 0]], np.uint8))
    >>> curve = pd_fa(curves)
    >>> float(curve.thresholds[20]), float(curve.fa[20]), float(curve.pd[20])
    (0.5, 0.125, 1.0)
    """
    fa, pd = _share(curves.unmatched_area, curves.pixels), _share(curves.matched, curves.targets)
    return PdFa(fa=fa, pd=pd, thresholds=curves.levels / LEVELS)


def roc_auc(curves: CurveCounts) -> float | None:
    """Area under the ROC curve, exactly: the chance that a target pixel's level exceeds another's, ties half.

    None where there is no target pixel or no other.

    >>> curves = CurveCounts(Scoring("native"))
    >>> curves.add(np.array([[900, 500, 500]], np.uint16), np.array([[1, 0, 1]], np.uint8))
    >>> roc_auc(curves)
    0.75
    """
    true, false = int(curves.target_levels.sum()), int(curves.other_levels.sum())
    if not true or not false:
        return None
    above = true - np.cumsum(curves.target_levels)
    twice_won = (curves.other_levels * (2 * above + curves.target_levels)).sum()
    return int(twice_won) / (2 * true * false)


def average_precision(curves: CurveCounts) -> float | None:
    """Sum over levels of precision times the gain in recall, without interpolation.

    None where there is no target pixel.

    >>> curves = CurveCounts(Scoring("native"))
    >>> curves.add(np.array([[900, 500, 100, 50]], np.uint16), np.array([[1, 0, 1, 0]], np.uint8))
    >>> round(average_precision(curves), 6)  # (1/1 + 2/3) / 2
    0.833333
    """
    true, false = _cumulated(curves)
    if not len(true) or not true[-1]:
        return None
    gained = np.diff(true, prepend=0)
    return float((gained * (true / (true + false))).sum() / true[-1])
