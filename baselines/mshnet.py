"""MSHNet: a U-Net of residual attention blocks that predicts at four scales, made for a loss of scale and location.

Source: Q. Liu, R. Liu, B. Zheng, H. Wang, Y. Fu, "Infrared Small Target Detection with Scale and Location Sensitivity",
CVPR 2024; equal to Lliu666/MSHNet at 7c5194b. Its blocks are DNANet's, its loss is `sls` of bench.models.losses.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.dnanet import res_cbams, resize
from bench.models.losses import WARM_UP_EPOCHS
from bench.models.network import Batch, Loss, Segmenter, model, pad_to_multiple
from bench.models.published_numbers import reported

STRIDE = 16
WIDTHS = (16, 32, 64, 128, 256)  # channels at 1/1, 1/2, 1/4, 1/8 and 1/16 of the image


class MSHNet(Segmenter):
    """MSHNet, numerically equal to the authors' code.

    The first epochs train the head at full size alone (the cold path); from then on, and in `forward`, four heads are
    fused by a convolution (the warm path).

    Differs: the authors also judge their cold epochs by the cold path. Here every epoch is judged by `forward`, so that
    one judged before the warm-up ends shows a fusion that has not learnt yet.
    """

    def __init__(self, *, channels: int = 3) -> None:
        super().__init__()
        c0, c1, c2, c3, c4 = WIDTHS
        self.conv_init = nn.Conv2d(channels, c0, 1)
        self.encoder_0 = res_cbams(c0, c0, blocks=1)
        self.encoder_1 = res_cbams(c0, c1, blocks=2)
        self.encoder_2 = res_cbams(c1, c2, blocks=2)
        self.encoder_3 = res_cbams(c2, c3, blocks=2)
        self.middle_layer = res_cbams(c3, c4, blocks=2)
        self.decoder_3 = res_cbams(c3 + c4, c3, blocks=2)
        self.decoder_2 = res_cbams(c2 + c3, c2, blocks=2)
        self.decoder_1 = res_cbams(c1 + c2, c1, blocks=2)
        self.decoder_0 = res_cbams(c0 + c1, c0, blocks=1)
        self.output_0 = nn.Conv2d(c0, 1, 1)
        self.output_1 = nn.Conv2d(c1, 1, 1)
        self.output_2 = nn.Conv2d(c2, 1, 1)
        self.output_3 = nn.Conv2d(c3, 1, 1)
        self.final = nn.Conv2d(4, 1, 3, padding=1)

    def decode(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The decoder's maps at 1/1, 1/2, 1/4 and 1/8 of the image, whose H and W are multiples of 16."""
        e0 = self.encoder_0(self.conv_init(image))  # (B, 16, H, W)
        e1 = self.encoder_1(F.max_pool2d(e0, 2))  # (B, 32, H/2, W/2)
        e2 = self.encoder_2(F.max_pool2d(e1, 2))  # (B, 64, H/4, W/4)
        e3 = self.encoder_3(F.max_pool2d(e2, 2))  # (B, 128, H/8, W/8)
        middle = self.middle_layer(F.max_pool2d(e3, 2))  # (B, 256, H/16, W/16)
        d3 = self.decoder_3(torch.cat([e3, resize(middle, 2)], 1))  # (B, 128, H/8, W/8)
        d2 = self.decoder_2(torch.cat([e2, resize(d3, 2)], 1))  # (B, 64, H/4, W/4)
        d1 = self.decoder_1(torch.cat([e1, resize(d2, 2)], 1))  # (B, 32, H/2, W/2)
        d0 = self.decoder_0(torch.cat([e0, resize(d1, 2)], 1))  # (B, 16, H, W)
        return d0, d1, d2, d3

    def cold(self, image: Tensor) -> Tensor:
        """The logits (B, 1, H, W) of the head at full size, all that the first epochs train."""
        H, W = image.shape[-2:]
        d0, *_ = self.decode(pad_to_multiple(image, STRIDE))
        logits: Tensor = self.output_0(d0)
        return logits[..., :H, :W]

    def heads(self, image: Tensor) -> list[Tensor]:
        """The logits of the heads at 1/1, 1/2, 1/4 and 1/8 of the image (rounded up), and of their fusion, at 1/1."""
        H, W = image.shape[-2:]
        d0, d1, d2, d3 = self.decode(pad_to_multiple(image, STRIDE))
        m0, m1, m2, m3 = self.output_0(d0), self.output_1(d1), self.output_2(d2), self.output_3(d3)
        fused = self.final(torch.cat([m0, resize(m1, 2), resize(m2, 4), resize(m3, 8)], 1))
        return [
            m0[..., :H, :W],
            m1[..., : -(-H // 2), : -(-W // 2)],
            m2[..., : -(-H // 4), : -(-W // 4)],
            m3[..., : -(-H // 8), : -(-W // 8)],
            fused[..., :H, :W],
        ]

    def forward(self, image: Tensor, start: Tensor | None = None) -> Tensor:
        return self.heads(image)[-1]

    def training_loss(self, batch: Batch, loss: Loss, *, epoch: int) -> Tensor:
        """The mean of the five heads' losses against the mask at their scales; in the first epochs the cold head's."""
        if epoch <= WARM_UP_EPOCHS:
            return loss(self.cold(batch.image), batch.mask)
        masks = [batch.mask]  # at 1/1, 1/2, 1/4, 1/8
        for _ in range(3):
            masks.append(F.max_pool2d(masks[-1], 2, ceil_mode=True))
        pairs = zip(self.heads(batch.image), [*masks, batch.mask], strict=True)
        return torch.stack([loss(logits, mask) for logits, mask in pairs]).mean()


@model(
    "MSHNet",
    cite="Q. Liu, R. Liu, B. Zheng, H. Wang, Y. Fu, Infrared Small Target Detection with Scale and Location "
    "Sensitivity, CVPR 2024",
    source="https://github.com/Lliu666/MSHNet at 7c5194b",
    licence="none stated",
    recipe="mshnet",
    channels=3,
    reported=reported("MSHNet"),
)
def build(*, channels: int) -> MSHNet:
    """MSHNet as its authors publish it."""
    return MSHNet(channels=channels)
