"""The blocks of DFINet as released, bottom-up; its earlier release and FANet share some of them.

Attribute names are those of the published checkpoints. `B C H W` is the shape of the feature map a block is given.

In training mode some blocks calculate the same in fewer passes over their maps, equal but for rounding; in evaluation
mode, in which cost is counted, all of them are as released. dfinet/fast_network.py predicts.

Source: J. Wu et al., "DFINet: Dynamic feedback iterative network for infrared small target detection", Pattern
Recognition 169 (2026) 111958; repository uisdu/DFINet at 8203cee.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dfinet.narrow_norm import NarrowBatchNorm2d, batch_norm
from dfinet.remade import through_remade

THETA = 0.7  # share of the central difference in a convolution, as released
GAMMA = 0.5  # strength of DSFM's second path
THRESHOLD = 0.5  # above it a mask is on
GRIDS = (12, 20)  # sides of HPPM's square grids, whatever the map's size


@dataclass(frozen=True)
class Feedback:
    """The feedback mask at one resolution.

    Attributes:
        hard: (B, 1, H, W) booleans, for hard attention.
        soft: (B, 1, H, W) in [0, 1], for DSFM.
    """

    hard: Tensor
    soft: Tensor

    @classmethod
    def nearest(cls, mask: Tensor, size: tuple[int, int]) -> Feedback:
        """The mask (B, 1, h, w) resized to `size`; `hard` is each cell's top-left pixel: targets can be lost."""
        hard = F.interpolate(mask, size, mode="nearest") > THRESHOLD
        soft = F.interpolate(mask, size, mode="bilinear", align_corners=False)
        return cls(hard, soft)

    @classmethod
    def max_pooled(cls, mask: Tensor, size: tuple[int, int]) -> Feedback:
        """The mask (B, 1, h, w) resized to `size`; `hard` is on where any pixel of a cell is: no target is lost."""
        hard = F.adaptive_max_pool2d(mask, size) > THRESHOLD
        return cls(hard, F.interpolate(mask, size, mode="bilinear", align_corners=False))

    @classmethod
    def mean_pooled(cls, mask: Tensor, size: tuple[int, int]) -> Feedback:
        """The mask (B, 1, h, w) averaged over cells; `hard` is on where any pixel of a cell is above zero.

        Maximum pooling, FANet's way, gives the same `hard`.
        """
        soft = F.adaptive_avg_pool2d(mask, size)
        return cls(soft != 0, soft)


class CentralDifferenceConv(nn.Module):
    """A 3x3 convolution less theta times the centre pixel weighted by the sum of the kernel.

    Source: Z. Yu et al., "Searching central difference convolutional networks for face anti-spoofing", CVPR 2020.
    """

    def __init__(self, inputs: int, outputs: int, theta: float = THETA) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.theta = theta

    def forward(self, x: Tensor) -> Tensor:
        if not self.theta:
            plain: Tensor = self.conv(x)
            return plain
        centre = self.conv.weight.sum((2, 3), keepdim=True)  # (outputs, inputs, 1, 1)
        if self.training:
            # One convolution: the centre belongs to the kernel.
            kernel = self.conv.weight - self.theta * F.pad(centre, (1, 1, 1, 1))
            difference: Tensor = F.conv2d(x, kernel, padding=1)
        else:
            difference = self.conv(x) - self.theta * F.conv2d(x, centre)
        return difference


class CoordinateAttention(nn.Module):
    """The map weighted by one gate per row and one per column.

    Source: Q. Hou et al., "Coordinate attention for efficient mobile network design", CVPR 2021.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(8, channels // 32)
        self.conv1 = nn.Conv2d(channels, hidden, 1)
        self.bn1 = batch_norm(hidden)
        self.conv2 = nn.Conv2d(hidden, channels, 1)
        self.conv3 = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        H = x.shape[2]
        rows = x.mean(3, keepdim=True)  # (B, C, H, 1)
        columns = x.mean(2, keepdim=True).transpose(2, 3)  # (B, C, W, 1)
        hidden = F.hardswish(self.bn1(self.conv1(torch.cat([rows, columns], 2))))  # (B, hidden, H + W, 1)
        row_gate = torch.sigmoid(self.conv2(hidden[:, :, :H]))  # (B, C, H, 1)
        column_gate = torch.sigmoid(self.conv3(hidden[:, :, H:].transpose(2, 3)))  # (B, C, 1, W)
        gated: Tensor = _Gated.apply(x, row_gate, column_gate)  # type: ignore[no-untyped-call]
        return gated


class _Gated(torch.autograd.Function):
    """A map (B, C, H, W) times gates of rows (B, C, H, 1) and columns (B, C, 1, W); no product is kept."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        ctx.save_for_backward(x, rows, columns)
        return (x * columns).mul_(rows)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, rows, columns = ctx.saved_tensors
        both = grad * x
        of_rows = (both * columns).sum(3, keepdim=True)
        of_columns = both.mul_(rows).sum(2, keepdim=True)
        return (grad * columns).mul_(rows), of_rows, of_columns


class MADRB(nn.Module):
    """Two central-difference convolutions, plus their own coordinate attention.

    Its 1x1 shortcut (`conv3`, `bn3`) is dead as released: it is computed and dropped. It stays, so that published
    checkpoints load, the running statistics of `bn3` move as they did, and the cost is that of the released network.
    """

    def __init__(self, inputs: int, outputs: int, theta: float = THETA) -> None:
        super().__init__()
        self.conv1 = CentralDifferenceConv(inputs, outputs, theta)
        self.bn1 = batch_norm(outputs)
        self.conv2 = CentralDifferenceConv(outputs, outputs, theta)
        self.bn2 = batch_norm(outputs)
        self.conv3 = nn.Conv2d(inputs, outputs, 1)
        self.bn3 = batch_norm(outputs)
        self.se = CoordinateAttention(outputs)

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            self.observe_shortcut(x)
        x = through_norm(self.conv1(x), self.bn1, self.conv2, after=F.relu)
        return through_norm(x, self.bn2, lambda x: F.relu(x + self.se(x)))

    def observe_shortcut(self, x: Tensor) -> None:
        """Run the dead shortcut; in training mode update its running statistics without calculating its map.

        The mean and variance of a 1x1 convolution follow from the mean and covariance of its input's channels.
        """
        bn = self.bn3
        if not self.training or type(bn) not in (nn.BatchNorm2d, NarrowBatchNorm2d):  # such as one of several processes
            bn(self.conv3(x))
            return
        assert bn.momentum is not None
        assert bn.running_mean is not None
        assert bn.running_var is not None
        assert bn.num_batches_tracked is not None
        assert self.conv3.bias is not None
        pixels = x.movedim(1, -1).flatten(0, 2).to(self.conv3.weight.dtype)  # (N, C)
        centred = pixels - pixels[:1]  # near zero, so that squares lose no digits
        count, mean = len(pixels), centred.mean(0)
        covariance = centred.T @ centred / count - mean.outer(mean)  # (C, C)
        kernel = self.conv3.weight.flatten(1)  # (outputs, C)
        variance = ((kernel @ covariance) * kernel).sum(1) * (count / (count - 1))
        bn.running_mean.lerp_(kernel @ (mean + pixels[0]) + self.conv3.bias, bn.momentum)
        bn.running_var.lerp_(variance, bn.momentum)
        bn.num_batches_tracked += 1


def through_norm(
    x: Tensor, norm: nn.BatchNorm2d, use: Callable[[Tensor], Tensor], *, after: Callable[[Tensor], Tensor] | None = None
) -> Tensor:
    """A use of a normalised map; in training mode that map is not kept for the backward pass.

    Args:
        after: what follows the normalisation, such as ReLU.
    """
    finish = after or (lambda normalised: normalised)
    if not norm.training or type(norm) is not nn.BatchNorm2d:
        return use(finish(norm(x)))

    def again() -> Tensor:
        return finish(F.batch_norm(x, None, None, norm.weight, norm.bias, training=True, eps=norm.eps))

    return through_remade(lambda: finish(norm(x)), use, again=again)


class SqueezeExcitation(nn.Module):
    """The map weighted by one gate per channel, all made from a single hidden unit, as released."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc = nn.Sequential(
            nn.Linear(channels, 1, bias=False),
            nn.ReLU(),
            nn.Linear(1, channels, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        gate: Tensor = self.fc(x.mean((2, 3)))  # (B, C)
        return x * gate[:, :, None, None]


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions, plus a 1x1 shortcut weighted by squeeze and excitation.

    Source: N. K. Tomar et al., "FANet: A feedback attention network for improved biomedical image segmentation", IEEE
        TNNLS 2022; unchanged.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.bn1 = batch_norm(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.bn2 = batch_norm(outputs)
        self.conv3 = nn.Conv2d(inputs, outputs, 1)
        self.bn3 = batch_norm(outputs)
        self.se = SqueezeExcitation(outputs)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = through_norm(self.conv3(x), self.bn3, self.se)
        x = self.bn2(through_norm(self.conv1(x), self.bn1, self.conv2, after=F.relu))
        return F.relu(x + shortcut)


class HardAttention(nn.Module):
    """The hard mask of a map, on where the feedback mask or the block's own mask (`fmask`) is.

    As released the own mask is thresholded and therefore never learns: its convolutions keep their random initial
    weights.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fmask = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            batch_norm(channels),
            nn.ReLU(),
            nn.Conv2d(channels, 1, 1),
            nn.Sigmoid(),
        )

    def mask(self, x: Tensor, feedback: Feedback) -> Tensor:
        """The hard mask (B, 1, H, W) in {0, 1} of a map (B, C, H, W)."""
        with torch.no_grad():
            own: Tensor = self.fmask(x) > THRESHOLD
        return (own | feedback.hard).to(x.dtype)


def normalised(conv: nn.Conv2d, *after: nn.Module) -> nn.Sequential:
    """A convolution, its BatchNorm, and the modules `after` them."""
    return nn.Sequential(conv, batch_norm(conv.out_channels), *after)


class DFFFM(HardAttention):
    """The map and its part under the hard mask, fused by one convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.conv3 = normalised(nn.Conv2d(2 * channels, channels, 3, padding=1), nn.ReLU())

    def forward(self, x: Tensor, feedback: Feedback) -> Tensor:
        mask, (conv, *after) = self.mask(x, feedback), self.conv3
        # (B, 2C, H, W) -> (B, C, H, W)
        fused = through_remade(lambda: torch.cat([x * mask, x], 1), conv)
        for layer in after:
            fused = layer(fused)
        return fused


class HPPM(nn.Module):
    """Hybrid pyramid pooling: the map plus features of it pooled over two square grids and over strips (rows, columns).

    CHPP, cascaded hybrid pyramid pooling, is two of these. The grids do not follow the input: on a map smaller than
    they are, they up-sample.

    Args:
        grids: sides of the grids that `conv2_1` and `conv2_2` work on.
    """

    def __init__(self, channels: int, grids: tuple[int, int] = GRIDS) -> None:
        super().__init__()
        self.grids = grids
        inner = channels // 4
        self.conv1_1 = normalised(nn.Conv2d(channels, inner, 1, bias=False), nn.ReLU())
        self.conv1_2 = normalised(nn.Conv2d(channels, inner, 1, bias=False), nn.ReLU())
        self.conv2_0 = normalised(nn.Conv2d(inner, inner, 3, padding=1, bias=False))
        self.conv2_1 = normalised(nn.Conv2d(inner, inner, 3, padding=1, bias=False))
        self.conv2_2 = normalised(nn.Conv2d(inner, inner, 3, padding=1, bias=False))
        self.conv2_3 = normalised(nn.Conv2d(inner, inner, (1, 3), padding=(0, 1), bias=False))
        self.conv2_4 = normalised(nn.Conv2d(inner, inner, (3, 1), padding=(1, 0), bias=False))
        self.conv2_5 = normalised(nn.Conv2d(inner, inner, 3, padding=1, bias=False), nn.ReLU())
        self.conv2_6 = normalised(nn.Conv2d(inner, inner, 3, padding=1, bias=False), nn.ReLU())
        self.conv3 = normalised(nn.Conv2d(2 * inner, channels, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        size = x.shape[-2:]
        a = self.conv1_1(x)  # (B, C/4, H, W)
        first = self.conv2_1(F.adaptive_avg_pool2d(a, self.grids[0]))  # (B, C/4, 12, 12)
        second = self.conv2_2(F.adaptive_avg_pool2d(a, self.grids[1]))  # (B, C/4, 20, 20)
        first = F.interpolate(first, size, mode="bilinear", align_corners=True)
        second = F.interpolate(second, size, mode="bilinear", align_corners=True)
        grids = self.conv2_5(F.relu(self.conv2_0(a) + first + second))  # (B, C/4, H, W)

        b = self.conv1_2(x)  # (B, C/4, H, W)
        columns = self.conv2_3(b.mean(2, keepdim=True))  # (B, C/4, 1, W)
        rows = self.conv2_4(b.mean(3, keepdim=True))  # (B, C/4, H, 1)
        strips = self.conv2_6(F.relu(rows + columns))  # (B, C/4, H, W)

        return F.relu(x + self.conv3(torch.cat([grids, strips], 1)))


class SelectiveFusion(nn.Module):
    """Two maps fused with weights computed from the means of their channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(channels // 8, 4)
        self.mlp = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, hidden, 1, bias=False),
            nn.ReLU(),
            nn.Conv2d(hidden, 2 * channels, 1, bias=False),
        )

    def fuse(self, low: Tensor, high: Tensor) -> Tensor:
        """The two maps, weighted per channel by a softmax over the pair."""
        B, C = low.shape[:2]
        weights: Tensor = self.mlp(low + high).view(B, 2, C, 1, 1).softmax(1)
        return low * weights[:, 0] + high * weights[:, 1]


class DSFM(SelectiveFusion):
    """Low- and high-level features fused along two paths, each weighted by the mask in its own way, and mixed.

    One path doubles both inputs where the mask is on. The other scales them by at most a few per cent where the mask
    is unsure. `alpha`, the balance of the paths, is the only parameter that relates to the mask.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.alpha = nn.Parameter(torch.zeros(2))

    def forward(self, low: Tensor, high: Tensor, feedback: Feedback) -> Tensor:
        paths, share = path_weights(feedback.soft), self.alpha.softmax(0)
        if self.training:
            return fuse_paths(self.logits, low, high, paths, share)
        detecting, weighing = paths[:, :1], paths[:, 1:]
        return share[0] * self.fuse(low * detecting, high * detecting) + share[1] * self.fuse(
            low * weighing, high * weighing
        )

    def logits(self, means: Tensor) -> Tensor:
        """Logits (B, 2, 2C) of both maps' channels from their paths' means (B, 2, C)."""
        squeeze, excite = (conv.weight.flatten(1) for conv in self.mlp if isinstance(conv, nn.Conv2d))
        return F.linear(F.relu(F.linear(means, squeeze)), excite)


def path_weights(mask: Tensor) -> Tensor:
    """The weights (B, 2, H, W) of DSFM's two paths at every pixel of a mask (B, 1, H, W)."""
    unsure = 1 - 2 * (mask - 0.5).abs()
    return torch.cat([1 + mask, 1 + GAMMA * unsure * (mask - 0.5)], 1)


def fuse_paths(
    logits_of: Callable[[Tensor], Tensor], low: Tensor, high: Tensor, weights: Tensor, share: Tensor
) -> Tensor:
    """DSFM in closed form, (B, C, H, W).

    Both maps have the same weight at a pixel, and a softmax over two is a logistic: with that weight a and
    A = sigmoid(z_low - z_high) per channel, a path is a (A low + (1 - A) high).

    Args:
        logits_of: from means (B, 2, C) of the two paths to the logits z (B, 2, 2C) of low and high channels.
        low, high: (B, C, H, W).
        weights: (B, 2, H, W) of the two paths.
        share: (2,) share of each path.
    """
    B, C, H, W = low.shape
    paths = weights.flatten(2)  # (B, 2, HW)
    both = as_pixels(low + high)  # (B, HW, C)
    means = torch.bmm(paths, both) / (H * W)  # (B, 2, C)
    pairs = logits_of(means)  # (B, 2, 2C)
    chosen = torch.sigmoid(pairs[..., :C] - pairs[..., C:])  # (B, 2, C)
    shared = paths * share[None, :, None]
    of_low = torch.bmm(shared.transpose(1, 2), chosen)  # (B, HW, C)
    high, low = as_pixels(high), as_pixels(low)
    of_both = high * shared.sum(1)[..., None]
    fused = through_remade(lambda: low - high, lambda x: torch.addcmul(of_both, of_low, x))  # (B, HW, C)
    return fused.view(B, H, W, C).permute(0, 3, 1, 2)


def as_pixels(x: Tensor) -> Tensor:
    """A map (B, C, H, W) as pixels (B, HW, C), a view where its channels lie last."""
    return x.permute(0, 2, 3, 1).flatten(1, 2)
