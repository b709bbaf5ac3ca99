"""Training losses of finished results, and the published losses of the same trainings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.models.published_curves import PublishedLosses, published_losses
from bench.protocols.recipes import RECIPES
from bench.store.files import read_log
from bench.types import Training
from reports.results.entries import Entry

SAME = ("optimiser", "lr", "schedule", "milestones", "gamma", "batch", "loss", "augmentation", "patch", "positive_crop")
"""Fields of a recipe that have to be BasicIRSTD's, so that its curve is one of the same training."""


@dataclass(frozen=True)
class LossLog:
    """The loss of a training.

    Attributes:
        epochs: (E,), whole numbers from 1.
        losses: (E,), mean over the batches of each epoch.
        checked: epochs (C,) and the losses (C,) of the list that weights are selected on; None where it had none.
    """

    epochs: NDArray[np.float64]
    losses: NDArray[np.float64]
    checked: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None

    def mean_until(self, epoch: int, stretch: int) -> float | None:
        """Mean of the `stretch` epochs that end with `epoch`; None if the log does not hold all of them."""
        chosen = (self.epochs > epoch - stretch) & (self.epochs <= epoch)
        return float(self.losses[chosen].mean()) if np.count_nonzero(chosen) == stretch else None


def training_of(entry: Entry) -> Training | None:
    """The training whose weights an entry has; None without a result, and for weights that were not trained here."""
    weights = entry.result.experiment.weights if entry.result else None
    return weights if isinstance(weights, Training) else None


def read_losses(entry: Entry) -> LossLog | None:
    """Read the training loss of every epoch; None for weights not trained here or without a log.

    Raises:
        StoreError: if the log is broken.
    """
    training = training_of(entry)
    path = entry.folder.parent / "trainings" / training.key / "log.jsonl" if training else None
    if path is None or not path.is_file():
        return None
    records = read_log(path)
    if not records:
        return None
    found = [record for record in records if "selection_loss" in record]
    checked = (_column(found, "epoch"), _column(found, "selection_loss")) if found else None
    return LossLog(_column(records, "epoch"), _column(records, "loss"), checked)


def _column(records: Sequence[Mapping[str, float]], name: str) -> NDArray[np.float64]:
    return np.array([record[name] for record in records], np.float64)


def published_for(entry: Entry) -> PublishedLosses | None:
    """The published loss of the same training: same network, list and recipe but for the epochs; None without one."""
    training = training_of(entry)
    if training is None or training.images.split != "basicirstd" or training.images.limit:
        return None
    theirs = RECIPES.get("basicirstd")
    if any(getattr(training.recipe, name) != getattr(theirs, name) for name in SAME):
        return None
    return published_losses(training.model, training.images.dataset)
