"""A table as one model for every output: columns, a line a method, and the notes its cells refer to."""

from __future__ import annotations

import string
from dataclasses import dataclass, field
from typing import Literal

from reports.columns import Column

Rank = Literal["", "best", "second"]
Badge = Literal["", "reproduced", "not reproduced", "not run"]

SIGNS: dict[Badge, str] = {"": "", "reproduced": "✓", "not reproduced": "✗", "not run": ""}
"""What a badge prints; what was not run is a dash already."""

OPTIMISTIC = "†"
LIMITED = "‡"
ORACLE = "§"
LEAKED = "¶"
LIMITED_NOTICE = "limited trial: shortened image lists, not comparable with any published number"
DASH = "—"


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes:
        text: as printed; empty prints an em dash.
        spread: standard deviation over seeds as printed, or empty.
        rank: whether it is the best or second of its column.
        marks: of the notes it refers to.
        badge: what became of the published number beside it.
        change: difference to the full network as printed, with its sign, or empty.
        limits: lower and upper limit of an interval as printed, or empty.
    """

    text: str = ""
    spread: str = ""
    rank: Rank = ""
    marks: tuple[str, ...] = ()
    badge: Badge = ""
    change: str = ""
    limits: tuple[str, str] | tuple[()] = ()

    @property
    def plain(self) -> str:
        """The cell without rank and marks."""
        text = self.text or DASH
        spread = f" ± {self.spread}" if self.spread else ""
        return text + spread + self.interval + (f" ({self.change})" if self.change else "")

    @property
    def interval(self) -> str:
        """` [low, high]`, or nothing."""
        return f" [{', '.join(self.limits)}]" if self.limits else ""


BLANK = Cell(" ")
"""Where nothing can be, so that nothing is missing: there is no dash."""


@dataclass(frozen=True)
class Line:
    """One method: its label, marks on the label, and a cell a column."""

    label: str
    cells: tuple[Cell, ...]
    marks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Note:
    """A sentence below the table, and the mark that refers to it."""

    mark: str
    text: str


@dataclass(frozen=True)
class Table:
    """A table, ready to be rendered: everything in it is plain text that still has to be escaped."""

    caption: str
    columns: tuple[Column, ...]
    lines: tuple[Line, ...]
    notes: tuple[Note, ...] = ()
    limited: bool = False
    label: str = "tab:results"
    first_head: str = "Method"

    def has_changes(self, index: int) -> bool:
        """True where cells of that column show their difference to the full network."""
        return any(line.cells[index].change for line in self.lines)


@dataclass
class Notes:
    """Gives every different sentence a mark, in order of first use: a, b, …, z, aa, ab, …"""

    texts: dict[str, str] = field(default_factory=dict)

    def mark(self, text: str) -> str:
        """The mark of that sentence."""
        return self.texts.setdefault(text, _letters(len(self.texts)))


def _letters(index: int) -> str:
    head, last = divmod(index, 26)
    return (_letters(head - 1) if head else "") + string.ascii_lowercase[last]
