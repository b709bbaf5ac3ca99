"""Optimisers and learning-rate schedules that a recipe names."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from bench.types import Recipe


def make_optimiser(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimiser over all parameters that ask for a gradient."""
    parameters = [p for p in network.parameters() if p.requires_grad]
    kinds = {p.device.type for p in parameters}
    # One kernel over all parameters; on a GPU torch has none for Adagrad.
    options: dict[str, Any] = {"lr": recipe.lr, "weight_decay": recipe.weight_decay, "fused": kinds <= {"cpu", "cuda"}}
    if recipe.optimiser == "sgd":
        return torch.optim.SGD(parameters, momentum=recipe.momentum, **options)
    if recipe.optimiser == "adagrad":
        return torch.optim.Adagrad(parameters, **(options | {"fused": kinds == {"cpu"}}))
    return torch.optim.Adam(parameters, **options)


Schedule = torch.optim.lr_scheduler.LRScheduler


def make_schedule(optimiser: torch.optim.Optimizer, recipe: Recipe, *, steps: int) -> Schedule | None:
    """The recipe's learning-rate schedule, stepped as the recipe says; None when the rate is constant.

    Args:
        steps: iterations of an epoch.
    """
    if recipe.schedule == "multistep":
        return torch.optim.lr_scheduler.MultiStepLR(optimiser, list(recipe.milestones), gamma=recipe.gamma)
    if recipe.schedule == "plateau":
        return torch.optim.lr_scheduler.ReduceLROnPlateau(optimiser, patience=recipe.patience, factor=recipe.gamma)
    each = max(steps, 1) if recipe.stepped == "iteration" else 1
    if recipe.schedule == "poly":
        last = recipe.epochs * each
        return torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: max(1 - step / last, 0) ** recipe.power)
    if recipe.schedule == "cosine":
        return torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: cosine_share(recipe, step / each))
    return None


def cosine_share(recipe: Recipe, epochs: float) -> float:
    """The share of the rate after a number of epochs: a linear rise over the warm-up, then half a cosine to its end.

    A training of no more epochs than its warm-up ends with the rise; the share behind it is that of the end.
    """
    if epochs < recipe.warm_up:
        return (epochs + 1) / (recipe.warm_up + 1)
    falling = recipe.epochs - recipe.warm_up
    done = min((epochs - recipe.warm_up) / falling, 1) if falling > 0 else 1
    least = recipe.lr_end / recipe.lr
    return least + (1 - least) * (1 + math.cos(math.pi * done)) / 2
