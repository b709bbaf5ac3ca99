"""Which network each golden output belongs to, and the figures its reference implementation has."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor

from bench.network import Segmenter
from bench.types import Setting

Outputs = Callable[[Segmenter, Tensor, Tensor], Sequence[Tensor]]
"""`(network, image (1, C, H, W), feedback mask (1, 1, H, W)) -> what its reference returns, in that order`."""


def first_round(network: Segmenter, image: Tensor, mask: Tensor) -> Sequence[Tensor]:
    """The logits of one round alone."""
    return [next(iter(network.rounds(image, mask)))]


def heads(network: Segmenter, image: Tensor, mask: Tensor) -> Sequence[Tensor]:
    """The logits of every head that is learnt from, as a deeply supervised network's `heads` gives them."""
    maps: Sequence[Tensor] = network.heads(image)  # type: ignore[operator]
    return maps


@dataclass(frozen=True)
class Golden:
    """A golden output's network, and how to get from it what its reference returned.

    Attributes:
        model: registered name.
        keys: stem of the list of its checkpoint's keys.
        form: what the reference returned.
        outputs: what stands against `out0`, `out1`, …
        mask: the feedback mask: as it is, or binarised at 0.9.
        replaced: values that stand for whole tensors instead of the rule's, by the last part of the key.
        kept: regular expression of the keys that keep the values they are defined with.
        settings: of the model, where they are not the published ones.
        tolerance: largest difference that float32 rounding leaves between two faithful implementations.
    """

    model: str
    keys: str
    form: Literal["logits", "probabilities"]
    outputs: Outputs = first_round
    mask: Literal["soft", "binary"] = "soft"
    replaced: Mapping[str, float] = field(default_factory=dict)
    kept: str = ""
    settings: Mapping[str, Setting] = field(default_factory=dict)
    tolerance: float = 2e-6


GOLDENS = {
    "acm": Golden("ACM", "acm_basicirstd", "probabilities"),
    "dfinet": Golden("DFINet", "dfinet", "logits"),
    "dfinet_128x160": Golden("DFINet", "dfinet", "logits"),
    "sctransnet_test": Golden("SCTransNet", "sctransnet", "probabilities"),
    "sctransnet_train": Golden("SCTransNet", "sctransnet", "probabilities", heads),
    "agpcnet_1": Golden("AGPCNet", "agpcnet_1", "logits", tolerance=1e-6),
    "agpcnet_gamma5": Golden("AGPCNet", "agpcnet_1", "logits", replaced={"gamma": 5.0}, tolerance=1e-6),
    "istdunet": Golden("ISTDU-Net", "istdunet", "probabilities"),
}


@dataclass(frozen=True)
class Figures:
    """What a network counts with a number of input channels: all parameters, and MACs of a round at 256 x 256."""

    model: str
    channels: int
    parameters: int
    macs: float
    settings: Mapping[str, Setting] = field(default_factory=dict)

    def __str__(self) -> str:
        """What pytest calls it."""
        return "-".join([self.model, str(self.channels), *(f"{name}={value}" for name, value in self.settings.items())])


FIGURES = (
    Figures("ACM", 1, 397_823, 0.3433e9),
    Figures("ACM", 3, 397_971, 0.3457e9),
    Figures("DFINet", 3, 9_300_337, 24.133e9),
    Figures("SCTransNet", 1, 11_325_939, 10.494e9),  # the reference counts the five other maps too, 1.3 M MACs
    Figures("AGPCNet", 3, 12_360_461, 42.983e9),
    Figures("AGPCNet", 3, 12_360_461, 42.981e9, settings={"scales": "10-6-5-4"}),
    Figures("ISTDU-Net", 1, 2_761_138, 7.7113e9),
)


WITHOUT_GRADIENT = {
    "DFINet": (r"\.p1\.fmask\.|\.r1\.(conv3|bn3)\.", 982_088 + 132_304),
    "SCTransNet": (r"\.position_embeddings$|\.q\d_attn\d$", 122_944),
    "ISTDU-Net": (r"^headDet\.", 9_265),
}
"""Parameters that never get a gradient, where there are any: the regular expression of their keys, and their number."""

ONE_CHANNEL_ONLY: frozenset[str] = frozenset()
"""Networks that refuse three input channels."""
