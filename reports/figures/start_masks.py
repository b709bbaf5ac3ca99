"""Figures of one network from several first feedback masks."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from bench.errors import StoreError
from bench.metrics.registry import MetricInfo
from bench.types import Experiment
from reports.columns import metrics_shown
from reports.figures.feedback import mean_by_round
from reports.figures.figure import CaptionedFigure, Drawing, NotDrawn, rules_words, words_of
from reports.plots.start_masks import StartCurve, starts_figure
from reports.results.entries import STARTS, Entry, one_line, same_but_seed
from reports.results.groups import Group
from reports.results.mask_changes import MaskChanges, read_changes


def start_figures(entries: Sequence[Entry]) -> Iterator[Drawing]:
    """A figure for every network that was run from several first masks."""
    metric = metrics_shown(entry.scored.scores for entry in entries if entry.scored)[0]
    try:
        for number, (members, panels) in enumerate(start_panels(entries, metric)):
            model = members[0].row.model
            unknown = any(curve.x[0] > 0 for curves in panels.values() for curve in curves)
            caption = (
                f"{metric.head} of {model} from different first feedback masks; round 0 is the mask itself"
                f"{', where it is stored' if unknown else ''}. {rules_words(members, seeds='mean over seeds')}"
            )
            figure = starts_figure(panels, y=f"{metric.head} ({metric.unit_text})")
            yield CaptionedFigure("start-masks" + (f"-{words_of(model)}" if number else ""), figure, caption)
    except StoreError as error:
        yield NotDrawn(f"a figure of feedback is not drawn: {one_line(str(error))}")


def start_panels(
    entries: Sequence[Entry], metric: MetricInfo
) -> Iterator[tuple[list[Entry], dict[str, list[StartCurve]]]]:
    """Per network run from several first masks: its entries, and a curve for each mask by dataset, mean over seeds.

    Raises:
        StoreError: if a file is broken.
    """
    networks: dict[tuple[str, str], dict[Experiment, list[Entry]]] = {}
    for entry in entries:
        if entry.scored and len(entry.scored.rounds) > 1 and entry.scored.experiment.start in STARTS:
            alike = replace(same_but_seed(entry.scored.experiment), start="otsu")
            network = (alike.model, str(alike.weights.config))
            networks.setdefault(network, {}).setdefault(alike, []).append(entry)
    for sets in networks.values():
        several = [members for members in sets.values() if len({_start(entry) for entry in members}) > 1]
        panels: dict[str, list[StartCurve]] = {}
        for members in several:
            for start in dict.fromkeys(map(_start, members)):
                mine = Group(tuple(entry for entry in members if _start(entry) == start))
                if (curve := _start_curve(start, mine, metric)) is not None:
                    panels.setdefault(members[0].dataset, []).append(curve)
        if panels:
            yield [entry for members in several for entry in members], panels


def _start(entry: Entry) -> str:
    return entry.scored.experiment.start if entry.scored else ""


def _start_curve(start: str, group: Group, metric: MetricInfo) -> StartCurve | None:
    values = mean_by_round(group, metric)
    if values is None:
        return None
    own = _first_value(group, metric)
    if own is None:
        return StartCurve(start, np.arange(1.0, len(values) + 1), values)
    return StartCurve(start, np.arange(0.0, len(values) + 1), np.append(own, values))


def _first_value(group: Group, metric: MetricInfo) -> float | None:
    """IoU of the first mask itself as printed, mean over seeds; None if it is not stored."""
    changes: list[MaskChanges] = [found for entry in group.scored if (found := read_changes(entry))]
    known = [iou for found in changes if (iou := found.start_iou) is not None]
    return statistics.fmean(known) * metric.factor if known else None
