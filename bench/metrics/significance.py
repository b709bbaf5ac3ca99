"""Intervals from resampled images and seeds, tests of differences, and the smallest difference a list can show.

Images are resampled by weights, all methods under the same ones, so that a difference is taken image by image; a value
under ten thousand weightings is one product of matrices. Every random draw comes from a passed generator. What cannot
be told is None with a reason, never NaN. N images, R resamples, S seeds, K terms (see `Statistic`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from bench.arrays import FloatArray
from bench.errors import RequestError
from bench.metrics.counting.counts import Counts, CountTable
from bench.metrics.statistic import Statistic

RESAMPLES = 10_000
LEVEL = 0.95
CHUNK = 2**20
"""Weights held at once: 8 MiB."""

WHOLE_IN_SINGLE = 2**24
"""Whole numbers below it, and sums that stay below it, are exact in single precision."""

MOST_UNDEFINED = 0.05
"""Share of the resamples that may leave a metric undefined; they are left out of its interval."""

ROUNDING = 1e-12
"""Differences that are equal but for this part of the values are ties."""

Seeds = Sequence[Statistic]
"""One metric of one method: a statistic a seed, all over the same images."""


@dataclass(frozen=True)
class Interval:
    """A value with its confidence limits, or without them and the reason."""

    value: float | None
    low: float | None = None
    high: float | None = None
    reason: str = ""

    def contains(self, value: float) -> bool:
        """True where there are limits and the value lies between them, or on one.

        >>> Interval(0.2, -0.1, 0.5).contains(0.0), Interval(0.2, reason="one image").contains(0.2)
        (True, False)
        """
        return self.low is not None and self.high is not None and self.low <= value <= self.high


@dataclass(frozen=True, eq=False)
class Bootstrap:
    """A value, or a difference of two, under resamples.

    Attributes:
        value: over all images, mean over seeds; None where undefined.
        draws: (R,) the value in every resample, NaN where undefined.
        left_out: per sample that was drawn from (images; seeds, where there are several), the (N,) or (S,) values
            without each of its members; of a difference, the seeds of both methods.
        shares_seeds: True where its seeds were drawn together with those of the other values of its call.
    """

    value: float | None
    draws: FloatArray
    left_out: tuple[FloatArray, ...]
    shares_seeds: bool = False

    def minus(self, other: Bootstrap) -> Bootstrap:
        """The difference to another value, resample by resample; images are paired, and seeds where they are shared.

        Raises:
            RequestError: when the two were not drawn together.
        """
        (images, *seeds), (theirs, *other_seeds) = self.left_out, other.left_out
        if len(self.draws) != len(other.draws) or len(images) != len(theirs):
            raise RequestError(
                f"bootstrap: {len(self.draws)} resamples of {len(images)} images and {len(other.draws)} of "
                f"{len(theirs)}, expected the same; draw both in one call"
            )
        undefined = self.value is None or other.value is None
        shares_seeds = self.shares_seeds and other.shares_seeds
        both = [mine - its for mine, its in zip(seeds, other_seeds, strict=True)] if shares_seeds else []
        return Bootstrap(
            value=None if undefined else (self.value or 0.0) - (other.value or 0.0),
            draws=self.draws - other.draws,
            left_out=(images - theirs, *(both or (*seeds, *(-values for values in other_seeds)))),
            shares_seeds=shares_seeds,
        )

    @cached_property
    def _defined(self) -> FloatArray:
        """The draws that are defined."""
        is_undefined = np.isnan(self.draws)
        return self.draws[~is_undefined] if is_undefined.any() else self.draws

    @cached_property
    def reason(self) -> str:
        """Reason for having no limits; empty where there are limits.

        A value that is the same in every resample has none: the bootstrap cannot see what the images at hand do not
        show, and an interval without width would claim certainty.
        """
        images = len(self.left_out[0])
        if images < 2:
            return "no images" if not images else "one image: nothing to resample"
        if self.value is None:
            return "undefined over the list"
        undefined = (len(self.draws) - len(self._defined)) / len(self.draws)
        if undefined > MOST_UNDEFINED:
            return f"undefined in {undefined:.0%} of the resamples"
        if any(np.isnan(values).any() for values in self.left_out):
            return "undefined without one of the images"
        low, high = float(self._defined.min()), float(self._defined.max())
        if high - low <= ROUNDING * max(abs(self.value), abs(low), abs(high)):
            return "the same in every resample"
        return ""

    def interval(self, level: float = LEVEL) -> Interval:
        """The BCa interval: percentiles of the draws, corrected for bias and for acceleration.

        Bias from the share of draws below the value (ties half), acceleration from the values without one image and
        without one seed. Of several samples the acceleration takes the members of all, as scipy does.

        Source: B. Efron, "Better bootstrap confidence intervals", JASA 82(397), 1987.

        Raises:
            RequestError: when the level is not between 0 and 1.
        """
        if not 0 < level < 1:
            raise RequestError(f"level is {level!r}, expected a share between 0 and 1, as 0.95")
        if self.value is None or self.reason:
            return Interval(self.value, reason=self.reason)
        draws = self._defined
        tail = (1 - level) / 2
        shares = _bca_shares(draws, self.value, _acceleration(self.left_out), np.array([tail, 1 - tail]))
        low, high = np.quantile(draws, shares).tolist()
        return Interval(self.value, low, high)

    @property
    def deviation(self) -> float | None:
        """The standard error: sample standard deviation of the draws; None where there are no limits."""
        return None if self.reason else float(np.std(self._defined, ddof=1))

    def smallest_detectable(self, *, alpha: float = 0.05, power: float = 0.8) -> float | None:
        """The true difference that a test at `alpha`, two-sided, would find with probability `power` on such a list.

        (z(1 - alpha/2) + z(power)) x standard error of the difference, 2.80 of them at 0.05 and 0.8. It speaks of a
        single comparison; after a correction for many it is larger. None where there is no standard error.

        Source: J. Cohen, Statistical Power Analysis, 1988; normal approximation.
        """
        error = self.deviation
        return None if error is None else float(ndtri(1 - alpha / 2) + ndtri(power)) * error


def _bca_shares(draws: FloatArray, value: float, acceleration: float, tails: FloatArray) -> FloatArray:
    """(2,) which percentiles of the draws the limits are, as shares."""
    count = len(draws)
    below = (np.count_nonzero(draws < value) + np.count_nonzero(draws <= value)) / (2 * count)
    bias = ndtri(np.clip(below, 0.5 / count, 1 - 0.5 / count))
    reach = bias + ndtri(tails)
    room = 1 - acceleration * reach
    with np.errstate(divide="ignore"):
        shares = np.where(room > 0, ndtr(bias + reach / np.where(room > 0, room, 1.0)), reach > 0)
    return np.asarray(shares)


def _acceleration(left_out: Sequence[FloatArray]) -> float:
    """Skewness of the influence of single members over six, over all samples together; 0 where none has any."""
    cubes = squares = 0.0
    for values in left_out:
        n = len(values)
        influence = (n - 1) * (values.mean() - values)
        cubes += float((influence**3).sum()) / n**3
        squares += float((influence**2).sum()) / n**2
    return cubes / (6 * squares**1.5) if squares > 0 else 0.0


def bootstrap(
    groups: Sequence[Seeds],
    *,
    generator: np.random.Generator,
    resamples: int = RESAMPLES,
    share_seeds: bool = False,
) -> list[Bootstrap]:
    """The values of all groups under the same resamples of the images.

    With one seed that is the paired bootstrap over images. With several, seeds are resampled as well, those of each
    group by themselves, and the value is the mean over the seeds drawn. Test images and seeds are crossed: every seed
    was tested on the same images, so a resample takes the same images of all its seeds.

    Source: B. Efron, Annals of Statistics 7(1), 1979; for crossed samples A. B. Owen, "The pigeonhole bootstrap",
    Annals of Applied Statistics 1(2), 2007.

    Args:
        share_seeds: the groups are of the same trainings in the same order, as the rounds of one network are: what is
            drawn of the seeds is the same for all groups.

    Raises:
        RequestError: when lists of images differ in length, a group is empty, there is no resample, or groups that
            share their seeds have different numbers of them.

    >>> from bench.metrics.statistic import Ratio
    >>> found, = bootstrap([[Ratio.of([0, 1, 1, 1, 0, 1, 1, 1], 1)]], generator=np.random.default_rng(0))
    >>> found.interval()
    Interval(value=0.75, low=0.375, high=1.0, reason='')
    """
    images = _common_length(groups)
    if resamples < 1:
        raise RequestError(f"resamples is {resamples}, expected at least 1; {RESAMPLES} are usual")
    if share_seeds and len({len(seeds) for seeds in groups}) > 1:
        raise RequestError(f"statistics: {[len(seeds) for seeds in groups]} seeds in groups of the same trainings")
    if not images:
        return [Bootstrap(None, np.full(resamples, np.nan), (np.zeros(0),)) for _ in groups]
    (of_seeds,) = generator.spawn(1)
    every = [statistic for seeds in groups for statistic in seeds]
    drawn = _weighted(every, _image_weights(images, resamples, generator), rows=resamples)
    shared = _seeds_drawn(len(groups[0]), resamples, of_seeds) if share_seeds else None
    found, first = [], 0
    for seeds in groups:
        chosen = _seeds_drawn(len(seeds), resamples, of_seeds) if shared is None else shared
        found.append(replace(_over_seeds(seeds, drawn[first : first + len(seeds)], chosen), shares_seeds=share_seeds))
        first += len(seeds)
    return found


def _seeds_drawn(count: int, resamples: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """(S, R) the seeds of every resample; one seed is not drawn."""
    return generator.integers(0, count, size=(count if count > 1 else 0, resamples))


def _over_seeds(seeds: Seeds, drawn: FloatArray, chosen: NDArray[np.int64]) -> Bootstrap:
    """The mean over seeds, resampled where there are several; `drawn` (S, R) are theirs under resampled images."""
    values = np.array([np.nan if (value := own.value()) is None else value for own in seeds])
    without_image = np.mean([_without_each(own) for own in seeds], axis=0)
    value = None if np.isnan(values).any() else float(values.mean())
    count = len(seeds)
    if count == 1:
        return Bootstrap(value, drawn[0], (without_image,))
    draws = drawn[chosen, np.arange(drawn.shape[1])].mean(axis=0)
    without_seed = (values.sum() - values) / (count - 1)
    return Bootstrap(value, draws, (without_image, without_seed))


def _without_each(statistic: Statistic) -> FloatArray:
    """(N,) the value without each image."""
    terms = statistic.terms
    return statistic.of_sums(terms.sum(axis=1, keepdims=True) - terms)


def _common_length(groups: Sequence[Seeds]) -> int:
    if not groups or not all(groups):
        raise RequestError(f"statistics: {[len(seeds) for seeds in groups]} seeds in the groups, expected at least one")
    lengths = sorted({len(statistic) for seeds in groups for statistic in seeds})
    if len(lengths) > 1:
        raise RequestError(
            f"statistics: lists of {' and '.join(map(str, lengths))} images, expected one list; pair them first"
        )
    return lengths[0]


def _image_weights(images: int, resamples: int, generator: np.random.Generator) -> Iterator[FloatArray]:
    """Number of times each image is drawn, (r, N) at a time: N draws with replacement a resample."""
    step = max(1, CHUNK // images)
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        drawn = generator.integers(0, images, size=(rows, images), dtype=np.int32)
        drawn += np.arange(0, rows * images, images, dtype=np.int32)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * images).reshape(rows, images).astype(np.float64)


def _weighted(statistics: Sequence[Statistic], weights: Iterator[FloatArray], *, rows: int) -> FloatArray:
    """(M, R) the values of M statistics under R weightings, for all of which one product of matrices is enough."""
    terms = _DistinctTerms([statistic.terms for statistic in statistics])
    values = np.empty((len(statistics), rows))
    start = 0
    for chunk in weights:
        sums = terms.sums(chunk)
        for row, statistic, where in zip(values, statistics, terms.places, strict=True):
            row[start : start + len(chunk)] = statistic.of_sums(sums[where])
        start += len(chunk)
    return values


class _DistinctTerms:
    """The terms of several statistics, each different one once: many share the targets and pixels of the list.

    Counts are multiplied in single precision, in half the time, where every sum stays exact there.

    Attributes:
        places: for each statistic, the rows that its terms have in `sums`.
    """

    def __init__(self, parts: Sequence[FloatArray]) -> None:
        known: dict[bytes, int] = {}
        self.places = [[known.setdefault(row.tobytes(), len(known)) for row in part] for part in parts]
        rows = np.frombuffer(b"".join(known), np.float64).reshape(len(known), parts[0].shape[1])
        most = np.abs(rows).max(axis=1, initial=0.0) * rows.shape[1]  # no weighting here gives more than N in all
        is_whole = (rows == np.rint(rows)).all(axis=1) & (most < WHOLE_IN_SINGLE)
        self._whole, self._other = np.flatnonzero(is_whole), np.flatnonzero(~is_whole)
        self._singles = rows[self._whole].astype(np.float32)
        # A single row is multiplied twice: NumPy adds a vector's products up in another order than a matrix's.
        self._doubles = rows[np.resize(self._other, max(2, len(self._other)))] if len(self._other) else rows[:0]

    def sums(self, weights: FloatArray) -> FloatArray:
        """(K, r) the sum of each different term under weights (r, N) that give at most N in all."""
        found = np.empty((len(self._whole) + len(self._other), len(weights)))
        if len(self._whole):
            found[self._whole] = self._singles @ weights.T.astype(np.float32)
        if len(self._other):
            found[self._other] = (self._doubles @ weights.T)[: len(self._other)]
        return found


@dataclass(frozen=True)
class Permuted:
    """A permutation test.

    Attributes:
        difference: of the values, the first less the second; None where either is undefined.
        p: two-sided; None with the reason.
        flips: permutations it rests on.
        is_exact: whether these are all there are.
    """

    difference: float | None
    p: float | None
    flips: int
    is_exact: bool
    reason: str = ""


def permutation_tests(
    pairs: Sequence[tuple[Seeds, Seeds]], *, generator: np.random.Generator, flips: int = RESAMPLES
) -> list[Permuted]:
    """Test pairs of methods by swapping each image's two results, which would change nothing if the methods were alike.

    The statistic is the difference of the metric over the whole list, which for a pooled metric is not a mean over
    images: every permutation adds the terms up anew. p = (1 + b) / (1 + m), where b of m permutations differ as much
    or more, in either direction; one that leaves the metric undefined counts as differing more. Where all 2^N
    permutations are no more than `flips` they are all taken, and p is their exact share. Of several seeds an image's
    terms are averaged first: the test speaks of the networks that were trained, not of training them again.

    Source: R. A. Fisher, The Design of Experiments, 1935; the rule for p from B. Phipson and G. K. Smyth,
    "Permutation p-values should never be zero", SAGMB 9(1), 2010.

    Raises:
        RequestError: when lists of images differ in length, or there is no permutation.

    >>> from bench.metrics.statistic import Ratio
    >>> one, other = Ratio.of([1, 1, 1, 1], 1), Ratio.of([0, 0, 0, 0], 1)
    >>> permutation_tests([([one], [other])], generator=np.random.default_rng(0))[0].p
    0.125
    """
    if not pairs:
        return []
    images = _common_length([seeds for pair in pairs for seeds in pair])
    if flips < 1:
        raise RequestError(f"flips is {flips}, expected at least 1; {RESAMPLES} are usual")
    tests = [_Swap(one, other) for one, other in pairs]
    is_exact = 2 ** min(images, 62) <= flips
    swaps = _all_swaps(images) if is_exact else _random_swaps(images, flips, generator)
    moved = _DistinctTerms([test.moved for test in tests])
    extreme = np.zeros(len(tests), dtype=np.int64)
    for chunk in swaps:
        sums = moved.sums(chunk)
        extreme += [test.count_extreme(sums[where]) for test, where in zip(tests, moved.places, strict=True)]
    count = 2**images if is_exact else flips
    shares = extreme / count if is_exact else (1 + extreme) / (1 + count)
    return [
        Permuted(test.difference, None, count, is_exact, "undefined over the list")
        if test.difference is None
        else Permuted(test.difference, float(p), count, is_exact)
        for test, p in zip(tests, shares, strict=True)
    ]


class _Swap:
    """Two methods' terms, means over their seeds, and what swapping images does to their sums."""

    def __init__(self, one: Seeds, other: Seeds) -> None:
        first, second = (np.mean([own.terms for own in seeds], axis=0) for seeds in (one, other))
        self.of_sums: Callable[[FloatArray], FloatArray] = one[0].of_sums
        self.moved: FloatArray = second - first  # (K, N): what the first gains when an image is swapped
        self.sums = (first.sum(axis=1, keepdims=True), second.sum(axis=1, keepdims=True))
        values = [float(self.of_sums(sums)[0]) for sums in self.sums]
        self.is_defined = not np.isnan(values).any()
        self.difference = values[0] - values[1] if self.is_defined else None
        self.least = abs(values[0] - values[1]) - ROUNDING * max(map(abs, values)) if self.is_defined else 0.0

    def count_extreme(self, moved: FloatArray) -> int:
        """Of r permutations that move these sums (K, r), how many differ at least as much as what was seen."""
        found = np.abs(self.of_sums(self.sums[0] + moved) - self.of_sums(self.sums[1] - moved))
        return len(found) - int(np.count_nonzero(found < self.least))  # what is undefined is not less


def _random_swaps(images: int, flips: int, generator: np.random.Generator) -> Iterator[FloatArray]:
    """Random swaps of images, (r, N) of 0 and 1 at a time."""
    step = max(1, CHUNK // images)
    for start in range(0, flips, step):
        rows = min(step, flips - start)
        yield generator.integers(0, 2, size=(rows, images), dtype=np.int8).astype(np.float64)


def _all_swaps(images: int) -> Iterator[FloatArray]:
    """(2^N, N) every choice of images."""
    yield ((np.arange(2**images)[:, None] >> np.arange(images)) & 1).astype(np.float64)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """The p-values corrected for how many they are: the chance of any false claim among all of them stays below alpha.

    The smallest is multiplied by their number m, the next by m - 1, and so on; none falls below one before it or rises
    above 1. Tests without a p-value (None) are no part of the family.

    Source: S. Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Statistics 6(2), 1979.

    Raises:
        RequestError: when a p-value is outside [0, 1].

    >>> [None if p is None else round(p, 6) for p in holm([0.01, None, 0.04, 0.03])]
    [0.03, None, 0.06, 0.06]
    """
    family = [(p, place) for place, p in enumerate(p_values) if p is not None]
    if wrong := [p for p, _ in family if not 0 <= p <= 1]:
        raise RequestError(f"p-value is {wrong[0]!r}, expected a number in [0, 1]")
    corrected: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for rank, (p, place) in enumerate(sorted(family)):
        highest = max(highest, min(1.0, (len(family) - rank) * p))
        corrected[place] = highest
    return corrected


def wilson(found: float, among: int, *, level: float = LEVEL) -> Interval:
    """A share with Wilson's score interval, which has width at 0 and 1 too; null where there is nothing to find.

    Args:
        found: how many were found; the mean over seeds where there are several, so it may be a fraction.
        among: how many there are, taken for independent.

    Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22(158), 1927.

    Raises:
        RequestError: when found is not between 0 and among.

    >>> wilson(10, 10)
    Interval(value=1.0, low=0.7224672001371107, high=1.0, reason='')
    """
    if not 0 <= found <= among:
        raise RequestError(f"found is {found} among {among}, expected 0 to {among}")
    if not among:
        return Interval(None, reason="none in the list")
    z = float(ndtri((1 + level) / 2))
    share = found / among
    shrunk = 1 + z * z / among
    centre = (share + z * z / (2 * among)) / shrunk
    reach = z / shrunk * float(np.sqrt(share * (1 - share) / among + z * z / (4 * among * among)))
    low = 0.0 if not found else max(0.0, centre - reach)
    return Interval(share, low, 1.0 if found == among else min(1.0, centre + reach))


def pair_images(tables: Sequence[CountTable]) -> list[Counts]:
    """The last round's counts of the images that all tables have, in the order of the first: what can be compared.

    Raises:
        RequestError: when they share no image, or a table names an image twice.
    """
    for table in tables:
        if len(set(table.names)) < len(table.names):
            twice = next(name for name in table.names if table.names.count(name) > 1)
            raise RequestError(f"counts: image {twice!r} comes twice, expected every name once; score the run again")
    shared = set.intersection(*(set(table.names) for table in tables)) if tables else set()
    if not shared:
        raise RequestError(f"counts: {len(tables)} tables share no image, expected the same test list")
    names = [name for name in tables[0].names if name in shared]
    return [_in_order(table, names) for table in tables]


def _in_order(table: CountTable, names: Sequence[str]) -> Counts:
    counts = table.round(-1)
    if list(table.names) == list(names):
        return counts
    places = {name: place for place, name in enumerate(table.names)}
    return counts.take([places[name] for name in names])
