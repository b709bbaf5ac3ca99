"""PSTNN: a patch tensor whose slices, after a Fourier transform along the patches, have few large singular values.

Source: L. Zhang, Z. Peng, "Infrared Small Target Detection Based on Partial Sum of the Tensor Nuclear Norm", Remote
Sensing 11(4), 382, 2019; constants as in the authors' MATLAB code.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from baselines.classical.parts.patches import rescaled, up_to_the_border
from baselines.classical.parts.settings import between, whole
from baselines.classical.parts.shrinkage import Array, Split
from baselines.classical.parts.structure import structure_eigenvalues
from bench.models.detector import Detector, Grey, ScoreMap
from bench.models.network import model
from bench.models.published_numbers import reported

EPS = float(np.finfo(np.float64).eps)
"""Added where a division by 0 threatens."""

TARGET_EPS = 0.01
"""Grey levels that are added to a target before its weight is taken."""

MU_LIMIT = 1e10


@dataclass(frozen=True)
class PSTNNSettings:
    """Settings of PSTNN.

    Attributes:
        patch: side of a patch in pixels.
        step: pixels between neighbouring patches.
        L: the targets' weight is lambda = L / sqrt(patch * number of patches); 0.6 to 1 are in use.
        leading: singular values of at least this share of the largest one belong to the background.
        mu: the first penalty.
        growth: the penalty's factor an iteration.
        tolerance: share of the data's norm that may be left over.
        iterations: at which the solver gives up.
    """

    patch: int = 40
    step: int = 40
    L: float = 0.7
    leading: float = 0.1
    mu: float = 2e-3
    growth: float = 1.05
    tolerance: float = 1e-3
    iterations: int = 500

    def __post_init__(self) -> None:
        whole("PSTNN: patch", self.patch)
        whole("PSTNN: step", self.step, most=self.patch)  # a longer one would leave gaps
        whole("PSTNN: iterations", self.iterations)
        for name in ("L", "mu", "tolerance"):
            between(f"PSTNN: {name}", getattr(self, name))
        between("PSTNN: leading", self.leading, high=1)
        between("PSTNN: growth", self.growth, low=1)


def pstnn(grey: Grey, settings: PSTNNSettings) -> Split:
    """The target image (H, W) of a grey image (H, W), in grey levels, and how it was found.

    Each pixel is that of the last patch that covers it, as in the authors' code. The rank is the number of leading
    singular values.
    """
    grid = up_to_the_border(grey.shape, patch=settings.patch, step=settings.step)
    prior = corner_prior(grey)
    # column after column of patches, each from top to bottom: the transform along the patches depends on the order
    patches, priors = (grid.cut(image).swapaxes(0, 1) for image in (grey, prior))  # (C, R, h, w)
    columns, rows, h, w = patches.shape
    tensor = (columns * rows, h, w)
    found = separate(patches.reshape(tensor), priors.reshape(tensor), settings)
    return found._replace(target=grid.last(found.target.reshape(patches.shape).swapaxes(0, 1)))


def corner_prior(grey: Grey) -> Array:
    """Corner strength (H, W) of an image, scaled to 0 to 1.

    It is the product of the structure tensor's eigenvalues over their sum, times the larger one.
    """
    larger, smaller = structure_eigenvalues(grey, noise=2.0, window=9.0)
    return rescaled(larger * smaller / (larger + smaller + EPS) * larger)


def separate(data: Array, prior: Array, settings: PSTNNSettings) -> Split:
    """The T of X = B + T with the least partial sum of B's singular values plus lambda |W T|_1, T not negative.

    Alternating directions of the augmented Lagrangian; W falls with the prior and the T of the iteration before.

    Args:
        data: X (n, h, w), one patch a slice, in grey levels; nothing is found in one that is the same everywhere.
        prior: local prior (n, h, w) from 0 to 1, higher where targets are likelier.
        settings: all others.
    """
    if data.min() == data.max():
        return Split(np.zeros_like(data), 0, 0)
    norm = np.linalg.norm(data)
    n, h, w = data.shape
    sparsity = settings.L / math.sqrt(max(h, w) * n)
    leading = leading_values(data, settings.leading)
    unlikely = leading / np.maximum(prior, EPS)
    mu = settings.mu
    target = multiplier = np.zeros_like(data)
    weight = np.ones_like(data)
    past_count = 0
    iteration, is_done = 0, False
    while not is_done and iteration < settings.iterations:
        iteration += 1
        goal = data - multiplier / mu
        background = partial_threshold(goal - target, 1 / mu, leading=leading)
        target = np.maximum(goal - background - weight * (sparsity / mu), 0.0)
        weight = unlikely / (target + TARGET_EPS)
        left_over = background + target - data
        count = int(np.count_nonzero(target))
        is_done = bool(np.linalg.norm(left_over) < settings.tolerance * norm) or 0 < count == past_count
        past_count = count
        multiplier = multiplier + mu * left_over
        mu = min(mu * settings.growth, MU_LIMIT)
    return Split(target, iteration, leading)


def leading_values(data: Array, share: float) -> int:
    """The number of singular values of the tensor (n, h, w) that are at least `share` of the largest one.

    They are those of the authors' reshape to n rows, which runs through the tensor (h, w, n) in MATLAB's order and so
    mixes patches.
    """
    matrix = np.moveaxis(data, 0, 2).reshape(len(data), -1, order="F")
    values = np.linalg.svd(matrix, compute_uv=False)
    return int(np.count_nonzero(values >= share * values[0]))


def partial_threshold(x: Array, amount: float, *, leading: int) -> Array:
    """A tensor (n, h, w) whose slices, after a Fourier transform along n, have all singular values but the `leading`
    largest moved towards 0 by `amount`.

    x is real, so that half of the slices are the conjugates of the others and need no decomposition.
    """
    slices = np.fft.rfft(x, axis=0)  # (n // 2 + 1, h, w)
    left, values, right = np.linalg.svd(slices, full_matrices=False)
    values[:, leading:] = np.maximum(values[:, leading:] - amount, 0.0)
    return np.fft.irfft((left * values[:, None]) @ right, n=len(x), axis=0)


class PSTNN(Detector):
    """The partial sum of the tensor nuclear norm; `settings` are those of `PSTNNSettings`."""

    def __init__(self, *, rule: str, level: float | str, channels: int = 1, **settings: Any) -> None:
        super().__init__(rule=rule, level=level, channels=channels)
        self.settings = PSTNNSettings(**settings)

    def score(self, grey: Grey) -> ScoreMap:
        """The target image (H, W)."""
        return pstnn(grey, self.settings).target


@model(
    "PSTNN",
    cite="L. Zhang, Z. Peng, Infrared Small Target Detection Based on Partial Sum of the Tensor Nuclear Norm, "
    "Remote Sensing 11(4) 382, 2019",
    source="the paper, with the constants of "
    "https://github.com/Lanneeee/Infrared-Small-Target-Detection-based-on-PSTNN; the implementation is ours",
    licence="MIT",
    recipe="",
    channels=1,
    config={"rule": "share-of-max", "level": 0.5, **asdict(PSTNNSettings())},
    reported=reported("PSTNN"),
)
def build(*, channels: int, rule: str, level: float | str, **settings: Any) -> PSTNN:
    """PSTNN with a threshold at the half maximum, as in ISTD-python."""
    return PSTNN(channels=channels, rule=rule, level=level, **settings)
