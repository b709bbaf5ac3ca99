"""Read one map or mask from a file or array: its values and what they stand for, or one line that says why not.

Pictures and integers say p = v / 255 (8 bits) or p = v / 65535 (16 bits), exactly: 128 of 255 is above 0.5, 127 is not.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import NDArray

from bench.arrays import LevelArray
from bench.data.catalogue.file_names import SUFFIXES
from bench.data.images.decode import DEEP_MODES, MOST_PIXELS, Pixels, open_image
from bench.data.images.photograph import refuse_photograph
from bench.errors import DataError
from bench.input_files import refuse_endless
from bench.metrics.counting.levels import LEVELS, quantise

ValueKind = Literal["8-bit", "16-bit", "float", "zero-one", "levels"]
"""The meaning of values: `zero-one` 0 and 1, `levels` what this project stores, the others as their names."""

FULL: dict[ValueKind, int] = {"8-bit": 255, "16-bit": 65535, "zero-one": 1}
"""The value that stands for probability 1."""

PICTURES = SUFFIXES
MATLAB = ".mat"
ARRAYS = (".npy", ".npz", MATLAB)
WHOLE_NUMBERS = tuple(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))
MATLAB_NUMBERS = ("double", "single", "logical", *WHOLE_NUMBERS)
COLOURED = ("LA", "P", "PA", "RGB", "RGBA")
CONTENT_ERRORS = (
    *(ValueError, EOFError, OSError, MemoryError, RuntimeError, OverflowError),
    *(zipfile.BadZipFile, zlib.error, SyntaxError, TokenError),
)
"""Errors that numpy and zipfile raise for a damaged file; its header is parsed as Python, which adds the last two."""

NEARLY = 1e-3
"""Distance outside [0, 1] up to which rounding is the likely cause."""


@dataclass(frozen=True, eq=False)
class Map:
    """The values of one file or array, (H, W), not yet read as probabilities or mask.

    Attributes:
        where: the file, and the array in it, for an error's reader.
        lowest, highest: value.
        is_lossy: whether the file's format changes values.
    """

    where: str
    values: NDArray[Any]
    kind: ValueKind
    lowest: float
    highest: float
    is_lossy: bool = False

    @property
    def is_two_valued(self) -> bool:
        """True if it holds no more than two different values."""
        return bool(((self.values == self.lowest) | (self.values == self.highest)).all())

    @property
    def is_binary(self) -> bool:
        """True if it holds 0 and what stands for 1, as a mask does: 1, 255 or 65535."""
        return self.highest in (0, 1, 255, 65535) and bool(((self.values == 0) | (self.values == self.highest)).all())


def read_map(path: Path) -> Map:
    """The map in a picture, an .npy file, or an .npz or .mat file of one array.

    Raises:
        DataError: in one line, when there is none that can be scored.
    """
    suffix = path.suffix.lower()
    if suffix in PICTURES:
        return _picture(path)
    try:
        refuse_endless(path, expected="a map")
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: {(error.strerror or str(error)).lower()}, expected a map") from None
    if suffix == ".npz":
        return _only_array(path, data)
    if suffix == MATLAB:
        return map_of(_matlab_array(path, data), str(path))
    return map_of(load_array(io.BytesIO(data), str(path), size=len(data)), str(path))


def _only_array(path: Path, data: bytes) -> Map:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            if len(members) != 1:
                raise DataError(
                    f"{path}: {len(members)} arrays, expected one; an archive of all images is scored by its own path"
                )
            with archive.open(members[0]) as stream:
                return map_of(load_array(stream, str(path), size=members[0].file_size), str(path))
    except zipfile.BadZipFile as error:
        raise DataError(f"{path}: damaged or cut short ({first_words(error)}); write it again") from None


def _matlab_array(path: Path, data: bytes) -> NDArray[Any]:
    """The one numeric array (H, W) of a .mat file; single numbers, vectors, texts and structures are left aside."""
    from scipy.io import loadmat, whosmat  # here, since few maps are .mat files

    if data.startswith(b"MATLAB 7.3") or data.startswith(b"\x89HDF"):
        raise DataError(f"{path}: a MATLAB 7.3 file (HDF5), which is not read; save it with save(…, '-v7')")
    stream: Any = io.BytesIO(data)  # scipy takes streams, its stubs name paths alone
    try:
        found = whosmat(stream)
        maps = [(name, shape) for name, shape, kind in found if kind in MATLAB_NUMBERS and _is_matrix(shape)]
        if len(maps) != 1:
            named = ", ".join(f"{name} {'x'.join(map(str, shape))} {kind}" for name, shape, kind in found) or "none"
            raise DataError(f"{path}: arrays {named}, expected one of (height, width) numbers; save the map alone")
        ((name, (height, width)),) = maps
        if height * width > MOST_PIXELS:
            raise DataError(f"{path}: {height}x{width} pixels, expected at most {MOST_PIXELS} in all")
        return np.asarray(loadmat(stream, variable_names=[name])[name])
    except DataError:
        raise
    except Exception as error:  # scipy raises whatever its parser meets in a damaged file
        raise DataError(f"{path}: no readable .mat file ({first_words(error)}); write it again") from None


def _is_matrix(shape: Sequence[int]) -> bool:
    return len(shape) == 2 and min(shape) > 1


def load_array(stream: IO[bytes], where: str, *, size: int) -> NDArray[Any]:
    """The array in the bytes of an .npy file; nothing pickled is read.

    Args:
        size: bytes that the stream holds.

    Raises:
        DataError: when it is damaged, cut short, too large, or made of Python objects.
    """
    if size > 8 * MOST_PIXELS + 65536:
        raise DataError(f"{where}: {size} bytes, expected a map of at most {MOST_PIXELS} pixels")
    try:
        return np.asarray(np.lib.format.read_array(stream, allow_pickle=False))
    except CONTENT_ERRORS as error:
        if "allow_pickle" in str(error):
            raise DataError(f"{where}: Python objects, which are not read; save an array of numbers") from None
        raise DataError(f"{where}: damaged or cut short ({first_words(error)}); write it again") from None


def first_words(error: Exception) -> str:
    """First line of an error's message, without its full stop."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")


def map_of(array: NDArray[Any], where: str, *, uint16: ValueKind = "16-bit") -> Map:
    """The map (H, W) in an array, axes of length 1 before and behind it taken away.

    Args:
        uint16: what unsigned 16-bit values stand for.

    Raises:
        DataError: when the shape is not that of one map, or the type or a value says no probability.
    """
    values = _flat(array, where)
    if values.dtype.kind == "f":
        return _float_map(values, where)
    if values.dtype.kind not in "bui":
        raise DataError(f"{where}: values of type {values.dtype}, expected float, bool, uint8 or uint16")
    lowest, highest = int(values.min()), int(values.max())
    kinds: dict[Any, ValueKind] = {np.dtype(np.uint8): "8-bit", np.dtype(np.uint16): uint16}
    kind = "zero-one" if values.dtype == np.bool_ else kinds.get(values.dtype.newbyteorder("="), "zero-one")
    if kind == "zero-one" and (lowest < 0 or highest > 1):
        raise DataError(
            f"{where}: {values.dtype} values from {lowest} to {highest}, expected 0 and 1; "
            "save probabilities as float32, or 8-bit levels as uint8"
        )
    plain = values.astype(np.uint16 if kind in ("16-bit", "levels") else np.uint8)
    return Map(where, plain, kind, lowest, highest)


def _flat(array: NDArray[Any], where: str) -> NDArray[Any]:
    shape = array.shape
    while array.ndim > 2 and array.shape[0] == 1:
        array = array[0]
    while array.ndim > 2 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim != 2 or not array.size:
        raise DataError(f"{where}: shape {shape}, expected (height, width) of one map, or one channel of it")
    if array.size > MOST_PIXELS:
        raise DataError(f"{where}: {array.shape[0]}x{array.shape[1]} pixels, expected at most {MOST_PIXELS} in all")
    return array


def _float_map(values: NDArray[Any], where: str) -> Map:
    values = values.astype(np.float32 if values.dtype.itemsize <= 4 else np.float64)
    if not np.isfinite(values).all():
        row, column = (int(i) for i in np.argwhere(~np.isfinite(values))[0])
        raise DataError(
            f"{where}: {values[row, column]} at row {row}, column {column}, expected probabilities in [0, 1]; "
            "look at what made it"
        )
    lowest, highest = float(values.min()), float(values.max())
    if lowest < 0 or highest > 1:
        raise DataError(
            f"{where}: values from {lowest:.9g} to {highest:.9g}, expected probabilities in [0, 1]; "
            f"{_advice(lowest, highest)}"
        )
    return Map(where, values, "float", lowest, highest)


def _advice(lowest: float, highest: float) -> str:
    if lowest >= -NEARLY and highest <= 1 + NEARLY:
        return "clip them to [0, 1]"
    if lowest >= 0 and 2 < highest <= 255:
        return "divide by 255, or apply the sigmoid to logits"
    return "apply the sigmoid to logits"


def _picture(path: Path) -> Map:
    """A picture's one channel; several are taken where they are equal, alpha where it is opaque."""
    image, where = open_image(path, deeper=DEEP_MODES), str(path)
    if image.mode in COLOURED:
        channels = np.array(image.convert("RGBA"))
        if (channels[..., 3] != 255).any():
            raise DataError(f"{where}: partly transparent, expected one opaque channel; save it as 8-bit grey")
        if (channels[..., :2] != channels[..., 1:3]).any():
            raise DataError(f"{where}: colours, expected grey; save the map itself, not an overlay or a colour map")
        values = channels[..., 0]
    else:
        values = np.array(image.convert("L") if image.mode == "1" else image)
    found = map_of(values, where)
    return Map(where, found.values, found.kind, found.lowest, found.highest, path.suffix.lower() in (".jpg", ".jpeg"))


def levels_of(found: Map, *, full: int | None = None) -> LevelArray:
    """The map (H, W) as levels: min(65535, ceil(p * 65536)), exactly for whole numbers.

    Args:
        full: the value that stands for probability 1 in whole numbers; default that of the map's kind.

    >>> levels_of(map_of(np.array([[0, 127, 128, 255]], np.uint8), "here")).tolist()
    [[0, 32640, 32897, 65535]]
    """
    if found.kind == "levels":
        return np.asarray(found.values, dtype=np.uint16)
    if found.kind == "float":
        return quantise(found.values)
    whole = full if full is not None else FULL[found.kind]
    table = np.minimum(-(-np.arange(int(found.highest) + 1, dtype=np.int64) * LEVELS // whole), LEVELS - 1)
    levels: LevelArray = table.astype(np.uint16)[found.values]
    return levels


def mask_of(found: Map) -> Pixels:
    """The mask (H, W) in levels 0 to 255, of which those above 127 are target: 0/1 and 0/65535 count as 0/255.

    Raises:
        DataError: when the values are no mask's: grey levels of more than 8 bits, none above 127.
    """
    if found.kind == "8-bit" and found.highest > 1:
        if found.highest <= 127:
            refuse_photograph(np.asarray(found.values, dtype=np.uint8), found.where)
            raise DataError(
                f"{found.where}: mask values reach only {found.highest:g}, expected 0 and 255, or 0 and 1; "
                "it would be read as empty"
            )
        return np.asarray(found.values, dtype=np.uint8)
    if not found.is_binary:
        raise DataError(
            f"{found.where}: {found.kind} values from {found.lowest:g} to {found.highest:g} are no mask, "
            "expected 0 and 255, or 0 and 1"
        )
    return np.where(found.values > 0, 255, 0).astype(np.uint8)
