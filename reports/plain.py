"""Tables as CSV, for programs, and as Markdown, for README files."""

from __future__ import annotations

import csv
import io
import re

from reports.columns import Column
from reports.table import LIMITED_NOTICE, Cell, Line, Table

ARROWS = {"higher": " ↑", "lower": " ↓"}
UNITS = {"1e-2": "×10⁻²", "1e-6": "×10⁻⁶"}


def table_to_csv(table: Table) -> str:
    """The table as CSV: a spread has a column of its own, notes are spelled out in the last one."""
    spreads = [any(line.cells[i].spread for line in table.lines) for i in range(len(table.columns))]
    notes = {note.mark: note.text for note in table.notes}
    heads = ["Method"]
    for column, has_spread in zip(table.columns, spreads, strict=True):
        heads += [_csv_head(column), *([f"{_csv_head(column)} deviation"] if has_spread else [])]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*heads, "notes"])
    for line in table.lines:
        cells = [line.label]
        for cell, has_spread in zip(line.cells, spreads, strict=True):
            cells += [cell.text, *([cell.spread] if has_spread else [])]
        marks = dict.fromkeys((*line.marks, *(mark for cell in line.cells for mark in cell.marks)))
        writer.writerow([*cells, "; ".join(notes[mark] for mark in marks)])
    return text.getvalue()


def _csv_head(column: Column) -> str:
    unit = ", ".join(filter(None, (column.unit, f"{column.better} is better" if column.better else "")))
    return " ".join(filter(None, (column.group, column.head, f"({unit})" if unit else "")))


def table_to_markdown(table: Table) -> str:
    """The table as GitHub Markdown: best bold, second underlined, notes below; all text escaped."""
    alignment = ["---", *("---" if column.is_text else "---:" for column in table.columns)]
    lines = [
        _markdown_row(["Method", *map(_markdown_head, table.columns)]),
        _markdown_row(alignment),
        *(_markdown_line(line) for line in table.lines),
    ]
    notice = [f"**{escape_markdown(LIMITED_NOTICE)}**\n"] if table.limited else []
    notes = [f"<sup>{escape_markdown(note.mark)}</sup> {escape_markdown(note.text)}  " for note in table.notes]
    below = [f"\n{escape_markdown(table.caption)}", *(["", *notes] if notes else [])]
    return "\n".join([*notice, *lines, *below]) + "\n"


def escape_markdown(text: str) -> str:
    """The text with everything escaped that Markdown or HTML would read as markup."""
    safe = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\n", " ")
    return re.sub(r"([\\`*_{}\[\]#|~$])", r"\\\1", safe)


def _markdown_row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _markdown_head(column: Column) -> str:
    name = escape_markdown(" ".join(filter(None, (column.group, column.head))))
    unit = UNITS.get(column.unit) or escape_markdown(column.unit)
    arrow = ARROWS[column.better] if column.better else ""
    return f"{name}{arrow}{f' ({unit})' if unit else ''}"


def _markdown_line(line: Line) -> str:
    return _markdown_row([escape_markdown(line.label) + _sup(line.marks), *map(_markdown_cell, line.cells)])


def _markdown_cell(cell: Cell) -> str:
    text = escape_markdown(cell.text or "—")
    styled = {"best": f"**{text}**", "second": f"<ins>{text}</ins>", "": text}[cell.rank]
    return styled + (f" ± {cell.spread}" if cell.spread else "") + _sup(cell.marks)


def _sup(marks: tuple[str, ...]) -> str:
    return f"<sup>{escape_markdown(','.join(marks))}</sup>" if marks else ""
