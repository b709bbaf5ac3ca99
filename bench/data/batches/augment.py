"""Augmentation of training images: random draws for a whole epoch, kept as geometries that move any other map too."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import conv2d, pad

from bench.arrays import BoolArray, FloatArray, IntArray
from bench.data.batches.geometry import Views, change_chosen
from bench.data.batches.resample import array_to_device
from bench.data.images.frames import Frames
from bench.errors import RequestError
from bench.registry import Registry
from bench.types import Input, Recipe


@dataclass(frozen=True)
class Turns:
    """Probabilities of an augmentation's steps, and the ranges that two of them draw from.

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


DRAWN = (
    *("rotate", "angle", "flip_ud", "flip_lr", "transpose", "dropout", "scale"),
    *("positive", "target", "top", "left", "blur", "deviation"),
)
"""Purposes of the numbers from 0 to 1 that are drawn for each image and epoch.

All are drawn whether a recipe uses them or not, so that recipes which share a step share its draws. The order is part
of every experiment's numbers.
"""

Numbers = dict[str, FloatArray]
"""Purpose to the numbers (N,) of an epoch."""


@dataclass(frozen=True, eq=False)
class Draws:
    """Augmentation drawn for N images in one epoch.

    Attributes:
        views: the geometries.
        holes: (N, K, 4) top, left, height and width of squares in the scaled or rotated image, set to grey level 0 in
            the image and left in the mask; of no height where there are none. K is 0 where a recipe makes none.
        blur: (N,) deviation in pixels of a Gaussian over the patch; 0 is none.
    """

    views: Views
    holes: IntArray
    blur: FloatArray

    def take(self, rows: IntArray) -> Draws:
        """Draws of the images `rows`."""
        return Draws(self.views.take(rows), self.holes[rows], self.blur[rows])


def draw(frames: Frames, *, input: Input, recipe: Recipe, generator: np.random.Generator) -> Draws:
    """Draw the augmentation of every image in one epoch; it depends on the generator alone.

    Raises:
        UnknownNameError: with suggestions, when there is no augmentation of the recipe's name.
        RequestError: when it scales but the recipe cuts no patch.
    """
    turns = AUGMENTATIONS.get(recipe.augmentation)
    drawn = dict(zip(DRAWN, generator.random((len(DRAWN), len(frames))), strict=True))
    views = Views(
        source=frames.sizes,
        angle=np.where(drawn["rotate"] < turns.rotate, (2 * drawn["angle"] - 1) * turns.most_degrees, 0.0),
        flip_ud=drawn["flip_ud"] < turns.flip_ud,
        flip_lr=drawn["flip_lr"] < turns.flip_lr,
        transpose=drawn["transpose"] < turns.transpose,
        resize=input.size,
    )
    if turns.scale is not None:
        views = replace(views, scale=draw_scale(frames.sizes, turns.scale, recipe, drawn["scale"]))
    if recipe.patch is not None:
        views = replace(views, patch=recipe.patch, crop=draw_crop(frames, views, recipe=recipe, drawn=drawn))
    return Draws(
        views=views,
        holes=draw_holes(frames.sizes, drawn["dropout"] < turns.dropout, generator) if turns.dropout else _none(frames),
        blur=np.where(drawn["blur"] < turns.blur, drawn["deviation"], 0.0),
    )


def draw_scale(sizes: IntArray, lengths: tuple[float, float], recipe: Recipe, drawn: FloatArray) -> IntArray:
    """(N, 2) height and width after scaling; the long side is drawn between two lengths, given in patches.

    Raises:
        RequestError: when the recipe cuts no patch.
    """
    if recipe.patch is None:
        raise RequestError(f"recipe: augmentation {recipe.augmentation!r} scales, so it needs a patch")
    least, most = (round(length * recipe.patch) for length in lengths)
    share = _whole(drawn, least, most) / sizes.max(axis=1)
    scaled: IntArray = np.maximum(np.round(share[:, None] * sizes), 1).astype(np.int64)
    return scaled


def draw_crop(frames: Frames, views: Views, *, recipe: Recipe, drawn: Numbers) -> IntArray:
    """(N, 2) top and left of a patch: uniform, or, for the recipe's share of draws, around a random target pixel.

    Args:
        views: geometries so far; scale or rotation come before the crop.

    Differs: BasicIRSTD lets a patch around a target begin one pixel too early and so miss it; here it never does.
    """
    assert recipe.patch is not None
    most = np.maximum(views.uncropped - recipe.patch, 0)
    rows = np.flatnonzero((drawn["positive"] < recipe.positive_crop) & (frames.target_counts > 0))
    if views.scale is None and not views.angle.any():
        pixels = _targets(frames, rows, drawn["target"][rows])
    else:
        rows, pixels = _warped_targets(frames, views, rows, drawn["target"])
    # A patch contains the pixel p exactly when its corner lies in [p - patch + 1, p]; clipped to the image's corners.
    first, last = np.zeros_like(most), most.copy()
    first[rows] = np.maximum(pixels - recipe.patch + 1, 0)
    last[rows] = np.minimum(pixels, most[rows])
    corner = np.stack([drawn["top"], drawn["left"]], 1)
    return _whole(corner, first, last)


def _targets(frames: Frames, rows: IntArray, drawn: FloatArray) -> IntArray:
    """(n, 2) row and column of one target pixel in each of the images `rows`."""
    flat = frames.target_pixels_at(rows, _whole(drawn, 0, frames.target_counts[rows] - 1))
    return np.stack(np.divmod(flat, frames.sizes[rows, 1]), 1)


def _warped_targets(frames: Frames, views: Views, rows: IntArray, drawn: FloatArray) -> tuple[IntArray, IntArray]:
    """Images that show a target after scaling or rotation, and (n, 2) row and column of one pixel that does in each.

    A pixel shows a target when its nearest pixel in the source is a target pixel; all such pixels are equally likely.
    """
    kept, pixels = [np.empty(0, np.int64)], [np.empty((0, 2), np.int64)]
    for begin in range(0, len(rows), _AT_ONCE):
        some = rows[begin : begin + _AT_ONCE]
        owner, shown = _shown_targets(frames, views, some)
        count = np.bincount(owner, minlength=len(some))
        has = np.flatnonzero(count)
        first = np.cumsum(count) - count
        chosen = first[has] + _whole(drawn[some[has]], 0, count[has] - 1)
        kept.append(some[has])
        pixels.append(shown[chosen])
    return np.concatenate(kept), np.concatenate(pixels)


_AT_ONCE = 64
"""Images whose target pixels are moved at once, which bounds memory."""


def _shown_targets(frames: Frames, views: Views, rows: IntArray) -> tuple[IntArray, IntArray]:
    """Index into `rows` (n,) and pixel (n, 2) for each pixel that shows a target after scaling or rotation."""
    owner = np.repeat(np.arange(len(rows)), frames.target_counts[rows])
    image = rows[owner]
    numbers = np.arange(len(owner)) - np.searchsorted(owner, owner)  # 0, 1, 2, ... within each image
    pixel = np.stack(np.divmod(frames.target_pixels_at(image, numbers), frames.sizes[image, 1]), 1)
    # Moving a target pixel forward gives a point, but scaling up shows that pixel several times and a rotation may show
    # it beside the point. So every pixel around the point is a candidate; moving the candidates backward decides.
    largest = 1.0 if views.scale is None else float((views.scale / views.source).max())
    around = np.arange(-1, int(np.ceil(largest)) + 3)
    y, x = (np.floor(at) for at in views.forward(image, *(pixel - 0.5 * (views.scale is not None)).T))
    shown = np.stack(np.broadcast_arrays(y[:, None, None] + around[:, None], x[:, None, None] + around), -1)
    owner, image = (np.broadcast_to(one[:, None, None], shown.shape[:3]).ravel() for one in (owner, image))
    pixel = np.broadcast_to(pixel[:, None, None], shown.shape).reshape(-1, 2)
    shown = shown.reshape(-1, 2)
    back = np.stack(views.backward(image, *shown.T), 1)
    true = (np.floor(back + 0.5) == pixel) & (shown >= 0) & (shown < views.uncropped[image])
    hit = true.all(axis=1)
    return owner[hit], shown[hit].astype(np.int64)


def draw_holes(sizes: IntArray, chosen: BoolArray, generator: np.random.Generator) -> IntArray:
    """(N, 10, 4) squares of 32 pixels, clipped to smaller images; of size 0 in images that are not chosen."""
    sides = np.minimum(HOLE_SIDE, sizes)
    corners = _whole(generator.random((len(sizes), HOLES, 2)), 0, (sizes - sides)[:, None])
    return np.concatenate([corners, np.broadcast_to((sides * chosen[:, None])[:, None], corners.shape)], 2)


def black_out(window: Tensor, holes: IntArray, corner: IntArray | None) -> Tensor:
    """Set the holes (B, K, 4) of images (B, C, h, w) to level 0.

    Args:
        corner: (B, 2) top and left of the window in the images that the holes are in; None is (0, 0).
    """
    begin = holes[:, :, :2] - (0 if corner is None else corner[:, None])
    end = begin + holes[:, :, 2:]

    def blacken(some: Tensor) -> Tensor:
        # A pixel is in hole k when its row and its column are: the product over k counts the holes that cover it.
        down, right = (
            array_to_device(_covered(begin[has, :, axis], end[has, :, axis], length), some.device)
            for axis, length in enumerate(some.shape[-2:])
        )
        return some * (torch.bmm(down.transpose(1, 2), right) == 0)[:, None]

    has: BoolArray = np.any(holes[:, :, 2] > 0, axis=1)
    return change_chosen(window, has, blacken)


def _covered(begin: IntArray, end: IntArray, length: int) -> NDArray[np.float32]:
    """(B, K, length) 1 where a hole covers the axis, else 0."""
    at = np.arange(length)
    return ((at >= begin[:, :, None]) & (at < end[:, :, None])).astype(np.float32)


def blurred(images: Tensor, deviation: FloatArray) -> Tensor:
    """Blur images (B, C, H, W) with Gaussians of the deviations (B,); borders are reflected without the edge pixel.

    A kernel has the size that OpenCV chooses for 8-bit images: three deviations to both sides.
    """

    def blur(some: Tensor) -> Tensor:
        count, channels, height, width = some.shape
        kernel = array_to_device(gaussians(deviation[has]).repeat(channels, axis=0), some.device)
        # Every image has a kernel of its own: images become channels, and a grouped convolution keeps them apart.
        flat = pad(some.float().view(1, -1, height, width), (kernel.shape[1] // 2,) * 4, mode="reflect")
        flat = conv2d(flat, kernel[:, None, :, None], groups=count * channels)
        flat = conv2d(flat, kernel[:, None, None, :], groups=count * channels)
        return flat.add_(0.5).to(some.dtype).view(some.shape)

    has = np.asarray(deviation > 0)
    return change_chosen(images, has, blur)


def gaussians(deviation: FloatArray) -> NDArray[np.float32]:
    """(B, 2 R + 1) kernels that add up to 1; R is the largest radius, and a kernel is 0 beyond its own radius."""
    radius = np.round(deviation * 6 + 1).astype(int) // 2
    at = np.arange(-radius.max(), radius.max() + 1)
    kernel = np.exp(-(at**2) / (2 * deviation[:, None] ** 2)) * (np.abs(at) <= radius[:, None])
    shares: NDArray[np.float32] = (kernel / kernel.sum(axis=1, keepdims=True)).astype(np.float32)
    return shares


def _whole(drawn: FloatArray, first: IntArray | int, last: IntArray | int) -> IntArray:
    """Integers from first to last, both included, from numbers in [0, 1)."""
    return first + (drawn * (np.asarray(last) - first + 1)).astype(np.int64)


def _none(frames: Frames) -> IntArray:
    return np.zeros((len(frames), 0, 4), np.int64)
