"""Test lists that published numbers are made on: how many targets and pixels a rate on them is a rate of."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bench.errors import UnknownNameError
from bench.registry import unknown

FILE = Path(__file__).with_name("lists.toml")

NAMES = {
    "nuaasirst": "NUAA-SIRST",
    "nuaa": "NUAA-SIRST",
    "sirst": "NUAA-SIRST",
    "sirstv1": "NUAA-SIRST",
    "sirstv1nuaasirst": "NUAA-SIRST",
    "sirstnuaa": "NUAA-SIRST",
    "nudtsirst": "NUDT-SIRST",
    "nudt": "NUDT-SIRST",
    "irstd1k": "IRSTD-1k",
    "sirstaug": "SIRST-Aug",
    "synthetic": "synthetic",
}
"""Letters and digits of what tables call a dataset, to its name here."""


@dataclass(frozen=True, eq=False)
class KnownList:
    """One test list.

    Attributes:
        dataset, split, part: its names.
        images: in it.
        targets: in their masks.
        pixels: of all images, by the size they are judged at.
        ratios: what papers call it by, as `341 : 86`.
        source: how targets and pixels are known.
    """

    dataset: str
    split: str
    part: str
    images: int
    targets: int
    pixels: Mapping[str, int]
    ratios: tuple[str, ...]
    source: str

    @property
    def name(self) -> str:
        """`sirst-v1 test, 109 targets`."""
        return f"{self.split} {self.part}, {self.targets} targets"


@cache
def known_lists() -> tuple[KnownList, ...]:
    """Every list of `lists.toml`, in its order."""
    described = tomllib.loads(FILE.read_text(encoding="utf-8"))["list"]
    return tuple(KnownList(**{**one, "ratios": tuple(one["ratios"])}) for one in described)


@dataclass(frozen=True)
class DatasetCell:
    """The words of a table about a dataset.

    Attributes:
        printed: as it stands there.
        name: ours; empty where it is none of ours.
        ratio: of training to test images, where it is printed with the name, as `341 : 86`.
    """

    printed: str
    name: str
    ratio: str = ""


def read_dataset(printed: str) -> DatasetCell:
    """The dataset that a name in a table means; corruptions (`NUDT-SIRST + noise`) keep its list.

    >>> read_dataset("SIRST (341:86)")
    DatasetCell(printed='SIRST (341:86)', name='NUAA-SIRST', ratio='341 : 86')
    >>> read_dataset("NUST-SIRST").name
    ''
    """
    ratio = re.search(r"\(?\s*(\d+)\s*:\s*(\d+)(?:\s*:\s*(\d+))?\s*\)?", printed)
    rest = printed[: ratio.start()] + printed[ratio.end() :] if ratio else printed
    letters = re.sub(r"[^a-z0-9]", "", rest.partition(" + ")[0].lower())
    words = " : ".join(filter(None, ratio.groups())) if ratio else ""
    return DatasetCell(printed, NAMES.get(letters, ""), words)


def known_lists_of(dataset: DatasetCell, *, split: str = "") -> tuple[KnownList, ...]:
    """The lists that numbers of a dataset may be made on: those of its ratio or split where these are told."""
    found = [one for one in known_lists() if one.dataset == dataset.name]
    if dataset.ratio:
        found = [one for one in found if dataset.ratio in one.ratios]
    if split:
        found = [one for one in found if split in one.split.split(", ")]
    return tuple(found)


def check_dataset(name: str) -> DatasetCell:
    """The dataset of that name.

    Raises:
        UnknownNameError: with suggestions, when no list of it is known.
    """
    cell = read_dataset(name)
    if not cell.name:
        raise UnknownNameError(unknown("dataset with a known test list", name, sorted(dict.fromkeys(NAMES.values()))))
    return cell
