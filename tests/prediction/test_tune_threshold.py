"""The best level of a threshold rule: against trying every level on its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fakes import Bright, synthetic_frames

from bench.data.catalogue.splits import image_list
from bench.errors import StoreError
from bench.models.detector import RULES
from bench.prediction.tune_threshold import THRESHOLDS, Tuned, best_level, count_above, tune
from bench.types import Input, Method

GREY = Input("pillow-grey", 1, mean=0.0, std=1.0)


def method(rule: str = "k-sigma") -> Method:
    images = image_list("synthetic", "bench", "train", limit=6)
    return Method("Bright", (("level", "best"), ("rule", rule)), images=images, input=GREY)


def pooled_iou(rule: str, level: float, pairs: list[tuple[np.ndarray, np.ndarray]]) -> float:
    """The obvious form: every mask made and compared."""
    hit = union = 0
    for scores, mask in pairs:
        predicted = scores > Bright(rule=rule, level=level).threshold(scores)
        hit += int((predicted & (mask > 0)).sum())
        union += int((predicted | (mask > 0)).sum())
    return hit / union


@pytest.mark.parametrize("rule", list(RULES))
def test_the_best_level_is_the_one_that_trying_all_finds(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.prediction.tune_threshold.THRESHOLDS", THRESHOLDS[::25])
    frames = synthetic_frames("train", 6)
    pairs = [(Bright().score(frame.grey.astype(float)), frame.binary_mask) for frame in frames]
    ious = [pooled_iou(rule, float(level), pairs) for level in THRESHOLDS[::25]]
    found = best_level(rule, pairs)
    assert found == Tuned(level=float(THRESHOLDS[::25][int(np.argmax(ious))]), iou=max(ious))
    assert found.iou > 0.02


def test_images_without_a_score_predict_nothing_and_still_miss_their_targets() -> None:
    mask = np.array([[1, 0]], np.uint8)
    empty, sure = (np.zeros((1, 2)), mask), (np.array([[5.0, 0.0]]), mask)
    assert best_level("share-of-max", [empty, sure]).iou == 0.5


def test_scores_above_thresholds_are_counted_strictly() -> None:
    assert count_above(np.array([[1.0, 2.0], [2.0, 3.0]]), np.array([0.0, 1.0, 2.0, 3.0])).tolist() == [4, 3, 1, 0]


def test_what_was_found_is_kept_and_taken_from_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames, detector = synthetic_frames("train", 6), Bright(rule="k-sigma", level="best")
    found = tune(method(), detector, frames, folder=tmp_path)
    monkeypatch.setattr(Bright, "score", lambda self, grey: pytest.fail("it was scored again"))
    assert tune(method(), detector, frames, folder=tmp_path) == found
    (tmp_path / "level.json").write_text("{}")
    with pytest.raises(StoreError, match="holds no level; delete it, and the next run searches again"):
        tune(method(), detector, frames, folder=tmp_path)
