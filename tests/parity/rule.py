"""The weights and inputs under which golden outputs are made: a stated rule in place of stored tensors."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn


def fill(network: nn.Module, *, gain: float, replaced: Mapping[str, float] | None = None, kept: str = "") -> None:
    """Give every parameter and running statistic the value that its key and shape stand for.

    Args:
        gain: scale of the kernels.
        replaced: values that whole tensors get instead, by the last part of their keys.
        kept: regular expression of the keys that are left as they are.
    """
    state = network.state_dict()
    for key, tensor in state.items():
        if key.endswith("num_batches_tracked") or (kept and re.search(kept, key)):
            continue
        if (leaf := key.rpartition(".")[2]) in (replaced or {}):
            tensor.fill_((replaced or {})[leaf])
        else:
            tensor.copy_(value_of(key, tuple(tensor.shape), gain=gain))


def value_of(key: str, shape: tuple[int, ...], *, gain: float) -> Tensor:
    """The float32 tensor of a key: normal numbers seeded by the key's CRC-32, scaled by the kind of its last part."""
    seed = zlib.crc32(key.encode()) & 0x7FFFFFFF
    z = np.random.RandomState(seed).standard_normal(int(np.prod(shape))).reshape(shape)
    leaf = key.rpartition(".")[2]
    if leaf == "running_mean" or leaf == "bias":
        value = 0.1 * z
    elif leaf == "running_var":
        value = 1 + 0.2 * np.abs(z)
    elif leaf == "weight" and len(shape) > 1:
        value = gain * z / np.sqrt(np.prod(shape[1:]))
    elif leaf == "weight":
        value = 1 + 0.1 * z
    else:
        value = 0.2 * z
    return torch.from_numpy(np.asarray(value, dtype=np.float32))


def image(height: int, width: int, *, channels: int) -> Tensor:
    """The golden image (1, C, H, W) in [0, 1)."""
    return _uniform(2024, (1, channels, height, width))


def soft_mask(height: int, width: int) -> Tensor:
    """The golden feedback mask (1, 1, H, W) in [0, 1)."""
    return _uniform(2025, (1, 1, height, width))


def binary_mask(height: int, width: int) -> Tensor:
    """The golden feedback mask (1, 1, H, W) in {0, 1}: on in a tenth of the pixels."""
    return (soft_mask(height, width) > 0.9).float()


def _uniform(seed: int, shape: tuple[int, ...]) -> Tensor:
    return torch.from_numpy(np.random.RandomState(seed).random_sample(shape).astype(np.float32))
