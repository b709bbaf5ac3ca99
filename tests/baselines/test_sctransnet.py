"""SCTransNet: its six maps, its summed loss, and the quirks it keeps from its authors' code."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from baselines.sctransnet import CCA, ChannelAttention, EfficientChannelAttention, SCTransNet
from bench.models.losses import cross_entropy
from bench.models.network import Batch, parameter_count
from tests.parity import rule


def filled(channels: int = 1) -> SCTransNet:
    network = SCTransNet(channels=channels)
    rule.fill(network, gain=1.0)
    return network.eval()


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(3))


def test_forward_gives_the_last_of_the_six_maps_and_not_the_fused_one() -> None:
    network, image = filled(), rule.image(40, 50, channels=1)
    with torch.no_grad():
        maps = network.heads(image)
        assert [tuple(logits.shape) for logits in maps] == [(1, 1, 40, 50)] * 6
        assert torch.equal(network(image), maps[5])
        assert not torch.equal(network(image), maps[4])


def test_the_training_loss_is_the_sum_over_the_six_maps() -> None:
    network, image = filled(), rule.image(32, 48, channels=1)
    mask = (image > 0.95).float()
    batch = Batch(image, mask, None, torch.arange(1), ("one",), ((32, 48),), None)
    with torch.no_grad():
        by_hand = sum(float(cross_entropy(logits, mask)) for logits in network.heads(image))
        loss = float(network.training_loss(batch, cross_entropy, epoch=1))
    assert loss == pytest.approx(by_hand, rel=1e-6)  # six numbers added in float32


def test_padding_by_the_network_equals_padding_before_it() -> None:
    network, image = filled(), rule.image(30, 20, channels=1)
    with torch.no_grad():
        padded = nn.functional.pad(image, (0, 12, 0, 2))
        assert torch.equal(network(image), network(padded)[..., :30, :20])


def test_three_channels_cost_640_parameters_more() -> None:
    """Two more channels of the 32 first 3x3 kernels and of the 32 of their shortcut."""
    assert parameter_count(SCTransNet(channels=3)) == 11_325_939 + 2 * 32 * (9 + 1)


def test_dead_embeddings_and_scalars_change_nothing() -> None:
    network, image = filled(), rule.image(32, 32, channels=1)
    with torch.no_grad():
        before = network(image)
        for name, parameter in network.named_parameters():
            if "position_embeddings" in name or "_attn" in name.rpartition(".")[2]:
                parameter.add_(1)
        assert torch.equal(network(image), before)


def test_skips_hold_the_encoder_twice() -> None:
    """With a transformer that adds nothing, a decoder block is given twice what the encoder made."""
    network = filled()
    for level in network.mtc.levels("reconstruct_"):
        nn.init.zeros_(level.norm.weight)
        nn.init.zeros_(level.norm.bias)
    seen: list[Tensor] = []
    network.inc.register_forward_hook(lambda module, inputs, output: seen.append(output))
    network.up_decoder1.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[1]))
    with torch.no_grad():
        network(rule.image(32, 32, channels=1))
    encoded, skip = seen
    assert torch.equal(skip, 2 * encoded)


def test_channels_that_are_all_alike_take_the_mean_of_all_values() -> None:
    """Queries of zeros score every channel alike, so that each of the 480 weighs the same."""
    attention = ChannelAttention()
    for q, project_out in zip(attention.levels("q"), attention.levels("project_out"), strict=True):
        nn.init.zeros_(q.weight)
        nn.init.dirac_(project_out.weight)
    maps, joined = [noise(2, c, 3, 4) for c in (32, 64, 128, 256)], noise(2, 480, 3, 4)
    with torch.no_grad():
        taken = attention(maps, joined)
        mean = attention.v(attention.mheadv(joined)).mean(1, keepdim=True)
    assert [tuple(x.shape) for x in taken] == [tuple(x.shape) for x in maps]
    for x in taken:
        torch.testing.assert_close(x, mean.expand_as(x))


def test_attention_does_not_change_with_the_strength_of_queries_and_keys() -> None:
    attention = ChannelAttention()
    maps, joined = [noise(1, c, 4, 4) for c in (32, 64, 128, 256)], noise(1, 480, 4, 4)
    with torch.no_grad():
        before = attention(maps, joined)
        attention.k.weight.mul_(50)
        after = attention([100 * x for x in maps], joined)
    for x, y in zip(before, after, strict=True):
        torch.testing.assert_close(x, y)


def test_eca_gates_a_channel_by_its_own_mean_and_its_neighbours() -> None:
    eca = EfficientChannelAttention()
    eca.conv[0].weight.data = torch.tensor([[[1.0, 2.0, 3.0]]])
    x = torch.tensor([0.1, 0.2, 0.3]).reshape(1, 3, 1, 1).expand(1, 3, 2, 2)
    gates = torch.sigmoid(torch.tensor([0.8, 1.4, 0.8])).reshape(1, 3, 1, 1)
    torch.testing.assert_close(eca(x), x * gates)


def test_cca_gates_the_skip_by_the_mean_of_two_votes_and_drops_what_is_negative() -> None:
    cca = CCA(1)
    for vote, weight in ((cca.mlp_x, 2.0), (cca.mlp_g, 4.0)):
        nn.init.constant_(vote[1].weight, weight)
        nn.init.zeros_(vote[1].bias)
    skip = torch.tensor([[[[3.0, -1.0]]]])  # mean 1
    deep = torch.tensor([[[[0.5, 0.5]]]])
    gate = torch.sigmoid(torch.tensor((2 * 1 + 4 * 0.5) / 2))
    torch.testing.assert_close(cca(deep, skip), torch.tensor([[[[3.0, 0.0]]]]) * gate)


def test_kernels_start_with_kaimings_numbers_and_norms_near_one() -> None:
    torch.manual_seed(0)
    network = SCTransNet()
    kernel = network.down_encoder4[0].conv1.weight.detach()  # fan in 256 * 9
    assert float(kernel.std()) == pytest.approx((2 / (256 * 9)) ** 0.5, rel=0.01)  # 589,824 numbers
    matrix = network.up_decoder4.coatt.mlp_x[1].weight.detach()
    assert float(matrix.std()) == pytest.approx((2 / 256) ** 0.5, rel=0.02)  # 65,536 numbers
    scales = torch.cat([m.weight.detach() for m in network.modules() if isinstance(m, nn.BatchNorm2d)])
    assert float(scales.mean()) == pytest.approx(1, abs=2e-3)
    assert float(scales.std()) == pytest.approx(0.02, rel=0.1)  # 4,000 numbers
    scalars = [p.detach() for name, p in network.named_parameters() if "_attn" in name.rpartition(".")[2]]
    assert len(scalars) == 4 * 16
    assert all(float(scalar) == pytest.approx(0.2) for scalar in scalars)
    assert not any(p.any() for name, p in network.named_parameters() if "position_embeddings" in name)
