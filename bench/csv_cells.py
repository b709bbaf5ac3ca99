"""Cells of CSV files, none of which a spreadsheet calculates when the file is opened.

A spreadsheet takes a cell that begins with = + - @ for a formula, also behind spaces, a tab or a line break, and the
full-width forms of the four. Such a cell is written with an apostrophe before it, unless it is a number, such as -0.5;
a cell that begins so behind apostrophes of its own gets one more. Reading takes that one apostrophe away, so that every
cell is read as it was given.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence

from bench.characters import show_steering

_FORMULA = re.compile(r"'*[\s\0]*[=+\-@＝＋－＠]")
_NUMBER = re.compile(r"\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\s*|[+-](?:inf|nan)", re.ASCII)


def guard_cell(cell: object) -> str:
    """The text of a cell, with an apostrophe before it if a spreadsheet would take it for a formula.

    >>> guard_cell("=1+1"), guard_cell("-0.5"), guard_cell("-x"), guard_cell(None)
    ("'=1+1", '-0.5', "'-x", '')
    """
    text = "" if cell is None else show_steering(str(cell))
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def unguard_cell(text: str) -> str:
    """The cell as it was given to `guard_cell`.

    >>> unguard_cell("'=1+1"), unguard_cell("'tis")
    ('=1+1', "'tis")
    """
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text


def to_csv(lines: Iterable[Sequence[object]]) -> str:
    """Lines of cells as CSV: commas, line feeds, cells guarded, None empty."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(map(guard_cell, line) for line in lines)
    return text.getvalue()
