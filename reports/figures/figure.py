"""A figure with its caption and the name of its files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reports.results.entries import Entry
from reports.tables.captions import leak_words

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class Drawn:
    """A figure with the name of its files and its caption."""

    name: str
    figure: Figure
    caption: str

    @property
    def is_wide(self) -> bool:
        """Whether it needs both columns of a page."""
        return bool(self.figure.get_size_inches()[0] > 4)


def rules_words(entries: Sequence[Entry], *, seeds: str = "one curve for each of seeds") -> str:
    """Split, protocol and scoring of a figure's rows, and which are limited, optimistic, oracles or leaks."""
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
    drawn = f"{seeds} {', '.join(map(str, numbers))}" if len(numbers) > 1 else f"seed {numbers[0]}"
    return f"Test lists: {splits}; protocol {protocols}; scoring {scorings}; {drawn}.{limited}{chosen}"


def file_stem(entry: Entry) -> str:
    """`dfinet-width-8-synthetic-0123456789ab`: letters, digits and dashes alone, told apart by the key."""
    return f"{words_of(f'{entry.row.label} {entry.dataset}')}-{entry.row.key}".strip("-")


def words_of(text: str) -> str:
    """`nudt-sirst`: at most 60 letters, digits and dashes, fit for the name of a file."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:60].strip("-")
