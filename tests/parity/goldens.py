"""Which network each golden output belongs to, and the figures its reference implementation has."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor

from bench.models.network import Segmenter
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


def cold(network: Segmenter, image: Tensor, mask: Tensor) -> Sequence[Tensor]:
    """The logits of MSHNet's first epochs."""
    logits: Tensor = network.cold(image)  # type: ignore[operator]
    return [logits]


def decomposition(network: Segmenter, image: Tensor, mask: Tensor) -> Sequence[Tensor]:
    """RPCANet's reconstructed image and its target logits."""
    maps: Sequence[Tensor] = network.unfold(image)  # type: ignore[operator]
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
    "dfinet_v1": Golden("DFINet@2026-01", "dfinet_v1", "logits", mask="binary"),
    "fanet": Golden("FANet", "fanet", "logits", mask="binary"),
    "dnanet": Golden("DNANet", "dnanet", "logits", outputs=heads),
    "dnanet_basicirstd": Golden("DNANet", "dnanet_basicirstd", "probabilities"),
    "mshnet_cold": Golden("MSHNet", "mshnet", "logits", outputs=cold),
    "mshnet_warm": Golden("MSHNet", "mshnet", "logits", outputs=heads),
    "rpcanet": Golden("RPCANet", "rpcanet", "logits", outputs=decomposition, tolerance=2e-5),
    "uiunet": Golden("UIU-Net", "uiunet", "probabilities", outputs=heads),
    "uiunet_70x90": Golden("UIU-Net", "uiunet", "probabilities", outputs=heads),
    "uiunet_basicirstd": Golden("UIU-Net", "uiunet_basicirstd", "probabilities"),
    "alcnet_basicirstd": Golden("ALCNet", "alcnet_basicirstd", "probabilities"),
    "unet": Golden("U-Net", "unet", "probabilities"),
    "rdian": Golden("RDIAN", "rdian", "probabilities", kept=r"^d1[1-8]\.weight$"),
    "sctransnet_test": Golden("SCTransNet", "sctransnet", "probabilities"),
    "sctransnet_train": Golden("SCTransNet", "sctransnet", "probabilities", outputs=heads),
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


DNANET_UNUSED = 3 * 16 * 256**2
"""MACs of the three heads that DNANet's reference computes and its prediction does not use."""

RPCANET_UNUSED = (1 * 32 + 3 * 32 * 32 + 32 * 1) * 9 * 256**2
"""MACs of the last reconstruction, which RPCANet's reference computes and its prediction does not use."""

SCTRANSNET_UNUSED = 256 * 16**2 + 128 * 32**2 + 64 * 64**2 + 32 * 128**2 + 5 * 256**2
"""MACs of the five maps that SCTransNet's reference computes and its prediction does not use."""

FIGURES = (
    Figures("ACM", 1, 397_823, 0.3433e9),
    Figures("ACM", 3, 397_971, 0.3457e9),
    Figures("DFINet", 3, 9_300_337, 24.133e9),
    Figures("DFINet@2026-01", 3, 9_306_574, 24.1725e9),
    Figures("FANet", 3, 7_720_266, 20.270e9),
    Figures("DNANet", 3, 4_696_888, 13.930e9 - DNANET_UNUSED),
    Figures("DNANet", 1, 4_696_568, 13.909e9 - DNANET_UNUSED),
    Figures("DNANet", 3, 2_612_196, 10.902e9 - DNANET_UNUSED, {"backbone": "resnet-10"}),
    Figures("DNANet", 3, 8_792_702, 19.678e9 - DNANET_UNUSED, {"backbone": "resnet-34"}),
    Figures("MSHNet", 3, 4_065_513, 6.0015e9),
    Figures("RPCANet", 1, 679_896, 44.166e9 - RPCANET_UNUSED),
    Figures("UIU-Net", 3, 50_541_461, 54.298e9),
    Figures("UIU-Net", 1, 50_540_309, 54.222e9),
    Figures("ALCNet", 1, 519_889, 0.2951e9),
    Figures("ALCNet", 3, 520_037, 0.2974e9),
    Figures("U-Net", 1, 34_525_889, 65.272e9),
    Figures("U-Net", 3, 34_527_041, 65.347e9),
    Figures("U-Net", 1, 8_636_769, 16.328e9, {"width": 32}),
    Figures("U-Net", 3, 8_637_345, 16.366e9, {"width": 32}),
    Figures("U-Net", 1, 2_161_841, 4.0873e9, {"width": 16}),
    Figures("U-Net", 3, 2_162_129, 4.1062e9, {"width": 16}),
    Figures("U-Net", 1, 541_785, 1.0245e9, {"width": 8}),
    Figures("RDIAN", 1, 216_758, 3.6905e9),
    Figures("SCTransNet", 1, 11_325_939, 10.494e9 - SCTRANSNET_UNUSED),
    Figures("AGPCNet", 3, 12_360_461, 42.983e9),
    Figures("AGPCNet", 3, 12_360_461, 42.981e9, {"scales": "10-6-5-4"}),
    Figures("ISTDU-Net", 1, 2_761_138, 7.7113e9),
)


OWN_MASKS = (r"\.p1\.fmask\.", 982_088)
"""DFFFM's thresholded mask branches."""

SHORTCUTS = (r"\.r1\.(conv3|bn3)\.", 132_304)
"""MADRB's dropped shortcuts."""

BOTH = (f"{OWN_MASKS[0]}|{SHORTCUTS[0]}", OWN_MASKS[1] + SHORTCUTS[1])

MASK_LEARNS_OR_IS_GONE = ("no-dfffm", "matched-dfffm", "no-own-mask", "hard-own-mask", "soft-own-mask")
SHORTCUT_LEARNS_OR_IS_GONE = ("shortcut", "no-madrb")
NEITHER = (
    *("max-pooled-mask", "no-chpp", "chpp-1", "chpp-3", "no-dsfm", "sum-dsfm", "no-central-difference", "no-feedback"),
    *("no-history", "aligned-history", "unrolled-2", "chosen-after-8"),
)

WITHOUT_GRADIENT = {
    "DFINet": BOTH,
    **{f"DFINet/{name}": BOTH for name in NEITHER},
    **{f"DFINet/{name}": SHORTCUTS for name in MASK_LEARNS_OR_IS_GONE},
    **{f"DFINet/{name}": OWN_MASKS for name in SHORTCUT_LEARNS_OR_IS_GONE},
    "ALCNet": (r"^uplayer[12]\.", 92_928),
    "RDIAN": (r"^d1[1-8]\.weight$", 200),
    "SCTransNet": (r"\.position_embeddings$|\.q\d_attn\d$", 122_944),
    "ISTDU-Net": (r"^headDet\.", 9_265),
    "DFINet@2026-01": BOTH,
    "FANet": OWN_MASKS,
}
"""Parameters that never get a gradient, where there are any: the regular expression of their keys, and their number."""

ONE_CHANNEL_ONLY = frozenset({"RDIAN", "RPCANet"})
"""Networks that refuse three input channels."""
