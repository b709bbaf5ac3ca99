"""The skeleton of FANet and both releases of DFINet: sizes, rounds, feedback, what learns and what is remembered."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import islice

import pytest
import torch
from torch import Tensor

from bench.models.losses import dice_bce
from bench.models.network import Batch, take_rounds
from dfinet.blocks import ResidualBlock
from dfinet.fanet import FANet
from dfinet.feedback_network import FeedbackNetwork
from dfinet.network import DFINet
from dfinet.released_2026_01 import DFINet202601
from tests.parity import rule

NETWORKS = (DFINet, DFINet202601, FANet)
BINARY = (DFINet202601, FANet)
every_network = pytest.mark.parametrize("kind", NETWORKS)
every_binary_network = pytest.mark.parametrize("kind", BINARY)


def small(kind: type[FeedbackNetwork], channels: int = 3) -> FeedbackNetwork:
    network = kind(channels=channels, width=4)
    rule.fill(network, gain=1.2)
    return network.eval()


def batch_of(count: int, *, height: int = 32, width: int = 32, channels: int = 3) -> Batch:
    generator = torch.Generator().manual_seed(1)
    image = torch.rand(count, channels, height, width, generator=generator)
    mask = (torch.rand(count, 1, height, width, generator=generator) > 0.9).float()
    start = (torch.rand(count, 1, height, width, generator=generator) > 0.5).float()
    names = [str(i) for i in range(count)]
    return Batch(image, mask, start, torch.arange(count), names, [(height, width)] * count, None)


@pytest.mark.parametrize(
    ("channels", "height", "width"), [(3, 64, 64), (1, 32, 48), (3, 37, 50), (1, 1, 1), (3, 16, 17)]
)
@every_network
def test_any_size_comes_back_at_its_own_size(
    kind: type[FeedbackNetwork], channels: int, height: int, width: int
) -> None:
    batch = batch_of(2, height=height, width=width, channels=channels)
    with torch.no_grad():
        logits = small(kind, channels).refine(batch.image, batch.mask)
    assert logits.shape == (2, 1, height, width)
    assert logits.isfinite().all()


@every_network
def test_padding_by_the_network_equals_padding_before_it(kind: type[FeedbackNetwork]) -> None:
    network, batch = small(kind), batch_of(1, height=30, width=20)
    padded = [torch.nn.functional.pad(x, (0, 12, 0, 2)) for x in (batch.image, batch.mask)]
    with torch.no_grad():
        assert torch.equal(network.refine(batch.image, batch.mask), network.refine(*padded)[..., :30, :20])


@torch.no_grad()
def balance(network: FeedbackNetwork, batch: Batch) -> None:
    """Let the first round find half of the pixels."""
    network.output.bias.sub_(network.refine(batch.image, batch.start).median())


def probabilities(logits: Tensor) -> Tensor:
    return torch.sigmoid(logits)


def found(logits: Tensor) -> Tensor:
    return (torch.sigmoid(logits) > 0.5).float()


@pytest.mark.parametrize(
    ("kind", "rounds", "fed_back"), [(DFINet, 8, probabilities), (DFINet202601, 8, found), (FANet, 10, found)]
)
@torch.no_grad()
def test_forward_is_the_published_rounds_each_fed_what_the_last_one_found(
    kind: type[FeedbackNetwork], rounds: int, fed_back: Callable[[Tensor], Tensor]
) -> None:
    network, batch = small(kind), batch_of(1)
    balance(network, batch)
    mask: Tensor | None = batch.start
    by_hand = []
    for _ in range(rounds):
        assert mask is not None
        by_hand.append(network.refine(batch.image, mask))
        mask = fed_back(by_hand[-1])
    assert torch.equal(network(batch.image, batch.start), by_hand[-1])
    for ours, expected in zip(network.rounds(batch.image, batch.start), by_hand, strict=False):
        assert torch.equal(ours, expected)
    assert not torch.equal(by_hand[0], by_hand[1])


@every_network
def test_rounds_go_on_as_long_as_they_are_asked_for(kind: type[FeedbackNetwork]) -> None:
    batch = batch_of(1, height=16, width=16)
    assert len(take_rounds(small(kind), batch.image, batch.start, count=11)) == 11


@every_network
def test_no_gradient_flows_through_the_feedback(kind: type[FeedbackNetwork]) -> None:
    network, batch = small(kind), batch_of(1)
    start = torch.full((1, 1, 32, 32), 0.3, requires_grad=True)
    second = list(islice(network.rounds(batch.image, start), 2))[1]
    second.sum().backward()
    assert start.grad is None


@torch.no_grad()
def switch_squeezes_on(network: FeedbackNetwork) -> None:
    """Make the single hidden unit of every squeeze positive: a ReLU that is off passes no gradient."""
    for block in network.modules():
        if isinstance(block, ResidualBlock):
            block.bn3.bias.fill_(1)
            block.se.fc[0].weight.abs_()


@pytest.mark.parametrize(
    ("kind", "dead"),
    [
        (DFINet, r"\.p1\.fmask\.|\.r1\.(conv3|bn3)\."),
        (DFINet202601, r"\.p1\.fmask\.|\.r1\.(conv3|bn3)\."),
        (FANet, r"\.p1\.fmask\."),
    ],
)
def test_every_parameter_that_is_not_dead_gets_a_gradient_other_than_zero(
    kind: type[FeedbackNetwork], dead: str
) -> None:
    network = kind()
    rule.fill(network, gain=1.2)
    switch_squeezes_on(network)
    network.train().training_loss(batch_of(2, height=48, width=48), dice_bce, epoch=1).backward()
    still = {name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()}
    assert still == {name for name, _ in network.named_parameters() if re.search(dead, name)}


@every_binary_network
def test_training_remembers_exactly_the_pixels_that_were_found(kind: type[FeedbackNetwork]) -> None:
    network, batch = small(kind).train(), batch_of(2)
    balance(network, batch)
    expected = network.refine(batch.image, batch.start) > 0
    network.training_loss(batch, dice_bce, epoch=1)
    network.epoch_ended(improved=True)
    assert 0 < expected.sum() < expected.numel()
    assert torch.equal(network.history.masks_for(batch), expected.float())


@every_binary_network
@torch.no_grad()
def test_the_head_sees_the_mask_as_it_is(kind: type[FeedbackNetwork]) -> None:
    network, batch = small(kind), batch_of(1, height=20, width=20)
    network.output.weight.zero_()
    network.output.weight[:, -1] = 3
    network.output.bias.fill_(-1)
    assert torch.equal(network.refine(batch.image, batch.mask), 3 * batch.mask - 1)


@every_network
def test_a_missing_start_mask_is_refused(kind: type[FeedbackNetwork]) -> None:
    with pytest.raises(ValueError, match=rf"{kind.__name__}: start is None, expected a first feedback mask \(B, 1,"):
        small(kind)(torch.zeros(1, 3, 16, 16))


@every_network
def test_a_start_mask_of_another_size_is_refused(kind: type[FeedbackNetwork]) -> None:
    with pytest.raises(ValueError, match=r"feedback mask is \(1, 1, 8, 8\), expected \(1, 1, 16, 16\)"):
        small(kind)(torch.zeros(1, 3, 16, 16), torch.zeros(1, 1, 8, 8))
