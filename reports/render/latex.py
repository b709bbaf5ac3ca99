"""Tables as booktabs LaTeX, a document around them, and its compilation with pdflatex."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from bench.errors import LatexError
from reports.columns import Column
from reports.render.templates import latex_templates
from reports.table import LIMITED_NOTICE, SIGNS, Cell, Line, Note, Table

SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "%": r"\%",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\symbol{34}",
    "'": r"\textquotesingle{}",
    "`": r"\textasciigrave{}",
    "—": r"\textemdash{}",
    "–": r"\textendash{}",
    "…": r"\ldots{}",
    "’": "'",
    "×": r"\ensuremath{\times}",
    "±": r"\ensuremath{\pm}",
    "·": r"\ensuremath{\cdot}",
    "≤": r"\ensuremath{\leq}",
    "≥": r"\ensuremath{\geq}",
    "→": r"\ensuremath{\rightarrow}",
    "↑": r"\ensuremath{\uparrow}",
    "↓": r"\ensuremath{\downarrow}",
    "†": r"\ensuremath{\dagger}",
    "‡": r"\ensuremath{\ddagger}",
    "§": r"\S{}",
    "¶": r"\P{}",
    "−": r"\ensuremath{-}",
    "✓": r"\ding{51}",
    "✗": r"\ding{55}",
    "⁻": r"\ensuremath{^{-}}",
    "²": r"\ensuremath{^{2}}",
    "⁶": r"\ensuremath{^{6}}",
    "µ": r"\ensuremath{\mu}",
}
GREEK_LETTERS = "αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΞΠΣΦΨΩ"
LATIN = frozenset("ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜÝßàáâãäåæçèéêëìíîïñòóôõöøùúûüýÿŁłŃńŚśŹźŻżĄąĘęĆćČčŠšŽžŘřĚěŐőŰűĞğ")
UNITS = {"1e-2": r"$\times 10^{-2}$", "1e-6": r"$\times 10^{-6}$"}
ARROWS = {"higher": r"\,$\uparrow$", "lower": r"\,$\downarrow$"}
LABEL_WIDTH = 30
LOOSE = 5
"""Fewer columns than these, in a panel beneath others, stand together at the left instead of filling the width."""

PANEL_POINTS = 516.0
"""Text width of IEEEtran's two columns."""

CHANGE_POINTS = 3.7
"""Width of a character of a difference, 7-point text."""

LINES_A_PAGE, HEAD_LINES, LETTERS_A_LINE = 66, 5, 125
"""Lines of 8-point text on a page, lines that head and rules of a panel take, and letters across both columns."""


def escape(text: str) -> str:
    """The text as LaTeX prints it letter by letter; what pdflatex has no glyph for becomes its code point, [U+4E2D]."""
    escaped = "".join(_escape_letter(letter) for letter in unicodedata.normalize("NFC", text))
    return re.sub(r"(?<=-)(?=-)|(?<=,)(?=,)", "{}", escaped)  # no -- or ,, ligatures


def _escape_letter(letter: str) -> str:
    if letter in SPECIAL:
        return SPECIAL[letter]
    if letter in GREEK_LETTERS:
        return _greek(letter)
    if " " <= letter <= "~" or letter in LATIN:
        return letter
    if letter.isspace() or not letter.isprintable():
        return " "
    return f"[U+{ord(letter):04X}]"


def _greek(letter: str) -> str:
    """`\\ensuremath{\\alpha}` for α: the macro is the end of the letter's Unicode name."""
    name = unicodedata.name(letter).split()[-1].replace("LAMDA", "LAMBDA")
    return rf"\ensuremath{{\{name.capitalize() if letter.isupper() else name.lower()}}}"


@dataclass(frozen=True)
class Panel:
    """One tabular of a table: as many column groups as fit the text width, as LaTeX."""

    spec: str
    width: int
    groups: str
    rules: str
    heads: str
    units: str
    rows: tuple[str, ...]


def table_to_latex(table: Table) -> str:
    """A `table*` a page, which can be `\\input`; needs the packages booktabs, threeparttable and pifont."""
    pages = _pages(table, list(_spans(table)))
    return "\n".join(_environment(part, spans, is_first=index == 0) for index, (part, spans) in enumerate(pages))


def _environment(table: Table, spans: Sequence[range], *, is_first: bool) -> str:
    return (
        latex_templates()
        .get_template("table.tex.j2")
        .render(
            caption=escape(table.caption if is_first else "Continued."),
            label=re.sub(r"[^A-Za-z0-9:-]", "-", table.label),
            is_first=is_first,
            panels=[_panel(table, span) for span in spans],
            notice=escape(LIMITED_NOTICE) if table.limited else "",
            notes=[_note(note) for note in table.notes],
        )
    )


Page = tuple[Table, Sequence[range]]
"""Lines of a table with the notes they refer to, and the columns of its panels."""


def _pages(table: Table, spans: Sequence[range]) -> list[Page]:
    """The table on as few pages as it fits on; on a tie with few panels a page, so that its lines stay together."""
    layouts = [_layout(table, spans, panels=count) for count in range(1, len(spans) + 1)]
    return min(layouts, key=len)


def _layout(table: Table, spans: Sequence[range], *, panels: int) -> list[Page]:
    """The table with that many panels a page, its lines in parts of about equal length."""
    sentences = [table.caption, *(note.text for note in table.notes)]
    around = sum(1 + len(sentence) // LETTERS_A_LINE for sentence in sentences)
    room = max(1, (LINES_A_PAGE - around) // panels - HEAD_LINES)
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
    """Ranges of columns that fit side by side; a group of columns is not torn apart unless it alone is too wide."""
    room = PANEL_POINTS - _label_points(table)
    start, used = 0, 0.0
    for block in _blocks(table, room):
        need = sum(_points(table, i) for i in block)
        if used and used + need > room:
            yield range(start, block[0])
            start, used = block[0], 0.0
        used += need
    yield range(start, len(table.columns))


def _blocks(table: Table, room: float) -> Iterator[Sequence[int]]:
    """The columns that have to stay together: groups, or single columns of a group that is wider than the page."""
    for _, columns in groupby(range(len(table.columns)), key=lambda i: table.columns[i].group or str(i)):
        block = list(columns)
        if sum(_points(table, i) for i in block) > room:
            yield from ([i] for i in block)
        else:
            yield block


def _points(table: Table, index: int) -> float:
    """Estimated width of a column in points: 4.3 a character of 8-point text, 3.2 of a spread, 6 between columns."""
    column = table.columns[index]
    head = 4.3 * (max(len(column.head) + len(column.marks) + 1.5 * (column.better is not None), len(column.unit)))
    cells = [line.cells[index] for line in table.lines]
    return max([head, *map(_cell_points, cells)]) + _change_points(table, index) + 6


def _change_points(table: Table, index: int) -> float:
    """Room that the differences of a column's cells take in each of its cells, points."""
    longest = max(len(line.cells[index].change) for line in table.lines)
    return CHANGE_POINTS * longest + 2 if longest else 0.0


def _cell_points(cell: Cell) -> float:
    """A cell's width in points: a badge's sign takes about two characters; marks only widen words, for numbers let
    theirs overlap."""
    small = len(cell.spread) + 1.5 * bool(cell.spread) + len(cell.interval)
    return 4.3 * (len(cell.text) + 2 * bool(SIGNS[cell.badge])) + 3.2 * small


def _label_points(table: Table) -> float:
    return 4.3 * min(LABEL_WIDTH, max(len(line.label) + len(line.marks) for line in table.lines)) + 6


def _panel(table: Table, span: range) -> Panel:
    columns = [table.columns[i] for i in span]
    first = f"p{{{LABEL_WIDTH * 4.3:.0f}pt}}" if _is_wide(table) else "l"
    spec = "".join("c" if column.is_centred else "l" if column.is_text else "r" for column in columns)
    is_loose = len(columns) < LOOSE and len(columns) < len(table.columns)
    fill = r"\extracolsep{14pt}" if is_loose else r"\extracolsep{\fill}"
    last = r"@{\extracolsep{\fill}}l@{}" if is_loose else "@{}"
    groups, rules = _group_heads(columns)
    return Panel(
        spec=f"@{{{fill}}}{first}{spec}{last}",
        width=len(columns) + 1 + is_loose,
        groups=groups,
        rules=rules,
        heads=" & ".join([escape(table.first_head), *(_head(column) for column in columns)]),
        units=" & ".join(["", *(_unit(column) for column in columns)]) if any(c.unit for c in columns) else "",
        rows=tuple(_row(table, line, span) for line in table.lines),
    )


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
    text = UNITS.get(column.unit) or (f"({escape(column.unit)})" if column.unit else "")
    return rf"\multicolumn{{1}}{{c}}{{{text}}}" if text else ""


def _row(table: Table, line: Line, span: range) -> str:
    label = "{}" + escape(line.label) + _marks(line.marks)
    if _is_wide(table):
        label = r"\raggedright\hspace{0pt}" + label
    cells = (
        _cell(line.cells[i], is_text=table.columns[i].is_text, change_points=_change_points(table, i)) for i in span
    )
    return " & ".join([label, *cells])


def _is_wide(table: Table) -> bool:
    """Whether labels have to be broken into lines."""
    return max(len(line.label) for line in table.lines) > LABEL_WIDTH


def _cell(cell: Cell, *, is_text: bool, change_points: float) -> str:
    """A number with its rank, spread and difference; its marks take no room, so that numbers stay aligned."""
    text = escape(cell.text or "—")
    styled = {"best": rf"\textbf{{{text}}}", "second": rf"\underline{{{text}}}", "": text}[cell.rank]
    spread = rf"{{\scriptsize\,$\pm$\,{escape(cell.spread)}}}" if cell.spread else ""
    spread += rf"{{\scriptsize\,{escape(cell.interval.strip())}}}" if cell.limits else ""
    sign = rf"\,{escape(SIGNS[cell.badge])}" if SIGNS[cell.badge] else ""
    change = rf"{{\scriptsize\makebox[{change_points:.1f}pt][r]{{{escape(cell.change)}}}}}" if change_points else ""
    marks = _marks(cell.marks)
    return styled + spread + sign + change + (marks if is_text or not marks else rf"\rlap{{{marks}}}")


def _marks(marks: Sequence[str]) -> str:
    return rf"\tnote{{{','.join(map(escape, marks))}}}" if marks else ""


def _note(note: Note) -> str:
    return rf"\item[{escape(note.mark)}] {escape(note.text)}."


@dataclass(frozen=True)
class FigureFile:
    """A figure of the document: its path relative to the document, and its caption as plain text."""

    path: str
    caption: str


def document(*, title: str, tables: Sequence[str], figures: Sequence[FigureFile], limited: bool) -> str:
    """A compilable document around tables (files to `\\input`) and figures; pages bear a watermark when limited."""
    return (
        latex_templates()
        .get_template("report.tex.j2")
        .render(
            title=escape(title),
            tables=tables,
            figures=[{"path": figure.path, "caption": escape(figure.caption)} for figure in figures],
            watermark=limited,
        )
    )


def has_pdflatex() -> bool:
    """Whether pdflatex is on the path."""
    return shutil.which("pdflatex") is not None


def compile_document(source: Path, *, timeout: float = 60.0) -> Path:
    """The PDF of a LaTeX document, beside it, with the same bytes for the same source.

    Args:
        timeout: seconds for each of the two passes.

    Raises:
        LatexError: with LaTeX's own error lines.
    """
    for _ in range(2):
        _run_pdflatex(source, timeout=timeout)
    for suffix in (".aux", ".log", ".out"):
        source.with_suffix(suffix).unlink(missing_ok=True)
    return source.with_suffix(".pdf")


def _run_pdflatex(source: Path, *, timeout: float) -> None:
    command = ["pdflatex", "-no-shell-escape", "-interaction=nonstopmode", "-halt-on-error", source.name]
    paranoid = {"openin_any": "p", "openout_any": "p", "SOURCE_DATE_EPOCH": "0", "FORCE_SOURCE_DATE": "1"}
    try:
        done = subprocess.run(
            command,
            cwd=source.parent,
            env={**os.environ, **paranoid},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise LatexError(f"{source.name}: pdflatex took more than {timeout:g} s") from None
    if done.returncode:
        raise LatexError(f"{source.name}: {error_lines(done.stdout.decode('utf-8', 'replace'))}")


def error_lines(log: str) -> str:
    """What pdflatex complains about, in one line: its `!` messages with the source lines they name."""
    found = re.findall(r"^! (?! ==>)(.+)$|^(l\.\d+ .*)$", log, flags=re.MULTILINE)
    lines = [" ".join((message or place).split()) for message, place in found]
    return "; ".join(lines) if lines else "pdflatex failed without an error line"
