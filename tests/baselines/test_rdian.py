"""RDIAN: its fixed differences and what they light up, its first weights, padding and the quirks of its gates."""

from __future__ import annotations

import math
from collections.abc import Iterable

import pytest
import torch
from torch import Tensor, nn

from baselines.rdian import RDIAN, ChannelGate
from bench.models.losses import soft_iou
from tests.parity import rule

KERNELS = tuple(f"d1{k}.weight" for k in range(1, 9))


def filled() -> RDIAN:
    network = RDIAN()
    rule.fill(network, gain=1.0, kept=r"^d1[1-8]\.weight$")
    return network.eval()


def test_padding_by_the_network_equals_padding_before_it() -> None:
    network, image = filled(), rule.image(31, 21, channels=1)
    with torch.no_grad():
        padded = nn.functional.pad(image, (0, 1, 0, 1))
        assert torch.equal(network(image), network(padded)[..., :31, :21])


def test_the_differences_go_round_clockwise_from_the_upper_left_two_pixels_away() -> None:
    ramp = torch.arange(49.0).view(1, 1, 7, 7)  # 7 more a row, 1 more a column
    network = RDIAN()
    at_centre = [float(getattr(network, f"d1{k}")(ramp)[0, 0, 3, 3]) for k in range(1, 9)]
    assert at_centre == [2 * 8, 2 * 7, 2 * 6, -2 * 1, -2 * 8, -2 * 7, -2 * 6, 2 * 1]


def test_outside_the_image_the_differences_see_zeros() -> None:
    bright = torch.full((1, 1, 4, 4), 3.0)
    assert RDIAN().d12(bright)[0, 0].tolist() == [[3.0] * 4] * 2 + [[0.0] * 4] * 2


def test_the_direction_attention_lights_up_spots_and_not_edges() -> None:
    spot, edge = torch.zeros(1, 1, 9, 9), torch.zeros(1, 1, 9, 9)
    spot[..., 4, 4] = 1
    edge[..., 5:] = 1
    network = RDIAN()
    assert float(network.direction_attention(spot)[0, 0, 4, 4]) == pytest.approx(1 / (1 + math.exp(-4)))
    assert network.direction_attention(edge)[0, 0, 2:-2, 2:-2].tolist() == [[0.5] * 5] * 5


def test_the_fixed_kernels_outlast_training_with_weight_decay() -> None:
    network = RDIAN()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    optimiser = torch.optim.Adagrad(network.parameters(), lr=5e-3, weight_decay=1e-4)
    image = rule.image(32, 32, channels=1)
    soft_iou(network(image), (image > 0.95).float()).backward()
    optimiser.step()
    unmoved = {name for name, p in network.named_parameters() if torch.equal(p, before[name])}
    assert unmoved == set(KERNELS)


def test_the_first_weights_are_drawn_as_its_authors_draw_them() -> None:
    """Tolerances are four standard errors of each estimate, from 215,546 kernel weights and 457 norms, rounded up."""
    torch.manual_seed(0)
    modules = list(RDIAN().modules())
    kernels = together(module.weight for module in modules if isinstance(module, nn.Conv2d))
    norms = [module for module in modules if isinstance(module, nn.BatchNorm2d)]
    scales, biases = together(norm.weight for norm in norms), together(norm.bias for norm in norms)
    assert moments(kernels) == (pytest.approx(0, abs=2e-4), pytest.approx(0.02, abs=2e-4))
    assert moments(scales) == (pytest.approx(1, abs=4e-3), pytest.approx(0.02, abs=3e-3))
    assert moments(biases) == (pytest.approx(0, abs=0.19), pytest.approx(1, abs=0.14))


def together(tensors: Iterable[Tensor]) -> Tensor:
    return torch.cat([tensor.detach().flatten() for tensor in tensors])


def moments(values: Tensor) -> tuple[float, float]:
    return float(values.mean()), float(values.std())


def test_the_channel_gate_counts_its_last_bias_twice() -> None:
    """Once for the mean and once for the maximum: a bias of log(3) / 2 gates by 3/4."""
    gate = ChannelGate(2)
    nn.init.zeros_(gate.mlp[3].weight)
    nn.init.constant_(gate.mlp[3].bias, math.log(3) / 2)
    torch.testing.assert_close(gate(torch.ones(1, 2, 3, 3)), torch.full((1, 2, 3, 3), 0.75))


def test_only_the_pixel_gates_norm_is_slow() -> None:
    momentum = {name: m.momentum for name, m in RDIAN().named_modules() if isinstance(m, nn.BatchNorm2d)}
    assert {name for name, value in momentum.items() if value != 0.1} == {"cbam.SpatialGate.spatial.bn"}
    assert momentum["cbam.SpatialGate.spatial.bn"] == 0.01
