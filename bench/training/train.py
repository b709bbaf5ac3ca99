"""The training loop: epochs, schedule, choice of the checkpoint, resume after an interruption."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from bench.data.batches.loader import Feed, evaluation_batches, steps_per_epoch
from bench.data.images.frames import Frames
from bench.data.images.start_masks import OTSU
from bench.errors import NonFiniteLossError, RequestError, StoreError
from bench.metrics.registry import find_metrics
from bench.models.losses import get_loss
from bench.models.network import Loss, Segmenter, build_model, to_device
from bench.part_files import replacing
from bench.progress import Progress, Silent
from bench.stop import STOPS, holding_stops, raise_if_asked
from bench.store.files import first_line, write_text
from bench.store.zip_check import check_zip
from bench.training.averaging import average_of
from bench.training.compiler import through_compiler
from bench.training.counts_on_device import counts_on
from bench.training.distributed import failing_together, ranks
from bench.training.execution import execution
from bench.training.optimisers import make_optimiser, make_schedule
from bench.training.running_loss import RunningLoss
from bench.training.stored_masks import compress_masks, restore_masks
from bench.training.trained_with import Stretch, conditions, describe_changes, extend_stretches
from bench.types import Training
from bench.weights.load import save_weights

log = logging.getLogger(__name__)

EpochListener = Callable[[Mapping[str, float]], None]


@dataclass
class EpochState:
    """Position of a training in `state.pt`, beside weights and optimiser; epoch 0 means that none is finished.

    Attributes:
        stretches: what its epochs were trained with; states of earlier versions have none.
    """

    epoch: int = 0
    best_epoch: int = 0
    best_value: float | None = None
    log: list[dict[str, float]] = field(default_factory=list)
    stretches: list[Stretch] = field(default_factory=list)


@dataclass(frozen=True)
class Trained:
    """The outcome of a training: the file of the chosen weights, the log, and what its epochs were trained with."""

    checkpoint: Path
    epochs: int
    best_epoch: int
    log: tuple[Mapping[str, float], ...]
    seconds: float
    stretches: tuple[Stretch, ...] = ()


@failing_together()
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
    """Train, or resume from `folder` where an earlier call finished or was interrupted.

    Order, augmentation and dropout of an epoch depend on the seed and the epoch's number alone, so that a resumed
    training gives the same numbers as an uninterrupted one. `state.pt` holds the complete state, the best weights so
    far included; the other two files are derived from it, so that they can never be of different epochs.

    Where torch.distributed is initialised, all its processes share the training and call this with equal arguments; the
    first one alone evaluates, writes and reports.

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
        DataError: naming an image of either list that has no mask.
        ProcessError: when another process that shares the training failed or ended.
    """
    run = _Run(training, frames, selection_frames, folder, device or torch.device("cpu"))
    run.resume()
    tell, progress = (on_epoch, progress) if run.ranks.is_first else (None, None)
    tell = tell or (lambda record: None)
    saved = run.state.epoch
    try:
        for earlier in run.state.log:
            tell(earlier)
        with run.execution():
            while run.state.epoch < training.recipe.epochs:
                record = run.run_epoch(progress or Silent())
                with holding_stops():  # else the line on a stop would not know of an epoch that is in the files
                    run.ranks.first(run.save)
                    saved = run.state.epoch
                tell(record)
                raise_if_asked()
        run.ranks.first(run.finish)
    except STOPS as stop:
        stop.add_note(f"after epoch {saved} of {training.recipe.epochs}")
        raise
    state = run.state
    return Trained(
        checkpoint=run.checkpoint,
        epochs=state.epoch,
        best_epoch=state.best_epoch,
        log=tuple(state.log),
        seconds=sum(record["seconds"] for record in state.log),
        stretches=tuple(state.stretches),
    )


class _Run:
    """One training in progress: network, optimiser, schedule and state."""

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
        self.ranks = ranks()
        self.ranks.check_batch(training.recipe.batch)
        if selection_frames is not None:
            selection_frames.require_masks()
        self.checkpoint = folder / "checkpoint.safetensors"
        torch.manual_seed(training.seed)
        network = build_model(training.model, channels=training.input.channels, settings=dict(training.config))
        self.network = to_device(network, device)
        self.ranks.prepare(self.network)
        loss_of_batch = self.ranks.training_loss
        self.loss_of_batch = through_compiler(loss_of_batch) if training.recipe.compiled else loss_of_batch
        self.feed = Feed(
            frames,
            input=training.input,
            recipe=training.recipe,
            seed=training.seed,
            needs_start=network.needs_start,
            device=device,
        )
        self.optimiser = make_optimiser(self.network, training.recipe)
        decay = training.recipe.average
        self.average = average_of(self.network, decay=decay) if decay else None
        self.schedule = make_schedule(self.optimiser, training.recipe, steps=steps_per_epoch(frames, training.recipe))
        self.state = EpochState()
        self.best: dict[str, Tensor] = {}

    @property
    def judged(self) -> Segmenter:
        """The network that is evaluated and kept: the one that learns, or the average of its weights."""
        return self.network if self.average is None else cast(Segmenter, self.average.module)

    def run_epoch(self, progress: Progress) -> Mapping[str, float]:
        """Train on every batch once, evaluate the selection list, step the schedule; return the epoch's log record."""
        began = time.perf_counter()
        epoch = self.state.epoch + 1
        rate = self.optimiser.param_groups[0]["lr"]
        # Seeded by epoch, not by history, so that a resumed training draws the same dropout masks.
        torch.manual_seed(self.ranks.seed(seed_of_epoch(self.training.seed, epoch)))
        loss = self._train_batches(epoch, progress)
        record = {"epoch": epoch, "loss": loss, "lr": rate}
        improved = self._select(epoch, record)
        self.ranks.epoch_ended(self.network, improved=improved)
        self._step_schedule(record)
        record["seconds"] = time.perf_counter() - began
        self.state.epoch = epoch
        self.state.log.append(record)
        self.state.stretches = extend_stretches(self.state.stretches, epoch, self.device)
        return record

    def _train_batches(self, epoch: int, progress: Progress) -> float:
        recipe, network = self.training.recipe, self.network
        loss_of = in_float32(get_loss(recipe.loss, epoch=epoch))
        network.train()
        running, steps = RunningLoss(epoch=epoch), steps_per_epoch(self.frames, recipe)
        if not steps:
            raise RequestError(f"{len(self.frames)} training images make no batch of {recipe.batch}; use more images")
        progress.begin(f"epoch {epoch}/{recipe.epochs}", steps)
        try:
            batches = self.feed.epoch(epoch, share=self.ranks.share)
            for names, batch in zip(self.feed.names(epoch), batches, strict=True):
                with self._arithmetic():
                    loss = self.loss_of_batch(network, batch, loss_of, epoch=epoch, images=len(names))
                running.add(self.ranks.total(loss), names)
                self.optimiser.zero_grad(set_to_none=True)
                torch.autograd.backward(loss)
                self.ranks.sum_gradients(network)
                self.optimiser.step()
                if self.average is not None:
                    self.average.update_parameters(network)
                if recipe.stepped == "iteration" and self.schedule is not None:
                    self.schedule.step()
                progress.advance(running.note)
        finally:
            progress.end()
        return running.mean()

    def execution(self) -> AbstractContextManager[None]:
        """The threads and kernels to train with."""
        recipe = self.training.recipe
        left = recipe.epochs - self.state.epoch
        return execution(
            device=self.device,
            deterministic=recipe.deterministic,
            earlier=self.state.stretches,
            steps=left * steps_per_epoch(self.frames, recipe),
            make_trial=self._make_trial,
        )

    def _make_trial(self) -> Callable[[], None]:
        """A function that takes one step of a copy of the network, without effect on this one."""
        network, batch = deepcopy(self.network).train(), next(self.feed.epoch(1))
        loss_of = in_float32(get_loss(self.training.recipe.loss))

        def trial() -> None:
            with torch.random.fork_rng(devices=[]):
                with self._arithmetic():
                    loss = network.training_loss(batch, loss_of, epoch=1)
                torch.autograd.backward(loss)

        return trial

    def _arithmetic(self) -> AbstractContextManager[Any]:
        if self.training.recipe.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)

    def _select(self, epoch: int, record: dict[str, float]) -> bool:
        """Evaluate the epoch on the selection list, and keep its weights if they are the best so far."""
        selection = self.training.selection
        due = epoch % selection.every == 0 or epoch == self.training.recipe.epochs
        if self.selection_frames is not None and due:
            frames = self.selection_frames
            evaluated = self.ranks.first(lambda: evaluate_epoch(self.judged, frames, self.training, self.device))
            if not math.isfinite(evaluated["selection_loss"]):
                found = evaluated["selection_loss"]
                raise NonFiniteLossError(f"the loss is {found} after epoch {epoch} on the {selection.on} list")
            record.update(evaluated)
        if selection.rule == "last":
            self.state.best_epoch = epoch
            return True
        if not due:
            return False
        # Lower is better for both criteria.
        value = record["selection_loss"] if selection.criterion == "loss" else -record["selection_IoU"]
        improved = self.state.best_value is None or value < self.state.best_value
        if improved:
            self.state.best_value, self.state.best_epoch = value, epoch
            self.best = {name: tensor.detach().clone() for name, tensor in self.judged.state_dict().items()}
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
            self.judged.load_state_dict(self.best)
        save_weights(
            self.judged,
            self.checkpoint,
            metadata=checkpoint_metadata(self.training, self.state.best_epoch),
            input=self.training.input,
            start=OTSU if self.network.needs_start else "",
        )

    def save(self) -> None:
        """Write `state.pt`, from which an interrupted training resumes, and `log.jsonl`."""
        judged = self.judged.state_dict()
        # Tensors that are named twice are written once: the best weights cost nothing in the epoch that they are of.
        is_best = bool(self.best) and all(torch.equal(judged[name], best) for name, best in self.best.items())
        state = {
            "training": self.training.key,
            "network": self.network.state_dict(),
            "average": {} if self.average is None else self.average.state_dict(),
            "best": judged if is_best else self.best,
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict() if self.schedule is not None else {},
            "feedback": compress_masks(self.network.resume_state()),
            "done": {
                "epoch": self.state.epoch,
                "best_epoch": self.state.best_epoch,
                "best_value": self.state.best_value,
                "log": self.state.log,
                "stretches": self.state.stretches,
            },
        }
        # state.pt first: the log is derived from it, and is written again when a training resumes.
        # An open file, for of a path torch tells no cause when the disk is full.
        with replacing(self.folder / "state.pt") as path, path.open("wb") as file:
            torch.save(state, file)
        self._write_log()

    def _write_log(self) -> None:
        lines = [json.dumps(record, allow_nan=False) + "\n" for record in self.state.log]
        write_text(self.folder / "log.jsonl", "".join(lines))

    def resume(self) -> None:
        """Load the state of an earlier call, if there is one.

        Raises:
            StoreError: when `state.pt` is broken or of another training.
        """
        path = self.folder / "state.pt"
        if path.is_file():
            self._read(path)
        self.ranks.agree(self.network, self.state.epoch)
        if self.state.epoch:
            self.ranks.first(self._tell_of_resuming)

    def _read(self, path: Path) -> None:
        try:
            check_zip(path)
            state = torch.load(path, map_location=self.device, weights_only=True)
            made_by = state["training"]
        except Exception as error:
            raise StoreError(f"{path}: not a readable state ({first_line(error)}); delete it to train again") from error
        if made_by != self.training.key:
            raise StoreError(
                f"{path}: of training {made_by!r}, expected {self.training.key!r}; delete it to train again"
            )
        try:
            self._load(state)
        except Exception as error:
            raise StoreError(
                f"{path}: does not fit this version ({first_line(error)}); delete it to train again"
            ) from error

    def _tell_of_resuming(self) -> None:
        self._write_log()
        if self.state.epoch < self.training.recipe.epochs:
            log.info("training %s resumes after epoch %d", self.training.key, self.state.epoch)
            self._tell_of_changes()

    def _tell_of_changes(self) -> None:
        for earlier in self.state.stretches[-1:]:
            if changes := describe_changes(earlier, conditions(self.device)):
                log.warning(
                    "training %s resumes with %s: its weights will differ from those of an uninterrupted one",
                    *(self.training.key, changes),
                )

    def _load(self, state: Mapping[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.best = state["best"]
        self.optimiser.load_state_dict(state["optimiser"])
        if self.schedule is not None:
            self.schedule.load_state_dict(state["schedule"])
        self.network.load_resume_state(restore_masks(state["feedback"]))
        self.state = EpochState(**state["done"])


def in_float32(loss: Loss) -> Loss:
    """The loss, calculated in float32 of logits in bfloat16."""

    def of(logits: Tensor, mask: Tensor) -> Tensor:
        with torch.autocast(logits.device.type, enabled=False):
            return loss(logits.float() if logits.dtype == torch.bfloat16 else logits, mask)

    return of


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
    """Mean loss, pooled IoU, Pd and Fa of the scored round on the selection list, in evaluation mode, without padding.

    Undefined values, as Pd without targets, are left out; an IoU of 0/0 is 0.
    """
    network.eval()
    loss, counts = get_loss(training.recipe.loss), counts_on(device)
    total = torch.zeros((), dtype=torch.float64, device=device)
    for batch in evaluation_batches(frames, input=training.input, needs_start=network.needs_start, batch=8):
        moved = batch.to(device)
        *_, logits = islice(network.rounds(moved.image, moved.start), network.judged_round)
        total += loss(logits, moved.mask).double() * len(batch.name)
        inside = torch.zeros_like(moved.mask[:, 0], dtype=torch.bool)
        # Padding lies outside: only the pixels of the image itself are counted.
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
"""Scores logged for every evaluation of the selection list, beside the loss."""


def checkpoint_metadata(training: Training, epoch: int) -> dict[str, str]:
    """Metadata of a checkpoint: the training, dataset and epoch that it comes from."""
    return {"training": training.key, "dataset": training.images.dataset, "epoch": str(epoch)}
