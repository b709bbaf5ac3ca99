"""Images and masks of a list, decoded once into memory and checked."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import get_args, overload

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.data import synthetic
from bench.data.cards import Card, DataError, load_card
from bench.data.decode import Pixels, decode_grey, decode_mask, decode_opencv, resize_bilinear, resize_nearest
from bench.data.folders import Files, find_dataset
from bench.data.otsu import otsu_start
from bench.types import Decoder

log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]
"""Called with (images done, images in all)."""


class Masked:
    """A mask of levels 0 to 255 at native size, and what is read from it."""

    mask: Pixels

    @property
    def size(self) -> tuple[int, int]:
        """Native (height, width) in pixels."""
        height, width = self.mask.shape
        return height, width

    @cached_property
    def binary_mask(self) -> Pixels:
        """(H, W) in {0, 1}: where the mask is greater than 127."""
        return (self.mask > 127).astype(np.uint8)

    def binary_at(self, size: tuple[int, int]) -> Pixels:
        """(height, width) in {0, 1}: where the mask, resized bilinearly if it has to be, is greater than 127."""
        return self.binary_mask if size == self.size else (resize_bilinear(self.mask, size) > 127).astype(np.uint8)


@dataclass(frozen=True, eq=False)
class Frame(Masked):
    """One image and its mask at native size.

    Attributes:
        name: the file's name without extension.
        image: (H, W) grey, or (H, W, 3) blue, green, red; levels 0 to 255.
        grey: (H, W) levels 0 to 255, what the Otsu start is made from.
        mask: (H, W) levels 0 to 255 as stored, after a declared repair.
    """

    name: str
    image: Pixels
    grey: Pixels
    mask: Pixels
    _starts: dict[tuple[int, int], Pixels] = field(default_factory=dict, init=False, repr=False)

    @cached_property
    def target_pixels(self) -> NDArray[np.intp]:
        """Flat indices of the pixels that belong to a target."""
        return np.flatnonzero(self.mask > 127)

    def start(self, size: tuple[int, int] | None = None) -> Pixels:
        """The Otsu start {0, 1} at native size, or made from the frame resized to (height, width); computed once."""
        size = size or self.size
        if size not in self._starts:
            grey = self.grey if size == self.size else cv2.resize(self.grey, size[::-1]).astype(np.uint8, copy=False)
            self._starts[size] = otsu_start(grey)
        return self._starts[size]


class Frames(Sequence[Frame]):
    """The frames of a list, in its order, with the dataset they belong to."""

    def __init__(self, dataset: str, frames: Sequence[Frame]) -> None:
        self.dataset = dataset
        self._frames = tuple(frames)

    @overload
    def __getitem__(self, index: int) -> Frame: ...
    @overload
    def __getitem__(self, index: slice) -> Frames: ...
    def __getitem__(self, index: int | slice) -> Frame | Frames:
        if isinstance(index, slice):
            return Frames(self.dataset, self._frames[index])
        return self._frames[index]

    def __len__(self) -> int:
        return len(self._frames)

    def __iter__(self) -> Iterator[Frame]:
        return iter(self._frames)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(frame.name for frame in self._frames)


def open_frames(
    dataset: str, names: Sequence[str], *, root: Path | None, decoder: Decoder, progress: Progress | None = None
) -> Frames:
    """The named images of a dataset, decoded and checked.

    Args:
        root: the folder that holds `<dataset>/images` and `<dataset>/masks`; not looked at for generated datasets.

    Raises:
        LookupError: with suggestions, when there is no such dataset.
        DataError: when the folder is not there, or an image or mask is missing, damaged or of an unexpected size.
        ValueError: when there is no such decoder.
    """
    if decoder not in get_args(Decoder):
        raise ValueError(f"decoder is {decoder!r}, expected one of {', '.join(get_args(Decoder))}")
    card = load_card(dataset)
    read = _generator(card, decoder) if card.generated else _reader(card, find_dataset(card, root), decoder)
    frames = []
    for done, name in enumerate(names, start=1):
        frames.append(read(name))
        if progress is not None:
            progress(done, len(names))
    return Frames(dataset, frames)


def measure_statistics(frames: Sequence[Frame]) -> tuple[float, float]:
    """Mean of the images' mean levels and mean of their standard deviations, as BasicIRSTD defines its constants."""
    images = [frame.image.astype(np.float64) for frame in frames]
    return float(np.mean([i.mean() for i in images])), float(np.mean([i.std() for i in images]))


def _generator(card: Card, decoder: Decoder) -> Callable[[str], Frame]:
    def read(name: str) -> Frame:
        grey, mask = synthetic.checked_scene(card, name)
        return Frame(name, cv2.merge([grey] * 3) if decoder == "opencv-bgr" else grey, grey, mask)  # type: ignore[arg-type]

    return read


def _reader(card: Card, files: Files, decoder: Decoder) -> Callable[[str], Frame]:
    def read(name: str) -> Frame:
        image_path, mask_path = files.pair(name)
        image, grey = _decode(image_path, decoder)
        return Frame(name, image, grey, _fitting_mask(card, name, decode_mask(mask_path), grey, mask_path))

    return read


def _decode(path: Path, decoder: Decoder) -> tuple[Pixels, Pixels]:
    if decoder == "opencv-bgr":
        return decode_opencv(path)
    grey = decode_grey(path)
    return grey, grey


def _fitting_mask(card: Card, name: str, mask: Pixels, image: Pixels, path: Path) -> Pixels:
    """The mask, of its image's size, repaired where the card declares it."""
    repair = card.repairs.get(f"masks/{name}")
    if repair is not None and mask.shape == repair.found and image.shape == repair.becomes:
        _report_once(f"{path}: mask {_by(mask)} over image {_by(image)}, resized to the image (declared repair)")
        return resize_nearest(mask, repair.becomes)
    if mask.shape != image.shape:
        raise DataError(f"{path}: mask {_by(mask)} (height x width), its image {_by(image)}; fetch the pair again")
    return mask


def _by(pixels: Pixels) -> str:
    return f"{pixels.shape[0]}x{pixels.shape[1]}"


@functools.cache
def _report_once(sentence: str) -> None:
    log.warning(sentence)
