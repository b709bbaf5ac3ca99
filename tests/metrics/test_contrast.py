"""Signal-to-clutter ratio gain and background suppression: by hand, what is infinite or undefined, and refusals."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.metrics import contrast
from bench.metrics.contrast import CONTRAST, ContrastTable, ContrastWriter, contrast_of
from bench.metrics.counting.counts import CountsWriter
from bench.types import Score, Scoring

NATIVE = Scoring("native")
ROUNDING = 1e-12
"""Of means and deviations of some pixels in float64."""


def scores(table: ContrastTable) -> dict[str, Score]:
    """Every score by id."""
    return CONTRAST.score(table, NATIVE)


def listed(*images: tuple[list[float], list[int], list[int]]) -> ContrastTable:
    """The table of several images of one row: map, mask, grey levels."""
    writer = ContrastWriter(NATIVE)
    for number, (prob, mask, grey) in enumerate(images):
        q = (np.array([prob]) * 65536).astype(np.uint16)
        writer.add(str(number), q, truth=np.array([mask], np.uint8), grey=np.array([grey], np.uint8))
    return writer.table()


TWICE = ([0.75, 0.0, 0.5], [1, 0, 0], [102, 0, 102])
"""Gain (0.5 / 0.25) / (0.2 / 0.2) = 2, suppression 0.2 / 0.25 = 0.8."""

FLAT = ([0.75, 0.0, 0.0], [1, 0, 0], [102, 0, 102])
LOST = ([0.0, 0.0, 0.0], [1, 0, 0], [102, 0, 102])
FULL = ([0.75], [1], [102])


def test_every_example_holds() -> None:
    outcome = doctest.testmod(contrast)
    assert outcome.attempted
    assert not outcome.failed


def test_the_values_of_one_target_are_in_zero_to_one() -> None:
    table = listed(TWICE)
    values = {name: getattr(table, name).tolist() for name in contrast.TARGET_FIELDS + contrast.IMAGE_FIELDS}
    assert values == {
        "signal_before": [0.2],
        "clutter_before": [0.2],
        "signal_after": [0.5],
        "clutter_after": [0.25],
        "background_before": [0.2],
        "background_after": [0.25],
    }
    assert scores(table)["BSF/whole-image"].value == pytest.approx(0.8, abs=ROUNDING)


def test_the_surroundings_end_twenty_pixels_from_the_target_and_leave_out_other_targets() -> None:
    grey = np.zeros((1, 60), np.uint8)
    grey[0, [0, 20, 21, 22]] = 200, 40, 250, 8  # beyond the target's 20 px to the right, and another target
    mask = np.zeros((1, 60), np.uint8)
    mask[0, [1, 20]] = 1
    writer = ContrastWriter(NATIVE)
    writer.add("a", np.zeros((1, 60), np.uint16), truth=mask, grey=grey)
    around = [200] + [0] * 18 + [250]  # columns 0 to 21 but 1 and 20
    assert writer.table().clutter_before[0] == pytest.approx(np.std(around) / 255, abs=ROUNDING)
    assert writer.table().signal_before[0] == pytest.approx(np.mean(around) / 255, abs=ROUNDING)
    assert writer.table().target_image.tolist() == [0, 0]


def test_the_ratio_before_is_the_one_that_counts_store() -> None:
    generator = np.random.default_rng(7)
    grey = generator.integers(0, 256, (64, 80)).astype(np.uint8)
    mask: NDArray[np.uint8] = (generator.random((64, 80)) > 0.99).astype(np.uint8)
    q = generator.integers(0, 65536, (64, 80)).astype(np.uint16)
    ours, counts = ContrastWriter(NATIVE), CountsWriter(NATIVE)
    ours.add("a", q, truth=mask, grey=grey)
    counts.add("a", [q], truth=mask, grey=grey)
    table = ours.table()
    assert len(table.signal_before) > 20
    expected = counts.table().target_scr
    assert np.allclose(table.signal_before / table.clutter_before, expected, rtol=ROUNDING, atol=0)


def test_a_constant_background_is_infinite_left_out_and_counted() -> None:
    found = scores(listed(TWICE, FLAT, LOST))
    assert found["SCRG/local-20px"].value == 2.0
    assert found["SCRG/local-20px"].reason == "2 of 3 targets left out: 1 infinite, 1 undefined"
    assert found["BSF/whole-image"].value == pytest.approx(0.8, abs=ROUNDING)
    assert found["BSF/whole-image"].reason == "2 of 3 images left out: 2 infinite"


def test_with_all_left_out_there_is_no_mean() -> None:
    found = scores(listed(FLAT, FULL))
    assert found["SCRG/local-20px"].value is None
    assert found["SCRG/local-20px"].reason == "2 of 2 targets left out: 1 infinite, 1 undefined"
    assert found["BSF/whole-image"].value is None
    assert found["BSF/whole-image"].reason == "2 of 2 images left out: 1 infinite, 1 undefined"


def test_the_median_takes_infinite_values_for_the_greatest() -> None:
    most = scores(listed(TWICE, TWICE, FLAT, LOST))
    assert (most["SCRG/local-20px-median"].value, most["SCRG/local-20px"].value) == (2.0, 2.0)
    assert most["SCRG/local-20px-median"].reason == "of 4 targets 1 infinite, 1 undefined"
    half = scores(listed(TWICE, FLAT))
    assert half["SCRG/local-20px-median"].value is None
    assert half["SCRG/local-20px-median"].reason == "infinite: of 2 targets 1 infinite"
    assert half["BSF/whole-image-median"].value is None
    undefined = scores(listed(LOST))
    assert undefined["SCRG/local-20px-median"].reason == "1 of 1 targets left out: 1 undefined"


def test_a_target_on_an_exactly_constant_image_has_no_gain_and_one_without_signal_has_an_infinite_one() -> None:
    found = scores(
        listed(TWICE, ([0.75, 0.0, 0.5], [1, 0, 0], [102, 7, 7]), ([0.75, 0.0, 0.5], [1, 0, 0], [51, 0, 102]))
    )
    assert found["SCRG/local-20px"].value == 2.0
    assert found["SCRG/local-20px"].reason == "2 of 3 targets left out: 1 infinite, 1 undefined"


def test_a_list_without_targets_or_images_says_so() -> None:
    without = scores(contrast_of([[0.25, 0.5]], [[0, 0]], [[0, 51]]))
    assert (without["SCRG/local-20px"].value, without["SCRG/local-20px"].reason) == (None, "no targets in the list")
    assert without["BSF/whole-image"].value == pytest.approx(0.8, abs=ROUNDING)
    assert scores(ContrastWriter(NATIVE).table())["BSF/whole-image"].reason == "no images in the list"


def test_ids_units_and_directions() -> None:
    assert [(entry.id, entry.unit, entry.better) for entry in CONTRAST] == [
        ("SCRG/local-20px", "ratio", "higher"),
        ("SCRG/local-20px-median", "ratio", "higher"),
        ("BSF/whole-image", "ratio", "higher"),
        ("BSF/whole-image-median", "ratio", "higher"),
    ]
    near = CONTRAST.score(listed(TWICE), Scoring("four", distance=5, connectivity=4))
    assert next(iter(near)) == "SCRG/local-20px-4conn"  # the matching distance says nothing here


def test_a_table_survives_its_arrays_and_broken_ones_are_refused() -> None:
    table = listed(TWICE, FLAT)
    again = ContrastTable.from_arrays(table.to_arrays())
    assert {k: v.tolist() for k, v in again.to_arrays().items()} == {
        k: v.tolist() for k, v in table.to_arrays().items()
    }
    arrays = table.to_arrays()
    with pytest.raises(ValueError, match=r"contrast: signal_after has shape \(1,\), expected \(2,\); score the run"):
        ContrastTable.from_arrays({**arrays, "signal_after": arrays["signal_after"][:1]})
    del arrays["background_before"]
    with pytest.raises(ValueError, match="contrast: no background_before, expected names, "):
        ContrastTable.from_arrays(arrays)


def test_maps_of_the_wrong_kind_are_refused_by_name() -> None:
    writer, bare = ContrastWriter(NATIVE), np.zeros((2, 2), np.uint8)
    with pytest.raises(ValueError, match=r"a\.png: map is uint8, expected uint16 levels"):
        writer.add("a.png", bare, truth=bare, grey=bare)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"a\.png: grey image is float64, expected whole levels 0 to 255"):
        writer.add("a.png", bare.astype(np.uint16), truth=bare, grey=np.zeros((2, 2)))
    with pytest.raises(ValueError, match=r"b\.png: map has shape \(2, 2\), its mask \(2, 2\) and grey image \(2, 3\)"):
        writer.add("b.png", bare.astype(np.uint16), truth=bare, grey=np.zeros((2, 3), np.uint8))
    soft = ContrastWriter(Scoring("soft", ground_truth="soft", resolution="network"))
    with pytest.raises(ValueError, match="ground truth is soft, expected binary"):
        soft.add("c.png", bare.astype(np.uint16), truth=bare, grey=bare)
