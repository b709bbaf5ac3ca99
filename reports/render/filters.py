"""Datasets and kinds of method that the tables of a page are filtered by."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.types import Method
from reports.results.entries import Entry
from reports.table import Line, Table

KINDS = ("feedback network", "network", "ablation", "classical detector")


@dataclass(frozen=True)
class TableFilters:
    """Datasets and kinds of method, by which the lines and columns of tables are filtered.

    Attributes:
        datasets: names, longest first.
        kinds: label to kind.
    """

    datasets: tuple[str, ...]
    kinds: Mapping[str, str]

    @classmethod
    def of(cls, entries: Sequence[Entry]) -> TableFilters:
        """Those of these rows; a label of several kinds has that of its first row."""
        kinds: dict[str, str] = {}
        for entry in entries:
            for label in (entry.row.label, entry.row.title):
                kinds.setdefault(label, method_kind(entry))
        return cls(tuple(sorted({e.row.dataset for e in entries}, key=lambda name: (-len(name), name))), kinds)

    @property
    def shown_kinds(self) -> tuple[str, ...]:
        """The kinds that occur."""
        return tuple(kind for kind in KINDS if kind in self.kinds.values())

    def dataset_in(self, text: str) -> str:
        """The dataset whose name the text begins with; empty where it is none."""
        return next((d for d in self.datasets if re.match(rf"{re.escape(d)}(?![\w-])", text)), "")

    def dataset_of(self, heading: str) -> str:
        """The dataset behind a heading's colon."""
        return self.dataset_in(heading.rpartition(": ")[2]) if ": " in heading else ""

    def line_dataset(self, table: Table, line: Line) -> str:
        """The dataset that a line names in its column of datasets."""
        if self.dataset_in(line.label):
            return self.dataset_in(line.label)
        heads = [column.head for column in table.columns]
        return self.dataset_in(line.cells[heads.index("Dataset")].text) if "Dataset" in heads else ""

    def filters(self, table: Table) -> bool:
        """True where any line is of a method of the suite."""
        return any(line.label in self.kinds for line in table.lines)


def method_kind(entry: Entry) -> str:
    """The kind of a row's method: one of `KINDS`."""
    if entry.result is None:
        return "network"
    experiment = entry.result.experiment
    if isinstance(experiment.weights, Method):
        return "classical detector"
    if entry.result.model.ablates:
        return "ablation"
    return "feedback network" if experiment.rounds > 1 else "network"
