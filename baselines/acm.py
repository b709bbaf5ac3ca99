"""ACM: a small U-Net whose skip connections are fused by asymmetric contextual modulation.

Source: Y. Dai, Y. Wu, F. Zhou, K. Barnard, "Asymmetric Contextual Modulation for Infrared Small Target Detection", WACV
2021; equal to the port in XinyiYing/BasicIRSTD, which is what the field compares with. The authors' own code (MXNet,
open-acm) has four blocks a stage instead of three.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from bench.models.network import Segmenter, model, pad_to_multiple
from bench.models.published_numbers import reported

STRIDE = 16
STAGES = (16, 32, 64)  # channels at 1/4, 1/8 and 1/16 of the image
BLOCKS = 3

MOMENTUM = 0.9
"""Of most BatchNorms, as published. MXNet's 0.9 means the opposite in torch: the running statistics are nine tenths the
last batch. The residual blocks have torch's 0.1."""


def norm(channels: int) -> nn.BatchNorm2d:
    """A BatchNorm with the port's momentum."""
    return nn.BatchNorm2d(channels, momentum=MOMENTUM)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions plus the input, or its 1x1 projection where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = (
            nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), norm(outputs))
            if (inputs, stride) != (outputs, 1)
            else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return F.relu(y + self.downsample(x))


def stage(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """Three residual blocks, the first of which changes the shape."""
    return nn.Sequential(
        ResidualBlock(inputs, outputs, stride), *(ResidualBlock(outputs, outputs) for _ in range(BLOCKS - 1))
    )


def stem(channels: int) -> nn.Sequential:
    """Three convolutions and a pooling, to a map (B, 16, H/4, W/4)."""
    width = STAGES[0]
    return nn.Sequential(
        norm(channels),
        nn.Conv2d(channels, width // 2, 3, stride=2, padding=1, bias=False),
        norm(width // 2),
        nn.ReLU(),
        nn.Conv2d(width // 2, width // 2, 3, padding=1, bias=False),
        norm(width // 2),
        nn.ReLU(),
        nn.Conv2d(width // 2, width, 3, padding=1, bias=False),
        norm(width),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2, padding=1),
    )


class AsymBi(nn.Module):
    """Asymmetric contextual modulation: deep features gate shallow ones by channel, these gate them by pixel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = channels // 4
        self.topdown = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, hidden, 1),
            norm(hidden),
            nn.ReLU(),
            nn.Conv2d(hidden, channels, 1),
            norm(channels),
            nn.Sigmoid(),
        )
        self.bottomup = nn.Sequential(
            nn.Conv2d(channels, hidden, 1),
            norm(hidden),
            nn.ReLU(),
            nn.Conv2d(hidden, channels, 1),
            norm(channels),
            nn.Sigmoid(),
        )
        self.post = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), norm(channels), nn.ReLU())

    def forward(self, high: Tensor, low: Tensor) -> Tensor:
        from_high = self.topdown(high)  # (B, C, 1, 1)
        from_low = self.bottomup(low)  # (B, C, H, W)
        fused: Tensor = self.post(2 * low * from_high + 2 * high * from_low)
        return fused


class Head(nn.Module):
    """One channel of logits from the finest features."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = channels // 4
        self.block = nn.Sequential(
            nn.Conv2d(channels, hidden, 3, padding=1, bias=False),
            norm(hidden),
            nn.ReLU(),
            nn.Dropout(0.1),
            nn.Conv2d(hidden, 1, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.block(x)
        return logits


class ACM(Segmenter):
    """ACM in its U-Net form, numerically equal to BasicIRSTD's port before the port's final sigmoid.

    A batch of one image cannot be trained on: `topdown` normalises 1x1 maps over the batch, and torch refuses.
    """

    official_keys = (("model.", ""),)

    def __init__(self, *, channels: int = 1) -> None:
        super().__init__()
        c1, c2, c3 = STAGES
        self.stem = stem(channels)
        self.layer1 = stage(c1, c1, 1)
        self.layer2 = stage(c1, c2, 2)
        self.layer3 = stage(c2, c3, 2)
        self.deconv2 = nn.ConvTranspose2d(c3, c2, 4, stride=2, padding=1)
        self.uplayer2 = stage(c2, c2, 1)
        self.fuse2 = AsymBi(c2)
        self.deconv1 = nn.ConvTranspose2d(c2, c1, 4, stride=2, padding=1)
        self.uplayer1 = stage(c1, c1, 1)
        self.fuse1 = AsymBi(c1)
        self.head = Head(c1)

    def forward(self, image: Tensor, start: Tensor | None = None) -> Tensor:
        H, W = image.shape[-2:]
        x = pad_to_multiple(image, STRIDE)
        c1 = self.layer1(self.stem(x))  # (B, 16, H/4, W/4)
        c2 = self.layer2(c1)  # (B, 32, H/8, W/8)
        x = self.layer3(c2)  # (B, 64, H/16, W/16)
        x = self.uplayer2(self.fuse2(self.deconv2(x), c2))  # (B, 32, H/8, W/8)
        x = self.uplayer1(self.fuse1(self.deconv1(x), c1))  # (B, 16, H/4, W/4)
        x = self.head(x)  # (B, 1, H/4, W/4)
        logits = F.interpolate(x, scale_factor=4, mode="bilinear", align_corners=False)  # (B, 1, H, W)
        return logits[..., :H, :W]


@model(
    "ACM",
    cite="Y. Dai, Y. Wu, F. Zhou, K. Barnard, Asymmetric Contextual Modulation for Infrared Small Target Detection, "
    "WACV 2021",
    source="https://github.com/XinyiYing/BasicIRSTD at 95650c3, class ASKCResUNet",
    licence="none stated",
    recipe="basicirstd",
    channels=1,
    reported=reported("ACM"),
)
def build(*, channels: int) -> ACM:
    """ACM with three blocks a stage, the form BasicIRSTD publishes numbers of."""
    return ACM(channels=channels)
