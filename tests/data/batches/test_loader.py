from __future__ import annotations

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch

from bench.data.batches.geometry import Geometry
from bench.data.batches.loader import evaluation_batches, network_size, steps_per_epoch, train_batches
from bench.data.catalogue.splits import list_names
from bench.data.images.frames import Frame, Frames, open_frames
from bench.models.network import Batch
from bench.protocols.recipes import RECIPES
from bench.types import Input, Recipe

GREY = Input("pillow-grey", 1, mean=100.0, std=10.0, multiple=16)
RESIZED = Input("pillow-grey", 1, size=(64, 48))
PATCHES = Recipe("adam", 1e-3, 1, 4, loss="soft-iou", augmentation="basicirstd", patch=32)
RELEASED = Recipe("adam", 1e-3, 1, 4, loss="dice-bce", augmentation="dfinet", shuffle="once", align_start=False)


@pytest.fixture(scope="module")
def frames() -> Frames:
    names = list_names("synthetic", "bench", "train", limit=10)
    return open_frames("synthetic", names, root=None, decoder="pillow-grey")


def made_frame(height: int, width: int, level: int = 110) -> Frame:
    image = np.full((height, width), level, np.uint8)
    mask = np.zeros((height, width), np.uint8)
    mask[1, 2:4] = (255, 120)
    return Frame(f"{height}x{width}", image, image, mask)


def epoch_of(frames: Frames, epoch: int, recipe: Recipe = PATCHES, given: Input = GREY, seed: int = 3) -> list[Batch]:
    return list(train_batches(frames, input=given, recipe=recipe, seed=seed, epoch=epoch, needs_start=True))


def same(one: Batch, other: Batch) -> bool:
    tensors = [(one.image, other.image), (one.mask, other.mask), (one.index, other.index)]
    assert one.start is not None
    assert other.start is not None
    return all(torch.equal(a, b) for a, b in [*tensors, (one.start, other.start)]) and list(one.geometry or []) == list(
        other.geometry or []
    )


def test_an_epoch_shows_every_image_once_with_its_name(frames: Frames) -> None:
    batches = epoch_of(frames, 0)
    shown = [index for batch in batches for index in batch.index.tolist()]
    assert sorted(shown) == list(range(10))
    assert [name for batch in batches for name in batch.name] == [frames[i].name for i in shown]
    assert [len(batch.index) for batch in batches] == [4, 4, 2]
    assert batches[0].image.shape == (4, 1, 32, 32)
    assert batches[0].mask.shape == (4, 1, 32, 32)
    assert batches[0].image.dtype == batches[0].mask.dtype == torch.float32
    assert batches[0].size[0] == (128, 128)


def test_an_epoch_is_the_same_whatever_was_asked_for_before(frames: Frames) -> None:
    resumed = epoch_of(frames, 5)
    for epoch in (0, 1, 5):
        again = epoch_of(frames, epoch)
    assert all(same(a, b) for a, b in zip(resumed, again, strict=True))
    assert not same(resumed[0], epoch_of(frames, 6)[0])
    assert not same(resumed[0], epoch_of(frames, 5, seed=4)[0])


def test_an_interrupted_epoch_leaves_no_trace(frames: Frames) -> None:
    list(islice(train_batches(frames, input=GREY, recipe=PATCHES, seed=3, epoch=2, needs_start=True), 1))
    state = np.random.get_state()[1].copy()  # type: ignore[index, union-attr]
    batches = epoch_of(frames, 2)
    assert same(batches[0], epoch_of(frames, 2)[0])
    assert np.array_equal(state, np.random.get_state()[1])  # type: ignore[index]


def test_the_order_is_new_every_epoch_or_fixed_once(frames: Frames) -> None:
    def order(recipe: Recipe, epoch: int) -> list[int]:
        return [index for batch in epoch_of(frames, epoch, recipe) for index in batch.index.tolist()]

    assert order(PATCHES, 0) != order(PATCHES, 1)
    once = replace(PATCHES, shuffle="once")
    assert order(once, 0) == order(once, 1) != list(range(10))
    assert [g for b in epoch_of(frames, 0, once) for g in b.geometry] != [
        g for b in epoch_of(frames, 1, once) for g in b.geometry
    ]


def test_an_images_augmentation_does_not_depend_on_the_batch_it_is_in(frames: Frames) -> None:
    def by_image(batch: int) -> dict[int, Geometry]:
        batches = epoch_of(frames, 0, replace(PATCHES, batch=batch))
        return {i: g for b in batches for i, g in zip(b.index.tolist(), b.geometry, strict=True)}

    assert by_image(2) == by_image(5)


@pytest.mark.parametrize(
    ("count", "batch", "drop_single", "steps"),
    [(10, 4, True, 3), (9, 4, True, 2), (9, 4, False, 3), (8, 4, True, 2), (3, 1, True, 3), (1, 4, True, 0)],
)
def test_a_last_batch_of_one_image_is_left_out(
    frames: Frames, count: int, batch: int, drop_single: bool, steps: int
) -> None:
    recipe = replace(PATCHES, batch=batch, drop_single=drop_single)
    assert len(epoch_of(frames[:count], 0, recipe)) == steps == steps_per_epoch(frames[:count], recipe)


def test_the_geometry_of_a_batch_makes_its_image_mask_and_start_again(frames: Frames) -> None:
    batch = epoch_of(frames, 1)[0]
    assert batch.start is not None
    for place, (index, geometry) in enumerate(zip(batch.index.tolist(), batch.geometry, strict=True)):
        levels = frames[index].image.astype(np.float32)
        assert np.array_equal(batch.image[place, 0], (geometry.apply(levels) - 100) / 10)
        assert np.array_equal(batch.mask[place, 0], geometry.apply(frames[index].binary_mask))
        assert np.array_equal(batch.start[place, 0], geometry.apply(frames[index].start()))


def test_small_images_are_padded_with_zeros_after_normalisation() -> None:
    frames = Frames("synthetic", [made_frame(20, 24), made_frame(20, 24)])
    recipe = replace(PATCHES, augmentation="none")
    (batch,) = train_batches(frames, input=GREY, recipe=recipe, seed=0, epoch=0, needs_start=False)
    assert batch.start is None
    assert (batch.image[0, 0, :20, :24] == 1.0).all()
    assert (batch.image[0, 0, 20:] == 0).all()
    assert (batch.image[0, 0, :, 24:] == 0).all()
    assert batch.mask.sum() == 2


def test_masks_are_binary_at_more_than_127() -> None:
    (batch,) = evaluation_batches([made_frame(16, 16)], input=GREY, needs_start=False)
    assert batch.mask[0, 0, 1, 2:4].tolist() == [1.0, 0.0]


def test_a_resized_mask_stays_soft() -> None:
    mask = np.zeros((2, 2), np.uint8)
    mask[:, 1] = 255
    frame = Frame("soft", mask, mask, mask)
    (batch,) = evaluation_batches([frame], input=Input("pillow-grey", 1, size=(2, 4)), needs_start=False)
    assert batch.mask[0, 0, 0].tolist() == pytest.approx([0, 64 / 255, 191 / 255, 1])
    assert torch.equal(batch.image, batch.mask)


def test_whole_images_are_padded_at_the_bottom_and_right() -> None:
    (batch,) = evaluation_batches([made_frame(20, 24)], input=GREY, needs_start=True)
    assert batch.image.shape == (1, 1, 32, 32)
    assert (batch.image[0, 0, :20, :24] == 1.0).all()
    assert batch.image.sum() == 20 * 24
    assert batch.size == [(20, 24)]
    assert batch.geometry is None
    assert batch.start is not None
    assert batch.start[0, 0, :20, :24].all()
    assert batch.start.sum() == 20 * 24
    assert network_size(made_frame(20, 24), GREY) == (20, 24)
    assert network_size(made_frame(20, 24), RESIZED) == (64, 48)


def test_further_padding_goes_to_the_next_larger_multiple_whatever_the_size() -> None:
    """As LESPS' script does it: 256 becomes 288, 257 too."""
    further = replace(GREY, padding="further")
    sizes = {(16, 16): (32, 32), (20, 24): (32, 32), (32, 31): (48, 32)}
    for size, padded in sizes.items():
        (batch,) = evaluation_batches([made_frame(*size)], input=further, needs_start=False)
        assert batch.image.shape[2:] == padded
        assert batch.image.sum() == size[0] * size[1]
        assert network_size(made_frame(*size), further) == size
    with pytest.raises(ValueError, match="padding 'further' is of native-size images, not of size"):
        replace(RESIZED, padding="further")


def test_only_neighbours_of_one_padded_size_share_a_batch() -> None:
    sizes = [(20, 24), (30, 32), (40, 24), (20, 24), (20, 25), (20, 26)]
    frames = [made_frame(*size) for size in sizes]
    batches = list(evaluation_batches(frames, input=GREY, needs_start=False, batch=2))
    assert [batch.index.tolist() for batch in batches] == [[0, 1], [2], [3, 4], [5]]
    assert [size for batch in batches for size in batch.size] == sizes
    resized = evaluation_batches(frames, input=RESIZED, needs_start=False, batch=4)
    assert [batch.image.shape[0] for batch in resized] == [4, 2]


def test_a_grey_image_is_repeated_for_three_channels(frames: Frames) -> None:
    given = replace(GREY, channels=3)
    (batch,) = evaluation_batches(frames[:1], input=given, needs_start=False)
    assert batch.image.shape == (1, 3, 128, 128)
    assert torch.equal(batch.image[:, 0], batch.image[:, 2])


def test_the_released_dfinet_feeds_the_start_of_the_unturned_image(frames: Frames) -> None:
    batches = epoch_of(frames, 0, RELEASED, RESIZED)
    for batch in batches:
        assert batch.start is not None
        for index, start in zip(batch.index.tolist(), batch.start, strict=True):
            assert np.array_equal(start[0], frames[index].start((64, 48)))


def test_an_aligned_start_follows_a_resized_image(frames: Frames) -> None:
    batches = epoch_of(frames, 0, replace(RELEASED, align_start=True), RESIZED)
    moved = 0
    for batch in batches:
        assert batch.start is not None
        for index, geometry, start in zip(batch.index.tolist(), batch.geometry, batch.start, strict=True):
            unturned = frames[index].start((64, 48))
            assert np.array_equal(start[0], geometry.apply(unturned, "nearest"))
            moved += not np.array_equal(start[0], unturned)
    assert moved > 0


def test_an_unaligned_start_of_a_patch_is_refused(frames: Frames) -> None:
    with pytest.raises(ValueError, match="align_start=False needs a resized input"):
        epoch_of(frames, 0, replace(PATCHES, align_start=False))


def test_dropout_blackens_the_image_and_not_the_mask(frames: Frames) -> None:
    recipe = replace(RELEASED, batch=1)
    given = Input("pillow-grey", 1, size=(128, 128))
    blackened = 0
    for batch in epoch_of(frames, 0, recipe, given):
        (index,), (geometry,) = batch.index.tolist(), batch.geometry
        whole = geometry.apply(frames[index].image.astype(np.float32)) / 255
        changed = batch.image[0, 0].numpy() - whole
        blackened += bool((np.abs(changed) > 0.1).any())
        assert np.array_equal(batch.mask[0, 0] * 255, geometry.apply(frames[index].mask, "nearest"))
    assert 0 < blackened < 10


def coloured(level: int) -> Frame:
    image = np.empty((40, 40, 3), np.uint8)
    image[:] = (level, level + 20, level + 90)
    return Frame(f"colour {level}", image, image[..., 0].copy(), np.zeros((40, 40), np.uint8))


def in_three_channels(level: int) -> Frame:
    image = np.full((40, 40, 3), level, np.uint8)
    return Frame(f"grey {level}", image, image[..., 0].copy(), np.zeros((40, 40), np.uint8))


def test_images_with_and_without_colours_share_a_batch() -> None:
    shown = [in_three_channels(10), coloured(20), in_three_channels(30), coloured(40), coloured(50)]
    given = Input("opencv-bgr", 3, mean=0.0, std=1.0)
    (batch,) = train_batches(
        Frames("synthetic", shown),
        input=given,
        recipe=replace(PATCHES, batch=5),
        seed=1,
        epoch=0,
        needs_start=False,
    )
    levels = {
        name: image.flatten(1).unique(dim=1).flatten().tolist()
        for name, image in zip(batch.name, batch.image, strict=True)
    }
    assert levels == {frame.name: frame.image[0, 0].tolist() for frame in shown}


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("share", [0.5, 0.0], ids=["kept on the device", "sent batch by batch"])
@pytest.mark.parametrize("recipe", ["basicirstd", "dfinet", "dnanet"])
def test_a_gpu_makes_the_batches_that_a_cpu_makes(
    frames: Frames, recipe: str, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.data.batches.crops.MOST_OF_FREE_MEMORY", share)
    rule = RECIPES.get(recipe)
    given = GREY if rule.patch else RESIZED
    made = [
        list(
            train_batches(frames, input=given, recipe=rule, seed=2, epoch=0, needs_start=True, device=torch.device(one))
        )
        for one in ("cpu", "cuda")
    ]
    for one, other in zip(*made, strict=True):
        assert other.image.device.type == other.mask.device.type == "cuda"
        level = 1.001 / given.std  # what is interpolated may be rounded to the next level
        torch.testing.assert_close(other.image.cpu(), one.image, rtol=0, atol=level)
        assert (other.mask.cpu() != one.mask).float().mean() < 0.001
        assert one.start is not None
        assert other.start is not None
        assert (other.start.cpu() != one.start).float().mean() < 0.001


@pytest.mark.parametrize("given", [GREY, RESIZED])
def test_a_mask_that_is_not_there_is_nan_and_no_ground_truth(given: Input) -> None:
    levels = np.full((40, 40), 9, np.uint8)
    frames = [made_frame(40, 40), Frame("plain", levels, levels)]
    (batch,) = evaluation_batches(frames, input=given, needs_start=True, batch=2)
    height, width = network_size(frames[1], given)
    assert not batch.mask[0].isnan().any()
    assert batch.mask[1, 0, :height, :width].isnan().all()
