"""Speed and memory of training steps, beside an earlier checkout that DFINET_BENCH_BEFORE names.

`pytest -m speed --log-cli-level=INFO tests/speed/test_training.py` prints the ratios. Both sides take turns in one run.
"""

from __future__ import annotations

import json
import logging
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from bench.parallel import THREADS, usable_processors

log = logging.getLogger(__name__)

REPOSITORY = Path(__file__).parents[2]
TURNS = 5
CASES = [("DFINet", 256, 4, 8), ("DFINet", 64, 8, 8), ("ACM", 256, 4, 0), ("ACM", 64, 16, 0)]
IDS = [f"{model}-{batch}x{size}" for model, size, batch, _ in CASES]


@contextmanager
def side(
    checkout: Path, case: Sequence[Any], *, threads: int, precision: str = "float32", **variables: str
) -> Iterator[Any]:
    """A process that runs the checkout's code; asking it gives seconds of wall and processor a step, and MiB."""
    words = [*map(str, case), str(threads), precision]
    environment = {**os.environ, "PYTHONPATH": str(checkout), **dict.fromkeys(THREADS, str(threads)), **variables}
    with subprocess.Popen(
        [sys.executable, str(REPOSITORY / "tests/speed/training_side.py"), *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        used, loss = json.loads(process.stdout.readline())
        assert Path(used).is_relative_to(checkout.resolve())
        assert 0 < loss < 2

        def ask(*, wait: bool = True) -> Any:
            if wait:
                process.stdin.write("\n")  # type: ignore[union-attr]
                process.stdin.flush()  # type: ignore[union-attr]
            return json.loads(process.stdout.readline())  # type: ignore[union-attr]

        def begin() -> None:
            process.stdin.write("\n")  # type: ignore[union-attr]
            process.stdin.flush()  # type: ignore[union-attr]

        ask.begin = begin  # type: ignore[attr-defined]
        yield ask
        process.stdin.close()


@pytest.fixture
def before() -> Path:
    named = os.environ.get("DFINET_BENCH_BEFORE")
    if named is None:
        pytest.skip("DFINET_BENCH_BEFORE names no earlier checkout")
    return Path(named)


@pytest.mark.speed
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_steps_on_one_thread(case: Sequence[Any], precision: str, before: Path) -> None:
    with side(before, case, threads=1) as earlier, side(REPOSITORY, case, threads=1, precision=precision) as now:
        turns = [(earlier(), now()) for _ in range(TURNS)]
    ratio = statistics.median(then[1] / here[1] for then, here in turns)
    images = case[2] / min(here[0] for _, here in turns)
    memory = turns[-1][1][2] / turns[-1][0][2]
    log.info("%s %s: %.2f times as fast (%.1f images/s), %.2f of the memory", case, precision, ratio, images, memory)
    assert ratio > 1


@pytest.mark.speed
@pytest.mark.skipif(usable_processors() < 2, reason="needs two processors")
@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_two_trainings_on_two_processors(case: Sequence[Any], before: Path) -> None:
    """Two processes of one thread at the same time, against one of two threads."""
    with ExitStack() as stack:
        earlier = stack.enter_context(side(before, case, threads=2))
        pair = [stack.enter_context(side(REPOSITORY, case, threads=1)) for _ in range(2)]
        ratios = []
        for _ in range(TURNS):
            then = earlier()[0]
            for each in pair:
                each.begin()
            here = [each(wait=False)[0] for each in pair]
            ratios.append(then * sum(1 / seconds for seconds in here))
    log.info("%s: %.2f times the images a second on two processors", case, statistics.median(ratios))
    assert statistics.median(ratios) > 1


@pytest.mark.speed
def test_memory_that_a_training_holds(before: Path) -> None:
    """DFINet of width 8, batches of 8 images: what is alive, for maps go back to the system as soon as they are freed.

    Without that, pieces of freed memory between the maps add about half as much again on both sides.
    """
    case = ("DFINet", 256, 8, 8)
    alone = {"MALLOC_MMAP_THRESHOLD_": str(2**20)}
    with side(before, case, threads=1, **alone) as earlier, side(REPOSITORY, case, threads=1, **alone) as now:
        then, here = earlier()[2], now()[2]
    with side(before, case, threads=1) as earlier, side(REPOSITORY, case, threads=1) as now:
        whole = [(earlier()[2], now()[2]) for _ in range(2)][-1]
    log.info(
        "%.0f MiB alive before, %.0f now, %.2f of them; with what freed memory leaves between, %.0f and %.0f, %.2f",
        *(then, here, here / then, *whole, whole[1] / whole[0]),
    )
    assert here / then <= 0.7
