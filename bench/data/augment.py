"""Random changes of a training image, each kept as a record that can be applied to another map of the same image."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.data.frames import Frame
from bench.registry import Registry
from bench.types import Input, Recipe

Array = NDArray[Any]
Map = TypeVar("Map", Array, Tensor)
Interpolation = Literal["linear", "nearest"]
Hole = tuple[int, int, int, int]

_CV2_FLAG = {"linear": cv2.INTER_LINEAR, "nearest": cv2.INTER_NEAREST}


@dataclass(frozen=True)
class Geometry:
    """Where every pixel of an augmented image came from. Steps in the order they are taken, on an image or a map of it.

    Attributes:
        source: (height, width) of the image in pixels.
        scale: (height, width) it is resized to at first, bilinear, or None; never together with a rotation.
        angle: rotation about the centre in degrees, counter-clockwise, borders reflected without the edge pixel.
        crop: (top, left) of the patch in the scaled or rotated image, or None.
        patch: side of the square patch, padded at the bottom and right with zeros where the image ends; None for all.
        flip_ud, flip_lr, transpose: taken in this order.
        resize: (height, width) in pixels at the end, bilinear, or None.
    """

    source: tuple[int, int]
    scale: tuple[int, int] | None = None
    angle: float = 0.0
    crop: tuple[int, int] | None = None
    patch: int | None = None
    flip_ud: bool = False
    flip_lr: bool = False
    transpose: bool = False
    resize: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if (self.crop is None) != (self.patch is None):
            raise ValueError(f"geometry: crop {self.crop} and patch {self.patch} go together")
        if self.patch is not None and self.resize is not None:
            raise ValueError(f"geometry: patch {self.patch} and resize {self.resize} exclude each other")
        if self.scale is not None and (self.angle or self.resize is not None):
            raise ValueError(f"geometry: scale {self.scale} excludes angle {self.angle} and resize {self.resize}")

    @property
    def uncropped(self) -> tuple[int, int]:
        """(height, width) in pixels of what the patch is cut from."""
        return self.scale or self.source

    @property
    def output(self) -> tuple[int, int]:
        """(height, width) in pixels after all steps."""
        if self.resize is not None:
            return self.resize
        if self.patch is not None:
            return self.patch, self.patch
        return self.uncropped[::-1] if self.transpose else self.uncropped

    def apply(self, plane: Map, interpolation: Interpolation = "linear") -> Map:
        """The map as the augmented image shows it: equal to what was done to the image, when applied to the image.

        Args:
            plane: (..., H, W) array or tensor in image coordinates: of the image's own size, or, where the geometry
                resizes, of any other size over the same field of view, such as a prediction at the network's size.
            interpolation: of rotation and resizing; `nearest` keeps a mask binary.

        Raises:
            ValueError: when the map's size is not the image's and the geometry crops.
        """
        if isinstance(plane, Tensor):
            moved = self.apply(plane.detach().cpu().numpy(), interpolation)
            return torch.from_numpy(np.ascontiguousarray(moved)).to(plane.device)
        return self.resized(self.turned(self.placed(self.warped(plane, interpolation))), interpolation)

    def undo(self, plane: Map, onto: Map) -> Map:
        """`onto` with a map of the augmented view written back where the view showed the image.

        What the view did not show (outside the patch, rotated out of the frame) stays as it is in `onto`.

        Args:
            plane: (H', W') map of the augmented view, such as a prediction; (H', W') is `output`.
            onto: (H, W) map in image coordinates, of a size that `apply` takes.
        """
        if isinstance(plane, Tensor) or isinstance(onto, Tensor):
            assert isinstance(plane, Tensor)
            assert isinstance(onto, Tensor)
            back = self.undo(plane.detach().cpu().numpy(), onto.detach().cpu().numpy())
            return torch.from_numpy(np.ascontiguousarray(back)).to(onto.device)
        shape = self.scale or onto.shape
        size = shape[::-1] if self.transpose else shape
        if self.resize is not None and plane.shape != size:
            plane = cv2.resize(np.ascontiguousarray(plane), size[::-1], interpolation=cv2.INTER_LINEAR)
        plane = plane.swapaxes(-1, -2) if self.transpose else plane
        plane = plane[:, ::-1] if self.flip_lr else plane
        plane = plane[::-1] if self.flip_ud else plane
        top, left = self.crop or (0, 0)
        height, width = min(plane.shape[0], shape[0] - top), min(plane.shape[1], shape[1] - left)
        canvas: Array = np.zeros(shape, plane.dtype)
        seen: Array = np.zeros(shape, np.uint8)
        canvas[top : top + height, left : left + width] = plane[:height, :width]
        seen[top : top + height, left : left + width] = 1
        if self.scale is not None:
            canvas = cv2.resize(canvas, onto.shape[::-1], interpolation=cv2.INTER_LINEAR)
            seen = cv2.resize(seen, onto.shape[::-1], interpolation=cv2.INTER_NEAREST)
        if self.angle:
            inverse, across = cv2.invertAffineTransform(self._rotation(onto.shape)), onto.shape[::-1]
            canvas = cv2.warpAffine(canvas, inverse, across, borderMode=cv2.BORDER_REPLICATE)
            seen = cv2.warpAffine(seen, inverse, across, flags=cv2.INTER_NEAREST)
        return np.where(seen > 0, canvas, onto)

    def warped(self, plane: Array, interpolation: Interpolation = "linear") -> Array:
        """The first step: (..., H, W) scaled, or rotated about its centre."""
        size: tuple[int, int] = plane.shape[-2:]
        if size != self.source and self.resize is None:
            raise ValueError(f"geometry: map of {size}, expected {self.source}, the image it was made for")
        flag = _CV2_FLAG[interpolation]
        if self.scale is not None:
            across = self.scale[::-1]
            return _each_plane(plane, lambda p: cv2.resize(p, across, interpolation=flag))
        if not self.angle:
            return plane
        matrix = self._rotation(size)
        return _each_plane(
            plane, lambda p: cv2.warpAffine(p, matrix, size[::-1], flags=flag, borderMode=cv2.BORDER_REFLECT_101)
        )

    def placed(self, plane: Array) -> Array:
        """The second step: the patch of (..., H, W), zero where the image has ended."""
        if self.crop is None or self.patch is None:
            return plane
        top, left = self.crop
        inside = plane[..., top : top + self.patch, left : left + self.patch]
        if inside.shape[-2:] == (self.patch, self.patch):
            return inside
        padded = np.zeros((*plane.shape[:-2], self.patch, self.patch), plane.dtype)
        padded[..., : inside.shape[-2], : inside.shape[-1]] = inside
        return padded

    def turned(self, plane: Array) -> Array:
        """The third step: (..., H, W) flipped and transposed, as a view."""
        if self.flip_ud:
            plane = plane[..., ::-1, :]
        if self.flip_lr:
            plane = plane[..., ::-1]
        return plane.swapaxes(-1, -2) if self.transpose else plane

    def resized(self, plane: Array, interpolation: Interpolation = "linear") -> Array:
        """The last step: (..., H, W) at the network's size."""
        if self.resize is None or plane.shape[-2:] == self.resize:
            return plane
        size, flag = self.resize[::-1], _CV2_FLAG[interpolation]
        return _each_plane(plane, lambda p: cv2.resize(p, size, interpolation=flag))

    def _rotation(self, size: tuple[int, ...]) -> Array:
        """The 2x3 matrix of the rotation for a map of `size`, whose pixels may differ in shape from the image's."""
        (height, width), (rows, columns) = self.source, size
        turn = np.eye(3)
        turn[:2] = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), self.angle, 1.0)
        scale = np.array(
            [
                [columns / width, 0, (columns / width - 1) / 2],
                [0, rows / height, (rows / height - 1) / 2],
                [0, 0, 1.0],
            ]
        )
        matrix: Array = (scale @ turn @ np.linalg.inv(scale))[:2]
        return matrix


@dataclass(frozen=True)
class Augmentation:
    """One random draw: the geometry, and what changes grey levels alone.

    Attributes:
        holes: (top, left, height, width) in the rotated image, set to grey level 0 in the image and left in the mask.
        blur: deviation in pixels of a Gaussian over the patch; 0 is none.
    """

    geometry: Geometry
    holes: tuple[Hole, ...] = ()
    blur: float = 0.0


@dataclass(frozen=True)
class Turns:
    """Rates of an augmentation's steps: each a probability, unless it says otherwise.

    Attributes:
        most_degrees: largest angle of a rotation, to both sides.
        scale: least and greatest length of the image's long side, in patches; None leaves the image at its size.
        blur: probability of a Gaussian blur whose deviation is up to one pixel.
    """

    flip_ud: float = 0.0
    flip_lr: float = 0.0
    transpose: float = 0.0
    rotate: float = 0.0
    most_degrees: float = 35.0
    dropout: float = 0.0
    scale: tuple[float, float] | None = None
    blur: float = 0.0


AUGMENTATIONS: Registry[Turns] = Registry("augmentation")
AUGMENTATIONS.add("none", Turns())
AUGMENTATIONS.add("basicirstd", Turns(flip_ud=0.5, flip_lr=0.5, transpose=0.5))
AUGMENTATIONS.add("flip-ud", Turns(flip_ud=0.5))
AUGMENTATIONS.add("dnanet", Turns(flip_lr=0.5, scale=(0.5, 2.0), blur=0.5))
AUGMENTATIONS.add("dfinet", Turns(flip_ud=0.3, flip_lr=0.3, rotate=0.3, dropout=0.3))

HOLES, HOLE_SIDE = 10, 32
"""DFINet's CoarseDropout, as albumentations 1.3.1 carries it out: exactly 10 squares of 32 pixels."""


def draw(frame: Frame, *, input: Input, recipe: Recipe, generator: np.random.Generator) -> Augmentation:
    """What happens to one image in one epoch, decided by the generator alone.

    Raises:
        LookupError: with suggestions, when there is no augmentation of the recipe's name.
        ValueError: when it scales but the recipe cuts no patch.
    """
    turns = AUGMENTATIONS.get(recipe.augmentation)
    rotate, ud, lr, transpose, dropout = generator.random(5)
    angle = float(generator.uniform(-turns.most_degrees, turns.most_degrees)) if rotate < turns.rotate else 0.0
    geometry = Geometry(
        source=frame.size,
        angle=angle,
        flip_ud=bool(ud < turns.flip_ud),
        flip_lr=bool(lr < turns.flip_lr),
        transpose=bool(transpose < turns.transpose),
        resize=input.size,
    )
    holes = draw_holes(frame.size, generator) if dropout < turns.dropout else ()
    if turns.scale is not None:
        geometry = dataclasses.replace(geometry, scale=draw_scale(frame.size, turns.scale, recipe, generator))
    if recipe.patch is not None:
        crop = draw_crop(frame, geometry, recipe=recipe, generator=generator)
        geometry = dataclasses.replace(geometry, crop=crop, patch=recipe.patch)
    blur = float(generator.random()) if turns.blur and generator.random() < turns.blur else 0.0
    return Augmentation(geometry, holes, blur)


def draw_scale(
    size: tuple[int, int], lengths: tuple[float, float], recipe: Recipe, generator: np.random.Generator
) -> tuple[int, int]:
    """(height, width) of an image whose long side is drawn between two lengths, given in patches.

    Raises:
        ValueError: when the recipe cuts no patch.
    """
    if recipe.patch is None:
        raise ValueError(f"recipe: augmentation {recipe.augmentation!r} scales, so it needs a patch")
    least, most = (round(length * recipe.patch) for length in lengths)
    share = int(generator.integers(least, most + 1)) / max(size)
    return max(round(share * size[0]), 1), max(round(share * size[1]), 1)


def draw_crop(frame: Frame, geometry: Geometry, *, recipe: Recipe, generator: np.random.Generator) -> tuple[int, int]:
    """(top, left) of a training patch: uniform, or, for the recipe's share of draws, around a random target pixel.

    Args:
        geometry: its scale or rotation comes before the crop.

    Differs: BasicIRSTD lets a patch around a target begin one pixel too early and so miss it; here it never does.
    """
    assert recipe.patch is not None
    height, width = geometry.uncropped
    free = max(height - recipe.patch, 0), max(width - recipe.patch, 0)
    if generator.random() < recipe.positive_crop:
        targets = frame.target_pixels
        if geometry.angle or geometry.scale is not None:
            targets = np.flatnonzero(geometry.warped(frame.binary_mask, "nearest"))
        if targets.size:
            pixel = divmod(int(targets[generator.integers(targets.size)]), width)
            top, left = (
                int(generator.integers(max(at - recipe.patch + 1, 0), min(at, most) + 1))
                for at, most in zip(pixel, free, strict=True)
            )
            return top, left
    return int(generator.integers(free[0] + 1)), int(generator.integers(free[1] + 1))


def draw_holes(size: tuple[int, int], generator: np.random.Generator) -> tuple[Hole, ...]:
    """Ten 32x32 rectangles (top, left, height, width) inside an image of (height, width), smaller only if it is."""
    height, width = min(HOLE_SIDE, size[0]), min(HOLE_SIDE, size[1])
    tops = generator.integers(0, size[0] - height + 1, HOLES)
    lefts = generator.integers(0, size[1] - width + 1, HOLES)
    return tuple((int(top), int(left), height, width) for top, left in zip(tops, lefts, strict=True))


def black_out(image: Array, holes: tuple[Hole, ...]) -> Array:
    """A copy of (..., H, W) with the holes at level 0; the image itself when there are none."""
    if not holes:
        return image
    image = image.copy()
    for top, left, height, width in holes:
        image[..., top : top + height, left : left + width] = 0
    return image


def blurred(image: Array, deviation: float) -> Array:
    """(..., H, W) under a Gaussian; the image itself where the deviation is 0."""
    if not deviation:
        return image
    return _each_plane(image, lambda plane: cv2.GaussianBlur(plane, (0, 0), deviation))


def _each_plane(planes: Array, change: Callable[[Array], Array]) -> Array:
    """(..., H, W) with `change` done to every (H, W) plane."""
    if planes.ndim == 2:
        return change(np.ascontiguousarray(planes))
    flat = planes.reshape(-1, *planes.shape[-2:])
    changed = np.stack([change(np.ascontiguousarray(plane)) for plane in flat])
    return changed.reshape(*planes.shape[:-2], *changed.shape[-2:])
