"""Cases of training/test_distributed.py that torchrun carries out in two processes; each process writes what came out.

torchrun --standalone --nproc-per-node 2 two_processes.py FOLDER CASE...
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parent))

import fakes

from bench.data.batches.loader import Feed
from bench.models.losses import get_loss
from bench.models.network import MODELS, Batch, Loss, ModelEntry, Segmenter, build_model, find_models
from bench.progress import Progress, Silent
from bench.training import distributed
from bench.training.train import Trained, train
from bench.types import ModelInfo, Selection, Training
from dfinet.network import DFINet

COUNT, HELD_OUT = 7, 3
"""Images of the lists: batches of four leave a last one of three, which two processes share unevenly."""


class Norm(Segmenter):
    """Two convolutions and a BatchNorm."""

    def __init__(self, channels: int, norm: type[nn.BatchNorm2d] = nn.BatchNorm2d) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(channels, 4, 3, padding=1), norm(4), nn.ReLU(), nn.Conv2d(4, 1, 1))

    def forward(self, image: Tensor, start: Tensor | None = None) -> Tensor:
        logits: Tensor = self.body(image)
        return logits


class OddNorm(nn.BatchNorm2d):
    """A BatchNorm of its own class."""


class Odd(Norm):
    """With a BatchNorm that nothing is known of."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, OddNorm)


class EvaluationFails(Norm):
    """Cannot be evaluated, which only the first process does."""

    def forward(self, image: Tensor, start: Tensor | None = None) -> Tensor:
        if not self.training:
            raise ValueError("no evaluation")
        return super().forward(image)


class OneFails(Norm):
    """Raises an error in the second process alone."""

    def training_loss(self, batch: Batch, loss: Loss, *, epoch: int) -> Tensor:
        if dist.is_initialized() and dist.get_rank() == 1:
            raise ValueError("a bad day")
        return super().training_loss(batch, loss, epoch=epoch)


class HalfLoss(Norm):
    """Takes its loss over a part of its images."""

    def training_loss(self, batch: Batch, loss: Loss, *, epoch: int) -> Tensor:
        return loss(self(batch.image)[:1], batch.mask[:1])


class Precise(DFINet):
    """DFINet in double precision: on small crops its gradient in float32 is off by a thousandth, in one process too."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels=channels, width=4)
        self.double()

    def rounds(self, image: Tensor, start: Tensor | None = None) -> Iterator[Tensor]:
        assert start is not None
        return super().rounds(image.double(), start.double())

    def training_loss(self, batch: Batch, loss: Loss, *, epoch: int) -> Tensor:
        return super().training_loss(as_double(batch), loss, epoch=epoch)


NETWORKS: dict[str, Callable[..., Segmenter]] = {
    **{network.__name__: network for network in (Norm, Precise, Odd, EvaluationFails, OneFails, HalfLoss)},
    **{name: fakes.FAKES[name] for name in ("Dot", "Echo", "LossBreaks")},
}


def register() -> None:
    """Make the networks of this file known by name."""
    for name, network in NETWORKS.items():
        if name not in MODELS:
            info = ModelInfo(name, cite="none", source="tests", licence="MIT", recipe="basicirstd")
            MODELS.add(name, ModelEntry(info, network))


def make(model: str, **recipe: Any) -> Training:
    """Three epochs in batches of four."""
    settings = {"optimiser": "sgd", "lr": 1e-2, "epochs": 3, "batch": 4, "drop_single": False, **recipe}
    training = fakes.make_training(model, selection=Selection("last"), **settings)
    return replace(training, config=(("width", 4),)) if model == "DFINet" else training


class Dying(Silent):
    """Progress that is interrupted in an epoch of three."""

    def __init__(self, epoch: int) -> None:
        self.last, self.now = f"epoch {epoch}/3", ""

    def begin(self, what: str, total: int) -> None:
        self.now = what

    def advance(self, note: str = "") -> None:
        if self.now == self.last:
            raise KeyboardInterrupt


def fit(model: str, folder: Path, *, progress: Progress | None = None, **recipe: Any) -> Trained:
    """Train in `folder`."""
    fit_frames, held_out = (fakes.synthetic_frames(*part) for part in (("fit", COUNT), ("held-out", HELD_OUT)))
    return train(make(model, **recipe), fit_frames, folder=folder, selection_frames=held_out, progress=progress)


def compare_step(
    model: str, channels: int, images: int, config: dict[str, Any], *, patch: int = 32
) -> dict[str, float]:
    """Greatest differences of a step from that of one process, in double precision and without dropout."""
    shared = distributed.Ranks()
    training = fakes.make_training(model, batch=images, patch=patch, drop_single=False)
    feed = Feed(
        fakes.synthetic_frames("fit", images),
        input=replace(training.input, channels=channels),
        recipe=training.recipe,
        seed=1,
        needs_start=True,
    )
    losses, networks = [], []
    for is_shared in (False, True) if images > 1 else (True,):
        torch.manual_seed(0)
        network = build_model(model, channels=channels, settings=config).double().train()
        for module in network.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0
        batch = as_double(next(feed.epoch(1, share=shared.share) if is_shared else feed.epoch(1)))
        loss = get_loss("dice-bce")
        if is_shared:
            shared.prepare(network)
            part = shared.training_loss(network, batch, loss, epoch=9, images=images)
        else:
            part = network.training_loss(batch, loss, epoch=9)
        torch.autograd.backward(part)
        if is_shared:
            shared.sum_gradients(network)
            part = shared.total(part)
        losses.append(part.item())
        networks.append(network)
    one, other = networks
    assert [name for name, _ in one.named_parameters()] == [name for name, _ in other.named_parameters()]
    assert list(one.state_dict()) == list(other.state_dict())
    used = [(p.grad, q.grad) for p, q in zip(one.parameters(), other.parameters(), strict=True) if p.grad is not None]
    largest = max(float(grad.abs().max()) for grad, _ in used)
    return {
        "loss": abs(losses[0] - losses[1]),
        "gradient": max(float((p - q).abs().max()) for p, q in used) / largest,
        "buffer": max(float((p - q).abs().max()) for p, q in zip(one.buffers(), other.buffers(), strict=True)),
        "norms": len(shared._norms),
    }


def as_double(batch: Batch) -> Batch:
    assert batch.start is not None
    return replace(batch, image=batch.image.double(), mask=batch.mask.double(), start=batch.start.double())


STEPS: dict[str, tuple[int, int, dict[str, Any]]] = {
    "DFINet": (1, 5, {"width": 4}),
    "MSHNet": (3, 5, {}),
    "RPCANet": (1, 5, {}),
    "ACM": (1, 2, {}),
}
"""Models whose steps are compared, with channels, images and settings.

They have one loss, several losses, a term beside the loss, and a BatchNorm of one value per image.
"""


def run_case(case: str, folder: Path) -> Any:
    """The outcome of a case in this process."""
    kind, _, name = case.partition(":")
    if kind == "small":
        return compare_step(name, *STEPS[name])
    if kind == "step":
        info = find_models().get(name).info
        return compare_step(name, info.channels, 5, dict(info.config), patch=64)
    if kind == "lonely":
        return compare_step(name, 1, 1, {})
    if kind == "train":
        return [record["loss"] for record in fit(name, folder / case).log]
    if kind == "single":
        return [record["loss"] for record in fit(name, folder / case, batch=3).log]
    if kind == "killed":
        die_in_epoch(2)
        return fit(name, folder / case)
    if kind in ("again", "resumed", "joined"):
        return [record["loss"] for record in fit(name, folder / case).log]
    if kind == "tiny":
        return fit(name, folder / case, batch=1)
    if kind == "apart":
        return fit(name, folder / f"{case}-{dist.get_rank()}")
    assert kind == "seed"
    return distributed.ranks().seed(5)


def die_in_epoch(epoch: int) -> None:
    """Have this process killed when that epoch's first loss is taken."""
    usual = Norm.training_loss

    def deadly(self: Norm, batch: Batch, loss: Loss, *, epoch: int) -> Tensor:
        if epoch == last:
            os.kill(os.getpid(), signal.SIGKILL)
        return usual(self, batch, loss, epoch=epoch)

    last = epoch
    Norm.training_loss = deadly  # type: ignore[method-assign]


def main(folder: Path, cases: list[str]) -> None:
    """Carry out the cases one after the other."""
    distributed.GRACE = timedelta(seconds=2)
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    register()
    found: dict[str, Any] = {}
    for case in cases:
        try:
            found[case] = run_case(case, folder)
        except Exception as error:
            found[case] = f"{type(error).__name__}: {error}"
    (folder / f"found-{dist.get_rank()}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
