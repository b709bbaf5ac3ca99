"""The images of a folder, which need neither masks nor a dataset card."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.data.images.decode import find_files
from bench.data.images.frames import Frame
from bench.data.images.lazy_frames import LazyFrames
from bench.data.images.pairs import decode_image
from bench.errors import DataError
from bench.types import Decoder


def open_image_folder(folder: Path, *, decoder: Decoder) -> Sequence[Frame]:
    """Open the images of a folder as frames without masks, in the order of their names.

    An image is decoded when its frame is asked for, which raises DataError when the file is damaged.

    Raises:
        DataError: when the folder is not there, holds no image, or two files differ only in their extension.
    """
    files = sorted(find_files(folder).items())
    if not files:
        raise DataError(f"{folder}: no image files, expected a folder of PNG, BMP, JPEG or TIFF images")

    def read(row: int) -> Frame:
        name, path = files[row]
        return Frame(name, *decode_image(path, decoder))

    return LazyFrames(read, range(len(files)))
