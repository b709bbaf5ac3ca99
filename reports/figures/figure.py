"""A captioned figure, and what every caption says of the rules behind its numbers."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from bench.errors import StoreError
from bench.store.files import Arrays, load_arrays
from reports.results.entries import Entry
from reports.tables.captions import leak_words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Stored = TypeVar("Stored")


@dataclass(frozen=True, eq=False)
class CaptionedFigure:
    """A figure with the stem of its files and its caption."""

    name: str
    figure: Figure
    caption: str

    @property
    def is_wide(self) -> bool:
        """True if the figure needs both columns of a page."""
        return bool(self.figure.get_size_inches()[0] > 4)


@dataclass(frozen=True)
class FigureWords:
    """A figure without its drawing.

    Attributes:
        name: stem of its files.
        is_wide: whether it needs both columns of a page.
        size: width and height in inches.
    """

    name: str
    caption: str
    is_wide: bool
    size: tuple[float, float]


@dataclass(frozen=True)
class FigureFiles:
    """A figure and the files that it is written to."""

    figure: FigureWords
    pdf: Path
    png: Path


@dataclass(frozen=True)
class NotDrawn:
    """The reason, as a sentence, why a figure or a part of it is missing."""

    reason: str


Drawing = CaptionedFigure | NotDrawn
"""One step of a maker of figures."""


def rules_words(entries: Sequence[Entry], *, seeds: str = "one curve for each of seeds") -> str:
    """Split, protocol, scoring and seeds of a figure's rows, and which are limited, optimistic, oracles or leaks."""
    splits = ", ".join(dict.fromkeys(f"{e.dataset} (split {e.row.split})" for e in entries if e.scored))
    protocols = ", ".join(dict.fromkeys(e.row.protocol for e in entries if e.scored))
    scorings = ", ".join(dict.fromkeys(e.row.scoring.name for e in entries if e.scored))
    limited = " LIMITED TRIAL." if any(e.is_limited for e in entries) else ""
    optimistic = dict.fromkeys(e.row.label for e in entries if e.scored and e.scored.optimistic)
    chosen = f" Weights chosen on the test list (optimistic): {', '.join(optimistic)}." if optimistic else ""
    oracles = dict.fromkeys(e.row.label for e in entries if e.is_oracle and e.scored)
    chosen += f" Oracle, its first feedback mask is the ground truth: {', '.join(oracles)}." if oracles else ""
    leaks = leak_words([e for e in entries if e.scored])
    chosen += f" Leak, no result: {leaks}." if leaks else ""
    numbers = sorted({e.row.seed for e in entries if e.scored})
    drawn = f"; {seeds} {', '.join(map(str, numbers))}" if len(numbers) > 1 else f"; seed {numbers[0]}"
    if all(e.is_given for e in entries if e.scored):
        drawn = ""
    return f"Test lists: {splits}; protocol {protocols}; scoring {scorings}{drawn}.{limited}{chosen}"


def file_stem(entry: Entry) -> str:
    """A row's stem of letters, digits and dashes, unique by its key: `dfinet-width-8-synthetic-0123456789ab`."""
    return f"{words_of(f'{entry.row.label} {entry.dataset}')}-{entry.row.key}".strip("-")


def words_of(text: str) -> str:
    """Turn a text into at most 60 letters, digits and dashes for the name of a file: `nudt-sirst`."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:60].strip("-")


def by_dataset(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    """The entries with scores, grouped by dataset."""
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.scored:
            groups.setdefault(entry.dataset, []).append(entry)
    return groups


def read_stored(entry: Entry, name: str, make: Callable[[Arrays], Stored]) -> Stored:
    """Make something of a file of arrays beside a result.

    Raises:
        StoreError: if the file is missing or broken; names the entry, and the run's folder by its key alone.
    """
    try:
        return make(load_arrays(entry.folder / name))
    except ValueError as error:
        named = f"{entry.row.key}/{name}"
        reason = str(error).replace(str(entry.folder / name), named)
        reason = reason if named in reason else f"{named}: {reason}"
        raise StoreError(f"{entry.row.label} on {entry.dataset}: {reason}") from None
