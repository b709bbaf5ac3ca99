"""What is counted of one round beside `counts.npz`: curves, distances, errors by cause, and contrast."""

from __future__ import annotations

from pathlib import Path

from bench.errors import RequestError
from bench.metrics.contrast import CONTRAST, ContrastWriter
from bench.metrics.counting.levels import LevelArray
from bench.metrics.counting.matching import PAIRINGS
from bench.metrics.counting.truth import Truth
from bench.metrics.curve_scores import score_curves
from bench.metrics.curves import CurveCounts
from bench.metrics.distances import DistanceCounts
from bench.metrics.errors import ERRORS, ErrorsWriter
from bench.store.files import write_arrays
from bench.types import Score, Scoring


class Details:
    """Counts a list image by image under one scoring, in memory that no map takes part in.

    Attributes:
        curves: always.
        distances: where targets are paired by distance alone; None otherwise.
        errors: under binary ground truth; None otherwise.
        contrast: under binary ground truth, and where every image's grey levels are known; None otherwise.
    """

    def __init__(self, scoring: Scoring, *, with_grey: bool) -> None:
        is_binary = scoring.ground_truth == "binary"
        self.scoring = scoring
        self.curves = CurveCounts(scoring)
        self.distances = DistanceCounts(scoring) if scoring.matching in PAIRINGS else None
        self.errors = ErrorsWriter(scoring) if is_binary else None
        self.contrast = ContrastWriter(scoring) if is_binary and with_grey else None

    def add(self, name: str, levels: LevelArray, truth: Truth) -> None:
        """Count one image in, whose map (H, W) is as it is judged.

        Raises:
            RequestError: when a map is not of the kind asked for, or contrast is measured and there is no grey image.
        """
        self.curves.add_against(levels, truth)
        if self.distances is not None:
            self.distances.add_against(levels, truth)
        if self.errors is not None:
            self.errors.add(name, levels, truth=truth.full)
        if self.contrast is not None:
            if truth.grey is None:
                raise RequestError(f"{name}: no grey image, expected one for every image or for none")
            self.contrast.add(name, levels, truth=truth.full, grey=truth.grey)

    def extend(self, other: Details) -> None:
        """Count in what was counted of the images that follow."""
        self.curves.extend(other.curves)
        if self.distances is not None and other.distances is not None:
            self.distances.extend(other.distances)
        if self.errors is not None and other.errors is not None:
            self.errors.extend(other.errors)
        if self.contrast is not None and other.contrast is not None:
            self.contrast.extend(other.contrast)

    def scores(self) -> dict[str, Score]:
        """Every score of curves, errors and contrast that is valid under the scoring."""
        found = score_curves(self.curves, self.scoring)
        if self.errors is not None:
            found |= ERRORS.score(self.errors.table(), self.scoring)
        if self.contrast is not None:
            found |= CONTRAST.score(self.contrast.table(), self.scoring)
        return found

    def write(self, folder: Path) -> list[Path]:
        """Write `curves.npz` and, of what was counted, `distances.npz`, `errors.npz` and `contrast.npz`."""
        tables = {"distances": self.distances, "errors": self.errors, "contrast": self.contrast}
        return [
            write_arrays(folder / "curves.npz", self.curves.to_arrays()),
            *(
                write_arrays(folder / f"{name}.npz", counted.table().to_arrays())
                for name, counted in tables.items()
                if counted is not None
            ),
        ]
