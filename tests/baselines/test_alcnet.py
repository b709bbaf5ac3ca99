"""ALCNet: padding, learning, and the quirks it keeps from the port the field compares with."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from baselines.alcnet import ALCNet
from bench.models.losses import soft_iou
from tests.parity import rule


def filled() -> ALCNet:
    network = ALCNet()
    rule.fill(network, gain=1.2)
    return network.eval()


def test_padding_by_the_network_equals_padding_before_it() -> None:
    network, image = filled(), rule.image(30, 20, channels=1)
    with torch.no_grad():
        padded = nn.functional.pad(image, (0, 12, 0, 2))
        assert torch.equal(network(image), network(padded)[..., :30, :20])


def test_every_parameter_but_those_of_the_decoders_unused_stages_learns() -> None:
    network = filled().train()
    image = torch.rand(4, 1, 64, 64, generator=torch.Generator().manual_seed(5))
    torch.manual_seed(0)  # the head's dropout
    soft_iou(network(image), (image > 0.95).float()).backward()
    idle = {name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()}
    assert idle == {name for name, _ in network.named_parameters() if name.startswith("uplayer")}


def test_the_norms_of_unused_stages_never_move() -> None:
    network = filled().train()
    network(rule.image(64, 64, channels=1).expand(2, -1, -1, -1))
    steps = {k: int(v) for k, v in network.state_dict().items() if k.endswith("num_batches_tracked")}
    assert {step for key, step in steps.items() if key.startswith("uplayer")} == {0}
    assert {step for key, step in steps.items() if not key.startswith("uplayer")} == {1}


def test_a_batch_of_one_cannot_be_trained_on() -> None:
    with pytest.raises(ValueError, match="Expected more than 1 value per channel when training"):
        filled().train()(rule.image(32, 32, channels=1))


def test_norms_keep_a_tenth_of_the_past_except_in_residual_blocks() -> None:
    momentum = {name: m.momentum for name, m in ALCNet().named_modules() if isinstance(m, nn.BatchNorm2d)}
    in_blocks = {name for name in momentum if name.endswith(("bn1", "bn2"))}
    assert len(in_blocks) == 40
    assert {momentum[name] for name in in_blocks} == {0.1}
    assert {momentum[name] for name in momentum.keys() - in_blocks} == {0.9}
