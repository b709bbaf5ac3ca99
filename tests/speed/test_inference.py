"""How long every network's round takes as it predicts, beside its plain layer-by-layer form.

`pytest -m speed --log-cli-level=INFO tests/speed/test_inference.py` prints both and their ratio.
"""

from __future__ import annotations

import copy
import logging
from time import perf_counter
from typing import Any

import pytest
import torch

from bench.cost.measure import example, one_round
from bench.models.network import MODEL_PACKAGES, Segmenter, build_model, find_models, to_device

log = logging.getLogger(__name__)

CPU = torch.device("cpu")
OURS = [entry for entry in map(find_models().get, find_models()) if entry.build.__module__.startswith(MODEL_PACKAGES)]
LEARNING = sorted(entry.info.name for entry in OURS if entry.info.recipe and not entry.info.ablates)


@pytest.mark.speed
@pytest.mark.parametrize("name", LEARNING)
@torch.no_grad()
def test_a_round_at_256_by_256(benchmark: Any, name: str) -> None:
    """Turn by turn, so that both forms meet the same weather; the least of each counts."""
    channels = find_models().get(name).info.channels
    torch.manual_seed(0)
    plain = build_model(name, channels=channels).eval()
    ours = to_device(copy.deepcopy(plain), CPU)
    image, start = example(plain, size=(256, 256), channels=channels, device=CPU)
    assert torch.allclose(one_round(plain, image, start), one_round(ours, image, start), atol=1e-3)

    taken: dict[str, list[float]] = {"plain": [], "ours": []}

    def both() -> None:
        for form, network in (("plain", plain), ("ours", ours)):
            taken[form].append(seconds(network, image, start))

    benchmark.pedantic(both, rounds=7, warmup_rounds=1)
    least = {form: 1000 * min(times) for form, times in taken.items()}
    ratio = least["plain"] / least["ours"]
    log.info("%s: plain %.1f ms, as it predicts %.1f ms, ratio %.2f", name, least["plain"], least["ours"], ratio)


def seconds(network: Segmenter, image: torch.Tensor, start: torch.Tensor | None) -> float:
    began = perf_counter()
    one_round(network, image, start)
    return perf_counter() - began
