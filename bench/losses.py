"""The losses that networks are trained with: functions of logits and masks, (B, 1, H, W) each, to a scalar.

Masks are in [0, 1]; `p = sigmoid(logits)`. Sums run over the whole batch unless the name says otherwise, so large
targets weigh more than small ones, and a frame without a target adds only to `sum p`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.network import Loss
from bench.registry import Registry

LOSSES: Registry[Loss] = Registry("loss")

SMOOTH = 1.0  # pixels, as in all the losses below


def get_loss(name: str) -> Loss:
    """The loss called `name`.

    Raises:
        LookupError: with suggestions, when there is none.
    """
    return LOSSES.get(name)


def named(name: str) -> Callable[[Loss], Loss]:
    """Register a loss: `@named("soft-iou")`."""
    return lambda loss: LOSSES.add(name, loss)


@named("soft-iou")
def soft_iou(logits: Tensor, mask: Tensor) -> Tensor:
    """One minus the soft intersection over union of the batch.

    Source: BasicIRSTD (on its networks' sigmoid outputs), DNANet, ACM.
    """
    prob = torch.sigmoid(logits)
    intersection = (prob * mask).sum()
    union = prob.sum() + mask.sum() - intersection
    return 1 - (intersection + SMOOTH) / (union + SMOOTH)


@named("soft-iou-sample")
def soft_iou_sample(logits: Tensor, mask: Tensor) -> Tensor:
    """One minus the soft intersection over union of each image, averaged over the batch.

    Source: AGPCNet, RPCANet.
    """
    prob = torch.sigmoid(logits)
    intersection = (prob * mask).sum((1, 2, 3))  # (B,)
    union = prob.sum((1, 2, 3)) + mask.sum((1, 2, 3)) - intersection
    return 1 - ((intersection + SMOOTH) / (union + SMOOTH)).mean()


@named("dice")
def soft_dice(logits: Tensor, mask: Tensor) -> Tensor:
    """One minus the soft Dice coefficient of the batch."""
    prob = torch.sigmoid(logits)
    return 1 - (2 * (prob * mask).sum() + SMOOTH) / (prob.sum() + mask.sum() + SMOOTH)


@named("bce")
def cross_entropy(logits: Tensor, mask: Tensor) -> Tensor:
    """Mean binary cross-entropy of the probabilities, each log not below -100.

    Taken from the probabilities, as published, and not from the logits: a pixel whose sigmoid has saturated (beyond
    about 17 in float32) gives no gradient.
    """
    return F.binary_cross_entropy(torch.sigmoid(logits), mask)


@named("dice-bce")
def dice_bce(logits: Tensor, mask: Tensor) -> Tensor:
    """Half the binary cross-entropy plus half the Dice loss.

    Source: DFINet, FANet. DFINet's figure shows the sum without the halves.
    """
    return 0.5 * cross_entropy(logits, mask) + 0.5 * soft_dice(logits, mask)
