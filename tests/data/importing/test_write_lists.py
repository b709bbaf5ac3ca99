from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.data.catalogue.cards import card_names, datasets_root, load_card, read_card, read_digests
from bench.data.catalogue.splits import known_names
from bench.data.importing import write_lists
from bench.data.importing.write_lists import add_split
from bench.errors import DataError


@pytest.fixture
def cards(tmp_path: Path) -> Iterator[Path]:
    """A copy of IRDST's card, and two lists of its images beside it."""
    shutil.copytree(datasets_root() / "IRDST", tmp_path / "IRDST")
    (tmp_path / "train.txt").write_bytes("".join(f"{n}.png\r\n" for n in range(10)).encode())
    (tmp_path / "test.txt").write_text("a b\nü", encoding="utf-8")
    yield tmp_path
    load_card.cache_clear()


def add(cards: Path, split: str = "own") -> None:
    parts = {part: cards / f"{part}.txt" for part in ("train", "test")}
    add_split("IRDST", split, parts, source='mine, "by hand"', folder=cards / "IRDST")


def test_lists_of_ones_own_make_a_split_with_a_held_out_fifth(cards: Path) -> None:
    add(cards)
    card = read_card(cards / "IRDST")
    assert card.splits == {"own": {"train": 10, "held-out": 2, "test": 2}}
    assert card.default_split == "own"
    assert card.split_sources == {"own": 'mine, "by hand"'}
    folder = cards / "IRDST/splits/own"
    assert (folder / "train.txt").read_text() == "".join(f"{n}\n" for n in range(10))
    assert (folder / "test.txt").read_text(encoding="utf-8") == "a b\nü\n"
    assert len((folder / "held-out.txt").read_text().split()) == 2


def test_a_second_split_leaves_the_first_the_default(cards: Path) -> None:
    add(cards)
    add(cards, "other.1")
    card = read_card(cards / "IRDST")
    assert tuple(card.splits) == ("own", "other.1")
    assert card.default_split == "own"


@pytest.mark.parametrize("kinds", [("images", "masks"), ("masks",)])
def test_digests_are_of_all_files_or_of_masks_where_they_are_alone(
    kinds: tuple[str, ...], made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind in {"images", "masks"} - set(kinds):
        shutil.rmtree(made / "IRSTD-1k" / kind)
    (tmp_path / "cards/IRSTD-1k").mkdir(parents=True)
    monkeypatch.setattr(write_lists, "datasets_root", lambda: tmp_path / "cards")
    write_lists.write_digests("IRSTD-1k", made)
    digests = read_digests(tmp_path / "cards/IRSTD-1k/digests.tsv")
    assert list(digests) == [f"{kind}/XDU{number}" for kind in kinds for number in range(3)]
    assert {digest.size for digest in digests.values()} == {(20, 30)}


def test_lists_that_share_an_image_are_refused_and_nothing_is_written(cards: Path) -> None:
    (cards / "test.txt").write_text("7\n")
    with pytest.raises(DataError, match=r"'7' stands in test too \(1 in all\), expected disjoint lists"):
        add(cards)
    assert not (cards / "IRDST/splits").exists()


@pytest.mark.parametrize("split", ["../own", "", "a b"])
def test_a_split_needs_a_plain_name(cards: Path, split: str) -> None:
    with pytest.raises(DataError, match="no name for a split"):
        add(cards, split)


def test_a_published_split_is_not_written_over(cards: Path) -> None:
    with pytest.raises(DataError, match="NUAA-SIRST: 'sirst-v1' is a split already"):
        add_split("NUAA-SIRST", "sirst-v1", {"train": cards / "train.txt"}, source="", folder=cards)


def test_an_empty_list_is_refused(cards: Path) -> None:
    (cards / "train.txt").write_text("\n")
    with pytest.raises(DataError, match="no name in it"):
        add(cards)


@pytest.mark.parametrize(
    ("dataset", "content", "sentence"),
    [
        ("IRDST", "x1\nx1.png\n", r"train\.txt: 'x1' and 'x1\.png' are one image, expected every name once"),
        ("IRDST", "x1\nx1 .png\n", r"'x1' and 'x1 \.png' are one image"),
        ("IRDST", "..png\n", r"'\.' is a path"),
        ("NUDT-SIRST", "1\n000001\n", "'1' and '000001' are one image"),
        (
            "NUAA-SIRST",
            "Misc_1\nnosuch1\nnosuch2\n",
            r"'nosuch1' is no image of NUAA-SIRST \(2 such names in all\), expected names as 'Misc_1'; take",
        ),
        ("IRSTD-1k", "XDU0\nXDU1001\n", "'XDU1001' is no image of IRSTD-1k"),
    ],
)
def test_a_list_that_would_spoil_the_dataset_is_refused_and_nothing_is_written(
    tmp_path: Path, dataset: str, content: str, sentence: str
) -> None:
    folder = tmp_path / dataset
    shutil.copytree(datasets_root() / dataset, folder)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    (tmp_path / "train.txt").write_text(content)
    with pytest.raises(DataError, match=sentence):
        add_split(dataset, "own", {"train": tmp_path / "train.txt"}, source="", folder=folder)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_names_are_taken_where_nobody_knows_all_of_them() -> None:
    assert known_names(load_card("IRDST")) == frozenset()


@pytest.mark.parametrize("dataset", [name for name in card_names() if name != "IRDST"])
def test_every_other_card_knows_its_images(dataset: str) -> None:
    assert len(known_names(load_card(dataset))) == load_card(dataset).images


@pytest.mark.parametrize("count", [2, 3, 4])
def test_a_short_training_list_holds_one_image_out(cards: Path, count: int) -> None:
    (cards / "train.txt").write_text("".join(f"{n}\n" for n in range(count)))
    add(cards)
    assert read_card(cards / "IRDST").splits["own"] == {"train": count, "held-out": 1, "test": 2}
    assert len((cards / "IRDST/splits/own/held-out.txt").read_text().split()) == 1


def test_a_training_list_of_one_name_is_refused_and_nothing_is_written(cards: Path) -> None:
    (cards / "train.txt").write_text("1\n")
    with pytest.raises(DataError, match=r"train\.txt: 1 name, expected at least 2, one image to learn from and one to"):
        add(cards)
    assert not (cards / "IRDST/splits").exists()
