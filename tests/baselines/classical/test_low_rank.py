"""What all low-rank detectors have in common: any size, no targets on even ground, settings inside their range."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from bench.models.detector import Detector
from bench.models.network import build_model
from tests.baselines.classical.scenes import image_b

NAMES = ("IPI", "NRAM", "RIPT", "PSTNN")


def detector(name: str, **settings: Any) -> Detector:
    built = build_model(name, channels=1, settings=settings)
    assert isinstance(built, Detector)
    return built


@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (1, 60), (60, 1), (3, 90), (30, 40), (50, 50), (57, 83)], ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_any_size_has_scores_at_its_own_size(name: str, shape: tuple[int, int]) -> None:
    scores = detector(name).score(image_b()[: shape[0], : shape[1]])
    assert scores.shape == shape
    assert np.isfinite(scores).all()
    assert (scores >= 0).all()


@pytest.mark.parametrize("level", [0.0, 60.0, 255.0])
@pytest.mark.parametrize("name", NAMES)
def test_an_even_image_has_no_targets(name: str, level: float) -> None:
    grey = np.full((64, 70), level)
    assert not detector(name).score(grey).any()
    assert (detector(name)(torch.from_numpy(grey)[None, None]) == -torch.inf).all()


@pytest.mark.parametrize("name", NAMES)
def test_scores_of_an_image_do_not_depend_on_the_others_in_its_batch(name: str) -> None:
    images = np.stack([image_b()[:64, :64], image_b()[64:, 64:]])
    both = detector(name)(torch.from_numpy(images)[:, None])
    alone = [detector(name)(torch.from_numpy(image)[None, None])[0] for image in images]
    assert both.shape == (2, 1, 64, 64)
    assert torch.equal(both, torch.stack(alone))


@pytest.mark.parametrize("name", NAMES)
def test_a_solver_stops_at_its_last_iteration(name: str) -> None:
    few, many = (detector(name, iterations=count).score(image_b()[:64, :64]) for count in (1, 1000))
    assert not np.array_equal(few, many)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("setting", "wrong", "expected"),
    [
        ("patch", 0, "a whole number from 1"),
        ("patch", 50.0, "a whole number from 1"),
        ("step", True, "a whole number from 1"),
        ("step", 51, "a whole number from 1 to [345]0"),
        ("iterations", 0, "a whole number from 1"),
        ("L", 0, "a number above 0"),
        ("tolerance", float("nan"), "a number above 0"),
        ("L", "high", "a number above 0"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(name: str, setting: str, wrong: Any, expected: str) -> None:
    with pytest.raises(ValueError, match=f"^{name}: {setting} is {wrong!r}.*expected {expected}"):
        detector(name, **{setting: wrong})


@pytest.mark.parametrize(
    ("name", "setting", "wrong", "expected"),
    [
        ("IPI", "decay", 1.0, "a number above 0 and below 1"),
        ("IPI", "floor", 1.5, "a number above 0 and below 1"),
        ("NRAM", "growth", 1, "a number above 1"),
        ("NRAM", "gamma", -0.002, "a number above 0"),
        ("RIPT", "decay", 0.9, "a number above 1"),
        ("RIPT", "h", float("inf"), "a number above 0"),
        ("PSTNN", "growth", 1, "a number above 1"),
        ("PSTNN", "leading", 1.0, "a number above 0 and below 1"),
    ],
)
def test_each_ones_own_settings_are_too(name: str, setting: str, wrong: float, expected: str) -> None:
    with pytest.raises(ValueError, match=f"^{name}: {setting} is {wrong!r}, expected {expected}$"):
        detector(name, **{setting: wrong})


@pytest.mark.parametrize("name", NAMES)
def test_a_setting_that_is_none_is_named(name: str) -> None:
    with pytest.raises(TypeError, match=f"model {name}: .*'stride'"):
        detector(name, stride=10)
