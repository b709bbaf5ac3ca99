"""Audits of tables of published numbers: what digits allow, every check by hand, and what is refused."""

from __future__ import annotations

import csv
import doctest
import importlib
import json
import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench.audit import Audit, audit_file
from bench.audit.findings import SEVERITIES
from bench.audit.heads import LIMITED_NOTE, read_head
from bench.audit.lists import known_lists, known_lists_of, read_dataset
from bench.audit.numbers import UnreadableError, read_number
from bench.audit.table import read_table
from bench.cli import app
from bench.errors import TableFileError
from bench.models.published_numbers import FOLDER
from reports.table import LIMITED_NOTICE

PERCENT = Fraction(1, 100)


Make = Callable[..., Audit]


@pytest.fixture
def audit(tmp_path: Path) -> Make:
    """A function from the lines of a table to its audit."""

    def made(*lines: str, dataset: str = "") -> Audit:
        path = tmp_path / "table.csv"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return audit_file(path, dataset=dataset)

    return made


def texts(found: Audit, severity: str) -> list[str]:
    """The sentences of a severity."""
    return [finding.text for finding in found.findings if finding.severity == severity]


@pytest.mark.parametrize("name", ["numbers", "heads", "lists", "rows", "across"])
def test_every_example_holds(name: str) -> None:
    assert not doctest.testmod(importlib.import_module(f"bench.audit.{name}")).failed


# What digits allow


def test_printed_digits_stand_for_half_a_step_on_either_side() -> None:
    one = read_number("93.27")
    assert one is not None
    assert (one.rounded.low, one.rounded.high) == (Fraction(93265, 1000), Fraction(93275, 1000))
    assert one.cut.low == Fraction(9327, 100)
    assert one.cut.high < Fraction(9328, 100)


def test_a_half_may_have_been_rounded_up_or_to_even() -> None:
    assert read_number("0.12").rounded.wholes(200) == range(23, 26)  # type: ignore[union-attr]  # 0.115, 0.12, 0.125


def test_numbers_printed_in_full_are_as_exact_as_single_precision() -> None:
    rate = read_number("2.270688310090918e-05")
    assert rate is not None
    assert rate.rounded.wholes(14577078) == range(331, 332)
    assert rate.rounded.wholes(14577079) == range(331, 332)  # 331.00004, which single precision cannot tell
    assert not rate.rounded.wholes(14577178)


@pytest.mark.parametrize("cell", ["", "-", "—", " n/a ", "nan", "None"])
def test_cells_without_a_number_are_empty(cell: str) -> None:
    assert read_number(cell) is None


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("93.27", "93.27"),
        (" 93.27 % ", "93.27"),
        ("**93.27**", "93.27"),
        (r"\textbf{93.27}", "93.27"),
        ("<u>93.27</u>", "93.27"),
        ("93.27†", "93.27"),
        ("1,012.003", "1012.003"),
        ("2.27e-05", "0.0000227"),
        ("−0.5", "-0.5"),
        ("100", "100"),
    ],
)
def test_numbers_are_read_through_their_dress(cell: str, value: str) -> None:
    number = read_number(cell)
    assert number is not None
    assert number.value == Fraction(value)


@pytest.mark.parametrize(
    "cell", ["abc", "93.27 / 94", "1,012", "9 3", "1e999", "see [3]", "0x10", "1_000", "٩٫٥", "9" * 5000]
)
def test_anything_else_is_not_a_number(cell: str) -> None:
    with pytest.raises(UnreadableError, match="is not a number"):
        read_number(cell)


# Heads and datasets


@pytest.mark.parametrize(
    ("text", "metric", "dataset", "unit"),
    [
        ("IoU_pct", "IoU", "", PERCENT),
        ("mIoU (%)", "IoU", "", PERCENT),
        ("nIoU ↑", "nIoU", "", None),
        ("F1-score", "F1", "", None),
        ("pixAcc", "recall", "", None),
        ("Probability of detection [%]", "Pd", "", PERCENT),
        ("Fa_1e-6", "Fa", "", Fraction(1, 10**6)),
        ("Fa (×10⁻⁶) ↓", "Fa", "", Fraction(1, 10**6)),
        ("$F_a$ ($10^{-5}$)", "Fa", "", Fraction(1, 10**5)),
        ("Fa_as_printed", "Fa", "", None),
        ("IoU/pooled", "IoU", "", Fraction(1)),
        ("Pd/centroid-3px", "Pd", "", Fraction(1)),
        ("Fa/unmatched-area-5px", "Fa", "", Fraction(1)),
        ("NUDT-SIRST IoU (1e-2, higher is better)", "IoU", "NUDT-SIRST", PERCENT),
        ("Pd (%) NUAA", "Pd", "NUAA", PERCENT),
    ],
)
def test_heads_say_metric_dataset_and_unit(text: str, metric: str, dataset: str, unit: Fraction | None) -> None:
    head = read_head(text)
    assert head is not None
    assert (head.metric, head.dataset, head.unit) == (metric, dataset, unit)


@pytest.mark.parametrize(
    "text",
    [
        "params_M",
        "F1 (macro)",
        "legacy:F1/macro-pr",
        "legacy:PixAcc/recall",
        "Fa/components-per-image",
        "hIoU/loc-IoU",
        "cost_precision",
        "Fa_unit_as_stated",
        "IoU/pooled deviation",
        "train IoU",
        "",
    ],
)
def test_heads_of_other_things_are_passed_over(text: str) -> None:
    assert read_head(text) is None


def test_datasets_are_known_by_the_names_of_the_field() -> None:
    names = [
        "SIRST-v1(NUAA-SIRST)",
        "SIRST",
        "NUAA",
        "NUDT-SIRST (1 : 1)",
        "IRSTD-1K",
        "SIRST Aug",
        "NUDT-SIRST + noise",
    ]
    assert [read_dataset(name).name for name in names] == [
        *["NUAA-SIRST"] * 3,
        "NUDT-SIRST",
        "IRSTD-1k",
        "SIRST-Aug",
        "NUDT-SIRST",
    ]
    assert [one.targets for one in known_lists_of(read_dataset("SIRST (224 : 96)"))] == [102]
    assert [one.targets for one in known_lists_of(read_dataset("NUDT-SIRST"), split="dfinet")] == [380]
    assert known_lists_of(read_dataset("NUDT-SIRST (10 : 3)")) == ()


def test_every_known_list_says_where_its_numbers_are_from() -> None:
    assert {(one.dataset, one.targets) for one in known_lists()} == {
        ("NUAA-SIRST", 263),
        ("NUAA-SIRST", 109),
        ("NUAA-SIRST", 102),
        ("NUDT-SIRST", 945),
        ("NUDT-SIRST", 380),
        ("IRSTD-1k", 297),
        ("IRSTD-1k", 294),
        ("IRSTD-1k", 291),
        ("SIRST-Aug", 727),
        ("synthetic", 143),
    }
    assert all(one.source.startswith(("counted", "inferred", "images by the list")) for one in known_lists())


# Checks of one row


def test_a_pd_that_no_list_gives_is_impossible(audit: Make) -> None:
    found = audit("method,dataset,Pd (%)", "A,NUDT-SIRST,96.95", "B,NUDT-SIRST,96.93")
    assert texts(found, "impossible") == [
        "row 2 (A, NUDT-SIRST): Pd 96.95 % is no whole number of targets of a list known: 916.18 of 945 targets "
        "(916 make 96.931, 917 make 97.037), 368.41 of 380 targets (368 make 96.842, 369 make 97.105)"
    ]
    assert [row.checks["targets"] for row in found.rows] == ["impossible", "holds"]
    assert dict(found.rows[1].targets) == {"basicirstd test, 945 targets": 916}


def test_a_pd_whose_digits_were_cut_is_told_as_such(audit: Make) -> None:
    found = audit("method,dataset,Pd (%)", "A,SIRST (341:86),98.16")  # 107 of 109 are 98.165
    assert texts(found, "note")[0] == (
        "row 2 (A, SIRST (341:86)): Pd 98.16 % is a share of targets only if its digits were cut: 107 of 109"
    )
    assert found.is_sound


def test_fa_is_a_whole_number_of_pixels(audit: Make) -> None:
    found = audit("method,dataset,Fa (1e-6)", "A,NUDT-SIRST,2.436", "B,NUDT-SIRST,2.450", "C,NUDT-SIRST,2.5")
    assert texts(found, "inconsistent") == [
        "row 3 (B, NUDT-SIRST): Fa 2.450e-6 is no whole number of pixels: 106.61 of 43515904, 42.71 of 17432576 pixels"
    ]
    assert [row.checks["pixels"] for row in found.rows] == ["holds", "inconsistent", "not checked"]
    assert dict(found.rows[0].pixels) == {"basicirstd test, native size": 106}
    assert texts(found, "not checked")[0].endswith("its digits allow any whole number of pixels")


def test_fa_is_judged_on_the_lists_that_pd_fits(audit: Make) -> None:
    assert audit("m,dataset,Fa (1e-6)", "A,NUDT-SIRST,0.287").is_sound  # 5 of 17432576
    found = audit("m,dataset,Pd (%),Fa (1e-6)", "A,NUDT-SIRST,98.836,0.287")  # 934 of 945
    assert texts(found, "inconsistent") == [
        "row 2 (A, NUDT-SIRST): Fa 0.287e-6 is no whole number of pixels: 12.49 of 43515904 pixels"
    ]


def test_iou_is_what_precision_and_recall_make_and_so_is_f1(audit: Make) -> None:
    found = audit(
        "m,dataset,IoU,F1,precision,recall", "A,MDFA,0.4843,0.6525,0.5939,0.7241", "B,x,0.7,0.597,0.845,0.507"
    )
    assert {k: v for k, v in found.rows[0].checks.items() if v == "inconsistent"} == {}
    assert texts(found, "inconsistent") == [
        "row 3 (B, x): F1 0.597, but precision 0.845 and recall 0.507 make 63.32 to 63.43 %: misprint, or a mean over "
        "images",
        "row 3 (B, x): IoU 0.7, but precision 0.845 and recall 0.507 make 46.33 to 46.44 %: misprint, or a mean over "
        "images",
        "row 3 (B, x): F1 0.597 beside IoU 0.7: 2 IoU / (1 + IoU) is 78.79 to 85.71 %, at least 19 away; it holds in 1 "
        "of 2 rows of this source; a misprint, or an F1 that is not pooled over pixels",
    ]


def test_iou_is_not_above_recall(audit: Make) -> None:
    found = audit("m,dataset,IoU,pixAcc", "A,NUDT,0.72,0.70", "B,NUDT,0.704,0.70")
    assert texts(found, "inconsistent") == ["row 2 (A, NUDT): IoU 0.72 is above recall 0.70, which it cannot be"]


def test_shares_lie_between_0_and_1(audit: Make) -> None:
    found = audit("m,dataset,IoU (%),nIoU (%)", "A,NUDT,101.2,50", "B,NUDT,-3.0,50", "C,NUDT,100,99")
    assert texts(found, "impossible") == [
        "row 2 (A, NUDT): IoU 101.2 % is outside 0 to 1",
        "row 3 (B, NUDT): IoU -3.0 % is outside 0 to 1",
    ]


def test_without_detections_and_alarms_nothing_overlaps(audit: Make) -> None:
    found = audit("m,dataset,IoU (%),Pd (%),Fa (1e-6)", "A,NUDT,12.0,0.0,0.000", "B,NUDT,0.0,0.0,0.000")
    assert texts(found, "impossible") == [
        "row 2 (A, NUDT): Pd 0.0 % and Fa 0.000e-6: nothing was predicted, but IoU 12.0 % is above 0"
    ]


def test_a_zero_whose_digits_allow_targets_or_pixels_is_not_taken_for_nothing_predicted(audit: Make) -> None:
    heads = "m,dataset,IoU (%),F1 (%),Pd (%),Fa (1e-6)"
    loose_pd = audit(heads, "A,NUDT-SIRST,2.0,3.9,0,0.000")  # 0 % is up to 4 of 945 targets
    loose_fa = audit(heads, "A,NUDT-SIRST,2.0,3.9,0.0,0")  # 0e-6 is up to 21 of 43515904 pixels
    assert loose_pd.is_sound
    assert loose_fa.is_sound
    unknown = audit(heads, "A,NUST-SIRST,2.0,3.9,0.00,0.000")
    assert unknown.is_sound, "how many targets there are is not known"
    mean = audit(heads, "A,NUDT-SIRST,2.0,3.9,0.0 ± 0.0,0.000")
    assert mean.is_sound, "a mean over many runs can be less than one target"


def test_a_zero_beside_numbers_in_full_is_none(audit: Make) -> None:
    found = audit("label,dataset,IoU/pooled,Pd/centroid-3px,Fa/unmatched-area", "A,other,0.12345678901234,0.0,0.0")
    assert texts(found, "impossible") == [
        "row 2 (A, other): Pd 0.0 and Fa 0.0: nothing was predicted, but IoU 0.12345678901234 is above 0"
    ]


def test_f1_and_precision_over_images_can_be_above_0_when_nothing_is_predicted(audit: Make) -> None:
    found = audit("m,dataset,F1 (%),precision (%),nIoU (%),Pd (%),Fa (1e-6)", "A,NUDT,22.0,22.0,22.0,0.0,0.000")
    assert found.is_sound
    overlap = audit("m,dataset,recall (%),Pd (%),Fa (1e-6)", "A,NUDT,22.0,0.0,0.000")
    assert texts(overlap, "impossible") == [
        "row 2 (A, NUDT): Pd 0.0 % and Fa 0.000e-6: nothing was predicted, but recall 22.0 % is above 0"
    ]


def test_means_over_runs_are_not_taken_for_counts(audit: Make) -> None:
    found = audit("m,dataset,IoU (%),F1 (%),Pd (%)", "A,NUDT,50.0 ± 0.3,90.0,96.95±0.2")
    assert found.is_sound
    assert "row 2 (A, NUDT): Pd 96.95±0.2 %: a mean over runs is no share" in texts(found, "not checked")
    beside = audit("m,NUDT Pd (%),NUDT Pd (%) deviation", "A,96.95,0.2", "B,96.95,")
    assert [row.checks["targets"] for row in beside.rows] == ["not checked", "impossible"]


# Checks across rows


def test_an_f1_that_is_never_pooled_is_said_once(audit: Make) -> None:
    found = audit("m,dataset,IoU (%),F1 (%)", "A,NUDT,50.0,70.0", "B,NUDT,60.0,80.0", "C,NUDT,70.0,90.0")
    assert texts(found, "inconsistent") == [
        "F1 is 2 IoU / (1 + IoU) in none of 3 rows, so it is not pooled over pixels: not to be compared with one that "
        "is"
    ]


def test_rows_of_two_lists_in_one_table_are_told(audit: Make) -> None:
    found = audit("m,dataset,Pd (%)", "A,NUAA,98.10", "B,NUAA,98.17", "C,NUAA,100.00")  # 258/263, 107/109, both
    assert texts(found, "inconsistent") == [
        "NUAA-SIRST: no one list fits every Pd that fits any: 263 (basicirstd test) fits row 2 and no other list does; "
        "109 (sirst-v1 test) fits row 3 and no other list does"
    ]
    stated = audit("m,dataset,Pd (%)", "A,SIRST (213 : 214),98.10", "B,SIRST (341 : 86),98.17")
    assert stated.is_sound, "the table says that they are two lists"


def test_the_same_numbers_under_two_names_are_told(audit: Make) -> None:
    found = audit("m,dataset,IoU (%),Pd (%)", "A,NUDT,85.17,98.52", "B,NUDT,85.17,98.52", "B,NUDT,85.17,98.52")
    assert [text for text in texts(found, "note") if "same" in text] == [
        "row 3 (B, NUDT) prints the same as row 2 (A, NUDT): IoU 85.17 %, Pd 98.52 %",
        "row 4 (B, NUDT) prints the same as row 2 (A, NUDT): IoU 85.17 %, Pd 98.52 %",
    ]


def test_a_row_without_numbers_that_could_contradict_each_other_says_so(audit: Make) -> None:
    found = audit("m,dataset,IoU (%),nIoU (%),precision (%),recall (%)", "A,NUDT,72,71,,", "B,NUDT,,,80,90")
    assert texts(found, "not checked") == [
        "row 2 (A, NUDT): IoU and nIoU: nothing beside to check by",
        "row 3 (B, NUDT): precision and recall: nothing beside to check by",
    ]
    assert found.lines_checked == 0


def test_many_rows_that_share_a_reason_are_told_of_once(audit: Make) -> None:
    found = audit("m,dataset,Pd (%)", *(f"{name},NUST-SIRST,81.{name}" for name in range(20, 25)))
    assert texts(found, "not checked") == ["Pd of rows 2, 3, 4, 5, 6: no test list of 'NUST-SIRST' is known"]
    assert [row.checks["targets"] for row in found.rows] == ["not checked"] * 5


def test_a_row_that_is_repeated_is_told_of_once_with_its_count(audit: Make) -> None:
    found = audit("m,dataset,IoU (%),Pd (%)", *["A,NUDT,85.17,96.95"] * 1000, "B,NUDT,85.17,96.95", "A,NUDT,85.2,96.95")
    assert [f.rows for f in found.findings if f.severity == "impossible"] == [(2,), (1002,), (1003,)]
    assert texts(found, "note") == [
        "row 1002 (B, NUDT) prints the same as row 2 (A, NUDT): IoU 85.17 %, Pd 96.95 %",
        "row 2 (A, NUDT) stands there 1000 times, again in rows 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, …; what "
        "holds for it is said once",
    ]
    assert [row.checks["targets"] for row in found.rows] == ["impossible"] * 1002


def test_many_names_with_the_same_numbers_are_told_of_once(audit: Make) -> None:
    found = audit("m,dataset,IoU (%),Pd (%)", *(f"{name},NUDT,85.17,98.52" for name in "ABCDE"))
    assert [text for text in texts(found, "note") if "same" in text] == [
        "rows 3, 4, 5, 6 print the same as row 2 (A, NUDT): IoU 85.17 %, Pd 98.52 %"
    ]


# Forms of tables


def test_units_that_no_head_says_are_guessed_by_size_and_said(audit: Make) -> None:
    found = audit("method,dataset,IoU,Pd,Fa", "A,NUDT-SIRST,0.9419,0.99259,0.000002436")
    assert texts(found, "note")[:2] == [
        "no unit in the head: read as fractions, by their size",
        "no unit of Fa in the head: read as fractions, by their size",
    ]
    assert found.is_sound
    in_percent = audit("method,dataset,IoU,Pd,Fa", "A,NUDT-SIRST,94.19,99.259,2.436")
    assert in_percent.is_sound
    assert "no unit of Fa in the head: read as 1e-6, by their size" in texts(in_percent, "note")


def test_fractions_below_a_head_that_says_percent_are_read_as_fractions_and_said(audit: Make) -> None:
    found = audit("source,method,dataset,IoU_pct,Pd_pct", "one,A,NUDT,0.938,0.992", "two,B,NUDT,93.8,99.26")
    assert "one: the head says percent, but no number is above 1: read as fractions" in texts(found, "note")
    assert found.is_sound


@pytest.mark.parametrize("heads", ["IoU (%),F1 (%),Pd (%)", "IoU_pct,F1_pct,Pd_pct"])
def test_a_unit_that_the_head_of_a_source_states_is_not_overridden_by_size(heads: str, audit: Make) -> None:
    found = audit(f"m,dataset,{heads}", "A,NUDT-SIRST,0.53,0.93,0.95")  # F1 1.05 %, and 9 of 945
    assert texts(found, "inconsistent")[0].startswith("row 2 (A, NUDT-SIRST): F1 0.93 % beside IoU 0.53 %")
    assert found.rows[0].checks["targets"] == "holds"
    assert (
        "no number below a head that says percent is above 1; were they fractions, the head must not say so"
        in texts(found, "note")
    )


def test_a_sign_in_a_head_is_obeyed_where_several_sources_stand_together(audit: Make) -> None:
    found = audit("source,m,dataset,Pd (%)", "one,A,NUDT-SIRST,0.95", "two,B,NUDT-SIRST,99.26")
    assert dict(found.rows[0].targets) == {"basicirstd test, 945 targets": 9}


def test_a_percent_sign_is_the_unit_of_its_cell(audit: Make) -> None:
    found = audit("m,dataset,IoU,F1,Pd", "A,NUDT-SIRST,0.53%,1.05%,0.95%", r"B,NUDT-SIRST,0.53\%,1.05 %,**0.95%**")
    assert found.is_sound
    assert [dict(row.targets) for row in found.rows] == [{"basicirstd test, 945 targets": 9}] * 2
    assert not any("by their size" in text for text in texts(found, "note"))
    below = audit("m,dataset,Fa (1e-6)", "A,NUDT-SIRST,0.0002436%")
    assert dict(below.rows[0].pixels) == {"basicirstd test, native size": 106}


def test_a_number_above_1_rules_fractions_out_in_every_share_of_its_row(audit: Make) -> None:
    found = audit("m,dataset,IoU,F1,Pd", "A,NUDT-SIRST,0.53,1.05,0.95")
    assert "no unit in the head: read as percent, by their size" in texts(found, "note")
    assert found.is_sound
    assert found.rows[0].checks["F1 of IoU"] == "holds"
    assert dict(found.rows[0].targets) == {"basicirstd test, 945 targets": 9}


def test_cells_whose_guessed_unit_other_rows_speak_against_are_not_checked(audit: Make) -> None:
    found = audit("m,dataset,IoU,F1,Pd,Fa", "A,NUDT,0.9327,0.9652,0.9905,2.02", "B,NUDT,93.27,96.52,99.05,2.02e-6")
    assert found.is_sound
    reason = "no unit in the head, and the table disagrees: others can only be percent, and no number of this row is"
    assert texts(found, "not checked")[:3] == [
        f"row 2 (A, NUDT): {cell}: {reason} above 1" for cell in ("IoU 0.9327", "F1 0.9652", "Pd 0.9905")
    ]
    assert found.rows[1].checks["targets"] == "holds"
    small = audit("m,dataset,Fa", "A,NUDT-SIRST,2.436", "B,NUDT-SIRST,0.000002436")
    assert texts(small, "not checked") == [
        "row 3 (B, NUDT-SIRST): Fa 0.000002436: no unit in the head, and the table disagrees: others can only be 1e-6, "
        "in which this is less than a pixel"
    ]


def test_a_column_of_fractions_beside_one_of_percent_is_not_checked(audit: Make) -> None:
    found = audit("m,dataset,IoU,F1,Pd", *(f"{name},NUDT-SIRST,0.5,{2 / 3:.4f},98.52" for name in "ABC"))
    assert found.is_sound
    assert [row.checks["targets"] for row in found.rows] == ["holds"] * 3
    assert "F1 of IoU" not in found.rows[0].checks


@pytest.mark.parametrize("cell", ["2.436e-6", "2.436E-06", "2.436×10⁻⁶", "2.436 x 10^-6", r"$2.436\times10^{-6}$"])
@pytest.mark.parametrize("head", ["Fa", "Fa (1e-6)", "Fa (%)"])
def test_an_exponent_in_an_fa_cell_states_its_unit(cell: str, head: str, audit: Make) -> None:
    found = audit(f"m,dataset,{head}", f"A,NUDT-SIRST,{cell}", "B,NUDT-SIRST,2.450e-6")
    assert dict(found.rows[0].pixels) == {"basicirstd test, native size": 106}
    assert [text for text in texts(found, "inconsistent") if "Fa 2.450e-6 is no" in text]


def test_a_power_behind_a_mean_counts_for_the_mean(audit: Make) -> None:
    one = read_number("(2.02 ± 0.1) × 10⁻⁶")
    assert one is not None
    assert (one.value, one.step, one.is_mean) == (Fraction(202, 10**8), Fraction(1, 10**8), True)
    with pytest.raises(UnreadableError):
        read_number("2.02×106")


def test_a_table_with_datasets_in_its_heads_has_a_row_for_each(audit: Make) -> None:
    found = audit("Method;NUAA Pd (%);NUDT Pd (%)", "A;98,10;96,95")  # semicolons and decimal commas
    assert [(row.row, row.dataset, row.checks["targets"]) for row in found.rows] == [
        (2, "NUAA", "holds"),
        (2, "NUDT", "impossible"),
    ]
    assert found.lines == 1


def test_a_table_without_datasets_can_be_told_one(audit: Make) -> None:
    lines = ("method,Pd (%)", "A,96.95")
    assert texts(audit(*lines), "not checked") == [
        "row 2 (A): Pd 96.95 %: the row names no dataset; name it with --dataset"
    ]
    assert texts(audit(*lines, dataset="nudt"), "impossible")


def test_this_projects_own_results_are_read_by_metric_id(audit: Make) -> None:
    head = "label,model,dataset,split,limited,IoU/pooled,F1/pooled,Pd/centroid-3px,Fa/unmatched-area,hIoU/loc-IoU"
    good = f"A,A,NUDT-SIRST,basicirstd,False,0.5,{2 / 3},{942 / 945},{106 / 43515904},0.5"
    short = "B,B,NUDT-SIRST,basicirstd,True,0.5,0.6666666666666666,0.123456789012,1e-9,0.5"
    other = "C,C,NUDT-SIRST,mine,False,0.5,0.6666666666666666,0.123456789012,1e-9,0.5"
    found = audit(head, good, short, other)
    assert found.is_sound
    assert found.rows[0].checks == {"range": "holds", "targets": "holds", "pixels": "holds", "F1 of IoU": "holds"}
    assert [row.checks["targets"] for row in found.rows[1:]] == ["not checked", "not checked"]
    assert "Pd 0.123456789012: its lists were shortened" in " ".join(texts(found, "not checked"))
    assert "no test list of NUDT-SIRST is known for split 'mine'" in " ".join(texts(found, "not checked"))


def test_a_row_of_this_projects_own_table_that_says_in_its_notes_that_it_was_limited_is_no_share(audit: Make) -> None:
    pd, fa = "NUDT-SIRST Pd (1e-2, higher is better)", "NUDT-SIRST Fa (1e-6, lower is better)"
    found = audit(
        f'Method,"{pd}","{fa}",notes',
        f'DFINet,69.57,2.450,"optimistic; {LIMITED_NOTICE}"',
        "ACM,69.57,2.436,optimistic",
    )
    assert LIMITED_NOTICE.startswith(LIMITED_NOTE)
    assert [row.checks["targets"] for row in found.rows] == ["not checked", "impossible"]
    assert "row 2 (DFINet, NUDT-SIRST): Pd 69.57 %: its lists were shortened" in texts(found, "not checked")
    assert found.unused == ()


def test_a_mean_over_seeds_in_this_projects_own_table_is_no_share(audit: Make) -> None:
    pd = "NUDT-SIRST Pd (1e-2, higher is better)"
    extras = f'"{pd} deviation","{pd} low","{pd} high"'
    found = audit(f'Method,"{pd}",{extras},notes', "DFINet,69.57,0.00,69.1,70.1,", "ACM,69.57 ± 0.10,,,,")
    assert [row.checks["targets"] for row in found.rows] == ["not checked", "not checked"]
    assert found.is_sound


def test_nothing_is_passed_over_without_a_word(audit: Make) -> None:
    found = audit(
        "method,dataset,IoU (%),Pd (%),Fa,Fa_unit,notes",
        "A,NUDT,abc,98.52,2.78,not stated,x",
        "B,NUST-SIRST,46.73,81.29,33.87,1e-6,x",
        "",
        "C,NUDT,,,,,nothing here",
        "D,NUDT,1,2",
    )
    assert texts(found, "not checked") == [
        "row 2 (A, NUDT): IoU: 'abc' is not a number",
        "row 2 (A, NUDT): Fa 2.78: its unit is 'not stated', so it is no number of pixels",
        "row 3 (B, NUST-SIRST): Pd 81.29 %: no test list of 'NUST-SIRST' is known",
        "row 3 (B, NUST-SIRST): Fa 33.87e-6: no test list of 'NUST-SIRST' is known",
        "row 5 (C, NUDT): the whole row: no number in it",
        "row 6 (D): the whole row: 4 cells below 7 heads",
    ]
    assert [row.row for row in found.rows] == [2, 3, 5, 6]
    assert found.unused == ("notes",)
    *_, last = found.sentences()
    assert last == "table.csv: 4 rows, 1 checked, 3 not; 0 impossible, 0 inconsistent, 1 notes"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty, expected a head and rows, as CSV"),
        (b" \n\n", "empty, expected"),
        (b"method,IoU\n", "a head without rows"),
        (b"method,params\nA,3\n", "no known column among 'method', 'params'; expected one of IoU, nIoU, F1, Pd, Fa"),
        (b"\xff\xfe\x00", "not UTF-8 text"),
        (b"method,IoU\0\n", "not CSV: it holds zero bytes"),
        (b'method,IoU\n"A,3\n', "line 2: not CSV"),
        (b"method,IoU,mIoU\nA,3,4\n", "columns 'IoU' and 'mIoU' both hold IoU; name the dataset in each head"),
    ],
)
def test_files_that_are_no_table_are_refused_in_one_line(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "broken.csv"
    path.write_bytes(content)
    with pytest.raises(TableFileError, match=r"broken\.csv") as refused:
        read_table(path)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_what_is_no_file_is_called_what_it_is(tmp_path: Path) -> None:
    loop, dangling, pipe = tmp_path / "loop.csv", tmp_path / "dangling.csv", tmp_path / "pipe.csv"
    loop.symlink_to(loop)
    dangling.symlink_to(tmp_path / "nowhere")
    os.mkfifo(pipe)
    found = {
        Path("/dev/null"): "/dev/null: a device,",
        loop: "a loop of symbolic links,",
        dangling: "a symbolic link to nothing,",
        pipe: "a pipe,",
        tmp_path / ("x" * 300): "not readable \\(File name too long\\),",
    }
    for path, words in found.items():
        with pytest.raises(TableFileError, match=f"{words} expected a CSV table"):
            read_table(path)


def test_at_most_ten_columns_passed_over_are_named(audit: Make) -> None:
    found = audit("m,dataset,Pd (%)," + ",".join(f"c{i}" for i in range(12)), "A,NUDT,98.52" + "," * 12)
    assert "columns passed over: c0, c1, c2, c3, c4, c5, c6, c7, c8, c9 and 2 more" in list(found.sentences())
    assert len(found.unused) == 12


def test_a_missing_file_a_folder_and_an_unknown_dataset_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TableFileError, match=r"no\.csv: no such file, expected a CSV table"):
        read_table(tmp_path / "no.csv")
    with pytest.raises(TableFileError, match="a folder, expected a CSV table"):
        read_table(tmp_path)
    with pytest.raises(LookupError, match="is called 'NUDTT'; did you mean NUDT-SIRST"):
        read_table(tmp_path / "no.csv", dataset="NUDTT")


# The published tables of this project


def findings_of(name: str, check: str, severity: str) -> list[int]:
    """Rows of a published table with such a finding, in order."""
    found = audit_file(FOLDER / name)
    return [row for f in found.findings if (f.check, f.severity) == (check, severity) for row in f.rows]


@pytest.mark.parametrize("name", ["basicirstd_test_log_2024-01-19.csv", "basicirstd_train_logs_2023.csv"])
def test_every_pd_and_fa_of_basicirstds_logs_is_a_whole_number(name: str) -> None:
    found = audit_file(FOLDER / name)
    assert found.is_sound
    assert {(row.checks["targets"], row.checks["pixels"]) for row in found.rows} == {("holds", "holds")}


def test_only_the_networks_of_basicirstds_readme_have_whole_numbers_of_targets() -> None:
    """Its classical detectors stand in rows 2 to 37, its networks in 38 to 58."""
    name = "basicirstd_readme_table.csv"
    assert findings_of(name, "targets", "impossible") == [row for row in range(2, 38) if row not in (6, 19, 23)]
    assert findings_of(name, "targets", "note") == [19]
    assert all(row < 38 for row in findings_of(name, "pixels", "inconsistent"))
    assert len(findings_of(name, "pixels", "inconsistent")) == 32


def test_what_the_readmes_print_is_found() -> None:
    name = "other_readmes_long.csv"
    found = audit_file(FOLDER / name)
    hbmlcm = next(f for f in found.findings if f.rows == (49,) and f.check == "F1 of IoU")
    assert "F1 46.37 % beside IoU 2.37 %: 2 IoU / (1 + IoU) is 4.62 to 4.64 %" in hbmlcm.text
    assert findings_of(name, "targets", "impossible") == [2, 3, 28, 39, 71, 74, 82, 94, 179]
    assert len(findings_of(name, "F1 of IoU", "inconsistent")) == 31
    assert findings_of(name, "F1 of precision and recall", "inconsistent") == [190, 191, 192]
    assert findings_of(name, "pixels", "inconsistent") == [2, 3, 4, 6, 11]
    cut = [row for row in findings_of(name, "targets", "note") if 35 <= row <= 138]
    assert len(cut) == 55, "DRPCA-Net's README cuts digits"
    assert (found.lines, found.lines_checked, len(found.rows)) == (210, 175, 210)
    silent = {row.row for row in found.rows if not row.is_checked}
    assert silent <= {row for f in found.findings if f.severity == "not checked" for row in f.rows}


@pytest.mark.parametrize(
    ("source", "wholes", "by_chance"),
    [
        ("GrokCV/DRPCA-Net", {"NUAA-SIRST": 22, "NUDT-SIRST": 25, "IRSTD-1k": 23, "SIRST-Aug": 24}, 38.95),
        ("fengyiwu98/RPCANet", {"NUAA-SIRST": 0, "NUDT-SIRST": 1, "IRSTD-1k": 0, "SIRST-Aug": 2}, 3.92),
    ],
)
def test_false_alarms_of_drpca_net_are_millionths_of_all_pixels_and_those_of_rpcanet_are_not(
    source: str, wholes: dict[str, int], by_chance: float
) -> None:
    """Whole numbers of pixels at 256 x 256; by chance there would be as many as the digits are wide, in pixels."""
    images = {"NUAA-SIRST": 86, "NUDT-SIRST": 664, "IRSTD-1k": 201, "SIRST-Aug": 545}
    found, expected = dict.fromkeys(images, 0), Fraction(0)
    for row in csv.DictReader((FOLDER / "other_readmes_long.csv").read_text(encoding="utf-8").splitlines()):
        if row["source_repo"] == source:
            number, dataset = read_number(row["Fa_as_printed"]), read_dataset(row["tested_on"]).name
            assert number is not None
            pixels = images[dataset] * 256 * 256
            found[dataset] += bool(number.rounded.scaled(Fraction(1, 10**6)).wholes(pixels))
            expected += min(Fraction(1), number.step * pixels / 10**6)
    assert found == wholes
    assert float(expected) == pytest.approx(by_chance, abs=0.005)  # two decimals


# The command


def test_the_command_prints_findings_and_says_by_its_exit_code_whether_something_cannot_be(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("method,dataset,Pd (%)\nA,NUDT-SIRST,96.95\n")
    ended = CliRunner().invoke(app, ["audit", str(path)])
    assert ended.exit_code == 1
    lines = ended.output.splitlines()
    assert lines[0].startswith("impossible: row 2 (A, NUDT-SIRST): Pd 96.95 % is no whole number of targets")
    assert lines[-1] == "table.csv: 1 rows, 1 checked, 0 not; 1 impossible, 0 inconsistent, 0 notes"
    path.write_text("method,Pd (%)\nA,96.93\n")
    assert CliRunner().invoke(app, ["audit", str(path), "--dataset", "NUDT"]).exit_code == 0


def test_the_command_answers_scripts_with_every_row(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("method,dataset,Pd (%)\nA,NUDT-SIRST,96.95\n")
    ended = CliRunner().invoke(app, ["audit", str(path), "--json"])
    assert ended.exit_code == 1
    told = json.loads(ended.output)
    assert (told["sound"], told["counts"]) == (False, {**dict.fromkeys(SEVERITIES, 0), "impossible": 1})
    assert told["rows"] == [
        {
            "row": 2,
            "method": "A",
            "dataset": "NUDT-SIRST",
            "checks": {"range": "holds", "targets": "impossible"},
            "targets": {},
            "pixels": {},
        }
    ]
