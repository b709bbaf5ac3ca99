"""Masks of a training's state, nearly all of which is zeros, as compressed bytes."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import torch

from bench.errors import RequestError

COMPRESSED = "zlib"
"""Key of a state's compressed masks; those of states that are not compressed are image positions."""


def compress_masks(state: Mapping[str, Any]) -> dict[str, Any]:
    """A network's state with its `masks`, uint8 planes (H, W) by image, as one compressed tensor of bytes."""
    masks = state.get("masks")
    if not masks:
        return dict(state)
    press = zlib.compressobj(level=1)
    parts = [press.compress(mask.contiguous().numpy().tobytes()) for mask in masks.values()]
    packed = bytearray(b"".join([*parts, press.flush()]))
    sizes = torch.tensor([tuple(mask.shape) for mask in masks.values()])
    return {**state, "masks": {COMPRESSED: torch.frombuffer(packed, dtype=torch.uint8), "sizes": sizes, "of": [*masks]}}


def restore_masks(state: Mapping[str, Any]) -> dict[str, Any]:
    """The state that `compress_masks` was given; one whose masks are not compressed, as it is.

    Raises:
        RequestError: when the bytes are not as many as the masks' sizes say.
    """
    stored = state.get("masks") or {}
    if COMPRESSED not in stored:
        return dict(state)
    content = zlib.decompress(stored[COMPRESSED].cpu().numpy().tobytes())
    sizes = stored["sizes"].tolist()
    lengths = [height * width for height, width in sizes]
    if len(content) != sum(lengths) or len(sizes) != len(stored["of"]):
        raise RequestError(f"state: {len(content)} bytes of masks, expected {sum(lengths)} for {len(sizes)} images")
    planes = torch.split(torch.frombuffer(bytearray(content), dtype=torch.uint8), lengths)
    return {**state, "masks": {i: one.view(*size) for i, one, size in zip(stored["of"], planes, sizes, strict=True)}}
