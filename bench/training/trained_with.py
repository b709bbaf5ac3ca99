"""Processor, threads and torch version that epochs were trained with: the last digits of weights depend on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from bench.environment import cpu_name

Stretch = dict[str, Any]
"""Successive epochs trained with the same: `epochs` (first, last), `device`, `threads` and `torch`."""


def extend_stretches(stretches: Sequence[Stretch], epoch: int, device: torch.device) -> list[Stretch]:
    """The stretches with one more epoch, which has been trained by this process."""
    here = conditions(device)
    if stretches and {**stretches[-1], **here} == stretches[-1]:
        return [*stretches[:-1], {**stretches[-1], "epochs": [stretches[-1]["epochs"][0], epoch]}]
    return [*stretches, {"epochs": [epoch, epoch], **here}]


def conditions(device: torch.device) -> Stretch:
    """Device, threads and torch version of this process; on a GPU without threads, which change no weight there."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else cpu_name()
    threads = {} if device.type == "cuda" else {"threads": torch.get_num_threads()}
    return {"device": name, **threads, "torch": str(torch.__version__)}


def describe_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """The conditions that are others now, as `threads 2 after 1, torch 2.13.0 after 2.12.1`; empty if none is.

    >>> describe_changes({"epochs": [1, 3], "threads": 1, "torch": "2.13.0"}, {"threads": 2, "torch": "2.13.0"})
    'threads 2 after 1'
    """
    changed = [name for name in now if name in before and before[name] != now[name]]
    return ", ".join(f"{name} {now[name]} after {before[name]}" for name in changed)
