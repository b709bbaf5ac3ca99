"""The catalogue of published checkpoints: what it says holds, and files are known by their digest alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from http_files import Served, serving

from bench.data.catalogue.splits import image_list
from bench.errors import CheckpointError, DataError, UnknownNameError
from bench.models.network import find_models
from bench.run.fetch_weights import fetch_weights
from bench.weights.catalogue import (
    PublishedWeights,
    existing_weights,
    find_weights,
    published_weights,
    weights_catalogue,
)
from bench.weights.load import load_model

DIGEST = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"  # of the five bytes b"hello"
HELLO = PublishedWeights("Hello", "ACM", "hello.pth", DIGEST, size=5, page="https://example.org/page", licence="MIT")


@pytest.fixture
def served() -> Iterator[Served]:
    with serving(b"hello") as server:
        server.kind = "application/octet-stream"
        yield server


@pytest.mark.parametrize("name", weights_catalogue())
def test_an_entry_names_a_network_lists_and_a_whole_digest(name: str) -> None:
    entry = published_weights(name)
    info = find_models().get(entry.model).info
    assert info.recipe, "a network that learns"
    assert re.fullmatch(r"[0-9a-f]{64}", entry.sha256)
    assert entry.page.startswith("https://github.com/")
    assert (entry.mean is None) == (entry.std is None)
    for path in entry.learnt_from:
        assert image_list(*path.split("/")).count > 0


def test_names_and_digests_are_of_one_checkpoint_each() -> None:
    entries = list(weights_catalogue().values())
    assert len({one.sha256 for one in entries}) == len({one.file for one in entries}) == len(entries)


def test_an_unknown_checkpoint_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="no published checkpoint is called 'LESPS-ACM-ful'; did you mean"):
        published_weights("LESPS-ACM-ful")


def test_a_file_is_found_by_its_digest_whatever_it_is_called(tmp_path: Path) -> None:
    assert find_weights(HELLO, tmp_path) is None
    (tmp_path / "a.pth").write_bytes(b"hallo")
    (tmp_path / "b.pth").write_bytes(b"hello")
    (tmp_path / "folder").mkdir()
    assert find_weights(HELLO, tmp_path) == tmp_path / "b.pth"
    (tmp_path / "hello.pth").write_bytes(b"hello")
    assert existing_weights(HELLO, tmp_path) == tmp_path / "hello.pth"


def test_a_file_of_its_name_and_another_digest_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "hello.pth").write_bytes(b"hallo")
    (tmp_path / "right.pth").write_bytes(b"hello")
    with pytest.raises(CheckpointError, match=r"hello\.pth: SHA-256 is d3751d33f9cd…, that of Hello is 2cf24dba5fb0…"):
        find_weights(HELLO, tmp_path)


def test_a_missing_file_comes_with_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(
        CheckpointError, match=r"weights Hello: no file with its SHA-256 in .*; save it from https://exa"
    ):
        existing_weights(HELLO, tmp_path)
    with pytest.raises(CheckpointError, match=r"weights Hello: no folder of weights, expected --weights DIR; save it"):
        existing_weights(HELLO, None)
    with pytest.raises(
        CheckpointError, match=r"; fetch it by dfinet-bench weights fetch Hello, or save it from https://example"
    ):
        existing_weights(replace(HELLO, url="https://example.org/hello.pth"), tmp_path / "no such folder")


def test_a_download_takes_its_place_when_its_digest_is_right(served: Served, tmp_path: Path) -> None:
    wanted, folder = replace(HELLO, url=served.url), tmp_path / "weights"
    assert fetch_weights(wanted, folder) == folder / "hello.pth"
    assert [path.name for path in folder.iterdir()] == ["hello.pth"]
    served.content = b"nobody asks again"
    assert fetch_weights(wanted, folder).read_bytes() == b"hello"


def test_a_download_of_another_digest_is_not_kept(served: Served, tmp_path: Path) -> None:
    served.content = b"hallo"
    with pytest.raises(CheckpointError, match=r"SHA-256 is d3751d33f9cd….*; nothing is kept"):
        fetch_weights(replace(HELLO, url=served.url), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_web_page_is_no_checkpoint(served: Served, tmp_path: Path) -> None:
    served.content = b"<!doctype html><title>Sign in</title>"
    with pytest.raises(DataError, match=r"a web page came \('Sign in'\), expected a file; .* put it into "):
        fetch_weights(replace(HELLO, url=served.url), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_without_an_address_of_the_file_its_page_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"is not known; save it from https://example.org/page into "):
        fetch_weights(HELLO, tmp_path)


def test_a_download_that_fails_names_the_page_to_save_it_from(served: Served, tmp_path: Path) -> None:
    served.statuses = [404]
    with pytest.raises(DataError, match=r"404.*; its page is https://example\.org/page$"):
        fetch_weights(replace(HELLO, url=served.url), tmp_path)


def test_a_download_needs_a_folder_and_room_for_its_file(served: Served, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "hello.pth").mkdir()
    wanted = replace(HELLO, url=served.url)
    with pytest.raises(CheckpointError, match=r"file: not a folder; name one with --weights DIR"):
        fetch_weights(wanted, tmp_path / "file")
    with pytest.raises(CheckpointError, match=r"hello\.pth: not a file; take it away"):
        fetch_weights(wanted, tmp_path)


@pytest.mark.realdata
@pytest.mark.parametrize("name", weights_catalogue())
def test_every_checkpoint_loads_into_its_network(name: str, real_weights: Path) -> None:
    entry = published_weights(name)
    network = load_model(entry.model, existing_weights(entry, real_weights))
    assert network.built is not None
    assert (network.built.name, network.built.channels) == (entry.model, 1)
