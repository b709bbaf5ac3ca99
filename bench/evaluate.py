"""The only prediction loop: every image once, every feedback round in one pass, all scores from the stored integers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from bench.data.frames import Frame, Frames
from bench.data.loader import evaluation_batches, network_size
from bench.detector import Detector, Grey
from bench.metrics.counts import quantise
from bench.network import Segmenter, take_rounds, to_device
from bench.pool import score_maps
from bench.types import Input, Scoring

LEVELS = 65536
Pixels = NDArray[np.uint8]
Levels = NDArray[np.uint16]


@dataclass(frozen=True)
class Prediction:
    """What a network says of one image.

    Attributes:
        name: the image's.
        rounds: (R, H, W) probabilities in 1/65536, a map for each feedback round, at the network's size unpadded.
    """

    name: str
    rounds: Levels


def predict(
    network: Segmenter,
    frames: Frames,
    *,
    input: Input,
    rounds: int,
    device: torch.device,
    batch: int = 8,
) -> Iterator[Prediction]:
    """The network's predictions of all frames, in their order; the network is put into evaluation mode.

    A classical detector predicts on this machine's processors, whatever the device.

    Raises:
        ValueError: naming the image, when a probability is NaN.
    """
    if isinstance(network, Detector):
        yield from _detect(network, frames, input=input)
        return
    to_device(network.eval(), device)
    batches = evaluation_batches(frames, input=input, needs_start=network.needs_start, batch=batch)
    sizes = {frame.name: network_size(frame, input) for frame in frames}
    for moved in (one.to(device) for one in batches):
        probs = take_rounds(network, moved.image, moved.start, count=rounds)
        stacked = torch.stack(probs, dim=1)[:, :, 0].float().cpu().numpy()  # (B, R, H, W)
        for name, maps in zip(moved.name, stacked, strict=True):
            height, width = sizes[name]
            yield Prediction(name, _quantise(name, maps[:, :height, :width]))


def _detect(detector: Detector, frames: Frames, *, input: Input) -> Iterator[Prediction]:
    maps = score_maps(detector, grey_levels(frames, input), count=len(frames))
    for frame, scores in zip(frames, maps, strict=True):
        try:
            probs = torch.sigmoid(torch.from_numpy(detector.logits(scores))).numpy()
        except ValueError as error:
            raise ValueError(f"image {frame.name}: {error}") from None
        yield Prediction(frame.name, quantise(probs[None]))


def grey_levels(frames: Frames, input: Input) -> Iterator[Grey]:
    """Every frame's grey levels (H, W) as the input makes them, for a classical detector."""
    for batch in evaluation_batches(frames, input=input, needs_start=False):
        yield batch.image[0, 0].numpy().astype(np.float64)


def _quantise(name: str, maps: NDArray[np.float32]) -> Levels:
    try:
        return quantise(maps)
    except ValueError as error:
        raise ValueError(f"image {name}: {error}") from None


def judged_pair(levels: Levels, frame: Frame, scoring: Scoring) -> tuple[Levels, NDArray[np.generic]]:
    """One round's map and the ground truth it is judged against, at the same size.

    Returns:
        The map (H, W) in 1/65536 and the truth (H, W): uint8 in {0, 1}, or float32 in [0, 1] under soft ground truth.
    """
    if scoring.ground_truth == "soft":
        return levels, soft_mask(frame, levels.shape)
    truth = frame.binary_mask
    if levels.shape == truth.shape:
        return levels, truth
    if scoring.resolution == "network":
        return levels, (soft_mask(frame, levels.shape) > 0.5).astype(np.uint8)
    height, width = truth.shape
    prob = levels.astype(np.float32) / LEVELS
    enlarged = cv2.resize(prob, (width, height), interpolation=cv2.INTER_LINEAR)
    return quantise(np.clip(enlarged, 0, 1)), truth


def soft_mask(frame: Frame, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """The mask at another size, bilinear and not binarised, in [0, 1]: DFINet's ground truth."""
    return resized(frame.mask, (shape[0], shape[1])).astype(np.float32) / np.float32(255)


def resized(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """Grey levels (H, W) brought to (height, width) bilinearly by OpenCV; as they are where the size is right."""
    if pixels.shape == size:
        return pixels
    return np.asarray(cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_LINEAR), dtype=np.uint8)


def grey_like(frame: Frame, truth: NDArray[np.generic]) -> Pixels:
    """The frame's grey levels at the size it is judged at."""
    return resized(frame.grey, (truth.shape[0], truth.shape[1]))


def choose_examples(frames: Frames, *, count: int) -> tuple[str, ...]:
    """Names of images to show: the ones with targets, spread evenly over the list."""
    shown: Sequence[Frame] = [frame for frame in frames if frame.binary_mask.any()] or list(frames)
    if len(shown) <= count:
        return tuple(frame.name for frame in shown)
    positions = np.linspace(0, len(shown) - 1, count).round().astype(int)
    return tuple(shown[i].name for i in positions)
