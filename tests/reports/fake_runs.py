"""A suite's folder of results as a real run leaves it: two networks on two datasets, with curves, examples and logs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.data.images.frames import Frame
from bench.metrics.counting.counts import CountsWriter
from bench.metrics.counting.levels import LEVELS, quantise
from bench.metrics.counting.truth import read_truth
from bench.metrics.curves import CurveCounts
from bench.metrics.distances import DistanceCounts
from bench.metrics.errors import ERRORS, ErrorsWriter
from bench.metrics.registry import score_counts
from bench.models.published_numbers import METHODS, reported
from bench.protocols.protocols import BASICIRSTD
from bench.protocols.recipes import RECIPES
from bench.protocols.scorings import all_scorings, write_records
from bench.scoring.accumulator import Accumulator, AlignedImage
from bench.store.files import Manifest, write_arrays, write_manifest, write_result
from bench.types import (
    Cost,
    Experiment,
    ImageList,
    Input,
    ModelInfo,
    Reported,
    Row,
    RunResult,
    Score,
    Scoring,
    Training,
)

SCORING = Scoring("basicirstd")
DATASETS = {"NUAA-SIRST": 214, "NUDT-SIRST": 664}
DEVICE = "NVIDIA H200"

DFINET = ModelInfo(
    "DFINet",
    cite="J. Wu et al., DFINet, Pattern Recognition 169 (2026) 111958",
    source="https://github.com/uisdu/DFINet",
    licence="none stated",
    recipe="dfinet",
    channels=3,
    rounds=8,
    config=(("width", 32),),
)
ACM = ModelInfo(
    "ACM",
    cite="Y. Dai et al., Asymmetric Contextual Modulation, WACV 2021",
    source="https://github.com/XinyiYing/BasicIRSTD",
    licence="none stated",
    recipe="basicirstd",
    reported=(
        Reported("NUAA-SIRST", "basicirstd", "IoU/pooled", 0.6944, "BasicIRSTD README, 95650c3", "basicirstd"),
        Reported("NUDT-SIRST", "basicirstd", "IoU/pooled", 0.64855, "BasicIRSTD README, 95650c3", "basicirstd"),
        Reported(
            "NUDT-SIRST", "basicirstd", "Fa/unmatched-area", 28.587e-6, "BasicIRSTD README, 95650c3", "basicirstd"
        ),
        Reported("NUDT-SIRST", "dfinet", "IoU/pooled", 0.7, "a made-up source", "dfinet"),
    ),
)
COSTS = {
    "DFINet": Cost(DEVICE, "float32", (256, 256), 8, 9_300_337, 24_130_000_000, 61.2, 63.0, 16.3),
    "ACM": Cost(DEVICE, "float32", (256, 256), 1, 397_823, 402_343_000, 3.1, 3.4, 322.6),
}


FIELD: dict[str, tuple[float, float, int, float, float, float]] = {
    "DFINet": (9.300, 24.13, 8, 61.2, 0.775, 0.953),
    "DFINet-described": (9.300, 24.13, 8, 61.9, 0.779, 0.948),
    "DFINet@2026-01": (9.307, 24.10, 8, 60.8, 0.768, 0.945),
    "FANet": (7.720, 20.27, 10, 58.3, 0.741, 0.912),
    "ACM": (0.398, 0.343, 1, 3.1, 0.694, 0.649),
    "ALCNet": (0.520, 0.378, 1, 3.4, 0.610, 0.611),
    "DNANet": (4.697, 14.05, 1, 18.7, 0.748, 0.942),
    "DNANet, one output": (4.697, 14.05, 1, 18.1, 0.745, 0.940),
    "UIU-Net": (50.540, 54.43, 1, 24.6, 0.775, 0.905),
    "RDIAN": (0.217, 3.718, 1, 4.4, 0.707, 0.824),
    "ISTDU-Net": (2.752, 7.944, 1, 16.2, 0.759, 0.918),
    "AGPCNet": (12.360, 43.18, 1, 27.5, 0.688, 0.825),
    "SCTransNet": (11.190, 10.12, 1, 28.4, 0.775, 0.941),
    "MSHNet": (4.066, 6.11, 1, 6.9, 0.684, 0.806),
    "RPCANet": (0.680, 44.55, 1, 9.3, 0.704, 0.893),
    "U-Net": (34.526, 65.45, 1, 5.2, 0.726, 0.917),
    "TopHat": (0, 0, 1, 0.31, 0.071, 0.207),
    "MaxMedian": (0, 0, 1, 4.8, 0.012, 0.042),
    "LCM": (0, 0, 1, 5.1, 0.082, 0.061),
    "RLCM": (0, 0, 1, 92.0, 0.210, 0.151),
    "MPCM": (0, 0, 1, 6.0, 0.128, 0.059),
    "TLLCM": (0, 0, 1, 81.0, 0.110, 0.071),
    "WSLCM": (0, 0, 1, 210.0, 0.010, 0.008),
    "IPI": (0, 0, 1, 3900.0, 0.257, 0.178),
    "NRAM": (0, 0, 1, 1400.0, 0.122, 0.069),
    "RIPT": (0, 0, 1, 640.0, 0.110, 0.294),
    "PSTNN": (0, 0, 1, 130.0, 0.224, 0.148),
}
"""Name to parameters (M), MACs of a round (G; 0 is none), rounds, milliseconds, IoU on NUAA-SIRST and NUDT-SIRST: the
whole field, made up around published numbers."""


def field_results(*, seeds: Sequence[int] = (42,), protocol: str = "basicirstd") -> Iterator[RunResult]:
    """A result of every method of the field on both datasets."""
    for name, (parameters, macs, rounds, latency, *found) in FIELD.items():
        numbers = reported(name) if name in METHODS else ()
        info = replace(ACM, name=name, cite=f"{name}, a made-up citation", rounds=rounds, reported=numbers)
        info = replace(info, ablates="DFINet" if name.startswith("DFINet-") else "")
        cost = Cost(
            DEVICE,
            "float32",
            (256, 256),
            rounds,
            round(1e6 * parameters),
            round(1e9 * macs) or None,
            latency,
            1.1 * latency,
            1e3 / latency,
        )
        for dataset, iou in zip(DATASETS, found, strict=True):
            for index, seed in enumerate(seeds):
                value = scores(iou + 0.004 * index, niou=0.99 * iou, pd=0.5 + iou / 2, fa=1e-4 * (1.02 - iou))
                yield result(info, dataset, found=value, seed=seed, protocol=protocol, costs=(cost,))


def scores(iou: float, *, pd: float = 0.95, fa: float = 2e-5, niou: float | None = None) -> dict[str, Score]:
    """The scores of a result whose F1 follows from its IoU."""
    return {
        "IoU/pooled": Score(iou, "fraction", "higher"),
        "nIoU/per-image": Score(iou if niou is None else niou, "fraction", "higher"),
        "F1/pooled": Score(2 * iou / (1 + iou), "fraction", "higher"),
        "Pd/centroid-3px": Score(pd, "fraction", "higher"),
        "Fa/unmatched-area": Score(fa, "fraction", "lower"),
    }


def result(
    info: ModelInfo = ACM,
    dataset: str = "NUDT-SIRST",
    *,
    found: dict[str, Score] | None = None,
    seed: int = 42,
    split: str = "basicirstd",
    protocol: str = "basicirstd",
    scoring: Scoring = SCORING,
    limit: int | None = None,
    **changes: object,
) -> RunResult:
    """A result of a network trained as the basicirstd protocol says."""
    digest = hashlib.sha256(f"{dataset} {split} {limit}".encode()).hexdigest()
    images = ImageList(dataset, split, "test", digest, min(limit or 10**6, DATASETS.get(dataset, 80)), limit)
    rule = Input("pillow-grey", info.channels, mean=107.8, std=33.0, multiple=32, source="BasicIRSTD")
    training = Training(
        info.name,
        replace(images, part="train", digest="e" * 64),
        rule,
        RECIPES.get("basicirstd"),
        BASICIRSTD.selection,
        seed=seed,
        config=info.config,
    )
    experiment = Experiment(training, images, rule, rounds=info.rounds, start="otsu" if info.rounds > 1 else "")
    made = RunResult(
        key=experiment.key,
        status="limited" if limit else "done",
        experiment=experiment,
        scoring=scoring,
        protocol=protocol,
        model=info,
        scores=scores(0.65) if found is None else found,
        costs=(COSTS[info.name],) if info.name in COSTS else (),
        epochs=400,
        best_epoch=400,
        environment={"torch": "2.13.0", "device": DEVICE, "commit": "0" * 40, "dirty": False},
    )
    return replace(made, rounds=(made.scores,), **changes)  # type: ignore[arg-type]


def row_of(made: RunResult, label: str = "") -> Row:
    """The manifest's row of a result."""
    images, weights = made.experiment.images, made.experiment.weights
    seed = weights.seed if isinstance(weights, Training) else 0
    return Row(
        label or made.model.name,
        made.model.name,
        images.dataset,
        images.split,
        made.protocol,
        made.scoring,
        seed,
        made.key,
    )


def write_suite(root: Path, rows: Sequence[tuple[str, RunResult | None, Row | None]], *, title: str = "Trial") -> None:
    """A manifest with these labels, and the results that are there."""
    listed = []
    for label, made, row in rows:
        listed.append(row or row_of(made, label))  # type: ignore[arg-type]
        if made is not None:
            write_result(root / made.key, made)
    write_manifest(root, Manifest("trial", title, tuple(listed)))


Bits = NDArray[np.bool_]
Maps = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint16]]


def frame_with_maps(rng: np.random.Generator, *, rounds: int, skill: float, number: int = 0) -> Maps:
    """Image, mask and predictions of a made-up frame: clouds, up to three small targets, better maps round by round.

    Args:
        number: of the frame; image and mask are the same for every method.
    """
    scene = np.random.default_rng(number)
    height, width = 128, 160
    rows, cols = np.mgrid[0:height, 0:width]
    clouds = sum(
        scene.uniform(8, 22)
        * np.sin(cols / scene.uniform(14, 60) + scene.uniform(0, 6))
        * np.cos(rows / scene.uniform(12, 50))
        for _ in range(4)
    )
    image = 95 + clouds + scene.normal(0, 5, (height, width))
    mask = np.zeros((height, width), np.uint8)
    heat = np.zeros((height, width))
    for _ in range(int(scene.integers(1, 4))):
        y, x = scene.integers(12, height - 12), scene.integers(12, width - 12)
        blob = np.exp(-(((rows - y) / 2.1) ** 2 + ((cols - x) / 1.7) ** 2))
        image += 110 * blob
        mask |= (blob > 0.35).astype(np.uint8)
        heat = np.maximum(heat, blob * (rng.uniform(0, 1) < skill + 0.25))
    y, x = rng.integers(8, height - 8), rng.integers(8, width - 8)
    false = np.exp(-(((rows - y) / 1.6) ** 2 + ((cols - x) / 1.6) ** 2)) * (rng.uniform(0, 1) > skill)
    image += 40 * false
    maps = []
    for r in range(rounds):
        sure = skill + (1 - skill) * r / max(rounds - 1, 1) * 0.8
        logit = (
            -7
            + 11 * heat * (0.6 + 0.4 * sure)
            + 8.5 * false * (1.3 - 0.4 * sure)
            + rng.normal(0, 1.5 - sure, mask.shape)
        )
        maps.append(quantise(1 / (1 + np.exp(-logit))))
    return np.clip(image, 0, 255).astype(np.uint8), mask, np.stack(maps)


def start_mask(start: str, image: NDArray[np.uint8], mask: NDArray[np.uint8], rng: np.random.Generator) -> Bits:
    """A first feedback mask, its Otsu level made up."""
    return {
        "otsu": image > 125,
        "zeros": np.zeros(mask.shape, bool),
        "ones": np.ones(mask.shape, bool),
        "noise": rng.uniform(size=mask.shape) > 0.5,
        "ground-truth": mask > 0,
        "": mask > 1,
    }[start]


def mask_changes(maps: NDArray[np.uint16], mask: NDArray[np.uint8], start: Bits) -> dict[str, NDArray[np.int64]]:
    """What `rounds.npz` holds of one image."""
    above = maps > LEVELS // 2
    flips = above[1:] != above[:-1]
    changed = flips.sum((1, 2))
    alike = [r for r in range(1, len(maps)) if np.array_equal(maps[r], maps[r - 1])]
    numbers = {
        "pixels": mask.size,
        "fixed": 1 + max((r for r in range(1, len(maps)) if changed[r - 1]), default=0),
        "repeats": alike[0] + 1 if alike else 0,
        "flicker": (flips.sum(0) > 1).sum(),
        "start_intersection": (start & (mask > 0)).sum(),
        "start_predicted": start.sum(),
        "actual": (mask > 0).sum(),
    }
    return {"changed": changed, **{name: np.array(number, np.int64) for name, number in numbers.items()}}


def stacked(changes: Sequence[dict[str, NDArray[np.int64]]]) -> dict[str, NDArray[np.int64]]:
    """The images' numbers side by side, the last axis being the images."""
    return {name: np.stack([own[name] for own in changes], axis=-1) for name in changes[0]}


def measured(made: RunResult, folder: Path, *, skill: float, frames: int = 12, seed: int = 0) -> RunResult:
    """The result with scores, rounds, curves and examples that all come from the same made-up predictions."""
    rng = np.random.default_rng(seed)
    judged = Accumulator(all_scorings(), detailed=False)
    writer, curves, distances = CountsWriter(made.scoring), CurveCounts(made.scoring), DistanceCounts(made.scoring)
    errors = ErrorsWriter(made.scoring)
    examples: dict[str, NDArray[np.generic]] = {}
    names = []
    changes: list[dict[str, NDArray[np.int64]]] = []
    for number in range(frames):
        image, mask, maps = frame_with_maps(rng, rounds=made.experiment.rounds, skill=skill, number=number)
        writer.add(f"{number:06d}", list(maps), truth=mask, grey=image)
        curves.add(maps[-1], mask)
        judged.add(AlignedImage(f"{number:06d}", [maps[-1]], Frame(f"{number:06d}", image, image, 255 * mask)))
        distances.add_against(maps[-1], read_truth(mask, made.scoring))
        errors.add(f"{number:06d}", maps[-1], truth=mask)
        if number < 3:
            names.append(f"{number:06d}")
            examples |= {f"image_{number}": image, f"mask_{number}": mask, f"rounds_{number}": maps}
        changes.append(mask_changes(maps, mask, start_mask(made.experiment.start, image, mask, rng)))
    table = writer.table()
    if made.experiment.rounds > 1:
        write_arrays(folder / made.key / "rounds.npz", {"names": np.array(table.names), **stacked(changes)})
    write_arrays(folder / made.key / "counts.npz", table.to_arrays())
    write_records(folder / made.key, judged.records())
    write_arrays(folder / made.key / "curves.npz", curves.to_arrays())
    write_arrays(folder / made.key / "errors.npz", errors.table().to_arrays())
    write_arrays(folder / made.key / "distances.npz", distances.table().to_arrays())
    write_arrays(folder / made.key / "examples.npz", {"names": np.array(names), **examples})
    rounds = tuple(score_counts(table.round(r), made.scoring) for r in range(made.experiment.rounds))
    rounds[-1].update(ERRORS.score(errors.table(), made.scoring))
    training = made.experiment.weights
    if isinstance(training, Training):
        log = folder / "trainings" / training.key / "log.jsonl"
        log.parent.mkdir(parents=True, exist_ok=True)
        losses = [0.9 * np.exp(-e / 90) + 0.2 + 0.02 * rng.normal() for e in range(1, 401)]
        log.write_text("".join(json.dumps({"epoch": e, "loss": float(v)}) + "\n" for e, v in enumerate(losses, 1)))
    return replace(made, scores=rounds[-1], rounds=rounds)


def write_realistic_suite(
    root: Path, *, seeds: Sequence[int] = (42,), change: Callable[[RunResult], RunResult] | None = None
) -> None:
    """Two networks on two datasets with everything a run leaves behind."""
    rows: list[tuple[str, RunResult | None, Row | None]] = []
    for info, skill in ((DFINET, 0.85), (ACM, 0.55)):
        for dataset in DATASETS:
            for seed in seeds:
                made = result(info, dataset, seed=seed)
                made = measured(made, root, skill=skill, seed=seed + DATASETS[dataset])
                rows.append((info.name, change(made) if change else made, None))
    write_suite(root, rows, title="Comparison on NUAA-SIRST and NUDT-SIRST")
