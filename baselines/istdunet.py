"""ISTDU-Net: a U-Net over groups of feature maps (ResNeSt blocks), with external attention on its skip connections.

Source: Q. Hou, L. Zhang, F. Tan, Y. Xi, H. Zheng, N. Li, "ISTDU-Net: Infrared Small-Target Detection U-Net", IEEE GRSL
19, 2022, 7506205; equal to the copy in XinyiYing/BasicIRSTD, which is the authors' code with one of its two heads left
unused.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.models.network import Segmenter, model, pad_to_multiple
from bench.models.published_numbers import reported

STRIDE = 8
STEM = 16
PLANES = (16, 32, 64, 128)  # of each stage's bottlenecks, a quarter of its channels
BLOCKS = (1, 2, 4, 8)  # of each stage
EXPANSION = 4
CARDINALITY = 4
RADIX = 2
MEMORY = 64  # rows of the external attention's memories


class SplitAttention(nn.Module):
    """Two grouped 3x3 views of the map, of which every channel takes a mixture that the image decides.

    Source: H. Zhang et al., "ResNeSt: Split-attention networks", CVPR workshops 2022.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(channels * RADIX // 4, 32)
        self.conv = nn.Conv2d(channels, channels * RADIX, 3, padding=1, groups=CARDINALITY * RADIX, bias=False)
        self.bn0 = nn.BatchNorm2d(channels * RADIX)
        self.fc1 = nn.Conv2d(channels, hidden, 1, groups=CARDINALITY)
        self.bn1 = nn.BatchNorm2d(hidden)
        self.fc2 = nn.Conv2d(hidden, channels * RADIX, 1, groups=CARDINALITY)

    def forward(self, x: Tensor) -> Tensor:
        B, C, H, W = x.shape
        views = F.relu(self.bn0(self.conv(x))).view(B, RADIX, C, H, W)
        means = views.sum(1).mean((2, 3), keepdim=True)  # (B, C, 1, 1)
        logits = self.fc2(F.relu(self.bn1(self.fc1(means))))  # (B, cardinality x radix x C/cardinality, 1, 1)
        logits = logits.view(B, CARDINALITY, RADIX, -1).transpose(1, 2)
        shares = logits.softmax(1).reshape(B, RADIX, C, 1, 1)  # sums to 1 over the two views
        mixed: Tensor = (views * shares).sum(1)
        return mixed


class Bottleneck(nn.Module):
    """1x1 convolution, split attention, 1x1 convolution, plus the input or its projection where the shape changes."""

    def __init__(self, inputs: int, planes: int, stride: int) -> None:
        super().__init__()
        outputs = EXPANSION * planes
        self.conv1 = nn.Conv2d(inputs, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = SplitAttention(planes)
        self.pool = nn.Identity() if stride == 1 else nn.AvgPool2d(3, stride, padding=1)
        self.conv3 = nn.Conv2d(planes, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = (
            nn.Identity()
            if inputs == outputs
            else nn.Sequential(
                nn.AvgPool2d(stride, stride, ceil_mode=True, count_include_pad=False),
                nn.Conv2d(inputs, outputs, 1, bias=False),
                nn.BatchNorm2d(outputs),
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.pool(self.conv2(y))
        y = self.bn3(self.conv3(y))
        return F.relu(y + self.downsample(x))


class Stages(nn.Module):
    """The four stages of bottlenecks."""

    def __init__(self) -> None:
        super().__init__()
        inputs, stride = STEM, 1
        for number, (planes, blocks) in enumerate(zip(PLANES, BLOCKS, strict=True), 1):
            outputs = EXPANSION * planes
            first = Bottleneck(inputs, planes, stride)
            rest = (Bottleneck(outputs, planes, 1) for _ in range(blocks - 1))
            self.add_module(f"layer{number}", nn.Sequential(first, *rest))
            inputs, stride = outputs, 2

    def forward(self, x: Tensor) -> list[Tensor]:
        """Features (B, 64, H, W), (B, 128, H/2, W/2), (B, 256, H/4, W/4) and (B, 512, H/8, W/8)."""
        maps = []
        for stage in self.children():
            x = stage(x)
            maps.append(x)
        return maps


class Down(nn.Module):
    """The encoder: a stem that normalises each image channel, and the stages."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.BatchNorm2d(channels, affine=False),
            nn.Conv2d(channels, STEM, 3, padding=1, bias=False),
            nn.BatchNorm2d(STEM),
            nn.ReLU(),
        )
        self.down = Stages()

    def forward(self, image: Tensor) -> list[Tensor]:
        maps: list[Tensor] = self.down(self.stem(image))
        return maps


class Up(nn.Module):
    """The decoder: every level halves the channels, doubles the size and adds the skip connection."""

    def __init__(self) -> None:
        super().__init__()
        c1, c2, c3, c4 = (EXPANSION * planes for planes in PLANES)
        self.up1 = reduction(c4, c3)
        self.up2 = reduction(c3, c2)
        self.up3 = reduction(c2, c1)

    def forward(self, x1: Tensor, x2: Tensor, x3: Tensor, x4: Tensor) -> Tensor:
        """A map (B, 64, H, W) from the maps of the four stages."""
        t = x3 + doubled(self.up1(x4))  # (B, 256, H/4, W/4)
        t = x2 + doubled(self.up2(t))  # (B, 128, H/2, W/2)
        return x1 + doubled(self.up3(t))


def reduction(inputs: int, outputs: int) -> nn.Sequential:
    """A 1x1 convolution, norm and ReLU."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU())


def doubled(x: Tensor) -> Tensor:
    """The map at twice its size."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


class Head(nn.Module):
    """One channel of logits from the finest features."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = channels // 4
        self.head = nn.Sequential(
            nn.Conv2d(channels, hidden, 3, padding=1, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU(),
            nn.Conv2d(hidden, 1, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(x)
        return logits


class ExternalAttention(nn.Module):
    """The map plus the result of attention over a small learnt memory, instead of over its own pixels.

    Differs: the published code makes `linear_1` a transposed view of `linear_0`'s storage; the two come apart when the
    network is moved to a GPU, and stay one matrix on a CPU. Here they are apart everywhere, and start equal.

    Source: M.-H. Guo et al., "Beyond self-attention: External attention using two linear layers for visual tasks",
    IEEE TPAMI 2022.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 1)
        self.linear_0 = nn.Conv1d(channels, MEMORY, 1, bias=False)
        self.linear_1 = nn.Conv1d(MEMORY, channels, 1, bias=False)
        self.conv2 = nn.Sequential(nn.Conv2d(channels, channels, 1, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(x).flatten(2)  # (B, C, n), n pixels
        attention = self.linear_0(y).softmax(2)  # (B, 64, n), each row sums to 1 over the pixels
        attention = attention / (1e-9 + attention.sum(1, keepdim=True))  # and then each pixel over the rows
        recalled: Tensor = self.conv2(self.linear_1(attention).reshape(x.shape))  # (B, C, H, W)
        return recalled + x


class SkipAttention(nn.Module):
    """External attention on the map of every stage."""

    def __init__(self) -> None:
        super().__init__()
        for number, planes in enumerate(PLANES, 1):
            self.add_module(f"X{number}", ExternalAttention(EXPANSION * planes))

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        return [attend(x) for attend, x in zip(self.children(), maps, strict=True)]


class ISTDUNet(Segmenter):
    """ISTDU-Net, numerically equal to BasicIRSTD's copy (with its memories apart) before the final sigmoid.

    9,265 of its 2,761,138 parameters are dead: `headDet`, the authors' second head, which detects and which BasicIRSTD
    leaves unused. It stays, so that published checkpoints load. A batch of one image cannot be trained on: split
    attention normalises 1x1 maps over the batch, and torch refuses.
    """

    channels_last = False  # its grouped convolutions take half as long again with channels last
    official_keys = (("model.", ""),)

    def __init__(self, *, channels: int = 1) -> None:
        super().__init__()
        finest = EXPANSION * PLANES[0]
        self.down = Down(channels)
        self.up = Up()
        self.headDet = Head(finest)
        self.headSeg = Head(finest)
        self.DN = SkipAttention()
        initialise(self)

    def forward(self, image: Tensor, start: Tensor | None = None) -> Tensor:
        H, W = image.shape[-2:]
        x1, x2, x3, x4 = self.DN(self.down(pad_to_multiple(image, STRIDE)))
        logits: Tensor = self.headSeg(self.up(x1, x2, x3, x4))
        return logits[..., :H, :W]


@torch.no_grad()
def initialise(network: nn.Module) -> None:
    """Give kernels normal numbers of standard deviation sqrt(2 / (area x output channels)), as published.

    The two memories of an external attention start as one matrix, the one that is drawn last.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv1d | nn.Conv2d):
            nn.init.normal_(module.weight, std=math.sqrt(2 / (math.prod(module.kernel_size) * module.out_channels)))
    for module in network.modules():
        if isinstance(module, ExternalAttention):
            module.linear_0.weight.copy_(module.linear_1.weight.transpose(0, 1))


@model(
    "ISTDU-Net",
    cite="Q. Hou, L. Zhang, F. Tan, Y. Xi, H. Zheng, N. Li, ISTDU-Net: Infrared Small-Target Detection U-Net, IEEE "
    "Geoscience and Remote Sensing Letters 19 (2022) 7506205",
    source="https://github.com/XinyiYing/BasicIRSTD at 95650c3, class ISTDU_Net",
    licence="none stated",
    recipe="basicirstd",
    channels=1,
    reported=reported("ISTDU-Net"),
)
def build(*, channels: int) -> ISTDUNet:
    """ISTDU-Net in the form BasicIRSTD publishes numbers of."""
    return ISTDUNet(channels=channels)
