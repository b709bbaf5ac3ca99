"""The results of metrics: values made of sums over images, which have intervals, and values alone.

Resampling images means weighting them: a bootstrap resample gives every image the number of times it was drawn, a
list without one image gives it 0. A statistic therefore keeps its terms image by image. N images, K terms an image.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.arrays import FloatArray
from bench.errors import RequestError


@dataclass(frozen=True)
class Value:
    """A value without terms of single images, which therefore has no interval; or None with the reason.

    Medians are such values, and what is read off a curve over all thresholds, whose counts are those of the list.

    Attributes:
        reason: why there is no value; or a remark on the one there is.
    """

    value: float | None
    reason: str = ""


class Statistic(ABC):
    """A value that depends on images only through the sums of K terms an image.

    A new kind of statistic defines its terms and the value of their sums; the rest follows.

    Attributes:
        reason: why there is no value, where the metric's own reason does not say it; or a remark on the one there is.
    """

    reason: str = ""

    @property
    @abstractmethod
    def terms(self) -> FloatArray:
        """(K, N) what every image adds to each of the K sums; integers stay exact up to 2^53."""

    @staticmethod
    @abstractmethod
    def of_sums(sums: FloatArray) -> FloatArray:
        """(K, ...) sums to (...) values, NaN where they leave it undefined."""

    def __len__(self) -> int:
        """Images."""
        return int(self.terms.shape[1])

    def value(self) -> float | None:
        """The value over all images, or None where it is undefined."""
        found = float(self.of_sums(self.terms.sum(axis=1)))
        return None if np.isnan(found) else found

    def weighted(self, weights: ArrayLike) -> FloatArray:
        """(R,) the values under R weightings of the images, NaN where undefined.

        Args:
            weights: (R, N) how often each image counts, 0 or more.

        >>> Ratio.of([1, 3], [2, 4]).weighted([[1, 1], [2, 0], [0, 0]]).round(3).tolist()
        [0.667, 0.5, nan]
        """
        return self.of_sums(self.terms @ np.asarray(weights, dtype=np.float64).T)


@dataclass(frozen=True, eq=False)
class Ratio(Statistic):
    """The sum of one term over the sum of another; undefined where the latter is zero.

    Attributes:
        part, whole: (N,) of every image.
    """

    part: FloatArray
    whole: FloatArray

    def __post_init__(self) -> None:
        if self.part.ndim != 1 or self.part.shape != self.whole.shape:
            raise RequestError(
                f"ratio: part has shape {self.part.shape} and whole {self.whole.shape}, expected (images,) for both"
            )

    @classmethod
    def of(cls, part: ArrayLike, whole: ArrayLike) -> Ratio:
        """The ratio of terms that may be integers; one number stands for the same in every image.

        Raises:
            RequestError: when the two are not one number an image each.

        >>> Ratio.of([1, 2], [4, 8]).value()
        0.25
        >>> Ratio.of([1, 2], 1).value()
        1.5
        >>> Ratio.of([0], [0]).value() is None
        True
        """
        numerator = np.asarray(part, dtype=np.float64)
        denominator = np.asarray(whole, dtype=np.float64)
        return cls(numerator, np.full(numerator.shape, denominator) if not denominator.ndim else denominator)

    @property
    def terms(self) -> FloatArray:
        """(2, N) part and whole."""
        return np.stack([self.part, self.whole])

    @staticmethod
    def of_sums(sums: FloatArray) -> FloatArray:
        """The first sum over the second."""
        return _share(sums[0], sums[1])


@dataclass(frozen=True, eq=False)
class MemberMean(Statistic):
    """The sum of values that belong to images, such as those of matched pairs, over the sum of a number an image.

    Undefined where that is zero. The value over all images adds up the members themselves, not the sums of images, so
    that a mean over members is numpy's to the last bit.

    Attributes:
        values: (M,) of every member.
        owner: (M,) position of the image that a member belongs to.
        whole: (N,) of every image; the number of its members makes the mean over members.

    >>> MemberMean.of([0.5, 0.25], owner=[1, 1], whole=[0, 2, 1]).value()
    0.25
    """

    values: FloatArray
    owner: NDArray[np.int64]
    whole: FloatArray
    reason: str = ""

    @classmethod
    def of(cls, values: ArrayLike, *, owner: ArrayLike, whole: ArrayLike, reason: str = "") -> MemberMean:
        """The statistic of arrays or lists, which may be integers."""
        numbers, places = np.asarray(values, dtype=np.float64), np.asarray(owner, dtype=np.int64)
        return cls(numbers, places, np.asarray(whole, dtype=np.float64), reason)

    @property
    def terms(self) -> FloatArray:
        """(2, N) sum of the values of every image, and its whole."""
        return np.stack([np.bincount(self.owner, weights=self.values, minlength=len(self.whole)), self.whole])

    @staticmethod
    def of_sums(sums: FloatArray) -> FloatArray:
        """The first sum over the second."""
        return _share(sums[0], sums[1])

    def value(self) -> float | None:
        """The value over all images, or None where it is undefined."""
        total = float(self.whole.sum())
        return float(self.values.sum()) / total if total else None


def mean_over_images(part: ArrayLike, whole: ArrayLike, *, undefined: float | None = None) -> Ratio:
    """The mean over images of each image's own ratio, part over whole.

    Args:
        part, whole: (N,) of every image.
        undefined: what an image whose whole is zero counts as; without it such an image is left out of the mean.

    >>> mean_over_images([1, 0], [2, 0]).value(), mean_over_images([1, 0], [2, 0], undefined=0.0).value()
    (0.5, 0.25)
    """
    own = _share(np.asarray(part, dtype=np.float64), np.asarray(whole, dtype=np.float64))
    is_undefined = np.isnan(own)
    filled = np.where(is_undefined, undefined or 0.0, own)
    return Ratio(filled, np.ones(len(own)) if undefined is not None else (~is_undefined).astype(np.float64))


@dataclass(frozen=True, eq=False)
class HarmonicMean(Statistic):
    """The harmonic mean of two ratios, as F1 is of a precision and a recall; undefined where either is or both are 0.

    >>> HarmonicMean(Ratio.of([1], [2]), Ratio.of([1], [1])).value()
    0.6666666666666666
    """

    one: Ratio
    other: Ratio

    @property
    def terms(self) -> FloatArray:
        """(4, N) part and whole of the one, then of the other."""
        return np.concatenate([self.one.terms, self.other.terms])

    @staticmethod
    def of_sums(sums: FloatArray) -> FloatArray:
        """Twice the product of the two ratios over their sum."""
        one, other = Ratio.of_sums(sums[:2]), Ratio.of_sums(sums[2:])
        return _share(2 * one * other, one + other)


def _share(part: FloatArray, whole: FloatArray) -> FloatArray:
    """Part over whole, NaN where the whole is zero or either is NaN."""
    if np.all(whole):  # as nearly always: a division of whole arrays is several times as fast as a masked one
        return np.asarray(np.divide(part, whole))
    nothing: Any = np.full(np.shape(part), np.nan)
    return np.asarray(np.divide(part, whole, out=nothing, where=whole != 0))
