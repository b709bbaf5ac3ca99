"""The report of a suite as one self-contained HTML page: tables, figures, and the rules of every row."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from bench.metrics.units import unit_text
from bench.protocols.scorings import describe_scoring
from bench.store.files import Manifest
from reports.render.csv_markdown import ARROWS
from reports.render.templates import html_templates
from reports.results.differences import start_words
from reports.results.entries import (
    Entry,
    describe_input,
    describe_recipe,
    describe_selection,
    status_of,
)
from reports.table import LIMITED_NOTICE, SIGNS, Table

RULE_HEADS = (
    "Row",
    "Status",
    "Network",
    "Test set",
    "Protocol and scoring",
    "Input",
    "Recipe",
    "Weights kept",
    "Environment",
)


@dataclass(frozen=True)
class EmbeddedFigure:
    """A figure of the page.

    Attributes:
        png: the file whose bytes are embedded.
        caption: as plain text.
        wide: whether it takes the width of the page.
    """

    png: Path
    caption: str
    wide: bool

    @property
    def data(self) -> str:
        """The file's bytes in base64."""
        return base64.b64encode(self.png.read_bytes()).decode("ascii")


@dataclass(frozen=True)
class RuleRow:
    """One row of the rules table: its words, and its status for colour."""

    status: str
    cells: tuple[str, ...]


def page(
    manifest: Manifest,
    entries: Sequence[Entry],
    *,
    tables: Sequence[tuple[str, Table]],
    figures: Sequence[EmbeddedFigure],
    sentences: Sequence[str] = (),
) -> str:
    """Render the page; every text is escaped.

    Args:
        tables: heading and table.
        sentences: shown first, such as the reason why a table was refused.
    """
    told = [entry for entry in entries if not (entry.row.corruption and entry.scored)]
    template = html_templates().get_template("index.html.j2")
    return template.render(
        title=manifest.title or manifest.suite,
        suite=manifest.suite,
        counts=_counts(entries),
        limited=manifest.limited or any(entry.is_limited for entry in entries),
        notice=LIMITED_NOTICE,
        sentences=sentences,
        tables=tables,
        figures=figures,
        groups_of=column_groups,
        arrows={**ARROWS, None: ""},
        unit_text=unit_text,
        signs=SIGNS,
        rule_heads=RULE_HEADS,
        rules=[_rule_row(entry) for entry in told],
        untold=len(entries) - len(told),
        networks=list({e.result.model.name: e.result.model for e in entries if e.result}.values()),
    )


def column_groups(table: Table) -> Iterator[tuple[str, int]]:
    """Each group of columns and how many it spans, left to right."""
    for group, columns in groupby(table.columns, key=lambda column: column.group):
        yield group, len(list(columns))


def _counts(entries: Sequence[Entry]) -> str:
    found = Counter(status_of(entry) for entry in entries)
    return f"{len(entries)} rows, " + ", ".join(f"{count} {status}" for status, count in found.items())


def _rule_row(entry: Entry) -> RuleRow:
    row, result = entry.row, entry.result
    status = status_of(entry)
    words = [
        entry.titled,
        f"{status}: {_whole_reason(entry)}" if entry.reason else status,
        row.model,
        f"{entry.dataset}, split {row.split}",
        f"{row.protocol}; {describe_scoring(row.scoring)}",
    ]
    if result is None:
        return RuleRow(status, (*words, "", "", "", ""))
    experiment = result.experiment
    words[2] += "".join(f", {name}={value}" for name, value in experiment.weights.config)
    if experiment.rounds > 1:
        words[2] += f"; {experiment.rounds} feedback rounds, first mask: {start_words(result)}"
    words[3] += f", {experiment.images.part} list of {experiment.images.count} images ({experiment.images.digest[:12]})"
    kept = describe_selection(experiment) + (f"; epoch {result.best_epoch}" if result.best_epoch else "")
    kept += "".join(f"; {name} {value:g}" for name, value in result.tuned.items())
    optimistic = "; optimistic: chosen on the test list" if result.optimistic else ""
    kept += f"; leak: {entry.leak_words}" if entry.leaked else ""
    environment = _environment(result.environment)
    return RuleRow(
        status, (*words, describe_input(experiment), describe_recipe(experiment), kept + optimistic, environment)
    )


def _whole_reason(entry: Entry) -> str:
    """The reason as the run recorded it, uncut."""
    return entry.result.reason if entry.result and entry.result.status == "failed" else entry.reason


def _environment(environment: Mapping[str, Any]) -> str:
    """`python 3.11, torch 2.13`: nested values as JSON."""
    return ", ".join(
        f"{name} {value if isinstance(value, str | int | float) else json.dumps(value, sort_keys=True)}"
        for name, value in environment.items()
    )
