"""Image files as they travel in a bundle: smaller, and the same pixels to every decoder."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.data.images.decode import decode_grey, decode_opencv, decode_rgb

Decoded = tuple[NDArray[np.uint8], ...]


def packed_image(path: Path, scratch: Path) -> tuple[str, bytes]:
    """Name and content of an image's file as it travels.

    Args:
        scratch: a folder for a file that is decoded again.

    Raises:
        DataError: naming the file, when it cannot be decoded.
    """
    return _packed(path, scratch, lambda file: (decode_grey(file), decode_rgb(file), *decode_opencv(file)))


def packed_mask(path: Path, scratch: Path) -> tuple[str, bytes]:
    """Name and content of a mask's file as it travels.

    Args:
        scratch: as of `packed_image`.

    Raises:
        DataError: naming the file, when it cannot be decoded.
    """
    return _packed(path, scratch, lambda file: (decode_grey(file),))


def _packed(path: Path, scratch: Path, decode: Callable[[Path], Decoded]) -> tuple[str, bytes]:
    """A grey or colour PNG where every decoder reads it as it reads the file, and it is smaller; else the file."""
    wanted, content = decode(path), path.read_bytes()
    grey, colour = wanted[0], wanted[1] if len(wanted) > 1 else wanted[0]
    is_grey = colour.ndim == 2 or bool((colour == grey[..., None]).all())
    made = io.BytesIO()
    Image.fromarray(grey if is_grey else colour).save(made, "PNG", compress_level=9)
    trial = scratch / "trial.png"
    trial.write_bytes(made.getvalue())
    is_alike = all(map(np.array_equal, decode(trial), wanted))  # libpng weights some colours by a file's colour space
    if is_alike and len(made.getvalue()) < len(content):
        return f"{path.stem}.png", made.getvalue()
    return path.name, content
