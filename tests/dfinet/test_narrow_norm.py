"""Batch normalisation of few channels, against torch's in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from dfinet.narrow_norm import LEAST, NarrowBatchNorm2d, batch_norm


def random_map(channels: int, side: int = 32) -> Tensor:
    noise = torch.Generator().manual_seed(channels)
    return (torch.randn(3, channels, side, side, generator=noise) * 3 + 5).to(memory_format=torch.channels_last)


def passed(norm: nn.BatchNorm2d, x: Tensor) -> dict[str, Tensor]:
    """The output, the gradients and the running statistics after one training step on `x`."""
    with torch.no_grad():
        norm.weight.copy_(torch.linspace(0.5, 1.5, norm.num_features))
        norm.bias.copy_(torch.linspace(-1, 1, norm.num_features))
    x = x.clone().requires_grad_()
    out = norm(x)
    # Of squares, so that no sum cancels.
    loss = (out.square() * torch.linspace(0, 1, out.numel(), dtype=out.dtype).view(out.shape)).sum()
    grads = dict(zip(("x", "weight", "bias"), torch.autograd.grad(loss, [x, norm.weight, norm.bias]), strict=True))
    return {"out": out.detach(), **grads, **{name: value.detach() for name, value in norm.named_buffers()}}


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_it_equals_torch_in_float64(channels: int) -> None:
    x = random_map(channels)
    ours, exact = passed(NarrowBatchNorm2d(channels), x), passed(nn.BatchNorm2d(channels).double(), x.double())
    assert ours.keys() == exact.keys()
    for name, value in ours.items():
        scale = exact[name].abs().max()
        assert ((value - exact[name]).abs().max() / scale).item() < 2e-6, name
    assert ours["out"].is_contiguous(memory_format=torch.channels_last)
    assert ours["x"].is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("channels", [2, 4])
def test_bfloat16_maps_are_normalised_in_float32(channels: int) -> None:
    x = random_map(channels).bfloat16()
    norm = NarrowBatchNorm2d(channels)
    out = norm(x)
    assert out.dtype == torch.bfloat16
    assert torch.allclose(out.float(), nn.BatchNorm2d(channels)(x.float()), atol=0.02)
    assert norm.running_mean is not None
    assert torch.allclose(norm.running_mean, 0.1 * x.float().mean((0, 2, 3)), atol=1e-6)


@pytest.mark.parametrize(
    "x",
    [random_map(4).contiguous(), random_map(3), random_map(4, side=3), random_map(4).double()],
    ids=["channels first", "3 channels", "27 pixels", "float64"],
)
def test_what_it_has_no_faster_form_for_is_torchs(x: Tensor) -> None:
    ours, torchs = NarrowBatchNorm2d(x.shape[1]).to(x.dtype), nn.BatchNorm2d(x.shape[1]).to(x.dtype)
    assert torch.equal(ours(x), torchs(x))
    for own, theirs in zip(ours.buffers(), torchs.buffers(), strict=True):
        assert torch.equal(own, theirs)


def test_evaluation_and_keys_are_torchs() -> None:
    ours, torchs = NarrowBatchNorm2d(4), nn.BatchNorm2d(4)
    x = random_map(4)
    ours(x)
    torchs.load_state_dict(ours.state_dict())
    assert torch.equal(ours.eval()(x), torchs.eval()(x))


def test_wide_maps_take_torchs() -> None:
    assert type(batch_norm(LEAST)) is nn.BatchNorm2d
    assert type(batch_norm(LEAST - 4)) is NarrowBatchNorm2d
