"""A network's plain form: the operators of one round, recorded once, replayed beside the network as a measure of time.

Seconds differ between machines; the ratio of a network to its recorded operators hardly does, for both run the same
kernels in turns in one process. A network that has become slower than its record has a larger ratio.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from bench.cost.machine_load import OtherWork
from bench.cost.measure import WARM_UP, evaluating, one_pass
from bench.errors import RequestError
from bench.input_files import parse_json
from bench.models.network import Segmenter
from bench.types import BUSY

LEAST_PAIRS = 9
PATIENCE, LONGER = 4, 3
"""Times the budget that a series of pairs takes by the clock at most, and that a series takes where it is unclear."""

MOST_STORED = 4096
"""Elements of a tensor of whole numbers, such as an index, whose values are stored."""

FORBIDDEN = ("from_file",)
"""Operators of torch that touch files."""


@dataclass(frozen=True)
class TimeRatio:
    """Time of a network over that of its plain form, from pairs of passes in turns.

    Attributes:
        value: the median over pairs.
        low: the lower quartile.
        others_busy: share of the processors that other processes took meanwhile; None if unknown.
    """

    value: float
    low: float
    pairs: int
    others_busy: float | None


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes every operator with its arguments; tensors by number, in the order that they are met."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.leaves: list[Any] = []
        self.steps: list[Any] = []
        self._numbers: dict[int, int] = {}
        self._alive: list[Tensor] = []  # a number is that of an object, whose address must not be used again

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = [self._encode(value) for value in args], {n: self._encode(v) for n, v in (kwargs or {}).items()}
        found = func(*args, **(kwargs or {}))
        outputs = found if isinstance(found, tuple | list) else [found]
        made = [self._number(each) if isinstance(each, Tensor) else None for each in outputs]
        self.steps.append([str(func), *given, made])
        return found

    def _number(self, tensor: Tensor) -> int:
        if id(tensor) not in self._numbers:
            self._numbers[id(tensor)] = len(self._alive)
            self._alive.append(tensor)
        return self._numbers[id(tensor)]

    def _encode(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            is_new = id(value) not in self._numbers
            number = self._number(value)
            if is_new:
                self.leaves.append([number, *_describe_leaf(value)])
            return {"tensor": number}
        if isinstance(value, tuple | list):
            return [self._encode(each) for each in value]
        for kind in (torch.dtype, torch.memory_format, torch.layout):
            if isinstance(value, kind):
                return {"torch": str(value).removeprefix("torch.")}
        if isinstance(value, torch.device):
            return {"device": value.type}
        if value is None or isinstance(value, bool | int | float | str):
            return value
        raise RequestError(f"plain form: an operator takes {type(value).__name__}, which cannot be recorded")


def _describe_leaf(tensor: Tensor) -> list[Any]:
    """Shape, strides and type; of whole numbers the values as well, for an index has to be in range."""
    values = None
    if not tensor.is_floating_point():
        if tensor.numel() > MOST_STORED:
            raise RequestError(f"plain form: {tensor.numel()} values of {tensor.dtype} cannot be recorded")
        values = tensor.tolist()
    return [list(tensor.shape), list(tensor.stride()), str(tensor.dtype).removeprefix("torch."), values]


@torch.no_grad()
def record_plain_form(network: Segmenter, image: Tensor, start: Tensor | None) -> str:
    """The operators of the network's first round as JSON text.

    Raises:
        RequestError: when an operator takes something that has no text.
    """
    with evaluating(network), _Recorder() as recorder:
        one_pass(network, image, start, rounds=1)
    return json.dumps({"leaves": recorder.leaves, "steps": recorder.steps}, separators=(",", ":"))


class PlainForm:
    """Recorded operators, ready to run on random numbers.

    Raises:
        RequestError: when the record is broken, or torch has no such operator.
    """

    def __init__(self, text: str, *, device: torch.device) -> None:
        noise = torch.Generator().manual_seed(0)
        self._device = device
        try:
            content = parse_json(text)
            self._leaves = {leaf[0]: _make_leaf(*leaf[1:], noise=noise).to(device) for leaf in content["leaves"]}
            self._steps = [(_operator(name), *rest) for name, *rest in content["steps"]]
            self._freed = _last_uses([step[1:] for step in self._steps], kept=self._leaves.keys())
            self()
        except (RuntimeError, LookupError, TypeError, ValueError, AttributeError) as error:
            said = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise RequestError(f"plain form cannot be replayed ({said}); record it again with --update") from None

    @torch.no_grad()
    def __call__(self) -> None:
        """Run all operators and wait for the device."""
        alive = dict(self._leaves)
        for (operator, args, kwargs, made), freed in zip(self._steps, self._freed, strict=True):
            named = {name: self._decode(value, alive) for name, value in kwargs.items()}
            found = operator(*[self._decode(value, alive) for value in args], **named)
            outputs = found if isinstance(found, tuple | list) else (found,)
            alive.update((n, each) for n, each in zip(made, outputs, strict=True) if n is not None)
            del found, outputs
            for number in freed:
                alive.pop(number, None)
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)

    def _decode(self, value: Any, alive: Mapping[int, Tensor]) -> Any:
        if isinstance(value, list):
            return [self._decode(each, alive) for each in value]
        if not isinstance(value, dict):
            return value
        if "tensor" in value:
            return alive[value["tensor"]]
        return self._device if "device" in value else getattr(torch, value["torch"])


def _operator(name: str) -> Any:
    library, operator, overload = name.split(".")
    if library != "aten" or operator in FORBIDDEN:
        raise ValueError(f"operator {name} is not one of torch's that calculate")
    return getattr(getattr(torch.ops.aten, operator), overload)


def _make_leaf(shape: list[int], stride: list[int], dtype: str, values: Any, *, noise: torch.Generator) -> Tensor:
    """A tensor as it was recorded, of random numbers whose products neither vanish nor overflow."""
    kind = getattr(torch, dtype)
    if values is not None:
        return torch.tensor(values, dtype=kind)
    uniform = torch.rand(shape, generator=noise)
    if len(shape) < 2:
        filled = 0.5 + uniform  # positive, as variances are
    else:
        filled = (2 * uniform - 1) * math.sqrt(3 / max(1, min(4096, math.prod(shape[1:]))))
    made = torch.empty_strided(shape, stride, dtype=kind) if 0 not in stride else torch.empty(shape, dtype=kind)
    return made.copy_(filled)


def _last_uses(steps: Sequence[Any], *, kept: Any) -> list[list[int]]:
    """The tensors that no later operator needs, step by step: a replay holds no more memory than the network."""
    last: dict[int, int] = {}
    for place, (args, kwargs, made) in enumerate(steps):
        for number in (*_numbers_in([args, list(kwargs.values())]), *(n for n in made if n is not None)):
            last[number] = place
    freed: list[list[int]] = [[] for _ in steps]
    for number, place in last.items():
        if number not in kept:
            freed[place].append(number)
    return freed


def _numbers_in(value: Any) -> Iterator[int]:
    if isinstance(value, list):
        for each in value:
            yield from _numbers_in(each)
    elif isinstance(value, dict) and "tensor" in value:
        yield value["tensor"]


@torch.no_grad()
def time_beside(
    run: Callable[[], object], plain: Callable[[], object], *, budget: float = 3.0, limit: float | None = None
) -> TimeRatio:
    """Time two functions in turns, each first in every other pair, nine pairs at least.

    Where other processes take much of the processors, a side's time is that of the processor that it took itself: it
    leaves out the time that others held it up for. On an idle machine it is that of the clock, which sees waiting, too.
    Both take one thread of the processor: several wait for each other, for long and actively where the machine is busy.

    Args:
        budget: seconds of this process; by the clock up to four times as many, where others take the processors.
        limit: ratio in question; the series is up to three times as long where its median is beyond that and its lower
            quartile is not, so that chance seldom decides.
    """
    with _one_thread():
        end = time.perf_counter() + WARM_UP
        while True:
            run()
            plain()
            if time.perf_counter() >= end:
                break
        return _time_in_turns(run, plain, budget=budget, limit=limit)


@contextmanager
def _one_thread() -> Iterator[None]:
    """One thread for the operators on the processor inside the block."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _time_in_turns(
    run: Callable[[], object], plain: Callable[[], object], *, budget: float, limit: float | None
) -> TimeRatio:
    others, pairs = OtherWork(), list[NDArray[np.float64]]()
    clock, processor = time.perf_counter(), time.process_time()
    spent = 0.0  # times the budget
    for most in range(1, LONGER + 1):
        while len(pairs) < LEAST_PAIRS or spent < most:
            sides = (run, plain) if len(pairs) % 2 else (plain, run)
            seconds = {side: _seconds(side) for side in sides}
            pairs.append(seconds[run] / seconds[plain])
            by_clock = (time.perf_counter() - clock) / PATIENCE
            spent = max(time.process_time() - processor, by_clock) / budget
        found = _time_ratio(np.array(pairs), others.share())
        if limit is None or not found.low <= limit < found.value:
            break
    return found


def _time_ratio(pairs: NDArray[np.float64], busy: float | None) -> TimeRatio:
    """The ratio of pairs (n, 2) of ratios, by the clock and of the processor."""
    is_disturbed = busy is not None and busy > BUSY
    ratios = pairs[:, 1 if is_disturbed else 0]
    return TimeRatio(float(np.median(ratios)), float(np.quantile(ratios, 0.25)), len(ratios), busy)


def _seconds(side: Callable[[], object]) -> NDArray[np.float64]:
    """(2,) seconds of one pass, by the clock and of the processor."""
    clock, processor = time.perf_counter(), time.process_time()
    side()
    return np.array([time.perf_counter() - clock, time.process_time() - processor])


def least_ratio(series: Callable[[], TimeRatio], *, limit: float, attempts: int) -> TimeRatio:
    """The first series whose lower quartile is within the limit, or of several the one with the least.

    Other work on the machine seldom holds up one side alone in every series; a slower network does so in each.
    """
    tried: list[TimeRatio] = []
    while len(tried) < attempts:
        tried.append(series())
        if tried[-1].low <= limit:
            break
    return min(tried, key=lambda one: one.low)
