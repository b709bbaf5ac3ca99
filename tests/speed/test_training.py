"""Speed and memory of training steps, beside an earlier checkout that DFINET_BENCH_BEFORE names.

`pytest -m speed --log-cli-level=INFO tests/speed/test_training.py` prints the ratios. Both sides take turns in one run.
"""

from __future__ import annotations

import logging
import os
import statistics
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from bench.parallel import usable_processors
from tests.speed.sides import Side

log = logging.getLogger(__name__)

REPOSITORY = Path(__file__).parents[2]
TURNS = 5
CASES = [("DFINet", 256, 4, 8), ("DFINet", 64, 8, 8), ("ACM", 256, 4, 0), ("ACM", 64, 16, 0)]
IDS = [f"{model}-{batch}x{size}" for model, size, batch, _ in CASES]


def side(
    stack: ExitStack,
    checkout: Path,
    case: Sequence[Any],
    *,
    threads: int,
    precision: str = "float32",
    **variables: str,
) -> Side:
    """A process that runs the checkout's code; it answers with seconds of wall and processor a step, and MiB."""
    words = (*case, threads, precision)
    made = Side(stack, "training_side.py", *words, path=(checkout,), threads=threads, **variables)
    used, loss = made.answer()
    assert Path(used).is_relative_to(checkout.resolve())
    assert 0 < loss < 2
    return made


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
    with ExitStack() as stack:
        earlier = side(stack, before, case, threads=1)
        now = side(stack, REPOSITORY, case, threads=1, precision=precision)
        turns = [(earlier.ask(), now.ask()) for _ in range(TURNS)]
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
        earlier = side(stack, before, case, threads=2)
        pair = [side(stack, REPOSITORY, case, threads=1) for _ in range(2)]
        ratios = []
        for _ in range(TURNS):
            then = earlier.ask()[0]
            for each in pair:
                each.begin()
            here = [each.answer()[0] for each in pair]
            ratios.append(then * sum(1 / seconds for seconds in here))
    log.info("%s: %.2f times the images a second on two processors", case, statistics.median(ratios))
    assert statistics.median(ratios) > 1


@pytest.mark.speed
def test_memory_that_a_training_holds(before: Path) -> None:
    """DFINet of width 8, batches of 8 images: what is alive, for maps go back to the system as soon as they are freed.

    Without that, pieces of freed memory between the maps add about half as much again on both sides.
    """
    case = ("DFINet", 256, 8, 8)
    sides = before, REPOSITORY
    with ExitStack() as stack:
        alone = [side(stack, each, case, threads=1, MALLOC_MMAP_THRESHOLD_=str(2**20)) for each in sides]
        then, here = (each.ask()[2] for each in alone)
    with ExitStack() as stack:
        plain = [side(stack, each, case, threads=1) for each in sides]
        whole = [[each.ask()[2] for each in plain] for _ in range(2)][-1]
    log.info(
        "%.0f MiB alive before, %.0f now, %.2f of them; with what freed memory leaves between, %.0f and %.0f, %.2f",
        *(then, here, here / then, *whole, whole[1] / whole[0]),
    )
    assert here / then <= 0.7
