"""How long DFINet's eight rounds take as it predicts, beside its plain layer-by-layer form.

`pytest -m speed --log-cli-level=INFO tests/speed/test_rounds.py` prints both, their ratio, and where the time goes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from itertools import islice
from time import perf_counter
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from bench.models.network import Segmenter
from dfinet.cuda_graphs import CapturedDFINet
from dfinet.fast_network import FastDFINet
from dfinet.network import DFINet
from tests.parity import rule

log = logging.getLogger(__name__)

ROUNDS = 8


def plain_network(device: str) -> DFINet:
    """DFINet at full width, under weights that keep activations near one, as written, kernels as torch lays them."""
    network = DFINet(channels=3)
    rule.fill(network, gain=1.2)
    return network.eval().to(device)


def inputs(batch: int, device: str) -> tuple[Tensor, Tensor]:
    noise = torch.Generator().manual_seed(0)
    image = torch.rand(batch, 3, 256, 256, generator=noise)
    start = (torch.rand(batch, 1, 256, 256, generator=noise) > 0.5).float()
    return image.to(device), start.to(device)


@torch.no_grad()
def eight_rounds(network: Segmenter, image: Tensor, start: Tensor) -> None:
    for _ in islice(network.rounds(image, start), ROUNDS):
        pass
    if image.is_cuda:
        torch.cuda.synchronize()


def compare(benchmark: Any, forms: dict[str, Callable[[], None]], *, turns: int) -> dict[str, float]:
    """The least seconds of each form, turn by turn, so that all meet the same weather."""
    taken: dict[str, list[float]] = {name: [] for name in forms}

    def each() -> None:
        for name, run in forms.items():
            began = perf_counter()
            run()
            taken[name].append(perf_counter() - began)

    benchmark.pedantic(each, rounds=turns, warmup_rounds=1)
    return {name: min(times) for name, times in taken.items()}


@pytest.mark.speed
@pytest.mark.parametrize("batch", [1, 8])
def test_eight_rounds_at_256_by_256(benchmark: Any, batch: int) -> None:
    plain = plain_network("cpu")
    fast, (image, start) = plain.predictor(), inputs(batch, "cpu")
    least = compare(
        benchmark,
        {"plain": lambda: eight_rounds(plain, image, start), "fast": lambda: eight_rounds(fast, image, start)},
        turns=5 if batch == 1 else 3,
    )
    ratio = least["plain"] / least["fast"]
    log.info("batch %d: plain %.3f s, fast %.3f s, ratio %.2f", batch, least["plain"], least["fast"], ratio)


@pytest.mark.speed
def test_where_the_time_of_fast_rounds_goes(benchmark: Any) -> None:
    fast, (image, start) = plain_network("cpu").predictor(), inputs(1, "cpu")
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        benchmark.pedantic(lambda: eight_rounds(fast, image, start), rounds=1, warmup_rounds=1)
    log.info("\n%s", profiled.key_averages().table(sort_by="self_cpu_time_total", row_limit=12))


@pytest.mark.speed
@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("batch", [1, 8])
def test_eight_rounds_on_a_gpu(benchmark: Any, batch: int) -> None:
    plain, (image, start) = plain_network("cuda"), inputs(batch, "cuda")
    fast = FastDFINet(plain)
    captured = CapturedDFINet(fast)
    least = compare(
        benchmark,
        {
            "plain": lambda: eight_rounds(plain, image, start),
            "fast": lambda: eight_rounds(fast, image, start),
            "captured": lambda: eight_rounds(captured, image, start),
        },
        turns=20,
    )
    ratios = {name: least["plain"] / seconds for name, seconds in least.items()}
    log.info("%s, batch %d: seconds %s, ratios %s", torch.cuda.get_device_name(), batch, least, ratios)
