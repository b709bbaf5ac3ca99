"""Statistics of a dataset: size and brightness of every image, size, place and contrast of every target.

Images N, targets T. Targets are components of 8 neighbours of masks above 127, surroundings are those of
`bench.metrics.contrast`, grey levels those of Pillow's mode L, 0 to 255.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.arrays import BoolArray, FloatArray, IntArray
from bench.data.catalogue.cards import load_card
from bench.data.catalogue.overlaps import lists_of
from bench.data.catalogue.splits import FIT, HELD_OUT
from bench.data.images.frames import Frame, Frames, open_frames
from bench.data.importing.verify import expected_files
from bench.metrics.contrast import stand_out
from bench.metrics.counting.truth import read_truth
from bench.progress import Step
from bench.types import Scoring

MEASURE = Scoring("native")
"""Scoring whose reading of masks is used: binary, components of 8 neighbours."""

ALL = "all images"
AT_ONCE = 64
"""Frames that are held in memory at a time."""

IMAGE_FIELDS = ("heights", "widths", "means", "deviations", "counts")
TARGET_FIELDS = (
    "image",
    "areas",
    "rows",
    "cols",
    "box_heights",
    "box_widths",
    "borders",
    "brightness",
    "signals",
    "clutters",
)


@dataclass(frozen=True, eq=False)
class Description:
    """Measurements of a dataset's images and targets.

    Attributes:
        lists: title of every list (`basicirstd/test`) to the positions of its images; `all images` first.
        names: of the N images.
        heights, widths: (N,) pixels.
        means, deviations: (N,) mean and standard deviation of each image's grey levels.
        counts: (N,) targets in each image.
        image: (T,) position of the image each target lies in.
        areas: (T,) pixels.
        rows, cols: (T,) centroid, as a share of the image's height and width: 0 is the top or left edge, 1 the other.
        box_heights, box_widths: (T,) pixels of the bounding box.
        borders: (T,) pixels between the outermost pixel and the image border; 0 on the border.
        brightness: (T,) mean grey level of the target.
        signals: (T,) |mean of the target - mean of its surroundings|, grey levels; NaN without surroundings.
        clutters: (T,) standard deviation of its surroundings, grey levels; NaN without any.
    """

    dataset: str
    lists: dict[str, IntArray]
    names: tuple[str, ...]
    heights: IntArray
    widths: IntArray
    means: FloatArray
    deviations: FloatArray
    counts: IntArray
    image: IntArray
    areas: IntArray
    rows: FloatArray
    cols: FloatArray
    box_heights: IntArray
    box_widths: IntArray
    borders: IntArray
    brightness: FloatArray
    signals: FloatArray
    clutters: FloatArray

    @property
    def ratios(self) -> FloatArray:
        """(T,) signal-to-clutter ratios; NaN without surroundings or where they are even."""
        known = self.clutters > 0
        return np.asarray(np.divide(self.signals, self.clutters, out=np.full(len(known), np.nan), where=known))

    @property
    def over_frame(self) -> FloatArray:
        """(T,) mean grey level of each target less that of its image; negative where it is darker."""
        return np.asarray(self.brightness - self.means[self.image])

    def take(self, title: str) -> Description:
        """Measurements of the images of one list and of their targets."""
        chosen = self.lists[title]
        place = np.full(len(self.names), -1)
        place[chosen] = np.arange(len(chosen))
        own = place[self.image] >= 0
        images = {field: getattr(self, field)[chosen] for field in IMAGE_FIELDS}
        targets = {field: getattr(self, field)[own] for field in TARGET_FIELDS if field != "image"}
        names = tuple(self.names[index] for index in chosen)
        return Description(
            self.dataset,
            {title: np.arange(len(chosen))},
            names,
            **images,
            image=place[self.image[own]],
            **targets,
        )


def describe(dataset: str, root: Path | None = None, *, split: str = "", progress: Step | None = None) -> Description:
    """Measure all images of a dataset, or those of one split.

    Args:
        root: the folder that holds `<dataset>/images` and `<dataset>/masks`; not looked at for generated datasets.

    Raises:
        UnknownNameError: with suggestions, when there is no such dataset or split.
        DataError: when the folder is not there, or an image or mask is missing, damaged or of an unexpected size.
    """
    lists = [each for each in lists_of(dataset, split=split) if each.part not in (FIT, HELD_OUT)]
    members = {each.title: each.names for each in lists}
    every = {name for names in members.values() for name in names} if split else expected_files(load_card(dataset))
    names = sorted(every)
    place = {name: index for index, name in enumerate(names)}
    positions = {
        title: np.array([place[name] for name in found if name in place], np.int64) for title, found in members.items()
    }
    everything = {} if split else {ALL: np.arange(len(names))}
    frames = _frames(dataset, names, root=root, progress=progress)
    return measure(dataset, frames, lists={**everything, **positions})


def _frames(dataset: str, names: Sequence[str], *, root: Path | None, progress: Step | None) -> Iterator[Frame]:
    """Yield the frames, a few of them open at a time; without names, still check that the folder is there."""
    for at in range(0, max(len(names), 1), AT_ONCE):
        for done, frame in enumerate(_open(dataset, names[at : at + AT_ONCE], root), start=at + 1):
            yield frame
            if progress is not None:
                progress(done, len(names))


def _open(dataset: str, names: Sequence[str], root: Path | None) -> Frames:
    return open_frames(dataset, names, root=root, decoder="pillow-grey")


def measure(dataset: str, frames: Iterator[Frame] | Sequence[Frame], *, lists: dict[str, IntArray]) -> Description:
    """Measure frames and their targets."""
    names: list[str] = []
    images: list[tuple[float, ...]] = []
    targets: list[tuple[float, ...]] = []
    for frame in frames:
        found = _targets(frame, position=len(names))
        levels = frame.grey.astype(np.float64)
        names.append(frame.name)
        images.append((*frame.size, levels.mean(), levels.std(), len(found)))
        targets += found
    by_image = _columns(images, IMAGE_FIELDS, whole=("heights", "widths", "counts"))
    whole = ("image", "areas", "box_heights", "box_widths", "borders")
    return Description(dataset, lists, tuple(names), **by_image, **_columns(targets, TARGET_FIELDS, whole=whole))


def _targets(frame: Frame, *, position: int) -> list[tuple[float, ...]]:
    """Measure the targets of a frame: a tuple each, in the order of `TARGET_FIELDS`."""
    truth = read_truth(frame.binary_mask, MEASURE)
    components, levels = truth.targets, frame.grey.astype(np.int64)
    is_background: BoolArray = frame.binary_mask == 0
    height, width = frame.size
    found: list[tuple[float, ...]] = []
    for index in range(len(components)):
        own = components.owner == index
        rows, cols = components.rows[own], components.cols[own]
        centre = components.centroids[index]
        found.append(
            (
                position,
                components.areas[index],
                (centre[0] + 0.5) / height,
                (centre[1] + 0.5) / width,
                rows.max() - rows.min() + 1,
                cols.max() - cols.min() + 1,
                truth.target_border[index],
                levels[rows, cols].mean(),
                *stand_out(rows, cols, is_background, levels),
            )
        )
    return found


def _columns(
    lines: Sequence[tuple[float, ...]], fields: Sequence[str], *, whole: Sequence[str]
) -> dict[str, NDArray[Any]]:
    """Turn tuples into an array per field, of integers for the fields in `whole`."""
    table = np.array(lines, dtype=np.float64).reshape(len(lines), len(fields))
    return {
        field: table[:, at].astype(np.int64) if field in whole else table[:, at].copy()
        for at, field in enumerate(fields)
    }


@dataclass(frozen=True)
class Summary:
    """Summary of one list, a line of the table.

    Attributes:
        images, targets: their numbers.
        targets_an_image: mean number of targets per image.
        without_targets: share of images without targets, 0 to 1.
        sizes: smallest and largest height and width of the images, pixels; None without images.
        level: mean over images of their mean grey level; NaN without images.
        deviation: mean over images of the standard deviation of their levels.
        area, ratio, signal, border: lower quartile, median and upper quartile of target area (pixels),
            signal-to-clutter ratio, signal (grey levels) and distance to the border (pixels); NaN without targets.
        undefined_ratios: number of targets without a ratio.
    """

    dataset: str
    list: str
    images: int
    targets: int
    targets_an_image: float
    without_targets: float
    sizes: tuple[int, int, int, int] | None
    level: float
    deviation: float
    area: tuple[float, float, float]
    ratio: tuple[float, float, float]
    signal: tuple[float, float, float]
    border: tuple[float, float, float]
    undefined_ratios: int


def summarise(described: Description) -> tuple[Summary, ...]:
    """Summarise every list of the dataset, all images first."""
    return tuple(_summary(described.take(title), title) for title in described.lists)


def _summary(own: Description, title: str) -> Summary:
    images, ratios = len(own.names), own.ratios
    heights, widths = own.heights, own.widths
    return Summary(
        own.dataset,
        title,
        images,
        len(own.areas),
        len(own.areas) / images if images else np.nan,
        float(np.mean(own.counts == 0)) if images else np.nan,
        (int(heights.min()), int(heights.max()), int(widths.min()), int(widths.max())) if images else None,
        float(own.means.mean()) if images else np.nan,
        float(own.deviations.mean()) if images else np.nan,
        quartiles(own.areas),
        quartiles(ratios),
        quartiles(own.signals),
        quartiles(own.borders),
        int(np.isnan(ratios).sum()),
    )


def quartiles(values: NDArray[np.generic]) -> tuple[float, float, float]:
    """Lower quartile, median and upper quartile by linear interpolation, without undefined values; NaN of none.

    >>> quartiles(np.array([1.0, 2.0, 3.0, np.nan, 4.0, 5.0]))
    (2.0, 3.0, 4.0)
    """
    known = np.asarray(values, np.float64)
    known = known[~np.isnan(known)]
    if not len(known):
        return np.nan, np.nan, np.nan
    low, median, high = np.quantile(known, (0.25, 0.5, 0.75))
    return float(low), float(median), float(high)


def image_lines(described: Description) -> Iterator[dict[str, object]]:
    """Yield a record per image, under the names of CSV columns."""
    member: dict[int, list[str]] = {}
    for title, own in described.lists.items():
        for position in own.tolist() if title != ALL else []:
            member.setdefault(position, []).append(title)
    for index, name in enumerate(described.names):
        yield {
            "image": name,
            "lists": " ".join(member.get(index, [])),
            "height": int(described.heights[index]),
            "width": int(described.widths[index]),
            "mean": round(float(described.means[index]), 4),
            "deviation": round(float(described.deviations[index]), 4),
            "targets": int(described.counts[index]),
        }


def target_lines(described: Description) -> Iterator[dict[str, object]]:
    """Yield a record per target, in raster order within its image; undefined numbers are empty."""
    for index in range(len(described.areas)):
        yield {
            "image": described.names[described.image[index]],
            "area": int(described.areas[index]),
            "row": round(float(described.rows[index]), 4),
            "column": round(float(described.cols[index]), 4),
            "height": int(described.box_heights[index]),
            "width": int(described.box_widths[index]),
            "border": int(described.borders[index]),
            "brightness": round(float(described.brightness[index]), 4),
            "over_frame": round(float(described.over_frame[index]), 4),
            "signal": _known(described.signals[index]),
            "clutter": _known(described.clutters[index]),
            "signal_to_clutter": _known(described.ratios[index]),
        }


def _known(value: float) -> float | str:
    return "" if np.isnan(value) else round(float(value), 4)
