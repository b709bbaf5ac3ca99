"""Interpolation of planes, a batch at once: at arbitrary points, or along the axes of a resized grid."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import grid_sample

from bench.arrays import FloatArray, IntArray

Interpolation = Literal["linear", "nearest"]

_ONE = 2048
"""Integer that stands for a weight of 1: OpenCV resizes 8-bit images in fixed point with 11 fractional bits."""


def at_points(planes: Tensor, y: Tensor, x: Tensor, interpolation: Interpolation) -> Tensor:
    """Interpolate planes (B, C, H, W) at points inside them, rows and columns (B, h, w) each: (B, C, h, w)."""
    return nearest(planes, y, x) if interpolation == "nearest" else linear(planes, y, x)


def nearest(planes: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """Values of the pixels nearest to the points; halves round up."""
    height, width = planes.shape[-2:]
    row, column = (y + 0.5).floor().clamp(0, height - 1).long(), (x + 0.5).floor().clamp(0, width - 1).long()
    # One flat index for both axes: a single gather reads each value once.
    index = row.mul_(width).add_(column).flatten(1)[:, None].expand(-1, planes.shape[1], -1)
    return planes.flatten(2).gather(2, index).view(*planes.shape[:2], *y.shape[1:])


def linear(planes: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """Bilinear interpolation between the four pixels around each point, rounded for integer planes."""
    height, width = planes.shape[-2:]
    # grid_sample takes coordinates from -1 to 1; with align_corners these are the centres of the outermost pixels.
    grid = torch.empty((*x.shape, 2), device=x.device)
    for axis, (at, length) in enumerate(((x, width), (y, height))):
        torch.mul(at - (length - 1) / 2, 2 / max(length - 1, 1), out=grid[..., axis])
    found = grid_sample(planes.float(), grid, mode="bilinear", padding_mode="border", align_corners=True)
    return _rounded(found, planes.dtype)


@dataclass(frozen=True, eq=False)
class ResizedAxis:
    """Positions on the original axis of the pixels of a resized one, for B images.

    Attributes:
        low, high: (B, n) original pixels to both sides.
        share: (B, n) weight of the higher one, from 0 to 1.
        near: (B, n) original pixel at the centre.
    """

    low: IntArray
    high: IntArray
    share: NDArray[np.float32]
    near: IntArray

    @classmethod
    def resized(cls, at: IntArray, before: IntArray, after: IntArray, *, is_row: bool) -> ResizedAxis:
        """Find the pixels `at` (B, n) of axes that are resized from `before` to `after` pixels, (B, 1) each.

        Positions are rounded to float32 where OpenCV rounds them, for equal results to the last bit. Beyond the
        outermost pixels OpenCV treats the axes differently: it clamps both rows to the border and keeps their weights,
        but sets the weight of the second column to 0. In fixed point the two can round to different levels.
        """
        centre = (at + 0.5) / (after / before) - 0.5
        below = np.floor(centre.astype(np.float32))
        share = (centre.astype(np.float32) - below).astype(np.float32)
        if not is_row:
            share = np.where((below < 0) | (below >= before - 1), np.float32(0), share)
        low, high = (np.clip(below + step, 0, before - 1).astype(np.int64) for step in range(2))
        return cls(low, high, share, np.clip(np.floor(centre + 0.5), 0, before - 1).astype(np.int64))

    def flipped(self, chosen: NDArray[np.bool_], length: IntArray) -> ResizedAxis:
        """The axis for maps that were flipped before the resize where `chosen` (B, 1), of `length` (B, 1) pixels."""
        ends = (np.where(chosen, length - 1 - at, at) for at in (self.low, self.high, self.near))
        low, high, near = ends
        return replace(self, low=low, high=high, near=near)

    def weights(self, device: torch.device, *, whole: bool) -> tuple[Tensor, Tensor]:
        """Weights (B, n) of the lower and the higher pixel: floats of sum 1, or integers that stand for them."""
        pair: list[NDArray[Any]] = [np.float32(1) - self.share, self.share]
        if whole:
            pair = [np.rint(one * np.float32(_ONE)).astype(np.int32) for one in pair]
        low, high = (array_to_device(one, device) for one in pair)
        return low, high


def resampled(planes: Tensor, down: ResizedAxis, right: ResizedAxis, interpolation: Interpolation) -> Tensor:
    """Resize planes (B, C, H, W) to (B, C, h, w); 8-bit levels are exactly those of `cv2.resize`."""
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
    # OpenCV's fixed point: columns are weighted with 11 fractional bits and cut to 7; the rows' weights add 11 more, of
    # which 16 are cut from each product (not from their sum), and the 2 that remain are rounded away.
    across = across.bitwise_right_shift_(4).to(torch.int16)  # at most 255 * 2048 / 16
    upper, under = (_rows(across, one).to(torch.int32) for one in (down.low, down.high))
    upper.mul_(above).bitwise_right_shift_(16)
    under.mul_(below).bitwise_right_shift_(16)
    return upper.add_(under).add_(2).bitwise_right_shift_(2).to(torch.uint8)


def _rows(planes: Tensor, rows: IntArray) -> Tensor:
    """Select rows (B, h) from planes (B, C, H, W): (B, C, h, W)."""
    images, channels, height, width = planes.shape
    first = np.arange(images * channels).reshape(images, channels, 1) * height
    index = array_to_device((first + rows[:, None]).reshape(-1), planes.device)
    return planes.reshape(-1, width).index_select(0, index).view(images, channels, -1, width)


def _columns(planes: Tensor, columns: IntArray) -> Tensor:
    """Select columns (B, w) from planes (B, C, H, W): (B, C, H, w)."""
    index = array_to_device(columns, planes.device)[:, None, None].expand(-1, *planes.shape[1:3], -1)
    return planes.gather(3, index)


def outer(down: FloatArray, right: FloatArray, device: torch.device) -> Tensor:
    """Outer sums (B, h, w) of (B, h) and (B, w)."""
    rows, columns = (array_to_device(one.astype(np.float32), device) for one in (down, right))
    return rows[:, :, None] + columns[:, None]


def array_to_device(values: NDArray[Any], device: torch.device) -> Tensor:
    """Tensor of an array's values on a device; the copy does not wait for the device's work."""
    return torch.from_numpy(np.ascontiguousarray(values)).to(device, non_blocking=True)


def _rounded(found: Tensor, dtype: torch.dtype) -> Tensor:
    return found.to(dtype) if dtype.is_floating_point else found.add_(0.5).to(dtype)
