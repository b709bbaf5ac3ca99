"""Seconds of a suite: two workers of one thread against one process of two threads.

`pytest -m speed --log-cli-level=INFO tests/speed/test_workers.py` prints the ratios.
"""

from __future__ import annotations

import logging
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.parallel import THREADS, usable_processors

log = logging.getLogger(__name__)

ROOT = Path(__file__).parents[2]
SUITE = """
datasets = ["synthetic"]
seeds = [1, 2, 3, 4]

[set]
"recipe.epochs" = 12
"recipe.batch" = 4
"recipe.patch" = 128

[[row]]
model = "ACM"
"""
TURNS = 2


def seconds_of_run(folder: Path, suite: str, *more: str, workers: int, turn: int) -> float:
    """Seconds of the whole command: start, images, training, prediction, scores and costs."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **dict.fromkeys(THREADS, "2")}
    words = ["run", suite, "--workers", str(workers), "--runs", f"runs-{workers}-{turn}", "--mlflow", "off", *more]
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "bench", *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        check=True,
    )
    return time.perf_counter() - began


@pytest.mark.speed
@pytest.mark.skipif(usable_processors() < 2, reason="needs two processors")
def test_two_workers_of_one_thread_are_faster_than_one_process_of_two(tmp_path: Path) -> None:
    (tmp_path / "equal.toml").write_text(SUITE)
    limit = "--limit", "train=64,test=8"
    seconds_of_run(tmp_path, "equal.toml", *limit, workers=2, turn=-1)  # fills the caches of images and functions
    ratios = []
    for turn in range(TURNS):
        one, two = (seconds_of_run(tmp_path, "equal.toml", *limit, workers=each, turn=turn) for each in (1, 2))
        ratios.append(one / two)
        log.info("one process of two threads %.1f s, two workers of one thread %.1f s: ratio %.2f", one, two, one / two)
    log.info("median ratio %.2f", statistics.median(ratios))
    assert statistics.median(ratios) > 1


@pytest.mark.speed
@pytest.mark.skipif(usable_processors() < 2, reason="needs two processors")
def test_two_workers_of_one_thread_finish_quick_by_a_third_faster(tmp_path: Path) -> None:
    one, two = (seconds_of_run(tmp_path, "quick", workers=workers, turn=0) for workers in (1, 2))
    log.info("quick: one process of two threads %.1f s, two workers %.1f s: ratio %.2f", one, two, one / two)
    assert one / two >= 1.3
