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
        cuts: for each coming answer, after how many bytes the connection is cut.
        silence: seconds that it says nothing before it cuts.
        statuses: for each coming answer, an error to give instead.
        length: whether it says how long the answer is.
        asked: requests so far.
    """

    content: bytes
    length: bool = True
    kind: str = "application/zip"
    silence: float = 0.0
    cuts: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    asked: int = 0
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
    served.asked += 1
    if served.statuses:
        handler.send_error(served.statuses.pop(0))
        return
    total = len(served.content)
    handler.send_response(200)
    handler.send_header("Content-Type", served.kind)
    if served.length:
        handler.send_header("Content-Length", str(total))
    handler.end_headers()
    end = served.cuts.pop(0) if served.cuts else total
    handler.wfile.write(served.content[:end])
    if end < total:
        time.sleep(served.silence)
