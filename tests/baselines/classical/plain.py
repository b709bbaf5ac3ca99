"""The local contrast methods as their definitions read: pixel by pixel, cell by cell, by sorting."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Map = NDArray[np.float64]
AROUND = ((-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1))


def at_every_pixel(image: Map, reach: int, value: Callable[[Map], float], *, border: str = "edge") -> Map:
    """`value` of the (2 reach + 1) x (2 reach + 1) pixels around every pixel."""
    wide = np.pad(image, reach, mode=border)  # type: ignore[call-overload]
    side = 2 * reach + 1
    return np.array(
        [[value(wide[y : y + side, x : x + side]) for x in range(image.shape[1])] for y in range(image.shape[0])]
    )


def of_cells(image: Map, size: int, value: Callable[[Map, list[Map]], float]) -> Map:
    """`value` of the centre cell and its eight neighbours, clockwise, at every pixel."""

    def cut(window: Map) -> float:
        def cell(down: int, right: int) -> Map:
            return window[(1 + down) * size :, (1 + right) * size :][:size, :size]

        return value(cell(0, 0), [cell(*place) for place in AROUND])

    return at_every_pixel(image, size + size // 2, cut)


def top(cell: Map, count: int) -> float:
    return float(np.sort(cell, axis=None)[-count:].mean())


def highest(maps: Sequence[Map]) -> Map:
    return np.maximum(np.max(maps, axis=0), 0)


def top_hat(grey: Map, *, size: int) -> Map:
    reach = size // 2  # repeating the border adds nothing to a window's extremes
    eroded = at_every_pixel(grey, reach, lambda window: float(window.min()))
    return grey - at_every_pixel(eroded, reach, lambda window: float(window.max()))


def max_median(grey: Map, *, length: int) -> Map:
    def medians(window: Map) -> float:
        middle = length // 2
        lines = (window[:, middle], window[middle], window.diagonal(), window[:, ::-1].diagonal())
        return float(max(np.median(line) for line in lines))

    return highest([grey - at_every_pixel(grey, length // 2, medians, border="symmetric")])


def lcm(grey: Map, *, scales: Sequence[int]) -> Map:
    def value(middle: Map, around: list[Map]) -> float:
        return float(min(middle.max() ** 2 / cell.mean() for cell in around))

    return highest([of_cells(grey, size, value) for size in scales])


def rlcm(grey: Map, *, size: int, pairs: Sequence[tuple[int, int]]) -> Map:
    def pair(inner: int, outer: int) -> Map:
        def value(middle: Map, around: list[Map]) -> float:
            return top(middle, inner) ** 2 / max(top(cell, outer) for cell in around) - top(middle, inner)

        return of_cells(grey, size, value)

    return highest([pair(*counts) for counts in pairs])


def mpcm(grey: Map, *, scales: Sequence[int]) -> Map:
    def value(middle: Map, around: list[Map]) -> float:
        D = [middle.mean() - cell.mean() for cell in around]
        return float(min(D[k] * D[k + 4] for k in range(4)))

    return highest([of_cells(grey, size, value) for size in scales])


def tllcm(grey: Map, *, scales: Sequence[int], K: int) -> Map:
    g = core(grey)
    return highest([g**2 / surroundings(grey, size, K) - g for size in scales])


def core(grey: Map) -> Map:
    kernel = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16
    return at_every_pixel(grey, 1, lambda window: float((window * kernel).sum()))


def surroundings(grey: Map, size: int, K: int) -> Map:
    return of_cells(grey, size, lambda middle, around: max(top(cell, K) for cell in around))


def wslcm(grey: Map, *, scales: Sequence[int], K: int) -> Map:
    calm = at_every_pixel(grey, 1, lambda window: float(np.median(window)))
    g = core(calm)

    def weight(middle: Map, around: list[Map]) -> float:
        iril = [top(cell, K) - cell.mean() for cell in (middle, *around)]
        return float(iril[0] * max(0, iril[0] - max(iril[1:])) / max(5, np.std(iril[1:], ddof=1)))

    slcm = {size: np.maximum(g**2 / surroundings(calm, size, K) - g, 0) for size in scales}
    return highest([of_cells(calm, size, weight) * slcm[size] for size in scales])
