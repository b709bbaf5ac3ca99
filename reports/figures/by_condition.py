"""Figures of matrices: methods by kind and level of corruption, and by training and test set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from bench.arrays import FloatArray
from bench.data.images.corruptions import SEVERITIES
from bench.metrics.registry import MetricInfo
from bench.types import Mixed
from reports.figures.figure import CaptionedFigure, rules_words, words_of
from reports.figures.select import MOST
from reports.plots.heatmap import HeatMap, Scale, heatmap_figure
from reports.plots.levels import levels_figure
from reports.results.entries import Entry
from reports.results.groups import datasets_of
from reports.tables.by_condition import (
    CorruptedRow,
    Transferred,
    corrupted_methods,
    kind_title,
    kinds_of,
    matrix_metrics,
    mean_of,
    transferred_methods,
)

SHOWN = 9
"""Most heat maps on one page."""

SEEDS = "mean over seeds"


def matrix_figures(entries: Sequence[Entry], *, mixed: Mixed = "refuse") -> Iterator[CaptionedFigure]:
    """Heat maps and curves of corrupted images per dataset, and heat maps of transfer between datasets.

    Raises:
        MixedRulesError, TableError: as the comparison table does.
    """
    for dataset, methods in corrupted_methods(entries, mixed=mixed).items():
        scored = _scored(methods)
        metrics = matrix_metrics(scored) if scored else ()
        for metric in metrics:
            yield from _robustness_maps(dataset, methods, metric)
        if metrics:
            yield _level_curves(dataset, methods, metrics[0])
    if transferred := transferred_methods(entries, mixed=mixed):
        yield from _cross_maps(transferred)


def _robustness_maps(dataset: str, methods: Sequence[CorruptedRow], metric: MetricInfo) -> Iterator[CaptionedFigure]:
    """Heat maps of one metric, a panel for each method, on as many pages as the methods need."""
    for number, first in enumerate(range(0, len(methods), SHOWN)):
        shown = methods[first : first + SHOWN]
        entries = _scored(shown) or _scored(methods)
        panels = [_robustness_map(method, metric) for method in shown]
        figure = heatmap_figure(
            panels,
            scale=_scale(metric),
            x="Level",
            y="",
        )
        caption = (
            f"{metric.head} on {dataset} by kind and level of corruption; level 0: clean images. "
            f"One training for all. {_zeros(panels, metric)}{_dashes(shown, metric)}{_rules(entries)}"
        )
        name = f"robustness-{metric.family.lower()}-{words_of(dataset)}"
        yield CaptionedFigure(name + (f"-{number + 1}" if number else ""), figure, caption)


def _robustness_map(method: CorruptedRow, metric: MetricInfo) -> HeatMap:
    kinds = kinds_of(method.names)
    values = np.stack([_course(method, kind, metric) for kind in kinds])
    return HeatMap(method.name, tuple(map(kind_title, kinds)), tuple(map(str, _levels(method))), values)


def _levels(method: CorruptedRow) -> tuple[int, ...]:
    """0 for the clean images, then every level that the suite has of any kind."""
    found = {name.partition("@")[2] for name in method.names}
    return (0, *(level for level in SEVERITIES if str(level) in found))


def _course(method: CorruptedRow, kind: str, metric: MetricInfo) -> FloatArray:
    """(levels,) values of one kind as printed, first that of the clean images; NaN if there is none."""
    groups = [method.under(f"{kind}@{level}") if level else method.clean for level in _levels(method)]
    means = [mean_of(group, metric) for group in groups]
    return np.array([np.nan if mean is None else metric.factor * mean for mean in means])


def _level_curves(dataset: str, methods: Sequence[CorruptedRow], metric: MetricInfo) -> CaptionedFigure:
    """Curves of one metric over the levels, of the first `MOST` methods."""
    shown, others = methods[:MOST], methods[MOST:]
    panels = {
        kind_title(kind): {method.name: _course(method, kind, metric) for method in shown}
        for kind in kinds_of(methods[0].names)
    }
    figure = levels_figure(panels, levels=_levels(methods[0]), y=f"{metric.head} ({metric.unit_text})")
    left_out = f" Not drawn: {', '.join(method.name for method in others)}." if others else ""
    caption = (
        f"{metric.head} on {dataset} over the level of each kind of corruption; level 0: clean images.{left_out} "
        f"{_rules(_scored(methods))}"
    )
    return CaptionedFigure(f"robustness-levels-{words_of(dataset)}", figure, caption)


def _cross_maps(methods: Sequence[Transferred]) -> Iterator[CaptionedFigure]:
    """Heat maps of transfer, a panel for each learning method; frames mark equal training and test sets."""
    learning = [method for method in methods if set(method.lines) != {""}]
    entries = [e for method in learning for row in method.lines.values() for e in row.entries]
    tests, scored = datasets_of(entries), [entry for entry in entries if entry.scored]
    sources = tuple(dict.fromkeys(name for method in learning for name in method.lines if name))
    for metric in matrix_metrics(scored) if scored else ():
        for number, first in enumerate(range(0, len(learning), SHOWN)):
            shown = learning[first : first + SHOWN]
            panels = [_cross_map(method, sources, tests, metric) for method in shown]
            figure = heatmap_figure(
                panels,
                scale=_scale(metric),
                x="Tested on",
                y="Trained on",
                most=max(1, min(4, 9 // max(len(tests), 1))),
            )
            caption = (
                f"{metric.head} of networks trained on one dataset (line) and tested on another (column). Framed: the "
                f"same dataset. A network keeps the normalisation of its training set. "
                f"{_zeros(panels, metric)}{rules_words(scored, seeds=SEEDS)}"
            )
            name = f"cross-{metric.family.lower()}"
            yield CaptionedFigure(name + (f"-{number + 1}" if number else ""), figure, caption)


def _cross_map(method: Transferred, sources: tuple[str, ...], tests: tuple[str, ...], metric: MetricInfo) -> HeatMap:
    means = [[mean_of(method.group(source, tested), metric) for tested in tests] for source in sources]
    values = metric.factor * np.array(means, dtype=float)
    framed = tuple((sources.index(name), tests.index(name)) for name in sources if name in tests)
    return HeatMap(method.name, sources, tests, values, framed)


def _scale(metric: MetricInfo) -> Scale:
    span = None if metric.family == "Fa" else (0.0, 100.0)
    return Scale(f"{metric.head} ({metric.unit_text})", metric.better, span)


def _zeros(panels: Sequence[HeatMap], metric: MetricInfo) -> str:
    """A sentence on the colour of zeros if the scale is logarithmic and a cell is zero; empty otherwise."""
    is_any = any(bool(np.any(panel.values <= 0)) for panel in panels)
    if not is_any or not _scale(metric).is_logarithmic:
        return ""
    return f"{metric.family} of 0, which a logarithmic scale lacks, is painted as the bar's lower end. "


def _scored(methods: Sequence[CorruptedRow]) -> list[Entry]:
    return [entry for method in methods for entry in method.row.entries if entry.scored]


def _rules(entries: Sequence[Entry]) -> str:
    """The caption's words on rules, of the clean images, whose list the corrupted ones share."""
    clean = [entry for entry in entries if not entry.row.corruption]
    return rules_words(clean or entries[:1], seeds=SEEDS)


def _dashes(methods: Sequence[CorruptedRow], metric: MetricInfo) -> str:
    """A sentence with the number of tests without a result; empty if there are none."""
    groups = [g for method in methods for g in (method.clean, *(method.under(name) for name in method.names))]
    missing = sum(mean_of(group, metric) is None for group in groups)
    return f"Dash: no result, of {missing} of {len(groups)} tests. " if missing else ""
