"""The figure of training losses, from the logs of the trainings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from bench.errors import StoreError
from bench.models.published_curves import STRETCH
from reports.figures.figure import CaptionedFigure, Drawing, NotDrawn, by_dataset
from reports.plots.curves import LossCurve, loss_figure
from reports.results.entries import Entry, one_line
from reports.results.training_losses import published_for, read_losses, training_of

CAPTION = (
    "Training loss of every epoch, each training once, by test set. Markers: the epoch whose weights were kept. "
    "Losses of different kinds cannot be compared."
)
CAPTION_CHECKED = " Thin: the loss on the list that weights are selected on, where it was evaluated."
CAPTION_PUBLISHED = (
    " Published: BasicIRSTD's logs of 2023 of the same recipe and list, means of ten epochs, at their middle."
)


def loss_figures(entries: Sequence[Entry]) -> Iterator[Drawing]:
    """Training loss over epochs, one curve for every training with a log."""
    panels: dict[str, list[LossCurve]] = {}
    published: dict[str, list[LossCurve]] = {}
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
                theirs = published_curve(entry)
                drawn = published.setdefault(dataset, [])
                if theirs is not None and theirs.label not in [each.label for each in drawn]:
                    drawn.append(theirs)
    if panels:
        caption = CAPTION + (CAPTION_PUBLISHED if any(published.values()) else "")
        caption += CAPTION_CHECKED if any(curve.checked for curves in panels.values() for curve in curves) else ""
        both = {dataset: [*curves, *published[dataset]] for dataset, curves in panels.items()}
        yield CaptionedFigure("loss", loss_figure(both), caption)


def _training_key(entry: Entry) -> str:
    """Key of the training that made an entry's weights; the entry's own key if they were not trained here."""
    training = training_of(entry)
    return training.key if training else entry.row.key


def read_loss(entry: Entry) -> LossCurve | None:
    """Read the losses of training and selection list by epoch; None for weights not trained here or without a log.

    Raises:
        StoreError: if the log is broken.
    """
    log = read_losses(entry)
    kept = entry.result.best_epoch if entry.result else 0
    return LossCurve(entry.row.label, log.epochs, log.losses, kept or None, log.checked) if log else None


def published_curve(entry: Entry) -> LossCurve | None:
    """The published curve of an entry's training, as far as its epochs go; None without one."""
    training, found = training_of(entry), published_for(entry)
    if training is None or found is None:
        return None
    reached = [epoch <= training.recipe.epochs for epoch in found.epochs]
    middles = np.array(found.epochs) - (STRETCH - 1) / 2
    epochs, losses = (column[reached] for column in (middles, np.array(found.losses)))
    return LossCurve(f"{training.model}, published", epochs, losses) if any(reached) else None
