"""The skeleton that FANet and both releases of DFINet share: a network that is run again on its own prediction."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from bench.errors import RequestError
from bench.models.network import Batch, Loss, Segmenter, pad_to_multiple
from dfinet.blocks import THRESHOLD, Feedback
from dfinet.history import history_of

RESOLUTIONS = 4  # that blocks work at: the image's own, and three times halved
STRIDE = 2**RESOLUTIONS  # the deepest encoder block halves once more

Block = Callable[[int, int], nn.Module]
"""Builds a block from its numbers of input and output channels."""


class RoundByRound(Segmenter):
    """A network whose output is that of its last feedback round; the first round needs a start mask."""

    needs_start = True

    def forward(self, image: Tensor, start: Tensor | None = None) -> Tensor:
        """Logits (B, 1, H, W) after all `default_rounds` feedback rounds.

        Raises:
            RequestError: without a start mask of the image's size.
        """
        *_, logits = islice(self.rounds(image, start), self.default_rounds)
        return logits

    def require_start(self, start: Tensor | None) -> Tensor:
        """The start mask.

        Raises:
            RequestError: when there is none.
        """
        if start is None:
            raise RequestError(
                f"{type(self).__name__}: start is None, expected a first feedback mask (B, 1, H, W) in [0, 1], "
                "such as Otsu's"
            )
        return start


class FeedbackNetwork(RoundByRound):
    """An encoder and a decoder of four blocks each, all of them shown the feedback mask at their own resolution.

    Args:
        channels: of the image.
        width: channels of the first encoder block.
        encoder: builds `e1` to `e3`: a map and the mask go in, a pooled map and a skip come out.
        deepest: builds `e4`, likewise.
        decoder: builds `d1` to `d4`: a map, the skip and the mask go in, a map of twice the size comes out.
        history: name of the policy that chooses the masks of training, as `history_of` takes it.

    Raises:
        RequestError: when the width is no multiple of `width_step`.
        UnknownNameError: with suggestions, when there is no such history.
    """

    width_step = 2  # the last decoder block has half the width
    head_sees_mask = False

    def __init__(
        self,
        *,
        channels: int,
        width: int,
        encoder: Block,
        deepest: Block,
        decoder: Block,
        history: str = "released",
    ) -> None:
        super().__init__()
        if width < 1 or width % self.width_step:
            raise RequestError(
                f"{type(self).__name__}: width is {width}, expected a multiple of {self.width_step} channels"
            )
        self.e1 = encoder(channels, width)
        self.e2 = encoder(width, 2 * width)
        self.e3 = encoder(2 * width, 4 * width)
        self.e4 = deepest(4 * width, 8 * width)
        self.d1 = decoder(8 * width, 4 * width)
        self.d2 = decoder(4 * width, 2 * width)
        self.d3 = decoder(2 * width, width)
        self.d4 = decoder(width, width // 2)
        self.output = nn.Conv2d(width // 2 + self.head_sees_mask, 1, 1)
        self.history = history_of(history)

    def rounds(self, image: Tensor, start: Tensor | None = None) -> Iterator[Tensor]:
        """Logits (B, 1, H, W) of every feedback round, without end; each round is fed the prediction of the one before.

        Raises:
            RequestError: without a start mask of the image's size.
        """
        mask = self.require_start(start)
        while True:
            logits = self.refine(image, mask)
            yield logits
            mask = self.fed_back(logits)

    def refine(self, image: Tensor, mask: Tensor) -> Tensor:
        """Logits (B, 1, H, W) of one round.

        Args:
            image: (B, C, H, W).
            mask: (B, 1, H, W) in [0, 1]; no gradient flows through it.

        Raises:
            RequestError: when the mask is not of the image's size.
        """
        B, _, H, W = image.shape
        if mask.shape != (B, 1, H, W):
            raise RequestError(
                f"{type(self).__name__}: the feedback mask is {tuple(mask.shape)}, expected {(B, 1, H, W)}"
            )
        x = pad_to_multiple(image, STRIDE)
        mask = pad_to_multiple(mask.detach(), STRIDE)
        height, width = x.shape[-2:]
        m1, m2, m3, m4 = (self.feedback_at(mask, (height >> step, width >> step)) for step in range(RESOLUTIONS))

        x, s1 = self.e1(x, m1)  # (B, 32, H/2, W/2), (B, 32, H, W)
        x, s2 = self.e2(x, m2)  # (B, 64, H/4, W/4), (B, 64, H/2, W/2)
        x, s3 = self.e3(x, m3)  # (B, 128, H/8, W/8), (B, 128, H/4, W/4)
        x, s4 = self.e4(x, m4)  # (B, 256, H/16, W/16), (B, 256, H/8, W/8)
        x = self.d1(x, s4, m4)  # (B, 128, H/8, W/8)
        x = self.d2(x, s3, m3)  # (B, 64, H/4, W/4)
        x = self.d3(x, s2, m2)  # (B, 32, H/2, W/2)
        x = self.d4(x, s1, m1)  # (B, 16, H, W)
        logits: Tensor = self.output(torch.cat([x, mask], 1) if self.head_sees_mask else x)  # (B, 1, H, W)
        return logits[..., :H, :W]

    def fed_back(self, logits: Tensor) -> Tensor:
        """The mask (B, 1, H, W) in [0, 1] of the next round: the probabilities of this round's logits."""
        return torch.sigmoid(logits)

    def feedback_at(self, mask: Tensor, size: tuple[int, int]) -> Feedback:
        """The feedback mask (B, 1, H, W) at the resolution of a block."""
        return Feedback.nearest(mask, size)

    def training_loss(self, batch: Batch, loss: Loss, *, epoch: int) -> Tensor:
        """The mean loss over the history's rounds, which start from its masks; no gradient flows between rounds.

        In training mode the last round's prediction joins the history.
        """
        mask = self.history.masks_for(batch)
        losses = []
        for _ in range(self.history.rounds):
            logits = self.refine(batch.image, mask)
            losses.append(loss(logits, batch.mask))
            mask = self.fed_back(logits.detach())
        if self.training:
            self.history.collect(batch, mask)
        return torch.stack(losses).mean()

    def epoch_ended(self, *, improved: bool) -> None:
        self.history.epoch_ended(improved=improved)

    def resume_state(self) -> dict[str, Any]:
        return self.history.state()

    def load_resume_state(self, state: Mapping[str, Any]) -> None:
        self.history.load(state)


class BinaryFeedbackNetwork(FeedbackNetwork):
    """A feedback network as FANet defines it: binary masks, pooled so that no pixel is lost, and shown to the head.

    The released scripts feed binary masks from the first round on; in a soft mask every pixel above zero counts as on.

    Differs: the scripts of FANet and of DFINet's first release also replace the masks of the validation list; here an
    epoch is always judged from the start masks. They hand the images of a last, smaller batch masks of other images;
    here each image keeps its own.
    """

    head_sees_mask = True

    def fed_back(self, logits: Tensor) -> Tensor:
        """The mask (B, 1, H, W) in {0, 1} of the next round: this round's probabilities above the threshold."""
        return (torch.sigmoid(logits) > THRESHOLD).to(logits.dtype)

    def feedback_at(self, mask: Tensor, size: tuple[int, int]) -> Feedback:
        return Feedback.mean_pooled(mask, size)
