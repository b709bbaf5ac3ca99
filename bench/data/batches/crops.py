"""Rectangles cut from the planes of many images in one operation, on the device that needs them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from bench.arrays import IntArray
from bench.data.cache.array_file import Pack
from bench.data.cache.image_cache import Records

MOST_OF_FREE_MEMORY = 0.5
"""Share of a GPU's free memory up to which decoded images are kept there; more than that is sent batch by batch."""


@dataclass(frozen=True, eq=False)
class Planes:
    """Planes of B images, C each, as places in flat memory.

    Attributes:
        flats: memory of each pack, as (n,) elements.
        widest: elements of the widest row in each of them; at least as many elements follow the last row.
        which: (B,) index of the flat memory that holds an image's planes.
        begin: (B, C) first element of each plane in it.
        pitch: (B,) elements from one row to the next.
        size: (B, 2) height and width.
        device: device of the rectangles.
    """

    flats: tuple[Tensor, ...]
    widest: tuple[int, ...]
    which: IntArray
    begin: IntArray
    pitch: IntArray
    size: IntArray
    device: torch.device

    @classmethod
    def of(cls, records: Records, number: int, *, flats: tuple[Tensor, ...], device: torch.device) -> Planes:
        """Planes of the array at position `number` (C, H, W) in every record; `flats` are the packs' bytes."""
        begin, channels, height, width = np.moveaxis(records.table[:, number], -1, 0)
        # A record keeps three equal channels as one; its planes then all begin at the same element.
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
    def stacked(cls, planes: Tensor, size: IntArray) -> Planes:
        """Planes of a tensor (B, C, H, W) in which each image fills the top left (height, width)."""
        images, channels, height, width = planes.shape
        flat = pad(planes.reshape(-1), (0, width))
        begin = np.arange(images * channels).reshape(images, channels) * (height * width)
        pitch = np.full(images, width)
        return cls((flat,), (width,), np.zeros(images, np.int64), begin, pitch, size, planes.device)

    def take(self, rows: IntArray) -> Planes:
        """Planes of the images `rows`."""
        pitch, size = self.pitch[rows], self.size[rows]
        return replace(self, which=self.which[rows], begin=self.begin[rows], pitch=pitch, size=size)

    def distinct(self) -> Planes:
        """The first plane of every image where all images have equal channels; else all planes."""
        return replace(self, begin=self.begin[:, :1]) if (self.begin == self.begin[:, :1]).all() else self

    def cut(self, top: IntArray, left: IntArray, shape: tuple[int, int]) -> Tensor:
        """Cut a rectangle (B, C, h, w) with its corner at (top, left) from every image.

        Pixels beyond an image's bottom or right edge are arbitrary: the caller overwrites them. So whole rows of w
        elements can be copied without a test per pixel, also where a row runs over into the next one.
        """
        height, width = shape
        rows = np.minimum(top[:, None] + np.arange(height), self.size[:, :1] - 1)  # (B, h)
        starts = self.begin[:, :, None] + (rows * self.pitch[:, None] + left[:, None])[:, None]  # (B, C, h)
        cut = self._rows(starts, min(width, max(self.widest)))
        cut = cut.view(*starts.shape, -1).to(self.device, non_blocking=True)
        return cut if cut.shape[-1] == width else pad(cut, (0, width - cut.shape[-1]))

    def _rows(self, starts: IntArray, across: int) -> Tensor:
        """(B C h, across) elements that follow each start."""
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
        return torch.cat(parts).index_select(0, order.to(parts[0].device, non_blocking=True))

    def _gather(self, flat: Tensor, starts: IntArray, across: int) -> Tensor:
        index = torch.from_numpy(starts).to(flat.device, non_blocking=True)
        # In this view row i begins at element i: selecting its rows copies stretches of memory that begin anywhere.
        overlapping = flat.as_strided((len(flat) - across + 1, across), (1, 1))
        if flat.device.type == self.device.type:
            return overlapping.index_select(0, index)
        # Pinned memory lets the copy to the GPU run beside the network's work.
        rows = torch.empty((len(starts), across), dtype=flat.dtype, pin_memory=True)
        return torch.index_select(overlapping, 0, index, out=rows)


def flat_memory(packs: Sequence[Pack], device: torch.device) -> tuple[Tensor, ...]:
    """Bytes of the packs: on the device if they fit there, else on the CPU as memory maps, read from disk on demand."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        flats = tuple(torch.from_numpy(pack.flat) for pack in packs)
    return tuple(flat.to(device) for flat in flats) if device.type == "cpu" or _fit(flats, device) else flats


def _fit(flats: Sequence[Tensor], device: torch.device) -> bool:
    return sum(len(flat) for flat in flats) <= MOST_OF_FREE_MEMORY * torch.cuda.mem_get_info(device)[0]
