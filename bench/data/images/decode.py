"""Decoding of image files, with one clear line for every file that cannot be decoded.

Every decoder gives the pixels as they are stored: an orientation tag turns nothing, since masks rarely carry the tag of
their images. No decoder cuts values to 8 bits: a file of more than 8 bits per channel is refused where a run reads it.
"""

from __future__ import annotations

import hashlib
import io
import re
import struct
import warnings
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from bench.data.catalogue.file_names import SUFFIXES, composed, named_files
from bench.data.images.photograph import refuse_photograph
from bench.errors import DataError
from bench.input_files import refuse_endless, regular_file

Pixels = NDArray[np.uint8]

FORMATS = ("PNG", "BMP", "JPEG", "TIFF")
DEEP_MODES = ("I;16", "I;16B", "I;16L", "I;16N", "I", "F")
EIGHT_BIT_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA")
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
MOST_PIXELS = 64 * 1024 * 1024
ORIENTATION, UPRIGHT = 0x0112, 1
BITS_PER_SAMPLE = 0x0102


def find_files(folder: Path) -> dict[str, Path]:
    """Find the image files of a folder, by name as `named_files` has it.

    Raises:
        DataError: when the folder cannot be listed, or two files differ only in their extension.
    """
    found, doubles = scan_files(folder)
    for name, path in doubles:
        raise DataError(same_name(path, found[name]))
    return found


def scan_files(folder: Path) -> tuple[dict[str, Path], tuple[tuple[str, Path], ...]]:
    """Find the image files of a folder by name as `named_files` has it, and those whose name is taken by another.

    Raises:
        DataError: when the folder cannot be listed.
    """
    try:
        named = [(composed(name), path) for name, path in named_files(folder, SUFFIXES)]
    except OSError as error:
        raise DataError(f"{folder}: {(error.strerror or str(error)).lower()}, expected a folder of images") from None
    found: dict[str, Path] = {}
    return found, tuple((name, path) for name, path in named if found.setdefault(name, path) != path)


def same_name(path: Path, other: Path) -> str:
    """Message about two files of one name."""
    return f"{path}: {other.name} has the same name, expected one file per image; remove one"


def file_format(path: Path) -> str:
    """Format of a file by its first bytes, as Pillow names it; empty if it is none of `FORMATS`."""
    try:
        with Image.open(regular_file(path), formats=FORMATS) as image:
            return image.format or ""
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return ""


def read_orientation(path: Path) -> int:
    """Orientation tag of a file, from 1 (upright) to 8; 1 if it has none or cannot be read."""
    try:
        with Image.open(regular_file(path), formats=FORMATS) as image:
            tag = image.getexif().get(ORIENTATION, UPRIGHT)
    except (OSError, ValueError, SyntaxError, KeyError, TypeError, struct.error, Image.DecompressionBombError):
        return UPRIGHT
    return tag if tag in range(UPRIGHT, 9) else UPRIGHT


def open_image_size(path: Path) -> tuple[int, int]:
    """Height and width of a picture as its pixels are stored.

    Raises:
        DataError: as `open_image`.
    """
    image = open_image(path, deeper=(*DEEP_MODES, "CMYK"))
    return image.height, image.width


def decode_grey(path: Path) -> Pixels:
    """Decode grey levels (H, W) by Pillow's mode L: alpha dropped, colour weighted by ITU-R 601-2."""
    return np.array(open_image(path).convert("L"))


def decode_mask(path: Path) -> Pixels:
    """Decode grey levels (H, W) of a mask as `decode_grey` does.

    Raises:
        DataError: as `open_image`, and when no level is above 127 although some are above 0: such a mask would be read
            as empty, although its author marked targets; or when it is a photograph.
    """
    mask = decode_grey(path)
    refuse_photograph(mask, path)
    if 0 < int(mask.max(initial=0)) < 128:
        raise DataError(
            f"{path}: mask values reach only {mask.max()}, expected 0 and 255; it would be read as empty, "
            "save it with 255 where a target is"
        )
    return mask


def decode_rgb(path: Path) -> Pixels:
    """Decode red, green and blue (H, W, 3) by Pillow, alpha dropped."""
    return np.array(open_image(path).convert("RGB"))


def decode_opencv(path: Path) -> tuple[Pixels, Pixels]:
    """Decode blue, green and red (H, W, 3), and grey levels (H, W), by OpenCV.

    The two do not follow from each other: OpenCV leaves the grey of a PNG to libpng, which weights colours by the
    file's colour space.
    """
    profile = open_image(path).info.get("icc_profile", b"")
    content = _without_orientation(path.read_bytes())
    if profile and not _is_colour_profile(profile):
        content = _without_profile(content)
    data = np.frombuffer(content, np.uint8)
    colour, grey = (
        cv2.imdecode(data, flag | cv2.IMREAD_IGNORE_ORIENTATION) for flag in (cv2.IMREAD_COLOR, cv2.IMREAD_GRAYSCALE)
    )
    if colour is None or grey is None:
        raise DataError(f"{path}: Pillow reads it, OpenCV does not; save it again as an 8-bit PNG")
    return colour.astype(np.uint8, copy=False), grey.astype(np.uint8, copy=False)


def open_image(path: Path, *, deeper: tuple[str, ...] = ()) -> Image.Image:
    """Decode a whole image: one still picture of 8 bits per channel, or of one of the deeper modes.

    Raises:
        DataError: when the file is missing, empty, cut short, not an image, animated, too large, or of another mode.
    """
    try:
        refuse_endless(path, expected="an image")
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: {(error.strerror or str(error)).lower()}, expected an image") from None
    if not data:
        raise DataError(f"{path}: empty file, expected an image")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(io.BytesIO(_without_orientation(data)), formats=FORMATS)
            return _load(image, path, (*EIGHT_BIT_MODES, *deeper))
    except Image.DecompressionBombError as error:
        raise DataError(f"{path}: {_pixels_in(error)} pixels, expected at most {MOST_PIXELS} in all") from None
    except UnidentifiedImageError:
        raise DataError(f"{path}: not an image, expected one of {', '.join(FORMATS)}") from None
    except (OSError, SyntaxError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: damaged or cut short ({error}); fetch it again") from None


def _pixels_in(bomb: Image.DecompressionBombError) -> str:
    """Number of pixels in Pillow's error message; Pillow raises it before the size can be read."""
    found = re.search(r"\d+(?= pixels)", str(bomb))
    return found.group() if found else "too many"


def _load(image: Image.Image, path: Path, modes: tuple[str, ...]) -> Image.Image:
    if getattr(image, "n_frames", 1) > 1:
        raise DataError(f"{path}: {image.n_frames} pictures in one file, expected a still image")  # type: ignore[attr-defined]
    if image.mode not in modes:
        raise DataError(
            f"{path}: pixels of mode {image.mode!r}, expected 8-bit grey or RGB; convert it "
            "(dfinet-bench data import --convert does)"
        )
    if image.mode in EIGHT_BIT_MODES and _is_cut(image):
        raise DataError(
            f"{path}: 16 bits a channel in colour or with alpha, expected grey; save it as 16-bit grey or in 8 bits"
        )
    if image.width * image.height > MOST_PIXELS:
        raise DataError(f"{path}: {image.width}x{image.height} pixels, expected at most {MOST_PIXELS} in all")
    if image.format == "TIFF":  # Pillow turns TIFF alone, also by the orientation in XMP
        image.getexif()[ORIENTATION] = UPRIGHT
    image.load()
    return image


def _is_cut(image: Image.Image) -> bool:
    """Return true if Pillow would keep only the upper 8 bits of every channel, as it does of colour and alpha."""
    if image.format == "TIFF":
        return any(bits > 8 for bits in getattr(image, "tag_v2", {}).get(BITS_PER_SAMPLE, ()))
    return image.format == "PNG" and ";16" in str(getattr(image, "tile", ""))


def _without_orientation(content: bytes) -> bytes:
    """TIFF file whose orientation tag is set to upright: both libraries turn it, whatever they are asked for.

    Other formats are returned as they are: Pillow does not turn them, and OpenCV can be told not to.
    """
    order = {b"II": "<", b"MM": ">"}.get(content[:2], "")
    if not order:
        return content
    try:
        is_big = struct.unpack_from(f"{order}H", content, 2)[0] == 43
        (at,) = struct.unpack_from(f"{order}Q", content, 8) if is_big else struct.unpack_from(f"{order}I", content, 4)
        (count,) = struct.unpack_from(f"{order}{'Q' if is_big else 'H'}", content, at)
        first, size = (at + 8, 20) if is_big else (at + 2, 12)
        for entry in range(first, first + count * size, size):
            if struct.unpack_from(f"{order}H", content, entry)[0] == ORIENTATION:
                upright = struct.pack(f"{order}HHQH" if is_big else f"{order}HHIH", ORIENTATION, 3, 1, UPRIGHT)
                return content[:entry] + upright.ljust(size, b"\0") + content[entry + size :]
    except struct.error:
        pass  # cut short: the decoder says so
    return content


def _is_colour_profile(profile: bytes) -> bool:
    """Check the header: its own length in the first 4 bytes, and the signature at byte 36 (ICC.1, 7.2)."""
    return len(profile) >= 132 and int.from_bytes(profile[:4], "big") == len(profile) and profile[36:40] == b"acsp"


def _without_profile(content: bytes) -> bytes:
    """PNG file without its iCCP chunk: libpng ignores a broken one, but prints a warning."""
    if not content.startswith(PNG_SIGNATURE):
        return content
    kept, at = [PNG_SIGNATURE], len(PNG_SIGNATURE)
    while at < len(content):
        end = at + 12 + int.from_bytes(content[at : at + 4], "big")
        if content[at + 4 : at + 8] != b"iCCP":
            kept.append(content[at:end])
        at = end
    return b"".join(kept)


def resize_nearest(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """Resize a map to (height, width): each pixel has the value of the source pixel that its centre falls into."""
    rows, columns = (
        (2 * np.arange(wanted) + 1) * found // (2 * wanted)
        for wanted, found in zip(size, pixels.shape[:2], strict=True)
    )
    return np.ascontiguousarray(pixels[rows][:, columns])


def resize_bilinear(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """Resize levels (H, W) to (height, width) bilinearly by OpenCV; levels of that size are returned as they are."""
    if pixels.shape == size:
        return pixels
    return np.asarray(cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_LINEAR), dtype=np.uint8)


def resize_opencv_nearest(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """Resize levels (H, W) to (height, width) by OpenCV's nearest neighbour: the pixel at or before the exact place.

    >>> levels = np.arange(6, dtype=np.uint8)[None]
    >>> resize_opencv_nearest(levels, (1, 4)).tolist(), resize_nearest(levels, (1, 4)).tolist()
    ([[0, 1, 3, 4]], [[0, 2, 3, 5]])
    """
    return np.asarray(cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_NEAREST), dtype=np.uint8)


def pixel_digest(pixels: Pixels) -> str:
    """SHA-256 of the size and the decoded bytes, so that a lossless copy in another format has the same digest."""
    return hashlib.sha256(f"{pixels.shape}\n".encode() + np.ascontiguousarray(pixels).tobytes()).hexdigest()
