"""Scores over all rounds so far, as DFINet's script prints them: its constructed example, and each round by itself."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.metrics.counting.counts import Counts, CountsWriter, CountTable, join_counts
from bench.metrics.registry import score_rounds
from bench.types import Scoring

NATIVE = Scoring("native")
WIDTHS = [6] * 13 + [5] * 6 + [9] * 6 + [8] * 7
"""Pixels of 32 targets, bars of one row: the first 19 are found, exactly, and 199 pixels are a false alarm."""


def bars(widths: list[int]) -> NDArray[np.uint8]:
    """A map of 64 x 200 pixels with a bar in each of the first cells of 8 x 16 pixels, eight cells a row."""
    plane = np.zeros((64, 200), np.uint8)
    for number, width in enumerate(widths):
        row, column = 8 * (number // 8), 16 * (number % 8)
        plane[row, column : column + width] = 1
    return plane


def three_rounds() -> CountTable:
    """The counts of a mediocre round, a perfect one and an empty one on one image."""
    mediocre = bars(WIDTHS[:19])
    mediocre[60, :199] = 1
    writer = CountsWriter(NATIVE)
    maps = [np.uint16(65535) * plane for plane in (mediocre, bars(WIDTHS), bars([]))]
    writer.add("bars", maps, truth=bars(WIDTHS))
    return writer.table()


def values(name: str) -> list[float | None]:
    """A score of each of the three rounds."""
    return [scores[name].value for scores in score_rounds(three_rounds(), NATIVE)]


def test_the_example_has_the_ratios_of_the_published_one() -> None:
    """Of twenty perturbed masks, which are not public: 19 of 32 targets and a pooled IoU of 0.2590 at first."""
    first = three_rounds().round(0)
    assert (int(first.matched[0]), int(first.targets[0])) == (19, 32)
    assert (int(first.intersection[0]), int(first.predicted[0]), int(first.labelled[0])) == (108, 108 + 199, 218)


def test_iou_and_pd_so_far_are_what_the_script_prints() -> None:
    """Printed for an imperfect, then a perfect, then an empty round: IoU .2590 .5134 .3822, Pd .594 .797 .531."""
    so_far = [round(value or 0, 4) for value in values("legacy:IoU/cumulative-rounds")]
    assert so_far == [0.2590, 0.5134, 0.3822]
    assert [round(value or 0, 3) for value in values("legacy:Pd/cumulative-rounds")] == [0.594, 0.797, 0.531]
    assert values("legacy:IoU/cumulative-rounds") == [108 / 417, (108 + 218) / (417 + 218), 326 / (417 + 2 * 218)]
    assert values("legacy:Pd/cumulative-rounds") == [19 / 32, 51 / 64, 51 / 96]


def test_each_round_by_itself_is_what_it_is() -> None:
    assert [round(value or 0, 4) for value in values("IoU/pooled")] == [0.2590, 1.0, 0.0]
    assert [round(value or 0, 3) for value in values("Pd/centroid-3px")] == [0.594, 1.0, 0.0]


def test_false_alarms_so_far_are_thinned_by_rounds_without_any() -> None:
    pixels = 64 * 200
    assert values("legacy:Fa/cumulative-rounds") == [199 / pixels, 199 / (2 * pixels), 199 / (3 * pixels)]
    assert values("Fa/unmatched-area") == [199 / pixels, 0.0, 0.0]


def test_rounds_taken_together_are_one_list_with_its_targets_in_order() -> None:
    table = three_rounds()
    two = table.through(1)
    assert len(two) == 2
    assert two.target_image.tolist() == [0] * 32 + [1] * 32
    assert two.target_matched.tolist() == [True] * 19 + [False] * 13 + [True] * 32
    second: Counts = two.take([1])
    assert int(second.intersection[0]) == int(table.round(1).intersection[0]) == 218
    assert second.target_area.tolist() == WIDTHS


def test_no_lists_cannot_be_joined() -> None:
    with pytest.raises(ValueError, match="counts: no parts, expected at least one"):
        join_counts([])
