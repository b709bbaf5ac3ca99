"""Rectangles of many images' planes, cut from flat memory in one go, on the device where they are wanted."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from bench.data.cache.array_file import Ints, Pack
from bench.data.cache.image_cache import Records

MOST_OF_FREE_MEMORY = 0.5
"""Share of a GPU's free memory up to which decoded images are kept there; more than that is sent batch by batch."""


@dataclass(frozen=True, eq=False)
class Planes:
    """Planes of B images, C each, wherever they lie.

    Attributes:
        flats: flat memory.
        widest: for each of them, elements of the widest row in it; at least as many lie behind the last row.
        which: (B,) the flat memory that an image's planes lie in.
        begin: (B, C) where each plane begins in it.
        pitch: (B,) elements from a row to the next.
        size: (B, 2) height and width.
        device: where the rectangles are wanted.
    """

    flats: tuple[Tensor, ...]
    widest: tuple[int, ...]
    which: Ints
    begin: Ints
    pitch: Ints
    size: Ints
    device: torch.device

    @classmethod
    def of(cls, records: Records, number: int, *, flats: tuple[Tensor, ...], device: torch.device) -> Planes:
        """The planes of one array (C, H, W) of every record, whose packs' bytes `flats` are."""
        begin, channels, height, width = np.moveaxis(records.table[:, number], -1, 0)
        most = int(channels.max(initial=1))
        steps = np.arange(most) * np.where(channels > 1, height * width, 0)[:, None]
        return cls(
            flats=flats,
            widest=tuple(pack.widest for pack in records.packs),
            which=records.pack,
            begin=begin[:, None] + steps,
            pitch=width,
            size=np.stack([height, width], axis=1),
            device=device,
        )

    @classmethod
    def stacked(cls, planes: Tensor, size: Ints) -> Planes:
        """The planes of a tensor (B, C, H, W), of which each image fills the (height, width) at the top left."""
        images, channels, height, width = planes.shape
        flat = pad(planes.reshape(-1), (0, width))
        begin = np.arange(images * channels).reshape(images, channels) * (height * width)
        pitch = np.full(images, width)
        return cls((flat,), (width,), np.zeros(images, np.int64), begin, pitch, size, planes.device)

    def take(self, rows: Ints) -> Planes:
        """Those of some images."""
        pitch, size = self.pitch[rows], self.size[rows]
        return replace(self, which=self.which[rows], begin=self.begin[rows], pitch=pitch, size=size)

    def distinct(self) -> Planes:
        """One plane an image where no image has channels that differ."""
        return replace(self, begin=self.begin[:, :1]) if (self.begin == self.begin[:, :1]).all() else self

    def cut(self, top: Ints, left: Ints, shape: tuple[int, int]) -> Tensor:
        """A rectangle (B, C, h, w) of every image, whose corner is at (top, left); anything where the image has ended.

        Whole rows are copied, w elements at once.
        """
        height, width = shape
        rows = np.minimum(top[:, None] + np.arange(height), self.size[:, :1] - 1)  # (B, h)
        starts = self.begin[:, :, None] + (rows * self.pitch[:, None] + left[:, None])[:, None]  # (B, C, h)
        cut = self._rows(starts, min(width, max(self.widest)))
        cut = cut.view(*starts.shape, -1).to(self.device, non_blocking=True)
        return cut if cut.shape[-1] == width else pad(cut, (0, width - cut.shape[-1]))

    def _rows(self, starts: Ints, across: int) -> Tensor:
        """(B C h, across) elements from every start on."""
        if len(self.flats) == 1:
            return self._gather(self.flats[0], starts.reshape(-1), across)
        parts, places = [], []
        for number in np.unique(self.which):
            here = np.flatnonzero(self.which == number)
            own = min(across, self.widest[number])
            rows = self._gather(self.flats[number], starts[here].reshape(-1), own)
            parts.append(pad(rows.view(len(here), -1, own), (0, across - own)))
            places.append(here)
        order = torch.from_numpy(np.argsort(np.concatenate(places)))
        return torch.cat(parts).index_select(0, order.to(parts[0].device))

    def _gather(self, flat: Tensor, starts: Ints, across: int) -> Tensor:
        index = torch.from_numpy(starts).to(flat.device, non_blocking=True)
        overlapping = flat.as_strided((len(flat) - across + 1, across), (1, 1))
        if flat.device.type == self.device.type:
            return overlapping.index_select(0, index)
        rows = torch.empty((len(starts), across), dtype=flat.dtype, pin_memory=True)
        return torch.index_select(overlapping, 0, index, out=rows)


def flat_memory(packs: Sequence[Pack], device: torch.device) -> tuple[Tensor, ...]:
    """The packs' bytes on a device, where they fit; else on the CPU, where a file's stay on the disk until needed."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        flats = tuple(torch.from_numpy(pack.flat) for pack in packs)
    return tuple(flat.to(device) for flat in flats) if device.type == "cpu" or _fit(flats, device) else flats


def _fit(flats: Sequence[Tensor], device: torch.device) -> bool:
    return sum(len(flat) for flat in flats) <= MOST_OF_FREE_MEMORY * torch.cuda.mem_get_info(device)[0]
