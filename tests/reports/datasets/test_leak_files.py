"""The files of a search for leaks: matrices, pairs, and a contact sheet."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest
from toy_data import place, write_card, write_images

from bench.data.catalogue import cards, splits
from bench.data.quality.leak_search import find_leaks, open_sources
from reports.datasets.leak_files import closest, write_leaks


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A dataset of its own: three images to learn from, three to test on, one of them a copy and one retouched."""
    for module in (cards, splits):
        monkeypatch.setattr(module, "datasets_root", lambda: tmp_path / "cards")
    splits._full_list.cache_clear()
    cards.load_card.cache_clear()
    write_card(tmp_path / "cards", "Toy", {"a": {"train": ["one", "two", "three"], "test": ["copy", "near", "other"]}})
    images = {name: place(seed) for seed, name in enumerate(("one", "two", "three", "other"))}
    near = place(1).copy()
    near[30:34, 50:54] = 255
    write_images(tmp_path / "data", "Toy", {**images, "copy": place(0), "near": near})
    yield tmp_path
    splits._full_list.cache_clear()
    cards.load_card.cache_clear()


def lines(path: Path) -> list[list[str]]:
    return list(csv.reader(path.read_text().splitlines()))


def test_all_pairs_and_both_matrices_are_written(root: Path) -> None:
    report = find_leaks("Toy", root / "data", cache=root / "cache")
    sources = open_sources("Toy", root / "data")
    assert not isinstance(sources, str)
    paths = write_leaks(report, sources, root / "out")
    names = [path.name for path in paths]
    assert names == ["toy-overlaps.csv", "toy-near.csv", "toy-pairs.csv", "toy-pairs.pdf", "toy-pairs.png"]
    assert lines(paths[0]) == [["list", "a/train", "a/test"], ["a/train", "3", "0"], ["a/test", "0", "3"]]
    assert lines(paths[1]) == [["list", "a/train", "a/test"], ["a/train", "", "2"], ["a/test", "2", "0"]]
    _, exact, near = lines(paths[2])
    assert exact == ["copy", "one", "exact", "1", "upright", "0", "0", "1", "a/test", "a/train"]
    assert near[:3] == ["near", "two", "same view"]
    assert near[4:] == ["upright", "0", "0", "1.0", "a/test", "a/train"]


def test_the_contact_sheet_shows_the_near_pairs(root: Path) -> None:
    (twin,) = closest(find_leaks("Toy", root / "data", cache=root / "cache"))
    assert (twin.one, twin.two) == ("near", "two")


def test_without_images_only_the_matrix_of_names_is_written(root: Path) -> None:
    (path,) = write_leaks(find_leaks("Toy", None), None, root / "out")
    assert path.name == "toy-overlaps.csv"
