"""Measure cost in a fresh process.

Allocators, kernel caches and clocks keep state from earlier work. A fresh process has none, so that the order in which
models are measured does not matter.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from bench.cost.measure import ImageAndStart, measure_cost
from bench.errors import CostError, RequestError
from bench.models.detector import Detector
from bench.models.network import Built, Segmenter, build_model
from bench.parallel import process_pool
from bench.registry import load_plugin, loaded_plugins, refusing_exit
from bench.types import Cost, freeze_config


@dataclass(frozen=True)
class Arithmetic:
    """Settings of torch that affect speed."""

    threads: int
    deterministic: bool
    autotuned: bool
    shortened: bool

    @classmethod
    def here(cls) -> Arithmetic:
        """The current settings of this process."""
        cudnn = torch.backends.cudnn
        return cls(torch.get_num_threads(), cudnn.deterministic, cudnn.benchmark, cudnn.allow_tf32)

    def apply(self) -> None:
        """Apply the settings to this process."""
        torch.set_num_threads(self.threads)
        cudnn = torch.backends.cudnn
        cudnn.deterministic, cudnn.benchmark, cudnn.allow_tf32 = self.deterministic, self.autotuned, self.shortened


def measure_fresh(
    network: Segmenter,
    *,
    size: tuple[int, int],
    channels: int,
    device: torch.device,
    rounds: int = 1,
    images: Sequence[ImageAndStart] = (),
) -> Cost:
    """Call `measure_cost` in a new process on a copy of the network; `network` stays on its device.

    Raises:
        RequestError: for a network that `build_model` has not made.
        CostError: when the process dies, as one does that runs out of memory.
    """
    built = _built(network)
    if device.type == "cuda":
        torch.cuda.empty_cache()  # the other process needs what this one only keeps
    weights = pickle.dumps({name: tensor.cpu() for name, tensor in network.state_dict().items()})
    with process_pool(1) as executor:
        task = executor.submit(
            _measure, loaded_plugins(), built, weights, Arithmetic.here(), size, channels, device, rounds, images
        )
        try:
            with refusing_exit(f"model {built.name}"):
                return task.result()
        except BrokenProcessPool:
            raise CostError(
                f"{built.name}: the process that measured its cost died, as one does that runs out of memory"
            ) from None


def _built(network: Segmenter) -> Built:
    """The recipe for building the network again; for a detector with its tuned level."""
    if network.built is None:
        raise RequestError(
            f"{type(network).__name__}: made by hand, expected a network of build_model; measure it here"
        )
    if not isinstance(network, Detector):
        return network.built
    return replace(network.built, settings=freeze_config({**dict(network.built.settings), "level": network.level}))


def _measure(
    plugins: Sequence[Path],
    built: Built,
    weights: bytes,
    arithmetic: Arithmetic,
    size: tuple[int, int],
    channels: int,
    device: torch.device,
    rounds: int,
    images: Sequence[ImageAndStart],
) -> Cost:
    arithmetic.apply()
    for path in plugins:
        load_plugin(path)
    network = build_model(built.name, channels=built.channels, settings=dict(built.settings))
    network.load_state_dict(pickle.loads(weights))  # noqa: S301  (made by the process that started this one)
    return measure_cost(network, size=size, channels=channels, device=device, rounds=rounds, images=images)
