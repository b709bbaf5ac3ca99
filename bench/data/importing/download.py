"""Download of one file over HTTP, whole or not at all."""

from __future__ import annotations

import errno
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import unescape
from itertools import count
from pathlib import Path

import requests

from bench._version import __version__
from bench.errors import DataError
from bench.input_files import whole_number

CHUNK = 1 << 18
TRANSIENT = (408, 425, 429, 500, 502, 503, 504)
PAGE_STARTS = (b"<!doctype html", b"<html")

Received = Callable[[int, int | None], None]
"""Called with (bytes received, bytes in all or None where the server does not say)."""


@dataclass(frozen=True)
class Patience:
    """Number of tries of a download and the pauses between them.

    Attributes:
        tries: how often the file is asked for before the download fails.
        wait: seconds before the second try, doubled from one try to the next.
        longest_wait: seconds that no pause exceeds, even where the server asks for a longer one.
        timeout: seconds without an answer or a byte after which a try has failed.
    """

    tries: int = 5
    wait: float = 1.0
    longest_wait: float = 60.0
    timeout: float = 30.0


class _TransientError(Exception):
    """A try failed in a way that the next one may not."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


BRING_IN = "bring it in with dfinet-bench data import"


def download(
    url: str,
    path: Path,
    *,
    received: Received | None = None,
    patience: Patience | None = None,
    advice: str = BRING_IN,
) -> Path:
    """Store the file at an address as `path`, in place of whatever lies there, and return the path.

    A try that fails leaves no file. The archives that cards name are packed by the server while it sends them, so that
    it can send no missing part of one: every try asks for the whole file.

    Args:
        advice: what to do with a file that was saved by hand instead, for errors.

    Raises:
        DataError: when the address is none, answers with an error or a web page, or cannot be reached.
    """
    if not url.lower().startswith(("http://", "https://")):
        raise DataError(f"{url}: no http or https address; for a file or folder use dfinet-bench data import")
    patience = patience or Patience()
    path.parent.mkdir(parents=True, exist_ok=True)
    for tried in count(1):
        try:
            with _absent_on_failure(path), _failures_named(url, path):
                _receive(url, path, received, timeout=patience.timeout, advice=advice)
            break
        except _TransientError as error:
            if tried >= patience.tries:
                raise DataError(f"{url}: {error}, tried {tried} times; try again later") from None
            time.sleep(min(patience.longest_wait, max(error.wait, patience.wait * 2 ** (tried - 1))))
    return path


def _receive(url: str, path: Path, received: Received | None, *, timeout: float, advice: str) -> None:
    """Ask for the file once and store it; urllib3 raises where an answer is shorter than its Content-Length."""
    headers = {"Accept-Encoding": "identity", "User-Agent": f"dfinet-bench/{__version__}"}
    with requests.get(url, headers=headers, stream=True, timeout=timeout) as answer, path.open("wb") as file:
        _refuse_status(answer, url)
        size = _size_of(answer)
        _check_room(path, size)
        is_page = answer.headers.get("Content-Type", "").lower().startswith("text/html")
        done = 0
        for chunk in answer.iter_content(CHUNK):
            if done == 0 and (is_page or chunk.lstrip().lower().startswith(PAGE_STARTS)):
                raise _page_error(answer, chunk, advice)
            file.write(chunk)
            done += len(chunk)
            if received is not None:
                received(done, size)


def _size_of(answer: requests.Response) -> int | None:
    is_encoded = answer.headers.get("Content-Encoding", "identity") != "identity"
    length = answer.headers.get("Content-Length", "")
    return None if is_encoded else whole_number(length)


def _check_room(path: Path, size: int | None) -> None:
    free = shutil.disk_usage(path.parent).free
    if size is not None and size > free:
        raise DataError(f"{path.parent}: {free:,} bytes free, expected {size:,} for the download; make room")


def _page_error(answer: requests.Response, head: bytes, advice: str) -> DataError:
    title = re.search(rb"<title[^>]*>(.*?)</title>", head, re.IGNORECASE | re.DOTALL)
    named = f" ({' '.join(unescape(title[1].decode(errors='replace')).split())[:80]!r})" if title else ""
    return DataError(
        f"{answer.url}: a web page came{named}, expected a file; open it in a browser, save the file, and {advice}"
    )


def _refuse_status(answer: requests.Response, url: str) -> None:
    status = f"{answer.status_code} {answer.reason or ''}".strip()
    if answer.status_code in TRANSIENT:
        wait = whole_number(answer.headers.get("Retry-After", ""))
        raise _TransientError(f"the server answers {status}", float(wait or 0))
    if answer.status_code in (404, 410):
        raise DataError(f"{url}: {status}, there is no such file (any more); look for it on its page")
    if answer.status_code in (401, 403):
        raise DataError(f"{url}: {status}, it is not given out without a login; fetch it with a browser")
    if answer.status_code != 200:
        raise DataError(f"{url}: {status}, expected the file")


@contextmanager
def _absent_on_failure(path: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        path.unlink(missing_ok=True)
        raise


@contextmanager
def _failures_named(url: str, path: Path) -> Iterator[None]:
    """Raise what the network and the disk raise as one line, or as a reason for another try."""
    try:
        yield
    except requests.exceptions.SSLError as error:
        raise DataError(
            f"{url}: no trusted connection ({_cause(error)}); check the clock and the certificates"
        ) from None
    except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema, requests.TooManyRedirects) as error:
        raise DataError(f"{url}: no address that can be asked ({error})") from None
    except requests.RequestException as error:
        raise _TransientError(_cause(error)) from None
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DataError(f"{path}: the disk is full; make room and fetch it again") from None
        raise


def _cause(error: requests.RequestException) -> str:
    """The bottom of an error in a few words."""
    text = str(error)
    if isinstance(error, requests.Timeout) or "timed out" in text:
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
