"""How long the networks' forward takes: `pytest -m speed tests/speed/test_forward.py`."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from bench.cost import example, one_pass
from bench.network import build_model, find_models


@pytest.mark.speed
@pytest.mark.parametrize(("name", "rounds"), [("ACM", 1), ("DFINet", 8)])
@torch.no_grad()
def test_forward(benchmark: Any, name: str, rounds: int) -> None:
    channels = find_models().get(name).info.channels
    network = build_model(name, channels=channels).eval()
    image, start = example(network, size=(256, 256), channels=channels, device=torch.device("cpu"))
    taken = benchmark.pedantic(
        one_pass, args=(network, image, start), kwargs={"rounds": rounds}, rounds=3, warmup_rounds=1
    )
    assert taken == rounds
