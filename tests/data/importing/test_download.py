from __future__ import annotations

import dataclasses
import errno
import random
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import requests
from http_files import Served, serving

from bench.data.importing.download import Patience, _refuse_status, _size_of, _TransientError, download
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
    assert served.asked == 1


def test_a_server_that_does_not_say_the_length_is_believed(served: Served, part: Path) -> None:
    served.length = False
    seen: list[int | None] = []
    assert download(served.url, part, received=lambda _, total: seen.append(total)).read_bytes() == CONTENT
    assert set(seen) == {None}


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
    assert served.asked == 1


def test_a_server_that_stays_busy_is_given_up(served: Served, part: Path) -> None:
    served.statuses = [500] * 9
    refused(served, part, "the server answers 500 Internal Server Error, tried 3 times; try again later")
    assert served.asked == 3


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "application/octet-stream"])
def test_a_web_page_is_not_taken_for_an_archive(served: Served, part: Path, kind: str) -> None:
    served.kind = kind
    served.content = (
        b"\n<!DOCTYPE html><html><head><title>Google Drive -\n Virus scan &amp; warning</title></head></html>"
    )
    refused(served, part, r"a web page came \('Google Drive - Virus scan & warning'\), expected a file; open it in")
    assert not part.exists()


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


def test_a_connection_that_is_cut_is_tried_again_from_the_start(served: Served, part: Path) -> None:
    served.cuts = [300_000, 100_000]
    assert get(served, part) == CONTENT
    assert served.asked == 3


def test_a_connection_that_is_cut_every_time_leaves_no_file(served: Served, part: Path) -> None:
    served.cuts = [900_000] * 9
    refused(served, part, "the connection was cut, tried 3 times; try again later")
    assert list(part.parent.iterdir()) == []


def test_a_server_that_falls_silent_is_asked_again(served: Served, part: Path) -> None:
    served.cuts, served.silence = [200_000], 1.0
    assert download(served.url, part, patience=replace(AT_ONCE, timeout=0.2)).read_bytes() == CONTENT
    assert served.asked == 2


def test_a_server_that_stays_silent_is_given_up(served: Served, part: Path) -> None:
    served.cuts, served.silence = [200_000] * 9, 1.0
    with pytest.raises(DataError, match="no answer in time, tried 2 times; try again later"):
        download(served.url, part, patience=replace(AT_ONCE, tries=2, timeout=0.2))


def test_what_lies_there_is_never_taken_for_the_file(served: Served, part: Path) -> None:
    part.parent.mkdir()
    part.write_bytes(CONTENT[:200_000])
    assert get(served, part) == CONTENT


def test_a_disk_that_fills_up_is_one_line_and_leaves_no_file(served: Served, part: Path) -> None:
    def fill(done: int, total: int | None) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(DataError, match="the disk is full; make room and fetch it again"):
        download(served.url, part, received=fill, patience=AT_ONCE)
    assert list(part.parent.iterdir()) == []


def test_an_interrupted_download_leaves_no_file(served: Served, part: Path) -> None:
    def interrupt(done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(served.url, part, received=interrupt)
    assert list(part.parent.iterdir()) == []


@pytest.mark.parametrize("text", ["²", "٣", "-1", "1" * 5000])
def test_a_header_that_writes_no_plain_number_is_left_aside(text: str) -> None:
    answer = requests.Response()
    answer.status_code = 503
    answer.headers["Content-Length"] = answer.headers["Retry-After"] = text
    assert _size_of(answer) is None
    with pytest.raises(_TransientError) as caught:
        _refuse_status(answer, "http://host/file")
    assert caught.value.wait == 0
