"""A faster form of DFINet for prediction: folded, without dead parts, with mask-independent features computed once.

Each block is named after the block of dfinet/blocks.py or dfinet/variants.py that it equals in evaluation mode, with
`Fast` before it. Tensors are stored channels last, so that reading one as pixels (B, H, W, C) copies nothing.

Exact but for rounding are these steps: a central difference and a BatchNorm are part of the kernel they belong to; a
convolution of two maps side by side is the sum of two convolutions; the mean of a 1x1 convolution is the convolution
of the mean; weights per channel and per pixel multiply in any order. A hard gate turns rounding into a flipped pixel
where its logit is next to zero, so that equality is a statement about float64.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from itertools import repeat
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.errors import RequestError
from bench.models.network import pad_to_multiple
from dfinet.blocks import (
    DFFFM,
    DSFM,
    HPPM,
    MADRB,
    CoordinateAttention,
    Feedback,
    ResidualBlock,
    fuse_paths,
    path_weights,
)
from dfinet.encoder_decoder import DecoderBlock, EncoderBlock
from dfinet.feedback_network import RESOLUTIONS, STRIDE, FeedbackNetwork, RoundByRound
from dfinet.fold import FoldedConv, SplitConv, fold
from dfinet.variants import (
    FeedbackDFFFM,
    MatchedDFFFM,
    NoDFFFM,
    ShortcutMADRB,
    SkipAlone,
    SoftDFFFM,
    StraightThroughDFFFM,
    Sum,
)

Prepared = tuple[Tensor, ...]
"""The part of a block's result that does not depend on the mask."""


def row_and_column_means(x: Tensor) -> tuple[Tensor, Tensor]:
    """Means (B, H, C) over columns and (B, W, C) over rows of a map (B, C, H, W), as matrix products."""
    B, C, H, W = x.shape
    pixels = x.permute(0, 2, 3, 1)  # (B, H, W, C), contiguous
    rows = torch.matmul(x.new_full((1, W), 1 / W), pixels.reshape(B * H, W, C))
    columns = torch.matmul(x.new_full((1, H), 1 / H), pixels.reshape(B, H, W * C))
    return rows.view(B, H, C), columns.view(B, W, C)


class FastCoordinateAttention(nn.Module):
    """Coordinate attention's gates, not yet applied to the map."""

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
    """MADRB of one map, or of two concatenated maps; as released, or with its shortcut."""

    def __init__(self, block: MADRB, *, maps: int = 1) -> None:
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
    """FANet's residual block of one map, or of two concatenated maps."""

    def __init__(self, block: ResidualBlock, *, maps: int = 1) -> None:
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


class FastNoDFFFM(nn.Module):
    """The identity in DFFFM's place, in two steps: before the mask is known, and with it."""

    def __init__(self, block: NoDFFFM | None = None) -> None:
        super().__init__()

    def prepare(self, x: Tensor) -> Prepared:
        """The mask-independent part of the result, from a map (B, C, H, W)."""
        return ()

    def finish(self, x: Tensor, prepared: Prepared, feedback: Feedback) -> Tensor:
        """The result (B, C, H, W), from the map, its prepared part and the mask."""
        return x


class FastDFFFM(FastNoDFFFM):
    """DFFFM with a mask of its own: as released, learnt straight through, or soft."""

    def __init__(self, block: DFFFM) -> None:
        super().__init__()
        self.hidden, self.last = fold(block.fmask[0], block.fmask[1]), fold(block.fmask[3])
        self.marked, self.whole = fold(block.conv3[0], block.conv3[1]).split(2)
        self.is_soft = isinstance(block, SoftDFFFM)

    def prepare(self, x: Tensor) -> Prepared:
        """The logits (B, 1, H, W) of the block's own mask, and the unmasked map's share (B, C, H, W) of the result."""
        return self.last(self.hidden(x).relu_()), self.whole(x)

    def finish(self, x: Tensor, prepared: Prepared, feedback: Feedback) -> Tensor:
        own, whole = prepared
        fused: Tensor = self.marked(x * self.mask(own, feedback))
        return fused.add_(whole).relu_()

    def mask(self, own: Tensor, feedback: Feedback) -> Tensor:
        """The mask (B, 1, H, W) in [0, 1] from the own mask's logits: a logit above 0 is a probability above 0.5."""
        if self.is_soft:
            return torch.sigmoid(own).masked_fill_(feedback.hard, 1)
        return ((own > 0) | feedback.hard).to(own.dtype)


class FastFeedbackDFFFM(FastNoDFFFM):
    """DFFFM without a mask of its own."""

    def __init__(self, block: FeedbackDFFFM) -> None:
        super().__init__()
        self.marked, self.whole = fold(block.conv3[0], block.conv3[1]).split(2)

    def prepare(self, x: Tensor) -> Prepared:
        return (self.whole(x),)

    def finish(self, x: Tensor, prepared: Prepared, feedback: Feedback) -> Tensor:
        fused: Tensor = self.marked(x * feedback.hard.to(x.dtype))
        return fused.add_(prepared[0]).relu_()


class FastMatchedDFFFM(FastNoDFFFM):
    """DFFFM's convolution of the map concatenated with itself, as one convolution with the sum of both kernels."""

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
    """DSFM in closed form."""

    share: Tensor

    def __init__(self, block: DSFM) -> None:
        super().__init__()
        self.squeeze, self.excite = fold(block.mlp[1]), fold(block.mlp[3])
        self.register_buffer("share", block.alpha.detach().softmax(0))

    def forward(self, low: Tensor, high: Tensor, feedback: Feedback) -> Tensor:
        return fuse_paths(self.logits, low, high, path_weights(feedback.soft), self.share)

    def logits(self, means: Tensor) -> Tensor:
        """Logits (B, 2, 2C) of both maps' channels from their paths' means (B, 2, C)."""
        return self.excite.mix(self.squeeze.mix(means).relu_())


class FastHPPM(nn.Module):
    """Hybrid pyramid pooling; strips are added by broadcasting."""

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
    """An encoder block in two steps: before the feedback mask is known, and with it."""

    def __init__(self, block: EncoderBlock) -> None:
        super().__init__()
        self.r1, self.r2 = fast_block(block.r1), fast_block(block.r2)
        self.p1, self.pool = fast_block(block.p1), block.pool
        self.cascade = nn.Sequential(*(FastHPPM(part) for part in block.children() if isinstance(part, HPPM)))

    def prepare(self, x: Tensor) -> tuple[Tensor, Prepared]:
        """The skip (B, outputs, H, W), and the mask-independent part of its DFFFM."""
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
    """A decoder block that never concatenates its two maps."""

    def __init__(self, block: DecoderBlock) -> None:
        super().__init__()
        self.upsample, self.b1 = deepcopy(block.upsample), fast_block(block.b1)
        self.r1, self.r2, self.p1 = fast_block(block.r1, maps=2), fast_block(block.r2), fast_block(block.p1)

    def forward(self, x: Tensor, skip: Tensor, feedback: Feedback) -> Tensor:
        x = self.upsample(x)
        x = self.r2(self.r1(x, self.b1(skip, x, feedback)))
        finished: Tensor = self.p1.finish(x, self.p1.prepare(x), feedback)
        return finished


def unchanged(block: nn.Module) -> nn.Module:
    """The block itself, where no faster form exists."""
    return block


FAST_BLOCKS: Mapping[type[nn.Module], Callable[..., nn.Module]] = {
    MADRB: FastMADRB,
    ShortcutMADRB: FastMADRB,
    ResidualBlock: FastResidualBlock,
    DFFFM: FastDFFFM,
    StraightThroughDFFFM: FastDFFFM,
    SoftDFFFM: FastDFFFM,
    FeedbackDFFFM: FastFeedbackDFFFM,
    MatchedDFFFM: FastMatchedDFFFM,
    NoDFFFM: FastNoDFFFM,
    DSFM: FastDSFM,
    SkipAlone: unchanged,
    Sum: unchanged,
}
"""The fast form of each block, by its exact type: a subclass may compute something else."""


def fast_block(block: nn.Module, **settings: int) -> Any:
    """The fast form of a block.

    Args:
        settings: of the fast form: `maps`, the number of equally wide maps that a block is given instead of their
            concatenation.

    Raises:
        RequestError: when the block has no fast form.
    """
    if type(block) not in FAST_BLOCKS:
        raise RequestError(
            f"FastDFINet: {type(block).__name__} has no fast form; add one to dfinet/fast_network.py, or let "
            "predictor() return the network itself"
        )
    return FAST_BLOCKS[type(block)](block, **settings)


AnyBlock = TypeVar("AnyBlock", bound=nn.Module)


def part_of(network: nn.Module, name: str, kind: type[AnyBlock]) -> AnyBlock:
    """The sub-module of that name.

    Raises:
        RequestError: when it is of another kind.
    """
    part = network.get_submodule(name)
    if not isinstance(part, kind):
        raise RequestError(
            f"FastDFINet: {name} of {type(network).__name__} is {type(part).__name__}, expected "
            f"{kind.__module__}.{kind.__name__}; let predictor() return the network itself"
        )
    return part


@dataclass(frozen=True, eq=False)
class PreparedImages:
    """The mask-independent features of a batch of images.

    Attributes:
        size: (H, W) before padding.
        skip: (B, 32, H, W) of the first encoder block, padded.
        prepared: the mask-independent part of its DFFFM.
    """

    size: tuple[int, int]
    skip: Tensor
    prepared: Prepared


@dataclass(frozen=True, eq=False)
class EncodedImages:
    """The features of a batch of images and their feedback masks that the decoder reads, besides the first skip.

    Attributes:
        deepest: (B, 256, H/16, W/16), the last encoder block's pooled map.
        skips: of the second to the fourth encoder block.
    """

    deepest: Tensor
    skips: tuple[Tensor, Tensor, Tensor]


class FastDFINet(RoundByRound):
    """A DFINet for prediction alone, equal to `network` in evaluation mode with its present weights.

    The encoder reads hard masks alone. With `ends_early`, a round whose hard masks are those of the round before takes
    over that round's encoded features, which are the same bit for bit, and calculates the decoder.

    Attributes:
        encoders_calculated: rounds whose encoder was calculated since it was made.

    Raises:
        RequestError: when a block of the network has no fast form.
    """

    ends_early = True
    encoders_calculated = 0

    def __init__(self, network: FeedbackNetwork) -> None:
        super().__init__()
        self.default_rounds, self.feedback_at = network.default_rounds, network.feedback_at
        self.e1, self.e2, self.e3, self.e4 = (
            FastEncoderBlock(part_of(network, name, EncoderBlock)) for name in ("e1", "e2", "e3", "e4")
        )
        self.d1, self.d2, self.d3, self.d4 = (
            FastDecoderBlock(part_of(network, name, DecoderBlock)) for name in ("d1", "d2", "d3", "d4")
        )
        self.output = fold(network.output)
        self.eval()

    @torch.no_grad()
    def rounds(self, image: Tensor, start: Tensor | None = None) -> Iterator[Tensor]:
        """Logits (B, 1, H, W) of every round, without end; none is calculated after a mask repeats, if `ends_early`.

        A round whose hard masks repeat takes over the features of the encoder then, and calculates the decoder.

        Raises:
            RequestError: without a start mask.
        """
        mask, images = self.require_start(start), self.prepare(image)
        before: tuple[Feedback, ...] = ()
        while True:
            feedback = self.feedback_of(mask)
            if not (self.ends_early and before and same_hard(feedback, before)):
                encoded = self.encode(images, feedback)
                self.encoders_calculated += 1
            logits = self.decode(images, encoded, feedback)
            self.rounds_calculated += 1
            yield logits
            following = torch.sigmoid(logits)
            if self.ends_early and torch.equal(following, mask):
                yield from repeat(logits)
            mask, before = following, feedback

    def prepare(self, image: Tensor) -> PreparedImages:
        """The mask-independent features of images (B, C, H, W)."""
        padded = pad_to_multiple(image, STRIDE).contiguous(memory_format=torch.channels_last)
        height, width = image.shape[-2:]
        return PreparedImages((height, width), *self.e1.prepare(padded))

    def run_round(self, images: PreparedImages, mask: Tensor) -> Tensor:
        """Logits (B, 1, H, W) of one round, from the mask (B, 1, H, W) that it is fed; all of it is calculated."""
        feedback = self.feedback_of(mask)
        return self.decode(images, self.encode(images, feedback), feedback)

    def feedback_of(self, mask: Tensor) -> tuple[Feedback, ...]:
        """A mask (B, 1, H, W) at each of the resolutions that blocks work at, the image's own first."""
        mask = pad_to_multiple(mask, STRIDE)
        height, width = mask.shape[-2:]
        return tuple(self.feedback_at(mask, (height >> step, width >> step)) for step in range(RESOLUTIONS))

    def encode(self, images: PreparedImages, feedback: tuple[Feedback, ...]) -> EncodedImages:
        """The encoder's features; of the mask they depend on its hard form alone."""
        m1, m2, m3, m4 = feedback
        x = self.e1.finish(images.skip, images.prepared, m1)
        x, s2 = self.e2(x, m2)
        x, s3 = self.e3(x, m3)
        x, s4 = self.e4(x, m4)
        return EncodedImages(x, (s2, s3, s4))

    def decode(self, images: PreparedImages, encoded: EncodedImages, feedback: tuple[Feedback, ...]) -> Tensor:
        """Logits (B, 1, H, W) from encoded features and the mask."""
        m1, m2, m3, m4 = feedback
        s2, s3, s4 = encoded.skips
        x = self.d4(self.d3(self.d2(self.d1(encoded.deepest, s4, m4), s3, m3), s2, m2), images.skip, m1)
        logits: Tensor = self.output(x)
        return logits[..., : images.size[0], : images.size[1]]


def same_hard(feedback: tuple[Feedback, ...], before: tuple[Feedback, ...]) -> bool:
    """True if the hard masks are equal at every resolution."""
    return all(torch.equal(one.hard, other.hard) for one, other in zip(feedback, before, strict=True))
