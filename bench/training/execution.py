"""Threads and kernels that a training runs with."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter

import torch

from bench.training.trained_with import Stretch

log = logging.getLogger(__name__)

LEAST_GAIN = 1.15
"""Ratio of speeds from which several threads are worth it: while they wait for each other they keep processors busy."""

LEAST_STEPS = 300
"""Steps of a training from which on a trial of a few pays."""

TRIAL_STEPS = 3


@contextmanager
def execution(
    *,
    device: torch.device,
    deterministic: bool,
    earlier: Sequence[Stretch],
    steps: int,
    make_trial: Callable[[], Callable[[], None]],
) -> Iterator[None]:
    """Run a training on a fitting number of threads, and where asked with deterministic kernels; restore both after it.

    On a CPU a deterministic training has one thread. Else a resumed one has as many as before, so that its numbers stay
    the same, and one that begins as many as a trial finds fastest, unless OMP_NUM_THREADS says how many.

    Args:
        earlier: what finished epochs were trained with.
        steps: that are still to be taken.
        make_trial: makes what takes one step, without effect on the training; called where there is a choice.
    """
    threads, is_strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    try:
        if device.type == "cpu":
            torch.set_num_threads(_threads(deterministic, earlier, steps, make_trial))
        elif deterministic:
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
            torch.use_deterministic_algorithms(True)
        yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(is_strict)


def _threads(
    deterministic: bool, earlier: Sequence[Stretch], steps: int, make_trial: Callable[[], Callable[[], None]]
) -> int:
    most = torch.get_num_threads()
    if deterministic:
        return 1
    if most == 1 or "OMP_NUM_THREADS" in os.environ:
        return most
    if earlier and earlier[-1].get("threads", most + 1) <= most:
        return int(earlier[-1]["threads"])
    return fastest_threads((1, most), make_trial()) if steps >= LEAST_STEPS else most


def fastest_threads(counts: Sequence[int], trial: Callable[[], None]) -> int:
    """The number of threads that the trial is fastest with; the first of them unless another is `LEAST_GAIN` faster."""
    seconds: dict[int, float] = {}
    for count in counts:
        torch.set_num_threads(count)
        trial()
        seconds[count] = min(_timed(trial) for _ in range(TRIAL_STEPS))
    best = min(seconds, key=lambda count: seconds[count])
    chosen = best if seconds[counts[0]] / seconds[best] >= LEAST_GAIN else counts[0]
    found = ", ".join(f"{1 / taken:.1f} with {count}" for count, taken in seconds.items())
    log.info("training on %d of %d threads; steps a second: %s", chosen, max(counts), found)
    return chosen


def _timed(trial: Callable[[], None]) -> float:
    began = perf_counter()
    trial()
    return perf_counter() - began
