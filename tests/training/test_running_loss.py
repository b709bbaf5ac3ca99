"""The mean loss of an epoch, and the batch whose loss is no number."""

from __future__ import annotations

import pytest
import torch

from bench.errors import NonFiniteLossError
from bench.training.running_loss import READ_EVERY, RunningLoss


def test_the_mean_weighs_batches_by_their_images() -> None:
    running = RunningLoss(epoch=1)
    running.add(torch.tensor(1.0), ["a", "b", "c"])
    running.add(torch.tensor(0.5), ["d"])
    assert running.mean() == 0.875
    assert running.note == "loss 0.8750"


def test_nothing_is_read_between_two_looks() -> None:
    running = RunningLoss(epoch=1)
    for _ in range(READ_EVERY - 1):
        running.add(torch.tensor(2.0), ["a"])
    assert running.note == ""
    running.add(torch.tensor(4.0), ["a"])
    assert running.note == f"loss {2 + 2 / READ_EVERY:.4f}"


@pytest.mark.parametrize("later", [0, 1, READ_EVERY])
@pytest.mark.parametrize("found", ["nan", "inf"])
def test_the_first_batch_whose_loss_is_no_number_is_named(found: str, later: int) -> None:
    batches = [["fine"], ["x", "y"], *[["later"]] * later]
    losses = [1.0, *[float(found)] * (1 + later)]
    with pytest.raises(NonFiniteLossError, match=f"^the loss is {found} in epoch 7 on the batch of images x, y$"):
        mean_of(losses, batches)


def mean_of(losses: list[float], batches: list[list[str]]) -> float:
    """The mean loss of an epoch 7 of these batches."""
    running = RunningLoss(epoch=7)
    for loss, names in zip(losses, batches, strict=True):
        running.add(torch.tensor(loss), names)
    return running.mean()
