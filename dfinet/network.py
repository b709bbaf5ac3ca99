"""DFINet as released: an encoder and a decoder that are run again on their own prediction.

Source: J. Wu et al., "DFINet: Dynamic feedback iterative network for infrared small target detection", Pattern
Recognition 169 (2026) 111958; repository uisdu/DFINet at 8203cee. An earlier revision of the repository (until
2026-01-14) is another network, whose checkpoints do not fit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from bench.network import Batch, Loss, Segmenter, model, pad_to_multiple
from dfinet.blocks import DFFFM, DSFM, HPPM, MADRB, Feedback, ResidualBlock
from dfinet.feedback import History

STRIDE = 16
LEVELS = 4


class EncoderBlock(nn.Module):
    """MADRB, residual block, DFFFM, pooling. The skip connection leaves before the DFFFM."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.r1 = MADRB(inputs, outputs)
        self.r2 = ResidualBlock(outputs)
        self.p1 = DFFFM(outputs)
        self.pool = nn.MaxPool2d(2)

    def forward(self, x: Tensor, feedback: Feedback) -> tuple[Tensor, Tensor]:
        """The pooled map (B, outputs, H/2, W/2) and the skip (B, outputs, H, W)."""
        skip = self.r2(self.r1(x))
        return self.pool(self.p1(skip, feedback)), skip


class EncoderBlockCHPP(EncoderBlock):
    """The deepest encoder block: after the pooling come two HPPM in a cascade (CHPP)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        self.e5 = HPPM(outputs)
        self.e6 = HPPM(outputs)

    def forward(self, x: Tensor, feedback: Feedback) -> tuple[Tensor, Tensor]:
        pooled, skip = super().forward(x, feedback)
        return self.e6(self.e5(pooled)), skip


class DecoderBlock(nn.Module):
    """Up-sampling, DSFM with the skip connection, MADRB, residual block, DFFFM."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.upsample = nn.ConvTranspose2d(inputs, inputs, 4, stride=2, padding=1)
        self.r1 = MADRB(2 * inputs, outputs)
        self.r2 = ResidualBlock(outputs)
        self.p1 = DFFFM(outputs)
        self.b1 = DSFM(inputs)

    def forward(self, x: Tensor, skip: Tensor, feedback: Feedback) -> Tensor:
        """(B, inputs, H/2, W/2) and the skip (B, inputs, H, W) -> (B, outputs, H, W)."""
        x = self.upsample(x)  # (B, inputs, H, W)
        fused = self.b1(skip, x, feedback)  # (B, inputs, H, W)
        x = torch.cat([x, fused], 1)  # (B, 2 inputs, H, W)
        out: Tensor = self.p1(self.r2(self.r1(x)), feedback)  # (B, outputs, H, W)
        return out


class DFINet(Segmenter):
    """DFINet as released, numerically equal to uisdu/DFINet at 8203cee.

    1,114,392 of its 9,300,337 parameters never get a gradient: the thresholded mask branch of each DFFFM and the
    dropped shortcut of each MADRB.

    Args:
        channels: of the image; 3 as published.
        width: channels of the first encoder block, an even number; 32 as published.
    """

    needs_start = True
    default_rounds = 8

    def __init__(self, *, channels: int = 3, width: int = 32) -> None:
        super().__init__()
        if width < 2 or width % 2:
            raise ValueError(f"DFINet: width is {width}, expected an even number of channels, 2 or more")
        self.e1 = EncoderBlock(channels, width)
        self.e2 = EncoderBlock(width, 2 * width)
        self.e3 = EncoderBlock(2 * width, 4 * width)
        self.e4 = EncoderBlockCHPP(4 * width, 8 * width)
        self.d1 = DecoderBlock(8 * width, 4 * width)
        self.d2 = DecoderBlock(4 * width, 2 * width)
        self.d3 = DecoderBlock(2 * width, width)
        self.d4 = DecoderBlock(width, width // 2)
        self.output = nn.Conv2d(width // 2, 1, 1)
        self.history = History()

    def forward(self, image: Tensor, start: Tensor | None = None) -> Tensor:
        """Logits (B, 1, H, W) after eight feedback rounds.

        Raises:
            ValueError: without a start mask of the image's size.
        """
        *_, logits = islice(self.rounds(image, start), self.default_rounds)
        return logits

    def rounds(self, image: Tensor, start: Tensor | None = None) -> Iterator[Tensor]:
        """Logits (B, 1, H, W) of every feedback round, without end; each round is fed the last one's probabilities.

        Raises:
            ValueError: without a start mask of the image's size.
        """
        if start is None:
            raise ValueError(
                "DFINet: start is None, expected a first feedback mask (B, 1, H, W) in [0, 1], such as Otsu's"
            )
        mask = start
        while True:
            logits = self.refine(image, mask)
            yield logits
            mask = torch.sigmoid(logits)

    def refine(self, image: Tensor, mask: Tensor) -> Tensor:
        """Logits (B, 1, H, W) of one round.

        Args:
            image: (B, C, H, W).
            mask: (B, 1, H, W) in [0, 1]; no gradient flows through it.

        Raises:
            ValueError: when the mask is not of the image's size.
        """
        B, _, H, W = image.shape
        if mask.shape != (B, 1, H, W):
            raise ValueError(f"DFINet: the feedback mask is {tuple(mask.shape)}, expected {(B, 1, H, W)}")
        x = pad_to_multiple(image, STRIDE)
        mask = pad_to_multiple(mask.detach(), STRIDE)
        height, width = x.shape[-2:]
        m1, m2, m3, m4 = (Feedback.at(mask, (height >> level, width >> level)) for level in range(LEVELS))

        x, s1 = self.e1(x, m1)  # (B, 32, H/2, W/2), (B, 32, H, W)
        x, s2 = self.e2(x, m2)  # (B, 64, H/4, W/4), (B, 64, H/2, W/2)
        x, s3 = self.e3(x, m3)  # (B, 128, H/8, W/8), (B, 128, H/4, W/4)
        x, s4 = self.e4(x, m4)  # (B, 256, H/16, W/16), (B, 256, H/8, W/8)
        x = self.d1(x, s4, m4)  # (B, 128, H/8, W/8)
        x = self.d2(x, s3, m3)  # (B, 64, H/4, W/4)
        x = self.d3(x, s2, m2)  # (B, 32, H/2, W/2)
        x = self.d4(x, s1, m1)  # (B, 16, H, W)
        logits: Tensor = self.output(x)  # (B, 1, H, W)
        return logits[..., :H, :W]

    def training_loss(self, batch: Batch, loss: Loss, *, epoch: int) -> Tensor:
        """The loss of one round from the history masks; in training mode its prediction joins the history."""
        logits = self.refine(batch.image, self.history.masks_for(batch))
        if self.training:
            self.history.collect(batch, torch.sigmoid(logits.detach()))
        return loss(logits, batch.mask)

    def epoch_ended(self, *, improved: bool) -> None:
        self.history.epoch_ended(improved=improved)

    def resume_state(self) -> dict[str, Any]:
        return self.history.state()

    def load_resume_state(self, state: Mapping[str, Any]) -> None:
        self.history.load(state)


@model(
    "DFINet",
    cite="J. Wu, C. Luo, Z. Qiu, L. Chen, R. Ni, Y. Li, F. Huang, J. Wu, DFINet: Dynamic feedback iterative network "
    "for infrared small target detection, Pattern Recognition 169 (2026) 111958",
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
