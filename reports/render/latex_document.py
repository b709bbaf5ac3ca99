"""A LaTeX document around tables and figures, and its compilation with pdflatex."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.errors import LatexError
from reports.render.latex_escape import escape
from reports.render.templates import latex_templates


@dataclass(frozen=True)
class FigureFile:
    """A figure of the document: its path relative to the document, and its caption as plain text."""

    path: str
    caption: str


def document(*, title: str, tables: Sequence[str], figures: Sequence[FigureFile], limited: bool) -> str:
    """Source of a document that inputs table files and shows figures, with a watermark if the suite is limited."""
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
    """Return whether pdflatex is on the path."""
    return shutil.which("pdflatex") is not None


def compile_document(source: Path, *, timeout: float = 60.0) -> Path:
    """Compile a LaTeX document to a PDF beside it; the same source gives the same bytes.

    Args:
        timeout: seconds for each of the two passes.

    Raises:
        LatexError: if pdflatex fails or takes too long, with the error lines of its log.
    """
    for _ in range(2):  # the second pass resolves references
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
    """The errors of a pdflatex log in one line: its `!` messages with the source lines they name."""
    found = re.findall(r"^! (?! ==>)(.+)$|^(l\.\d+ .*)$", log, flags=re.MULTILINE)
    lines = [" ".join((message or place).split()) for message, place in found]
    return "; ".join(lines) if lines else "pdflatex failed without an error line"
