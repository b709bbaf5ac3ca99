"""The parameters, metrics, tags and pictures of a result that MLflow shows, as plain names and values."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.errors import StoreError
from bench.metrics.counting.levels import LEVELS
from bench.metrics.ids import is_mlflow_name
from bench.records import to_plain
from bench.store.collect import PICTURES
from bench.store.files import load_arrays
from bench.store.tracker import PlannedExperiment
from bench.types import Experiment, ImageList, Method, Row, RunResult, Training

LONGEST_PARAM = 6000
"""Characters of a parameter's value at most: MLflow refuses, or cuts, longer ones."""

WHOLE_PARAMS = "parameters.json"
"""The artifact that keeps parameters whole that are too long."""

Sent = tuple[str, float, int]
"""A metric's name, value and step."""


@dataclass(frozen=True)
class ParamsSent:
    """Parameters as MLflow takes them, and the whole values of those that are too long for it."""

    sent: dict[str, str]
    whole: dict[str, str]


@dataclass(frozen=True)
class Sorted:
    """Metrics that MLflow takes, and the names of those that it does not."""

    taken: list[Sent]
    refused: tuple[str, ...]


def sort_metrics(metrics: Iterable[Sent]) -> Sorted:
    """Set metrics apart whose name MLflow refuses, and drop values that it does not keep: NaN, and infinity.

    >>> sort_metrics([("IoU", 0.5, 0), ("SCR", math.inf, 0), ("a@b", 0.5, 0)])
    Sorted(taken=[('IoU', 0.5, 0)], refused=('a@b',))
    """
    finite = [each for each in metrics if math.isfinite(each[1])]
    taken = [each for each in finite if is_mlflow_name(each[0])]
    return Sorted(taken, tuple(sorted({name for name, _, _ in finite if not is_mlflow_name(name)})))


def note_of(result: RunResult) -> str:
    """Why it failed, and how many test images it learnt from; empty where there is nothing to say."""
    leak = f"leak: {result.leaked} of {result.experiment.images.count} test images were in the training list"
    return "; ".join(filter(None, (result.reason, leak if result.leaked else "")))


def digest_of(result: RunResult) -> str:
    """SHA-256 of the result's content."""
    return hashlib.sha256(json.dumps(to_plain(result), sort_keys=True).encode()).hexdigest()


def lists_in_use(experiment: Experiment) -> Iterator[tuple[ImageList, str]]:
    """The lists that an experiment learns from and is tested on, with MLflow's words for that."""
    weights = experiment.weights
    if isinstance(weights, Training | Method) and weights.images is not None:
        yield weights.images, "training"
    yield experiment.images, "testing"


def params_of(row: Row, experiment: Experiment) -> ParamsSent:
    """The resolved records as flat names, `experiment.weights.recipe.lr` and the like."""
    flat = {"model": row.model, "label": row.label, "protocol": row.protocol, "seed": str(row.seed)}
    for name, value in (("experiment", experiment), ("scoring", row.scoring)):
        flat.update(_flatten(to_plain(value), name))
    return fit_params(flat)


def fit_params(flat: Mapping[str, str]) -> ParamsSent:
    """Shorten values that are too long, with a word on where they are whole.

    >>> fit_params({"lr": "0.1", "config": 6001 * "1"}).sent["config"][-36:]
    '1111… (parameters.json has it whole)'
    """
    note = f"… ({WHOLE_PARAMS} has it whole)"
    whole = {name: value for name, value in flat.items() if len(value) > LONGEST_PARAM}
    short = {name: value[: LONGEST_PARAM - len(note)] + note for name, value in whole.items()}
    return ParamsSent({**flat, **short}, whole)


def _flatten(content: Any, prefix: str) -> dict[str, str]:
    if isinstance(content, dict):
        flat: dict[str, str] = {}
        for name, value in content.items():
            flat.update(_flatten(value, f"{prefix}.{name}"))
        return flat
    return {prefix: content if isinstance(content, str) else json.dumps(content)}


def tags_of(row: Row, plan: PlannedExperiment) -> dict[str, str]:
    """The tags that runs are filtered by on MLflow's page, and its own one for the commit."""
    environment = plan.environment
    tags = {
        "model": row.model,
        "dataset": row.test_set,
        "split": row.split,
        "protocol": row.protocol,
        "seed": str(row.seed),
        "limited": "yes" if plan.experiment.is_limited else "",
        "device": str(environment.get("device") or ""),
        "torch": str(environment.get("torch") or ""),
        "dataset_digest": str(environment.get("dataset_digest") or ""),
        "images_digest": str(environment.get("images_digest") or ""),
        "mlflow.source.name": "dfinet-bench",
        "mlflow.source.type": "PROJECT",
        "mlflow.source.git.commit": str(environment.get("commit") or ""),
    }
    return {name: value for name, value in tags.items() if value}


def epoch_metrics(record: Mapping[str, float]) -> Iterator[Sent]:
    """An epoch's loss, rate and selection values (step = epoch)."""
    for name, value in record.items():
        if name != "epoch":
            yield f"train/{name}", float(value), int(record["epoch"])


def result_metrics(result: RunResult) -> Iterator[Sent]:
    """Final scores, scores of every round (step = round) and the costs: FLOPs are twice the MACs, all of one round."""
    for name, score in result.scores.items():
        if score.value is not None:
            yield name, score.value, 0
    for number, scores in enumerate(result.rounds, start=1):
        for name, score in scores.items():
            if score.value is not None:
                yield f"round/{name}", score.value, number
    for place, cost in enumerate(result.costs):
        numbers = {
            "parameters": cost.parameters,
            "MACs": cost.macs,
            "MACs_fvcore": cost.flops_fvcore,
            "FLOPs": None if cost.macs is None else 2 * cost.macs,
            "FPS": cost.images_per_s,
            "latency_p50_ms": cost.latency_p50,
            "latency_p95_ms": cost.latency_p95,
            "peak_memory_bytes": cost.peak_memory,
            "others_busy": cost.others_busy,
            "FPS_early_end": cost.early_end.images_per_s if cost.early_end else None,
            "rounds_early_end": cost.early_end.rounds if cost.early_end else None,
        }
        for name, value in numbers.items():
            if value is not None:
                yield f"cost/{name}" if name not in ("FLOPs", "FPS") else name, float(value), place
    for name, seconds in result.times.items():
        yield f"time/{name}", seconds, 0


def example_pictures(folder: Path) -> Iterator[tuple[str, bytes]]:
    """A PNG of each example in a result's folder: image, mask, and the maps of first and last round, side by side.

    Nothing where there are no examples, or their file is damaged.
    """
    try:
        arrays = load_arrays(folder / PICTURES)
    except StoreError:
        return
    for number in range(len(arrays.get("names", ()))):
        rounds = arrays[f"rounds_{number}"]
        shown = rounds[[0, -1]] if len(rounds) > 1 else rounds
        grey = np.clip(arrays[f"image_{number}"], 0, 255).astype(np.uint8)
        maps = [_picture(each.astype(np.float32) / LEVELS) for each in shown]
        tiles = [grey, _picture(arrays[f"mask_{number}"].astype(np.float32)), *maps]
        yield f"{number + 1}.png", _png(tiles)


def _picture(levels: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.round(np.clip(levels, 0, 1) * 255).astype(np.uint8)


def _png(tiles: list[NDArray[np.uint8]]) -> bytes:
    """The tiles (H, W) beside each other, a line of two pixels between them."""
    line = np.full((tiles[0].shape[0], 2), 128, np.uint8)
    row = [part for tile in tiles for part in (line, tile)][1:]
    return bytes(cv2.imencode(".png", np.hstack(row))[1])
