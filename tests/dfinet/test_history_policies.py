"""The history policies beside the released one: aligned with the augmentation, unrolled inside a step, none."""

from __future__ import annotations

import io
import itertools
from dataclasses import replace
from functools import cache

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from bench.data.batches.geometry import Geometry, Views
from bench.data.batches.loader import train_batches
from bench.data.catalogue.splits import list_names
from bench.data.images.frames import Frames, open_frames
from bench.models.losses import dice_bce
from bench.models.network import Batch
from bench.protocols.recipes import RECIPES, fit_to_native
from bench.types import Input, Recipe
from dfinet.feedback_network import FeedbackNetwork
from dfinet.history import KNOWN, AlignedHistory, History, ReleasedHistory, history_of, pack, unpack
from dfinet.network import DFINet

POLICIES = ("released", "aligned", "none", "unrolled-1", "unrolled-2", "unrolled-3")
every_policy = pytest.mark.parametrize("name", POLICIES)

START = 0.25

TURNS = [
    Geometry(source=(32, 32), flip_ud=ud, flip_lr=lr, transpose=transpose)
    for ud, lr, transpose in itertools.product((False, True), repeat=3)
]
every_turn = pytest.mark.parametrize("turn", TURNS, ids=lambda turn: f"{turn.flip_ud}-{turn.flip_lr}-{turn.transpose}")


def batch_of(*geometries: Geometry | None, side: int | None = None) -> Batch:
    """A batch of one view each of images 0, 1, …, all of one size."""
    size = (side, side) if side else next(g.output for g in geometries if g is not None)
    shape = (len(geometries), 1, *size)
    return Batch(
        image=torch.rand(shape, generator=torch.Generator().manual_seed(3)),
        mask=(torch.rand(shape, generator=torch.Generator().manual_seed(4)) > 0.9).float(),
        start=torch.full(shape, START),
        index=torch.arange(len(geometries)),
        name=[str(i) for i in range(len(geometries))],
        size=[size if g is None else g.source for g in geometries],
        geometry=None if None in geometries else Views.of([g for g in geometries if g is not None]),
    )


def after(history: History, *views: tuple[Geometry | None, Tensor]) -> History:
    """The history once image 0 was predicted in each view, in an epoch of its own that improved."""
    for geometry, prob in views:
        history.collect(batch_of(geometry, side=prob.shape[-1]), prob[None, None])
        history.epoch_ended(improved=True)
    return history


def fed(history: History, geometry: Geometry | None, side: int | None = None) -> Tensor:
    """The mask (H, W) that image 0 is fed in a view."""
    return history.masks_for(batch_of(geometry, side=side))[0, 0]


def iou(one: Tensor, other: Tensor) -> float:
    return ((one & other).sum() / (one | other).sum()).item()


def targets(height: int = 32, width: int = 32) -> Tensor:
    """Two targets (H, W), of 5 x 4 and 3 x 7 pixels, neither in the middle."""
    mask = torch.zeros(height, width)
    mask[6:11, 9:13] = 1
    mask[20:23, 18:25] = 1
    return mask


@every_turn
def test_a_perfect_mask_is_the_new_views_own_after_flips_and_transposition(turn: Geometry) -> None:
    history = after(AlignedHistory(), (Geometry(source=(32, 32)), targets()))
    assert torch.equal(fed(history, turn), turn.apply(targets(), "nearest"))


@pytest.mark.parametrize("angle", [-35.0, -12.5, 3.0, 35.0])
def test_a_perfect_mask_is_the_new_views_own_after_a_rotation(angle: float) -> None:
    history = after(AlignedHistory(), (Geometry(source=(32, 32)), targets()))
    turn = Geometry(source=(32, 32), angle=angle)
    assert torch.equal(fed(history, turn), turn.apply(targets(), "nearest"))


@pytest.mark.parametrize(("one", "other"), [*itertools.product(TURNS, repeat=2)])
def test_a_mask_of_one_turned_view_is_exact_in_every_other(one: Geometry, other: Geometry) -> None:
    history = after(AlignedHistory(), (one, one.apply(targets(), "nearest")))
    assert torch.equal(fed(history, other), other.apply(targets(), "nearest"))


@pytest.mark.parametrize("angles", [(20.0, 0.0), (0.0, -30.0), (35.0, -35.0), (-10.0, 15.0)])
def test_a_mask_of_one_rotated_view_overlaps_another_ones(angles: tuple[float, float]) -> None:
    one, other = (Geometry(source=(64, 64), angle=angle, flip_lr=angle > 0) for angle in angles)
    mask = torch.zeros(64, 64)
    mask[20:27, 35:43] = 1
    history = after(AlignedHistory(), (one, one.apply(mask, "nearest")))
    assert iou(fed(history, other) > 0.5, other.apply(mask, "nearest") > 0.5) >= 0.8


def test_what_a_rotation_hid_is_fed_the_start_mask() -> None:
    """A sixteenth of a turn hides the corners and shows the middle."""
    history = after(AlignedHistory(), (Geometry(source=(32, 32), angle=22.5), torch.ones(32, 32)))
    mask = fed(history, Geometry(source=(32, 32)))
    assert mask[[0, 0, -1, -1], [0, -1, 0, -1]].tolist() == [START] * 4
    assert (mask[8:24, 8:24] == 1).all()
    assert set(mask.unique().tolist()) == {START, 1.0}


def crop(top: int, left: int, *, source: tuple[int, int] = (40, 60), **turns: bool) -> Geometry:
    return Geometry(source=source, crop=(top, left), patch=16, **turns)


def test_a_patch_is_fed_where_patches_overlap_and_the_start_mask_elsewhere() -> None:
    history = after(AlignedHistory(), (crop(10, 20), torch.ones(16, 16)))
    mask = fed(history, crop(14, 30))
    assert (mask[:12, :6] == 1).all()
    assert (mask[12:] == START).all()
    assert (mask[:, 6:] == START).all()


def test_patches_of_several_epochs_come_together_on_the_image() -> None:
    history = after(
        AlignedHistory(),
        (crop(0, 0), torch.ones(16, 16)),
        (crop(0, 8, flip_lr=True, transpose=True), torch.zeros(16, 16)),
        (crop(24, 44), torch.ones(16, 16)),
    )
    mask = fed(history, crop(0, 0))
    assert (mask[:, :8] == 1).all()
    assert (mask[:, 8:] == 0).all()
    assert (fed(history, crop(24, 44)) == 1).all()
    assert (fed(history, crop(24, 0)) == START).all()


def test_a_patch_beyond_a_small_image_is_fed_nothing_there() -> None:
    """As the loader's start masks are: zero where the image has ended."""
    small = crop(0, 0, source=(10, 12))
    mask = fed(after(AlignedHistory(), (small, torch.ones(16, 16))), small)
    assert (mask[:10, :12] == 1).all()
    assert mask.sum() == 120


def test_images_of_different_sizes_share_a_batch() -> None:
    geometries = [crop(0, 0, source=(40, 60)), crop(50, 3, source=(100, 20))]
    history = AlignedHistory()
    history.collect(batch_of(*geometries), torch.tensor([0.0, 1.0]).view(2, 1, 1, 1).expand(2, 1, 16, 16))
    history.epoch_ended(improved=True)
    assert history.masks_for(batch_of(*geometries)).mean((1, 2, 3)).tolist() == [0, 1]
    assert [tuple(mask.shape) for mask in history.state()["masks"].values()] == [(40, 60), (100, 20)]


@pytest.mark.parametrize("source", [(32, 32), (50, 80), (20, 24)])
@pytest.mark.parametrize("turn", [{"flip_lr": True}, {"transpose": True}, {"flip_ud": True, "transpose": True}])
def test_a_resized_images_mask_is_kept_at_the_networks_size_and_turns_exactly(
    source: tuple[int, int], turn: dict[str, bool]
) -> None:
    whole = Geometry(source=source, resize=(32, 32))
    history = after(AlignedHistory(), (whole, targets()))
    assert [tuple(mask.shape) for mask in history.state()["masks"].values()] == [(32, 32)]
    expected = Geometry(source=(32, 32), **turn).apply(targets(), "nearest")
    assert torch.equal(fed(history, replace(whole, **turn)), expected)


def test_an_image_without_a_geometry_is_seen_whole() -> None:
    history = after(AlignedHistory(), (None, targets()))
    assert torch.equal(fed(history, None, side=32), targets())


def test_an_aligned_mask_of_another_size_is_refused() -> None:
    history = after(AlignedHistory(), (None, targets()))
    with pytest.raises(ValueError, match=r"the mask of image 0 is 32 x 32 pixels, the batch 8 x 8; train on one size"):
        fed(history, None, side=8)


@pytest.mark.parametrize("kind", [ReleasedHistory, AlignedHistory])
def test_alignment_changes_nothing_about_when_predictions_take_the_masks_place(kind: type[ReleasedHistory]) -> None:
    view = Geometry(source=(16, 16))
    history = after(kind(), (view, torch.ones(16, 16)))
    history.collect(batch_of(view), torch.zeros(1, 1, 16, 16))
    assert (fed(history, view) == 1).all()
    history.epoch_ended(improved=False)
    history.epoch_ended(improved=True)
    assert (fed(history, view) == 1).all()
    history.collect(batch_of(view), torch.zeros(1, 1, 16, 16))
    history.epoch_ended(improved=True)
    assert (fed(history, view) == 0).all()


def test_the_released_mask_stays_where_it_was_when_the_image_is_flipped() -> None:
    history = after(ReleasedHistory(), (Geometry(source=(32, 32)), targets()))
    assert torch.equal(fed(history, Geometry(source=(32, 32), flip_lr=True)), targets())


def test_the_batchs_own_start_masks_are_left_alone() -> None:
    view = Geometry(source=(16, 16))
    history, batch = after(AlignedHistory(), (view, torch.ones(16, 16))), batch_of(view)
    history.masks_for(batch)
    assert batch.start is not None
    assert (batch.start == START).all()


@given(st.floats(0, 1, width=32))
def test_254_levels_are_near_and_on_the_same_side_of_one_half(value: float) -> None:
    packed = pack(torch.tensor([value]), KNOWN)
    back = unpack(packed, KNOWN).item()
    assert packed.item() < KNOWN
    assert abs(back - value) <= 1 / KNOWN + 1e-7  # float32 rounding of k / 253
    assert (back > 0.5) == (value > 0.5)


def test_the_level_above_one_half_is_told_from_one_half() -> None:
    half = torch.tensor(0.5)
    around = torch.stack([torch.nextafter(half, half * 0), half, torch.nextafter(half, half * 2)])
    assert (unpack(pack(around, KNOWN), KNOWN) > 0.5).tolist() == [False, False, True]


def test_a_store_takes_one_byte_for_every_pixel_of_the_images_and_never_more() -> None:
    history = AlignedHistory()
    for epoch in range(3):
        geometries = [crop(epoch, 2 * epoch, flip_lr=True), crop(epoch, 40, transpose=True)]
        history.collect(batch_of(*geometries), torch.rand(2, 1, 16, 16))
        history.epoch_ended(improved=True)
    masks = history.state()["masks"].values()
    assert [mask.untyped_storage().nbytes() for mask in masks] == [40 * 60, 40 * 60]
    assert {mask.dtype for mask in masks} == {torch.uint8}


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@every_policy
def test_masks_are_fed_on_the_batchs_device_and_their_state_is_on_the_cpu(name: str) -> None:
    history, view = history_of(name), crop(3, 5, flip_ud=True)
    batch = batch_of(view).to(torch.device("cuda"))
    history.collect(batch, torch.ones(1, 1, 16, 16, device="cuda"))
    history.epoch_ended(improved=True)
    assert history.masks_for(batch).device.type == "cuda"
    assert torch.equal(history.masks_for(batch).cpu(), history.masks_for(batch_of(view)))
    history.load({"masks": {index: mask.cuda() for index, mask in history.state().get("masks", {}).items()}})
    assert {mask.device.type for mask in history.state().get("masks", {}).values()} <= {"cpu"}


@pytest.mark.parametrize(
    ("name", "kind", "rounds"),
    [
        ("released", ReleasedHistory, 1),
        ("aligned", AlignedHistory, 1),
        ("none", History, 1),
        ("unrolled-1", History, 1),
        ("unrolled-2", History, 2),
        ("unrolled-12", History, 12),
    ],
)
def test_every_policy_has_a_name(name: str, kind: type[History], rounds: int) -> None:
    history = history_of(name)
    assert (type(history), history.rounds) == (kind, rounds)


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("alined", "no history is called 'alined'; did you mean aligned?"),
        ("unrolled", "no history is called 'unrolled'; did you mean unrolled-2?"),
        ("unrolled-0", "no history is called 'unrolled-0'; did you mean unrolled-2?"),
        ("unrolled-02", "no history is called 'unrolled-02'; did you mean unrolled-2?"),
        ("otsu", "no history is called 'otsu'; there are aligned, none, released, unrolled-2"),
    ],
)
def test_an_unknown_policy_is_refused_with_suggestions(name: str, answer: str) -> None:
    with pytest.raises(LookupError) as refused:
        FeedbackNetwork(channels=1, width=2, encoder=block, deepest=block, decoder=block, history=name)
    assert refused.value.args == (answer,)


def block(inputs: int, outputs: int) -> nn.Module:
    return nn.Conv2d(inputs, outputs, 1)


def test_a_network_has_the_history_it_is_built_with() -> None:
    made = FeedbackNetwork(channels=1, width=2, encoder=block, deepest=block, decoder=block, history="aligned")
    assert type(made.history) is AlignedHistory
    plain = FeedbackNetwork(channels=1, width=2, encoder=block, deepest=block, decoder=block)
    assert type(plain.history) is ReleasedHistory


@pytest.mark.parametrize("name", ["none", "unrolled-1", "unrolled-2", "unrolled-3"])
def test_a_policy_without_memory_keeps_nothing(name: str) -> None:
    network, batch = small(name), batch_of(None, None, side=32)
    network.training_loss(batch, dice_bce, epoch=1)
    network.epoch_ended(improved=True)
    assert network.resume_state() == {}
    assert batch.start is not None
    assert torch.equal(network.history.masks_for(batch), batch.start)


@every_policy
def test_a_batch_without_start_masks_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"batch\.start is None, expected first feedback masks"):
        history_of(name).masks_for(replace(batch_of(None, side=16), start=None))


def small(name: str) -> DFINet:
    torch.manual_seed(0)
    network = DFINet(channels=1, width=2)
    network.history = history_of(name)
    return network.train()


def by_hand(batch: Batch, rounds: int) -> tuple[Tensor, DFINet]:
    """The mean loss of rounds begun from the batch's start masks, and the network that made it."""
    network, mask = small("none"), batch.start
    losses = []
    for _ in range(rounds):
        assert mask is not None
        logits = network.refine(batch.image, mask)
        losses.append(dice_bce(logits, batch.mask))
        mask = torch.sigmoid(logits).detach()
    return sum(losses, torch.zeros(())) / rounds, network


@pytest.mark.parametrize("rounds", [1, 2, 3])
def test_an_unrolled_steps_loss_is_the_mean_of_its_rounds_begun_from_the_start_masks(rounds: int) -> None:
    batch = batch_of(None, None, side=32)
    network = small(f"unrolled-{rounds}")
    loss = network.training_loss(batch, dice_bce, epoch=1)
    expected, other = by_hand(batch, rounds)
    torch.testing.assert_close(loss, expected, rtol=1e-6, atol=0)  # the same numbers, added up in another order
    loss.backward()
    expected.backward()
    for ours, theirs in zip(network.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-7)  # float32, summed in another order


def test_the_rounds_of_an_unrolled_step_differ() -> None:
    batch = batch_of(None, None, side=32)
    assert by_hand(batch, 1)[0] != by_hand(batch, 2)[0]


def test_an_unrolled_step_of_one_round_is_a_step_without_history() -> None:
    losses = []
    for name in ("none", "unrolled-1"):
        network = small(name)
        for epoch in (1, 2):
            loss = network.training_loss(batch_of(None, None, side=32), dice_bce, epoch=epoch)
            network.epoch_ended(improved=True)
        losses.append(loss)
    assert torch.equal(*losses)


class Adder(FeedbackNetwork):
    """A round adds the mask to the image, w times each, and leaves it to the step that no gradient passes the mask."""

    def __init__(self, history: str) -> None:
        super().__init__(channels=1, width=2, encoder=block, deepest=block, decoder=block, history=history)
        self.w = nn.Parameter(torch.tensor(2.0))

    def refine(self, image: Tensor, mask: Tensor) -> Tensor:
        return self.w * (image + mask)


def test_no_gradient_flows_through_the_mask_between_rounds() -> None:
    """Two rounds from an empty mask on a pixel x: the gradient is the mean of x and x + sigmoid(w x), nothing more."""
    network = Adder("unrolled-2")
    x = torch.full((1, 1, 1, 1), 0.5)
    batch = replace(batch_of(None, side=1), image=x, start=torch.zeros(1, 1, 1, 1))
    network.training_loss(batch, lambda logits, mask: logits.mean(), epoch=1).backward()
    fed_back = torch.sigmoid(torch.tensor(2.0 * 0.5))
    torch.testing.assert_close(network.w.grad, (0.5 + (0.5 + fed_back)) / 2)


@cache
def scenes() -> Frames:
    return open_frames("synthetic", list_names("synthetic", "bench", "train", 4), root=None, decoder="pillow-grey")


DFINET = replace(RECIPES.get("dfinet"), batch=2)
RESIZED = (Input(decoder="pillow-grey", channels=1, size=(32, 32)), DFINET)
CROPPED = (Input(decoder="pillow-grey", channels=1), replace(fit_to_native(DFINET), patch=32))


def learn(network: DFINet, rules: tuple[Input, Recipe], epochs: range) -> list[float]:
    """The losses of all steps; the second epoch is no new best."""
    read, recipe = rules
    optimiser = torch.optim.SGD(network.parameters(), lr=0.01)
    losses = []
    for epoch in epochs:
        for batch in train_batches(scenes(), input=read, recipe=recipe, seed=1, epoch=epoch, needs_start=True):
            loss = network.training_loss(batch, dice_bce, epoch=epoch)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
        network.epoch_ended(improved=epoch != 2)
    return losses


@pytest.mark.parametrize("rules", [RESIZED, CROPPED], ids=["resized", "cropped"])
@every_policy
def test_a_killed_training_goes_on_to_the_same_numbers(name: str, rules: tuple[Input, Recipe]) -> None:
    network = small(name)
    learn(network, rules, range(1, 4))
    file = io.BytesIO()
    torch.save({"weights": network.state_dict(), "feedback": network.resume_state()}, file)
    expected = learn(network, rules, range(4, 6))

    file.seek(0)
    saved = torch.load(file, weights_only=True)
    again = small(name)
    again.load_state_dict(saved["weights"])
    again.load_resume_state(saved["feedback"])
    assert learn(again, rules, range(4, 6)) == expected


@pytest.mark.parametrize("rules", [RESIZED, CROPPED], ids=["resized", "cropped"])
def test_every_policy_learns_otherwise(rules: tuple[Input, Recipe]) -> None:
    """So that none is another one under its name."""
    losses = {name: learn(small(name), rules, range(1, 4))[-1] for name in POLICIES}
    assert losses.pop("unrolled-1") == losses["none"]
    assert len(set(losses.values())) == len(losses)
