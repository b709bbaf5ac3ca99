"""DFINet, as released and with the choices of `DFINetConfig`: an encoder and decoder run again on their prediction.

Source: J. Wu et al., "DFINet: Dynamic feedback iterative network for infrared small target detection", Pattern
Recognition 169 (2026) 111958; repository uisdu/DFINet at 8203cee. An earlier revision of the repository (until
2026-01-14) is another network, whose checkpoints do not fit: dfinet/released_2026_01.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from torch import Tensor, nn

from bench.models.network import Batch, Loss, Segmenter, model
from bench.types import Setting
from dfinet.blocks import DFFFM, DSFM, MADRB, Feedback, ResidualBlock
from dfinet.config import DFINetConfig, design_choices
from dfinet.encoder_decoder import DecoderBlock, EncoderBlock, EncoderBlockCHPP, Parts
from dfinet.fast_network import FastDFINet
from dfinet.feedback_network import FeedbackNetwork
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

CITE = (
    "J. Wu, C. Luo, Z. Qiu, L. Chen, R. Ni, Y. Li, F. Huang, J. Wu, DFINet: Dynamic feedback iterative network "
    "for infrared small target detection, Pattern Recognition 169 (2026) 111958"
)
SOURCE = "https://github.com/uisdu/DFINet at 8203cee (2026-03-11)"
CHANNELS = 3

DFFFM_BLOCKS: dict[str, Callable[[int], nn.Module]] = {"released": DFFFM, "identity": NoDFFFM, "matched": MatchedDFFFM}
OWN_MASK_BLOCKS: dict[str, Callable[[int], nn.Module]] = {
    "off": FeedbackDFFFM,
    "straight-through": StraightThroughDFFFM,
    "soft": SoftDFFFM,
}
DSFM_BLOCKS: dict[str, Callable[[int], nn.Module]] = {"released": DSFM, "skip": SkipAlone, "sum": Sum}
DOWN_SAMPLINGS = {"nearest": Feedback.nearest, "max-pool": Feedback.max_pooled}


def parts_of(config: DFINetConfig) -> Parts:
    """The blocks of a design."""
    madrbs: dict[str, Callable[[int, int], nn.Module]] = {
        "released": partial(MADRB, theta=config.theta),
        "shortcut": partial(ShortcutMADRB, theta=config.theta),
        "residual": ResidualBlock,
    }
    dfffm = DFFFM_BLOCKS[config.dfffm] if config.own_mask == "released" else OWN_MASK_BLOCKS[config.own_mask]
    return Parts(madrbs[config.madrb], dfffm, DSFM_BLOCKS[config.dsfm], config.chpp)


class DFINet(FeedbackNetwork):
    """DFINet; with nothing but the defaults numerically equal to uisdu/DFINet at 8203cee.

    Of that, 1,114,392 of 9,300,337 parameters never get a gradient: the thresholded mask branch of each DFFFM and the
    dropped shortcut of each MADRB.

    Args:
        channels: of the image; 3 as published.
        settings: fields of `DFINetConfig`.

    Raises:
        TypeError: for a setting that is no such field.
        RequestError: for a value that its field cannot take.
        UnknownNameError: with suggestions, for a history that does not exist.
    """

    default_rounds = 8

    def __init__(self, *, channels: int = CHANNELS, **settings: Any) -> None:
        config = DFINetConfig(**settings)
        parts = parts_of(config)
        super().__init__(
            channels=channels,
            width=config.width,
            encoder=partial(EncoderBlock, parts=parts),
            deepest=partial(EncoderBlockCHPP, parts=parts),
            decoder=partial(DecoderBlock, parts=parts),
            history=config.history,
        )
        self.config = config
        self.judged_round = config.selected_after

    def feedback_at(self, mask: Tensor, size: tuple[int, int]) -> Feedback:
        return DOWN_SAMPLINGS[self.config.down_sampling](mask, size)

    def predictor(self) -> Segmenter:
        return FastDFINet(self)


class DFINetWithoutFeedback(DFINet):
    """DFINet whose mask is zero everywhere, in training and at test: one round, and no start mask.

    Leaving out DFFFM alone is not enough, for DSFM reads the mask, too.
    """

    needs_start = False
    default_rounds = 1

    def rounds(self, image: Tensor, start: Tensor | None = None) -> Iterator[Tensor]:
        """The logits (B, 1, H, W) of the only round."""
        B, _, H, W = image.shape
        yield self.refine(image, image.new_zeros(B, 1, H, W))

    def predictor(self) -> Segmenter:
        return self

    def training_loss(self, batch: Batch, loss: Loss, *, epoch: int) -> Tensor:
        """The loss of the only round."""
        return loss(self(batch.image), batch.mask)


@model(
    "DFINet",
    cite=CITE,
    source=SOURCE,
    licence="none stated",
    recipe="dfinet",
    channels=CHANNELS,
    rounds=DFINet.default_rounds,
    config={"width": 32},
    choices=design_choices(),
)
def build_dfinet(*, channels: int, **settings: Setting) -> DFINet:
    """Build DFINet; the settings are fields of `DFINetConfig`, whose defaults are the released network."""
    network = DFINetWithoutFeedback if settings.get("feedback") == "zero" else DFINet
    return network(channels=channels, **settings)
