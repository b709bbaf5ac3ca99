"""A suite's whole report, written to a folder: tables, figures, a LaTeX document with its PDF, and a web page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from bench.errors import LatexError, RequestError
from bench.store.files import Manifest, write_text
from reports.figures.all import draw_figures
from reports.figures.by_condition import matrix_figures
from reports.figures.figure import Drawn, words_of
from reports.render.csv_markdown import table_to_csv, table_to_markdown
from reports.render.html import EmbeddedFigure, page
from reports.render.latex import table_to_latex
from reports.render.latex_document import FigureFile, compile_document, document, has_pdflatex
from reports.results.entries import Entry, plain_entries, read_suite, to_frame
from reports.results.image_counts import Counted, missing_counts, read_counted
from reports.table import Mixed, Table
from reports.tables.ablation import ablation_tables
from reports.tables.comparison import comparison_table
from reports.tables.cross_dataset import cross_table
from reports.tables.errors import errors_table
from reports.tables.intervals import interval_tables
from reports.tables.published import elsewhere_tables, published_table
from reports.tables.published_matching import compare_published
from reports.tables.robustness import robustness_tables
from reports.tables.rounds import rounds_table
from reports.tables.scorings import scorings_tables, unrecorded
from reports.tables.significance import judge
from reports.tables.strata import strata_tables

Headed = tuple[str, str, Table]
"""A table with the heading above it and the name of its files."""


@dataclass(frozen=True)
class Report:
    """What was written.

    Attributes:
        paths: every file, the page first.
        notes: what a reader should know beside them, as sentences: what is missing, failed or could not be drawn.
    """

    paths: tuple[Path, ...]
    notes: tuple[str, ...] = ()


def build_report(root: Path, suite: str, *, out: Path, compile_pdf: bool = True, mixed: str = "refuse") -> Report:
    """Write the report of a suite's last run.

    Args:
        root: folder of results, with `suites/<suite>.json` in it.
        out: takes index.html, every table as .tex, .csv and .md, results.csv, report.tex, report.pdf and figures/.
        compile_pdf: whether to run pdflatex, where there is one.
        mixed: `refuse` or `mark`: what to do with a table that would mix rules on one dataset.

    Raises:
        StoreError: when the suite has not been run there.
        MixedRulesError: when the table would mix rules on one dataset and `mixed` is `refuse`.
        TableError: when one label stands for several experiments.
    """
    if mixed not in get_args(Mixed):
        raise RequestError(f"mixed is {mixed!r}, expected refuse or mark")
    manifest, entries = read_suite(root, suite)
    plain = plain_entries(entries)
    rule: Mixed = "mark" if mixed == "mark" else "refuse"
    counted, title = read_counted(plain, mixed=rule), manifest.title or suite
    tables = [
        *_matrix_tables(entries, title=title, mixed=rule),
        *_own_tables(plain, counted, title=f"{title.rstrip('.')}{_plain_words(entries)}", mixed=rule),
        *_published_tables(plain),
    ]
    notes = [
        f"{entry.row.title} on {entry.dataset}, seed {entry.row.seed}: {entry.reason}"
        for entry in entries
        if entry.reason
    ]
    notes += filter(None, [missing_counts(counted)])
    notes += unrecorded(plain)
    paths = [write_text(out / "results.csv", to_frame(entries).to_csv(index=False, lineterminator="\n"))]
    for _, name, table in tables:
        paths += write_table(table, out / name)
    drawn = [*matrix_figures(entries, mixed=rule), *draw_figures(plain, notes)]
    if manifest.limited or any(entry.is_limited for entry in entries):
        _mark_limited(drawn)
    files = [(each, *_write_figure(each, out)) for each in drawn]
    paths += [path for _, pdf, png in files for path in (pdf, png)]
    paths += _write_document(manifest, tables, [(each, pdf) for each, pdf, _ in files], out, compile_pdf, notes)
    embedded = [EmbeddedFigure(png, each.caption, each.is_wide) for each, _, png in files]
    shown = [(heading, table) for heading, _, table in tables]
    index = write_text(out / "index.html", page(manifest, entries, tables=shown, figures=embedded))
    return Report((index, *paths), tuple(notes))


def _own_tables(entries: Sequence[Entry], counted: Sequence[Counted], *, title: str, mixed: Mixed) -> Iterator[Headed]:
    """The tables of the suite's own numbers: comparison, intervals, ablations, errors, rounds, strata, scorings.

    They are about clean test images of the dataset that a row learnt from; nothing where the suite has none.
    """
    if not entries:
        return
    judgement = judge(counted)
    yield "Comparison", "table", comparison_table(entries, title=title, mixed=mixed, judgement=judgement)
    for dataset, table in interval_tables(counted, judgement, title=title):
        yield f"Intervals: {dataset}", f"intervals-{words_of(dataset)}", table
    for number, (model, table) in enumerate(ablation_tables(entries, title=title, mixed=mixed)):
        yield f"Ablation of {model}", "ablation" if not number else f"ablation-{words_of(model)}", table
    if (errors := errors_table(entries, title=title, mixed=mixed)) is not None:
        yield "Errors by cause", "errors", errors
    if (rounds := rounds_table(entries, title=title, mixed=mixed)) is not None:
        yield "Feedback rounds", "rounds", rounds
    for dataset, table in strata_tables(counted, title=title):
        yield f"Strata: {dataset}", f"strata-{words_of(dataset)}", table
    for dataset, table in scorings_tables(entries, title=title, mixed=mixed):
        yield f"The same predictions under other scorings: {dataset}", f"scorings-{words_of(dataset)}", table


def _plain_words(entries: Sequence[Entry]) -> str:
    """What titles say of rows that are a part of the suite's; nothing where they are all of them."""
    parts = {
        "clean images": any(entry.row.corruption for entry in entries),
        "trained and tested on one dataset": any(entry.row.is_transferred for entry in entries),
    }
    words = [word for word, is_needed in parts.items() if is_needed]
    return f": {', '.join(words)}" if words else ""


def _matrix_tables(entries: Sequence[Entry], *, title: str, mixed: Mixed) -> Iterator[Headed]:
    """The tables of corrupted test images, and of tests on other datasets."""
    for dataset, summary, kinds in robustness_tables(entries, title=title, mixed=mixed):
        yield f"Robustness: {dataset}", f"robustness-{words_of(dataset)}", summary
        yield f"Robustness by kind of corruption: {dataset}", f"robustness-kinds-{words_of(dataset)}", kinds
    if (cross := cross_table(entries, title=title, mixed=mixed)) is not None:
        yield "Trained on one dataset, tested on another", "cross", cross


def _published_tables(entries: Sequence[Entry]) -> Iterator[Headed]:
    """The tables of the numbers published for the suite's networks, those beside ours first."""
    comparisons = compare_published(entries)
    if beside := published_table(comparisons):
        yield "Published numbers beside ours", "published", beside
    for dataset, table in elsewhere_tables(comparisons).items():
        yield f"Published under other rules: {dataset}", f"published-elsewhere-{words_of(dataset)}", table


def write_table(table: Table, stem: Path) -> list[Path]:
    """`stem`.tex, `stem`.csv and `stem`.md."""
    return [
        write_text(stem.with_name(f"{stem.name}.tex"), table_to_latex(table)),
        write_text(stem.with_name(f"{stem.name}.csv"), table_to_csv(table)),
        write_text(stem.with_name(f"{stem.name}.md"), table_to_markdown(table)),
    ]


def _mark_limited(drawn: Sequence[Drawn]) -> None:
    """Every figure of a limited suite has the watermark that its page has."""
    from reports.plots.style import mark_limited  # matplotlib only when there is something to draw

    for each in drawn:
        mark_limited(each.figure)


def _write_figure(drawn: Drawn, out: Path) -> tuple[Path, Path]:
    from reports.plots.style import write_figure  # matplotlib only when there is something to draw

    return write_figure(drawn.figure, out / "figures" / drawn.name)


def _write_document(
    manifest: Manifest,
    tables: Sequence[Headed],
    figures: Sequence[tuple[Drawn, Path]],
    out: Path,
    compile_pdf: bool,
    notes: list[str],
) -> list[Path]:
    """report.tex, and report.pdf where LaTeX is there; what stood in the way becomes a note."""
    source = document(
        title=manifest.title or manifest.suite,
        tables=[f"{name}.tex" for _, name, _ in tables],
        figures=[FigureFile(f"figures/{path.name}", drawn.caption) for drawn, path in figures],
        limited=any(table.limited for _, _, table in tables),
    )
    path = write_text(out / "report.tex", source)
    if not compile_pdf:
        return [path]
    if not has_pdflatex():
        notes.append(
            "report.pdf is not made: found no pdflatex on the path; install TeX Live or compile report.tex elsewhere"
        )
        return [path]
    try:
        return [path, compile_document(path)]
    except LatexError as error:
        notes.append(f"report.pdf is not made: {error}")
        return [path]
