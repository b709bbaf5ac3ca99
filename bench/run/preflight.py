"""Checks before the first experiment of a suite runs: names, settings, images and leaks."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from bench.data.batches.augment import AUGMENTATIONS
from bench.data.catalogue.cards import load_card
from bench.data.images.corruptions import parse_corruption
from bench.data.images.find_dataset import find_dataset
from bench.data.images.start_masks import STARTS
from bench.errors import BenchError, DataError, RequestError, StoreError
from bench.models.losses import get_loss
from bench.models.network import build_model, explain_settings, find_models
from bench.run.workspace import Session, Workspace
from bench.store.files import first_line, read_result
from bench.suites.expand import Job
from bench.suites.leak_check import PixelComparison, learnt_from, refuse
from bench.types import Config, Decoder, ImageList, Method, RunResult, Training, Weights
from bench.weights.catalogue import (
    PublishedWeights,
    existing_weights,
    find_weights,
    published_weights,
    refuse_no_folder,
)


def check_jobs(jobs: Sequence[Job]) -> None:
    """Check that everything the jobs name exists, so that a typo fails before anything runs.

    Raises:
        UnknownNameError: with suggestions, for a loss, augmentation, threshold rule, start mask or corruption that
            does not exist.
        RequestError: for a setting that the model does not have, a value that a setting cannot take, or a last batch of
            one image that the network cannot train on.
    """
    tried: set[tuple[str, Config, int]] = set()
    for job in jobs:
        weights = job.experiment.weights
        design = (weights.model, weights.config, job.experiment.input.channels)
        if design not in tried:
            _try_settings(job)
            tried.add(design)
        if find_models().get(weights.model).info.rounds > 1:
            STARTS.get(job.experiment.start)
        if job.experiment.corruption:
            parse_corruption(job.experiment.corruption)
        if isinstance(weights, Training):
            get_loss(weights.recipe.loss)
            AUGMENTATIONS.get(weights.recipe.augmentation)
            _refuse_single(job.row.label, weights)


def _refuse_single(label: str, training: Training) -> None:
    """Try a last batch of one image, where a training would end its epochs with one: BatchNorm may not take it."""
    recipe, count = training.recipe, training.images.count
    if recipe.drop_single or recipe.batch == 1 or count % recipe.batch != 1:
        return
    network = build_model(training.model, channels=training.input.channels, settings=dict(training.config)).train()
    height, width = training.input.size or (recipe.patch or 1, recipe.patch or 1)
    start = torch.zeros(1, 1, height, width) if network.needs_start else None
    try:
        with torch.no_grad():
            next(iter(network.rounds(torch.zeros(1, training.input.channels, height, width), start)))
    except Exception as error:
        if "more than 1 value per channel" not in str(error):
            return  # a network that fails otherwise fails its own row, with the reason
        raise RequestError(
            f"{label}: {count} training images in batches of {recipe.batch} leave one image for the last batch, on "
            f"which {training.model} cannot train; set recipe.drop_single=true, or another recipe.batch"
        ) from None


def _try_settings(job: Job) -> None:
    """Build networks whose settings are not the published ones: an unknown setting or value is refused."""
    weights, channels = job.experiment.weights, job.experiment.input.channels
    model = find_models().get(weights.model)
    try:
        inspect.signature(model.build).bind(channels=channels, **dict(weights.config))
        if isinstance(weights, Method) or weights.config != model.info.config:
            build_model(weights.model, channels=channels, settings=dict(weights.config))
    except TypeError as error:
        said = explain_settings(model, dict(weights.config), error).removeprefix(f"model {weights.model}: ")
        raise RequestError(f"{job.row.label}: model {weights.model} has other settings: {said}") from None
    except BenchError:
        raise
    except Exception as error:  # whatever a builder or torch says of a width of -1
        settings = ", ".join(f"{name} = {value}" for name, value in weights.config)
        reason = f"{type(error).__name__}: {first_line(error)}"
        raise RequestError(
            f"{job.row.label}: model {weights.model} cannot be built with {settings} ({reason})"
        ) from None


def check_datasets(jobs: Sequence[Job], session: Session) -> None:
    """Check that the folder of every dataset that unfinished jobs need is there.

    Raises:
        DataError: naming the first that is not; and how to run the other datasets, where there are any.
    """
    absent = _absent(jobs, session)
    if absent:
        tested = dict.fromkeys(job.row.dataset for job in jobs)
        left_out = {job.row.dataset for job in jobs if absent.keys() & _datasets_of(job)}
        rest = " ".join(f"--dataset {name}" for name in tested if name not in left_out)
        said = str(next(iter(absent.values())))
        raise DataError(f"{said}; or run the others alone with {rest}" if rest else said)


def without_images(jobs: Sequence[Job], session: Session) -> dict[str, str]:
    """The reason by key of each unfinished job that needs a dataset that is not there.

    Raises:
        DataError: naming the first such dataset, when nothing is left to run.
    """
    absent, reasons = _absent(jobs, session), {}
    for job in jobs:
        missing = [absent[name] for name in sorted(_datasets_of(job)) if name in absent]
        if missing and not is_done(job, session.workspace):
            reasons[job.row.key] = str(missing[0])
    if absent and all(job.row.key in reasons for job in jobs):
        raise next(iter(absent.values()))
    return reasons


def _absent(jobs: Sequence[Job], session: Session) -> dict[str, DataError]:
    """The datasets that unfinished jobs need and that are not there, with the errors about them."""
    waiting = [job for job in jobs if not is_done(job, session.workspace)]
    needed = {name for job in waiting for name in _datasets_of(job)}
    return {name: error for name in sorted(needed) if (error := _absence(name, session.workspace.data))}


def _datasets_of(job: Job) -> set[str]:
    return {images.dataset for images, _ in lists_read_by(job)}


def _absence(name: str, root: Path | None) -> DataError | None:
    """The error about a dataset that has no folder; None where it has one, or is generated."""
    card = load_card(name)
    try:
        if not card.generated:
            find_dataset(card, root)
    except DataError as error:
        return error
    return None


def read_images(jobs: Sequence[Job], session: Session) -> None:
    """Decode every image that unfinished jobs need, so that a broken file is reported before anything runs.

    Raises:
        DataError: naming the file.
    """
    waiting = [job for job in jobs if not is_done(job, session.workspace)]
    wanted = {(images, decoder): None for job in waiting for images, decoder in lists_read_by(job)}
    for images, decoder in wanted:
        session.frames_of(images, decoder=decoder)


def with_leaks(jobs: Sequence[Job], session: Session, *, allowed: bool) -> list[Job]:
    """The jobs, with the number of leaked test images in their rows where only a comparison of pixels can find them.

    Raises:
        LeakError: naming the lists, when they share images and that is not allowed.
    """
    return [_with_leak(job, session, allowed=allowed) for job in jobs]


def _with_leak(job: Job, session: Session, *, allowed: bool) -> Job:
    experiment = job.experiment
    if (done := finished_result(job, session.workspace)) is not None:
        return replace(job, row=replace(job.row, leaked=max(done.leaked, job.row.leaked)))
    if isinstance(experiment.weights, Weights):
        return job  # what it learnt from is compared by lists and cards; its training images need not be here
    decoder = experiment.input.decoder
    compare = PixelComparison(lambda images: session.frames_of(images, decoder=decoder), known=session.digests)
    shared = {images: compare.shared(images, experiment.images) for images in learnt_from(experiment)}
    if not allowed:
        for images, names in shared.items():
            refuse(images, experiment.images, names)
    leaked = len({name for names in shared.values() for name in names})
    return replace(job, row=replace(job.row, leaked=max(leaked, job.row.leaked)))


def lists_read_by(job: Job) -> list[tuple[ImageList, Decoder]]:
    """The lists of images that an experiment reads, with the decoder of each."""
    experiment, weights = job.experiment, job.experiment.weights
    lists = [(experiment.images, experiment.input.decoder)]
    if isinstance(weights, Training):
        lists.append((weights.images, weights.input.decoder))
        if weights.selection_images is not None:
            lists.append((weights.selection_images, weights.input.decoder))
    if isinstance(weights, Method) and weights.images is not None:
        lists.append((weights.images, experiment.input.decoder))
    return lists


def check_weights(jobs: Sequence[Job], workspace: Workspace) -> None:
    """Check that no file that bears the name of a checkpoint that unfinished jobs need is another.

    A file that is missing is no error here: its rows fail and say where to get it.

    Raises:
        CheckpointError: naming the file; or the folder of weights, when there is no such folder.
    """
    wanted = named_weights([job for job in jobs if not is_done(job, workspace)])
    if wanted:
        refuse_no_folder(workspace.weights)
    for each in wanted:
        find_weights(each, workspace.weights)


def require_weights(jobs: Sequence[Job], folder: Path | None) -> None:
    """Check that the file of every published checkpoint that the jobs name is there.

    Raises:
        CheckpointError: naming the first that is not, with where to get it.
    """
    for each in named_weights(jobs):
        existing_weights(each, folder)


def named_weights(jobs: Sequence[Job]) -> list[PublishedWeights]:
    """The published checkpoints that jobs name, each once."""
    named = {job.experiment.weights.name for job in jobs if isinstance(job.experiment.weights, Weights)}
    return [published_weights(name) for name in sorted(named - {""})]


def is_done(job: Job, workspace: Workspace) -> bool:
    """True if the job has a finished result."""
    return finished_result(job, workspace) is not None


def finished_result(job: Job, workspace: Workspace) -> RunResult | None:
    """The job's result on disk; None where there is none under the same scoring, or a failure."""
    try:
        result = read_result(workspace.result_folder(job.row.key))
    except StoreError:
        return None
    return result if result.status != "failed" and result.scoring == job.row.scoring else None
