"""DNANet: a nested U-Net whose every node attends to channels and pixels, with the scales fused at the end.

Source: B. Li, C. Xiao, L. Wang, Y. Wang, Z. Lin, M. Li, W. An, Y. Guo, "Dense Nested Attention Network for Infrared
Small Target Detection", IEEE TIP 32, 2023; equal to YeRen123455/Infrared-Small-Target-Detection with channel size
"three" and deep supervision, and, with one input channel, to the port in XinyiYing/BasicIRSTD before its final sigmoid.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.errors import RequestError
from bench.models.network import Batch, Loss, Segmenter, model, pad_to_multiple
from bench.models.published_numbers import reported
from bench.registry import unknown

STRIDE = 16
WIDTHS = (16, 32, 64, 128, 256)  # channels of the nodes at 1/1, 1/2, 1/4, 1/8 and 1/16 of the image
LEAST_WIDTH = 16  # of which channel attention takes a sixteenth
BLOCKS = {"resnet-10": (1, 1, 1, 1), "resnet-18": (2, 2, 2, 2), "resnet-34": (3, 4, 6, 3)}
"""Blocks of a node at 1/2, 1/4, 1/8 and 1/16 of the image; nodes at full size always have one."""


class ChannelAttention(nn.Module):
    """A gate (B, C, 1, 1) from the mean and the maximum of every channel, which share two 1x1 convolutions.

    The hidden width is a sixteenth of the channels whatever ratio is asked for: the authors' code ignores its own.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, channels // 16, 1, bias=False)
        self.fc2 = nn.Conv2d(channels // 16, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        mean = self.fc2(F.relu(self.fc1(F.adaptive_avg_pool2d(x, 1))))
        peak = self.fc2(F.relu(self.fc1(F.adaptive_max_pool2d(x, 1))))
        return torch.sigmoid(mean + peak)


class SpatialAttention(nn.Module):
    """A gate (B, 1, H, W) from the mean and the maximum over the channels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(2, 1, 7, padding=3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        mean, peak = x.mean(1, keepdim=True), x.max(1, keepdim=True).values
        return torch.sigmoid(self.conv1(torch.cat([mean, peak], 1)))


class ResCBAM(nn.Module):
    """Two 3x3 convolutions, channel attention, spatial attention, plus the input or its 1x1 projection."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = (
            nn.Sequential(nn.Conv2d(inputs, outputs, 1), nn.BatchNorm2d(outputs))
            if inputs != outputs
            else nn.Identity()
        )
        self.ca = ChannelAttention(outputs)
        self.sa = SpatialAttention()

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        y = self.ca(y) * y
        y = self.sa(y) * y
        return F.relu(y + self.shortcut(x))


def res_cbams(inputs: int, outputs: int, *, blocks: int) -> nn.Sequential:
    """Residual attention blocks in a row, the first of which changes the channels."""
    return nn.Sequential(ResCBAM(inputs, outputs), *(ResCBAM(outputs, outputs) for _ in range(blocks - 1)))


def resize(x: Tensor, factor: float) -> Tensor:
    """The map at `factor` times its height and width, bilinear with aligned corners."""
    return F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=True)


class DNANet(Segmenter):
    """DNANet with four heads, numerically equal to the authors' code in its default configuration.

    Differs: the authors' Python call returns all four heads; `forward` computes the last alone, which is the one that
    is judged.

    Args:
        channels: of the image; 3 as published, 1 in BasicIRSTD.
        backbone: `resnet-10`, `resnet-18` (as published) or `resnet-34`: how many blocks a node has.

    Raises:
        RequestError: when there is no such backbone.
    """

    official_keys = (("model.", ""),)

    def __init__(self, *, channels: int = 3, backbone: str = "resnet-18", widest: int = WIDTHS[-1]) -> None:
        super().__init__()
        if backbone not in BLOCKS:
            raise RequestError(f"DNANet: {unknown('backbone', backbone, BLOCKS)}")
        if widest < LEAST_WIDTH:
            raise RequestError(f"DNANet: widest is {widest}, expected at least {LEAST_WIDTH} channels")
        c0, c1, c2, c3, c4 = (min(width, widest) for width in WIDTHS)
        n1, n2, n3, n4 = BLOCKS[backbone]
        self.conv0_0 = res_cbams(channels, c0, blocks=1)
        self.conv1_0 = res_cbams(c0, c1, blocks=n1)
        self.conv2_0 = res_cbams(c1, c2, blocks=n2)
        self.conv3_0 = res_cbams(c2, c3, blocks=n3)
        self.conv4_0 = res_cbams(c3, c4, blocks=n4)
        self.conv0_1 = res_cbams(c0 + c1, c0, blocks=1)
        self.conv1_1 = res_cbams(c1 + c2 + c0, c1, blocks=n1)
        self.conv2_1 = res_cbams(c2 + c3 + c1, c2, blocks=n2)
        self.conv3_1 = res_cbams(c3 + c4 + c2, c3, blocks=n3)
        self.conv0_2 = res_cbams(2 * c0 + c1, c0, blocks=1)
        self.conv1_2 = res_cbams(2 * c1 + c2 + c0, c1, blocks=n1)
        self.conv2_2 = res_cbams(2 * c2 + c3 + c1, c2, blocks=n2)
        self.conv0_3 = res_cbams(3 * c0 + c1, c0, blocks=1)
        self.conv1_3 = res_cbams(3 * c1 + c2 + c0, c1, blocks=n1)
        self.conv0_4 = res_cbams(4 * c0 + c1, c0, blocks=1)
        self.conv0_4_final = res_cbams(5 * c0, c0, blocks=1)
        self.conv0_4_1x1 = nn.Conv2d(c4, c0, 1)
        self.conv0_3_1x1 = nn.Conv2d(c3, c0, 1)
        self.conv0_2_1x1 = nn.Conv2d(c2, c0, 1)
        self.conv0_1_1x1 = nn.Conv2d(c1, c0, 1)
        self.final1 = nn.Conv2d(c0, 1, 1)
        self.final2 = nn.Conv2d(c0, 1, 1)
        self.final3 = nn.Conv2d(c0, 1, 1)
        self.final4 = nn.Conv2d(c0, 1, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.xavier_normal_(module.weight)

    def nodes(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The maps (B, 16, H, W) the heads look at: nodes (0, 1), (0, 2), (0, 3) and the fusion of all scales.

        Args:
            image: (B, C, H, W), H and W multiples of 16.
        """
        x00 = self.conv0_0(image)  # (B, 16, H, W)
        x10 = self.conv1_0(F.max_pool2d(x00, 2))  # (B, 32, H/2, W/2)
        x01 = self.conv0_1(torch.cat([x00, resize(x10, 2)], 1))

        x20 = self.conv2_0(F.max_pool2d(x10, 2))  # (B, 64, H/4, W/4)
        x11 = self.conv1_1(torch.cat([x10, resize(x20, 2), resize(x01, 0.5)], 1))
        x02 = self.conv0_2(torch.cat([x00, x01, resize(x11, 2)], 1))

        x30 = self.conv3_0(F.max_pool2d(x20, 2))  # (B, 128, H/8, W/8)
        x21 = self.conv2_1(torch.cat([x20, resize(x30, 2), resize(x11, 0.5)], 1))
        x12 = self.conv1_2(torch.cat([x10, x11, resize(x21, 2), resize(x02, 0.5)], 1))
        x03 = self.conv0_3(torch.cat([x00, x01, x02, resize(x12, 2)], 1))

        x40 = self.conv4_0(F.max_pool2d(x30, 2))  # (B, 256, H/16, W/16)
        x31 = self.conv3_1(torch.cat([x30, resize(x40, 2), resize(x21, 0.5)], 1))
        x22 = self.conv2_2(torch.cat([x20, x21, resize(x31, 2), resize(x12, 0.5)], 1))
        x13 = self.conv1_3(torch.cat([x10, x11, x12, resize(x22, 2), resize(x03, 0.5)], 1))
        x04 = self.conv0_4(torch.cat([x00, x01, x02, x03, resize(x13, 2)], 1))

        scales = [
            resize(self.conv0_4_1x1(x40), 16),
            resize(self.conv0_3_1x1(x31), 8),
            resize(self.conv0_2_1x1(x22), 4),
            resize(self.conv0_1_1x1(x13), 2),
            x04,
        ]  # (B, 16, H, W) each
        return x01, x02, x03, self.conv0_4_final(torch.cat(scales, 1))

    def forward(self, image: Tensor, start: Tensor | None = None) -> Tensor:
        H, W = image.shape[-2:]
        *_, fused = self.nodes(pad_to_multiple(image, STRIDE))
        logits: Tensor = self.final4(fused)
        return logits[..., :H, :W]

    def heads(self, image: Tensor) -> list[Tensor]:
        """The logits (B, 1, H, W) of the four heads, the judged one last."""
        H, W = image.shape[-2:]
        finals = (self.final1, self.final2, self.final3, self.final4)
        nodes = self.nodes(pad_to_multiple(image, STRIDE))
        return [final(node)[..., :H, :W] for final, node in zip(finals, nodes, strict=True)]

    def training_loss(self, batch: Batch, loss: Loss, *, epoch: int) -> Tensor:
        """The mean of the four heads' losses."""
        return torch.stack([loss(logits, batch.mask) for logits in self.heads(batch.image)]).mean()


@model(
    "DNANet",
    cite="B. Li, C. Xiao, L. Wang, Y. Wang, Z. Lin, M. Li, W. An, Y. Guo, Dense Nested Attention Network for Infrared "
    "Small Target Detection, IEEE TIP 32, 2023",
    source="https://github.com/YeRen123455/Infrared-Small-Target-Detection",
    licence="none stated",
    recipe="dnanet",
    channels=3,
    config={"backbone": "resnet-18"},
    reported=reported("DNANet"),
)
def build(*, channels: int, backbone: str, widest: int = WIDTHS[-1]) -> DNANet:
    """DNANet with the blocks of a ResNet-18, the form its authors publish numbers of.

    `widest` makes small ones for tests: no node has more channels.
    """
    return DNANet(channels=channels, backbone=backbone, widest=widest)
