"""Tables as booktabs LaTeX, laid out in panels and pages by the estimated width of their columns."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from bench.metrics.units import unit_latex
from reports.columns import Column
from reports.render.latex_escape import escape, letters_beyond_pdflatex
from reports.render.templates import latex_templates
from reports.table import LIMITED_NOTICE, SIGNS, Cell, Line, Note, Table

ARROWS = {"higher": r"\,$\uparrow$", "lower": r"\,$\downarrow$"}
LABEL_WIDTH, NARROW_LABEL_WIDTH = 30, 20
"""Characters of the longest line of a label, and of a line where columns need the room."""

LOOSE = 5
"""A panel of fewer columns than these, of several panels, is set at the left instead of filling the text width."""

PANEL_POINTS = 516.0
"""Text width of IEEEtran's two columns, points."""

DIGIT_POINTS = 4.0
"""Width of a digit of Times at 8 points; text and spreads in a wider font are as much wider as its bold digits."""

TEXT_POINTS, SPREAD_POINTS, CHANGE_POINTS, GAP_POINTS = 4.3, 3.2, 3.7, 6
"""Width of a character of 8-point text, of a spread or interval, and of a difference; room between columns, points."""

LINES_PER_PAGE, HEAD_LINES, LETTERS_PER_LINE = 66, 5, 125
"""Lines of 8-point text on a page, lines that head and rules of a panel take, and letters across both columns."""

NUMBER = re.compile(r"(\D*?)([+−-]?\d+(?:\.\d+)?)(.*)")
"""Text of a cell around the number that siunitx aligns: `≥ `, `24.28` and ` × 4`."""


@dataclass(frozen=True)
class Tabular:
    """LaTeX of one tabular environment: as many groups of columns as fit the text width."""

    spec: str
    width: int
    groups: str
    rules: str
    heads: str
    units: str
    rows: tuple[str, ...]


def table_to_latex(table: Table) -> str:
    """Render a table as one `table*` per page; its first line names the packages that a document needs."""
    pages = _pages(table, list(_spans(table)))
    return "\n".join(_environment(part, spans, is_first=index == 0) for index, (part, spans) in enumerate(pages))


def _environment(table: Table, spans: Sequence[range], *, is_first: bool) -> str:
    """Render a page of a table, with a line on the letters that pdflatex lacks below its first."""
    source = (
        latex_templates()
        .get_template("table.tex.j2")
        .render(
            caption=escape(table.caption if is_first else "Continued."),
            label=label_of(table),
            is_first=is_first,
            panels=[_tabular(table, span) for span in spans],
            notice=escape(LIMITED_NOTICE) if table.limited else "",
            notes=[_note(note) for note in table.notes],
            digits=round(PANEL_POINTS / DIGIT_POINTS),
        )
    )
    letters = letters_beyond_pdflatex(source)
    if not letters:
        return source
    first, _, rest = source.partition("\n")
    return f"{first}\n% Compile it with lualatex or xelatex and a font that has {letters}.\n{rest}"


def label_of(table: Table) -> str:
    """The label that the table bears in LaTeX, of letters, digits, colons and dashes."""
    return re.sub(r"[^A-Za-z0-9:-]", "-", table.label)


Page = tuple[Table, Sequence[range]]
"""The lines of a table on one page with their notes, and the columns of each of its panels."""


def _pages(table: Table, spans: Sequence[range]) -> list[Page]:
    """Break a table into as few pages as possible; on a tie use fewer panels per page, so that lines stay together."""
    layouts = [_layout(table, spans, panels=count) for count in range(1, len(spans) + 1)]
    return min(layouts, key=len)


def _layout(table: Table, spans: Sequence[range], *, panels: int) -> list[Page]:
    """Break a table into pages of that many panels, its lines into parts of about equal length."""
    sentences = [table.caption, *(note.text for note in table.notes)]
    around = sum(1 + len(sentence) // LETTERS_PER_LINE for sentence in sentences)
    room = max(1, (LINES_PER_PAGE - around) // panels - HEAD_LINES)
    count = -(-len(table.lines) // room)
    length = -(-len(table.lines) // count)
    return [
        (_part(table, table.lines[line : line + length], spans[first : first + panels]), spans[first : first + panels])
        for first in range(0, len(spans), panels)
        for line in range(0, len(table.lines), length)
    ]


def _part(table: Table, lines: tuple[Line, ...], spans: Sequence[range]) -> Table:
    shown = [index for span in spans for index in span]
    used = {mark for line in lines for marks in (line.marks, *(line.cells[i].marks for i in shown)) for mark in marks}
    used |= {mark for i in shown for mark in table.columns[i].marks}
    return replace(table, lines=lines, notes=tuple(note for note in table.notes if note.mark in used))


def _spans(table: Table) -> Iterator[range]:
    """Ranges of columns that fit side by side; a group of columns is split only if it alone is wider than the page."""
    room = PANEL_POINTS - _label_points(table, NARROW_LABEL_WIDTH)
    start, used = 0, 0.0
    for block in _blocks(table, room):
        need = sum(_points(table, i) for i in block)
        if used and used + need > room:
            yield range(start, block[0])
            start, used = block[0], 0.0
        used += need
    yield range(start, len(table.columns))


def _blocks(table: Table, room: float) -> Iterator[Sequence[int]]:
    """Columns that must stay together: a group, or one column of a group that is wider than the page."""
    for _, columns in groupby(range(len(table.columns)), key=lambda i: table.columns[i].group or str(i)):
        block = list(columns)
        if sum(_points(table, i) for i in block) > room:
            yield from ([i] for i in block)
        else:
            yield block


def _points(table: Table, index: int) -> float:
    """Estimated width of a column, points."""
    column = table.columns[index]
    unit = 5.5 if unit_latex(column.unit) else len(column.unit) + 2 * bool(column.unit)
    head = TEXT_POINTS * max(len(column.head) + len(column.marks) + 1.5 * (column.better is not None), unit)
    cells = [line.cells[index] for line in table.lines]
    return max([head, *map(_cell_points, cells)]) + _change_points(table, index) + GAP_POINTS


def _change_points(table: Table, index: int) -> float:
    """Width that every cell of a column reserves for a difference, points; 0 if no cell has one."""
    longest = max(len(line.cells[index].change) for line in table.lines)
    return CHANGE_POINTS * longest + 2 if longest else 0.0


def _cell_points(cell: Cell) -> float:
    """Estimated width of a cell, points; marks do not count, because those of numbers overlap the next column."""
    number = NUMBER.fullmatch(cell.text)
    return TEXT_POINTS * len(number[1] + number[2] if number else cell.text) + _points_behind(number, cell)


def _small_points(cell: Cell) -> float:
    """Estimated width of everything that follows the number of a cell but its difference, points."""
    return _points_behind(NUMBER.fullmatch(cell.text), cell)


def _points_behind(number: re.Match[str] | None, cell: Cell) -> float:
    spread, interval = 1.5 * bool(cell.spread) + _length(cell.spread), _length(cell.interval)
    sign = {"": 0.0, "✓": 2.1, "✗": 2.0}[SIGNS[cell.badge]]  # about as wide as two characters
    return TEXT_POINTS * (_length(number[3] if number else "") + sign) + SPREAD_POINTS * (spread + interval)


def _length(text: str) -> float:
    """Characters of a text; mathematical signs count as more than one."""
    return len(text) + 0.6 * sum(map(text.count, "−+×≥±")) if text else 0.0


def _label_points(table: Table, most: int) -> float:
    """Width of the labels, points, the longest broken into lines of at most so many characters."""
    return TEXT_POINTS * min(most, _longest_label(table)) + GAP_POINTS


def _longest_label(table: Table) -> int:
    return max(len(line.label) + len(line.marks) for line in table.lines)


def _tabular(table: Table, span: range) -> Tabular:
    columns = [table.columns[i] for i in span]
    labels = _label_width(table, span)
    is_broken = labels < _longest_label(table)
    changes = [(i, _change_points(table, i)) for i in span]
    first = f"p{{{labels * TEXT_POINTS:.0f}pt}}" if is_broken else "l"
    spec = "".join(_spec(table, i) for i in span)
    is_loose = len(columns) < LOOSE and len(columns) < len(table.columns)
    fill = r"\extracolsep{14pt}" if is_loose else r"\extracolsep{\fill}"
    last = r"@{\extracolsep{\fill}}l@{}" if is_loose else "@{}"
    groups, rules = _group_heads(columns)
    return Tabular(
        spec=f"@{{{fill}}}{first}{spec}{last}",
        width=len(columns) + 1 + is_loose,
        groups=groups,
        rules=rules,
        heads=" & ".join([escape(table.first_head), *(_head(column) for column in columns)]),
        units=" & ".join(["", *(_unit(column) for column in columns)]) if any(c.unit for c in columns) else "",
        rows=tuple(_row(table, line, changes, is_broken=is_broken) for line in table.lines),
    )


def _spec(table: Table, index: int) -> str:
    """The letter of a column of words; of numbers an S with the digits of its widest one and room for what follows."""
    column, cells = table.columns[index], [line.cells[index] for line in table.lines]
    if column.is_text:
        return "c" if column.is_centred else "l"
    numbers = [found for cell in cells if (found := NUMBER.fullmatch(cell.text))]
    if not numbers:
        return "r"
    parts = [found[2].lstrip("+−-").partition(".") for found in numbers]
    sign = "-" if any(found[2][0] in "+−-" for found in numbers) else ""
    whole, decimals = max(len(part[0]) for part in parts), max(len(part[2]) for part in parts)
    before = max((found[1] for found in numbers), key=len)
    change = _change_points(table, index)
    after = _after(max(cells, key=_small_points), change)
    room = rf",table-space-text-pre={{{escape(before)}}}" if before else ""
    room += rf",table-space-text-post={{{after}}}" if after else ""
    return rf"S[table-format={sign}{whole}.{decimals}{room}]"


def _group_heads(columns: Sequence[Column]) -> tuple[str, str]:
    if not any(column.group for column in columns):
        return "", ""
    heads, rules, at = [""], [], 2
    for group, members in groupby(columns, key=lambda column: column.group):
        width = len(list(members))
        heads.append(rf"\multicolumn{{{width}}}{{c}}{{{escape(group)}}}")
        rules.append(rf"\cmidrule(lr){{{at}-{at + width - 1}}}" if group else "")
        at += width
    return " & ".join(heads), "".join(rules)


def _head(column: Column) -> str:
    text = escape(column.head) + _marks(column.marks) + (ARROWS[column.better] if column.better else "")
    return text if column.is_text else rf"\multicolumn{{1}}{{c}}{{{text}}}"


def _unit(column: Column) -> str:
    text = unit_latex(column.unit) or (f"({escape(column.unit)})" if column.unit else "")
    return rf"\multicolumn{{1}}{{c}}{{{text}}}" if text else ""


def _row(table: Table, line: Line, changes: Sequence[tuple[int, float]], *, is_broken: bool) -> str:
    """One line of a tabular.

    Args:
        changes: the tabular's columns, and the width that each reserves for a difference, points.
        is_broken: whether the column of labels is too narrow for the longest one.
    """
    label = (r"\raggedright\hspace{0pt}" if is_broken else "") + "{}" + escape(line.label) + _marks(line.marks)
    cells = (_cell(line.cells[i], is_text=table.columns[i].is_text, change_points=points) for i, points in changes)
    return " & ".join([label, *cells])


def _label_width(table: Table, span: range) -> int:
    """Characters of a line of a label: of the longest label, or as many as the columns of a panel leave room for."""
    room = PANEL_POINTS - sum(_points(table, i) for i in span) - GAP_POINTS
    return max(NARROW_LABEL_WIDTH, min(LABEL_WIDTH, int(room / TEXT_POINTS), _longest_label(table)))


def _cell(cell: Cell, *, is_text: bool, change_points: float) -> str:
    """One cell; the marks of a number take no width, so that numbers stay aligned.

    In a column of siunitx everything but the number stands in braces, and an underline is laid below the number.
    """
    marks, number = _marks(cell.marks), NUMBER.fullmatch(cell.text)
    if is_text:
        text = escape(cell.text or "—")
        styled = {"best": rf"\textbf{{{text}}}", "second": rf"\underline{{{text}}}", "": text}[cell.rank]
        return styled + _additions(cell, change_points) + marks
    small = _after(cell, change_points) + (rf"\rlap{{{marks}}}" if marks else "")
    if number is None:
        return f"{{{escape(cell.text or '—')}{small}}}"
    before, digits = escape(number[1]), number[2].replace("−", "-")
    if cell.rank == "second":
        before += rf"\rlap{{\underline{{\phantom{{{digits}}}}}}}"
    bold, plain = (r"\bfseries ", r"\mdseries ") if cell.rank == "best" else ("", "")
    return bold + (f"{{{before}}}" if before else "") + digits + (f"{{{plain}{small}}}" if small else "")


def _after(cell: Cell, change_points: float) -> str:
    """Everything that follows the number of a cell but its marks."""
    number = NUMBER.fullmatch(cell.text)
    return (escape(number[3]) if number else "") + _additions(cell, change_points)


def _additions(cell: Cell, change_points: float) -> str:
    """Everything that a cell has beside its text but its marks: spread, interval, sign and difference."""
    text = rf"{{\scriptsize\,$\pm$\,{escape(cell.spread)}}}" if cell.spread else ""
    text += rf"{{\scriptsize\,{escape(cell.interval.strip())}}}" if cell.limits else ""
    text += rf"\,{escape(SIGNS[cell.badge])}" if SIGNS[cell.badge] else ""
    return text + (
        rf"{{\scriptsize\makebox[{change_points:.1f}pt][r]{{{escape(cell.change)}}}}}" if change_points else ""
    )


def _marks(marks: Sequence[str]) -> str:
    return rf"\tnote{{{','.join(map(escape, marks))}}}" if marks else ""


def _note(note: Note) -> str:
    return rf"\item[{escape(note.mark)}] {escape(note.text)}."
