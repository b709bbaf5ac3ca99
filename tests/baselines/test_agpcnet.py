"""AGPCNet: blocks of unequal sizes, small images, gammas that start at 0, and its settings."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from baselines.agpcnet import AGCB, SCALES, AGPCNet, AsymFusion, ContextPyramid, NonLocal, cut
from bench.cost.measure import count_fvcore
from bench.models.losses import soft_iou_sample
from bench.models.network import build_model, parameter_count
from tests.parity import rule


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(3))


def filled(channels: int = 3, scales: tuple[int, ...] = SCALES) -> AGPCNet:
    network = AGPCNet(channels=channels, scales=scales)
    rule.fill(network, gain=1.0, replaced={"gamma": 5.0})
    return network.eval()


def block_by_block(context: AGCB, x: Tensor, gate: Tensor) -> Tensor:
    """`attend` as the paper tells it."""
    s, (H, W) = context.scale, x.shape[2:]
    out = torch.empty_like(x)
    for i in range(s):
        for j in range(s):
            rows = slice(i * (H // s), H if i == s - 1 else (i + 1) * (H // s))
            columns = slice(j * (W // s), W if j == s - 1 else (j + 1) * (W // s))
            out[:, :, rows, columns] = context.non_local(x[:, :, rows, columns]) * gate[:, :, i : i + 1, j : j + 1]
    return out


@pytest.mark.parametrize(
    ("height", "width", "scale"), [(12, 12, 3), (13, 12, 3), (12, 17, 5), (19, 13, 10), (10, 10, 10), (7, 5, 1)]
)
@torch.no_grad()
def test_blocks_of_equal_size_together_equal_one_block_at_a_time(height: int, width: int, scale: int) -> None:
    context = AGCB(32, scale)
    rule.fill(context, gain=1.0, replaced={"gamma": 5.0})
    x, gate = noise(2, 32, height, width), noise(2, 32, scale, scale).sigmoid()
    torch.testing.assert_close(context.attend(x, gate), block_by_block(context, x, gate))


def test_what_is_left_over_falls_to_the_last_block() -> None:
    x = torch.arange(32.0).reshape(1, 1, 32, 1)
    gate = torch.arange(10.0).reshape(1, 1, 10, 1)
    (first, gates), (last, gate_of_last) = cut(x, gate, axis=2)
    assert (first.shape[2], gates.shape[2]) == (27, 9)
    assert last.flatten().tolist() == [27, 28, 29, 30, 31]
    assert gate_of_last.flatten().tolist() == [9]
    ((whole, all_gates),) = cut(x[:, :, :30], gate, axis=2)
    assert (whole.shape[2], all_gates.shape[2]) == (30, 10)


def test_attention_is_a_sum_over_values_whose_weights_are_soft_maxima_of_unscaled_products() -> None:
    attend = NonLocal(1, 1)
    for conv, weight in ((attend.query_conv, 1.0), (attend.key_conv, 2.0), (attend.value_conv, 3.0)):
        nn.init.constant_(conv.weight, weight)
        nn.init.zeros_(conv.bias)
    nn.init.constant_(attend.gamma, 0.5)
    x = torch.tensor([[[[1.0, -1.0]]]])
    share = torch.sigmoid(torch.tensor(4.0))  # of the pixel itself: products 2 and -2 with itself and the other
    taken = 3 * (2 * share - 1)
    torch.testing.assert_close(attend(x), torch.stack([1 + 0.5 * taken, -1 - 0.5 * taken]).reshape(1, 1, 1, 2))


@torch.no_grad()
def test_at_first_the_pyramid_hands_on_five_copies_of_the_reduced_map() -> None:
    torch.manual_seed(0)
    context, seen = ContextPyramid(512, (10, 6, 5, 3)).eval(), []
    context.conv2.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    x = noise(1, 512, 12, 16)
    context(x)
    assert torch.equal(seen[0], context.conv1(x).repeat(1, 5, 1, 1))


def test_at_first_only_the_outer_gammas_learn_and_no_attention_yet() -> None:
    torch.manual_seed(0)
    network = AGPCNet().train()
    image = torch.rand(2, 3, 80, 80, generator=torch.Generator().manual_seed(5))
    soft_iou_sample(network(image), (image[:, :1] > 0.95).float()).backward()
    still = {name for name, p in network.named_parameters() if not p.grad.any()}
    blocks = {name for name, _ in network.named_parameters() if name.startswith("context.scale_list")}
    assert still == {name for name in blocks if not name.endswith(tuple(f"list.{i}.gamma" for i in range(4)))}


def test_fusion_gates_after_its_last_convolution() -> None:
    fusion = AsymFusion(8, 4).eval()
    rule.fill(fusion, gain=1.0)
    high, low = noise(1, 8, 3, 3), noise(1, 4, 6, 6)
    with torch.no_grad():
        deep = fusion.plus_conv(nn.functional.interpolate(high, (6, 6), mode="bilinear", align_corners=True))
        by_hand = fusion.end_conv(low + deep) * fusion.ca(deep) * fusion.pa(low)
        torch.testing.assert_close(fusion(high, low), by_hand)
    assert fusion.ca(deep).shape == (1, 4, 1, 1)


@pytest.mark.parametrize(("size", "padded"), [((10, 40), (32, 40)), ((35, 50), (40, 56))])
@torch.no_grad()
def test_padding_by_the_network_equals_padding_before_it(size: tuple[int, int], padded: tuple[int, int]) -> None:
    network, image = filled(1, (4, 2)), rule.image(*size, channels=1)
    (H, W), (height, width) = size, padded
    by_hand = nn.functional.pad(image, (0, width - W, 0, height - H))
    assert torch.equal(network(image), network(by_hand)[..., :H, :W])


def test_the_least_side_follows_the_largest_scale() -> None:
    assert AGPCNet(channels=1).pad(torch.zeros(1, 1, 3, 85)).shape == (1, 1, 80, 88)
    assert AGPCNet(channels=1, scales=(4, 2)).pad(torch.zeros(1, 1, 3, 35)).shape == (1, 1, 32, 40)


def test_other_scales_are_built_from_their_text() -> None:
    network = build_model("AGPCNet", channels=3, settings={"scales": "10-6-5-4"})
    assert [block.scale for block in network.context.scale_list] == [10, 6, 5, 4]


@pytest.mark.parametrize("scales", ["", "10,6", "10--6", "-3", "10-6.5"])
def test_scales_that_are_no_numbers_are_refused(scales: str) -> None:
    with pytest.raises(ValueError, match="expected whole numbers joined by hyphens, such as 10-6-5-3"):
        build_model("AGPCNet", channels=3, settings={"scales": scales})


def test_a_scale_of_zero_blocks_is_refused() -> None:
    with pytest.raises(ValueError, match=r"scales is \(10, 0\), expected one or more numbers of blocks"):
        AGPCNet(scales=(10, 0))


def test_one_channel_costs_6272_parameters_less() -> None:
    """Two channels of the 64 first 7x7 kernels."""
    assert parameter_count(AGPCNet(channels=1)) == 12_360_461 - 2 * 64 * 49


def test_a_batch_of_one_cannot_be_trained_on() -> None:
    with pytest.raises(ValueError, match="Expected more than 1 value per channel when training"):
        filled().train()(rule.image(80, 80, channels=3))


def test_kernels_start_with_kaimings_numbers_by_fan_out() -> None:
    torch.manual_seed(0)
    network = AGPCNet()
    deepest = network.backbone.layer4[0].conv1.weight.detach()  # 512 x 256 x 3 x 3
    assert float(deepest.std()) == pytest.approx((2 / (512 * 9)) ** 0.5, rel=0.01)  # 1,179,648 numbers
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    assert all((m.weight == 1).all() and (m.bias == 0).all() for m in norms)
    gammas = [p.detach() for name, p in network.named_parameters() if name.endswith("gamma")]
    assert [float(gamma) for gamma in gammas] == [0.0] * 12


def test_its_operators_can_be_counted_by_tracing() -> None:
    count, unsupported = count_fvcore(AGPCNet(channels=1, scales=(3,)).eval(), torch.zeros(1, 1, 32, 40), None)
    assert count is not None
    assert "aten::matmul" not in unsupported
