"""How well a mask that training remembers fits the image's next augmented view, with perfect predictions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import Tensor

from bench.data.batches.loader import evaluation_batches, train_batches
from bench.data.catalogue.splits import list_names
from bench.data.images.frames import Frames, open_frames
from bench.models.network import Batch
from bench.protocols.recipes import RECIPES, fit_to_native
from bench.types import Input, Recipe
from dfinet.history import AlignedHistory, History, ReleasedHistory

pytestmark = pytest.mark.realdata

SPLITS = {"NUDT-SIRST": "dfinet", "NUAA-SIRST": "basicirstd"}

DFINET = RECIPES.get("dfinet")
RESIZED = (Input(decoder="pillow-grey", channels=1, size=(256, 256)), DFINET)
CROPPED = (Input(decoder="pillow-grey", channels=1), fit_to_native(DFINET))
TURNED_CROPS = (CROPPED[0], replace(CROPPED[1], augmentation="dfinet"))

Rules = tuple[Input, Recipe]

ALL = {"resized": RESIZED, "cropped": CROPPED, "rotated crops": TURNED_CROPS}
every_set = pytest.mark.parametrize("dataset", SPLITS)
all_rules = pytest.mark.parametrize("rules", ALL.values(), ids=ALL)


@cache
def training_list(root: Path, dataset: str) -> Frames:
    names = list_names(dataset, SPLITS[dataset], "train")
    return open_frames(dataset, names, root=root, decoder="pillow-grey")


def views(frames: Frames, rules: Rules, *, epoch: int, seed: int = 0) -> Iterator[Batch]:
    """An epoch's batches, with start masks that are NaN: they mark the pixels that a history knows nothing of."""
    read, recipe = rules
    for batch in train_batches(frames, input=read, recipe=recipe, seed=seed, epoch=epoch, needs_start=False):
        yield replace(batch, start=torch.full_like(batch.mask, torch.nan))


def whole(frames: Frames, rules: Rules) -> Iterator[Batch]:
    """Every image as it is, at the size that the rules train on."""
    return evaluation_batches(frames, input=rules[0], needs_start=False)


def remember(history: History, batches: Iterable[Batch]) -> History:
    """The history after an epoch that improved and in which every prediction was perfect."""
    for batch in batches:
        history.collect(batch, batch.mask)
    history.epoch_ended(improved=True)
    return history


def fits(history: History, batches: Iterable[Batch]) -> tuple[Tensor, Tensor]:
    """Per image (N,), the IoU of the mask that is fed with the view's own, and whether the view is rotated.

    Only pixels count that the history knows; without a target among them in either mask the IoU is NaN.
    """
    ious, rotated = [], []
    for batch in batches:
        fed = history.masks_for(batch)
        for row, geometry in enumerate(batch.geometry):
            known = ~fed[row].isnan()
            one, other = (fed[row] > 0.5) & known, (batch.mask[row] > 0.5) & known
            ious.append((one & other).sum() / (one | other).sum())
            rotated.append(geometry.angle != 0)
    return torch.stack(ious), torch.tensor(rotated)


@every_set
@all_rules
def test_a_perfect_mask_is_the_new_views_own_after_flips_and_transposition(
    real_data: Path, dataset: str, rules: Rules
) -> None:
    frames = training_list(real_data, dataset)
    ious, rotated = fits(remember(AlignedHistory(), whole(frames, rules)), views(frames, rules, epoch=2))
    seen = ious[~rotated & ~ious.isnan()]
    assert len(seen) > len(frames) / 2
    assert (seen == 1).all()


@pytest.mark.parametrize(
    ("dataset", "rules"), [("NUDT-SIRST", RESIZED), ("NUDT-SIRST", TURNED_CROPS), ("NUAA-SIRST", TURNED_CROPS)]
)
def test_a_perfect_mask_is_nearly_the_new_views_own_after_a_rotation(
    real_data: Path, dataset: str, rules: Rules
) -> None:
    """Wherever the mask is kept at the image's own size; NUDT-SIRST's is the network's.

    NUAA-SIRST's images are resized, and their labels are rotated before that. So small are its targets that two fair
    ways of rotating the label, bilinear and nearest, differ by more than this there.
    """
    frames = training_list(real_data, dataset)
    ious, rotated = fits(remember(AlignedHistory(), whole(frames, rules)), views(frames, rules, epoch=2))
    seen = ious[rotated & ~ious.isnan()]
    assert len(seen) > len(frames) / 5
    assert seen.min() >= 0.95


@every_set
@all_rules
def test_a_perfect_mask_of_one_view_overlaps_the_next_views_own(real_data: Path, dataset: str, rules: Rules) -> None:
    """Mean over the images of which both views see a target, on the pixels that both see."""
    frames = training_list(real_data, dataset)
    ious, _ = fits(remember(AlignedHistory(), views(frames, rules, epoch=1)), views(frames, rules, epoch=2))
    assert (~ious.isnan()).sum() > 0.8 * len(frames)
    assert ious.nanmean() >= 0.8


def carried(frames: Frames, kind: type[History], *, seed: int) -> Tensor:
    """Per image (N,), the IoU over the whole view of epoch 1's perfect mask carried to epoch 2, under DFINet's rules.

    What the history does not know counts as background.
    """
    history = remember(kind(), views(frames, RESIZED, epoch=1, seed=seed))
    second = views(frames, RESIZED, epoch=2, seed=seed)
    return fits(history, (replace(batch, start=torch.zeros_like(batch.mask)) for batch in second))[0]


def test_released_masks_miss_the_next_view_and_aligned_ones_fit_it(real_data: Path) -> None:
    """DFINet's 796 training images, the same draws for both; a single seed's mean has a deviation of 0.007.

    Source: the published pipeline (albumentations 1.3.1 and 2.0.8) on the same list gives 0.18 to 0.20, with 16 to 18 %
    of the masks in place.
    """
    frames = training_list(real_data, "NUDT-SIRST")
    assert len(frames) == 796
    released, aligned = (
        torch.cat([carried(frames, kind, seed=seed) for seed in range(8)]) for kind in (ReleasedHistory, AlignedHistory)
    )
    assert 0.18 <= released.nanmean() <= 0.20
    assert 0.16 <= (released == 1).float().mean() <= 0.18
    assert aligned.nanmean() >= 0.95
