"""Strata: every target in one stratum of each kind, shares and intervals by hand, and what is empty or undefined."""

from __future__ import annotations

import doctest
from dataclasses import replace

import numpy as np
import pytest

from bench.metrics import strata
from bench.metrics.counting.counts import Counts, CountsWriter, count_masks, join_counts
from bench.metrics.significance import Interval, wilson
from bench.metrics.strata import KINDS, ImageStratum, Stratum, detection_strata, image_strata, image_strata_of
from bench.types import Scoring

RNG = np.random.default_rng


def two_images() -> Counts:
    """A 4-px target found and a 35-px one missed in a textured image, and an empty image with a false alarm."""
    rows, cols = np.mgrid[0:100, 0:100]
    small, large = (rows < 2) & (cols < 2), (abs(rows - 52) <= 2) & (abs(cols - 50) <= 3) & (cols < 53.5)
    mask = (small | large).astype(np.uint8)
    grey = 10.0 * ((rows + cols) % 2) + 100 * small + 20 * large
    writer = CountsWriter(Scoring("native"))
    writer.add("both", [np.where(small, 65535, 0).astype(np.uint16)], truth=mask, grey=grey)
    alarm = np.where((rows < 5) & (cols < 8), 65535, 0).astype(np.uint16)
    writer.add("empty", [alarm], truth=np.zeros((100, 100), np.uint8), grey=grey)
    return writer.table().round(0)


def by_band(found: list[Stratum], kind: str) -> dict[str, tuple[int, float | None]]:
    return {s.band: (s.targets, s.pd.value) for s in found if s.kind == kind}


def test_the_examples_in_the_docstrings_hold() -> None:
    outcome = doctest.testmod(strata)
    assert outcome.attempted > 3
    assert outcome.failed == 0


def test_a_found_small_target_and_a_missed_large_one_lie_in_their_strata() -> None:
    counts = two_images()
    assert counts.target_area.tolist() == [4, 35]
    assert counts.target_border.tolist() == [0, 45]
    found = detection_strata([counts])
    assert by_band(found, "Target size") == {"1–9": (1, 1.0), "10–30": (0, None), "31–80": (1, 0.0), "> 80": (0, None)}
    assert by_band(found, "Distance to border") == {
        "0–9": (1, 1.0),
        "10–29": (0, None),
        "30–59": (1, 0.0),
        "≥ 60": (0, None),
    }
    assert by_band(found, "Targets per image") == {"1": (0, None), "2": (2, 0.5), "≥ 3": (0, None)}
    ratios = by_band(found, "Signal-to-clutter ratio")  # contrasts of 100 and 20 over a clutter of deviation 5
    assert ratios == {"< 2": (0, None), "2–5": (1, 0.0), "5–10": (0, None), "≥ 10": (1, 1.0)}


def test_empty_strata_say_so_and_others_have_wilsons_interval() -> None:
    found = {(s.kind, s.band): s.pd for s in detection_strata([two_images()])}
    assert found["Target size", "> 80"] == Interval(None, reason="none in the list")
    assert found["Targets per image", "2"] == wilson(1, 2)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("seed", range(5))
def test_every_target_lies_in_one_stratum_of_each_kind(kind: strata.StratumKind, seed: int) -> None:
    generator = RNG(seed)
    masks = [(generator.random((40, 40)) > level).astype(int) for level in (0.7, 0.99, 0.999, 1.0)]
    counts = join_counts([count_masks(m, m) for m in masks])
    scr = np.where(
        generator.random(len(counts.target_area)) < 0.2, np.nan, generator.exponential(6, counts.target_area.shape)
    )
    counts = replace(counts, target_scr=scr)
    found = [s for s in detection_strata([counts]) if s.kind == kind.name]
    assert sum(s.targets for s in found) == counts.targets.sum() > 0
    assert ("undefined" in {s.band for s in found}) == (kind.name == "Signal-to-clutter ratio")


@pytest.mark.parametrize(
    ("area", "band"), [(9, "1–9"), (10, "10–30"), (30, "10–30"), (31, "31–80"), (80, "31–80"), (81, "> 80")]
)
def test_edges_of_size_belong_to_the_band_that_names_them(area: int, band: str) -> None:
    mask = np.zeros((1, 200), int)
    mask[0, :area] = 1
    assert by_band(detection_strata([count_masks(mask, mask)]), "Target size")[band] == (1, 1.0)


def test_several_seeds_are_averaged_and_their_targets_counted_once() -> None:
    mask = [[1, 0, 0, 0, 0, 0, 0, 1]]
    both, one, none = (count_masks(p, mask) for p in (mask, [[1, 0, 0, 0, 0, 0, 0, 0]], [[0] * 8]))
    (found,) = (s for s in detection_strata([both, one, none]) if s.band == "2")
    assert (found.targets, found.pd) == (2, wilson(1, 2))
    thirds = detection_strata([both, both, both])
    assert all(s.pd.value == 1.0 for s in thirds if s.targets)


def test_a_list_without_targets_has_strata_without_values() -> None:
    found = detection_strata([count_masks([[1, 0]], [[0, 0]])])
    assert {(s.targets, s.pd.value) for s in found} == {(0, None)}
    assert "undefined" not in {s.band for s in found}


def test_iou_by_targets_and_false_alarms_of_empty_images() -> None:
    found = {(s.metric, s.band): s for s in image_strata([two_images()], generator=RNG(0))}
    assert found["IoU/pooled", "1"] == ImageStratum("IoU/pooled", "1", 0, Interval(None, reason="none in the list"))
    assert found["IoU/pooled", "2"].score == Interval(4 / 39, reason="one image: nothing to resample")
    assert found["Fa/images-without-targets", "0"].score.value == 1.0
    assert found["Fa/unmatched-area", "0"].score.value == 40 / 10_000


def test_several_images_have_an_interval() -> None:
    half, whole = count_masks([[1, 0]], [[1, 1]]), count_masks([[1, 1]], [[1, 1]])
    found = image_strata([join_counts([half, whole] * 10)], generator=RNG(0))[0]
    assert (found.images, found.score.value) == (20, 0.75)
    assert found.score.low is not None
    assert 0.6 < found.score.low < 0.75 < (found.score.high or 0) < 0.9


def test_methods_counted_together_have_the_numbers_that_each_has_alone() -> None:
    half, whole, empty = (
        count_masks([one], [other]) for one, other in (([1, 0], [1, 1]), ([1, 1], [1, 1]), ([1], [0]))
    )
    seeds = [[join_counts([half] * k + [whole] * (20 - k) + [empty] * 3) for k in ks] for ks in ((5, 9), (12, 3))]
    together = image_strata_of(seeds, generator=RNG(0))
    assert together == [image_strata(each, generator=RNG(0)) for each in seeds]
    assert together[0][0].score.low is not None
    assert together[0][0] != together[1][0]


def test_seeds_of_other_lists_and_no_seeds_are_refused() -> None:
    one, other = count_masks([[1]], [[1]]), count_masks([[1, 1]], [[1, 1]])
    with pytest.raises(ValueError, match="seeds with 1 and 1 targets in another order or of another size"):
        detection_strata([one, other])
    with pytest.raises(ValueError, match="strata: no counts, expected those of at least one seed"):
        image_strata([], generator=RNG(0))
