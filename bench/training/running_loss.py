"""Mean loss of an epoch, kept on the device and read every few steps, so that the host does not wait for each step."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from bench.errors import NonFiniteLossError

READ_EVERY = 16
"""Steps between two reads. A non-finite loss is found at most this many steps late, and before its epoch ends."""


class RunningLoss:
    """The losses of one epoch's batches, each weighted by its number of images.

    >>> running = RunningLoss(epoch=1)
    >>> running.add(torch.tensor(1.0), ["a", "b", "c"])
    >>> running.add(torch.tensor(0.5), ["d"])
    >>> running.mean()
    0.875
    """

    def __init__(self, *, epoch: int) -> None:
        self.epoch = epoch
        self._total, self._images = 0.0, 0
        self._waiting: list[tuple[Tensor, Sequence[str]]] = []

    @property
    def note(self) -> str:
        """Text for a progress bar: the mean at the last read."""
        return f"loss {self._total / self._images:.4f}" if self._images else ""

    def add(self, loss: Tensor, names: Sequence[str]) -> None:
        """Add a batch's loss, a tensor of one number on any device, with its images' names.

        Raises:
            NonFiniteLossError: naming the epoch and the images, for this batch or one of the last few.
        """
        self._waiting.append((loss.detach(), names))
        if len(self._waiting) == READ_EVERY:
            self._read()

    def mean(self) -> float:
        """The mean over all images so far.

        Raises:
            NonFiniteLossError: as `add`.
            ZeroDivisionError: when no batch was counted.
        """
        self._read()
        return self._total / self._images

    def _read(self) -> None:
        if not self._waiting:
            return
        values = torch.stack([loss for loss, _ in self._waiting]).double().tolist()
        for value, (_, names) in zip(values, self._waiting, strict=True):
            if not math.isfinite(value):
                images = ", ".join(names)
                raise NonFiniteLossError(f"the loss is {value} in epoch {self.epoch} on the batch of images {images}")
            self._total += value * len(names)
            self._images += len(names)
        self._waiting = []
