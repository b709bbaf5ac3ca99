"""Figures of feedback rounds: metrics after every round, and how much each round changes the masks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from bench.arrays import FloatArray
from bench.errors import StoreError
from bench.metrics.registry import MetricInfo
from reports.columns import metrics_shown
from reports.figures.figure import CaptionedFigure, Drawing, NotDrawn, by_dataset, rules_words
from reports.figures.select import with_feedback
from reports.plots.curves import Curve
from reports.plots.rounds import CurvePanel, rounds_figure
from reports.results.entries import Entry, one_line
from reports.results.groups import Group
from reports.results.mask_changes import read_changes
from reports.tables.rounds import ROLES


def feedback_figures(entries: Sequence[Entry]) -> Iterator[Drawing]:
    """Metrics and mask changes over feedback rounds, if any method has more than one."""
    shown = with_feedback(entries)
    metrics = [m for m in metrics_shown(e.scored.scores for e in entries if e.scored) if m.family in ROLES]
    if panels := metric_panels(shown.entries, metrics):
        heads = ", ".join(metric.head for metric in metrics)
        sentences = [f"{heads} after every feedback round.", shown.left_out, rules_words(shown.entries)]
        figure = rounds_figure(panels, most=len(metrics))
        yield CaptionedFigure("rounds", figure, " ".join(filter(None, sentences)))
    try:
        panels = change_panels(shown.entries)
    except StoreError as error:
        yield NotDrawn(f"a figure of feedback is not drawn: {one_line(str(error))}")
        return
    if panels:
        sentences = [
            "Left: pixels in which the binary mask differs from the round before, mean over images; zero lies in the "
            "grey strip. Right: images whose mask no later round changes.",
            shown.left_out,
            rules_words(shown.entries),
        ]
        yield CaptionedFigure("mask-changes", rounds_figure(panels, most=2), " ".join(filter(None, sentences)))


def metric_panels(entries: Sequence[Entry], metrics: Sequence[MetricInfo]) -> list[CurvePanel]:
    """A panel for each dataset and metric, with a curve for each seed of each method."""
    panels = []
    for dataset, members in by_dataset(entries).items():
        for metric in metrics:
            curves = tuple(curve for entry in members if (curve := rounds_curve(entry, metric)))
            if curves:
                ceiling = metric.factor if metric.better == "higher" else math.inf
                panels.append(CurvePanel(dataset, f"{metric.head} ({metric.unit_text})", curves, ceiling=ceiling))
    return panels


def rounds_curve(entry: Entry, metric: MetricInfo) -> Curve | None:
    """The metric after every feedback round, as printed; None if a round has no value."""
    values = values_by_round(entry, metric)
    return None if values is None else Curve(entry.name, np.arange(1.0, len(values) + 1), values)


def values_by_round(entry: Entry, metric: MetricInfo) -> FloatArray | None:
    """The metric after every feedback round, as printed; None if a round has no value."""
    rounds = entry.scored.rounds if entry.scored else ()
    scores = [metric.score_in(scores) for scores in rounds]
    values = [score.value for score in scores if score is not None and score.value is not None]
    return np.array(values) * metric.factor if rounds and len(values) == len(rounds) else None


def mean_by_round(group: Group, metric: MetricInfo) -> FloatArray | None:
    """The metric after every feedback round, mean over seeds; None if no seed has it."""
    found = [values for entry in group.scored if (values := values_by_round(entry, metric)) is not None]
    return np.asarray(np.mean(found, axis=0)) if found else None


def change_panels(entries: Sequence[Entry]) -> list[CurvePanel]:
    """Two panels for each dataset: pixels that a round changed, and images whose mask no later round changes.

    Raises:
        StoreError: if a file is broken.
    """
    panels = []
    for dataset, members in by_dataset(entries).items():
        known = [(e.name, c) for e in members if (c := read_changes(e)) and len(c.changed)]
        if known:
            changed = tuple(Curve(name, np.arange(2.0, len(c.changed) + 2), c.by_step) for name, c in known)
            settled = tuple(Curve(name, np.arange(1.0, len(c.changed) + 1), 100 * c.unchanged) for name, c in known)
            panels.append(CurvePanel(dataset, "Changed pixels an image", changed, is_logarithmic=True))
            panels.append(CurvePanel(dataset, "Images settled (×10⁻²)", settled, ceiling=100.0))
    return panels
