"""Training steps ask the device for no value, so that the host runs ahead of it; shown on a device without values."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from fakes import synthetic_frames
from torch.utils._python_dispatch import TorchDispatchMode

from bench.data.batches import crops
from bench.data.batches.loader import Feed
from bench.models.losses import LOSSES
from bench.protocols.recipes import RECIPES, fit_to_native
from bench.training.optimisers import make_optimiser
from bench.training.running_loss import READ_EVERY, RunningLoss
from bench.types import Input, Recipe
from dfinet.network import DFINet

META = torch.device("meta")
GREY = Input("pillow-grey", 1)
RULES: dict[str, tuple[Input, Recipe]] = {
    "dfinet, resized": (replace(GREY, size=(64, 64)), RECIPES.get("dfinet")),
    "dfinet, in patches": (GREY, replace(fit_to_native(RECIPES.get("dfinet")), patch=64)),
    "dnanet": (GREY, replace(RECIPES.get("dnanet"), patch=64)),
    "basicirstd": (GREY, replace(RECIPES.get("basicirstd"), patch=64)),
}


class Copies(TorchDispatchMode):
    """Collects copies between devices that wait until the device has come so far."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        device = kwargs.get("device")
        moves = func is torch.ops.aten._to_copy.default and device is not None and device != args[0].device
        if moves and not kwargs.get("non_blocking"):
            self.waiting.append(f"{tuple(args[0].shape)} {args[0].dtype} to {device}")
        return func(*args, **kwargs)


@pytest.fixture
def everything_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The images lie on the device, as they do where its memory suffices."""
    monkeypatch.setattr(crops, "_fit", lambda flats, device: True)


@pytest.mark.usefixtures("everything_fits")
@pytest.mark.parametrize("history", ["released", "aligned", "unrolled-2"])
@pytest.mark.parametrize("rules", RULES.values(), ids=RULES)
def test_steps_of_dfinet_wait_for_no_value_and_no_copy(rules: tuple[Input, Recipe], history: str) -> None:
    read, recipe = rules
    recipe = replace(recipe, batch=3)
    network = DFINet(channels=1, width=2, history=history).to(META).train()
    optimiser = make_optimiser(network, recipe)
    feed = Feed(synthetic_frames("train", 6), input=read, recipe=recipe, seed=0, needs_start=True, device=META)
    loss_of = LOSSES.get(recipe.loss)
    for epoch in (1, 2, 3):
        running = RunningLoss(epoch=epoch)
        with Copies() as copies:
            for batch in feed.epoch(epoch):
                loss = network.training_loss(batch, loss_of, epoch=epoch)
                running.add(loss, batch.name)
                optimiser.zero_grad(set_to_none=True)
                torch.autograd.backward(loss)
                optimiser.step()
        network.epoch_ended(improved=True)
        assert copies.waiting == []


@pytest.mark.usefixtures("everything_fits")
@pytest.mark.parametrize("name", LOSSES)
def test_no_loss_reads_a_value(name: str) -> None:
    shape = (2, 1, 32, 32)
    logits = torch.zeros(shape, device=META, requires_grad=True)
    torch.autograd.backward(LOSSES.get(name)(logits, torch.zeros(shape, device=META)))


def test_losses_are_read_every_sixteen_steps() -> None:
    running, tensor = RunningLoss(epoch=1), torch.zeros((), device=META)
    for _ in range(READ_EVERY - 1):
        running.add(tensor, ["image"])
    assert READ_EVERY >= 16
    with pytest.raises(NotImplementedError):
        running.add(tensor, ["image"])
