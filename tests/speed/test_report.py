"""Seconds and memory of `report`, beside an earlier checkout: DFINET_BENCH_BEFORE.

`DFINET_BENCH_RUNS=RUNS pytest -m speed --log-cli-level=INFO tests/speed/test_report.py` prints the ratio for the
results of `run quick` in RUNS, and the memory of 30 methods on 2 datasets with 664 images each. The grid
of 2,000 results has a limit in seconds: the machine has to be idle for it.
"""

from __future__ import annotations

import itertools
import logging
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.store.files import write_arrays
from bench.types import Row, RunResult
from tests.reports.fake_runs import ACM, measured, result, write_suite

log = logging.getLogger(__name__)

ROOT = Path(__file__).parents[2]
TURNS, MOST = 3, 0.5
"""Reports of each checkout, in turns, and the most of the earlier one's time that this one takes."""

METHODS, IMAGES, MOST_MEMORY = 30, 664, 1e9
"""Size of the large suite, and the most bytes that a report of it takes."""


GRID = (100, 4, 5)
"""Methods, datasets and seeds of the largest suite: 2,000 results."""
GRID_IMAGES, MOST_SECONDS = 100, 20.0
MADE_BY_PREDICTIONS = (
    *("intersection", "predicted", "hits", "matched", "components", "unmatched", "unmatched_area", "equal_area"),
    "target_matched",
)


def seconds_of_report(checkout: Path, runs: Path, suite: str, out: Path) -> float:
    """Seconds of the whole command as a user starts it, without MLflow."""
    words = [sys.executable, "-m", "bench", "report", suite, "--from", str(runs), "--out", str(out), "--mlflow", "off"]
    began = time.perf_counter()
    subprocess.run(words, cwd=out.parent, env={**os.environ, "PYTHONPATH": str(checkout)}, check=True, stdout=-3)
    return time.perf_counter() - began


def mix_counts(kinds: Sequence[Path], out: Path, rng: np.random.Generator) -> None:
    """Write counts of which every image's are those of a kind drawn for it, so that no two results are alike."""
    several = [dict(np.load(path)) for path in kinds]
    images = len(several[0]["names"])
    chosen = rng.integers(0, len(kinds), size=images)
    mixed = {}
    for name, values in several[0].items():
        each = np.stack([arrays[name] for arrays in several])
        if name in MADE_BY_PREDICTIONS:
            places = chosen if values.shape[-1] == images else chosen[several[0]["target_image"]]
            mixed[name] = np.take_along_axis(each, places.reshape(1, 1, -1), axis=0)[0]
        else:
            if name != "target_scr":  # noise differs between the kinds, targets do not
                assert (each == values).all(), name
            mixed[name] = values
    write_arrays(out, mixed)


@pytest.mark.speed
def test_a_report_of_quick_takes_half_of_the_earlier_time(tmp_path: Path) -> None:
    before, runs = os.environ.get("DFINET_BENCH_BEFORE"), os.environ.get("DFINET_BENCH_RUNS")
    if before is None or runs is None:
        pytest.skip("DFINET_BENCH_BEFORE names no earlier checkout, or DFINET_BENCH_RUNS no results of quick")
    ratios = []
    for turn in range(TURNS):
        then = seconds_of_report(Path(before), Path(runs), "quick", tmp_path / f"before-{turn}")
        here = seconds_of_report(ROOT, Path(runs), "quick", tmp_path / f"here-{turn}")
        log.info("report quick: %.1f s here, %.1f s before, %.2f of it", here, then, here / then)
        ratios.append(here / then)
    assert statistics.median(ratios) <= MOST


@pytest.mark.speed
def test_a_report_of_thirty_methods_takes_less_than_a_gigabyte(tmp_path: Path) -> None:
    rows: list[tuple[str, RunResult | None, Row | None]] = []
    for dataset in ("NUAA-SIRST", "NUDT-SIRST"):
        first = measured(result(ACM, dataset), tmp_path, skill=0.7, frames=IMAGES)
        for number in range(METHODS):
            named = result(replace(ACM, name=f"Net {number}"), dataset)
            made = replace(named, scores=first.scores, rounds=first.rounds)
            shutil.copytree(tmp_path / first.key, tmp_path / made.key)
            rows.append((made.model.name, made, None))
    write_suite(tmp_path, rows)
    taken = seconds_of_report(ROOT, tmp_path, "trial", tmp_path / "out")
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    log.info("report of %d methods on 2 x %d images: %.0f s, %.0f MB", METHODS, IMAGES, taken, memory / 1e6)
    assert memory < MOST_MEMORY


@pytest.mark.speed
def test_a_report_of_two_thousand_results_takes_twenty_seconds_and_less_than_a_gigabyte(tmp_path: Path) -> None:
    methods, datasets, seeds = GRID
    rng = np.random.default_rng(0)
    rows: list[tuple[str, RunResult | None, Row | None]] = []
    for dataset in ("NUAA-SIRST", "NUDT-SIRST", "IRSTD-1k", "SIRST-Aug")[:datasets]:
        firsts = [
            measured(result(ACM, dataset, seed=900 + kind), tmp_path, skill=0.55 + 0.1 * kind, frames=GRID_IMAGES)
            for kind in range(4)
        ]
        for number, seed in itertools.product(range(methods), range(seeds)):
            first = firsts[(7 * number + seed) % len(firsts)]
            named = result(replace(ACM, name=f"Net {number:03d}", reported=()), dataset, seed=seed)
            made = replace(named, scores=first.scores, rounds=first.rounds)
            shutil.copytree(tmp_path / first.key, tmp_path / made.key)
            mix_counts([tmp_path / each.key / "counts.npz" for each in firsts], tmp_path / made.key / "counts.npz", rng)
            rows.append((made.model.name, made, None))
    write_suite(tmp_path, rows)
    taken = seconds_of_report(ROOT, tmp_path, "trial", tmp_path / "out")
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = used.ru_utime + used.ru_stime
    memory = used.ru_maxrss * 1024
    page = (tmp_path / "out" / "index.html").stat().st_size
    log.info("report of %d results: %.0f s, %.0f of processors, %.0f MB, a page of %.1f MB",
             len(rows), taken, processor, memory / 1e6, page / 1e6)  # fmt: skip
    assert memory < MOST_MEMORY
    assert taken < MOST_SECONDS
