"""One ground-truth mask, read once for every prediction that is scored against it.

A binary mask has one reading. A soft one (resized bilinearly and never binarised again) has five, because the code it
stands for reads it in five ways. These words have the same meaning in all of the counting:

    full       mask == 1.0          what targets are made of, and what the intersection of the IoU is taken with
    labelled   0.5 <= mask <= 1.0   pixels of the label area of the IoU
    real       mask > 0.5           what precision, recall and F1 take as target; `actual` is the number of its pixels
    positive   mask > 0             pixels of the denominator of PixAcc
    hits                            predicted pixels that are real; `intersection` those that are full
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.arrays import BoolArray, FloatArray, IntArray
from bench.errors import RequestError
from bench.metrics.counting.components import Components, find_components
from bench.metrics.counting.labelling import border_distances
from bench.metrics.counting.levels import check_unit_range
from bench.types import Scoring

BACKGROUND_MARGIN = 20
"""Pixels around a target's bounding box that are its local background, as in Gao et al., IEEE TIP 2013 (d = 20)."""


@dataclass(frozen=True, eq=False)
class Truth:
    """A mask as a scoring reads it; the module's docstring defines the words.

    Attributes:
        full, real: (H, W); one map for a binary mask.
        labelled, actual, positive: pixels.
        targets: the components of `full`.
        target_border, target_scr: (T,) as in `bench.metrics.counting.counts.CountFields`.
        grey: (H, W) the grey levels that ratios were measured on; None where there are none.
    """

    full: BoolArray
    real: BoolArray
    labelled: int
    actual: int
    positive: int
    targets: Components
    target_border: IntArray
    target_scr: FloatArray
    grey: NDArray[Any] | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.full.shape[0], self.full.shape[1]


def read_truth(truth: NDArray[Any], scoring: Scoring, *, grey: NDArray[Any] | None = None) -> Truth:
    """Read a mask under a scoring.

    Args:
        truth: (H, W); bool or uint8 in {0, 1}, or float in [0, 1] for `scoring.ground_truth == "soft"`.
        grey: (H, W) grey levels the signal-to-clutter ratios are measured on.

    Raises:
        RequestError: when the mask is not of that kind, is empty, or mask and grey image differ in shape.
    """
    if truth.ndim != 2 or not truth.size:
        raise RequestError(f"mask has shape {truth.shape}, expected (height, width) with at least one pixel")
    if grey is not None and grey.shape != truth.shape:
        raise RequestError(f"grey image has shape {grey.shape} and its mask {truth.shape}, expected the same")
    if scoring.ground_truth == "soft":
        _check_soft(truth)
        full, real, labelled = truth == 1, truth > 0.5, truth >= 0.5
    else:
        _check_binary(truth)
        full = real = labelled = np.ascontiguousarray(truth).view(np.bool_)
    targets = find_components(full, connectivity=scoring.connectivity)
    actual = int(targets.areas.sum())
    is_soft = real is not full
    return Truth(
        full=full,
        real=real,
        labelled=int(np.count_nonzero(labelled)) if is_soft else actual,
        actual=int(np.count_nonzero(real)) if is_soft else actual,
        positive=int(np.count_nonzero(truth)),
        targets=targets,
        target_border=_border_distances(targets, full.shape),
        target_scr=_signal_to_clutter(targets, truth == 0, grey) if grey is not None else np.full(len(targets), np.nan),
        grey=grey,
    )


def _check_binary(truth: NDArray[Any]) -> None:
    if truth.dtype not in (np.bool_, np.uint8):
        raise RequestError(f"mask is {truth.dtype}, expected bool or uint8 in {{0, 1}}; binarise it at > 127 of 255")
    if truth.max() > 1:
        raise RequestError(f"mask holds {truth.max()}, expected 0 and 1; binarise it at > 127 of 255")


def _check_soft(truth: NDArray[Any]) -> None:
    if truth.dtype not in (np.float32, np.float64):
        raise RequestError(f"soft mask is {truth.dtype}, expected float32 or float64 in [0, 1]; divide by 255")
    check_unit_range("soft masks", truth)


def _border_distances(targets: Components, shape: tuple[int, int]) -> IntArray:
    """(T,) pixels between each target's outermost pixel and the image border; 0 when it lies on the first row."""
    runs = targets.run_rows, targets.run_starts, targets.run_ends, targets.run_owner
    return border_distances(*runs, len(targets), *shape)


def _signal_to_clutter(targets: Components, is_background: BoolArray, grey: NDArray[Any]) -> FloatArray:
    """(T,) signal-to-clutter ratios: |mean of target - mean of background| / standard deviation of background.

    The local background of a target is its bounding box widened by 20 px on every side, cut at the image border, less
    every pixel that any mask value marks. NaN without background or where it is constant.
    """
    ratios = np.full(len(targets), np.nan)
    for t in range(len(targets)):
        rows, cols = targets.rows[targets.owner == t], targets.cols[targets.owner == t]
        window = surroundings(rows, cols)
        clutter = grey[window][is_background[window]].astype(np.float64)
        spread = clutter.std() if len(clutter) else 0.0
        if spread > 0:
            ratios[t] = abs(grey[rows, cols].astype(np.float64).mean() - clutter.mean()) / spread
    return ratios


def surroundings(rows: IntArray, cols: IntArray) -> tuple[slice, slice]:
    """The bounding box of a target's pixels, widened by 20 px on every side and cut at the first row and column."""
    return (
        slice(max(int(rows.min()) - BACKGROUND_MARGIN, 0), int(rows.max()) + BACKGROUND_MARGIN + 1),
        slice(max(int(cols.min()) - BACKGROUND_MARGIN, 0), int(cols.max()) + BACKGROUND_MARGIN + 1),
    )
