"""Geometry of augmented images: records that move any map of an image as the image was moved, singly or in batches.

Coordinates are those of pixel centres: a pixel reaches half a pixel to each side. So a position p on an axis of n
pixels is (p + 0.5) * m / n - 0.5 on an axis of m pixels over the same field of view.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar, overload

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from bench.arrays import BoolArray, FloatArray, IntArray, Size
from bench.data.batches.crops import Planes
from bench.data.batches.resample import (
    Interpolation,
    ResizedAxis,
    array_to_device,
    at_points,
    linear,
    nearest,
    outer,
    resampled,
)
from bench.data.cache.array_file import Array
from bench.errors import RequestError

AnyMap = TypeVar("AnyMap", Array, Tensor)


@dataclass(frozen=True)
class Geometry:
    """Geometric steps that made one augmented image, in the order in which they are taken.

    Attributes:
        source: (height, width) of the image in pixels.
        scale: (height, width) that it is resized to at first, bilinear, or None; never together with a rotation.
        angle: rotation about the centre in degrees, counter-clockwise, borders reflected without the edge pixel.
        crop: (top, left) of the patch in the scaled or rotated image, or None.
        patch: side of the square patch, padded at the bottom and right with zeros where the image ends; None for all.
        flip_ud, flip_lr, transpose: whether these steps are taken, in this order.
        resize: (height, width) in pixels at the end, bilinear, or None.
    """

    source: Size
    scale: Size | None = None
    angle: float = 0.0
    crop: Size | None = None
    patch: int | None = None
    flip_ud: bool = False
    flip_lr: bool = False
    transpose: bool = False
    resize: Size | None = None

    def __post_init__(self) -> None:
        if (self.crop is None) != (self.patch is None):
            raise RequestError(f"geometry: crop {self.crop} and patch {self.patch} go together")
        if self.patch is not None and self.resize is not None:
            raise RequestError(f"geometry: patch {self.patch} and resize {self.resize} exclude each other")
        if self.scale is not None and (self.angle or self.resize is not None):
            raise RequestError(f"geometry: scale {self.scale} excludes angle {self.angle} and resize {self.resize}")

    @property
    def output(self) -> Size:
        """(height, width) in pixels after all steps."""
        if self.resize is not None:
            return self.resize
        if self.patch is not None:
            return self.patch, self.patch
        uncropped = self.scale or self.source
        return uncropped[::-1] if self.transpose else uncropped

    def apply(self, plane: AnyMap, interpolation: Interpolation = "linear") -> AnyMap:
        """Move a map of the image as the image was moved; applied to the image itself, give the augmented image.

        Args:
            plane: (..., H, W) array or tensor in image coordinates: of the image's own size, or, where the geometry
                resizes, of any other size over the same field of view, such as a prediction at the network's size.
            interpolation: of rotation and resizing; `nearest` keeps a mask binary.

        Raises:
            RequestError: when the map's size is not the image's and the geometry does not resize.
        """
        if not isinstance(plane, Tensor):
            return self.apply(torch.from_numpy(np.ascontiguousarray(plane)), interpolation).numpy()
        leading, size = plane.shape[:-2], tuple(plane.shape[-2:])
        if self.resize is None and size != self.source:
            raise RequestError(f"geometry: map of {size}, expected {self.source}, the image it was made for")
        moved = Views.of([self]).apply(plane.reshape(1, -1, *size), interpolation)
        return moved.reshape(*leading, *moved.shape[-2:])

    def undo(self, plane: AnyMap, onto: AnyMap) -> AnyMap:
        """Write a map of the augmented view back to image coordinates, into a copy of `onto`.

        Pixels that the view did not show (outside the patch, rotated out of the frame) keep the values of `onto`.

        Args:
            plane: (H', W') map of the augmented view, such as a prediction; (H', W') is `output`.
            onto: (H, W) map in image coordinates, of a size that `apply` takes.
        """
        if not isinstance(plane, Tensor) or not isinstance(onto, Tensor):
            view, image = (torch.from_numpy(np.ascontiguousarray(one)) for one in (plane, onto))
            return self.undo(view, image).numpy()
        return Views.of([self]).undo(plane[None, None], onto[None, None])[0, 0]


@dataclass(frozen=True, eq=False)
class Views(Sequence[Geometry]):
    """Geometries of a batch of B images, as arrays; fields without a batch axis hold for all of them.

    Attributes:
        source, scale, angle, crop, patch, flip_ud, flip_lr, transpose, resize: as in `Geometry`.
    """

    source: IntArray  # (B, 2)
    angle: FloatArray  # (B,)
    flip_ud: BoolArray
    flip_lr: BoolArray
    transpose: BoolArray
    scale: IntArray | None = None  # (B, 2)
    crop: IntArray | None = None  # (B, 2)
    patch: int | None = None
    resize: Size | None = None
    _points: dict[tuple[bytes, Size, torch.device], tuple[Tensor, Tensor]] = field(
        default_factory=dict, init=False, repr=False
    )
    """Source points of a window's pixels, kept because an image and its mask need the same."""

    @classmethod
    def of(cls, geometries: Sequence[Geometry]) -> Views:
        """Collect geometries of one patch and one resize, which all scale or none of which does.

        Raises:
            RequestError: when they differ in patch or resize, or in whether they scale.
        """
        common = {(one.patch, one.resize, one.scale is None) for one in geometries}
        if len(common) != 1:
            raise RequestError(f"geometry: a batch has one patch, one resize, and all or none scaled, not {common}")
        ((patch, resize, unscaled),) = common
        return cls(
            source=np.array([one.source for one in geometries], np.int64),
            angle=np.array([one.angle for one in geometries], np.float64),
            flip_ud=np.array([one.flip_ud for one in geometries], np.bool_),
            flip_lr=np.array([one.flip_lr for one in geometries], np.bool_),
            transpose=np.array([one.transpose for one in geometries], np.bool_),
            scale=None if unscaled else np.array([one.scale for one in geometries], np.int64),
            crop=None if patch is None else np.array([one.crop for one in geometries], np.int64),
            patch=patch,
            resize=resize,
        )

    def __len__(self) -> int:
        return len(self.source)

    @overload
    def __getitem__(self, row: int) -> Geometry: ...
    @overload
    def __getitem__(self, row: slice) -> Views: ...
    def __getitem__(self, row: int | slice) -> Geometry | Views:
        if isinstance(row, slice):
            return self.take(np.arange(len(self))[row])
        return Geometry(
            source=_pair(self.source[row]),
            scale=None if self.scale is None else _pair(self.scale[row]),
            angle=float(self.angle[row]),
            crop=None if self.crop is None else _pair(self.crop[row]),
            patch=self.patch,
            flip_ud=bool(self.flip_ud[row]),
            flip_lr=bool(self.flip_lr[row]),
            transpose=bool(self.transpose[row]),
            resize=self.resize,
        )

    def take(self, rows: IntArray) -> Views:
        """Views of the images `rows`."""
        return replace(
            self,
            source=self.source[rows],
            angle=self.angle[rows],
            flip_ud=self.flip_ud[rows],
            flip_lr=self.flip_lr[rows],
            transpose=self.transpose[rows],
            scale=None if self.scale is None else self.scale[rows],
            crop=None if self.crop is None else self.crop[rows],
        )

    @property
    def uncropped(self) -> IntArray:
        """(B, 2) height and width of the image that the patch is cut from."""
        return self.source if self.scale is None else self.scale

    def apply(self, planes: Tensor, interpolation: Interpolation = "linear") -> Tensor:
        """Move maps (B, C, H, W) as the images were moved: (B, C, H', W').

        Args:
            planes: (B, C, H, W) in image coordinates, each image at the top left; where the views resize, all of any
                one size over the images' fields of view.
            interpolation: of rotation, scaling and resizing.
        """
        sizes = self._sizes_of(planes)
        window = self.window(Planes.stacked(planes, sizes), interpolation)
        return self.ended(self.finish(window, sizes, interpolation))

    def undo(self, planes: Tensor, onto: Tensor) -> Tensor:
        """Write maps (B, 1, H', W') of the views back to image coordinates, into a copy of `onto` (B, 1, H, W).

        The steps lead each pixel of `onto` to a point of the view, where the map is interpolated: so every pixel gets
        one value, without holes where the view was shrunk.
        """
        sizes = self._sizes_of(onto)
        y, x = self._in_window(sizes, (onto.shape[2], onto.shape[3]), onto.device)
        shape = self.uncropped if self.scale is not None else sizes
        corner = np.zeros_like(shape) if self.crop is None else self.crop
        # `ends`: pixels of the window that show the image, the rest is padding; `frame`: pixels of the window.
        ends = shape - corner if self.patch is None else np.minimum(shape - corner, self.patch)
        frame = shape if self.patch is None else np.full_like(shape, self.patch)
        seen = _within(y, ends[:, 0]) & _within(x, ends[:, 1])
        y, x = _clamp(y, ends[:, 0]), _clamp(x, ends[:, 1])
        y, x = _flipped(y, frame[:, 0], self.flip_ud), _flipped(x, frame[:, 1], self.flip_lr)
        turned = array_to_device(self.transpose, y.device)[:, None, None]
        y, x = torch.where(turned, x, y), torch.where(turned, y, x)
        shown = np.where(self.transpose[:, None], frame[:, ::-1], frame)
        if self.resize is not None:
            y, x = (_rescaled(at, shown[:, axis], planes.shape[2 + axis]) for axis, at in enumerate((y, x)))
        # Without rotation or resize all points are pixels, and values are copied as they are, not interpolated.
        exact = (self.angle == 0) & (self.scale is None) & self._keeps_size(shown, planes)
        return torch.where(seen[:, None], _sampled(planes, y, x, exact), onto)

    def window(self, planes: Planes, interpolation: Interpolation = "linear") -> Tensor:
        """Take the first steps, scale or rotation and crop: (B, C, h, w); without a crop each map fills the top left.

        Pixels beyond the end of an image are arbitrary; `ended` makes them zero after the last step.
        """
        shape = (self.patch, self.patch) if self.patch is not None else _largest(planes.size)
        corner = np.zeros_like(planes.size) if self.crop is None else self.crop
        warped = (self.angle != 0) | (self.scale is not None)
        plain, rows = np.flatnonzero(~warped), np.flatnonzero(warped)
        # Images that are only cropped are copied; only the others are interpolated.
        kept = planes.take(plain).cut(corner[plain, 0], corner[plain, 1], shape) if len(plain) else None
        moved = self._warped(rows, planes.take(rows), shape, interpolation) if len(rows) else None
        return together(kept, moved, warped)

    def finish(self, window: Tensor, sizes: IntArray, interpolation: Interpolation = "linear") -> Tensor:
        """Take the last steps, flips, transposition and resize: (B, C, H', W').

        Args:
            window: (B, C, h, w), result of `window`.
            sizes: (B, 2) height and width of the map in it; used where nothing is cropped.

        Raises:
            RequestError: when maps of several shapes would have to be stacked.
        """
        if self.resize is None or self._is_turned_to(window, sizes):
            return self._turned(window)
        # The resize reads flipped axes backwards instead of flipping first: maps of several sizes lie at the top left
        # of one window, where a flip of the window would move them. Transposition needs a square window.
        flipped, turned = np.stack([self.flip_ud, self.flip_lr], 1), self.transpose[:, None]
        if turned.any():
            side = max(window.shape[-2:])
            window = pad(window, (0, side - window.shape[3], 0, side - window.shape[2]))
            window = change_chosen(window, self.transpose, lambda some: some.transpose(-1, -2))
            sizes, flipped = (np.where(turned, one[:, ::-1], one) for one in (sizes, flipped))
        down, right = (
            ResizedAxis.resized(
                np.arange(length)[None], sizes[:, [axis]], np.array([[length]]), is_row=axis == 0
            ).flipped(flipped[:, [axis]], sizes[:, [axis]])
            for axis, length in enumerate(self.resize)
        )
        return resampled(window, down, right, interpolation)

    def ended(self, planes: Tensor) -> Tensor:
        """Set pixels of `finish`'s result (B, C, H', W') to zero, in place, where the patch shows no image."""
        ends = self._ends()
        if ends is None:
            return planes
        # The image fills a rectangle: a product of one factor per row and one per column, without a (B, H', W') mask.
        first, last = (_index(ends[:, one::2], planes)[:, :, None] for one in range(2))  # (B, 2, 1)
        at = torch.arange(planes.shape[-1], device=planes.device)
        inside = ((at >= first) & (at < last)).to(planes.dtype)[:, :, None]  # (B, 2, 1, P)
        return planes.mul_(inside[:, 0, :, :, None]).mul_(inside[:, 1, :, None])

    def forward(self, rows: IntArray, y: FloatArray, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Move points of the source images `rows` to their places in the scaled or rotated images."""
        if self.scale is not None:
            share = self.scale[rows] / self.source[rows]
            return (y + 0.5) * share[:, 0] - 0.5, (x + 0.5) * share[:, 1] - 0.5
        cosine, sine, height, width = self._turns(rows)
        return height - sine * (x - width) + cosine * (y - height), width + cosine * (x - width) + sine * (y - height)

    def backward(self, rows: IntArray, y: FloatArray, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Move points of the scaled or rotated images `rows` to their places in the source images."""
        if self.scale is not None:
            share = self.source[rows] / self.scale[rows]
            return (y + 0.5) * share[:, 0] - 0.5, (x + 0.5) * share[:, 1] - 0.5
        cosine, sine, height, width = self._turns(rows)
        return height + sine * (x - width) + cosine * (y - height), width + cosine * (x - width) - sine * (y - height)

    def _ends(self) -> IntArray | None:
        """(B, 4) first and end row, first and end column that show the image, after all steps; None where all do."""
        if self.patch is None or self.crop is None:
            return None
        ends = np.minimum(self.uncropped - self.crop, self.patch)
        if (ends == self.patch).all():
            return None
        # A flip brings the padding from the bottom and right to the top and left.
        begin = np.where(np.stack([self.flip_ud, self.flip_lr], 1), self.patch - ends, 0)
        rows, columns = (np.stack([begin[:, i], begin[:, i] + ends[:, i]], 1) for i in range(2))
        turned = self.transpose[:, None]
        return np.concatenate([np.where(turned, columns, rows), np.where(turned, rows, columns)], 1)

    def _turns(self, rows: IntArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Cosine and sine of the angle, height and width of the centre."""
        angle, centre = np.deg2rad(self.angle[rows]), (self.source[rows] - 1) / 2
        return np.cos(angle), np.sin(angle), centre[:, 0], centre[:, 1]

    def _sizes_of(self, planes: Tensor) -> IntArray:
        """(B, 2) height and width of the maps in a stack."""
        shape = tuple(planes.shape[-2:])
        if self.resize is not None:
            return np.broadcast_to(np.array(shape, np.int64), self.source.shape)
        if shape != _largest(self.source):
            raise RequestError(f"geometry: maps of {shape}, expected {_largest(self.source)}, the largest image's size")
        return self.source

    def _keeps_size(self, shown: IntArray, planes: Tensor) -> BoolArray:
        """(B,) true where a view was not resized, or to the size that it had."""
        same: BoolArray = (shown == np.array(planes.shape[-2:])).all(axis=1) | (self.resize is None)
        return same

    def _is_turned_to(self, window: Tensor, sizes: IntArray) -> bool:
        """True if flips and transposition alone give the final size, so that no resize is needed."""
        return tuple(window.shape[-2:]) == self.resize and bool(
            (sizes == self.resize).all() and (self.resize[0] == self.resize[1] or not self.transpose.any())
        )

    def _turned(self, window: Tensor) -> Tensor:
        height, width = window.shape[-2:]
        if self.patch is None and self.resize is None and (self.uncropped != self.uncropped[:1]).any():
            raise RequestError("geometry: images of several sizes make no batch; set recipe.patch or input.size")
        if height != width and self.transpose.any() and not self.transpose.all():
            raise RequestError(
                "geometry: only some of the maps that are not square are transposed, expected all or none"
            )
        window = change_chosen(window, self.flip_ud, lambda some: some.flip(-2))
        window = change_chosen(window, self.flip_lr, lambda some: some.flip(-1))
        return change_chosen(window, self.transpose, lambda some: some.transpose(-1, -2))

    def _warped(self, rows: IntArray, planes: Planes, shape: Size, interpolation: Interpolation) -> Tensor:
        """Windows (b, C, h, w) of the given shape from images `rows`, scaled or rotated."""
        origin = np.zeros(len(rows), np.int64)
        canvas = planes.cut(origin, origin, _largest(planes.size))
        corner = origin[:, None].repeat(2, 1) if self.crop is None else self.crop[rows]
        if self.scale is not None:
            # A patch may be larger than the scaled image; reflection keeps its points inside, `ended` blanks them.
            down, right = (
                ResizedAxis.resized(
                    _reflect(corner[:, [axis]] + np.arange(shape[axis]), self.scale[rows, axis, None]),
                    *(planes.size[:, [axis]], self.scale[rows, axis, None]),
                    is_row=axis == 0,
                )
                for axis in range(2)
            )
            return resampled(canvas, down, right, interpolation)
        # Image and mask have one size and one device: the second of them finds the points that the first calculated.
        points = (planes.size.tobytes(), shape, canvas.device)
        if points not in self._points:
            grid = (corner[:, [axis]] + np.arange(shape[axis]) for axis in range(2))
            y, x = self.take(rows)._rotated(planes.size, *grid, sense=-1.0, device=canvas.device)
            height, width = planes.size.T
            self._points[points] = _reflected(y, height, width), _reflected(x, width, height)
        return at_points(canvas, *self._points[points], interpolation)

    def _in_window(self, sizes: IntArray, shape: Size, device: torch.device) -> tuple[Tensor, Tensor]:
        """Rows and columns (B, H, W) in the window of the pixels of maps in image coordinates."""
        corner = np.zeros_like(sizes) if self.crop is None else self.crop
        rows, columns = (np.broadcast_to(np.arange(length), (len(self), length)) for length in shape)
        if self.scale is not None:
            share = self.scale / sizes
            down, right = (
                (at + 0.5) * share[:, [axis]] - 0.5 - corner[:, [axis]] for axis, at in enumerate((rows, columns))
            )
            # A scale keeps rows and columns apart; the sums with zeros only give both the shape (B, H, W).
            none = np.zeros((len(self), 1))
            return outer(down, none.repeat(shape[1], 1), device), outer(none.repeat(shape[0], 1), right, device)
        y, x = self._rotated(sizes, rows, columns, sense=1.0, device=device)
        shift = array_to_device(corner.astype(np.float32), device)
        return y - shift[:, 0, None, None], x - shift[:, 1, None, None]

    def _rotated(
        self, sizes: IntArray, rows: IntArray, columns: IntArray, *, sense: float, device: torch.device
    ) -> tuple[Tensor, Tensor]:
        """Rows and columns (B, h, w) of a grid's points after a rotation.

        A map over the image's field of view may have other pixels, even ones that are not square in the image: points
        are moved to the image's pixels, turned about its centre there, and moved back.
        """
        angle = sense * np.deg2rad(self.angle)[:, None]
        share, centre = self.source / sizes, (self.source - 1) / 2
        down = (rows + 0.5) * share[:, [0]] - 0.5 - centre[:, [0]]
        right = (columns + 0.5) * share[:, [1]] - 0.5 - centre[:, [1]]
        back = [(centre[:, [axis]] + 0.5) / share[:, [axis]] - 0.5 for axis in range(2)]
        # Each coordinate is a sum of a term per row and one per column, calculated in float64 on B (h + w) numbers.
        y = outer(np.cos(angle) * down / share[:, [0]] + back[0], -np.sin(angle) * right / share[:, [0]], device)
        x = outer(np.sin(angle) * down / share[:, [1]], np.cos(angle) * right / share[:, [1]] + back[1], device)
        return y, x


def _sampled(planes: Tensor, y: Tensor, x: Tensor, exact: BoolArray) -> Tensor:
    """Interpolate bilinearly (B, C, h, w); images whose points are all pixels (`exact`) are copied instead."""
    at, between = (_index(np.flatnonzero(one), planes) for one in (exact, ~exact))
    found = nearest(planes[at], y[at], x[at]) if len(at) else None
    blended = linear(planes[between], y[between], x[between]) if len(between) else None
    return together(found, blended, ~exact)


def _reflect(at: IntArray, length: IntArray) -> IntArray:
    """Reflect integers into [0, length) without repeating the edge pixel."""
    period = np.maximum(2 * (length - 1), 1)
    inside: IntArray = np.minimum(at % period, period - at % period)
    return np.minimum(inside, length - 1)


def _reflected(at: Tensor, lengths: IntArray, across: IntArray) -> Tensor:
    """Reflect points (B, h, w) of rotated images on an axis of `lengths` (B,) pixels, the other axis having `across`.

    One reflection at both ends is last - |last - |at||. A rotated corner lies at most half of hypot(length, across) -
    length outside: for long and narrow images that is more than the narrow side, and takes several reflections.
    """
    last = _per_image(lengths - 1, at)
    outside = (np.hypot(lengths, across) - lengths) / 2
    for _ in range(max(int(np.ceil(outside / np.maximum(lengths - 1, 1)).max()), 1)):
        at = last - (last - at.abs()).abs()
    return torch.minimum(at.clamp(min=0), last)


def _within(at: Tensor, ends: IntArray) -> Tensor:
    """(B, h, w) true where the pixel nearest to a point is one of the first `ends` (B,)."""
    pixel = (at + 0.5).floor()
    return (pixel >= 0) & (pixel < _per_image(ends, at))


def _clamp(at: Tensor, ends: IntArray) -> Tensor:
    return torch.minimum(at.clamp(min=0), _per_image(ends - 1, at))


def _flipped(at: Tensor, lengths: IntArray, flipped: BoolArray) -> Tensor:
    chosen = array_to_device(flipped, at.device)[:, None, None]
    return torch.where(chosen, _per_image(lengths - 1, at) - at, at)


def _rescaled(at: Tensor, lengths: IntArray, to: int) -> Tensor:
    """Move points on axes of `lengths` (B,) pixels to axes of `to` pixels over the same field of view."""
    scaled = (at + 0.5) * _per_image(to / lengths, at) - 0.5
    return scaled.clamp(0, to - 1)


def _per_image(values: IntArray | FloatArray, like: Tensor) -> Tensor:
    return array_to_device(values.astype(np.float32), like.device)[:, None, None]


def change_chosen(planes: Tensor, chosen: BoolArray, change: Callable[[Tensor], Tensor]) -> Tensor:
    """Apply `change` to the chosen planes of (B, ...); nothing is copied where none or all are chosen."""
    if not chosen.any():
        return planes
    if chosen.all():
        return change(planes)
    some, others = (planes.index_select(0, _index(np.flatnonzero(one), planes)) for one in (chosen, ~chosen))
    return together(others, change(some), chosen)


def together(others: Tensor | None, some: Tensor | None, chosen: BoolArray) -> Tensor:
    """Merge the chosen rows `some` and the remaining rows `others` into (B, ...); None stands for no rows.

    `index_select` copies whole rows; `index_copy` into an empty result would copy element by element.
    """
    if others is None or some is None:
        whole = some if others is None else others
        assert whole is not None
        return whole
    order = np.argsort(np.concatenate([np.flatnonzero(~chosen), np.flatnonzero(chosen)]))
    return torch.cat([others, some]).index_select(0, _index(order, some))


def _index(rows: IntArray, like: Tensor) -> Tensor:
    return array_to_device(rows, like.device)


def _largest(sizes: IntArray) -> Size:
    return _pair(sizes.max(axis=0))


def _pair(values: IntArray) -> Size:
    return int(values[0]), int(values[1])
