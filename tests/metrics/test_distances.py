"""Detections and false alarms by distance: equal to scoring anew at each distance."""

from __future__ import annotations

import dataclasses
import doctest
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.metrics import distances
from bench.metrics.counting.counts import count_image, counts_of
from bench.metrics.counting.levels import quantise
from bench.metrics.counting.truth import read_truth
from bench.metrics.distances import DISTANCES, DistanceCounts, DistanceTable, pd_fa_by_distance
from bench.types import Scoring

NATIVE = Scoring("native")


def frames(seed: int) -> list[tuple[NDArray[np.uint16], NDArray[np.uint8]]]:
    generator = np.random.default_rng(seed)
    sizes = [(20, 30), (16, 16), (9, 40)]
    return [(quantise(generator.random(s) ** 3), (generator.random(s) > 0.98).astype(np.uint8)) for s in sizes]


def test_the_examples_in_the_docstrings_hold() -> None:
    outcome = doctest.testmod(distances)
    assert outcome.attempted > 3
    assert outcome.failed == 0


@pytest.mark.parametrize("matching", ["greedy-raster", "nearest", "optimal"])
def test_every_distance_gives_the_counts_of_scoring_at_that_distance(matching: Any) -> None:
    scoring = dataclasses.replace(NATIVE, matching=matching)
    counts = DistanceCounts(scoring)
    for q, mask in frames(1):
        counts.add_against(q, read_truth(mask, scoring))
    found = pd_fa_by_distance(counts.table())
    for place, distance in enumerate(DISTANCES):
        at = dataclasses.replace(scoring, distance=float(distance))
        anew = counts_of([count_image(q, mask, scoring=at) for q, mask in frames(1)])
        assert found.pd[place] == anew.matched.sum() / anew.targets.sum()
        assert found.fa[place] == anew.unmatched_area.sum() / anew.pixels.sum()


def test_without_targets_pd_is_nan_and_without_images_both_are() -> None:
    counts = DistanceCounts(NATIVE)
    assert np.isnan(pd_fa_by_distance(counts.table())).all()
    counts.add_against(np.array([[65535, 0]], np.uint16), read_truth(np.zeros((1, 2), np.uint8), NATIVE))
    assert np.isnan(pd_fa_by_distance(counts.table()).pd).all()
    assert pd_fa_by_distance(counts.table()).fa.tolist() == [0.5] * 10


def test_a_table_survives_its_arrays_and_a_broken_one_is_refused() -> None:
    counts = DistanceCounts(NATIVE)
    for q, mask in frames(2):
        counts.add_against(q, read_truth(mask, NATIVE))
    arrays = counts.table().to_arrays()
    back = DistanceTable.from_arrays(arrays)
    np.testing.assert_array_equal(back.matched, counts.table().matched)
    with pytest.raises(ValueError, match=r"distances: pixels has shape \(1,\), expected \(3,\); score the run again"):
        DistanceTable.from_arrays(arrays | {"pixels": np.array([1])})
    with pytest.raises(ValueError, match="distances: no matched, expected distances, targets"):
        DistanceTable.from_arrays({name: array for name, array in arrays.items() if name != "matched"})


def test_a_rule_that_asks_for_more_than_distance_is_refused() -> None:
    with pytest.raises(ValueError, match="matching 'overlap' pairs by more than distance"):
        DistanceCounts(dataclasses.replace(NATIVE, matching="overlap"))
