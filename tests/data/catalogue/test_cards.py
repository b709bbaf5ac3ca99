from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from bench.data.catalogue.cards import card_names, datasets_root, load_card, read_card, read_digests
from bench.data.images.decode import pixel_digest
from bench.errors import DataError

OF_MASKS_ALONE = ("IRSTD-1k", "SIRST3")
"""Datasets of which masks have digests and some images or all have none."""

HEX = re.compile(r"[0-9a-f]{64}")


def test_every_folder_of_datasets_has_a_card() -> None:
    assert card_names() == (
        "IRDST",
        "IRSTD-1k",
        "NUAA-SIRST",
        "NUDT-SIRST",
        "NUDT-SIRST-Sea",
        "SIRST-Aug",
        "SIRST-UAVB",
        "SIRST-v2",
        "SIRST3",
        "synthetic",
        "synthetic-ground",
        "synthetic-sea",
        "synthetic-sky",
    )
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
    assert card.default_split in (card.splits or {""})
    assert set(card.splits) == set(card.split_sources)


@pytest.mark.parametrize("name", card_names())
def test_a_card_says_how_to_get_its_images(name: str) -> None:
    card = load_card(name)
    assert card.generated or card.sources
    for source in card.sources:
        assert source.url.startswith("https://")
        assert source.holds
        assert not source.tried


@pytest.mark.parametrize("name", card_names())
def test_digests_cover_every_image_and_mask_or_masks_alone_or_none(name: str) -> None:
    card = load_card(name)
    assert card.digested_images in (0, 427 + 1327 if name == "SIRST3" else card.images)
    assert card.digested_masks == (card.images if name in OF_MASKS_ALONE else card.digested_images)
    assert len(card.digests) == card.digested_images + card.digested_masks
    assert all(HEX.fullmatch(digest.sha256) for digest in card.digests.values())
    assert bool(card.digest) == bool(card.digests)


def test_cards_count_the_masks_without_a_target_that_their_digests_prove() -> None:
    for name in ("IRSTD-1k", "NUAA-SIRST", "NUDT-SIRST", "SIRST-v2"):
        card = load_card(name)
        masks = [digest for file, digest in card.digests.items() if file.startswith("masks/")]
        empty = sum(mask.sha256 == pixel_digest(np.zeros(mask.size, np.uint8)) for mask in masks)
        assert empty == card.empty_masks, name
    assert load_card("SIRST-v2").empty_masks == 510


def test_sirst_v2_holds_every_image_of_nuaa_sirst_under_its_own_name() -> None:
    own, nuaa, nudt = (load_card(name).digests for name in ("SIRST-v2", "NUAA-SIRST", "NUDT-SIRST"))
    assert all(own[file].sha256 == digest.sha256 for file, digest in nuaa.items() if file != "masks/Misc_111")
    assert (own["masks/Misc_111"].size, nuaa["masks/Misc_111"].size) == ((220, 325), (400, 592))
    of_nuaa = {file for file in own if file in nuaa}
    others = {digest.sha256 for file, digest in own.items() if file not in of_nuaa and file.startswith("images/")}
    assert not others & {digest.sha256 for digest in (*nuaa.values(), *nudt.values())}


def test_published_constants_stand_as_published() -> None:
    constants = {name: (load_card(name).mean, load_card(name).std) for name in card_names()}
    assert constants["NUAA-SIRST"] == (101.06385, 34.61961)
    assert constants["NUDT-SIRST"] == (107.80905, 33.02275)
    assert constants["IRSTD-1k"] == (87.46619, 39.71953)
    assert constants["NUDT-SIRST-Sea"] == (43.62404, 18.91838)
    assert constants["IRDST"] == (101.54053, 56.49856)
    assert {constants[name] for name in ("SIRST-Aug", "SIRST-v2", "SIRST3", "SIRST-UAVB")} == {(None, None)}


def test_a_mixture_has_the_digests_and_repairs_of_its_parts() -> None:
    card = load_card("SIRST3")
    assert card.mixture_of == ("NUAA-SIRST", "NUDT-SIRST", "IRSTD-1k")
    assert card.repairs == load_card("NUAA-SIRST").repairs
    for name, part in (("Misc_1", "NUAA-SIRST"), ("000001", "NUDT-SIRST")):
        assert card.digests[f"masks/{name}"] == load_card(part).digests[f"masks/{name}"]
    assert "images/XDU0" not in card.digests


@pytest.mark.parametrize("name", card_names())
def test_sizes_hold_those_of_all_digests(name: str) -> None:
    card = load_card(name)
    sizes = [digest.size for file, digest in card.digests.items() if file.startswith("images/")]
    if sizes and not card.mixture_of:
        heights, widths = zip(*sizes, strict=True)
        assert (card.height, card.width) == ((min(heights), max(heights)), (min(widths), max(widths)))


def test_an_unknown_dataset_is_answered_with_the_nearest_names() -> None:
    with pytest.raises(LookupError, match="no dataset is called 'NUDT-SIRTS'; did you mean NUDT-SIRST"):
        load_card("NUDT-SIRTS")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("name = ", "not a dataset card"),
        ('name = "X"\nsplits = {}\ninvented = 1\n', "unexpected keyword argument 'invented'"),
        ('name = "X"\n', "not a dataset card .'splits'."),
        (
            'name = "X"\nsplits = {}\n[[sources]]\nurl = "u"\nkind = "ftp"\nholds = ""\n',
            "source u: kind is 'ftp', expected one of direct, page, mixture",
        ),
        ('name = "X"\n[splits]\nown = 3\n', "not a dataset card .'int' object has no attribute 'pop'."),
        ('name = "X"\nsplits = {}\nheight = [1, 2, 3]\n', "not a dataset card .too many values"),
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


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (f"images/a\t²\t3\t{'0' * 64}\n".encode(), ":1: expected file, height, width and SHA-256; "),
        (f"images/a\t2\t\t{'0' * 64}\n".encode(), ":1: expected file, height, width and SHA-256; "),
        (f"images/a\t2\t3\t{'g' * 64}\n".encode(), ":1: expected file, height, width and SHA-256; "),
        (b"\xff", ": not UTF-8 text"),
    ],
)
def test_a_broken_table_of_digests_is_one_line(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "digests.tsv"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_digests(path)
    assert str(caught.value).startswith(f"{path}{sentence}")
    assert "\n" not in str(caught.value)
