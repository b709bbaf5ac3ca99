"""Moving averages of weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from bench.models.network import Segmenter

WARM_UP = 9
"""Averages of the first iterations forget faster: n of them have a decay of at most n / (n + WARM_UP)."""


def average_of(network: Segmenter, *, decay: float) -> AveragedModel:
    """The exponential moving average of a network's weights and running statistics, a network itself (`.module`)."""

    @torch.no_grad()
    def follow(averages: Any, values: Any, count: Any) -> None:
        share = 1 - min(decay, float(count) / (float(count) + WARM_UP))
        _follow(averages, values, share)

    return AveragedModel(network, multi_avg_fn=follow, use_buffers=True)


def _follow(averages: Sequence[Tensor], values: Sequence[Tensor], share: float) -> None:
    if averages[0].is_floating_point():
        torch._foreach_lerp_(list(averages), list(values), share)
        return
    for average, value in zip(averages, values, strict=True):
        average.copy_(value)  # a count of batches
