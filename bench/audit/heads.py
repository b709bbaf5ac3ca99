"""Read the heading of a column: metric, dataset and unit."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from bench.audit.lists import read_dataset
from bench.audit.numbers import PERCENT, SUPERSCRIPTS

AUDITED_METRICS = ("IoU", "nIoU", "F1", "Pd", "Fa", "precision", "recall")

IDS = {
    "IoU/pooled": "IoU",
    "nIoU/per-image": "nIoU",
    "F1/pooled": "F1",
    "Precision/pooled": "precision",
    "Recall/pooled": "recall",
}
"""Metric ids of this project to what they are here; ids that are not here are not checked."""

FAMILIES = {"Pd/centroid-": "Pd", "Fa/unmatched-area": "Fa"}
"""The same for ids that go on with a distance."""

ALIASES = {
    "iou": "IoU",
    "miou": "IoU",
    "niou": "nIoU",
    "f1": "F1",
    "f1score": "F1",
    "fscore": "F1",
    "fmeasure": "F1",
    "pd": "Pd",
    "probabilityofdetection": "Pd",
    "fa": "Fa",
    "far": "Fa",
    "falsealarmrate": "Fa",
    "precision": "precision",
    "prec": "precision",
    "recall": "recall",
    "rec": "recall",
    "pixacc": "recall",
}

FILLERS = frozenset(("score", "value", "pooled", "as", "printed", "rate", "test"))
"""Words beside a metric's name that change nothing."""

OTHER_RULES = ("macro", "legacy", "cumulative", "soft", "deviation", "difference", "badge", "std")
"""Words that make another thing of a metric."""

DEVIATION = " deviation"
"""How this project's CSV heads the column of a metric's deviation over seeds."""

METHOD_HEADS = ("method", "methods", "label", "network", "approach", "algorithm", "model", "name")
DATASET_HEADS = ("testedon", "teston", "testset", "testdataset", "dataset", "datasets", "data", "benchmark")
SOURCE_HEADS = ("sourcerepo", "source", "paper", "repo", "repository", "commit")
SPLIT_HEADS = ("split",)
LIMITED_HEADS = ("limited",)
NOTES_HEADS = ("notes",)
LIMITED_NOTE = "limited trial: shortened image lists"
"""What stands in the notes of a report's table beside a row whose lists were shortened."""

FA_UNIT_HEADS = ("faunitasstated", "faunit")

MILLIONTH = Fraction(1, 1_000_000)
_POWER = re.compile(r"(?:[x×·*\\times]*\s*)10\s*\^?\s*[{(]?\s*-\s*(\d+)\s*[})]?|\b1?e-0?(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class Head:
    """A column that is checked.

    Attributes:
        text: as it stands in the file.
        metric: of `AUDITED_METRICS`.
        dataset: as the head names it; empty where a column of its own does, or nothing.
        unit: what a printed 1 is; None where the head does not say.
    """

    text: str
    metric: str
    dataset: str = ""
    unit: Fraction | None = None

    @property
    def is_spelled(self) -> bool:
        """True if percent is spelled (`IoU_pct`), as in collected tables, and not printed as a sign."""
        return self.unit == PERCENT and "%" not in self.text and bool(re.search("pct|percent", self.text.lower()))


def letters_of(head: str) -> str:
    """Its letters and digits in lower case: `Tested on` and `tested_on` are one head."""
    return re.sub(r"[^a-z0-9]", "", head.lower())


def read_unit(text: str) -> Fraction | None:
    """The value of a printed 1 according to a heading or a cell; None if it gives no unit.

    >>> [read_unit(text) for text in ("Fa (×10⁻⁶)", "IoU_pct", "Pd [%]", "Fa_1e-6", "$10^{-5}$", "F1")]
    [Fraction(1, 1000000), Fraction(1, 100), Fraction(1, 100), Fraction(1, 1000000), Fraction(1, 100000), None]
    """
    plain = text.translate(SUPERSCRIPTS)
    if power := _POWER.search(plain.replace("_", " ")):
        return Fraction(1, 10 ** min(int(power.group(1) or power.group(2)), 99))
    if "%" in plain or re.search(r"(?:^|[\s_(\[])(?:pct|percent)(?:$|[\s_)\]])", plain.lower()):
        return PERCENT
    return Fraction(1) if "fraction" in plain.lower() else None


def read_head(text: str) -> Head | None:
    """The metric, dataset and unit of a head, or None where it is no metric that is checked.

    >>> read_head("NUDT-SIRST IoU ↑ (%)")
    Head(text='NUDT-SIRST IoU ↑ (%)', metric='IoU', dataset='NUDT-SIRST', unit=Fraction(1, 100))
    >>> read_head("F1 (macro)") is None
    True
    """
    if text in IDS or text.startswith(tuple(FAMILIES)):
        metric = IDS.get(text) or next(m for family, m in FAMILIES.items() if text.startswith(family))
        return Head(text, metric, unit=Fraction(1))
    if any(word in text.lower() for word in OTHER_RULES):
        return None
    unit = read_unit(text)
    plain = text.translate(SUPERSCRIPTS).replace("_", " ")
    bare = re.sub(r"\([^)]*\)|\[[^\]]*\]", " ", _POWER.sub(" ", plain))
    words = [word for word in re.split(r"[\s/,;|]+", bare) if letters_of(word) not in ("", "pct", "percent", "x")]
    return _named(text, words, unit)


def _named(text: str, words: list[str], unit: Fraction | None) -> Head | None:
    """The head whose words, less those of one metric and of a dataset, are nothing but fillers."""
    for length in (3, 2, 1):
        for start in range(len(words) - length + 1):
            metric = ALIASES.get(letters_of("".join(words[start : start + length])))
            rest = words[:start] + words[start + length :]
            rest = [word for word in rest if letters_of(word) not in FILLERS]
            dataset = " ".join(rest)
            if metric and (not rest or read_dataset(dataset).name):
                return Head(text, metric, dataset, unit)
    return None
