"""Images and masks of a list, decoded once, kept in the cache folder and looked at through a memory map."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import get_args, overload

import cv2
import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import features

from bench.arrays import IntArray, Size
from bench.data.cache.array_file import Array
from bench.data.cache.file_digests import contents_of
from bench.data.cache.folder import cache_folder
from bench.data.cache.image_cache import ImageCache, Records, fingerprint
from bench.data.catalogue.cards import Card, load_card
from bench.data.images import decode, otsu, pairs, synthetic
from bench.data.images.decode import Pixels, resize_bilinear, resize_opencv_nearest
from bench.data.images.otsu import otsu_start
from bench.data.images.pairs import Pair, PairFiles, Read, find_pairs, generated_pairs
from bench.errors import DataError, RequestError
from bench.progress import Step
from bench.types import Decoder, MaskResize

log = logging.getLogger(__name__)


IMAGE, GREY, MASK, TARGETS, OTHER = range(5)
"""The arrays of a frame's record: (C, H, W), (H, W) or nothing, (H, W) or nothing, the flat indices of target pixels,
and a one where the pixels are known not to be the published ones, else nothing.

Three channels that are equal are kept as one, and grey levels that are the image's are not kept again.
"""

NOTHING = np.empty((0, 0), np.uint8)


class Masked:
    """An image's ground-truth mask of levels 0 to 255 at native size, where it has one, and what is read from it."""

    name: str
    mask: Pixels | None

    @property
    def required_mask(self) -> Pixels:
        """The mask.

        Raises:
            DataError: naming the image, when it has none.
        """
        if self.mask is None:
            raise DataError(missing_mask(self.name))
        return self.mask

    @property
    def size(self) -> tuple[int, int]:
        """Native (height, width) in pixels."""
        height, width = self.required_mask.shape
        return height, width

    @cached_property
    def binary_mask(self) -> Pixels:
        """(H, W) in {0, 1}: where the mask is greater than 127."""
        return (self.required_mask > 127).astype(np.uint8)

    def binary_at(self, size: tuple[int, int], *, resize: MaskResize = "bilinear") -> Pixels:
        """(height, width) in {0, 1}: where the mask, resized if it has to be, is greater than 127."""
        if size == self.size:
            return self.binary_mask
        resized = resize_bilinear if resize == "bilinear" else resize_opencv_nearest
        return (resized(self.required_mask, size) > 127).astype(np.uint8)


def missing_mask(name: str) -> str:
    """The message about an image without a mask where one is needed."""
    return f"image {name}: no ground-truth mask, expected one to train on or to score against; add it to the dataset"


@dataclass(frozen=True, eq=False)
class Frame(Masked):
    """One image at native size, and its mask where it has one.

    Attributes:
        name: the file's name without extension.
        image: (H, W) grey, or (H, W, 3) blue, green, red; levels 0 to 255.
        grey: (H, W) levels 0 to 255, from which the Otsu start is made.
        mask: (H, W) levels 0 to 255 as stored, after a declared repair; None for an image without ground truth.
    """

    name: str
    image: Pixels
    grey: Pixels
    mask: Pixels | None = None
    _starts: dict[tuple[int, int], Pixels] = field(default_factory=dict, init=False, repr=False)

    @property
    def size(self) -> tuple[int, int]:
        """Native (height, width) in pixels."""
        height, width = self.grey.shape
        return height, width

    @cached_property
    def target_pixels(self) -> NDArray[np.intp]:
        """Flat indices of the pixels that belong to a target."""
        return np.flatnonzero(self.required_mask > 127)

    def start(self, size: tuple[int, int] | None = None) -> Pixels:
        """The Otsu start {0, 1} at native size, or made from the frame resized to (height, width); computed once."""
        size = size or self.size
        if size not in self._starts:
            grey = self.grey if size == self.size else cv2.resize(self.grey, size[::-1]).astype(np.uint8, copy=False)
            self._starts[size] = otsu_start(grey)
        return self._starts[size]


class Frames(Sequence[Frame]):
    """The frames of a list, in its order, with the dataset they belong to.

    Nothing of them is held but where they lie: a frame is made when it is asked for, as a view of a memory map.
    """

    def __init__(self, dataset: str, frames: Sequence[Frame]) -> None:
        """Frames made by hand, copied into memory."""
        colour = bool(frames) and frames[0].image.ndim == 3
        keys = [str(id(frame)).encode() for frame in frames]  # one that comes twice is kept once
        records = ImageCache(None).fetch(keys, lambda row: _record(frames[row]))
        self._fill(dataset, [frame.name for frame in frames], records, colour=colour)

    @classmethod
    def of(cls, dataset: str, names: Sequence[str], records: Records, *, colour: bool) -> Frames:
        """Frames of records, each of the arrays `IMAGE`, `GREY`, `MASK` and `TARGETS`."""
        made = cls.__new__(cls)
        made._fill(dataset, names, records, colour=colour)
        return made

    def _fill(self, dataset: str, names: Sequence[str], records: Records, *, colour: bool) -> None:
        self.dataset, self.names, self.records, self.colour = dataset, tuple(names), records, colour
        self._starts: dict[Size | None, Records] = {}

    @overload
    def __getitem__(self, index: int) -> Frame: ...
    @overload
    def __getitem__(self, index: slice) -> Frames: ...
    def __getitem__(self, index: int | slice) -> Frame | Frames:
        if isinstance(index, slice):
            rows = range(len(self))[index]
            names = [self.names[row] for row in rows]
            return Frames.of(self.dataset, names, self.records.take(rows), colour=self.colour)
        row = range(len(self))[index]
        image, grey, mask = (self.records.array(row, number) for number in (IMAGE, GREY, MASK))
        first = image[0]
        shown = np.broadcast_to(image.transpose(1, 2, 0), (*first.shape, 3)) if self.colour else first
        return Frame(self.names[row], shown, grey[0] if grey.size else first, mask[0] if mask.size else None)

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[Frame]:
        return (self[row] for row in range(len(self)))

    @property
    def digest(self) -> str:
        """SHA-256 over the contents of the files, and how they are repaired, in the order of the list."""
        return hashlib.sha256(b"".join(self.records.keys)).hexdigest()

    @property
    def others(self) -> tuple[str, ...]:
        """Names of images that, or whose masks, are known not to have the published pixels."""
        return tuple(self.names[row] for row in np.flatnonzero(self.records.table[:, OTHER, 3]))

    @property
    def sizes(self) -> IntArray:
        """(N, 2) native height and width in pixels."""
        return self.records.table[:, IMAGE, 2:]

    def require_masks(self) -> None:
        """Raise DataError naming the first image without a mask, if there is one."""
        for row in np.flatnonzero(self.records.table[:, MASK, 3] == 0)[:1]:
            raise DataError(missing_mask(self.names[row]))

    @property
    def target_counts(self) -> IntArray:
        """(N,) pixels that belong to a target."""
        return self.records.table[:, TARGETS, 3]

    def target_pixels_at(self, rows: IntArray, numbers: IntArray) -> IntArray:
        """(n,) flat indices of target pixels: of image `rows[i]` its `numbers[i]`-th."""
        found = np.empty(len(rows), np.int64)
        places = self.records.table[rows, TARGETS, 0] // 4 + numbers
        for number in np.unique(self.records.pack[rows]):
            here = self.records.pack[rows] == number
            flat = self.records.packs[number].flat
            found[here] = flat[: len(flat) // 4 * 4].view(np.int32)[places[here]]
        return found

    def starts(self, size: Size | None) -> Records:
        """Records of one array each: the Otsu starts in {0, 1}, at native size or of frames resized to (height, width).

        Made once and kept like the frames themselves.
        """
        if size not in self._starts:
            kept = self._cache_of_starts(size)
            self._starts[size] = kept.fetch(self.records.keys, lambda row: [self[row].start(size)])
        return self._starts[size]

    def _cache_of_starts(self, size: Size | None) -> ImageCache:
        if any(len(key) != _DIGEST for key in self.records.keys):
            return ImageCache(None)
        version = fingerprint(otsu.__file__, opencv=cv2.__version__)
        shape = "native" if size is None else f"{size[0]}x{size[1]}"
        return ImageCache(cache_folder() / self.dataset / f"otsu-{shape}-{version}")


_DIGEST = hashlib.sha256().digest_size
"""Bytes of the key of a record that is kept; frames made by hand have shorter ones."""


def open_frames(
    dataset: str, names: Sequence[str], *, root: Path | None, decoder: Decoder, progress: Step | None = None
) -> Frames:
    """The named images of a dataset, decoded now or by an earlier start, and checked.

    Args:
        root: the folder that holds `<dataset>/images` and `<dataset>/masks`; not looked at for generated datasets.

    Raises:
        UnknownNameError: with suggestions, when there is no such dataset.
        DataError: when the folder is not there, or an image or mask is missing, damaged or of an unexpected size.
        RequestError: when there is no such decoder.
    """
    if decoder not in get_args(Decoder):
        raise RequestError(f"decoder is {decoder!r}, expected one of {', '.join(get_args(Decoder))}")
    card = load_card(dataset)
    if card.generated:
        read = generated_pairs(card, names, decoder=decoder)
        keys = [_key(card, name, name, card.digest) for name in names]
    else:
        files = find_pairs(card, names, root=root, decoder=decoder)
        read, keys = _unchanging(card, names, files)
    cache = ImageCache(cache_folder() / dataset / f"{decoder}-{_decoding(decoder)}")
    records = cache.fetch(keys, lambda row: _record(read(row)), progress=progress)
    frames = Frames.of(dataset, names, records, colour=decoder == "opencv-bgr")
    _tell_of_others(frames)
    return frames


def _tell_of_others(frames: Frames) -> None:
    if others := frames.others:
        log.warning(
            "%s: %d of %d images or their masks do not have the published pixels, the first %r; "
            "run dfinet-bench data verify %s",
            *(frames.dataset, len(others), len(frames), others[0], frames.dataset),
        )


def measure_statistics(frames: Sequence[Frame]) -> tuple[float, float]:
    """Mean of the images' mean levels and mean of their standard deviations, as BasicIRSTD defines its constants."""
    levels = [(image.mean(), image.std()) for image in (frame.image.astype(np.float64) for frame in frames)]
    return float(np.mean([mean for mean, _ in levels])), float(np.mean([deviation for _, deviation in levels]))


def _record(pair: Pair | Frame) -> list[Array]:
    """The arrays that are kept of a frame."""
    image = pair.image[None] if pair.image.ndim == 2 else pair.image.transpose(2, 0, 1)
    if (image == image[:1]).all():
        image = image[:1]
    grey = NOTHING if np.array_equal(pair.grey, image[0]) else pair.grey
    mask = NOTHING if pair.mask is None else pair.mask
    other = np.ones(int(isinstance(pair, Pair) and pair.is_other), np.uint8)
    return [image, grey, mask, np.flatnonzero(mask > 127).astype(np.int32), other]


def _unchanging(card: Card, names: Sequence[str], files: PairFiles) -> tuple[Read, list[bytes]]:
    """Reader of pairs whose files stay as they are meanwhile, and the key of their records."""
    contents = contents_of([*files.images, *files.masks], _memory_of(files.images))
    pairs_of = list(zip(contents[: len(names)], contents[len(names) :], strict=True))
    keys = [
        _key(card, name, image.digest, mask.digest) if image.digest and mask.digest else os.urandom(_DIGEST)
        for name, (image, mask) in zip(names, pairs_of, strict=True)
    ]

    def read(row: int) -> Pair:
        pair = files.read(row)
        for content in pairs_of[row]:
            if content.has_changed():
                raise DataError(f"{content.path}: changed while it was read, expected a file at rest; run again")
        return pair

    return read, keys


def _key(card: Card, name: str, *contents: str) -> bytes:
    """Key of a record: all that its pixels depend on beside the decoder."""
    repair = card.repairs.get(f"masks/{name}")
    return hashlib.sha256(repr((contents, repair)).encode()).digest()


def _decoding(decoder: Decoder) -> str:
    """12 digits that change with the library that decodes, and with this project's own code around it."""
    libraries = {name: str(features.version(name)) for name in ("zlib", "jpg", "libtiff")}
    opencv = cv2.__version__ if decoder.startswith("opencv") else ""
    sources = (decode.__file__, pairs.__file__, synthetic.__file__, __file__)
    return fingerprint(*sources, pillow=PIL.__version__, opencv=opencv, **libraries)


def _memory_of(images: Sequence[Path]) -> Path | None:
    """The file that remembers the digests of a folder's files."""
    if not images:
        return None
    folder = images[0].parents[1].resolve()
    return cache_folder() / "files" / f"{hashlib.sha256(str(folder).encode()).hexdigest()[:20]}.json"
