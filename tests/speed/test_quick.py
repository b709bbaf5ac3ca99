"""Seconds of the whole `run quick`, idle and on a busy machine, beside an earlier checkout: DFINET_BENCH_BEFORE.

`pytest -m speed --log-cli-level=INFO tests/speed/test_quick.py` prints the ratios; it takes half an hour. Beside busy
processes the other checkout would take hours: it is stopped, and told are the epochs that it had trained by then.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench.parallel import THREADS

log = logging.getLogger(__name__)

ROOT = Path(__file__).parents[2]
LEAST = 1.5
"""Times as fast that this checkout is at least, and after which the other one is stopped on a busy machine."""

SPIN = "while True: pass"


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """As many processes beside that never wait, of this process's session and priority."""
    started = [subprocess.Popen([sys.executable, "-c", SPIN]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def seconds_of_quick(checkout: Path, folder: Path, *, limit: float | None = None) -> tuple[float, bool]:
    """Seconds of `run quick` in a new folder as a user starts it, and whether it came to its end before the limit."""
    folder.mkdir()
    environment = {name: value for name, value in os.environ.items() if name not in (*THREADS, "DFINET_BENCH_WORKERS")}
    environment |= {"PYTHONPATH": str(checkout), "DFINET_BENCH_CACHE": str(folder / "cache")}
    words = [sys.executable, "-m", "bench", "run", "quick", "--runs", "runs", "--mlflow", "sqlite:///tracked.db"]
    began = time.perf_counter()
    with (folder / "log").open("w") as output:
        try:
            subprocess.run(words, cwd=folder, env=environment, stderr=output, stdout=output, check=True, timeout=limit)
        except subprocess.TimeoutExpired:
            return time.perf_counter() - began, False
    return time.perf_counter() - began, True


def epochs_trained(folder: Path) -> int:
    """Epochs of all trainings in a folder of runs."""
    return sum(len(path.read_text().splitlines()) for path in (folder / "runs").rglob("log.jsonl"))


@pytest.mark.speed
@pytest.mark.parametrize("processes", [0, 2], ids=["idle", "two busy processes beside"])
def test_quick(processes: int, tmp_path: Path) -> None:
    named = os.environ.get("DFINET_BENCH_BEFORE")
    if named is None:
        pytest.skip("DFINET_BENCH_BEFORE names no earlier checkout")
    with busy(processes):
        here, ended = seconds_of_quick(ROOT, tmp_path / "here")
        assert ended
        limit = LEAST * here if processes else None
        then, ended = seconds_of_quick(Path(named), tmp_path / "before", limit=limit)
    log.info("%d busy: %.0f s and %d epochs here", processes, here, epochs_trained(tmp_path / "here"))
    over = "" if ended else "stopped, over "
    epochs = epochs_trained(tmp_path / "before")
    log.info("%d busy: %.0f s and %d epochs before; %s%.2f times", processes, then, epochs, over, then / here)
    assert then / here >= LEAST
