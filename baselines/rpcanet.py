"""RPCANet: robust principal component analysis, unfolded into six stages whose operators are learnt.

Source: F. Wu, T. Zhang, L. Li, Y. Huang, Z. Peng, "RPCANet: Deep Unfolding RPCA Based Infrared Small Target Detection",
WACV 2024; equal to fengyiwu98/RPCANet, model `rpcanet`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from bench.errors import RequestError
from bench.models.network import Batch, Loss, Segmenter, model
from bench.models.published_numbers import reported

STAGES = 6
WIDTH = 32
RECONSTRUCTION_WEIGHT = 0.01  # of the reconstruction's mean squared error in the training loss

Layer = Callable[[int, int], list[nn.Module]]
"""`(inputs, outputs) -> a 3x3 convolution and what follows it`."""


def conv_bn_relu(inputs: int, outputs: int) -> list[nn.Module]:
    """A 3x3 convolution, normalised."""
    return [nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU()]


def conv_relu(inputs: int, outputs: int) -> list[nn.Module]:
    """A 3x3 convolution, not normalised."""
    return [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]


def operator(layer: Layer, *, depth: int) -> nn.Sequential:
    """A learnt map (B, 1, H, W) -> (B, 1, H, W): one layer in, `depth` layers within, one convolution out."""
    within = (module for _ in range(depth) for module in layer(WIDTH, WIDTH))
    return nn.Sequential(*layer(1, WIDTH), *within, nn.Conv2d(WIDTH, 1, 3, padding=1))


class Background(nn.Module):
    """The low-rank background B of an image D with targets T: D - T, corrected by a learnt residual."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = operator(conv_bn_relu, depth=3)

    def forward(self, image: Tensor, target: Tensor) -> Tensor:
        x = image - target
        background: Tensor = x + self.convs(x)
        return background


class Target(nn.Module):
    """The sparse targets: T + D - B less `epsilon` times a learnt gradient of the sparsity constraint."""

    def __init__(self) -> None:
        super().__init__()
        self.epsilon = nn.Parameter(torch.tensor([0.01]))
        self.convs = operator(conv_relu, depth=6)

    def forward(self, image: Tensor, target: Tensor, background: Tensor) -> Tensor:
        x = target + image - background
        sparse: Tensor = x - self.epsilon * self.convs(x)
        return sparse


class Reconstruction(nn.Module):
    """The image reconstructed from background plus targets, without a shortcut."""

    def __init__(self) -> None:
        super().__init__()
        self.mapping = operator(conv_bn_relu, depth=3)

    def forward(self, background: Tensor, target: Tensor) -> Tensor:
        image: Tensor = self.mapping(background + target)
        return image


class Stage(nn.Module):
    """One iteration of the decomposition. Background first, from the old targets; then targets; then the image."""

    def __init__(self) -> None:
        super().__init__()
        self.lowrank = Background()
        self.sparse = Target()
        self.merge = Reconstruction()

    def separate(self, image: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """The new background and targets, (B, 1, H, W) each, of the last stage's image and targets."""
        background = self.lowrank(image, target)
        return background, self.sparse(image, target, background)

    def forward(self, image: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        background, target = self.separate(image, target)
        return self.merge(background, target), target


class RPCANet(Segmenter):
    """RPCANet with six stages, numerically equal to the authors' code; its target map is the logits.

    Differs: the authors' code also reconstructs the image in the last stage when it only predicts. `forward` leaves
    that out: 42.316 of 44.166 G MACs at 256 x 256.

    Args:
        channels: 1; what is decomposed is one grey image.

    Raises:
        RequestError: for any other number of channels.
    """

    def __init__(self, *, channels: int = 1) -> None:
        super().__init__()
        if channels != 1:
            raise RequestError(f"RPCANet: channels is {channels}, expected 1, for it decomposes one grey image")
        self.decos = nn.ModuleList(Stage() for _ in range(STAGES))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.xavier_normal_(module.weight)

    def forward(self, image: Tensor, start: Tensor | None = None) -> Tensor:
        D, T = self.unfold(image, stages=STAGES - 1)
        last = self.decos[-1]
        assert isinstance(last, Stage)
        _, T = last.separate(D, T)
        return T

    def unfold(self, image: Tensor, *, stages: int = STAGES) -> tuple[Tensor, Tensor]:
        """The reconstructed image D and the target logits T after the first `stages`, (B, 1, H, W) each."""
        D, T = image, torch.zeros_like(image)
        for stage in self.decos[:stages]:
            D, T = stage(D, T)
        return D, T

    def training_loss(self, batch: Batch, loss: Loss, *, epoch: int) -> Tensor:
        """The loss of the targets plus 0.01 times the mean squared error of the reconstructed image."""
        D, T = self.unfold(batch.image)
        return loss(T, batch.mask) + RECONSTRUCTION_WEIGHT * (D - batch.image).square().mean()


@model(
    "RPCANet",
    cite="F. Wu, T. Zhang, L. Li, Y. Huang, Z. Peng, RPCANet: Deep Unfolding RPCA Based Infrared Small Target "
    "Detection, WACV 2024",
    source="https://github.com/fengyiwu98/RPCANet",
    licence="none stated",
    recipe="rpcanet",
    channels=1,
    reported=reported("RPCANet"),
)
def build(*, channels: int) -> RPCANet:
    """RPCANet with six stages, the form its authors publish numbers of."""
    return RPCANet(channels=channels)
