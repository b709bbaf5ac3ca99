"""DFINet as first released, until 2026-01-14: binary feedback, a learnt mask in DSFM, and a head that sees the mask.

Source: repository uisdu/DFINet, revision of 2026-01-14. Its checkpoints and those of the release that followed do not
fit each other.
"""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn

from bench.models.network import model
from dfinet.blocks import GRIDS, Feedback, SelectiveFusion
from dfinet.encoder_decoder import DecoderBlock, EncoderBlock, EncoderBlockCHPP, Parts
from dfinet.feedback_network import BinaryFeedbackNetwork
from dfinet.narrow_norm import batch_norm
from dfinet.network import CITE

SWAPPED = GRIDS[::-1]  # the finer grid of HPPM comes first
FUSED = 0.9  # share of the fused maps in DSFM
MARKED = 0.1  # share of each map under the mask; 0.05 in the revision of 2026-01-12 alone


class LearntDSFM(SelectiveFusion):
    """Low- and high-level features fused, plus a tenth of each, weighted by 1 to 2 by a learnt function of the mask.

    Unlike the own mask of DFFFM, that function (`fmask`) is not thresholded and learns.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.fmask = nn.Sequential(
            nn.Conv2d(1, channels, 3, padding=1),
            batch_norm(channels),
            nn.ReLU(),
            nn.Conv2d(channels, 1, 1),
            nn.Sigmoid(),
        )

    def forward(self, low: Tensor, high: Tensor, feedback: Feedback) -> Tensor:
        marking: Tensor = 1 + self.fmask(feedback.soft)  # (B, 1, H, W) in (1, 2)
        return FUSED * self.fuse(low, high) + MARKED * low * marking + MARKED * high * marking


PARTS = Parts(dsfm=LearntDSFM, grids=SWAPPED)


class DFINet202601(BinaryFeedbackNetwork):
    """DFINet of January 2026, numerically equal to uisdu/DFINet at its revision of 2026-01-14.

    The same 1,114,392 parameters as in the later release never get a gradient, of 9,306,574.

    Args:
        channels: of the image; 3 as published.
        width: channels of the first encoder block, an even number; 32 as published.
    """

    default_rounds = 8

    def __init__(self, *, channels: int = 3, width: int = 32) -> None:
        super().__init__(
            channels=channels,
            width=width,
            encoder=partial(EncoderBlock, parts=PARTS),
            deepest=partial(EncoderBlockCHPP, parts=PARTS),
            decoder=partial(DecoderBlock, parts=PARTS),
        )


@model(
    "DFINet@2026-01",
    cite=CITE,
    source="https://github.com/uisdu/DFINet as of 2026-01-14",
    licence="none stated",
    recipe="dfinet",
    channels=3,
    rounds=DFINet202601.default_rounds,
    config={"width": 32},
)
def build_dfinet_2026_01(*, channels: int, width: int) -> DFINet202601:
    """Build the first release of DFINet; width 32 is the released network."""
    return DFINet202601(channels=channels, width=width)
