"""Training losses that were published for trainings of BasicIRSTD, to be drawn beside those made here.

`published/curves/` has them as they were logged: the mean over each ten epochs. A network with several outputs sums or
averages over them as its code does, so that a level says less than a shape.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from bench.models.published_numbers import FOLDER

CURVES = FOLDER / "curves/basicirstd_loss_curves_2023.csv"
STRETCH = 10
"""Epochs that a published loss is the mean of."""

OUR_NAMES = {"UIUNet": "UIU-Net", "IRSTD-1K": "IRSTD-1k"}


@dataclass(frozen=True)
class PublishedLosses:
    """The loss of a training.

    Attributes:
        epochs: last one of each stretch.
        losses: mean over the epochs of each stretch.
    """

    epochs: tuple[int, ...]
    losses: tuple[float, ...]


def published_losses(model: str, dataset: str) -> PublishedLosses | None:
    """The published loss of a model's training on a dataset by the recipe and lists `basicirstd`; None without one."""
    return _curves().get((model, dataset))


@cache
def _curves() -> Mapping[tuple[str, str], PublishedLosses]:
    points: dict[tuple[str, str], list[tuple[int, float]]] = defaultdict(list)
    with CURVES.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            model, dataset = (OUR_NAMES.get(row[name], row[name]) for name in ("method", "dataset"))
            points[model, dataset].append((int(row["epoch"]), float(row["loss_mean_of_10_epochs"])))
    return {
        key: PublishedLosses(*(tuple(column) for column in zip(*sorted(found), strict=True)))
        for key, found in points.items()
    }
