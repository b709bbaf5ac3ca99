"""DFINet's blocks calculated in training mode layer by layer, as they are written down."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from dfinet.blocks import DSFM, GAMMA, MADRB, CentralDifferenceConv, Feedback
from dfinet.narrow_norm import NarrowBatchNorm2d


def difference(self: CentralDifferenceConv, x: Tensor) -> Tensor:
    centre = self.conv.weight.sum((2, 3), keepdim=True)
    plain: Tensor = self.conv(x) - self.theta * F.conv2d(x, centre)
    return plain


def shortcut(self: MADRB, x: Tensor) -> None:
    self.bn3(self.conv3(x))


def fused(self: DSFM, low: Tensor, high: Tensor, feedback: Feedback) -> Tensor:
    mask = feedback.soft
    unsure = 1 - 2 * (mask - 0.5).abs()
    first, second = 1 + mask, 1 + GAMMA * unsure * (mask - 0.5)
    share = self.alpha.softmax(0)
    paths = [self.fuse(low * weight, high * weight) for weight in (first, second)]
    return share[0] * paths[0] + share[1] * paths[1]


PLAIN: tuple[tuple[type, str, Any], ...] = (
    (CentralDifferenceConv, "forward", difference),
    (MADRB, "observe_shortcut", shortcut),
    (DSFM, "forward", fused),
    (NarrowBatchNorm2d, "forward", nn.BatchNorm2d.forward),
)
"""Classes, methods, and the plain functions that take their place."""
