"""Hierarchical IoU and its errors against what pyirstdmetrics 1.0.2 printed for sixteen small cases.

`metrics/cases.json` holds what it gave. Where an image has no target or no prediction it counts objects that are not
there, and tests say so with both numbers.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.metrics.counting.levels import quantise
from bench.metrics.errors import ERRORS, ErrorsWriter, ErrorTable
from bench.types import Score, Scoring

FOLDER = Path(__file__).with_name("metrics")
CASES: dict[str, Any] = json.loads((FOLDER / "cases.json").read_text())["cases"]
ARRAYS = dict(np.load(FOLDER / "cases.npz"))
EMPTY = {"empty_gt": (0, 1), "empty_pred": (1, 0), "both_empty": (1, 1)}
"""Made-up components and targets of each case that has an empty side."""

NATIVE = Scoring("native")
FLOAT64 = 1e-12
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


def judged(*cases: str) -> tuple[ErrorTable, dict[str, Score]]:
    """Our integers and scores of some cases as one list."""
    writer = ErrorsWriter(NATIVE)
    for case in cases:
        writer.add(case, quantise(ARRAYS[f"{case}__prob"]), truth=(ARRAYS[f"{case}__gt"] > 0.5).astype(np.uint8))
    return writer.table(), ERRORS.score(writer.table(), NATIVE)


def printed(case: str, kind: str) -> Any:
    """What pyirstdmetrics gave at the threshold 0.5."""
    return CASES[case]["results"]["pyirstdmetrics"]["bins1"][kind]


@pytest.mark.parametrize("case", [case for case in CASES if case not in EMPTY])
def test_hiou_and_its_nine_parts_are_those_of_pyirstdmetrics(case: str) -> None:
    table, scores = judged(case)
    opdc, error = printed(case, "OPDC"), printed(case, "HIoUError")
    assert [int(table.matched[0])] == opdc["tp_objs"] == error["tp_objs"]
    assert [int((table.components - table.matched)[0])] == opdc["fp_objs"]
    assert [int((table.targets - table.matched)[0])] == opdc["fn_objs"]
    assert scores["hIoU/overlap-priority"].value == pytest.approx(opdc["get"]["hiou"][0], abs=FLOAT64, rel=0)
    for name, theirs in PARTS.items():
        ours = scores[name].value
        if ours is None:  # printed as 0; a mean over no pair is undefined
            assert (int(table.matched[0]), error["get"][theirs]) == (0, [0.0])
        else:
            assert ours == pytest.approx(error["get"][theirs][0], abs=FLOAT64, rel=0)


@pytest.mark.parametrize(("case", "phantoms"), EMPTY.items())
def test_objects_that_pyirstdmetrics_makes_up_on_empty_images_are_not_ours(
    case: str, phantoms: tuple[int, int]
) -> None:
    table, _ = judged(case)
    error = printed(case, "HIoUError")
    components, targets = phantoms
    assert error["fp_objs"] == [int((table.components - table.matched)[0]) + components]
    assert error["fn_objs"] == [int((table.targets - table.matched)[0]) + targets]


def test_a_right_answer_to_an_empty_image_leaves_hiou_at_one_where_pyirstdmetrics_gives_three_fifths() -> None:
    table, scores = judged("perfect", "both_empty")
    assert scores["hIoU/overlap-priority"].value == 1.0
    sums = [sum(printed(case, "OPDC")[name][0] for case in ("perfect", "both_empty")) for name in COUNTED]
    assert (int(table.matched.sum()), sums) == (3, [3, 1, 1])
    assert sums[0] / sum(sums) == 0.6


COUNTED = ("tp_objs", "fp_objs", "fn_objs")


def test_its_error_class_never_fills_its_areas() -> None:
    assert {(*printed(case, "HIoUError")["fp_area"], printed(case, "HIoUError")["total_area"]) for case in CASES} == {
        (0, 0)
    }
    assert printed("touching_targets", "OPDC")["fp_area"] == [4]
