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
    LOWEST_RATE,
    Curve,
    iou_figure,
    pd_fa_figure,
    precision_recall_figure,
    roc_figure,
)
from reports.results.entries import Entry, one_line

BENDS = 201
"""Points added to the sides of a ROC polygon: 33 per decade."""

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
    yield CaptionedFigure("roc", roc_figure(panels(roc_curve)), f"ROC of pixels. {rules}")
    figure = precision_recall_figure(panels(precision_recall_curve))
    yield CaptionedFigure("precision-recall", figure, f"Precision and recall of pixels. {rules}")
    if all(entry.row.scoring.ground_truth == "binary" for some in counted.values() for entry, _ in some):
        words = "Pooled IoU over the threshold of probability: how far a method depends on that of its scoring."
        yield CaptionedFigure("iou-threshold", iou_figure(panels(iou_curve)), f"{words} {rules}")
    words = "Detection of targets against false alarms at every threshold, from the highest level on."
    yield CaptionedFigure("pd-fa", pd_fa_figure(panels(pd_fa_curve)), f"{words} {rules}")


def read_curves(entry: Entry) -> CurveCounts:
    """Read the curve counts of an entry.

    Raises:
        StoreError: if they are missing or broken.
    """
    return read_stored(entry, "curves.npz", lambda arrays: CurveCounts.from_arrays(arrays, entry.row.scoring))


def roc_curve(label: str, counts: CurveCounts, scoring: Scoring) -> Curve:
    """The ROC curve with its point at the scoring's threshold."""
    found = roc(counts)
    above = threshold_level(scoring.threshold) + 1
    true, false = counts.target_levels, counts.other_levels
    at = (_share(false[above:], false), _share(true[above:], true))
    keep = thin(np.log10(np.maximum(found.fpr, LOWEST_RATE)) / -np.log10(LOWEST_RATE), found.tpr)
    fpr, tpr = bent(found.fpr[keep], found.tpr[keep])
    return Curve(label, fpr, tpr, at=_known(at))


def bent(fpr: FloatArray, tpr: FloatArray) -> tuple[FloatArray, FloatArray]:
    """A ROC polygon with points put into its sides, which are straight over the rate and bent over its logarithm.

    Args:
        fpr, tpr: (K,) rates, neither ever falling.

    >>> x, y = bent(np.array([0.0, 1.0]), np.array([0.0, 1.0]))
    >>> bool(np.allclose(x, y)), len(x)
    (True, 202)
    """
    between = np.setdiff1d(np.geomspace(LOWEST_RATE, 1.0, BENDS), fpr)
    x, y = np.concatenate([fpr, between]), np.concatenate([tpr, np.interp(between, fpr, tpr)])
    order = np.lexsort((y, x))
    return x[order], y[order]


def precision_recall_curve(label: str, counts: CurveCounts, scoring: Scoring) -> Curve:
    """Precision over recall with the point at the scoring's threshold."""
    found = precision_recall(counts)
    above = threshold_level(scoring.threshold) + 1
    true, false = counts.target_levels, counts.other_levels
    hits, alarms = int(true[above:].sum()), int(false[above:].sum())
    at = (_share(true[above:], true), hits / (hits + alarms) if hits + alarms else float("nan"))
    keep = thin(found.recall, found.precision)
    return Curve(label, found.recall[keep], found.precision[keep], at=_known(at))


def iou_curve(label: str, counts: CurveCounts, scoring: Scoring) -> Curve:
    """Pooled IoU over the threshold, at every one that makes a difference, with the point at the scoring's."""
    levels = levels_used(counts)
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
    fa, pd = found.fa[1:], found.pd[1:]
    keep = thin(np.log10(np.maximum(fa, LOWEST_RATE)) / -np.log10(LOWEST_RATE), pd)
    return Curve(label, fa[keep], pd[keep], at=_known(pd_fa_at(counts, scoring.threshold)))


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
