"""The report of a suite as one self-contained HTML page: tables, figures, images, and the rules of every row."""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

from markupsafe import Markup

from bench.characters import show_steering
from bench.metrics.units import unit_text
from bench.protocols.scorings import describe_scoring
from bench.store.files import Manifest
from reports.render.csv_markdown import ARROWS
from reports.render.filters import TableFilters
from reports.render.stated_rules import StatedRules
from reports.render.templates import html_templates
from reports.results.differences import start_words
from reports.results.entries import (
    Entry,
    describe_input,
    describe_recipe,
    describe_selection,
    status_of,
)
from reports.results.image_browser import MOST_BYTES, MOST_IMAGES, ImageBrowser
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


SCRIPTS = ("page.js", "tables.js", "images.js")

MOST_OF_A_PDF = 100_000
"""Bytes of a figure's PDF that is embedded; larger ones are linked beside the page."""


@dataclass(frozen=True)
class Download:
    """A link to a file of the report.

    Attributes:
        head: what it is called.
        name: of the file that a browser saves.
        href: the file's bytes as a data URI, or its path beside the page.
        is_embedded: whether the page holds it.
    """

    head: str
    name: str
    href: str
    is_embedded: bool


@dataclass(frozen=True)
class PageTable:
    """A table of the page.

    Attributes:
        stem: of its files, without the ending.
    """

    heading: str
    stem: Path
    table: Table

    @property
    def anchor(self) -> str:
        """Id of its section."""
        return f"table-{self.stem.name}"

    @property
    def downloads(self) -> tuple[Download, ...]:
        """Its .csv and .tex, embedded."""
        return tuple(
            embedded(head, self.stem.with_name(f"{self.stem.name}.{ending}"), kind)
            for head, ending, kind in (("CSV", "csv", "text/csv"), ("LaTeX", "tex", "application/x-tex"))
        )


@dataclass(frozen=True)
class EmbeddedFigure:
    """A figure of the page.

    Attributes:
        png: the file whose bytes are embedded; its PDF lies beside it.
        caption: as plain text.
        wide: whether it takes the width of the page.
    """

    png: Path
    caption: str
    wide: bool

    @property
    def anchor(self) -> str:
        """Id of the figure."""
        return f"figure-{self.png.stem}"

    @property
    def data(self) -> str:
        """The file's bytes in base64."""
        return base64.b64encode(self.png.read_bytes()).decode("ascii")

    @property
    def path(self) -> str:
        """The picture's path beside the page."""
        return f"{self.png.parent.name}/{self.png.name}"

    @property
    def downloads(self) -> tuple[Download, ...]:
        """Its PDF, embedded if that is small."""
        pdf = self.png.with_suffix(".pdf")
        if not pdf.is_file():
            return ()
        if pdf.stat().st_size <= MOST_OF_A_PDF:
            return (embedded("PDF", pdf, "application/pdf"),)
        return (Download("PDF", pdf.name, f"{pdf.parent.name}/{pdf.name}", is_embedded=False),)


def _whole_file(path: Path) -> Download:
    """A file of the whole report: tables embedded, the document linked."""
    if path.suffix == ".csv":
        return embedded(path.name, path, "text/csv")
    return Download(path.name, path.name, path.name, is_embedded=False)


def embedded(head: str, path: Path, kind: str) -> Download:
    """A download whose bytes are in the page, so that it works where the page is alone."""
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    return Download(head, path.name, f"data:{kind};base64,{data}", is_embedded=True)


@dataclass(frozen=True)
class RuleRow:
    """One row of the rules table: its words, and its status for colour."""

    status: str
    cells: tuple[str, ...]


def page(
    manifest: Manifest,
    entries: Sequence[Entry],
    *,
    tables: Sequence[PageTable],
    figures: Sequence[EmbeddedFigure],
    browsers: Sequence[ImageBrowser] = (),
    files: Sequence[Path] = (),
    sentences: Sequence[str] = (),
) -> str:
    """Render the page; every text is escaped.

    Args:
        browsers: the test images by dataset.
        files: of the whole report, which lie beside the page and are linked.
        sentences: shown first, such as the reason why a table was refused.
    """
    told = [entry for entry in entries if not (entry.row.corruption and entry.scored)]
    title = manifest.title or manifest.suite
    rules = StatedRules.of([t.table.caption for t in tables] + [f.caption for f in figures], title=title)
    names = TableFilters.of(entries)
    template = html_templates().get_template("index.html.j2")
    script = Markup("").join(map(source, SCRIPTS))
    return template.render(
        title=title,
        suite=manifest.suite,
        counts=_counts(entries),
        limited=manifest.limited or any(entry.is_limited for entry in entries),
        notice=LIMITED_NOTICE,
        sentences=sentences,
        tables=tables,
        figures=figures,
        files=[_whole_file(path) for path in files],
        most_bytes=MOST_BYTES,
        most_images=MOST_IMAGES,
        several_seeds=len({entry.row.seed for entry in entries}) > 1,
        stated=rules,
        names=names,
        browsers=browsers,
        images=Markup(images_json(browsers)),  # noqa: S704  # its angle brackets are escaped
        style=source("page.css"),
        script=script,
        script_digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii"),
        groups_of=column_groups,
        shown_columns=lambda table: shown_columns(table, names),
        arrows={**ARROWS, None: ""},
        unit_text=unit_text,
        signs=SIGNS,
        rule_heads=RULE_HEADS,
        rules=[_rule_row(entry) for entry in told],
        untold=len(entries) - len(told),
        networks=list({e.result.model.name: e.result.model for e in entries if e.result}.values()),
    )


@cache
def source(name: str) -> Markup:
    """The text of a style or script beside the templates, as it stands."""
    environment = html_templates()
    assert environment.loader is not None
    return Markup(environment.loader.get_source(environment, name)[0])  # noqa: S704  # a file of this package


def images_json(browsers: Sequence[ImageBrowser]) -> str:
    """The browsers as JSON that may stand in a script element: no `<`, and no steering character."""
    return json.dumps([_shown(asdict(each)) for each in browsers], separators=(",", ":")).replace("<", "\\u003c")


def _shown(content: Any) -> Any:
    """The content with every steering character of its texts as a code point."""
    if isinstance(content, str):
        return show_steering(content)
    if isinstance(content, Mapping):
        return {str(key): _shown(value) for key, value in content.items()}
    return [_shown(each) for each in content] if isinstance(content, list | tuple) else content


def column_groups(table: Table) -> Iterator[tuple[str, int]]:
    """Each group of columns and how many it spans, left to right."""
    for group, columns in groupby(table.columns, key=lambda column: column.group):
        yield group, len(list(columns))


@dataclass(frozen=True)
class ShownColumn:
    """Properties that all cells of a column of the page share.

    Attributes:
        classes: of style.
        dataset: that its heading names, or nothing.
        has_changes: whether its cells show their difference to the full network.
    """

    classes: str
    dataset: str
    has_changes: bool


def shown_columns(table: Table, names: TableFilters) -> list[ShownColumn]:
    """Properties that the cells of each column share, found once a table."""
    return [
        ShownColumn(
            " ".join(word for word, is_so in (("text", column.is_text), ("centred", column.is_centred)) if is_so),
            names.dataset_in(column.group),
            table.has_changes(index),
        )
        for index, column in enumerate(table.columns)
    ]


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
