"""The masks that several methods are scored against: files of anybody's, or those of the runs' own dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bench.arrays import LevelArray
from bench.data.catalogue.splits import list_names, names_digest
from bench.data.images.decode import Pixels, decode_grey, resize_bilinear
from bench.data.images.frames import Frames, Masked, open_frames
from bench.errors import DataError
from bench.metrics.counting.counts import Counts
from bench.progress import Progress
from bench.protocols.scorings import SCORINGS_FILE, NamedScoring, ScoringRecord, all_scorings, read_records
from bench.scoring.given import SPLIT
from bench.scoring.read_folder import Maps, Renamed, is_single_file, match_names
from bench.scoring.read_map import levels_of, mask_of
from bench.scoring.score import MaskFile, Scored, pictures_of, score_frames, score_pairs, with_run_notes
from bench.types import ImageList, RunResult

EXAMPLES = 4


@dataclass(frozen=True)
class GivenMethod:
    """Predictions under the name that tables give them.

    Attributes:
        place: their folder or file.
        run: the result beside them, where they are those of a run.
    """

    label: str
    place: Path
    run: RunResult | None = None


@dataclass(frozen=True, eq=False)
class MethodScores:
    """A method's predictions scored, and their scores under every other scoring."""

    scored: Scored
    records: tuple[ScoringRecord, ...] = ()


@dataclass(frozen=True, eq=False)
class ExamplePicture:
    """An image that is shown: its grey levels and its mask {0, 1} at the size of the method's map, and the map."""

    name: str
    grey: Pixels
    mask: NDArray[Any]
    levels: LevelArray


class Truths(Protocol):
    """Masks by name, with what is known of their images."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of all masks."""

    @property
    def has_pictures(self) -> bool:
        """True if the images are there."""

    def match(self, maps: Maps) -> dict[str, str]:
        """A mask's name to the name of its prediction, of those that have one."""

    def image_list(self, chosen: Mapping[str, str]) -> ImageList:
        """The record of the images that are scored: their names to those of their masks."""

    def score(
        self, method: GivenMethod, maps: Maps, chosen: Mapping[str, str], named: NamedScoring, progress: Progress
    ) -> MethodScores:
        """Score a method's maps, which are called as the images are."""

    def environment(self) -> dict[str, Any]:
        """Digest of the masks."""

    def pictures(
        self, method: GivenMethod, maps: Maps, chosen: Mapping[str, str], *, is_binary: bool
    ) -> list[ExamplePicture]:
        """Those images with a method's maps, which may be masks of 0 and 1; none where no image is there."""


@dataclass(frozen=True, eq=False)
class MaskFiles:
    """Masks from files.

    Attributes:
        images: folder of the pictures; None where there are none.
        dataset: what tables call them.
        digest: of the files.
    """

    truths: Maps
    dataset: str
    digest: str
    images: Path | None = None

    @property
    def names(self) -> tuple[str, ...]:
        return self.truths.names

    @property
    def has_pictures(self) -> bool:
        return self.images is not None

    def match(self, maps: Maps) -> dict[str, str]:
        if is_single_file(maps) and is_single_file(self.truths):
            return {self.truths.names[0]: maps.names[0]}
        return {mask: name for name, mask in match_names(maps.names, self.truths.names).items()}

    def image_list(self, chosen: Mapping[str, str]) -> ImageList:
        return ImageList(self.dataset, SPLIT, "test", names_digest(list(chosen)), len(chosen))

    def score(
        self, method: GivenMethod, maps: Maps, chosen: Mapping[str, str], named: NamedScoring, progress: Progress
    ) -> MethodScores:
        native = named.scoring.resolution == "native"
        beside = [other for other in all_scorings() if native or other.scoring.resolution == "network"]
        own, *others = score_pairs(
            maps,
            Renamed(self.truths, chosen),
            {name: name for name in chosen},
            [named],
            pictures=None if self.images is None else pictures_of(list(chosen), self.images),
            beside=beside,
            progress=progress,
        )
        return MethodScores(own, tuple(other.record for other in others))

    def environment(self) -> dict[str, Any]:
        return {"masks_digest": self.digest}

    def pictures(
        self, method: GivenMethod, maps: Maps, chosen: Mapping[str, str], *, is_binary: bool
    ) -> list[ExamplePicture]:
        if self.images is None:
            return []
        files = pictures_of(list(chosen), self.images)
        found = []
        for name, mask in chosen.items():
            prediction = maps.read(name)
            levels = levels_of(prediction, full=1 if is_binary and prediction.highest == 1 else None)
            found.append(_picture(name, decode_grey(files[name]), MaskFile(mask_of(self.truths.read(mask))), levels))
        return found


@dataclass(frozen=True, eq=False)
class RunMasks:
    """The masks of the dataset that all runs were tested on.

    Attributes:
        runs: the runs' results.
        data: folder that holds the dataset; not looked at for generated images.
    """

    runs: Sequence[RunResult]
    data: Path | None

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for run in self.runs for name in _names_of(run.experiment.images)))

    @property
    def has_pictures(self) -> bool:
        return True

    def match(self, maps: Maps) -> dict[str, str]:
        return {name: name for name in maps.names}

    def image_list(self, chosen: Mapping[str, str]) -> ImageList:
        experiment = self.runs[0].experiment
        images, names = experiment.images, tuple(chosen)
        dataset = f"{images.dataset} + {experiment.corruption}" if experiment.corruption else images.dataset
        return ImageList(dataset, images.split, images.part, names_digest(names), len(names), images.limit)

    def score(
        self, method: GivenMethod, maps: Maps, chosen: Mapping[str, str], named: NamedScoring, progress: Progress
    ) -> MethodScores:
        assert method.run is not None
        (own,), faint = score_frames(maps, self._frames(method, chosen), [named], progress=progress)
        is_whole = tuple(chosen) == _names_of(method.run.experiment.images)
        return MethodScores(
            with_run_notes(own, method.run, faint=faint) if is_whole else own,
            read_records(method.place) if is_whole and (method.place / SCORINGS_FILE).is_file() else (),
        )

    def _frames(self, method: GivenMethod, names: Mapping[str, str]) -> Frames:
        assert method.run is not None
        experiment = method.run.experiment
        return open_frames(experiment.images.dataset, list(names), root=self.data, decoder=experiment.input.decoder)

    def environment(self) -> dict[str, Any]:
        return {}

    def pictures(
        self, method: GivenMethod, maps: Maps, chosen: Mapping[str, str], *, is_binary: bool
    ) -> list[ExamplePicture]:
        return [
            _picture(frame.name, frame.grey, frame, levels_of(maps.read(frame.name)))
            for frame in self._frames(method, chosen)
        ]


def run_masks(methods: Sequence[GivenMethod], data: Path | None) -> RunMasks:
    """The masks of runs, all of which were tested on one dataset.

    Raises:
        DataError: when they were tested on different ones.
    """
    runs = [method.run for method in methods if method.run is not None]
    tested = [(run.experiment.images.dataset, run.experiment.corruption) for run in runs]
    other = next((place for place, each in enumerate(tested) if each != tested[0]), 0)
    if other:
        first, second = (" + ".join(filter(None, tested[place])) for place in (0, other))
        raise DataError(
            f"{methods[0].label!r} was tested on {first} and {methods[other].label!r} on {second}; "
            "compare runs on one dataset, or name the folder of masks behind them"
        )
    return RunMasks(runs, data)


def _names_of(images: ImageList) -> tuple[str, ...]:
    return list_names(images.dataset, images.split, images.part, limit=images.limit)


def _picture(name: str, grey: Pixels, mask: Masked, levels: LevelArray) -> ExamplePicture:
    height, width = levels.shape
    size = height, width
    return ExamplePicture(name, resize_bilinear(grey, size), mask.binary_at(size), levels)


def shown_names(names: Sequence[str], counts: Sequence[Counts]) -> list[str]:
    """The names of images to show: those with targets, spread evenly over the list."""
    targets = counts[0].targets
    places = np.flatnonzero(targets) if targets.any() else np.arange(len(names))
    chosen = np.linspace(0, len(places) - 1, min(EXAMPLES, len(places))).round().astype(int)
    return [names[place] for place in places[chosen]]
