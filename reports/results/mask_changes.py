"""Changes of a network's masks from round to round: `rounds.npz` beside a result, and its summary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from bench.arrays import WHOLE, checked_array
from bench.errors import RequestError, StoreError
from bench.store.files import load_arrays
from reports.results.entries import Entry

PixelCounts = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class MaskChanges:
    """Changes of the binary masks of N images over R rounds.

    Attributes:
        changed: (R - 1, N) pixels in which the mask differs from the round before.
        fixed: (N,) first round from which the mask stays the same.
        flicker: (N,) pixels that changed more than once.
        start_intersection, start_predicted, actual: (N,) pixels of the start mask on targets, of it, of the targets.
    """

    changed: PixelCounts
    fixed: PixelCounts
    flicker: PixelCounts
    start_intersection: PixelCounts
    start_predicted: PixelCounts
    actual: PixelCounts

    @property
    def by_step(self) -> NDArray[np.float64]:
        """(R - 1,) changed pixels, mean over images."""
        return np.asarray(self.changed.mean(axis=1), dtype=float)

    @property
    def unchanged(self) -> NDArray[np.float64]:
        """(R - 1,) share of images whose mask a round left as it was and no later one changed."""
        after = np.cumsum(self.changed[::-1], axis=0)[::-1]  # changes from this step on
        return np.asarray((after == 0).mean(axis=1), dtype=float)

    @property
    def start_iou(self) -> float | None:
        """IoU of the start mask, pooled over images, a plain fraction; None where start and truth are empty."""
        union = int((self.start_predicted + self.actual - self.start_intersection).sum())
        return int(self.start_intersection.sum()) / union if union else None


def read_changes(entry: Entry) -> MaskChanges | None:
    """The mask changes of an entry; None where none were stored.

    Raises:
        StoreError: when the file is broken.
    """
    path = entry.folder / "rounds.npz"
    if not path.is_file():
        return None
    try:
        arrays = load_arrays(path)
        shapes = {f.name: (None,) * (2 if f.name == "changed" else 1) for f in fields(MaskChanges)}
        found = MaskChanges(**{name: checked_array(arrays, name, WHOLE, shape) for name, shape in shapes.items()})
    except RequestError as error:
        raise StoreError(f"{entry.row.key}/rounds.npz: {error}; run the suite again") from None
    except StoreError as error:
        raise StoreError(str(error).replace(str(entry.folder), entry.row.key)) from None
    images, rounds = len(found.fixed), len(entry.scored.rounds) if entry.scored else 0
    for field in fields(MaskChanges):
        shape = getattr(found, field.name).shape
        if shape != ((rounds - 1, images) if field.name == "changed" else (images,)):
            raise StoreError(
                f"{entry.row.key}/rounds.npz: {field.name} is of shape {shape}, which does not go with {rounds} rounds "
                f"of {images} images; run the suite again"
            )
    return found


def pooled(seeds: Sequence[MaskChanges]) -> MaskChanges:
    """The changes of several seeds as of one longer list of images."""
    return MaskChanges(**{f.name: np.concatenate([getattr(s, f.name) for s in seeds], -1) for f in fields(MaskChanges)})
