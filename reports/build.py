"""The report of a suite: tables, figures, a LaTeX document with its PDF, and a web page in one folder."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeGuard, get_args

from bench.errors import LatexError, RequestError
from bench.metrics.registry import MetricInfo
from bench.parallel import Beside
from bench.store.files import Manifest, write_text
from bench.types import Mixed
from reports.columns import chosen_metrics
from reports.figures.figure import Drawing, FigureFiles, NotDrawn, words_of
from reports.figures.select import best_methods
from reports.render.csv_markdown import table_to_csv, table_to_markdown
from reports.render.html import EmbeddedFigure, PageTable, page
from reports.render.latex import label_of, table_to_latex
from reports.render.latex_document import (
    FigureFile,
    TableInput,
    compile_document,
    document,
    missing_programs,
    program_for,
)
from reports.render.latex_escape import escape
from reports.results.entries import Entry, plain_entries, read_suite, results_csv
from reports.results.image_browser import image_browsers
from reports.results.image_counts import Counted, missing_counts, read_counted
from reports.table import Table
from reports.tables.ablation import ablation_tables
from reports.tables.comparison import comparison_table
from reports.tables.cross_dataset import cross_table
from reports.tables.errors import errors_table
from reports.tables.intervals import change_tables, interval_tables
from reports.tables.published import elsewhere_tables, published_table
from reports.tables.published_matching import compare_published
from reports.tables.robustness import robustness_tables
from reports.tables.round_gains import round_gain_tables
from reports.tables.rounds import rounds_table
from reports.tables.scorings import broken_records, scorings_tables, unrecorded
from reports.tables.significance import compare_with_best
from reports.tables.strata import strata_tables
from reports.tables.training_losses import training_losses_table

PRINTED = 20
"""Methods that the tables of the document have where there are too many for figures; all are in the other files."""


@dataclass(frozen=True)
class Report:
    """The files of a report.

    Attributes:
        paths: every file, the page first.
        notes: sentences on what failed, is missing or could not be drawn.
    """

    paths: tuple[Path, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class TableFile:
    """A table with the heading above it and the stem of its files."""

    heading: str
    stem: str
    table: Table


def build_report(
    root: Path,
    suite: str,
    *,
    out: Path,
    compile_pdf: bool = True,
    mixed: str = "",
    columns: Sequence[str] = (),
    images: Sequence[str] = (),
    data: Path | None = None,
) -> Report:
    """Write the report of a suite's last run.

    Args:
        root: folder of results, with `suites/<suite>.json` in it.
        out: takes index.html, every table as .tex, .csv and .md, results.csv, report.tex, report.pdf and figures/.
        compile_pdf: whether to run pdflatex, if it is installed.
        mixed: `refuse` or `mark`: what to do with a table that would mix rules on one dataset; default the suite's.
        columns: metric ids of the tables' columns; default those of the suite.
        images: names of those that methods are shown side by side on; default by rule.
        data: folder of datasets, from which such images are taken; default the runs' examples.

    Raises:
        RequestError, UnknownNameError: if a column is named twice, or there is no such metric or image.
        StoreError: if the suite has not been run there.
        MixedRulesError: if a table would mix rules on one dataset and `mixed` is `refuse`.
        TableError: if one label stands for several experiments.
    """
    manifest, entries = read_suite(root, suite)
    mixed = mixed or manifest.mixed
    if not _is_mixed(mixed):
        raise RequestError(f"mixed is {mixed!r}, expected refuse or mark")
    plain = plain_entries(entries)
    scores = [entry.scored.scores for entry in entries if entry.scored]
    metrics = chosen_metrics(tuple(columns) or manifest.columns, scores)
    counted, title = read_counted(plain, mixed=mixed, metrics=metrics), manifest.title or suite
    is_limited = manifest.limited or any(entry.is_limited for entry in entries)
    figures_of = partial(_drawings, entries, plain, mixed=mixed, images=images, data=data)
    drawing = Beside(partial(_draw, figures_of, out / "figures", is_limited=is_limited))
    try:
        broken: dict[str, str] = {}
        own_title = f"{title.rstrip('.')}{_plain_words(entries)}"
        tables = [
            *_matrix_tables(entries, metrics, title=title, mixed=mixed),
            *_own_tables(plain, counted, metrics, title=own_title, mixed=mixed, broken=broken),
            *_published_tables(plain, title=title),
        ]
        paths = [write_text(out / "results.csv", results_csv(entries))]
        paths += [path for table in tables for path in write_table(table.table, out / table.stem)]
        files, not_drawn = drawing.result()
    finally:
        drawing.stop()
    pictured = {entry.row.label for entry in best_methods(plain).entries}
    paths += [path for each in files for path in (each.pdf, each.png)]
    with ThreadPoolExecutor(1) as beside:
        inputs, cut = _printed_tables(tables, plain, out)
        compiling = beside.submit(_write_document, manifest, inputs, files, out, compile_pdf=compile_pdf)
        browsers = image_browsers(counted, data=data, pictured=pictured)  # while LaTeX runs
        sources, not_compiled = compiling.result()
    index = page(
        manifest,
        entries,
        tables=[PageTable(table.heading, out / table.stem, table.table) for table in tables],
        figures=[EmbeddedFigure(each.png, each.figure.caption, each.figure.is_wide) for each in files],
        browsers=browsers,
        files=[path for path in (out / "results.csv", *sources) if path.suffix in (".csv", ".pdf")],
    )
    notes = [
        *(f"{e.row.title} on {e.dataset}, seed {e.row.seed}: {e.reason}" for e in entries if e.reason),
        *filter(None, [missing_counts(counted)]),
        *unrecorded(plain),
        *broken_records(plain, broken),
        *not_drawn,
        *filter(None, [cut]),
        *not_compiled,
    ]
    return Report((write_text(out / "index.html", index), *paths, *sources), tuple(notes))


def _is_mixed(word: str) -> TypeGuard[Mixed]:
    return word in get_args(Mixed)


def _matrix_tables(
    entries: Sequence[Entry], metrics: Sequence[MetricInfo], *, title: str, mixed: Mixed
) -> list[TableFile]:
    """The tables of tests on corrupted images and on other datasets."""
    transferred = cross_table(entries, title=title, mixed=mixed, metrics=metrics)
    return [
        *(
            _of_dataset(heading, stem, dataset, table)
            for dataset, summary, kinds in robustness_tables(entries, title=title, mixed=mixed, metrics=metrics)
            for heading, stem, table in (
                ("Robustness", "robustness", summary),
                ("Robustness by kind of corruption", "robustness-kinds", kinds),
            )
        ),
        *_single("Trained on one dataset, tested on another", "cross", transferred),
    ]


def _own_tables(
    entries: Sequence[Entry],
    counted: Sequence[Counted],
    metrics: Sequence[MetricInfo],
    *,
    title: str,
    mixed: Mixed,
    broken: dict[str, str],
) -> list[TableFile]:
    """The tables of tests on clean images of the training dataset; none if the suite has no such test.

    Args:
        broken: takes the reasons of records of scorings that cannot be read.
    """
    if not entries:
        return []
    compared = compare_with_best(counted)
    comparison = comparison_table(entries, title=title, mixed=mixed, compared=compared, metrics=metrics)
    ablations = ablation_tables(entries, title=title, mixed=mixed, metrics=metrics)
    return [
        *_single("Comparison", "table", comparison),
        *_by_dataset("Intervals", "intervals", interval_tables(counted, compared, title=title)),
        *(
            _labelled(f"Ablation of {model}", f"ablation-{words_of(model)}" if number else "ablation", table)
            for number, (model, table) in enumerate(ablations)
        ),
        *(
            _labelled(f"Differences to the full {model}: {dataset}", f"changes-{words_of(f'{model} {dataset}')}", table)
            for model, dataset, table in change_tables(entries, title=title, mixed=mixed, metrics=metrics)
        ),
        *_single("Errors by cause", "errors", errors_table(entries, title=title, mixed=mixed)),
        *_single("Feedback rounds", "rounds", rounds_table(entries, title=title, mixed=mixed)),
        *_by_dataset("Gains of feedback rounds", "round-gains", round_gain_tables(entries, title=title, mixed=mixed)),
        *_by_dataset("Strata", "strata", strata_tables(counted, title=title)),
        *_by_dataset(
            "The same predictions under other scorings",
            "scorings",
            scorings_tables(entries, title=title, mixed=mixed, broken=broken),
        ),
    ]


def _published_tables(entries: Sequence[Entry], *, title: str) -> list[TableFile]:
    """The tables of the numbers and training losses published for the suite's networks, those beside ours first."""
    comparisons = compare_published(entries)
    losses = training_losses_table(entries, title=title)
    return [
        *_single("Published numbers beside ours", "published", published_table(comparisons)),
        *_single("Training losses beside the published ones", "training-losses", losses),
        *_by_dataset("Published under other rules", "published-elsewhere", elsewhere_tables(comparisons).items()),
    ]


def _single(heading: str, stem: str, table: Table | None) -> list[TableFile]:
    return [TableFile(heading, stem, table)] if table else []


def _by_dataset(heading: str, stem: str, tables: Iterable[tuple[str, Table]]) -> list[TableFile]:
    return [_of_dataset(heading, stem, dataset, table) for dataset, table in tables]


def _of_dataset(heading: str, stem: str, dataset: str, table: Table) -> TableFile:
    return _labelled(f"{heading}: {dataset}", f"{stem}-{words_of(dataset)}", table)


def _labelled(heading: str, stem: str, table: Table) -> TableFile:
    """A table with a LaTeX label that no other of the report has."""
    return TableFile(heading, stem, replace(table, label=f"tab:{stem}"))


def _plain_words(entries: Sequence[Entry]) -> str:
    """Addition to titles if the tables hold only a part of the suite's rows; empty if they hold all."""
    parts = {
        "clean images": any(entry.row.corruption for entry in entries),
        "trained and tested on one dataset": len({entry.row.is_transferred for entry in entries}) > 1,
    }
    words = [word for word, is_needed in parts.items() if is_needed]
    return f": {', '.join(words)}" if words else ""


def write_table(table: Table, stem: Path) -> list[Path]:
    """Write `stem`.tex, `stem`.csv and `stem`.md."""
    return [
        write_text(stem.with_name(f"{stem.name}.tex"), table_to_latex(table)),
        write_text(stem.with_name(f"{stem.name}.csv"), table_to_csv(table)),
        write_text(stem.with_name(f"{stem.name}.md"), table_to_markdown(table)),
    ]


def _drawings(
    entries: Sequence[Entry], plain: Sequence[Entry], *, mixed: Mixed, images: Sequence[str], data: Path | None
) -> Iterator[Drawing]:
    """Every figure that the files allow, one by one, and the reasons why others could not be drawn."""
    from reports.figures.all import iterate_figures
    from reports.figures.by_condition import matrix_figures

    yield from matrix_figures(entries, mixed=mixed)
    yield from iterate_figures(plain, images=images, data=data)


def _draw(
    drawings: Callable[[], Iterable[Drawing]], folder: Path, *, is_limited: bool
) -> tuple[list[FigureFiles], list[str]]:
    """Draw and write every figure, with a watermark if the suite is limited; sentences about what is not drawn."""
    from reports.figures.write import figure_writer  # matplotlib, slow to import, is loaded only to draw
    from reports.plots.style import letters_without_font, mark_limited, words_without_font

    notes: list[str] = []
    missing: dict[str, None] = {}
    with figure_writer(folder) as writer:
        for each in drawings():
            if isinstance(each, NotDrawn):
                notes.append(each.reason)
                continue
            if is_limited:
                mark_limited(each.figure)
            missing |= letters_without_font(each.figure)
            writer.write(each)
    return writer.files, [*notes, *filter(None, [words_without_font(missing)])]


def _printed_tables(tables: Sequence[TableFile], entries: Sequence[Entry], out: Path) -> tuple[list[TableFile], str]:
    """The tables as the document prints them, and a sentence where it has fewer methods than the tables' own files.

    A document of very many methods has the best `PRINTED` alone, in files of their own: hundreds of pages are not read.
    """
    best = best_methods(entries, count=PRINTED)
    if not best.left_out:
        return list(tables), ""
    labels = [frozenset(entry.row.label for entry in some) for some in (entries, best.entries)]
    printed = [_best_lines(table, left_out=labels[0] - labels[1], words=best.left_out) for table in tables]
    for each, table in zip(printed, tables, strict=True):
        if each is not table:
            write_text(out / f"{each.stem}.tex", table_to_latex(each.table))
    return printed, f"report.pdf prints the best {PRINTED} methods of so many. {best.left_out}"


def _best_lines(each: TableFile, *, left_out: Collection[str], words: str) -> TableFile:
    """A table without the lines of some methods, which its caption tells; as it is if it has none of them."""
    table = each.table
    lines = tuple(line for line in table.lines if line.label not in left_out)
    if len(lines) == len(table.lines) or not lines:
        return each
    marks = {mark for line in lines for some in (line.marks, *(cell.marks for cell in line.cells)) for mark in some}
    marks |= {mark for column in table.columns for mark in column.marks}
    notes = tuple(note for note in table.notes if note.mark in marks)
    shown = replace(table, lines=lines, notes=notes, caption=f"{table.caption} {words}")
    return TableFile(each.heading, f"{each.stem}-printed", shown)


def _write_document(
    manifest: Manifest, tables: Sequence[TableFile], figures: Sequence[FigureFiles], out: Path, *, compile_pdf: bool
) -> tuple[list[Path], list[str]]:
    """Write report.tex, and report.pdf if there is LaTeX; a sentence tells why there is no PDF."""
    title = manifest.title or manifest.suite
    captions = [each.figure.caption for each in figures]
    sources = [(out / f"{table.stem}.tex").read_text(encoding="utf-8") for table in tables]
    program = program_for([*sources, *map(escape, (title, *captions))])
    source = document(
        title=title,
        tables=[TableInput(f"{each.stem}.tex", each.heading, label_of(each.table)) for each in tables],
        figures=[FigureFile(f"figures/{each.pdf.name}", each.figure.caption, *each.figure.size) for each in figures],
        program=program,
        limited=any(table.table.limited for table in tables),
    )
    path = write_text(out / "report.tex", source)
    if not compile_pdf:
        return [path], []
    if reason := missing_programs(program):
        return [path], [f"report.pdf is not made: {reason}"]
    try:
        return [path, compile_document(path, program=program)], []
    except LatexError as error:
        return [path], [f"report.pdf is not made: {error}"]
