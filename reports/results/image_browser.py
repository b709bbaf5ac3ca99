"""Numbers of every test image by method, and pictures of the worst ones, small enough for one page."""

from __future__ import annotations

import base64
import io
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack, suppress
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

MOST_IMAGES = 100
"""Embedded images of a dataset: more than anybody looks at, and each takes time to read and pack."""

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
        left_out: sentence on the methods whose maps are not embedded; empty if all may be.
    """

    dataset: str
    threshold: float
    step: int
    names: tuple[str, ...]
    targets: tuple[int, ...]
    methods: tuple[ImageNumbers, ...]
    embedded: Mapping[int, EmbeddedImage] = field(default_factory=dict)
    absent: str = ""
    left_out: str = ""

    @property
    def worst(self) -> tuple[int, ...]:
        """Places of the images, the one with the lowest mean IoU over the methods first."""
        return worst_first(self.methods)


def image_browsers(
    counted: Sequence[Counted], *, data: Path | None = None, pictured: Collection[str] | None = None
) -> tuple[ImageBrowser, ...]:
    """Per dataset with counts its images and numbers, those with the lowest mean IoU embedded up to `MOST_BYTES`.

    Every method stands with its first seed. Images and masks come from the runs' examples, from the dataset, where
    it is generated, and from `data`.

    Args:
        data: folder of datasets; without it, or without the dataset there, the examples alone are embedded.
        pictured: labels of the methods whose maps are embedded; default all.
    """
    listed = [(each, [m for m in each.methods if each.is_on_list(m)]) for each in counted]
    shown = [(each, methods) for each, methods in listed if methods]
    return tuple(_browse(each, methods, data, MOST_BYTES // len(shown), pictured) for each, methods in shown)


def _browse(
    each: Counted, methods: Sequence[CountedLine], data: Path | None, limit: int, pictured: Collection[str] | None
) -> ImageBrowser:
    drawn = {m.position for m in methods if pictured is None or m.row.label in pictured}
    maps_of = f"Maps: of {len(drawn)} of {len(methods)} methods, those that figures show"
    scoring = methods[0].group.scored[0].row.scoring
    numbers = tuple(numbers_of(method.group.scored[0].name, method.seeds[0]) for method in methods)
    with ExitStack() as opened:
        sources = [_Source(method.group.scored[0], opened) if method.position in drawn else None for method in methods]
        embedded, absent = _embed_worst(each.names, worst_first(numbers), sources, scoring, data, limit)
    return ImageBrowser(
        each.dataset,
        scoring.threshold,
        threshold_level(scoring.threshold) >> 8,
        each.names,
        tuple(methods[0].seeds[0].targets.tolist()),
        numbers,
        embedded,
        absent,
        maps_of if len(drawn) < len(methods) else "",
    )


def _embed_worst(
    names: Sequence[str],
    worst: Sequence[int],
    sources: Sequence[_Source | None],
    scoring: Scoring,
    data: Path | None,
    limit: int,
) -> tuple[dict[int, EmbeddedImage], str]:
    """Pictures of the examples and then of the worst images, up to `limit` bytes, and why there are no others."""
    known = [source for source in sources if source]
    stored = {name: example[:2] for source in reversed(known) for name, example in source.examples.items()}
    if not any(source.has_maps for source in known):
        return {}, "no run stored its maps"
    first = [place for place, name in enumerate(names) if name in stored]
    order = list(dict.fromkeys([*first, *worst]))[:MOST_IMAGES]
    scenes = stored | _open_scenes(known[0].entry, [names[place] for place in order[len(first) :]], data)
    embedded: dict[int, EmbeddedImage] = {}
    left = limit
    for place in order:
        if names[place] not in scenes:
            return embedded, "the others are not among the runs' examples, and their dataset was not read"
        image, mask = scenes[names[place]]
        if image.size > MOST_PIXELS:
            continue
        made = _embed(
            image, mask, [source.maps(names[place], mask.shape) if source else None for source in sources], scoring
        )
        if made.size > left:
            return embedded, f"more than {limit / 1e6:g} MB of them would make the page slow"
        left -= made.size
        embedded[place] = made
    if len(embedded) < len(order):
        return embedded, "the others are too large"
    return embedded, f"more than {MOST_IMAGES} would make the page slow" if len(order) < len(names) else ""


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


class _Source:
    """One method's maps: of all rounds, of the examples; of the last round, of every image whose map the run kept."""

    def __init__(self, entry: Entry, opened: ExitStack) -> None:
        self.entry, self.examples = entry, _read_examples(entry)
        self.archive = None
        with suppress(BenchError):  # scores that were made without maps
            self.archive = opened.enter_context(open_maps(entry.folder / STORED))

    @property
    def has_maps(self) -> bool:
        """True where there is any map."""
        return bool(self.examples or self.archive)

    def maps(self, name: str, size: tuple[int, ...]) -> LevelArray | None:
        """The maps (R, H, W) of an image; None where none is stored, or only a broken one."""
        if name in self.examples and self.examples[name][2].shape[1:] == size:
            return self.examples[name][2]
        if self.archive is None or name not in self.archive.names:
            return None
        try:
            found = self.archive.read(name)
        except BenchError:
            return None
        values = found.values if found.kind == "float" else levels_of(found)
        return align_map(values, self.entry.row.scoring, size=(size[0], size[1]))[np.newaxis]


def _read_examples(entry: Entry) -> dict[str, Example]:
    """The stored examples of a run by name; none where the file is missing or broken, which the figures tell."""
    try:
        arrays = load_arrays(entry.folder / "examples.npz")
        return {
            str(name): (
                checked_array(arrays, f"image_{k}", WHOLE, (None, None)).astype(np.uint8),
                checked_array(arrays, f"mask_{k}", WHOLE, (None, None)).astype(np.uint8),
                checked_array(arrays, f"rounds_{k}", WHOLE, (None, None, None)).astype(np.uint16),
            )
            for k, name in enumerate(checked_array(arrays, "names", TEXT, (None,)))
        }
    except BenchError:
        return {}


def _open_scenes(entry: Entry, names: Sequence[str], data: Path | None) -> dict[str, tuple[Pixels, Pixels]]:
    """Image and mask of the dataset by name; none where it is not there, or was corrupted for the test."""
    if entry.result is None or entry.row.corruption:
        return {}
    experiment = entry.result.experiment
    try:
        frames = open_frames(experiment.images.dataset, names, root=data, decoder=experiment.input.decoder)
        return {frame.name: (frame.grey, frame.binary_at(frame.size)) for frame in frames}
    except BenchError:
        return {}


def _embed(image: Pixels, mask: Pixels, maps: Sequence[LevelArray | None], scoring: Scoring) -> EmbeddedImage:
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
