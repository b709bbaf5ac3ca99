"""Our scores against pyirstdmetrics 1.0.2, run in an environment of its own on the same maps.

`tox run -e outside` makes the environment, `pytest -m slow tests/outside` compares; `tox run -e outside,cross-check`
does both. Where the package is wrong and we do not follow it, a test says so and holds both numbers.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from bench.data.catalogue.splits import list_names
from bench.data.images.frames import open_frames
from bench.metrics.counting.counts import CountsWriter, CountTable
from bench.metrics.errors import ERRORS, ErrorsWriter, ErrorTable
from bench.metrics.registry import score_counts
from bench.types import Matching, Scoring

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PYTHON = "DFINET_BENCH_OUTSIDE_PYTHON"
NATIVE = Scoring("native")

FLOAT64 = 1e-12
"""Between sums of quotients in another order."""

Pair = tuple[NDArray[np.uint16], NDArray[np.uint8]]
Lists = dict[str, dict[str, Pair]]


def parity_cases() -> dict[str, Pair]:
    """The sixteen cases of tests/parity, the soft mask binarised."""
    arrays = np.load(HERE.parent / "parity" / "metrics" / "cases.npz")
    names = [key.removesuffix("__prob") for key in arrays.files if key.endswith("__prob")]
    levels = {name: (arrays[f"{name}__prob"] * 65536).clip(0, 65535).astype(np.uint16) for name in names}
    return {name: (levels[name], (arrays[f"{name}__gt"] > 0.5).astype(np.uint8)) for name in names}


def random_maps(count: int = 120) -> dict[str, Pair]:
    """Masks of blobs, and maps that shift, break up, merge, miss and make up some of them; every tenth is empty."""
    found = {}
    for number in range(count):
        dice = np.random.default_rng(number)
        size = int(dice.integers(20, 60)), int(dice.integers(20, 60))
        smooth = ndimage.gaussian_filter(dice.normal(size=size), 1.2)
        mask = (smooth > np.quantile(smooth, 0.97)) if number % 10 else np.zeros(size, bool)
        heat = np.roll(smooth, tuple(dice.integers(-2, 3, 2)), (0, 1)) + dice.normal(scale=0.12, size=size)
        cut = np.quantile(heat, dice.uniform(0.95, 0.995)) if number % 7 else heat.max() + 1
        prob = 1 / (1 + np.exp(-8 * (heat - cut) / heat.std()))
        found[f"{number:03d}"] = (np.ceil(prob * 65535).astype(np.uint16), mask.astype(np.uint8))
    return found


def synthetic_maps() -> dict[str, Pair]:
    """The generated test list, each mask moved by up to two pixels and blurred; a bright decoy on every third."""
    frames = open_frames("synthetic", list_names("synthetic", "bench", "test"), root=None, decoder="pillow-grey")
    found = {}
    for number, frame in enumerate(frames):
        dice = np.random.default_rng(number)
        moved = np.roll(frame.binary_mask.astype(float), tuple(dice.integers(-2, 3, 2)), (0, 1))
        prob = np.clip(1.6 * ndimage.gaussian_filter(moved, 0.7), 0, 1)
        if number % 3 == 0:
            row, col = (int(place) for place in dice.integers(5, 100, 2))
            prob[row : row + 3, col : col + 2] = 0.9
        found[frame.name] = (np.ceil(prob * 65535).astype(np.uint16), frame.binary_mask)
    return found


@functools.cache
def lists() -> Lists:
    """Every list of maps and masks that is compared."""
    return {"parity": parity_cases(), "random": random_maps(), "synthetic": synthetic_maps()}


def outside_python() -> Path:
    """The interpreter that has pyirstdmetrics; without one the test is skipped."""
    named = os.environ.get(PYTHON)
    path = Path(named) if named else ROOT / ".tox" / "outside" / "bin" / "python"
    if not path.is_file():
        pytest.skip(f"{path}: no such file; make it with `tox run -e outside`, or name another in {PYTHON}")
    return path


@pytest.fixture(scope="module")
def theirs() -> dict[str, Any]:
    """What the package gives for every list and image."""
    python = outside_python()
    with tempfile.TemporaryDirectory() as folder:
        maps, out = Path(folder) / "maps.npz", Path(folder) / "scores.json"
        arrays: dict[str, Any] = {}
        for listed, images in lists().items():
            for name, (levels, mask) in images.items():
                arrays[f"{listed}|{name}|prob"] = levels / 65536
                arrays[f"{listed}|{name}|mask"] = mask.astype(bool)
        np.savez(maps, **arrays)
        command = [str(python), "-I", str(HERE / "score_outside.py"), str(maps), str(out)]
        ended = subprocess.run(command, capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr
        told: dict[str, Any] = json.loads(out.read_text())
    assert told["versions"]["pyirstdmetrics"] == "1.0.2"
    return dict(told["lists"])


def counted(images: dict[str, Pair], scoring: Scoring = NATIVE) -> CountTable:
    """Our counts of a list."""
    writer = CountsWriter(scoring)
    for name, (levels, mask) in images.items():
        writer.add(name, [levels], truth=mask)
    return writer.table()


def erred(images: dict[str, Pair]) -> ErrorTable:
    """Our errors of a list."""
    writer = ErrorsWriter(NATIVE)
    for name, (levels, mask) in images.items():
        writer.add(name, levels, truth=mask)
    return writer.table()


def close(value: float) -> Any:
    return pytest.approx(value, abs=FLOAT64, rel=0)


LISTS = ("parity", "random", "synthetic")


@pytest.mark.parametrize("listed", LISTS)
def test_pd_fa_iou_niou_precision_recall_and_f1_are_theirs(theirs: dict[str, Any], listed: str) -> None:
    table = counted(lists()[listed])
    scores = {name: one.value for name, one in score_counts(table.round(0), NATIVE).items()}
    them = theirs[listed]["all"]
    assert scores["Pd/centroid-3px"] == close(them["PdFa"]["probability_detection"][0])
    assert scores["Fa/unmatched-area"] == close(them["PdFa"]["false_alarm"][0])
    for ours, name in [
        ("IoU/pooled", "iou"),
        ("nIoU/per-image", "niou"),
        ("Precision/pooled", "precision"),
        ("Recall/pooled", "recall"),
        ("F1/pooled", "f1"),
    ]:
        assert scores[ours] == close(them["pixels"][name]["binary"]), ours


@pytest.mark.parametrize("listed", LISTS)
def test_every_image_has_their_objects(theirs: dict[str, Any], listed: str) -> None:
    table = counted(lists()[listed])
    for index, name in enumerate(table.names):
        them = theirs[listed]["images"][name]["PdFa"]
        unmatched = int(table.targets[index] - table.matched[0, index])
        ours = [int(table.matched[0, index]), int(table.unmatched[0, index]), unmatched]
        assert [ours, int(table.unmatched_area[0, index])] == [
            [them["tp_objs"][0], them["fp_objs"][0], them["fn_objs"][0]],
            them["fp_area"][0],
        ], name


PARTS = {
    "hIoU/loc-IoU": "loc_iou",
    "hIoU/loc-S2M": "loc_s2m_err",
    "hIoU/loc-M2S": "loc_m2s_err",
    "hIoU/loc-ITF": "loc_itf_err",
    "hIoU/loc-PCP": "loc_pcp_err",
    "hIoU/seg-IoU": "seg_iou",
    "hIoU/seg-MRG": "seg_mrg_err",
    "hIoU/seg-ITF": "seg_itf_err",
    "hIoU/seg-PCP": "seg_pcp_err",
}


@pytest.mark.parametrize("listed", LISTS)
def test_hiou_and_its_errors_are_theirs_wherever_both_sides_have_objects(theirs: dict[str, Any], listed: str) -> None:
    compared = 0
    for name, pair in lists()[listed].items():
        table = erred({name: pair})
        if not table.targets[0] or not table.components[0]:
            continue
        scores, them = ERRORS.score(table, NATIVE), theirs[listed]["images"][name]
        assert scores["hIoU/overlap-priority"].value == close(them["OPDC"]["hiou"][0]), name
        for ours, part in PARTS.items():
            value = scores[ours].value
            expected = them["HIoUError"][part][0]
            assert (0.0 if value is None else value) == close(expected), (name, ours)
        compared += 1
    assert compared >= {"parity": 13, "random": 80, "synthetic": 60}[listed]


@pytest.mark.parametrize("listed", LISTS)
def test_they_make_up_an_object_on_every_empty_side_and_we_do_not(theirs: dict[str, Any], listed: str) -> None:
    table, them = erred(lists()[listed]), theirs[listed]["all"]["OPDC"]
    without_targets, without_components = int((table.targets == 0).sum()), int((table.components == 0).sum())
    assert without_targets
    assert them["tp_objs"] == [int(table.matched.sum())]
    assert them["fn_objs"] == [int((table.targets - table.matched).sum()) + without_targets]
    assert them["fp_objs"] == [int((table.components - table.matched).sum()) + without_components]
    ours = ERRORS.score(table, NATIVE)["hIoU/overlap-priority"].value
    sums = them["tp_objs"][0] + them["fn_objs"][0] + them["fp_objs"][0]
    assert ours == close(them["hiou"][0] * sums / (sums - without_targets - without_components))


@pytest.mark.parametrize("listed", LISTS)
def test_their_error_class_never_fills_its_areas(theirs: dict[str, Any], listed: str) -> None:
    them = theirs[listed]["all"]
    assert (them["HIoUError"]["fp_area"], them["HIoUError"]["total_area"]) == ([0], 0)
    assert them["OPDC"]["fp_area"][0] > 0
    assert them["OPDC"]["total_area"] == sum(mask.size for _, mask in lists()[listed].values())


def test_their_curves_are_means_over_images_even_where_the_list_is_asked_for(theirs: dict[str, Any]) -> None:
    pixels = theirs["random"]["all"]["pixels"]
    assert pixels["iou"]["dynamic"] == pixels["niou"]["dynamic"]
    assert pixels["iou"]["binary"] != pixels["niou"]["binary"]


@pytest.mark.parametrize("listed", LISTS)
@pytest.mark.parametrize(("matching", "kind"), [("shooting", "Shooting"), ("overlap-priority", "OPDC")])
def test_other_matching_rules_count_their_targets_and_false_alarms(
    theirs: dict[str, Any], listed: str, matching: Matching, kind: str
) -> None:
    try:
        table = counted(lists()[listed], Scoring(matching, matching=matching))
    except ValueError as error:
        if "not counted yet" in str(error):
            pytest.skip(str(error))
        raise
    them = theirs[listed]["all"][kind]
    assert [int(table.matched.sum())] == them["tp_objs"]
    assert [int(table.unmatched_area.sum())] == them["fp_area"]
