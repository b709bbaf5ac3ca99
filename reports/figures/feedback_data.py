"""What the figures of feedback are drawn from: results round by round, and how their masks changed."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from bench.types import Experiment
from reports.columns import Metric
from reports.figures.curve_data import by_dataset
from reports.plots.curves import Curve, FloatArray
from reports.plots.rounds import Panel
from reports.plots.start_masks import StartCurve
from reports.render.csv_markdown import UNITS
from reports.results.entries import STARTS, Entry, same_but_seed
from reports.results.groups import Group
from reports.results.mask_changes import MaskChanges, read_changes
from reports.tables.ablation import Family, families, variants_of


def metric_panels(entries: Sequence[Entry], metrics: Sequence[Metric]) -> list[Panel]:
    """A panel a dataset and metric, with a curve for each seed of each method."""
    panels = []
    for dataset, members in by_dataset(entries).items():
        for metric in metrics:
            curves = tuple(curve for entry in members if (curve := rounds_curve(entry, metric)))
            if curves:
                ceiling = metric.scale if metric.better == "higher" else math.inf
                panels.append(Panel(dataset, f"{metric.head} ({UNITS[metric.unit]})", curves, ceiling=ceiling))
    return panels


def rounds_curve(entry: Entry, metric: Metric) -> Curve | None:
    """The metric after every feedback round, as printed; None where a round has no value."""
    values = _values(entry, metric)
    return None if values is None else Curve(entry.name, np.arange(1.0, len(values) + 1), values)


def _values(entry: Entry, metric: Metric) -> FloatArray | None:
    rounds = entry.scored.rounds if entry.scored else ()
    scores = [metric.score(scores) for scores in rounds]
    values = [score.value for score in scores if score is not None and score.value is not None]
    return np.array(values) * metric.scale if rounds and len(values) == len(rounds) else None


def change_panels(entries: Sequence[Entry]) -> list[Panel]:
    """Two panels a dataset: pixels that a round changed, and images whose mask no later round changes.

    Raises:
        StoreError: when a file is broken.
    """
    panels = []
    for dataset, members in by_dataset(entries).items():
        known = [(e.name, c) for e in members if (c := read_changes(e)) and len(c.changed)]
        if known:
            changed = tuple(Curve(name, np.arange(2.0, len(c.changed) + 2), c.by_step) for name, c in known)
            settled = tuple(Curve(name, np.arange(1.0, len(c.changed) + 1), 100 * c.unchanged) for name, c in known)
            panels.append(Panel(dataset, "Changed pixels an image", changed, is_logarithmic=True))
            panels.append(Panel(dataset, "Images settled (×10⁻²)", settled, ceiling=100.0))
    return panels


def variant_panels(entries: Sequence[Entry], metric: Metric) -> Iterator[tuple[Family, dict[str, list[Curve]]]]:
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


def _difference(dataset: str, group: Group, full: Group, metric: Metric) -> Curve | None:
    ours, theirs = _mean(group, metric), _mean(full, metric)
    if ours is None or theirs is None or (count := min(len(ours), len(theirs))) < 2:
        return None
    return Curve(dataset, np.arange(1.0, count + 1), ours[:count] - theirs[:count])


def _mean(group: Group, metric: Metric) -> FloatArray | None:
    """The metric after every round, mean over seeds; None where no seed has it."""
    found = [values for entry in group.scored if (values := _values(entry, metric)) is not None]
    return np.asarray(np.mean(found, axis=0)) if found else None


def start_panels(entries: Sequence[Entry], metric: Metric) -> Iterator[tuple[list[Entry], dict[str, list[StartCurve]]]]:
    """Per network that was run from several first masks: its entries, and by dataset a curve a mask, mean over seeds.

    Raises:
        StoreError: when a file is broken.
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


def _start_curve(start: str, group: Group, metric: Metric) -> StartCurve | None:
    values = _mean(group, metric)
    if values is None:
        return None
    own = _first_value(group, metric)
    if own is None:
        return StartCurve(start, np.arange(1.0, len(values) + 1), values)
    return StartCurve(start, np.arange(0.0, len(values) + 1), np.append(own, values))


def _first_value(group: Group, metric: Metric) -> float | None:
    """IoU of the first mask itself as printed, mean over seeds; None where it is not known."""
    changes: list[MaskChanges] = [found for entry in group.scored if (found := read_changes(entry))]
    known = [iou for found in changes if (iou := found.start_iou) is not None]
    return statistics.fmean(known) * metric.scale if known else None
