"""The losses that networks are trained with: functions of logits and masks, (B, 1, H, W) each, to a scalar.

Masks are in [0, 1]; `p = sigmoid(logits)`. Sums run over the whole batch, so large targets weigh more than small ones,
and a frame without a target adds only to `sum p`; the losses that take each image by itself say so.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.models.network import Loss
from bench.registry import Registry

LOSSES: Registry[Loss] = Registry("loss")

SMOOTH = 1.0  # pixels, as in all the losses below but SLS
LEAST = 1e-8  # what keeps SLS's location loss from dividing by zero

WARM_UPS = {"sls": "sls-warm-up"}
"""The loss that stands in for another in the first epochs."""

WARM_UP_EPOCHS = 6
"""Epochs a warm-up takes: MSHNet's warm_epoch is 5, and it counts epochs from 0."""


def get_loss(name: str, *, epoch: int | None = None) -> Loss:
    """The loss called `name`, as it is in an epoch, counted from 1; without an epoch, as it is after its warm-up.

    Raises:
        UnknownNameError: with suggestions, when there is none.
    """
    if epoch is not None and epoch <= WARM_UP_EPOCHS:
        name = WARM_UPS.get(name, name)
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


@named("sls-warm-up")
def sls_warm_up(logits: Tensor, mask: Tensor) -> Tensor:
    """One minus the soft intersection over union of each image, not smoothed, averaged over the batch.

    Source: MSHNet, first six epochs.
    Differs: where prediction and mask are both exactly empty, MSHNet's code is NaN; here the IoU is 0.
    """
    return 1 - _sample_iou(torch.sigmoid(logits), mask).mean()


@named("sls")
def sls(logits: Tensor, mask: Tensor) -> Tensor:
    """The scale and location sensitive loss: one minus the scale-weighted IoU of each image, plus its location loss.

    Both are averaged over the batch. A frame without a target costs 1 plus its location loss.

    Source: MSHNet, after the first six epochs.
    Differs: where prediction and mask are both exactly empty, MSHNet's code is NaN; here the IoU and its weight are 0.
    """
    prob = torch.sigmoid(logits)
    weighted = _scale_weight(prob, mask) * _sample_iou(prob, mask)  # (B,)
    return 1 - weighted.mean() + location_loss(prob, mask)


def location_loss(prob: Tensor, mask: Tensor) -> Tensor:
    """Distance of the prediction's centre from the mask's, in length and in angle, averaged over the batch.

    Source: MSHNet's code. The paper means the centre points, its code leaves out the division by the mass: the length
    also compares masses, the angle does not.
    """
    length_p, angle_p = _centre(prob)
    length_t, angle_t = _centre(mask)
    shortfall = 1 - torch.minimum(length_p, length_t) / (torch.maximum(length_p, length_t) + LEAST)
    return (shortfall + 4 / math.pi**2 * (angle_p - angle_t).square()).mean()


def _sample_iou(prob: Tensor, mask: Tensor) -> Tensor:
    """Soft intersection over union (B,) of each image; 0 where both are empty, its limit as a prediction vanishes."""
    intersection = (prob * mask).sum((1, 2, 3))
    union = prob.sum((1, 2, 3)) + mask.sum((1, 2, 3)) - intersection
    return intersection / _positive(union)


def _scale_weight(prob: Tensor, mask: Tensor) -> Tensor:
    """Similarity of the masses of prediction and mask, (B,) in [0, 1]; 0 where both are empty, as a limit too."""
    predicted, actual = prob.sum((1, 2, 3)), mask.sum((1, 2, 3))
    variance = ((predicted - actual) / 2).square()
    return (torch.minimum(predicted, actual) + variance) / _positive(torch.maximum(predicted, actual) + variance)


def _positive(total: Tensor) -> Tensor:
    """The divisor, but never 0, where MSHNet's code would go on with NaN."""
    return total.clamp_min(torch.finfo(total.dtype).tiny)


def _centre(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Length and angle, (B,) each, of the mean over all pixels of `weight` times position; the image's sides are 1."""
    H, W = weight.shape[-2:]
    row = torch.arange(H, dtype=weight.dtype, device=weight.device)[:, None] / H
    column = torch.arange(W, dtype=weight.dtype, device=weight.device) / W
    x, y = (weight * column).mean((1, 2, 3)), (weight * row).mean((1, 2, 3))
    return (x.square() + y.square() + LEAST).sqrt(), torch.arctan(y / (x + LEAST))
