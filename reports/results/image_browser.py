"""Numbers of every test image by method, and pictures of the worst ones, small enough for one page."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.arrays import TEXT, WHOLE, LevelArray, checked_array
from bench.data.images.decode import Pixels
from bench.data.images.frames import open_frames
from bench.errors import BenchError
from bench.metrics.counting.counts import Counts
from bench.metrics.counting.levels import threshold_level
from bench.scoring.align import align_map
from bench.scoring.read_folder import STORED, open_maps
from bench.scoring.read_map import levels_of
from bench.store.files import load_arrays
from bench.types import Scoring
from reports.results.entries import Entry
from reports.results.image_counts import Counted, CountedLine

MOST_BYTES = 6_000_000
"""Embedded pictures of a page, in base64: what a browser reads in well under a second."""

MOST_PIXELS = 1_000_000
"""Larger frames are not embedded: a single one would take a good part of all bytes."""

STEPS = 256
"""Levels of an embedded map."""


@dataclass(frozen=True)
class ImageNumbers:
    """One method's numbers, image by image in the order of the list.

    Attributes:
        label: of the method.
        iou: in 1/1000; an image with nothing to find has 1000 where nothing is predicted, and 0 otherwise.
        missed: targets without a component.
        alarms: components without a target.
        wrong: pixels predicted beside the ground truth, and those of it that are not predicted.
    """

    label: str
    iou: tuple[int, ...]
    missed: tuple[int, ...]
    alarms: tuple[int, ...]
    wrong: tuple[int, ...]


@dataclass(frozen=True)
class EmbeddedImage:
    """One image with its mask and the methods' maps, as base64.

    Attributes:
        image: WebP.
        mask: PNG, 255 on targets.
        maps: PNG of every round whose map is stored, by the method's place; see `to_steps`.
        rounds: numbers of those rounds, by the method's place.
    """

    image: str
    mask: str
    maps: Mapping[int, tuple[str, ...]]
    rounds: Mapping[int, tuple[int, ...]]

    @property
    def size(self) -> int:
        """Bytes on the page."""
        return len(self.image) + len(self.mask) + sum(len(text) for maps in self.maps.values() for text in maps)


@dataclass(frozen=True)
class ImageBrowser:
    """The test images of one dataset.

    Attributes:
        step: first step of a map that is above the scoring's threshold.
        threshold: of the scoring.
        targets: in every image.
        embedded: by the image's place in the list.
        absent: why images that are not embedded are not, as a sentence.
    """

    dataset: str
    threshold: float
    step: int
    names: tuple[str, ...]
    targets: tuple[int, ...]
    methods: tuple[ImageNumbers, ...]
    embedded: Mapping[int, EmbeddedImage] = field(default_factory=dict)
    absent: str = ""

    @property
    def worst(self) -> tuple[int, ...]:
        """Places of the images, the one with the lowest mean IoU over the methods first."""
        return worst_first(self.methods)


def image_browsers(counted: Sequence[Counted], *, data: Path | None = None) -> tuple[ImageBrowser, ...]:
    """Per dataset with counts its images and numbers, those with the lowest mean IoU embedded up to `MOST_BYTES`.

    Every method stands with its first seed. Images and masks come from the runs' examples, from the dataset, where
    it is generated, and from `data`.

    Args:
        data: folder of datasets; without it, or without the dataset there, the examples alone are embedded.
    """
    listed = [(each, [m for m in each.methods if each.is_on_list(m)]) for each in counted]
    shown = [(each, methods) for each, methods in listed if methods]
    return tuple(_browse(each, methods, data, MOST_BYTES // len(shown)) for each, methods in shown)


def _browse(each: Counted, methods: Sequence[CountedLine], data: Path | None, limit: int) -> ImageBrowser:
    scoring = methods[0].group.scored[0].row.scoring
    counts = methods[0].seeds[0]
    numbers = tuple(numbers_of(m.group.scored[0].name, m.seeds[0]) for m in methods)
    with_examples = [_examples(m.group.scored[0]) for m in methods]
    first = [each.names.index(name) for name in _example_names(with_examples) if name in each.names]
    order = list(dict.fromkeys([*first, *worst_first(numbers)]))
    open_scene = _scenes(methods[0].group.scored[0], with_examples, data)
    embedded: dict[int, EmbeddedImage] = {}
    left, absent = limit, ""
    for place in order:
        name = each.names[place]
        scene = open_scene(name)
        if scene is None:
            absent = "the report has the runs' examples alone, not the dataset's files"
            continue
        made = _embed(
            scene,
            [_maps(m.group.scored[0], e, name, scene[1].shape) for m, e in zip(methods, with_examples, strict=True)],
            scoring,
        )
        if made.size > left:
            absent = f"more than {limit / 1e6:g} MB of pictures would make the page slow"
            break
        left -= made.size
        embedded[place] = made
    return ImageBrowser(
        each.dataset,
        scoring.threshold,
        threshold_level(scoring.threshold) >> 8,
        each.names,
        tuple(counts.targets.tolist()),
        numbers,
        embedded,
        absent if len(embedded) < len(each.names) else "",
    )


def numbers_of(label: str, counts: Counts) -> ImageNumbers:
    """The numbers of one method."""
    union = counts.labelled + counts.predicted - counts.intersection
    iou = np.where(union > 0, 1000 * counts.intersection / np.maximum(union, 1), 1000)
    return ImageNumbers(
        label,
        tuple(np.rint(iou).astype(int).tolist()),
        tuple((counts.targets - counts.matched).tolist()),
        tuple(counts.unmatched.tolist()),
        tuple((counts.predicted + counts.actual - 2 * counts.hits).tolist()),
    )


def worst_first(methods: Sequence[ImageNumbers]) -> tuple[int, ...]:
    """Places of the images by mean IoU over the methods, then by wrong pixels."""
    iou = np.sum([method.iou for method in methods], axis=0)
    wrong = np.sum([method.wrong for method in methods], axis=0)
    return tuple(np.lexsort((-wrong, iou)).tolist())


Example = tuple[Pixels, Pixels, LevelArray]
"""Image, mask, and the maps of all rounds (R, H, W)."""


def _examples(entry: Entry) -> dict[str, Example]:
    """The stored examples of a run by name; none where the file is missing or broken, which the figures tell."""
    path = entry.folder / "examples.npz"
    try:
        arrays = load_arrays(path) if path.is_file() else {}
        names = checked_array(arrays, "names", TEXT, (None,)) if arrays else ()
        return {
            str(name): (
                checked_array(arrays, f"image_{k}", WHOLE, (None, None)).astype(np.uint8),
                checked_array(arrays, f"mask_{k}", WHOLE, (None, None)).astype(np.uint8),
                checked_array(arrays, f"rounds_{k}", WHOLE, (None, None, None)).astype(np.uint16),
            )
            for k, name in enumerate(names)
        }
    except BenchError:
        return {}


def _example_names(found: Sequence[Mapping[str, Example]]) -> list[str]:
    return list(dict.fromkeys(name for examples in found for name in examples))


def _scenes(
    entry: Entry, found: Sequence[Mapping[str, Example]], data: Path | None
) -> Callable[[str], tuple[Pixels, Pixels] | None]:
    """Opens image and mask by name; None where they are nowhere to be had, or too large."""
    stored = {name: (image, mask) for examples in found for name, (image, mask, _) in examples.items()}
    experiment = entry.result.experiment if entry.result and not entry.row.corruption else None

    def open_scene(name: str) -> tuple[Pixels, Pixels] | None:
        if name in stored:
            return stored[name]
        if experiment is None:
            return None
        try:
            [frame] = open_frames(experiment.images.dataset, [name], root=data, decoder=experiment.input.decoder)
            return (frame.grey, frame.binary_at(frame.size)) if frame.grey.size <= MOST_PIXELS else None
        except BenchError:
            return None

    return open_scene


def _maps(entry: Entry, examples: Mapping[str, Example], name: str, size: tuple[int, ...]) -> LevelArray | None:
    """The maps (R, H, W) of all rounds, or of the last alone; None where none is stored."""
    if name in examples and examples[name][2].shape[1:] == size:
        return examples[name][2]
    if not (entry.folder / STORED).is_file():
        return None
    try:
        with open_maps(entry.folder / STORED) as maps:
            found = maps.read(name)
        values = found.values if found.kind == "float" else levels_of(found)
        return align_map(values, entry.row.scoring, size=(size[0], size[1]))[np.newaxis]
    except (BenchError, KeyError):
        return None


def _embed(scene: tuple[Pixels, Pixels], maps: Sequence[LevelArray | None], scoring: Scoring) -> EmbeddedImage:
    image, mask = scene
    found = {place: rounds for place, rounds in enumerate(maps) if rounds is not None}
    chosen = {place: _shown_rounds(len(rounds)) for place, rounds in found.items()}
    return EmbeddedImage(
        _encoded(image, "WEBP", quality=80),
        _encoded(np.where(mask > 0, 255, 0).astype(np.uint8), "PNG", optimize=True),
        {
            place: tuple(
                _encoded(to_steps(rounds[number - 1], scoring.threshold), "PNG", compress_level=9)
                for number in chosen[place]
            )
            for place, rounds in found.items()
        },
        chosen,
    )


def _shown_rounds(count: int) -> tuple[int, ...]:
    return tuple(range(1, count + 1)) if count <= 8 else (*range(1, 8), count)


def to_steps(levels: NDArray[np.uint16], threshold: float) -> Pixels:
    """A map in 256 steps, of which `threshold_level(threshold) >> 8` is the first above the threshold, exactly.

    >>> to_steps(np.array([0, 32768, 32769, 65535], np.uint16), 0.5).tolist()
    [0, 127, 128, 255]
    """
    level = threshold_level(threshold)
    steps = ((levels.astype(np.int32) - level - 1) >> 8) + (level >> 8)
    return np.asarray(np.clip(steps, 0, STEPS - 1), dtype=np.uint8)


def _encoded(pixels: Pixels, kind: str, **options: Any) -> str:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **options)
    return base64.b64encode(stream.getvalue()).decode("ascii")
