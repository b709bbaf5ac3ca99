"""DFINet: what it promises, which of its parameters learn, and how its rounds are chained."""

from __future__ import annotations

from itertools import islice

import pytest
import torch
from torch import Tensor

from bench.losses import dice_bce
from bench.network import Batch, build_model, parameter_count, take_rounds
from dfinet.blocks import ResidualBlock
from dfinet.network import DFINet
from tests.parity import rule


def small(channels: int = 3, width: int = 4) -> DFINet:
    network = DFINet(channels=channels, width=width)
    rule.fill(network, gain=1.2)
    return network.eval()


def batch_of(count: int, *, height: int = 32, width: int = 32, channels: int = 3) -> Batch:
    generator = torch.Generator().manual_seed(1)
    image = torch.rand(count, channels, height, width, generator=generator)
    mask = (torch.rand(count, 1, height, width, generator=generator) > 0.9).float()
    start = (torch.rand(count, 1, height, width, generator=generator) > 0.5).float()
    names = [str(i) for i in range(count)]
    return Batch(image, mask, start, torch.arange(count), names, [(height, width)] * count, [None] * count)


def is_dead(name: str) -> bool:
    """DFFFM's thresholded mask branch and MADRB's dropped shortcut."""
    return ".p1.fmask." in name or ".r1.conv3." in name or ".r1.bn3." in name


@torch.no_grad()
def switch_squeezes_on(network: DFINet) -> None:
    """Make the single hidden unit of every squeeze positive: a ReLU that is off passes no gradient."""
    for block in network.modules():
        if isinstance(block, ResidualBlock):
            block.bn3.bias.fill_(1)
            block.se.fc[0].weight.abs_()


def test_exactly_the_dead_parameters_get_no_gradient() -> None:
    network = DFINet()
    rule.fill(network, gain=1.2)
    switch_squeezes_on(network)
    batch = batch_of(2, height=48, width=48)
    network.train().training_loss(batch, dice_bce, epoch=0).backward()
    without = {name for name, p in network.named_parameters() if p.grad is None}
    assert without == {name for name, _ in network.named_parameters() if is_dead(name)}
    assert sum(p.numel() for name, p in network.named_parameters() if name in without) == 1_114_392
    zero = [name for name, p in network.named_parameters() if p.grad is not None and not p.grad.any()]
    assert zero == []


def test_the_dropped_shortcut_still_moves_its_running_statistics() -> None:
    network = small().train()
    before = network.e2.r1.bn3.running_mean.clone()
    network.training_loss(batch_of(2), dice_bce, epoch=0)
    assert not torch.equal(network.e2.r1.bn3.running_mean, before)


@pytest.mark.parametrize(
    ("channels", "height", "width"), [(3, 64, 64), (1, 32, 48), (3, 37, 50), (1, 1, 1), (3, 16, 17)]
)
def test_any_size_comes_back_at_its_own_size(channels: int, height: int, width: int) -> None:
    batch = batch_of(2, height=height, width=width, channels=channels)
    with torch.no_grad():
        logits = small(channels).refine(batch.image, batch.mask)
    assert logits.shape == (2, 1, height, width)
    assert logits.isfinite().all()


def test_padding_by_the_network_equals_padding_before_it() -> None:
    network, batch = small(), batch_of(1, height=30, width=20)
    padded = [torch.nn.functional.pad(x, (0, 12, 0, 2)) for x in (batch.image, batch.mask)]
    with torch.no_grad():
        assert torch.equal(network.refine(batch.image, batch.mask), network.refine(*padded)[..., :30, :20])


def test_forward_is_eight_rounds_each_fed_the_last_ones_probabilities() -> None:
    network, batch = small(), batch_of(1)
    with torch.no_grad():
        mask: Tensor | None = batch.start
        by_hand = []
        for _ in range(8):
            assert mask is not None
            by_hand.append(network.refine(batch.image, mask))
            mask = torch.sigmoid(by_hand[-1])
        assert torch.equal(network(batch.image, batch.start), by_hand[-1])
        for ours, expected in zip(network.rounds(batch.image, batch.start), by_hand, strict=False):
            assert torch.equal(ours, expected)
    assert not torch.equal(by_hand[0], by_hand[1])


def test_rounds_go_on_as_long_as_they_are_asked_for() -> None:
    batch = batch_of(1, height=16, width=16)
    assert len(take_rounds(small(), batch.image, batch.start, count=11)) == 11


def test_no_gradient_flows_through_the_feedback() -> None:
    network, batch = small(), batch_of(1)
    start = torch.full((1, 1, 32, 32), 0.3, requires_grad=True)
    second = list(islice(network.rounds(batch.image, start), 2))[1]
    second.sum().backward()
    assert start.grad is None


def test_a_soft_mask_says_more_than_its_threshold() -> None:
    """DFFFM sees a mask above 0.5 or not, DSFM sees its value."""
    network, batch = small(), batch_of(1)
    with torch.no_grad():
        low, lower = (network.refine(batch.image, torch.full((1, 1, 32, 32), value)) for value in (0.4, 0.1))
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
    with pytest.raises(ValueError, match=rf"width is {width}, expected an even number"):
        DFINet(width=width)


def test_one_grey_channel_saves_two_thirds_of_the_first_kernels() -> None:
    """A 3x3 and a 1x1 kernel of 32 outputs see two channels less."""
    assert parameter_count(DFINet(channels=3)) - parameter_count(DFINet(channels=1)) == 32 * 2 * (9 + 1)


def test_a_missing_start_mask_is_refused() -> None:
    with pytest.raises(ValueError, match=r"start is None, expected a first feedback mask \(B, 1, H, W\)"):
        small()(torch.zeros(1, 3, 16, 16))


def test_a_start_mask_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"feedback mask is \(1, 1, 8, 8\), expected \(1, 1, 16, 16\)"):
        small()(torch.zeros(1, 3, 16, 16), torch.zeros(1, 1, 8, 8))
