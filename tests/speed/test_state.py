"""How long the state of a training takes to write, beside the steps of the epoch that it closes.

`OMP_NUM_THREADS=1 pytest -m speed --log-cli-level=INFO tests/speed/test_state.py` prints both, and the file's size with
masks compressed and as they are. DFINet trains on 800 images of 256 x 256 in batches of 8; a few steps stand for the
100 of an epoch. Masks are those of a network that has found its targets: a few pixels on, and faint clutter.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pytest
import torch

from bench.data.catalogue.splits import image_list, list_names
from bench.data.images.frames import Frames, open_frames
from bench.models.losses import get_loss
from bench.protocols.recipes import RECIPES
from bench.training.train import _Run
from bench.types import Input, Selection, Training, freeze_config
from dfinet.feedback_network import FeedbackNetwork
from dfinet.history import pack
from tests.speed.test_counting import sigmoid, targets

log = logging.getLogger(__name__)

IMAGES, BATCH, SIDE = 800, 8, 256
SHOWN = 32
"""Images that steps are taken on."""

STEPS, TURNS = 4, 3
SHARE = 0.02
"""Of an epoch's steps that one state may take."""


@pytest.mark.speed
@pytest.mark.parametrize("width", [8, 32])
def test_a_state_costs_under_two_percent_of_its_epoch(benchmark: Any, tmp_path: Path, width: int) -> None:
    run = make_run(width, tmp_path)
    step_seconds: list[float] = []
    save_seconds: list[float] = []
    run.network.train()
    loss_of = get_loss(run.training.recipe.loss, epoch=1)

    def steps() -> None:
        batches = run.feed.epoch(1)
        for _ in range(STEPS):
            began = perf_counter()
            loss = run.network.training_loss(next(batches), loss_of, epoch=1)
            run.optimiser.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            run.optimiser.step()
            step_seconds.append(perf_counter() - began)

    def save() -> None:
        began = perf_counter()
        run.save()
        save_seconds.append(perf_counter() - began)

    def turn() -> None:
        steps()
        run.best = {name: tensor.clone() for name, tensor in run.network.state_dict().items()}
        give_masks(run.network)
        save()

    benchmark.pedantic(turn, rounds=TURNS, warmup_rounds=1)
    epoch = min(step_seconds) * IMAGES / BATCH
    size = (tmp_path / "state.pt").stat().st_size
    plain = IMAGES * SIDE**2
    masks = run.network.resume_state()["masks"]["zlib"].nbytes
    log.info(
        "width %d: one state %.3f s, %.1f MB (masks %.2f MB, as they are %.1f MB); %d steps %.0f s; share %.2f %%",
        *(width, min(save_seconds), size / 1e6, masks / 1e6, plain / 1e6, IMAGES // BATCH, epoch),
        100 * min(save_seconds) / epoch,
    )
    assert masks < plain / 5
    assert min(save_seconds) < SHARE * epoch


def make_run(width: int, folder: Path) -> _Run:
    """A training of DFINet on its list of generated images, enlarged to 256 x 256, that has not begun."""
    names = list_names("synthetic", "bench", "train", SHOWN)
    frames: Frames = open_frames("synthetic", names, root=None, decoder="pillow-grey")
    training = Training(
        model="DFINet",
        images=image_list("synthetic", "bench", "train", limit=SHOWN),
        config=freeze_config({"width": width}),
        input=Input("pillow-grey", 1, mean=80.0, std=15.0, size=(SIDE, SIDE), multiple=16),
        recipe=replace(RECIPES.get("dfinet"), batch=BATCH, schedule="constant"),
        selection=Selection("last"),
        seed=0,
    )
    return _Run(training, frames, None, folder, torch.device("cpu"))


def give_masks(network: Any) -> None:
    """Put a mask of every image of the training into the network's history: clutter at logit -10, targets at 10."""
    assert isinstance(network, FeedbackNetwork)
    generator = np.random.default_rng(0)
    maps = [sigmoid(generator.normal(-10, 1.0, (SIDE, SIDE)) + 20 * targets(generator)) for _ in range(16)]
    planes = [pack(torch.from_numpy(one).float()) for one in maps]
    network.history.load({"masks": {index: planes[index % len(planes)] for index in range(IMAGES)}})
