"""Processor, threads and torch version that epochs were trained with: the last digits of weights depend on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from bench.environment import cpu_name
from bench.training.distributed import process_count

Stretch = dict[str, Any]
"""Epochs trained with the same: `epochs` (first, last), `device`, `threads`, `torch`, `processes` if several."""


def extend_stretches(stretches: Sequence[Stretch], epoch: int, device: torch.device) -> list[Stretch]:
    """The stretches with one more epoch, which has been trained by this process."""
    here = conditions(device)
    if stretches and not describe_changes(stretches[-1], here) and here.keys() <= stretches[-1].keys():
        return [*stretches[:-1], {**stretches[-1], "epochs": [stretches[-1]["epochs"][0], epoch]}]
    return [*stretches, {"epochs": [epoch, epoch], **here}]


def conditions(device: torch.device) -> Stretch:
    """Device, threads, torch version and processes; on a GPU without threads, which change no weight there."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else cpu_name()
    threads = {} if device.type == "cuda" else {"threads": torch.get_num_threads()}
    processes = {"processes": process_count()} if process_count() > 1 else {}
    return {"device": name, **threads, "torch": str(torch.__version__), **processes}


def describe_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """The conditions that are others now, as `threads 2 after 1, torch 2.13.0 after 2.12.1`; empty if none is.

    >>> describe_changes({"epochs": [1, 3], "threads": 1, "torch": "2.13.0"}, {"threads": 2, "torch": "2.13.0"})
    'threads 2 after 1'
    """
    before, now = {"processes": 1, **before}, {"processes": 1, **now}
    changed = [name for name in now if name in before and before[name] != now[name]]
    return ", ".join(f"{name} {now[name]} after {before[name]}" for name in changed)
