"""Networks of a few lines, and the records and frames they learn from in tests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench.cost.measure import measure_cost
from bench.data.catalogue.splits import image_list, list_names
from bench.data.images.frames import Frames, open_frames
from bench.models.detector import Detector, Grey, ScoreMap
from bench.models.network import MODELS, Batch, Loss, ModelEntry, Segmenter, find_models
from bench.suites.expand import Job, expand
from bench.suites.suite import Limit, load_suite
from bench.training.running_loss import RunningLoss
from bench.types import Input, ModelInfo, Recipe, Selection, Training, freeze_config

INPUT = Input("pillow-grey", 1, mean=91.4875, std=18.10938, multiple=32)
RECIPE = Recipe("adam", lr=1e-3, epochs=4, batch=3, loss="soft-iou", augmentation="basicirstd", patch=32)
FIT, HELD_OUT, TEST = 6, 3, 3
"""Images of the lists in tests."""


class Dot(Segmenter):
    """A 1x1 convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 1, 1)

    def forward(self, image: Tensor, start: Tensor | None = None) -> Tensor:
        logits: Tensor = self.conv(image)
        return logits


class Echo(Segmenter):
    """A 1x1 convolution of image and last mask, with dropout: needs a start, has rounds, draws random numbers."""

    needs_start = True
    default_rounds = 3

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels + 1, 1, 1)
        self.drop = nn.Dropout(0.5)

    def forward(self, image: Tensor, start: Tensor | None = None) -> Tensor:
        *_, logits = islice(self.rounds(image, start), self.default_rounds)
        return logits

    def rounds(self, image: Tensor, start: Tensor | None = None) -> Iterator[Tensor]:
        assert start is not None
        mask = start
        while True:
            logits: Tensor = self.conv(self.drop(torch.cat([image, mask], 1)))
            yield logits
            mask = torch.sigmoid(logits)

    def training_loss(self, batch: Batch, loss: Loss, *, epoch: int) -> Tensor:
        return loss(next(self.rounds(batch.image, batch.start)), batch.mask)


class Parrot(Segmenter):
    """Says its last mask again, turned over left and right; needs a start, has rounds."""

    needs_start = True
    default_rounds = 3

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.loudness = nn.Parameter(torch.tensor(100.0))

    def forward(self, image: Tensor, start: Tensor | None = None) -> Tensor:
        *_, logits = islice(self.rounds(image, start), self.default_rounds)
        return logits

    def rounds(self, image: Tensor, start: Tensor | None = None) -> Iterator[Tensor]:
        assert start is not None
        mask = start
        while True:
            logits = self.loudness * (mask.flip(-1) - 0.5)
            yield logits
            mask = (logits > 0).float()

    def training_loss(self, batch: Batch, loss: Loss, *, epoch: int) -> Tensor:
        return loss(next(self.rounds(batch.image, batch.start)), batch.mask)


class LossBreaks(Dot):
    """Its training loss is another number in the second epoch."""

    found = float("nan")

    def training_loss(self, batch: Batch, loss: Loss, *, epoch: int) -> Tensor:
        usual = super().training_loss(batch, loss, epoch=epoch)
        return usual if epoch < 2 else usual * self.found


class LossExplodes(LossBreaks):
    """Its training loss is infinite in the second epoch."""

    found = float("inf")


class MapBreaks(Dot):
    """NaN outside training."""

    def forward(self, image: Tensor, start: Tensor | None = None) -> Tensor:
        logits = super().forward(image)
        return logits if self.training else logits * float("nan")


class Ages(Dot):
    """After its second epoch every pixel is a target, after all others none; remembers what it was told of each."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.register_buffer("age", torch.zeros(()))
        self.told: list[bool] = []

    def forward(self, image: Tensor, start: Tensor | None = None) -> Tensor:
        return 0 * super().forward(image) + (1.0 if self.age == 2 else -1.0)

    def training_loss(self, batch: Batch, loss: Loss, *, epoch: int) -> Tensor:
        self.age.fill_(epoch)
        return super().training_loss(batch, loss, epoch=epoch)

    def epoch_ended(self, *, improved: bool) -> None:
        self.told.append(improved)

    def resume_state(self) -> dict[str, Any]:
        return {"told": self.told}


class Faint(Dot):
    """Finds the brightest pixel with a probability that is no level: all of its map is next to nothing."""

    def forward(self, image: Tensor, start: Tensor | None = None) -> Tensor:
        return 0 * super().forward(image) + image.mean(1, keepdim=True) - 20


class Bright(Detector):
    """Scores how much brighter a pixel is than its image's mean; fails on the image whose mean it is told to."""

    def __init__(
        self, *, rule: str = "share-of-max", level: float | str = 0.5, fails_at: float = -1.0, channels: int = 1
    ) -> None:
        super().__init__(rule=rule, level=level, channels=channels)
        self.fails_at = fails_at

    def score(self, grey: Grey) -> ScoreMap:
        if grey.mean() == self.fails_at:
            raise ValueError("an image it cannot bear")
        return np.maximum(grey - grey.mean(), 0)


FAKES: dict[str, type[Segmenter]] = {
    "Bright": Bright,
    "Dot": Dot,
    "Echo": Echo,
    "Parrot": Parrot,
    "LossBreaks": LossBreaks,
    "LossExplodes": LossExplodes,
    "MapBreaks": MapBreaks,
    "Ages": Ages,
    "Faint": Faint,
}


def register_fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the networks of this file known by name for one test, in this process alone: costs are measured here."""
    monkeypatch.setattr("bench.run.experiment.measure_fresh", measure_cost)
    for name, network in FAKES.items():
        info = ModelInfo(
            name,
            cite="none",
            source="tests",
            licence="MIT",
            recipe="" if issubclass(network, Detector) else "basicirstd",
            rounds=network.default_rounds,
            config=freeze_config({"rule": "share-of-max", "level": 0.5} if name == "Bright" else {}),
        )
        monkeypatch.setitem(MODELS._entries, name, ModelEntry(info, network))


def record_losses(patch: pytest.MonkeyPatch) -> list[float]:
    """A list to which every training step appends its loss from now on."""
    losses: list[float] = []

    class Recorded(RunningLoss):
        def add(self, loss: Tensor, names: Sequence[str]) -> None:
            losses.append(loss.item())
            super().add(loss, names)

    patch.setattr("bench.training.train.RunningLoss", Recorded)
    return losses


@cache
def synthetic_frames(part: str, count: int) -> Frames:
    """The first frames of a part of the synthetic dataset."""
    return open_frames("synthetic", list_names("synthetic", "bench", part, count), root=None, decoder="pillow-grey")


def make_training(model: str, *, selection: Selection | None = None, seed: int = 42, **recipe: Any) -> Training:
    """A training of four epochs on six images, three held out, with fields of the recipe replaced."""
    settings = (("width", 2),) if model == "DFINet" else ()
    return Training(
        model,
        image_list("synthetic", "bench", "fit", limit=FIT),
        INPUT,
        replace(RECIPE, **recipe),
        selection or Selection("best"),
        seed=seed,
        config=settings,
        selection_images=image_list("synthetic", "bench", "held-out", limit=HELD_OUT),
    )


def make_jobs(folder: Path, *models: str, protocol: str = "native", settings: str = "", **overrides: Any) -> list[Job]:
    """A suite of the named models on ten synthetic images, one epoch each; `recipe__epochs` is `recipe.epochs`."""
    rows = "".join(f'[[row]]\nmodel = "{model}"\nsettings = {{ {settings} }}\n' for model in models)
    path = folder / "fakes.toml"
    path.write_text(f'title = "Fakes"\nprotocol = "{protocol}"\ndatasets = ["synthetic"]\n{rows}')
    changes = {"recipe.epochs": 1, **{name.replace("__", "."): value for name, value in overrides.items()}}
    if protocol != "dfinet":
        changes = {"recipe.patch": 32, **changes}
    return expand(
        load_suite(str(path)),
        info_of=lambda name: find_models().get(name).info,
        overrides=changes,
        limit=Limit(train=7, test=TEST),
    )
