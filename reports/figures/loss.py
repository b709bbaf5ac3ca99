"""The figure of training losses, from the logs of the trainings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from bench.errors import StoreError
from bench.store.files import read_log
from bench.types import Training
from reports.figures.figure import CaptionedFigure, Drawing, NotDrawn, by_dataset
from reports.plots.curves import LossCurve, loss_figure
from reports.results.entries import Entry, one_line

CAPTION = (
    "Training loss of every epoch, each training once, by test set. Markers: the epoch whose weights were kept. "
    "Losses of different kinds cannot be compared."
)


def loss_figures(entries: Sequence[Entry]) -> Iterator[Drawing]:
    """Training loss over epochs, one curve for every training with a log."""
    panels: dict[str, list[LossCurve]] = {}
    seen: set[tuple[str, str]] = set()
    for dataset, members in by_dataset(entries).items():
        for entry in members:
            training = (dataset, _training_key(entry))
            if training in seen:
                continue
            seen.add(training)
            try:
                curve = read_loss(entry)
            except StoreError as error:
                yield NotDrawn(f"no training curve drawn: {one_line(str(error))}")
                continue
            if curve is not None:
                panels.setdefault(dataset, []).append(curve)
    if panels:
        yield CaptionedFigure("loss", loss_figure(panels), CAPTION)


def _training_key(entry: Entry) -> str:
    """Key of the training that made an entry's weights; the entry's own key if they were not trained here."""
    weights = entry.result.experiment.weights if entry.result else None
    return weights.key if isinstance(weights, Training) else entry.row.key


def read_loss(entry: Entry) -> LossCurve | None:
    """Read the training loss of every epoch; None for weights not trained here or without a log.

    Raises:
        StoreError: if the log is broken.
    """
    weights = entry.result.experiment.weights if entry.result else None
    if not isinstance(weights, Training):
        return None
    path = entry.folder.parent / "trainings" / weights.key / "log.jsonl"
    if not path.is_file():
        return None
    records = read_log(path)
    kept = entry.result.best_epoch if entry.result else 0
    epochs, losses = (np.array([record[name] for record in records]) for name in ("epoch", "loss"))
    return LossCurve(entry.row.label, epochs, losses, kept or None) if records else None
