"""DFINet's ablations: each changes one design choice, and changes what it says."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.models.losses import dice_bce
from bench.models.network import Batch, find_models, parameter_count, take_rounds
from bench.types import ModelInfo
from dfinet.blocks import Feedback
from dfinet.config import DFINetConfig, design_choices
from dfinet.history import AlignedHistory, History, ReleasedHistory
from dfinet.network import DFINet, build_dfinet
from tests.parity import rule

OWN_MASKS = 982_088
"""Parameters of the eight mask branches at full width, which never learn as released."""

SHORTCUTS = 132_304
"""Parameters of the eight shortcuts that the release drops."""


def ablations() -> list[ModelInfo]:
    models = find_models()
    return [info for info in (models.get(name).info for name in models) if info.ablates == "DFINet"]


def differing(info: ModelInfo) -> dict[str, Any]:
    released = DFINetConfig()
    return {name: value for name, value in info.config if value != getattr(released, name)}


def filled(**settings: Any) -> DFINet:
    network = DFINet(channels=3, width=4, **settings)
    rule.fill(network, gain=1.2)
    return network.eval()


@torch.no_grad()
def answer(network: DFINet, mask: Tensor | None = None) -> Tensor:
    mask = rule.soft_mask(32, 32) if mask is None else mask
    return network.refine(rule.image(32, 32, channels=3), mask)


@pytest.mark.parametrize("info", ablations(), ids=lambda info: info.name)
def test_an_ablation_changes_one_choice_and_the_described_network_four(info: ModelInfo) -> None:
    assert len(differing(info)) == (4 if info.name == "DFINet-described" else 1)
    assert dict(info.config)["width"] == 32
    assert info.choices == design_choices()


def test_each_departure_of_the_described_network_is_an_ablation_of_its_own() -> None:
    named = {info.name: differing(info) for info in ablations()}
    alone = [changed for name, changed in named.items() if name != "DFINet-described"]
    for name, value in named["DFINet-described"].items():
        assert {name: value} in alone


def test_every_choice_is_taken_away_by_some_ablation() -> None:
    assert {name for info in ablations() for name in differing(info)} == {
        one.name for one in fields(DFINetConfig) if one.name != "width"
    }


def test_names_of_the_defaults_build_the_released_network() -> None:
    spelled_out = {choice.setting: choice.default for choice in design_choices()}
    assert torch.equal(answer(filled(**spelled_out)), answer(filled()))


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"dfffm": "none"}, "dfffm is 'none', expected one of 'released', 'identity', 'matched'"),
        ({"chpp": 4}, "chpp is 4, expected one of 0, 1, 2, 3"),
        ({"chpp": True}, "chpp is True, expected one of 0, 1, 2, 3"),
        ({"theta": 1.5}, "theta is 1.5, expected a number from 0 to 1"),
        ({"selected_after": 0}, "selected_after is 0, expected at least 1 round"),
        ({"dfffm": "identity", "own_mask": "soft"}, "own_mask is 'soft', but with dfffm 'identity'"),
        ({"madrb": "residual", "theta": 0.0}, "theta is 0.0, but with madrb 'residual'"),
        ({"feedback": "zero", "history": "aligned"}, "history 'aligned'"),
    ],
)
def test_values_that_do_not_exist_or_contradict_each_other_are_refused(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        DFINet(**settings)


def test_a_setting_that_is_no_choice_is_refused() -> None:
    with pytest.raises(TypeError, match="dffm"):
        build_dfinet(channels=3, dffm="identity")


def test_without_dfffm_the_mask_still_reaches_dsfm() -> None:
    blank = torch.zeros(1, 1, 32, 32)
    network = filled(dfffm="identity")
    assert not torch.equal(answer(network, blank), answer(network))
    blind = filled(dfffm="identity", dsfm="skip")
    assert torch.equal(answer(blind, blank), answer(blind))


@pytest.mark.parametrize("dsfm", ["skip", "sum"])
def test_a_blind_dfffm_and_no_dsfm_make_a_blind_network(dsfm: str) -> None:
    network = filled(dfffm="matched", dsfm=dsfm)
    assert torch.equal(answer(network, torch.ones(1, 1, 32, 32)), answer(network))


def test_no_feedback_is_one_round_and_asks_for_no_mask() -> None:
    network = build_dfinet(channels=3, width=4, feedback="zero")
    rule.fill(network, gain=1.2)
    image = rule.image(32, 32, channels=3)
    (prob,) = take_rounds(network.eval(), image, None, count=8)
    assert torch.equal(prob, torch.sigmoid(answer(filled(), torch.zeros(1, 1, 32, 32))))
    assert not network.needs_start


def test_no_feedback_learns_from_masks_of_zeros() -> None:
    network = build_dfinet(channels=1, width=2, feedback="zero")
    image, truth = torch.rand(2, 1, 32, 32), torch.zeros(2, 1, 32, 32)
    given = Batch(image, truth, None, torch.arange(2), ["a", "b"], [(32, 32)] * 2, None)
    loss = network.training_loss(given, dice_bce, epoch=1)
    assert torch.equal(loss, dice_bce(network.refine(image, truth), truth))
    assert network.resume_state() == build_dfinet(channels=1, width=2).resume_state()


@pytest.mark.parametrize(
    ("settings", "fewer"),
    [({"dfffm": "matched"}, OWN_MASKS), ({"own_mask": "off"}, OWN_MASKS), ({"own_mask": "soft"}, 0)],
)
def test_parameters_that_learn_are_as_many_without_the_mask(settings: dict[str, Any], fewer: int) -> None:
    assert parameter_count(DFINet()) - parameter_count(DFINet(**settings)) == fewer


def test_a_straight_through_guess_predicts_as_the_released_one() -> None:
    assert torch.equal(answer(filled(own_mask="straight-through")), answer(filled()))


def untrained(network: DFINet) -> int:
    """How many parameters get no gradient from one training round."""
    network.train().refine(rule.image(32, 32, channels=3), rule.soft_mask(32, 32)).sum().backward()
    return sum(p.numel() for p in network.parameters() if p.grad is None)


@pytest.mark.parametrize(
    ("settings", "dead"),
    [
        ({}, OWN_MASKS + SHORTCUTS),
        ({"own_mask": "straight-through"}, SHORTCUTS),
        ({"own_mask": "soft"}, SHORTCUTS),
        ({"madrb": "shortcut"}, OWN_MASKS),
        ({"madrb": "shortcut", "own_mask": "straight-through"}, 0),
    ],
)
def test_what_the_release_left_untrained_gets_a_gradient(settings: dict[str, Any], dead: int) -> None:
    assert untrained(DFINet(**settings)) == dead


def test_the_gradient_of_a_straight_through_guess_is_that_of_the_soft_one_where_feedback_is_off() -> None:
    """Where the feedback is on, the guess does not count, and gets none."""
    x, gradients = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1)), []
    for own in ("straight-through", "soft"):
        block = filled(own_mask=own).e1.p1
        feedback = Feedback.nearest((torch.arange(64).view(1, 1, 8, 8) % 2).float(), (8, 8))
        mask = block.mask(x, feedback)
        assert torch.equal(mask[..., 1::2], torch.ones(1, 1, 8, 4))
        (gradient,) = torch.autograd.grad(mask.sum(), [block.fmask[3].bias])
        gradients.append(gradient)
    assert torch.equal(*gradients)
    assert gradients[0].abs().sum() > 0


def test_max_pooling_keeps_a_pixel_that_nearest_loses() -> None:
    mask = torch.zeros(1, 1, 32, 32)
    mask[..., 9, 9] = 1
    kept = {name: filled(down_sampling=name).feedback_at(mask, (4, 4)) for name in ("nearest", "max-pool")}
    assert kept["nearest"].hard.sum() == 0
    assert kept["max-pool"].hard.nonzero().tolist() == [[0, 0, 1, 1]]
    assert torch.equal(kept["nearest"].soft, kept["max-pool"].soft)


def test_max_pooling_changes_what_is_found() -> None:
    assert not torch.equal(answer(filled(down_sampling="max-pool")), answer(filled()))


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_a_cascade_is_as_long_as_asked_for(count: int) -> None:
    network = filled(chpp=count)
    blocks = {name.split(".")[1] for name in network.state_dict() if name.startswith("e4.e")}
    assert blocks == {f"e{5 + place}" for place in range(count)}
    assert answer(network).shape == (1, 1, 32, 32)


def test_a_shortcut_that_gives_nothing_leaves_the_released_network() -> None:
    network = filled(madrb="shortcut")
    assert not torch.equal(answer(network), answer(filled()))
    for name, parameter in network.named_parameters():
        if ".r1.bn3." in name:
            parameter.data.zero_()
    assert torch.equal(answer(network), answer(filled()))


def test_without_central_differences_the_kernels_are_plain() -> None:
    plain, central = filled(theta=0.0).e1.r1.conv1, filled().e1.r1.conv1
    x = rule.image(16, 16, channels=3)
    assert torch.equal(plain(x), plain.conv(x))
    centre = central.conv.weight.sum((2, 3), keepdim=True)
    assert torch.equal(central(x), plain(x) - 0.7 * torch.nn.functional.conv2d(x, centre))


def test_fanets_block_in_madrbs_place_leaves_no_attention_behind() -> None:
    names = filled(madrb="residual").state_dict().keys()
    assert "e1.r1.se.fc.0.weight" in names
    assert not any(".se.conv" in name or ".conv1.conv." in name for name in names)


def test_the_epoch_is_chosen_after_the_round_the_design_says() -> None:
    assert (DFINet(width=2).judged_round, DFINet(width=2, selected_after=8).judged_round) == (1, 8)


def test_a_config_is_changed_by_replacing_a_field() -> None:
    assert replace(DFINetConfig(), chpp=0) == DFINetConfig(chpp=0)


@pytest.mark.parametrize(
    ("name", "kept", "inside"),
    [
        ("released", ReleasedHistory, 1),
        ("aligned", AlignedHistory, 1),
        ("none", History, 1),
        ("unrolled-3", History, 3),
    ],
)
def test_a_design_learns_by_the_history_that_it_names(name: str, kept: type[History], inside: int) -> None:
    history = DFINet(width=2, history=name).history
    assert type(history) is kept
    assert history.rounds == inside


def test_a_history_that_does_not_exist_is_refused_with_a_suggestion() -> None:
    with pytest.raises(LookupError, match="did you mean aligned"):
        DFINet(history="alinged")
