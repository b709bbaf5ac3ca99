"""Published numbers: each as it was printed, with the rules it was made under, and no row lost without a reason."""

from __future__ import annotations

import csv
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from bench.data.catalogue.cards import load_card
from bench.metrics.registry import metric_info
from bench.models.published_numbers import (
    EQUAL_AREA_OVER_PIXELS,
    FOLDER,
    METHODS,
    README,
    STRANGERS,
    WEIGHTS,
    printed_rows,
    reported,
)
from bench.protocols.protocols import PROTOCOLS
from bench.weights.catalogue import published_weights, weights_catalogue

BASICIRSTD = "XinyiYing/BasicIRSTD README at 95650c3"
ALL = reported(*METHODS)


def find(method: str, dataset: str, metric: str, **fields: str) -> list[tuple[float, str]]:
    """Value and note of the method's numbers of one dataset and metric with these fields."""
    return [
        (number.value, number.note)
        for number in reported(method)
        if (number.dataset, number.metric) == (dataset, metric)
        and all(getattr(number, name) == value for name, value in fields.items())
    ]


def test_the_numbers_of_basicirstd_s_readme_are_its_protocol_s() -> None:
    numbers = [r for r in reported("ACM") if r.rules == "basicirstd"]
    found = {(r.dataset, r.metric): r.value for r in numbers}
    assert found == {
        ("NUAA-SIRST", "IoU/pooled"): 0.69440,
        ("NUAA-SIRST", "Pd/centroid-3px"): 0.92015,
        ("NUAA-SIRST", "Fa/unmatched-area"): 22.707e-6,
        ("NUDT-SIRST", "IoU/pooled"): 0.64855,
        ("NUDT-SIRST", "Pd/centroid-3px"): 0.96720,
        ("NUDT-SIRST", "Fa/unmatched-area"): 28.587e-6,
        ("IRSTD-1k", "IoU/pooled"): 0.60326,
        ("IRSTD-1k", "Pd/centroid-3px"): 0.93266,
        ("IRSTD-1k", "Fa/unmatched-area"): 68.494e-6,
        ("IRSTD-1k", EQUAL_AREA_OVER_PIXELS): 68.019e-6,
    }
    assert {r.split for r in numbers} == {"basicirstd"}
    assert {r.source for r in numbers if r.metric != EQUAL_AREA_OVER_PIXELS} == {BASICIRSTD}


@pytest.mark.parametrize(
    ("method", "dataset", "metric", "rules", "value"),
    [
        ("DNANet", "NUDT-SIRST", "IoU/pooled", "basicirstd", 0.94192),
        ("DNANet", "NUDT-SIRST", "IoU/pooled", "drpcanet", 0.93),
        ("DNANet", "NUDT-SIRST", "nIoU/per-image", "serankdet", 0.9209),
        ("UIU-Net", "NUAA-SIRST", "Fa/unmatched-area", "basicirstd", 9.33e-6),
        ("UIU-Net", "SIRST-Aug", "Pd/centroid-3px", "drpcanet", 0.9779),
        ("ISTDU-Net", "IRSTD-1k", "Pd/centroid-3px", "basicirstd", 0.93939),
        ("RPCANet", "NUAA-SIRST", "F1/pooled", "rpcanet", 0.8261),
        ("SCTransNet", "NUDT-SIRST", "legacy:Fa/equal-area", "sctransnet", 4.29e-6),
        ("AGPCNet", "SIRST-Aug", "IoU/pooled", "agpcnet", 0.7288),
        ("AGPCNet", "SIRST-Aug", "Recall/pooled", "agpcnet", 0.8542),
        ("TopHat", "NUAA-SIRST", "IoU/pooled", "not stated", 0.07142),
        ("MPCM", "IRSTD-1k", "F1/pooled", "drpcanet", 0.2688),
        ("WSLCM", "NUDT-SIRST", EQUAL_AREA_OVER_PIXELS, "not stated", 52391.633e-6),
    ],
)
def test_a_number_is_the_printed_one_as_a_fraction(
    method: str, dataset: str, metric: str, rules: str, value: float
) -> None:
    ((found, _),) = find(method, dataset, metric, rules=rules)
    assert found == value


def test_released_weights_are_told_from_the_paper_s_table() -> None:
    assert find("DNANet", "NUDT-SIRST", "IoU/pooled", rules="dnanet", split="basicirstd") == [
        (0.8709, "backbone ResNet-18"),
        (0.8861, "backbone ResNet-18, released weights"),
    ]
    assert find("MSHNet", "IRSTD-1k", "IoU/pooled", rules="mshnet") == [
        (0.6787, "corrected code, newer weights"),
        (0.6716, "the paper's weights"),
    ]


def test_one_weight_for_three_datasets_is_no_number_of_one_dataset() -> None:
    notes = [r.note for r in reported("SCTransNet") if r.rules == "sctransnet"]
    assert len(notes) == 15
    assert all("trained on SIRST3 (NUAA+NUDT+IRSTD-1K, one weight), so not comparable" in note for note in notes)
    of_lesps = [r for r in ALL if "trained on SIRST3, so not comparable" in r.note]
    assert {r.rules for r in of_lesps} == {"lesps"}
    assert [r for r in ALL if "trained on" in r.note and r.rules not in ("sctransnet", "lesps")] == []


def test_numbers_of_a_checkpoint_that_is_known_here_name_it() -> None:
    known = {r.weights for r in ALL if r.weights}
    assert known == set(weights_catalogue()) - {"RDIAN-BasicIRSTD"}, "no number was published for that one"
    assert known == set(WEIGHTS.values())
    for name in known:
        numbers = [r for r in ALL if r.weights == name]
        assert all(r in reported(published_weights(name).model) for r in numbers)
        assert {r.rules for r in numbers} == {"rpcanet" if name.startswith("RPCANet") else "lesps"}


def test_rpcanets_numbers_are_those_of_its_own_judge() -> None:
    """Fa is 7.42 and no unit is stated: 7.421e-5 is what its judge gives for its weights."""
    found = {r.metric: (r.value, r.split) for r in reported("RPCANet") if r.weights == "RPCANet-SIRST"}
    assert found == {
        "IoU/pooled": (0.7037, "sirst-v1"),
        "F1/pooled": (0.8261, "sirst-v1"),
        "Pd/overlap": (0.9541, "sirst-v1"),
        "Fa/background-pixels": (7.42e-5, "sirst-v1"),
    }


def test_weights_of_points_are_told_from_those_of_masks() -> None:
    found = {r.note.partition(";")[0]: r.value for r in reported("ACM") if r.rules == "lesps" and "IoU" in r.metric}
    assert found["trained on one point a target, its centroid"] == 0.4923
    assert found["trained on one point a target, anywhere on it"] == 0.4781


def test_false_alarms_lost_by_equal_areas_have_a_legacy_name_and_a_warning() -> None:
    legacy = [r for r in ALL if r.metric.startswith("legacy:")]
    assert {r.metric.partition("/")[0] for r in legacy} == {"legacy:Fa"}
    assert all("known to be too low" in r.note for r in legacy)
    assert {r.rules for r in ALL if r.metric == "Fa/unmatched-area"} == {"basicirstd", "lesps"}


def test_only_what_the_correction_changed_is_kept_of_the_older_table() -> None:
    older = [r for r in ALL if r.source.endswith("a46bffd")]
    changed = {(r.dataset, round(1e6 * r.value, 3)) for r in older}
    assert changed == {
        ("NUAA-SIRST", 47.335),
        ("NUDT-SIRST", 13.604),
        ("NUDT-SIRST", 2.390),
        ("IRSTD-1k", 68.019),
        ("IRSTD-1k", 74.111),
        ("IRSTD-1k", 33.213),
        ("IRSTD-1k", 13.418),
    }


def test_a_false_alarm_rate_without_a_unit_is_left_out() -> None:
    sources = {r.rules for r in ALL if r.metric.endswith(("unmatched-area", "equal-area", "over-pixels"))}
    assert sources == {"basicirstd", "dnanet", "lesps", "sctransnet", "mshnet", "not stated"}


def test_numbers_that_contradict_each_other_say_so() -> None:
    noted = {(r.metric, r.value) for r in ALL if r.dataset == "IRSTD-1k" and "contradict" in r.note}
    assert len(noted) == 6
    assert ("IoU/pooled", 0.5435) in noted
    assert ("F1/pooled", 0.7026) in noted
    assert [r for r in ALL if r.dataset != "IRSTD-1k" and "contradict" in r.note] == []


def test_every_number_has_source_and_rules_and_names_of_this_project() -> None:
    assert len(ALL) == 454
    for number in ALL:
        assert number.source.partition(" at ")[2]
        assert number.rules
        assert 0 <= number.value <= 1
        assert number.split == "not stated" or number.split in load_card(number.dataset).splits
        assert metric_info(number.metric).id == number.metric


def test_only_sources_that_ran_its_rules_are_under_a_protocol_of_this_project() -> None:
    assert {r.rules for r in ALL if r.rules in PROTOCOLS} == {"basicirstd", "lesps", "rpcanet"}
    assert {r.source.partition(" ")[0] for r in ALL if r.rules in ("lesps", "rpcanet")} == {
        "XinyiYing/LESPS",
        "fengyiwu98/RPCANet",
    }
    assert {r.source for r in ALL if r.rules == "basicirstd"} == {BASICIRSTD, BASICIRSTD.replace("95650c3", "a46bffd")}


def test_every_row_of_every_table_gives_numbers_or_says_why_not() -> None:
    rows = printed_rows()
    lines = sum(len((FOLDER / name).read_text("utf-8").splitlines()) - 1 for name in {row.file for row in rows})
    assert len(rows) == lines == 383
    assert {row.file for row in rows} == {path.name for path in FOLDER.glob("*.csv")}
    assert all(bool(row.numbers) != bool(row.left_out) for row in rows)
    of_ours = Counter(row.left_out for row in rows if row.method)
    assert of_ours == {
        "": 159,
        "the README at 95650c3 prints the same row": 38,
        "the README at 95650c3 prints the same numbers, rounded": 18,
        "the README at a46bffd prints the same numbers, rounded": 18,
        "counts boxes or centres, which no metric here does": 9,
        "parameters and FLOPs are no scores": 7,
        "no such dataset in this project: NUST-SIRST": 1,
        "no such dataset in this project: MDFA": 1,
        "no such dataset in this project: Merged": 1,
    }
    others = Counter(row.left_out for row in rows if not row.method)
    assert others == {
        "no such method in this project": 104,
        "RPCANet++ is another network than RPCANet": 12,
        "DNANet on another backbone than the ResNet-18 that is published as DNANet": 6,
        "the table does not say whether it means MPCM": 6,
        "the table does not say whether it means ALCNet": 3,
    }


def test_no_name_of_a_list_is_missing_from_the_tables() -> None:
    printed = {row.printed_as for row in printed_rows()}
    assert {name for names in METHODS.values() for name in names} | STRANGERS <= printed


def test_methods_without_published_numbers_have_none() -> None:
    assert reported("DFINet", "FANet", "U-Net", "LCM") == ()


def test_an_unknown_method_is_answered_with_the_nearest() -> None:
    with pytest.raises(LookupError, match="did you mean DNANet"):
        reported("DNAnet")


def test_reading_published_numbers_needs_the_standard_library_alone() -> None:
    code = (
        "import sys, bench.models.published_numbers as r; r.reported('ACM'); "
        "print([m for m in ('torch', 'numpy', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert done.stdout.strip() == "[]"


def test_the_printed_numbers_are_those_of_the_log_behind_them() -> None:
    """The README's table and the full-precision log it was made from agree: both files are copied whole and right."""
    with (FOLDER / README).open() as table:
        printed = {(r["method"], r["dataset"]): r for r in csv.DictReader(table)}
    with (FOLDER / "basicirstd_test_log_2024-01-19.csv").open() as log:
        logged = list(csv.DictReader(log))
    methods, datasets = {"DNANet": "DNA-Net", "UIUNet": "UIU-Net"}, {"NUAA-SIRST": "SIRST-v1(NUAA-SIRST)"}
    assert len(logged) == 21
    for row in logged:
        name, dataset = row["method"], row["dataset"]
        found = printed[methods.get(name, name), datasets.get(dataset, dataset)]
        for column, scale in (("IoU", 1e2), ("Pd", 1e2), ("Fa", 1e6)):  # three digits printed
            unit = {"Fa": "1e-6"}.get(column, "pct")
            assert float(found[f"{column}_{unit}"]) == pytest.approx(scale * float(row[column]), abs=6e-4)
