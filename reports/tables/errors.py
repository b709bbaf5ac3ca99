"""The errors table: hierarchical IoU, and where the rest to 1 goes, in locating targets and in segmenting them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from bench.metrics.registry import MetricInfo, metric_info
from bench.types import Mixed
from reports.columns import Column
from reports.results.entries import Entry
from reports.results.groups import Rows, datasets_of, group_rows
from reports.table import Cell, Line, Notes, Table
from reports.tables.captions import all_notes, caption, signs
from reports.tables.cells import dataset_cells

HIOU = "hIoU/overlap-priority"
GROUPS = {"loc": "Locating", "seg": "Segmenting"}
PARTS = {"loc": ("IoU", "S2M", "M2S", "ITF", "PCP"), "seg": ("IoU", "MRG", "ITF", "PCP")}

MEANING = {
    "IoU": "right",
    "S2M": "single to multi, targets that share a component",
    "M2S": "multi to single, components that share a target",
    "MRG": "merging, pixels on other targets",
    "ITF": "interference, predicted where no target is",
    "PCP": "perception, targets or their pixels not seen",
}

REMARK = (
    "hIoU: hierarchical IoU, the mean IoU of matched pairs times matched over all targets and components, overlap "
    "first. The five parts of locating sum to 100, and so do the four of segmenting. "
    f"{'; '.join(f'{head}: {words}' for head, words in list(MEANING.items())[1:])}."
)


def part(kind: str, head: str) -> MetricInfo:
    """The metric of a part of locating (`loc`) or segmenting (`seg`)."""
    return metric_info(f"hIoU/{kind}-{head}")


ERROR_METRICS = (metric_info(HIOU), *(part(kind, head) for kind, heads in PARTS.items() for head in heads))
COLUMNS = (
    Column(ERROR_METRICS[0].head, "", ERROR_METRICS[0].printed_unit, ERROR_METRICS[0].better),
    *(
        Column(head, GROUPS[kind], part(kind, head).printed_unit, part(kind, head).better)
        for kind, heads in PARTS.items()
        for head in heads
    ),
)


def has_errors(entries: Sequence[Entry]) -> bool:
    """True where any result has errors by cause."""
    return any(ERROR_METRICS[0].score_in(entry.scored.scores) is not None for entry in entries if entry.scored)


def errors_table(entries: Sequence[Entry], *, title: str, mixed: Mixed = "refuse") -> Table | None:
    """The table of errors by cause, a line for every method and dataset; None where no result tells them.

    Raises:
        MixedRulesError, TableError: as the comparison table does.
    """
    if not has_errors(entries):
        return None
    rows, notes, datasets = group_rows(entries, mixed=mixed), Notes(), datasets_of(entries)
    lines = tuple(line for dataset in datasets for line in _lines(rows, dataset, notes))
    named = [Column("Dataset", is_text=True)] if len(datasets) > 1 else []
    if not named:
        lines = tuple(replace(line, cells=line.cells[1:]) for line in lines)
    return Table(
        caption=caption(
            entries,
            title=f"{title.rstrip('.')}: errors by cause",
            remarks=[REMARK, "Best hIoU and IoU of each dataset bold, second underlined."],
            several="Mean ± sample standard deviation (of parts the mean alone)",
        ),
        columns=(*named, *COLUMNS),
        lines=lines,
        notes=all_notes(entries, notes),
        limited=any(entry.is_limited for entry in entries),
        label="tab:errors",
    )


def _lines(rows: Sequence[Rows], dataset: str, notes: Notes) -> Iterator[Line]:
    """A line a method that has the dataset, the dataset's name first; parts are neither ranked nor spread."""
    shown = [row for row in rows if dataset in row.groups]
    _, block = dataset_cells(shown, dataset, metrics=ERROR_METRICS, notes=notes)
    for row, cells in zip(shown, block, strict=True):
        told = [_plain(cell, metric) for cell, metric in zip(cells, ERROR_METRICS, strict=True)]
        yield Line(row.label, (Cell(dataset), *told), signs(row.on(dataset)))


def _plain(cell: Cell, metric: MetricInfo) -> Cell:
    return cell if metric.better == "higher" else replace(cell, spread="", rank="")
