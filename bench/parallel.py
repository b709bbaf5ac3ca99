"""Work shared among processors, with results in the order of the items."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")


def usable_processors() -> int:
    """Number of processors that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def ordered_map(
    executor: Executor, function: Callable[[Item], Made], items: Iterable[Item], *, ahead: int
) -> Iterator[Made]:
    """Yield `function(item)` for every item, in the items' order, calculated by the executor's threads or processes.

    Items are read lazily: never more than `ahead` of them are submitted and not yet yielded, so memory stays bounded
    however many there are. An error of `function` is raised in the place of its result. When the consumer stops, by an
    error or by closing the iterator, the calls that have not begun are cancelled; the executor stays open, its owner
    shuts it down.

    Args:
        ahead: at least 1; a small multiple of the executor's workers keeps all of them busy.

    >>> from concurrent.futures import ThreadPoolExecutor
    >>> with ThreadPoolExecutor(2) as executor:
    ...     list(ordered_map(executor, abs, [3, -1, -2], ahead=4))
    [3, 1, 2]
    """
    running: deque[Future[Made]] = deque()
    try:
        for item in items:
            running.append(executor.submit(function, item))
            # Yield before the next item is read: filling up first would hold `ahead` + 1 of them.
            if len(running) >= ahead:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
    finally:
        for future in running:
            future.cancel()
