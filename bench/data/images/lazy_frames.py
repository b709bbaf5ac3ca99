"""Frames that are made when they are asked for, so that a list of any length fits into memory."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import overload

from bench.data.images.frames import Frame

RECENT = 32
"""Frames that are kept: a batch asks for each of its own several times."""


class LazyFrames(Sequence[Frame]):
    """The frames that `make` gives for the rows of a list."""

    def __init__(self, make: Callable[[int], Frame], rows: Sequence[int]) -> None:
        self._make, self._rows = make, rows
        self._recent = functools.lru_cache(maxsize=RECENT)(make)

    @overload
    def __getitem__(self, index: int) -> Frame: ...
    @overload
    def __getitem__(self, index: slice) -> LazyFrames: ...
    def __getitem__(self, index: int | slice) -> Frame | LazyFrames:
        if isinstance(index, slice):
            return LazyFrames(self._make, self._rows[index])
        return self._recent(self._rows[index])

    def __len__(self) -> int:
        return len(self._rows)
