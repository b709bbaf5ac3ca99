"""DFINet's blocks on maps small enough to check by hand."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F

from dfinet.blocks import DSFM, MADRB, CentralDifferenceConv, CoordinateAttention, Feedback, SqueezeExcitation


def test_a_central_difference_of_a_constant_map_is_what_the_difference_leaves() -> None:
    conv = CentralDifferenceConv(1, 1)
    torch.nn.init.ones_(conv.conv.weight)
    out = conv(torch.ones(1, 1, 3, 3))
    assert out[0, 0, 1, 1].item() == pytest.approx(9 - 0.7 * 9)
    assert out[0, 0, 0, 0].item() == pytest.approx(4 - 0.7 * 9)  # the corner sees four pixels and five zeros


def test_a_central_difference_folds_into_one_kernel() -> None:
    conv = CentralDifferenceConv(3, 5)
    x = torch.rand(2, 3, 7, 6)
    folded = conv.conv.weight.detach().clone()
    folded[:, :, 1, 1] -= 0.7 * folded.sum((2, 3))
    torch.testing.assert_close(conv(x), F.conv2d(x, folded, padding=1))


def test_the_hard_mask_is_the_top_left_pixel_of_each_cell_and_loses_the_rest() -> None:
    mask = torch.zeros(1, 1, 4, 4)
    mask[0, 0, 0, 0] = 0.6
    mask[0, 0, 1, 3] = 1.0  # neither row nor column is even
    mask[0, 0, 2, 2] = 0.5  # not above the threshold
    assert Feedback.nearest(mask, (2, 2)).hard[0, 0].tolist() == [[True, False], [False, False]]


def test_the_soft_mask_is_the_mean_of_four_pixels_at_half_size_and_untouched_at_full() -> None:
    mask = torch.arange(16.0).view(1, 1, 4, 4) / 16
    assert Feedback.nearest(mask, (2, 2)).soft[0, 0, 0, 0].item() == pytest.approx((0 + 1 + 4 + 5) / 4 / 16)
    assert torch.equal(Feedback.nearest(mask, (4, 4)).soft, mask)


def test_a_pooled_mask_loses_no_pixel_as_maximum_pooling_would_not() -> None:
    mask = torch.zeros(1, 1, 4, 4)
    mask[0, 0, 1, 3] = 0.1
    mask[0, 0, 2:, :2] = 1.0
    feedback = Feedback.mean_pooled(mask, (2, 2))
    assert feedback.hard[0, 0].tolist() == [[False, True], [True, False]]
    assert feedback.soft.flatten().tolist() == pytest.approx([0, 0.1 / 4, 1, 0])
    assert torch.equal(feedback.hard, F.max_pool2d(mask, 2) != 0)


def test_coordinate_attention_with_zero_weights_keeps_a_quarter() -> None:
    attention = CoordinateAttention(4).eval()
    for parameter in attention.parameters():
        torch.nn.init.zeros_(parameter)
    x = torch.rand(1, 4, 3, 5)
    torch.testing.assert_close(attention(x), x / 4)


def test_squeeze_and_excitation_with_its_one_unit_off_keeps_a_half() -> None:
    block = SqueezeExcitation(3)
    torch.nn.init.constant_(block.fc[0].weight, -1.0)
    x = torch.rand(2, 3, 4, 4)
    torch.testing.assert_close(block(x), x / 2)


@pytest.mark.parametrize(
    ("value", "factor"), [(0.0, 1.0), (0.5, (1.5 + 1.0) / 2), (1.0, 1.5), (0.75, (1.75 + 1.0625) / 2)]
)
def test_dsfm_of_two_equal_maps_is_the_map_times_the_mean_of_its_two_weightings(value: float, factor: float) -> None:
    """At 0.75: 1 + 0.75, and 1 + 0.5 * (1 - 2 * 0.25) * 0.25; alpha is zero, so each path has a half."""
    x = torch.rand(2, 8, 4, 4)
    mask = torch.full((2, 1, 4, 4), value)
    torch.testing.assert_close(DSFM(8)(x, x, Feedback(mask > 0.5, mask)), x * factor)


def test_the_training_form_of_a_central_difference_is_the_one_as_written() -> None:
    conv = CentralDifferenceConv(3, 4).double()
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    assert torch.allclose(conv.train()(x), conv.eval()(x), atol=1e-13)


def test_the_training_form_of_dsfm_is_the_one_as_written_gradients_included() -> None:
    torch.manual_seed(0)
    dsfm = DSFM(8).double()
    with torch.no_grad():
        dsfm.alpha.copy_(torch.tensor([0.3, -0.2]))
    low, high = (torch.randn(2, 8, 6, 5, dtype=torch.float64, requires_grad=True) for _ in range(2))
    feedback = Feedback.nearest(torch.rand(2, 1, 6, 5, dtype=torch.float64), (6, 5))
    outs, grads = [], []
    for training in (True, False):
        out = dsfm.train(training)(low, high, feedback)
        outs.append(out.detach())
        grads.append(torch.autograd.grad(out.square().sum(), [low, high, *dsfm.parameters()]))
    assert torch.allclose(*outs, atol=1e-13)
    for ours, written in zip(*grads, strict=True):
        assert torch.allclose(ours, written, atol=1e-11)


def test_the_dead_shortcut_moves_its_running_statistics_without_a_map() -> None:
    torch.manual_seed(0)
    block = MADRB(3, 8).double()
    norm = deepcopy(block.bn3)
    for _ in range(3):
        x = torch.randn(2, 3, 9, 7, dtype=torch.float64) * 4 + 100
        norm(block.conv3(x))
        block(x)
    assert block.bn3.num_batches_tracked == norm.num_batches_tracked == 3
    assert block.bn3.running_mean is not None
    assert block.bn3.running_var is not None
    assert torch.allclose(block.bn3.running_mean, norm.running_mean, rtol=1e-12)
    assert torch.allclose(block.bn3.running_var, norm.running_var, rtol=1e-12)
