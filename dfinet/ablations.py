"""Ablations of DFINet, each with one design choice changed; and DFINet as its paper describes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace

from bench.models.network import model
from dfinet.config import DFINetConfig, design_choices
from dfinet.network import CHANNELS, CITE, SOURCE, DFINet, DFINetWithoutFeedback, build_dfinet

Change = Callable[[DFINetConfig], DFINetConfig]


def ablation(name: str) -> Callable[[Change], Change]:
    """Register DFINet with a changed design: `@ablation("DFINet/no-chpp")` over a function of the released one."""

    def register(change: Change) -> Change:
        released, changed = DFINetConfig(), change(DFINetConfig())
        differing = {
            one.name: getattr(changed, one.name)
            for one in fields(DFINetConfig)
            if getattr(changed, one.name) != getattr(released, one.name)
        }
        network = DFINetWithoutFeedback if changed.feedback == "zero" else DFINet
        model(
            name,
            cite=CITE,
            source=f"an ablation in this project, of {SOURCE}",
            licence="MIT",
            recipe="dfinet",
            channels=CHANNELS,
            rounds=network.default_rounds,
            ablates="DFINet",
            config={"width": released.width, **differing},
            choices=design_choices(),
        )(build_dfinet)
        return change

    return register


@ablation("DFINet/no-dfffm")
def no_dfffm(config: DFINetConfig) -> DFINetConfig:
    """DFFFM left out. The mask still reaches DSFM."""
    return replace(config, dfffm="identity")


@ablation("DFINet/matched-dfffm")
def matched_dfffm(config: DFINetConfig) -> DFINetConfig:
    """DFFFM blind to the mask, with as many parameters that learn: the effect of its convolution alone."""
    return replace(config, dfffm="matched")


@ablation("DFINet/no-own-mask")
def no_own_mask(config: DFINetConfig) -> DFINetConfig:
    """DFFFM without its untrained mask."""
    return replace(config, own_mask="off")


@ablation("DFINet/hard-own-mask")
def hard_own_mask(config: DFINetConfig) -> DFINetConfig:
    """DFFFM whose own mask learns through its threshold."""
    return replace(config, own_mask="straight-through")


@ablation("DFINet/soft-own-mask")
def soft_own_mask(config: DFINetConfig) -> DFINetConfig:
    """DFFFM whose own mask is a probability and learns."""
    return replace(config, own_mask="soft")


@ablation("DFINet/max-pooled-mask")
def max_pooled_mask(config: DFINetConfig) -> DFINetConfig:
    """Masks down-sampled without losing a target; nearest neighbour keeps 36 % of NUDT-SIRST's at an eighth."""
    return replace(config, down_sampling="max-pool")


@ablation("DFINet/no-chpp")
def no_chpp(config: DFINetConfig) -> DFINetConfig:
    """No hybrid pyramid pooling."""
    return replace(config, chpp=0)


@ablation("DFINet/chpp-1")
def one_hppm(config: DFINetConfig) -> DFINetConfig:
    """One hybrid pyramid pooling block, no cascade."""
    return replace(config, chpp=1)


@ablation("DFINet/chpp-3")
def three_hppms(config: DFINetConfig) -> DFINetConfig:
    """A longer cascade of hybrid pyramid pooling."""
    return replace(config, chpp=3)


@ablation("DFINet/no-dsfm")
def no_dsfm(config: DFINetConfig) -> DFINetConfig:
    """The plain skip connection in DSFM's place."""
    return replace(config, dsfm="skip")


@ablation("DFINet/sum-dsfm")
def sum_dsfm(config: DFINetConfig) -> DFINetConfig:
    """The sum of skip and decoder map in DSFM's place."""
    return replace(config, dsfm="sum")


@ablation("DFINet/shortcut")
def shortcut(config: DFINetConfig) -> DFINetConfig:
    """MADRB with the shortcut that the release computes and drops."""
    return replace(config, madrb="shortcut")


@ablation("DFINet/no-madrb")
def no_madrb(config: DFINetConfig) -> DFINetConfig:
    """FANet's residual block in MADRB's place."""
    return replace(config, madrb="residual")


@ablation("DFINet/no-central-difference")
def no_central_difference(config: DFINetConfig) -> DFINetConfig:
    """Plain convolutions in MADRB."""
    return replace(config, theta=0.0)


@ablation("DFINet/no-feedback")
def no_feedback(config: DFINetConfig) -> DFINetConfig:
    """A mask of zeros in training and at test: no feedback at all."""
    return replace(config, feedback="zero")


@ablation("DFINet/no-history")
def no_history(config: DFINetConfig) -> DFINetConfig:
    """Training from Otsu's masks alone; feedback at test time only."""
    return replace(config, history="none")


@ablation("DFINet/aligned-history")
def aligned_history(config: DFINetConfig) -> DFINetConfig:
    """History masks that follow their image's augmentation."""
    return replace(config, history="aligned")


@ablation("DFINet/unrolled-2")
def unrolled(config: DFINetConfig) -> DFINetConfig:
    """Two rounds inside every training step, in place of a history."""
    return replace(config, history="unrolled-2")


@ablation("DFINet/chosen-after-8")
def chosen_after_feedback(config: DFINetConfig) -> DFINetConfig:
    """The best epoch chosen by the result of all eight rounds, not of the first one."""
    return replace(config, selected_after=DFINet.default_rounds)


@ablation("DFINet-described")
def described(config: DFINetConfig) -> DFINetConfig:
    """The paper's intention where the release departs from it; each departure is an ablation above, too.

    A learnt hard mask, MADRB's shortcut, history masks that follow their image, and a choice after feedback.
    """
    return replace(
        config,
        own_mask="straight-through",
        madrb="shortcut",
        history="aligned",
        selected_after=DFINet.default_rounds,
    )
