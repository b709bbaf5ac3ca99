"""A LaTeX document around tables and figures, and its compilation with pdflatex, or lualatex where letters need it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.errors import LatexError
from reports.render.latex_escape import escape, letters_beyond_pdflatex
from reports.render.templates import latex_templates

Program = Literal["pdflatex", "lualatex"]

FONTS = ("Droid Sans Fallback", "DejaVu Sans", "Noto Sans CJK SC")
"""Fonts with letters that Latin Modern lacks, taken in this order where they are installed."""

SECONDS: dict[Program, float] = {"pdflatex": 60.0, "lualatex": 300.0}
"""Longest time of a pass; the first of lualatex on a machine reads all its fonts."""


HEADING_LETTERS = 90
"""Longest heading of a figure in the contents."""

PAIRED_INCHES = 3.55
"""Greatest width of a figure that shares its row."""

HALF_INCHES, TALL_INCHES, WHOLE_INCHES = 3.9, 4.5, 6.0
"""Height that figures higher than `TALL_INCHES` are given, two a page; from `WHOLE_INCHES` on they keep theirs."""

SMALLEST = 0.75
"""Least scale of the pictures of a row that is made smaller to fill its page."""


@dataclass(frozen=True)
class FigureFile:
    """A figure of the document.

    Attributes:
        path: relative to the document.
        caption: as plain text.
        width, height: inches.
    """

    path: str
    caption: str
    width: float = 3.5
    height: float = 2.6

    @property
    def options(self) -> str:
        """Options of its inclusion; the document sets the lengths that they name, smaller where that fills a page."""
        return r"height=\half" if self.is_halved else r"scale=\shrink"

    @property
    def height_shown(self) -> float:
        """Height in the document where no page asks for a smaller one, inches."""
        return HALF_INCHES if self.is_halved else self.height

    @property
    def is_halved(self) -> bool:
        """True where it would waste half a page at its own height."""
        return TALL_INCHES < self.height < WHOLE_INCHES


@dataclass(frozen=True)
class TableInput:
    """A table of the document: its file, and the heading and label of its line in the contents."""

    path: str
    heading: str
    label: str


def document(
    *,
    title: str,
    tables: Sequence[TableInput],
    figures: Sequence[FigureFile],
    limited: bool,
    program: Program = "pdflatex",
) -> str:
    """Source of a document of contents, tables and figures, two in a row, with a watermark if the suite is limited."""
    shown = [_shown(number, figure) for number, figure in enumerate(figures)]
    return (
        latex_templates()
        .get_template("report.tex.j2")
        .render(
            program=program,
            fonts=FONTS,
            title=escape(title),
            tables=[{"path": table.path, "heading": escape(table.heading), "label": table.label} for table in tables],
            rows=[
                {
                    "figures": [shown[number] for number in row],
                    "height": f"{max(figures[number].height_shown for number in row):.3f}",
                }
                for row in _rows(figures)
            ],
            smallest=SMALLEST,
            half=HALF_INCHES,
            watermark=limited,
        )
    )


def _shown(number: int, figure: FigureFile) -> dict[str, str]:
    heading, _, _ = figure.caption.partition(". ")
    return {
        "path": figure.path,
        "options": figure.options,
        "caption": escape(figure.caption),
        "heading": escape(heading if len(heading) <= HEADING_LETTERS else f"{heading[:HEADING_LETTERS]}…"),
        "label": f"fig:{number + 1}",
    }


def _rows(figures: Sequence[FigureFile]) -> Iterator[tuple[int, ...]]:
    """Numbers of the figures of each row: a narrow figure is joined by the next one that is narrow."""
    waiting = list(range(len(figures)))
    while waiting:
        first = waiting.pop(0)
        narrow = [number for number in waiting if figures[number].width <= PAIRED_INCHES]
        if figures[first].width > PAIRED_INCHES or not narrow:
            yield (first,)
        else:
            waiting.remove(narrow[0])
            yield (first, narrow[0])


def program_for(sources: Sequence[str]) -> Program:
    """The program that a document of these parts in LaTeX needs: pdflatex unless a letter is beyond it."""
    return "lualatex" if letters_beyond_pdflatex("".join(sources)) else "pdflatex"


def missing_programs(program: Program) -> str:
    """Reason why that program cannot run here; empty where it can."""
    if shutil.which(program) is None:
        return f"found no {program} on the path; install TeX Live or compile report.tex elsewhere"
    if program == "lualatex" and not _has_file("luaotfload.sty"):
        return "found no luaotfload for lualatex; install texlive-luatex or compile report.tex elsewhere"
    return ""


def _has_file(name: str) -> bool:
    finder = shutil.which("kpsewhich")
    return finder is None or subprocess.run([finder, name], capture_output=True, check=False).returncode == 0


def compile_document(source: Path, *, program: Program = "pdflatex", timeout: float | None = None) -> Path:
    """Compile a LaTeX document to a PDF beside it; the same source gives the same bytes.

    Args:
        timeout: seconds for each of the two passes; default the program's of `SECONDS`.

    Raises:
        LatexError: if the program fails or takes too long, with the error lines of its log, or no font has a letter.
    """
    seconds = SECONDS[program] if timeout is None else timeout
    source.with_suffix(".aux").unlink(missing_ok=True)  # a pass that was stopped leaves half a one
    _run(program, source, timeout=seconds, is_draft=True)
    log = _run(program, source, timeout=seconds)  # the second pass resolves references
    for suffix in (".aux", ".log", ".out"):
        source.with_suffix(suffix).unlink(missing_ok=True)
    if letters := missing_letters(log):
        source.with_suffix(".pdf").unlink()
        raise LatexError(
            f"{source.name}: no font here has {letters}; install fonts-droid-fallback or another of {', '.join(FONTS)}"
        )
    return source.with_suffix(".pdf")


def _run(program: Program, source: Path, *, timeout: float, is_draft: bool = False) -> str:
    """Run one pass and return its log; a draft writes references alone, no PDF."""
    options = ["-no-shell-escape", "-interaction=nonstopmode", "-halt-on-error", *["-draftmode"] * is_draft]
    command = [program, *options, source.name]
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
        raise LatexError(f"{source.name}: {program} took more than {timeout:g} s") from None
    if done.returncode:
        raise LatexError(f"{source.name}: {error_lines(done.stdout.decode('utf-8', 'replace'), program)}")
    return source.with_suffix(".log").read_text(encoding="utf-8", errors="replace")


def error_lines(log: str, program: Program = "pdflatex") -> str:
    """The errors of a log in one line: its `!` messages with the source lines they name."""
    found = re.findall(r"^! (?! ==>)(.+)$|^(l\.\d+ .*)$", log, flags=re.MULTILINE)
    lines = [" ".join((message or place).split()) for message, place in found]
    return "; ".join(lines) if lines else f"{program} failed without an error line"


def missing_letters(log: str) -> str:
    """The letters that no font of a document had, as its log names them.

    >>> missing_letters("Missing character: There is no 한 (U+D55C) in font LatinModern")
    '한 (U+D55C)'
    """
    found = re.findall(r"^Missing character: There is no (. \(U\+[0-9A-F]+\)|\S+)", log, flags=re.MULTILINE)
    return ", ".join(dict.fromkeys(found))
