"""Hierarchical IoU and its errors: by hand, against a slow computation, and what is refused."""

from __future__ import annotations

import doctest
import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from metrics.reference import Grid, Pixels, flood_fill
from numpy.typing import NDArray

from bench.metrics import errors
from bench.metrics.counting import overlap_matching
from bench.metrics.counting.levels import LEVELS
from bench.metrics.counting.overlap_matching import assign, match_overlap_priority
from bench.metrics.errors import ERRORS, ErrorsWriter, ErrorTable, errors_of, find_errors
from bench.types import Scoring

NATIVE = Scoring("native")
ROUNDING = 1e-12
"""Of sums of some quotients in float64, in another order."""


def level(rows: list[str]) -> NDArray[np.uint16]:
    """A map that is on where the picture has an X."""
    return np.array([[65535 * (c == "X") for c in row] for row in rows], np.uint16)


def mask(rows: list[str]) -> NDArray[np.uint8]:
    """A mask that is 1 where the picture has an X."""
    return (level(rows) > 0).astype(np.uint8)


@pytest.mark.parametrize("module", [errors, overlap_matching])
def test_every_example_holds(module: object) -> None:
    outcome = doctest.testmod(module)  # type: ignore[arg-type]
    assert outcome.attempted
    assert not outcome.failed


def test_a_pair_by_overlap_goes_before_a_nearer_pair() -> None:
    far = match_overlap_priority(np.array([[5.0, 1.0], [90.0, 6.0]]), np.array([[0.5, 0.0], [0.0, 0.0]]))
    assert far.tolist() == [0, -1]


def test_iou_of_exactly_one_half_makes_a_pair_and_less_does_not() -> None:
    assert match_overlap_priority(np.array([[9.0]]), np.array([[0.5]])).tolist() == [0]
    assert match_overlap_priority(np.array([[9.0]]), np.array([[0.499]])).tolist() == [-1]


def test_three_pixels_are_too_far_without_overlap() -> None:
    assert match_overlap_priority(np.array([[3.0]]), np.array([[0.49]])).tolist() == [-1]
    assert match_overlap_priority(np.array([[2.999]]), np.array([[0.0]])).tolist() == [0]


def test_what_overlap_leaves_is_assigned_anew_by_distance() -> None:
    distances = np.array([[1.0, 2.0], [2.5, 9.0]])
    assert match_overlap_priority(distances, np.zeros((2, 2))).tolist() == [1, 0]  # 4.5, not 10
    assert match_overlap_priority(distances, np.array([[0.0, 0.7], [0.0, 0.0]])).tolist() == [1, 0]


@pytest.mark.parametrize(("shape", "partner"), [((0, 0), []), ((0, 3), []), ((2, 0), [-1, -1])])
def test_nothing_on_one_side_matches_nothing(shape: tuple[int, int], partner: list[int]) -> None:
    assert match_overlap_priority(np.zeros(shape), np.zeros(shape)).tolist() == partner


def test_tables_of_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"distances have shape \(1, 2\) and IoUs \(2, 1\)"):
        match_overlap_priority(np.zeros((1, 2)), np.zeros((2, 1)))


def test_a_tie_goes_to_the_first_in_raster_order() -> None:
    assert match_overlap_priority(np.array([[1.0, 1.0]]), np.zeros((1, 2))).tolist() == [0]
    assert match_overlap_priority(np.array([[1.0], [1.0]]), np.zeros((2, 1))).tolist() == [0, -1]
    assert match_overlap_priority(np.full((2, 2), 2.0), np.zeros((2, 2))).tolist() == [0, 1]


def slow_assignment(distances: NDArray[np.float64]) -> list[tuple[int, int]]:
    """The first in order of all assignments with the least total, by trying every one."""
    rows, cols = distances.shape
    if rows > cols:
        return sorted((r, c) for c, r in slow_assignment(distances.T))
    orders = list(itertools.permutations(range(cols), rows))
    totals = [math.fsum(distances[r, c] for r, c in enumerate(order)) for order in orders]
    first = next(order for order, total in zip(orders, totals, strict=True) if total <= min(totals) + 1e-9)
    return list(enumerate(first))


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_an_assignment_is_the_first_of_those_with_the_least_total(data: st.DataObject) -> None:
    shape = data.draw(st.tuples(st.integers(1, 4), st.integers(1, 5)))
    squares = data.draw(st.lists(st.integers(0, 9), min_size=math.prod(shape), max_size=math.prod(shape)))
    distances = np.sqrt(np.array(squares, float).reshape(shape))
    rows, cols = assign(distances)
    assert sorted(zip(rows.tolist(), cols.tolist(), strict=True)) == slow_assignment(distances)


def slow_errors(predicted: Grid, truth: Grid) -> dict[str, Fraction]:
    """Every integer and share by flood fill, sets of pixels and trying every assignment."""
    targets, found = (flood_fill(grid, connectivity=8) for grid in (truth, predicted))
    ious = [[Fraction(len({*t} & {*c}), len({*t} | {*c})) for c in found] for t in targets]
    far = np.array([[_apart(t, c) for c in found] for t in targets]).reshape(len(targets), len(found))
    pairs: list[tuple[int, int]] = []
    for wanted in (lambda t, c: ious[t][c] >= Fraction(1, 2), lambda t, c: far[t, c] < 3):
        rows = [t for t in range(len(targets)) if t not in {t for t, _ in pairs}]
        cols = [c for c in range(len(found)) if c not in {c for _, c in pairs}]
        if rows and cols:
            made = slow_assignment(far[np.ix_(rows, cols)])
            pairs += [(rows[i], cols[j]) for i, j in made if wanted(rows[i], cols[j])]
    could = [[ious[t][c] >= Fraction(1, 2) or far[t, c] < 3 for c in range(len(found))] for t in range(len(targets))]
    itf = sum(not any(row[c] for row in could) for c in range(len(found)))
    pcp = sum(not any(row) for row in could)
    total = len(targets) + len(found) - len(pairs)
    everywhere = {pixel for target in targets for pixel in target}
    sums = dict.fromkeys(("seg-IoU", "seg-MRG", "seg-ITF", "seg-PCP"), Fraction(0))
    for t, c in pairs:
        mine, theirs = {*targets[t]}, {*found[c]}
        union = len(mine | theirs)
        sums["seg-IoU"] += Fraction(len(mine & theirs), union)
        sums["seg-MRG"] += Fraction(len((theirs - mine) & everywhere), union)
        sums["seg-ITF"] += Fraction(len(theirs - everywhere), union)
        sums["seg-PCP"] += Fraction(len(mine - theirs), union)
    shares = {
        "loc-IoU": len(pairs),
        "loc-S2M": len(targets) - len(pairs) - pcp,
        "loc-M2S": len(found) - len(pairs) - itf,
        "loc-ITF": itf,
        "loc-PCP": pcp,
    }
    result = {name: Fraction(value, total) for name, value in shares.items()} if total else {}
    if total:
        result["overlap-priority"] = sums["seg-IoU"] / total
    if pairs:
        result |= {name: value / len(pairs) for name, value in sums.items()}
    return result


def _apart(one: Pixels, other: Pixels) -> float:
    offsets = [sum(p[a] for p in one) / len(one) - sum(p[a] for p in other) / len(other) for a in (0, 1)]
    return math.sqrt(offsets[0] * offsets[0] + offsets[1] * offsets[1])


def grids(height: int, width: int) -> st.SearchStrategy[list[list[int]]]:
    """Maps in which about every third pixel is on, so that they fall into several components."""
    pixel = st.sampled_from([0, 0, 1])
    return st.lists(st.lists(pixel, min_size=width, max_size=width), min_size=height, max_size=height)


@settings(deadline=None, max_examples=300)
@given(grids(5, 7), grids(5, 7))
def test_every_score_is_that_of_the_slow_computation(predicted: Grid, truth: Grid) -> None:
    scores = {entry.id.removeprefix("hIoU/"): entry.score(errors_of(predicted, truth)).value for entry in ERRORS}
    expected = slow_errors(predicted, truth)
    assert {name for name, value in scores.items() if value is not None} == set(expected)
    for name, value in expected.items():
        assert scores[name] == pytest.approx(float(value), abs=ROUNDING, rel=0)


@settings(deadline=None)
@given(grids(6, 6), grids(6, 6))
def test_the_parts_of_locating_and_of_segmenting_sum_to_one(predicted: Grid, truth: Grid) -> None:
    table = errors_of(predicted, truth)
    for kind in ("loc", "seg"):
        parts = [entry.score(table).value for entry in ERRORS if entry.id.startswith(f"hIoU/{kind}-")]
        if parts[0] is None:
            assert parts == [None] * len(parts)
        else:
            assert sum(filter(None, parts)) == pytest.approx(1, abs=ROUNDING, rel=0)


def test_the_integers_of_a_picture_with_a_split_a_merged_a_lost_and_a_made_up_target() -> None:
    truth = mask(
        [
            "XX.........X.X",
            "XX.........X.X",
            "..............",
            "X.............",
            "..............",
            ".......X......",
            "..............",
            "..............",
            "X.............",
        ]
    )
    found = level(
        [
            "X......X...XXX",
            "X..........XXX",
            "..............",
            "X.............",
            ".........X....",
            "..............",
            "..............",
            "..............",
            "..............",
        ]
    )
    one = find_errors(found, truth, scoring=NATIVE)
    assert (one.targets, one.components, one.matched) == (6, 5, 4)
    assert (one.s2m, one.m2s, one.interference, one.perception) == (1, 0, 1, 1)
    assert one.pair_target.tolist() == [0, 2, 3, 4]  # the first of the two that merge is the nearer to the made-up one
    assert one.pair_component.tolist() == [0, 2, 3, 4]
    assert one.pair_intersection.tolist() == [2, 2, 1, 0]
    assert one.pair_union.tolist() == [4, 6, 1, 2]
    assert one.pair_merging.tolist() == [0, 2, 0, 0]
    assert one.pair_interference.tolist() == [0, 2, 0, 1]
    assert one.pair_perception.tolist() == [2, 0, 0, 1]


def test_a_far_pair_can_cost_a_near_one_because_all_distances_are_summed_as_published() -> None:
    distances = np.array([[1.0, 90.0, 90.0], [90.0, 2.0, 3.5], [90.0, 4.0, 90.0]])
    assert match_overlap_priority(distances, np.zeros((3, 3))).tolist() == [0, -1, -1]  # 1 + 3.5 + 4 before 1 + 2 + 90


def test_a_list_of_images_pools_objects_and_averages_over_pairs() -> None:
    writer = ErrorsWriter(NATIVE)
    writer.add("half", level(["XX.."]), truth=mask(["X..."]))
    writer.add("whole", level(["X..X"]), truth=mask(["X..X"]))
    writer.add("missed", level(["...."]), truth=mask(["X..."]))
    writer.add("empty", level(["...."]), truth=mask(["...."]))
    scores = ERRORS.score(writer.table(), NATIVE)
    assert scores["hIoU/loc-IoU"].value == 3 / 4
    assert scores["hIoU/seg-IoU"].value == pytest.approx(2.5 / 3, abs=ROUNDING)
    assert scores["hIoU/overlap-priority"].value == pytest.approx(2.5 / 4, abs=ROUNDING)
    assert scores["hIoU/loc-PCP"].value == 1 / 4
    assert writer.table().pair_image.tolist() == [0, 1, 1]


def test_an_empty_image_adds_no_object() -> None:
    writer = ErrorsWriter(NATIVE)
    writer.add("right", level(["X"]), truth=mask(["X"]))
    before = ERRORS.score(writer.table(), NATIVE)
    writer.add("empty", level(["."]), truth=mask(["."]))
    assert ERRORS.score(writer.table(), NATIVE) == before
    assert before["hIoU/overlap-priority"].value == 1.0


def test_what_has_no_value_says_why() -> None:
    empty, missed = errors_of([[0]], [[0]]), errors_of([[0]], [[1]])
    assert {entry.score(empty).value for entry in ERRORS} == {None}
    assert next(iter(ERRORS)).score(empty).reason == "no targets in the list and nothing predicted"
    by_id = ERRORS.score(missed, NATIVE)
    assert (by_id["hIoU/overlap-priority"].value, by_id["hIoU/loc-PCP"].value) == (0.0, 1.0)
    assert (by_id["hIoU/seg-IoU"].value, by_id["hIoU/seg-IoU"].reason) == (None, "no target matched in the list")


def test_another_distance_or_connectivity_is_another_metric() -> None:
    table = errors_of([[1]], [[1]])
    assert next(iter(ERRORS.score(table, Scoring("near", distance=5)))) == "hIoU/overlap-priority-5px"
    assert next(iter(ERRORS.score(table, Scoring("four", connectivity=4)))) == "hIoU/overlap-priority-3px-4conn"


def test_the_scoring_says_what_is_near_and_what_is_connected() -> None:
    truth, found = mask(["X....."]), level([".....X"])
    assert find_errors(found, truth, scoring=NATIVE).matched == 0
    assert find_errors(found, truth, scoring=Scoring("far", distance=5.1)).matched == 1
    corner = mask(["X.", ".X"])
    assert find_errors(level(["..", ".."]), corner, scoring=Scoring("four", connectivity=4)).targets == 2
    assert find_errors(np.full((1, 1), 32768, np.uint16), mask(["X"]), scoring=NATIVE).components == 0


def test_a_table_survives_its_arrays_and_broken_ones_are_refused() -> None:
    table = errors_of([[1, 0, 0, 0, 1]], [[1, 0, 0, 0, 1]])
    again = ErrorTable.from_arrays(table.to_arrays())
    assert {k: v.tolist() for k, v in again.to_arrays().items()} == {
        k: v.tolist() for k, v in table.to_arrays().items()
    }
    arrays = table.to_arrays()
    with pytest.raises(ValueError, match=r"errors: pair_union has shape \(1,\), expected \(2,\); score the run again"):
        ErrorTable.from_arrays({**arrays, "pair_union": arrays["pair_union"][:1]})
    del arrays["s2m"]
    with pytest.raises(ValueError, match="errors: no s2m, expected names, "):
        ErrorTable.from_arrays(arrays)


def test_maps_of_the_wrong_kind_are_refused_by_name() -> None:
    writer = ErrorsWriter(NATIVE)
    with pytest.raises(ValueError, match=r"a\.png: map is float64, expected uint16 levels"):
        writer.add("a.png", np.zeros((2, 2)), truth=np.zeros((2, 2), np.uint8))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"b\.png: map has shape \(2, 2\) and its mask \(2, 3\)"):
        writer.add("b.png", np.zeros((2, 2), np.uint16), truth=np.zeros((2, 3), np.uint8))
    soft = Scoring("soft", ground_truth="soft", resolution="network")
    with pytest.raises(ValueError, match="ground truth is soft, expected binary"):
        find_errors(np.zeros((1, 1), np.uint16), np.zeros((1, 1), np.uint8), scoring=soft)
    assert LEVELS == 65536
