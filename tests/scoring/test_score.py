"""Predictions judged again: published numbers from plain files, notes on how they were read, a run's own numbers."""

from __future__ import annotations

import doctest
import importlib
import json
import shutil
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import fakes
import numpy as np
import pytest
from fakes import make_jobs, synthetic_frames
from numpy.typing import NDArray

from bench.errors import DataError
from bench.metrics.counting.counts import CountTable
from bench.metrics.counting.levels import quantise
from bench.protocols.scorings import NamedScoring, all_scorings, named_scoring, read_records, with_prints
from bench.run.local import run_all
from bench.run.workspace import Session, Workspace
from bench.scoring.score import Scored, rescore_run, score_folder
from bench.store.files import load_arrays, read_result, write_result
from bench.suites.expand import Job
from bench.types import Scoring

PARITY = Path(__file__).parents[1] / "parity" / "metrics"
CASES: dict[str, Any] = json.loads((PARITY / "cases.json").read_text())["cases"]
ARRAYS = dict(np.load(PARITY / "cases.npz"))
SOFT_CASE = "nonbinary_gt_resized"
BINARY_CASES = sorted(name for name in CASES if name != SOFT_CASE)
NATIVE = [named_scoring("native")]
EXACT = 1e-12


@pytest.mark.parametrize(
    "module",
    [
        "protocols.scorings",
        "scoring.align",
        "scoring.read_folder",
        "scoring.read_map",
        "scoring.request",
        "scoring.score",
    ],
)
def test_examples_of_docstrings_hold(module: str) -> None:
    outcome = doctest.testmod(importlib.import_module(f"bench.{module}"))
    assert outcome.attempted
    assert not outcome.failed


def make_masks(folder: Path) -> Path:
    """The cases' masks as 8-bit pictures; all of their values are whole numbers of 255."""
    folder.mkdir()
    for name in CASES:
        levels = ARRAYS[f"{name}__gt"].astype(np.float64) * 255
        assert np.abs(levels - levels.round()).max() < 1e-4
        assert cv2.imwrite(str(folder / f"{name}_pixels0.png"), levels.round().astype(np.uint8))
    return folder


def as_arrays(folder: Path) -> Path:
    """The cases' probabilities, exactly."""
    folder.mkdir()
    for name in CASES:
        np.save(folder / f"{name}.npy", ARRAYS[f"{name}__prob"])
    return folder


def as_pictures(folder: Path) -> Path:
    """The cases' probabilities in 16 bits, rounded down, so that 0.5 does not get above itself."""
    folder.mkdir()
    for name in CASES:
        values = np.floor(ARRAYS[f"{name}__prob"].astype(np.float64) * 65535).astype(np.uint16)
        assert cv2.imwrite(str(folder / f"{name}.png"), values)
    return folder


def as_archive(folder: Path) -> Path:
    """The cases' probabilities in one file."""
    path = folder.with_suffix(".npz")
    np.savez(path, **{name: ARRAYS[f"{name}__prob"] for name in CASES})
    return path


FORMS: list[Callable[[Path], Path]] = [as_arrays, as_pictures, as_archive]


def value(found: Scored, head: str) -> float:
    """What the scoring's code base prints under that head."""
    score = found.scores[found.named.printed_ids()[head]]
    assert score.value is not None
    return score.value


def totals(code: str, *path: str, cases: list[str] = BINARY_CASES) -> float:
    """Sum over the cases of what a published code counted."""
    total = 0.0
    for name in cases:
        found = CASES[name]["results"][code]
        for part in path:
            found = found[part]
        total += found[0] if isinstance(found, list) else found
    return total


@pytest.mark.parametrize("write", FORMS)
def test_files_of_the_public_cases_score_what_the_published_codes_counted(
    write: Callable[[Path], Path], tmp_path: Path
) -> None:
    scorings = [named_scoring(name) for name in ("native", "dnanet", "uiunet", "basicirstd-2023")]
    found = score_folder(write(tmp_path / "maps"), make_masks(tmp_path / "masks"), scorings, names=BINARY_CASES)
    native, dnanet, uiunet, old = found
    iou = totals("BasicIRSTD", "mIoU", "total_inter") / totals("BasicIRSTD", "mIoU", "total_union")
    pixels, targets = totals("BasicIRSTD", "PD_FA", "all_pixel"), totals("BasicIRSTD", "PD_FA", "target")
    pd = totals("BasicIRSTD", "PD_FA", "PD") / targets
    equal = totals("DNANet_official", "PD_FA_bins1_on_logits", "FA_sum")
    assert (native.images, native.targets) == (15, targets)
    assert value(native, "IoU") == value(dnanet, "IoU") == value(old, "IoU") == pytest.approx(iou, abs=EXACT, rel=0)
    assert value(native, "Pd") == value(dnanet, "Pd") == pytest.approx(pd, abs=EXACT, rel=0)
    alarms = totals("BasicIRSTD", "PD_FA", "dismatch_pixel")
    assert value(native, "Fa") == pytest.approx(alarms / pixels, abs=EXACT, rel=0)
    assert value(dnanet, "Fa") == pytest.approx(equal / (15 * 65536), abs=EXACT, rel=0)
    assert value(old, "Fa") == pytest.approx(equal / pixels, abs=EXACT, rel=0)
    assert alarms != equal
    niou = totals("open_acm", "nIoU") / 15
    assert value(native, "nIoU") == pytest.approx(niou, abs=EXACT, rel=0)
    stretched = ("on_minmax_normalised", "SigmoidMetric_inter"), ("on_minmax_normalised", "SigmoidMetric_union")
    inter, union = (totals("UIUNet_official", *path) for path in stretched)
    assert value(uiunet, "IoU") == pytest.approx(inter / union, abs=EXACT, rel=0)


@pytest.mark.parametrize("write", FORMS)
@pytest.mark.parametrize("case", BINARY_CASES)
def test_each_public_case_is_counted_as_published(case: str, write: Callable[[Path], Path], tmp_path: Path) -> None:
    (found,) = score_folder(write(tmp_path / "maps"), make_masks(tmp_path / "masks"), NATIVE, names=[case])
    counts, expected = found.table.round(0), CASES[case]["results"]["BasicIRSTD"]
    assert found.table.names == (case,)
    assert counts.intersection.tolist() == expected["mIoU"]["total_inter"]
    assert counts.matched.tolist() == [expected["PD_FA"]["PD"]]
    assert counts.unmatched_area.tolist() == [expected["PD_FA"]["dismatch_pixel"]]
    assert counts.targets.tolist() == [expected["PD_FA"]["target"]]


@pytest.mark.parametrize("case", [c for c in BINARY_CASES if not c.startswith(("empty", "both"))])
def test_overlap_priority_and_shooting_are_pyirstdmetrics(case: str, tmp_path: Path) -> None:
    scorings = [named_scoring("pyirstdmetrics"), named_scoring("shooting")]
    maps, masks = as_arrays(tmp_path / "maps"), make_masks(tmp_path / "masks")
    opdc, shot = score_folder(maps, masks, scorings, names=[case])
    expected = CASES[case]["results"]["pyirstdmetrics"]["bins1"]
    counts = opdc.table.round(0)
    assert counts.matched.tolist() == expected["OPDC"]["tp_objs"]
    assert counts.unmatched.tolist() == expected["OPDC"]["fp_objs"]
    assert counts.unmatched_area.tolist() == expected["OPDC"]["fp_area"]
    assert shot.table.round(0).matched.tolist() == expected["ShootingPdFa"]["tp_objs"]
    assert shot.table.round(0).unmatched_area.tolist() == expected["ShootingPdFa"]["fp_area"]


@pytest.mark.parametrize("write", FORMS)
def test_a_soft_mask_from_a_file_has_dfinets_readings(write: Callable[[Path], Path], tmp_path: Path) -> None:
    (found,) = score_folder(
        write(tmp_path / "maps"), make_masks(tmp_path / "masks"), [named_scoring("dfinet")], names=[SOFT_CASE]
    )
    expected = CASES[SOFT_CASE]["results"]["DFINet"]
    assert value(found, "IoU") == pytest.approx(6 / 22, abs=EXACT, rel=0)
    assert value(found, "Pd") == pytest.approx(expected["PD_FA"]["Pd_Fa"][0], abs=EXACT, rel=0)
    assert value(found, "Fa") == pytest.approx(expected["PD_FA"]["Pd_Fa"][1], abs=EXACT, rel=0)
    assert value(found, "F1") == pytest.approx(expected["test_py_summary"]["F1_reported"], abs=EXACT, rel=0)
    assert found.notes == ()


def write_maps(folder: Path, maps: dict[str, NDArray[Any]], suffix: str = ".png") -> Path:
    """A folder of pictures or arrays."""
    folder.mkdir()
    for name, values in maps.items():
        if suffix == ".npy":
            np.save(folder / f"{name}.npy", values)
        else:
            assert cv2.imwrite(str(folder / f"{name}{suffix}"), values)
    return folder


MASK = np.zeros((12, 16), np.uint8)
MASK[2:4, 2:5] = 255
EMPTY = np.zeros((12, 16), np.uint8)
SURE = np.where(MASK > 0, 230, 20).astype(np.uint8)


def judged(folder: Path, maps: dict[str, Any], masks: dict[str, Any], suffix: str = ".png", **how: Any) -> Scored:
    """The native scores of maps against masks."""
    (found,) = score_folder(
        write_maps(folder / "maps", maps, suffix), write_maps(folder / "masks", masks), how.pop("under", NATIVE), **how
    )
    return found


def refusal(folder: Path, maps: dict[str, Any], masks: dict[str, Any], suffix: str = ".png", **how: Any) -> str:
    """The one line with which they are refused."""
    with pytest.raises((DataError, ValueError)) as raised:
        judged(folder, maps, masks, suffix, **how)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_predictions_of_0_and_1_are_read_as_such_and_that_is_said(tmp_path: Path) -> None:
    found = judged(tmp_path, {"a": MASK // 255, "b": EMPTY}, {"a": MASK // 255, "b": EMPTY})
    assert value(found, "IoU") == 1.0
    assert found.notes == (
        "no prediction holds more than 1, so that values were read as 0 and 1, not as levels of 255",
    )


def test_a_single_brighter_picture_makes_all_of_them_levels(tmp_path: Path) -> None:
    found = judged(tmp_path, {"a": MASK // 255, "b": SURE}, {"a": MASK, "b": MASK})
    assert found.table.predicted.tolist() == [[0, 6]]
    (note,) = found.notes
    assert note.startswith("1 of 2 predictions hold nothing above 1 and were read as levels of 255, as the others are")


def test_a_folder_in_which_nothing_is_predicted_says_so(tmp_path: Path) -> None:
    found = judged(tmp_path, {"a": EMPTY}, {"a": MASK})
    assert (value(found, "IoU"), value(found, "Pd"), value(found, "Fa")) == (0.0, 0.0, 0.0)
    assert found.notes == ("nothing is predicted: the highest probability is 0, the threshold 0.5",)


def test_the_highest_probability_is_told_where_none_is_above_the_threshold(tmp_path: Path) -> None:
    found = judged(tmp_path, {"a": np.full((12, 16), 0.25)}, {"a": MASK}, ".npy")
    assert found.notes == ("nothing is predicted: the highest probability is 0.25, the threshold 0.5",)


def test_16_bit_files_of_8_bit_values_are_refused(tmp_path: Path) -> None:
    said = refusal(tmp_path, {"a": SURE.astype(np.uint16)}, {"a": MASK})
    assert said.endswith("16-bit predictions that reach only 230 of 65535; save 8-bit values in 8 bits")


def test_16_bit_files_of_0_and_1_are_read_as_such(tmp_path: Path) -> None:
    found = judged(tmp_path, {"a": (MASK // 255).astype(np.uint16)}, {"a": MASK})
    assert value(found, "IoU") == 1.0
    assert len(found.notes) == 1


def test_lossy_predictions_and_grey_masks_are_said(tmp_path: Path) -> None:
    grey = MASK.copy()
    grey[2, 2], grey[9, 9] = 128, 127
    found = judged(tmp_path, {"a": SURE, "b": SURE}, {"a": grey, "b": MASK}, ".jpg")
    assert found.targets == 2
    assert found.table.actual.tolist() == [6, 6]
    assert found.notes[0] == "2 of 2 predictions are JPEG files, which change values; PNG does not"
    assert "1 of 2 masks hold values between 0 and 255; those above 127 count as target" in found.notes[1]


def test_exchanged_folders_are_told_from_grey_masks(tmp_path: Path) -> None:
    grey = SURE.copy()
    grey[0, 0] = 99
    said = refusal(tmp_path, {"a": MASK, "b": EMPTY}, {"a": grey, "b": grey})
    assert "2 of 2 masks hold more than two values" in said
    assert said.endswith("were PREDICTIONS and MASKS exchanged? If not, cut the masks at 127 first")


def test_exchanged_float_maps_are_no_masks(tmp_path: Path) -> None:
    truths = write_maps(tmp_path / "truths", {"a": SURE / 255}, ".npy")
    maps = write_maps(tmp_path / "maps", {"a": MASK})
    with pytest.raises(DataError, match=r"float values from 0.07\S* to 0.9\S* are no mask.*were PREDICTIONS and MASKS"):
        score_folder(maps, truths, NATIVE)


def test_a_label_that_would_be_read_as_empty_is_refused(tmp_path: Path) -> None:
    assert "mask values reach only 38" in refusal(tmp_path, {"a": SURE}, {"a": np.where(MASK, 38, 0).astype(np.uint8)})


def test_a_map_of_another_size_is_brought_to_its_mask(tmp_path: Path) -> None:
    """Twice the size, each pixel four times: every bilinear sample falls between equal ones, but for the edges."""
    half = np.kron(np.array([[0, 0], [1, 0]]), np.ones((6, 8))).astype(np.float32)
    mask = np.kron(half, np.ones((2, 2))).astype(np.uint8) * 255
    found = judged(tmp_path, {"a": half}, {"a": mask}, ".npy")
    assert found.table.sizes.tolist() == [[24, 32]]
    assert value(found, "IoU") == 1.0
    assert found.notes == ("1 of 1 maps were brought to their mask's size, bilinearly",)


def test_at_network_resolution_the_mask_is_brought_to_its_map_whatever_its_shape(tmp_path: Path) -> None:
    squeezed = Scoring("squeezed", resolution="network")
    found = judged(tmp_path, {"a": np.zeros((8, 8))}, {"a": MASK}, ".npy", under=[with_prints(squeezed)])
    assert found.table.sizes.tolist() == [[8, 8]]
    assert found.notes[0] == "1 of 1 masks were brought to their map's size, bilinearly"
    nearest = with_prints(Scoring("nearest", resolution="network", mask_resize="opencv-nearest"))
    (found,) = score_folder(tmp_path / "maps", tmp_path / "masks", [nearest])
    assert found.notes[0] == "1 of 1 masks were brought to their map's size, by OpenCV's nearest neighbour"


def test_a_map_of_another_shape_is_refused(tmp_path: Path) -> None:
    said = refusal(tmp_path, {"a": np.zeros((16, 12))}, {"a": MASK}, ".npy")
    assert "a.npy: 16x12 (height x width), its mask" in said
    assert said.endswith("or score at the map's: --set scoring.resolution=network")


def test_a_rounded_size_is_of_the_same_shape(tmp_path: Path) -> None:
    """301 x 221 at half its size is 150.5 x 110.5: rounded up or down, all four are that."""
    masks = {str(i): np.zeros((301, 221), np.uint8) for i in range(4)}
    sizes = [(150, 110), (151, 110), (150, 111), (151, 111)]
    found = judged(tmp_path, {str(i): np.zeros(size) for i, size in enumerate(sizes)}, masks, ".npy")
    assert found.images == 4


def test_images_give_signal_to_clutter_ratios(tmp_path: Path) -> None:
    images = write_maps(tmp_path / "images", {"A": np.where(MASK, 10, np.indices(MASK.shape).sum(0) % 2 * 2)})
    with_images = judged(tmp_path, {"a": SURE}, {"a": MASK}, images=images)
    assert with_images.table.target_scr.tolist() == [pytest.approx(9.0, rel=0.1)]
    (without,) = score_folder(tmp_path / "maps", tmp_path / "masks", NATIVE)
    assert np.isnan(without.table.target_scr).all()


def test_images_that_are_missing_or_of_another_shape_are_named(tmp_path: Path) -> None:
    images = write_maps(tmp_path / "images", {"a": np.zeros((7, 4), np.uint8)})
    assert "a.png: 7x4 (height x width), its mask" in refusal(tmp_path, {"a": SURE}, {"a": MASK}, images=images)
    with pytest.raises(DataError, match="1 of 1 predictions have no image there"):
        score_folder(tmp_path / "maps", tmp_path / "masks", NATIVE, images=write_maps(tmp_path / "other", {"b": MASK}))


def test_many_images_are_joined_in_order(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    maps = {f"{n:03d}": rng.random((12, 16)).astype(np.float32) for n in range(150)}
    found = judged(tmp_path, maps, dict.fromkeys(maps, MASK), ".npy")
    assert found.table.names == tuple(maps)
    assert found.table.predicted[0].tolist() == [int((quantise(one) > 32768).sum()) for one in maps.values()]
    assert found.counted.curves is not None
    assert found.counted.curves.images == 150


def test_the_first_broken_file_in_order_is_named_however_many_threads_there_are(tmp_path: Path) -> None:
    maps = {f"{n:03d}": np.zeros((4, 4)) for n in range(150)}
    maps["040"], maps["140"] = np.full((4, 4), 7.0), np.full((4, 4), 8.0)
    said = refusal(tmp_path, maps, dict.fromkeys(maps, EMPTY[:4, :4]), ".npy")
    assert "040.npy: values from 7 to 7" in said


def test_memory_does_not_grow_with_the_number_of_images(tmp_path: Path) -> None:
    """240 images more, 47 MB of them as they are counted: the peak grows by a few numbers each."""
    rng = np.random.default_rng(0)
    one, mask = rng.random((256, 256)).astype(np.float32), np.zeros((256, 256), np.uint8)
    mask[:3, :3] = 255
    for folder, values in (("maps", one), ("masks", mask)):
        write_maps(tmp_path / folder, {"0": values}, ".npy" if folder == "maps" else ".png")
    for number in range(1, 360):
        (tmp_path / "maps" / f"{number}.npy").symlink_to(tmp_path / "maps" / "0.npy")
        (tmp_path / "masks" / f"{number}.png").symlink_to(tmp_path / "masks" / "0.png")
    peaks = []
    for count in (32, 120, 360):
        tracemalloc.start()
        score_folder(tmp_path / "maps", tmp_path / "masks", NATIVE, names=[str(n) for n in range(count)])
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[2] < peaks[1] + 4e6


@pytest.fixture
def fake_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    fakes.register_fakes(monkeypatch)


def run_one(folder: Path, model: str = "Echo", **overrides: Any) -> Job:
    """A job that has been run into that folder."""
    (job,) = make_jobs(folder, model, rounds=3, **overrides)
    (result,) = run_all([job], Session(Workspace.open(folder)))
    assert result is not None
    assert result.status == "limited", result.reason
    return job


@pytest.mark.usefixtures("fake_networks")
@pytest.mark.parametrize(
    "overrides",
    [
        {},
        {"input__size": [48, 80], "recipe__patch": "none"},
        {"protocol": "dfinet", "input__size": [96, 96]},
    ],
)
def test_a_runs_stored_predictions_give_what_it_recorded_under_every_scoring(
    overrides: dict[str, Any], tmp_path: Path
) -> None:
    job = run_one(tmp_path, **overrides)
    folder = tmp_path / job.row.key
    recorded = read_records(folder)
    assert [one.scoring for one in recorded] == [named.scoring for named in all_scorings()]
    found = rescore_run(folder, None, all_scorings())
    assert tuple(one.record for one in found) == recorded
    assert all(one.notes == () for one in found)
    own = next(one for one in found if one.named.name == job.row.scoring.name)
    scores = read_result(folder).scores
    assert own.scores == {name: scores[name] for name in own.scores}
    table = CountTable.from_arrays(load_arrays(folder / "counts.npz"))
    assert np.array_equal(own.table.target_scr, table.target_scr, equal_nan=True)
    assert own.table.names == table.names == synthetic_frames("test", fakes.TEST).names
    assert all(one.images == fakes.TEST for one in recorded)


@pytest.mark.usefixtures("fake_networks")
def test_faint_maps_are_stored_as_probabilities_where_the_runs_own_scoring_stretches_them(tmp_path: Path) -> None:
    job = run_one(tmp_path, "Faint", scoring__normalise="max")
    folder = tmp_path / job.row.key
    assert {array.dtype for array in load_arrays(folder / "predictions.npz").values()} == {np.dtype(np.float32)}
    scores = read_result(folder).scores
    assert 0 < scores["Fa/background-pixels"].value < 0.9, "by level every pixel is the highest"
    found = rescore_run(folder, None, all_scorings())
    assert tuple(one.record for one in found) == read_records(folder)
    assert all(one.notes == () for one in found)


@pytest.mark.usefixtures("fake_networks")
def test_faint_maps_in_levels_are_too_coarse_to_be_stretched_and_that_is_said(tmp_path: Path) -> None:
    job = run_one(tmp_path, "Faint")
    folder = tmp_path / job.row.key
    assert {array.dtype for array in load_arrays(folder / "predictions.npz").values()} == {np.dtype(np.uint16)}
    notes = {one.named.name: one.notes for one in rescore_run(folder, None, all_scorings())}
    for name in ("uiunet", "rpcanet"):
        assert notes[name] == (
            f"{fakes.TEST} of {fakes.TEST} maps are stored with fewer than 4096 levels, which {name} stretches; "
            "a run scores them before they are rounded, so its numbers are the better ones",
        )
    assert not any(found for name, found in notes.items() if name not in ("uiunet", "rpcanet"))


@pytest.mark.usefixtures("fake_networks")
def test_a_runs_predictions_can_be_scored_against_a_folder_of_masks(tmp_path: Path) -> None:
    job = run_one(tmp_path)
    frames = synthetic_frames("test", fakes.TEST)
    masks = write_maps(tmp_path / "masks", {frame.name: frame.mask for frame in frames})
    (from_files,) = score_folder(tmp_path / job.row.key, masks, NATIVE)
    (from_run,) = rescore_run(tmp_path / job.row.key, None, NATIVE)
    assert from_files.scores == {name: from_run.scores[name] for name in from_files.scores}
    assert {name.partition("/")[0] for name in set(from_run.scores) - set(from_files.scores)} == {"SCRG", "BSF"}


@pytest.mark.usefixtures("fake_networks")
def test_a_run_whose_files_do_not_fit_is_named(tmp_path: Path) -> None:
    job = run_one(tmp_path)
    folder = tmp_path / job.row.key
    result = read_result(folder)
    iou = result.scores["IoU/pooled"]
    write_result(folder, replace(result, scores={**result.scores, "IoU/pooled": replace(iou, value=0.99)}))
    (found,) = rescore_run(folder, None, NATIVE)
    assert found.notes == (
        f"IoU/pooled is {iou.value} here and 0.99 in the run's result.json; "
        "predictions or masks are not those it was scored on",
    )
    maps = load_arrays(folder / "predictions.npz")
    maps.popitem()
    np.savez(folder / "predictions.npz", **maps)  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"predictions\.npz: 2 images, expected the 3 of synthetic's test list"):
        rescore_run(folder, None, NATIVE)
    shutil.rmtree(folder)
    with pytest.raises(ValueError, match=r"result\.json: no such file"):
        rescore_run(folder, None, NATIVE)


def test_one_scoring_asked_for_under_two_names_is_counted_under_both(tmp_path: Path) -> None:
    both: list[NamedScoring] = [named_scoring("native"), named_scoring("basicirstd")]
    write_maps(tmp_path / "maps", {"a": SURE})
    write_maps(tmp_path / "masks", {"a": MASK})
    one, other = score_folder(tmp_path / "maps", tmp_path / "masks", both)
    assert one.scores == other.scores
    assert set(other.named.printed_ids()) == {"IoU", "Pd", "Fa"}
