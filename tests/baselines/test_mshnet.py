"""MSHNet: its cold and its warm path, what each learns, and the masks of the coarser heads."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from baselines.mshnet import MSHNet
from bench.models.losses import get_loss
from bench.models.network import Batch
from tests.parity import rule


def filled() -> MSHNet:
    network = MSHNet()
    rule.fill(network, gain=1.0)
    return network.eval()


def one_pixel(height: int, width: int) -> Batch:
    """An image of noise whose mask is the pixel at the bottom right."""
    mask = torch.zeros(1, 1, height, width)
    mask[..., -1, -1] = 1
    image = rule.image(height, width, channels=3)
    return Batch(image, mask, None, torch.tensor([0]), ("one",), ((height, width),), None)


def test_the_cold_logits_are_the_first_heads_and_the_judged_ones_the_fusion() -> None:
    network, image = filled(), rule.image(33, 47, channels=3)
    with torch.no_grad():
        first, *_, fused = network.heads(image)
        assert torch.equal(network.cold(image), first)
        assert torch.equal(network(image), fused)


@pytest.mark.parametrize(
    ("size", "sizes"),
    [
        ((32, 48), [(32, 48), (16, 24), (8, 12), (4, 6), (32, 48)]),
        ((33, 47), [(33, 47), (17, 24), (9, 12), (5, 6), (33, 47)]),
    ],
)
def test_heads_are_learnt_from_at_their_own_scale_where_no_target_is_lost(
    size: tuple[int, int], sizes: list[tuple[int, int]]
) -> None:
    network, seen = filled(), []

    def looking(logits: Tensor, mask: Tensor) -> Tensor:
        seen.append((tuple(logits.shape[-2:]), tuple(mask.shape[-2:]), mask.sum().item(), mask[..., -1, -1].item()))
        return logits.mean()

    with torch.no_grad():
        batch = one_pixel(*size)
        loss = network.training_loss(batch, looking, epoch=7).item()
        heads = network.heads(batch.image)
    assert seen == [(expected, expected, 1.0, 1.0) for expected in sizes]
    assert loss == pytest.approx(sum(logits.mean().item() for logits in heads) / 5, rel=1e-5)


@pytest.mark.parametrize(("epoch", "untouched"), [(6, ["final", "output_1", "output_2", "output_3"]), (7, [])])
def test_six_epochs_train_the_cold_path_alone(epoch: int, untouched: list[str]) -> None:
    network, batch = filled(), one_pixel(16, 16)
    loss = network.training_loss(batch, get_loss("sls", epoch=epoch), epoch=epoch)
    torch.autograd.backward(loss)
    assert sorted({name.partition(".")[0] for name, p in network.named_parameters() if p.grad is None}) == untouched
