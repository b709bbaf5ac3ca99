"""NRAM: a patch-image as a background of low rank, sparse targets, and edges that fill whole patches.

Source: L. Zhang, L. Peng, T. Zhang, S. Cao, Z. Peng, "Infrared Small Target Detection via Non-Convex Rank Approximation
Minimization Joint l2,1 Norm", Remote Sensing 10(11), 1821, 2018; constants as in the authors' MATLAB code.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np

from baselines.classical.parts.patches import rescaled, up_to_the_border
from baselines.classical.parts.settings import between, whole
from baselines.classical.parts.shrinkage import Array, Split, shrink_rows, shrink_singular_values
from bench.models.detector import Detector, Grey, ScoreMap
from bench.models.network import model
from bench.models.published_numbers import reported

INNER = 100
"""Steps at most of the inner loop that shrinks the singular values."""

INNER_TOLERANCE = 1e-6
"""Squared change of the singular values at which the inner loop ends."""


@dataclass(frozen=True)
class NRAMSettings:
    """Settings of NRAM; m and n are the sides of the patch-image.

    Attributes:
        patch: side of a patch in pixels.
        step: pixels between neighbouring patches.
        L: the targets' weight is lambda = L / sqrt(min(m, n)).
        gamma: of the rank's approximation by the sum of (1 + gamma) s / (gamma + s).
        beta: the edges' weight is this over sqrt(min(m, n)).
        C: the reweighting's constant is sqrt(min(m, n)) over this.
        eps: share of the grey range that is added to a target before its weight is taken.
        mu: the first penalty is this times sqrt(max(m, n)).
        growth: the penalty's factor an iteration.
        tolerance: share of the data's norm that may be left over.
        iterations: at which the solver gives up.
    """

    patch: int = 50
    step: int = 10
    L: float = 1.0
    gamma: float = 0.002
    beta: float = 3.0
    C: float = 2.5
    eps: float = 0.04
    mu: float = 3.0
    growth: float = 1.1
    tolerance: float = 1e-7
    iterations: int = 1000

    def __post_init__(self) -> None:
        whole("NRAM: patch", self.patch)
        whole("NRAM: step", self.step, most=self.patch)  # a longer one would leave gaps
        whole("NRAM: iterations", self.iterations)
        for name in ("L", "gamma", "beta", "C", "eps", "mu", "tolerance"):
            between(f"NRAM: {name}", getattr(self, name))
        between("NRAM: growth", self.growth, low=1)


def nram(grey: Grey, settings: NRAMSettings) -> Split:
    """The target image (H, W) of a grey image (H, W), as a share of its grey range, and how it was found.

    Each pixel is that of the last patch that covers it, as in the authors' code.
    """
    grid = up_to_the_border(grey.shape, patch=settings.patch, step=settings.step)
    patches = grid.cut(grey)  # (R, C, h, w)
    rows, columns, h, w = patches.shape
    found = separate(rescaled(patches.reshape(rows * columns, h * w)), settings)
    return found._replace(target=np.maximum(grid.last(found.target.reshape(patches.shape)), 0.0))


def separate(data: Array, settings: NRAMSettings) -> Split:
    """The T of D = B + T + E with the least |B|_gamma + lambda |W T|_1 + beta |E|_2,1, W growing as T falls.

    Alternating directions of the augmented Lagrangian.

    Args:
        data: D (n, h * w), one patch a row, from 0 to 1; nothing is found in one that is 0 everywhere.
        settings: all others.
    """
    norm = np.linalg.norm(data)
    if norm == 0:
        return Split(np.zeros_like(data), 0, 0)
    short, long = min(data.shape), max(data.shape)
    sparsity, beta = settings.L / math.sqrt(short), settings.beta / math.sqrt(short)
    weight = math.sqrt(short) / settings.C
    mu = settings.mu * math.sqrt(long)
    target = edges = multiplier = np.zeros_like(data)
    values = np.zeros(short)
    iteration, is_done = 0, False
    while not is_done and iteration < settings.iterations:
        iteration += 1
        goal = data - multiplier / mu
        shrink = partial(gamma_shrink, past=values, gamma=settings.gamma, mu=mu)
        background, values = shrink_singular_values(goal - target - edges, shrink)
        rest = goal - background
        target = reweighted_threshold(rest - edges, sparsity * weight, mu=mu, eps=settings.eps)
        edges = shrink_rows(rest - target, beta / mu)
        left_over = background + target + edges - data
        is_done = bool(np.linalg.norm(left_over) < settings.tolerance * norm)
        multiplier = multiplier + mu * left_over
        mu *= settings.growth
    return Split(target, iteration, int(np.count_nonzero(values)))


def gamma_shrink(values: Array, past: Array, *, gamma: float, mu: float) -> Array:
    """Singular values under the gamma norm: each moved towards 0 by (1 + gamma) gamma / ((gamma + s)^2 mu), s being
    what it becomes, found by repetition from `past`, what came of the iteration before."""
    shrunk = past
    for _ in range(INNER):
        before = shrunk
        shrunk = np.maximum(values - (1 + gamma) * gamma / ((gamma + before) ** 2 * mu), 0.0)
        if np.sum((shrunk - before) ** 2) < INNER_TOLERANCE:
            break
    return shrunk


def reweighted_threshold(x: Array, weight: float, *, mu: float, eps: float) -> Array:
    """Entries of x moved towards 0 by weight / (|x| + eps), divided by mu where x is positive.

    Negative entries, which are no bright targets, move mu times as far, as in the authors' code.
    """
    amount = weight / (np.abs(x) + eps)
    return np.maximum(x - amount / mu, 0.0) + np.minimum(x + amount, 0.0)


class NRAM(Detector):
    """Non-convex rank approximation minimisation; `settings` are those of `NRAMSettings`."""

    def __init__(self, *, rule: str, level: float | str, channels: int = 1, **settings: Any) -> None:
        super().__init__(rule=rule, level=level, channels=channels)
        self.settings = NRAMSettings(**settings)

    def score(self, grey: Grey) -> ScoreMap:
        """The target image (H, W)."""
        return nram(grey, self.settings).target


@model(
    "NRAM",
    cite="L. Zhang, L. Peng, T. Zhang, S. Cao, Z. Peng, Infrared Small Target Detection via Non-Convex Rank "
    "Approximation Minimization Joint l2,1 Norm, Remote Sensing 10(11) 1821, 2018",
    source="the paper, with the constants of https://github.com/Lanneeee/NRAM; the implementation is ours",
    licence="MIT",
    recipe="",
    channels=1,
    config={"rule": "share-of-max", "level": 0.5, **asdict(NRAMSettings())},
    reported=reported("NRAM"),
)
def build(*, channels: int, rule: str, level: float | str, **settings: Any) -> NRAM:
    """NRAM with a threshold at the half maximum, as in ISTD-python; its paper names none."""
    return NRAM(channels=channels, rule=rule, level=level, **settings)
