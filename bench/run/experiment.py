"""Run one experiment: obtain the weights, predict, score, measure the cost, record the result."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.cost.fresh_process import measure_fresh
from bench.cost.measure import ImageAndStart
from bench.data.batches.loader import evaluation_batches
from bench.data.catalogue.cards import load_card
from bench.data.images.corrupted_frames import as_seen
from bench.data.images.decode import resize_bilinear
from bench.data.images.frames import Frame, Frames
from bench.data.images.start_masks import OTSU
from bench.errors import RequestError, StoreError
from bench.lock import waiting_lock
from bench.models.detector import Detector
from bench.models.network import Segmenter, build_model, find_models
from bench.prediction.predict import Prediction, choose_examples, predict
from bench.prediction.tune_threshold import tune
from bench.progress import track
from bench.run.torchrun import leading
from bench.run.workspace import Session, Workspace
from bench.scoring.accumulator import RunAccumulator
from bench.store.files import (
    SCORED_FILE,
    ArrayWriter,
    first_line,
    read_without_cost,
    write_arrays,
    write_result,
    write_without_cost,
)
from bench.suites.expand import Job
from bench.training.train import Trained, train
from bench.types import (
    Cost,
    Experiment,
    Method,
    ModelInfo,
    RunResult,
    Score,
    Scoring,
    Training,
    Weights,
)
from bench.weights.catalogue import existing_weights, published_weights
from bench.weights.load import load_model, weights_digest

log = logging.getLogger(__name__)

COST_SIZE = (256, 256)
EXAMPLES = 4
TIMED_IMAGES = 8
LOCK_FILE = ".lock"
WAITING = "{}: another run works on this training; waiting for it to finish"


def run_job(job: Job, session: Session) -> RunResult:
    """Run one experiment and record its result; one that is scored already is measured alone.

    Raises:
        NonFiniteLossError: when training diverges.
        RequestError: when weights or predictions are not usable.
    """
    network, scored = score_job(job, session)
    folder = session.workspace.result_folder(job.row.key)
    result = replace(scored, costs=(measure_once(job, network, session),))
    write_result(folder, result)
    (folder / SCORED_FILE).unlink(missing_ok=True)
    return result


def score_job(job: Job, session: Session) -> tuple[Segmenter, RunResult]:
    """The network of an experiment, and its result without a cost, which is recorded until there is one.

    Raises:
        NonFiniteLossError, RequestError: as `run_job`.
    """
    network, trained = obtain_weights(job, session)
    known = scored_result(job, session.workspace)
    if known is not None:
        return network, known
    experiment = job.experiment
    frames = session.frames_of(experiment.images, decoder=experiment.input.decoder)
    scored = predict_and_score(job, network, frames, session)
    times = {"train_s": trained.seconds if trained else 0.0, **scored.times}
    result = RunResult(
        key=job.row.key,
        status="limited" if experiment.is_limited else "done",
        experiment=experiment,
        scoring=job.row.scoring,
        protocol=job.row.protocol,
        model=model_info(job),
        scores=scored.rounds[-1],
        rounds=scored.rounds,
        epochs=trained.epochs if trained else 0,
        best_epoch=trained.best_epoch if trained else 0,
        optimistic=is_optimistic(job),
        tuned=tuned_settings(network),
        environment=environment_of(job, session) | ({"trained_with": list(trained.stretches)} if trained else {}),
        times=times,
        leaked=job.row.leaked,
        training=experiment.training_key,
    )
    write_without_cost(session.workspace.result_folder(job.row.key), result)
    return network, result


def scored_result(job: Job, workspace: Workspace) -> RunResult | None:
    """The job's result on disk whose cost is still to be measured; None where there is none under the same scoring."""
    try:
        scored = read_without_cost(workspace.result_folder(job.row.key))
    except StoreError:
        return None
    return scored if scored.scoring == job.row.scoring else None


def obtain_weights(job: Job, session: Session) -> tuple[Segmenter, Trained | None]:
    """The experiment's network in evaluation mode, and the outcome of its training if it has one."""
    weights = job.experiment.weights
    if isinstance(weights, Method):
        return obtain_detector(weights, session), None
    if isinstance(weights, Weights):
        folder, channels = session.workspace.weights, job.experiment.input.channels
        return _given_weights(weights, folder, channels=channels).to(session.device), None
    assert isinstance(weights, Training)  # given predictions are no job of a suite
    trained = train_once(weights, session)
    return load_model(weights.model, trained.checkpoint, **dict(weights.config)).to(session.device), trained


def train_once(training: Training, session: Session) -> Trained:
    """The outcome of a training. The first experiment carries it out or reads it from its folder; the others share it.

    Other processes with the same folder wait until it is finished, and then read it.

    Raises:
        NonFiniteLossError: when it diverges.
    """
    known = session.trainings.get(training.key)
    if known is not None:
        for record in known.log:
            session.tracker.log_epoch(record)
        return known
    decoder, chosen = training.input.decoder, training.selection_images
    frames = session.frames_of(training.images, decoder=decoder)
    selection_frames = None if chosen is None else session.frames_of(chosen, decoder=decoder)
    folder = session.workspace.training_folder(training.key)
    with waiting_lock(folder / LOCK_FILE, WAITING.format(folder)), leading(training.key):
        trained = train(
            training,
            frames,
            folder=folder,
            selection_frames=selection_frames,
            device=session.device,
            progress=session.progress,
            on_epoch=session.tracker.log_epoch,
        )
    session.trainings[training.key] = trained
    return trained


def obtain_detector(method: Method, session: Session) -> Detector:
    """A classical detector whose threshold is known: given, or found on the method's training list.

    Raises:
        RequestError: when the model is no detector.
    """
    detector = build_model(method.model, channels=1, settings=dict(method.config))
    if not isinstance(detector, Detector):
        raise RequestError(f"model {method.model}: registered without a recipe, and it is no Detector; give it one")
    if method.images is not None and method.input is not None:
        frames = session.frames_of(method.images, decoder=method.input.decoder)
        folder = session.workspace.training_folder(method.key)
        with waiting_lock(folder / LOCK_FILE, WAITING.format(folder)):
            detector.level = tune(method, detector, frames, folder=folder, progress=session.progress).level
    return detector


def _given_weights(weights: Weights, folder: Path | None, *, channels: int) -> Segmenter:
    if weights.name:
        path = existing_weights(published_weights(weights.name), folder)  # found by its digest
        return load_model(weights.model, path, channels=channels, **dict(weights.config))
    path = Path(weights.path)
    found = weights_digest(path)
    if found != weights.sha256:
        raise RequestError(
            f"weights {path}: SHA-256 is {found[:12]}…, the experiment was planned with {weights.sha256[:12]}…"
        )
    return load_model(weights.model, path, channels=channels, **dict(weights.config))


@dataclass(frozen=True)
class RoundScores:
    """Scores of every round, and the seconds that prediction and scoring took."""

    rounds: tuple[dict[str, Score], ...]
    times: dict[str, float]


def predict_and_score(job: Job, network: Segmenter, frames: Frames, session: Session) -> RoundScores:
    """Predict every image once; store and score each map as it comes, with one batch of maps in memory.

    With a corruption the network sees the corrupted images. Contrast and its strata are measured on the clean images,
    so that a target stays in its stratum at every level of corruption.
    """
    experiment, folder = job.experiment, session.workspace.result_folder(job.row.key)
    counted = RunAccumulator(job.row.scoring)
    examples: list[tuple[Frame, Prediction]] = []
    shown = choose_examples(frames, count=EXAMPLES)
    began, scoring_seconds = time.perf_counter(), 0.0
    seen = as_seen(frames, experiment.corruption)
    predictions = predict(
        network,
        seen,
        input=experiment.input,
        rounds=experiment.rounds,
        device=session.device,
        start=experiment.start or OTSU,
    )
    what = f"predict {job.row.title} on {job.row.test_set}"
    watched = track(predictions, what, total=len(frames), progress=session.progress)
    with ArrayWriter(folder / "predictions.npz") as kept:
        for index, (frame, prediction) in enumerate(zip(frames, watched, strict=True)):
            kept.add(frame.name, stored_map(prediction, job.row.scoring))
            scored = time.perf_counter()
            counted.add(frame, prediction.rounds, faint=prediction.faint, start=prediction.start)
            scoring_seconds += time.perf_counter() - scored
            if frame.name in shown:
                examples.append((seen[index], prediction))
    rounds = counted.write(folder)
    write_arrays(folder / "examples.npz", example_arrays(examples))
    seconds = time.perf_counter() - began
    return RoundScores(rounds, {"predict_s": seconds - scoring_seconds, "score_s": scoring_seconds})


def stored_map(prediction: Prediction, scoring: Scoring) -> NDArray[Any]:
    """The last round's map (H, W) as it is stored: in levels, but for a faint one that the scoring stretches."""
    faint = prediction.faint if scoring.normalise != "none" else None
    kept: NDArray[Any] = prediction.rounds[-1] if faint is None else faint[-1]
    return kept


def example_arrays(examples: Sequence[tuple[Frame, Prediction]]) -> dict[str, NDArray[Any]]:
    """The contents of `examples.npz`: grey image, mask and every round's map of a few images, at one size each."""
    arrays: dict[str, NDArray[Any]] = {"names": np.array([frame.name for frame, _ in examples])}
    for number, (frame, prediction) in enumerate(examples):
        height, width = prediction.rounds.shape[1:]
        arrays[f"image_{number}"] = resize_bilinear(frame.grey, (height, width))
        arrays[f"mask_{number}"] = frame.binary_at((height, width))
        arrays[f"rounds_{number}"] = prediction.rounds
    return arrays


def measure_once(job: Job, network: Segmenter, session: Session) -> Cost:
    """The cost of one pass at a nominal size on the experiment's device.

    Measured once for all datasets, but once an experiment for a feedback network, which is timed on test images, too.
    """
    experiment = job.experiment
    size, channels = experiment.input.size or COST_SIZE, experiment.input.channels
    has_feedback = experiment.rounds > 1
    what = experiment.key if has_feedback else (experiment.model, experiment.weights.config)
    key = (what, size, channels, experiment.rounds)
    if key not in session.costs:
        images = list(timed_images(experiment, network, session)) if has_feedback else []
        session.costs[key] = measure_fresh(
            network, size=size, channels=channels, device=session.device, rounds=experiment.rounds, images=images
        )
    return session.costs[key]


def timed_images(experiment: Experiment, network: Segmenter, session: Session) -> Iterator[ImageAndStart]:
    """Test images, spread evenly over the list, as the network sees them."""
    frames = session.frames_of(experiment.images, decoder=experiment.input.decoder)
    positions = np.linspace(0, len(frames) - 1, min(TIMED_IMAGES, len(frames))).round().astype(int)
    seen = as_seen([frames[position] for position in positions], experiment.corruption)
    start = experiment.start or OTSU
    for batch in evaluation_batches(seen, input=experiment.input, needs_start=network.needs_start, start=start):
        yield batch.image, batch.start


def tuned_settings(network: Segmenter) -> dict[str, float]:
    """The threshold level of a classical detector; empty for networks."""
    return {"level": float(network.level)} if isinstance(network, Detector) else {}


def model_info(job: Job) -> ModelInfo:
    """The model's record with its published settings; the settings in use belong to the experiment.

    Of a published checkpoint it has the numbers that were published for this very checkpoint.
    """
    info, weights = find_models().get(job.row.model).info, job.experiment.weights
    if not isinstance(weights, Weights) or not weights.name:
        return info
    return replace(info, reported=tuple(one for one in info.reported if one.weights == weights.name))


def is_optimistic(job: Job) -> bool:
    """True if the test list took part in the choice of the checkpoint."""
    weights = job.experiment.weights
    return isinstance(weights, Training) and weights.selection.is_optimistic


def environment_of(job: Job, session: Session) -> dict[str, Any]:
    """Versions, processor and commit, with the digests of the dataset's card and of the images that were read.

    `images_digest` covers the files that were read; `other_images` counts those known to differ from the published
    pixels. Both are left out if no image could be read.
    """
    images, decoder = job.experiment.images, job.experiment.input.decoder
    found = {**session.workspace.environment, "dataset_digest": load_card(job.row.dataset).digest}
    frames = session.frames.get((images.dataset, images.digest, decoder))
    if frames is not None:
        found |= {"images_digest": frames.digest, "other_images": len(frames.others)}
    return found


def failed_result(job: Job, session: Session, error: Exception) -> RunResult:
    """The result of an experiment that failed, with the reason."""
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
        environment=environment_of(job, session),
        leaked=job.row.leaked,
        training=job.experiment.training_key,
    )
