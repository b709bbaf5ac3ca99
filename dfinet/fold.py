"""Convolutions into which central differences and BatchNorm are folded."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dfinet.blocks import CentralDifferenceConv


class FoldedConv(nn.Module):
    """A convolution of stride 1 that keeps the size and replaces several linear steps.

    Args:
        weight: (outputs, inputs, h, w), h and w odd.
        bias: (outputs,), or None.
    """

    weight: Tensor
    bias: Tensor | None

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.register_buffer("weight", weight.detach().clone(memory_format=torch.channels_last))
        self.register_buffer("bias", None if bias is None else bias.detach().clone())
        self.padding = (weight.shape[2] // 2, weight.shape[3] // 2)

    def forward(self, x: Tensor) -> Tensor:
        """A map (B, outputs, H, W) from a map (B, inputs, H, W)."""
        return F.conv2d(x, self.weight, self.bias, padding=self.padding)

    def mix(self, pixels: Tensor) -> Tensor:
        """Pixels (…, outputs) from pixels (…, inputs), of a 1x1 convolution."""
        return F.linear(pixels, self.weight.flatten(1), self.bias)

    def split(self, maps: int) -> list[FoldedConv]:
        """One convolution for each of `maps` equal parts of the input; they sum to this one, the first has the bias."""
        weights = self.weight.chunk(maps, dim=1)
        return [FoldedConv(weight, None if place else self.bias) for place, weight in enumerate(weights)]


class SplitConv(nn.Module):
    """A convolution of the concatenation of equally wide maps, as the sum of one convolution of each."""

    def __init__(self, conv: FoldedConv, maps: int) -> None:
        super().__init__()
        self.first, *others = conv.split(maps)
        self.others = nn.ModuleList(others)

    def forward(self, first: Tensor, *others: Tensor) -> Tensor:
        """A map (B, outputs, H, W) from as many maps (B, inputs, H, W) as the convolution was split for."""
        total: Tensor = self.first(first)
        for conv, x in zip(self.others, others, strict=True):
            total += conv(x)
        return total

    def mix(self, first: Tensor, *others: Tensor) -> Tensor:
        """Pixels (…, outputs) from pixels (…, inputs) of every map, of a 1x1 convolution."""
        total = self.first.mix(first)
        for conv, x in zip(self.others, others, strict=True):
            assert isinstance(conv, FoldedConv)
            total += conv.mix(x)
        return total


@torch.no_grad()
def fold(conv: nn.Module, norm: nn.Module | None = None) -> FoldedConv:
    """Fold a convolution, central-difference or plain, and the BatchNorm after it (in evaluation mode) into one.

    A central difference takes theta times the kernel's sum from its centre:
    W'[o, i, 1, 1] = W[o, i, 1, 1] - theta * sum of W[o, i, :, :].
    """
    if isinstance(conv, CentralDifferenceConv):
        weight, bias = conv.conv.weight.clone(), None
        weight[:, :, 1, 1] -= conv.theta * weight.sum((2, 3))
    else:
        assert isinstance(conv, nn.Conv2d)
        weight, bias = conv.weight, conv.bias
    if norm is None:
        return FoldedConv(weight, bias)
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)  # (outputs,)
    shift = norm.bias - norm.running_mean * scale
    return FoldedConv(weight * scale[:, None, None, None], shift if bias is None else shift + bias * scale)
