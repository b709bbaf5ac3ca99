"""Maps made again in the backward pass: same values and gradients, less memory."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dfinet.blocks import DFFFM, MADRB, CoordinateAttention, Feedback, ResidualBlock
from dfinet.remade import through_remade


@dataclass
class Made:
    """Counts its calls."""

    x: Tensor
    calls: int = 0

    def __call__(self) -> Tensor:
        self.calls += 1
        return F.relu(2 * self.x)


def test_a_map_that_two_steps_need_is_made_once_more() -> None:
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)).requires_grad_()
    conv = nn.Conv2d(3, 4, 3)
    made = Made(x)
    out = through_remade(made, conv)
    (of_x,) = torch.autograd.grad(out.square().sum(), x)
    (plain,) = torch.autograd.grad(conv(F.relu(2 * x)).square().sum(), x)
    assert torch.equal(of_x, plain)
    assert made.calls == 2


def test_nothing_is_made_again_where_nothing_learns() -> None:
    made = Made(torch.ones(1, 3, 4, 4))
    with torch.no_grad():
        through_remade(made, nn.Conv2d(3, 1, 1))
    assert made.calls == 1


def test_effects_that_come_once_are_left_to_the_first_call() -> None:
    x, conv = torch.ones(1, 3, 4, 4, requires_grad=True), nn.Conv2d(3, 1, 1)
    made, again = Made(x), Made(x)
    torch.autograd.backward(through_remade(made, conv, again=again).sum())
    assert (made.calls, again.calls) == (1, 1)


class Plain:
    """`through_remade` without its saving."""

    def __call__(self, make, use, *, again=None):  # type: ignore[no-untyped-def]
        return use(make())


FEEDBACK = Feedback(torch.rand(2, 1, 32, 32) > 0.5, torch.rand(2, 1, 32, 32))
BLOCKS = {
    "attention": (lambda: CoordinateAttention(16), ()),
    "MADRB": (lambda: MADRB(16, 16), ()),
    "residual block": (lambda: ResidualBlock(16, 16), ()),
    "DFFFM": (lambda: DFFFM(16), (FEEDBACK,)),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_blocks_have_the_gradients_and_statistics_of_their_plain_form(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, more = BLOCKS[name]
    found = []
    for form in (through_remade, Plain()):
        monkeypatch.setattr("dfinet.blocks.through_remade", form)
        torch.manual_seed(0)
        block = make().double().train()
        x = torch.randn(2, 16, 32, 32, dtype=torch.float64, requires_grad=True)
        out = block(x, *more)
        torch.autograd.backward(out.square().mean())
        gradients = [x.grad, *(p.grad for p in block.parameters() if p.grad is not None)]
        found.append([out.detach(), *gradients, *block.buffers()])
    assert len(found[0]) == len(found[1])
    for ours, plain in zip(*found, strict=True):
        assert torch.equal(ours, plain)  # type: ignore[arg-type]
