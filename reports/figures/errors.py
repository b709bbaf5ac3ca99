"""Figures of errors by cause, one for each dataset."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence

from reports.figures.figure import CaptionedFigure, rules_words, words_of
from reports.plots.error_bars import ErrorShares, errors_figure
from reports.results.entries import Entry
from reports.results.groups import Group, datasets_of, group_rows
from reports.tables.cells import values_of
from reports.tables.errors import ERROR_METRICS, MEANING, PARTS, has_errors, part

PARTS_WORDS = "; ".join(f"{head}, {words.replace(', ', ': ', 1)}" for head, words in MEANING.items())


def error_figures(entries: Sequence[Entry]) -> Iterator[CaptionedFigure]:
    """Stacked bars of correct and lost shares, a figure for every dataset whose results hold errors by cause."""
    datasets = datasets_of([entry for entry in entries if has_errors([entry])])
    for dataset in datasets:
        drawn = _figure(dataset, [entry for entry in entries if entry.dataset == dataset], is_only=len(datasets) == 1)
        if drawn:
            yield drawn


def _figure(dataset: str, entries: Sequence[Entry], *, is_only: bool) -> CaptionedFigure | None:
    """A bar for every method with a defined hIoU; the caption names the others. None if no method has one."""
    rows = group_rows(entries, mixed="mark")
    bars = [bar for row in rows if (bar := _shares(row.entries[0].name, row.groups[dataset]))]
    if not bars:
        return None
    absent = [name for row in rows if (name := row.entries[0].name) not in {bar.label for bar in bars}]
    absent_words = f" Not drawn, for want of hIoU: {', '.join(absent)}." if absent else ""
    seeds = " Mean over seeds." if len({entry.row.seed for entry in entries}) > 1 else ""
    caption = (
        f"Errors by cause on {dataset}: {PARTS_WORDS}. Locating: shares of all targets and components, matched pairs "
        f"once. Segmenting: shares of a matched pair's union, mean over pairs. hIoU: the product of both IoU.{seeds}"
        f"{absent_words} {rules_words(entries, seeds='seeds')}"
    )
    return CaptionedFigure("errors" if is_only else f"errors-{words_of(dataset)}", errors_figure(bars), caption)


def _shares(label: str, group: Group) -> ErrorShares | None:
    """The shares of a method in percent, mean over seeds; None if its hIoU is undefined."""
    hiou, _ = values_of(group, ERROR_METRICS[0])
    if not hiou:
        return None
    parts = {kind: _parts(group, kind) for kind in PARTS}
    return ErrorShares(label, 100 * statistics.fmean(hiou), parts["loc"], parts["seg"])


def _parts(group: Group, kind: str) -> dict[str, float]:
    values = {head: values_of(group, part(kind, head))[0] for head in PARTS[kind]}
    return {head: 100 * statistics.fmean(found) for head, found in values.items() if found}
