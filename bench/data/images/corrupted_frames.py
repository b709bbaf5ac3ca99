"""Frames seen through a corruption: made one by one when they are asked for, so that none of them is kept for long."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import overload

from bench.data.images.corruptions import Corruption, parse_corruption
from bench.data.images.frames import Frame

RECENT = 32
"""Frames that are kept: a batch asks for each of its own several times."""


class Corrupted(Sequence[Frame]):
    """The same frames, their images and grey levels corrupted at native size, before anything is resized.

    A start mask, too, is made of the corrupted image. Masks are what they are.
    """

    def __init__(self, frames: Sequence[Frame], corruption: Corruption) -> None:
        self.corruption = corruption
        self._frames = frames
        self._corrupted = functools.lru_cache(maxsize=RECENT)(self._corrupt)

    def _corrupt(self, index: int) -> Frame:
        return corrupt_frame(self._frames[index], self.corruption)

    @overload
    def __getitem__(self, index: int) -> Frame: ...
    @overload
    def __getitem__(self, index: slice) -> Corrupted: ...
    def __getitem__(self, index: int | slice) -> Frame | Corrupted:
        if isinstance(index, slice):
            return Corrupted(self._frames[index], self.corruption)
        return self._corrupted(range(len(self))[index])

    def __len__(self) -> int:
        return len(self._frames)


def corrupt_frame(frame: Frame, corruption: Corruption) -> Frame:
    """The frame as a sensor with that corruption would have taken it; its mask is the same."""
    image = corruption(frame.image, name=frame.name)
    grey = image if frame.grey is frame.image else corruption(frame.grey, name=frame.name)
    return Frame(frame.name, image, grey, frame.mask)


def as_seen(frames: Sequence[Frame], corruption: str) -> Sequence[Frame]:
    """The frames through the corruption of that name; as they are where it is empty.

    Raises:
        UnknownNameError: with suggestions, when there is no such corruption.
    """
    return Corrupted(frames, parse_corruption(corruption)) if corruption else frames
