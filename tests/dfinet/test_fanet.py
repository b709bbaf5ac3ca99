"""FANet: what its MixPool sees, how wide it can be, and how it is trained."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from bench.models.network import build_model, take_rounds
from bench.protocols.recipes import RECIPES
from bench.types import Recipe
from dfinet.blocks import Feedback
from dfinet.fanet import FANet, MixPool

NOTHING, EVERYTHING = -100.0, 100.0  # pre-sigmoid values of a guess


@torch.no_grad()
def mixpool(guess: float) -> MixPool:
    """A MixPool whose own guess is the same everywhere."""
    torch.manual_seed(0)
    block = MixPool(4).eval()
    block.fmask[3].weight.zero_()
    block.fmask[3].bias.fill_(guess)
    return block


def map_and_mask() -> tuple[Tensor, Tensor]:
    mask = torch.zeros(1, 1, 6, 6)
    mask[..., 2:4, 3:] = 1
    return torch.randn(1, 4, 6, 6, generator=torch.Generator().manual_seed(1)), mask


@torch.no_grad()
def test_half_of_the_channels_see_the_map_under_the_mask_alone() -> None:
    block, (x, mask) = mixpool(NOTHING), map_and_mask()
    out = block(x, Feedback.mean_pooled(mask, (6, 6)))
    assert torch.equal(out[:, :2], block.conv1(x * mask))
    assert torch.equal(out[:, 2:], block.conv2(x))


@torch.no_grad()
def test_the_own_guess_joins_the_feedback() -> None:
    block, (x, mask) = mixpool(EVERYTHING), map_and_mask()
    assert torch.equal(block(x, Feedback.mean_pooled(mask, (6, 6)))[:, :2], block.conv1(x))


@torch.no_grad()
def test_a_guess_of_one_half_is_none() -> None:
    block, (x, mask) = mixpool(0.0), map_and_mask()
    assert torch.equal(block(x, Feedback.mean_pooled(mask, (6, 6)))[:, :2], block.conv1(x * mask))


@pytest.mark.parametrize("width", [4, 12])
def test_every_fourth_width_is_a_network(width: int) -> None:
    network = build_model("FANet", channels=1, settings={"width": width}).eval()
    blank = torch.zeros(1, 1, 16, 16)
    (prob,) = take_rounds(network, blank, blank, count=1)
    assert prob.shape == (1, 1, 16, 16)
    assert network.state_dict()["output.weight"].shape == (1, width // 2 + 1, 1, 1)


@pytest.mark.parametrize("width", [0, 2, 6, -4])
def test_other_widths_are_refused(width: int) -> None:
    with pytest.raises(ValueError, match=rf"FANet: width is {width}, expected a multiple of 4 channels"):
        FANet(width=width)


def test_its_recipe_is_that_of_its_script() -> None:
    assert RECIPES.get("fanet") == Recipe(
        optimiser="adam",
        lr=1e-4,
        epochs=500,
        batch=2,
        loss="dice-bce",
        augmentation="dfinet",
        schedule="plateau",
        gamma=0.1,
        patience=5,
        drop_single=False,
        shuffle="once",
        align_start=False,
    )
