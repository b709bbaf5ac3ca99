"""A suite's whole report, written to a folder: tables, figures, a LaTeX document with its PDF, and a web page."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from bench.metrics.curves import CurveCounts
from bench.store import Manifest, StoreError, write_text
from reports.columns import metrics_shown
from reports.comparison import comparison_table
from reports.frame import Entry, one_line, read_suite, to_frame
from reports.html import EmbeddedFigure, page
from reports.latex import FigureFile, LatexError, compile_document, document, has_pdflatex, table_to_latex
from reports.plain import UNITS, table_to_csv, table_to_markdown
from reports.published import compare_published
from reports.published_tables import elsewhere_tables, published_table
from reports.table import Mixed, Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from reports.figures.curves import Curve


@dataclass(frozen=True)
class Report:
    """What was written.

    Attributes:
        paths: every file, the page first.
        notes: what a reader should know beside them, as sentences: what is missing, failed or could not be drawn.
    """

    paths: tuple[Path, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Drawn:
    """A figure with the name of its files and its caption."""

    name: str
    figure: Figure
    caption: str

    @property
    def is_wide(self) -> bool:
        """Whether it needs both columns of a page."""
        return bool(self.figure.get_size_inches()[0] > 4)


def build_report(root: Path, suite: str, *, out: Path, compile_pdf: bool = True, mixed: str = "refuse") -> Report:
    """Write the report of a suite's last run.

    Args:
        root: folder of results, with `suites/<suite>.json` in it.
        out: takes index.html, table.tex, table.csv, table.md, results.csv, report.tex, report.pdf and figures/.
        compile_pdf: whether to run pdflatex, where there is one.
        mixed: `refuse` or `mark`: what to do with a table that would mix rules on one dataset.

    Raises:
        StoreError: when the suite has not been run there.
        MixedRulesError: when the table would mix rules on one dataset and `mixed` is `refuse`.
        TableError: when one label stands for several experiments.
    """
    if mixed not in get_args(Mixed):
        raise ValueError(f"mixed is {mixed!r}, expected refuse or mark")
    manifest, entries = read_suite(root, suite)
    title = manifest.title or suite
    tables = [
        ("Comparison", "table", comparison_table(entries, title=title, mixed="mark" if mixed == "mark" else "refuse"))
    ]
    tables += _published(entries)
    notes = [
        f"{entry.row.label} on {entry.dataset}, seed {entry.row.seed}: {entry.reason}"
        for entry in entries
        if entry.reason
    ]
    paths = [write_text(out / "results.csv", to_frame(entries).to_csv(index=False, lineterminator="\n"))]
    for _, name, table in tables:
        paths += write_table(table, out / name)
    drawn = draw_figures(entries, notes)
    files = [(each, *_write_figure(each, out)) for each in drawn]
    paths += [path for _, pdf, png in files for path in (pdf, png)]
    paths += _write_document(manifest, tables, [(each, pdf) for each, pdf, _ in files], out, compile_pdf, notes)
    embedded = [EmbeddedFigure(png, each.caption, each.is_wide) for each, _, png in files]
    shown = [(heading, table) for heading, _, table in tables]
    index = write_text(out / "index.html", page(manifest, entries, tables=shown, figures=embedded))
    return Report((index, *paths), tuple(notes))


def _published(entries: Sequence[Entry]) -> Iterator[tuple[str, str, Table]]:
    """Heading, file name and table of the numbers published for the suite's networks, those beside ours first."""
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


def _write_figure(drawn: Drawn, out: Path) -> tuple[Path, Path]:
    from reports.figures.style import write_figure  # matplotlib only when there is something to draw

    return write_figure(drawn.figure, out / "figures" / drawn.name)


def _write_document(
    manifest: Manifest,
    tables: Sequence[tuple[str, str, Table]],
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


def draw_figures(entries: Sequence[Entry], notes: list[str]) -> list[Drawn]:
    """Every figure the suite's files allow; what cannot be drawn is said in `notes`."""
    return [
        *_tradeoff_figures(entries),
        *_threshold_figures(entries, notes),
        *_rounds_figure(entries),
        *_loss_figure(entries, notes),
        *_pictures(entries, notes),
    ]


def _tradeoff_figures(entries: Sequence[Entry]) -> Iterator[Drawn]:
    """Accuracy against MACs and against latency, of all results with costs."""
    from reports.figures import cost_points, tradeoff

    metric = metrics_shown(entry.scored.scores for entry in entries if entry.scored)[0]
    for axis in cost_points.cost_axes(entries):
        found = cost_points.cost_points(entries, axis, metric)
        if not found.panels:
            continue
        figure = tradeoff.tradeoff_figure(found.panels, x=axis.head, y=f"{metric.head} ({UNITS[metric.unit]})")
        points = [point for members in found.panels.values() for point in members]
        sentences = [
            f"{metric.head} against {axis.words}.",
            *tradeoff.explain(points),
            cost_points.not_drawn(found),
            _rules_words(entries, seeds="mean over seeds"),
        ]
        yield Drawn(axis.name, figure, " ".join(filter(None, sentences)))


def _threshold_figures(entries: Sequence[Entry], notes: list[str]) -> Iterator[Drawn]:
    """ROC, precision-recall and Pd-Fa of all results with curves."""
    from reports.figures import curves, sources

    counted: dict[str, list[tuple[Entry, CurveCounts]]] = {}
    broken = []
    for dataset, members in sources.by_dataset(entries).items():
        for entry in members:
            try:
                read = sources.read_curves(entry)
            except StoreError as error:
                broken.append(str(error))
                continue
            counted.setdefault(dataset, []).append((entry, read))
    if broken:
        more = f", and {len(broken) - 1} more" if len(broken) > 1 else ""
        notes.append(f"no curves drawn for {one_line(broken[0])}{more}")
    if not counted:
        return

    def panels(make: Callable[..., Curve]) -> dict[str, list[Curve]]:
        return {d: [make(e.row.label, counts, e.row.scoring) for e, counts in some] for d, some in counted.items()}

    threshold = " and ".join(dict.fromkeys(f"{entry.row.scoring.threshold:g}" for entry in entries))
    at = f"Markers: operating point at probability > {threshold}."
    rules = _rules_words(entries)
    yield Drawn("roc", curves.roc_figure(panels(sources.roc_curve)), f"ROC of pixels. {at} {rules}")
    figure = curves.precision_recall_figure(panels(sources.precision_recall_curve))
    yield Drawn("precision-recall", figure, f"Precision and recall of pixels. {at} {rules}")
    figure = curves.pd_fa_figure(panels(sources.pd_fa_curve))
    yield Drawn("pd-fa", figure, f"Detection of targets against false alarms at 41 thresholds. {at} {rules}")


def _rules_words(entries: Sequence[Entry], *, seeds: str = "one curve for each of seeds") -> str:
    """Split, protocol and scoring of the figures' rows, and whether any is limited, in one sentence."""
    splits = ", ".join(dict.fromkeys(f"{e.dataset} (split {e.row.split})" for e in entries if e.scored))
    protocols = ", ".join(dict.fromkeys(e.row.protocol for e in entries if e.scored))
    scorings = ", ".join(dict.fromkeys(e.row.scoring.name for e in entries if e.scored))
    limited = " LIMITED TRIAL." if any(e.is_limited for e in entries) else ""
    optimistic = dict.fromkeys(e.row.label for e in entries if e.scored and e.scored.optimistic)
    chosen = f" Weights chosen on the test list (optimistic): {', '.join(optimistic)}." if optimistic else ""
    numbers = sorted({e.row.seed for e in entries if e.scored})
    drawn = f"{seeds} {', '.join(map(str, numbers))}" if len(numbers) > 1 else f"seed {numbers[0]}"
    return f"Test lists: {splits}; protocol {protocols}; scoring {scorings}; {drawn}.{limited}{chosen}"


def _rounds_figure(entries: Sequence[Entry]) -> Iterator[Drawn]:
    """IoU over feedback rounds, where any method has more than one."""
    from reports.figures import curves, sources

    if not any(entry.scored and len(entry.scored.rounds) > 1 for entry in entries):
        return
    metric = metrics_shown(entry.scored.scores for entry in entries if entry.scored)[0]
    panels = {
        dataset: [curve for entry in members if (curve := sources.rounds_curve(entry, metric))]
        for dataset, members in sources.by_dataset(entries).items()
    }
    panels = {dataset: members for dataset, members in panels.items() if members}
    if panels:
        figure = curves.rounds_figure(panels, metric=f"{metric.head} ({UNITS[metric.unit]})")
        yield Drawn("rounds", figure, f"{metric.head} after every feedback round. {_rules_words(entries)}")


def _loss_figure(entries: Sequence[Entry], notes: list[str]) -> Iterator[Drawn]:
    """Training loss over epochs, of all trainings whose log is there."""
    from reports.figures import curves, sources

    panels: dict[str, list[curves.LossCurve]] = {}
    for dataset, members in sources.by_dataset(entries).items():
        for entry in members:
            try:
                curve = sources.read_loss(entry)
            except StoreError as error:
                notes.append(f"no training curve drawn: {one_line(str(error))}")
                continue
            if curve is not None:
                panels.setdefault(dataset, []).append(curve)
    if panels:
        caption = (
            "Training loss of every epoch, by test set. Markers: the epoch whose weights were kept. "
            "Losses of different kinds cannot be compared."
        )
        yield Drawn("loss", curves.loss_figure(panels), caption)


def _pictures(entries: Sequence[Entry], notes: list[str]) -> Iterator[Drawn]:
    """Per method and dataset, rows of image, mask and feedback rounds, of its first seed with examples."""
    from reports.figures import pictures, sources

    seen: set[tuple[str, str]] = set()
    for entry in (entry for members in sources.by_dataset(entries).values() for entry in members):
        if (entry.row.label, entry.dataset) in seen:
            continue
        try:
            rows = sources.read_examples(entry)
        except StoreError as error:
            notes.append(f"no pictures drawn: {one_line(sources.name_without_folder(error, entry))}")
            continue
        if not rows:
            continue
        seen.add((entry.row.label, entry.dataset))
        figure = pictures.picture_figure(rows, scoring=entry.row.scoring)
        caption = (
            f"{entry.row.label} on {entry.dataset}: probability {_rounds_words(entry)}; "
            f"the largest target enlarged in a corner. {_rules_words([entry])}"
        )
        yield Drawn(f"pictures-{file_stem(entry)}", figure, caption)


def _rounds_words(entry: Entry) -> str:
    """`after feedback rounds`, where the network has several."""
    return "after feedback rounds" if entry.scored and entry.scored.experiment.rounds > 1 else "of a target"


def file_stem(entry: Entry) -> str:
    """`dfinet-width-8-synthetic-0123456789ab`: letters, digits and dashes alone, told apart by the key."""
    return f"{words_of(f'{entry.row.label} {entry.dataset}')}-{entry.row.key}".strip("-")


def words_of(text: str) -> str:
    """`nudt-sirst`: at most 60 letters, digits and dashes, fit for the name of a file."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:60].strip("-")
