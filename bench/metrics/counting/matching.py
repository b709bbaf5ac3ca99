"""Match targets with components: which are found, and which are false alarms, by every rule a scoring can name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bench.arrays import BoolArray, IntArray
from bench.metrics.counting.components import Components
from bench.metrics.counting.overlap_matching import (
    match_overlap_priority,
    pair_distances,
    pair_intersections,
    pair_ious,
)
from bench.metrics.counting.pairing import GREEDY, NEAREST, OPTIMAL, UNMATCHED, pair
from bench.types import Matching, Scoring

Values = TypeVar("Values", np.bool_, np.uint16)

HIT_SIDE, ALARM_SIDE = 3, 9
"""Sides of the boxes around target pixels: a predicted pixel in the first is a hit, one outside the second an alarm."""


@dataclass(frozen=True, eq=False)
class Matches:
    """Targets found and false alarms of one prediction, by a matching rule.

    Attributes:
        is_found: (T,) whether each target is.
        is_alarm: (C,) whether each component is a false alarm.
        alarm_area: pixels that are false alarms.
    """

    is_found: BoolArray
    is_alarm: BoolArray
    alarm_area: int


def match_targets(
    target_map: BoolArray, targets: Components, prediction: BoolArray, found: Components, scoring: Scoring
) -> Matches:
    """Match targets with components by the scoring's rule.

    Args:
        target_map: (H, W) the pixels that the targets are made of.
        targets, found: components of that map and of the prediction.
        prediction: (H, W).

    >>> from bench.metrics.counting.components import find_components
    >>> target, prediction = np.array([[0, 0, 0, 0, 0, 1]], bool), np.array([[1, 1, 1, 1, 1, 1]], bool)
    >>> parts = target, find_components(target), prediction, find_components(prediction)
    >>> match_targets(*parts, Scoring("by centroid", distance=2.5)).is_found.tolist()  # exactly 2.5 px away: a miss
    [False]
    >>> match_targets(*parts, Scoring("by centroid", distance=2.6)).is_found.tolist()
    [True]
    >>> match_targets(*parts, Scoring("by overlap", matching="overlap")).is_found.tolist()
    [True]
    """
    if scoring.matching in PAIRINGS:
        partner = pair(PAIRINGS[scoring.matching], targets.centroids, found.centroids, float(scoring.distance))
        return match_one_to_one(partner, found)
    return MATCHERS[scoring.matching](target_map, targets, prediction, found, scoring)


def match_one_to_one(partner: IntArray, found: Components) -> Matches:
    """Matches of a one-to-one rule: components that no target took are false alarms with all their pixels."""
    is_found = partner != UNMATCHED
    is_alarm = np.ones(len(found), dtype=bool)
    is_alarm[partner[is_found]] = False
    return Matches(is_found, is_alarm, int(found.areas[is_alarm].sum()))


def match_by_overlap(
    target_map: BoolArray, targets: Components, prediction: BoolArray, found: Components, scoring: Scoring
) -> Matches:
    """Found where a predicted pixel lies on the target; a component that touches no target pixel is a false alarm."""
    touched = _any_of(prediction, targets)
    is_alarm = ~_any_of(target_map, found)
    return Matches(touched, is_alarm, int(found.areas[is_alarm].sum()))


def match_by_overlap_priority(
    target_map: BoolArray, targets: Components, prediction: BoolArray, found: Components, scoring: Scoring
) -> Matches:
    """One to one, overlap first and then distance: the matching behind hierarchical IoU."""
    shared = pair_intersections(targets, found, width=prediction.shape[1])
    ious = pair_ious(targets, found, shared)
    partner = match_overlap_priority(pair_distances(targets, found), ious, distance=scoring.distance)
    return match_one_to_one(partner, found)


def match_by_shooting(
    target_map: BoolArray, targets: Components, prediction: BoolArray, found: Components, scoring: Scoring
) -> Matches:
    """Found where a predicted pixel is at most 1 px away; predicted pixels farther than 4 px from all are false alarms.

    Distances are those of a chess king (boxes of 3 x 3 and 9 x 9). A component is an alarm when all its pixels are.

    Source: the shooting rule of Li et al., IEEE TNNLS 36, 2023, as in pyirstdmetrics.
    """
    near = around(target_map, ALARM_SIDE)
    is_found = _any_of(around(prediction, HIT_SIDE), targets)
    return Matches(is_found, ~_any_of(near, found), int(np.count_nonzero(prediction & ~near)))


def around(levels: NDArray[Values], side: int) -> NDArray[Values]:
    """The highest value within a box of that side around each pixel (H, W); of a map of flags, whether any is set."""
    grown: NDArray[Values] = ndimage.maximum_filter(levels, size=side, mode="constant", cval=0)
    return grown


def _any_of(positive: BoolArray, parts: Components) -> BoolArray:
    """(C,) whether any pixel of each component is positive."""
    return np.bincount(parts.owner, weights=positive[parts.rows, parts.cols], minlength=len(parts)) > 0


PAIRINGS: Mapping[Matching, int] = {"greedy-raster": GREEDY, "nearest": NEAREST, "optimal": OPTIMAL}
"""The rules that pair targets with components by distance alone."""

MATCHERS: Mapping[Matching, Callable[[BoolArray, Components, BoolArray, Components, Scoring], Matches]] = {
    "overlap-priority": match_by_overlap_priority,
    "overlap": match_by_overlap,
    "shooting": match_by_shooting,
}
"""The other rules."""
