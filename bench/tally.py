"""Everything that is counted while a test list is predicted: image by image, so that no map is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.frames import Frame
from bench.judging import grey_like, judged_pair
from bench.metrics.contrast import CONTRAST, ContrastWriter
from bench.metrics.counts import CountsWriter, read_truth
from bench.metrics.curve_scores import score_curves
from bench.metrics.curves import CurveCounts
from bench.metrics.distances import DistanceCounts
from bench.metrics.errors import ERRORS, ErrorsWriter
from bench.metrics.matching import PAIRINGS
from bench.metrics.rounds import RoundsWriter
from bench.metrics.scores import score_rounds
from bench.rescore import ScoringsTally
from bench.scorings import all_scorings, write_judgements
from bench.store import write_arrays
from bench.types import Score, Scoring


class Tally:
    """The integers of a test list: of every round under the scoring, of the last one under all, and between rounds."""

    def __init__(self, scoring: Scoring) -> None:
        self.scoring = scoring
        self._counts = CountsWriter(scoring)
        self._curves = CurveCounts(scoring)
        self._rounds = RoundsWriter(scoring)
        self._distances = DistanceCounts(scoring) if scoring.matching in PAIRINGS else None
        self._causes = Causes(scoring)
        self._scorings = ScoringsTally(all_scorings())

    def add(self, frame: Frame, rounds: NDArray[np.uint16], *, start: NDArray[np.float32] | None = None) -> None:
        """Count one image's prediction.

        Args:
            rounds: (R, H, W) a map for each feedback round, in 1/65536.
            start: (H, W) the first feedback mask, in [0, 1]; None where there was none.
        """
        pairs = [judged_pair(levels, frame, self.scoring) for levels in rounds]
        mask, last = pairs[0][1], pairs[-1][0]
        grey = grey_like(frame, mask)
        truth = read_truth(mask, self.scoring, grey=grey)
        self._counts.add_against(frame.name, [levels for levels, _ in pairs], truth)
        self._curves.add_against(last, truth)
        if self._distances is not None:
            self._distances.add_against(last, truth)
        if self.scoring.ground_truth == "binary":
            self._causes.add(frame.name, last, truth=mask, grey=grey)
        self._scorings.add(frame.name, rounds[-1], frame)
        count, height, width = rounds.shape
        if count > 1:
            self._rounds.add(frame.name, rounds, mask=frame.binary_at((height, width)), start=start)

    def write(self, folder: Path) -> tuple[dict[str, Score], ...]:
        """Write a file for each kind of integers; the scores of every round, of the last one all."""
        table = self._counts.table()
        write_arrays(folder / "counts.npz", table.to_arrays())
        write_arrays(folder / "curves.npz", self._curves.to_arrays())
        if self._distances is not None:
            write_arrays(folder / "distances.npz", self._distances.table().to_arrays())
        if table.rounds > 1:
            write_arrays(folder / "rounds.npz", self._rounds.table().to_arrays())
        write_judgements(folder, self._scorings.judgements())
        *rounds, last = score_rounds(table, self.scoring)
        last |= score_curves(self._curves, self.scoring)
        if self.scoring.ground_truth == "binary":
            last |= self._causes.write(folder)
        return (*rounds, last)


class Causes:
    """Where the last round of a test list goes wrong, and what it does to contrast, image by image."""

    def __init__(self, scoring: Scoring) -> None:
        self.scoring = scoring
        self._errors = ErrorsWriter(scoring)
        self._contrast = ContrastWriter(scoring)

    def add(self, name: str, levels: NDArray[np.uint16], *, truth: NDArray[Any], grey: NDArray[Any]) -> None:
        """Take one image's last map."""
        self._errors.add(name, levels, truth=truth)
        self._contrast.add(name, levels, truth=truth, grey=grey)

    def write(self, folder: Path) -> dict[str, Score]:
        """Write `errors.npz` and `contrast.npz`; their scores."""
        errors, contrast = self._errors.table(), self._contrast.table()
        write_arrays(folder / "errors.npz", errors.to_arrays())
        write_arrays(folder / "contrast.npz", contrast.to_arrays())
        return ERRORS.score(errors, self.scoring) | CONTRAST.score(contrast, self.scoring)
