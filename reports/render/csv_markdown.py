"""Tables as CSV, for programs, and as Markdown, for README files."""

from __future__ import annotations

import re

from bench.characters import show_steering
from bench.csv_cells import to_csv
from bench.metrics.units import unit_text
from reports.columns import Column
from reports.table import LIMITED_NOTICE, SIGNS, Cell, Line, Table

ARROWS = {"higher": " ↑", "lower": " ↓"}


def table_to_csv(table: Table) -> str:
    """Render a table as CSV: spreads, limits, differences and badges have their own columns, notes the last one."""
    extras = [_csv_extras(table, i) for i in range(len(table.columns))]
    notes = {note.mark: note.text for note in table.notes}
    heads = [table.first_head]
    for column, more in zip(table.columns, extras, strict=True):
        heads += [_csv_head(column), *(f"{_csv_head(column)} {name}" for name in more)]
    lines = [[*heads, "notes"]]
    for line in table.lines:
        cells = [line.label]
        for cell, more, column in zip(line.cells, extras, table.columns, strict=True):
            low, high = (limit.replace("−", "-") for limit in cell.limits or ("", ""))
            change = cell.change.replace("−", "-")
            values = {"deviation": cell.spread, "low": low, "high": high, "difference": change, "badge": cell.badge}
            number = cell.text if column.is_text else cell.text.replace("−", "-")
            cells += [number.strip(), *(values[name] for name in more)]
        marks = dict.fromkeys((*line.marks, *(mark for cell in line.cells for mark in cell.marks)))
        lines.append([*cells, "; ".join(notes[mark] for mark in marks)])
    return to_csv(lines)


def _csv_extras(table: Table, index: int) -> tuple[str, ...]:
    """Names of the further columns that a column needs in a CSV file."""
    cells = [line.cells[index] for line in table.lines]
    found = {
        "deviation": any(cell.spread for cell in cells),
        "low": any(cell.limits for cell in cells),
        "high": any(cell.limits for cell in cells),
        "difference": table.has_changes(index),
        "badge": any(cell.badge for cell in cells),
    }
    return tuple(name for name, is_there in found.items() if is_there)


def _csv_head(column: Column) -> str:
    unit = ", ".join(filter(None, (column.unit, f"{column.better} is better" if column.better else "")))
    return " ".join(filter(None, (column.group, column.head, f"({unit})" if unit else "")))


def table_to_markdown(table: Table) -> str:
    """Render a table as GitHub Markdown: best bold, second underlined, notes below, every text escaped."""
    alignment = ["---", *("---" if column.is_text else "---:" for column in table.columns)]
    lines = [
        _markdown_row([escape_markdown(table.first_head), *map(_markdown_head, table.columns)]),
        _markdown_row(alignment),
        *(_markdown_line(line) for line in table.lines),
    ]
    notice = [f"**{escape_markdown(LIMITED_NOTICE)}**\n"] if table.limited else []
    notes = [f"<sup>{escape_markdown(note.mark)}</sup> {escape_markdown(note.text)}  " for note in table.notes]
    below = [f"\n{escape_markdown(table.caption)}", *(["", *notes] if notes else [])]
    return "\n".join([*notice, *lines, *below]) + "\n"


def escape_markdown(text: str) -> str:
    """Escape everything in a text that Markdown or HTML would read as markup."""
    safe = show_steering(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]#|~$])", r"\\\1", safe)


def _markdown_row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _markdown_head(column: Column) -> str:
    name = escape_markdown(" ".join(filter(None, (column.group, column.head)))) + _sup(column.marks)
    unit = escape_markdown(unit_text(column.unit))
    arrow = ARROWS[column.better] if column.better else ""
    return f"{name}{arrow}{f' ({unit})' if unit else ''}"


def _markdown_line(line: Line) -> str:
    return _markdown_row([escape_markdown(line.label) + _sup(line.marks), *map(_markdown_cell, line.cells)])


def _markdown_cell(cell: Cell) -> str:
    text = escape_markdown(cell.text or "—")
    styled = {"best": f"**{text}**", "second": f"<ins>{text}</ins>", "": text}[cell.rank]
    sign = f" {SIGNS[cell.badge]}" if SIGNS[cell.badge] else ""
    spread = f" ± {cell.spread}" if cell.spread else ""
    change = f" ({cell.change})" if cell.change else ""
    return styled + spread + escape_markdown(cell.interval) + change + sign + _sup(cell.marks)


def _sup(marks: tuple[str, ...]) -> str:
    return f"<sup>{escape_markdown(','.join(marks))}</sup>" if marks else ""
