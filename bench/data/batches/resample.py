"""Planes looked up between their pixels, a batch at once: at any points, or along the axes of a resized grid."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import grid_sample

from bench.data.cache.array_file import Ints

Floats = NDArray[np.float64]
Interpolation = Literal["linear", "nearest"]

_ONE = 2048
"""What OpenCV multiplies a weight of 1 with at 8 bits, to calculate in whole numbers."""


def at_points(planes: Tensor, y: Tensor, x: Tensor, interpolation: Interpolation) -> Tensor:
    """(B, C, h, w) of the planes (B, C, H, W) at the points (B, h, w), rows and columns, none of them outside."""
    return nearest(planes, y, x) if interpolation == "nearest" else linear(planes, y, x)


def nearest(planes: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """The planes at the pixels next to the points; halves go up."""
    height, width = planes.shape[-2:]
    row, column = (y + 0.5).floor().clamp(0, height - 1).long(), (x + 0.5).floor().clamp(0, width - 1).long()
    index = row.mul_(width).add_(column).flatten(1)[:, None].expand(-1, planes.shape[1], -1)
    return planes.flatten(2).gather(2, index).view(*planes.shape[:2], *y.shape[1:])


def linear(planes: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """The planes bilinear between the pixels around the points; whole numbers are rounded."""
    height, width = planes.shape[-2:]
    grid = torch.empty((*x.shape, 2), device=x.device)
    for axis, (at, length) in enumerate(((x, width), (y, height))):
        torch.mul(at - (length - 1) / 2, 2 / max(length - 1, 1), out=grid[..., axis])
    found = grid_sample(planes.float(), grid, mode="bilinear", padding_mode="border", align_corners=True)
    return _rounded(found, planes.dtype)


@dataclass(frozen=True, eq=False)
class Axis:
    """Where the pixels of a resized axis lie on the axis as it was, of B images.

    Attributes:
        low, high: (B, n) the pixels to both sides.
        share: (B, n) how much of the higher one is shown, from 0 to 1.
        near: (B, n) the pixel under the centre.
    """

    low: Ints
    high: Ints
    share: NDArray[np.float32]
    near: Ints

    @classmethod
    def resized(cls, at: Ints, before: Ints, after: Ints, *, is_row: bool) -> Axis:
        """The pixels `at` (B, n) of axes that are resized from `before` to `after` pixels, (B, 1) each.

        As OpenCV does it, which lets a row beyond the first or last be that one, and a column have no share of it.
        """
        centre = (at + 0.5) / (after / before) - 0.5
        below = np.floor(centre.astype(np.float32))
        share = (centre.astype(np.float32) - below).astype(np.float32)
        if not is_row:
            share = np.where((below < 0) | (below >= before - 1), np.float32(0), share)
        low, high = (np.clip(below + step, 0, before - 1).astype(np.int64) for step in range(2))
        return cls(low, high, share, np.clip(np.floor(centre + 0.5), 0, before - 1).astype(np.int64))

    def flipped(self, chosen: NDArray[np.bool_], length: Ints) -> Axis:
        """The same on axes of `length` (B, 1) pixels of which the chosen ones (B, 1) were turned round before."""
        ends = (np.where(chosen, length - 1 - at, at) for at in (self.low, self.high, self.near))
        low, high, near = ends
        return replace(self, low=low, high=high, near=near)

    def weights(self, device: torch.device, *, whole: bool) -> tuple[Tensor, Tensor]:
        """(B, n) of the lower and the higher pixel: numbers that add up to 1, or whole ones to `_ONE`."""
        pair: list[NDArray[Any]] = [np.float32(1) - self.share, self.share]
        if whole:
            pair = [np.rint(one * np.float32(_ONE)).astype(np.int32) for one in pair]
        low, high = (to_device(one, device) for one in pair)
        return low, high


def resampled(planes: Tensor, down: Axis, right: Axis, interpolation: Interpolation) -> Tensor:
    """(B, C, h, w) of the planes (B, C, H, W) on a resized grid; 8-bit levels exactly as `cv2.resize` gives them."""
    if interpolation == "nearest":
        return _columns(_rows(planes, down.near), right.near)
    whole = planes.dtype == torch.uint8
    device = planes.device
    left, beside = (one[:, None, None] for one in right.weights(device, whole=whole))
    above, below = (one[:, None, :, None] for one in down.weights(device, whole=whole))
    lower, higher = (_columns(planes, one).to(left.dtype) for one in (right.low, right.high))
    across = lower.mul_(left).add_(higher.mul_(beside))  # (B, C, H, w)
    if not whole:
        return _rounded(_rows(across, down.low) * above + _rows(across, down.high) * below, planes.dtype)
    across = across.bitwise_right_shift_(4).to(torch.int16)  # at most 255 * 2048 / 16
    upper, under = (_rows(across, one).to(torch.int32) for one in (down.low, down.high))
    upper.mul_(above).bitwise_right_shift_(16)
    under.mul_(below).bitwise_right_shift_(16)
    return upper.add_(under).add_(2).bitwise_right_shift_(2).to(torch.uint8)


def _rows(planes: Tensor, rows: Ints) -> Tensor:
    """(B, C, h, W) the rows (B, h) of the planes (B, C, H, W)."""
    images, channels, height, width = planes.shape
    first = np.arange(images * channels).reshape(images, channels, 1) * height
    index = to_device((first + rows[:, None]).reshape(-1), planes.device)
    return planes.reshape(-1, width).index_select(0, index).view(images, channels, -1, width)


def _columns(planes: Tensor, columns: Ints) -> Tensor:
    """(B, C, H, w) the columns (B, w) of the planes (B, C, H, W)."""
    index = to_device(columns, planes.device)[:, None, None].expand(-1, *planes.shape[1:3], -1)
    return planes.gather(3, index)


def outer(down: Floats, right: Floats, device: torch.device) -> Tensor:
    """(B, h, w) sums of (B, h) and (B, w)."""
    rows, columns = (to_device(one.astype(np.float32), device) for one in (down, right))
    return rows[:, :, None] + columns[:, None]


def to_device(values: NDArray[Any], device: torch.device) -> Tensor:
    """The numbers as a tensor."""
    return torch.from_numpy(np.ascontiguousarray(values)).to(device, non_blocking=True)


def _rounded(found: Tensor, dtype: torch.dtype) -> Tensor:
    return found.to(dtype) if dtype.is_floating_point else found.add_(0.5).to(dtype)
