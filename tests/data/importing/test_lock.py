from __future__ import annotations

from pathlib import Path

import pytest

from bench.data.importing.lock import locked
from bench.errors import DataError


def test_a_second_is_refused_while_the_first_is_at_work_and_free_afterwards(tmp_path: Path) -> None:
    lock = tmp_path / "work.lock"
    with locked(lock, "busy"):
        with pytest.raises(DataError, match="busy"), locked(lock, "busy"):
            pass
        assert lock.exists()
        with pytest.raises(DataError, match="busy"), locked(lock, "busy"):
            pass
    with locked(lock, "busy"):
        assert lock.exists()


def test_nothing_is_left_behind_also_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), locked(tmp_path / "work.lock", "busy"):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_a_killed_process_left_holds_nothing_back(tmp_path: Path) -> None:
    (tmp_path / "work.lock").touch()
    with locked(tmp_path / "work.lock", "busy"):
        pass
    assert list(tmp_path.iterdir()) == []
