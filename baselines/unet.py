"""U-Net with batch normalisation and nearest-neighbour up-sampling, the plain encoder-decoder to compare with.

Source: O. Ronneberger, P. Fischer, T. Brox, "U-Net: Convolutional Networks for Biomedical Image Segmentation", MICCAI
2015, for the idea; the form is that of XinyiYing/BasicIRSTD, class U_Net.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.errors import RequestError
from bench.models.network import Segmenter, model, pad_to_multiple
from bench.models.published_numbers import reported

STRIDE = 16


def conv_norm_relu(inputs: int, outputs: int) -> tuple[nn.Conv2d, nn.BatchNorm2d, nn.ReLU]:
    """A 3x3 convolution with bias, its BatchNorm and a ReLU."""
    return nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU()


class DoubleConv(nn.Module):
    """Two 3x3 convolutions, each normalised and rectified."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(*conv_norm_relu(inputs, outputs), *conv_norm_relu(outputs, outputs))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(x)
        return out


class UpConv(nn.Module):
    """The map at twice its size, every pixel repeated, then a 3x3 convolution."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.up = nn.Sequential(nn.Upsample(scale_factor=2), *conv_norm_relu(inputs, outputs))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.up(x)
        return out


class UNet(Segmenter):
    """U-Net, numerically equal to BasicIRSTD's at width 64 before its final sigmoid.

    Args:
        channels: of the image; 1 as published.
        width: channels of the first block; 64 as published.
    """

    official_keys = (("model.", ""),)

    def __init__(self, *, channels: int = 1, width: int = 64) -> None:
        super().__init__()
        if width < 1:
            raise RequestError(f"U-Net: width is {width}, expected 1 or more channels")
        self.Conv1 = DoubleConv(channels, width)
        self.Conv2 = DoubleConv(width, 2 * width)
        self.Conv3 = DoubleConv(2 * width, 4 * width)
        self.Conv4 = DoubleConv(4 * width, 8 * width)
        self.Conv5 = DoubleConv(8 * width, 16 * width)
        self.Up5 = UpConv(16 * width, 8 * width)
        self.Up_conv5 = DoubleConv(16 * width, 8 * width)
        self.Up4 = UpConv(8 * width, 4 * width)
        self.Up_conv4 = DoubleConv(8 * width, 4 * width)
        self.Up3 = UpConv(4 * width, 2 * width)
        self.Up_conv3 = DoubleConv(4 * width, 2 * width)
        self.Up2 = UpConv(2 * width, width)
        self.Up_conv2 = DoubleConv(2 * width, width)
        self.Conv = nn.Conv2d(width, 1, 1)

    def forward(self, image: Tensor, start: Tensor | None = None) -> Tensor:
        H, W = image.shape[-2:]
        e1 = self.Conv1(pad_to_multiple(image, STRIDE))  # (B, 64, H, W)
        e2 = self.Conv2(F.max_pool2d(e1, 2))  # (B, 128, H/2, W/2)
        e3 = self.Conv3(F.max_pool2d(e2, 2))  # (B, 256, H/4, W/4)
        e4 = self.Conv4(F.max_pool2d(e3, 2))  # (B, 512, H/8, W/8)
        x = self.Conv5(F.max_pool2d(e4, 2))  # (B, 1024, H/16, W/16)
        x = self.Up_conv5(torch.cat([e4, self.Up5(x)], 1))  # (B, 512, H/8, W/8)
        x = self.Up_conv4(torch.cat([e3, self.Up4(x)], 1))  # (B, 256, H/4, W/4)
        x = self.Up_conv3(torch.cat([e2, self.Up3(x)], 1))  # (B, 128, H/2, W/2)
        x = self.Up_conv2(torch.cat([e1, self.Up2(x)], 1))  # (B, 64, H, W)
        logits: Tensor = self.Conv(x)  # (B, 1, H, W)
        return logits[..., :H, :W]


@model(
    "U-Net",
    cite="O. Ronneberger, P. Fischer, T. Brox, U-Net: Convolutional Networks for Biomedical Image Segmentation, "
    "MICCAI 2015",
    source="https://github.com/XinyiYing/BasicIRSTD at 95650c3, class U_Net",
    licence="none stated",
    recipe="basicirstd",
    channels=1,
    config={"width": 64},
    reported=reported("U-Net"),
)
def build(*, channels: int, width: int) -> UNet:
    """Build U-Net; width 64 is BasicIRSTD's."""
    return UNet(channels=channels, width=width)
