"""The encoder and decoder blocks of DFINet, made of exchangeable parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dfinet.blocks import DFFFM, DSFM, GRIDS, HPPM, MADRB, Feedback, ResidualBlock


@dataclass(frozen=True)
class Parts:
    """Builders of the parts of encoder and decoder blocks.

    Attributes:
        madrb: builds a block from its numbers of input and output channels.
        dfffm, dsfm: build a block from its number of channels.
        chpp: number of hybrid pyramid pooling blocks behind the deepest encoder block.
        grids: sides of the square grids of those blocks.
    """

    madrb: Callable[[int, int], nn.Module] = MADRB
    dfffm: Callable[[int], nn.Module] = DFFFM
    dsfm: Callable[[int], nn.Module] = DSFM
    chpp: int = 2
    grids: tuple[int, int] = GRIDS


class EncoderBlock(nn.Module):
    """MADRB, residual block, DFFFM, pooling. The skip connection leaves before the DFFFM."""

    def __init__(self, inputs: int, outputs: int, parts: Parts) -> None:
        super().__init__()
        self.r1 = parts.madrb(inputs, outputs)
        self.r2 = ResidualBlock(outputs, outputs)
        self.p1 = parts.dfffm(outputs)
        self.pool = nn.MaxPool2d(2)

    def forward(self, x: Tensor, feedback: Feedback) -> tuple[Tensor, Tensor]:
        """The pooled map (B, outputs, H/2, W/2) and the skip (B, outputs, H, W)."""
        skip = self.r2(self.r1(x))
        return self.pool(self.p1(skip, feedback)), skip


class EncoderBlockCHPP(EncoderBlock):
    """The deepest encoder block, with a cascade of HPPM (CHPP) after the pooling, named `e5`, `e6`, …."""

    def __init__(self, inputs: int, outputs: int, parts: Parts) -> None:
        super().__init__(inputs, outputs, parts)
        self.cascade = tuple(f"e{5 + place}" for place in range(parts.chpp))
        for name in self.cascade:
            self.add_module(name, HPPM(outputs, parts.grids))

    def forward(self, x: Tensor, feedback: Feedback) -> tuple[Tensor, Tensor]:
        pooled, skip = super().forward(x, feedback)
        for name in self.cascade:
            pooled = self.get_submodule(name)(pooled)
        return pooled, skip


class DecoderBlock(nn.Module):
    """Up-sampling, DSFM with the skip connection, MADRB, residual block, DFFFM."""

    def __init__(self, inputs: int, outputs: int, parts: Parts) -> None:
        super().__init__()
        self.upsample = nn.ConvTranspose2d(inputs, inputs, 4, stride=2, padding=1)
        self.r1 = parts.madrb(2 * inputs, outputs)
        self.r2 = ResidualBlock(outputs, outputs)
        self.p1 = parts.dfffm(outputs)
        self.b1 = parts.dsfm(inputs)

    def forward(self, x: Tensor, skip: Tensor, feedback: Feedback) -> Tensor:
        """A map (B, outputs, H, W) from a map (B, inputs, H/2, W/2) and the skip (B, inputs, H, W)."""
        x = self.upsample(x)  # (B, inputs, H, W)
        fused = self.b1(skip, x, feedback)  # (B, inputs, H, W)
        x = torch.cat([x, fused], 1)  # (B, 2 inputs, H, W)
        out: Tensor = self.p1(self.r2(self.r1(x)), feedback)  # (B, outputs, H, W)
        return out
