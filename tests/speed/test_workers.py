"""Seconds of a suite of equal experiments: two workers of one thread against one process of two threads.

`pytest -m speed --log-cli-level=INFO tests/speed/test_workers.py` prints the ratio.
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


def seconds_of_run(folder: Path, *, workers: int, turn: int) -> float:
    """Seconds of the whole command: start, images, training, prediction, scores and costs."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **dict.fromkeys(THREADS, "2")}
    words = ["run", "equal.toml", "--workers", str(workers), "--runs", f"runs-{workers}-{turn}", "--mlflow", "off"]
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "bench", *words, "--limit", "train=64,test=8"],
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
    seconds_of_run(tmp_path, workers=2, turn=-1)  # fills the caches of images and of compiled functions
    ratios = []
    for turn in range(TURNS):
        one, two = (seconds_of_run(tmp_path, workers=workers, turn=turn) for workers in (1, 2))
        ratios.append(one / two)
        log.info("one process of two threads %.1f s, two workers of one thread %.1f s: ratio %.2f", one, two, one / two)
    log.info("median ratio %.2f", statistics.median(ratios))
    assert statistics.median(ratios) > 1
