"""A real MLflow server for tests, on sqlite or on a PostgreSQL of its own, that can be killed and started again."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

PATIENCE = 90.0


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


class Server:
    """`mlflow server` on a database and a folder of artifacts."""

    def __init__(self, database: str, folder: Path) -> None:
        self._database, self._folder = database, folder
        self._port = free_port()
        self.uri = f"http://127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        words = ["--backend-store-uri", self._database, "--artifacts-destination", str(self._folder / "artifacts")]
        command = [sys.executable, "-m", "mlflow", "server", *words, "--port", str(self._port), "--workers", "1"]
        environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        with (self._folder / "server.log").open("ab") as said:
            self._process = subprocess.Popen(
                command, env=environment, stdout=said, stderr=said, cwd=self._folder, start_new_session=True
            )
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and self._process.poll() is None:
            with suppress(URLError, OSError), urlopen(f"{self.uri}/health", timeout=2):
                return
            time.sleep(0.1)
        raise AssertionError((self._folder / "server.log").read_text())

    def kill(self) -> None:
        """End it and its workers at once."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, 9)
            self._process.wait()
            self._process = None


@contextmanager
def mlflow_server(database: str, folder: Path) -> Iterator[Server]:
    """A server that runs until the block ends."""
    server = Server(database, folder)
    server.start()
    try:
        yield server
    finally:
        server.kill()


def _program(name: str) -> str:
    """Path of a program of PostgreSQL, which Debian keeps off the PATH; skips the test, under CI fails it, if none."""
    found = [*Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), *filter(None, [shutil.which(name)])]
    if found:
        return str(found[0])
    reason = f"no {name} is installed; apt-get install postgresql"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def postgres() -> Iterator[str]:
    """The uri of an empty database on a PostgreSQL server that runs until the block ends."""
    initdb, program = _program("initdb"), _program("postgres")
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install '.[test]'")
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    who: dict[str, str] = {}
    if os.geteuid() == 0:  # as whom it refuses to run
        who["user"] = "postgres"
        shutil.chown(folder, "postgres", "postgres")
    port, data = free_port(), folder / "data"
    quick = ["-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off"]
    where = ["-c", f"unix_socket_directories={folder}", "-c", "listen_addresses=127.0.0.1", "-p", str(port)]
    initialise = [initdb, "-D", str(data), "-U", "tests", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C"]
    subprocess.run(initialise, check=True, capture_output=True, cwd=folder, **who)  # type: ignore[call-overload]
    command = [program, "-D", str(data), *where, *quick]
    with (
        open(folder.with_suffix(".log"), "wb") as said,  # noqa: PTH123
        subprocess.Popen(command, stdout=said, stderr=said, cwd=folder, **who) as process,  # type: ignore[call-overload]
    ):
        try:
            _wait_for(port)
            yield f"postgresql://tests@127.0.0.1:{port}/postgres"
        finally:
            process.terminate()
            process.wait()
            shutil.rmtree(folder, ignore_errors=True)
            folder.with_suffix(".log").unlink()


def _wait_for(port: int) -> None:
    import psycopg

    end = time.monotonic() + PATIENCE
    while True:
        try:
            psycopg.connect(host="127.0.0.1", port=port, user="tests", dbname="postgres").close()
            return
        except psycopg.OperationalError:
            assert time.monotonic() < end, "PostgreSQL does not answer"
            time.sleep(0.05)
