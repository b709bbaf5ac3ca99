"""The prediction loop: every image once, every feedback round in one pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bench.arrays import LevelArray
from bench.data.batches.loader import evaluation_batches, network_size
from bench.data.images.frames import Frame
from bench.data.images.start_masks import OTSU
from bench.errors import RequestError
from bench.metrics.counting.levels import FAINT, quantise
from bench.models.detector import Detector, Grey
from bench.models.network import Segmenter, take_rounds, to_device
from bench.prediction.parallel_detector import score_maps
from bench.types import Input

BATCH = 8
"""Most images in a batch, where several are predicted together."""

LARGE = 256 * 256
"""Pixels from which on a CPU predicts images one by one: the maps of several do not stay in its cache."""


@dataclass(frozen=True)
class Prediction:
    """The probability maps of one image.

    Attributes:
        name: the image's.
        rounds: (R, H, W) probabilities in 1/65536, a map for each feedback round, at the network's size unpadded.
        faint: (R, H, W) the probabilities themselves, float, where those of the last round stay below 1/16, so that
            they can still be divided by their highest; None elsewhere.
        start: (H, W) the first feedback mask that it was fed, in [0, 1], unpadded; None where it asks for none.
    """

    name: str
    rounds: LevelArray
    faint: NDArray[Any] | None = None
    start: NDArray[np.float32] | None = None


def predict(
    network: Segmenter,
    frames: Sequence[Frame],
    *,
    input: Input,
    rounds: int,
    device: torch.device,
    start: str = OTSU,
    batch: int | None = None,
) -> Iterator[Prediction]:
    """Predict all frames in order with the network's predictor; the network is put into evaluation mode.

    A classical detector predicts on this machine's processors, whatever the device.

    Args:
        start: name in bench.data.images.start_masks of the first feedback mask, for a network that asks for one.
        batch: most images in a batch; default that of `batch_size`.

    Raises:
        UnknownNameError: with suggestions, when there is no start mask of that name.
        RequestError: naming the image, when a probability is NaN.
    """
    if isinstance(network, Detector):
        yield from _detect(network, frames, input=input)
        return
    predictor = to_device(network.eval(), device).predictor()
    count = batch or batch_size(frames, input=input, device=device)
    batches = evaluation_batches(frames, input=input, needs_start=network.needs_start, start=start, batch=count)
    for one in batches:
        moved = one.to(device)
        probs = take_rounds(predictor, moved.image, moved.start, count=rounds)
        stacked = torch.stack(probs, dim=1)[:, :, 0].float().cpu().numpy()  # (B, R, H, W)
        for place, maps in enumerate(stacked):
            height, width = network_size(frames[int(one.index[place])], input)
            fed = None if one.start is None else one.start[place, 0, :height, :width].numpy()
            yield prediction_of(one.name[place], maps[:, :height, :width], start=fed)


def batch_size(frames: Sequence[Frame], *, input: Input, device: torch.device) -> int:
    """Images that are predicted together: one on a CPU where the first is large, else `BATCH`."""
    if device.type != "cpu" or not len(frames):
        return BATCH
    height, width = network_size(frames[0], input)
    return 1 if height * width >= LARGE else BATCH


def _detect(detector: Detector, frames: Sequence[Frame], *, input: Input) -> Iterator[Prediction]:
    maps = score_maps(detector, grey_levels(frames, input), count=len(frames))
    for frame, scores in zip(frames, maps, strict=True):
        try:
            probs = torch.sigmoid(torch.from_numpy(detector.logits(scores))).numpy()
        except ValueError as error:
            raise RequestError(f"image {frame.name}: {error}") from None
        yield prediction_of(frame.name, probs[None])


def grey_levels(frames: Sequence[Frame], input: Input) -> Iterator[Grey]:
    """Every frame's grey levels (H, W) as the input makes them, for a classical detector."""
    for batch in evaluation_batches(frames, input=input, needs_start=False):
        yield batch.image[0, 0].numpy().astype(np.float64)


def prediction_of(name: str, probs: NDArray[Any], *, start: NDArray[np.float32] | None = None) -> Prediction:
    """The prediction of one image from its probabilities (R, H, W).

    Raises:
        RequestError: naming the image, when a probability is NaN.
    """
    try:
        levels = quantise(probs)
    except ValueError as error:
        raise RequestError(f"image {name}: {error}") from None
    return Prediction(name, levels, faint=probs.copy() if levels[-1].max() < FAINT else None, start=start)


def choose_examples(frames: Sequence[Frame], *, count: int) -> tuple[str, ...]:
    """Names of images to show: the ones with targets, spread evenly over the list."""
    shown: Sequence[Frame] = [frame for frame in frames if frame.binary_mask.any()] or list(frames)
    if len(shown) <= count:
        return tuple(frame.name for frame in shown)
    positions = np.linspace(0, len(shown) - 1, count).round().astype(int)
    return tuple(shown[i].name for i in positions)
