"""Batch normalisation of maps with few channels that lie channels last.

torch's kernel works along the channels, and is ten times slower with 4 of them than with 8. Here several neighbouring
pixels count as one with more channels.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

LEAST = 8
"""Channels from which torch's kernel is the faster one."""

LANES = 32
"""Numbers that are worked on together: several pixels of a map, all channels of each."""


def batch_norm(channels: int) -> nn.BatchNorm2d:
    """The batch normalisation for maps of so many channels."""
    return nn.BatchNorm2d(channels) if channels >= LEAST else NarrowBatchNorm2d(channels)


class NarrowBatchNorm2d(nn.BatchNorm2d):
    """BatchNorm2d, equal to torch's but for rounding, with a faster training mode for few channels.

    Attributes:
        equal_to: the layer of torch that may take its place.
    """

    equal_to = nn.BatchNorm2d

    def forward(self, x: Tensor) -> Tensor:
        is_pixel_by_pixel = x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last)
        fits = x.numel() % LANES == 0 and LANES % self.num_features == 0
        if not (self.training and is_pixel_by_pixel and fits and x.device.type == "cpu"):
            return super().forward(x)
        if x.dtype not in (torch.float32, torch.bfloat16) or self.momentum is None:
            return super().forward(x)
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        out, mean, variance = _Normalise.apply(x, self.weight, self.bias, self.eps)  # type: ignore[no-untyped-call]
        count = x.numel() / self.num_features
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)
        return out  # type: ignore[no-any-return]


class _Normalise(torch.autograd.Function):
    """Normalised map (B, C, H, W), and mean and variance (C,), of a map whose channels lie last."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
        lanes, count = _lanes(x), x.numel() / len(weight)
        mean = _sum_by_channel(lanes.sum(0), len(weight)) / count
        centred = lanes - _spread(mean)
        variance = _sum_by_channel((centred * centred).sum(0), len(weight)) / count
        inverse = (variance + eps).rsqrt()
        out = torch.addcmul(_spread(bias), centred, _spread(weight * inverse))
        ctx.save_for_backward(x, weight, mean, inverse)
        ctx.mark_non_differentiable(mean, variance)
        return _as_map(out, x), mean, variance

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        x, weight, mean, inverse = ctx.saved_tensors
        grad = _lanes(grads[0].contiguous(memory_format=torch.channels_last))
        centred = _lanes(x) - _spread(mean)
        of_bias = _sum_by_channel(grad.sum(0), len(weight))
        of_weight = _sum_by_channel((grad * centred).sum(0), len(weight)) * inverse
        count = x.numel() / len(weight)
        # weight / deviation * (grad - its mean - normalised * mean of grad * normalised)
        out = torch.addcmul(grad - _spread(of_bias / count), centred, _spread(of_weight * inverse / count), value=-1)
        return _as_map(out.mul_(_spread(weight * inverse)), x), of_weight, of_bias, None


def _lanes(x: Tensor) -> Tensor:
    """A map (B, C, H, W) whose channels lie last as (N, LANES) in float32, a view of it where it is float32."""
    return x.permute(0, 2, 3, 1).reshape(-1, LANES).float()


def _as_map(lanes: Tensor, like: Tensor) -> Tensor:
    B, C, H, W = like.shape
    return lanes.view(B, H, W, C).permute(0, 3, 1, 2).to(like.dtype)


def _sum_by_channel(lanes: Tensor, channels: int) -> Tensor:
    return lanes.view(-1, channels).sum(0)


def _spread(values: Tensor) -> Tensor:
    """Numbers (C,) of channels, for every lane."""
    return values.repeat(LANES // len(values))
