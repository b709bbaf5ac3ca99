"""Maps that the backward pass makes again, in place of keeping them from the forward pass."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks


def through_remade(
    make: Callable[[], Tensor], use: Callable[[Tensor], Tensor], *, again: Callable[[], Tensor] | None = None
) -> Tensor:
    """`use(make())`, with the same gradients, without the memory of what `make` returns until the backward pass.

    Args:
        make: a map that is cheap to make of tensors that are kept anyway.
        use: what it goes into.
        again: makes it once more, where `make` has further effects.
    """
    if not torch.is_grad_enabled() or torch.compiler.is_compiling():
        return use(make())
    kept: list[list[Tensor]] = []
    held: list[Tensor] = []
    uses = 0

    def pack(saved: Tensor) -> list[Tensor]:
        kept.append([saved])
        return kept[-1]

    def unpack(box: list[Tensor]) -> Tensor:
        if box:
            return box[0]
        if held:
            return held.pop()  # for the second of two uses
        with torch.no_grad():
            made_again = (again or make)()
        if uses > 1:
            held.append(made_again)
        return made_again

    with saved_tensors_hooks(pack, unpack):
        made = make()
        out = use(made)
    of_made = [box for box in kept if box[0].data_ptr() == made.data_ptr() and box[0].shape == made.shape]
    uses = len(of_made)
    for box in of_made:
        box.clear()
    kept.clear()
    return out
