"""The interface of networks (`Segmenter`), their input (`Batch`), and how they are registered (`@model`)."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.errors import SettingError
from bench.registry import PLUGIN_ADVICE, Registry, discover, unknown
from bench.types import Choice, Config, ModelInfo, Reported, Setting, freeze_config

Loss = Callable[[Tensor, Tensor], Tensor]
"""`(logits (B, 1, H, W), mask (B, 1, H, W)) -> scalar`."""


class Augmented(Protocol):
    """Origins of the pixels of a batch's augmented images.

    Attributes:
        source: (B, 2) height and width of the images in pixels.
        resize: (height, width) in pixels of what the network sees, where images are resized.
    """

    @property
    def source(self) -> NDArray[np.int64]: ...

    @property
    def resize(self) -> tuple[int, int] | None: ...

    def __getitem__(self, row: int, /) -> Any:
        """The record of one image."""

    def __len__(self) -> int: ...

    def take(self, rows: NDArray[np.int64]) -> Augmented:
        """Those of some images."""

    def apply(self, planes: Tensor, interpolation: Literal["linear", "nearest"] = "linear") -> Tensor:
        """Maps of the images (B, 1, H, W) as the augmented images show them.

        Args:
            planes: all of any one size where images are resized; otherwise each of its image's size and at the top
                left, H and W being the largest image's.
            interpolation: `nearest` makes no values that are not in the map.
        """

    def undo(self, planes: Tensor, onto: Tensor) -> Tensor:
        """`onto`, as `apply` takes it, with maps of the augmented images written where those show the images."""


@dataclass(frozen=True)
class Batch:
    """Input of a network in training and test.

    Attributes:
        image: (B, C, H, W), as the input policy makes it.
        mask: (B, 1, H, W) in {0, 1}; in [0, 1] under a protocol that trains on soft masks; NaN where an image that is
            predicted has no mask.
        start: (B, 1, H, W) first feedback mask in [0, 1], or None for networks that do not ask for one.
        index: (B,) position of each image in its list, on the CPU, where reading it waits for no device.
        name: the images' names.
        size: each image's native (height, width) in pixels.
        geometry: the augmentation as records, one an image, that can be applied to other maps; None for whole images.
    """

    image: Tensor
    mask: Tensor
    start: Tensor | None
    index: Tensor
    name: Sequence[str]
    size: Sequence[tuple[int, int]]
    geometry: Augmented | None

    def to(self, device: torch.device) -> Batch:
        """The batch with its tensors on `device`, but for `index`."""
        return replace(
            self,
            image=self.image.to(device, non_blocking=True),
            mask=self.mask.to(device, non_blocking=True),
            start=None if self.start is None else self.start.to(device, non_blocking=True),
        )


@dataclass(frozen=True)
class Built:
    """Everything needed to build a network again: its registered name, input channels and all settings."""

    name: str
    channels: int
    settings: Config = ()


class Segmenter(nn.Module):
    """A network that finds targets: an image in, one channel of raw logits out.

    Attributes:
        needs_start: whether `forward` and `training_loss` want `start`, the first feedback mask.
        default_rounds: feedback rounds of `forward`; 1 for networks without feedback.
        judged_round: feedback round after which an epoch is judged when the best one is chosen.
        channels_last: whether its kernels lie with channels last, which most networks are faster with.
        ends_early: whether `rounds` stops calculating once a mask repeats, and yields the same logits from then on; set
            it to False to have every round calculated, all of it.
        rounds_calculated: rounds that a network which can end early has calculated since it was made.
        official_keys: pairs of a prefix of published checkpoints' keys and the prefix that replaces it.
        built: how `build_model` built it; None for a network made by hand.
    """

    needs_start: bool = False
    default_rounds: int = 1
    judged_round: int = 1
    channels_last: bool = True
    ends_early: bool = False
    rounds_calculated: int = 0
    official_keys: Sequence[tuple[str, str]] = ()
    built: Built | None = None

    def forward(self, image: Tensor, start: Tensor | None = None) -> Tensor:
        """Everything the method does at test time, all feedback rounds included.

        Args:
            image: (B, C, H, W), any H and W.
            start: (B, 1, H, W) first feedback mask in [0, 1], for networks that need one.

        Returns:
            Raw logits (B, 1, H, W).
        """
        raise NotImplementedError

    def rounds(self, image: Tensor, start: Tensor | None = None) -> Iterator[Tensor]:
        """Logits (B, 1, H, W) of each feedback round, without end for feedback networks; once for all others."""
        yield self(image, start)

    def predictor(self) -> Segmenter:
        """A faster network that predicts as this one does in evaluation mode, but for rounding; itself by default.

        Later changes of the weights do not reach it.
        """
        return self

    def training_loss(self, batch: Batch, loss: Loss, *, epoch: int) -> Tensor:
        """The scalar to minimise on a batch. Overridden for deep supervision and for history masks.

        Where several processes train, each is given its images of a batch, and `loss` is taken over the images of all.
        Terms beside `loss` have to be means over the images.
        """
        return loss(self(batch.image), batch.mask)

    def epoch_ended(self, *, improved: bool) -> None:
        """Called after every epoch; `improved` says whether the selection criterion found a new best."""

    def resume_state(self) -> dict[str, Any]:
        """State that training needs beside the weights to go on after a kill: tensors and plain types only.

        Where several processes train, the entries of (nested) dictionaries that an epoch changed in one of them are
        loaded in all, so that state about an image has to be an entry under the image's position or name.
        """
        return {}

    def load_resume_state(self, state: Mapping[str, Any]) -> None:
        """Take back what `resume_state` gave."""


def pad_to_multiple(image: Tensor, multiple: int) -> Tensor:
    """The image with zeros at the bottom and right, so that H and W are multiples of `multiple`."""
    height, width = image.shape[-2:]
    return F.pad(image, (0, -width % multiple, 0, -height % multiple))


Builder = Callable[..., Segmenter]
"""`(*, channels, **settings) -> Segmenter`."""


@dataclass(frozen=True)
class ModelEntry:
    """A registered model: what it is and how it is built."""

    info: ModelInfo
    build: Builder


MODELS: Registry[ModelEntry] = Registry("model", advice=PLUGIN_ADVICE.format(kind="model"))
MODEL_PACKAGES = ("dfinet", "baselines")


def model(
    name: str,
    *,
    cite: str,
    source: str,
    licence: str,
    recipe: str,
    channels: int = 1,
    rounds: int = 1,
    ablates: str = "",
    config: Mapping[str, Setting] | None = None,
    choices: Sequence[Choice] = (),
    reported: Sequence[Reported] = (),
) -> Callable[[Builder], Builder]:
    """Register a builder as a model: `@model("ACM", cite=…, source=…, licence=…, recipe="basicirstd")`."""
    info = ModelInfo(
        name=name,
        cite=cite,
        source=source,
        licence=licence,
        recipe=recipe,
        channels=channels,
        rounds=rounds,
        ablates=ablates,
        config=freeze_config(config or {}),
        choices=tuple(choices),
        reported=tuple(reported),
    )

    def register(build: Builder) -> Builder:
        MODELS.add(name, ModelEntry(info, build))
        return build

    return register


def find_models() -> Registry[ModelEntry]:
    """The registry with every model of this project in it."""
    discover(MODEL_PACKAGES)
    return MODELS


def build_model(name: str, *, channels: int, settings: Mapping[str, Setting] | None = None) -> Segmenter:
    """A freshly initialised network (torch's global generator decides the weights).

    Raises:
        UnknownNameError: when no model has that name.
        SettingError: when the model has no such setting.
    """
    entry = find_models().get(name)
    merged = {**dict(entry.info.config), **(settings or {})}
    try:
        network = entry.build(channels=channels, **merged)
    except TypeError as error:
        raise SettingError(f"model {name}: {explain_settings(entry, merged, error)}") from error
    except SystemExit as error:
        raise SettingError(f"model {name}: its builder called sys.exit({error.code!r})") from None
    network.built = Built(name, channels, freeze_config(merged))
    return network


def explain_settings(entry: ModelEntry, settings: Mapping[str, Setting], error: TypeError) -> str:
    """The sentence about settings that a builder does not take: of an unknown one with the nearest known ones."""
    found = re.search(r"unexpected keyword argument '(\w+)'", str(error))
    if found is None or found[1] not in settings:
        return str(error)
    named = {name for name, each in inspect.signature(entry.build).parameters.items() if each.kind != each.VAR_KEYWORD}
    known = {*named, *dict(entry.info.config), *(choice.setting for choice in entry.info.choices)} - {"channels"}
    return unknown("setting", found[1], known)


def to_device(network: Segmenter, device: torch.device) -> Segmenter:
    """The network on `device` as it learns and predicts, its kernels with channels last if it is faster so."""
    network.to(device)
    for parameter in network.parameters():
        if parameter.ndim == 4 and network.channels_last:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return network


def parameter_count(network: nn.Module) -> int:
    """Numbers in `parameters()`, dead ones included, buffers left out."""
    return sum(p.numel() for p in network.parameters())


@torch.no_grad()
def take_rounds(network: Segmenter, image: Tensor, start: Tensor | None, *, count: int) -> list[Tensor]:
    """Probabilities (B, 1, H, W) of the first `count` rounds, or of as many as the network has."""
    probs = []
    for logits in network.rounds(image, start):
        probs.append(torch.sigmoid(logits))
        if len(probs) == count:
            break
    return probs
