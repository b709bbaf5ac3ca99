"""Scores by kind of target and of image: what is found among the small, the dim, those near the border, the crowded.

Targets are sorted by what the counts say of each; images by how many targets they hold. The strata of one kind share
out all targets: none is lost and none counted twice. N images, T targets, S seeds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.arrays import BoolArray
from bench.errors import RequestError
from bench.metrics.counting.counts import Counts
from bench.metrics.pixel import iou_pooled
from bench.metrics.significance import Interval, bootstrap, wilson
from bench.metrics.statistic import Ratio
from bench.metrics.target import fa_images_without_targets, fa_unmatched_area

UNDEFINED = "undefined"
NO_IMAGES = "none in the list"


@dataclass(frozen=True)
class Band:
    """A stratum: values from `low` to below `high`.

    Attributes:
        words: as tables print it.
    """

    words: str
    low: float
    high: float = math.inf

    def holds(self, values: NDArray[np.number]) -> BoolArray:
        """Which of the values lie in it; NaN lies in none."""
        return np.asarray((values >= self.low) & (values < self.high))


@dataclass(frozen=True)
class StratumKind:
    """Something targets differ in.

    Attributes:
        name: as tables print it.
        unit: of its values, or nothing.
        bands: that share out all values there can be, lowest first.
        of: (T,) the value of every target; NaN where it is undefined, which is a stratum of its own.
    """

    name: str
    unit: str
    bands: tuple[Band, ...]
    of: Callable[[Counts], NDArray[np.number]]


def _crowding(counts: Counts) -> NDArray[np.int64]:
    """(T,) targets in the image each target lies in."""
    return counts.targets[counts.target_image]


KINDS = (
    StratumKind(
        "Target size",
        "px",
        (Band("1–9", 1, 10), Band("10–30", 10, 31), Band("31–80", 31, 81), Band("> 80", 81)),
        lambda counts: counts.target_area,
    ),
    StratumKind(
        "Signal-to-clutter ratio",
        "",
        (Band("< 2", 0, 2), Band("2–5", 2, 5), Band("5–10", 5, 10), Band("≥ 10", 10)),
        lambda counts: counts.target_scr,
    ),
    StratumKind(
        "Distance to border",
        "px",
        (Band("0–9", 0, 10), Band("10–29", 10, 30), Band("30–59", 30, 60), Band("≥ 60", 60)),
        lambda counts: counts.target_border,
    ),
    StratumKind("Targets per image", "", (Band("1", 1, 2), Band("2", 2, 3), Band("≥ 3", 3)), _crowding),
)
"""The strata. Sizes: below the 3 x 3 pixels of a point spread, to the 0.12 % of a 256 x 256 frame (80 px) up to which
SPIE calls a target small, with the middle between. Ratios and distances: edges that leave no stratum of NUAA-SIRST or
NUDT-SIRST with fewer than 25 targets."""


@dataclass(frozen=True)
class Stratum:
    """One stratum of one kind.

    Attributes:
        kind: name of the kind.
        band: words of the band, or `undefined`.
        targets: how many there are.
        pd: share of them that is found, mean over seeds, with Wilson's interval.
    """

    kind: str
    band: str
    targets: int
    pd: Interval


def detection_strata(seeds: Sequence[Counts]) -> list[Stratum]:
    """Pd of every stratum of every kind, empty ones included; targets without a value are the last of their kind.

    Wilson's interval takes targets for independent, and their number for that in the list, however many seeds there
    are: it says how sure the share is for these networks on other targets.

    Raises:
        RequestError: when there is no seed, or seeds were tested on different targets.

    >>> from bench.metrics.counting.counts import count_masks
    >>> strata = detection_strata([count_masks([[1, 1, 0, 0, 0, 0, 0, 0]], [[1, 1, 0, 0, 0, 0, 0, 1]])])
    >>> [(s.band, s.targets, s.pd.value) for s in strata if s.targets]
    [('1–9', 2, 0.5), ('undefined', 2, 0.5), ('0–9', 2, 0.5), ('2', 2, 0.5)]
    """
    return [stratum for kind in KINDS for stratum in _strata_of(kind, seeds)]


def _strata_of(kind: StratumKind, seeds: Sequence[Counts]) -> list[Stratum]:
    _check_alike(seeds)
    values = np.asarray(kind.of(seeds[0]))
    members = {band.words: band.holds(values) for band in kind.bands}
    if np.isnan(values).any():
        members[UNDEFINED] = np.isnan(values)
    found = np.mean([counts.target_matched for counts in seeds], axis=0)
    return [
        Stratum(kind.name, words, int(inside.sum()), wilson(_sum(found[inside]), int(inside.sum())))
        for words, inside in members.items()
    ]


def _sum(found: NDArray[np.float64]) -> float:
    """Number of targets found, not above their number by a rounding of the mean over seeds."""
    return min(math.fsum(found.tolist()), float(len(found)))


def _check_alike(seeds: Sequence[Counts]) -> None:
    if not seeds:
        raise RequestError("strata: no counts, expected those of at least one seed")
    for counts in seeds[1:]:
        if not np.array_equal(counts.targets, seeds[0].targets) or not np.array_equal(
            counts.target_area, seeds[0].target_area
        ):
            raise RequestError(
                f"strata: seeds with {seeds[0].targets.sum()} and {counts.targets.sum()} targets in another order or "
                "of another size, expected one test list; pair the images first"
            )


@dataclass(frozen=True)
class ImageStratum:
    """One score of the images that hold so many targets.

    Attributes:
        metric: id of the score.
        band: targets an image, `0` for images without any.
        images: how many there are.
        score: mean over seeds, with a BCa interval over images and, of several, seeds.
    """

    metric: str
    band: str
    images: int
    score: Interval


def image_strata(seeds: Sequence[Counts], *, generator: np.random.Generator) -> list[ImageStratum]:
    """The image strata of one method, as `image_strata_of` has them of several.

    >>> from bench.metrics.counting.counts import count_masks
    >>> strata = image_strata([count_masks([[1, 1]], [[0, 0]])], generator=np.random.default_rng(0))
    >>> [(s.metric, s.images, s.score.value) for s in strata if s.images]
    [('Fa/images-without-targets', 1, 1.0), ('Fa/unmatched-area', 1, 1.0)]
    """
    return image_strata_of([seeds], generator=generator)[0]


def image_strata_of(methods: Sequence[Sequence[Counts]], *, generator: np.random.Generator) -> list[list[ImageStratum]]:
    """IoU by the number of targets in an image, and the false alarms of images without any.

    IoU belongs to images, not to single targets, so only strata of images have one. Of the images without targets:
    the share in which anything is predicted, and the predicted pixels that are false alarms over all pixels.

    All methods are resampled alike, so that each has the numbers that it would have alone.

    Args:
        methods: the seeds of each, as many of one as of the other.

    Raises:
        RequestError: when a method has no seed or more than another, or some were tested on different targets.
    """
    _check_alike([counts for seeds in methods for counts in seeds])
    crowding = methods[0][0].targets
    bands = KINDS[-1].bands
    found = [
        _image_stratum("IoU/pooled", band.words, iou_pooled, methods, band.holds(crowding), generator) for band in bands
    ]
    empty: Mapping[str, Callable[[Counts], Ratio]] = {
        "Fa/images-without-targets": fa_images_without_targets,
        "Fa/unmatched-area": fa_unmatched_area,
    }
    found += [_image_stratum(name, "0", compute, methods, crowding == 0, generator) for name, compute in empty.items()]
    return [list(strata) for strata in zip(*found, strict=True)]


def _image_stratum(
    metric: str,
    band: str,
    compute: Callable[[Counts], Ratio],
    methods: Sequence[Sequence[Counts]],
    inside: BoolArray,
    generator: np.random.Generator,
) -> list[ImageStratum]:
    """One stratum of every method."""
    chosen = np.flatnonzero(inside)
    if not len(chosen):
        return [ImageStratum(metric, band, 0, Interval(None, reason=NO_IMAGES))] * len(methods)
    terms = [[compute(counts.take(chosen)) for counts in seeds] for seeds in methods]
    drawn = bootstrap(terms, generator=generator, share_seeds=True)
    return [ImageStratum(metric, band, len(chosen), each.interval()) for each in drawn]
