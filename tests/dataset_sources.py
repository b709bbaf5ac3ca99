"""Small datasets in the layouts that people have, and archives of them."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import cv2
import numpy as np

SIZE = (20, 30)

LAYOUT_FILES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "images-masks": ("IRSTD-1k", ("images/XDU0.png", "masks/XDU0.png", "images/XDU1.png", "masks/XDU1.png")),
    "sirst": ("NUAA-SIRST", ("images/Misc_1.png", "masks/Misc_1_pixels0.png")),
    "sirst-v2": ("SIRST-v2", ("mixed/S1_2.png", "annotations/masks/S1_2_pixels0.png")),
    "irstd-1k": ("IRSTD-1k", ("IRSTD1k_Img/XDU0.png", "IRSTD1k_Label/XDU0.png")),
    "sirst-aug": (
        "SIRST-Aug",
        (
            *("trainval/images/000000.png", "trainval/masks/000000.png"),
            *("test/images/000000.png", "test/masks/000000.png"),
        ),
    ),
    "train-test": (
        "SIRST-UAVB",
        ("train/images/1.bmp", "train/masks/1.bmp", "test/images/2401.bmp", "test/masks/2401.bmp"),
    ),
    "train-val-test": (
        "IRDST",
        tuple(f"{part}/{kind}/{part}.jpg" for part in ("train", "val", "test") for kind in ("images", "masks")),
    ),
    "img-label": ("IRDST", ("Img/a b.png", "Label/a b.png")),
    "voc": ("IRDST", ("JPEGImages/ü.jpg", "SegmentationClass/ü.png")),
}
"""Layout to a dataset and a few files in it."""

NAMES_AFTER: Mapping[str, tuple[str, ...]] = {
    "images-masks": ("XDU0", "XDU1"),
    "sirst": ("Misc_1",),
    "sirst-v2": ("S1_2",),
    "irstd-1k": ("XDU0",),
    "sirst-aug": ("000000", "w000000"),
    "train-test": ("1", "2401"),
    "train-val-test": ("test", "train", "val"),
    "img-label": ("a b",),
    "voc": ("ü",),
}


def picture(inside: str) -> bytes:
    """A frame of 20x30 pixels with one target of 2x3, or its mask, encoded as the name's extension says."""
    folder = Path(inside).parent.name.lower()
    is_mask = "mask" in folder or "label" in folder or folder == "segmentationclass"
    pixels = np.full(SIZE, 0 if is_mask else 50, np.uint8)
    pixels[4:6, 7:10] = 255 if is_mask else 200
    settings = [cv2.IMWRITE_JPEG_QUALITY, 100] if inside.endswith(".jpg") else []
    encoded, data = cv2.imencode(Path(inside).suffix, pixels, settings)
    assert encoded
    return data.tobytes()


def write_files(folder: Path, names: Iterable[str], other: Mapping[str, bytes] | None = None) -> Path:
    """The folder with a picture for every name, and other files with their content."""
    for name, content in {**{name: picture(name) for name in names}, **(other or {})}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def zip_of(path: Path, members: Mapping[str, bytes]) -> Path:
    """A zip of these members."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def tar_of(path: Path, members: Mapping[str, bytes]) -> Path:
    """A tar of these members, packed as the name's extension says."""
    mode = {".gz": "w:gz", ".bz2": "w:bz2", ".xz": "w:xz"}.get(path.suffix, "w")
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def members_of(names: Iterable[str]) -> dict[str, bytes]:
    """A picture for every name."""
    return {name: picture(name) for name in names}
