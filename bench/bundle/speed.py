"""Check of a machine in seconds: how many images a second a network learns and predicts there."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import count

import torch

from bench.data.batches.loader import Feed
from bench.data.images.start_masks import OTSU
from bench.models.losses import get_loss
from bench.models.network import Segmenter, build_model, to_device
from bench.prediction.predict import predict
from bench.run.workspace import Session
from bench.suites.expand import Job
from bench.training.optimisers import make_optimiser
from bench.types import Training

WARM_UP = 0.25
"""Share of the time in which work is done but not counted."""


def training_speed(job: Job, session: Session, *, seconds: float) -> float | None:
    """Images a second that a new network of the experiment learns from; None where nothing is trained."""
    training = job.experiment.weights
    if not isinstance(training, Training):
        return None
    network = to_device(_new_network(job), session.device).train()
    frames = session.frames_of(training.images, decoder=training.input.decoder)
    feed = Feed(
        frames,
        input=training.input,
        recipe=training.recipe,
        seed=training.seed,
        needs_start=network.needs_start,
        device=session.device,
    )
    optimiser, loss_of = make_optimiser(network, training.recipe), get_loss(training.recipe.loss)

    def learn() -> Iterator[int]:
        for epoch in count(1):
            for batch in feed.epoch(epoch):
                optimiser.zero_grad(set_to_none=True)
                torch.autograd.backward(network.training_loss(batch, loss_of, epoch=epoch))
                optimiser.step()
                yield len(batch.name)

    return _rate(learn, session.device, seconds=seconds)


def testing_speed(job: Job, session: Session, *, seconds: float) -> float | None:
    """Images a second that a new network of the experiment predicts."""
    experiment = job.experiment
    network = _new_network(job)
    frames = session.frames_of(experiment.images, decoder=experiment.input.decoder)

    def look() -> Iterator[int]:
        while True:
            for _ in predict(
                network,
                frames,
                input=experiment.input,
                rounds=experiment.rounds,
                device=session.device,
                start=experiment.start or OTSU,
            ):
                yield 1

    return _rate(look, session.device, seconds=seconds)


def _new_network(job: Job) -> Segmenter:
    torch.manual_seed(0)
    experiment = job.experiment
    settings = dict(experiment.weights.config)
    return build_model(experiment.model, channels=experiment.input.channels, settings=settings)


def _rate(work: Callable[[], Iterator[int]], device: torch.device, *, seconds: float) -> float | None:
    """Images a second of work that yields how many it has done; None where nothing was counted within the time."""
    began = time.perf_counter()
    counted, since = 0, None
    for images in work():
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        now = time.perf_counter()
        if since is not None:
            counted += images
        elif now - began >= WARM_UP * seconds:
            since = now
        if now - began >= seconds:
            break
    return counted / (now - since) if counted and since is not None else None
