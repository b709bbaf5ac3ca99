from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from toy_data import place, write_card, write_images

from bench.data.cache.folder import cache_folder
from bench.data.catalogue import cards, splits
from bench.data.catalogue.overlaps import ListName, crossings, lists_of, name_overlaps, shared_images
from bench.data.catalogue.splits import image_list
from bench.data.quality import leak_search
from bench.data.quality.leak_search import LeakReport, find_leaks
from bench.errors import DataError

LISTS = {"a": {"train": ["one", "two", "three", "four", "five"], "held-out": ["two"], "test": ["six", "seven"]}}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of cards that a test fills, instead of the project's, and a cache of its own."""
    monkeypatch.setattr(cards, "datasets_root", lambda: tmp_path / "cards")
    monkeypatch.setattr(splits, "datasets_root", lambda: tmp_path / "cards")
    monkeypatch.setenv("DFINET_BENCH_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cards").mkdir()
    splits._full_list.cache_clear()
    cards.load_card.cache_clear()
    yield tmp_path
    splits._full_list.cache_clear()
    cards.load_card.cache_clear()


def toy(root: Path, **changed: np.ndarray) -> Path:
    """A dataset of seven places, some images replaced; the folder it lies in."""
    write_card(root / "cards", "Toy", LISTS)
    names = ("one", "two", "three", "four", "five", "six", "seven")
    images = {name: place(seed) for seed, name in enumerate(names)}
    write_images(root / "data", "Toy", {**images, **changed})
    return root / "data"


def leak_of(report: LeakReport, part: str) -> leak_search.ListLeak:
    return next(leak for leak in report.leaks if leak.judged.part == part)


def test_the_matrix_counts_shared_names_and_has_the_lists_lengths_on_its_diagonal(root: Path) -> None:
    toy(root)
    overlaps = name_overlaps(lists_of("Toy"))
    assert [each.title for each in overlaps.lists] == ["a/train", "a/fit", "a/held-out", "a/test"]
    assert overlaps.shared.tolist() == [[5, 4, 1, 0], [4, 4, 0, 0], [1, 0, 1, 0], [0, 0, 0, 2]]
    assert overlaps.of(ListName("Toy", "a", "held-out"), ListName("Toy", "a", "train")) == 1


def test_different_places_are_clean(root: Path) -> None:
    report = find_leaks("Toy", toy(root))
    assert report.is_clean
    assert report.pairs == leak_search.Pairs(7)
    assert report.near is not None
    assert report.near.tolist() == [[-1, -1, 0, 0], [-1, -1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert (leak_of(report, "test").near, leak_of(report, "held-out").near) == (0, 0)


def test_the_same_pixels_under_another_name_are_a_leak(root: Path) -> None:
    report = find_leaks("Toy", toy(root, seven=place(0)))
    assert not report.is_clean
    assert leak_of(report, "test").exact == ("seven",)
    assert leak_of(report, "test").near == 0
    assert leak_of(report, "held-out").is_clean
    assert report.pairs is not None
    assert report.pairs.exact == (("seven", "one"),)
    assert report.pairs.twins == ()


def test_a_near_duplicate_is_reported_and_is_no_leak(root: Path) -> None:
    retouched = place(3).copy()
    retouched[20:24, 30:35] = 255
    report = find_leaks("Toy", toy(root, six=retouched))
    leak = leak_of(report, "test")
    assert report.is_clean
    assert (leak.near, leak.same_view) == (1, 1)
    (twin,) = leak.first
    assert (twin.one, twin.two, twin.orientation, twin.rows, twin.cols) == ("six", "four", "upright", 0, 0)
    assert report.near is not None
    assert report.near.tolist() == [[-1, -1, 0, 1], [-1, -1, 0, 1], [0, 0, 0, 0], [1, 1, 0, 0]]


def test_a_name_in_both_lists_is_a_leak(root: Path) -> None:
    data = toy(root)
    write_card(root / "cards", "Both", {"b": {"train": ["one", "two"], "test": ["two", "three"]}})
    write_images(root / "data", "Both", {name: place(seed) for seed, name in enumerate(("one", "two", "three"))})
    report = find_leaks("Both", data)
    assert not report.is_clean
    assert leak_of(report, "test").shared == ("two",)


def test_without_images_names_are_compared_and_the_report_says_that_pixels_were_not(root: Path) -> None:
    toy(root)
    report = find_leaks("Toy", None)
    assert report.is_clean
    assert (report.near, report.pairs, leak_of(report, "test").near) == (None, None, None)
    assert report.note == (
        "names were compared and pixels were not: Toy: no data folder was given; pass the folder that holds Toy with "
        "--data DIR or DFINET_BENCH_DATA"
    )
    assert f"were not: {root}/nowhere/Toy: no such folder" in find_leaks("Toy", root / "nowhere").note


def test_one_split_alone_is_searched_when_asked_for(root: Path) -> None:
    data = toy(root)
    report = find_leaks("Toy", data, split="a")
    assert {each.split for each in report.overlaps.lists} == {"a"}
    with pytest.raises(LookupError, match="no split of Toy is called 'b'"):
        find_leaks("Toy", data, split="b")


def test_a_search_is_kept_until_an_image_changes(root: Path) -> None:
    data = toy(root)
    find_leaks("Toy", data)
    (kept,) = (root / "cache" / "leaks").iterdir()
    kept.write_text(json.dumps({"images": 7, "exact": [["six", "one"]], "twins": []}))
    assert leak_of(find_leaks("Toy", data), "test").exact == ("six",)  # what the cache says
    write_images(data, "Toy", {"five": place(50)})
    assert leak_of(find_leaks("Toy", data), "test").exact == ()


def test_a_damaged_cache_is_searched_again(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = toy(root, seven=place(0))
    first = find_leaks("Toy", data)
    (kept,) = (root / "cache" / "leaks").iterdir()
    for damage in ("{", '{"images": "seven"', '{"something": 1}'):
        kept.write_text(damage)
        assert find_leaks("Toy", data).pairs == first.pairs
        assert "searched again" in caplog.text
        caplog.clear()


def test_a_cache_that_cannot_be_written_costs_a_line(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    (root / "file").write_text("")
    report = find_leaks("Toy", toy(root), cache=root / "file")
    assert report.pairs == leak_search.Pairs(7)
    assert "the search is not cached" in caplog.text


def test_a_missing_and_a_damaged_image_are_named(root: Path) -> None:
    data = toy(root)
    (data / "Toy/images/three.png").write_bytes(b"not an image")
    with pytest.raises(DataError, match=r"three\.png: not an image"):
        find_leaks("Toy", data)
    (data / "Toy/images/three.png").unlink()
    with pytest.raises(DataError, match="Toy: no image is called 'three'; run dfinet-bench data verify"):
        find_leaks("Toy", data)


def test_a_dataset_without_lists_is_refused(root: Path) -> None:
    write_card(root / "cards", "Bare", {})
    with pytest.raises(
        DataError, match=r"Bare: no list of its images .* add yours with dfinet-bench data lists Bare TRAIN\.txt"
    ):
        find_leaks("Bare", None)


def test_progress_ends_where_it_says(root: Path) -> None:
    seen: list[tuple[int, int]] = []
    find_leaks("Toy", toy(root, seven=place(0)), step=lambda *at: seen.append(at))
    assert [done for done, _ in seen] == list(range(1, len(seen) + 1))
    assert seen[-1][0] == seen[-1][1]


def test_a_report_is_plain_json(root: Path) -> None:
    plain = json.loads(json.dumps(find_leaks("Toy", toy(root, seven=place(0))).plain()))
    assert (plain["dataset"], plain["clean"], plain["exact"]) == ("Toy", False, [["seven", "one"]])
    assert plain["leaks"][1]["judged"] == "a/test"
    assert plain["near"] == [[None, None, 0, 1], [None, None, 0, 1], [0, 0, 0, 0], [1, 1, 0, 0]]


def test_the_same_pixels_under_two_names_of_a_dataset_are_shared(root: Path) -> None:
    toy(root)
    alike = "0" * 64
    (root / "cards/Toy/digests.tsv").write_text(
        f"images/one\t96\t96\t{alike}\nimages/six\t96\t96\t{alike}\nimages/seven\t96\t96\t{'1' * 64}\n"
    )
    cards.load_card.cache_clear()
    assert shared_images(image_list("Toy", "a", "train"), image_list("Toy", "a", "test")) == ("six",)
    assert leak_of(find_leaks("Toy", None), "test").exact == ("six",)


def test_lists_of_another_dataset_with_the_same_pixels_are_named(root: Path) -> None:
    toy(root)
    write_card(root / "cards", "Copy", {"c": {"train": ["x", "y"], "test": ["z"]}})
    (root / "cards/Toy/digests.tsv").write_text(f"images/six\t96\t96\t{'2' * 64}\n")
    (root / "cards/Copy/digests.tsv").write_text(f"images/y\t96\t96\t{'2' * 64}\nimages/z\t96\t96\t{'3' * 64}\n")
    cards.load_card.cache_clear()
    (found,) = crossings("Toy")
    assert (found.own.title, found.other.dataset, found.other.title, found.count) == ("a/test", "Copy", "c/train", 1)


def test_a_mixture_shares_the_names_of_its_parts_without_digests(root: Path) -> None:
    toy(root)
    write_card(root / "cards", "Mixture", {"m": {"train": ["seven", "x"], "test": ["y"]}})
    card = root / "cards/Mixture/card.toml"
    card.write_text(card.read_text().replace("defects = []", 'defects = []\nmixture_of = ["Toy"]'))
    assert shared_images(image_list("Mixture", "m", "train"), image_list("Toy", "a", "test")) == ("seven",)
    assert shared_images(image_list("Toy", "a", "test"), image_list("Mixture", "m", "test")) == ()
    (found,) = crossings("Mixture")
    assert (found.own.title, found.other.title, found.count) == ("m/train", "a/test", 1)


def test_the_generated_dataset_needs_no_folder(tmp_path: Path) -> None:
    report = find_leaks("synthetic", None, cache=tmp_path)
    assert report.is_clean
    assert report.pairs == leak_search.Pairs(400)


def test_a_cache_lies_where_the_variables_say() -> None:
    assert cache_folder({"DFINET_BENCH_CACHE": "/a", "XDG_CACHE_HOME": "/b"}) == Path("/a")
    assert cache_folder({"XDG_CACHE_HOME": "/b"}) == Path("/b/dfinet-bench")
    assert cache_folder({}) == Path.home() / ".cache" / "dfinet-bench"
