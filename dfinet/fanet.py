"""FANet: the feedback attention network for biomedical images from which DFINet was developed.

Source: N. K. Tomar et al., "FANet: A feedback attention network for improved biomedical image segmentation", IEEE TNNLS
2022; repository nikhilroxtomar/FANet at 9d2294b.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench.models.network import model
from dfinet.blocks import Feedback, HardAttention, ResidualBlock, normalised
from dfinet.feedback_network import BinaryFeedbackNetwork


class MixPool(HardAttention):
    """A map half of whose channels come from the input under the hard mask, the other half from the whole input."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        half = channels // 2
        self.conv1 = normalised(nn.Conv2d(channels, half, 3, padding=1), nn.ReLU())
        self.conv2 = normalised(nn.Conv2d(channels, half, 3, padding=1), nn.ReLU())

    def forward(self, x: Tensor, feedback: Feedback) -> Tensor:
        marked = self.conv1(x * self.mask(x, feedback))  # (B, C/2, H, W)
        return torch.cat([marked, self.conv2(x)], 1)  # (B, C, H, W)


class FANetEncoderBlock(nn.Module):
    """Two residual blocks, MixPool, pooling. The skip connection leaves before the MixPool."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.r1 = ResidualBlock(inputs, outputs)
        self.r2 = ResidualBlock(outputs, outputs)
        self.p1 = MixPool(outputs)
        self.pool = nn.MaxPool2d(2)

    def forward(self, x: Tensor, feedback: Feedback) -> tuple[Tensor, Tensor]:
        """The pooled map (B, outputs, H/2, W/2) and the skip (B, outputs, H, W)."""
        skip = self.r2(self.r1(x))
        return self.pool(self.p1(skip, feedback)), skip


class FANetDecoderBlock(nn.Module):
    """Up-sampling, the skip connection, two residual blocks, MixPool."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.upsample = nn.ConvTranspose2d(inputs, inputs, 4, stride=2, padding=1)
        self.r1 = ResidualBlock(2 * inputs, outputs)
        self.r2 = ResidualBlock(outputs, outputs)
        self.p1 = MixPool(outputs)

    def forward(self, x: Tensor, skip: Tensor, feedback: Feedback) -> Tensor:
        """A map (B, outputs, H, W) from a map (B, inputs, H/2, W/2) and the skip (B, inputs, H, W)."""
        x = torch.cat([self.upsample(x), skip], 1)  # (B, 2 inputs, H, W)
        out: Tensor = self.p1(self.r2(self.r1(x)), feedback)  # (B, outputs, H, W)
        return out


class FANet(BinaryFeedbackNetwork):
    """FANet as released, numerically equal to nikhilroxtomar/FANet at 9d2294b.

    982,088 of its 7,720,266 parameters never get a gradient: the thresholded mask branch of each MixPool.

    Args:
        channels: of the image; 3 as published.
        width: channels of the first encoder block, a multiple of 4; 32 as published.
    """

    default_rounds = 10
    width_step = 4  # MixPool halves the half that the last decoder block has

    def __init__(self, *, channels: int = 3, width: int = 32) -> None:
        super().__init__(
            channels=channels,
            width=width,
            encoder=FANetEncoderBlock,
            deepest=FANetEncoderBlock,
            decoder=FANetDecoderBlock,
        )


@model(
    "FANet",
    cite="N. K. Tomar, D. Jha, M. A. Riegler, H. D. Johansen, D. Johansen, J. Rittscher, P. Halvorsen, S. Ali, FANet: "
    "A Feedback Attention Network for Improved Biomedical Image Segmentation, IEEE Transactions on Neural Networks "
    "and Learning Systems, 2022",
    source="https://github.com/nikhilroxtomar/FANet at 9d2294b",
    licence="none stated",
    recipe="fanet",
    channels=3,
    rounds=FANet.default_rounds,
    config={"width": 32},
)
def build_fanet(*, channels: int, width: int) -> FANet:
    """Build FANet; width 32 is the released network."""
    return FANet(channels=channels, width=width)
