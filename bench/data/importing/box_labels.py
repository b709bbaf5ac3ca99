"""Boxes around targets, as labels of detectors have them, recognised by their files and drawn as masks.

Read are Pascal VOC (one XML an image, whole pixels from 1, both ends within), YOLO (one text an image, centre and size
as shares of the image) and COCO (one JSON for all, left, top, width and height in pixels). Every class is target. A box
says where a target is and not which pixels it has, so that scores by pixel mean little against such masks.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal
from xml.etree import ElementTree

import numpy as np

from bench.arrays import Size
from bench.data.catalogue.file_names import composed, counted, stem_of
from bench.data.images.decode import Pixels
from bench.errors import DataError, RecordError
from bench.input_files import parse_json, refuse_endless

LabelKind = Literal["VOC boxes", "YOLO boxes", "COCO boxes", "YOLO polygons", "points"]
CAVEAT = (
    "masks are boxes drawn from labels, not outlines: IoU, nIoU and false alarms by pixel are those of boxes, and "
    "targets that touch are one"
)
MOST_BYTES = 256 * 1024 * 1024
PROBED = 8
"""Label files of each extension that are looked into to recognise their kind."""


@dataclass(frozen=True)
class TargetBox:
    """Box around a target, in pixels from the top left corner of the image: rows and columns from first to behind."""

    top: float
    bottom: float
    left: float
    right: float


def label_kind(files: Iterable[tuple[PurePosixPath, Path]]) -> tuple[LabelKind, PurePosixPath] | None:
    """Kind of the labels among some files and the first such file; None if there is none."""
    probed: dict[str, int] = {}
    for inside, path in files:
        suffix = inside.suffix.lower()
        if suffix not in (".xml", ".txt", ".json") or probed.get(suffix, 0) >= PROBED:
            continue
        probed[suffix] = probed.get(suffix, 0) + 1
        try:
            if suffix == ".xml" and _xml(path).tag == "annotation":
                return "VOC boxes", inside
            if suffix == ".json" and {"images", "annotations"} <= set(_json(path)):
                return "COCO boxes", inside
            if suffix == ".txt" and (kind := _text_kind(_text(path))):
                return kind, inside
        except DataError:
            continue
    return None


def _text_kind(text: str) -> LabelKind | None:
    """Kind of labels by the first line; None for other texts, as lists of names."""
    row = next((line.split() for line in text.splitlines() if line.strip()), [])
    try:
        numbers = [float(word) for word in row]
    except ValueError:
        return None
    if len(numbers) in (5, 6) and all(0 <= value <= 1 for value in numbers[1:5]):
        return "YOLO boxes"
    if len(numbers) >= 7 and len(numbers) % 2 and all(0 <= value <= 1 for value in numbers[1:]):
        return "YOLO polygons"
    return "points" if len(numbers) in (2, 3) else None


def refusal_of_labels(kind: LabelKind, inside: PurePosixPath, advice: str) -> str:
    """Message about labels where masks are expected."""
    if kind == "points":
        return f"labels are points ({inside}), expected masks; points say no pixels, draw masks first"
    if kind == "YOLO polygons":
        return f"labels are outlines ({inside}: {kind}), expected masks; fill the polygons and save them as masks first"
    return f"labels are boxes ({inside}: {kind.removesuffix(' boxes')}), expected masks; {advice}"


def draw_masks(images: Mapping[str, Size], labels: Path) -> Iterator[tuple[str, Pixels]]:
    """Draw the mask of every image from its boxes: 255 within one, 0 elsewhere.

    Args:
        images: name to (height, width) in pixels.
        labels: folder with a label file an image, or a COCO file.

    Raises:
        DataError: when the labels are of another kind, damaged, or lack an image.
    """
    boxes = _read_labels(labels, images)
    for name, size in images.items():
        mask = np.zeros(size, np.uint8)
        for box in boxes[name]:
            rows, columns = _pixels(box.top, box.bottom, size[0]), _pixels(box.left, box.right, size[1])
            mask[rows[0] : rows[1], columns[0] : columns[1]] = 255
        yield name, mask


def _pixels(first: float, behind: float, length: int) -> tuple[int, int]:
    """First pixel and the one behind the last whose centres lie within, at least one, inside the image."""
    begin = min(max(math.floor(first + 0.5), 0), length - 1)
    return begin, min(max(math.floor(behind + 0.5), begin + 1), length)


def _read_labels(labels: Path, images: Mapping[str, Size]) -> Mapping[str, Sequence[TargetBox]]:
    if labels.is_file():
        return _coco(labels, images)
    paths = sorted(path for path in labels.rglob("*") if path.suffix.lower() in (".xml", ".txt", ".json"))
    files = [(PurePosixPath(path.relative_to(labels).as_posix()), path) for path in paths]
    found = label_kind(files)
    if found is None or found[0] in ("points", "YOLO polygons"):
        kind = found[0] if found else "no label files"
        raise DataError(f"{labels}: {kind}, expected boxes as VOC .xml, YOLO .txt or COCO .json")
    kind, inside = found
    if kind == "COCO boxes":
        return _coco(labels / inside, images)
    suffix = ".xml" if kind == "VOC boxes" else ".txt"
    by_name = {composed(one.with_suffix("").as_posix()): path for one, path in files if one.suffix.lower() == suffix}
    absent = [name for name in images if name not in by_name]
    if absent:
        raise DataError(
            f"{labels}: {counted(len(absent), 'image')} without a {suffix} file, the first {absent[0]!r}, expected one "
            "for each; an image without targets has one that names none"
        )
    read = _voc if kind == "VOC boxes" else _yolo
    return {name: read(by_name[name], size) for name, size in images.items()}


def _voc(path: Path, size: Size) -> list[TargetBox]:
    boxes = []
    for found in _xml(path).iter("bndbox"):
        left, top, right, bottom = (_number(found.findtext(key), path) for key in ("xmin", "ymin", "xmax", "ymax"))
        boxes.append(_checked(TargetBox(top - 1, bottom, left - 1, right), size, path))
    return boxes


def _yolo(path: Path, size: Size) -> list[TargetBox]:
    boxes = []
    for words in (line.split() for line in _text(path).splitlines() if line.strip()):
        if len(words) not in (5, 6):
            raise DataError(f"{path}: {len(words)} values in a line, expected class, x, y, width and height")
        x, y, width, height = (_number(word, path) for word in words[1:5])
        top, left = (y - height / 2) * size[0], (x - width / 2) * size[1]
        boxes.append(_checked(TargetBox(top, top + height * size[0], left, left + width * size[1]), size, path))
    return boxes


def _coco(path: Path, images: Mapping[str, Size]) -> dict[str, list[TargetBox]]:
    content = _json(path)
    try:
        names = {each["id"]: composed(stem_of(each["file_name"])) for each in content["images"]}
        known = {names[key]: names[key] for key in names}
        known |= {name.rpartition("/")[2]: name for name in known if name.rpartition("/")[2] not in known}
        boxes: dict[str, list[TargetBox]] = {name: [] for name in names.values()}
        for each in content["annotations"]:
            left, top, width, height = (float(value) for value in each["bbox"])
            name = names[each["image_id"]]
            size = images.get(name)
            box = TargetBox(top, top + height, left, left + width)
            boxes[name].append(box if size is None else _checked(box, size, path))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: no COCO labels ({error}), expected images and annotations with bbox") from None
    absent = [name for name in images if name not in known]
    if absent:
        raise DataError(f"{path}: {counted(len(absent), 'image')} not listed, the first {absent[0]!r}; list all images")
    return {name: boxes[known[name]] for name in images}


def _checked(box: TargetBox, size: Size, path: Path) -> TargetBox:
    """The box, if it lies in the image to within a pixel."""
    inside = -1 <= box.top < box.bottom <= size[0] + 1 and -1 <= box.left < box.right <= size[1] + 1
    if not inside:
        raise DataError(
            f"{path}: box of rows {box.top:g} to {box.bottom:g} and columns {box.left:g} to {box.right:g}, "
            f"expected one within {size[0]}x{size[1]} (height x width)"
        )
    return box


def _number(text: str | None, path: Path) -> float:
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f"{path}: {text!r} in a box, expected a number")
    return value


def _text(path: Path) -> str:
    refuse_endless(path, expected="labels")
    try:
        if path.stat().st_size > MOST_BYTES:
            raise DataError(f"{path}: more than {MOST_BYTES >> 20} MiB, expected labels")
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"{path}: {(error.strerror or str(error)).lower()}, expected labels") from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: not UTF-8 text, expected labels") from None


def _xml(path: Path) -> ElementTree.Element:
    text = _text(path)
    if "<!" in text.replace("<!--", ""):  # entities can expand without end
        raise DataError(f"{path}: declares a document type or entities, expected plain XML labels")
    try:
        return ElementTree.fromstring(text.encode())  # noqa: S314  (what makes XML dangerous is refused above)
    except (ElementTree.ParseError, ValueError) as error:
        raise DataError(f"{path}: not XML ({error}), expected labels") from None


def _json(path: Path) -> dict[str, Any]:
    try:
        content = parse_json(_text(path))
    except RecordError as error:
        raise DataError(f"{path}: not JSON ({error}), expected labels") from None
    if not isinstance(content, dict):
        raise DataError(f"{path}: a list, expected COCO labels with images and annotations")
    return content
