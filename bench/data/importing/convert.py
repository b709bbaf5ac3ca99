"""Conversion of image files to what a run reads: 8 bits per channel, grey or RGB, stored without loss.

Sixteen bits become eight by one linear rule over all the deep images of a dataset, so that levels stay comparable
between its images: level = round((value - low) * 255 / (high - low)), low and high the smallest and largest value of
them all. Deep masks follow the same rule with low = 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from bench.data.catalogue.file_names import SUFFIXES, counted, named_files
from bench.data.images.decode import DEEP_MODES, FORMATS, UPRIGHT, Pixels, open_image, read_orientation
from bench.errors import DataError
from bench.input_files import regular_file
from bench.progress import Step

PRINT = ("CMYK",)
STORED_AS_THEY_ARE = ("1", "L", "LA", "P", "RGB", "RGBA")


@dataclass(frozen=True)
class Unread:
    """Files that a run can read only after conversion: of more than 8 bits per channel, and of CMYK inks."""

    deep: tuple[Path, ...]
    ink: tuple[Path, ...]


def find_unread(paths: Iterable[Path]) -> Unread:
    """Find the files that need conversion; files that cannot be read at all are left to later checks."""
    modes = {path: _mode(path) for path in paths}
    return Unread(
        tuple(path for path, mode in modes.items() if mode in DEEP_MODES),
        tuple(path for path, mode in modes.items() if mode in PRINT),
    )


def refuse_unread(unread: Unread) -> None:
    """Raise DataError if files need conversion.

    Raises:
        DataError: with the first file, the number of such files and what to do.
    """
    for paths, what in ((unread.deep, "more than 8 bits a pixel"), (unread.ink, "CMYK")):
        if paths:
            raise DataError(
                f"{paths[0]}: {what} ({counted(len(paths), 'such file')}), expected 8-bit grey or RGB; "
                "pass --convert to make PNG of them"
            )


def convert_folder(folder: Path, progress: Step | None = None) -> tuple[str, ...]:
    """Store all images in `folder/images` and `folder/masks` as 8-bit PNG, and return a sentence for each change made.

    Raises:
        DataError: when a file is not an image or damaged.
    """
    paths = {kind: [path for _, path in named_files(folder / kind, SUFFIXES)] for kind in ("images", "masks")}
    every = [path for kind in paths.values() for path in kind]
    unread = find_unread(every)
    deep = {kind: [path for path in unread.deep if path in paths[kind]] for kind in paths}
    ranges = {kind: _range(kind, deep[kind]) for kind in paths}
    recoded = [path for path in every if path.suffix != ".png" and path not in {*unread.deep, *unread.ink}]
    turned = find_turned(every)
    for done, path in enumerate(every, start=1):
        _store(path, ranges["images" if path.is_relative_to(folder / "images") else "masks"])
        if progress is not None:
            progress(done, len(every))
    return (*_sentences(unread, deep, ranges, recoded), *([turned_note(turned)] if turned else []))


def find_turned(paths: Iterable[Path]) -> dict[Path, int]:
    """Files with an orientation tag other than 1, and the tag."""
    tags = {path: read_orientation(path) for path in paths}
    return {path: tag for path, tag in tags.items() if tag != UPRIGHT}


def turned_note(turned: Mapping[Path, int]) -> str:
    """Sentence about files with an orientation tag: their number and the first names."""
    shown = ", ".join(f"{path.parent.name}/{path.name} ({tag})" for path, tag in list(turned.items())[:3])
    more = ", …" if len(turned) > 3 else ""
    return (
        f"{counted(len(turned), 'file')} with an EXIF orientation tag other than 1: {shown}{more}; "
        "pixels are read as stored, image and mask have to agree so"
    )


def _sentences(
    unread: Unread,
    deep: Mapping[str, Sequence[Path]],
    ranges: Mapping[str, tuple[float, float] | None],
    recoded: Sequence[Path],
) -> Iterable[str]:
    for kind, span in ranges.items():
        if span is not None:
            rule = f"level = round((value - {span[0]:g}) * 255 / {span[1] - span[0]:g})"
            yield f"{counted(len(deep[kind]), kind[:-1])} of more than 8 bits: {rule}, one rule for them all"
    if unread.ink:
        yield f"{counted(len(unread.ink), 'file')} from CMYK to RGB"
    if recoded:
        yield f"{counted(len(recoded), 'file')} stored again as PNG, pixels unchanged"


def _mode(path: Path) -> str:
    try:
        with Image.open(regular_file(path), formats=FORMATS) as image:
            return image.mode
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return ""


def _range(kind: str, paths: Sequence[Path]) -> tuple[float, float] | None:
    """Smallest and largest value of all deep files of a kind; None if there are none."""
    if not paths:
        return None
    spans = [(float(values.min()), float(values.max())) for values in map(_values, paths)]
    low = 0.0 if kind == "masks" else min(low for low, _ in spans)
    return low, max(max(high for _, high in spans), low + 1)


def _values(path: Path) -> np.ndarray:
    values = np.array(open_image(path, deeper=DEEP_MODES))
    if not np.isfinite(values).all():
        raise DataError(f"{path}: values that are no numbers, expected finite levels")
    return values


def _store(path: Path, span: tuple[float, float] | None) -> None:
    image = open_image(path, deeper=(*DEEP_MODES, *PRINT))
    if image.mode in DEEP_MODES:
        assert span is not None
        image = Image.fromarray(_eight_bits(np.array(image), span))
    elif image.mode not in STORED_AS_THEY_ARE:
        image = image.convert("RGB")
    elif path.suffix == ".png" and image.format == "PNG" and read_orientation(path) == UPRIGHT:
        return
    image.info.pop("exif", None)
    image.save(path.with_suffix(".png"), format="PNG")
    if path.suffix != ".png":
        path.unlink()


def _eight_bits(values: np.ndarray, span: tuple[float, float]) -> Pixels:
    """Scale values between the two ends to levels 0 to 255; halves round to even."""
    low, high = span
    return np.rint((values.astype(np.float64) - low) * 255 / (high - low)).astype(np.uint8)
