"""A real server of one file on this machine, with the faults that servers have."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Served:
    """What the server has and how it behaves; changed by a test while it runs.

    Attributes:
        content: of the file.
        etag, modified: what it calls this version; empty for no such header.
        ranges: whether it gives parts.
        cuts: for each coming answer, after how many bytes the connection is cut.
        silence: seconds that it says nothing before it cuts.
        statuses: for each coming answer, an error to give instead.
        length: whether it says how long the answer is.
        asked: the `Range` header of every request so far, empty for none.
    """

    content: bytes
    etag: str = '"one"'
    modified: str = "Wed, 01 Jan 2025 00:00:00 GMT"
    ranges: bool = True
    length: bool = True
    kind: str = "application/zip"
    wrong_range: bool = False
    silence: float = 0.0
    cuts: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    url: str = ""

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


@contextmanager
def serving(content: bytes) -> Iterator[Served]:
    """A server of that content, at `Served.url`."""
    served = Served(content)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            _answer(self, served)

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            """A client that hangs up is nothing to report."""

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    served.url = f"http://127.0.0.1:{server.server_address[1]}/set.zip"
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _answer(handler: BaseHTTPRequestHandler, served: Served) -> None:
    asked = handler.headers.get("Range", "")
    served.asked.append(asked)
    if served.statuses:
        handler.send_error(served.statuses.pop(0))
        return
    start = (
        int(asked.removeprefix("bytes=").rstrip("-")) if asked and served.ranges and _matches(handler, served) else 0
    )
    total = len(served.content)
    if start >= total > 0:
        handler.send_response(416)
        handler.send_header("Content-Range", f"bytes */{total}")
        handler.send_header("Content-Length", "0")
        handler.end_headers()
        return
    handler.send_response(206 if start else 200)
    if start:
        shift = 1 if served.wrong_range else 0
        handler.send_header("Content-Range", f"bytes {start - shift}-{total - 1}/{total}")
    for name, value in (("ETag", served.etag), ("Last-Modified", served.modified), ("Content-Type", served.kind)):
        if value:
            handler.send_header(name, value)
    if served.length:
        handler.send_header("Content-Length", str(total - start))
    handler.end_headers()
    end = start + served.cuts.pop(0) if served.cuts else total
    handler.wfile.write(served.content[start:end])
    if end < total:
        time.sleep(served.silence)


def _matches(handler: BaseHTTPRequestHandler, served: Served) -> bool:
    return handler.headers.get("If-Range", served.etag) in (served.etag, served.modified)
