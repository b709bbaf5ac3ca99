"""Tune a classical detector: find the level of its threshold rule with the best IoU on a training list."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.data.images.frames import Frames
from bench.errors import StoreError
from bench.models.detector import RULES, Detector, ScoreMap
from bench.prediction.parallel_detector import score_maps
from bench.prediction.predict import grey_levels
from bench.progress import Progress, Silent, track
from bench.store.files import read_json, write_json
from bench.types import Method

THRESHOLDS = np.geomspace(1e-4, 1e6, 4001)
"""The levels that are tried: 0.6 % apart."""


@dataclass(frozen=True)
class Tuned:
    """The best level and its pooled IoU on the training list."""

    level: float
    iou: float


def tune(
    method: Method,
    detector: Detector,
    frames: Frames,
    *,
    folder: Path,
    progress: Progress | None = None,
) -> Tuned:
    """Find the level with the highest pooled IoU on a training list, or read it from `folder`.

    Every image is scored once and sorted, which gives the counts at all levels; none is held longer than that.

    Args:
        method: whose list and input `frames` are of.
        folder: takes `level.json`.

    Raises:
        StoreError: when `level.json` is broken.
    """
    assert method.input is not None
    path = folder / "level.json"
    if path.is_file():
        content = read_json(path)
        try:
            return Tuned(level=float(content["level"]), iou=float(content["iou"]))
        except (TypeError, KeyError, ValueError):
            raise StoreError(f"{path}: holds no level; delete it, and the next run searches again") from None
    greys = grey_levels(frames, method.input)
    maps = score_maps(detector, greys, count=len(frames))
    shown = track(maps, f"tune {method.model}", total=len(frames), progress=progress or Silent())
    masks = (frame.binary_mask for frame in frames)
    found = best_level(detector.rule, zip(shown, masks, strict=True))
    write_json(path, {"model": method.model, "rule": detector.rule, "level": found.level, "iou": found.iou})
    return found


def best_level(rule: str, pairs: Iterable[tuple[ScoreMap, NDArray[np.uint8]]]) -> Tuned:
    """The candidate level with the highest pooled IoU; of equal ones the lowest.

    Args:
        rule: name of a threshold rule.
        pairs: score maps (H, W) with their masks in {0, 1}, (H, W).
    """
    predicted, hit, labelled = np.zeros(len(THRESHOLDS), int), np.zeros(len(THRESHOLDS), int), 0
    for scores, mask in pairs:
        labelled += int(mask.sum())
        if scores.max() > 0:
            thresholds = RULES.get(rule)(scores, THRESHOLDS)
            predicted += count_above(scores, thresholds)
            hit += count_above(scores[mask > 0], thresholds)
    iou = hit / np.maximum(predicted + labelled - hit, 1)
    best = int(iou.argmax())
    return Tuned(level=float(THRESHOLDS[best]), iou=float(iou[best]))


def count_above(scores: NDArray[np.float64], thresholds: NDArray[np.float64]) -> NDArray[np.int64]:
    """The number of scores above each threshold."""
    ordered = np.sort(scores, axis=None)
    counts: NDArray[np.int64] = len(ordered) - np.searchsorted(ordered, thresholds, side="right")
    return counts
