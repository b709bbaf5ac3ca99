"""One side of `test_training.py`: takes training steps of a network again on every line of input.

Run by path with PYTHONPATH naming the checkout whose code is to be measured. The steps are those of the training loop:
the network's own loss, the backward pass, the recipe's optimiser.
"""

from __future__ import annotations

import json
import resource
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import torch

import bench.models.network as networks
from bench.models.losses import get_loss
from bench.models.network import Batch
from bench.protocols.recipes import RECIPES
from bench.training.optimisers import make_optimiser

STEPS = 3


def tell(message: Any) -> None:
    """Write one line for the process that started this one."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def main(model: str, size: int, batch: int, width: int, threads: int, precision: str) -> None:
    """Tell seconds of wall and processor for a step, and the most memory so far, for every line of input."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    network = networks.build_model(model, channels=3, settings={"width": width} if width else {})
    networks.to_device(network, torch.device("cpu")).train()
    optimiser = make_optimiser(network, replace(RECIPES.get("basicirstd"), lr=1e-4))
    noise = torch.Generator().manual_seed(1)
    image = torch.rand(batch, 3, size, size, generator=noise)
    mask, start = ((torch.rand(batch, 1, size, size, generator=noise) > share).float() for share in (0.99, 0.9))
    names, sizes = [str(number) for number in range(batch)], [(size, size)] * batch
    made = Batch(image, mask, start if network.needs_start else None, torch.arange(batch), names, sizes, None)
    loss_of = get_loss("soft-iou")

    def step() -> float:
        with torch.autocast("cpu", torch.bfloat16) if precision == "bfloat16" else nullcontext():
            loss = network.training_loss(made, loss_of, epoch=1)
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimiser.step()
        return loss.item()

    before = resident()
    step()
    tell([str(Path(networks.__file__).resolve()), step()])
    for _ in sys.stdin:
        wall, processor = perf_counter(), process_time()
        for _ in range(STEPS):
            step()
        tell([(perf_counter() - wall) / STEPS, (process_time() - processor) / STEPS, resident() - before])


def resident() -> float:
    """The most memory that this process has held, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:6]), sys.argv[6])
