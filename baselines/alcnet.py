"""ALCNet as the field compares with it: ACM's encoder and fusion under a thinner decoder, without any local contrast.

Source: the port in XinyiYing/BasicIRSTD, class ASKCResNetFPN. The network it is named after (Y. Dai, Y. Wu, F. Zhou,
K. Barnard, "Attentional Local Contrast Networks for Infrared Small Target Detection", IEEE TGRS 59(11), 2021; MXNet,
open-alcnet) measures local contrast between shifted feature maps and does not shrink its input; the port does neither.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from baselines import acm
from baselines.acm import STAGES, STRIDE, AsymBi, Head, ResidualBlock, stem
from bench.models.network import Segmenter, model, pad_to_multiple
from bench.models.published_numbers import reported

FINEST = 8  # channels at 1/2 of the image


def stage(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """ACM's three residual blocks and a fourth."""
    return acm.stage(inputs, outputs, stride).append(ResidualBlock(outputs, outputs))


class ALCNet(Segmenter):
    """ALCNet, numerically equal to BasicIRSTD's port before the port's final sigmoid.

    92,928 of its 519,889 parameters are dead: `uplayer1` and `uplayer2` are never called. They stay, so that published
    checkpoints load. A batch of one image cannot be trained on, as with ACM.

    Differs: sizes that are no multiple of 16 are padded; the port rescales its feature maps, each torchvision release
        in its own way.
    """

    official_keys = (("model.", ""),)

    def __init__(self, *, channels: int = 1) -> None:
        super().__init__()
        c1, c2, c3 = STAGES
        self.stem = stem(channels)
        self.head = Head(FINEST)
        self.layer1 = stage(c1, c1, 1)
        self.layer2 = stage(c1, c2, 2)
        self.layer3 = stage(c2, c3, 2)
        self.deconv2 = nn.ConvTranspose2d(c3, c2, 4, stride=2, padding=1)
        self.uplayer2 = stage(c2, c2, 1)
        self.deconv1 = nn.ConvTranspose2d(c2, c1, 4, stride=2, padding=1)
        self.deconv0 = nn.ConvTranspose2d(c1, FINEST, 4, stride=2, padding=1)
        self.uplayer1 = stage(c1, c1, 1)
        self.fuse23 = AsymBi(c2)
        self.fuse12 = AsymBi(c1)

    def forward(self, image: Tensor, start: Tensor | None = None) -> Tensor:
        H, W = image.shape[-2:]
        x = pad_to_multiple(image, STRIDE)
        c1 = self.layer1(self.stem(x))  # (B, 16, H/4, W/4)
        c2 = self.layer2(c1)  # (B, 32, H/8, W/8)
        x = self.layer3(c2)  # (B, 64, H/16, W/16)
        x = self.fuse23(self.deconv2(x), c2)  # (B, 32, H/8, W/8)
        x = self.fuse12(self.deconv1(x), c1)  # (B, 16, H/4, W/4)
        x = self.head(self.deconv0(x))  # (B, 1, H/2, W/2)
        logits = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)  # (B, 1, H, W)
        return logits[..., :H, :W]


@model(
    "ALCNet",
    cite="Y. Dai, Y. Wu, F. Zhou, K. Barnard, Attentional Local Contrast Networks for Infrared Small Target Detection, "
    "IEEE TGRS 59(11), 2021",
    source="https://github.com/XinyiYing/BasicIRSTD at 95650c3, class ASKCResNetFPN",
    licence="none stated",
    recipe="basicirstd",
    channels=1,
    reported=reported("ALCNet"),
)
def build(*, channels: int) -> ALCNet:
    """ALCNet with four blocks a stage, the form BasicIRSTD publishes numbers of."""
    return ALCNet(channels=channels)
