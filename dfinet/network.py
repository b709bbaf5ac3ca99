"""DFINet as released: an encoder and a decoder that are run again on their own prediction.

Source: J. Wu et al., "DFINet: Dynamic feedback iterative network for infrared small target detection", Pattern
Recognition 169 (2026) 111958; repository uisdu/DFINet at 8203cee. An earlier revision of the repository (until
2026-01-14) is another network, whose checkpoints do not fit: dfinet/released_2026_01.py.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from bench.network import model
from dfinet.blocks import DFFFM, DSFM, GRIDS, HPPM, MADRB, Feedback, ResidualBlock
from dfinet.feedback_network import FeedbackNetwork

CITE = (
    "J. Wu, C. Luo, Z. Qiu, L. Chen, R. Ni, Y. Li, F. Huang, J. Wu, DFINet: Dynamic feedback iterative network "
    "for infrared small target detection, Pattern Recognition 169 (2026) 111958"
)


class EncoderBlock(nn.Module):
    """MADRB, residual block, DFFFM, pooling. The skip connection leaves before the DFFFM."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.r1 = MADRB(inputs, outputs)
        self.r2 = ResidualBlock(outputs, outputs)
        self.p1 = DFFFM(outputs)
        self.pool = nn.MaxPool2d(2)

    def forward(self, x: Tensor, feedback: Feedback) -> tuple[Tensor, Tensor]:
        """The pooled map (B, outputs, H/2, W/2) and the skip (B, outputs, H, W)."""
        skip = self.r2(self.r1(x))
        return self.pool(self.p1(skip, feedback)), skip


class EncoderBlockCHPP(EncoderBlock):
    """The deepest encoder block: after the pooling come two HPPM in a cascade (CHPP)."""

    def __init__(self, inputs: int, outputs: int, grids: tuple[int, int] = GRIDS) -> None:
        super().__init__(inputs, outputs)
        self.e5 = HPPM(outputs, grids)
        self.e6 = HPPM(outputs, grids)

    def forward(self, x: Tensor, feedback: Feedback) -> tuple[Tensor, Tensor]:
        pooled, skip = super().forward(x, feedback)
        return self.e6(self.e5(pooled)), skip


class DecoderBlock(nn.Module):
    """Up-sampling, DSFM with the skip connection, MADRB, residual block, DFFFM."""

    def __init__(self, inputs: int, outputs: int, dsfm: Callable[[int], nn.Module] = DSFM) -> None:
        super().__init__()
        self.upsample = nn.ConvTranspose2d(inputs, inputs, 4, stride=2, padding=1)
        self.r1 = MADRB(2 * inputs, outputs)
        self.r2 = ResidualBlock(outputs, outputs)
        self.p1 = DFFFM(outputs)
        self.b1 = dsfm(inputs)

    def forward(self, x: Tensor, skip: Tensor, feedback: Feedback) -> Tensor:
        """(B, inputs, H/2, W/2) and the skip (B, inputs, H, W) -> (B, outputs, H, W)."""
        x = self.upsample(x)  # (B, inputs, H, W)
        fused = self.b1(skip, x, feedback)  # (B, inputs, H, W)
        x = torch.cat([x, fused], 1)  # (B, 2 inputs, H, W)
        out: Tensor = self.p1(self.r2(self.r1(x)), feedback)  # (B, outputs, H, W)
        return out


class DFINet(FeedbackNetwork):
    """DFINet as released, numerically equal to uisdu/DFINet at 8203cee.

    1,114,392 of its 9,300,337 parameters never get a gradient: the thresholded mask branch of each DFFFM and the
    dropped shortcut of each MADRB.

    Args:
        channels: of the image; 3 as published.
        width: channels of the first encoder block, an even number; 32 as published.
    """

    default_rounds = 8

    def __init__(self, *, channels: int = 3, width: int = 32) -> None:
        super().__init__(
            channels=channels, width=width, encoder=EncoderBlock, deepest=EncoderBlockCHPP, decoder=DecoderBlock
        )


@model(
    "DFINet",
    cite=CITE,
    source="https://github.com/uisdu/DFINet at 8203cee (2026-03-11)",
    licence="none stated",
    recipe="dfinet",
    channels=3,
    rounds=DFINet.default_rounds,
    config={"width": 32},
)
def build(*, channels: int, width: int) -> DFINet:
    """DFINet as released at width 32; a slimmer one below."""
    return DFINet(channels=channels, width=width)
