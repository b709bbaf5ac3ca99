"""Figures of methods side by side: image, mask and every method's map of the same images, and the relief of a target.

Images are chosen by name or by rule, from the counts of every image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.arrays import FloatArray
from bench.data.images.decode import Pixels, resize_bilinear
from bench.data.images.frames import open_frames
from bench.errors import BenchError, DataError, RequestError, StoreError
from bench.metrics.counting.counts import Counts
from bench.metrics.counting.levels import LEVELS
from bench.registry import unknown
from bench.scoring.align import align_map, aligned_size
from bench.scoring.read_folder import STORED, Maps, open_maps
from bench.scoring.read_map import levels_of
from bench.types import Scoring
from reports.figures.examples import read_examples
from reports.figures.figure import CaptionedFigure, Drawing, NotDrawn, rules_words, words_of
from reports.figures.select import MOST
from reports.plots.examples import Picture, ProbabilityMap, picture_figure, telling_target
from reports.plots.surface import surface_figure
from reports.results.entries import Entry, one_line
from reports.results.image_counts import Counted, CountedLine, read_counted

NAMED = 20
"""Most names of images that an error lists."""

HARDEST = 2
"""Images of the first rule."""

RULES = (
    "hardest: most targets missed and false alarms, mean over the methods; typical: nearest to the median IoU; "
    "no target: most false alarms"
)
MARKS = (
    "Solid circles: targets found; dotted: missed; dashed boxes: false alarms, all by the scoring's own rule. "
    "Enlarged: the target that fewest methods find."
)
REACH = 12
"""Pixels of a response surface to either side of its target."""


@dataclass(frozen=True, eq=False)
class MethodMaps:
    """One method's maps.

    Attributes:
        label: head of its column.
        read: a map (H, W) by the image's name, in levels or as probabilities.
    """

    label: str
    read: Callable[[str], NDArray[Any]]


@dataclass(frozen=True, eq=False)
class ShownImage:
    """An image to show.

    Attributes:
        grey: (H, W) levels 0 to 255, or None if there is only the mask.
        mask: (H, W) in {0, 1}.
        words: why it is shown.
    """

    name: str
    grey: Pixels | None
    mask: Pixels
    words: str = ""


def choose_images(names: Sequence[str], counts: Sequence[Counts], *, among: Sequence[str] = ()) -> dict[str, str]:
    """The names of the hardest images, of a typical one and of one without target, each with the word of its rule.

    Args:
        names: of the images that every method's counts are of, in order.
        counts: of every method.
        among: names to choose from; default all.
    """
    errors = np.mean([c.targets - c.matched + c.unmatched for c in counts], axis=0)
    unions = [c.predicted + c.labelled - c.intersection for c in counts]
    iou = np.mean([c.intersection / np.maximum(union, 1) for c, union in zip(counts, unions, strict=True)], axis=0)
    allowed = np.array([not among or name in among for name in names])
    marked = np.flatnonzero(allowed & (counts[0].targets > 0))
    bare = np.flatnonzero(allowed & (counts[0].targets == 0))
    hardest = marked[np.lexsort((iou[marked], -errors[marked]))]
    chosen = {names[place]: "hardest" for place in hardest[:HARDEST]}
    rest = hardest[HARDEST:]
    if len(rest):
        middle = np.median(iou[counts[0].targets > 0])
        chosen[names[rest[np.argmin(np.abs(iou[rest] - middle))]]] = "typical"
    if len(bare):
        alarms = np.mean([c.unmatched for c in counts], axis=0)
        chosen[names[bare[np.argmax(alarms[bare])]]] = "no target"
    return chosen


def _unknown_image(name: str, known: Sequence[str]) -> str:
    """The sentence about a name that is on no test list, with those near it, or the first ones of a long list."""
    sentence = unknown("test image of the suite", name, known)
    if len(known) <= NAMED or "did you mean" in sentence:
        return sentence
    return f"{unknown('test image of the suite', name, known[:NAMED])} and {len(known) - NAMED} more"


def run_figures(entries: Sequence[Entry], *, images: Sequence[str] = (), data: Path | None = None) -> Iterator[Drawing]:
    """For each dataset, the first `MOST` methods of a suite side by side, and the relief of the first target shown.

    Args:
        images: names of the images to show; default those of `choose_images`.
        data: folder of datasets; without the dataset there the images are chosen among the runs' examples.

    Raises:
        RequestError: if an image is on no test list of the suite.
    """
    every = read_counted(entries, mixed="mark")
    known = [name for each in every for name in each.names]
    if strangers := [name for name in images if name not in known]:
        raise RequestError(_unknown_image(strangers[0], known))
    for each in every:
        wanted = [name for name in images if name in each.names]
        methods = [m for m in each.methods if each.is_on_list(m) and not m.group.is_oracle]
        if methods and (wanted or not images):
            try:
                yield from _dataset_figures(each, methods, wanted, data)
            except (DataError, StoreError) as error:
                yield NotDrawn(f"methods side by side on {each.dataset} are not drawn: {one_line(str(error))}")


def _dataset_figures(
    each: Counted, methods: Sequence[CountedLine], wanted: Sequence[str], data: Path | None
) -> Iterator[Drawing]:
    sources = [_Source(method) for method in methods]
    shown = [source for source in sources if source.names][:MOST]
    if len(shown) < 2:
        return
    among = [name for name in each.names if all(name in source.names for source in shown)]
    chosen = dict.fromkeys(wanted, "") or choose_images(each.names, [s.counts for s in shown], among=among)
    open_scene = _opener(shown, data, chosen)
    if open_scene is None and not wanted:
        stored = {name for source in shown for name in source.examples}
        among = [name for name in among if name in stored]
        chosen = choose_images(each.names, [s.counts for s in shown], among=among) if among else {}
        open_scene = _opener(shown, None, chosen)
    if open_scene is None:
        raise DataError(f"no image {next(iter(chosen))!r} in the runs' examples; give the folder of datasets by --data")
    if not chosen:
        return
    scenes = [open_scene(name, words) for name, words in chosen.items()]
    rule = (
        "Images chosen by name." if wanted else f"Images: {RULES}; among {len(among)} of {len(each.names)} test images."
    )
    absent = [m.group.scored[0].name for m in methods if m not in [source.line for source in shown]]
    others = f" Not drawn: {', '.join(absent)}." if absent else ""
    rules = rules_words([source.entry for source in shown], seeds="of seeds the first,")
    yield from figures_of(
        each.dataset,
        scenes,
        [MethodMaps(source.entry.name, source.read) for source in shown],
        scoring=shown[0].entry.row.scoring,
        rule=rule,
        words=f"{others} {rules}".strip(),
    )


class _Source:
    """One method's maps and counts, of its first seed: of all images, or of the stored examples."""

    def __init__(self, line: CountedLine) -> None:
        self.line, self.entry, self.counts = line, line.group.scored[0], line.seeds[0]
        self.examples = {picture.name: picture for picture in read_examples(self.entry)}
        self.has_all = (self.entry.folder / STORED).is_file()
        self.names = frozenset(line.names if self.has_all else self.examples)

    def read(self, name: str) -> NDArray[Any]:
        """The last round's map of an image."""
        if self.has_all:
            with open_maps(self.entry.folder / STORED) as maps:
                return read_values(maps, name)
        if name not in self.examples:
            raise DataError(f"{self.entry.row.key}: no map of {name!r} is stored; run the suite again")
        return self.examples[name].predictions[-1].q


def read_values(maps: Maps, name: str) -> NDArray[Any]:
    """The values of a map, as `align_map` takes them.

    Raises:
        DataError: if there is none of that name, or it is broken.
    """
    if name not in maps.names:
        raise DataError(f"{maps.place}: no map of {name!r}, expected one of every image")
    found = maps.read(name)
    return found.values if found.kind == "float" else levels_of(found)


Opener = Callable[[str, str], ShownImage]
"""Opens an image to show by its name, with the words on why."""


def _opener(shown: Sequence[_Source], data: Path | None, names: Iterable[str]) -> Opener | None:
    """Opens the images from the runs' examples, or from the dataset; None if some are in neither."""
    stored = {name: picture for source in reversed(shown) for name, picture in source.examples.items()}
    if all(name in stored for name in names):
        return lambda name, words: ShownImage(name, stored[name].image, stored[name].mask, words)
    experiment = shown[0].entry.result.experiment if shown[0].entry.result else None
    if experiment is None:
        return None
    try:
        frames = open_frames(experiment.images.dataset, [*names], root=data, decoder=experiment.input.decoder)
        found = {frame.name: frame for frame in frames}
    except BenchError:
        return None
    scoring = shown[0].entry.row.scoring

    def open_scene(name: str, words: str) -> ShownImage:
        frame = found[name]
        size = aligned_size(shown[0].read(name), frame, scoring)
        return ShownImage(name, resize_bilinear(frame.grey, size), frame.binary_at(size), words)

    return open_scene


def figures_of(
    title: str, scenes: Sequence[ShownImage], methods: Sequence[MethodMaps], *, scoring: Scoring, rule: str, words: str
) -> Iterator[CaptionedFigure]:
    """The figure of rows of images, and of the relief around a target of the first image that has one.

    Args:
        title: of the captions and files.
        rule: by which the images were chosen.
        words: on the results, added to both captions.

    Raises:
        DataError: if a method has no map of an image, or a broken one.
    """
    pictures = [_picture(scene, methods, scoring) for scene in scenes]
    stem = words_of(title)
    caption = f"{title}: methods side by side. {MARKS} {rule} {words}"
    yield CaptionedFigure(f"side-by-side-{stem}", picture_figure(pictures, scoring=scoring), caption)
    telling = telling_target(pictures, scoring)
    if telling is not None:
        shown, centre = telling
        caption = (
            f"{title}: response around the target of {shown.name} that methods differ in most, {2 * REACH + 1} pixels "
            f"wide. Probability in 1e-2; the image stretched over its window. {words}"
        )
        yield CaptionedFigure(f"surface-{stem}", surface_figure(_surfaces(shown, centre)), caption)


def _picture(scene: ShownImage, methods: Sequence[MethodMaps], scoring: Scoring) -> Picture:
    """The row of an image; every map is brought to the mask's size."""
    size = (scene.mask.shape[0], scene.mask.shape[1])
    maps = [ProbabilityMap(each.label, align_map(each.read(scene.name), scoring, size=size)) for each in methods]
    return Picture(scene.name, scene.grey, scene.mask, tuple(maps), scene.words)


def _surfaces(picture: Picture, centre: tuple[float, float]) -> dict[str, FloatArray]:
    """Head to the window around a row and column, inside the image."""
    row, col = centre
    height, width = picture.mask.shape
    top, left = (max(0, min(round(at) - REACH, end - 2 * REACH - 1)) for at, end in ((row, height), (col, width)))
    window = np.s_[top : top + 2 * REACH + 1, left : left + 2 * REACH + 1]
    surfaces = {each.head: each.q[window] / LEVELS for each in picture.predictions}
    if picture.image is None:
        return surfaces
    grey = picture.image[window].astype(float)
    return {"Image": (grey - grey.min()) / max(np.ptp(grey), 1), **surfaces}
