"""Figures over the threshold: ROC, precision-recall, IoU and Pd-Fa, from the stored curve counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.arrays import FloatArray
from bench.errors import StoreError
from bench.metrics.counting.levels import LEVELS, threshold_level
from bench.metrics.curves import CurveCounts, levels_used, pd_fa, pd_fa_at, pooled_iou, precision_recall, roc
from bench.types import Scoring
from reports.figures.figure import CaptionedFigure, Drawing, NotDrawn, by_dataset, read_stored, rules_words
from reports.plots.curves import (
    INNER,
    USEFUL,
    Curve,
    iou_figure,
    pd_fa_figure,
    precision_recall_figure,
    roc_figure,
)
from reports.results.entries import Entry, one_line

LOWEST_RATE = 1e-7
"""Left end of the logarithmic axes along which points are thinned: less than one pixel in a hundred frames."""

ZERO = "Grey strip, if any: rates of zero, which a logarithmic axis lacks."

RESOLUTION = 2000
"""Steps of a 3.5 inch axis that a reader can tell apart, generously."""


def curve_figures(entries: Sequence[Entry]) -> Iterator[Drawing]:
    """ROC, precision-recall, IoU and Pd-Fa curves of all results whose curve counts are stored."""
    counted: dict[str, list[tuple[Entry, CurveCounts]]] = {}
    broken = []
    for dataset, members in by_dataset(entries).items():
        for entry in members:
            if not entry.has_curves:
                yield NotDrawn(f"no curves of {entry.name} on {dataset}: its predictions are masks of 0 and 1")
                continue
            try:
                read = read_curves(entry)
            except StoreError as error:
                broken.append(str(error))
                continue
            counted.setdefault(dataset, []).append((entry, read))
    if broken:
        more = f", and {len(broken) - 1} more" if len(broken) > 1 else ""
        yield NotDrawn(f"no curves drawn for {one_line(broken[0])}{more}")
    if not counted:
        return

    def panels(make: Callable[[str, CurveCounts, Scoring], Curve]) -> dict[str, list[Curve]]:
        return {d: [make(e.name, counts, e.row.scoring) for e, counts in some] for d, some in counted.items()}

    threshold = " and ".join(dict.fromkeys(f"{entry.row.scoring.threshold:g}" for entry in entries))
    rules = f"Markers: operating point at probability > {threshold}. {rules_words(entries)}"
    words = (
        f"ROC of pixels, from the highest level of the maps to the lowest at which not every pixel is predicted. {ZERO}"
    )
    yield CaptionedFigure("roc", roc_figure(panels(roc_curve)), f"{words} {rules}")
    words = (
        "Precision and recall of pixels at every threshold that not every pixel exceeds; cut off where the IoU of a "
        f"curve is below {USEFUL:.0%} of its best."
    )
    figure = precision_recall_figure(panels(precision_recall_curve))
    yield CaptionedFigure("precision-recall", figure, f"{words} {rules}")
    if all(entry.row.scoring.ground_truth == "binary" for some in counted.values() for entry, _ in some):
        words = (
            "Pooled IoU over the threshold of probability: how far a method depends on that of its scoring. The axis "
            f"is fitted to thresholds from {INNER[0]:g} to {INNER[1]:g}."
        )
        yield CaptionedFigure("iou-threshold", iou_figure(panels(iou_curve)), f"{words} {rules}")
    words = (
        f"Detection of targets against false alarms at every threshold, from the highest level on. {ZERO} The axis "
        "ends after the highest Pd of every curve."
    )
    yield CaptionedFigure("pd-fa", pd_fa_figure(panels(pd_fa_curve)), f"{words} {rules}")


def read_curves(entry: Entry) -> CurveCounts:
    """Read the curve counts of an entry.

    Raises:
        StoreError: if they are missing or broken.
    """
    return read_stored(entry, "curves.npz", lambda arrays: CurveCounts.from_arrays(arrays, entry.row.scoring))


def roc_curve(label: str, counts: CurveCounts, scoring: Scoring) -> Curve:
    """The ROC curve from the highest level to the last threshold that not every pixel exceeds, with its point."""
    found = roc(counts)
    above = threshold_level(scoring.threshold) + 1
    true, false = counts.target_levels, counts.other_levels
    at = (_share(false[above:], false), _share(true[above:], true))
    fpr, tpr = found.fpr[1:-1], found.tpr[1:-1]  # the first point is of no threshold, the last of one below all pixels
    keep = thin(np.log10(np.maximum(fpr, LOWEST_RATE)) / -np.log10(LOWEST_RATE), tpr)
    return Curve(label, fpr[keep], tpr[keep], at=_known(at))


def precision_recall_curve(label: str, counts: CurveCounts, scoring: Scoring) -> Curve:
    """Precision over recall with the point at the scoring's threshold."""
    found = precision_recall(counts)
    above = threshold_level(scoring.threshold) + 1
    true, false = counts.target_levels, counts.other_levels
    hits, alarms = int(true[above:].sum()), int(false[above:].sum())
    at = (_share(true[above:], true), hits / (hits + alarms) if hits + alarms else float("nan"))
    recall, precision = found.recall[:-1], found.precision[:-1]  # at the last threshold every pixel is predicted
    keep = thin(recall, precision)
    return Curve(label, recall[keep], precision[keep], at=_known(at))


def iou_curve(label: str, counts: CurveCounts, scoring: Scoring) -> Curve:
    """Pooled IoU over the threshold, at every one that makes a difference, with the point at the scoring's."""
    levels = _choosing(counts, levels_used(counts))
    threshold, iou = levels / LEVELS, pooled_iou(counts, levels)
    keep = thin(threshold, iou)
    at = (scoring.threshold, float(pooled_iou(counts, np.array([threshold_level(scoring.threshold)]))[0]))
    return Curve(label, threshold[keep], iou[keep], at=at)


def pd_fa_curve(label: str, counts: CurveCounts, scoring: Scoring) -> Curve:
    """Pd over Fa at every threshold above which anything is, with the point at the scoring's threshold.

    A map whose highest level is that of many pixels has no threshold between nothing and all of them, so that its curve
    begins there; a line from the origin would show rates that nobody can have.
    """
    found = pd_fa(counts)
    fa, pd = (_choosing(counts, column)[1:] for column in (found.fa, found.pd))
    keep = thin(np.log10(np.maximum(fa, LOWEST_RATE)) / -np.log10(LOWEST_RATE), pd)
    return Curve(label, fa[keep], pd[keep], at=_known(pd_fa_at(counts, scoring.threshold)))


def _choosing(counts: CurveCounts, by_threshold: NDArray[Any]) -> NDArray[Any]:
    """The values by threshold without that of the last one if every pixel of the list is above it."""
    is_all = not counts.target_levels[0] + counts.other_levels[0]
    return by_threshold[:-1] if is_all else by_threshold


def _share(part: NDArray[Any], whole: NDArray[Any]) -> float:
    total = int(whole.sum())
    return int(part.sum()) / total if total else float("nan")


def _known(point: tuple[float, float] | None) -> tuple[float, float] | None:
    return point if point is not None and np.isfinite(point).all() else None


def thin(across: FloatArray, up: FloatArray) -> NDArray[np.int64]:
    """Indices of the points that can be told apart in print: first and last of every run inside one cell of a grid.

    Args:
        across, up: (K,) positions in shares of the axes.

    >>> thin(np.array([0.0, 0.00001, 0.00002, 0.5]), np.array([0.0, 0.0, 0.0, 1.0])).tolist()
    [0, 2, 3]
    """
    cells = np.nan_to_num(np.stack([across, up]) * RESOLUTION).round().astype(np.int64)
    moves = np.any(np.diff(cells, axis=1) != 0, axis=0)
    keep = np.ones(len(across), dtype=bool)
    if len(across) > 2:
        keep[1:-1] = moves[:-1] | moves[1:]
    return np.flatnonzero(keep)
