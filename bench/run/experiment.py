"""From an experiment to its result: get the weights, predict, score, measure, record."""

from __future__ import annotations

import inspect
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bench.cost.fresh_process import measure_fresh
from bench.data.batches.augment import AUGMENTATIONS
from bench.data.catalogue.cards import load_card
from bench.data.catalogue.splits import list_names
from bench.data.images.corrupted_frames import as_seen
from bench.data.images.corruptions import parse_corruption
from bench.data.images.decode import resize_bilinear
from bench.data.images.frames import Frame, Frames, open_frames
from bench.data.images.start_masks import OTSU, STARTS
from bench.environment import describe_environment
from bench.errors import RequestError, StoreError
from bench.models.detector import Detector
from bench.models.losses import get_loss
from bench.models.network import Segmenter, build_model, find_models
from bench.prediction.predict import Prediction, choose_examples, predict
from bench.prediction.tune_threshold import tune
from bench.progress import Progress, Silent, counting, track
from bench.scoring.tally import Tally
from bench.store.files import ArrayWriter, first_line, read_result, write_arrays, write_result
from bench.store.mlflow_tracker import Tracker
from bench.suites.leak_check import PixelComparison, learnt_from, refuse
from bench.suites.suite import Job
from bench.training.train import Trained, train
from bench.types import (
    Config,
    Cost,
    Decoder,
    ImageList,
    Method,
    ModelInfo,
    RunResult,
    Score,
    Training,
    Weights,
)
from bench.weights.load import load_model, weights_digest

log = logging.getLogger(__name__)

COST_SIZE = (256, 256)
EXAMPLES = 4


@dataclass
class Place:
    """Where experiments run: the folder of results, the images, the processor, and who is told.

    Attributes:
        runs: folder that takes `<key>/`, `trainings/` and `suites/`.
        data: folder with one folder a dataset; None where only generated images are used.
        device: where networks train, predict and are measured.
        frames: decoded images, by dataset, list and decoder, so that experiments share them.
        digests: of the images' grey levels, by list, so that experiments share them.
        trainings: what each training left, by its key, so that experiments share it.
        costs: what was measured, by network and size, so that datasets share it.
        environment: versions, processor and commit as they were at the start, whatever is committed in the meantime.
    """

    runs: Path
    data: Path | None
    device: torch.device
    tracker: Tracker = field(default_factory=Tracker)
    progress: Progress = field(default_factory=Silent)
    frames: dict[tuple[str, str, str], Frames] = field(default_factory=dict)
    digests: dict[ImageList, dict[str, str]] = field(default_factory=dict)
    trainings: dict[str, Trained] = field(default_factory=dict)
    costs: dict[tuple[Any, ...], Cost] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.environment = describe_environment(self.device)

    def frames_of(self, images: ImageList, *, decoder: Decoder) -> Frames:
        """The decoded images of a list, read once.

        Raises:
            DataError: naming the first file that is missing or broken.
        """
        key = (images.dataset, images.digest, decoder)
        if key not in self.frames:
            names = list_names(images.dataset, images.split, images.part, limit=images.limit)
            with counting(f"read {images.dataset}", total=len(names), progress=self.progress) as tell:
                self.frames[key] = open_frames(images.dataset, names, root=self.data, decoder=decoder, progress=tell)
        return self.frames[key]


def check_names(jobs: Sequence[Job]) -> None:
    """Nothing, when all that the jobs' records name exists, so that a slip of the pen is found before anything runs.

    Raises:
        UnknownNameError: with suggestions, for a loss, augmentation, threshold rule, start mask or corruption that
            does not exist.
        RequestError: for a setting that the model does not have, or a value that a setting cannot take.
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


def _try_settings(job: Job) -> None:
    """Build what is not built as published, which refuses settings and values that do not exist."""
    weights, channels = job.experiment.weights, job.experiment.input.channels
    model = find_models().get(weights.model)
    try:
        inspect.signature(model.build).bind(channels=channels, **dict(weights.config))
        if isinstance(weights, Method) or weights.config != model.info.config:
            build_model(weights.model, channels=channels, settings=dict(weights.config))
    except TypeError as error:
        raise RequestError(f"{job.row.label}: model {weights.model} has other settings: {error}") from None


def read_images(jobs: Sequence[Job], place: Place) -> None:
    """Decode every image that the jobs still to do will need, so that a broken file is named before anything runs.

    Raises:
        DataError: naming the file.
    """
    waiting = [job for job in jobs if not is_done(job, place)]
    wanted = {(images, decoder): None for job in waiting for images, decoder in _lists_of(job)}
    for images, decoder in wanted:
        place.frames_of(images, decoder=decoder)


def with_leaks(jobs: Sequence[Job], place: Place, *, allowed: bool) -> list[Job]:
    """The jobs, their rows told what the weights have seen of the test list where only the pixels can tell.

    Raises:
        LeakError: naming the lists, when they share images and that is not allowed.
    """
    return [_with_leak(job, place, allowed=allowed) for job in jobs]


def _with_leak(job: Job, place: Place, *, allowed: bool) -> Job:
    experiment = job.experiment
    if is_done(job, place):
        leaked = read_result(place.runs / job.row.key).leaked
        return replace(job, row=replace(job.row, leaked=max(leaked, job.row.leaked)))
    decoder = experiment.input.decoder
    compare = PixelComparison(lambda images: place.frames_of(images, decoder=decoder), known=place.digests)
    shared = {images: compare.shared(images, experiment.images) for images in learnt_from(experiment)}
    if not allowed:
        for images, names in shared.items():
            refuse(images, experiment.images, names)
    leaked = len({name for names in shared.values() for name in names})
    return replace(job, row=replace(job.row, leaked=max(leaked, job.row.leaked)))


def _lists_of(job: Job) -> list[tuple[ImageList, Decoder]]:
    experiment, weights = job.experiment, job.experiment.weights
    lists = [(experiment.images, experiment.input.decoder)]
    if isinstance(weights, Training):
        lists.append((weights.images, weights.input.decoder))
        if weights.selection_images is not None:
            lists.append((weights.selection_images, weights.input.decoder))
    if isinstance(weights, Method) and weights.images is not None:
        lists.append((weights.images, experiment.input.decoder))
    return lists


def is_done(job: Job, place: Place) -> bool:
    """Whether the job's result is on disk, under the same scoring, and not a failure."""
    try:
        result = read_result(place.runs / job.row.key)
    except StoreError:
        return False
    return result.status != "failed" and result.scoring == job.row.scoring


def run(job: Job, place: Place) -> RunResult:
    """One experiment from its weights to its recorded result.

    Raises:
        NonFiniteLossError: when training diverges.
        RequestError: when weights or predictions are not usable.
    """
    experiment = job.experiment
    frames = place.frames_of(experiment.images, decoder=experiment.input.decoder)
    network, trained = obtain_weights(job, place)
    judged = predict_and_score(job, network, frames, place)
    cost = measure(job, network, place)
    times = {"train_s": trained.seconds if trained else 0.0, **judged.times}
    result = RunResult(
        key=job.row.key,
        status="limited" if experiment.is_limited else "done",
        experiment=experiment,
        scoring=job.row.scoring,
        protocol=job.row.protocol,
        model=model_info(job),
        scores=judged.rounds[-1],
        rounds=judged.rounds,
        costs=(cost,),
        epochs=trained.epochs if trained else 0,
        best_epoch=trained.best_epoch if trained else 0,
        optimistic=is_optimistic(job),
        tuned=tuned_settings(network),
        environment=environment_of(job, place),
        times=times,
        leaked=job.row.leaked,
    )
    write_result(place.runs / job.row.key, result)
    return result


def obtain_weights(job: Job, place: Place) -> tuple[Segmenter, Trained | None]:
    """The experiment's network in evaluation mode, trained now or given, and how its training went."""
    weights = job.experiment.weights
    if isinstance(weights, Method):
        return obtain_detector(weights, place), None
    if isinstance(weights, Weights):
        return _given_weights(weights, channels=job.experiment.input.channels).to(place.device), None
    trained = train_once(weights, place)
    return load_model(weights.model, trained.checkpoint, **dict(weights.config)).to(place.device), trained


def train_once(training: Training, place: Place) -> Trained:
    """What a training leaves: carried out or taken from its folder the first time, told of again for every experiment.

    Raises:
        NonFiniteLossError: when it diverges.
    """
    known = place.trainings.get(training.key)
    if known is not None:
        for record in known.log:
            place.tracker.log_epoch(record)
        return known
    decoder, chosen = training.input.decoder, training.selection_images
    trained = train(
        training,
        place.frames_of(training.images, decoder=decoder),
        folder=place.runs / "trainings" / training.key,
        selection_frames=None if chosen is None else place.frames_of(chosen, decoder=decoder),
        device=place.device,
        progress=place.progress,
        on_epoch=place.tracker.log_epoch,
    )
    place.trainings[training.key] = trained
    return trained


def obtain_detector(method: Method, place: Place) -> Detector:
    """A classical detector whose threshold is known: given, or found on the method's training list.

    Raises:
        RequestError: when the model is no detector.
    """
    detector = build_model(method.model, channels=1, settings=dict(method.config))
    if not isinstance(detector, Detector):
        raise RequestError(f"model {method.model}: registered without a recipe, and it is no Detector; give it one")
    if method.images is not None and method.input is not None:
        frames = place.frames_of(method.images, decoder=method.input.decoder)
        folder = place.runs / "trainings" / method.key
        detector.level = tune(method, detector, frames, folder=folder, progress=place.progress).level
    return detector


def _given_weights(weights: Weights, *, channels: int) -> Segmenter:
    path = Path(weights.path)
    found = weights_digest(path)
    if found != weights.sha256:
        raise RequestError(
            f"weights {path}: SHA-256 is {found[:12]}…, the experiment was planned with {weights.sha256[:12]}…"
        )
    return load_model(weights.model, path, channels=channels, **dict(weights.config))


@dataclass(frozen=True)
class Judged:
    """Scores of every round, and how long predicting and scoring took, in seconds."""

    rounds: tuple[dict[str, Score], ...]
    times: dict[str, float]


def predict_and_score(job: Job, network: Segmenter, frames: Frames, place: Place) -> Judged:
    """Predict every image once; keep, count and judge it on the way, holding one batch of maps at a time.

    Of a corrupted test list the network sees the corrupted images. Contrast, and the strata made of it, is that of the
    clean ones, as a re-scoring has them: a target stays in its stratum at every level.
    """
    experiment, folder = job.experiment, place.runs / job.row.key
    tally = Tally(job.row.scoring)
    examples: list[tuple[Frame, Prediction]] = []
    shown = choose_examples(frames, count=EXAMPLES)
    began, scoring_seconds = time.perf_counter(), 0.0
    seen = as_seen(frames, experiment.corruption)
    predictions = predict(
        network,
        seen,
        input=experiment.input,
        rounds=experiment.rounds,
        device=place.device,
        start=experiment.start or OTSU,
    )
    what = f"predict {job.row.title} on {job.row.test_set}"
    watched = track(predictions, what, total=len(frames), progress=place.progress)
    with ArrayWriter(folder / "predictions.npz") as kept:
        for index, (frame, prediction) in enumerate(zip(frames, watched, strict=True)):
            kept.add(frame.name, prediction.rounds[-1])
            scored = time.perf_counter()
            tally.add(frame, prediction.rounds, start=prediction.start)
            scoring_seconds += time.perf_counter() - scored
            if frame.name in shown:
                examples.append((seen[index], prediction))
    rounds = tally.write(folder)
    write_arrays(folder / "examples.npz", example_arrays(examples))
    seconds = time.perf_counter() - began
    return Judged(rounds, {"predict_s": seconds - scoring_seconds, "score_s": scoring_seconds})


def example_arrays(examples: Sequence[tuple[Frame, Prediction]]) -> dict[str, NDArray[Any]]:
    """The images worth showing, as `examples.npz` holds them: grey image, mask and every round's map, at one size."""
    arrays: dict[str, NDArray[Any]] = {"names": np.array([frame.name for frame, _ in examples])}
    for number, (frame, prediction) in enumerate(examples):
        height, width = prediction.rounds.shape[1:]
        arrays[f"image_{number}"] = resize_bilinear(frame.grey, (height, width))
        arrays[f"mask_{number}"] = frame.binary_at((height, width))
        arrays[f"rounds_{number}"] = prediction.rounds
    return arrays


def measure(job: Job, network: Segmenter, place: Place) -> Cost:
    """What one pass of the network costs at a nominal size, on the device it ran on; measured once for all datasets."""
    experiment = job.experiment
    size, channels = experiment.input.size or COST_SIZE, experiment.input.channels
    key = (experiment.model, experiment.weights.config, size, channels, experiment.rounds)
    if key not in place.costs:
        place.costs[key] = measure_fresh(
            network, size=size, channels=channels, device=place.device, rounds=experiment.rounds
        )
    return place.costs[key]


def tuned_settings(network: Segmenter) -> dict[str, float]:
    """The level a classical detector was used at; nothing for networks."""
    return {"level": float(network.level)} if isinstance(network, Detector) else {}


def model_info(job: Job) -> ModelInfo:
    """What the network is, with its published settings; those it was built with are the experiment's."""
    return find_models().get(job.row.model).info


def is_optimistic(job: Job) -> bool:
    """Whether the test list took part in choosing the weights."""
    weights = job.experiment.weights
    return isinstance(weights, Training) and weights.selection.is_optimistic


def environment_of(job: Job, place: Place) -> dict[str, Any]:
    """Versions, processor, commit; the dataset's digest as its card has it, and what the test images really were.

    `images_digest` is that of the files that were read, and `other_images` how many of them are known not to have the
    published pixels; both are left out where no image could be read.
    """
    images, decoder = job.experiment.images, job.experiment.input.decoder
    found = {**place.environment, "dataset_digest": load_card(job.row.dataset).digest}
    frames = place.frames.get((images.dataset, images.digest, decoder))
    if frames is not None:
        found |= {"images_digest": frames.digest, "other_images": len(frames.others)}
    return found


def failed_result(job: Job, place: Place, error: Exception) -> RunResult:
    """The record of an experiment that did not come to an end."""
    reason = f"{type(error).__name__}: {first_line(error)}"
    return RunResult(
        key=job.row.key,
        status="failed",
        experiment=job.experiment,
        scoring=job.row.scoring,
        protocol=job.row.protocol,
        model=model_info(job),
        reason=reason,
        optimistic=is_optimistic(job),
        environment=environment_of(job, place),
        leaked=job.row.leaked,
    )
