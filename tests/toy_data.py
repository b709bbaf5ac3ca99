"""A dataset of a few textured frames with lists that a test writes, beside the project's own cards."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np

from bench.data.images.decode import Pixels

CARD = """name = "{name}"
title = "made by hand"
source = "none"
licence = "none"
cite = "none"
images = {images}
statistics = "none"
naming = "none"
default_split = "{split}"
digest_note = "none"
defects = []
"""


def place(seed: int, size: tuple[int, int] = (96, 96)) -> Pixels:
    """Texture at three scales, grey levels 0 to 255: a place no other seed shows."""
    noise = np.random.default_rng(seed).normal(size=(3, *size)).astype(np.float32)
    octaves = [cv2.GaussianBlur(layer, (0, 0), 1.5 * 2**at) * 2**at for at, layer in enumerate(noise)]
    total = np.sum(octaves, axis=0)
    return np.rint(255 * (total - total.min()) / (total.max() - total.min())).astype(np.uint8)


def write_card(root: Path, name: str, splits: Mapping[str, Mapping[str, list[str]]]) -> None:
    """The card and the lists of a dataset below a folder of cards."""
    named = {image for parts in splits.values() for names in parts.values() for image in names}
    lines = [CARD.format(name=name, images=len(named), split=next(iter(splits), ""))]
    if not splits:
        lines.append("[splits]")
    for split, parts in splits.items():
        folder = root / name / "splits" / split
        folder.mkdir(parents=True)
        lines.append(f'[splits.{split}]\nsource = "made by hand"')
        for part, names in parts.items():
            lines.append(f"{part} = {len(names)}")
            (folder / f"{part}.txt").write_text("".join(f"{each}\n" for each in names))
    (root / name).mkdir(parents=True, exist_ok=True)
    (root / name / "card.toml").write_text("\n".join(lines) + "\n")


def write_images(root: Path, name: str, images: Mapping[str, Pixels]) -> None:
    """The images of a dataset, each with an empty mask."""
    for kind in ("images", "masks"):
        (root / name / kind).mkdir(parents=True, exist_ok=True)
    for each, pixels in images.items():
        cv2.imwrite(str(root / name / "images" / f"{each}.png"), pixels)
        cv2.imwrite(str(root / name / "masks" / f"{each}.png"), np.zeros_like(pixels))
