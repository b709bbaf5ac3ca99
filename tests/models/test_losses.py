"""The losses against the values and gradients of the public repositories' own."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.models.losses import LOSSES, get_loss, location_loss

GOLDEN = Path(__file__).parents[1] / "parity" / "golden"
TINY = json.loads((GOLDEN / "losses_tiny.json").read_text())["losses"]
CASES = [case for case in TINY if case.startswith("loss_logits")]
OURS = {
    "DFINet_DiceBCELoss": "dice-bce",
    "DFINet_DiceLoss": "dice",
    "DNANet_SoftIoULoss_on_logits": "soft-iou",
    "BasicIRSTD_SoftIoULoss_on_prob": "soft-iou",
    "UIUNet_BCELoss_on_prob": "bce",
}
PRINTED = 1e-6  # six printed digits and float32 sums


def tiny_tensors(case: str) -> tuple[Tensor, Tensor]:
    """Logits and mask (2, 1, 8, 8), float64, of a case such as `loss_logits x2.0 target soft`."""
    tag, scale, _, kind = case.split()
    logits = np.random.default_rng(zlib.crc32(tag.encode())).standard_normal((2, 1, 8, 8)) * float(scale[1:])
    binary = np.random.default_rng(zlib.crc32(b"loss_target")).random((2, 1, 8, 8)) > 0.8
    mask = {"binary": 1.0 * binary, "empty": 0.0 * binary, "soft": 0.75 * binary + 0.1}[kind]
    return torch.from_numpy(logits), torch.from_numpy(mask)


def vector() -> tuple[Tensor, Tensor]:
    """Logits and mask (2, 1, 16, 24), float32, of the published test vector."""
    stored = np.load(GOLDEN / "losses.npz")
    return torch.from_numpy(stored["logits"]), torch.from_numpy(stored["target"])


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("theirs", OURS)
def test_values_and_gradients_equal_the_reference_implementations(case: str, theirs: str) -> None:
    logits, mask = tiny_tensors(case)
    logits.requires_grad_()
    value = get_loss(OURS[theirs])(logits, mask)
    (gradient,) = torch.autograd.grad(value, logits)
    golden = TINY[case][theirs]
    assert value.item() == pytest.approx(golden["value"], rel=1e-12)
    assert gradient.norm().item() == pytest.approx(golden["grad_l2"], rel=1e-9)
    assert gradient.sum().item() == pytest.approx(golden["grad_sum"], rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("dice-bce", 0.679741),
        ("dice", 0.963597),
        ("bce", 0.395886),
        ("soft-iou", 0.978852),
        ("soft-iou-sample", 0.973663),
        ("sls-warm-up", 0.984072),
        ("sls", 1.905316),
    ],
)
def test_losses_of_the_test_vector_have_their_published_values(name: str, value: float) -> None:
    logits, mask = vector()
    assert get_loss(name)(logits, mask).item() == pytest.approx(value, abs=PRINTED)


@pytest.mark.parametrize(("name", "value"), [("sls-warm-up", 1.0), ("sls", 2.241785)])
def test_sls_of_an_empty_mask_has_its_published_value(name: str, value: float) -> None:
    logits, mask = vector()
    assert get_loss(name)(logits, torch.zeros_like(mask)).item() == pytest.approx(value, abs=PRINTED)


def test_both_terms_of_sls_have_their_published_values() -> None:
    logits, mask = vector()
    location = location_loss(torch.sigmoid(logits), mask).item()
    assert location == pytest.approx(0.920482, abs=PRINTED)
    assert get_loss("sls")(logits, mask).item() - location == pytest.approx(0.984833, abs=PRINTED)


def test_saturated_pixels_cost_100_and_give_no_gradient() -> None:
    golden = next(value for case, value in TINY.items() if case.startswith("saturation"))
    logits = torch.tensor([200.0, -200.0, 0.0, 0.0], requires_grad=True)
    loss = get_loss("dice-bce")(logits, torch.tensor([0.0, 1.0, 0.0, 1.0]))
    loss.backward()
    assert loss.item() == pytest.approx(golden["DFINet_DiceBCELoss"], rel=1e-7)
    assert logits.grad is not None
    assert logits.grad.tolist() == pytest.approx(golden["grad"], rel=1e-6)


def test_soft_iou_of_one_pixel_can_be_checked_by_hand() -> None:
    """p = 1/2 on the target: intersection 1/2, union 1, so 1 - (1/2 + 1) / (1 + 1)."""
    pixel = torch.zeros(1, 1, 1, 1)
    assert get_loss("soft-iou")(pixel, torch.ones(1, 1, 1, 1)).item() == 0.25


def test_a_batch_loss_weighs_targets_by_size_and_a_sample_loss_does_not() -> None:
    logits = torch.full((2, 1, 4, 4), -40.0)
    mask = torch.zeros(2, 1, 4, 4)
    mask[0], logits[0] = 1, 40  # sixteen pixels, all found
    mask[1, 0, 0, 0] = 1  # one pixel, missed
    assert get_loss("soft-iou")(logits, mask).item() == pytest.approx(1 - 17 / 18)
    assert get_loss("soft-iou-sample")(logits, mask).item() == pytest.approx(1 - (1 + 1 / 2) / 2)


def test_sls_warms_up_for_six_epochs() -> None:
    warm, cold = get_loss("sls"), get_loss("sls-warm-up")
    assert [get_loss("sls", epoch=epoch) for epoch in (1, 6, 7, 400)] == [cold, cold, warm, warm]
    assert get_loss("soft-iou", epoch=1) is get_loss("soft-iou")


def test_sls_of_one_pixel_too_many_can_be_checked_by_hand() -> None:
    """IoU 1/2, masses 2 and 1: weight (1 + 1/4) / (2 + 1/4) = 5/9; centres 3/16 and 2/16 from the corner: 1/3."""
    logits = torch.tensor([-200.0, 200.0, 200.0, -200.0]).view(1, 1, 1, 4)
    mask = torch.tensor([0.0, 0.0, 1.0, 0.0]).view(1, 1, 1, 4)
    assert get_loss("sls-warm-up")(logits, mask).item() == 0.5
    assert get_loss("sls")(logits, mask).item() == pytest.approx(1 - 5 / 18 + 1 / 3, abs=1e-6)


def test_a_target_seen_at_a_right_angle_to_where_it_is_costs_2() -> None:
    """No overlap costs 1, an angle of 90 degrees 1, and equal distances from the corner nothing."""
    mask = torch.tensor([[0.0, 0.0], [1.0, 0.0]]).view(1, 1, 2, 2)
    assert get_loss("sls")(200 * (mask.mT - 0.5), mask).item() == pytest.approx(2, abs=1e-6)


def test_the_gradient_of_sls_flows_through_its_scale_weight() -> None:
    logits = torch.randn(2, 1, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    mask = (logits > 1).double().roll(1, dims=-1)
    assert torch.autograd.gradcheck(lambda z: get_loss("sls")(z, mask), logits.requires_grad_())


@pytest.mark.parametrize(
    ("name", "target", "value"),
    [
        ("sls-warm-up", 0.0, 1),
        ("sls-warm-up", 1.0, 1),
        ("sls", 0.0, 2 - 1e-4 / (1e-4 + 1e-8)),  # the least length, 1e-4, twice
        ("sls", 1.0, 2 - 1e-4 / (0.375 * 2**0.5) + 1 / 4),  # 4 x 4 pixels: their centre is at (3/8, 3/8), at 45 degrees
    ],
)
def test_a_prediction_that_vanishes_has_a_finite_loss_and_gradient(name: str, target: float, value: float) -> None:
    logits = torch.full((1, 1, 4, 4), -200.0, requires_grad=True)  # a sigmoid of exactly 0
    loss = get_loss(name)(logits, torch.full((1, 1, 4, 4), target))
    loss.backward()
    assert loss.item() == pytest.approx(value, abs=1e-6)
    assert logits.grad is not None
    assert not logits.grad.any()


@pytest.mark.parametrize("name", LOSSES)
def test_a_perfect_prediction_costs_nothing(name: str) -> None:
    mask = torch.zeros(2, 1, 8, 8)
    mask[:, :, 2:4, 2:4] = 1
    assert get_loss(name)(200 * (mask - 0.5), mask).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_a_frame_without_targets_has_a_finite_loss_and_gradient(name: str) -> None:
    logits = torch.zeros(1, 1, 4, 4, requires_grad=True)
    loss = get_loss(name)(logits, torch.zeros(1, 1, 4, 4))
    loss.backward()
    assert loss.isfinite()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_an_unknown_loss_is_answered_with_the_nearest_name() -> None:
    with pytest.raises(LookupError, match=r"no loss is called 'softiou'; did you mean soft-iou"):
        get_loss("softiou")
