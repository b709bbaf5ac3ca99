"""Blocks that ablations put in place of DFINet's own."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dfinet.blocks import DFFFM, MADRB, THRESHOLD, Feedback, normalised


class NoDFFFM(nn.Module):
    """The identity in DFFFM's place: the map, whatever the mask."""

    def __init__(self, channels: int) -> None:
        super().__init__()

    def forward(self, x: Tensor, feedback: Feedback) -> Tensor:
        return x


class MatchedDFFFM(nn.Module):
    """DFFFM's fusing convolution, given the map twice in place of its masked part and the map.

    It has as many parameters that learn as DFFFM; those of the untrained mask branch are not there.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv3 = normalised(nn.Conv2d(2 * channels, channels, 3, padding=1), nn.ReLU())

    def forward(self, x: Tensor, feedback: Feedback) -> Tensor:
        fused: Tensor = self.conv3(torch.cat([x, x], 1))  # (B, 2C, H, W) -> (B, C, H, W)
        return fused


class FeedbackDFFFM(MatchedDFFFM):
    """DFFFM without a mask of its own: the hard mask is the feedback mask."""

    def forward(self, x: Tensor, feedback: Feedback) -> Tensor:
        fused: Tensor = self.conv3(torch.cat([x * feedback.hard.to(x.dtype), x], 1))
        return fused


class StraightThroughDFFFM(DFFFM):
    """DFFFM whose own mask is thresholded and still learns: its gradient is that of the probability.

    Source: Y. Bengio et al., "Estimating or propagating gradients through stochastic neurons", 2013.
    """

    def mask(self, x: Tensor, feedback: Feedback) -> Tensor:
        """The hard mask (B, 1, H, W) in {0, 1} of a map (B, C, H, W)."""
        own = self.own_mask(x)
        return torch.where(feedback.hard, torch.ones_like(own), own)

    def own_mask(self, x: Tensor) -> Tensor:
        """The own mask (B, 1, H, W) of a map (B, C, H, W)."""
        prob: Tensor = self.fmask(x)
        return (prob > THRESHOLD).to(x.dtype) + (prob - prob.detach())


class SoftDFFFM(StraightThroughDFFFM):
    """DFFFM whose own mask is a probability, and learns."""

    def own_mask(self, x: Tensor) -> Tensor:
        prob: Tensor = self.fmask(x)
        return prob


class SkipAlone(nn.Module):
    """The plain skip connection: the low-level map."""

    def __init__(self, channels: int) -> None:
        super().__init__()

    def forward(self, low: Tensor, high: Tensor, feedback: Feedback) -> Tensor:
        return low


class Sum(SkipAlone):
    """The sum of low- and high-level map."""

    def forward(self, low: Tensor, high: Tensor, feedback: Feedback) -> Tensor:
        return low + high


class ShortcutMADRB(MADRB):
    """MADRB with the projection shortcut that the release computes and drops."""

    def forward(self, x: Tensor) -> Tensor:
        shortcut = self.bn3(self.conv3(x))
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.bn2(self.conv2(x))
        return F.relu(x + self.se(x) + shortcut)
