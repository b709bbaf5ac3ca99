"""Everything that is counted while a test list is predicted: image by image, so that no map is kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.data.images.frames import Frame
from bench.metrics.counting.counts import CountsWriter
from bench.metrics.counting.truth import read_truth
from bench.metrics.registry import score_rounds
from bench.metrics.rounds import RoundsWriter
from bench.protocols.scorings import all_scorings, write_judgements
from bench.scoring.align import grey_like, judged_pair
from bench.scoring.details import Details
from bench.scoring.score import ScoringsTally
from bench.store.files import write_arrays
from bench.types import Score, Scoring


class Tally:
    """The integers of a test list: of every round under the scoring, of the last one under all, and between rounds."""

    def __init__(self, scoring: Scoring) -> None:
        self.scoring = scoring
        self._counts = CountsWriter(scoring)
        self._details = Details(scoring, with_grey=True)
        self._rounds = RoundsWriter(scoring)
        self._scorings = ScoringsTally(all_scorings())

    def add(self, frame: Frame, rounds: NDArray[np.uint16], *, start: NDArray[np.float32] | None = None) -> None:
        """Count one image's prediction.

        Args:
            rounds: (R, H, W) a map for each feedback round, in 1/65536.
            start: (H, W) the first feedback mask, in [0, 1]; None where there was none.
        """
        pairs = [judged_pair(levels, frame, self.scoring) for levels in rounds]
        mask, last = pairs[0][1], pairs[-1][0]
        truth = read_truth(mask, self.scoring, grey=grey_like(frame, mask))
        self._counts.add_against(frame.name, [levels for levels, _ in pairs], truth)
        self._details.add(frame.name, last, truth)
        self._scorings.add(frame.name, rounds[-1], frame)
        count, height, width = rounds.shape
        if count > 1:
            self._rounds.add(frame.name, rounds, mask=frame.binary_at((height, width)), start=start)

    def write(self, folder: Path) -> tuple[dict[str, Score], ...]:
        """Write a file for each kind of integers; the scores of every round, of the last one all."""
        table = self._counts.table()
        write_arrays(folder / "counts.npz", table.to_arrays())
        if table.rounds > 1:
            write_arrays(folder / "rounds.npz", self._rounds.table().to_arrays())
        self._details.write(folder)
        write_judgements(folder, self._scorings.judgements())
        *earlier, last = score_rounds(table, self.scoring)
        return (*earlier, last | self._details.scores())
