"""The soft readings on real masks: what a perfect predictor scores under DFINet's pipeline, by its own code."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from bench.metrics.counting.counts import CountsWriter
from bench.metrics.registry import score_counts
from bench.types import Scoring

pytestmark = pytest.mark.realdata

NATIVE = Scoring("native")
SOFT = Scoring("dfinet", ground_truth="soft", resolution="network")


class Measured(NamedTuple):
    """What DFINet's metric code gave on the 214 NUAA-SIRST test masks, each resized and predicted perfectly."""

    pixacc: float
    iou: float
    pd: float
    fa: float
    targets: int


PERFECT = {
    (256, 256): Measured(0.4651339650154114, 0.49968219377099793, 0.9884615384615385, 2.4955963419976634e-06, 260),
    (512, 512): Measured(0.4583350718021393, 0.48950986117974754, 0.9772727272727273, 3.814697265625e-06, 264),
    (320, 256): Measured(0.46853432059288025, 0.5045176333430487, 0.9774436090225563, 3.4225321261682243e-06, 266),
}


def nuaa_test_masks(real_data: Path) -> dict[str, NDArray[np.uint8]]:
    """The test masks of NUAA-SIRST by name, uint8 as stored."""
    folder = real_data / "NUAA-SIRST"
    names = (folder / "img_idx" / "test_NUAA-SIRST.txt").read_text().split()
    masks = {}
    for name in names:
        levels = cv2.imread(str(folder / "masks" / f"{name}.png"), cv2.IMREAD_GRAYSCALE)
        assert levels is not None, name
        masks[name] = levels.astype(np.uint8)
    return masks


def sure(mask: NDArray[np.bool_]) -> NDArray[np.uint16]:
    """A prediction that is certain of a mask."""
    return np.where(mask, 65535, 0).astype(np.uint16)


@pytest.mark.parametrize("size", PERFECT, ids=str)
def test_a_perfect_predictor_scores_one_half_on_soft_masks(real_data: Path, size: tuple[int, int]) -> None:
    writer = CountsWriter(SOFT)
    for name, mask in nuaa_test_masks(real_data).items():
        soft = cv2.resize(mask, size, interpolation=cv2.INTER_LINEAR).astype(np.float32) / 255
        writer.add(name, [sure(soft > 0.5)], truth=soft)
    counts = writer.table().round(0)
    values = {metric: s.value for metric, s in score_counts(counts, SOFT).items()}
    expected = PERFECT[size]
    assert counts.targets.sum() == expected.targets
    assert values["legacy:IoU/soft-mask"] == pytest.approx(expected.iou, rel=1e-12)
    assert values["legacy:Pd/soft-mask"] == pytest.approx(expected.pd, rel=1e-12)
    assert values["legacy:Fa/soft-mask"] == pytest.approx(expected.fa, rel=1e-12)
    assert values["legacy:PixAcc/soft-mask"] == pytest.approx(expected.pixacc, rel=1e-6)  # float32 there
    assert values["legacy:F1/soft-mask"] == 1.0


def test_a_perfect_predictor_of_binary_masks_finds_all_263_targets(real_data: Path) -> None:
    writer = CountsWriter(NATIVE)
    for name, mask in nuaa_test_masks(real_data).items():
        writer.add(name, [sure(mask > 127)], truth=mask > 127)
    counts = writer.table().round(0)
    values = {metric: s.value for metric, s in score_counts(counts, NATIVE).items()}
    assert counts.targets.sum() == 263
    assert (values["IoU/pooled"], values["Pd/centroid-3px"], values["Fa/unmatched-area"]) == (1.0, 1.0, 0.0)
