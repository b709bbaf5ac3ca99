"""The figure of training losses, from the logs of the trainings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from bench.errors import StoreError
from bench.models.published_curves import STRETCH, published_losses
from bench.protocols.recipes import RECIPES
from bench.store.files import read_log
from bench.types import Training
from reports.figures.figure import CaptionedFigure, Drawing, NotDrawn, by_dataset
from reports.plots.curves import LossCurve, loss_figure
from reports.results.entries import Entry, one_line

CAPTION = (
    "Training loss of every epoch, each training once, by test set. Markers: the epoch whose weights were kept. "
    "Losses of different kinds cannot be compared."
)
CAPTION_CHECKED = " Thin: the loss on the list that weights are selected on, where it was evaluated."
CAPTION_PUBLISHED = (
    " Published: BasicIRSTD's logs of 2023 of the same recipe and list, means of ten epochs, at their middle."
)
SAME = ("optimiser", "lr", "schedule", "milestones", "gamma", "batch", "loss", "augmentation", "patch", "positive_crop")
"""Fields of a recipe that have to be BasicIRSTD's, so that its curve is one of the same training."""


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
    weights = entry.result.experiment.weights if entry.result else None
    return weights.key if isinstance(weights, Training) else entry.row.key


def read_loss(entry: Entry) -> LossCurve | None:
    """Read the losses of training and selection list by epoch; None for weights not trained here or without a log.

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
    checked = [(record["epoch"], record["selection_loss"]) for record in records if "selection_loss" in record]
    evaluated = (np.array(checked).T[0], np.array(checked).T[1]) if checked else None
    return LossCurve(entry.row.label, epochs, losses, kept or None, evaluated) if records else None


def published_curve(entry: Entry) -> LossCurve | None:
    """The published curve of an entry's training, as far as its epochs go; None without one."""
    training = entry.result.experiment.weights if entry.result else None
    if not isinstance(training, Training) or training.images.split != "basicirstd" or training.images.limit:
        return None
    theirs = RECIPES.get("basicirstd")
    if any(getattr(training.recipe, name) != getattr(theirs, name) for name in SAME):
        return None
    found = published_losses(training.model, training.images.dataset)
    if found is None:
        return None
    reached = [epoch <= training.recipe.epochs for epoch in found.epochs]
    middles = np.array(found.epochs) - (STRETCH - 1) / 2
    epochs, losses = (column[reached] for column in (middles, np.array(found.losses)))
    return LossCurve(f"{training.model}, published", epochs, losses) if any(reached) else None
