"""Numbers and pictures of test images: worst first, exact at the scoring's threshold, within the stated bounds."""

from __future__ import annotations

import base64
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.metrics.counting.counts import count_masks, join_counts
from bench.metrics.counting.levels import threshold_level
from bench.types import RunResult
from reports.results import image_browser
from reports.results.entries import read_suite
from reports.results.image_browser import ImageBrowser, image_browsers, numbers_of, to_steps, worst_first
from reports.results.image_counts import read_counted
from tests.reports.fake_runs import ACM, DFINET, measured, result, write_suite


def browsers_of(root: Path) -> tuple[ImageBrowser, ...]:
    return image_browsers(read_counted(read_suite(root, "trial")[1], mixed="refuse"))


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    rows: list[tuple[str, RunResult | None, None]] = [
        (info.name, measured(result(info), tmp_path, skill=skill, frames=5), None)
        for info, skill in ((DFINET, 0.9), (ACM, 0.5))
    ]
    write_suite(tmp_path, rows)
    return tmp_path


def test_an_image_with_nothing_to_find_is_right_unless_something_is_predicted():
    counts = join_counts([count_masks([[0, 0]], [[0, 0]]), count_masks([[1, 0]], [[0, 0]]), count_masks([[1]], [[1]])])
    found = numbers_of("A", counts)
    assert found.iou == (1000, 0, 1000)
    assert found.wrong == (0, 1, 0)
    assert found.missed == (0, 0, 0)
    assert found.alarms == (0, 1, 0)
    assert worst_first([found, found]) == (1, 0, 2)


@pytest.mark.parametrize("threshold", [0.0, 0.1, 0.4, 0.5, 0.999])
def test_steps_tell_above_from_below_the_threshold_as_levels_do(threshold: float):
    levels = np.arange(65536, dtype=np.uint16)
    level = threshold_level(threshold)
    steps = to_steps(levels, threshold)
    assert np.array_equal(steps >= (level >> 8), levels > level) or level < 256
    assert (np.diff(steps.astype(int)) >= 0).all()


def test_examples_are_embedded_with_every_round(runs: Path):
    [found] = browsers_of(runs)
    assert sorted(found.embedded) == [0, 1, 2]
    assert found.embedded[0].rounds == {0: (1, 2, 3, 4, 5, 6, 7, 8), 1: (1,)}
    assert found.absent == "the others are not among the runs' examples, and their dataset was not read"
    with np.load(next(path for path in runs.glob("*/examples.npz") if np.load(path)["rounds_0"].shape[0] == 8)) as kept:
        drawn = np.asarray(Image.open(io.BytesIO(base64.b64decode(found.embedded[0].maps[0][-1]))))
        assert np.array_equal(drawn >= found.step, kept["rounds_0"][-1] > threshold_level(0.5))


def test_only_pictured_methods_have_maps_and_the_page_says_so(runs: Path):
    every = read_counted(read_suite(runs, "trial")[1], mixed="refuse")
    [found] = image_browsers(every, pictured={"ACM"})
    assert [sorted(shown.maps) for shown in found.embedded.values()] == [[1]] * 3
    assert [method.label for method in found.methods] == ["DFINet", "ACM"]
    assert found.left_out == "Maps: of 1 of 2 methods, those that figures show"
    assert browsers_of(runs)[0].left_out == ""


def test_pictures_end_at_the_bound(runs: Path, monkeypatch: pytest.MonkeyPatch):
    [whole] = browsers_of(runs)
    sizes = [whole.embedded[place].size for place in (0, 1, 2)]
    monkeypatch.setattr(image_browser, "MOST_BYTES", sizes[0] + sizes[1])
    [found] = browsers_of(runs)
    assert sorted(found.embedded) == [0, 1]
    assert found.absent.startswith("more than 0.")


def test_a_run_with_broken_or_missing_examples_still_has_its_numbers(runs: Path):
    first, second = runs.glob("*/examples.npz")
    first.write_bytes(b"no archive")
    [found] = browsers_of(runs)
    assert [len(shown.maps) for shown in found.embedded.values()] == [1, 1, 1]
    second.unlink()
    [found] = browsers_of(runs)
    assert (found.embedded, found.absent) == ({}, "no run stored its maps")
    assert len(found.methods[0].iou) == 5


def test_results_without_counts_have_no_images(tmp_path: Path):
    write_suite(tmp_path, [("ACM", replace(result(), rounds=(result().scores,)), None)])
    assert browsers_of(tmp_path) == ()
