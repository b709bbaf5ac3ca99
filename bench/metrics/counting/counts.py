"""Integers of predictions against ground truth, counted once; every score is a function of them.

Images N, targets T, rounds R. `bench.metrics.counting.truth` defines the words for readings of a mask.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar, get_type_hints

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.arrays import BoolArray, FloatArray, IntArray, LevelArray
from bench.errors import RequestError
from bench.metrics.counting.array_table import ArrayTable, Shape
from bench.metrics.counting.labelled_map import LabelledMap, check_levels, label_map
from bench.metrics.counting.labelling import area_unlike, count_under
from bench.metrics.counting.levels import LEVELS
from bench.metrics.counting.matching import match_targets
from bench.metrics.counting.truth import Truth, read_truth
from bench.types import Scoring

Whole = TypeVar("Whole", int, IntArray)
"""A number of one image, or an array of those of many."""


class CountedOf(NamedTuple):
    """Description of a field: the thing it is counted of, and the type of its values."""

    of: Literal["mask", "map", "target", "target of a map"]
    dtype: type[np.generic] = np.int64


@dataclass(frozen=True, eq=False)
class CountFields(Generic[Whole]):
    """The integers of predictions. Those of masks and of their targets are the same in every round.

    For a binary mask `labelled`, `actual` and `positive` are one number, and so are `intersection` and `hits`.

    Attributes:
        pixels: of the image.
        labelled: pixels of the label area of the IoU (soft: mask from 0.5 to 1.0).
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

    pixels: Annotated[Whole, CountedOf("mask")]
    labelled: Annotated[Whole, CountedOf("mask")]
    actual: Annotated[Whole, CountedOf("mask")]
    positive: Annotated[Whole, CountedOf("mask")]
    targets: Annotated[Whole, CountedOf("mask")]
    intersection: Annotated[Whole, CountedOf("map")]
    predicted: Annotated[Whole, CountedOf("map")]
    hits: Annotated[Whole, CountedOf("map")]
    matched: Annotated[Whole, CountedOf("map")]
    components: Annotated[Whole, CountedOf("map")]
    unmatched: Annotated[Whole, CountedOf("map")]
    unmatched_area: Annotated[Whole, CountedOf("map")]
    equal_area: Annotated[Whole, CountedOf("map")]
    target_area: Annotated[IntArray, CountedOf("target")]
    target_border: Annotated[IntArray, CountedOf("target")]
    target_scr: Annotated[FloatArray, CountedOf("target", np.float64)]
    target_matched: Annotated[BoolArray, CountedOf("target of a map", np.bool_)]


COLUMNS: Mapping[str, CountedOf] = {
    name: next(mark for mark in hint.__metadata__ if isinstance(mark, CountedOf))
    for name, hint in get_type_hints(CountFields, include_extras=True).items()
}
"""Every field of `CountFields` by name."""


def _names(*of: str) -> tuple[str, ...]:
    return tuple(name for name, column in COLUMNS.items() if column.of in of)


TRUTH_FIELDS, ROUND_FIELDS, TARGET_FIELDS = _names("mask"), _names("map"), _names("target")


@dataclass(frozen=True, eq=False)
class ImageCounts(CountFields[int]):
    """The integers of one prediction of one image."""


def count_image(
    levels: LevelArray, truth: NDArray[Any], *, scoring: Scoring, grey: NDArray[Any] | None = None
) -> ImageCounts:
    """Count one prediction against one mask.

    Args:
        levels: (H, W) uint16, from `quantise`.
        truth: (H, W), see `read_truth`.
        grey: (H, W) grey levels, for the signal-to-clutter ratios.

    Raises:
        RequestError: when a map is not of the kind asked for, or shapes differ.
    """
    return count_against(levels, read_truth(truth, scoring, grey=grey), scoring=scoring)


def count_against(levels: LevelArray, truth: Truth, *, scoring: Scoring) -> ImageCounts:
    """Count one prediction against a mask that has been read before.

    Raises:
        RequestError: when the map is not uint16 or differs in shape from the mask.
    """
    check_levels(levels, truth)
    labelled = label_map(levels, threshold=scoring.threshold, connectivity=scoring.connectivity)
    return count_labelled(labelled, truth, scoring)


def count_labelled(labelled: LabelledMap, truth: Truth, scoring: Scoring) -> ImageCounts:
    """Count one prediction that has been labelled before, at the scoring's threshold and connectivity."""
    found = labelled.components
    runs = found.run_rows, found.run_starts, found.run_ends
    intersection = count_under(*runs, truth.full)
    matches = match_targets(truth.full, truth.targets, labelled.predicted, found, scoring)
    return ImageCounts(
        pixels=truth.full.size,
        labelled=truth.labelled,
        actual=truth.actual,
        positive=truth.positive,
        targets=len(truth.targets),
        intersection=intersection,
        predicted=int(found.areas.sum()),
        hits=intersection if truth.real is truth.full else count_under(*runs, truth.real),
        matched=int(np.count_nonzero(matches.is_found)),
        components=len(found),
        unmatched=int(np.count_nonzero(matches.is_alarm)),
        unmatched_area=matches.alarm_area,
        equal_area=area_unlike(found.areas, matches.is_alarm),
        target_area=truth.targets.areas,
        target_border=truth.target_border,
        target_scr=truth.target_scr,
        target_matched=matches.is_found,
    )


@dataclass(frozen=True, eq=False)
class Counts(CountFields[IntArray]):
    """The integers of one round over N images (N,) with T targets.

    Attributes:
        target_image: (T,) position of the image each target lies in.
    """

    target_image: IntArray

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
            **{
                name: getattr(self, name)[targets if column.of.startswith("target") else chosen]
                for name, column in COLUMNS.items()
            },
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
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in COLUMNS}
    firsts = np.cumsum([0, *(len(part) for part in parts[:-1])])
    owners = [part.target_image + first for part, first in zip(parts, firsts, strict=True)]
    return Counts(**columns, target_image=np.concatenate(owners))


def counts_of(images: Sequence[ImageCounts]) -> Counts:
    """The counts of a list of images, in order."""
    writer = CountsWriter(Scoring(""))
    for image in images:
        writer.append("", [image], size=(0, 0))
    return writer.table().round(0)


def count_masks(predicted: ArrayLike, mask: ArrayLike) -> Counts:
    """The counts of one binary prediction against one binary mask, at 3 px and 8 neighbours: the smallest example.

    >>> counts = count_masks([[1, 1, 0, 0]], [[0, 1, 1, 0]])
    >>> int(counts.intersection[0]), int(counts.predicted[0]), int(counts.matched[0])
    (1, 2, 1)
    """
    levels = np.where(np.asarray(predicted) > 0, LEVELS - 1, 0).astype(np.uint16)
    return counts_of([count_image(levels, np.asarray(mask, dtype=np.uint8), scoring=Scoring("example"))])


@dataclass(frozen=True, eq=False)
class CountTable(ArrayTable, CountFields[IntArray]):
    """The integers of all rounds: what `counts.npz` holds.

    Fields of masks are (N,), of maps (R, N), of targets (T,), and `target_matched` is (R, T).

    Attributes:
        names: of the N images.
        sizes: (N, 2) height and width in pixels.
        target_image: (T,) position of the image each target lies in.
    """

    WHAT = "counts"

    names: tuple[str, ...]
    sizes: IntArray
    target_image: IntArray

    @property
    def rounds(self) -> int:
        """Feedback rounds that were counted."""
        return len(self.predicted)

    def round(self, index: int) -> Counts:
        """The counts of one round; -1 is the last."""
        return Counts(
            **{n: getattr(self, n)[index] if "map" in column.of else getattr(self, n) for n, column in COLUMNS.items()},
            target_image=self.target_image,
        )

    def through(self, index: int) -> Counts:
        """The counts of all rounds up to one as one list, each image once a round; as sums that are never reset."""
        return join_counts([self.round(number) for number in range(index + 1)])

    def shapes(self) -> Mapping[str, Shape]:
        n, t, r = len(self.names), len(self.target_image), self.rounds
        shapes = {"mask": (n,), "map": (r, n), "target": (t,), "target of a map": (r, t)}
        return {"sizes": (n, 2), **{name: shapes[column.of] for name, column in COLUMNS.items()}}


class CountsWriter:
    """Collects the integers of a test list, image by image; keeps nothing else. The first image sets the rounds."""

    def __init__(self, scoring: Scoring) -> None:
        self.scoring = scoring
        self.rounds = 1
        self._names: list[str] = []
        self._sizes: list[tuple[int, int]] = []
        self._images: list[Sequence[ImageCounts]] = []

    def add(
        self, name: str, rounds: Sequence[LevelArray], *, truth: NDArray[Any], grey: NDArray[Any] | None = None
    ) -> tuple[ImageCounts, ...]:
        """Count one image's prediction of every round, first to last, and return its integers.

        Raises:
            RequestError: naming the image, when a map is not of the kind asked for or the number of rounds differs.
        """
        self._check_rounds(name, len(rounds))
        try:
            read = read_truth(truth, self.scoring, grey=grey)
            counted = tuple(count_against(levels, read, scoring=self.scoring) for levels in rounds)
        except RequestError as error:
            raise RequestError(f"{name}: {error}") from error
        self.append(name, counted, size=read.shape)
        return counted

    def append(self, name: str, rounds: Sequence[ImageCounts], *, size: tuple[int, int]) -> None:
        """Take one image's integers of every round.

        Raises:
            RequestError: naming the image, when the number of rounds differs from that of the images before it.
        """
        self._check_rounds(name, len(rounds))
        self.rounds = len(rounds)
        self._names.append(name)
        self._sizes.append(size)
        self._images.append(rounds)

    def _check_rounds(self, name: str, rounds: int) -> None:
        expected = self.rounds if self._images else max(rounds, 1)
        if rounds != expected:
            raise RequestError(f"{name}: {rounds} rounds, expected {expected} as for the images before it")

    def extend(self, other: CountsWriter) -> None:
        """Take the images of another, behind one's own."""
        for name, rounds, size in zip(other._names, other._images, other._sizes, strict=True):
            self.append(name, rounds, size=size)

    def table(self) -> CountTable:
        """Everything added so far."""
        by_round = [[image[r] for image in self._images] for r in range(self.rounds)]
        columns: dict[str, NDArray[Any]] = {}
        for name, (of, dtype) in COLUMNS.items():
            values = [[getattr(image, name) for image in images] for images in by_round]
            if of.startswith("target"):
                stacked = np.stack([np.concatenate([np.zeros(0, dtype), *parts]).astype(dtype) for parts in values])
            else:
                stacked = np.array(values, dtype=dtype).reshape(self.rounds, len(self._images))
            columns[name] = stacked if "map" in of else stacked[0]
        return CountTable(
            names=tuple(self._names),
            sizes=np.array(self._sizes, dtype=np.int64).reshape(len(self._sizes), 2),
            target_image=np.repeat(np.arange(len(self._images)), columns["targets"]),
            **columns,
        )


def join_tables(parts: Sequence[CountTable]) -> CountTable:
    """Join the tables of several lists of images, in order; all have the same rounds.

    A list without images adds nothing.

    Raises:
        RequestError: when there is none, or their rounds differ.
    """
    parts = [part for part in parts if part.names] or parts[:1]
    if not parts or len({part.rounds for part in parts}) != 1:
        raise RequestError(f"counts: parts have {[p.rounds for p in parts]} rounds, expected one number for all")
    starts = np.cumsum([0, *(len(part.names) for part in parts)])
    columns = {name: np.concatenate([getattr(part, name) for part in parts], axis=-1) for name in COLUMNS}
    return CountTable(
        names=tuple(name for part in parts for name in part.names),
        sizes=np.concatenate([part.sizes for part in parts]),
        target_image=np.concatenate([p.target_image + start for p, start in zip(parts, starts, strict=False)]),
        **columns,
    )
