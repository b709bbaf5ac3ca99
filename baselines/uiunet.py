"""UIU-Net: a U-Net whose every stage is a small U-Net, with cross attention where the outer levels meet.

Source: X. Wu, D. Hong, J. Chanussot, "UIU-Net: U-Net in U-Net for Infrared Small Object Detection", IEEE TIP 32 (2023)
364-376; repository danfenghong/IEEE_TIP_UIU-Net. The stages are those of X. Qin et al., "U2-Net: Going deeper with
nested U-structure for salient object detection", Pattern Recognition 106 (2020) 107404.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.errors import RequestError
from bench.models.network import Batch, Loss, Segmenter, model
from bench.models.published_numbers import reported

WIDTH = 64  # channels of the first stage as released


def halved(x: Tensor) -> Tensor:
    """The maximum of each 2x2 cell of a map: half its height and width, rounded up."""
    return F.max_pool2d(x, 2, ceil_mode=True)


def resized(x: Tensor, like: Tensor) -> Tensor:
    """The map at the height and width of `like`."""
    return F.interpolate(x, like.shape[-2:], mode="bilinear", align_corners=False)


class ConvNormReLU(nn.Module):
    """A 3x3 convolution that keeps the size, its BatchNorm and a ReLU."""

    def __init__(self, inputs: int, outputs: int, *, dilation: int = 1) -> None:
        super().__init__()
        self.conv_s1 = nn.Conv2d(inputs, outputs, 3, padding=dilation, dilation=dilation)
        self.bn_s1 = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn_s1(self.conv_s1(x)))


class RSU(nn.ModuleDict):
    """Residual U-block: a U-Net of `levels` levels, plus its first convolution's output.

    The deepest level is dilated instead of pooled.
    """

    def __init__(self, inputs: int, hidden: int, outputs: int, *, levels: int) -> None:
        super().__init__()
        self.levels = levels
        self["rebnconvin"] = ConvNormReLU(inputs, outputs)
        self["rebnconv1"] = ConvNormReLU(outputs, hidden)
        for level in range(2, levels):
            self[f"rebnconv{level}"] = ConvNormReLU(hidden, hidden)
        self[f"rebnconv{levels}"] = ConvNormReLU(hidden, hidden, dilation=2)
        for level in range(levels - 1, 1, -1):
            self[f"rebnconv{level}d"] = ConvNormReLU(2 * hidden, hidden)
        self["rebnconv1d"] = ConvNormReLU(2 * hidden, outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = self["rebnconvin"](x)  # (B, outputs, H, W)
        skips = [self["rebnconv1"](x)]  # (B, hidden, H, W), (B, hidden, H/2, W/2), …
        for level in range(2, self.levels):
            skips.append(self[f"rebnconv{level}"](halved(skips[-1])))
        y = self[f"rebnconv{self.levels}"](skips[-1])
        for level, skip in zip(range(self.levels - 1, 0, -1), reversed(skips), strict=True):
            y = self[f"rebnconv{level}d"](torch.cat([resized(y, skip), skip], 1))
        out: Tensor = y + x  # (B, outputs, H, W)
        return out


class DilatedRSU(nn.ModuleDict):
    """Residual U-block of four levels (RSU-4F) that widens its view by dilation alone, at one resolution."""

    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self["rebnconvin"] = ConvNormReLU(inputs, outputs)
        self["rebnconv1"] = ConvNormReLU(outputs, hidden)
        self["rebnconv2"] = ConvNormReLU(hidden, hidden, dilation=2)
        self["rebnconv3"] = ConvNormReLU(hidden, hidden, dilation=4)
        self["rebnconv4"] = ConvNormReLU(hidden, hidden, dilation=8)
        self["rebnconv3d"] = ConvNormReLU(2 * hidden, hidden, dilation=4)
        self["rebnconv2d"] = ConvNormReLU(2 * hidden, hidden, dilation=2)
        self["rebnconv1d"] = ConvNormReLU(2 * hidden, outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = self["rebnconvin"](x)  # (B, outputs, H, W)
        e1 = self["rebnconv1"](x)  # (B, hidden, H, W)
        e2 = self["rebnconv2"](e1)  # (B, hidden, H, W)
        e3 = self["rebnconv3"](e2)  # (B, hidden, H, W)
        y = self["rebnconv4"](e3)  # (B, hidden, H, W)
        y = self["rebnconv3d"](torch.cat([y, e3], 1))  # (B, hidden, H, W)
        y = self["rebnconv2d"](torch.cat([y, e2], 1))  # (B, hidden, H, W)
        out: Tensor = self["rebnconv1d"](torch.cat([y, e1], 1)) + x  # (B, outputs, H, W)
        return out


class SpatialAttention(nn.Module):
    """One number per pixel, (B, 1, H, W), from the mean and the maximum over the channels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(2, 1, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv1(torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1))
        return out


class InteractiveCrossAttention(nn.Module):
    """Deep features gate shallow ones by channel; what remains of these gates the deep ones by pixel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = channels // 4
        self.feature_high = nn.Sequential(nn.Conv2d(channels, channels, 1), nn.BatchNorm2d(channels), nn.ReLU())
        self.topdown = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, hidden, 1),
            nn.BatchNorm2d(hidden),
            nn.ReLU(),
            nn.Conv2d(hidden, channels, 1),
            nn.BatchNorm2d(channels),
            nn.Sigmoid(),
        )
        self.bottomup = nn.Sequential(
            nn.Conv2d(channels, hidden, 1), nn.BatchNorm2d(hidden), nn.ReLU(), SpatialAttention(), nn.Sigmoid()
        )
        self.post = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU())

    def forward(self, high: Tensor, low: Tensor) -> Tensor:
        """Shallow and deep features together (B, 2C, H, W), from (B, C, H, W) each.

        Both pass through one `post`, the shallow ones first, so its running statistics move twice in a training step.
        """
        high = self.feature_high(high)
        gated = low * self.topdown(high)  # (B, C, H, W)
        by_pixel = self.bottomup(gated)  # (B, 1, H, W)
        return torch.cat([self.post(2 * gated), self.post(2 * high * by_pixel)], 1)


class UIUNet(Segmenter):
    """UIU-Net as its authors publish it, before their final sigmoids.

    A batch of one image cannot be trained on: `topdown` normalises 1x1 maps over the batch, and torch refuses.

    Differs: the authors' test script stretches each image's probabilities to [0, 1] before it takes a threshold. That
        is left to the rules of a comparison.
    """

    official_keys = (("model.", ""),)  # BasicIRSTD's

    def __init__(self, *, channels: int = 3, width: int = WIDTH) -> None:
        super().__init__()
        if width < 4 or width % 4:
            raise RequestError(f"UIU-Net: width is {width}, expected a multiple of 4 channels")
        w = width
        self.stage1 = RSU(channels, w // 2, w, levels=7)
        self.stage2 = RSU(w, w // 2, 2 * w, levels=6)
        self.stage3 = RSU(2 * w, w, 4 * w, levels=5)
        self.stage4 = RSU(4 * w, 2 * w, 8 * w, levels=4)
        self.stage5 = DilatedRSU(8 * w, 4 * w, 8 * w)
        self.stage6 = DilatedRSU(8 * w, 4 * w, 8 * w)
        self.stage5d = DilatedRSU(16 * w, 4 * w, 8 * w)
        self.stage4d = RSU(16 * w, 2 * w, 4 * w, levels=4)
        self.stage3d = RSU(8 * w, w, 2 * w, levels=5)
        self.stage2d = RSU(4 * w, w // 2, w, levels=6)
        self.stage1d = RSU(2 * w, w // 4, w, levels=7)
        self.side1 = nn.Conv2d(w, 1, 3, padding=1)
        self.side2 = nn.Conv2d(w, 1, 3, padding=1)
        self.side3 = nn.Conv2d(2 * w, 1, 3, padding=1)
        self.side4 = nn.Conv2d(4 * w, 1, 3, padding=1)
        self.side5 = nn.Conv2d(8 * w, 1, 3, padding=1)
        self.side6 = nn.Conv2d(8 * w, 1, 3, padding=1)
        self.outconv = nn.Conv2d(6, 1, 1)
        self.fuse5 = InteractiveCrossAttention(8 * w)
        self.fuse4 = InteractiveCrossAttention(8 * w)
        self.fuse3 = InteractiveCrossAttention(4 * w)
        self.fuse2 = InteractiveCrossAttention(2 * w)

    def forward(self, image: Tensor, start: Tensor | None = None) -> Tensor:
        return self.heads(image)[0]

    def heads(self, image: Tensor) -> list[Tensor]:
        """Logits (B, 1, H, W) of the fused output d0 and of the six sides d1 to d6 that it is made from."""
        e1 = self.stage1(image)  # (B, 64, H, W)
        e2 = self.stage2(halved(e1))  # (B, 128, H/2, W/2), here and below rounded up
        e3 = self.stage3(halved(e2))  # (B, 256, H/4, W/4)
        e4 = self.stage4(halved(e3))  # (B, 512, H/8, W/8)
        e5 = self.stage5(halved(e4))  # (B, 512, H/16, W/16)
        e6 = self.stage6(halved(e5))  # (B, 512, H/32, W/32)
        x5 = self.stage5d(self.fuse5(resized(e6, e5), e5))  # (B, 512, H/16, W/16)
        x4 = self.stage4d(self.fuse4(resized(x5, e4), e4))  # (B, 256, H/8, W/8)
        x3 = self.stage3d(self.fuse3(resized(x4, e3), e3))  # (B, 128, H/4, W/4)
        x2 = self.stage2d(self.fuse2(resized(x3, e2), e2))  # (B, 64, H/2, W/2)
        x1 = self.stage1d(torch.cat([resized(x2, e1), e1], 1))  # (B, 64, H, W)
        small = (self.side1(x1), self.side2(x2), self.side3(x3), self.side4(x4), self.side5(x5), self.side6(e6))
        sides = [resized(side, image) for side in small]  # (B, 1, H, W) each
        return [self.outconv(torch.cat(sides, 1)), *sides]

    def training_loss(self, batch: Batch, loss: Loss, *, epoch: int) -> Tensor:
        """The sum of the losses of all seven outputs, as its authors train it; BasicIRSTD takes their mean."""
        return torch.stack([loss(logits, batch.mask) for logits in self.heads(batch.image)]).sum()


@model(
    "UIU-Net",
    cite="X. Wu, D. Hong, J. Chanussot, UIU-Net: U-Net in U-Net for Infrared Small Object Detection, "
    "IEEE TIP 32 (2023) 364-376",
    source="https://github.com/danfenghong/IEEE_TIP_UIU-Net",
    licence="none stated",
    recipe="uiunet",
    channels=3,
    reported=reported("UIU-Net"),
)
def build(*, channels: int, width: int = WIDTH) -> UIUNet:
    """UIU-Net as released.

    `width` makes small ones for tests: the channels of the first stage, to which all others are in proportion.
    """
    return UIUNet(channels=channels, width=width)
