"""ISTDU-Net: its split and external attention by hand, its dead head, and how it starts."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from baselines.istdunet import Bottleneck, ExternalAttention, ISTDUNet, SplitAttention
from bench.models.network import parameter_count
from tests.parity import rule


def filled(channels: int = 1) -> ISTDUNet:
    network = ISTDUNet(channels=channels)
    rule.fill(network, gain=1.0)
    return network.eval()


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(3))


def test_padding_by_the_network_equals_padding_before_it() -> None:
    network, image = filled(), rule.image(30, 20, channels=1)
    with torch.no_grad():
        padded = nn.functional.pad(image, (0, 4, 0, 2))
        assert torch.equal(network(image), network(padded)[..., :30, :20])


def test_three_channels_cost_288_parameters_more() -> None:
    """Two more channels of the 16 first 3x3 kernels; the norm before them has none."""
    assert parameter_count(ISTDUNet(channels=3)) == 2_761_138 + 2 * 16 * 9


def test_images_are_normalised_by_running_statistics_alone() -> None:
    norm = ISTDUNet(channels=3).down.stem[0]
    assert list(norm.parameters()) == []
    assert norm.running_mean.shape == (3,)


def test_the_second_head_changes_nothing() -> None:
    network, image = filled(), rule.image(32, 32, channels=1)
    with torch.no_grad():
        before = network(image)
        for parameter in network.headDet.parameters():
            parameter.add_(1)
        assert torch.equal(network(image), before)
    assert parameter_count(network.headDet) == 9_265


def test_a_batch_of_one_cannot_be_trained_on() -> None:
    with pytest.raises(ValueError, match="Expected more than 1 value per channel when training"):
        filled().train()(rule.image(32, 32, channels=1))


@torch.no_grad()
def test_split_attention_is_laid_out_by_group_and_then_by_view() -> None:
    """16 channels are 4 groups of 4; of `fc2`'s 32 numbers, 8 are a group's: 4 for the first view, 4 for the second."""
    attention = SplitAttention(16).eval()
    rule.fill(attention, gain=1.0)
    nn.init.zeros_(attention.fc2.weight)
    bias = torch.zeros(4, 2, 4)
    bias[1, 0, 2] = 100  # channel 4 * 1 + 2 sees the first view alone
    bias[3, 1, 0] = 100  # channel 4 * 3 + 0 the second
    attention.fc2.bias.copy_(bias.flatten())
    x = noise(1, 16, 5, 6)
    first, second = attention.bn0(attention.conv(x)).relu().split(16, 1)
    mixed = (first + second) / 2
    mixed[:, 6], mixed[:, 12] = first[:, 6], second[:, 12]
    torch.testing.assert_close(attention(x), mixed)


@torch.no_grad()
def test_a_stage_is_made_smaller_after_its_split_attention() -> None:
    block, seen = Bottleneck(64, 32, 2).eval(), []
    block.conv2.register_forward_hook(lambda module, inputs, output: seen.append(output))
    block.conv3.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    assert block(noise(1, 64, 8, 12)).shape == (1, 128, 4, 6)
    attended, pooled = seen
    assert attended.shape == (1, 32, 8, 12)
    corner = attended[:, :, :2, :2].sum((2, 3)) / 9  # nine pixels, of which five are zeros of the padding
    torch.testing.assert_close(pooled[:, :, 0, 0], corner)


@torch.no_grad()
def test_external_attention_divides_a_softmax_over_pixels_by_its_sum_over_rows() -> None:
    attend = ExternalAttention(64).eval()
    for conv in (attend.conv1, attend.linear_0, attend.linear_1, attend.conv2[0]):
        nn.init.dirac_(conv.weight)
    nn.init.zeros_(attend.conv1.bias)
    nn.init.constant_(attend.conv2[1].running_var, 1 - attend.conv2[1].eps)  # the norm as the identity
    x = torch.zeros(1, 64, 1, 2)
    x[0, 0, 0, 0] = 2.0
    over_pixels = torch.full((64, 2), 0.5)
    over_pixels[0] = torch.softmax(torch.tensor([2.0, 0.0]), 0)
    by_hand = (over_pixels / over_pixels.sum(0)).reshape(1, 64, 1, 2) + x
    torch.testing.assert_close(attend(x), by_hand)


def test_memories_start_as_one_matrix_and_learn_as_two() -> None:
    torch.manual_seed(0)
    attend = ISTDUNet().DN.X2
    assert torch.equal(attend.linear_0.weight, attend.linear_1.weight.transpose(0, 1))
    with torch.no_grad():
        attend.linear_1.weight.add_(1)
    assert not torch.equal(attend.linear_0.weight, attend.linear_1.weight.transpose(0, 1))


def test_kernels_start_as_wide_as_their_area_and_output_channels_say() -> None:
    torch.manual_seed(0)
    network = ISTDUNet()
    split = network.down.down.layer4[0].conv2.conv.weight.detach()  # 3x3, 256 outputs, whatever the groups
    assert float(split.std()) == pytest.approx((2 / (9 * 256)) ** 0.5, rel=0.02)  # 36,864 numbers
    memory = network.DN.X4.linear_1.weight.detach()  # 1 pixel, 512 outputs
    assert float(memory.std()) == pytest.approx((2 / 512) ** 0.5, rel=0.02)  # 32,768 numbers
