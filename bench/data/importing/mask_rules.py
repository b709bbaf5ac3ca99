"""Masks as people store them, made masks of 0 and 255: 0 and 1, palette indices, instance numbers, colours.

Masks of 0 and 1 are recognised, as `score` does. For the others the values that are target have to be said, since no
file tells classes from instances: `nonzero`, values or palette indices as `1,3`, or colours as `#ff0000`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from bench.arrays import BoolArray
from bench.data.catalogue.file_names import SUFFIXES, counted, named_files
from bench.data.images.decode import DEEP_MODES, Pixels, open_image
from bench.data.images.photograph import refuse_photograph
from bench.errors import DataError, RequestError

NONZERO = "nonzero"
INKS = ("CMYK",)
COLOUR = 64
"""Difference between channels from which a pixel is coloured; what JPEG leaves of grey stays below."""

MOST_CLASSES = 32
"""Most different levels of a mask of classes or instances that is not taken for a photograph."""

SAY_VALUES = "say which values are target: --target-values nonzero, 1,3 or #ff0000"


@dataclass(frozen=True)
class MaskRule:
    """The stored values that are target; all but 0 if neither values nor colours are given."""

    text: str
    values: tuple[int, ...] = ()
    colours: tuple[tuple[int, int, int], ...] = ()


def parse_mask_rule(text: str) -> MaskRule | None:
    """Parse the values that are target; None for an empty text.

    >>> parse_mask_rule("1,3")
    MaskRule(text='1,3', values=(1, 3), colours=())
    >>> parse_mask_rule("#ff0000").colours
    ((255, 0, 0),)

    Raises:
        RequestError: when it is neither `nonzero`, whole numbers nor colours.
    """
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words:
        return None
    if words == [NONZERO]:
        return MaskRule(text)
    if all(re.fullmatch(r"[0-9]{1,5}", word, re.ASCII) for word in words):
        return MaskRule(text, values=tuple(int(word) for word in words))
    if all(re.fullmatch(r"#[0-9A-Fa-f]{6}", word) for word in words):
        numbers = [int(word[1:], 16) for word in words]
        return MaskRule(text, colours=tuple((each >> 16, each >> 8 & 255, each & 255) for each in numbers))
    raise RequestError(f"--target-values {text!r}: expected nonzero, whole numbers as 1,3, or colours as #ff0000")


def settle_masks(folder: Path, rule: MaskRule | None) -> tuple[str, ...]:
    """Store all masks of a folder as 0 and 255 where they are not, and return a sentence for each kind of change.

    Files that cannot be read are left to later checks.

    Raises:
        DataError: when a mask holds colours, indices or instances and no rule says which are target, or none is.
    """
    paths = [path for _, path in named_files(folder, SUFFIXES)]
    changes: Counter[str] = Counter()
    targets = 0
    for path in paths:
        image = _opened(path)
        if image is not None:
            target = _stored_zero_one(image, path) if rule is None else _chosen(image, path, rule)
            if target is not None:
                _replace(path, target)
                changes["0 and 1" if rule is None else "rule"] += 1
                targets += int(target.any())
    if rule is not None and paths and not targets:
        raise DataError(f"--target-values {rule.text}: no mask holds such a pixel, expected targets")
    of = f"every value but 0 (--target-values {NONZERO})" if rule is not None and rule.text == NONZERO else ""
    of = of or f"--target-values {rule.text if rule is not None else ''}"
    said = {"0 and 1": "of 0 and 1 stored as 0 and 255", "rule": f"stored as 0 and 255, target is {of}"}
    return tuple(f"{counted(count, 'mask')} {said[kind]}" for kind, count in changes.items())


def _opened(path: Path) -> Image.Image | None:
    try:
        image = open_image(path, deeper=(*DEEP_MODES, *INKS))
    except DataError:
        return None
    return None if image.mode in INKS else image


def _stored_zero_one(image: Image.Image, path: Path) -> BoolArray | None:
    """Target pixels of a mask of 0 and 1; None for one that is read as it is.

    Raises:
        DataError: when it holds what looks like classes, instances or colours, which would be read as other targets.
    """
    if image.mode in DEEP_MODES:
        values = np.unique(np.array(image))
        if len(values) > 2 and values[-1] <= 255:
            raise DataError(f"{path}: 16-bit mask of {_few(values)}, expected 0 and one other value; {SAY_VALUES}")
        return None
    grey = np.array(image.convert("L"))
    highest = int(grey.max(initial=0))
    if image.mode not in ("1", "L", "LA"):
        _refuse_colours(image, grey, path)
    if highest == 1:
        return np.asarray(grey == 1)
    if 1 < highest < 128:
        if len(np.unique(grey)) > MOST_CLASSES:
            refuse_photograph(grey, path)
        raise DataError(
            f"{path}: mask values reach only {highest}, expected 0 and 255; it would be read as empty; {SAY_VALUES}"
        )
    return None


def _refuse_colours(image: Image.Image, grey: Pixels, path: Path) -> None:
    """Raise DataError if a coloured pixel would be lost, whose brightness does not reach 128."""
    channels = np.array(image.convert("RGBA"))
    lost = (np.ptp(channels[..., :3], axis=2) >= COLOUR) & (grey > 0) & (grey < 128)
    if lost.any():
        found = np.unique(channels[lost][:, :3], axis=0)
        shown = ", ".join("#" + bytes(colour.tolist()).hex() for colour in found[:3])
        raise DataError(f"{path}: coloured mask ({shown}), expected 0 and 255; {SAY_VALUES}")
    if not np.ptp(channels[..., :3]) and np.ptp(channels[..., 3]):
        raise DataError(f"{path}: a mask in its transparency alone, which is not read; save it as 8-bit grey")


def _chosen(image: Image.Image, path: Path, rule: MaskRule) -> BoolArray:
    """Pixels whose value is target under a rule; transparent ones never are."""
    has_colour = image.mode in ("RGB", "RGBA") or bool(rule.colours)
    channels = np.array(image.convert("RGBA")) if image.mode not in DEEP_MODES else None
    opaque = np.ones(image.size[::-1], np.bool_) if channels is None else channels[..., 3] > 0
    if has_colour and channels is not None:
        if rule.colours:
            found = [(channels[..., :3] == one).all(axis=2) for one in rule.colours]
            return np.asarray(np.any(found, axis=0) & opaque)
        if not rule.values:
            return np.asarray(channels[..., :3].any(axis=2) & opaque)
        if (channels[..., :2] != channels[..., 1:3]).any():
            raise DataError(f"{path}: coloured mask, expected values for --target-values {rule.text}; name colours")
        stored = channels[..., 0]
    else:
        stored = np.array(image) if image.mode not in ("LA", "PA") else np.array(image)[..., 0]
    if rule.colours:
        raise DataError(f"{path}: mask of more than 8 bits, expected colours for --target-values {rule.text}")
    return np.asarray((np.isin(stored, rule.values) if rule.values else stored != 0) & opaque)


def _replace(path: Path, target: BoolArray) -> None:
    Image.fromarray(np.where(target, 255, 0).astype(np.uint8)).save(path.with_suffix(".png"), format="PNG")
    if path.suffix != ".png":
        path.unlink()


def _few(values: Sequence[int] | np.ndarray) -> str:
    """The first values of many."""
    return ", ".join([*(f"{value:g}" for value in values[:4]), *(["…"] if len(values) > 4 else [])])
