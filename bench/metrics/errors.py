"""Hierarchical IoU and what it lacks to 1, by cause: targets not found, alarms, and pixels wrong in what was found.

Integers of one image's targets and predicted components, matched with overlap first, and of every matched pair;
`errors.npz` holds them. Images N, pairs P.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.arrays import IntArray, LevelArray
from bench.errors import RequestError
from bench.metrics.counting.array_table import ArrayTable, Shape
from bench.metrics.counting.components import Components, find_components
from bench.metrics.counting.levels import LEVELS, threshold_level
from bench.metrics.counting.overlap_matching import (
    OVERLAP,
    match_overlap_priority,
    pair_distances,
    pair_intersections,
    pair_ious,
)
from bench.metrics.counting.pairing import UNMATCHED
from bench.metrics.ids import by_distance
from bench.metrics.registry import MetricsOf, metric
from bench.metrics.statistic import MemberMean, Ratio
from bench.types import Scoring

IMAGE_FIELDS = ("targets", "components", "matched", "s2m", "m2s", "interference", "perception")
PAIR_FIELDS = (
    "pair_target",
    "pair_component",
    "pair_intersection",
    "pair_union",
    "pair_merging",
    "pair_interference",
    "pair_perception",
)


@dataclass(frozen=True, eq=False)
class ImageErrors:
    """Errors of one prediction on one image.

    A pair could be matched when its IoU is at least 0.5 or its centroids are near enough.

    Attributes:
        targets: components of the mask.
        components: of the prediction.
        matched: pairs of them (TP); what is left are targets (FN) and components (FP).
        s2m: single to multi: unmatched targets that could be matched; a component that serves several serves one.
        m2s: multi to single: unmatched components that could be matched; a target that is broken up has one.
        interference: components that no target could be matched with.
        perception: targets that no component could be matched with.
        pair_target, pair_component: (P,) positions in raster order of what each pair is made of.
        pair_intersection, pair_union: (P,) pixels.
        pair_merging: (P,) pixels of the component that lie on other targets.
        pair_interference: (P,) pixels of the component that lie on no target.
        pair_perception: (P,) pixels of the target that the component lacks.
    """

    targets: int
    components: int
    matched: int
    s2m: int
    m2s: int
    interference: int
    perception: int
    pair_target: IntArray
    pair_component: IntArray
    pair_intersection: IntArray
    pair_union: IntArray
    pair_merging: IntArray
    pair_interference: IntArray
    pair_perception: IntArray


def find_errors(levels: LevelArray, truth: NDArray[Any], *, scoring: Scoring) -> ImageErrors:
    """Find the errors of one prediction against one binary mask, at the scoring's threshold, distance and connectivity.

    Args:
        levels: (H, W) uint16, from `bench.metrics.counting.levels.quantise`.
        truth: (H, W) in {0, 1}.

    Raises:
        RequestError: when the map is not uint16, the shapes differ, or the scoring's ground truth is soft.
    """
    _check(levels, truth, scoring)
    targets = find_components(truth.astype(bool), connectivity=scoring.connectivity)
    found = find_components(levels > threshold_level(scoring.threshold), connectivity=scoring.connectivity)
    return compare_components(targets, found, width=levels.shape[1], distance=scoring.distance)


def _check(levels: LevelArray, truth: NDArray[Any], scoring: Scoring) -> None:
    if scoring.ground_truth != "binary":
        raise RequestError(
            f"scoring {scoring.name}: ground truth is {scoring.ground_truth}, expected binary for errors"
        )
    if levels.dtype != np.uint16:
        raise RequestError(f"map is {levels.dtype}, expected uint16 levels; make it with quantise()")
    if levels.ndim != 2 or levels.shape != truth.shape:
        raise RequestError(f"map has shape {levels.shape} and its mask {truth.shape}, expected (height, width) of both")


def compare_components(targets: Components, found: Components, *, width: int, distance: float) -> ImageErrors:
    """Find the errors of an image's components against its targets.

    Args:
        width: of the map that both were found in, pixels.
        distance: below which centroids can be matched, pixels.
    """
    shared = pair_intersections(targets, found, width=width)  # (T, C)
    distances, ious = pair_distances(targets, found), pair_ious(targets, found, shared)
    partner = match_overlap_priority(distances, ious, distance=distance)
    could = (ious >= OVERLAP) | (distances < distance)
    hopeless = int((~could.any(axis=1)).sum())
    alone = int((~could.any(axis=0)).sum())
    own = np.flatnonzero(partner != UNMATCHED)
    its = partner[own]
    inside = shared[own, its]
    on_targets = shared.sum(axis=0)[its]
    return ImageErrors(
        targets=len(targets),
        components=len(found),
        matched=len(own),
        s2m=len(targets) - len(own) - hopeless,
        m2s=len(found) - len(own) - alone,
        interference=alone,
        perception=hopeless,
        pair_target=own,
        pair_component=its,
        pair_intersection=inside,
        pair_union=targets.areas[own] + found.areas[its] - inside,
        pair_merging=on_targets - inside,
        pair_interference=found.areas[its] - on_targets,
        pair_perception=targets.areas[own] - inside,
    )


@dataclass(frozen=True, eq=False)
class ErrorTable(ArrayTable):
    """The errors of a test list: what `errors.npz` holds. Fields as in `ImageErrors`, shapes as below.

    Attributes:
        names: of the N images.
        targets, components, matched, s2m, m2s, interference, perception: (N,).
        pair_image: (P,) position of the image each pair lies in.
        pair_target, pair_component, pair_intersection, pair_union, pair_merging, pair_interference, pair_perception:
            (P,).
    """

    WHAT = "errors"

    names: tuple[str, ...]
    targets: IntArray
    components: IntArray
    matched: IntArray
    s2m: IntArray
    m2s: IntArray
    interference: IntArray
    perception: IntArray
    pair_image: IntArray
    pair_target: IntArray
    pair_component: IntArray
    pair_intersection: IntArray
    pair_union: IntArray
    pair_merging: IntArray
    pair_interference: IntArray
    pair_perception: IntArray

    def shapes(self) -> Mapping[str, Shape]:
        images, pairs = (len(self.names),), (int(self.matched.sum()),)
        return {**dict.fromkeys(IMAGE_FIELDS, images), **dict.fromkeys(("pair_image", *PAIR_FIELDS), pairs)}


class ErrorsWriter:
    """Finds the errors of a test list, image by image; keeps integers alone."""

    def __init__(self, scoring: Scoring) -> None:
        self.scoring = scoring
        self._names: list[str] = []
        self._images: list[ImageErrors] = []

    def add(self, name: str, levels: LevelArray, *, truth: NDArray[Any]) -> ImageErrors:
        """Find one image's errors; arguments as in `find_errors`. Returns the integers.

        Raises:
            RequestError: naming the image, when a map is not of the kind asked for.
        """
        try:
            found = find_errors(levels, truth, scoring=self.scoring)
        except ValueError as error:
            raise RequestError(f"{name}: {error}") from error
        self.append(name, found)
        return found

    def append(self, name: str, image: ImageErrors) -> None:
        """Take the errors of one image."""
        self._names.append(name)
        self._images.append(image)

    def extend(self, other: ErrorsWriter) -> None:
        """Add the images of another behind one's own."""
        self._names += other._names
        self._images += other._images

    def table(self) -> ErrorTable:
        """Everything added so far."""
        columns = {name: np.array([getattr(i, name) for i in self._images], dtype=np.int64) for name in IMAGE_FIELDS}
        nothing = np.zeros(0, dtype=np.int64)
        for name in PAIR_FIELDS:
            columns[name] = np.concatenate([nothing, *(getattr(image, name) for image in self._images)])
        owners = np.repeat(np.arange(len(self._images)), columns["matched"])
        return ErrorTable(tuple(self._names), pair_image=owners, **columns)


def errors_of(predicted: ArrayLike, mask: ArrayLike) -> ErrorTable:
    """The errors of one binary prediction against one binary mask, at 3 px and 8 neighbours: the smallest example.

    >>> found = errors_of([[1, 1, 1, 0, 0, 0, 0, 1]], [[0, 1, 1, 1, 0, 0, 0, 0]])
    >>> int(found.matched[0]), int(found.interference[0]), int(found.pair_union[0])
    (1, 1, 4)
    """
    writer, is_on = ErrorsWriter(Scoring("example")), np.asarray(predicted) > 0
    levels = np.where(is_on, LEVELS - 1, 0).astype(np.uint16)
    writer.add("", levels, truth=np.asarray(mask, dtype=np.uint8))
    return writer.table()


ERRORS: MetricsOf[ErrorTable] = MetricsOf("errors")

NO_OBJECTS = "no targets in the list and nothing predicted"
NO_PAIRS = "no target matched in the list"


def _of_objects(part: IntArray, table: ErrorTable) -> Ratio:
    """A number of targets or components over TP + FP + FN."""
    return Ratio.of(part, _objects(table))


def _of_unions(part: IntArray, table: ErrorTable) -> MemberMean:
    """Mean over pairs of pixels over the pair's union."""
    return MemberMean.of(part / table.pair_union, owner=table.pair_image, whole=table.matched)


def _objects(table: ErrorTable) -> IntArray:
    """(N,) TP + FP + FN of every image."""
    return np.asarray(table.targets + table.components - table.matched)


_error_metric = partial(metric, unit="fraction", better="lower", table="errors", named_by=by_distance)


@_error_metric("hIoU/overlap-priority", head="hIoU", better="higher", undefined=NO_OBJECTS)
def hiou(table: ErrorTable) -> MemberMean:
    """Hierarchical IoU: mean IoU of the matched pairs times TP / (TP + FP + FN) of objects.

    The sum of the pairs' IoU over TP + FP + FN, so that it is 0 where objects are there and none is matched.
    The other `hIoU/` metrics share out the rest to 1 by cause: those of `loc` sum to 1, and so do those of `seg`.

    Source: pyirstdmetrics 1.0.2, `MatchingBasedMetrics` with `OPDCMatching`.
    Differs: an image without targets or predictions has no made-up object.

    >>> hiou(errors_of([[1, 1, 1, 0, 0, 0, 0, 1]], [[0, 1, 1, 1, 0, 0, 0, 0]])).value()  # 2/4 of 1 pair, 1 false alarm
    0.25
    """
    ious = table.pair_intersection / table.pair_union
    return MemberMean.of(ious, owner=table.pair_image, whole=_objects(table))


@_error_metric("hIoU/loc-IoU", undefined=NO_OBJECTS, better="higher")
def loc_iou(table: ErrorTable) -> Ratio:
    """Locating: matched pairs over TP + FP + FN.

    >>> loc_iou(errors_of([[1, 1, 1, 0, 0, 0, 0, 1]], [[0, 1, 1, 1, 0, 0, 0, 0]])).value()
    0.5
    """
    return _of_objects(table.matched, table)


@_error_metric("hIoU/loc-S2M", undefined=NO_OBJECTS)
def loc_s2m(table: ErrorTable) -> Ratio:
    """Locating error single-to-multi: targets that share a component and go without, over TP + FP + FN.

    >>> loc_s2m(errors_of([[0, 0, 1, 0, 0]], [[1, 0, 0, 0, 1]])).value()  # one component 2 px from either target
    0.5
    """
    return _of_objects(table.s2m, table)


@_error_metric("hIoU/loc-M2S", undefined=NO_OBJECTS)
def loc_m2s(table: ErrorTable) -> Ratio:
    """Locating error multi-to-single: components that share a target and go without, over TP + FP + FN.

    >>> loc_m2s(errors_of([[1, 0, 0, 0, 1]], [[0, 0, 1, 0, 0]])).value()
    0.5
    """
    return _of_objects(table.m2s, table)


@_error_metric("hIoU/loc-ITF", undefined=NO_OBJECTS)
def loc_interference(table: ErrorTable) -> Ratio:
    """Locating error interference: components that no target could be matched with, over TP + FP + FN.

    >>> loc_interference(errors_of([[1, 0, 0, 1]], [[1, 0, 0, 0]])).value()
    0.5
    """
    return _of_objects(table.interference, table)


@_error_metric("hIoU/loc-PCP", undefined=NO_OBJECTS)
def loc_perception(table: ErrorTable) -> Ratio:
    """Locating error perception: targets that no component could be matched with, over TP + FP + FN.

    >>> loc_perception(errors_of([[1, 0, 0, 0]], [[1, 0, 0, 1]])).value()
    0.5
    """
    return _of_objects(table.perception, table)


@_error_metric("hIoU/seg-IoU", undefined=NO_PAIRS, better="higher")
def seg_iou(table: ErrorTable) -> MemberMean:
    """Segmenting: mean over matched pairs of intersection over union.

    >>> seg_iou(errors_of([[1, 1, 1, 0, 0, 0, 0, 1]], [[0, 1, 1, 1, 0, 0, 0, 0]])).value()
    0.5
    """
    return _of_unions(table.pair_intersection, table)


@_error_metric("hIoU/seg-MRG", undefined=NO_PAIRS)
def seg_merging(table: ErrorTable) -> MemberMean:
    """Segmenting error merging: pixels of the component on other targets over the pair's union, mean over pairs.

    >>> seg_merging(errors_of([[1, 1, 1, 1]], [[1, 1, 0, 1]])).value()
    0.25
    """
    return _of_unions(table.pair_merging, table)


@_error_metric("hIoU/seg-ITF", undefined=NO_PAIRS)
def seg_interference(table: ErrorTable) -> MemberMean:
    """Segmenting error interference: pixels of the component on no target over the pair's union, mean over pairs.

    >>> seg_interference(errors_of([[1, 1, 1, 0]], [[0, 1, 1, 1]])).value()
    0.25
    """
    return _of_unions(table.pair_interference, table)


@_error_metric("hIoU/seg-PCP", undefined=NO_PAIRS)
def seg_perception(table: ErrorTable) -> MemberMean:
    """Segmenting error perception: pixels of the target that the component lacks over the union, mean over pairs.

    >>> seg_perception(errors_of([[1, 1, 1, 0]], [[0, 1, 1, 1]])).value()
    0.25
    """
    return _of_unions(table.pair_perception, table)
