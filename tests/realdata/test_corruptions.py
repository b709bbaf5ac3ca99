"""What corruptions leave of the published images, and that docs/robustness.md says it."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from bench.data.catalogue.splits import list_names
from bench.data.images.corrupted_frames import as_seen
from bench.data.images.corruptions import CORRUPTIONS, SEVERITIES
from bench.data.images.frames import Frames, open_frames
from bench.metrics.counting.truth import read_truth
from bench.types import Scoring

pytestmark = pytest.mark.realdata

PAGE = Path(__file__).parents[2] / "docs" / "robustness.md"
SETS = ("NUAA-SIRST", "NUDT-SIRST")
NATIVE = Scoring("native")
FEW = 40


def frames_of(root: Path, dataset: str, limit: int | None = None) -> Frames:
    """The list that `native` tests on."""
    return open_frames(dataset, list_names(dataset, "basicirstd", "test", limit), root=root, decoder="pillow-grey")


def psnr(frames: Frames, corruption: str) -> np.ndarray:
    """(N,) peak signal-to-noise ratio of every corrupted image to its clean one, dB."""
    seen = as_seen(frames, corruption)
    errors = [np.mean((a.grey.astype(float) - b.grey.astype(float)) ** 2) for a, b in zip(frames, seen, strict=True)]
    return 10 * np.log10(255**2 / np.array(errors))


def median_scr(frames: Frames, corruption: str = "") -> float:
    """Median signal-to-clutter ratio of all targets in the images as they are seen."""
    seen = as_seen(frames, corruption)
    ratios = [read_truth(frame.binary_mask, NATIVE, grey=frame.grey).target_scr for frame in seen]
    return float(np.nanmedian(np.concatenate(ratios)))


def table_row(frames: Frames, kind: str) -> list[str]:
    """A line of the page's table: `mean PSNR / median SCR` of every level."""
    names = [f"{kind}@{level}" for level in SEVERITIES]
    return [f"{psnr(frames, name).mean():.1f} / {median_scr(frames, name):.2f}" for name in names]


def page_row(dataset: str, kind: str) -> list[str]:
    """The same line as the page prints it."""
    section = PAGE.read_text("utf-8").split(f"### {dataset}")[1]
    found = re.search(rf"^\| `{kind}` \|(.*)\|$", section, re.MULTILINE)
    assert found is not None, f"{PAGE.name} has no line of {kind} on {dataset}"
    return [cell.strip() for cell in found[1].split("|")]


@pytest.mark.parametrize("dataset", SETS)
@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_a_higher_level_leaves_less_of_the_images(real_data: Path, dataset: str, kind: str) -> None:
    frames = frames_of(real_data, dataset, FEW)
    found = [psnr(frames, f"{kind}@{level}").mean() for level in SEVERITIES]
    assert all(weaker > stronger for weaker, stronger in pairwise(found))


@pytest.mark.slow
@pytest.mark.parametrize("dataset", SETS)
@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_the_page_says_what_corruptions_leave(real_data: Path, dataset: str, kind: str) -> None:
    assert page_row(dataset, kind) == table_row(frames_of(real_data, dataset), kind)
