"""The gate's measure of time on real networks: a planted slowdown shows, honest reruns and a busy machine do not."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch

from bench.cost.measure import example, one_pass
from bench.cost.plain_form import PlainForm, TimeRatio, least_ratio, record_plain_form, time_beside
from bench.models.network import build_model, to_device
from bench.run.gate_reference import SLOWER

pytestmark = pytest.mark.speed
CPU = torch.device("cpu")
ATTEMPTS = 3

Sides = tuple[Callable[[], object], PlainForm]


@pytest.fixture(params=["DFINet", "ACM", "UIU-Net"])
def sides(request: pytest.FixtureRequest) -> Sides:
    """A network's round, and its plain form."""
    settings = {"DFINet": {"width": 4}, "ACM": {}, "UIU-Net": {"width": 4}}[request.param]
    network = to_device(build_model(request.param, channels=1, settings=settings), CPU).eval()
    image, start = example(network, size=(128, 128), channels=1, device=CPU)
    predictor = network.predictor().eval()
    predictor.ends_early = False
    plain = PlainForm(record_plain_form(predictor, image, start), device=CPU)
    return lambda: one_pass(predictor, image, start, rounds=1), plain


def slowed(run: Callable[[], object], share: float) -> Callable[[], None]:
    """The function, with so much more work of this thread that it takes this share longer.

    The time of the whole process would not do: threads of the last operator wait actively for the next one, and count.
    """

    def slower() -> None:
        began = time.thread_time()
        run()
        end = began + (1 + share) * (time.thread_time() - began)
        while time.thread_time() < end:
            pass

    return slower


def limit_of(run: Callable[[], object], plain: PlainForm) -> float:
    """The ratio that a reference of the network allows."""
    found = sorted(time_beside(run, plain, budget=1.0).value for _ in range(ATTEMPTS))
    return found[ATTEMPTS // 2] * (1 + SLOWER)


def measured(run: Callable[[], object], plain: PlainForm, *, limit: float) -> TimeRatio:
    """The ratio as the gate takes it, in a shorter time."""
    return least_ratio(lambda: time_beside(run, plain, budget=1.0, limit=limit), limit=limit, attempts=ATTEMPTS)


def _spin() -> None:
    while True:
        pass


@contextmanager
def spinning(count: int) -> Iterator[None]:
    """So many processes beside this one that take all they get."""
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_spin, daemon=True) for _ in range(count)]
    for process in processes:
        process.start()
    time.sleep(1)
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.join()


def test_a_planted_slowdown_of_30_percent_is_caught(sides: Sides) -> None:
    run, plain = sides
    limit = limit_of(run, plain)
    assert measured(slowed(run, 0.3), plain, limit=limit).low > limit


def test_twenty_honest_reruns_raise_nothing(sides: Sides) -> None:
    limit = limit_of(*sides)
    found = [measured(*sides, limit=limit) for _ in range(20)]
    assert [one for one in found if one.low > limit] == []


@pytest.mark.parametrize("processes", [1, 2])
def test_a_planted_slowdown_is_caught_beside_spinning_processes(sides: Sides, processes: int) -> None:
    run, plain = sides
    limit = limit_of(run, plain)
    with spinning(processes):
        assert measured(slowed(run, 0.3), plain, limit=limit).low > limit


@pytest.mark.parametrize("processes", [1, 2])
def test_spinning_processes_beside_raise_nothing(sides: Sides, processes: int) -> None:
    limit = limit_of(*sides)
    with spinning(processes):
        found = [measured(*sides, limit=limit) for _ in range(5)]
    assert [one for one in found if one.low > limit] == []
