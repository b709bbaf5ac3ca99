"""RDIAN: four receptive fields side by side, under an attention made of fixed differences in eight directions.

Source: H. Sun, J. Bai, F. Yang, X. Bai, "Receptive-Field and Direction Induced Attention Network for Infrared Dim Small
Target Detection With a Large-Scale Dataset IRDST", IEEE TGRS 61, 2023; sun11999/RDIAN and its copy in
XinyiYing/BasicIRSTD, which adds a final sigmoid and nothing else.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.errors import RequestError
from bench.models.network import Segmenter, model, pad_to_multiple
from bench.models.published_numbers import reported

STRIDE = 2
REACH = 2  # pixels from a pixel to the ones it is compared with
DIRECTIONS = ((-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1))  # (row, column); k and k + 4 oppose


class Difference(nn.Module):
    """The image minus itself two pixels further in one direction; outside the image lie zeros.

    A 5x5 kernel that is stored with the weights and never learns.
    """

    def __init__(self, row: int, column: int) -> None:
        super().__init__()
        kernel = torch.zeros(1, 1, 2 * REACH + 1, 2 * REACH + 1)
        kernel[..., REACH, REACH] = 1
        kernel[..., REACH + REACH * row, REACH + REACH * column] = -1
        self.weight = nn.Parameter(kernel, requires_grad=False)

    def forward(self, image: Tensor) -> Tensor:
        return F.conv2d(image, self.weight, padding=REACH)


def conv_norm_relu(inputs: int, outputs: int, kernel: int, *, stride: int = 1) -> nn.Sequential:
    """A convolution without bias that keeps the size at stride 1, its BatchNorm and a leaky ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.LeakyReLU(0.01),
    )


class ResidualBlock(nn.Module):
    """Two convolutions through half the channels, plus the input; nothing rectifies the sum."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.layer1 = conv_norm_relu(channels, channels // 2, kernel)
        self.layer2 = conv_norm_relu(channels // 2, channels, kernel)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layer2(self.layer1(x))
        return y + x


class ChannelGate(nn.Module):
    """The map weighted by one gate per channel, all made from a single hidden unit, as released."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Flatten(), nn.Linear(channels, 1), nn.ReLU(), nn.Linear(1, channels))

    def forward(self, x: Tensor) -> Tensor:
        mean, maximum = F.adaptive_avg_pool2d(x, 1), F.adaptive_max_pool2d(x, 1)  # (B, C, 1, 1)
        gate = torch.sigmoid(self.mlp(mean) + self.mlp(maximum))  # (B, C)
        return x * gate[:, :, None, None]


class SpatialGate(nn.Module):
    """The map weighted by one gate per pixel, made from the maximum and the mean over its channels."""

    def __init__(self) -> None:
        super().__init__()
        self.spatial = nn.Sequential(
            OrderedDict(
                conv=nn.Conv2d(2, 1, 7, padding=3, bias=False),
                bn=nn.BatchNorm2d(1, momentum=0.01),
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        pooled = torch.cat([x.amax(1, keepdim=True), x.mean(1, keepdim=True)], 1)  # (B, 2, H, W)
        return x * torch.sigmoid(self.spatial(pooled))


class CBAM(nn.Module):
    """The map gated by channel, then by pixel.

    Source: S. Woo, J. Park, J.-Y. Lee, I. S. Kweon, "CBAM: Convolutional block attention module", ECCV 2018.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.ChannelGate = ChannelGate(channels)
        self.SpatialGate = SpatialGate()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.SpatialGate(self.ChannelGate(x))
        return out


class Head(nn.Module):
    """One channel of logits."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = channels // 4
        self.block = nn.Sequential(
            nn.Conv2d(channels, hidden, 3, padding=1, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU(),
            nn.Dropout(0.1),
            nn.Conv2d(hidden, 1, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.block(x)
        return logits


def initialise(module: nn.Module) -> None:
    """The authors' first weights: narrow kernels, BatchNorms near the identity with biases spread as widely as data."""
    if isinstance(module, nn.Conv2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.normal_(module.bias, 0.0, 1.0)


class RDIAN(Segmenter):
    """RDIAN, numerically equal to its authors' code, for images of one channel.

    200 of its 216,758 parameters are the eight fixed difference kernels.

    Raises:
        RequestError: for any other number of channels.
    """

    official_keys = (("model.", ""),)

    def __init__(self, *, channels: int = 1) -> None:
        super().__init__()
        if channels != 1:
            raise RequestError(
                f"RDIAN: channels is {channels}, expected 1, as its fixed kernels take; give it grey images"
            )
        self.conv1 = conv_norm_relu(1, 16, 3)
        self.conv2 = conv_norm_relu(16, 32, 3, stride=STRIDE)
        self.residual_block0 = nn.Sequential(ResidualBlock(32, 1))
        self.residual_block1 = nn.Sequential(ResidualBlock(32, 3), ResidualBlock(32, 3))
        self.residual_block2 = nn.Sequential(ResidualBlock(32, 5), ResidualBlock(32, 5))
        self.residual_block3 = nn.Sequential(ResidualBlock(32, 7), ResidualBlock(32, 7))
        self.cbam = CBAM(32)
        self.conv_cat = conv_norm_relu(4 * 32, 32, 3)
        self.conv_res = conv_norm_relu(16, 32, 1)
        self.d11, self.d12, self.d13, self.d14, self.d15, self.d16, self.d17, self.d18 = (
            Difference(row, column) for row, column in DIRECTIONS
        )
        self.head = Head(32)
        self.apply(initialise)

    def direction_attention(self, image: Tensor) -> Tensor:
        """Attention (B, 1, H, W) in (0, 1), above a half where opposite differences agree in sign, as on a spot."""
        return torch.sigmoid(
            self.d11(image) * self.d15(image)
            + self.d12(image) * self.d16(image)
            + self.d13(image) * self.d17(image)
            + self.d14(image) * self.d18(image)
        )

    def forward(self, image: Tensor, start: Tensor | None = None) -> Tensor:
        H, W = image.shape[-2:]
        image = pad_to_multiple(image, STRIDE)
        fine = self.conv1(image)  # (B, 16, H, W)
        x = self.conv2(fine + fine * self.direction_attention(image))  # (B, 32, H/2, W/2)
        blocks = (self.residual_block0, self.residual_block1, self.residual_block2, self.residual_block3)
        x = self.conv_cat(torch.cat([block(x) for block in blocks], 1))  # (B, 32, H/2, W/2)
        x = F.interpolate(self.cbam(x), image.shape[-2:], mode="bilinear", align_corners=False)  # (B, 32, H, W)
        logits: Tensor = self.head(F.relu(x + self.conv_res(fine)))  # (B, 1, H, W)
        return logits[..., :H, :W]


@model(
    "RDIAN",
    cite="H. Sun, J. Bai, F. Yang, X. Bai, Receptive-Field and Direction Induced Attention Network for Infrared Dim "
    "Small Target Detection With a Large-Scale Dataset IRDST, IEEE TGRS 61, 2023",
    source="https://github.com/sun11999/RDIAN",
    licence="none stated",
    recipe="rdian",
    channels=1,
    reported=reported("RDIAN"),
)
def build(*, channels: int) -> RDIAN:
    """RDIAN as released."""
    return RDIAN(channels=channels)
