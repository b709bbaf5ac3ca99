"""Classical detectors: thresholds by hand, logits whose sign is the mask, and what they refuse."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from fakes import Bright

from bench.models.detector import RULES

SCORES = np.array([[0.0, 2.0], [4.0, 10.0]])  # mean 4, deviation sqrt(14), maximum 10


@pytest.mark.parametrize(
    ("rule", "level", "threshold"),
    [
        ("share-of-max", 0.5, 5.0),
        ("k-sigma", 3.0, 4 + 3 * math.sqrt(14)),
        ("lambda-blend", 0.8, 0.8 * 10 + 0.2 * 4),
        ("max-or-sigma", 0.7, 7.0),
        ("max-or-sigma", 0.1, 4 + 0.5 * math.sqrt(14)),
        ("fixed", 3.5, 3.5),
    ],
)
def test_every_rule_makes_its_threshold(rule: str, level: float, threshold: float) -> None:
    assert Bright(rule=rule, level=level).threshold(SCORES) == pytest.approx(threshold, rel=1e-15)


@pytest.mark.parametrize("rule", list(RULES))
def test_the_thresholds_of_many_levels_are_those_of_each_and_rise(rule: str) -> None:
    levels = np.array([0.1, 0.5, 0.9, 2.0])
    together = RULES.get(rule)(SCORES, levels)
    assert together.tolist() == [Bright(rule=rule, level=float(level)).threshold(SCORES) for level in levels]
    assert (np.diff(together) >= 0).all()


def test_the_probability_is_above_one_half_just_where_the_score_is_above_the_threshold() -> None:
    probs = torch.sigmoid(torch.from_numpy(Bright(rule="fixed", level=4.0).logits(SCORES)))
    assert probs.tolist() == [[0.0, pytest.approx(2 / 6)], [0.5, pytest.approx(10 / 14)]]
    assert (probs > 0.5).tolist() == (SCORES > 4.0).tolist()


def test_a_map_without_any_score_is_an_empty_mask_under_every_rule() -> None:
    for rule in RULES:
        assert np.isneginf(Bright(rule=rule, level=0.5).logits(np.zeros((3, 4)))).all()


def test_scores_below_zero_are_none() -> None:
    logits = Bright(rule="fixed", level=1.0).logits(np.array([[-3.0, math.e]]))
    assert logits.tolist() == [[-math.inf, 1.0]]


def test_scores_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="Bright: 2 scores are NaN"):
        Bright().logits(np.array([[math.nan, 1.0, math.nan]]))


def test_it_is_called_like_a_network() -> None:
    image = torch.tensor([[[[0.0, 0.0, 0.0, 8.0]]], [[[5.0, 5.0, 5.0, 5.0]]]])
    logits = Bright(rule="share-of-max", level=0.5)(image)
    assert logits.shape == (2, 1, 1, 4)
    assert logits[0, 0, 0].tolist() == [-math.inf] * 3 + [pytest.approx(math.log(2))]
    assert logits[1].isneginf().all()


@pytest.mark.parametrize("level", [0, -1.0, True, "good", float("nan")])
def test_a_level_that_makes_no_threshold_is_refused(level: float | str) -> None:
    with pytest.raises(ValueError, match=r"Bright: level is .*, expected a number above 0 or 'best'"):
        Bright(level=level)


def test_an_unknown_rule_is_answered_with_the_nearest() -> None:
    with pytest.raises(LookupError, match="no threshold rule is called 'k-sigmas'; did you mean k-sigma"):
        Bright(rule="k-sigmas")


def test_three_channels_are_refused() -> None:
    with pytest.raises(ValueError, match="Bright: channels is 3, expected 1"):
        Bright(channels=3)


def test_a_level_that_is_still_to_be_found_predicts_nothing() -> None:
    with pytest.raises(ValueError, match="its level is to be found on a training list first"):
        Bright(level="best").logits(SCORES)
