"""IPI: an infrared patch-image is a low-rank background plus sparse targets.

Source: C. Gao, D. Meng, Y. Yang, Y. Wang, X. Zhou, A. G. Hauptmann, "Infrared Patch-Image Model for Small Target
Detection in a Single Image", IEEE TIP 22(12), 2013; constants as in the authors' MATLAB code, where it differs from
the paper. Solver: Z. Lin et al., "Fast Convex Optimization Algorithms for Exact Recovery of a Corrupted Low-Rank
Matrix", CAMSAP 2009 (accelerated proximal gradient with continuation).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from baselines.classical.parts.patches import rescaled, whole_steps
from baselines.classical.parts.settings import between, whole
from baselines.classical.parts.shrinkage import Array, Split, singular_value_threshold, soft_threshold
from bench.models.detector import Detector, Grey, ScoreMap
from bench.models.network import model
from bench.models.published_numbers import reported

STEADY = 10
"""Iterations without a change of rank, after which the solver stops if the targets are steady, too."""

STEADY_PIXELS = 20
"""Targets are steady while their number of entries differs by less than this from that at the last change of rank."""

RANK_SHARE = 0.3
"""Of the shorter side of the patch-image: a background of a higher rank has begun to take in noise."""


@dataclass(frozen=True)
class IPISettings:
    """Settings of IPI.

    Attributes:
        patch: side of a patch in pixels.
        step: pixels between neighbouring patches.
        L: the targets' weight is lambda = L / sqrt(the image's longer side). Others write L / sqrt(the patch-image's
            shorter side), with L = 4.5.
        decay: mu's factor an iteration; 0.99 in the paper.
        floor: the least mu as a share of the patch-image's fourth singular value; 0.05 in the paper.
        tolerance: relative residual at which the solver has converged.
        iterations: at which it gives up.
    """

    patch: int = 50
    step: int = 10
    L: float = 1.0
    decay: float = 0.9
    floor: float = 0.005
    tolerance: float = 1e-6
    iterations: int = 1000

    def __post_init__(self) -> None:
        whole("IPI: patch", self.patch)
        whole("IPI: step", self.step, most=self.patch)  # a longer one would leave gaps
        whole("IPI: iterations", self.iterations)
        for name in ("L", "tolerance"):
            between(f"IPI: {name}", getattr(self, name))
        for name in ("decay", "floor"):
            between(f"IPI: {name}", getattr(self, name), high=1)


def ipi(grey: Grey, settings: IPISettings) -> Split:
    """The target image (H, W) of a grey image (H, W), as a share of its grey range, and how it was found.

    Each pixel is the median of the patches that cover it. The up to `step - 1` last rows and columns that are in no
    patch are 0, as in the authors' code.
    """
    grid = whole_steps(grey.shape, patch=settings.patch, step=settings.step)
    patches = grid.cut(grey)  # (R, C, h, w)
    rows, columns, h, w = patches.shape
    patch_image = rescaled(patches.reshape(rows * columns, h * w))
    found = separate(patch_image, sparsity=settings.L / math.sqrt(max(grey.shape)), settings=settings)
    return found._replace(target=np.maximum(grid.median(found.target.reshape(patches.shape)), 0.0))


def separate(data: Array, *, sparsity: float, settings: IPISettings) -> Split:
    """The minimiser T of |B|_* + sparsity |T|_1 + |D - B - T|^2 / (2 mu), mu falling from iteration to iteration.

    From a point (Y_B, Y_T), the gradient step of length 1/2 leads to ((D + Y_B - Y_T) / 2, (D - Y_B + Y_T) / 2): all
    it sees of the past is the difference of the two parts, and the residuals of both parts are that difference's
    change, with opposite signs.

    Args:
        data: D (n, h * w), one patch a row, from 0 to 1.
        sparsity: lambda.
        settings: the others.
    """
    spectrum = np.linalg.svd(data, compute_uv=False)
    mu, least = float(spectrum[:2][-1]), settings.floor * float(spectrum[:4][-1])
    target = difference = before = np.zeros_like(data)  # the difference is B - T
    momentum = past_momentum = 1.0
    rank, steady, steady_rank, steady_count = 0, 0, -1, 0
    iteration, is_done = 0, False
    while not is_done and iteration < settings.iterations:
        iteration += 1
        ahead = difference + (past_momentum - 1) / momentum * (difference - before)
        point = (data + ahead) / 2
        background, rank = singular_value_threshold(point, mu / 2)
        target = soft_threshold(data - point, sparsity * mu / 2)
        before, difference = difference, background - target

        size = math.hypot(np.linalg.norm(background), np.linalg.norm(target))
        residual = np.linalg.norm(ahead - difference) / (math.sqrt(2) * max(1.0, size))
        count = int(np.count_nonzero(target))
        if rank == steady_rank:
            steady += 1
        else:
            steady, steady_rank, steady_count = 0, rank, count
        is_steady = steady > STEADY and abs(count - steady_count) < STEADY_PIXELS
        is_done = bool(residual <= settings.tolerance) or is_steady or rank > RANK_SHARE * min(data.shape)
        past_momentum, momentum = momentum, (1 + math.sqrt(1 + 4 * momentum**2)) / 2
        mu = max(settings.decay * mu, least)
    return Split(target, iteration, rank)


class IPI(Detector):
    """The patch-image model; `settings` are those of `IPISettings`."""

    def __init__(self, *, rule: str, level: float | str, channels: int = 1, **settings: Any) -> None:
        super().__init__(rule=rule, level=level, channels=channels)
        self.settings = IPISettings(**settings)

    def score(self, grey: Grey) -> ScoreMap:
        """The target image (H, W)."""
        return ipi(grey, self.settings).target


@model(
    "IPI",
    cite="C. Gao, D. Meng, Y. Yang, Y. Wang, X. Zhou, A. G. Hauptmann, Infrared Patch-Image Model for Small Target "
    "Detection in a Single Image, IEEE TIP 22(12) 2013",
    source="the paper, with the constants of its authors' MATLAB code; the implementation is ours",
    licence="MIT",
    recipe="",
    channels=1,
    config={"rule": "k-sigma", "level": 5.0, **asdict(IPISettings())},
    reported=reported("IPI"),
)
def build(*, channels: int, rule: str, level: float | str, **settings: Any) -> IPI:
    """IPI with the mean + k sigma threshold of its paper.

    The paper leaves k, and a least threshold v_min beside it, to experience. Here k is 5, the upper end of Chen et al.
    2014, for most of a target image is 0 and keeps sigma small; there is no v_min.
    """
    return IPI(channels=channels, rule=rule, level=level, **settings)
