"""Checks of a whole folder of predictions and masks: facts that no single file tells, and what follows from them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from bench.arrays import LevelArray
from bench.data.images.photograph import refuse_photograph
from bench.errors import DataError
from bench.metrics.counting.levels import LEVELS, threshold_level
from bench.scoring.read_map import FULL, Map, ValueKind
from bench.types import Scoring

WHOLE: tuple[ValueKind, ...] = ("8-bit", "16-bit")
EXCHANGED = "were PREDICTIONS and MASKS exchanged?"


@dataclass
class Survey:
    """Facts about all files of a folder, known when all have been read; threads may add to it at once.

    Attributes:
        highest: by kind of values, the highest of all predictions.
        reach: the highest level of all predictions.
        binary, lossy, resized: predictions that hold 0 and 1 alone, that were stored with loss, and that
            are not of their mask's size.
        next_to_nothing: by kind of whole numbers, predictions that hold a 1 and nothing above.
        grey_masks: masks with values between 0 and 255.
        images: read so far.
        photograph: the sentence about the first mask that is a photograph; empty where none is.
    """

    highest: dict[ValueKind, float] = field(default_factory=dict)
    next_to_nothing: dict[ValueKind, int] = field(default_factory=dict)
    reach: int = 0
    binary: int = 0
    lossy: int = 0
    resized: int = 0
    grey_masks: int = 0
    images: int = 0
    photograph: str = ""
    _lock: Lock = field(default_factory=Lock, repr=False)

    def add(self, prediction: Map, levels: LevelArray, mask: Map) -> None:
        """Add one image."""
        is_binary, is_grey, reach = prediction.is_binary, not mask.is_two_valued, int(levels.max())
        photograph = _photograph(mask)
        with self._lock:
            self.photograph = self.photograph or photograph
            self.highest[prediction.kind] = max(self.highest.get(prediction.kind, 0), prediction.highest)
            if prediction.kind in WHOLE and prediction.highest == 1:
                self.next_to_nothing[prediction.kind] = self.next_to_nothing.get(prediction.kind, 0) + 1
            self.reach = max(self.reach, reach)
            self.binary += is_binary
            self.lossy += prediction.is_lossy
            self.resized += prediction.values.shape != mask.values.shape
            self.grey_masks += is_grey
            self.images += 1

    def units(self, place: Path) -> dict[ValueKind, int]:
        """By kind of whole numbers, 1 where that is what stands for probability 1: no prediction holds more.

        Raises:
            DataError: when 16-bit pictures hold 8-bit values, which would all be next to nothing.
        """
        highest = self.highest.get("16-bit", 0)
        if 1 < highest <= FULL["8-bit"]:
            raise DataError(
                f"{place}: 16-bit predictions that reach only {highest:g} of 65535; save 8-bit values in 8 bits"
            )
        return {kind: 1 for kind in WHOLE if self.highest.get(kind) == 1}

    def refuse_photographs(self) -> None:
        """Raise DataError if a mask is a photograph or a probability map."""
        if self.photograph:
            raise DataError(self.photograph)

    def refuse_exchange(self, predictions: Path, masks: Path) -> None:
        """Raise DataError if the two look exchanged: every prediction is a mask, and most masks are not."""
        if self.reach and self.binary == self.images and 2 * self.grey_masks > self.images:
            raise DataError(
                f"{masks}: {self.grey_masks} of {self.images} masks hold more than two values, and every prediction "
                f"in {predictions} is 0 and 1 alone; {EXCHANGED} If not, cut the masks at 127 first"
            )

    def notes(self, units: Mapping[ValueKind, int], scoring: Scoring) -> Iterator[str]:
        """Sentences that tell the reader how the files were read."""
        of = f"of {self.images}"
        if units:
            yield "no prediction holds more than 1, so that values were read as 0 and 1, not as levels of 255"
        for kind, count in self.next_to_nothing.items():
            if kind not in units:
                yield (
                    f"{count} {of} predictions hold nothing above 1 and were read as levels of {FULL[kind]}, as the "
                    "others are; save them like the others if their 1 means a target"
                )
        if self.lossy:
            yield f"{self.lossy} {of} predictions are JPEG files, which change values; PNG does not"
        if self.grey_masks and scoring.ground_truth == "binary":
            yield f"{self.grey_masks} {of} masks hold values between 0 and 255; those above 127 count as target"
        if self.resized:
            moved, to = ("maps", "mask") if scoring.resolution == "native" else ("masks", "map")
            by_nearest = to == "map" and scoring.mask_resize == "opencv-nearest"
            manner = "by OpenCV's nearest neighbour" if by_nearest else "bilinearly"
            yield f"{self.resized} {of} {moved} were brought to their {to}'s size, {manner}"
        if scoring.normalise == "none" and self.reach <= threshold_level(scoring.threshold):
            yield (
                f"nothing is predicted: the highest probability is {self.reach / LEVELS:.4g}, "
                f"the threshold {scoring.threshold:g}"
            )


def _photograph(mask: Map) -> str:
    """The sentence about a mask that is a photograph; empty for any other."""
    try:
        if mask.kind == "8-bit":
            refuse_photograph(mask.values, mask.where)
    except DataError as error:
        return str(error)
    return ""
