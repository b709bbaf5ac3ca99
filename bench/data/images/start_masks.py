"""First feedback masks by name: what a feedback network is shown before its first round at test time.

Training, and the choice of its epoch, start from Otsu masks whatever an experiment starts from, so that one training
serves all of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np

from bench.arrays import Size
from bench.data.images.decode import Pixels
from bench.data.images.frames import Frame
from bench.registry import Registry

Start = Callable[[Frame, Size], Pixels]
"""`(frame, the network's size before padding) -> (H, W) in {0, 1}`."""

OTSU = "otsu"


def otsu(frame: Frame, size: Size) -> Pixels:
    """Pixels of the blurred frame above Otsu's threshold: the published start, and the one of training."""
    return frame.start(size)


def zeros(frame: Frame, size: Size) -> Pixels:
    """No pixel: what the network finds without being told where to look."""
    return np.zeros(size, np.uint8)


def ones(frame: Frame, size: Size) -> Pixels:
    """Every pixel of the image."""
    return np.ones(size, np.uint8)


def noise(frame: Frame, size: Size) -> Pixels:
    """Each pixel with probability 0.5, decided by the image's name alone."""
    digest = hashlib.sha256(frame.name.encode()).digest()
    generator = np.random.default_rng(int.from_bytes(digest[:8], "big"))
    return generator.integers(0, 2, size, dtype=np.uint8)


def ground_truth(frame: Frame, size: Size) -> Pixels:
    """The binary ground-truth mask: an oracle, which only labelled images have; its scores are no method's."""
    return frame.binary_at(size)


STARTS: Registry[Start] = Registry("start mask")
STARTS.add(OTSU, otsu)
STARTS.add("zeros", zeros)
STARTS.add("ones", ones)
STARTS.add("noise", noise)
STARTS.add("ground-truth", ground_truth)
