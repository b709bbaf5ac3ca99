"""DFINet's rounds, faster and equal: folded, without dead parts, and with all that no mask changes done once an image.

Every block here has the name of the block of dfinet/blocks.py or dfinet/variants.py that it is equal to in evaluation
mode, with `Fast` before it. Maps lie with channels last, so that (B, H, W, C) is how they are walked through.

What is exact but for rounding: a central difference and a BatchNorm are part of the kernel they belong to; a
convolution of two maps side by side is the sum of two convolutions; the mean of a 1x1 convolution is the convolution
of the mean; weights per channel and per pixel multiply in any order. A hard gate turns rounding into a flipped pixel
where its logit is next to zero, so that equality is a statement about float64.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from itertools import repeat

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.models.network import pad_to_multiple
from dfinet.blocks import (
    DFFFM,
    DSFM,
    GAMMA,
    HPPM,
    MADRB,
    CoordinateAttention,
    Feedback,
    ResidualBlock,
)
from dfinet.encoder_decoder import DecoderBlock, EncoderBlock
from dfinet.feedback_network import LEVELS, STRIDE, FeedbackNetwork, RoundByRound
from dfinet.fold import FoldedConv, SplitConv, fold
from dfinet.variants import (
    FeedbackDFFFM,
    MatchedDFFFM,
    NoDFFFM,
    ShortcutMADRB,
    SkipAlone,
    SoftDFFFM,
)

Prepared = tuple[Tensor, ...]
"""What a block calculates of its map before it is shown a mask."""


def row_and_column_means(x: Tensor) -> tuple[Tensor, Tensor]:
    """Means (B, H, C) over columns and (B, W, C) over rows of a map (B, C, H, W), as matrix products."""
    B, C, H, W = x.shape
    pixels = x.permute(0, 2, 3, 1)  # (B, H, W, C), contiguous
    rows = torch.matmul(x.new_full((1, W), 1 / W), pixels.reshape(B * H, W, C))
    columns = torch.matmul(x.new_full((1, H), 1 / H), pixels.reshape(B, H, W * C))
    return rows.view(B, H, C), columns.view(B, W, C)


class FastCoordinateAttention(nn.Module):
    """The gates that a map is multiplied with."""

    def __init__(self, block: CoordinateAttention) -> None:
        super().__init__()
        self.conv1 = fold(block.conv1, block.bn1)
        self.conv2, self.conv3 = fold(block.conv2), fold(block.conv3)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The gates (B, C, H, 1) of rows and (B, C, 1, W) of columns."""
        rows, columns = row_and_column_means(x)
        row_gate = torch.sigmoid(self.conv2.mix(F.hardswish(self.conv1.mix(rows))))  # (B, H, C)
        column_gate = torch.sigmoid(self.conv3.mix(F.hardswish(self.conv1.mix(columns))))  # (B, W, C)
        return row_gate[:, :, None].permute(0, 3, 1, 2), column_gate[:, None].permute(0, 3, 1, 2)


class FastMADRB(nn.Module):
    """MADRB of a map, or of two maps side by side; the released one, or with its shortcut."""

    def __init__(self, block: MADRB, maps: int) -> None:
        super().__init__()
        self.conv1 = SplitConv(fold(block.conv1, block.bn1), maps)
        self.conv2 = fold(block.conv2, block.bn2)
        self.se = FastCoordinateAttention(block.se)
        self.conv3 = SplitConv(fold(block.conv3, block.bn3), maps) if isinstance(block, ShortcutMADRB) else None

    def forward(self, *maps: Tensor) -> Tensor:
        """Maps (B, inputs, H, W), together as wide as the block's input, -> (B, outputs, H, W)."""
        x = self.conv2(self.conv1(*maps).relu_())
        row_gate, column_gate = self.se(x)
        gated = torch.addcmul(x, x * column_gate, row_gate)
        if self.conv3 is not None:
            gated += self.conv3(*maps)
        return gated.relu_()


class FastResidualBlock(nn.Module):
    """FANet's residual block of a map, or of two maps side by side."""

    def __init__(self, block: ResidualBlock, maps: int) -> None:
        super().__init__()
        self.conv1 = SplitConv(fold(block.conv1, block.bn1), maps)
        self.conv2 = fold(block.conv2, block.bn2)
        self.conv3 = SplitConv(fold(block.conv3, block.bn3), maps)
        self.gate = deepcopy(block.se.fc)

    def forward(self, *maps: Tensor) -> Tensor:
        """Maps (B, inputs, H, W), together as wide as the block's input, -> (B, outputs, H, W)."""
        gate = self.gate(self.conv3.mix(*(x.mean((2, 3)) for x in maps)))[:, :, None, None]  # (B, outputs, 1, 1)
        x: Tensor = self.conv2(self.conv1(*maps).relu_())
        return x.addcmul_(self.conv3(*maps), gate).relu_()


class FastFusion(nn.Module):
    """What stands in DFFFM's place, in two steps; here nothing."""

    def prepare(self, x: Tensor) -> Prepared:
        """What no feedback changes, of a map (B, C, H, W)."""
        return ()

    def finish(self, x: Tensor, prepared: Prepared, feedback: Feedback) -> Tensor:
        """(B, C, H, W), of the map and what was prepared of it."""
        return x


class FastDFFFM(FastFusion):
    """DFFFM with a guess of its own: as released, learnt straight through, or soft."""

    def __init__(self, block: DFFFM) -> None:
        super().__init__()
        self.guess, self.last = fold(block.fmask[0], block.fmask[1]), fold(block.fmask[3])
        self.marked, self.whole = fold(block.conv3[0], block.conv3[1]).split(2)
        self.is_soft = isinstance(block, SoftDFFFM)

    def prepare(self, x: Tensor) -> Prepared:
        """The guess's logits (B, 1, H, W), and what the map as a whole gives (B, C, H, W)."""
        return self.last(self.guess(x).relu_()), self.whole(x)

    def finish(self, x: Tensor, prepared: Prepared, feedback: Feedback) -> Tensor:
        own, whole = prepared
        fused: Tensor = self.marked(x * self.mask(own, feedback))
        return fused.add_(whole).relu_()

    def mask(self, own: Tensor, feedback: Feedback) -> Tensor:
        """(B, 1, H, W) in [0, 1], of the guess's logits: above 0 is above a probability of 0.5."""
        if self.is_soft:
            return torch.sigmoid(own).masked_fill_(feedback.hard, 1)
        return ((own > 0) | feedback.hard).to(own.dtype)


class FastFeedbackDFFFM(FastFusion):
    """DFFFM without a guess of its own."""

    def __init__(self, block: FeedbackDFFFM) -> None:
        super().__init__()
        self.marked, self.whole = fold(block.conv3[0], block.conv3[1]).split(2)

    def prepare(self, x: Tensor) -> Prepared:
        return (self.whole(x),)

    def finish(self, x: Tensor, prepared: Prepared, feedback: Feedback) -> Tensor:
        fused: Tensor = self.marked(x * feedback.hard.to(x.dtype))
        return fused.add_(prepared[0]).relu_()


class FastMatchedDFFFM(FastFusion):
    """DFFFM's convolution of the map twice: of the map once, with both kernels' sum."""

    def __init__(self, block: MatchedDFFFM) -> None:
        super().__init__()
        both = fold(block.conv3[0], block.conv3[1])
        first, second = both.weight.chunk(2, dim=1)
        self.conv3 = FoldedConv(first + second, both.bias)

    def prepare(self, x: Tensor) -> Prepared:
        return (self.conv3(x).relu_(),)

    def finish(self, x: Tensor, prepared: Prepared, feedback: Feedback) -> Tensor:
        return prepared[0]


class FastDSFM(nn.Module):
    """DSFM in closed form.

    Both maps have the same weight per pixel, and a softmax over two is a logistic: with that weight a and
    A = sigmoid(z_low - z_high) per channel, a path is a (A low + (1 - A) high).
    """

    share: Tensor

    def __init__(self, block: DSFM) -> None:
        super().__init__()
        self.squeeze, self.excite = fold(block.mlp[1]), fold(block.mlp[3])
        self.register_buffer("share", block.alpha.detach().softmax(0))

    def forward(self, low: Tensor, high: Tensor, feedback: Feedback) -> Tensor:
        B, C, H, W = low.shape
        paths = self.weights(feedback.soft).flatten(2)  # (B, 2, HW)
        both = walked(low + high)  # (B, HW, C)
        means = torch.bmm(paths, both) / (H * W)  # (B, 2, C)
        pairs = self.excite.mix(self.squeeze.mix(means).relu_())  # (B, 2, 2C)
        chosen = torch.sigmoid(pairs[..., :C] - pairs[..., C:])  # (B, 2, C)
        shared = paths * self.share[None, :, None]
        of_low = torch.bmm(shared.transpose(1, 2), chosen)  # (B, HW, C)
        high, low = walked(high), walked(low)
        fused = torch.addcmul(high * shared.sum(1)[..., None], of_low, low - high)  # (B, HW, C)
        return fused.view(B, H, W, C).permute(0, 3, 1, 2)

    def weights(self, mask: Tensor) -> Tensor:
        """Weights (B, 2, H, W) of the two paths at every pixel of a mask (B, 1, H, W)."""
        unsure = 1 - 2 * (mask - 0.5).abs()
        return torch.cat([1 + mask, 1 + GAMMA * unsure * (mask - 0.5)], 1)


def walked(x: Tensor) -> Tensor:
    """A map (B, C, H, W) with channels last, as pixels (B, HW, C)."""
    return x.permute(0, 2, 3, 1).flatten(1, 2)


class FastHPPM(nn.Module):
    """Hybrid pyramid pooling; strips are spread by broadcasting."""

    def __init__(self, block: HPPM) -> None:
        super().__init__()
        self.grids = block.grids
        parts = {name: part for name, part in block.named_children() if isinstance(part, nn.Sequential)}
        self.convs = nn.ModuleDict({name: fold(part[0], part[1]) for name, part in parts.items()})

    def forward(self, x: Tensor) -> Tensor:
        size, convs = x.shape[-2:], self.convs
        a = convs["conv1_1"](x).relu_()
        spread = [
            F.interpolate(convs[name](F.adaptive_avg_pool2d(a, side)), size, mode="bilinear", align_corners=True)
            for name, side in zip(("conv2_1", "conv2_2"), self.grids, strict=True)
        ]
        grids = convs["conv2_5"]((convs["conv2_0"](a) + spread[0] + spread[1]).relu_()).relu_()
        across, down = row_and_column_means(convs["conv1_2"](x).relu_())
        rows, columns = across[:, :, None].permute(0, 3, 1, 2), down[:, None].permute(0, 3, 1, 2)
        strips = convs["conv2_6"]((convs["conv2_4"](rows) + convs["conv2_3"](columns)).relu_()).relu_()
        merged: Tensor = convs["conv3"](torch.cat([grids, strips], 1))
        return merged.add_(x).relu_()


class FastEncoderBlock(nn.Module):
    """An encoder block in two steps: up to where the feedback mask comes in, and from there."""

    def __init__(self, block: EncoderBlock) -> None:
        super().__init__()
        self.r1, self.r2, self.p1, self.pool = faster(block.r1), faster(block.r2), fusion(block.p1), block.pool
        self.cascade = nn.Sequential(*(FastHPPM(part) for part in block.children() if isinstance(part, HPPM)))

    def prepare(self, x: Tensor) -> tuple[Tensor, Prepared]:
        """The skip (B, outputs, H, W), and what DFFFM can prepare of it."""
        skip = self.r2(self.r1(x))
        return skip, self.p1.prepare(skip)

    def finish(self, skip: Tensor, prepared: Prepared, feedback: Feedback) -> Tensor:
        """The pooled map (B, outputs, H/2, W/2)."""
        pooled: Tensor = self.cascade(self.pool(self.p1.finish(skip, prepared, feedback)))
        return pooled

    def forward(self, x: Tensor, feedback: Feedback) -> tuple[Tensor, Tensor]:
        skip, prepared = self.prepare(x)
        return self.finish(skip, prepared, feedback), skip


class FastDecoderBlock(nn.Module):
    """A decoder block whose two maps are never laid side by side."""

    def __init__(self, block: DecoderBlock) -> None:
        super().__init__()
        self.upsample, self.b1 = deepcopy(block.upsample), faster(block.b1)
        self.r1, self.r2, self.p1 = faster(block.r1, maps=2), faster(block.r2), fusion(block.p1)

    def forward(self, x: Tensor, skip: Tensor, feedback: Feedback) -> Tensor:
        x = self.upsample(x)
        x = self.r2(self.r1(x, self.b1(skip, x, feedback)))
        finished: Tensor = self.p1.finish(x, self.p1.prepare(x), feedback)
        return finished


def faster(block: nn.Module, *, maps: int = 1) -> nn.Module:
    """The fast block that is equal to a block; the block itself where there is nothing to be gained.

    Args:
        maps: how many maps of equal width, side by side, the block is given.
    """
    if isinstance(block, MADRB):
        return FastMADRB(block, maps)
    if isinstance(block, ResidualBlock):
        return FastResidualBlock(block, maps)
    if isinstance(block, DSFM):
        return FastDSFM(block)
    assert isinstance(block, SkipAlone)
    return block


def fusion(block: nn.Module) -> FastFusion:
    """The fast block that is equal to what stands in DFFFM's place."""
    if isinstance(block, DFFFM):
        return FastDFFFM(block)
    if isinstance(block, FeedbackDFFFM):
        return FastFeedbackDFFFM(block)
    if isinstance(block, MatchedDFFFM):
        return FastMatchedDFFFM(block)
    assert isinstance(block, NoDFFFM)
    return FastFusion()


@dataclass(frozen=True, eq=False)
class Memory:
    """What is known of images before any mask.

    Attributes:
        size: (H, W) before padding.
        skip: (B, 32, H, W) of the first encoder block, padded.
        prepared: what its DFFFM has prepared.
    """

    size: tuple[int, int]
    skip: Tensor
    prepared: Prepared


class FastDFINet(RoundByRound):
    """A DFINet that only predicts, equal to `network` in evaluation mode with the weights that it has now."""

    def __init__(self, network: FeedbackNetwork) -> None:
        super().__init__()
        self.default_rounds, self.seen_at = network.default_rounds, network.seen_at
        encoder, decoder = (
            [network.get_submodule(f"{side}{level + 1}") for level in range(LEVELS)] for side in ("e", "d")
        )
        self.e1, self.e2, self.e3, self.e4 = (FastEncoderBlock(b) for b in encoder if isinstance(b, EncoderBlock))
        self.d1, self.d2, self.d3, self.d4 = (FastDecoderBlock(b) for b in decoder if isinstance(b, DecoderBlock))
        self.output = fold(network.output)
        self.eval()

    @torch.no_grad()
    def rounds(self, image: Tensor, start: Tensor | None = None) -> Iterator[Tensor]:
        """Logits (B, 1, H, W) of every round, without end; none is calculated after a mask that repeats bit for bit.

        Raises:
            RequestError: without a start mask.
        """
        mask, memory = self.asked_for(start), self.remember(image)
        while True:
            logits = self.again(memory, mask)
            yield logits
            fed = torch.sigmoid(logits)
            if torch.equal(fed, mask):
                yield from repeat(logits)
            mask = fed

    def remember(self, image: Tensor) -> Memory:
        """What no mask changes, of images (B, C, H, W)."""
        padded = pad_to_multiple(image, STRIDE).contiguous(memory_format=torch.channels_last)
        height, width = image.shape[-2:]
        return Memory((height, width), *self.e1.prepare(padded))

    def again(self, memory: Memory, mask: Tensor) -> Tensor:
        """Logits (B, 1, H, W) of one round from a mask (B, 1, H, W)."""
        mask = pad_to_multiple(mask, STRIDE)
        height, width = mask.shape[-2:]
        m1, m2, m3, m4 = (self.seen_at(mask, (height >> level, width >> level)) for level in range(LEVELS))
        s1 = memory.skip
        x = self.e1.finish(s1, memory.prepared, m1)
        x, s2 = self.e2(x, m2)
        x, s3 = self.e3(x, m3)
        x, s4 = self.e4(x, m4)
        x = self.d4(self.d3(self.d2(self.d1(x, s4, m4), s3, m3), s2, m2), s1, m1)
        logits: Tensor = self.output(x)
        return logits[..., : memory.size[0], : memory.size[1]]
