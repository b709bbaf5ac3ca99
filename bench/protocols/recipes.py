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


DNANET = RECIPES.add(
    "dnanet",
    Recipe(
        optimiser="adagrad",
        lr=0.05,
        epochs=1500,
        batch=4,
        loss="soft-iou",
        augmentation="dnanet",
        patch=256,
        positive_crop=0.0,
    ),
)
"""DNANet's script: random scale, crop, flip and blur at a constant rate.

It makes a cosine schedule and steps it once, before training. Differs: what a crop shows beyond the image is the mean
grey here and black there; images are flipped after the crop here and before it there, so that a flipped image smaller
than the patch has its padding on the left here and on the right there; a last batch that is not full is left out there.
"""

MSHNET = RECIPES.add("mshnet", replace(DNANET, epochs=400, loss="sls"))
"""MSHNet's script: DNANet's images and rate, scale and location sensitive loss after six epochs of warm-up."""

UIUNET = RECIPES.add(
    "uiunet",
    Recipe(
        optimiser="adam",
        lr=1e-3,
        epochs=500,
        batch=3,
        loss="bce",
        augmentation="flip-ud",
        shuffle="once",
        patch=256,
        positive_crop=0.0,
    ),
)
"""UIU-Net's script, but for the size: it crops 288 x 288 from images that are resized to 320 x 320."""

RDIAN = RECIPES.add(
    "rdian",
    Recipe(
        optimiser="adagrad",
        lr=5e-3,
        weight_decay=1e-4,
        schedule="poly",
        epochs=400,
        batch=8,
        loss="soft-iou-sample",
        augmentation="dnanet",
        patch=256,
        positive_crop=0.0,
    ),
)
"""RDIAN's script, but for the size (480 x 480 crops around a scale of 512) and the epochs, which are BasicIRSTD's."""

AGPCNET = RECIPES.add(
    "agpcnet",
    Recipe(
        optimiser="sgd",
        lr=0.05,
        momentum=0.9,
        weight_decay=1e-4,
        schedule="poly",
        stepped="iteration",
        epochs=5,
        batch=8,
        loss="soft-iou-sample",
        augmentation="none",
    ),
)
"""AGPCNet's script: five epochs of the 8,525 images of SIRST-Aug, which are augmented already, at 256 x 256."""

SCTRANSNET = RECIPES.add(
    "sctransnet",
    Recipe(
        optimiser="adam",
        lr=1e-3,
        schedule="cosine",
        warm_up=10,
        lr_end=1e-5,
        epochs=1000,
        batch=16,
        loss="bce",
        augmentation="basicirstd",
        patch=256,
        positive_crop=0.5,
    ),
)
"""SCTransNet's script: BasicIRSTD's crops, a rate that rises for ten epochs and then falls along a cosine."""

RPCANET = RECIPES.add(
    "rpcanet",
    Recipe(
        optimiser="adam",
        lr=1e-4,
        schedule="poly",
        stepped="iteration",
        epochs=800,
        batch=8,
        loss="soft-iou-sample",
        augmentation="none",
    ),
)
"""RPCANet's script: whole images resized to 256 x 256."""

FANET = RECIPES.add("fanet", replace(DFINET, lr=1e-4, epochs=500, batch=2))
"""FANet's script: DFINet's at a higher rate, in smaller batches, for longer."""


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
