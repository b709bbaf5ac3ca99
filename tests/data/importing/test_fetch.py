from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from dataset_sources import LAYOUT_FILES, members_of, write_files, zip_of
from filelock import FileLock
from http_files import Served, serving

from bench.data.catalogue.cards import load_card
from bench.data.importing.download import Patience
from bench.data.importing.fetch import Fetch, fetch_dataset, instructions, plan_fetch
from bench.data.importing.importer import ImportRequest
from bench.errors import DataError

AT_ONCE = Patience(tries=3, wait=0.0, timeout=5.0)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    archive = zip_of(tmp_path / "set.zip", members_of(f"repo-main/{name}" for name in LAYOUT_FILES["irstd-1k"][1]))
    with serving(archive.read_bytes()) as server:
        yield server


@pytest.fixture
def fetch(served: Served, tmp_path: Path) -> Fetch:
    plan = plan_fetch(ImportRequest("IRSTD-1k", Path(), tmp_path / "data"), url=served.url, sha256=served.sha256)
    assert plan is not None
    return plan


def left(fetch: Fetch) -> list[str]:
    """What lies in the data folder."""
    return sorted(path.name for path in fetch.request.data.iterdir())


def test_a_dataset_is_downloaded_checked_and_imported(fetch: Fetch, served: Served) -> None:
    served.cuts = [100, 100]
    made = fetch_dataset(fetch, patience=AT_ONCE)
    assert (made.images, made.layout, made.root, made.sha256) == (1, "irstd-1k", "repo-main", served.sha256)
    assert left(fetch) == ["IRSTD-1k"]
    record = json.loads((made.folder / "import.json").read_text())
    assert record["origin"] == served.url


def test_a_wrong_checksum_is_refused_and_the_download_kept(fetch: Fetch, served: Served) -> None:
    wrong = replace(fetch, sha256="0" * 64)
    with pytest.raises(DataError, match=f"SHA-256 of what came is {served.sha256}, expected 0000.*; it is kept as"):
        fetch_dataset(wrong, patience=AT_ONCE)
    assert left(fetch) == ["IRSTD-1k.part"]
    assert fetch_dataset(fetch, patience=AT_ONCE).images == 1
    assert left(fetch) == ["IRSTD-1k"]


def test_a_wrong_size_is_refused(fetch: Fetch) -> None:
    with pytest.raises(DataError, match="bytes came, expected 7; it is kept as"):
        fetch_dataset(replace(fetch, size=7), patience=AT_ONCE)


def test_an_archive_that_cannot_be_imported_is_kept(fetch: Fetch, served: Served, tmp_path: Path) -> None:
    served.content = zip_of(tmp_path / "other.zip", {"README.md": b"x"}).read_bytes()
    with pytest.raises(DataError, match=r"no known layout.*; the download is kept as .*IRSTD-1k\.part"):
        fetch_dataset(replace(fetch, sha256=""), patience=AT_ONCE)
    assert left(fetch) == ["IRSTD-1k.part"]


def test_a_place_that_is_taken_is_refused_before_anything_is_asked_for(fetch: Fetch, served: Served) -> None:
    write_files(fetch.request.data / "IRSTD-1k", ["images/old.png"])
    with pytest.raises(DataError, match="is there already"):
        fetch_dataset(fetch, patience=AT_ONCE)
    assert served.asked == 0
    assert fetch_dataset(fetch, replacing=True, patience=AT_ONCE).images == 1
    assert not (fetch.request.data / "IRSTD-1k/images/old.png").exists()


def test_two_fetches_of_one_dataset_do_not_meet(fetch: Fetch) -> None:
    fetch.request.data.mkdir()
    with (
        FileLock(fetch.request.data / ".fetch-IRSTD-1k.lock"),
        pytest.raises(DataError, match="another fetch of IRSTD-1k is at work there"),
    ):
        fetch_dataset(fetch, patience=AT_ONCE)


@pytest.mark.parametrize("name", ["NUAA-SIRST", "SIRST-v2"])
def test_a_public_archive_is_fetched_from_the_cards_address(name: str, tmp_path: Path) -> None:
    plan = plan_fetch(ImportRequest(name, Path(), tmp_path))
    assert plan is not None
    assert plan.url == load_card(name).sources[0].url
    assert plan.request.source == tmp_path / f"{name}.part"


@pytest.mark.parametrize("name", ["NUDT-SIRST", "IRSTD-1k", "SIRST-Aug", "SIRST-UAVB", "NUDT-SIRST-Sea", "IRDST"])
def test_where_only_a_page_leads_there_the_steps_are_told(name: str, tmp_path: Path) -> None:
    assert plan_fetch(ImportRequest(name, Path(), tmp_path)) is None
    lines = instructions(load_card(name), tmp_path)
    assert lines[0] == f"{name} cannot be fetched by a program; do this:"
    assert load_card(name).sources[0].url in lines[1]
    assert "was not tried" in lines[1]
    assert lines[3] == f"  3. dfinet-bench data import {name} FILE --data {tmp_path}"


def test_a_mixture_is_fetched_part_by_part(tmp_path: Path) -> None:
    assert plan_fetch(ImportRequest("SIRST3", Path(), tmp_path)) is None
    assert instructions(load_card("SIRST3"), tmp_path)[1:4] == tuple(
        f"  dfinet-bench data fetch {name} --data {tmp_path}" for name in ("NUAA-SIRST", "NUDT-SIRST", "IRSTD-1k")
    )


def test_a_generated_dataset_is_not_fetched(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="synthetic: is generated"):
        plan_fetch(ImportRequest("synthetic", Path(), tmp_path))


@pytest.mark.parametrize("digest", ["abc", "g" * 64])
def test_a_digest_that_is_none_is_refused(digest: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected 64 hexadecimal digits"):
        plan_fetch(ImportRequest("IRDST", Path(), tmp_path), url="http://x/y.zip", sha256=digest)
