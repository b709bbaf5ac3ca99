"""What the published lists of NUAA-SIRST and NUDT-SIRST share, and what the images hold."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from bench.data.catalogue.overlaps import ListName
from bench.data.quality.dataset_statistics import describe, summarise
from bench.data.quality.leak_search import LeakReport, find_leaks

pytestmark = pytest.mark.realdata


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of this session's own, so that the search really runs, once a dataset."""
    return tmp_path_factory.mktemp("cache")


@cache
def search(dataset: str, root: Path, kept: Path) -> LeakReport:
    return find_leaks(dataset, root, cache=kept)


def test_the_lists_of_nudt_sirst_overlap_as_its_card_says(real_data: Path, kept: Path) -> None:
    overlaps = search("NUDT-SIRST", real_data, kept).overlaps

    def shared(one: tuple[str, str], other: tuple[str, str]) -> int:
        return overlaps.of(ListName("NUDT-SIRST", *one), ListName("NUDT-SIRST", *other))

    assert shared(("basicirstd", "test"), ("dfinet", "train")) == 417
    assert shared(("dfinet", "test"), ("basicirstd", "train")) == 138
    assert shared(("basicirstd", "test"), ("basicirstd", "train")) == 0
    assert shared(("dfinet", "test"), ("dfinet", "train")) == 0


@pytest.mark.parametrize("dataset", ["NUAA-SIRST", "NUDT-SIRST"])
def test_no_two_files_hold_the_same_pixels_and_no_split_leaks(dataset: str, real_data: Path, kept: Path) -> None:
    report = search(dataset, real_data, kept)
    assert report.is_clean
    assert report.pairs is not None
    assert report.pairs.exact == ()
    others = {crossing.other.dataset for crossing in report.crossings}
    assert not others & {"NUAA-SIRST", "NUDT-SIRST"}


@pytest.mark.parametrize(
    ("dataset", "judged", "near", "same_view"),
    [
        ("NUDT-SIRST", "basicirstd/test", 126, 54),
        ("NUDT-SIRST", "dfinet/val", 54, 20),
        ("NUDT-SIRST", "dfinet/test", 63, 21),
        ("NUAA-SIRST", "basicirstd/test", 0, 0),
        ("NUAA-SIRST", "sirst-v1/val", 0, 0),
        ("NUAA-SIRST", "sirst-v1/test", 1, 0),
    ],
)
def test_test_images_with_a_near_duplicate_in_their_training_list(
    dataset: str, judged: str, near: int, same_view: int, real_data: Path, kept: Path
) -> None:
    """docs/leaks.md prints these; the pairs were looked at."""
    found = {leak.judged.title: leak for leak in search(dataset, real_data, kept).leaks}[judged]
    assert (found.near, found.same_view) == (near, same_view)


def test_one_background_of_nudt_sirst_stands_in_training_and_test_with_another_target(
    real_data: Path, kept: Path
) -> None:
    pairs = search("NUDT-SIRST", real_data, kept).pairs
    assert pairs is not None
    twins = {frozenset((twin.one, twin.two)): twin for twin in pairs.twins}
    twin = twins[frozenset(("001101", "001009"))]  # a meadow with a fence and one tree
    assert (twin.rows, twin.cols, twin.orientation) == (0, 0, "upright")
    assert twin.correlation > 0.98


@pytest.mark.parametrize(
    ("dataset", "images", "targets", "area", "level"),
    [("NUAA-SIRST", 427, 533, (14, 20, 39), 111.97807), ("NUDT-SIRST", 1327, 1863, (9, 20, 53), 107.80905)],
)
def test_a_dataset_holds_what_its_card_says(
    dataset: str, images: int, targets: int, area: tuple[float, float, float], level: float, real_data: Path
) -> None:
    """Counts and mean level are the card's, measured before this was written; quartiles of area are this module's."""
    whole, *_ = summarise(describe(dataset, real_data))
    assert (whole.images, whole.targets, whole.without_targets) == (images, targets, 0.0)
    assert whole.area == area
    assert whole.level == pytest.approx(level, abs=5e-6)
