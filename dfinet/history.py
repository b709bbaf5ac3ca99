"""The history policies of training: which masks a step begins from, what is kept for later epochs, how often it is fed.

Four ways, by name: `released` and `aligned` remember an image's last prediction, `none` and `unrolled-k` remember
nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.errors import RequestError, UnknownNameError
from bench.models.network import Batch, Views
from bench.registry import unknown

BYTES = 256
"""Levels of probability in a byte."""

KNOWN = 254
"""Levels of probability in a byte that can also be `UNKNOWN`: an even number, so that no level stands at one half."""

UNKNOWN = 255
"""The byte of a pixel that no view has shown yet."""

UNSEEN = -1.0
"""What no probability is: marks the pixels of an image that a view does not show."""


class History:
    """Nothing is kept: every step begins from the batch's own start masks.

    Args:
        rounds: feedback rounds inside a step, each fed what the last one found; the step's loss is their mean.
    """

    def __init__(self, *, rounds: int = 1) -> None:
        self.rounds = rounds

    def masks_for(self, batch: Batch) -> Tensor:
        """The masks (B, 1, H, W) in [0, 1] that the first round of a step is fed.

        Raises:
            RequestError: when the batch has no start masks, or a stored mask does not fit it.
        """
        if batch.start is None:
            raise RequestError(
                "history: batch.start is None, expected first feedback masks; load with needs_start=True"
            )
        return batch.start

    def collect(self, batch: Batch, prob: Tensor) -> None:
        """Remember the predictions (B, 1, H, W) in [0, 1] of a training batch until the epoch ends."""

    def epoch_ended(self, *, improved: bool) -> None:
        """Let the collected predictions take the masks' place if the epoch was a new best; forget them otherwise."""

    def state(self) -> dict[str, Any]:
        """What is kept between two epochs, as plain types and uint8 tensors."""
        return {}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take back what `state` gave."""


class Released(History):
    """One mask per training image, at 8 bits a pixel: the predictions of the last epoch that improved.

    The released rules: the first epoch is fed the batch's own start masks. Predictions are collected in every epoch, in
    training mode, but take the place of the masks only when the epoch was a new best. A mask belongs to the position of
    its image in the list and does not follow the image's augmentation.

    Differs: an image that an epoch left out (a last batch of one is dropped) keeps the mask it had; 8 bits in place of
    float32, at most 1/256 away and exact about which side of 0.5 a pixel is on.
    """

    def __init__(self) -> None:
        super().__init__()
        self._masks: dict[int, Tensor] = {}
        self._collected: dict[int, Tensor] = {}

    def masks_for(self, batch: Batch) -> Tensor:
        masks = super().masks_for(batch)
        known = [row for row, index in enumerate(batch.index.tolist()) if index in self._masks]
        if not known:
            return masks
        stored = [self._masks[index] for index in batch.index[known].tolist()]
        shown = self._show(stored, batch.geometry, known, masks.device)
        if shown.shape[-2:] != masks.shape[-2:]:
            raise RequestError(
                f"history: the mask of image {batch.index[known[0]]} is {_by(shown)} pixels, the batch {_by(masks)}; "
                "train on one size (recipe.patch or input.size)"
            )
        rows = torch.tensor(known, device=masks.device)
        return masks.index_copy(0, rows, self._fill(masks.index_select(0, rows), shown))

    def collect(self, batch: Batch, prob: Tensor) -> None:
        indices = batch.index.tolist()
        before = [self._masks.get(index) for index in indices]
        self._collected.update(zip(indices, self._keep(prob.detach().float(), before, batch.geometry), strict=True))

    def epoch_ended(self, *, improved: bool) -> None:
        if improved:
            self._masks.update(self._collected)
        self._collected = {}

    def state(self) -> dict[str, Any]:
        return {"masks": dict(self._masks)}

    def load(self, state: Mapping[str, Any]) -> None:
        self._masks = {index: mask.cpu() for index, mask in state["masks"].items()}
        self._collected = {}

    def _keep(self, prob: Tensor, before: Sequence[Tensor | None], views: Views | None) -> Sequence[Tensor]:
        """Predictions (B, 1, H, W) as they are stored, one (H, W) an image, on the CPU."""
        return [plane.clone() for plane in pack(prob)[:, 0].cpu()]

    def _show(self, stored: Sequence[Tensor], views: Views | None, rows: list[int], device: torch.device) -> Tensor:
        """Stored masks of the batch's images at `rows` as bytes (b, 1, H, W) of the views that the batch has."""
        return _stacked(stored, device)

    def _fill(self, start: Tensor, shown: Tensor) -> Tensor:
        """Bytes as the masks (b, 1, H, W) that are fed in the start masks' place."""
        return unpack(shown).to(start)


class Aligned(Released):
    """One mask per training image in image coordinates, moved with the image; its timing is the released one.

    A prediction is written back to where its view showed the image, and the next view shows that. What no view has
    shown yet (outside every patch so far, rotated out of the frame) is fed the batch's own start mask.

    The mask has the network's size where images are resized, else the image's own. It is written back bilinearly, as
    probabilities, and read by nearest neighbour: a mask that one rotation has softened is not softened by the next.
    254 levels, at most 1/254 away and exact about which side of 0.5 a pixel is on; 255 means not known yet.
    """

    def _keep(self, prob: Tensor, before: Sequence[Tensor | None], views: Views | None) -> Sequence[Tensor]:
        if views is None:
            return [plane.clone() for plane in pack(prob, KNOWN)[:, 0].cpu()]
        sizes = [views.resize] * len(prob) if views.resize is not None else views.source.tolist()
        known = [_unknown(size) if one is None else one for one, size in zip(before, sizes, strict=True)]
        stored = _stacked(known, prob.device)
        seen = views.undo(prob, torch.full(stored.shape, UNSEEN, device=prob.device))
        kept = torch.where(seen == UNSEEN, stored, pack(seen, KNOWN))[:, 0].cpu()
        return [plane[:height, :width].clone() for plane, (height, width) in zip(kept, sizes, strict=True)]

    def _show(self, stored: Sequence[Tensor], views: Views | None, rows: list[int], device: torch.device) -> Tensor:
        planes = _stacked(stored, device)
        return planes if views is None else views.take(np.array(rows)).apply(planes, "nearest")

    def _fill(self, start: Tensor, shown: Tensor) -> Tensor:
        return torch.where(shown == UNKNOWN, start, unpack(shown, KNOWN).to(start))


def _unknown(size: Sequence[int]) -> Tensor:
    return torch.full(tuple(size), UNKNOWN, dtype=torch.uint8)


def _stacked(masks: Sequence[Tensor], device: torch.device) -> Tensor:
    """Masks (H, W) of several sizes as one (B, 1, H, W), each at the top left."""
    height, width = (max(mask.shape[axis] for mask in masks) for axis in range(2))
    stacked = torch.zeros((len(masks), 1, height, width), dtype=torch.uint8)
    for row, mask in enumerate(masks):
        stacked[row, 0, : mask.shape[0], : mask.shape[1]] = mask
    return stacked.to(device)


HISTORIES: Mapping[str, Callable[[], History]] = {"released": Released, "aligned": Aligned, "none": History}
"""The policies by name, beside `unrolled-k`: k rounds inside every step, and nothing is kept."""


def history_of(name: str) -> History:
    """A new history under the policy of that name: `released`, `aligned`, `none`, or `unrolled-2`, `unrolled-3`, ….

    `unrolled-1` equals `none`.

    Raises:
        UnknownNameError: with suggestions, when there is no such policy.
    """
    unrolled = re.fullmatch(r"unrolled-([1-9][0-9]*)", name)
    if unrolled:
        return History(rounds=int(unrolled[1]))
    if name not in HISTORIES:
        raise UnknownNameError(unknown("history", name, (*HISTORIES, "unrolled-2")))
    return HISTORIES[name]()


def pack(prob: Tensor, levels: int = BYTES) -> Tensor:
    """Probabilities as bytes, `ceil(levels p) - 1`.

    `unpack` is at most one part in `levels` away, and above 0.5 exactly where `prob` is.

    >>> pack(torch.tensor([0.0, 0.5, 0.501, 1.0])).tolist()
    [0, 127, 128, 255]
    """
    return (prob * levels).ceil().sub(1).clamp(0, levels - 1).to(torch.uint8)


def unpack(packed: Tensor, levels: int = BYTES) -> Tensor:
    """Bytes as probabilities in [0, 1], 0 and 1 included."""
    return packed.float() / (levels - 1)


def _by(mask: Tensor) -> str:
    height, width = mask.shape[-2:]
    return f"{height} x {width}"
