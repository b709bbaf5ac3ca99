"""Targets and pixels of the known test lists against the masks, and those of the generated one."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.audit.lists import KnownList, known_lists
from bench.data.catalogue.splits import list_names
from bench.data.images.frames import open_frames
from bench.metrics.counting.components import find_components

COUNTED = [one for one in known_lists() if one.source.startswith("counted")]
BY_CARD = [one for one in COUNTED if "idx_320" not in one.split]


@pytest.mark.realdata
@pytest.mark.parametrize("known", BY_CARD, ids=lambda one: one.name)
def test_a_list_has_the_targets_and_pixels_that_audits_count_on(known: KnownList, real_data: Path) -> None:
    names = list_names(known.dataset, known.split, known.part)
    frames = open_frames(known.dataset, names, root=real_data, decoder="pillow-grey")
    masks = [frame.binary_mask > 0 for frame in frames]
    assert len(masks) == known.images
    assert sum(len(find_components(mask)) for mask in masks) == known.targets
    assert sum(mask.size for mask in masks) == known.pixels["native size"]


@pytest.mark.parametrize("known", known_lists(), ids=lambda one: f"{one.dataset} {one.name}")
def test_pixels_at_a_fixed_size_are_those_of_all_images(known: KnownList) -> None:
    for size, pixels in known.pixels.items():
        if size != "native size":
            side = int(size.partition(" ")[0])
            assert pixels == side * side * known.images
