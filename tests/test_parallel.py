from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor

import pytest

from bench import parallel
from bench.errors import RequestError
from bench.parallel import AUTOGROUP, LOWEST_PRIORITY, Beside, ordered_map


@pytest.mark.parametrize("kind", [ThreadPoolExecutor, ProcessPoolExecutor])
@pytest.mark.parametrize("ahead", [1, 3, 99])
def test_results_come_in_the_order_of_the_items(kind: type[Executor], ahead: int) -> None:
    with kind(2) as executor:  # type: ignore[call-arg]
        assert list(ordered_map(executor, abs, range(-9, 0), ahead=ahead)) == [9, 8, 7, 6, 5, 4, 3, 2, 1]
        assert list(ordered_map(executor, abs, [], ahead=ahead)) == []


def test_no_more_items_are_read_than_may_wait() -> None:
    read = []

    def items() -> Iterator[int]:
        for number in range(20):
            read.append(number)
            yield number

    with ThreadPoolExecutor(2) as executor:
        results = ordered_map(executor, abs, items(), ahead=4)
        assert read == []
        for taken in range(1, 17):
            next(results)
            assert len(read) == taken + 3


def test_an_error_stands_in_its_results_place() -> None:
    with ThreadPoolExecutor(2) as executor:
        results = ordered_map(executor, (1).__floordiv__, [1, 0, 1], ahead=3)
        assert next(results) == 1
        with pytest.raises(ZeroDivisionError):
            next(results)


def test_what_waits_is_cancelled_when_the_consumer_stops() -> None:
    begun, go_on = [], threading.Event()

    def work(number: int) -> int:
        begun.append(number)
        if number:
            go_on.wait(10)
        return number

    with ThreadPoolExecutor(1) as executor:
        for _ in ordered_map(executor, work, range(8), ahead=8):
            break
        go_on.set()
    assert begun in ([0], [0, 1])


@pytest.mark.skipif(
    not (AUTOGROUP.exists() and AUTOGROUP.read_text().strip()),
    reason="no sharing of processors among sessions here: another kernel, or a control group of its own",
)
@pytest.mark.parametrize("leads", [True, False], ids=["leader", "member"])
def test_work_that_gives_way_lowers_its_session_only_where_it_leads_it(leads: bool) -> None:
    program = f"from bench.parallel import give_way; give_way(); print(open('{AUTOGROUP}').read())"
    command = [sys.executable, "-c", program]
    ran = subprocess.run(command, start_new_session=leads, capture_output=True, text=True, check=True)
    ours = AUTOGROUP.read_text().split()
    group, _, nice = ran.stdout.split()
    assert (group != ours[0]) == leads
    assert nice == (str(LOWEST_PRIORITY) if leads else ours[2])


@pytest.fixture(params=[1, 2])
def processors(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(parallel, "_limit", request.param)
    return int(request.param)


@pytest.mark.skipif(not parallel.CAN_FORK, reason="processes are not forked here")
def test_a_function_beside_gives_its_result_from_another_process_where_there_are_two(processors: int) -> None:
    word = "known to both"
    found, place = Beside(lambda: (word, os.getpid())).result()
    assert found == word
    assert (place == os.getpid()) == (processors == 1)


@pytest.mark.usefixtures("processors")
def test_an_error_beside_is_raised_where_the_result_is_asked_for() -> None:
    def refuse() -> None:
        raise RequestError("no such image")

    beside = Beside(refuse)
    with pytest.raises(RequestError, match="no such image"):
        beside.result()
    beside.stop()


@pytest.mark.usefixtures("processors")
def test_a_function_whose_process_dies_is_called_here() -> None:
    own = os.getpid()

    def die_elsewhere() -> str:
        if os.getpid() != own:
            os._exit(9)
        return "made here"

    assert Beside(die_elsewhere).result() == "made here"


@pytest.mark.usefixtures("processors")
def test_a_process_beside_ends_when_it_is_stopped() -> None:
    beside = Beside(threading.Event().wait)
    beside.stop()
    assert beside._process is None or not beside._process.is_alive()
