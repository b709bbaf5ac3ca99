"""AGPCNet: a ResNet-18 whose deepest features are put in context by attention within blocks of several sizes.

Source: T. Zhang, L. Li, S. Cao, T. Pu, Z. Peng, "Attention-Guided Pyramid Context Networks for Detecting Infrared Small
Target Under Complex Background", IEEE TAES 2023; repository Tianfang-Zhang/AGPCNet, configuration `agpcnet_1`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.errors import RequestError
from bench.models.network import Segmenter, model, pad_to_multiple
from bench.models.published_numbers import reported

STRIDE = 8
SCALES = (10, 6, 5, 3)  # blocks a side; `agpcnet_2` has (10, 6, 5, 4)
CONTEXT_REDUCTION = 16  # of channels inside the context pyramid
ATTENTION_REDUCTION = 4  # of queries, keys and the bottlenecks of gates


class BasicBlock(nn.Module):
    """Two 3x3 convolutions plus the input, or its 1x1 projection where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = (
            nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs))
            if (inputs, stride) != (outputs, 1)
            else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return F.relu(y + self.downsample(x))


def stage(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """Two basic blocks, the first of which changes the shape."""
    return nn.Sequential(BasicBlock(inputs, outputs, stride), BasicBlock(outputs, outputs))


class Backbone(nn.Module):
    """ResNet-18 with a stem that keeps the image's size: no stride, no pooling."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 64, 7, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = stage(64, 64, 1)
        self.layer2 = stage(64, 128, 2)
        self.layer3 = stage(128, 256, 2)
        self.layer4 = stage(256, 512, 2)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Features (B, 128, H/2, W/2), (B, 256, H/4, W/4) and (B, 512, H/8, W/8) of an image."""
        x = F.relu(self.bn1(self.conv1(image)))  # (B, 64, H, W)
        c1 = self.layer2(self.layer1(x))
        c2 = self.layer3(c1)
        return c1, c2, self.layer4(c2)


def conv_bn_relu(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    """A convolution that keeps the size, norm and ReLU."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2), nn.BatchNorm2d(outputs), nn.ReLU())


def gates(channels: int) -> list[nn.Module]:
    """The layers of a bottleneck of 1x1 convolutions that ends in one gate in (0, 1) per channel and pixel."""
    hidden = channels // ATTENTION_REDUCTION
    return [
        *conv_bn_relu(channels, hidden, 1),
        nn.Conv2d(hidden, channels, 1),
        nn.BatchNorm2d(channels),
        nn.Sigmoid(),
    ]


class NonLocal(nn.Module):
    """The map plus `gamma`, 0 at first, times what each pixel takes from all by (unscaled) dot-product attention.

    Source: X. Wang et al., "Non-local neural networks", CVPR 2018; H. Zhang et al., "Self-attention generative
    adversarial networks", ICML 2019.
    """

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1))
        self.query_conv = nn.Conv2d(channels, channels // reduction, 1)
        self.key_conv = nn.Conv2d(channels, channels // reduction, 1)
        self.value_conv = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        query = self.query_conv(x).flatten(2)  # (B, C/r, n), n pixels
        key = self.key_conv(x).flatten(2)  # (B, C/r, n)
        value = self.value_conv(x).flatten(2)  # (B, C, n)
        attention = (query.mT @ key).softmax(2)  # (B, n, n), row i says what pixel i takes from each
        taken: Tensor = value @ attention.mT  # (B, C, n)
        return self.gamma * taken.reshape(x.shape) + x


class GCA(nn.Module):
    """Global context attention, in its `post` form: one gate per channel for each of s x s blocks."""

    def __init__(self, channels: int, scale: int) -> None:
        super().__init__()
        self.scale = scale
        self.non_local_att = NonLocal(channels, 1)
        self.conv_att = nn.Sequential(*gates(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Gates (B, C, s, s) of a map (B, C, H, W)."""
        out: Tensor = self.conv_att(self.non_local_att(F.adaptive_max_pool2d(x, self.scale)))
        return out


class AGCB(nn.Module):
    """Attention-guided context block: the map cut into s x s blocks, each attending to itself and gated as a whole.

    A block is `H // s` by `W // s` pixels; what is left over falls to the last row and column of blocks. H and W are at
    least s.
    """

    def __init__(self, channels: int, scale: int) -> None:
        super().__init__()
        self.scale = scale
        self.gamma = nn.Parameter(torch.zeros(1))
        self.non_local = NonLocal(channels, ATTENTION_REDUCTION)
        self.conv = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels))
        self.attention = GCA(channels, scale)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.gamma * self.conv(self.attend(x, self.attention(x))) + x)

    def attend(self, x: Tensor, gate: Tensor) -> Tensor:
        """The map (B, C, H, W), each block attended to by itself and weighted by its own of the gates (B, C, s, s).

        Blocks of equal size go together: at most four passes, however many blocks there are.
        """
        bands = [
            torch.cat([self.attend_equal(*part) for part in cut(*band, axis=3)], 3) for band in cut(x, gate, axis=2)
        ]
        return torch.cat(bands, 2)

    def attend_equal(self, x: Tensor, gate: Tensor) -> Tensor:
        """The result of `attend` for n x m equal blocks of h x w pixels: a map (B, C, n h, m w), gates (B, C, n, m)."""
        B, C, n, m = gate.shape
        h, w = x.shape[2] // n, x.shape[3] // m
        blocks = x.reshape(B, C, n, h, m, w).permute(0, 2, 4, 1, 3, 5).reshape(-1, C, h, w)  # (B n m, C, h, w)
        attended = self.non_local(blocks).reshape(B, n, m, C, h, w).permute(0, 3, 1, 4, 2, 5)  # (B, C, n, h, m, w)
        weighted: Tensor = attended * gate[:, :, :, None, :, None]
        return weighted.reshape(x.shape)


def cut(x: Tensor, gate: Tensor, *, axis: int) -> list[tuple[Tensor, Tensor]]:
    """The map and its gates, split along `axis` so that all blocks of a part are equal: the last may be larger."""
    length, blocks = int(x.shape[axis]), int(gate.shape[axis])  # while fvcore traces a network, shapes are tensors
    size, rest = divmod(length, blocks)
    if rest == 0:
        return [(x, gate)]
    pixels = [(blocks - 1) * size, size + rest]
    return list(zip(torch.split(x, pixels, axis), torch.split(gate, [blocks - 1, 1], axis), strict=True))


class ContextPyramid(nn.Module):
    """CPM: context blocks of several scales side by side on the reduced map, joined with it."""

    def __init__(self, channels: int, scales: Sequence[int]) -> None:
        super().__init__()
        inner = channels // CONTEXT_REDUCTION
        self.conv1 = conv_bn_relu(channels, inner, 1)
        self.scale_list = nn.ModuleList(AGCB(inner, scale) for scale in scales)
        self.conv2 = conv_bn_relu(inner * (1 + len(scales)), channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        reduced = self.conv1(x)  # (B, C/16, H, W)
        out: Tensor = self.conv2(torch.cat([reduced, *(block(reduced) for block in self.scale_list)], 1))
        return out


class AsymFusion(nn.Module):
    """AFM: the sum of deep and shallow features, gated by channel from the deep and by pixel from the shallow ones."""

    def __init__(self, high: int, low: int) -> None:
        super().__init__()
        self.pa = nn.Sequential(*gates(low))
        self.plus_conv = conv_bn_relu(high, low, 1)
        self.ca = nn.Sequential(nn.AdaptiveAvgPool2d(1), *gates(low))
        self.end_conv = conv_bn_relu(low, low, 3)

    def forward(self, high: Tensor, low: Tensor) -> Tensor:
        """A map (B, low, H, W) from deep features (B, high, H/2, W/2) and shallow ones (B, low, H, W)."""
        high = self.plus_conv(F.interpolate(high, low.shape[2:], mode="bilinear", align_corners=True))
        from_high = self.ca(high)  # (B, low, 1, 1)
        from_low = self.pa(low)  # (B, low, H, W)
        fused = self.end_conv(low + high)  # (B, low, H, W)
        gated: Tensor = fused * from_high * from_low
        return gated


class Head(nn.Module):
    """One channel of logits from the finest features."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = channels // 4
        self.block = nn.Sequential(
            *conv_bn_relu(channels, hidden, 3),
            nn.Dropout(0.1),
            nn.Conv2d(hidden, 1, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.block(x)
        return logits


class AGPCNet(Segmenter):
    """AGPCNet, numerically equal to the published one.

    All `gamma` are 0 at first, so attention starts without effect and is learnt in. A batch of one image cannot be
    trained on: `ca` normalises 1x1 maps over the batch, and torch refuses.

    Differs: images whose sides are no multiple of 8, or so small that a block would be empty (below 80 pixels, as
    published), are padded; the published network is not made for them. The published BatchNorms of the backbone start
    with the running statistics of ImageNet, these at 0 and 1; both are forgotten as training goes on.

    Args:
        channels: of the image; 3 as published.
        scales: blocks a side of each context block.

    Raises:
        RequestError: when there is no scale, or one below 1.
    """

    def __init__(self, *, channels: int = 3, scales: Sequence[int] = SCALES) -> None:
        super().__init__()
        if min(scales, default=0) < 1:
            raise RequestError(f"AGPCNet: scales is {tuple(scales)}, expected one or more numbers of blocks, 1 or more")
        self.least_side = STRIDE * max(scales)
        self.backbone = Backbone(channels)
        self.fuse23 = AsymFusion(512, 256)
        self.fuse12 = AsymFusion(256, 128)
        self.head = Head(128)
        self.context = ContextPyramid(512, scales)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):  # the published constructor overwrites its ImageNet kernels likewise
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, image: Tensor, start: Tensor | None = None) -> Tensor:
        H, W = image.shape[-2:]
        x = self.pad(image)
        c1, c2, c3 = self.backbone(x)
        t = self.fuse23(self.context(c3), c2)  # (B, 256, H/4, W/4)
        t = self.fuse12(t, c1)  # (B, 128, H/2, W/2)
        logits = F.interpolate(self.head(t), x.shape[2:], mode="bilinear", align_corners=True)  # (B, 1, H, W)
        return logits[..., :H, :W]

    def pad(self, image: Tensor) -> Tensor:
        """The image with zeros at the bottom and right: multiples of 8, and at least a pixel for every block."""
        image = pad_to_multiple(image, STRIDE)
        H, W = image.shape[-2:]
        return F.pad(image, (0, max(self.least_side - W, 0), 0, max(self.least_side - H, 0)))


@model(
    "AGPCNet",
    cite="T. Zhang, L. Li, S. Cao, T. Pu, Z. Peng, Attention-Guided Pyramid Context Networks for Detecting Infrared "
    "Small Target Under Complex Background, IEEE Transactions on Aerospace and Electronic Systems (2023)",
    source="https://github.com/Tianfang-Zhang/AGPCNet, configuration agpcnet_1",
    licence="none stated",
    recipe="agpcnet",
    channels=3,
    config={"scales": "10-6-5-3"},
    reported=reported("AGPCNet"),
)
def build(*, channels: int, scales: str) -> AGPCNet:
    """AGPCNet as its authors configure it (`agpcnet_1`); with scales 10-6-5-4 it is their `agpcnet_2`.

    Raises:
        RequestError: when `scales` is not whole numbers joined by hyphens.
    """
    blocks = scales.split("-")
    if not all(part.isdecimal() for part in blocks):
        raise RequestError(f"AGPCNet: scales is {scales!r}, expected whole numbers joined by hyphens, such as 10-6-5-3")
    return AGPCNet(channels=channels, scales=[int(part) for part in blocks])
