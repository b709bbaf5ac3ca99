"""Curves over all thresholds, exact: ROC and precision-recall of pixels, detections and false alarms of targets.

Nothing is sampled. The levels of all target pixels and of all other pixels are counted apart, 65536 bins each; targets
and components are followed through every level that occurs by one sweep
(bench/metrics/counting/threshold_sweep.py). Every point that any threshold could give is there, equal to scoring the
predictions again at that threshold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.arrays import WHOLE, FloatArray, IntArray, LevelArray, checked_array
from bench.errors import RequestError
from bench.metrics.counting.components import Components
from bench.metrics.counting.labelled_map import check_levels
from bench.metrics.counting.levels import LEVELS, threshold_level
from bench.metrics.counting.matching import ALARM_SIDE, HIT_SIDE, PAIRINGS, around
from bench.metrics.counting.threshold_sweep import (
    AREA,
    MATCHED,
    Growth,
    coarse_levels,
    count_levels,
    grow,
    sweep_pairs,
    sweep_untouched,
)
from bench.metrics.counting.truth import Truth, read_truth
from bench.types import Scoring

_HISTOGRAMS = ("target_levels", "other_levels")
_TOTALS = ("targets", "pixels", "images")
SWEPT = (*PAIRINGS, "overlap", "shooting")
"""Matching rules whose detections and false alarms are followed through all thresholds."""


class Roc(NamedTuple):
    """False- and true-positive rates of pixels, from (0, 0) to (1, 1); NaN where there are no such pixels."""

    fpr: FloatArray
    tpr: FloatArray


class PrecisionRecall(NamedTuple):
    """Precision and recall of pixels, from the highest level down; recall is NaN where there is no target pixel."""

    precision: FloatArray
    recall: FloatArray


class PdFa(NamedTuple):
    """False-alarm rate and probability of detection at every threshold that makes a difference, from the highest down.

    Predicted is where p > threshold. The first point is that of a threshold above which nothing is; Pd is NaN without
    targets.
    """

    fa: FloatArray
    pd: FloatArray
    thresholds: FloatArray


class TargetCounts(NamedTuple):
    """Matched targets, false components and their pixels at some thresholds (K,)."""

    matched: IntArray
    unmatched: IntArray
    unmatched_area: IntArray


@dataclass(frozen=True, eq=False)
class ImageCurve:
    """The integers of one image at all thresholds.

    Attributes:
        levels: (L + 1,) the levels above 0 that occur, falling, and 0.
        target_levels, other_levels: (L + 1,) pixels at each of them, on targets and off.
        steps: (3, L + 1) as in `CurveCounts`.
        targets, pixels: of the image.
    """

    levels: LevelArray
    target_levels: IntArray
    other_levels: IntArray
    steps: IntArray
    targets: int
    pixels: int


def follow_thresholds(levels: LevelArray, growth: Growth, truth: Truth, scoring: Scoring) -> ImageCurve:
    """Count one image at all thresholds.

    Args:
        levels: (H, W) the map.
        growth: of that map, under the scoring's connectivity.
    """
    on, off = count_levels(growth, truth.real)
    steps = _steps_of(levels, growth, truth, scoring)
    return ImageCurve(growth.levels, on, off, steps, len(truth.targets), levels.size)


def _steps_of(levels: LevelArray, growth: Growth, truth: Truth, scoring: Scoring) -> IntArray:
    if scoring.matching in PAIRINGS:
        rule, limit = PAIRINGS[scoring.matching], float(scoring.distance)
        return sweep_pairs(growth, truth.targets.centroids, rule=rule, limit=limit)
    if scoring.matching == "overlap":
        steps = sweep_untouched(growth, truth.full)
        steps[MATCHED] = _peaks(levels, growth, truth.targets)
        return steps
    if scoring.matching == "shooting":
        near = around(truth.full, ALARM_SIDE)
        steps = sweep_untouched(growth, near)
        _, steps[AREA] = count_levels(growth, near)
        steps[MATCHED] = _peaks(around(levels, HIT_SIDE), growth, truth.targets)
        return steps
    return np.zeros((3, len(growth.levels)), dtype=np.int64)


def _peaks(levels: LevelArray, growth: Growth, targets: Components) -> IntArray:
    """(L + 1,) targets by their highest level: a target is found as soon as the threshold falls below that."""
    peaks = np.zeros(len(targets), dtype=np.int64)
    np.maximum.at(peaks, targets.owner, levels[targets.rows, targets.cols])
    place = np.searchsorted(growth.levels[::-1], peaks)  # ascending
    return np.bincount(place, minlength=len(growth.levels))[::-1]


class CurveCounts:
    """The integers all curves are made of, added up image by image in constant memory.

    Targets are matched as the scoring says; its threshold plays no part. Under a soft ground truth, pixels count as
    target where the mask is above 0.5 and targets are made of mask 1.0, as in `count_image`.

    Attributes:
        thresholds: how many thresholds k/65536, evenly spaced from 0, are told apart: all 65536, or fewer for a first
            look (256 is what the field's curves have at most).
        target_levels, other_levels: (65536,) pixels at each level of the maps, on targets and off.
        steps: (3, 65536) by how much matched targets, components that are false alarms, and pixels that are, change
            when the pixels of a level join; all zero under a matching rule that is not in `SWEPT`.
        targets, pixels, images: totals.
    """

    def __init__(self, scoring: Scoring, *, thresholds: int = LEVELS) -> None:
        if thresholds < 2 or LEVELS % thresholds:
            raise RequestError(f"{thresholds} thresholds, expected a power of two from 2 to {LEVELS}")
        self.scoring = scoring
        self.thresholds = thresholds
        self.target_levels: IntArray = np.zeros(LEVELS, dtype=np.int64)
        self.other_levels: IntArray = np.zeros(LEVELS, dtype=np.int64)
        self.steps: IntArray = np.zeros((3, LEVELS), dtype=np.int64)
        self.targets = 0
        self.pixels = 0
        self.images = 0

    @property
    def is_swept(self) -> bool:
        """True if targets and components are followed, not pixels alone."""
        return self.scoring.matching in SWEPT

    def add(self, levels: LevelArray, truth: NDArray[Any]) -> None:
        """Count one image.

        Args:
            levels: (H, W) uint16, from `quantise`.
            truth: (H, W), see `read_truth`.

        Raises:
            RequestError: when a map is not of the kind asked for, or shapes differ.
        """
        self.add_against(levels, read_truth(truth, self.scoring))

    def add_against(self, levels: LevelArray, truth: Truth) -> None:
        """Count one image whose mask has been read before.

        Raises:
            RequestError: when the map is not uint16 or differs in shape from the mask.
        """
        check_levels(levels, truth)
        if self.thresholds < LEVELS:
            levels = coarse_levels(np.ascontiguousarray(levels), LEVELS // self.thresholds)
        self.append(follow_thresholds(levels, grow(levels, self.scoring.connectivity), truth, self.scoring))

    def append(self, image: ImageCurve) -> None:
        """Add the integers of one image."""
        self.target_levels[image.levels] += image.target_levels
        self.other_levels[image.levels] += image.other_levels
        self.steps[:, image.levels] += image.steps
        self.targets += image.targets
        self.pixels += image.pixels
        self.images += 1

    def extend(self, other: CurveCounts) -> None:
        """Add what another has counted: the curves of a list are those of its parts, added up.

        Raises:
            RequestError: when the two match targets under different rules, or have different thresholds.
        """
        mine, theirs = _rules(self), _rules(other)
        if mine != theirs:
            raise RequestError(f"curves: one is counted under {mine}, the other under {theirs}; count both alike")
        for name in (*_HISTOGRAMS, "steps", *_TOTALS):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Plain arrays by name, for `numpy.savez`; histograms and steps as the levels in use and what is there."""
        arrays: dict[str, NDArray[Any]] = {"thresholds": np.asarray(self.thresholds)}
        for name in _HISTOGRAMS:
            histogram = getattr(self, name)
            arrays[f"{name}_used"] = np.flatnonzero(histogram)
            arrays[f"{name}_pixels"] = histogram[arrays[f"{name}_used"]]
        arrays["steps_used"] = np.flatnonzero(self.steps.any(axis=0))
        arrays["steps"] = self.steps[:, arrays["steps_used"]]
        return arrays | {name: np.asarray(getattr(self, name)) for name in _TOTALS}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], scoring: Scoring) -> CurveCounts:
        """The accumulator that `to_arrays` took apart; `scoring` is the one it was counted under.

        Raises:
            RequestError: when an array is missing, or of another type or shape.
        """
        try:
            return cls._from_checked(arrays, scoring)
        except RequestError as error:
            raise RequestError(f"curves: {error}; score the run again") from None

    @classmethod
    def _from_checked(cls, arrays: Mapping[str, NDArray[Any]], scoring: Scoring) -> CurveCounts:
        def total(name: str) -> int:
            return int(checked_array(arrays, name, WHOLE, ()))

        def used(name: str) -> IntArray:
            places = checked_array(arrays, name, WHOLE, (None,))
            if places.size and places.max() >= LEVELS:
                raise RequestError(f"{name} holds {places.max()}, expected levels below {LEVELS}")
            return places

        curves = cls(scoring, thresholds=total("thresholds"))
        for name in _HISTOGRAMS:
            places = used(f"{name}_used")
            getattr(curves, name)[places] = checked_array(arrays, f"{name}_pixels", WHOLE, places.shape)
        places = used("steps_used")
        curves.steps[:, places] = _checked_steps(arrays, len(places))
        for name in _TOTALS:
            setattr(curves, name, total(name))
        return curves


def _checked_steps(arrays: Mapping[str, NDArray[Any]], count: int) -> IntArray:
    """The changes at levels, which may be negative."""
    if "steps" not in arrays:
        raise RequestError("no steps")
    steps = np.asarray(arrays["steps"])
    if steps.shape != (3, count) or (steps.size and steps.dtype.kind not in WHOLE):
        raise RequestError(f"steps are {steps.dtype} {steps.shape}, expected (3, {count}) whole numbers")
    return steps


def _rules(curves: CurveCounts) -> str:
    scoring = curves.scoring
    return (
        f"{scoring.ground_truth} masks, matching {scoring.matching}, {scoring.distance:g} px, "
        f"{scoring.connectivity} neighbours, {curves.thresholds} thresholds"
    )


def target_counts(curves: CurveCounts, levels: IntArray) -> TargetCounts:
    """Matched targets and false alarms of the list at thresholds k/65536.

    Args:
        levels: (K,) whole numbers k from 0 to 65535.

    >>> curves = CurveCounts(Scoring("native"))
    >>> curves.add(np.array([[900, 0, 0, 0, 0, 500]], np.uint16), np.array([[1, 0, 0, 0, 0, 0]], np.uint8))
    >>> target_counts(curves, np.array([899, 499])).unmatched_area.tolist()
    [0, 1]
    """
    above = np.zeros((3, LEVELS + 1), dtype=np.int64)
    above[:, :LEVELS] = np.cumsum(curves.steps[:, ::-1], axis=1)[:, ::-1]
    return TargetCounts(*above[:, levels + 1])


def pixel_counts(curves: CurveCounts, levels: IntArray) -> tuple[IntArray, IntArray]:
    """Predicted pixels on targets (K,) and off them (K,) at thresholds k/65536, k from 0 to 65535."""
    above = np.zeros((2, LEVELS + 1), dtype=np.int64)
    both = np.stack([curves.target_levels, curves.other_levels])
    above[:, :LEVELS] = np.cumsum(both[:, ::-1], axis=1)[:, ::-1]
    on, off = above[:, levels + 1]
    return on, off


def pooled_iou(curves: CurveCounts, levels: IntArray) -> FloatArray:
    """Pooled IoU (K,) at thresholds k/65536; 0 where nothing is labelled and nothing predicted. Binary masks.

    >>> curves = CurveCounts(Scoring("native"))
    >>> curves.add(np.array([[900, 500, 100, 0]], np.uint16), np.array([[1, 0, 1, 0]], np.uint8))
    >>> pooled_iou(curves, np.array([899, 499, 0])).round(3).tolist()  # 1/2, 1/3, 2/3
    [0.5, 0.333, 0.667]
    """
    on, off = pixel_counts(curves, levels)
    return on / np.maximum(off + int(curves.target_levels.sum()), 1)


def levels_used(curves: CurveCounts) -> IntArray:
    """The thresholds' levels k between which predictions differ, from the highest down: one below each that occurs."""
    used = np.flatnonzero(curves.target_levels + curves.other_levels)[::-1]
    return np.concatenate([[LEVELS - 1], used[used > 0] - 1])


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
    """Probability of detection and false-alarm rate at every threshold; empty where targets are not followed.

    >>> curves = CurveCounts(Scoring("native"))
    >>> levels = np.array([[65535, 0, 0, 0, 40000, 0, 0, 0]], np.uint16)
    >>> curves.add(levels, np.array([[1, 0, 0, 0, 0, 0, 0, 0]], np.uint8))
    >>> pd_fa(curves).fa.tolist(), pd_fa(curves).pd.tolist()
    ([0.0, 0.0, 0.125], [0.0, 1.0, 1.0])
    """
    levels = levels_used(curves) if curves.is_swept else np.zeros(0, dtype=np.int64)
    found = target_counts(curves, levels)
    fa, pd = _share(found.unmatched_area, curves.pixels), _share(found.matched, curves.targets)
    return PdFa(fa=fa, pd=pd, thresholds=levels / LEVELS)


def pd_fa_at(curves: CurveCounts, threshold: float) -> tuple[float, float]:
    """False-alarm rate and probability of detection at one threshold; NaN where undefined."""
    found = target_counts(curves, np.array([threshold_level(threshold)]))
    fa, pd = _share(found.unmatched_area, curves.pixels), _share(found.matched, curves.targets)
    return (float(fa[0]), float(pd[0])) if curves.is_swept else (float("nan"), float("nan"))


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
