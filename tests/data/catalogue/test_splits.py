from __future__ import annotations

import hashlib
import re
import shutil
from itertools import combinations
from pathlib import Path

import pytest

from bench.data.catalogue import cards, splits
from bench.data.catalogue.cards import card_names, datasets_root, load_card
from bench.data.catalogue.splits import choose_held_out, image_list, list_names, names_digest, read_list
from bench.data.importing import write_lists
from bench.errors import DataError

DERIVED = {("SIRST-v2", "target-free"): 131, ("SIRST-v2", "beyond-v1"): 149}
"""Splits for testing alone, to the length of their test list."""

SPLITS = [(name, split) for name in card_names() for split in load_card(name).splits if (name, split) not in DERIVED]


@pytest.mark.parametrize(("dataset", "split"), SPLITS)
def test_no_image_stands_in_two_lists_of_a_split(dataset: str, split: str) -> None:
    parts = [part for part in load_card(dataset).splits[split] if part != "held-out"]
    assert {"train", "test"} <= set(parts)
    for one, other in combinations(parts, 2):
        assert not set(list_names(dataset, split, one)) & set(list_names(dataset, split, other))


@pytest.mark.parametrize(("dataset", "split"), SPLITS)
def test_held_out_and_fit_make_up_the_training_list(dataset: str, split: str) -> None:
    train, fit, held_out = (list_names(dataset, split, part) for part in ("train", "fit", "held-out"))
    assert len(held_out) == len(train) // 5
    assert held_out == choose_held_out(train)
    assert sorted(fit + held_out) == sorted(train)
    kept = set(fit)
    assert fit == tuple(name for name in train if name in kept)


@pytest.mark.parametrize(("dataset", "split"), SPLITS)
def test_lists_are_as_long_as_published(dataset: str, split: str) -> None:
    published = {
        ("NUAA-SIRST", "basicirstd"): (213, 214),
        ("NUAA-SIRST", "sirst-v1"): (256, 86),
        ("NUDT-SIRST", "basicirstd"): (663, 664),
        ("NUDT-SIRST", "dfinet"): (796, 266),
        ("IRSTD-1k", "basicirstd"): (800, 201),
        ("IRSTD-1k", "dfinet"): (800, 201),
        ("SIRST-Aug", "dfinet"): (8525, 545),
        ("SIRST-UAVB", "dfinet"): (2400, 600),
        ("SIRST-v2", "full"): (512, 256),
        ("SIRST-v2", "v1"): (256, 86),
        ("SIRST-v2", "v1fullv2target"): (411 - 103, 103),
        ("SIRST3", "basicirstd"): (1676, 1079),
        ("NUDT-SIRST-Sea", "basicirstd"): (4961, 847),
        ("synthetic", "bench"): (320, 80),
        ("synthetic-sky", "bench"): (106, 27),
        ("synthetic-sea", "bench"): (107, 27),
        ("synthetic-ground", "bench"): (107, 26),
    }
    counts = tuple(len(list_names(dataset, split, part)) for part in ("train", "test"))
    assert counts == published[dataset, split]


@pytest.mark.parametrize(("dataset", "split"), SPLITS)
def test_every_split_covers_the_whole_dataset_or_the_part_that_its_publisher_chose(dataset: str, split: str) -> None:
    card = load_card(dataset)
    parts = [part for part in card.splits[split] if part != "held-out"]
    names = {name for part in parts for name in list_names(dataset, split, part)}
    partly = {("SIRST-v2", "v1"): 427, ("SIRST-v2", "v1fullv2target"): 514}
    assert len(names) == partly.get((dataset, split), card.images)
    if card.digested_images and not card.mixture_of:
        assert {f"images/{name}" for name in names} <= card.digests.keys()


@pytest.mark.parametrize(("dataset", "split"), DERIVED)
def test_a_split_for_testing_alone_is_part_of_a_published_test_list_in_its_order(dataset: str, split: str) -> None:
    names = list_names(dataset, split, "test")
    assert load_card(dataset).splits[split] == {"test": DERIVED[dataset, split]}
    assert names == tuple(name for name in list_names(dataset, "full", "test") if name in set(names))


def test_the_derived_lists_are_what_their_rules_make_of_the_published_list_and_the_digests() -> None:
    assert {key[:2] for key in write_lists.DERIVED} == set(DERIVED)
    for (dataset, split, part), (origin, rule) in write_lists.DERIVED.items():
        assert list_names(dataset, split, part) == rule(list_names(*origin), load_card(dataset))


def test_frames_without_targets_are_among_those_that_version_1_does_not_hold() -> None:
    free, beyond = (set(list_names("SIRST-v2", split, "test")) for split in ("target-free", "beyond-v1"))
    assert free < beyond
    assert len(beyond - free) == 18


@pytest.mark.parametrize("part", ["train", "fit", "held-out"])
def test_a_split_for_testing_alone_cannot_be_trained_on(part: str) -> None:
    said = (
        f"SIRST-v2: split 'target-free' has no {part} list, it is for testing alone; "
        "train on full, v1, v1fullv2target, another dataset"
    )
    with pytest.raises(LookupError, match=re.escape(said)):
        image_list("SIRST-v2", "target-free", part)
    with pytest.raises(
        LookupError, match=r"no part of SIRST-v2's split 'target-free' is called 'val'; there are test$"
    ):
        image_list("SIRST-v2", "target-free", "val")


def test_dfinets_nudt_names_are_filled_to_six_digits() -> None:
    parts = [list_names("NUDT-SIRST", "dfinet", part) for part in ("train", "val", "test")]
    assert [len(part) for part in parts] == [796, 265, 266]
    assert sorted(sum(parts, ())) == [f"{number:06d}" for number in range(1, 1328)]


def test_the_two_nudt_splits_overlap_as_the_card_says() -> None:
    def names(split: str, part: str) -> set[str]:
        return set(list_names("NUDT-SIRST", split, part))

    assert len(names("basicirstd", "test") & names("dfinet", "train")) == 417
    assert len(names("dfinet", "test") & names("basicirstd", "train")) == 138


@pytest.mark.parametrize("part", ["train", "test"])
def test_dfinets_irstd_lists_hold_basicirstds_images(part: str) -> None:
    assert set(list_names("IRSTD-1k", "dfinet", part)) == set(list_names("IRSTD-1k", "basicirstd", part))


def test_the_record_of_a_list_digests_its_names_in_order() -> None:
    record = image_list("synthetic", "bench", "test", limit=2)
    assert record.digest == hashlib.sha256(b"scene-0321\nscene-0322\n").hexdigest()
    assert (record.count, record.limit, record.part) == (2, 2, "test")
    assert names_digest(("b", "a")) != names_digest(("a", "b"))


def test_a_limit_takes_the_first_names() -> None:
    whole = list_names("NUAA-SIRST", "basicirstd", "test")
    assert list_names("NUAA-SIRST", "basicirstd", "test", limit=3) == ("Misc_338", "Misc_379", "Misc_422")
    assert list_names("NUAA-SIRST", "basicirstd", "test", limit=1000) == whole
    with pytest.raises(ValueError, match="limit is 0, expected at least 1 image"):
        list_names("NUAA-SIRST", "basicirstd", "test", limit=0)


def test_unknown_splits_and_parts_are_answered_with_the_known_ones() -> None:
    with pytest.raises(LookupError, match="did you mean basicirstd"):
        list_names("NUAA-SIRST", "basicirst", "test")
    with pytest.raises(LookupError, match="there are fit, held-out, test, train"):
        list_names("NUAA-SIRST", "basicirstd", "val")


def test_line_ends_byte_order_marks_and_a_missing_last_newline_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes("\ufeffa b\r\n\r\nümläut\r\nlast".encode())
    assert read_list(path) == ("a b", "ümläut", "last")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"a\nb\na\n", "'a' stands twice"),
        (b"../../secret\n", "is a path, expected an image name"),
        (b"..\n", "is a path"),
        (b"\xff\xfe\x00", "not UTF-8 text"),
        (b"a\0b\n", "is a path"),
    ],
)
def test_a_hostile_list_is_refused(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes(content)
    with pytest.raises(DataError, match=sentence):
        read_list(path)


def test_a_missing_list_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.txt: .*o such file"):
        read_list(tmp_path / "none.txt")


def test_the_held_out_rule_looks_at_names_alone() -> None:
    names = [f"image-{n}" for n in range(23)]
    chosen = choose_held_out(names)
    assert len(chosen) == 4
    assert set(chosen) == set(choose_held_out(names[::-1]))
    worst_chosen = max(hashlib.sha256(name.encode()).hexdigest() for name in chosen)
    assert all(hashlib.sha256(n.encode()).hexdigest() > worst_chosen for n in names if n not in chosen)


@pytest.mark.parametrize(("count", "held_out"), [(0, 0), (1, 0), (2, 1), (4, 1), (5, 1), (9, 1), (10, 2)])
def test_a_fifth_is_held_out_and_at_least_one_of_two(count: int, held_out: int) -> None:
    assert len(choose_held_out([f"image-{n}" for n in range(count)])) == held_out


def test_a_list_without_a_name_is_refused_before_anything_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "IRDST"
    shutil.copytree(datasets_root() / "IRDST", folder)
    card = folder / "card.toml"
    card.write_text(card.read_text(encoding="utf-8") + '[splits.own]\nsource = ""\ntrain = 1\nheld-out = 0\n', "utf-8")
    (folder / "splits/own").mkdir(parents=True)
    (folder / "splits/own/train.txt").write_text("1\n")
    (folder / "splits/own/held-out.txt").write_text("")
    for module in (cards, splits):
        monkeypatch.setattr(module, "datasets_root", lambda: tmp_path)
    for cached in (load_card, splits._full_list):
        cached.cache_clear()
    try:
        assert image_list("IRDST", "own", "fit").count == 1
        with pytest.raises(DataError, match="IRDST: no image in the held-out list of 'own', expected at least 1"):
            image_list("IRDST", "own", "held-out")
    finally:
        for cached in (load_card, splits._full_list):
            cached.cache_clear()
