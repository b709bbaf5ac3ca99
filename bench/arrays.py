"""Names of array types and of an image's size, as signatures use them, and the check of arrays from a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bench.errors import RequestError

BoolArray: TypeAlias = NDArray[np.bool_]
IntArray: TypeAlias = NDArray[np.int64]
FloatArray: TypeAlias = NDArray[np.float64]
LevelArray: TypeAlias = NDArray[np.uint16]
"""A probability map in levels, from `bench.metrics.counting.levels.quantise`."""
Points: TypeAlias = NDArray[np.float64]
"""(N, 2) rows and columns, in pixels."""
Size: TypeAlias = tuple[int, int]
"""Height and width, in pixels."""

WHOLE, REAL, TRUTH, TEXT = "iu", "f", "b", "U"
"""Kinds of NumPy types, as `checked_array` takes them."""


def checked_array(
    arrays: Mapping[str, NDArray[Any]], name: str, kinds: str, shape: Sequence[int | None]
) -> NDArray[Any]:
    """The array of that name, when its type and shape are as expected and none of its whole numbers is negative.

    Args:
        kinds: NumPy's letters of the types that are allowed, such as `WHOLE`.
        shape: the length along each axis; None for any.

    Raises:
        RequestError: when there is no such array, or it is another one.
    """
    if name not in arrays:
        raise RequestError(f"no array {name!r}")
    found = np.asarray(arrays[name])
    if found.size and found.dtype.kind not in kinds:  # of nothing, NumPy makes real numbers
        raise RequestError(f"{name} is of type {found.dtype}, expected {_KINDS[kinds[0]]}")
    if found.ndim != len(shape) or any(n not in (None, m) for n, m in zip(shape, found.shape, strict=True)):
        expected = ", ".join("any" if n is None else str(n) for n in shape)
        raise RequestError(f"{name} has shape {found.shape}, expected ({expected})")
    if found.dtype.kind == "i" and found.size and found.min() < 0:
        raise RequestError(f"{name} holds {found.min()}, expected no negative number")
    return found


_KINDS = {"i": "whole numbers", "f": "real numbers", "b": "truth values", "U": "text"}
