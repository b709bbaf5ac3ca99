"""How much of the machine other processes take: a busy process shows, this one's own work does not."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from bench.cost.machine_load import OtherWork, busy_seconds

pytestmark = pytest.mark.skipif(busy_seconds() is None, reason="this system does not count its processors' time")


def work(seconds: float) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


def test_own_work_is_left_out_and_that_of_a_busy_process_is_not() -> None:
    """Told by seconds of work, which do not depend on what else runs: the busy process takes some of its own time."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
        try:
            others = OtherWork()
            own, before = time.process_time(), busy_seconds()
            work(1.0)
            share, own, after = others.share(), time.process_time() - own, busy_seconds()
        finally:
            busy.kill()
    assert before is not None
    assert after is not None
    assert share is not None
    assert 0 < share <= 1
    assert after - before > own + 0.1, "the other process worked, too"


def test_where_nothing_is_counted_the_share_is_unknown(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setattr("bench.cost.machine_load.STATISTICS", tmp_path / "none")
    assert OtherWork().share() is None
