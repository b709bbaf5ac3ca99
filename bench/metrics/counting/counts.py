"""Integers of predictions against ground truth, counted once; every score is a function of them.

Predictions come as `q`, unsigned 16 bit: `q = min(65535, ceil(p * 65536))`, so that `p > k/65536` is `q > k` for every
k below 65535. Images N, targets T, rounds R.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.errors import RequestError
from bench.metrics.counting.array_table import ArrayTable, Shape
from bench.metrics.counting.components import BoolArray, Components, IntArray, find_components
from bench.metrics.counting.labelling import area_unlike, border_distances, count_under
from bench.metrics.counting.matching import judge
from bench.types import Scoring

LEVELS = 65536
QArray = NDArray[np.uint16]
FloatArray = NDArray[np.float64]

BACKGROUND_MARGIN = 20
"""Pixels around a target's bounding box that are its local background, as in Gao et al., IEEE TIP 2013 (d = 20)."""

TRUTH_FIELDS = ("pixels", "labelled", "actual", "positive", "targets")
ROUND_FIELDS = (
    "intersection",
    "predicted",
    "hits",
    "matched",
    "components",
    "unmatched",
    "unmatched_area",
    "equal_area",
)
TARGET_FIELDS = ("target_area", "target_border", "target_scr")


def quantise(prob: NDArray[Any]) -> QArray:
    """The probabilities as levels 0 to 65535: `min(65535, ceil(p * 65536))`, in the shape they came in.

    Raises:
        RequestError: when a value is not a number or outside [0, 1], or the type is not float32 or float64.

    >>> quantise(np.array([0.0, 0.5, 0.50001, 1.0])).tolist()
    [0, 32768, 32769, 65535]
    """
    if prob.dtype not in (np.float32, np.float64):
        raise RequestError(f"probabilities are {prob.dtype}, expected float32 or float64 in [0, 1]")
    _check_unit_range("probabilities", prob)
    q: QArray = np.minimum(np.ceil(prob * LEVELS), LEVELS - 1).astype(np.uint16)
    return q


def _check_unit_range(what: str, values: NDArray[Any]) -> None:
    lowest, highest = values.min(initial=0.0), values.max(initial=0.0)
    if np.isnan(lowest):
        place = tuple(int(i) for i in np.argwhere(np.isnan(values))[0])
        raise RequestError(f"{what} hold NaN (first at {place}), expected numbers in [0, 1]; look at what made them")
    if lowest < 0 or highest > 1:
        raise RequestError(
            f"{what} reach from {lowest:g} to {highest:g}, expected [0, 1]; apply the sigmoid or rescale"
        )


def threshold_level(threshold: float) -> int:
    """The level k of a threshold: a pixel is predicted where q > k.

    The threshold is rounded up as probabilities are, so that a probability equal to it is never above it, whatever it
    is: 102/255 is not above 0.4. Probabilities above a threshold that lie in the same 65536th as it count as equal.

    Raises:
        RequestError: when it is not in [0, 65534/65536], where q can tell above from below.

    >>> threshold_level(0.5), threshold_level(0.4), int(quantise(np.array([102 / 255]))[0])
    (32768, 26215, 26215)
    """
    level = math.ceil(threshold * LEVELS) if 0 <= threshold <= 1 else LEVELS
    if level > LEVELS - 2:
        raise RequestError(f"threshold is {threshold!r}, expected a probability in [0, 65534/65536]")
    return level


@dataclass(frozen=True, eq=False)
class Truth:
    """One ground-truth mask, read once for all rounds.

    Attributes:
        full: (H, W) what the IoU intersection counts, and what targets are made of: 1.0.
        real: (H, W) what precision, recall and F1 take as target: > 0.5. The same map as `full` for a binary mask.
        labelled: pixels of the IoU label area: 0.5 to 1.0, both ends included.
        actual: pixels of `real`.
        positive: pixels > 0.
        targets: the components of `full`.
        target_border, target_scr: (T,) as in `ImageCounts`.
        grey: (H, W) the grey levels that ratios were measured on; None where there are none.
    """

    full: BoolArray
    real: BoolArray
    labelled: int
    actual: int
    positive: int
    targets: Components
    target_border: IntArray
    target_scr: FloatArray
    grey: NDArray[Any] | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.full.shape[0], self.full.shape[1]


def read_truth(truth: NDArray[Any], scoring: Scoring, *, grey: NDArray[Any] | None = None) -> Truth:
    """The mask as the scoring reads it.

    A binary mask has one reading. A soft one (resized bilinearly and never binarised again) has five, because the code
    it stands for reads it in five ways: the intersection takes 1.0, the label area 0.5 to 1.0 with both ends, targets
    1.0 (truncation to an integer), F1 more than 0.5, and PixAcc's denominator everything above 0.

    Args:
        truth: (H, W); bool or uint8 in {0, 1}, or float in [0, 1] for `scoring.ground_truth == "soft"`.
        grey: (H, W) grey levels the signal-to-clutter ratios are measured on.

    Raises:
        RequestError: when the mask is not of that kind, is empty, or the two differ in shape.
    """
    if truth.ndim != 2 or not truth.size:
        raise RequestError(f"mask has shape {truth.shape}, expected (height, width) with at least one pixel")
    if grey is not None and grey.shape != truth.shape:
        raise RequestError(f"grey image has shape {grey.shape} and its mask {truth.shape}, expected the same")
    if scoring.ground_truth == "soft":
        _check_soft(truth)
        full, real, labelled = truth == 1, truth > 0.5, truth >= 0.5
    else:
        _check_binary(truth)
        full = real = labelled = np.ascontiguousarray(truth).view(np.bool_)
    targets = find_components(full, connectivity=scoring.connectivity)
    actual = int(targets.areas.sum())
    is_soft = real is not full
    return Truth(
        full=full,
        real=real,
        labelled=int(np.count_nonzero(labelled)) if is_soft else actual,
        actual=int(np.count_nonzero(real)) if is_soft else actual,
        positive=int(np.count_nonzero(truth)),
        targets=targets,
        target_border=_border_distances(targets, full.shape),
        target_scr=_signal_to_clutter(targets, truth == 0, grey) if grey is not None else np.full(len(targets), np.nan),
        grey=grey,
    )


def _check_binary(truth: NDArray[Any]) -> None:
    if truth.dtype not in (np.bool_, np.uint8):
        raise RequestError(f"mask is {truth.dtype}, expected bool or uint8 in {{0, 1}}; binarise it at > 127 of 255")
    if truth.max() > 1:
        raise RequestError(f"mask holds {truth.max()}, expected 0 and 1; binarise it at > 127 of 255")


def _check_soft(truth: NDArray[Any]) -> None:
    if truth.dtype not in (np.float32, np.float64):
        raise RequestError(f"soft mask is {truth.dtype}, expected float32 or float64 in [0, 1]; divide by 255")
    _check_unit_range("soft masks", truth)


def _border_distances(targets: Components, shape: tuple[int, int]) -> IntArray:
    """(T,) pixels between each target's outermost pixel and the image border; 0 when it lies on the first row."""
    runs = targets.run_rows, targets.run_starts, targets.run_ends, targets.run_owner
    return border_distances(*runs, len(targets), *shape)


def _signal_to_clutter(targets: Components, is_background: BoolArray, grey: NDArray[Any]) -> FloatArray:
    """(T,) signal-to-clutter ratios: |mean of target - mean of background| / standard deviation of background.

    The local background of a target is its bounding box widened by 20 px on every side, cut at the image border, less
    every pixel that any mask value marks. NaN without background or where it is constant.
    """
    ratios = np.full(len(targets), np.nan)
    for t in range(len(targets)):
        rows, cols = targets.rows[targets.owner == t], targets.cols[targets.owner == t]
        window = surroundings(rows, cols)
        clutter = grey[window][is_background[window]].astype(np.float64)
        spread = clutter.std() if len(clutter) else 0.0
        if spread > 0:
            ratios[t] = abs(grey[rows, cols].astype(np.float64).mean() - clutter.mean()) / spread
    return ratios


def surroundings(rows: IntArray, cols: IntArray) -> tuple[slice, slice]:
    """The bounding box of a target's pixels, widened by 20 px on every side and cut at the first row and column."""
    return (
        slice(max(int(rows.min()) - BACKGROUND_MARGIN, 0), int(rows.max()) + BACKGROUND_MARGIN + 1),
        slice(max(int(cols.min()) - BACKGROUND_MARGIN, 0), int(cols.max()) + BACKGROUND_MARGIN + 1),
    )


@dataclass(frozen=True, eq=False)
class ImageCounts:
    """What one prediction comes to on one image.

    For a binary mask `labelled`, `actual` and `positive` are one number, and so are `intersection` and `hits`.

    Attributes:
        pixels: of the image.
        labelled: of the IoU label area (soft: mask from 0.5 to 1.0).
        actual: target pixels (soft: mask > 0.5).
        positive: pixels where the mask is above 0.
        targets: components of the mask (soft: of mask == 1.0).
        intersection: predicted pixels where the mask is 1.0.
        predicted: predicted pixels.
        hits: predicted pixels among `actual`.
        matched: targets that found a component.
        components: of the prediction.
        unmatched: components that no target took; the false alarms.
        unmatched_area: pixels of those, by identity.
        equal_area: pixels of all components whose area differs from the area of every matched one: DNANet's
            count, which tells components apart by area and so loses false alarms.
        target_area: (T,) pixels.
        target_border: (T,) pixels between the target's outermost pixel and the image border; 0 on the border.
        target_scr: (T,) signal-to-clutter ratio: |mean of target - mean of background| / standard deviation of
            background, over the target's bounding box widened by 20 px, less all marked pixels; NaN where undefined.
        target_matched: (T,) whether each was matched.
    """

    pixels: int
    labelled: int
    actual: int
    positive: int
    targets: int
    intersection: int
    predicted: int
    hits: int
    matched: int
    components: int
    unmatched: int
    unmatched_area: int
    equal_area: int
    target_area: IntArray
    target_border: IntArray
    target_scr: FloatArray
    target_matched: BoolArray


def count_image(q: QArray, truth: NDArray[Any], *, scoring: Scoring, grey: NDArray[Any] | None = None) -> ImageCounts:
    """The integers of one prediction against one mask.

    Args:
        q: (H, W) uint16, from `quantise`.
        truth: (H, W), see `read_truth`.
        grey: (H, W) grey levels, for the signal-to-clutter ratios.

    Raises:
        RequestError: when a map is not of the kind asked for, or shapes differ.
    """
    return count_against(q, read_truth(truth, scoring, grey=grey), scoring=scoring)


def count_against(q: QArray, truth: Truth, *, scoring: Scoring) -> ImageCounts:
    """The integers of one prediction against a mask that has been read before.

    Raises:
        RequestError: when `q` is not uint16 or differs in shape from the mask.
    """
    check_levels(q, truth)
    prediction = q > threshold_level(scoring.threshold)
    found = find_components(prediction, connectivity=scoring.connectivity)
    runs = found.run_rows, found.run_starts, found.run_ends
    intersection = count_under(*runs, truth.full)
    verdict = judge(truth.full, truth.targets, prediction, found, scoring)
    alarms = int(np.count_nonzero(verdict.is_alarm))
    return ImageCounts(
        pixels=q.size,
        labelled=truth.labelled,
        actual=truth.actual,
        positive=truth.positive,
        targets=len(truth.targets),
        intersection=intersection,
        predicted=int(found.areas.sum()),
        hits=intersection if truth.real is truth.full else count_under(*runs, truth.real),
        matched=int(np.count_nonzero(verdict.is_found)),
        components=len(found),
        unmatched=alarms,
        unmatched_area=verdict.alarm_area,
        equal_area=area_unlike(found.areas, verdict.is_alarm),
        target_area=truth.targets.areas,
        target_border=truth.target_border,
        target_scr=truth.target_scr,
        target_matched=verdict.is_found,
    )


def check_levels(q: QArray, truth: Truth) -> None:
    """Nothing, when `q` is uint16 of the mask's shape.

    Raises:
        RequestError: otherwise.
    """
    if q.dtype != np.uint16:
        raise RequestError(f"prediction is {q.dtype}, expected uint16 levels; make them with quantise()")
    if q.shape != truth.shape:
        raise RequestError(f"prediction has shape {q.shape} and its mask {truth.shape}, expected the same")


@dataclass(frozen=True, eq=False)
class Counts:
    """The integers of one round over N images with T targets; fields as in `ImageCounts`.

    Attributes:
        target_image: (T,) position of the image each target lies in.
    """

    pixels: IntArray
    labelled: IntArray
    actual: IntArray
    positive: IntArray
    targets: IntArray
    intersection: IntArray
    predicted: IntArray
    hits: IntArray
    matched: IntArray
    components: IntArray
    unmatched: IntArray
    unmatched_area: IntArray
    equal_area: IntArray
    target_image: IntArray
    target_area: IntArray
    target_border: IntArray
    target_scr: FloatArray
    target_matched: BoolArray

    def __len__(self) -> int:
        """Images."""
        return len(self.pixels)

    def take(self, images: ArrayLike) -> Counts:
        """The counts of the images at those positions, in that order; a position may come twice (bootstrap)."""
        chosen = np.asarray(images, dtype=np.int64)
        first = np.searchsorted(self.target_image, chosen)  # targets lie image by image
        held = self.targets[chosen]
        ends = np.cumsum(held)
        targets = np.repeat(first - ends + held, held) + np.arange(held.sum())
        return Counts(
            **{name: getattr(self, name)[chosen] for name in (*TRUTH_FIELDS, *ROUND_FIELDS)},
            **{name: getattr(self, name)[targets] for name in (*TARGET_FIELDS, "target_matched")},
            target_image=np.repeat(np.arange(len(chosen)), held),
        )


def join_counts(parts: Sequence[Counts]) -> Counts:
    """The counts of several lists of images as those of one list, in order.

    Raises:
        RequestError: when there is none.

    >>> one = count_masks([[1, 0]], [[1, 0]])
    >>> join_counts([one, one]).target_image.tolist()
    [0, 1]
    """
    if not parts:
        raise RequestError("counts: no parts, expected at least one")
    columns = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in (*TRUTH_FIELDS, *ROUND_FIELDS, *TARGET_FIELDS, "target_matched")
    }
    firsts = np.cumsum([0, *(len(part) for part in parts[:-1])])
    owners = [part.target_image + first for part, first in zip(parts, firsts, strict=True)]
    return Counts(**columns, target_image=np.concatenate(owners))


def counts_of(images: Sequence[ImageCounts]) -> Counts:
    """The counts of a list of images, in order."""
    writer = _Columns()
    for image in images:
        writer.add([image])
    return writer.table(names=[""] * len(images), sizes=[(0, 0)] * len(images), rounds=1).round(0)


def count_masks(predicted: ArrayLike, mask: ArrayLike) -> Counts:
    """The counts of one binary prediction against one binary mask, at 3 px and 8 neighbours: the smallest example.

    >>> counts = count_masks([[1, 1, 0, 0]], [[0, 1, 1, 0]])
    >>> int(counts.intersection[0]), int(counts.predicted[0]), int(counts.matched[0])
    (1, 2, 1)
    """
    q = np.where(np.asarray(predicted) > 0, LEVELS - 1, 0).astype(np.uint16)
    return counts_of([count_image(q, np.asarray(mask, dtype=np.uint8), scoring=Scoring("example"))])


@dataclass(frozen=True, eq=False)
class CountTable(ArrayTable):
    """The integers of all rounds: what `counts.npz` holds. Fields as in `ImageCounts`, shapes as below.

    Attributes:
        names: of the N images.
        sizes: (N, 2) height and width in pixels.
        pixels, labelled, actual, positive, targets: (N,), the same in every round.
        intersection, predicted, hits, matched, components, unmatched, unmatched_area, equal_area: (R, N).
        target_image, target_area, target_border, target_scr: (T,).
        target_matched: (R, T).
    """

    WHAT = "counts"

    names: tuple[str, ...]
    sizes: IntArray
    pixels: IntArray
    labelled: IntArray
    actual: IntArray
    positive: IntArray
    targets: IntArray
    intersection: IntArray
    predicted: IntArray
    hits: IntArray
    matched: IntArray
    components: IntArray
    unmatched: IntArray
    unmatched_area: IntArray
    equal_area: IntArray
    target_image: IntArray
    target_area: IntArray
    target_border: IntArray
    target_scr: FloatArray
    target_matched: BoolArray

    @property
    def rounds(self) -> int:
        """Feedback rounds that were counted."""
        return len(self.predicted)

    def round(self, index: int) -> Counts:
        """The counts of one round; -1 is the last."""
        return Counts(
            **{name: getattr(self, name) for name in (*TRUTH_FIELDS, *TARGET_FIELDS, "target_image")},
            **{name: getattr(self, name)[index] for name in (*ROUND_FIELDS, "target_matched")},
        )

    def through(self, index: int) -> Counts:
        """The counts of all rounds up to one as one list, each image once a round: what is never reset comes to."""
        return join_counts([self.round(number) for number in range(index + 1)])

    def shapes(self) -> Mapping[str, Shape]:
        n, t, r = len(self.names), len(self.target_image), self.rounds
        return {
            "sizes": (n, 2),
            **dict.fromkeys(TRUTH_FIELDS, (n,)),
            **dict.fromkeys(ROUND_FIELDS, (r, n)),
            **dict.fromkeys(TARGET_FIELDS, (t,)),
            "target_matched": (r, t),
        }


class CountsWriter:
    """Collects the integers of a test list, image by image; keeps nothing else. The first image sets the rounds."""

    def __init__(self, scoring: Scoring) -> None:
        self.scoring = scoring
        self.rounds = 1
        self._names: list[str] = []
        self._sizes: list[tuple[int, int]] = []
        self._columns = _Columns()

    def add(
        self, name: str, rounds: Sequence[QArray], *, truth: NDArray[Any], grey: NDArray[Any] | None = None
    ) -> tuple[ImageCounts, ...]:
        """Count one image's prediction of every round, first to last; the integers are also handed back.

        Raises:
            RequestError: naming the image, when a map is not of the kind asked for or the number of rounds differs.
        """
        try:
            read = read_truth(truth, self.scoring, grey=grey)
        except ValueError as error:
            raise RequestError(f"{name}: {error}") from error
        return self.add_against(name, rounds, read)

    def add_against(self, name: str, rounds: Sequence[QArray], truth: Truth) -> tuple[ImageCounts, ...]:
        """Count one image whose mask has been read before.

        Raises:
            RequestError: naming the image, when a map is not of the kind asked for or the number of rounds differs.
        """
        expected = self.rounds if self._names else max(len(rounds), 1)
        if len(rounds) != expected:
            raise RequestError(f"{name}: {len(rounds)} rounds, expected {expected} as for the images before it")
        try:
            counted = tuple(count_against(q, truth, scoring=self.scoring) for q in rounds)
        except ValueError as error:
            raise RequestError(f"{name}: {error}") from error
        self.rounds = expected
        self._names.append(name)
        self._sizes.append(truth.shape)
        self._columns.add(counted)
        return counted

    def table(self) -> CountTable:
        """Everything added so far."""
        return self._columns.table(names=self._names, sizes=self._sizes, rounds=self.rounds)


class _Columns:
    """Image counts, turned from records of images into columns of a table."""

    def __init__(self) -> None:
        self._images: list[Sequence[ImageCounts]] = []

    def add(self, rounds: Sequence[ImageCounts]) -> None:
        self._images.append(rounds)

    def table(self, *, names: Sequence[str], sizes: Sequence[tuple[int, int]], rounds: int) -> CountTable:
        firsts = [image[0] for image in self._images]
        by_round = [[image[r] for image in self._images] for r in range(rounds)]
        columns: dict[str, NDArray[Any]] = {
            name: np.array([getattr(image, name) for image in firsts], dtype=np.int64) for name in TRUTH_FIELDS
        }
        for name in ROUND_FIELDS:
            values = [[getattr(image, name) for image in images] for images in by_round]
            columns[name] = np.array(values, dtype=np.int64).reshape(rounds, len(firsts))
        for name, dtype in zip(TARGET_FIELDS, (np.int64, np.int64, np.float64), strict=True):
            columns[name] = _joined([getattr(image, name) for image in firsts], dtype)
        matched = [_joined([image.target_matched for image in images], np.bool_) for images in by_round]
        return CountTable(
            names=tuple(names),
            sizes=np.array(sizes, dtype=np.int64).reshape(len(sizes), 2),
            target_image=np.repeat(np.arange(len(firsts)), columns["targets"]),
            target_matched=np.stack(matched),
            **columns,
        )


def _joined(parts: Sequence[NDArray[Any]], dtype: type) -> NDArray[Any]:
    return np.concatenate([np.zeros(0, dtype=dtype), *parts]).astype(dtype)


def join_tables(parts: Sequence[CountTable]) -> CountTable:
    """One table of several lists of images with the same rounds, in order: what shards come to together.

    A list without images adds nothing.

    Raises:
        RequestError: when there is none, or their rounds differ.
    """
    parts = [part for part in parts if part.names] or parts[:1]
    if not parts or len({part.rounds for part in parts}) != 1:
        raise RequestError(f"counts: parts have {[p.rounds for p in parts]} rounds, expected one number for all")
    starts = np.cumsum([0, *(len(part.names) for part in parts)])
    columns = {
        name: np.concatenate([getattr(part, name) for part in parts], axis=-1)
        for name in (*TRUTH_FIELDS, *ROUND_FIELDS, *TARGET_FIELDS, "target_matched")
    }
    return CountTable(
        names=tuple(name for part in parts for name in part.names),
        sizes=np.concatenate([part.sizes for part in parts]),
        target_image=np.concatenate([p.target_image + start for p, start in zip(parts, starts, strict=False)]),
        **columns,
    )
