"""Targets and pixels of the known test lists against the masks, and those of the generated one."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.audit.lists import KnownList, known_lists
from bench.audit.numbers import read_number
from bench.data.catalogue.cards import load_card
from bench.data.catalogue.splits import list_names
from bench.data.images.decode import (
    Pixels,
    decode_mask,
    find_files,
    pixel_digest,
    resize_nearest,
    resize_opencv_nearest,
)
from bench.data.images.frames import open_frames
from bench.metrics.counting.components import Connectivity, find_components
from bench.models.published_numbers import FOLDER

COUNTED = [one for one in known_lists() if one.source.startswith("counted")]
BY_CARD = [one for one in COUNTED if "idx_320" not in one.split and one.dataset != "IRSTD-1k"]

SIZE = (256, 256)
RESIZES: Mapping[int, Callable[[Pixels], Pixels]] = {
    297: lambda mask: mask,
    294: lambda mask: np.asarray(Image.fromarray(mask).resize(SIZE, Image.Resampling.NEAREST)),
    291: lambda mask: resize_opencv_nearest(mask, SIZE),
}
"""Targets of IRSTD-1k's test list to how its masks are resized before they are counted."""


@pytest.mark.realdata
@pytest.mark.parametrize("known", BY_CARD, ids=lambda one: one.name)
def test_a_list_has_the_targets_and_pixels_that_audits_count_on(known: KnownList, real_data: Path) -> None:
    names = list_names(known.dataset, known.split, known.part)
    frames = open_frames(known.dataset, names, root=real_data, decoder="pillow-grey")
    masks = [frame.binary_mask > 0 for frame in frames]
    assert len(masks) == known.images
    assert sum(len(find_components(mask)) for mask in masks) == known.targets
    assert sum(mask.size for mask in masks) == known.pixels["native size"]


def masks_in(folder: Path) -> Mapping[str, Pixels]:
    """The masks of a folder by name."""
    return {name: decode_mask(path) for name, path in find_files(folder).items()}


def count_targets(masks: Iterable[Pixels], *, connectivity: Connectivity = 8) -> int:
    return sum(len(find_components(mask > 127, connectivity=connectivity)) for mask in masks)


@pytest.mark.realdata
@pytest.mark.parametrize("known", [one for one in COUNTED if one.dataset == "IRSTD-1k"], ids=lambda one: one.name)
def test_one_list_of_masks_has_another_number_of_targets_after_every_resize(
    known: KnownList, irstd_1k_masks: Path
) -> None:
    masks = masks_in(irstd_1k_masks)
    resized = [RESIZES[known.targets](masks[name]) for name in list_names("IRSTD-1k", "basicirstd", "test")]
    assert len(resized) == known.images
    assert count_targets(resized) == known.targets
    assert sum(mask.size for mask in resized) in known.pixels.values()


@pytest.mark.realdata
def test_masks_of_irstd_1k_are_what_its_card_says(irstd_1k_masks: Path) -> None:
    card, masks = load_card("IRSTD-1k"), masks_in(irstd_1k_masks)
    test = [masks[name] for name in list_names("IRSTD-1k", "basicirstd", "test")]
    assert {f"masks/{name}": pixel_digest(mask) for name, mask in masks.items()} == {
        file: digest.sha256 for file, digest in card.digests.items()
    }
    assert count_targets(masks.values()) == card.targets == 1492
    assert count_targets(test, connectivity=4) == 307
    assert sum(not mask.any() for mask in masks.values()) == card.empty_masks == 0
    assert [sum(not np.isin(mask, (0, 255)).all() for mask in some) for some in (masks.values(), test)] == [85, 13]
    assert count_targets(resize_nearest(mask, SIZE) for mask in test) == 294


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("printed_as", "dataset", "split", "background", "wholes"),
    [
        ("SIRST", "NUAA-SIRST", "sirst-v1", 5_632_741, {"7.42": [418], "8.70": [490], "9.57": [539], "10.77": []}),
        ("NUDT-SIRST", "NUDT-SIRST", "basicirstd", 43_487_589, None),
        ("IRSTD-1K", "IRSTD-1k", "basicirstd", 13_169_118, None),
    ],
)
def test_whole_numbers_of_background_pixels_tell_little_of_rpcanets_false_alarms(
    printed_as: str,
    dataset: str,
    split: str,
    background: int,
    wholes: dict[str, list[int]] | None,
    real_data: Path,
    irstd_1k_masks: Path,
) -> None:
    """None: whatever the digits, they fit."""
    masks = masks_in(irstd_1k_masks if dataset == "IRSTD-1k" else real_data / dataset / "masks")
    resized = [resize_opencv_nearest(masks[name], SIZE) for name in list_names(dataset, split, "test")]
    assert sum(int((mask <= 127).sum()) for mask in resized) == background
    found = {}
    for row in csv.DictReader((FOLDER / "other_readmes_long.csv").read_text(encoding="utf-8").splitlines()):
        if (row["source_repo"], row["tested_on"]) == ("fengyiwu98/RPCANet", printed_as):
            number = read_number(row["Fa_as_printed"])
            assert number is not None
            found[number.text] = number.rounded.scaled(Fraction(1, 10**5))
    assert len(found) == 4
    if wholes is None:
        assert all(digits.is_wider_than_one_of(background) for digits in found.values())
    else:
        assert {text: list(digits.wholes(background)) for text, digits in found.items()} == wholes


@pytest.mark.parametrize("known", known_lists(), ids=lambda one: f"{one.dataset} {one.name}")
def test_pixels_at_a_fixed_size_are_those_of_all_images(known: KnownList) -> None:
    for size, pixels in known.pixels.items():
        if size != "native size":
            side = int(size.partition(" ")[0])
            assert pixels == side * side * known.images
