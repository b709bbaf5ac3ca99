"""Contents of datasets: a table with a line for each list, a sheet of figures for each dataset, and raw numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from bench.csv_cells import to_csv
from bench.data.quality.dataset_statistics import ALL, Description, Summary, image_lines, summarise, target_lines
from bench.store.files import write_text
from reports.columns import Column
from reports.figures.figure import words_of
from reports.render.csv_markdown import table_to_csv, table_to_markdown
from reports.render.latex import table_to_latex
from reports.table import Cell, Line, Note, Notes, Table

COLUMNS = (
    Column("number", "Images"),
    Column("height × width", "Images", "px", is_text=True),
    Column("level", "Images"),
    Column("no target", "Images", "1e-2"),
    Column("number", "Targets"),
    Column("an image", "Targets"),
    Column("area", "Targets", "px"),
    Column("SCR", "Targets"),
)

CAPTION = (
    "Datasets, list by list. Level: mean over images of the mean grey level ± mean of its deviation within an image. "
    "Targets are components of 8 neighbours; of area and signal-to-clutter ratio (SCR): median [quartiles]. "
    "SCR: |mean of the target − mean of its surroundings| over the deviation of the surroundings, which are the "
    "bounding box widened by 20 px on every side, less all marked pixels."
)

NO_IMAGES = "no images"
NO_TARGETS = "no targets"
EVEN = "no target has surroundings whose grey levels differ, so none has an SCR"


def dataset_table(described: Sequence[Description]) -> Table:
    """A line for every list of every dataset, and one for all its images."""
    summaries, notes = [summary for each in described for summary in summarise(each)], Notes()
    lines = tuple(Line(_label(summary), _cells(summary, notes)) for summary in summaries)
    below = tuple(Note(mark, text) for text, mark in notes.texts.items())
    return Table(CAPTION, COLUMNS, lines, notes=below, label="tab:datasets", first_head="Dataset and list")


def _label(summary: Summary) -> str:
    """`NUDT-SIRST` for all images, `NUDT-SIRST SPLIT/LIST` for a list."""
    return summary.dataset if summary.list == ALL else f"{summary.dataset} {summary.list}"


def _cells(summary: Summary, notes: Notes) -> tuple[Cell, ...]:
    if not summary.images:
        absent, zero = Cell(marks=(notes.mark(NO_IMAGES),)), Cell("0")
        return zero, absent, absent, absent, zero, absent, absent, absent
    return (
        Cell(f"{summary.images}"),
        Cell(_sizes(summary)),
        _number(summary.level, digits=1, spread=summary.deviation),
        _number(100 * summary.without_targets, digits=1),
        Cell(f"{summary.targets}"),
        _number(summary.targets_an_image, digits=2),
        *_target_cells(summary, notes),
    )


def _target_cells(summary: Summary, notes: Notes) -> tuple[Cell, Cell]:
    """Area and ratio."""
    if not summary.targets:
        absent = Cell(marks=(notes.mark(NO_TARGETS),))
        return absent, absent
    return _quartiles(summary.area, digits=0), _ratio(summary, notes)


def _ratio(summary: Summary, notes: Notes) -> Cell:
    """Quartiles over the targets with a ratio, and a note on those without."""
    without, targets = summary.undefined_ratios, summary.targets
    if without == targets:
        return Cell(marks=(notes.mark(EVEN),))
    marks = (notes.mark(f"without {without} of {targets} targets, whose surroundings are even"),) if without else ()
    return replace(_quartiles(summary.ratio, digits=1), marks=marks)


def _sizes(summary: Summary) -> str:
    """`256 × 256`, or the least and the most of each: `96–388 × 135–456`."""
    if summary.sizes is None:
        return ""
    low, high, left, right = summary.sizes
    return f"{_range(low, high)} × {_range(left, right)}"


def _range(low: int, high: int) -> str:
    return f"{low}" if low == high else f"{low}–{high}"


def _number(value: float, *, digits: int, spread: float = math.nan) -> Cell:
    return Cell(f"{value:.{digits}f}", "" if math.isnan(spread) else f"{spread:.{digits}f}")


def _quartiles(values: tuple[float, float, float], *, digits: int) -> Cell:
    low, median, high = values
    return Cell(f"{median:.{digits}f}", limits=(f"{low:.{digits}f}", f"{high:.{digits}f}"))


def against_each_other(described: Description, split: str) -> Mapping[str, Description]:
    """The training and the test list of a split, for its sheet; the first list of the dataset if it has neither."""
    titles = [title for title in (f"{split}/train", f"{split}/test") if title in described.lists]
    return {title: described.take(title) for title in titles or list(described.lists)[:1]}


def write_datasets(described: Sequence[Description], splits: Mapping[str, str], out: Path) -> list[Path]:
    """Write datasets.tex, .csv and .md, and of every dataset a sheet as PDF and PNG and its raw numbers as CSV.

    Args:
        splits: dataset to the split whose lists its sheet draws against each other.
    """
    from reports.plots.dataset import dataset_sheet  # matplotlib only when there is something to draw
    from reports.plots.style import write_figure

    table = dataset_table(described)
    paths = [
        write_text(out / "datasets.tex", table_to_latex(table)),
        write_text(out / "datasets.csv", table_to_csv(table)),
        write_text(out / "datasets.md", table_to_markdown(table)),
    ]
    for each in described:
        stem = words_of(each.dataset)
        sheet = dataset_sheet(against_each_other(each, splits[each.dataset]))
        paths += write_figure(sheet, out / f"{stem}-sheet")
        paths.append(write_text(out / f"{stem}-images.csv", _csv(image_lines(each))))
        paths.append(write_text(out / f"{stem}-targets.csv", _csv(target_lines(each))))
    return paths


def _csv(lines: Iterable[Mapping[str, object]]) -> str:
    records = list(lines)
    return to_csv([list(records[0]), *(list(record.values()) for record in records)]) if records else ""
