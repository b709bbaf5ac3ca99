"""Contrast before and after detection: of targets with their surroundings, and of the background.

Grey levels and probabilities are both taken in [0, 1]: grey / 255 and level / 65536. `contrast.npz` holds, a target
and an image, what the ratios are made of. Images N, targets T.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.arrays import BoolArray, FloatArray, IntArray, LevelArray
from bench.errors import RequestError
from bench.metrics.counting.array_table import ArrayTable, Shape
from bench.metrics.counting.components import Components, find_components
from bench.metrics.counting.levels import LEVELS
from bench.metrics.counting.truth import surroundings
from bench.metrics.ids import by_connectivity
from bench.metrics.registry import MetricsOf, metric
from bench.metrics.statistic import MemberMean, Value
from bench.types import Scoring

GREYS = 255
TARGET_FIELDS = ("signal_before", "clutter_before", "signal_after", "clutter_after")
IMAGE_FIELDS = ("background_before", "background_after")


@dataclass(frozen=True, eq=False)
class ImageContrast:
    """The contrast of one image's targets before detection, in its grey levels, and after, in its map; all in [0, 1].

    A target's surroundings are its bounding box widened by 20 px on every side, cut at the image border, less every
    marked pixel, as for `target_scr` of `bench.metrics.counting.counts`.

    Attributes:
        signal_before, signal_after: (T,) |mean of the target - mean of its surroundings|; NaN without surroundings.
        clutter_before, clutter_after: (T,) standard deviation of its surroundings; NaN without any.
        background_before, background_after: standard deviation of all unmarked pixels; NaN without any.
    """

    signal_before: FloatArray
    clutter_before: FloatArray
    signal_after: FloatArray
    clutter_after: FloatArray
    background_before: float
    background_after: float


def measure_contrast(levels: LevelArray, truth: NDArray[Any], grey: NDArray[Any], *, scoring: Scoring) -> ImageContrast:
    """Measure the contrast of one image before and after detection.

    Args:
        levels: (H, W) uint16, from `bench.metrics.counting.levels.quantise`.
        truth: (H, W) in {0, 1}.
        grey: (H, W) grey levels 0 to 255.

    Raises:
        RequestError: when a map is not of the kind asked for, shapes differ, or the scoring's ground truth is soft.
    """
    _check(levels, truth, grey, scoring)
    targets = find_components(truth.astype(bool), connectivity=scoring.connectivity)
    return contrast_of_targets(levels, targets, truth == 0, grey)


def contrast_of_targets(
    levels: LevelArray, targets: Components, is_background: BoolArray, grey: NDArray[Any]
) -> ImageContrast:
    """Measure the contrast of targets that have been labelled before.

    Args:
        levels: (H, W) the map.
        is_background: (H, W) where the mask marks nothing.
        grey: (H, W) grey levels 0 to 255.
    """
    before, after = grey.astype(np.int64), levels.astype(np.int64)
    values = np.array([_stand_out(targets, t, is_background, before, after) for t in range(len(targets))])
    columns = values.reshape(len(targets), 4) / np.array([GREYS, GREYS, LEVELS, LEVELS])
    return ImageContrast(
        **dict(zip(TARGET_FIELDS, columns.T, strict=True)),
        background_before=_spread(before[is_background]) / GREYS,
        background_after=_spread(after[is_background]) / LEVELS,
    )


def _check(levels: LevelArray, truth: NDArray[Any], grey: NDArray[Any], scoring: Scoring) -> None:
    if scoring.ground_truth != "binary":
        raise RequestError(f"scoring {scoring.name}: ground truth is {scoring.ground_truth}, expected binary: contrast")
    if levels.dtype != np.uint16:
        raise RequestError(f"map is {levels.dtype}, expected uint16 levels; make it with quantise()")
    if grey.dtype.kind not in "ui":
        raise RequestError(f"grey image is {grey.dtype}, expected whole levels 0 to 255")
    if levels.ndim != 2 or not levels.shape == truth.shape == grey.shape:
        raise RequestError(
            f"map has shape {levels.shape}, its mask {truth.shape} and grey image {grey.shape}, "
            "expected one (height, width)"
        )


def _stand_out(
    targets: Components, index: int, is_background: BoolArray, before: IntArray, after: IntArray
) -> tuple[float, float, float, float]:
    """Signal and clutter of one target in both maps, in their levels."""
    is_own = targets.owner == index
    rows, cols = targets.rows[is_own], targets.cols[is_own]
    return *stand_out(rows, cols, is_background, before), *stand_out(rows, cols, is_background, after)


def stand_out(rows: IntArray, cols: IntArray, is_background: BoolArray, levels: IntArray) -> tuple[float, float]:
    """Signal and clutter of one target on a map (H, W), in its levels; NaN for a target without surroundings.

    Args:
        rows, cols: of the target's pixels.
        is_background: (H, W) where nothing is marked.
    """
    window = surroundings(rows, cols)
    around = levels[window][is_background[window]]
    if not len(around):
        return np.nan, np.nan
    return abs(float(levels[rows, cols].mean() - around.mean())), _spread(around)


def _spread(values: IntArray) -> float:
    """Standard deviation of levels from exact sums, so that it is 0 where all are equal; NaN where there are none."""
    count, total = len(values), int(values.sum())
    if not count:
        return float("nan")
    return math.sqrt(count * int(np.dot(values, values)) - total * total) / count


@dataclass(frozen=True, eq=False)
class ContrastTable(ArrayTable):
    """The contrast of a test list: what `contrast.npz` holds. Fields as in `ImageContrast`, shapes as below.

    Attributes:
        names: of the N images.
        background_before, background_after: (N,).
        target_image: (T,) position of the image each target lies in.
        signal_before, clutter_before, signal_after, clutter_after: (T,).
    """

    WHAT = "contrast"

    names: tuple[str, ...]
    background_before: FloatArray
    background_after: FloatArray
    target_image: IntArray
    signal_before: FloatArray
    clutter_before: FloatArray
    signal_after: FloatArray
    clutter_after: FloatArray

    @property
    def gains(self) -> FloatArray:
        """(T,) signal-to-clutter ratio after over before; inf where a target stands on an exactly constant map or had
        no signal before, NaN where that is undefined."""
        before = _ratio(self.signal_before, self.clutter_before)
        return _ratio(_ratio(self.signal_after, self.clutter_after), np.where(np.isinf(before), np.nan, before))

    @property
    def suppressions(self) -> FloatArray:
        """(N,) standard deviation of the background before over after; inf where the map is exactly constant there,
        NaN where that is undefined."""
        return _ratio(self.background_before, self.background_after)

    def shapes(self) -> Mapping[str, Shape]:
        images, targets = (len(self.names),), self.target_image.shape[:1]
        return {**dict.fromkeys(IMAGE_FIELDS, images), **dict.fromkeys(("target_image", *TARGET_FIELDS), targets)}


def _ratio(above: FloatArray, below: FloatArray) -> FloatArray:
    """Quotients; x/0 is inf, 0/0 is NaN."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(above / below, dtype=np.float64)


class ContrastWriter:
    """Measures the contrast of a test list, image by image; keeps no map."""

    def __init__(self, scoring: Scoring) -> None:
        self.scoring = scoring
        self._names: list[str] = []
        self._images: list[ImageContrast] = []

    def add(self, name: str, levels: LevelArray, *, truth: NDArray[Any], grey: NDArray[Any]) -> ImageContrast:
        """Measure one image; arguments as in `measure_contrast`. Returns the values.

        Raises:
            RequestError: naming the image, when a map is not of the kind asked for.
        """
        try:
            found = measure_contrast(levels, truth, grey, scoring=self.scoring)
        except ValueError as error:
            raise RequestError(f"{name}: {error}") from error
        self.append(name, found)
        return found

    def append(self, name: str, image: ImageContrast) -> None:
        """Take the contrast of one image."""
        self._names.append(name)
        self._images.append(image)

    def extend(self, other: ContrastWriter) -> None:
        """Add the images of another behind one's own."""
        self._names += other._names
        self._images += other._images

    def table(self) -> ContrastTable:
        """Everything added so far."""
        nothing = np.zeros(0)
        targets = {n: np.concatenate([nothing, *(getattr(i, n) for i in self._images)]) for n in TARGET_FIELDS}
        images = {n: np.array([getattr(i, n) for i in self._images], dtype=np.float64) for n in IMAGE_FIELDS}
        counts = np.array([len(image.signal_before) for image in self._images], dtype=np.int64)
        owners = np.repeat(np.arange(len(counts)), counts)
        return ContrastTable(tuple(self._names), target_image=owners, **images, **targets)


def contrast_of(prob: ArrayLike, mask: ArrayLike, grey: ArrayLike) -> ContrastTable:
    """The contrast of one map in [0, 1), one binary mask and one grey image 0 to 255: the smallest example.

    >>> float(contrast_of([[0.75, 0.0, 0.5]], [[1, 0, 0]], [[51, 0, 102]]).clutter_before[0])
    0.2
    """
    levels = (np.asarray(prob) * LEVELS).astype(np.uint16)
    writer = ContrastWriter(Scoring("example"))
    writer.add("", levels, truth=np.asarray(mask, dtype=np.uint8), grey=np.asarray(grey, dtype=np.uint8))
    return writer.table()


CONTRAST: MetricsOf[ContrastTable] = MetricsOf("contrast")


def _finite_mean(values: FloatArray, what: str, *, owner: IntArray, images: int) -> MemberMean:
    """The mean of the finite values, with how many are left out and why; undefined where none is left.

    Args:
        owner: position of the image each value belongs to.
        images: in the list.
    """
    is_finite = np.isfinite(values)
    mine = owner[is_finite]
    reason = _left_out(values, what, word="left out: ") if len(values) else f"no {what} in the list"
    return MemberMean.of(values[is_finite], owner=mine, whole=np.bincount(mine, minlength=images), reason=reason)


def _whole_median(values: FloatArray, what: str) -> Value:
    """The median, in which infinite values are the greatest; None where it is infinite or nothing is defined."""
    if not len(values):
        return Value(None, f"no {what} in the list")
    defined = np.sort(values[~np.isnan(values)])
    if not len(defined):
        return Value(None, _left_out(values, what, word="left out: "))
    middle = defined[(len(defined) - 1) // 2], defined[len(defined) // 2]
    reason = _left_out(values, what)
    return Value(None, f"infinite: {reason}") if np.isinf(middle[1]) else Value(float(np.mean(middle)), reason)


def _left_out(values: FloatArray, what: str, *, word: str = "") -> str:
    """`2 of 5 targets left out: 1 infinite, 1 undefined`; empty where all values are finite."""
    infinite, undefined = int(np.isinf(values).sum()), int(np.isnan(values).sum())
    parts = [f"{count} {name}" for count, name in ((infinite, "infinite"), (undefined, "undefined")) if count]
    if not parts:
        return ""
    among = f"{infinite + undefined} of {len(values)} {what} " if word else f"of {len(values)} {what} "
    return f"{among}{word}{', '.join(parts)}"


@metric("SCRG/local-20px", unit="ratio", better="higher", table="contrast", named_by=by_connectivity)
def scr_gain(table: ContrastTable) -> MemberMean:
    """Signal-to-clutter ratio gain: a target's ratio in the map over that in the image, mean over targets.

    Ratio = |mean of target - mean of surroundings| / standard deviation of surroundings, which are the target's
    bounding box widened by 20 px, less all marked pixels. Infinite where the map is exactly constant around a target
    and another value on it; such targets, and undefined ones (the same value on it; no surroundings), are left out,
    so that a mean over few targets says little: see the reason beside it, and the median.

    Source: Gao et al., IEEE TIP 2013 (local region); Hilliard, 2000 (gain).

    >>> gained = contrast_of([[0.75, 0.0, 0.5]], [[1, 0, 0]], [[102, 0, 102]])
    >>> scr_gain(gained).value()  # (0.5 / 0.25) / (0.2 / 0.2)
    2.0
    """
    return _finite_mean(table.gains, "targets", owner=table.target_image, images=len(table.names))


@metric("SCRG/local-20px-median", unit="ratio", better="higher", table="contrast", named_by=by_connectivity)
def scr_gain_median(table: ContrastTable) -> Value:
    """Signal-to-clutter ratio gain, median over targets; infinite gains count as the greatest.

    >>> scr_gain_median(contrast_of([[0.75, 0.0, 0.5]], [[1, 0, 0]], [[102, 0, 102]])).value
    2.0
    """
    return _whole_median(table.gains, "targets")


@metric("BSF/whole-image", unit="ratio", better="higher", table="contrast", named_by=by_connectivity)
def background_suppression(table: ContrastTable) -> MemberMean:
    """Background suppression factor: deviation of unmarked pixels in the image over that in the map, mean over images.

    Standard deviations of grey / 255 and of probability. Infinite where the map is exactly constant off the targets;
    such images, and undefined ones (the image is constant as well; no background), are left out: see the reason.

    Source: Hilliard, 2000.

    >>> background_suppression(contrast_of([[0.75, 0.0, 0.5]], [[1, 0, 0]], [[102, 0, 255]])).value()  # 0.5 / 0.25
    2.0
    """
    images = len(table.names)
    return _finite_mean(table.suppressions, "images", owner=np.arange(images), images=images)


@metric("BSF/whole-image-median", unit="ratio", better="higher", table="contrast", named_by=by_connectivity)
def background_suppression_median(table: ContrastTable) -> Value:
    """Background suppression factor, median over images; infinite factors count as the greatest.

    >>> background_suppression_median(contrast_of([[0.75, 0.0, 0.5]], [[1, 0, 0]], [[102, 0, 255]])).value
    2.0
    """
    return _whole_median(table.suppressions, "images")
