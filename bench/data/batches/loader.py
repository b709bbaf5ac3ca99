"""Batches of normalised tensors from frames; order and augmentation depend on seed and epoch alone.

Training batches are cut, turned and normalised by tensor code over the whole batch, on the network's device.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.arrays import IntArray
from bench.data.batches.augment import Draws, black_out, blurred, draw
from bench.data.batches.crops import Planes, flat_memory
from bench.data.batches.geometry import Views, together
from bench.data.images.decode import Pixels, resize_bilinear
from bench.data.images.frames import IMAGE, MASK, Frame, Frames
from bench.data.images.start_masks import OTSU, STARTS, Start
from bench.errors import RequestError
from bench.models.network import Batch
from bench.types import Input, Recipe

Floats32 = NDArray[np.float32]

_ORDER, _IMAGES = 0, 1
"""Random streams: the order of the images in an epoch, and their augmentation."""


@dataclass(frozen=True)
class Share:
    """The part of every batch that one of several processes calculates: as many successive images as the others.

    Shares of a batch that does not divide differ by one image. A batch of fewer images than processes is calculated
    whole by each of them.
    """

    rank: int = 0
    processes: int = 1

    def counts(self, images: int) -> list[int]:
        """The images of each process's part of a batch.

        >>> Share(rank=0, processes=2).counts(5), Share(rank=0, processes=2).counts(1)
        ([2, 3], [1, 1])
        """
        if images < self.processes:
            return [images] * self.processes
        ends = [images * rank // self.processes for rank in range(self.processes + 1)]
        return [end - begin for begin, end in pairwise(ends)]

    def rows(self, images: int) -> slice:
        """The rows of this process's part of a batch."""
        counts = self.counts(images)
        first = sum(counts[: self.rank]) if images >= self.processes else 0
        return slice(first, first + counts[self.rank])


WHOLE = Share()
"""The share of a process that trains alone."""


class Feed:
    """Training batches of a list of images, epoch by epoch, made on the device that trains."""

    def __init__(
        self,
        frames: Frames,
        *,
        input: Input,
        recipe: Recipe,
        seed: int,
        needs_start: bool,
        device: torch.device | None = None,
    ) -> None:
        """Place the images on the device if they fit there, and the Otsu start masks if they are needed.

        Args:
            device: default the CPU.

        Raises:
            RequestError: when the start mask is not to follow the augmentation but the input is cropped.
            DataError: naming an image without a mask.
        """
        frames.require_masks()
        if needs_start and not recipe.align_start and input.size is None:
            raise RequestError(
                "recipe: align_start=False needs a resized input, a patch has no un-augmented start mask"
            )
        self.frames, self.input, self.recipe, self.seed = frames, input, recipe, seed
        self.device = device or torch.device("cpu")
        flats = flat_memory(frames.records.packs, self.device)
        self._images, self._masks = (
            Planes.of(frames.records, number, flats=flats, device=self.device) for number in (IMAGE, MASK)
        )
        self._starts = self._planes_of_starts() if needs_start else None

    def epoch(self, epoch: int, *, share: Share = WHOLE) -> Iterator[Batch]:
        """Yield the batches of one epoch; they depend on (seed, epoch) alone, not on earlier calls.

        Args:
            share: the part of each batch that is made; order and augmentation are those of the whole.

        Raises:
            UnknownNameError: with suggestions, when there is no augmentation of the recipe's name.
            RequestError: when images of several sizes are neither cropped nor resized.
        """
        generator = np.random.default_rng((self.seed, _IMAGES, epoch))
        drawn = draw(self.frames, input=self.input, recipe=self.recipe, generator=generator)
        for chosen in _epoch_batches(len(self.frames), recipe=self.recipe, seed=self.seed, epoch=epoch):
            own = chosen[share.rows(len(chosen))]
            yield self._batch(own, drawn.take(own))

    def names(self, epoch: int) -> Iterator[list[str]]:
        """Yield the names of the images of every whole batch of one epoch."""
        for chosen in _epoch_batches(len(self.frames), recipe=self.recipe, seed=self.seed, epoch=epoch):
            yield [self.frames.names[row] for row in chosen]

    def _planes_of_starts(self) -> Planes:
        starts = self.frames.starts(self.input.size)
        return Planes.of(starts, 0, flats=flat_memory(starts.packs, self.device), device=self.device)

    def _batch(self, chosen: IntArray, drawn: Draws) -> Batch:
        views = drawn.views
        return Batch(
            image=self._image(self._images.take(chosen), drawn),
            mask=self._mask(self._masks.take(chosen), views),
            start=None if self._starts is None else self._start(self._starts.take(chosen), views),
            index=torch.from_numpy(chosen),
            name=[self.frames.names[row] for row in chosen],
            size=[(height, width) for height, width in views.source.tolist()],
            geometry=views,
        )

    def _image(self, planes: Planes, drawn: Draws) -> Tensor:
        """(B, C, H, W) of all images; equal channels are calculated once and repeated."""
        coloured = planes.begin[:, 0] != planes.begin[:, -1]
        if not coloured.any():
            return _repeated(self._one_kind(planes.distinct(), drawn), self.input.channels)
        colour, rows = np.flatnonzero(coloured), np.flatnonzero(~coloured)
        grey = self._one_kind(planes.take(rows).distinct(), drawn.take(rows)) if len(rows) else None
        repeated = None if grey is None else _repeated(grey, self.input.channels)
        return together(repeated, self._one_kind(planes.take(colour), drawn.take(colour)), coloured)

    def _one_kind(self, planes: Planes, drawn: Draws) -> Tensor:
        """(B, C, H, W) of images that all have one or all have three channels, normalised; padding is zero."""
        views = drawn.views
        levels = black_out(views.window(planes), drawn.holes, views.crop)
        # Blur comes after the crop and before the flips, or after a resize: on the scale that the network sees.
        if views.patch is not None:
            levels = views.finish(blurred(levels, drawn.blur), planes.size)
        else:
            levels = blurred(views.finish(levels, planes.size), drawn.blur)
        # Padding is zeroed last: it is 0 after normalisation, not (0 - mean) / std.
        return views.ended(_floats(levels).sub_(self.input.mean).div_(self.input.std))

    def _mask(self, planes: Planes, views: Views) -> Tensor:
        """(B, 1, H, W) binary, or with a resized input the stored mask resized bilinearly, soft, in [0, 1]."""
        levels = views.window(planes, "nearest")
        if views.resize is not None:
            return _floats(views.finish(levels, planes.size)).div_(255)
        binary = levels.bitwise_right_shift(7)  # greater than 127
        return views.ended(_floats(views.finish(binary, planes.size, "nearest")))

    def _start(self, planes: Planes, views: Views) -> Tensor:
        """(B, 1, H, W) in {0, 1}: Otsu start at the network's size, moved like the image if the recipe aligns it."""
        if not self.recipe.align_start:
            corner = np.zeros(len(views), np.int64)
            assert self.input.size is not None
            return _floats(planes.cut(corner, corner, self.input.size))
        window = views.window(planes, "nearest")
        return views.ended(_floats(views.finish(window, planes.size, "nearest")))


def train_batches(
    frames: Frames,
    *,
    input: Input,
    recipe: Recipe,
    seed: int,
    epoch: int,
    needs_start: bool,
    device: torch.device | None = None,
) -> Iterator[Batch]:
    """Yield the batches of a single epoch, as `Feed` makes them."""
    feed = Feed(frames, input=input, recipe=recipe, seed=seed, needs_start=needs_start, device=device)
    return feed.epoch(epoch)


def steps_per_epoch(frames: Sequence[Frame], recipe: Recipe) -> int:
    """Number of batches in an epoch; a last batch of a single image is left out if the recipe says so."""
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
    """Yield every frame once, in order, resized, or padded with zeros at the bottom and right after normalisation.

    Args:
        start: name of the start masks in bench.data.images.start_masks; they are padded like the images.
        batch: most images in a batch; only consecutive images of one padded size share a batch.

    Raises:
        UnknownNameError: with suggestions, when start masks are needed and none has that name.
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
    """(height, width) at which the network sees the image, before padding: the part of a prediction that is kept."""
    return input.size or frame.size


def _epoch_batches(count: int, *, recipe: Recipe, seed: int, epoch: int) -> Iterator[IntArray]:
    order_key = (seed, _ORDER) if recipe.shuffle == "once" else (seed, _ORDER, epoch)
    order = np.random.default_rng(order_key).permutation(count)
    for first in range(0, count, recipe.batch):
        chosen = order[first : first + recipe.batch]
        if len(chosen) > 1 or recipe.batch == 1 or not recipe.drop_single:
            yield chosen


def _floats(levels: Tensor) -> Tensor:
    return levels.to(torch.float32, memory_format=torch.contiguous_format)


def _repeated(image: Tensor, channels: int) -> Tensor:
    """Image (B, C, H, W) with its only channel repeated if the network takes three."""
    return image if image.shape[1] == channels else image.expand(-1, channels, -1, -1).contiguous()


@dataclass(frozen=True)
class _Whole:
    """Conversion of whole images for evaluation, equal to OpenCV and NumPy to the last bit."""

    input: Input

    def image(self, frame: Frame) -> Floats32:
        """(C, H, W) normalised; a grey image is repeated for a network of three channels."""
        channels = [frame.image] if frame.image.ndim == 2 else list(np.moveaxis(frame.image, -1, 0))
        levels = np.stack([self._sized(channel) for channel in channels]).astype(np.float32)
        normalised = (levels - np.float32(self.input.mean)) / np.float32(self.input.std)
        return np.repeat(normalised, self.input.channels // len(levels), axis=0)

    def mask(self, frame: Frame) -> Floats32:
        """(H, W) binary, or with a resized input the stored mask resized bilinearly, soft; NaN without a mask."""
        if frame.mask is None:
            return np.full(network_size(frame, self.input), np.nan, np.float32)
        if self.input.size is None:
            return frame.binary_mask.astype(np.float32)
        return self._sized(frame.mask).astype(np.float32) / np.float32(255)

    def _sized(self, plane: Pixels) -> Pixels:
        return plane if self.input.size is None else resize_bilinear(np.ascontiguousarray(plane), self.input.size)


def _test_batch(frames: Sequence[Frame], chosen: list[int], *, input: Input, make_start: Start | None) -> Batch:
    shown = [frames[i] for i in chosen]
    whole, size = _Whole(input), _padded(shown[0], input)
    starts = None
    if make_start is not None:
        made = [make_start(frame, network_size(frame, input)).astype(np.float32) for frame in shown]
        starts = torch.from_numpy(np.stack([_pad(start, size) for start in made]))[:, None]
    return Batch(
        image=torch.from_numpy(np.stack([_pad(whole.image(frame), size) for frame in shown])),
        mask=torch.from_numpy(np.stack([_pad(whole.mask(frame), size) for frame in shown]))[:, None],
        start=starts,
        index=torch.tensor(chosen),
        name=[frame.name for frame in shown],
        size=[frame.size for frame in shown],
        geometry=None,
    )


def _padded(frame: Frame, input: Input) -> tuple[int, int]:
    height, width = network_size(frame, input)
    if input.padding == "further":
        height, width = height + 1, width + 1
    return height + -height % input.multiple, width + -width % input.multiple


def _pad(planes: Floats32, size: tuple[int, int]) -> Floats32:
    """(..., H, W) with zeros at the bottom and right up to `size`."""
    height, width = planes.shape[-2:]
    if (height, width) == size:
        return planes
    padded = np.zeros((*planes.shape[:-2], *size), np.float32)
    padded[..., :height, :width] = planes
    return padded
