"""Figures of ablations: how far each variant of a network is from the full one after every feedback round."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from bench.metrics.registry import MetricInfo
from reports.columns import metrics_shown
from reports.figures.feedback import mean_by_round
from reports.figures.figure import CaptionedFigure, rules_words, words_of
from reports.plots.curves import Curve
from reports.plots.variants import variants_figure
from reports.results.entries import Entry
from reports.results.groups import Group
from reports.tables.ablation import Family, families, variants_of


def variant_figures(entries: Sequence[Entry]) -> Iterator[CaptionedFigure]:
    """The ablations of networks with feedback, each beside the full network."""
    metric = metrics_shown(entry.scored.scores for entry in entries if entry.scored)[0]
    for number, (family, panels) in enumerate(variant_panels(entries, metric)):
        figure = variants_figure(panels, y=f"{metric.head} difference ({metric.unit_text})")
        shown = [entry for row in family.rows if row.label in (*panels, family.label) for entry in row.entries]
        caption = (
            f"{metric.head} of each ablation less that of {family.label} after the same feedback round, "
            f"on the same axes. {rules_words(shown, seeds='mean over seeds')}"
        )
        yield CaptionedFigure("rounds-ablation" + (f"-{words_of(family.model)}" if number else ""), figure, caption)


def variant_panels(entries: Sequence[Entry], metric: MetricInfo) -> Iterator[tuple[Family, dict[str, list[Curve]]]]:
    """Per family, variant to its curves of differences to the full network, labelled with datasets."""
    for family in families(entries, mixed="mark"):
        panels: dict[str, list[Curve]] = {}
        for row in family.rows:
            for dataset, group in row.groups.items():
                full = family.full_group(group, dataset)
                curve = _difference(dataset, group, full, metric) if full else None
                if row.label in variants_of(family) and curve is not None and group.is_rival:
                    panels.setdefault(row.label, []).append(curve)
        if panels:
            yield family, panels


def _difference(dataset: str, group: Group, full: Group, metric: MetricInfo) -> Curve | None:
    ours, theirs = mean_by_round(group, metric), mean_by_round(full, metric)
    if ours is None or theirs is None or (count := min(len(ours), len(theirs))) < 2:
        return None
    return Curve(dataset, np.arange(1.0, count + 1), ours[:count] - theirs[:count])
