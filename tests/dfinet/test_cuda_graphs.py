"""DFINet's captured rounds: equal to the fast ones in float32, near them in half precision. All need a GPU."""

from __future__ import annotations

from itertools import islice
from typing import Any

import pytest
import torch

from dfinet.cuda_graphs import CapturedDFINet
from dfinet.fast_network import FastDFINet
from dfinet.network import DFINet
from tests.parity import rule


def fast(device: str) -> FastDFINet:
    network = DFINet(channels=3, width=8)
    rule.fill(network, gain=1.2)
    return FastDFINet(network.eval().to(device))


def inputs(device: str, *, seed: int = 0) -> tuple[Any, Any]:
    noise = torch.Generator().manual_seed(seed)
    image = torch.rand(2, 3, 64, 96, generator=noise)
    return image.to(device), (torch.rand(2, 1, 64, 96, generator=noise) > 0.5).float().to(device)


def test_a_network_that_is_not_on_a_gpu_is_refused() -> None:
    with pytest.raises(ValueError, match="not on a CUDA device"):
        CapturedDFINet(fast("cpu"))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@torch.no_grad()
def test_captured_rounds_are_the_fast_ones_for_one_image_after_another() -> None:
    plain = fast("cuda")
    captured = CapturedDFINet(plain, dtype=torch.float32)
    for seed in (0, 1):
        image, start = inputs("cuda", seed=seed)
        pairs = zip(islice(captured.rounds(image, start), 8), islice(plain.rounds(image, start), 8), strict=True)
        assert all(torch.equal(ours, theirs) for ours, theirs in pairs)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@torch.no_grad()
def test_half_precision_is_near_in_the_first_round() -> None:
    plain, (image, start) = fast("cuda"), inputs("cuda")
    half = next(CapturedDFINet(plain).rounds(image, start))
    full = next(plain.rounds(image, start))
    assert half.dtype == torch.float32
    assert ((half > 0) == (full > 0)).float().mean() > 0.98
