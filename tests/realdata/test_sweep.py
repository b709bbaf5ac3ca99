"""Every threshold of real frames, taken as predictions of themselves: equal to labelling them from scratch."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from bench.data.catalogue.splits import list_names
from bench.data.images.frames import open_frames
from bench.metrics.counting.counts import count_image
from bench.metrics.curves import CurveCounts, levels_used, target_counts
from bench.types import Scoring

pytestmark = pytest.mark.realdata

NATIVE = Scoring("native")


@pytest.mark.parametrize("dataset", ["NUAA-SIRST", "NUDT-SIRST"])
def test_curves_of_a_list_are_the_counts_of_its_images_at_every_grey_level(real_data: Path, dataset: str) -> None:
    """Clouds, horizons and buildings: tens of thousands of merging components, sizes from 96 to 600 pixels."""
    names = list_names(dataset, "basicirstd", "test", limit=12)
    frames = open_frames(dataset, names, root=real_data, decoder="pillow-grey")
    curves = CurveCounts(NATIVE)
    maps = [frame.grey.astype(np.uint16) * 257 for frame in frames]
    for q, frame in zip(maps, frames, strict=True):
        curves.add(q, frame.binary_mask)
    for level in np.random.default_rng(0).choice(levels_used(curves)[1:], 20, replace=False):
        at = dataclasses.replace(NATIVE, threshold=int(level) / 65536)
        counts = [count_image(q, frame.binary_mask, scoring=at) for q, frame in zip(maps, frames, strict=True)]
        found = target_counts(curves, np.array([level]))
        for name in ("matched", "unmatched", "unmatched_area"):
            assert int(getattr(found, name)[0]) == sum(getattr(one, name) for one in counts), (name, level)
