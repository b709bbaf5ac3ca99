"""The interface of classical detectors (`Detector`): a grey image in, a score map out, a rule that makes it a mask.

A score map S has no scale of its own, so that a rule finds each image's threshold T: a pixel is a target where S > T.
Networks answer with logits; a detector's logit is log(S / T), whose sigmoid is S / (S + T). It is above one half just
where S is above T, grows with S, and is what ROC curves are swept over: at share p of it, they judge S against
T p / (1 - p).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.errors import RequestError
from bench.models.network import Segmenter
from bench.registry import Registry
from bench.types import TUNED

Grey = NDArray[np.float64]
"""(H, W) grey levels from 0 to 255."""

ScoreMap = NDArray[np.float64]
"""(H, W) scores, not below 0, higher where a target is likelier."""

ThresholdLevels = NDArray[np.float64]
"""Numbers of a rule, of any shape; or the thresholds they make, of the same shape."""

Rule = Callable[[ScoreMap, ThresholdLevels], ThresholdLevels]
"""`(scores, levels) -> thresholds in the unit of the scores`, which rise with the level."""

RULES: Registry[Rule] = Registry("threshold rule")


def rule(name: str) -> Callable[[Rule], Rule]:
    """Register a threshold rule: `@rule("k-sigma")`."""
    return lambda one: RULES.add(name, one)


@rule("share-of-max")
def share_of_max(scores: ScoreMap, level: ThresholdLevels) -> ThresholdLevels:
    """A share of the image's highest score; 0.5 is the half maximum of ISTD-python."""
    return np.asarray(level * scores.max())


@rule("k-sigma")
def k_sigma(scores: ScoreMap, level: ThresholdLevels) -> ThresholdLevels:
    """The mean score plus `level` standard deviations (of the population), level 3 to 5: Chen et al. 2014."""
    return np.asarray(scores.mean() + level * scores.std())


@rule("lambda-blend")
def lambda_blend(scores: ScoreMap, level: ThresholdLevels) -> ThresholdLevels:
    """Between the mean (level 0) and the highest score (level 1); 0.7 to 0.9 in Han et al. 2020."""
    return np.asarray(level * scores.max() + (1 - level) * scores.mean())


@rule("max-or-sigma")
def max_or_sigma(scores: ScoreMap, level: ThresholdLevels) -> ThresholdLevels:
    """The greater of a share of the highest score and mean + half a deviation; 0.7 in comparisons with networks."""
    return np.asarray(np.maximum(level * scores.max(), scores.mean() + 0.5 * scores.std()))


@rule("fixed")
def fixed(scores: ScoreMap, level: ThresholdLevels) -> ThresholdLevels:
    """The same score for every image."""
    return level


class Detector(Segmenter):
    """A method without weights: `score` is the method, a rule and its level make the mask.

    Args:
        rule: name of a threshold rule.
        level: the rule's number; `"best"` is one that is to be found on the training list before anything is predicted.
        channels: 1, grey.

    Raises:
        UnknownNameError: when there is no such rule.
        RequestError: when the level is no number that makes a threshold.
    """

    def __init__(self, *, rule: str, level: float | str, channels: int = 1) -> None:
        super().__init__()
        name = type(self).__name__
        if channels != 1:
            raise RequestError(f"{name}: channels is {channels}, expected 1 (grey)")
        RULES.get(rule)
        if level != TUNED and not (isinstance(level, int | float) and not isinstance(level, bool) and level > 0):
            raise RequestError(f"{name}: level is {level!r}, expected a number above 0 or {TUNED!r}")
        self.rule, self.level = rule, level

    def score(self, grey: Grey) -> ScoreMap:
        """The score map (H, W) of a grey image (H, W), as its paper defines it."""
        raise NotImplementedError

    def threshold(self, scores: ScoreMap) -> float:
        """The score above which a pixel of this image is a target; infinite where no score is above 0.

        Raises:
            RequestError: while the level is still to be found.
        """
        if isinstance(self.level, str):
            raise RequestError(f"{type(self).__name__}: its level is to be found on a training list first")
        return float(RULES.get(self.rule)(scores, np.array(self.level))) if scores.max() > 0 else np.inf

    def logits(self, scores: ScoreMap) -> NDArray[np.float32]:
        """log(S / T) of a score map (H, W); minus infinity where S is 0.

        Raises:
            RequestError: when a score is NaN, or the level is still to be found.
        """
        if np.isnan(scores).any():
            raise RequestError(f"{type(self).__name__}: {np.isnan(scores).sum()} scores are NaN")
        with np.errstate(divide="ignore"):
            odds = np.log(np.maximum(scores, 0)) - np.log(self.threshold(scores))
        return np.asarray(odds, dtype=np.float32)

    @torch.no_grad()
    def forward(self, image: Tensor, start: Tensor | None = None) -> Tensor:
        """Logits (B, 1, H, W) of grey images (B, 1, H, W) from 0 to 255."""
        maps = [self.logits(self.score(grey)) for grey in image[:, 0].cpu().numpy().astype(np.float64)]
        return torch.from_numpy(np.stack(maps))[:, None].to(image.device)
