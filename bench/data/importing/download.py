"""One file from an address, taken up where it broke off, and never glued together from two versions of it."""

from __future__ import annotations

import errno
import json
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from html import unescape
from pathlib import Path
from typing import IO

import requests
from urllib3.exceptions import HTTPError, ReadTimeoutError

from bench._version import __version__
from bench.errors import DataError

CHUNK = 1 << 18
HEAD = 1 << 10
TRANSIENT = (408, 425, 429, 500, 502, 503, 504)
PAGE_STARTS = (b"<!doctype html", b"<html")

Received = Callable[[int, int | None], None]
"""Called with (bytes received, bytes in all or None where the server does not say)."""


@dataclass(frozen=True)
class Patience:
    """How long a download is tried: `tries` in a row without a new byte, `wait` seconds doubled from one to the next.

    Attributes:
        timeout: seconds without an answer or a byte after which a try has failed.
    """

    tries: int = 5
    wait: float = 1.0
    longest_wait: float = 60.0
    timeout: float = 30.0


@dataclass(frozen=True)
class _Version:
    """Which version of a file the bytes at hand are of, as the server names it."""

    url: str
    etag: str = ""
    modified: str = ""
    size: int | None = None

    @property
    def validator(self) -> str:
        """What asks for the rest of this version alone; empty where the server gave nothing to hold on to."""
        return self.modified if not self.etag or self.etag.startswith("W/") else self.etag


class _TryAgainError(Exception):
    """This try failed and the next may not."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


def download(url: str, path: Path, *, received: Received | None = None, patience: Patience | None = None) -> Path:
    """The file at an address, whole, as `path`; a part that is there already is gone on with, if it is of this version.

    Beside the part lies `<path>.json`, which says what version it is of; `forget` removes both.

    Raises:
        DataError: when the address is none, answers with an error or a web page, or cannot be reached; what was
            received is kept then.
    """
    if not url.lower().startswith(("http://", "https://")):
        raise DataError(f"{url}: no http or https address; for a file or folder use dfinet-bench data import")
    patience = patience or Patience()
    path.parent.mkdir(parents=True, exist_ok=True)
    failures, had = 0, _held(path)
    with requests.Session() as session:
        while True:
            try:
                _receive(session, url, path, received, patience)
                return path
            except _TryAgainError as error:
                failures = 1 if _held(path) > had else failures + 1
                had = _held(path)
                if failures >= patience.tries:
                    raise DataError(f"{url}: {error}, tried {failures} times; {_kept(path)}") from None
                time.sleep(min(patience.longest_wait, max(error.wait, patience.wait * 2 ** (failures - 1))))


def forget(path: Path) -> None:
    """Remove a download, whole or not, and what is known about it."""
    path.unlink(missing_ok=True)
    _note_file(path).unlink(missing_ok=True)


def _receive(session: requests.Session, url: str, path: Path, received: Received | None, patience: Patience) -> None:
    """One try; returns when the file is whole."""
    known = _read_note(path, url)
    held = _held(path) if known is not None and known.validator else 0
    headers = {"Accept-Encoding": "identity", "User-Agent": f"dfinet-bench/{__version__}"}
    if known is not None and held:
        headers |= {"Range": f"bytes={held}-", "If-Range": known.validator}
    with _failures_told(url, path), session.get(url, headers=headers, stream=True, timeout=patience.timeout) as answer:
        if answer.status_code == 416:
            _finish_or_forget(answer, path, known, held)
            return
        _refuse_status(answer, url)
        start = _start(answer, known, held)
        version = _version(answer, url, start)
        if start == 0:
            _note_file(path).write_text(json.dumps(asdict(version)), encoding="utf-8")
        _check_room(path, version.size, start)
        with path.open("ab" if start else "wb") as file:
            _copy(answer, file, start, version, received)
        if version.size is not None and _held(path) < version.size:
            raise _TryAgainError("the connection was cut")


def _start(answer: requests.Response, known: _Version | None, held: int) -> int:
    """At which byte the answer begins: where the held part ends, or 0 when it is another version or the whole file."""
    if answer.status_code != 206:
        return 0
    span = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", answer.headers.get("Content-Range", ""))
    if span is None or int(span[1]) != held or not _same_version(answer, known):
        raise DataError(f"{answer.url}: the server sent another range than asked for; fetch it from another address")
    return held


def _same_version(answer: requests.Response, known: _Version | None) -> bool:
    etag, modified = answer.headers.get("ETag", ""), answer.headers.get("Last-Modified", "")
    return known is not None and (not etag or etag == known.etag) and (not modified or modified == known.modified)


def _version(answer: requests.Response, url: str, start: int) -> _Version:
    encoded = answer.headers.get("Content-Encoding", "identity") != "identity"
    length = answer.headers.get("Content-Length", "")
    size = None if encoded or not length.isdigit() else start + int(length)
    return _Version(url, answer.headers.get("ETag", ""), answer.headers.get("Last-Modified", ""), size)


def _copy(answer: requests.Response, file: IO[bytes], start: int, version: _Version, received: Received | None) -> None:
    is_page = answer.headers.get("Content-Type", "").lower().startswith("text/html")
    done = start
    for chunk in _pieces(answer):
        if done == 0 and (is_page or chunk.lstrip().lower().startswith(PAGE_STARTS)):
            raise _page_error(answer, chunk)
        file.write(chunk)
        file.flush()
        done += len(chunk)
        if received is not None:
            received(done, version.size)


def _pieces(answer: requests.Response) -> Iterator[bytes]:
    """The content as it arrives, so that a cut loses nothing; the first piece is long enough to know a page by."""
    head = b""
    while piece := answer.raw.read1(CHUNK, decode_content=True):
        head += piece
        if len(head) >= HEAD:
            yield head
            break
    else:
        if head:
            yield head
    while piece := answer.raw.read1(CHUNK, decode_content=True):
        yield piece


def _page_error(answer: requests.Response, head: bytes) -> DataError:
    title = re.search(rb"<title[^>]*>(.*?)</title>", head, re.IGNORECASE | re.DOTALL)
    named = f" ({' '.join(unescape(title[1].decode(errors='replace')).split())[:80]!r})" if title else ""
    return DataError(
        f"{answer.url}: a web page came{named}, expected an archive; open it in a browser, save the file, "
        "and bring it in with dfinet-bench data import"
    )


def _refuse_status(answer: requests.Response, url: str) -> None:
    status = f"{answer.status_code} {answer.reason or ''}".strip()
    if answer.status_code in TRANSIENT:
        wait = answer.headers.get("Retry-After", "")
        raise _TryAgainError(f"the server answers {status}", float(wait) if wait.isdigit() else 0.0)
    if answer.status_code in (404, 410):
        raise DataError(f"{url}: {status}, there is no such file (any more); look for it on the dataset's page")
    if answer.status_code in (401, 403):
        raise DataError(f"{url}: {status}, it is not given out without a login; fetch it with a browser")
    if answer.status_code not in (200, 206):
        raise DataError(f"{url}: {status}, expected the file")


def _finish_or_forget(answer: requests.Response, path: Path, known: _Version | None, held: int) -> None:
    """Nothing lies behind the held part: it is the whole file, or not a part of it."""
    total = re.fullmatch(r"bytes \*/(\d+)", answer.headers.get("Content-Range", ""))
    size = int(total[1]) if total else None if known is None else known.size
    if held != size or not _same_version(answer, known):
        forget(path)
        raise _TryAgainError("the file has changed on the server")


def _check_room(path: Path, size: int | None, start: int) -> None:
    free = shutil.disk_usage(path.parent).free
    if size is not None and size - start > free:
        raise DataError(f"{path.parent}: {free:,} bytes free, expected {size - start:,} for the download; make room")


@contextmanager
def _failures_told(url: str, path: Path) -> Iterator[None]:
    """What the network and the disk raise, as one line or as another try."""
    try:
        yield
    except requests.exceptions.SSLError as error:
        raise DataError(
            f"{url}: no trusted connection ({_cause(error)}); check the clock and the certificates"
        ) from None
    except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema, requests.TooManyRedirects) as error:
        raise DataError(f"{url}: no address that can be asked ({error})") from None
    except requests.RequestException as error:
        raise _TryAgainError(_cause(error)) from None
    except HTTPError as error:
        raise _TryAgainError(
            "no byte in time" if isinstance(error, ReadTimeoutError) else "the connection was cut"
        ) from None
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DataError(f"{path}: the disk is full; make room, {_kept(path)}") from None
        raise


def _cause(error: requests.RequestException) -> str:
    """What went wrong at the bottom of it, in a few words."""
    text = str(error)
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if "NameResolution" in text or "getaddrinfo" in text:
        return "the host's name is not known (no network?)"
    if "refused" in text:
        return "the connection was refused"
    if "CERTIFICATE" in text.upper():
        return "the certificate is not trusted"
    if isinstance(error, requests.exceptions.ChunkedEncodingError) or "aborted" in text or "Incomplete" in text:
        return "the connection was cut"
    return type(error).__name__


def _kept(path: Path) -> str:
    held = _held(path)
    return f"{held:,} bytes are kept in {path}, the same command goes on from there" if held else "try again later"


def _held(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _note_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _read_note(path: Path, url: str) -> _Version | None:
    """What the held part is of; None without a part, or when it is of another address or nobody knows."""
    try:
        known: Mapping[str, object] = json.loads(_note_file(path).read_text(encoding="utf-8"))
        version = _Version(**known)  # type: ignore[arg-type]
    except (OSError, ValueError, TypeError):
        return None
    return version if version.url == url and path.is_file() else None
