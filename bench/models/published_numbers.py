"""The numbers published for each method, with the source, split and rules they were published under.

The tables lie as printed in `published/`, and `published/SOURCES.md` says where each is from. Here is what they do not
say of themselves: which method of this project a name means, which metric a column is, which split and rules are known.
Every row either gives numbers or says why it gives none.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from bench.errors import UnknownNameError
from bench.registry import unknown
from bench.types import Reported

FOLDER = Path(__file__).parents[1] / "published"

README = "basicirstd_readme_table.csv"
README_BEFORE = "basicirstd_readme_table_before_fa_fix_a46bffd.csv"
OTHER_READMES = "other_readmes_long.csv"
LESPS = "lesps_table1.csv"

NOT_STATED = "not stated"

CENTROID_PD = "Pd/centroid-3px"

COLUMNS = {
    "IoU_pct": "IoU/pooled",
    "nIoU_pct": "nIoU/per-image",
    "F1_pct": "F1/pooled",
    "precision": "Precision/pooled",
    "recall": "Recall/pooled",
    "Pd_pct": CENTROID_PD,
}
"""Column of a table to metric. F1 is pooled, for it is 2 IoU / (1 + IoU) wherever both are printed."""

FA_COLUMNS = ("Fa_1e-6", "Fa_as_printed")
EQUAL_AREA = "legacy:Fa/equal-area"
EQUAL_AREA_OVER_PIXELS = "legacy:Fa/equal-area-over-pixels"
"""BasicIRSTD's rule until 2024-01-25: as `EQUAL_AREA`, but over all pixels of the list instead of 65536 an image."""

LOST_ALARMS = "false alarms as large as a matched component are lost, so known to be too low"

DATASETS = {
    "NUAA-SIRST": "NUAA-SIRST",
    "NUAA": "NUAA-SIRST",
    "SIRST": "NUAA-SIRST",
    "SIRST-V1": "NUAA-SIRST",
    "SIRSTv1": "NUAA-SIRST",
    "SIRST-v1(NUAA-SIRST)": "NUAA-SIRST",
    "NUDT-SIRST": "NUDT-SIRST",
    "NUDT": "NUDT-SIRST",
    "IRSTD-1k": "IRSTD-1k",
    "IRSTD-1K": "IRSTD-1k",
    "IRSTD1k": "IRSTD-1k",
    "SIRST-Aug": "SIRST-Aug",
    "SIRST Aug": "SIRST-Aug",
    "SIRSTAUG": "SIRST-Aug",
}

METHODS: dict[str, tuple[str, ...]] = {
    "DFINet": (),
    "FANet": (),
    "ACM": ("ACM", "ACM (full)", "ACM (centroid)", "ACM (coarse)"),
    "ALCNet": ("ALCNet", "ALCNet (full)", "ALCNet (centroid)", "ALCNet (coarse)"),
    "DNANet": ("DNANet", "DNA-Net", "DNANet-ResNet-18", "DNANet-ResNet-18 (released weights)"),
    "UIU-Net": ("UIU-Net", "UIUNet"),
    "RDIAN": ("RDIAN",),
    "ISTDU-Net": ("ISTDU-Net",),
    "AGPCNet": ("AGPCNet", "AGPCNet+ResNet18"),
    "SCTransNet": ("SCTransNet",),
    "MSHNet": ("MSHNet",),
    "RPCANet": ("RPCANet",),
    "U-Net": ("U-Net",),
    "TopHat": ("Top-Hat", "Tophat"),
    "MaxMedian": ("Max-Median",),
    "LCM": (),
    "RLCM": ("RLCM",),
    "MPCM": ("MPCM",),
    "TLLCM": ("TLLCM",),
    "WSLCM": ("WSLCM",),
    "IPI": ("IPI",),
    "NRAM": ("NRAM",),
    "RIPT": ("RIPT",),
    "PSTNN": ("PSTNN",),
}
"""A method of this project to its names in the tables; no name where no table has it."""

OTHER_FORMS = {
    "DNANet-VGG-10": "DNANet on another backbone than the ResNet-18 that is published as DNANet",
    "DNANet-ResNet-10": "DNANet on another backbone than the ResNet-18 that is published as DNANet",
    "DNANet-ResNet-34": "DNANet on another backbone than the ResNet-18 that is published as DNANet",
    "RPCANet++ - S3": "RPCANet++ is another network than RPCANet",
    "RPCANet++ - S6": "RPCANet++ is another network than RPCANet",
    "RPCANet++ - S9": "RPCANet++ is another network than RPCANet",
    "MSPCM": "the table does not say whether it means MPCM",
    "ACLNet": "the table does not say whether it means ALCNet",
}
"""Names that are near to one of ours, and why they are not taken for it."""

STRANGERS = frozenset(
    (
        "ABC",
        "ABCNet",
        "DRPCA-Net",
        "DSTransNet",
        "FKRW",
        "HBMLCM",
        "HDNet",
        "ISNet",
        "L²SKNet",
        "MDvsFA",
        "MSDA-Net",
        "MSLCM",
        "MSLSTIPT",
        "MTUNet",
        "NIPPS",
        "NOLC",
        "NWMTH",
        "RISTDnet",
        "ResUNet",
        "SIRST-5K",
        "SeRankDet",
        "ours (YangBo0411)",
    )
)
"""Methods of the tables that this project has not."""

WEIGHTS: Mapping[tuple[str, ...], str] = {
    (LESPS, "ACM (full)"): "LESPS-ACM-full",
    (LESPS, "ACM (centroid)"): "LESPS-ACM-centroid",
    (LESPS, "ACM (coarse)"): "LESPS-ACM-coarse",
    (LESPS, "ALCNet (full)"): "LESPS-ALCNet-full",
    (LESPS, "ALCNet (centroid)"): "LESPS-ALCNet-centroid",
    (LESPS, "ALCNet (coarse)"): "LESPS-ALCNet-coarse",
    ("fengyiwu98/RPCANet", "RPCANet", "SIRST"): "RPCANet-SIRST",
    ("fengyiwu98/RPCANet", "RPCANet", "NUDT-SIRST"): "RPCANet-NUDT",
    ("fengyiwu98/RPCANet", "RPCANet", "IRSTD-1K"): "RPCANet-1K",
    ("fengyiwu98/RPCANet", "RPCANet", "SIRST-Aug"): "RPCANet-SIRST-Aug",
}
"""File, or repository, printed name and, where it has several, test set to the checkpoint that the numbers are of."""

VARIANTS = {
    "ACM (centroid)": "trained on one point a target, its centroid",
    "ACM (coarse)": "trained on one point a target, anywhere on it",
    "ALCNet (centroid)": "trained on one point a target, its centroid",
    "ALCNet (coarse)": "trained on one point a target, anywhere on it",
    "DNANet-ResNet-18": "backbone ResNet-18",
    "DNANet-ResNet-18 (released weights)": "backbone ResNet-18, released weights",
    "AGPCNet+ResNet18": "backbone ResNet-18",
}

REMARKS = {
    "re-debugged code, newer weights": "corrected code, newer weights",
    "paper/original weights": "the paper's weights",
    "their own re-training of every method": "made again by the source's authors",
}
"""What the tables' own remarks say of a number, in our words; other remarks say nothing of a score."""

CONTRADICTION = 1e-3
"""More than two printed digits can explain: how far F1 may lie from 2 IoU / (1 + IoU)."""


@dataclass(frozen=True)
class ReportedTable:
    """Facts that hold for every row of one published table.

    Attributes:
        source: repository and commit; empty where the rows name their own.
        split: whose lists it was tested on, where they are known to be those of a split here.
        splits: dataset to the same, where it differs between datasets.
        rules: this project's protocol where the source really used its rules, otherwise a short name of its own.
        pd: the metric that its Pd is.
        fa: the metric that its false-alarm rate is; empty where no unit is known, so that the rate cannot be told as a
            fraction and is left out.
        fa_unit: of its false-alarm rate, as a power of ten.
        unit: of its other numbers, as a power of ten.
        only_fa: whether everything else stands in a newer table as well.
        notes: metric to what a reader has to know of it.
        left_out: why none of its rows gives a number; empty where they do.
    """

    source: str = ""
    split: str = NOT_STATED
    splits: Mapping[str, str] = field(default_factory=dict)
    rules: str = NOT_STATED
    pd: str = CENTROID_PD
    fa: str = ""
    fa_unit: int = -6
    unit: int = -2
    only_fa: bool = False
    notes: Mapping[str, str] = field(default_factory=dict)
    left_out: str = ""


UNKNOWN_DISTANCE = {CENTROID_PD: "matching distance not stated"}

SOURCE_TABLES = {
    README: ReportedTable(
        "XinyiYing/BasicIRSTD README at 95650c3", "basicirstd", rules="basicirstd", fa="Fa/unmatched-area"
    ),
    LESPS: ReportedTable(
        "XinyiYing/LESPS Figs/table1.jpg at 9292bba", "basicirstd", rules="lesps", fa="Fa/unmatched-area"
    ),
    README_BEFORE: ReportedTable(
        "XinyiYing/BasicIRSTD README at a46bffd",
        "basicirstd",
        rules="basicirstd",
        fa=EQUAL_AREA_OVER_PIXELS,
        only_fa=True,
        notes={EQUAL_AREA_OVER_PIXELS: f"{LOST_ALARMS}; the same weights as at 95650c3"},
    ),
    "basicirstd_test_log_2024-01-19.csv": ReportedTable(
        left_out="the README at 95650c3 prints the same numbers, rounded"
    ),
    "basicirstd_train_logs_2023.csv": ReportedTable(left_out="the README at a46bffd prints the same numbers, rounded"),
    "basicirstd_params_file.csv": ReportedTable(left_out="parameters and FLOPs are no scores"),
    "YeRen123455/Infrared-Small-Target-Detection": ReportedTable("", "basicirstd", rules="dnanet", fa=EQUAL_AREA),
    "xdFai/SCTransNet": ReportedTable(rules="sctransnet", fa=EQUAL_AREA),
    "Lliu666/MSHNet": ReportedTable(rules="mshnet", fa=EQUAL_AREA),
    "fengyiwu98/RPCANet": ReportedTable(
        splits={"NUAA-SIRST": "sirst-v1", "NUDT-SIRST": "basicirstd"},
        rules="rpcanet",
        pd="Pd/overlap",
        fa="Fa/background-pixels",
        fa_unit=-5,
    ),
    "GrokCV/DRPCA-Net": ReportedTable(rules="drpcanet", notes=UNKNOWN_DISTANCE),
    "GrokCV/SeRankDet": ReportedTable(rules="serankdet"),
    "Tianfang-Zhang/AGPCNet": ReportedTable(rules="agpcnet", unit=0),
    "YangBo0411/infrared-small-target": ReportedTable(left_out="counts boxes or centres, which no metric here does"),
}
"""By file; those of the file of many READMEs by repository. A repository of strangers alone has no entry."""

CLASSICAL = ReportedTable(
    SOURCE_TABLES[README].source,
    "basicirstd",
    fa=EQUAL_AREA_OVER_PIXELS,
    notes={
        EQUAL_AREA_OVER_PIXELS: "not made again when the rule of false alarms was corrected: counted by the older "
        "rule, which is known to be too low, or by one that is not stated"
    },
)
"""BasicIRSTD's rows of classical detectors, which have no parameters: how score maps became masks is not stated."""


@dataclass(frozen=True)
class Printed:
    """One row of a published table: the numbers it gives, or why it gives none.

    Attributes:
        file, line: where it stands; the header is line 1.
        printed_as: the method's name there.
        method: its name in this project; empty where it is none of ours.
        numbers: a number a score that is printed.
        left_out: the reason; empty where there are numbers.
    """

    file: str
    line: int
    printed_as: str
    method: str
    numbers: tuple[Reported, ...] = ()
    left_out: str = ""


def reported(*methods: str) -> tuple[Reported, ...]:
    """Every number published for the methods, by their names in this project.

    Raises:
        UnknownNameError: when a method is not in `METHODS`.

    >>> [(r.metric, r.value) for r in reported("RLCM") if r.dataset == "NUDT-SIRST"][:2]
    [('IoU/pooled', 0.15139), ('Pd/centroid-3px', 0.66348)]
    """
    for method in methods:
        if method not in METHODS:
            raise UnknownNameError(unknown("method with a list of published names", method, METHODS))
    return tuple(number for row in printed_rows() if row.method in methods for number in row.numbers)


@cache
def printed_rows() -> tuple[Printed, ...]:
    """Every row of every table, in the order of the files."""
    return tuple(row for file in sorted(path.name for path in FOLDER.glob("*.csv")) for row in _rows(file))


PrintedRow = Mapping[str, str]


def _read(file: str) -> list[PrintedRow]:
    with (FOLDER / file).open(encoding="utf-8", newline="") as text:
        return list(csv.DictReader(text))


def _rows(file: str) -> Iterator[Printed]:
    """The rows of one table.

    Raises:
        UnknownNameError: when a name is neither one of ours nor known to be none of ours.
    """
    ours = {name: method for method, names in METHODS.items() for name in names}
    corrected = {tuple(row.values()) for row in _read(README)} if file == README_BEFORE else set()
    for line, row in enumerate(_read(file), start=2):
        name = row["method"]
        if name not in ours and name not in OTHER_FORMS and name not in STRANGERS:
            raise UnknownNameError(
                f"{file}, line {line}: method {name!r} is in no list of bench.models.published_numbers; add it to one"
            )
        printed = Printed(file, line, name, ours.get(name, ""))
        table = _table(file, row)
        reason = _why_left_out(row, printed, table) or (
            "the README at 95650c3 prints the same row" if tuple(row.values()) in corrected else ""
        )
        yield (
            replace(printed, left_out=reason)
            if reason
            else replace(printed, numbers=_numbers(row, table, weights=_weights(file, row)))
        )


def _table(file: str, row: PrintedRow) -> ReportedTable:
    if file == OTHER_READMES:
        return SOURCE_TABLES.get(row["source_repo"], ReportedTable())
    return CLASSICAL if file == README and not row["params_M"] else SOURCE_TABLES[file]


def _why_left_out(row: PrintedRow, printed: Printed, table: ReportedTable) -> str:
    if not printed.method:
        return OTHER_FORMS.get(printed.printed_as, "no such method in this project")
    if table.left_out:
        return table.left_out
    return "" if _tested_on(row) in DATASETS else f"no such dataset in this project: {_tested_on(row)}"


def _tested_on(row: PrintedRow) -> str:
    return row.get("tested_on") or row["dataset"]


def _weights(file: str, row: PrintedRow) -> str:
    """Name of the published checkpoint that a row's numbers are of; empty where none is known."""
    source = row.get("source_repo", file)
    keys = ((source, row["method"]), (source, row["method"], row.get("tested_on", "")))
    return next((WEIGHTS[key] for key in keys if key in WEIGHTS), "")


def _numbers(row: PrintedRow, table: ReportedTable, *, weights: str) -> tuple[Reported, ...]:
    """Every score of one row, each with the notes that concern it."""
    dataset = DATASETS[_tested_on(row)]
    source = table.source or f"{row['source_repo']} README at {row['commit']}"
    columns = {} if table.only_fa else {**COLUMNS, "Pd_pct": table.pd}
    found = {metric: float(f"{row[c]}e{table.unit}") for c, metric in columns.items() if row.get(c)}
    rate = next((row[column] for column in FA_COLUMNS if row.get(column)), "")
    if table.fa and rate:
        found[table.fa] = float(f"{rate}e{table.fa_unit}")
    general = tuple(_row_notes(row, dataset))
    special = {EQUAL_AREA: LOST_ALARMS, **_contradiction(found), **table.notes}
    notes = {metric: "; ".join(filter(None, (*general, special.get(metric, "")))) for metric in found}
    split = table.splits.get(dataset, table.split)
    return tuple(
        Reported(dataset, split, metric, value, source, table.rules, notes[metric], weights)
        for metric, value in found.items()
    )


def _row_notes(row: PrintedRow, dataset: str) -> Iterator[str]:
    """The variant of the method, the table's own remarks, and what it was trained on if not on the dataset alone."""
    yield VARIANTS.get(row["method"], "")
    yield from (REMARKS.get(remark, "") for remark in row.get("note", "").split("; "))
    trained_on = row.get("trained_on") or dataset
    if DATASETS.get(trained_on, trained_on) != dataset:
        yield f"trained on {trained_on}, so not comparable with training on {dataset} alone"


def _contradiction(found: Mapping[str, float]) -> dict[str, str]:
    """Notes on IoU and F1 where not both of them can be right."""
    iou, f1 = found.get("IoU/pooled"), found.get("F1/pooled")
    if iou is None or f1 is None or abs(f1 - 2 * iou / (1 + iou)) <= CONTRADICTION:
        return {}
    note = f"IoU and F1 contradict each other: 2 IoU / (1 + IoU) is {2 * iou / (1 + iou):.4f}"
    return {"IoU/pooled": note, "F1/pooled": note}
