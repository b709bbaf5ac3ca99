"""Proximal steps of low-rank plus sparse splits: entries, rows and singular values made smaller, until few are left."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

Shrink = Callable[[Array], Array]
"""`(singular values, largest first) -> what becomes of each`, not negative; smaller ones do not become larger ones."""

TRUSTED = 1e-6
"""Share of the largest singular value down to which a Gram matrix gives the others: rounding moves its eigenvalues by
about 1e-15 of the largest one, and so a singular value at this share by about 1e-9 of the largest."""

ROUNDING = 1e-12
"""Relative error that a singular value may have by rounding."""


class Split(NamedTuple):
    """The result of a solver.

    Attributes:
        target: the sparse part, in the shape and unit of the data.
        iterations: that it took; 0 where there was nothing to split.
        rank: of the low-rank part, as the method counts it.
    """

    target: Array
    iterations: int
    rank: int


def soft_threshold(x: Array, amount: float) -> Array:
    """Entries of x moved towards 0 by `amount`, and not beyond."""
    return x - np.clip(x, -amount, amount)


def shrink_rows(x: Array, amount: float) -> Array:
    """Rows of x (n, m) with their norms lowered by `amount`, and not below 0."""
    norms = np.linalg.norm(x, axis=1, keepdims=True)  # (n, 1)
    shares = np.divide(norms - amount, norms, out=np.zeros_like(norms), where=norms > amount)
    shrunk: Array = x * shares
    return shrunk


def shrink_singular_values(x: Array, shrink: Shrink) -> tuple[Array, Array]:
    """A matrix x (n, m) with its singular values replaced by `shrink` of them, and the new singular values.

    The singular values and the vectors of the shorter side are those of that side's Gram matrix, which costs a small
    part of a singular value decomposition. Where a value that is left is too small to be trusted, the decomposition
    is made after all.
    """
    if x.shape[0] > x.shape[1]:
        transposed, shrunk = shrink_singular_values(x.T, shrink)
        return transposed.T, shrunk
    squares, vectors = np.linalg.eigh(x @ x.T)
    values = np.sqrt(np.maximum(squares[::-1], 0.0))  # (n,), largest first
    shrunk = shrink(values)
    left = np.count_nonzero(shrunk)
    if left and values[left - 1] < TRUSTED * values[0]:
        return _by_decomposition(x, shrink)
    kept = vectors[:, ::-1][:, :left]  # (n, left)
    return (kept * (shrunk[:left] / values[:left])) @ (kept.T @ x), shrunk


def singular_value_threshold(x: Array, amount: float) -> tuple[Array, int]:
    """A matrix x (n, m) with its singular values moved towards 0 by `amount`, and its rank then.

    A value that is `amount` but for rounding becomes 0 on every processor: IPI's first threshold is a singular value.
    """
    least = amount * (1 + ROUNDING)
    thresholded, values = shrink_singular_values(x, lambda values: np.where(values > least, values - amount, 0.0))
    return thresholded, int(np.count_nonzero(values))


def _by_decomposition(x: Array, shrink: Shrink) -> tuple[Array, Array]:
    left, values, right = np.linalg.svd(x, full_matrices=False)
    shrunk = shrink(values)
    return (left * shrunk) @ right, shrunk
