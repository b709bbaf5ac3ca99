"""SIRST-v2's test images: what its card and its derived lists say of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.data.catalogue.cards import load_card
from bench.data.catalogue.splits import list_names
from bench.data.images.decode import Pixels, decode_grey, decode_mask, decode_rgb, find_files, pixel_digest
from bench.data.importing.verify import verify_dataset
from bench.data.quality.near_duplicates import confirm, propose, sketch
from bench.metrics.counting.components import find_components

pytestmark = pytest.mark.realdata

NAME = "SIRST-v2"
FULL = list_names(NAME, "full", "test")


@pytest.fixture(scope="module")
def masks(sirst_v2: Path) -> dict[str, Pixels]:
    """The masks of the whole test list, by name."""
    files = find_files(sirst_v2 / "masks")
    return {name: decode_mask(files[name]) for name in FULL}


@pytest.fixture(scope="module")
def images(sirst_v2: Path) -> dict[str, Path]:
    """The image files of SIRST-v2, by name."""
    return find_files(sirst_v2 / "images")


@pytest.fixture(scope="module")
def nuaa(real_data: Path) -> dict[str, Path]:
    """The image files of NUAA-SIRST, by name."""
    return find_files(real_data / "NUAA-SIRST/images")


def targets_of(mask: Pixels) -> int:
    return len(find_components(mask > 127))


def test_files_of_the_test_list_are_the_published_ones(sirst_v2: Path) -> None:
    """Files that lack are the only differences of a folder that holds this list alone."""
    found = verify_dataset(NAME, sirst_v2.parent)
    lacking = [Path(problem.partition(":")[0]).name for problem in found.problems if "missing, the card" in problem]
    assert len(lacking) == len(found.problems)
    assert not set(lacking) & set(FULL)
    assert found.notes == ()


def test_frames_without_targets_are_those_whose_mask_is_empty(masks: dict[str, Pixels]) -> None:
    empty = tuple(name for name, mask in masks.items() if targets_of(mask) == 0)
    assert empty == list_names(NAME, "target-free", "test")
    assert len(empty) == 131
    assert sum(map(targets_of, masks.values())) == 150


def test_frames_beyond_version_1_are_those_that_nuaa_sirst_does_not_hold(
    masks: dict[str, Pixels], images: dict[str, Path], nuaa: dict[str, Path]
) -> None:
    pixels = {pixel_digest(decode_rgb(path)) for path in nuaa.values()}
    own = {name: pixel_digest(decode_rgb(images[name])) for name in FULL}
    assert own == {name: load_card(NAME).digests[f"images/{name}"].sha256 for name in FULL}
    beyond = list_names(NAME, "beyond-v1", "test")
    assert tuple(name for name in FULL if name not in nuaa and own[name] not in pixels) == beyond
    assert {name in nuaa for name in FULL if own[name] in pixels} == {True}
    counts = [targets_of(masks[name]) for name in beyond]
    assert (len(counts), sum(map(bool, counts)), sum(counts)) == (149, 18, 21)


def test_no_frame_beyond_version_1_has_a_near_duplicate_in_nuaa_sirst(
    images: dict[str, Path], nuaa: dict[str, Path]
) -> None:
    """Three pairs of them show one view; docs/leaks.md and the card say so."""
    beyond = list_names(NAME, "beyond-v1", "test")
    paths = [*(images[name] for name in beyond), *nuaa.values()]
    proposals = propose([sketch(decode_grey(path)) for path in paths], judged=len(beyond))
    assert sum(proposal.two >= len(beyond) for proposal in proposals) == 44
    found = confirm(proposals, lambda index: decode_grey(paths[index]))
    assert {frozenset((paths[match.one].stem, paths[match.two].stem)) for match in found} == {
        frozenset(("S3_24", "S1_48")),
        frozenset(("202105-Enhance-50", "S3_23")),
        frozenset(("202105-Enhance-25", "S3_22")),
    }
