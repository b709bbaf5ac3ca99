"""The losses against the values and gradients of the public repositories' own."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.losses import LOSSES, get_loss

GOLDEN = Path(__file__).parent / "parity" / "golden"
TINY = json.loads((GOLDEN / "losses_tiny.json").read_text())["losses"]
CASES = [case for case in TINY if case.startswith("loss_logits")]
OURS = {
    "DFINet_DiceBCELoss": "dice-bce",
    "DFINet_DiceLoss": "dice",
    "DNANet_SoftIoULoss_on_logits": "soft-iou",
    "BasicIRSTD_SoftIoULoss_on_prob": "soft-iou",
    "UIUNet_BCELoss_on_prob": "bce",
}


def tiny_tensors(case: str) -> tuple[Tensor, Tensor]:
    """Logits and mask (2, 1, 8, 8), float64, of a case such as `loss_logits x2.0 target soft`."""
    tag, scale, _, kind = case.split()
    logits = np.random.default_rng(zlib.crc32(tag.encode())).standard_normal((2, 1, 8, 8)) * float(scale[1:])
    binary = np.random.default_rng(zlib.crc32(b"loss_target")).random((2, 1, 8, 8)) > 0.8
    mask = {"binary": 1.0 * binary, "empty": 0.0 * binary, "soft": 0.75 * binary + 0.1}[kind]
    return torch.from_numpy(logits), torch.from_numpy(mask)


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
    ],
)
def test_losses_of_the_test_vector_have_their_published_values(name: str, value: float) -> None:
    vector = np.load(GOLDEN / "losses.npz")
    loss = get_loss(name)(torch.from_numpy(vector["logits"]), torch.from_numpy(vector["target"]))
    assert loss.item() == pytest.approx(value, abs=1e-6)  # six printed digits and float32 sums


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
