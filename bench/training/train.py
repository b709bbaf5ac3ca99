"""The only training loop: epochs, schedule, choice of the epoch, resume after a kill."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.data.batches.loader import Feed, evaluation_batches, steps_per_epoch
from bench.data.images.frames import Frames
from bench.errors import NonFiniteLossError, RequestError, StoreError
from bench.metrics.registry import find_metrics
from bench.models.losses import get_loss
from bench.models.network import Segmenter, build_model, to_device
from bench.progress import Progress, Silent
from bench.store.files import first_line, replacing, write_text
from bench.training.counts_on_device import counts_on
from bench.training.optimisers import make_optimiser, make_schedule
from bench.training.running_loss import RunningLoss
from bench.types import Training
from bench.weights.load import save_weights

log = logging.getLogger(__name__)

EpochListener = Callable[[Mapping[str, float]], None]


@dataclass
class Progressed:
    """Where a training stands: what `state.pt` keeps beside weights and optimiser; epoch 0 is none."""

    epoch: int = 0
    best_epoch: int = 0
    best_value: float | None = None
    log: list[dict[str, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Trained:
    """What a training left: the chosen weights' file and how it went."""

    checkpoint: Path
    epochs: int
    best_epoch: int
    log: tuple[Mapping[str, float], ...]
    seconds: float


def train(
    training: Training,
    frames: Frames,
    *,
    folder: Path,
    selection_frames: Frames | None = None,
    device: torch.device | None = None,
    progress: Progress | None = None,
    on_epoch: EpochListener | None = None,
) -> Trained:
    """The weights a training makes, learnt now or taken from `folder` where an earlier call finished or was killed.

    Order, augmentation and dropout of an epoch depend on the seed and the epoch's number alone, so that a resumed
    training makes the same numbers as one that was never stopped. `state.pt` alone says where it stands, the best
    weights so far included: the other two files are made from it, so that no kill can leave them of different epochs.

    Args:
        training: model, lists, rules and seed.
        frames: the images of the training list.
        folder: takes `checkpoint.safetensors`, `state.pt` and `log.jsonl`.
        selection_frames: the images that choose the epoch, where the rules have such a list.
        device: where to train; default the CPU.
        progress: shown the steps of every epoch.
        on_epoch: called with each epoch's log record, first with those of an earlier call.

    Raises:
        NonFiniteLossError: naming the epoch, and the images of the batch.
        StoreError: when `state.pt` is broken or of another training.
    """
    session = _Session(training, frames, selection_frames, folder, device or torch.device("cpu"))
    session.resume()
    tell = on_epoch or (lambda record: None)
    for earlier in session.done.log:
        tell(earlier)
    while session.done.epoch < training.recipe.epochs:
        record = session.run_epoch(progress or Silent())
        session.save()
        tell(record)
    session.finish()
    done = session.done
    return Trained(
        checkpoint=session.checkpoint,
        epochs=done.epoch,
        best_epoch=done.best_epoch,
        log=tuple(done.log),
        seconds=sum(record["seconds"] for record in done.log),
    )


class _Session:
    """One training in progress: network, optimiser, schedule and what has come of them."""

    def __init__(
        self,
        training: Training,
        frames: Frames,
        selection_frames: Frames | None,
        folder: Path,
        device: torch.device,
    ) -> None:
        self.training, self.frames, self.selection_frames = training, frames, selection_frames
        self.folder, self.device = folder, device
        self.checkpoint = folder / "checkpoint.safetensors"
        torch.manual_seed(training.seed)
        network = build_model(training.model, channels=training.input.channels, settings=dict(training.config))
        self.network = to_device(network, device)
        self.feed = Feed(
            frames,
            input=training.input,
            recipe=training.recipe,
            seed=training.seed,
            needs_start=network.needs_start,
            device=device,
        )
        self.optimiser = make_optimiser(self.network, training.recipe)
        self.schedule = make_schedule(self.optimiser, training.recipe, steps=steps_per_epoch(frames, training.recipe))
        self.done = Progressed()
        self.best: dict[str, Tensor] = {}

    def run_epoch(self, progress: Progress) -> Mapping[str, float]:
        """Learn from every batch once, look at the selection list, step the schedule; the epoch's log record."""
        began = time.perf_counter()
        epoch = self.done.epoch + 1
        rate = self.optimiser.param_groups[0]["lr"]
        torch.manual_seed(seed_of_epoch(self.training.seed, epoch))
        loss = self._learn(epoch, progress)
        record = {"epoch": epoch, "loss": loss, "lr": rate}
        improved = self._select(epoch, record)
        self.network.epoch_ended(improved=improved)
        self._step_schedule(record)
        record["seconds"] = time.perf_counter() - began
        self.done.epoch = epoch
        self.done.log.append(record)
        return record

    def _learn(self, epoch: int, progress: Progress) -> float:
        recipe, network = self.training.recipe, self.network
        loss_of = get_loss(recipe.loss, epoch=epoch)
        network.train()
        running, steps = RunningLoss(epoch=epoch), steps_per_epoch(self.frames, recipe)
        if not steps:
            raise RequestError(f"{len(self.frames)} training images make no batch of {recipe.batch}; use more images")
        progress.begin(f"epoch {epoch}/{recipe.epochs}", steps)
        try:
            for batch in self.feed.epoch(epoch):
                loss = network.training_loss(batch, loss_of, epoch=epoch)
                running.add(loss, batch.name)
                self.optimiser.zero_grad(set_to_none=True)
                torch.autograd.backward(loss)
                self.optimiser.step()
                if recipe.stepped == "iteration" and self.schedule is not None:
                    self.schedule.step()
                progress.advance(running.note)
        finally:
            progress.end()
        return running.mean()

    def _select(self, epoch: int, record: dict[str, float]) -> bool:
        """Judge the epoch on the selection list and keep its weights when they are the best so far."""
        selection = self.training.selection
        due = epoch % selection.every == 0 or epoch == self.training.recipe.epochs
        if self.selection_frames is not None and due:
            judged = evaluate_epoch(self.network, self.selection_frames, self.training, self.device)
            if not math.isfinite(judged["selection_loss"]):
                found = judged["selection_loss"]
                raise NonFiniteLossError(f"the loss is {found} after epoch {epoch} on the {selection.on} list")
            record.update(judged)
        if selection.rule == "last":
            self.done.best_epoch = epoch
            return True
        if not due:
            return False
        value = record["selection_loss"] if selection.criterion == "loss" else -record["selection_IoU"]
        improved = self.done.best_value is None or value < self.done.best_value
        if improved:
            self.done.best_value, self.done.best_epoch = value, epoch
            self.best = {name: tensor.detach().clone() for name, tensor in self.network.state_dict().items()}
        return improved

    def _step_schedule(self, record: Mapping[str, float]) -> None:
        if isinstance(self.schedule, torch.optim.lr_scheduler.ReduceLROnPlateau):
            if "selection_loss" in record:
                self.schedule.step(record["selection_loss"])
        elif self.schedule is not None and self.training.recipe.stepped == "epoch":
            self.schedule.step()

    def finish(self) -> None:
        """Write the chosen epoch's weights."""
        if self.best:
            self.network.load_state_dict(self.best)
        save_weights(self.network, self.checkpoint, metadata=checkpoint_metadata(self.training, self.done.best_epoch))

    def save(self) -> None:
        """Write `state.pt` and `log.jsonl`, from which a killed training goes on."""
        state = {
            "training": self.training.key,
            "network": self.network.state_dict(),
            "best": self.best,
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict() if self.schedule is not None else {},
            "feedback": self.network.resume_state(),
            "done": {
                "epoch": self.done.epoch,
                "best_epoch": self.done.best_epoch,
                "best_value": self.done.best_value,
                "log": self.done.log,
            },
        }
        with replacing(self.folder / "state.pt") as path:
            torch.save(state, path)
        self._write_log()

    def _write_log(self) -> None:
        lines = [json.dumps(record, allow_nan=False) + "\n" for record in self.done.log]
        write_text(self.folder / "log.jsonl", "".join(lines))

    def resume(self) -> None:
        """Go on where an earlier call stopped, when there is one.

        Raises:
            StoreError: when `state.pt` is broken or of another training.
        """
        path = self.folder / "state.pt"
        if not path.is_file():
            return
        try:
            state = torch.load(path, map_location=self.device, weights_only=True)
            made_by = state["training"]
        except Exception as error:
            raise StoreError(f"{path}: not a readable state ({first_line(error)}); delete it to train anew") from error
        if made_by != self.training.key:
            raise StoreError(
                f"{path}: of training {made_by!r}, expected {self.training.key!r}; delete it to train anew"
            )
        try:
            self._take_back(state)
        except Exception as error:
            raise StoreError(
                f"{path}: does not fit this version ({first_line(error)}); delete it to train anew"
            ) from error
        self._write_log()
        if self.done.epoch < self.training.recipe.epochs:
            log.info("training %s goes on after epoch %d", self.training.key, self.done.epoch)

    def _take_back(self, state: Mapping[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self.best = state["best"]
        self.optimiser.load_state_dict(state["optimiser"])
        if self.schedule is not None:
            self.schedule.load_state_dict(state["schedule"])
        self.network.load_resume_state(state["feedback"])
        self.done = Progressed(**state["done"])


def seed_of_epoch(seed: int, epoch: int) -> int:
    """A seed for one epoch's dropout, different for neighbouring seeds and epochs."""
    return (seed * 1_000_003 + epoch) % 2**63


@torch.no_grad()
def evaluate_epoch(
    network: Segmenter,
    frames: Frames,
    training: Training,
    device: torch.device,
) -> dict[str, float]:
    """Mean loss, pooled IoU, Pd and Fa of the judged round on the selection list, in evaluation mode, without padding.

    What is undefined, as Pd without targets, is left out; an IoU of 0/0 is 0.
    """
    network.eval()
    loss, counts = get_loss(training.recipe.loss), counts_on(device)
    total = torch.zeros((), dtype=torch.float64, device=device)
    for batch in evaluation_batches(frames, input=training.input, needs_start=network.needs_start, batch=8):
        moved = batch.to(device)
        *_, logits = islice(network.rounds(moved.image, moved.start), network.judged_round)
        total += loss(logits, moved.mask).double() * len(batch.name)
        inside = torch.zeros_like(moved.mask[:, 0], dtype=torch.bool)
        for row, native in enumerate(batch.size):
            height, width = training.input.size or native
            inside[row, :height, :width] = True
        counts.add(logits[:, 0] > 0, moved.mask[:, 0] > 0.5, inside=inside)
    found = counts.counts()
    scores = {head: find_metrics().get(name).score(found).value for head, name in SELECTION_METRICS.items()}
    return {"selection_loss": total.item() / len(frames)} | {
        f"selection_{head}": value for head, value in scores.items() if value is not None
    }


SELECTION_METRICS = {"IoU": "IoU/pooled", "Pd": "Pd/centroid-3px", "Fa": "Fa/unmatched-area"}
"""What is said of every look at the selection list, beside the loss."""


def checkpoint_metadata(training: Training, epoch: int) -> dict[str, str]:
    """What a checkpoint says of its making."""
    return {"training": training.key, "dataset": training.images.dataset, "epoch": str(epoch)}
