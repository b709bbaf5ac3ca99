"""Score stored predictions, anybody's or a run's, under any scorings: image by image, in flat memory.

`score_folder` takes predictions and masks from files, `rescore_run` those of a run with the masks of its dataset.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from bench.arrays import LevelArray
from bench.data.catalogue.splits import list_names
from bench.data.images.decode import Pixels, decode_grey
from bench.data.images.frames import Frames, Masked, open_frames
from bench.errors import DataError
from bench.metrics.counting.counts import CountTable
from bench.metrics.counting.levels import FAINT
from bench.metrics.registry import score_counts
from bench.parallel import ordered_map, usable_processors
from bench.progress import Progress, Silent
from bench.protocols.scorings import NamedScoring, ScoringRecord
from bench.scoring.accumulator import Accumulator, AlignedImage, ScoringCounts, record_of
from bench.scoring.input_checks import EXCHANGED, Survey
from bench.scoring.read_folder import Maps, few, list_maps, match_names, open_maps, pair_names, with_suffix
from bench.scoring.read_map import Map, ValueKind, levels_of, mask_of
from bench.store.files import read_result
from bench.types import RunResult, Score

BLOCK = 32
"""Images that one thread reads and counts at a time."""

MOST_THREADS = 8

SAME_FILES = "predictions and masks are the same files, so that masks were scored against themselves"


@dataclass(frozen=True, eq=False)
class Sample:
    """One image, ready to be scored.

    Attributes:
        values: (H, W) the prediction, in levels or as probabilities.
        mask: at its own size.
        grey: the frame's grey levels at the mask's size, for signal-to-clutter ratios; None where it is not known.
    """

    name: str
    values: NDArray[Any]
    mask: Masked
    grey: Pixels | None = None


@dataclass(frozen=True, eq=False)
class MaskFile(Masked):
    """A mask of levels 0 to 255 from a file."""

    mask: Pixels


@dataclass(frozen=True, eq=False)
class Scored:
    """Predictions scored under one scoring.

    Attributes:
        counted: the integers of every image.
        notes: what the reader should know of how files were read, as sentences.
        contradiction: the first score that differs from that of the run it is of; empty where none does.
        is_binary: whether every prediction is a mask of 0 and 1.
    """

    named: NamedScoring
    counted: ScoringCounts
    notes: tuple[str, ...] = ()
    contradiction: str = ""
    is_binary: bool = False

    @cached_property
    def table(self) -> CountTable:
        """The counts of every image, one round."""
        return self.counted.counts.table()

    @property
    def images(self) -> int:
        return len(self.table.names)

    @property
    def targets(self) -> int:
        """As this scoring sees them."""
        return len(self.table.target_area)

    @cached_property
    def scores(self) -> dict[str, Score]:
        """Every score that is valid under the scoring, those of its details last."""
        return score_counts(self.table.round(0), self.named.scoring) | self.counted.detail_scores()

    @property
    def record(self) -> ScoringRecord:
        """The record of it, without the scores of its details."""
        return record_of(self.named, self.table)


ReadBlock = Callable[[Sequence[str]], Iterator[Sample]]
"""The samples of some names, in order; called by several threads at once."""


def score_samples(
    names: Sequence[str],
    read: ReadBlock,
    scorings: Sequence[NamedScoring],
    *,
    with_grey: bool,
    beside: Sequence[NamedScoring] = (),
    progress: Progress | None = None,
) -> tuple[Scored, ...]:
    """Score all samples under all scorings, counted by threads, blocks of images joined in their order.

    Args:
        beside: further scorings, under which curves and other details are left out; they come last.
        with_grey: whether every sample has its frame's grey levels, so that contrast is measured.

    Raises:
        DataError, RequestError: of the first block that has something wrong with it.
    """
    watched = progress or Silent()

    def start() -> Accumulator:
        return Accumulator(scorings, with_grey=with_grey, beside=beside)

    def count(block: Sequence[str]) -> Accumulator:
        counted = start()
        for sample in read(block):
            counted.add(AlignedImage(sample.name, [sample.values], sample.mask, grey=sample.grey))
            watched.advance()
        return counted

    joined = start()
    blocks = [names[at : at + BLOCK] for at in range(0, len(names), BLOCK)]
    threads = min(usable_processors(), MOST_THREADS)
    watched.begin("score", len(names))
    try:
        with ThreadPoolExecutor(threads) as executor:
            for counted in ordered_map(executor, count, blocks, ahead=threads):
                joined.extend(counted)
    finally:
        watched.end()
    return tuple(Scored(named, counted) for named, counted in joined.parts)


def score_folder(
    predictions: Path,
    masks: Path,
    scorings: Sequence[NamedScoring],
    *,
    images: Path | None = None,
    names: Sequence[str] | None = None,
    suffix: str = "",
    mask_suffix: str = "",
    progress: Progress | None = None,
) -> tuple[Scored, ...]:
    """Score predictions from files against masks from files, under each scoring.

    Args:
        predictions, masks: folders of maps, .npz files, single files; predictions may be a run's folder.
        images: folder of the pictures that signal-to-clutter ratios are measured on.
        names: of the images to score, in this order; default all, sorted by name.
        suffix, mask_suffix: endings of the names of predictions and masks, which images' names lack; files without them
            are left aside.

    Raises:
        DataError: in one line, for whatever cannot be scored.
    """
    with open_maps(predictions) as all_maps, open_maps(masks) as all_truths:
        maps, truths = with_suffix(all_maps, suffix, "--suffix"), with_suffix(all_truths, mask_suffix, "--mask-suffix")
        pairs = pair_names(maps, truths, names=names)
        pictures = None if images is None else pictures_of(list(pairs), images)
        found = score_pairs(maps, truths, pairs, scorings, pictures=pictures, progress=progress)
        same = (SAME_FILES,) if _same_files(predictions, masks, pairs, suffix == mask_suffix) else ()
        return tuple(replace(one, notes=(*same, *one.notes)) for one in found)


def score_pairs(
    maps: Maps,
    truths: Maps,
    pairs: Mapping[str, str],
    scorings: Sequence[NamedScoring],
    *,
    pictures: Mapping[str, Path] | None = None,
    beside: Sequence[NamedScoring] = (),
    progress: Progress | None = None,
) -> tuple[Scored, ...]:
    """Score predictions against masks, under each scoring.

    Args:
        pairs: a prediction's name to its mask's, of those to score.
        pictures: a prediction's name to the picture that signal-to-clutter ratios are measured on.
        beside: as in `score_samples`.

    Raises:
        DataError: in one line, for whatever cannot be scored.
    """
    has_pictures = pictures is not None

    def score_with(units: Mapping[ValueKind, int]) -> tuple[Survey, tuple[Scored, ...]]:
        survey = Survey()

        def read(block: Sequence[str]) -> Iterator[Sample]:
            for name in block:
                prediction, mask = maps.read(name), truths.read(pairs[name])
                levels = levels_of(prediction, full=units.get(prediction.kind))
                sample = _sample(name, prediction, levels, mask, picture=(pictures or {}).get(name))
                if any(named.scoring.resolution == "native" for named in scorings):
                    _check_aspect(prediction, mask)
                survey.add(prediction, levels, mask)
                yield sample

        return survey, score_samples(
            list(pairs), read, scorings, with_grey=has_pictures, beside=beside, progress=progress
        )

    survey, found = score_with({})
    survey.refuse_exchange(maps.place, truths.place)
    survey.refuse_photographs()
    if units := survey.units(maps.place):
        survey, found = score_with(units)
    is_binary = survey.binary == survey.images
    return tuple(
        replace(one, notes=tuple(survey.notes(units, one.named.scoring)), is_binary=is_binary) for one in found
    )


def _same_files(predictions: Path, masks: Path, pairs: Mapping[str, str], same_ends: bool) -> bool:
    """True if every prediction is its own mask."""
    return same_ends and predictions.resolve() == masks.resolve() and all(one == other for one, other in pairs.items())


def pictures_of(names: Sequence[str], folder: Path) -> dict[str, Path]:
    """Each name's picture.

    Raises:
        DataError: when one has none.
    """
    files = list_maps(folder)
    matched = match_names(names, files)
    if absent := [name for name in names if name not in matched]:
        raise DataError(f"{folder}: {len(absent)} of {len(names)} predictions have no image there ({few(absent)})")
    return {name: files[other] for name, other in matched.items()}


def _sample(name: str, prediction: Map, levels: LevelArray, mask: Map, *, picture: Path | None) -> Sample:
    try:
        truth = mask_of(mask)
    except DataError as error:
        raise DataError(f"{error}; {EXCHANGED}" if prediction.is_binary else str(error)) from None
    values = _unrounded(prediction, levels)
    if picture is None:
        return Sample(name, values, MaskFile(truth))
    grey = decode_grey(picture)
    if not is_of_shape(grey.shape, truth.shape):
        raise DataError(
            f"{picture}: {_by(grey.shape)} (height x width), its mask {mask.where} {_by(truth.shape)}, "
            "which is of another shape; give the mask's own image"
        )
    return Sample(name, values, MaskFile(truth), grey)


def _unrounded(prediction: Map, levels: LevelArray) -> NDArray[Any]:
    """The probabilities themselves where a file holds them; elsewhere the levels."""
    return prediction.values if prediction.kind == "float" else levels


def _check_aspect(prediction: Map, mask: Map) -> None:
    """Raise DataError unless the map has the mask's shape.

    It names both, since a map that was squeezed cannot be told from one of another image.
    """
    if not is_of_shape(prediction.values.shape, mask.values.shape):
        raise DataError(
            f"{prediction.where}: {_by(prediction.values.shape)} (height x width), its mask {mask.where} "
            f"{_by(mask.values.shape)}, which is of another shape; bring the map to the mask's size, "
            "or score at the map's: --set scoring.resolution=network"
        )


def is_of_shape(one: Sequence[int], other: Sequence[int]) -> bool:
    """Return whether two (height, width) have one ratio, a pixel's rounding left aside.

    >>> is_of_shape((110, 163), (400, 592)), is_of_shape((256, 256), (400, 592))
    (True, False)
    """
    return abs(one[0] * other[1] - one[1] * other[0]) <= max(other)


def _by(shape: Sequence[int]) -> str:
    return f"{shape[0]}x{shape[1]}"


def rescore_run(
    folder: Path, data: Path | None, scorings: Sequence[NamedScoring], *, progress: Progress | None = None
) -> tuple[Scored, ...]:
    """Score a run's stored predictions, those of its last round, against the masks of its test list.

    Args:
        folder: `runs/<key>`.
        data: folder that holds the dataset; not looked at for generated images.

    Raises:
        StoreError, DataError, LookupError: when the run, its predictions or its masks are not there or not whole.
    """
    result = read_result(folder)
    images = result.experiment.images
    names = list_names(images.dataset, images.split, images.part, limit=images.limit)
    with open_maps(folder) as maps:
        if maps.names != names:
            raise DataError(
                f"{maps.place}: {len(maps.names)} images, expected the {len(names)} of {images.dataset}'s "
                f"{images.part} list (split {images.split}) in its order; run the suite again"
            )
        frames = open_frames(images.dataset, names, root=data, decoder=result.experiment.input.decoder)
        found, faint = score_frames(maps, frames, scorings, progress=progress)
    return tuple(with_run_notes(one, result, faint=faint) for one in found)


def score_frames(
    maps: Maps, frames: Frames, scorings: Sequence[NamedScoring], *, progress: Progress | None = None
) -> tuple[tuple[Scored, ...], int]:
    """Score predictions against the masks of frames, under each scoring; with it, how many maps are stored faintly."""
    place = {name: row for row, name in enumerate(frames.names)}
    faint: list[str] = []

    def read(block: Sequence[str]) -> Iterator[Sample]:
        for frame in (frames[place[name]] for name in block):
            stored = maps.read(frame.name)
            levels = levels_of(stored)
            if stored.kind == "levels" and levels.max() < FAINT:
                faint.append(frame.name)
            yield Sample(frame.name, _unrounded(stored, levels), frame, frame.grey)

    return score_samples(frames.names, read, scorings, with_grey=True, progress=progress), len(faint)


def with_run_notes(found: Scored, result: RunResult, *, faint: int) -> Scored:
    contradiction = _contradiction(found, result)
    notes = [contradiction] if contradiction else []
    if faint and found.named.scoring.normalise != "none":
        notes.append(
            f"{faint} of {found.images} maps are stored with fewer than {FAINT} levels, which {found.named.name} "
            "stretches; a run scores them before they are rounded, so its numbers are the better ones"
        )
    return replace(found, notes=tuple(notes), contradiction=contradiction)


def _contradiction(found: Scored, result: RunResult) -> str:
    """Name a score that differs from the run's own under the same rules: predictions or masks have changed."""
    if replace(found.named.scoring, name="") != replace(result.scoring, name=""):
        return ""
    for name, score_ in found.scores.items():
        stored = result.scores.get(name)
        if stored is not None and stored.value != score_.value:
            return (
                f"{name} is {score_.value} here and {stored.value} in the run's result.json; "
                "predictions or masks are not those it was scored on"
            )
    return ""
