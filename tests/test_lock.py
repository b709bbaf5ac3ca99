from __future__ import annotations

import logging
import threading
import time
from pathlib import Path

import pytest

from bench.errors import DataError
from bench.lock import refusing_lock, waiting_lock


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
