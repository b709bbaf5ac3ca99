from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock
import pytest

from bench import lock as module
from bench.errors import DataError
from bench.lock import free_lock, refusing_lock, waiting_lock

ROOT = Path(__file__).parents[1]
HOLDS = """
import sys
from pathlib import Path
from bench import lock

lock.LEASE, lock.HEARTBEAT = 1.0, 0.1
with lock.waiting_lock(Path(sys.argv[1]), "busy"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_is_refused_while_the_first_is_at_work_and_free_afterwards(tmp_path: Path) -> None:
    lock = tmp_path / "work.lock"
    with refusing_lock(lock, "busy"):
        with pytest.raises(DataError, match="busy"), refusing_lock(lock, "busy"):
            pass
        assert lock.exists()
        with pytest.raises(DataError, match="busy"), refusing_lock(lock, "busy"):
            pass
    with refusing_lock(lock, "busy"):
        assert lock.exists()


def test_nothing_is_left_behind_also_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), refusing_lock(tmp_path / "work.lock", "busy"):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_a_killed_process_left_holds_nothing_back(tmp_path: Path) -> None:
    (tmp_path / "work.lock").touch()
    with refusing_lock(tmp_path / "work.lock", "busy"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_second_waits_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    told: list[str] = []

    def second() -> None:
        with waiting_lock(tmp_path / "work.lock", "busy: waiting for it to finish"):
            told.append("second")

    with waiting_lock(tmp_path / "work.lock", "busy: waiting for it to finish"):
        thread = threading.Thread(target=second)
        thread.start()
        while "waiting for it to finish" not in caplog.text:
            time.sleep(0.01)
        told.append("first")
    thread.join(timeout=10)
    assert told == ["first", "second"]
    assert not (tmp_path / "work.lock").exists()


@pytest.fixture
def short_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LEASE", 1.0)
    monkeypatch.setattr(module, "HEARTBEAT", 0.1)


@contextmanager
def holder(lock: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process of this machine that holds the lock; it is not asked after before the end."""
    words = [sys.executable, "-c", HOLDS, str(lock)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(words, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def is_free(lock: Path) -> bool:
    with free_lock(lock) as found:
        return found


def foreign_lease(lock: Path) -> Path:
    """A lease that a process of another machine with our number took."""
    path = lock.with_name(lock.name + module.SUFFIX)
    with filelock.SoftFileLease(path, lease_duration=module.LEASE, heartbeat_interval=module.HEARTBEAT) as lease:
        text = Path(lease.lock_file).read_text()
    host = next(line for line in text.splitlines() if line.startswith("host="))
    path.write_text(text.replace(host, "host=elsewhere"))
    return path


@pytest.mark.usefixtures("short_lease")
def test_the_lock_of_a_killed_process_is_free_before_its_parent_asks_after_it(tmp_path: Path) -> None:
    lock = tmp_path / "work.lock"
    with holder(lock) as process:
        assert not is_free(lock)
        process.kill()
        end = time.monotonic() + 10
        while not is_free(lock):  # a thread that is still ending keeps the lock for a moment
            assert time.monotonic() < end
            time.sleep(0.01)
        assert Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("short_lease")
def test_a_paused_process_of_this_machine_keeps_its_lock_however_long(tmp_path: Path) -> None:
    lock = tmp_path / "work.lock"
    with holder(lock) as process:
        process.send_signal(signal.SIGSTOP)
        seen = time.monotonic()
        while time.monotonic() - seen < 2 * module.LEASE:
            assert not is_free(lock)
            time.sleep(0.1)


@pytest.mark.usefixtures("short_lease")
def test_another_machine_keeps_its_lock_while_it_gives_signs_and_loses_it_some_time_after(tmp_path: Path) -> None:
    lock = tmp_path / "work.lock"
    lease, last = foreign_lease(lock), 0.0

    def give_signs() -> None:
        nonlocal last
        for _ in range(20):
            last = time.monotonic()
            os.utime(lease)
            time.sleep(0.1)

    assert not is_free(lock)
    thread = threading.Thread(target=give_signs)
    thread.start()
    with waiting_lock(lock, "busy"):
        waited = time.monotonic() - last
        assert not thread.is_alive()
        assert "host=elsewhere" not in lease.read_text()
    assert waited >= 0.9 * module.LEASE  # the last sign may have come up to one look before it was seen
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("short_lease")
def test_one_that_lost_its_lease_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lock = tmp_path / "work.lock"
    with waiting_lock(lock, "busy"):
        lock.with_name(lock.name + module.SUFFIX).unlink()
        while "another run may do the same work" not in caplog.text:
            time.sleep(0.01)
