"""Changes between feedback rounds: how many pixels still change, when the mask settles, and where it began.

Integers of one image's maps of all rounds at the network's size, and of its start mask; `rounds.npz` holds them.
Images N, rounds R.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.arrays import IntArray, LevelArray
from bench.errors import RequestError
from bench.metrics.counting.array_table import ArrayTable, Shape
from bench.metrics.counting.levels import threshold_level
from bench.types import Scoring

IMAGE_FIELDS = ("pixels", "fixed", "repeats", "flicker", "start_intersection", "start_predicted", "actual")


@dataclass(frozen=True)
class ImageRounds:
    """Changes between the rounds of one image. A pixel is on where its probability is above the threshold.

    Attributes:
        pixels: of the map.
        changed: R - 1 numbers: pixels that are on in one of two consecutive rounds and off in the other.
        fixed: first round, from 1, whose binary mask stays the same to the end; R when the last step changed it.
        repeats: first round, from 1, whose levels are those of the round before bit for bit; 0 if there is none.
        flicker: pixels that went on or off more than once.
        start_intersection: pixels of the start mask (above 0.5) that lie on a target.
        start_predicted: pixels of the start mask.
        actual: target pixels.
    """

    pixels: int
    changed: tuple[int, ...]
    fixed: int
    repeats: int
    flicker: int
    start_intersection: int
    start_predicted: int
    actual: int


def follow_image(
    levels: LevelArray, *, mask: NDArray[Any], start: NDArray[Any] | None = None, scoring: Scoring
) -> ImageRounds:
    """Count the changes between one image's rounds.

    Args:
        levels: (R, H, W) uint16, from `bench.metrics.counting.levels.quantise`.
        mask: (H, W) in {0, 1}, the ground truth at the maps' size.
        start: (H, W) in [0, 1], the first feedback mask; None, which counts as an empty one, where none was fed.

    Raises:
        RequestError: when the maps are not uint16, there is none, or the shapes differ.

    >>> maps = np.array([[[9, 0, 0]], [[9, 9, 0]], [[9, 0, 0]], [[9, 0, 0]]], np.uint16)
    >>> mask, start, above_zero = np.array([[1, 0, 0]]), np.array([[1, 1, 0]]), Scoring("above zero", threshold=0.0)
    >>> one = follow_image(maps, mask=mask, start=start, scoring=above_zero)
    >>> one.changed, one.fixed, one.repeats, one.flicker
    ((1, 1, 0), 3, 4, 1)
    >>> one.start_intersection, one.start_predicted, one.actual, one.pixels
    (1, 2, 1, 3)
    """
    start = np.zeros(mask.shape) if start is None else start
    _check(levels, mask, start)
    is_on = levels > threshold_level(scoring.threshold)
    moves = is_on[1:] != is_on[:-1]  # (R - 1, H, W)
    changed = np.count_nonzero(moves, axis=(1, 2))
    same = (levels[1:] == levels[:-1]).all(axis=(1, 2))
    began = start > 0.5
    return ImageRounds(
        pixels=mask.size,
        changed=tuple(changed.tolist()),
        fixed=int(np.flatnonzero(changed).max(initial=-1)) + 2,
        repeats=int(np.flatnonzero(same)[0]) + 2 if same.any() else 0,
        flicker=int(np.count_nonzero(np.count_nonzero(moves, axis=0) > 1)),
        start_intersection=int(np.count_nonzero(began & (mask > 0))),
        start_predicted=int(np.count_nonzero(began)),
        actual=int(np.count_nonzero(mask)),
    )


def _check(levels: LevelArray, mask: NDArray[Any], start: NDArray[Any]) -> None:
    if levels.dtype != np.uint16:
        raise RequestError(f"maps are {levels.dtype}, expected uint16 levels; make them with quantise()")
    if levels.ndim != 3 or not len(levels):
        raise RequestError(f"maps have shape {levels.shape}, expected (rounds, height, width) with at least one round")
    for what, plane in (("mask", mask), ("start mask", start)):
        if plane.shape != levels.shape[1:]:
            raise RequestError(f"{what} has shape {plane.shape} and its maps {levels.shape[1:]}, expected the same")


@dataclass(frozen=True, eq=False)
class RoundTable(ArrayTable):
    """The integers of a test list: what `rounds.npz` holds. Fields as in `ImageRounds`, shapes as below.

    Attributes:
        names: of the N images.
        changed: (R - 1, N).
        pixels, fixed, repeats, flicker, start_intersection, start_predicted, actual: (N,).
    """

    WHAT = "rounds"
    AGAIN = "predict"

    names: tuple[str, ...]
    pixels: IntArray
    changed: IntArray
    fixed: IntArray
    repeats: IntArray
    flicker: IntArray
    start_intersection: IntArray
    start_predicted: IntArray
    actual: IntArray

    @property
    def rounds(self) -> int:
        """Feedback rounds that were followed."""
        return len(self.changed) + 1

    def shapes(self) -> Mapping[str, Shape]:
        n, steps = len(self.names), len(np.atleast_1d(self.changed))
        return {**dict.fromkeys(IMAGE_FIELDS, (n,)), "changed": (steps, n)}


class RoundsWriter:
    """Follows the rounds of a test list, image by image; keeps integers alone. The first image sets the rounds."""

    def __init__(self, scoring: Scoring) -> None:
        self.scoring = scoring
        self._names: list[str] = []
        self._images: list[ImageRounds] = []

    def add(
        self, name: str, levels: LevelArray, *, mask: NDArray[Any], start: NDArray[Any] | None = None
    ) -> ImageRounds:
        """Follow one image; arguments as in `follow_image`. Returns the integers.

        Raises:
            RequestError: naming the image, when a map is not of the kind asked for or the number of rounds differs.
        """
        try:
            found = follow_image(levels, mask=mask, start=start, scoring=self.scoring)
        except ValueError as error:
            raise RequestError(f"{name}: {error}") from error
        first = self._images[0] if self._images else found
        if len(found.changed) != len(first.changed):
            rounds, expected = len(found.changed) + 1, len(first.changed) + 1
            raise RequestError(f"{name}: {rounds} rounds, expected {expected} as for the images before it")
        self._names.append(name)
        self._images.append(found)
        return found

    def table(self) -> RoundTable:
        """Everything added so far."""
        steps = len(self._images[0].changed) if self._images else 0
        columns = {name: np.array([getattr(i, name) for i in self._images], dtype=np.int64) for name in IMAGE_FIELDS}
        changed = np.array([[image.changed[step] for image in self._images] for step in range(steps)], dtype=np.int64)
        return RoundTable(tuple(self._names), changed=changed.reshape(steps, len(self._images)), **columns)
