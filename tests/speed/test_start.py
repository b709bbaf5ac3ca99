"""Start-up time of the command line and of `import bench`, side by side with an earlier checkout.

Set DFINET_BENCH_BEFORE to the folder of the earlier checkout. Both sides run in turn in processes of their own.
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

pytestmark = pytest.mark.speed

ROOT = Path(__file__).parents[2]
REPEATS = 15
log = logging.getLogger(__name__)

WORDS = {
    "--help": ("-m", "bench", "--help"),
    "list models": ("-m", "bench", "list", "models"),
    "import bench": ("-c", "import bench"),
    "no import at all": ("-c", "pass"),
}


def seconds(checkout: Path, words: tuple[str, ...]) -> float:
    """Wall time of a Python process that finds the packages of the checkout."""
    environment = {**os.environ, "PYTHONPATH": str(checkout), "PYTHONDONTWRITEBYTECODE": ""}
    began = time.perf_counter()
    subprocess.run([sys.executable, *words], cwd=checkout, env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


@pytest.mark.parametrize("what", ["--help", "list models", "import bench"])
def test_the_start_is_no_slower_than_before(what: str) -> None:
    before = os.environ.get("DFINET_BENCH_BEFORE")
    if before is None:
        pytest.skip("DFINET_BENCH_BEFORE is not set; it names an earlier checkout to compare with")
    sides = {"before": Path(before), "here": ROOT}
    taken: dict[str, list[float]] = {side: [] for side in (*sides, "python")}
    for checkout in sides.values():  # compiles the modules
        seconds(checkout, WORDS[what])
    for _ in range(REPEATS):
        for side, checkout in sides.items():
            taken[side].append(seconds(checkout, WORDS[what]))
        taken["python"].append(seconds(ROOT, WORDS["no import at all"]))
    middle = {side: statistics.median(values) for side, values in taken.items()}
    fastest = {side: min(values) for side, values in taken.items()}
    log.info(
        "%s: before %.3f s, here %.3f s (fastest %.3f and %.3f), an empty Python process %.3f s",
        what,
        middle["before"],
        middle["here"],
        fastest["before"],
        fastest["here"],
        middle["python"],
    )
    assert fastest["here"] <= 1.1 * fastest["before"]
    limit = {"--help": 0.3, "import bench": 0.1 + fastest["python"]}.get(what)
    assert limit is None or fastest["here"] < limit
