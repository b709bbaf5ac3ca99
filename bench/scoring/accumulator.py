"""Everything that is counted of predictions, image by image, so that no map is kept.

`AlignedImage` holds one image and computes once what several scorings have in common; `ScoringCounts` collects the
integers of a list under one scoring, `Accumulator` under several, and `RunAccumulator` those of a run as it predicts.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from bench.arrays import LevelArray, Size
from bench.data.images.decode import Pixels, resize_bilinear
from bench.data.images.frames import Frame, Masked
from bench.errors import RequestError
from bench.metrics.contrast import CONTRAST, ContrastWriter, ImageContrast, contrast_of_targets
from bench.metrics.counting.counts import CountsWriter, CountTable, ImageCounts, count_labelled
from bench.metrics.counting.labelled_map import LabelledMap, check_levels, label_map
from bench.metrics.counting.levels import threshold_level
from bench.metrics.counting.matching import PAIRINGS
from bench.metrics.counting.threshold_sweep import Growth, grow
from bench.metrics.counting.truth import Truth, read_truth
from bench.metrics.curve_scores import score_curves
from bench.metrics.curves import CurveCounts, ImageCurve, follow_thresholds
from bench.metrics.distances import DistanceCounts, ImageDistances, count_distances
from bench.metrics.errors import ERRORS, ErrorsWriter, ImageErrors, compare_components
from bench.metrics.registry import score_counts, score_rounds
from bench.metrics.rounds import RoundsWriter
from bench.protocols.scorings import NamedScoring, ScoringRecord, all_scorings, write_records
from bench.scoring.align import align_map, align_mask, aligned_size
from bench.store.files import write_arrays
from bench.types import Score, Scoring

T = TypeVar("T")


class AlignedImage:
    """One image's maps and mask under any scorings: aligned, thresholded, labelled and counted when first asked for.

    What has been computed is kept by the fields of the scoring that it depends on and by the size it is compared at, so
    that scorings which differ in other fields share it.
    """

    def __init__(
        self, name: str, rounds: Sequence[NDArray[Any]] | NDArray[Any], mask: Masked, *, grey: Pixels | None = None
    ) -> None:
        """Take one image's maps.

        Args:
            rounds: (R, H, W) a map for each feedback round, in levels or as probabilities; the last one is the
                prediction.
            grey: (H, W) grey levels at the mask's own size, for contrast and signal-to-clutter ratios.
        """
        self.name, self.rounds, self.mask, self.grey = name, rounds, mask, grey
        self._known: dict[Hashable, Any] = {}

    def _once(self, make: Callable[[], T], *key: Hashable) -> T:
        if key not in self._known:
            self._known[key] = make()
        made: T = self._known[key]
        return made

    def _map_key(self, scoring: Scoring, index: int) -> tuple[Hashable, ...]:
        return index % len(self.rounds), scoring.normalise, self.size(scoring)

    def _labelled_key(self, scoring: Scoring, index: int) -> tuple[Hashable, ...]:
        return *self._map_key(scoring, index), threshold_level(scoring.threshold), scoring.connectivity

    def _truth_key(self, scoring: Scoring) -> tuple[Hashable, ...]:
        return scoring.ground_truth, scoring.mask_resize, self.size(scoring), scoring.connectivity

    def size(self, scoring: Scoring) -> Size:
        """Height and width at which map and mask are compared."""
        return aligned_size(self.rounds[-1], self.mask, scoring)

    def levels(self, scoring: Scoring, index: int = -1) -> LevelArray:
        """(H, W) the map of one round, aligned."""
        size = self.size(scoring)
        return self._once(
            lambda: align_map(self.rounds[index], scoring, size=size), "levels", *self._map_key(scoring, index)
        )

    def truth(self, scoring: Scoring) -> Truth:
        """The mask, aligned and read."""
        size = self.size(scoring)

        def read() -> Truth:
            grey = None if self.grey is None else resize_bilinear(self.grey, size)
            return read_truth(align_mask(self.mask, scoring, size=size), scoring, grey=grey)

        return self._once(read, "truth", *self._truth_key(scoring))

    def labelled(self, scoring: Scoring, index: int = -1) -> LabelledMap:
        """The map of one round, thresholded and labelled."""

        def label() -> LabelledMap:
            levels = self.levels(scoring, index)
            check_levels(levels, self.truth(scoring))
            return label_map(levels, threshold=scoring.threshold, connectivity=scoring.connectivity)

        return self._once(label, "labelled", *self._labelled_key(scoring, index))

    def growth(self, scoring: Scoring) -> Growth:
        """The components of the prediction at all thresholds."""
        key = *self._map_key(scoring, -1), scoring.connectivity
        return self._once(lambda: grow(self.levels(scoring), scoring.connectivity), "growth", *key)

    def counts(self, scoring: Scoring, index: int = -1) -> ImageCounts:
        """The integers of one round."""
        rules = scoring.matching, scoring.distance
        return self._once(
            lambda: count_labelled(self.labelled(scoring, index), self.truth(scoring), scoring),
            *("counts", *self._labelled_key(scoring, index), *self._truth_key(scoring), *rules),
        )

    def curve(self, scoring: Scoring) -> ImageCurve:
        """The integers of the prediction at all thresholds."""
        rules = scoring.matching, scoring.distance
        return self._once(
            lambda: follow_thresholds(self.levels(scoring), self.growth(scoring), self.truth(scoring), scoring),
            *("curve", *self._map_key(scoring, -1), *self._truth_key(scoring), *rules),
        )

    def distances(self, scoring: Scoring) -> ImageDistances:
        """The integers of the prediction at all matching distances."""
        return self._once(
            lambda: count_distances(self.labelled(scoring), self.truth(scoring), scoring.matching),
            *("distances", *self._labelled_key(scoring, -1), *self._truth_key(scoring), scoring.matching),
        )

    def errors(self, scoring: Scoring) -> ImageErrors:
        """The errors of the prediction by cause, under binary ground truth."""

        def compare() -> ImageErrors:
            labelled = self.labelled(scoring)
            found, width = labelled.components, labelled.width
            return compare_components(self.truth(scoring).targets, found, width=width, distance=scoring.distance)

        key = *self._labelled_key(scoring, -1), *self._truth_key(scoring), scoring.distance
        return self._once(compare, "errors", *key)

    def contrast(self, scoring: Scoring) -> ImageContrast:
        """The contrast of image and prediction, under binary ground truth.

        Raises:
            RequestError: when the image's grey levels are not known.
        """
        truth = self.truth(scoring)
        grey = truth.grey
        if grey is None:
            raise RequestError(f"{self.name}: no grey image, expected one for every image or for none")
        return self._once(
            lambda: contrast_of_targets(self.levels(scoring), truth.targets, ~truth.full, grey),
            *("contrast", *self._map_key(scoring, -1), *self._truth_key(scoring)),
        )


class ScoringCounts:
    """The integers of a list under one scoring.

    Attributes:
        counts: always.
        curves: with details.
        distances: with details, where targets are paired by distance alone.
        errors: with details, under binary ground truth.
        contrast: the same, where every image's grey levels are known.
    """

    def __init__(self, scoring: Scoring, *, detailed: bool = True, with_grey: bool = False) -> None:
        is_compared = detailed and scoring.ground_truth == "binary"
        self.scoring = scoring
        self.counts = CountsWriter(scoring)
        self.curves = CurveCounts(scoring) if detailed else None
        self.distances = DistanceCounts(scoring) if detailed and scoring.matching in PAIRINGS else None
        self.errors = ErrorsWriter(scoring) if is_compared else None
        self.contrast = ContrastWriter(scoring) if is_compared and with_grey else None

    def add(self, image: AlignedImage, *, rounds: Sequence[int] = (-1,)) -> None:
        """Count one image: in `counts` the rounds at those positions, in the details the last one.

        Raises:
            RequestError: naming the image, when a map is not of the kind asked for, the number of rounds differs from
                that of the images before it, or its grey levels are missing.
        """
        scoring, name = self.scoring, image.name
        try:
            counted = [image.counts(scoring, index) for index in rounds]
        except RequestError as error:
            raise RequestError(f"{name}: {error}") from error
        self.counts.append(name, counted, size=image.size(scoring))
        if self.curves is not None:
            self.curves.append(image.curve(scoring))
        if self.distances is not None:
            self.distances.append(image.distances(scoring))
        if self.errors is not None:
            self.errors.append(name, image.errors(scoring))
        if self.contrast is not None:
            self.contrast.append(name, image.contrast(scoring))

    def extend(self, other: ScoringCounts) -> None:
        """Add what another has counted of the images that follow."""
        self.counts.extend(other.counts)
        if self.curves is not None and other.curves is not None:
            self.curves.extend(other.curves)
        if self.distances is not None and other.distances is not None:
            self.distances.extend(other.distances)
        if self.errors is not None and other.errors is not None:
            self.errors.extend(other.errors)
        if self.contrast is not None and other.contrast is not None:
            self.contrast.extend(other.contrast)

    def detail_scores(self) -> dict[str, Score]:
        """Every score of curves, errors and contrast that is valid under the scoring."""
        found = {} if self.curves is None else score_curves(self.curves, self.scoring)
        if self.errors is not None:
            found |= ERRORS.score(self.errors.table(), self.scoring)
        if self.contrast is not None:
            found |= CONTRAST.score(self.contrast.table(), self.scoring)
        return found

    def write_details(self, folder: Path) -> list[Path]:
        """Write `curves.npz`, `distances.npz`, `errors.npz` and `contrast.npz`, of what has been counted."""
        tables = {"distances": self.distances, "errors": self.errors, "contrast": self.contrast}
        arrays = {} if self.curves is None else {"curves": self.curves.to_arrays()}
        arrays |= {name: writer.table().to_arrays() for name, writer in tables.items() if writer is not None}
        return [write_arrays(folder / f"{name}.npz", columns) for name, columns in arrays.items()]


class Accumulator:
    """The integers of a list under several scorings.

    Attributes:
        parts: each scoring with its integers, in the order given.
    """

    def __init__(
        self,
        scorings: Sequence[NamedScoring],
        *,
        detailed: bool = True,
        with_grey: bool = False,
        beside: Sequence[NamedScoring] = (),
    ) -> None:
        """Start without images.

        Args:
            with_grey: whether contrast is measured.
            beside: further scorings, without details.
        """
        first = [(named, ScoringCounts(named.scoring, detailed=detailed, with_grey=with_grey)) for named in scorings]
        self.parts = (*first, *((named, ScoringCounts(named.scoring, detailed=False)) for named in beside))

    def add(self, image: AlignedImage) -> None:
        """Count one image's prediction under all scorings."""
        for _, counted in self.parts:
            counted.add(image)

    def extend(self, other: Accumulator) -> None:
        """Add what another, of the same scorings, has counted of the images that follow."""
        for (_, mine), (_, theirs) in zip(self.parts, other.parts, strict=True):
            mine.extend(theirs)

    def records(self) -> tuple[ScoringRecord, ...]:
        """The scores of all images so far, a record a scoring."""
        return tuple(record_of(named, counted.counts.table()) for named, counted in self.parts)


def record_of(named: NamedScoring, table: CountTable) -> ScoringRecord:
    """The scores of a table's last round under one scoring, details left out."""
    scores = score_counts(table.round(-1), named.scoring)
    return ScoringRecord(named.scoring, named.printed_ids(), len(table.names), len(table.target_area), scores)


class RunAccumulator:
    """The integers of a run: of every round under its scoring, of the last one under all, and between rounds."""

    def __init__(self, scoring: Scoring) -> None:
        self.scoring = scoring
        self._counted = ScoringCounts(scoring, with_grey=True)
        self._scorings = Accumulator(all_scorings(), detailed=False)
        self._rounds = RoundsWriter(scoring)

    def add(
        self,
        frame: Frame,
        rounds: NDArray[np.uint16],
        *,
        faint: NDArray[Any] | None = None,
        start: NDArray[np.float32] | None = None,
    ) -> None:
        """Count one image's prediction.

        Args:
            rounds: (R, H, W) a map for each feedback round, in levels.
            faint: (R, H, W) the same as probabilities, where the prediction is faint; None elsewhere.
            start: (H, W) the first feedback mask, in [0, 1]; None where there was none.
        """
        image = AlignedImage(frame.name, rounds if faint is None else faint, frame, grey=frame.grey)
        self._counted.add(image, rounds=range(len(rounds)))
        self._scorings.add(image)
        count, height, width = rounds.shape
        if count > 1:
            self._rounds.add(frame.name, rounds, mask=frame.binary_at((height, width)), start=start)

    def write(self, folder: Path) -> tuple[dict[str, Score], ...]:
        """Write a file for each kind of integers, and return the scores of every round, of the last one all."""
        table = self._counted.counts.table()
        write_arrays(folder / "counts.npz", table.to_arrays())
        if table.rounds > 1:
            write_arrays(folder / "rounds.npz", self._rounds.table().to_arrays())
        self._counted.write_details(folder)
        write_records(folder, self._scorings.records())
        *earlier, last = score_rounds(table, self.scoring)
        return (*earlier, last | self._counted.detail_scores())
