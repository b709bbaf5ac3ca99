"""What figures are drawn from: the curves, examples and logs beside a suite's results."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from bench.errors import StoreError
from bench.metrics.counting.levels import LEVELS, threshold_level
from bench.metrics.curves import CurveCounts, levels_used, pd_fa, pd_fa_at, pooled_iou, precision_recall, roc
from bench.metrics.distances import DistanceTable, pd_fa_by_distance
from bench.store.files import Arrays, load_arrays
from bench.types import Scoring, Training
from reports.plots.curves import LOWEST_RATE, Curve, FloatArray, LossCurve
from reports.plots.examples import Picture, read_pictures
from reports.plots.rounds import Panel
from reports.results.entries import Entry

Counted = TypeVar("Counted")

BENDS = 201
"""Points put into the sides of a ROC polygon: 33 a decade."""

RESOLUTION = 2000
"""Steps of a 3.5 inch axis that a reader can tell apart, generously."""


def read_curves(entry: Entry) -> CurveCounts:
    """The curve counts of an entry.

    Raises:
        StoreError: when there are none, or they are broken.
    """
    return _read(entry, "curves.npz", lambda arrays: CurveCounts.from_arrays(arrays, entry.row.scoring))


def _read(entry: Entry, name: str, make: Callable[[Arrays], Counted]) -> Counted:
    """What a file of an entry is made into; what is wrong with it becomes a `StoreError` that names the entry."""
    try:
        return make(load_arrays(entry.folder / name))
    except ValueError as error:
        raise StoreError(f"{entry.row.label} on {entry.dataset}: {name_without_folder(error, entry)}") from None


def name_without_folder(error: Exception, entry: Entry) -> str:
    """The error's sentence with the run's folder named by its key, so that no report holds a machine's paths."""
    return str(error).replace(str(entry.folder), entry.row.key)


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


def distance_panels(entries: Sequence[Entry]) -> list[Panel]:
    """Pd and Fa over the distance at which a target counts as found, dataset by dataset, of all entries that have it.

    Raises:
        StoreError: when a file is broken.
    """
    panels = []
    for dataset, members in by_dataset(entries).items():
        found = [(entry, read) for entry in members if (read := read_distances(entry)) is not None]
        curves = {
            head: tuple(
                Curve(entry.name, read.distances.astype(float), scale * getattr(pd_fa_by_distance(read), head))
                for entry, read in found
            )
            for head, scale in (("pd", 1e2), ("fa", 1e6))
        }
        if found:
            panels.append(Panel(dataset, "Pd (×10⁻²)", curves["pd"], ceiling=100.0))
            panels.append(Panel(dataset, "Fa (×10⁻⁶)", curves["fa"], is_logarithmic=True))
    return panels


def read_distances(entry: Entry) -> DistanceTable | None:
    """The counts of an entry at every distance; None where it stored none.

    Raises:
        StoreError: when the file is broken.
    """
    is_there = (entry.folder / "distances.npz").is_file()
    return _read(entry, "distances.npz", DistanceTable.from_arrays) if is_there else None


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


def training_key(entry: Entry) -> str:
    """The key of the training that made an entry's weights; of its own where it was not trained here."""
    weights = entry.result.experiment.weights if entry.result else None
    return weights.key if isinstance(weights, Training) else entry.row.key


def read_loss(entry: Entry) -> LossCurve | None:
    """The training loss of every epoch; None where nothing was trained here or no log is left.

    Raises:
        StoreError: when the log is broken.
    """
    weights = entry.result.experiment.weights if entry.result else None
    if not isinstance(weights, Training):
        return None
    path = entry.folder.parent / "trainings" / weights.key / "log.jsonl"
    if not path.is_file():
        return None
    records = [_record(path, number, line) for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)]
    kept = entry.result.best_epoch if entry.result else 0
    epochs, losses = (np.array([record[name] for record in records], dtype=float) for name in ("epoch", "loss"))
    return LossCurve(entry.row.label, epochs, losses, kept or None) if records else None


def _record(path: Path, number: int, line: str) -> Mapping[str, float]:
    try:
        record = json.loads(line)
        return {name: float(record[name]) for name in ("epoch", "loss")}
    except (ValueError, KeyError, TypeError):
        raise StoreError(
            f"{path.parent.name}/{path.name}, line {number}: expected an object with epoch and loss; train again"
        ) from None


def read_examples(entry: Entry) -> tuple[Picture, ...]:
    """The pictures of an entry; none where it stored none.

    Raises:
        StoreError: when the file is broken.
    """
    path = entry.folder / "examples.npz"
    if not path.is_file():
        return ()
    try:
        return read_pictures(load_arrays(path))
    except KeyError as error:
        raise StoreError(f"{entry.row.key}/examples.npz: no array {error}; run the suite again") from None


def by_dataset(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    """The entries with scores, dataset by dataset."""
    panels: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.scored:
            panels.setdefault(entry.dataset, []).append(entry)
    return panels
