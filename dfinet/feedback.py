"""The history masks of training: each image's last prediction, fed back in later epochs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from bench.network import Batch


class History:
    """One mask per training image, at 8 bits a pixel: the predictions of the last epoch that improved.

    The released rules: the first epoch is fed the batch's own start masks. Predictions are collected in every epoch, in
    training mode, but take the place of the masks only when the epoch was a new best. A mask belongs to the position of
    its image in the list and does not follow the image's augmentation.

    Differs: an image that an epoch left out (a last batch of one is dropped) keeps the mask it had; 8 bits in place of
    float32, at most 1/256 away and exact about which side of 0.5 a pixel is on.
    """

    def __init__(self) -> None:
        self._masks: dict[int, Tensor] = {}
        self._collected: dict[int, Tensor] = {}

    def masks_for(self, batch: Batch) -> Tensor:
        """The feedback masks (B, 1, H, W) in [0, 1] of a batch: stored ones, and the batch's own where there is none.

        Raises:
            ValueError: when the batch has no start masks, or a stored mask is of another size.
        """
        if batch.start is None:
            raise ValueError("history: batch.start is None, expected first feedback masks; load with needs_start=True")
        masks = batch.start.clone()
        for row, index in enumerate(batch.index.tolist()):
            if index in self._masks:
                stored = self._masks[index]
                if stored.shape != masks.shape[-2:]:
                    raise ValueError(
                        f"history: the mask of image {index} is {_by(stored)} pixels, the batch {_by(masks)}; "
                        "train on one size (recipe.patch or input.size)"
                    )
                masks[row, 0] = unpack(stored).to(masks)
        return masks

    def collect(self, batch: Batch, prob: Tensor) -> None:
        """Remember the predictions (B, 1, H, W) in [0, 1] of a training batch until the epoch ends."""
        for index, mask in zip(batch.index.tolist(), pack(prob[:, 0]).cpu(), strict=True):
            self._collected[index] = mask.clone()  # a slice would keep its whole batch alive

    def epoch_ended(self, *, improved: bool) -> None:
        """Let the collected predictions take the masks' place if the epoch was a new best; forget them otherwise."""
        if improved:
            self._masks.update(self._collected)
        self._collected = {}

    def state(self) -> dict[str, Any]:
        """The masks as plain types and uint8 tensors, as they stand between two epochs."""
        return {"masks": dict(self._masks)}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take back what `state` gave."""
        self._masks = {index: mask.cpu() for index, mask in state["masks"].items()}
        self._collected = {}


def pack(prob: Tensor) -> Tensor:
    """Probabilities as bytes, `ceil(256 p) - 1`: `unpack` is at most 1/256 away and above 0.5 exactly where `prob` is.

    >>> pack(torch.tensor([0.0, 0.5, 0.501, 1.0])).tolist()
    [0, 127, 128, 255]
    """
    return (prob * 256).ceil().sub(1).clamp(0, 255).to(torch.uint8)


def unpack(packed: Tensor) -> Tensor:
    """Bytes as probabilities in [0, 1], 0 and 1 included."""
    return packed.float() / 255


def _by(mask: Tensor) -> str:
    height, width = mask.shape[-2:]
    return f"{height} x {width}"
