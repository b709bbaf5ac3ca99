"""UIU-Net: how its small U-Nets shrink and widen, what its cross attention shares, the loss of its seven outputs."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from baselines.uiunet import RSU, ConvNormReLU, DilatedRSU, InteractiveCrossAttention, UIUNet
from bench.errors import RequestError
from bench.models.losses import cross_entropy
from bench.models.network import Batch, build_model, parameter_count
from tests.parity import rule


@pytest.fixture(scope="module")
def network() -> UIUNet:
    network = UIUNet(channels=1)
    rule.fill(network, gain=1.2)
    return network


def batch_of(count: int, *, side: int) -> Batch:
    image = torch.rand(count, 1, side, side, generator=torch.Generator().manual_seed(1))
    names = [str(i) for i in range(count)]
    return Batch(image, (image > 0.9).float(), None, torch.arange(count), names, [(side, side)] * count, None)


def sizes_in(block: RSU) -> dict[str, tuple[int, ...]]:
    """The size of the map that each convolution of the block is given, by its name."""
    sizes: dict[str, tuple[int, ...]] = {}

    def note(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        sizes[names[module]] = tuple(inputs[0].shape[-2:])

    names = {module: name for name, module in block.items()}
    for module in names:
        module.register_forward_pre_hook(note)
    block(torch.zeros(2, 1, 13, 9))
    return sizes


def test_a_small_u_net_rounds_odd_sizes_up_and_does_not_pool_before_its_deepest_level() -> None:
    sizes = sizes_in(RSU(1, 2, 3, levels=5))
    assert [sizes[f"rebnconv{level}"] for level in (1, 2, 3, 4, 5)] == [(13, 9), (7, 5), (4, 3), (2, 2), (2, 2)]
    assert [sizes[f"rebnconv{level}d"] for level in (4, 3, 2, 1)] == [(2, 2), (4, 3), (7, 5), (13, 9)]


def test_the_deepest_small_u_nets_look_further_by_dilation_alone() -> None:
    dilations = [
        block.conv_s1.dilation[0] for block in DilatedRSU(1, 2, 3).children() if isinstance(block, ConvNormReLU)
    ]
    assert dilations == [1, 1, 2, 4, 8, 4, 2, 1]


def test_both_halves_of_the_cross_attention_move_one_norm_the_shallow_one_first() -> None:
    fuse = InteractiveCrossAttention(4)
    rule.fill(fuse, gain=1.2)
    kernel, norm = fuse.post[0], fuse.post[1]
    before: list[Tensor] = []
    kernel.register_forward_hook(lambda *hooked: before.append(hooked[2].detach().mean((0, 2, 3))))
    past = norm.running_mean.clone()
    fuse.train()(rule.value_of("high", (2, 4, 6, 6), gain=1), torch.zeros(2, 4, 6, 6))
    shallow, deep = before
    torch.testing.assert_close(shallow, kernel.bias.detach())  # all that a kernel makes of shallow zeros
    torch.testing.assert_close(norm.running_mean, 0.9 * (0.9 * past + 0.1 * shallow) + 0.1 * deep)


def test_the_training_loss_is_the_sum_over_seven_outputs_at_the_masks_size(network: UIUNet) -> None:
    shapes: list[torch.Size] = []

    def one_each(logits: Tensor, mask: Tensor) -> Tensor:
        shapes.append(logits.shape)
        return cross_entropy(0 * logits, mask)

    with torch.no_grad():
        total = network.eval().training_loss(batch_of(2, side=33), one_each, epoch=1)
    assert shapes == [(2, 1, 33, 33)] * 7
    assert float(total) == pytest.approx(7 * math.log(2))


def test_the_judged_output_comes_first_and_is_made_of_the_sides_logits(network: UIUNet) -> None:
    image = batch_of(1, side=20).image
    with torch.no_grad():
        fused, *sides = network.eval().heads(image)
        assert torch.equal(network(image), fused)
    weights, bias = network.outconv.weight.flatten(), network.outconv.bias
    by_hand = sum(weight * side for weight, side in zip(weights, sides, strict=True)) + bias
    torch.testing.assert_close(fused, by_hand)


def test_a_batch_of_one_cannot_be_trained_on(network: UIUNet) -> None:
    with pytest.raises(ValueError, match="Expected more than 1 value per channel when training"):
        network.train().training_loss(batch_of(1, side=64), cross_entropy, epoch=1)


def test_a_narrow_network_is_the_published_one_in_proportion() -> None:
    narrow = build_model("UIU-Net", channels=1, settings={"width": 4}).eval()
    assert parameter_count(narrow) == 201_749
    assert narrow(torch.zeros(1, 1, 70, 90)).shape == (1, 1, 70, 90)
    with pytest.raises(RequestError, match="width is 6, expected a multiple of 4 channels"):
        build_model("UIU-Net", channels=1, settings={"width": 6})
