"""Measure a network: parameters, multiply-accumulates, latency and memory."""

from __future__ import annotations

import ctypes
import gc
import importlib.util
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode, flop_registry

from bench.cost.machine_load import OtherWork
from bench.data.images.synthetic import SIDE, make_scene
from bench.environment import device_name
from bench.errors import UnknownNameError
from bench.models.detector import Detector
from bench.models.network import Segmenter, parameter_count, to_device
from bench.types import BUSY, Cost, EarlyEnd, doubt_of_times

T = TypeVar("T")

LEAST_REPEATS = 3
WARM_UP = 0.2  # seconds
PAUSE = 0.2  # seconds in which other work shows whether it goes on
ATTEMPTS = 3

ImageAndStart = tuple[Tensor, Tensor | None]
"""A test image (1, C, H, W) as the network sees it, and its first feedback mask (1, 1, H, W)."""

TORCH_LIBRARIES = ("aten", "prim", "prims", "profiler")
MULTIPLYING = frozenset(
    (
        *("addmv", "addr", "attention", "cdist", "conv1d", "conv2d", "conv3d", "convolution", "dot"),
        *("fft", "ger", "gru", "linear", "lstm", "mm", "mv", "pdist", "rnn", "transformer", "trilinear", "vdot"),
    )
)
"""Words in the names of operators that multiply more than element by element; of some, torch's counter has formulas."""


@torch.no_grad()
def measure_cost(
    network: Segmenter,
    *,
    size: tuple[int, int],
    channels: int,
    device: torch.device,
    rounds: int = 1,
    images: Sequence[ImageAndStart] = (),
    repeats: int = 30,
    budget: float = 2.0,
) -> Cost:
    """Measure the cost of one image through a network in evaluation mode. The network stays on `device`.

    MACs are those of the network as it is written; time and memory are those of its predictor, as it predicts, but with
    all rounds calculated. A network that ends early is timed once more, on test images, as it predicts them. Times that
    other work disturbed are taken again once it has ended, up to `ATTEMPTS` times, and the least disturbed are kept.

    A classical detector is measured on the CPU, whatever the device, and none of its work is counted.

    Args:
        size: (height, width) of the input in pixels.
        rounds: feedback rounds that are timed; a network without feedback has one.
        images: test images, for a network that ends early; without any, it is not timed on images.
        repeats: passes that are timed, at most.
        budget: seconds after which no further pass is begun, once three are done.
    """
    counted = not isinstance(network, Detector)
    device = device if counted else torch.device("cpu")
    with evaluating(to_device(network, device)):
        image, start = example(network, size=size, channels=channels, device=device)
        macs, uncounted = count_macs(network, image, start) if counted else (None, ())
        flops, unsupported = count_fvcore(network, image, start) if counted else (None, ())
        predictor = network.predictor()
        ends_early, predictor.ends_early = predictor.ends_early, False
        taken, peak = measure_memory(predictor, image, start, rounds=rounds)
        passes = time_undisturbed(predictor, image, start, rounds=rounds, repeats=repeats, budget=budget)
        predictor.ends_early = ends_early
        early_end = None
        if ends_early and images:
            early_end = time_images_undisturbed(predictor, images, rounds=rounds, budget=budget)
    return Cost(
        device=device_name(device),
        precision=precision_of(network, device),
        size=size,
        rounds=taken,
        parameters=parameter_count(network),
        macs=macs,
        macs_uncounted=uncounted,
        flops_fvcore=flops,
        fvcore_unsupported=unsupported,
        latency_p50=passes.milliseconds(50),
        latency_p95=passes.milliseconds(95),
        images_per_s=1 / float(np.mean(passes.seconds)),
        peak_memory=peak,
        every_round=True,
        others_busy=passes.others_busy,
        early_end=early_end,
    )


def example(
    network: Segmenter, *, size: tuple[int, int], channels: int, device: torch.device
) -> tuple[Tensor, Tensor | None]:
    """An image of noise and, for networks that need one, a feedback mask that is on in half of the pixels.

    A classical detector, whose time depends on what it sees, gets generated infrared scenes side by side.
    """
    if isinstance(network, Detector):
        return torch.from_numpy(mosaic(size).astype(np.float32))[None, None].to(device), None
    noise = torch.Generator().manual_seed(0)
    image = torch.randn(1, channels, *size, generator=noise)
    start = (torch.rand(1, 1, *size, generator=noise) > 0.5).float()
    return image.to(device), start.to(device) if network.needs_start else None


def mosaic(size: tuple[int, int]) -> NDArray[np.uint8]:
    """Scenes of the synthetic dataset side by side, cut to (height, width)."""
    rows, columns = (-(-length // SIDE) for length in size)
    scenes = [[make_scene(row * columns + column + 1).grey for column in range(columns)] for row in range(rows)]
    return np.block(scenes)[: size[0], : size[1]]


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Put the network into evaluation mode, and restore its mode afterwards."""
    training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(training)


def count_macs(network: Segmenter, image: Tensor, start: Tensor | None) -> tuple[int, tuple[str, ...]]:
    """Multiply-accumulates of one round, half of what torch's counter finds, and the operators it does not count.

    Attention is computed by its matrix products: torch's counter has no formula for the fused operators that evaluation
    on a CPU takes in their place.
    """
    with _unfused_attention(), FlopCounterMode(display=False) as counter, _OperatorRecorder() as ran:
        one_round(network, image, start)
    return int(counter.get_total_flops()) // 2, tuple(sorted(name for name in ran.names if is_uncounted(name)))


@contextmanager
def _unfused_attention() -> Iterator[None]:
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


class _OperatorRecorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes the names of all operators that run, such as `aten.mm`."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.add(str(func.overloadpacket))
        return func(*args, **(kwargs or {}))


def is_uncounted(operator: str) -> bool:
    """True for an operator that multiplies pixels or features with each other and that torch's counter does not know.

    Operators of other libraries than torch may do anything, and count as such.

    >>> is_uncounted("aten._cdist_forward"), is_uncounted("aten.mm"), is_uncounted("aten.relu"), is_uncounted("my.op")
    (True, False, False, True)
    """
    if operator in {str(known) for known in flop_registry}:
        return False
    library, _, name = operator.partition(".")
    return library not in TORCH_LIBRARIES or not MULTIPLYING.isdisjoint(name.strip("_").split("_"))


def count_fvcore(network: Segmenter, image: Tensor, start: Tensor | None) -> tuple[int | None, tuple[str, ...]]:
    """fvcore's count of one round and the operators it could not count; None where fvcore is not installed.

    fvcore counts a multiply-accumulate once, adds normalisation and resizing, and leaves out what does not reach the
    output.
    """
    if importlib.util.find_spec("fvcore") is None:
        return None, ()
    inputs = (image,) if start is None else (image, start)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it uses a deprecated tracer, and the tracer's on shapes read as numbers
        from fvcore.nn import FlopCountAnalysis  # slow to import, and optional

        analysis = FlopCountAnalysis(OneRound(network), inputs)
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
        return int(analysis.total()), tuple(sorted(analysis.unsupported_ops()))


class OneRound(nn.Module):
    """The first round of a network, as a module that can be traced."""

    def __init__(self, network: Segmenter) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor, start: Tensor | None = None) -> Tensor:
        return one_round(self.network, image, start)


def one_round(network: Segmenter, image: Tensor, start: Tensor | None) -> Tensor:
    """Logits (B, 1, H, W) of the first round."""
    return next(iter(network.rounds(image, start)))


def one_pass(network: Segmenter, image: Tensor, start: Tensor | None, *, rounds: int) -> int:
    """Run up to `rounds` rounds and wait for the device; return the number of rounds."""
    taken = sum(1 for _ in islice(network.rounds(image, start), rounds))
    if image.is_cuda:
        torch.cuda.synchronize(image.device)
    return taken


def warm_up(network: Segmenter, image: Tensor, start: Tensor | None) -> None:
    """Run single rounds, which use every kernel of a whole pass, until clocks and caches have settled."""
    end = time.perf_counter() + WARM_UP
    while True:
        one_pass(network, image, start, rounds=1)
        if time.perf_counter() >= end:
            return


@dataclass(frozen=True)
class TimedPasses:
    """Seconds of whole passes, and the share of the processors that other processes took meanwhile."""

    seconds: Sequence[float]
    others_busy: float | None

    def milliseconds(self, percentile: float) -> float:
        """A percentile of the passes' times."""
        return 1000 * float(np.percentile(self.seconds, percentile))

    @property
    def is_disturbed(self) -> bool:
        """True where the times are doubtful, for other work or for their spread."""
        return bool(doubt_of_times(self.others_busy, self.milliseconds(50), self.milliseconds(95)))


def time_undisturbed(
    network: Segmenter, image: Tensor, start: Tensor | None, *, rounds: int, repeats: int, budget: float
) -> TimedPasses:
    """The first series of passes that nothing disturbed, or of several series the one with the least median."""

    def series() -> tuple[TimedPasses, bool]:
        others = OtherWork()
        warm_up(network, image, start)
        seconds = time_passes(network, image, start, rounds=rounds, repeats=repeats, budget=budget)
        passes = TimedPasses(seconds, others.share())
        return passes, passes.is_disturbed

    return undisturbed(series, time_of=lambda passes: passes.milliseconds(50))


def undisturbed(series: Callable[[], tuple[T, bool]], *, time_of: Callable[[T], float]) -> T:
    """The first outcome of a series that nothing disturbed, or of `ATTEMPTS` series the one with the least time.

    While other work goes on, it would disturb a further series as well, and none is begun.

    Args:
        series: gives an outcome, and whether it was disturbed.
    """
    tried: list[T] = []
    for attempt in range(1, ATTEMPTS + 1):
        outcome, is_disturbed = series()
        if not is_disturbed:
            return outcome
        tried.append(outcome)
        if attempt < ATTEMPTS and others_are_at_work():
            break
    return min(tried, key=time_of)


def others_are_at_work() -> bool:
    """True where other processes take much of the processors while this one waits for a moment."""
    others = OtherWork()
    time.sleep(PAUSE)
    return (others.share() or 0.0) > BUSY


def time_passes(
    network: Segmenter, image: Tensor, start: Tensor | None, *, rounds: int, repeats: int, budget: float
) -> list[float]:
    """Seconds of each whole pass: `repeats` of them, or fewer when the budget is spent, but three at least."""
    seconds: list[float] = []
    while len(seconds) < max(repeats, LEAST_REPEATS):
        began = time.perf_counter()
        one_pass(network, image, start, rounds=rounds)
        seconds.append(time.perf_counter() - began)
        if sum(seconds) >= budget and len(seconds) >= LEAST_REPEATS:
            break
    return seconds


def time_images_undisturbed(
    network: Segmenter, images: Sequence[ImageAndStart], *, rounds: int, budget: float
) -> EarlyEnd:
    """`time_images` that nothing disturbed, or the fastest of several."""

    def series() -> tuple[EarlyEnd, bool]:
        others = OtherWork()
        taken = time_images(network, images, rounds=rounds, budget=budget)
        return taken, (others.share() or 0.0) > BUSY

    return undisturbed(series, time_of=lambda taken: -taken.images_per_s)


def time_images(network: Segmenter, images: Sequence[ImageAndStart], *, rounds: int, budget: float) -> EarlyEnd:
    """The time of a network that ends early, one test image after another until the budget is spent.

    Before an image is timed, one round of it is run, so that kernels for its size are chosen and loaded.
    """
    device = next(network.parameters()).device
    seconds: list[float] = []
    calculated = 0
    for image, start in images:
        placed = image.to(device), None if start is None else start.to(device)
        one_pass(network, *placed, rounds=1)
        calculated -= network.rounds_calculated
        began = time.perf_counter()
        one_pass(network, *placed, rounds=rounds)
        seconds.append(time.perf_counter() - began)
        calculated += network.rounds_calculated
        if sum(seconds) >= budget:
            break
    sizes = {(image.shape[-2], image.shape[-1]) for image, _ in images[: len(seconds)]}
    return EarlyEnd(
        images=len(seconds),
        rounds=calculated / len(seconds),
        images_per_s=len(seconds) / sum(seconds),
        size=sizes.pop() if len(sizes) == 1 else None,
    )


def measure_memory(network: Segmenter, image: Tensor, start: Tensor | None, *, rounds: int) -> tuple[int, int | None]:
    """Rounds taken by a pass, and the most memory it held, in bytes.

    CUDA: the allocator's peak, weights included. CPU: by how much the resident set grew at most over where it stood
    before the pass, as Linux counts it (VmHWM after a reset, minus VmRSS), weights left out. What earlier passes freed
    is given back to the system first, so that it counts again. None on other systems.
    """
    if image.is_cuda:
        torch.cuda.reset_peak_memory_stats(image.device)
        taken = one_pass(network, image, start, rounds=rounds)
        return taken, torch.cuda.max_memory_allocated(image.device)
    before = reset_resident_peak()
    taken = one_pass(network, image, start, rounds=rounds)
    return taken, None if before is None else resident("VmHWM") - before


def reset_resident_peak() -> int | None:
    """Reset the peak of the resident set and return its current size in bytes; None where that is not supported."""
    gc.collect()  # what it would free during the pass, the pass would take again, and seem to need less
    try:
        ctypes.CDLL(None).malloc_trim(0)  # glibc keeps what is freed, and would serve the next pass from it
        Path("/proc/self/clear_refs").write_text("5")
        return resident("VmRSS")
    except (OSError, AttributeError, LookupError):
        return None


def resident(field: str) -> int:
    """Bytes of a field of /proc/self/status.

    Raises:
        UnknownNameError: when there is no such field.
    """
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise UnknownNameError(f"/proc/self/status: no field {field!r}")


def precision_of(network: nn.Module, device: torch.device) -> str:
    """The weights' arithmetic, with a word on CUDA's shortened float32 products where they are in use."""
    if isinstance(network, Detector):
        return "float64"
    name = str(next(network.parameters()).dtype).removeprefix("torch.")
    shortened = device.type == "cuda" and name == "float32" and torch.backends.cudnn.allow_tf32
    return f"{name} (TF32 convolutions)" if shortened else name
