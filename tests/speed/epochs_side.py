"""One side of `test_field_loop.py`: trains an epoch for every line of input, and tells how many seconds it took.

`field` is the loop that the field's repositories share: a DataLoader of two workers, whose dataset decodes and augments
each image with OpenCV or Pillow; the network layer by layer, channels first, in float32; the feedback masks of a batch
looked up one by one on the host and kept there again; torch's optimiser as it comes; the loss read in every step.
`here` is `bench.training.train.train`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from fakes import make_training
from numpy.typing import NDArray
from plain_dfinet import PLAIN
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from bench.data.images.frames import open_frames
from bench.models.losses import get_loss
from bench.models.network import Batch, build_model
from bench.training.train import train
from bench.types import Config, Selection, freeze_config
from tests.speed.test_feeding import CASES, Case, Usual, one_thread

MOST_EPOCHS = 100
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
SETTINGS: Mapping[str, Config] = {"DFINet": freeze_config({"width": 8, "history": "released"})}
"""Of networks that have any; all but DFINet learn by BasicIRSTD's recipe."""

Ended = Callable[[], None]
"""Called after every epoch: tells its seconds, and waits for the next line."""


class Numbered(Dataset[tuple[Tensor, Tensor, int]]):
    """The images as `Usual` makes them, with their numbers."""

    def __init__(self, usual: Usual) -> None:
        self.usual = usual

    def __len__(self) -> int:
        return len(self.usual)

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor, int]:
        return (*self.usual[row], row)


def field(model: str, case: Case, root: Path, names: list[str], ended: Ended) -> None:
    """Train as the field's repositories do."""
    for kind, method, function in PLAIN:
        setattr(kind, method, function)
    files = [(root / f"images/{name}.png", root / f"masks/{name}.png") for name in names]
    loader = DataLoader(
        Numbered(Usual(files, case.augment)),
        batch_size=case.recipe.batch,
        shuffle=True,
        num_workers=2,
        persistent_workers=True,
        worker_init_fn=one_thread,
        pin_memory=DEVICE.type == "cuda",
    )
    network = build_model(model, channels=case.input.channels, settings=dict(SETTINGS.get(model, ())))
    network.to(DEVICE).train()
    optimiser = torch.optim.Adam(network.parameters(), lr=case.recipe.lr)
    loss_of = get_loss(case.recipe.loss)
    stored: dict[int, NDArray[np.float32]] = {}
    for _ in range(MOST_EPOCHS):
        for on_host, mask_on_host, numbers in loader:
            image, mask = (each.to(DEVICE, non_blocking=True) for each in (on_host, mask_on_host))
            if network.needs_start:
                empty = np.zeros(mask.shape[1:], np.float32)
                fed = torch.from_numpy(np.stack([stored.get(int(number), empty) for number in numbers]))
                logits = network.refine(image, fed.to(DEVICE))
                for number, prob in zip(numbers, torch.sigmoid(logits).detach().cpu().numpy(), strict=True):
                    stored[int(number)] = prob
                loss = loss_of(logits, mask)
            else:
                sizes = [(mask.shape[2], mask.shape[3])] * len(numbers)
                batch = Batch(image, mask, None, numbers, [str(int(n)) for n in numbers], sizes, None)
                loss = network.training_loss(batch, loss_of, epoch=1)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            loss.item()
        ended()


def here(model: str, case: Case, root: Path, names: list[str], ended: Ended) -> None:
    """Train as this project does."""
    frames = open_frames("IRSTD-1k", names, root=root.parent, decoder=case.input.decoder)
    training = replace(
        make_training(model, selection=Selection("last")),
        input=case.input,
        recipe=replace(case.recipe, epochs=MOST_EPOCHS),
        config=SETTINGS.get(model, ()),
    )
    folder = root.parent / f"training-{os.getpid()}"
    train(training, frames, folder=folder, device=DEVICE, on_epoch=lambda record: ended())


def main(kind: str, model: str, threads: int, folder: Path, count: int) -> None:
    """Train until there is no more input; the first epoch is told unasked."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    began = perf_counter()

    def ended() -> None:
        nonlocal began
        sys.stdout.write(json.dumps(perf_counter() - began) + "\n")
        sys.stdout.flush()
        if not sys.stdin.readline():
            raise SystemExit
        began = perf_counter()

    train_as = {"field": field, "here": here}[kind]
    case = CASES["dfinet" if model == "DFINet" else "basicirstd"]
    train_as(model, case, folder / "IRSTD-1k", [f"XDU{n}" for n in range(count)], ended)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]), int(sys.argv[5]))
