"""ACM: sizes, channels, learning, and the quirks it keeps from the port the field compares with."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from baselines.acm import ACM
from bench.models.losses import soft_iou
from bench.models.network import parameter_count
from tests.parity import rule


def filled(channels: int = 1) -> ACM:
    network = ACM(channels=channels)
    rule.fill(network, gain=1.2)
    return network.eval()


@pytest.mark.parametrize(
    ("channels", "height", "width"), [(1, 64, 64), (3, 48, 32), (1, 37, 50), (3, 1, 1), (1, 16, 17)]
)
def test_any_size_comes_back_at_its_own_size(channels: int, height: int, width: int) -> None:
    with torch.no_grad():
        logits = filled(channels)(rule.image(height, width, channels=channels))
    assert logits.shape == (1, 1, height, width)
    assert logits.isfinite().all()


def test_padding_by_the_network_equals_padding_before_it() -> None:
    network, image = filled(), rule.image(30, 20, channels=1)
    with torch.no_grad():
        padded = nn.functional.pad(image, (0, 12, 0, 2))
        assert torch.equal(network(image), network(padded)[..., :30, :20])


def test_three_channels_cost_148_parameters_more() -> None:
    """Two more channels of the stem's norm (2 * 2) and of its eight 3x3 kernels (2 * 72)."""
    assert parameter_count(ACM(channels=3)) == 397_971 == parameter_count(ACM(channels=1)) + 148


def test_every_parameter_learns() -> None:
    network = filled().train()
    image = torch.rand(4, 1, 64, 64, generator=torch.Generator().manual_seed(5))
    torch.manual_seed(0)  # the head's dropout
    soft_iou(network(image), (image > 0.95).float()).backward()
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_a_batch_of_one_cannot_be_trained_on() -> None:
    with pytest.raises(ValueError, match="Expected more than 1 value per channel when training"):
        filled().train()(rule.image(32, 32, channels=1))


def test_norms_keep_a_tenth_of_the_past_except_in_residual_blocks() -> None:
    momentum = {name: m.momentum for name, m in ACM().named_modules() if isinstance(m, nn.BatchNorm2d)}
    in_blocks = {name for name in momentum if name.endswith(("bn1", "bn2"))}
    assert len(in_blocks) == 30
    assert {momentum[name] for name in in_blocks} == {0.1}
    assert {momentum[name] for name in momentum.keys() - in_blocks} == {0.9}
