"""The named recipes: how a network learns, as published or as this project proposes."""

from __future__ import annotations

from dataclasses import replace

from bench.registry import Registry
from bench.types import Recipe

RECIPES: Registry[Recipe] = Registry("recipe")

BASICIRSTD = RECIPES.add(
    "basicirstd",
    Recipe(
        optimiser="adam",
        lr=5e-4,
        schedule="multistep",
        milestones=(200, 300),
        gamma=0.1,
        epochs=400,
        batch=16,
        loss="soft-iou",
        augmentation="basicirstd",
        patch=256,
        positive_crop=0.5,
    ),
)
"""BasicIRSTD's common recipe: random 256 x 256 crops, half of them on a target, flips and transposition."""

DFINET = RECIPES.add(
    "dfinet",
    Recipe(
        optimiser="adam",
        lr=7e-5,
        schedule="plateau",
        patience=5,
        gamma=0.1,
        epochs=300,
        batch=10,
        loss="dice-bce",
        augmentation="dfinet",
        shuffle="once",
        drop_single=False,
        align_start=False,
    ),
)
"""DFINet's script: whole resized images, one fixed order, start and history masks that ignore the augmentation.

Its CoarseDropout hides targets in the image and leaves them in the mask, and its feedback masks are not aligned with
the augmented image: both are published behaviour, kept here under its own name.
"""


def fit_to_native(recipe: Recipe) -> Recipe:
    """A published recipe made to train on native-size images: its optimiser, schedule and loss on aligned 256 crops.

    Recipes that crop already are returned as they are. The others, which train on resized images, take BasicIRSTD's
    crops and flips, a new order every epoch and start masks that follow the crop.
    """
    if recipe.patch is not None:
        return recipe
    return replace(
        recipe,
        patch=BASICIRSTD.patch,
        positive_crop=BASICIRSTD.positive_crop,
        augmentation=BASICIRSTD.augmentation,
        shuffle="epoch",
        align_start=True,
    )
