"""What feedback rounds do to an image: every integer by hand, the table's round trip, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.metrics.rounds import ImageRounds, RoundsWriter, RoundTable, follow_image
from bench.types import Scoring

NATIVE = Scoring("native")
OFF, ON = 32768, 32769
"""The levels on both sides of the threshold 0.5: a probability of exactly 0.5 is not a target."""


def maps(*rounds: list[int]) -> NDArray[np.uint16]:
    """(R, 1, W) levels."""
    return np.array(rounds, np.uint16)[:, None]


def followed(*rounds: list[int], scoring: Scoring = NATIVE) -> ImageRounds:
    """What becomes of those rounds of one row of pixels, without a start mask, of which the first is a target."""
    levels = maps(*rounds)
    mask = np.zeros(levels.shape[1:], np.uint8)
    mask[0, 0] = 1
    return follow_image(levels, mask=mask, scoring=scoring)


def test_a_pixel_is_on_above_the_threshold_and_changes_when_it_crosses_it() -> None:
    assert followed([OFF, ON, 0], [OFF - 1, 65535, OFF], [ON, ON, OFF]).changed == (0, 1)
    low = Scoring("low", threshold=0.25)
    assert followed([16384, 16385], [16385, 16384], scoring=low).changed == (2,)
    assert followed([16384, 16385], [16385, 16384]).changed == (0,)


@pytest.mark.parametrize(
    ("rounds", "fixed"),
    [
        ([[ON], [ON], [ON], [ON]], 1),
        ([[OFF], [ON], [ON], [ON]], 2),
        ([[OFF], [ON], [OFF], [OFF]], 3),
        ([[ON], [ON], [ON], [OFF]], 4),
        ([[OFF], [ON], [OFF], [ON]], 4),
        ([[ON]], 1),
    ],
)
def test_a_mask_is_fixed_from_the_first_round_after_its_last_change(rounds: list[list[int]], fixed: int) -> None:
    assert followed(*rounds).fixed == fixed


@pytest.mark.parametrize(
    ("rounds", "repeats"),
    [
        ([[ON], [ON + 1], [ON + 2]], 0),
        ([[ON], [ON], [ON + 1]], 2),
        ([[ON], [ON + 1], [ON + 1], [ON + 1]], 3),
        ([[ON, 1], [ON, 2], [ON, 3], [ON, 3]], 4),
        ([[ON], [OFF], [ON]], 0),
        ([[ON]], 0),
    ],
)
def test_rounds_repeat_when_every_level_is_that_of_the_round_before(rounds: list[list[int]], repeats: int) -> None:
    assert followed(*rounds).repeats == repeats


def test_a_pixel_flickers_when_it_changes_more_than_once() -> None:
    still, once, twice, always = [ON] * 4, [OFF, ON, ON, ON], [OFF, ON, OFF, OFF], [OFF, ON, OFF, ON]
    found = followed(*(list(levels) for levels in zip(still, once, twice, always, strict=True)))
    assert (found.flicker, found.changed, found.fixed) == (2, (3, 2, 1), 4)


def test_the_start_is_counted_above_one_half_against_the_mask() -> None:
    mask, start = np.array([[1, 1, 0, 0, 0]], np.uint8), np.array([[0.5, 0.75, 1.0, 0.25, 1.0]], np.float32)
    found = follow_image(maps([0] * 5, [0] * 5), mask=mask, start=start, scoring=NATIVE)
    assert (found.start_intersection, found.start_predicted, found.actual, found.pixels) == (1, 3, 2, 5)


def test_no_start_mask_counts_as_an_empty_one() -> None:
    found = followed([ON], [ON])
    assert (found.start_intersection, found.start_predicted, found.actual) == (0, 0, 1)


def small_table() -> RoundTable:
    """Two images of different sizes over three rounds."""
    writer = RoundsWriter(NATIVE)
    writer.add("b", maps([OFF, ON], [ON, ON], [ON, ON]), mask=np.array([[1, 0]]), start=np.array([[1, 1]]))
    writer.add("a", maps([ON] * 3, [ON] * 3, [OFF, ON, OFF]), mask=np.array([[0, 0, 1]]))
    return writer.table()


def test_a_table_holds_the_integers_image_by_image() -> None:
    table = small_table()
    arrays = table.to_arrays()
    assert {name: array.tolist() for name, array in arrays.items()} == {
        "names": ["b", "a"],
        "pixels": [2, 3],
        "changed": [[1, 0], [0, 2]],
        "fixed": [2, 3],
        "repeats": [3, 2],
        "flicker": [0, 0],
        "start_intersection": [1, 0],
        "start_predicted": [2, 0],
        "actual": [1, 1],
    }
    assert {array.dtype.kind for name, array in arrays.items() if name != "names"} == {"i"}
    assert all(array.dtype == np.int64 for name, array in arrays.items() if name != "names")
    assert arrays["names"].dtype.kind == "U"
    assert table.rounds == 3


def test_a_table_comes_back_from_its_arrays() -> None:
    table = small_table()
    again = RoundTable.from_arrays(table.to_arrays())
    assert again.names == table.names
    assert all(np.array_equal(array, again.to_arrays()[name]) for name, array in table.to_arrays().items())


def test_a_table_without_images_comes_back_too() -> None:
    table = RoundTable.from_arrays(RoundsWriter(NATIVE).table().to_arrays())
    assert (table.names, table.rounds, table.changed.shape, table.fixed.shape) == ((), 1, (0, 0), (0,))


@pytest.mark.parametrize(
    ("name", "shape", "said"),
    [
        ("fixed", (3,), r"rounds: fixed has shape \(3,\), expected \(2,\); predict the run again"),
        ("actual", (2, 1), r"rounds: actual has shape \(2, 1\), expected \(2,\)"),
        ("changed", (2, 3), r"rounds: changed has shape \(2, 3\), expected \(2, 2\)"),
        ("changed", (2,), r"rounds: changed has shape \(2,\), expected \(2, 2\)"),
        ("changed", (), r"rounds: changed has shape \(\), expected one number for each image or target"),
    ],
)
def test_an_array_that_does_not_fit_is_refused(name: str, shape: tuple[int, ...], said: str) -> None:
    arrays = small_table().to_arrays() | {name: np.zeros(shape, np.int64)}
    with pytest.raises(ValueError, match=said):
        RoundTable.from_arrays(arrays)


def test_a_missing_array_is_named() -> None:
    arrays = small_table().to_arrays()
    del arrays["flicker"]
    with pytest.raises(ValueError, match=r"rounds: no flicker, expected names, pixels, changed, .*; predict the run"):
        RoundTable.from_arrays(arrays)


@pytest.mark.parametrize(
    ("levels", "options", "said"),
    [
        (maps([0, 0]).astype(np.int64), {}, "a: maps are int64, expected uint16 levels"),
        (maps([0, 0])[0], {}, r"a: maps have shape \(1, 2\), expected \(rounds, height, width\)"),
        (maps([0, 0])[:0], {}, r"a: maps have shape \(0, 1, 2\), expected .* at least one round"),
        (maps([0, 0, 0]), {}, r"a: mask has shape \(1, 2\) and its maps \(1, 3\), expected the same"),
        (maps([0, 0]), {"start": np.zeros((2, 1))}, r"a: start mask has shape \(2, 1\) and its maps \(1, 2\)"),
    ],
)
def test_maps_that_are_not_of_the_kind_asked_for_are_refused_by_the_images_name(
    levels: NDArray[Any], options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        RoundsWriter(NATIVE).add("a", levels, mask=np.zeros((1, 2), np.uint8), **options)


def test_another_number_of_rounds_is_refused_by_the_images_name() -> None:
    writer, mask = RoundsWriter(NATIVE), np.zeros((1, 1), np.uint8)
    writer.add("a", maps([0], [0]), mask=mask)
    with pytest.raises(ValueError, match="b: 3 rounds, expected 2 as for the images before it"):
        writer.add("b", maps([0], [0], [0]), mask=mask)
    assert writer.table().names == ("a",)
