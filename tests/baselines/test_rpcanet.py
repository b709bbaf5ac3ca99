"""RPCANet: what its last reconstruction is for, its training loss, and its first weights."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from baselines.rpcanet import RPCANet
from bench.models.network import Batch
from tests.parity import rule


def filled() -> RPCANet:
    network = RPCANet()
    rule.fill(network, gain=1.0)
    return network.eval()


def test_the_prediction_is_the_target_map_without_the_last_reconstruction() -> None:
    network, image = filled(), rule.image(16, 24, channels=1)
    with torch.no_grad():
        _, T = network.unfold(image)
        for parameter in network.get_submodule("decos.5.merge").parameters():
            parameter.fill_(torch.nan)
        assert torch.equal(network(image), T)
        assert network.unfold(image)[0].isnan().all()


def test_the_training_loss_adds_a_hundredth_of_the_reconstructions_squared_error() -> None:
    network, image, mask = filled(), rule.image(16, 24, channels=1), rule.binary_mask(16, 24)

    def weighed(logits: Tensor, mask: Tensor) -> Tensor:
        return (logits * mask).mean()

    batch = Batch(image, mask, None, torch.tensor([0]), ("one",), ((16, 24),), None)
    with torch.no_grad():
        D, T = network.unfold(image)
        by_hand = (T * mask).mean().item() + 0.01 * ((D - image) ** 2).mean().item()
        assert network.training_loss(batch, weighed, epoch=1).item() == pytest.approx(by_hand, rel=1e-5)


def test_a_stage_whose_operators_are_constants_can_be_checked_by_hand() -> None:
    """With L = 2, S = 3 and M = 5: B = D - T + 2, T' = T + D - B - 0.1 * 3 = 2 T - 2.3, D' = 5."""
    network = filled()
    for name, parameter in network.named_parameters():
        parameter.data.fill_(0.1 if name.endswith("epsilon") else 0)
    for stage in range(6):
        for operator, constant in (("lowrank.convs.12", 2.0), ("sparse.convs.14", 3.0), ("merge.mapping.12", 5.0)):
            network.get_parameter(f"decos.{stage}.{operator}.bias").data.fill_(constant)
    with torch.no_grad():
        D, T = network.unfold(torch.zeros(1, 1, 2, 2), stages=2)
    assert D.tolist() == [[[[5, 5], [5, 5]]]]
    assert T.flatten().tolist() == pytest.approx([-6.9] * 4)


def test_first_kernels_are_xavier_normal_and_first_epsilons_a_hundredth() -> None:
    torch.manual_seed(0)
    network = RPCANet()
    stages = range(6)
    within = [
        network.get_parameter(f"decos.{stage}.sparse.convs.{place}.weight") for stage in stages for place in (2, 12)
    ]
    kernels = torch.stack(within) * (32 * 9) ** 0.5  # 110,592 of variance 2 / (288 + 288), made 1
    assert kernels.std().item() == pytest.approx(1, abs=0.01)
    assert kernels.abs().max() > 3.5  # torch's own are uniform within 1
    epsilons = [network.get_parameter(f"decos.{stage}.sparse.epsilon") for stage in stages]
    assert torch.cat(epsilons).tolist() == pytest.approx([0.01] * 6)
