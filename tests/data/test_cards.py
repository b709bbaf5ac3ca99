from __future__ import annotations

import re
from pathlib import Path

import pytest

from bench.data.cards import DataError, card_names, datasets_root, load_card, read_card

HEX = re.compile(r"[0-9a-f]{64}")


def test_every_folder_of_datasets_has_a_card() -> None:
    kinds = ("synthetic", "synthetic-ground", "synthetic-sea", "synthetic-sky")
    assert card_names() == ("IRSTD-1k", "NUAA-SIRST", "NUDT-SIRST", "SIRST-Aug", *kinds)
    assert {path.name for path in datasets_root().iterdir()} == set(card_names())


def test_datasets_carry_no_python() -> None:
    assert not list(datasets_root().rglob("*.py"))


@pytest.mark.parametrize("name", card_names())
def test_a_card_says_where_its_images_come_from(name: str) -> None:
    card = load_card(name)
    assert card.source
    assert card.licence
    assert card.cite
    assert card.statistics
    assert card.default_split in card.splits
    assert set(card.splits) == set(card.split_sources)


@pytest.mark.parametrize("name", card_names())
def test_digests_cover_every_image_and_mask_or_none(name: str) -> None:
    card = load_card(name)
    assert len(card.digests) in (0, 2 * card.images)
    assert all(HEX.fullmatch(digest.sha256) for digest in card.digests.values())
    assert bool(card.digest) == bool(card.digests)


def test_published_constants_stand_as_published() -> None:
    constants = {name: (load_card(name).mean, load_card(name).std) for name in card_names()}
    assert constants["NUAA-SIRST"] == (101.06385, 34.61961)
    assert constants["NUDT-SIRST"] == (107.80905, 33.02275)
    assert constants["IRSTD-1k"] == (87.46619, 39.71953)
    assert constants["SIRST-Aug"] == (None, None)


def test_an_unknown_dataset_is_answered_with_the_nearest_names() -> None:
    with pytest.raises(LookupError, match="no dataset is called 'NUDT-SIRTS'; did you mean NUDT-SIRST"):
        load_card("NUDT-SIRTS")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("name = ", "not a dataset card"),
        ('name = "X"\nsplits = {}\ninvented = 1\n', "unexpected keyword argument 'invented'"),
        ('name = "X"\n', "not a dataset card .'splits'."),
    ],
)
def test_a_broken_card_is_one_line(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "card.toml").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=sentence) as caught:
        read_card(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_folder_without_a_card_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"card\.toml: no such file, expected the dataset's card"):
        read_card(tmp_path)
