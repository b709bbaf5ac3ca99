"""The named scorings: how code bases score the same predictions, which numbers they print, and what is wrong with them.

A protocol's scoring is one of them and lives in bench/protocols/protocols.py alone. Facts: the repositories' code as
of 2026, run on the cases of tests/parity/metrics.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from bench.errors import BenchError, RequestError, StoreError
from bench.metrics.registry import find_metrics
from bench.protocols.protocols import PROTOCOLS
from bench.records import from_plain, to_plain
from bench.registry import Registry
from bench.store.files import read_json, write_json
from bench.types import Score, Scoring

SCORINGS_FILE = "scorings.json"
SCHEMA = 1

STANDARD_IDS = MappingProxyType(
    {
        find_metrics().get(id).head: id
        for id in ("IoU/pooled", "nIoU/per-image", "F1/pooled", "Pd/centroid-3px", "Fa/unmatched-area")
    }
)
"""Metrics printed by default under a binary ground truth: heading to id at 3 px and 8 neighbours."""

HEADS = tuple(STANDARD_IDS)

SOFT = MappingProxyType(
    {
        "IoU": "legacy:IoU/soft-mask",
        "F1": "legacy:F1/soft-mask",
        "Pd": "legacy:Pd/soft-mask",
        "Fa": "legacy:Fa/soft-mask",
    }
)
"""Metrics printed by default under a soft ground truth."""


@dataclass(frozen=True)
class NamedScoring:
    """A scoring with the numbers that its code base prints.

    Attributes:
        name: what tables and the command line call it.
        scoring: its rules.
        prints: heading (one of `HEADS`) to metric id at 3 px and 8 neighbours; heads that its code does
            not print are left out.
        whose: the code that scores so.
        defects: what is wrong with it, for the reader; empty where nothing is known to be.
    """

    name: str
    scoring: Scoring
    prints: Mapping[str, str]
    whose: str
    defects: str = ""

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.prints) - set(HEADS)):
            raise RequestError(f"scoring {self.name}: prints {', '.join(unknown)}, expected some of {', '.join(HEADS)}")

    def printed_ids(self) -> dict[str, str]:
        """Head to the metric's id under this scoring: another matching rule, distance or connectivity is in it.

        >>> SCORINGS.get("overlap").printed_ids()["Pd"]
        'Pd/overlap'
        """
        metrics = find_metrics()
        return {
            head: metrics.get(id).id_under(self.scoring) if id in metrics else id for head, id in self.prints.items()
        }


SCORINGS: Registry[NamedScoring] = Registry("scoring")


def _add(
    name: str, scoring: Scoring, *, prints: Iterable[str] = HEADS, whose: str, defects: str = "", fa: str = ""
) -> NamedScoring:
    """Register a scoring that prints standard metrics under some heads, `fa` another false-alarm rate."""
    ids = {head: STANDARD_IDS[head] for head in prints}
    return SCORINGS.add(name, NamedScoring(name, scoring, ids | ({"Fa": fa} if fa else {}), whose, defects))


_add("native", PROTOCOLS.get("native").scoring, whose="this project")
_add(
    "basicirstd",
    PROTOCOLS.get("basicirstd").scoring,
    prints=("IoU", "Pd", "Fa"),
    whose="BasicIRSTD since 2024-01-25; the rules of native",
)
_add(
    "basicirstd-2023",
    Scoring("basicirstd-2023"),
    prints=("IoU", "Pd"),
    fa="legacy:Fa/equal-area-over-pixels",
    whose="BasicIRSTD until 2024-01-25",
    defects="false alarms as large as any matched component are lost, so that Fa is a lower bound",
)
_add(
    "dnanet",
    Scoring("dnanet", resolution="network"),
    prints=("IoU", "Pd"),
    fa="legacy:Fa/equal-area",
    whose="DNANet; SCTransNet and MSHNet count false alarms alike",
    defects=(
        "false alarms as large as any matched component are lost; Fa is over 65536 pixels an image whatever its size; "
        "its own script resizes masks by nearest neighbour, here they are resized bilinearly and cut at 127"
    ),
)
SCORINGS.add(
    "dfinet",
    NamedScoring(
        "dfinet",
        PROTOCOLS.get("dfinet").scoring,
        SOFT,
        whose="DFINet's test script, each feedback round by itself",
        defects=(
            "masks are resized bilinearly and never binarised again, so that a perfect predictor scores IoU 0.50 on "
            "NUAA-SIRST at 256 x 256; F1 is of the mean precision and the mean recall; the script's sums are not reset "
            "between feedback rounds, so that its own last row is a mean over rounds"
        ),
    ),
)
_add(
    "uiunet",
    Scoring("uiunet", resolution="network", threshold=0.22, normalise="min-max"),
    prints=("IoU",),
    whose="UIU-Net's test script, the second of the two IoU that it prints",
    defects=(
        "every map is stretched to [0, 1], so that something is predicted in an image without any target; the first "
        "IoU printed is 1/20 of the right one; images and masks are paired by the order of two unsorted lists; masks "
        "are resized by nearest neighbour, here bilinearly and cut at 127; a constant map is 0/0, here nothing is "
        "predicted; its nIoU applies the sigmoid twice and is not reproduced"
    ),
)
_add(
    "pyirstdmetrics",
    Scoring("pyirstdmetrics", matching="overlap-priority"),
    whose="pyirstdmetrics 1.0.2, its matching by overlap before distance (OPDC)",
    defects="an image without predictions adds one false alarm to its counts, one without targets a miss; not so here",
)
_add("lesps", PROTOCOLS.get("lesps").scoring, prints=("IoU", "Pd", "Fa"), whose="LESPS; the rules of native")
_add(
    "rpcanet",
    PROTOCOLS.get("rpcanet").scoring,
    prints=("IoU", "F1", "Pd"),
    fa="Fa/background-pixels",
    whose="RPCANet's test script",
    defects=PROTOCOLS.get("rpcanet").defects,
)
_add(
    "optimal",
    Scoring("optimal", matching="optimal"),
    whose="this project: as many matches as can be, at the least distance in all",
)
_add("nearest", Scoring("nearest", matching="nearest"), whose="this project: the nearest pair first")
_add(
    "overlap",
    Scoring("overlap", matching="overlap"),
    whose="object-level counts by overlap: one shared pixel finds a target",
    defects="a component that covers everything finds every target and raises no false alarm",
)
_add(
    "shooting",
    Scoring("shooting", matching="shooting"),
    whose="the shooting rule of pyirstdmetrics 1.0.2: a hit within 1 px, a false alarm beyond 4 px of every target",
    defects="a single pixel beside a target finds it, however large it is; pixels within 4 px are never false alarms",
)
_add(
    "four-neighbours",
    Scoring("four-neighbours", connectivity=4),
    whose="native with 4 neighbours to a component, as scipy.ndimage.label has by default",
)


def named_scoring(name: str) -> NamedScoring:
    """The named scoring; of a protocol that is no scoring by itself, such as a plugin's, its scoring.

    Raises:
        UnknownNameError: with suggestions, when there is none.
    """
    if name not in SCORINGS and name in PROTOCOLS:
        return with_prints(PROTOCOLS.get(name).scoring)
    return SCORINGS.get(name)


def all_scorings() -> tuple[NamedScoring, ...]:
    """Every named scoring, in the order of this file."""
    return tuple(SCORINGS.get(name) for name in SCORINGS)


def with_prints(scoring: Scoring) -> NamedScoring:
    """A scoring that no code base is known for, with what this project prints under it."""
    prints = SOFT if scoring.ground_truth == "soft" else STANDARD_IDS
    return NamedScoring(scoring.name, scoring, prints, whose="no code base")


def prints_of(scoring: Scoring) -> tuple[str, ...]:
    """Ids of what this project prints under a scoring, and of what its code base prints besides."""
    found = [with_prints(scoring)]
    if scoring.name in SCORINGS and SCORINGS.get(scoring.name).scoring == scoring:
        found.append(SCORINGS.get(scoring.name))
    return tuple(dict.fromkeys(id for named in found for id in named.printed_ids().values()))


def describe_scoring(scoring: Scoring) -> str:
    """The rules of a scoring in words, its name first."""
    return f"{scoring.name} ({describe_rules(scoring)})"


def describe_rules(scoring: Scoring) -> str:
    """The rules of a scoring in words."""
    truth = "masks binary (grey > 127)" if scoring.ground_truth == "binary" else "masks resized and left soft"
    if scoring.mask_resize == "opencv-nearest":
        truth += " resized by OpenCV's nearest neighbour"
    changes = {"none": "", "min-max": " stretched to [0, 1]", "max": " divided by the map's highest"}
    matched = {
        "overlap": "targets matched by overlap",
        "shooting": "targets hit within 1 px, false alarms beyond 4 px",
    }.get(scoring.matching, f"centroids nearer than {scoring.distance:g} px matched {scoring.matching}")
    return (
        f"{truth}, {scoring.resolution} resolution, probability{changes[scoring.normalise]} > {scoring.threshold:g}, "
        f"{matched}, {scoring.connectivity}-connectivity"
    )


@dataclass(frozen=True)
class ScoringRecord:
    """Scores of predictions under one scoring.

    Attributes:
        prints: head to id in `scores`, of what the scoring's code base prints.
        images, targets: how many were scored; targets as this scoring sees them.
        scores: metric id to score.
    """

    scoring: Scoring
    prints: Mapping[str, str]
    images: int
    targets: int
    scores: Mapping[str, Score] = field(default_factory=dict)


@dataclass(frozen=True)
class ScoringRecords:
    """The content of `scorings.json`: a run's last round under every named scoring."""

    scorings: tuple[ScoringRecord, ...]
    schema: int = SCHEMA


def write_records(folder: Path, records: Iterable[ScoringRecord]) -> Path:
    """Write `scorings.json` into a run's folder."""
    return write_json(folder / SCORINGS_FILE, to_plain(ScoringRecords(tuple(records))))


def read_records(folder: Path) -> tuple[ScoringRecord, ...]:
    """Read the scores of a run's predictions under every named scoring.

    Raises:
        StoreError: when the file is missing, broken or of another schema.
    """
    path = folder / SCORINGS_FILE
    content = read_json(path)
    found = content.get("schema") if isinstance(content, dict) else None
    if found != SCHEMA:
        raise StoreError(f"{path}: schema {found!r}, expected {SCHEMA}; record it again with dfinet-bench score")
    try:
        records: ScoringRecords = from_plain(ScoringRecords, content)
    except BenchError as error:
        raise StoreError(f"{path}: {error}") from None
    return records.scorings
