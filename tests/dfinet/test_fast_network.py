"""DFINet's fast rounds: equal to the plain ones, for every design, and ended exactly where masks repeat themselves."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.errors import RequestError
from bench.models.network import build_model
from dfinet.blocks import MADRB, CentralDifferenceConv
from dfinet.fast_network import FastDFINet, same_hard
from dfinet.fold import SplitConv, fold
from dfinet.network import DFINet, DFINetWithoutFeedback
from tests.parity import rule

log = logging.getLogger(__name__)

ROUNDS = 8
DESIGNS: list[dict[str, Any]] = [
    {},
    {"dfffm": "identity"},
    {"dfffm": "matched"},
    {"own_mask": "off"},
    {"own_mask": "straight-through"},
    {"own_mask": "soft"},
    {"down_sampling": "max-pool"},
    {"chpp": 0},
    {"chpp": 1},
    {"chpp": 3},
    {"dsfm": "skip"},
    {"dsfm": "sum"},
    {"madrb": "shortcut"},
    {"madrb": "residual"},
    {"theta": 0.0},
]


def network(*, seed: int = 0, width: int = 8, **settings: Any) -> DFINet:
    """Random weights under which activations stay near one, BatchNorm does something, and feedback matters."""
    torch.manual_seed(seed)
    made = DFINet(channels=3, width=width, **settings)
    rule.fill(made, gain=1.2)
    for key, tensor in made.state_dict().items():
        if tensor.is_floating_point() and "running_var" not in key:
            tensor.add_(tensor.abs().mean() * torch.randn_like(tensor), alpha=0.3)
    made.output.bias.data.fill_(0.0)
    made.output.weight.data.mul_(4)
    return made.eval()


def images(count: int, *size: int, seed: int = 1) -> tuple[Tensor, Tensor]:
    """Noise (B, 3, H, W) and masks (B, 1, H, W), half of whose pixels are on."""
    noise = torch.Generator().manual_seed(seed)
    image = torch.rand(count, 3, *size, generator=noise)
    return image, (torch.rand(count, 1, *size, generator=noise) > 0.5).float()


@torch.no_grad()
def rounds(of: Any, image: Tensor, start: Tensor, count: int = ROUNDS) -> list[Tensor]:
    return list(islice(of.rounds(image, start), count))


@pytest.mark.parametrize("size", [(64, 96), (33, 47), (1, 1)], ids=str)
@pytest.mark.parametrize("settings", DESIGNS, ids=str)
def test_every_design_is_equal_to_its_plain_form_over_eight_rounds_in_float64(
    settings: dict[str, Any], size: tuple[int, int]
) -> None:
    plain = network(**settings).double()
    image, start = (tensor.double() for tensor in images(2, *size))
    ours, theirs = rounds(plain.predictor(), image, start), rounds(plain, image, start)
    assert len(ours) == len(theirs) == ROUNDS
    assert max((a - b).abs().max().item() for a, b in zip(ours, theirs, strict=True)) <= 1e-9
    if size != (1, 1):
        assert theirs[0].std() > 0.05, "a constant map would be equal to anything"


def test_full_width_is_equal_over_eight_rounds_in_float64() -> None:
    plain = network(width=32).double()
    image, start = (tensor.double() for tensor in images(1, 64, 64))
    pairs = zip(rounds(plain.predictor(), image, start), rounds(plain, image, start), strict=True)
    assert max((a - b).abs().max().item() for a, b in pairs) <= 1e-9


def nearest_gates(plain: DFINet, image: Tensor, start: Tensor) -> Iterator[float]:
    """How near the nearest gate of each round is to flipping: |logit| of own masks and of the mask that is fed back."""
    found: list[float] = []
    own = [module.fmask[3] for module in plain.modules() if hasattr(module, "fmask")]
    hooks = [last.register_forward_hook(lambda _, __, z: found.append(z.abs().min().item())) for last in own]
    for logits in islice(plain.rounds(image, start), ROUNDS):
        yield min(found)
        found[:] = [logits.abs().min().item()]
    for hook in hooks:
        hook.remove()


@torch.no_grad()
def test_float32_is_equal_where_no_gate_is_about_to_flip() -> None:
    """A gate within 1e-5 of flipping may flip by rounding; from then on that image is another one."""
    compared, left_out, worst = 0, 0, 0.0
    for seed in range(24):
        plain = network(seed=seed)
        image, start = images(1, 32, 32, seed=seed)
        margins = list(nearest_gates(plain, image, start))
        pairs = zip(rounds(plain.predictor(), image, start), rounds(plain, image, start), margins, strict=True)
        for ours, theirs, margin in pairs:
            if margin < 1e-5:
                left_out += 1
                break
            compared += 1
            worst = max(worst, (ours - theirs).abs().max().item())
    log.info(
        "float32: %d rounds compared, largest difference %.1e, %d of 24 images left out", compared, worst, left_out
    )
    assert worst <= 1e-4
    assert compared >= 24 * ROUNDS // 2


def test_feedback_matters_in_these_tests() -> None:
    first, second, *_ = rounds(network(), *images(1, 64, 64))
    assert (first - second).abs().max() > 1e-3


def test_a_mask_that_repeats_itself_ends_the_calculation_and_the_maps_go_on_being_equal() -> None:
    """Blind to the mask, the second round repeats the first, so that the third would be fed what the second was."""
    plain = network(dfffm="matched", dsfm="sum")
    image, start = images(1, 32, 32)
    fast = FastDFINet(plain)
    calls: list[Tensor] = []
    fast.output.register_forward_hook(lambda *_: calls.append(image))
    found = rounds(fast, image, start)
    assert fast.rounds_calculated == len(calls) == 2
    assert all(torch.equal(found[0], logits) for logits in found)
    fast.ends_early = False
    again = rounds(fast, image, start)
    assert fast.rounds_calculated == len(calls) == 2 + ROUNDS
    assert all(torch.equal(one, other) for one, other in zip(found, again, strict=True))


def test_a_mask_that_changes_is_calculated_with_every_time() -> None:
    fast = FastDFINet(network())
    rounds(fast, *images(1, 64, 64))
    assert fast.rounds_calculated == ROUNDS


def test_the_first_encoder_block_is_calculated_once_an_image() -> None:
    fast, calls = FastDFINet(network()), []
    fast.ends_early = False
    fast.e1.r1.register_forward_hook(lambda *_: calls.append("e1"))
    fast.e2.r1.register_forward_hook(lambda *_: calls.append("e2"))
    rounds(fast, *images(1, 64, 64))
    assert (calls.count("e1"), calls.count("e2")) == (1, ROUNDS)


@pytest.mark.parametrize("settings", [{}, {"own_mask": "soft"}, {"down_sampling": "max-pool"}], ids=str)
def test_the_encoder_is_calculated_again_only_where_the_hard_mask_changes(settings: dict[str, Any]) -> None:
    """A head biased below zero turns every pixel off from the first round on, while probabilities go on changing."""
    plain = network(**settings)
    plain.output.bias.data.fill_(-8.0)
    fast, (image, start) = FastDFINet(plain), images(2, 64, 64)
    found = rounds(fast, image, start)
    assert (fast.rounds_calculated, fast.encoders_calculated) == (ROUNDS, 2)
    assert not torch.equal(found[-1], found[-2]), "the decoder reads the soft mask"
    fast.ends_early = False
    again = rounds(fast, image, start)
    assert fast.encoders_calculated == 2 + ROUNDS
    assert all(torch.equal(one, other) for one, other in zip(found, again, strict=True))


def test_one_changed_pixel_of_one_image_has_the_encoder_of_the_batch_calculated() -> None:
    """The lower right pixel is the top left one of a cell at no other resolution than the image's own."""
    fast, (_, start) = FastDFINet(network()), images(2, 64, 64)
    changed = start.clone()
    changed[1, 0, 63, 63] = 1 - changed[1, 0, 63, 63]
    before, after = fast.feedback_of(start), fast.feedback_of(changed)
    assert [torch.equal(a.hard, b.hard) for a, b in zip(before, after, strict=True)] == [False, True, True, True]
    assert same_hard(before, fast.feedback_of(start.clone()))
    assert not same_hard(after, before)


def test_later_changes_of_the_weights_do_not_reach_it() -> None:
    plain, (image, start) = network(), images(1, 32, 32)
    fast = plain.predictor()
    before = rounds(fast, image, start, 1)[0]
    with torch.no_grad():
        for tensor in plain.state_dict().values():
            tensor.zero_()
    assert torch.equal(rounds(fast, image, start, 1)[0], before)


def test_the_plain_network_is_left_as_it_was() -> None:
    plain = network().train()
    state = {key: tensor.clone() for key, tensor in plain.state_dict().items()}
    rounds(plain.predictor(), *images(1, 32, 32), 2)
    assert plain.training
    assert all(torch.equal(tensor, state[key]) for key, tensor in plain.state_dict().items())


def test_forward_takes_all_rounds() -> None:
    fast, (image, start) = network().predictor(), images(1, 32, 32)
    assert torch.equal(fast(image, start), rounds(fast, image, start)[-1])


def test_a_start_mask_is_asked_for() -> None:
    with pytest.raises(ValueError, match="start is None"):
        next(iter(network().predictor().rounds(images(1, 32, 32)[0])))


def test_without_feedback_there_is_nothing_to_be_made_faster() -> None:
    plain = build_model("DFINet/no-feedback", channels=1)
    assert isinstance(plain, DFINetWithoutFeedback)
    assert plain.predictor() is plain


class OwnMADRB(MADRB):
    """A block that a plugin might bring."""


@pytest.mark.parametrize(("place", "block"), [("e2", nn.Identity()), ("e2.r1", OwnMADRB(8, 16))])
def test_a_block_without_a_fast_form_is_named(place: str, block: nn.Module) -> None:
    plain = network()
    plain.set_submodule(place, block)
    with pytest.raises(RequestError, match=rf"{type(block).__name__}.*predictor\(\)"):
        plain.predictor()


def test_a_central_difference_is_a_kernel_whose_centre_is_less_by_theta_times_its_sum() -> None:
    conv = CentralDifferenceConv(1, 1)
    conv.conv.weight.data.copy_(torch.arange(9.0).view(1, 1, 3, 3))
    assert fold(conv).weight.flatten().tolist() == pytest.approx([0, 1, 2, 3, 4 - 0.7 * 36, 5, 6, 7, 8])


def test_a_norm_behind_a_convolution_becomes_part_of_it() -> None:
    conv, norm = nn.Conv2d(2, 3, 3, padding=1).double(), nn.BatchNorm2d(3).double()
    rule.fill(norm, gain=1)
    x = torch.randn(1, 2, 5, 5).double()
    assert torch.allclose(fold(conv, norm.eval())(x), norm(conv(x)), atol=1e-14)


def test_a_convolution_of_maps_side_by_side_is_the_sum_of_its_parts() -> None:
    whole = fold(nn.Conv2d(6, 4, 3, padding=1).double())
    maps = torch.randn(3, 1, 2, 5, 5).double()
    assert torch.allclose(SplitConv(whole, 3)(*maps), whole(torch.cat(list(maps), 1)), atol=1e-14)
