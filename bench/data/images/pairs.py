"""An image and its mask as a dataset's files or its generator give them, checked and repaired as the card declares."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.data.catalogue.cards import Card
from bench.data.images import synthetic
from bench.data.images.decode import (
    Pixels,
    decode_grey,
    decode_mask,
    decode_opencv,
    decode_rgb,
    pixel_digest,
    resize_nearest,
)
from bench.data.images.find_dataset import find_dataset
from bench.errors import DataError
from bench.types import Decoder

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Pair:
    """One image and its mask at native size, decoded.

    Attributes:
        image: (H, W) grey, or (H, W, 3) blue, green, red; levels 0 to 255.
        grey: (H, W) levels 0 to 255, what the Otsu start is made from.
        mask: (H, W) levels 0 to 255 as stored, after a declared repair.
        is_other: whether one of the two is known not to have the published pixels.
    """

    image: Pixels
    grey: Pixels
    mask: Pixels
    is_other: bool = False


Read = Callable[[int], Pair]
"""Gives the pair at a position of a list of names."""


@dataclass(frozen=True)
class PairFiles:
    """Files of the pairs of a list.

    Attributes:
        images, masks: the files, in the list's order.
        read: decodes one pair; raises DataError naming a file that is damaged or does not fit.
    """

    images: tuple[Path, ...]
    masks: tuple[Path, ...]
    read: Read


def find_pairs(card: Card, names: Sequence[str], *, root: Path | None, decoder: Decoder) -> PairFiles:
    """The files of the named images of a dataset, none of them decoded yet.

    Args:
        root: the folder that holds `<dataset>/images` and `<dataset>/masks`.

    Raises:
        DataError: when the folder is not there, or an image or mask is missing.
    """
    found = find_dataset(card, root)
    pairs = [found.pair(name) for name in names]

    def read(row: int) -> Pair:
        image_path, mask_path = pairs[row]
        image, grey = decode_image(image_path, decoder)
        stored = decode_mask(mask_path)
        is_other = _differs(card, f"images/{names[row]}", image_path, decode_rgb) or _differs(
            card, f"masks/{names[row]}", mask_path, lambda path: stored
        )
        return Pair(image, grey, _fitting_mask(card, names[row], stored, grey, mask_path), is_other)

    return PairFiles(tuple(image for image, _ in pairs), tuple(mask for _, mask in pairs), read)


def generated_pairs(card: Card, names: Sequence[str], *, decoder: Decoder) -> Read:
    """Recipes of the named images of a generated dataset."""

    def read(row: int) -> Pair:
        grey, mask = synthetic.checked_scene(card, names[row])
        return Pair(np.repeat(grey[..., None], 3, axis=-1) if decoder == "opencv-bgr" else grey, grey, mask)

    return read


def _differs(card: Card, file: str, path: Path, decode: Callable[[Path], Pixels]) -> bool:
    """True if a file's pixels are known not to be the published ones; false where the card has no digest of it."""
    published = card.digests.get(file)
    return published is not None and pixel_digest(decode(path)) != published.sha256


def decode_image(path: Path, decoder: Decoder) -> tuple[Pixels, Pixels]:
    """Image and grey levels of a file, as `Pair` has them.

    Raises:
        DataError: when the file is damaged or of an unknown kind.
    """
    if decoder == "opencv-bgr":
        return decode_opencv(path)
    if decoder == "opencv-grey":
        _, grey = decode_opencv(path)
        return grey, grey
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
