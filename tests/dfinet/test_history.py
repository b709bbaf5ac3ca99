"""The history masks of DFINet's training: when they are taken, when they are used, and what survives a resume."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from bench.models.losses import dice_bce
from bench.models.network import Batch
from bench.training.stored_masks import compress_masks, restore_masks
from dfinet.history import AlignedHistory, ReleasedHistory, pack, unpack
from dfinet.network import DFINet


def batch(*indices: int, start: float = 0.25, side: int = 4) -> Batch:
    count = len(indices)
    shape = (count, 1, side, side)
    return Batch(
        image=torch.rand(count, 1, side, side, generator=torch.Generator().manual_seed(3)),
        mask=torch.zeros(shape),
        start=torch.full(shape, start),
        index=torch.tensor(indices),
        name=[str(i) for i in indices],
        size=[(side, side)] * count,
        geometry=None,
    )


def prob(*values: float, side: int = 4) -> Tensor:
    return torch.tensor(values).view(-1, 1, 1, 1).expand(-1, 1, side, side)


def first_pixels(masks: Tensor) -> list[float]:
    return masks[:, 0, 0, 0].tolist()


def test_the_first_epoch_is_fed_the_start_masks() -> None:
    history = ReleasedHistory()
    history.collect(batch(0, 1), prob(1, 1))
    assert first_pixels(history.masks_for(batch(0, 1))) == [0.25, 0.25]


def test_predictions_take_the_masks_place_after_an_epoch_that_improved() -> None:
    history = ReleasedHistory()
    history.collect(batch(0, 1), prob(0, 1))
    history.epoch_ended(improved=True)
    assert first_pixels(history.masks_for(batch(1, 0))) == [1, 0]


def test_predictions_of_an_epoch_that_did_not_improve_are_forgotten() -> None:
    history = ReleasedHistory()
    history.collect(batch(0), prob(1))
    history.epoch_ended(improved=True)
    history.collect(batch(0), prob(0))
    history.epoch_ended(improved=False)
    history.epoch_ended(improved=True)
    assert first_pixels(history.masks_for(batch(0))) == [1]


def test_an_image_the_epoch_left_out_keeps_its_mask() -> None:
    history = ReleasedHistory()
    history.collect(batch(0, 1), prob(1, 1))
    history.epoch_ended(improved=True)
    history.collect(batch(0), prob(0))
    history.epoch_ended(improved=True)
    assert first_pixels(history.masks_for(batch(0, 1, 2))) == [0, 1, 0.25]


def test_a_mask_belongs_to_a_position_and_not_to_an_augmented_view() -> None:
    """As released: the same stored mask is fed whatever was done to the image."""
    history = ReleasedHistory()
    history.collect(batch(0), torch.linspace(0, 1, 16).view(1, 1, 4, 4))
    history.epoch_ended(improved=True)
    flipped = replace(batch(0), image=batch(0).image.flip(3), geometry=["flipped"])
    assert torch.equal(history.masks_for(flipped), history.masks_for(batch(0)))


def test_the_batchs_own_start_masks_are_left_alone() -> None:
    history, given_batch = ReleasedHistory(), batch(0)
    history.collect(given_batch, prob(1))
    history.epoch_ended(improved=True)
    history.masks_for(given_batch)
    assert given_batch.start is not None
    assert first_pixels(given_batch.start) == [0.25]


def test_a_stored_mask_of_another_size_is_refused() -> None:
    history = ReleasedHistory()
    history.collect(batch(7), prob(1))
    history.epoch_ended(improved=True)
    with pytest.raises(ValueError, match=r"the mask of image 7 is 4 x 4 pixels, the batch 8 x 8; train on one size"):
        history.masks_for(batch(7, side=8))


def test_a_batch_without_start_masks_is_refused() -> None:
    with pytest.raises(ValueError, match=r"batch\.start is None, expected first feedback masks"):
        ReleasedHistory().masks_for(replace(batch(0), start=None))


@given(st.floats(0, 1, width=32))
def test_eight_bits_are_near_and_on_the_same_side_of_one_half(value: float) -> None:
    back = unpack(pack(torch.tensor([value]))).item()
    assert abs(back - value) <= 1 / 256 + 1e-7  # float32 rounding of k / 255
    assert (back > 0.5) == (value > 0.5)


def test_one_byte_a_pixel_is_held() -> None:
    history = ReleasedHistory()
    history.collect(batch(0, 1), prob(1, 0))
    history.epoch_ended(improved=True)
    for mask in history.state()["masks"].values():
        assert mask.dtype == torch.uint8
        assert mask.untyped_storage().nbytes() == 16


def masks_of(sizes: list[tuple[int, int]]) -> dict[int, Tensor]:
    """Masks of a training: a few pixels on, at positions that are not in order."""
    masks = {}
    for number, (height, width) in enumerate(sizes):
        mask = torch.zeros(height, width, dtype=torch.uint8)
        mask[height // 2, width // 3 :] = 200 + number
        masks[7 * number % 5] = mask
    return masks


@pytest.mark.parametrize("sizes", [[(256, 256)] * 4, [(40, 60), (100, 20), (1, 1)]], ids=["one size", "several"])
def test_compressed_masks_come_back_bit_for_bit_and_in_their_order(sizes: list[tuple[int, int]]) -> None:
    masks = masks_of(sizes)
    packed = compress_masks({"masks": masks})
    file = io.BytesIO()
    torch.save(packed, file)
    assert file.tell() < 4000
    file.seek(0)
    found = restore_masks(torch.load(file, weights_only=True))["masks"]
    assert list(found) == list(masks)
    assert all(torch.equal(found[index], mask) for index, mask in masks.items())


@pytest.mark.parametrize("state", [{}, {"masks": {}}, {"masks": masks_of([(4, 4), (4, 4)])}], ids=str)
def test_a_state_without_compressed_masks_is_restored_as_it_is(state: dict[str, dict[int, Tensor]]) -> None:
    assert restore_masks(state) == state
    if not state.get("masks"):
        assert compress_masks(state) == state


def test_masks_cut_short_are_refused() -> None:
    packed = compress_masks({"masks": masks_of([(4, 4), (4, 4)])})
    packed["masks"]["sizes"][0, 0] = 5
    with pytest.raises(ValueError, match="32 bytes of masks, expected 36 for 2 images"):
        restore_masks(packed)


@pytest.mark.parametrize("kind", [ReleasedHistory, AlignedHistory])
def test_a_step_reads_no_value_from_the_device(kind: type[ReleasedHistory]) -> None:
    """Tensors on the meta device have no values: whatever asked for one would fail."""
    history = kind()
    for step in range(3):
        given_batch = batch(0, 1).to(torch.device("meta"))
        assert history.masks_for(given_batch).device.type == "meta"
        history.collect(given_batch, prob(0, 1).to("meta"))
        history.epoch_ended(improved=step == 0)
    assert history.masks_for(batch(1, 2).to(torch.device("meta"))).shape == (2, 1, 4, 4)


def trained(network: DFINet, indices: tuple[int, ...] = (0, 1)) -> Tensor:
    return network.train().training_loss(batch(*indices, side=32), dice_bce, epoch=0)


def small() -> DFINet:
    torch.manual_seed(0)
    return DFINet(channels=1, width=2)


def test_training_feeds_back_the_predictions_it_made_before() -> None:
    network = small()
    with torch.no_grad():
        expected = torch.sigmoid(network.train().refine(batch(0, 1, side=32).image, prob(0.25, 0.25, side=32)))
    trained(network)
    network.epoch_ended(improved=True)
    fed = network.history.masks_for(batch(0, 1, side=32))
    assert (fed - expected).abs().max() <= 1 / 256 + 1e-6


def test_a_loss_taken_in_evaluation_mode_leaves_no_history() -> None:
    network = small().eval()
    network.training_loss(batch(0, 1, side=32), dice_bce, epoch=0)
    network.epoch_ended(improved=True)
    assert network.resume_state() == {"masks": {}}


def test_a_resumed_training_goes_on_as_if_never_stopped() -> None:
    network = small()
    trained(network)
    network.epoch_ended(improved=True)
    file = io.BytesIO()
    torch.save({"weights": network.state_dict(), "network": network.resume_state()}, file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)

    again = small()
    again.load_state_dict(saved["weights"])
    again.load_resume_state(saved["network"])
    assert torch.equal(trained(again), trained(network))


def test_the_history_is_no_part_of_the_weights() -> None:
    network = small()
    trained(network)
    network.epoch_ended(improved=True)
    assert network.state_dict().keys() == small().state_dict().keys()
