"""Batches: frames in, normalised tensors out; order and augmentation depend on seed and epoch alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.data.augment import Augmentation, Geometry, black_out, blurred, draw
from bench.data.frames import Frame
from bench.data.starts import OTSU, STARTS, Start
from bench.network import Batch
from bench.types import Input, Recipe

Floats = NDArray[np.float32]

_ORDER, _IMAGE = 0, 1
"""Which random stream: the order of an epoch, or what happens to one image in it."""


def train_batches(
    frames: Sequence[Frame],
    *,
    input: Input,
    recipe: Recipe,
    seed: int,
    epoch: int,
    needs_start: bool,
) -> Iterator[Batch]:
    """The batches of one epoch; the same for the same (seed, epoch), whatever was asked for before.

    Raises:
        LookupError: with suggestions, when there is no augmentation of the recipe's name.
        ValueError: when the first feedback mask shall not follow the augmentation but the input is cropped.
    """
    if needs_start and not recipe.align_start and input.size is None:
        raise ValueError("recipe: align_start=False needs a resized input, a patch has no un-augmented start mask")
    for chosen in _epoch_batches(len(frames), recipe=recipe, seed=seed, epoch=epoch):
        drawn = [
            draw(frames[i], input=input, recipe=recipe, generator=np.random.default_rng((seed, _IMAGE, epoch, i)))
            for i in chosen
        ]
        yield _train_batch(frames, chosen, drawn, input=input, recipe=recipe, needs_start=needs_start)


def steps_per_epoch(frames: Sequence[Frame], recipe: Recipe) -> int:
    """Batches in an epoch, a last one of a single image left out if the recipe says so."""
    full, left = divmod(len(frames), recipe.batch)
    return full + (left > 1 or (left == 1 and not (recipe.drop_single and recipe.batch > 1)))


def evaluation_batches(
    frames: Sequence[Frame],
    *,
    input: Input,
    needs_start: bool,
    start: str = OTSU,
    batch: int = 1,
) -> Iterator[Batch]:
    """Every frame once, in order, resized or padded at the bottom and right with zeros after normalisation.

    Args:
        start: name in bench.data.starts of the first feedback masks; padded like the images.
        batch: most images a batch; only consecutive images of one padded size share one.

    Raises:
        LookupError: with suggestions, when first feedback masks are needed and there is none of that name.
    """
    make_start = STARTS.get(start) if needs_start else None
    together: list[int] = []
    for index, frame in enumerate(frames):
        if together and (len(together) == batch or _padded(frames[together[0]], input) != _padded(frame, input)):
            yield _test_batch(frames, together, input=input, make_start=make_start)
            together = []
        together.append(index)
    if together:
        yield _test_batch(frames, together, input=input, make_start=make_start)


def network_size(frame: Frame, input: Input) -> tuple[int, int]:
    """(height, width) of the part of a prediction that is kept: what the network sees of the image, before padding."""
    return input.size or frame.size


def _epoch_batches(count: int, *, recipe: Recipe, seed: int, epoch: int) -> Iterator[list[int]]:
    order_key = (seed, _ORDER) if recipe.shuffle == "once" else (seed, _ORDER, epoch)
    order = np.random.default_rng(order_key).permutation(count).tolist()
    for first in range(0, count, recipe.batch):
        chosen = order[first : first + recipe.batch]
        if len(chosen) > 1 or recipe.batch == 1 or not recipe.drop_single:
            yield chosen


def _train_batch(
    frames: Sequence[Frame],
    chosen: list[int],
    drawn: list[Augmentation],
    *,
    input: Input,
    recipe: Recipe,
    needs_start: bool,
) -> Batch:
    shown = [frames[i] for i in chosen]
    pairs = list(zip(shown, drawn, strict=True))
    starts = None
    if needs_start:
        starts = np.stack([_start(frame, a.geometry if recipe.align_start else None, input) for frame, a in pairs])
    return _batch(
        shown,
        chosen,
        images=np.stack([_image(frame, augmentation, input) for frame, augmentation in pairs]),
        masks=np.stack([_mask(frame, augmentation.geometry) for frame, augmentation in pairs]),
        starts=starts,
        geometry=[augmentation.geometry for augmentation in drawn],
    )


def _test_batch(
    frames: Sequence[Frame],
    chosen: list[int],
    *,
    input: Input,
    make_start: Start | None,
) -> Batch:
    shown = [frames[i] for i in chosen]
    whole = [Augmentation(Geometry(source=frame.size, resize=input.size)) for frame in shown]
    size = _padded(shown[0], input)
    pairs = list(zip(shown, whole, strict=True))
    starts = None
    if make_start is not None:
        made = [make_start(frame, network_size(frame, input)).astype(np.float32) for frame in shown]
        starts = np.stack([_pad(start, size) for start in made])
    return _batch(
        shown,
        chosen,
        images=np.stack([_pad(_image(frame, a, input), size) for frame, a in pairs]),
        masks=np.stack([_pad(_mask(frame, a.geometry), size) for frame, a in pairs]),
        starts=starts,
        geometry=[None] * len(shown),
    )


def _batch(
    shown: Sequence[Frame],
    chosen: list[int],
    *,
    images: Floats,
    masks: Floats,
    starts: Floats | None,
    geometry: Sequence[Any],
) -> Batch:
    return Batch(
        image=torch.from_numpy(images),
        mask=_one_channel(masks),
        start=None if starts is None else _one_channel(starts),
        index=torch.tensor(chosen),
        name=[frame.name for frame in shown],
        size=[frame.size for frame in shown],
        geometry=geometry,
    )


def _one_channel(planes: Floats) -> Tensor:
    return torch.from_numpy(planes)[:, None]


def _image(frame: Frame, augmentation: Augmentation, input: Input) -> Floats:
    """(C, H, W) of one image, normalised after everything but the padding, so that what is padded is zero."""
    geometry = augmentation.geometry
    levels = frame.image.transpose(2, 0, 1) if frame.image.ndim == 3 else frame.image[None]
    levels = black_out(geometry.warped(levels), augmentation.holes)
    if geometry.crop is None:
        levels = blurred(geometry.resized(geometry.turned(levels)), augmentation.blur)
        return np.ascontiguousarray(_normalise(levels, input))
    top, left = geometry.crop
    patch = blurred(levels[:, top : top + geometry.output[0], left : left + geometry.output[1]], augmentation.blur)
    return np.ascontiguousarray(geometry.turned(_pad(_normalise(patch, input), geometry.output)))


def _mask(frame: Frame, geometry: Geometry) -> Floats:
    """(H, W): binary, or with a resized input the stored mask resized bilinearly, soft, in [0, 1]."""
    if geometry.resize is None:
        return geometry.apply(frame.binary_mask, "nearest").astype(np.float32)
    turned = geometry.turned(geometry.warped(frame.mask, "nearest"))
    return geometry.resized(turned).astype(np.float32) / np.float32(255)


def _start(frame: Frame, geometry: Geometry | None, input: Input) -> Floats:
    """(H, W) in {0, 1}: the Otsu start at the network's size, moved with the image if a geometry is given."""
    start = frame.start(input.size)
    return (start if geometry is None else geometry.apply(start, "nearest")).astype(np.float32)


def _normalise(levels: NDArray[np.uint8], input: Input) -> Floats:
    """(C, H, W) as the network sees it; a grey image is repeated for a network of three channels."""
    normalised = (levels.astype(np.float32) - np.float32(input.mean)) / np.float32(input.std)
    return np.repeat(normalised, input.channels // len(normalised), axis=0) if len(normalised) == 1 else normalised


def _padded(frame: Frame, input: Input) -> tuple[int, int]:
    height, width = network_size(frame, input)
    return height + -height % input.multiple, width + -width % input.multiple


def _pad(planes: Floats, size: tuple[int, int]) -> Floats:
    """(..., H, W) with zeros at the bottom and right up to `size`."""
    height, width = planes.shape[-2:]
    if (height, width) == size:
        return planes
    padded = np.zeros((*planes.shape[:-2], *size), np.float32)
    padded[..., :height, :width] = planes
    return padded
