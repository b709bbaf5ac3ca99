"""RIPT: a patch tensor whose unfoldings all have low rank, plus targets, weighed down along edges.

Source: Y. Dai, Y. Wu, "Reweighted Infrared Patch-Tensor Model With Both Nonlocal and Local Priors for Single-Frame
Small Target Detection", IEEE JSTARS 10(8), 2017; constants as in the authors' MATLAB code (DENTIST).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from baselines.classical.parts.patches import rescaled, up_to_the_border
from baselines.classical.parts.settings import between, whole
from baselines.classical.parts.shrinkage import Array, Split, singular_value_threshold
from baselines.classical.parts.structure import structure_eigenvalues
from bench.models.detector import Detector, Grey, ScoreMap
from bench.models.network import model
from bench.models.published_numbers import reported

MODES = (0, 1, 2)
"""Axes of the patch tensor: patches, their rows, their columns."""


@dataclass(frozen=True)
class RIPTSettings:
    """Settings of RIPT.

    Attributes:
        patch: side of a patch in pixels.
        step: pixels between neighbouring patches.
        L: the targets' weight is lambda = L / sqrt(the patch tensor's shortest side); 1 in the paper.
        h: edges are weighed down by exp(h * edge strength from 0 to 1).
        eps: grey levels that are added to a target before its weight is taken.
        mu: the first threshold of singular values, in standard deviations of the patch tensor.
        decay: the threshold is divided by this after each iteration.
        tolerance: share of the data's norm that may be left over.
        iterations: at which the solver gives up.
    """

    patch: int = 30
    step: int = 10
    L: float = 0.7
    h: float = 1.0
    eps: float = 0.01
    mu: float = 5.0
    decay: float = 1.5
    tolerance: float = 1e-7
    iterations: int = 500

    def __post_init__(self) -> None:
        whole("RIPT: patch", self.patch)
        whole("RIPT: step", self.step, most=self.patch)  # a longer one would leave gaps
        whole("RIPT: iterations", self.iterations)
        for name in ("L", "h", "eps", "mu", "tolerance"):
            between(f"RIPT: {name}", getattr(self, name))
        between("RIPT: decay", self.decay, low=1)


def ript(grey: Grey, settings: RIPTSettings) -> Split:
    """The target image (H, W) of a grey image (H, W), in grey levels, and how it was found.

    Each pixel is the mean of the patches that cover it. The rank is that of the unfolding whose rows are the patches.
    """
    grid = up_to_the_border(grey.shape, patch=settings.patch, step=settings.step)
    patches, weight = grid.cut(grey), grid.cut(edge_weight(grey, settings.h))  # (R, C, h, w)
    rows, columns, h, w = patches.shape
    tensor = (rows * columns, h, w)
    found = separate(patches.reshape(tensor), weight.reshape(tensor), settings)
    return found._replace(target=grid.mean(found.target.reshape(patches.shape)))


def edge_weight(grey: Grey, h: float) -> Array:
    """Edge weight exp(h * s) (H, W), s the difference of the structure tensor's eigenvalues, scaled to 0 to 1."""
    larger, smaller = structure_eigenvalues(grey, noise=1.2, window=2.0)
    weight: Array = np.exp(h * rescaled(larger - smaller))
    return weight


def separate(data: Array, weight: Array, settings: RIPTSettings) -> Split:
    """The T of F = B + T with the least sum of the nuclear norms of B's unfoldings plus lambda |W T|_1, T not negative.

    Alternating directions, one copy of B for each unfolding; W is `weight` over the T of the iteration before.

    Args:
        data: F (n, h, w), one patch a slice, in grey levels; nothing is found in one that is the same everywhere.
        weight: local prior (n, h, w), higher where targets are less likely.
        settings: all others.
    """
    if data.min() == data.max():
        return Split(np.zeros_like(data), 0, 0)
    norm = np.linalg.norm(data)
    sparsity = settings.L / math.sqrt(min(data.shape))
    mu = settings.mu * float(data.std(ddof=1))
    target = np.zeros_like(data)
    multipliers = [np.zeros_like(data) for _ in MODES]
    reweighted = weight
    ranks, past_count = (0, 0, 0), -1
    iteration, is_done = 0, False
    while not is_done and iteration < settings.iterations:
        iteration += 1
        goals = [data + mu * multiplier for multiplier in multipliers]
        backgrounds, ranks = zip(*(unfolding_threshold(goals[mode] - target, mu, mode) for mode in MODES), strict=True)
        rest = sum(goal - background for goal, background in zip(goals, backgrounds, strict=True)) / len(MODES)
        target = np.maximum(rest - reweighted * (mu * sparsity / len(MODES)), 0.0)
        reweighted = weight / (target + settings.eps)
        left_over = data - sum(backgrounds) / len(MODES) - target
        count = int(np.count_nonzero(target))
        is_done = bool(np.linalg.norm(left_over) < settings.tolerance * norm) or count == past_count
        past_count = count
        multipliers = [(goal - background - target) / mu for goal, background in zip(goals, backgrounds, strict=True)]
        mu /= settings.decay
    return Split(target, iteration, ranks[0])


def unfolding_threshold(x: Array, amount: float, mode: int) -> tuple[Array, int]:
    """A tensor (n, h, w) whose unfolding along `mode` has its singular values moved towards 0 by `amount`, and the rank
    of that unfolding."""
    front = np.moveaxis(x, mode, 0)
    shrunk, rank = singular_value_threshold(front.reshape(len(front), -1), amount)
    return np.moveaxis(shrunk.reshape(front.shape), 0, mode), rank


class RIPT(Detector):
    """The reweighted patch-tensor model; `settings` are those of `RIPTSettings`."""

    def __init__(self, *, rule: str, level: float | str, channels: int = 1, **settings: Any) -> None:
        super().__init__(rule=rule, level=level, channels=channels)
        self.settings = RIPTSettings(**settings)

    def score(self, grey: Grey) -> ScoreMap:
        """The target image (H, W)."""
        return ript(grey, self.settings).target


@model(
    "RIPT",
    cite="Y. Dai, Y. Wu, Reweighted Infrared Patch-Tensor Model With Both Nonlocal and Local Priors for Single-Frame "
    "Small Target Detection, IEEE JSTARS 10(8) 2017",
    source="the paper, with the constants of https://github.com/YimianDai/DENTIST; the implementation is ours",
    licence="MIT",
    recipe="",
    channels=1,
    config={"rule": "share-of-max", "level": 0.5, **asdict(RIPTSettings())},
    reported=reported("RIPT"),
)
def build(*, channels: int, rule: str, level: float | str, **settings: Any) -> RIPT:
    """RIPT with a threshold at the half maximum, as in ISTD-python."""
    return RIPT(channels=channels, rule=rule, level=level, **settings)
