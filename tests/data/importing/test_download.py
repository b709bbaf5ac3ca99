from __future__ import annotations

import dataclasses
import errno
import json
import random
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from http_files import Served, serving

from bench.data.importing.download import Patience, download, forget
from bench.errors import DataError

CONTENT = random.Random(1).randbytes(1_000_000)
AT_ONCE = Patience(tries=3, wait=0.0, timeout=5.0)


@pytest.fixture
def served() -> Iterator[Served]:
    with serving(CONTENT) as server:
        yield server


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / "data/NAME.part"


def get(served: Served, part: Path) -> bytes:
    return download(served.url, part, patience=AT_ONCE).read_bytes()


def refused(served: Served, part: Path, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence) as caught:
        get(served, part)
    assert "\n" not in str(caught.value)


def test_a_file_comes_whole_and_its_bytes_are_counted(served: Served, part: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    assert download(served.url, part, received=lambda *at: seen.append(at)).read_bytes() == CONTENT
    assert seen[-1] == (1_000_000, 1_000_000)
    assert served.asked == [""]


def test_a_connection_that_is_cut_is_taken_up_where_it_broke(served: Served, part: Path) -> None:
    served.cuts = [300_000, 100_000]
    assert get(served, part) == CONTENT
    assert served.asked == ["", "bytes=300000-", "bytes=400000-"]


def test_a_later_command_goes_on_where_an_earlier_one_gave_up(served: Served, part: Path) -> None:
    served.cuts = [200_000]
    served.statuses = []
    download_until_cut(served, part)
    served.asked.clear()
    assert get(served, part) == CONTENT
    assert served.asked == ["bytes=200000-"]


def download_until_cut(served: Served, part: Path) -> None:
    with pytest.raises(DataError, match=r"200,000 bytes are kept in .*, the same command goes on from there"):
        download(served.url, part, patience=Patience(tries=1, wait=0.0, timeout=5.0))


def test_a_server_that_falls_silent_is_asked_again(served: Served, part: Path) -> None:
    served.cuts, served.silence = [200_000], 1.0
    assert download(served.url, part, patience=replace(AT_ONCE, timeout=0.2)).read_bytes() == CONTENT
    assert served.asked == ["", "bytes=200000-"]


def test_progress_renews_the_patience(served: Served, part: Path) -> None:
    served.cuts = [100_000] * 9
    assert get(served, part) == CONTENT
    assert len(served.asked) == 10


def test_a_changed_file_is_not_glued_to_the_old_part(served: Served, part: Path) -> None:
    served.cuts = [200_000]
    download_until_cut(served, part)
    served.content, served.etag = CONTENT[::-1], '"two"'
    served.modified = "Thu, 02 Jan 2025 00:00:00 GMT"
    assert get(served, part) == CONTENT[::-1]


def test_a_server_that_says_a_part_is_of_another_version_is_refused(served: Served, part: Path) -> None:
    served.cuts = [200_000]
    download_until_cut(served, part)
    served.etag = '"two"'  # its Last-Modified, which If-Range does not ask for, stays the same
    note = part.with_name("NAME.part.json")
    note.write_text(json.dumps({**json.loads(note.read_text()), "etag": ""}))
    with pytest.raises(DataError, match="the server sent another range than asked for"):
        get(served, part)


def test_without_a_name_for_the_version_the_file_is_fetched_anew(served: Served, part: Path) -> None:
    served.etag, served.modified, served.cuts = "", "", [200_000]
    download_until_cut(served, part)
    assert get(served, part) == CONTENT
    assert served.asked == ["", ""]


def test_a_weak_name_is_not_held_on_to_but_the_date_is(served: Served, part: Path) -> None:
    served.etag, served.cuts = 'W/"one"', [200_000]
    assert get(served, part) == CONTENT
    assert served.asked == ["", "bytes=200000-"]


def test_a_server_without_ranges_sends_the_file_anew(served: Served, part: Path) -> None:
    served.ranges, served.cuts = False, [200_000]
    assert get(served, part) == CONTENT


def test_a_server_that_does_not_say_the_length_is_believed(served: Served, part: Path) -> None:
    served.length = False
    seen: list[int | None] = []
    assert download(served.url, part, received=lambda _, total: seen.append(total)).read_bytes() == CONTENT
    assert set(seen) == {None}


def test_a_whole_file_is_not_fetched_again(served: Served, part: Path) -> None:
    get(served, part)
    served.asked.clear()
    assert get(served, part) == CONTENT
    assert served.asked == ["bytes=1000000-"]


def test_a_longer_part_than_the_file_is_fetched_anew(served: Served, part: Path) -> None:
    get(served, part)
    served.content = CONTENT[:5000]
    assert get(served, part) == CONTENT[:5000]


def test_a_part_of_another_address_is_not_gone_on_with(served: Served, part: Path) -> None:
    part.parent.mkdir()
    part.write_bytes(b"something else")
    assert get(served, part) == CONTENT
    assert served.asked == [""]


def test_a_busy_server_is_asked_again(served: Served, part: Path) -> None:
    served.statuses = [503, 429]
    assert get(served, part) == CONTENT


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (404, "404 Not Found, there is no such file"),
        (403, "403 Forbidden, it is not given out without a login"),
        (418, "418 .*, expected the file"),
    ],
)
def test_an_answer_that_will_not_change_is_one_line_at_once(
    served: Served, part: Path, status: int, sentence: str
) -> None:
    served.statuses = [status] * 9
    refused(served, part, sentence)
    assert len(served.asked) == 1


def test_a_server_that_stays_busy_is_given_up(served: Served, part: Path) -> None:
    served.statuses = [500] * 9
    refused(served, part, "the server answers 500 Internal Server Error, tried 3 times; try again later")
    assert len(served.asked) == 3


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "application/octet-stream"])
def test_a_web_page_is_not_taken_for_an_archive(served: Served, part: Path, kind: str) -> None:
    served.kind = kind
    served.content = (
        b"\n<!DOCTYPE html><html><head><title>Google Drive -\n Virus scan &amp; warning</title></head></html>"
    )
    refused(served, part, r"a web page came \('Google Drive - Virus scan & warning'\), expected an archive; open it in")
    assert part.read_bytes() == b""


def test_another_range_than_asked_for_is_refused(served: Served, part: Path) -> None:
    served.cuts, served.wrong_range = [200_000], True
    refused(served, part, "the server sent another range than asked for")


def test_nobody_at_the_address_is_one_line(part: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    with pytest.raises(DataError, match="the connection was refused, tried 3 times; try again later"):
        download(f"http://127.0.0.1:{free}/set.zip", part, patience=AT_ONCE)


def test_an_unknown_host_is_one_line(part: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(DataError, match=r"the host's name is not known .no network.., tried 3 times"):
        download("http://no-such-host.invalid/set.zip", part, patience=AT_ONCE)


def test_a_server_without_a_certificate_is_one_line(served: Served, part: Path) -> None:
    with pytest.raises(DataError, match="no trusted connection"):
        download(served.url.replace("http://", "https://"), part, patience=AT_ONCE)


@pytest.mark.parametrize("url", ["/data/set.zip", "file:///data/set.zip", "ftp://host/set.zip"])
def test_what_is_no_web_address_is_sent_to_import(part: Path, url: str) -> None:
    with pytest.raises(DataError, match=r"no http or https address; .* dfinet-bench data import"):
        download(url, part)


def test_an_address_that_cannot_be_read_is_one_line(part: Path) -> None:
    with pytest.raises(DataError, match="no address that can be asked"):
        download("http://", part, patience=AT_ONCE)


def test_too_little_room_is_said_before_the_download(
    served: Served, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = dataclasses.make_dataclass("Usage", ["free"])(999_999)
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    refused(served, part, "999,999 bytes free, expected 1,000,000 for the download; make room")


def test_a_disk_that_fills_up_is_one_line_and_keeps_what_came(
    served: Served, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(done: int, total: int | None) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(DataError, match=r"the disk is full; make room, [0-9,]+ bytes are kept"):
        download(served.url, part, received=fill, patience=AT_ONCE)
    assert get(served, part) == CONTENT


def test_a_download_can_be_forgotten(served: Served, part: Path) -> None:
    get(served, part)
    forget(part)
    assert list(part.parent.iterdir()) == []
