"""Our counts and scores against what five public metric codes printed for sixteen small cases.

`metrics/cases.npz` holds probabilities and masks, `metrics/cases.json` what each code gave for them. Where a code is
wrong and we do not follow it, a test says so and holds both numbers.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.metrics.counting.counts import Counts, ImageCounts, count_image, counts_of
from bench.metrics.counting.levels import quantise, threshold_level
from bench.metrics.curves import CurveCounts, target_counts
from bench.metrics.registry import score_counts
from bench.types import Scoring

FOLDER = Path(__file__).with_name("metrics")
CASES: dict[str, Any] = json.loads((FOLDER / "cases.json").read_text())["cases"]
ARRAYS = dict(np.load(FOLDER / "cases.npz"))
SOFT_CASE = "nonbinary_gt_resized"
BINARY_CASES = [name for name in CASES if name != SOFT_CASE]

NATIVE = Scoring("native")
SOFT = Scoring("dfinet", ground_truth="soft", resolution="network")

FLOAT64 = 1e-12
FLOAT32 = 1e-6
"""BasicIRSTD's Fa and every pixAcc are float32 in the code that made the numbers."""


def binary_mask(case: str) -> NDArray[np.uint8]:
    """The case's mask, binarised once at > 0.5."""
    mask: NDArray[np.uint8] = (ARRAYS[f"{case}__gt"] > 0.5).astype(np.uint8)
    return mask


def count(case: str, scoring: Scoring) -> ImageCounts:
    """Our integers for a case."""
    truth = ARRAYS[f"{case}__gt"] if scoring.ground_truth == "soft" else binary_mask(case)
    return count_image(quantise(ARRAYS[f"{case}__prob"]), truth, scoring=scoring)


def as_published(case: str) -> tuple[Counts, dict[str, float | None]]:
    """Our counts and scores under the rules the published codes apply: soft for the soft case."""
    scoring = SOFT if case == SOFT_CASE else NATIVE
    counts = counts_of([count(case, scoring)])
    return counts, {name: s.value for name, s in score_counts(counts, scoring).items()}


def first(value: Any) -> Any:
    """A number that some codes print as a list of one."""
    return value[0] if isinstance(value, list) else value


def close(value: float, tolerance: float) -> Any:
    """Equal within an absolute tolerance."""
    return pytest.approx(value, abs=tolerance, rel=0)


def test_there_are_sixteen_cases_and_one_is_soft() -> None:
    assert len(CASES) == 16
    assert [name for name in CASES if ((ARRAYS[f"{name}__gt"] % 1) != 0).any()] == [SOFT_CASE]


@pytest.mark.parametrize("code", ["DFINet", "BasicIRSTD", "DNANet_official"])
@pytest.mark.parametrize("case", CASES)
def test_iou_and_pixacc_are_the_published_ones(case: str, code: str) -> None:
    counts, scores = as_published(case)
    expected = CASES[case]["results"][code]["mIoU"]
    union = counts.predicted + counts.labelled - counts.intersection
    assert [counts.intersection[0]] == expected["total_inter"]
    assert [union[0]] == expected["total_union"]
    assert counts.positive[0] == expected["total_label"]
    assert counts.intersection[0] == expected["total_correct"]
    iou = scores["legacy:IoU/soft-mask" if case == SOFT_CASE else "IoU/pooled"]
    pixacc = scores["legacy:PixAcc/soft-mask" if case == SOFT_CASE else "legacy:PixAcc/recall"]
    assert iou == close(expected["pixAcc_IoU"][1], FLOAT64)
    if counts.positive[0]:
        assert pixacc == close(expected["pixAcc_IoU"][0], FLOAT32)
    else:  # printed as 0; a recall without target pixels is undefined
        assert (pixacc, expected["pixAcc_IoU"][0]) == (None, 0.0)


@pytest.mark.parametrize(("code", "tolerance"), [("DFINet", FLOAT64), ("BasicIRSTD", FLOAT32)])
@pytest.mark.parametrize("case", CASES)
def test_pd_and_fa_are_the_published_ones(case: str, code: str, tolerance: float) -> None:
    counts, scores = as_published(case)
    expected = CASES[case]["results"][code]["PD_FA"]
    assert counts.unmatched_area[0] == expected["dismatch_pixel"]
    assert counts.pixels[0] == first(expected["all_pixel"])
    assert counts.matched[0] == expected["PD"]
    assert counts.targets[0] == expected["target"]
    pd = scores["legacy:Pd/soft-mask" if case == SOFT_CASE else "Pd/centroid-3px"]
    fa = scores["legacy:Fa/soft-mask" if case == SOFT_CASE else "Fa/unmatched-area"]
    if counts.targets[0]:
        assert pd == close(expected["Pd_Fa"][0], FLOAT64)
        assert fa == close(expected["Pd_Fa"][1], tolerance)
    else:  # the code stops with a ZeroDivisionError; we say that Pd is undefined and give Fa
        assert expected["Pd_Fa"].startswith("ERROR ZeroDivisionError")
        assert pd is None
        assert fa == expected["dismatch_pixel"] / first(expected["all_pixel"])


@pytest.mark.parametrize("case", [name for name in CASES if name != "both_empty"])
def test_macro_f1_is_what_dfinets_test_script_prints(case: str) -> None:
    _, scores = as_published(case)
    expected = CASES[case]["results"]["DFINet"]["test_py_summary"]
    value = scores["legacy:F1/soft-mask" if case == SOFT_CASE else "legacy:F1/macro-pr"]
    assert value == close(expected["F1_reported"], FLOAT64)


def test_macro_f1_of_an_empty_image_is_one_where_dfinets_script_stops() -> None:
    results = CASES["both_empty"]["results"]["DFINet"]
    assert "test_py_summary" not in results
    assert as_published("both_empty")[1]["legacy:F1/macro-pr"] == 1.0


@pytest.mark.parametrize("case", CASES)
def test_legacy_fa_is_dnanets(case: str) -> None:
    counts, scores = as_published(case)
    expected = CASES[case]["results"]["DNANet_official"]["PD_FA_bins1_on_logits"]
    assert counts.equal_area[0] == expected["FA_sum"][0]
    assert counts.matched[0] == expected["PD_sum"][0]
    assert counts.targets[0] == expected["target"][0]
    if case != SOFT_CASE:
        assert scores["legacy:Fa/equal-area"] == close(expected["Final_FA"][0], FLOAT64)


def test_dnanets_lost_false_alarms_are_in_our_standard_fa() -> None:
    counts, scores = as_published("equal_area_false_alarm")
    assert (counts.equal_area[0], counts.unmatched_area[0]) == (10, 28)
    assert scores["Fa/unmatched-area"] == 28 / (96 * 160)


@pytest.mark.parametrize("case", BINARY_CASES)
def test_niou_is_open_acms_with_zero_over_zero_as_zero(case: str) -> None:
    _, scores = as_published(case)
    expected = CASES[case]["results"]["open_acm"]
    assert scores["nIoU/per-image"] == close(expected["nIoU"], FLOAT64)
    assert scores["IoU/pooled"] == close(expected["pixAcc_mIoU"][1], FLOAT64)


def test_the_mean_of_images_over_all_binary_cases_is_the_mean_of_open_acms() -> None:
    counts = counts_of([count(case, NATIVE) for case in BINARY_CASES])
    expected = float(np.mean([CASES[case]["results"]["open_acm"]["nIoU"] for case in BINARY_CASES]))
    assert score_counts(counts, NATIVE)["nIoU/per-image"].value == close(expected, FLOAT64)


@pytest.mark.parametrize("case", BINARY_CASES)
def test_counts_are_pyirstdmetrics(case: str) -> None:
    counts, scores = as_published(case)
    for kind in ("PdFa", "DistanceOnly"):
        expected = CASES[case]["results"]["pyirstdmetrics"]["bins1"][kind]
        assert [counts.matched[0]] == expected["tp_objs"]
        assert [counts.unmatched[0]] == expected["fp_objs"]
        assert [counts.targets[0] - counts.matched[0]] == expected["fn_objs"]
        assert [counts.unmatched_area[0]] == expected["fp_area"]
        assert counts.pixels[0] == expected["total_area"]
        assert scores["Fa/unmatched-area"] == close(expected["get"]["false_alarm"][0], FLOAT64)
        printed = expected["get"]["probability_detection"][0]
        if counts.targets[0]:
            assert scores["Pd/centroid-3px"] == close(printed, FLOAT64)
        else:  # printed as 0; a detection rate without targets is undefined
            assert (scores["Pd/centroid-3px"], printed) == (None, 0.0)


@pytest.mark.parametrize("case", BINARY_CASES)
def test_pixel_scores_are_pyirstdmetrics(case: str) -> None:
    counts, scores = as_published(case)
    expected = CASES[case]["results"]["pyirstdmetrics"]["CMMetrics_thr0.5_bins10"]
    assert scores["IoU/pooled"] == close(expected["iou"]["binary"], FLOAT64)
    assert scores["nIoU/per-image"] == close(expected["niou"]["binary"], FLOAT64)
    assert scores["F1/pooled"] == close(expected["f1"]["binary"], FLOAT64)
    for name, key, whole in (
        ("Precision/pooled", "precision", counts.predicted[0]),
        ("Recall/pooled", "recall", counts.actual[0]),
    ):
        if whole:
            assert scores[name] == close(expected[key]["binary"], FLOAT64)
        else:  # printed as 0
            assert (scores[name], expected[key]["binary"]) == (None, 0.0)


SHOOTING = dataclasses.replace(NATIVE, matching="shooting")
OVERLAP_PRIORITY = dataclasses.replace(NATIVE, matching="overlap-priority")


@pytest.mark.parametrize("case", BINARY_CASES)
def test_the_shooting_rule_is_pyirstdmetrics_at_every_threshold(case: str) -> None:
    expected = CASES[case]["results"]["pyirstdmetrics"]["bins10"]["ShootingPdFa"]
    curves = CurveCounts(SHOOTING)
    curves.add(quantise(ARRAYS[f"{case}__prob"]), binary_mask(case))
    found = target_counts(curves, np.array([threshold_level(index / 10) for index in range(10)]))
    assert found.matched.tolist() == expected["tp_objs"]
    assert found.unmatched_area.tolist() == expected["fp_area"]
    counts = count(case, SHOOTING)
    at_half = CASES[case]["results"]["pyirstdmetrics"]["bins1"]["ShootingPdFa"]
    assert ([counts.matched], [counts.unmatched_area]) == (at_half["tp_objs"], at_half["fp_area"])
    assert counts.targets == at_half["total_objs"]


@pytest.mark.parametrize("index", range(10))
@pytest.mark.parametrize("case", BINARY_CASES)
def test_overlap_before_distance_is_pyirstdmetrics_opdc(case: str, index: int) -> None:
    expected = CASES[case]["results"]["pyirstdmetrics"]["bins10"]["OPDC"]
    counts = count(case, dataclasses.replace(OVERLAP_PRIORITY, threshold=index / 10))
    assert counts.matched == expected["tp_objs"][index]
    assert counts.unmatched_area == expected["fp_area"][index]
    phantoms = (int(not counts.components), int(not counts.targets))  # it makes up an object where there is none
    assert counts.unmatched + phantoms[0] == expected["fp_objs"][index]
    assert counts.targets - counts.matched + phantoms[1] == expected["fn_objs"][index]


@pytest.mark.parametrize("index", range(10))
@pytest.mark.parametrize("case", BINARY_CASES)
def test_the_sweep_is_pyirstdmetrics_at_every_threshold(case: str, index: int) -> None:
    expected = CASES[case]["results"]["pyirstdmetrics"]["bins10"]["PdFa"]
    curves = CurveCounts(NATIVE)
    curves.add(quantise(ARRAYS[f"{case}__prob"]), binary_mask(case))
    found = target_counts(curves, np.array([threshold_level(index / 10)]))
    assert found.matched[0] == expected["tp_objs"][index]
    assert found.unmatched[0] == expected["fp_objs"][index]
    assert found.unmatched_area[0] == expected["fp_area"][index]


def test_a_phantom_false_alarm_of_pyirstdmetrics_opdc_is_not_ours() -> None:
    counts, _ = as_published("both_empty")
    expected = CASES["both_empty"]["results"]["pyirstdmetrics"]["bins1"]["OPDC"]
    assert (expected["fp_objs"], expected["fn_objs"]) == ([1], [1])
    assert (counts.unmatched[0], counts.targets[0]) == (0, 0)


def test_a_perfect_prediction_of_a_soft_mask_scores_below_one_only_under_the_soft_ids() -> None:
    counts, soft = as_published(SOFT_CASE)
    assert (counts.intersection[0], counts.labelled[0], counts.positive[0]) == (6, 14, 21)
    assert soft["legacy:IoU/soft-mask"] == close(6 / 22, FLOAT64)
    binary = score_counts(counts_of([count(SOFT_CASE, NATIVE)]), NATIVE)
    assert (binary["IoU/pooled"].value, binary["Pd/centroid-3px"].value) == (1.0, 1.0)
    assert binary["Fa/unmatched-area"].value == 0.0
    assert count(SOFT_CASE, NATIVE).targets == 3


def test_the_minimal_soft_example_has_a_union_larger_than_the_image() -> None:
    mask = np.array([[0.49, 0.5, 0.75, 1.0]], dtype=np.float32)
    counts = counts_of([count_image(np.full((1, 4), 65535, np.uint16), mask, scoring=SOFT)])
    values = {name: s.value for name, s in score_counts(counts, SOFT).items()}
    assert counts.targets[0] == 1
    assert values["legacy:IoU/soft-mask"] == 1 / 6
    assert values["legacy:PixAcc/soft-mask"] == 0.25


@pytest.mark.parametrize("index", range(1, 10))
@pytest.mark.parametrize("case", BINARY_CASES)
def test_pd_and_fa_at_other_thresholds_are_dnanets_on_a_255_scale(case: str, index: int) -> None:
    expected = CASES[case]["results"]["DNANet_official"]["PD_FA_bins10_on_prob255"]
    scoring = dataclasses.replace(NATIVE, threshold=index / 10)
    counts = count(case, scoring)
    assert (counts.matched, counts.targets) == (expected["PD_sum"][index], expected["target"][index])
    assert counts.equal_area == expected["FA_sum"][index]


@pytest.mark.parametrize("index", range(10))
@pytest.mark.parametrize("case", BINARY_CASES)
def test_pd_and_fa_at_other_thresholds_are_pyirstdmetrics(case: str, index: int) -> None:
    expected = CASES[case]["results"]["pyirstdmetrics"]["bins10"]["PdFa"]
    counts = count(case, dataclasses.replace(NATIVE, threshold=index / 10))
    assert counts.matched == expected["tp_objs"][index]
    assert counts.unmatched == expected["fp_objs"][index]
    assert counts.unmatched_area == expected["fp_area"][index]


@pytest.mark.parametrize("case", BINARY_CASES)
def test_the_levels_of_the_roc_curve_are_dnanets_and_open_acms_pixels(case: str) -> None:
    curves = CurveCounts(NATIVE)
    curves.add(quantise(ARRAYS[f"{case}__prob"]), binary_mask(case))
    for code in ("DNANet_official", "open_acm"):
        expected = CASES[case]["results"][code]["ROC_bins10"]
        for index in range(
            1, 10
        ):  # their first threshold is logit-clipped, their last is 1, where nothing is predicted
            above = threshold_level(index / 10) + 1
            assert curves.target_levels[above:].sum() == expected["tp_arr"][index]
            assert curves.other_levels[above:].sum() == expected["fp_arr"][index]
        assert curves.target_levels.sum() == expected["pos_arr"][5]
        assert curves.other_levels.sum() == expected["neg_arr"][5]
