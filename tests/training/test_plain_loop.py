"""The training loop, beside the plain loop over the networks as they are written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from fakes import INPUT, RECIPE, record_losses, synthetic_frames
from plain_dfinet import PLAIN
from torch import Tensor, nn

from bench.data.batches.loader import Feed
from bench.data.catalogue.splits import image_list
from bench.models.losses import get_loss
from bench.models.network import Batch, Loss, Segmenter, build_model, to_device
from bench.training.train import seed_of_epoch, train
from bench.types import Selection, Setting, Training, freeze_config

IMAGES, BATCH, EPOCHS = 20, 4, 10


def training_of(model: str, **config: Setting) -> Training:
    recipe = replace(RECIPE, epochs=EPOCHS, batch=BATCH, lr=2e-4, loss="dice-bce", patch=48)
    images = image_list("synthetic", "bench", "fit", limit=IMAGES)
    return Training(model, images, INPUT, recipe, Selection("last"), seed=1, config=freeze_config(config))


def in_float64(network: Segmenter) -> Segmenter:
    """The network in float64, trained on batches in float64."""
    of_batch = network.double().training_loss

    def training_loss(batch: Batch, loss: Loss, *, epoch: int) -> Tensor:
        start = None if batch.start is None else batch.start.double()
        return of_batch(
            replace(batch, image=batch.image.double(), mask=batch.mask.double(), start=start), loss, epoch=epoch
        )

    network.training_loss = training_loss  # type: ignore[method-assign]
    return network


def plain_losses(training: Training, patch: pytest.MonkeyPatch) -> list[float]:
    """The loss of every step of a plain loop: layers as written, and torch's optimiser parameter by parameter."""
    for kind, name, function in PLAIN:
        patch.setattr(kind, name, function)
    torch.manual_seed(training.seed)
    network = build_model(training.model, channels=training.input.channels, settings=dict(training.config)).train()
    # Channels last as well: dropout draws its numbers in the order of memory.
    network = in_float64(to_device(network, torch.device("cpu")))
    frames = synthetic_frames("fit", IMAGES)
    feed = Feed(
        frames, input=training.input, recipe=training.recipe, seed=training.seed, needs_start=network.needs_start
    )
    optimiser = torch.optim.Adam(network.parameters(), lr=training.recipe.lr, fused=False, foreach=False)
    losses = []
    for epoch in range(1, training.recipe.epochs + 1):
        torch.manual_seed(seed_of_epoch(training.seed, epoch))
        for batch in feed.epoch(epoch):
            loss = network.training_loss(batch, get_loss(training.recipe.loss, epoch=epoch), epoch=epoch)
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
            losses.append(loss.item())
        network.epoch_ended(improved=True)
    return losses


SMOOTH: dict[str, Setting] = {"width": 8, "own_mask": "soft", "history": "none"}
"""DFINet without the thresholds of its own masks and stored masks, where rounding can flip a pixel."""


@pytest.mark.parametrize(("model", "settings"), [("ACM", {}), ("DFINet", SMOOTH)])
def test_fifty_steps_have_the_losses_of_the_plain_loop(
    model: str, settings: dict[str, Setting], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In float64, DFINet with smooth functions in place of ReLU and hard swish.

    A difference in rounding doubles every few steps, and switches a unit whose input is next to a kink.
    """
    training = training_of(model, **settings)
    if model == "DFINet":
        monkeypatch.setattr(F, "relu", F.softplus)
        monkeypatch.setattr(F, "hardswish", F.silu)
        monkeypatch.setattr(nn.ReLU, "forward", lambda self, x: F.softplus(x))
    with monkeypatch.context() as patch:
        losses = record_losses(patch)
        patch.setattr("bench.training.train.build_model", lambda *args, **kw: in_float64(build_model(*args, **kw)))
        train(training, synthetic_frames("fit", IMAGES), folder=tmp_path)
    with monkeypatch.context() as patch:
        plain = plain_losses(training, patch)
    assert len(losses) == len(plain) == EPOCHS * IMAGES // BATCH
    assert max(losses) - min(losses) > 0.01
    assert losses == pytest.approx(plain, abs=1e-7)
