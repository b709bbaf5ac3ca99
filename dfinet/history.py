"""Policies for feedback masks in training: the masks a step starts from, and the predictions kept for later epochs.

The policies by name: `released` and `aligned` keep the last prediction of each image, `none` and `unrolled-k` keep
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
from bench.models.network import Augmented, Batch
from bench.registry import unknown

BYTES = 256
"""Levels of probability in a byte, when all of them are used."""

KNOWN = 254
"""Levels of probability in a byte that can also be `UNKNOWN`: an even number, so that no level lies at one half."""

UNKNOWN = 255
"""The byte of a pixel that no view has shown yet."""

UNSEEN = -1.0
"""Marks the pixels of an image that a view does not show: no probability is negative."""


class History:
    """The policy `none`: every step starts from the start masks of its batch, and nothing is kept.

    Args:
        rounds: feedback rounds inside a step, each fed the prediction of the one before; the step's loss is their mean.
    """

    def __init__(self, *, rounds: int = 1) -> None:
        self.rounds = rounds

    def masks_for(self, batch: Batch) -> Tensor:
        """The masks (B, 1, H, W) in [0, 1] for the first round of a step.

        Raises:
            RequestError: when the batch has no start masks, or a stored mask does not fit it.
        """
        if batch.start is None:
            raise RequestError(
                "history: batch.start is None, expected first feedback masks; load with needs_start=True"
            )
        return batch.start

    def collect(self, batch: Batch, prob: Tensor) -> None:
        """Keep the predictions (B, 1, H, W) in [0, 1] of a training batch until the epoch ends."""

    def epoch_ended(self, *, improved: bool) -> None:
        """Replace the stored masks by the collected predictions if the epoch was a new best; else drop these."""

    def state(self) -> dict[str, Any]:
        """The state kept between two epochs, as plain types and uint8 tensors on the CPU."""
        return {}

    def load(self, state: Mapping[str, Any]) -> None:
        """Restore a state that `state` returned."""


class ReleasedHistory(History):
    """The policy `released`: one mask per training image, at 8 bits a pixel, from the last epoch that improved.

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
        masks, indices = super().masks_for(batch), batch.index.tolist()
        known = [row for row, index in enumerate(indices) if index in self._masks]
        if not known:
            return masks
        self._move_to(masks.device)
        shown = self._show([self._masks[indices[row]] for row in known], batch.geometry, known)
        if shown.shape[-2:] != masks.shape[-2:]:
            raise RequestError(
                f"history: the mask of image {indices[known[0]]} is {_by(shown)} pixels, the batch {_by(masks)}; "
                "train on one size (recipe.patch or input.size)"
            )
        if len(known) == len(indices):
            return self._fill(masks, shown)
        rows = torch.tensor(known).to(masks.device, non_blocking=True)
        return masks.index_copy(0, rows, self._fill(masks.index_select(0, rows), shown))

    def collect(self, batch: Batch, prob: Tensor) -> None:
        self._move_to(prob.device)
        indices = batch.index.tolist()
        before = [self._masks.get(index) for index in indices]
        self._collected.update(zip(indices, self._keep(prob.detach().float(), before, batch.geometry), strict=True))

    def epoch_ended(self, *, improved: bool) -> None:
        if improved:
            self._masks.update(self._collected)
        self._collected = {}

    def state(self) -> dict[str, Any]:
        # Cloned, since planes of one batch share memory, and a file would hold all of it for each of them.
        return {"masks": {index: mask.cpu().clone() for index, mask in self._masks.items()}}

    def load(self, state: Mapping[str, Any]) -> None:
        self._masks = dict(state["masks"])
        self._collected = {}

    def _move_to(self, device: torch.device) -> None:
        """Bring the masks to the device that trains, once: none is copied to or from the host in a step."""
        first = next(iter(self._masks.values()), None)
        if first is not None and first.device != device:
            self._masks = {index: mask.to(device) for index, mask in self._masks.items()}

    def _keep(self, prob: Tensor, before: Sequence[Tensor | None], views: Augmented | None) -> Sequence[Tensor]:
        """Predictions (B, 1, H, W) in their stored form: one (H, W) an image, on their device."""
        return pack(prob)[:, 0].unbind()

    def _show(self, stored: Sequence[Tensor], views: Augmented | None, rows: list[int]) -> Tensor:
        """Stored masks of the images at `rows` as bytes (b, 1, H, W), seen through the views of the batch."""
        return _stacked(stored)

    def _fill(self, start: Tensor, shown: Tensor) -> Tensor:
        """Masks (b, 1, H, W) in [0, 1] from bytes, which replace the start masks."""
        return unpack(shown).to(start)


class AlignedHistory(ReleasedHistory):
    """The policy `aligned`: one mask per training image, in image coordinates, that follows the augmentation.

    Masks are replaced when they are under `released`. A prediction is written back to the pixels that its view showed,
    and the next view reads them from there. Pixels that no view has shown yet (outside every patch so far, rotated out
    of the frame) take the value of the batch's start mask.

    The mask has the network's size where images are resized, else the image's own. It is written back bilinearly, as
    probabilities, and read by nearest neighbour: a mask that one rotation has softened is not softened by the next.
    254 levels, at most 1/254 away and exact about which side of 0.5 a pixel is on; 255 means not known yet.
    """

    def _keep(self, prob: Tensor, before: Sequence[Tensor | None], views: Augmented | None) -> Sequence[Tensor]:
        if views is None:
            return pack(prob, KNOWN)[:, 0].unbind()
        sizes = [views.resize] * len(prob) if views.resize is not None else views.source.tolist()
        stored = _stacked(
            [_unknown(size, prob.device) if one is None else one for one, size in zip(before, sizes, strict=True)]
        )
        seen = views.undo(prob, torch.full(stored.shape, UNSEEN, device=prob.device))
        kept = torch.where(seen == UNSEEN, stored, pack(seen, KNOWN))[:, 0]
        whole = tuple(kept.shape[1:])
        return [
            plane if tuple(size) == whole else plane[: size[0], : size[1]].clone()
            for plane, size in zip(kept.unbind(), sizes, strict=True)
        ]

    def _show(self, stored: Sequence[Tensor], views: Augmented | None, rows: list[int]) -> Tensor:
        planes = _stacked(stored)
        return planes if views is None else views.take(np.array(rows)).apply(planes, "nearest")

    def _fill(self, start: Tensor, shown: Tensor) -> Tensor:
        return torch.where(shown == UNKNOWN, start, unpack(shown, KNOWN).to(start))


def _unknown(size: Sequence[int], device: torch.device) -> Tensor:
    return torch.full(tuple(size), UNKNOWN, dtype=torch.uint8, device=device)


def _stacked(masks: Sequence[Tensor]) -> Tensor:
    """Masks (H, W) of several sizes as one tensor (B, 1, H, W), each at the top left."""
    if all(mask.shape == masks[0].shape for mask in masks):
        return torch.stack(list(masks))[:, None]
    height, width = (max(mask.shape[axis] for mask in masks) for axis in range(2))
    stacked = torch.zeros((len(masks), 1, height, width), dtype=torch.uint8, device=masks[0].device)
    for row, mask in enumerate(masks):
        stacked[row, 0, : mask.shape[0], : mask.shape[1]] = mask
    return stacked


HISTORIES: Mapping[str, Callable[[], History]] = {
    "released": ReleasedHistory,
    "aligned": AlignedHistory,
    "none": History,
}
"""The policies by name, besides `unrolled-k`: k rounds inside every step, and nothing is kept."""


def history_of(name: str) -> History:
    """A new history for the policy of that name: `released`, `aligned`, `none`, or `unrolled-2`, `unrolled-3`, ….

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
