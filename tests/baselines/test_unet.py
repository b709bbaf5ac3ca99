"""U-Net: padding, up-sampling, learning at other widths than the published one."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from baselines.unet import UNet, UpConv
from bench.models.losses import soft_iou
from bench.models.network import build_model
from tests.parity import rule


def slim() -> UNet:
    network = UNet(width=4)
    rule.fill(network, gain=1.2)
    return network.eval()


def test_padding_by_the_network_equals_padding_before_it() -> None:
    network, image = slim(), rule.image(30, 20, channels=1)
    with torch.no_grad():
        padded = nn.functional.pad(image, (0, 12, 0, 2))
        assert torch.equal(network(image), network(padded)[..., :30, :20])


def test_up_sampling_repeats_every_pixel() -> None:
    up = UpConv(1, 1)
    nn.init.dirac_(up.up[1].weight)  # the kernel that leaves a map as it is
    nn.init.zeros_(up.up[1].bias)
    doubled = up.eval()(torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]))
    wanted = torch.tensor([[[[1.0, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]]])
    torch.testing.assert_close(doubled, wanted / (1 + 1e-5) ** 0.5)  # the norm's epsilon


def test_every_parameter_learns_also_from_a_single_image_but_biases_before_a_norm() -> None:
    network = slim().train()
    image = rule.image(64, 64, channels=1)
    soft_iou(network(image), (image > 0.95).float()).backward()
    before_norms = {f"{block}.bias" for block, m in network.named_modules() if isinstance(m, nn.Conv2d)} - {"Conv.bias"}
    largest = {name: float(p.grad.abs().max()) for name, p in network.named_parameters() if p.grad is not None}
    assert largest.keys() == dict(network.named_parameters()).keys()
    assert max(largest[name] for name in before_norms) < 1e-6  # rounding: a norm takes any bias away again
    assert min(largest[name] for name in largest.keys() - before_norms) > 1e-6


def test_a_width_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="U-Net: width is 0, expected 1 or more channels"):
        build_model("U-Net", channels=1, settings={"width": 0})
