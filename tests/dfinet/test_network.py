"""DFINet: what its dead parts still do, what its masks say, and how wide it can be."""

from __future__ import annotations

import pytest
import torch

from bench.models.network import build_model, parameter_count, take_rounds
from dfinet.network import DFINet
from tests.parity import rule


def small(channels: int = 3, width: int = 4) -> DFINet:
    network = DFINet(channels=channels, width=width)
    rule.fill(network, gain=1.2)
    return network.eval()


def test_the_dropped_shortcut_still_moves_its_running_statistics() -> None:
    network = small().train()
    before = network.e2.r1.bn3.running_mean.clone()
    network.refine(rule.image(32, 32, channels=3), rule.soft_mask(32, 32))
    assert not torch.equal(network.e2.r1.bn3.running_mean, before)


def test_a_soft_mask_says_more_than_its_threshold() -> None:
    """DFFFM sees a mask above 0.5 or not, DSFM sees its value."""
    network, image = small(), rule.image(32, 32, channels=3)
    with torch.no_grad():
        low, lower = (network.refine(image, torch.full((1, 1, 32, 32), value)) for value in (0.4, 0.1))
    assert not torch.equal(low, lower)


@pytest.mark.parametrize("width", [2, 6, 8, 48])
def test_every_even_width_is_a_network(width: int) -> None:
    network = build_model("DFINet", channels=1, settings={"width": width}).eval()
    blank = torch.zeros(1, 1, 16, 16)
    (prob,) = take_rounds(network, blank, blank, count=1)
    assert prob.shape == (1, 1, 16, 16)
    assert network.state_dict()["output.weight"].shape == (1, width // 2, 1, 1)


@pytest.mark.parametrize("width", [0, 1, 7, -4])
def test_other_widths_are_refused(width: int) -> None:
    with pytest.raises(ValueError, match=rf"width is {width}, expected a multiple of 2 channels"):
        DFINet(width=width)


def test_one_grey_channel_saves_two_thirds_of_the_first_kernels() -> None:
    """A 3x3 and a 1x1 kernel of 32 outputs see two channels less."""
    assert parameter_count(DFINet(channels=3)) - parameter_count(DFINet(channels=1)) == 32 * 2 * (9 + 1)
