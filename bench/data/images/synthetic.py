"""The `synthetic` dataset: infrared-like scenes with small targets, generated from a seed, equal on every machine.

Backgrounds are sky with clouds, sea with glints, and ground with edges. They contain small bright objects that are not
targets: hot pixels (one pixel, no blur), thin lines, glints (short and flat) and warm blobs larger than any target. A
target is a blurred round spot whose contribution peaks at a stated multiple of the clutter around it.

Only a bit generator's raw output, integers, and single float64 additions, multiplications, divisions and square roots
are used: IEEE 754 fixes all of them to the last bit, which it does not for exponentials, sums or matrix products.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.arrays import FloatArray
from bench.data.catalogue.cards import Card
from bench.data.images.decode import Pixels, pixel_digest
from bench.errors import DataError
from bench.input_files import whole_number

SIDE = 128
SEED = 20260
SIGNAL_TO_CLUTTER = (5.5, 7.0, 9.0, 11.0, 13.0)
"""Peak of a target's contribution over the deviation of the 33x33 pixels around it, limited to 3 to 8 levels."""
BRIGHTEST_CLUTTER = 140.0
"""Brightest level of a background, which leaves the brightest target, 13 times 8 levels, below the sensor's 255."""
TARGET_COUNTS = (0, 1, 1, 1, 2, 2, 3, 4)
AREAS = (1, 2, 4, 9, 16, 24, 32, 40, 48, 56, 66, 76)
BORDER = 6
GAP = 22
"""Least distance of two target centres, the larger of rows and columns, in pixels."""
HALF = 1 - math.sqrt(0.5)
"""Argument at which the spot profile (1 - u)^2 falls to half: u = 1 - sqrt(1/2)."""


@dataclass(frozen=True)
class Target:
    """Target of a scene: centre and mask area in pixels, signal-to-clutter ratio, peak in grey levels."""

    row: float
    column: float
    area: int
    ratio: float
    peak: float


@dataclass(frozen=True, eq=False)
class Scene:
    """Generated frame: levels 0 to 255, mask 0 or 255, both (128, 128), and its targets."""

    kind: str
    grey: Pixels
    mask: Pixels
    targets: tuple[Target, ...]


class Dice:
    """Random numbers from a Philox generator's raw 64-bit output, a stream that NumPy promises not to change."""

    def __init__(self, *key: int) -> None:
        self._bits = np.random.Philox(np.random.SeedSequence(key))

    def whole(self, low: int, high: int) -> int:
        """Integer from low to high, both included."""
        return low + int(self._bits.random_raw()) % (high - low + 1)

    def real(self, low: float, high: float) -> float:
        """Number from low to high, of 53 random bits."""
        return low + (high - low) * ((int(self._bits.random_raw()) >> 11) * 2.0**-53)

    def plane(self, height: int, width: int) -> FloatArray:
        """Independent numbers (height, width) from 0 to 1."""
        raw = np.asarray(self._bits.random_raw(height * width), dtype=np.uint64)
        return (raw >> np.uint64(11)).astype(np.float64).reshape(height, width) * 2.0**-53

    def bell(self, height: int, width: int) -> FloatArray:
        """Independent, nearly normal numbers (height, width) of mean 0 and variance 1: sums of eight bytes."""
        raw = np.asarray(self._bits.random_raw(height * width), dtype=np.uint64)
        total = sum((raw >> np.uint64(8 * byte)) & np.uint64(255) for byte in range(8))
        spread = math.sqrt(8 * (256.0**2 - 1) / 12)
        return (np.asarray(total).astype(np.float64).reshape(height, width) - 8 * 127.5) / spread


def checked_scene(card: Card, name: str) -> tuple[Pixels, Pixels]:
    """Grey levels and mask of a named scene, (128, 128) each, checked against the card's digests.

    Raises:
        DataError: when the card does not have the name, or the pixels do not have its digest.
    """
    scene = named_scene(name)
    for kind, pixels in (("images", scene.grey), ("masks", scene.mask)):
        published = card.digests.get(f"{kind}/{name}")
        if published is None or published.sha256 != pixel_digest(pixels):
            raise DataError(f"{card.name}/{kind}/{name}: generated pixels differ from the card's digest; report it")
    return scene.grey, scene.mask


def named_scene(name: str) -> Scene:
    """Generate the scene of a name such as `scene-0001`.

    Raises:
        DataError: when the name has another form.
    """
    prefix, _, number = name.partition("-")
    if prefix != "scene" or len(number) != 4 or whole_number(number) is None:
        raise DataError(f"synthetic: no image is called {name!r}, expected scene-0001 and the like")
    return make_scene(int(number))


@functools.lru_cache(maxsize=1024)
def make_scene(number: int, *, seed: int = SEED) -> Scene:
    """Generate the scene of a number."""
    dice = Dice(seed, number)
    kind, paint = BACKGROUNDS[number % len(BACKGROUNDS)]
    levels = paint(dice)
    add_decoys(levels, dice)
    levels *= BRIGHTEST_CLUTTER / max(levels.max(), BRIGHTEST_CLUTTER)
    levels += dice.real(1.0, 2.2) * dice.bell(SIDE, SIDE)
    levels += dice.real(0.0, 0.8) * dice.bell(1, SIDE)
    mask, targets = add_targets(levels, dice)
    add_hot_pixels(levels, dice)
    grey = np.clip(np.rint(levels), 0, 255).astype(np.uint8)
    for made in (grey, mask):
        made.setflags(write=False)
    return Scene(kind, grey, mask, targets)


def cloud_noise(dice: Dice, *, cell_rows: int, cell_columns: int, octaves: int = 3) -> FloatArray:
    """Smooth noise (128, 128) from 0 to 1: lattice values joined by cubic ramps, each octave half as strong."""
    total, weight, sum_of_weights = np.zeros((SIDE, SIDE)), 1.0, 0.0
    for _ in range(octaves):
        total += weight * _lattice(dice, max(cell_rows, 2), max(cell_columns, 2))
        sum_of_weights += weight
        weight, cell_rows, cell_columns = weight / 2, cell_rows // 2, cell_columns // 2
    return total / sum_of_weights


def paint_sky(dice: Dice) -> FloatArray:
    """Paint a sky that brightens towards the horizon, with clouds of soft and of hard edges."""
    rows = _ramp()[:, None]
    base = dice.real(30, 70) + dice.real(10, 50) * rows + np.zeros((SIDE, SIDE))
    clouds = cloud_noise(dice, cell_rows=dice.whole(24, 48), cell_columns=dice.whole(32, 64), octaves=4)
    cover, hardness = dice.real(0.35, 0.6), dice.real(4, 14)
    return base + dice.real(30, 90) * _smooth_step((clouds - cover) * hardness)


def paint_sea(dice: Dice) -> FloatArray:
    """Paint a sea of flat waves with glints, and in most frames sky above a horizon."""
    waves = cloud_noise(dice, cell_rows=dice.whole(4, 8), cell_columns=dice.whole(16, 40), octaves=2)
    levels = dice.real(40, 80) + dice.real(20, 45) * waves
    for _ in range(dice.whole(3, 9)):
        row, column, length = dice.whole(0, SIDE - 1), dice.whole(0, SIDE - 8), dice.whole(3, 7)
        levels[row, column : column + length] += dice.real(25, 80)
    horizon = dice.whole(0, 60)
    if horizon > 15:
        sky = dice.real(70, 120) + dice.real(5, 20) * cloud_noise(dice, cell_rows=30, cell_columns=60)
        levels[:horizon] = sky[:horizon]
    return levels


def paint_ground(dice: Dice) -> FloatArray:
    """Paint fields with straight borders, roofs and roads, under uneven light."""
    levels = dice.real(50, 90) + dice.real(20, 50) * cloud_noise(dice, cell_rows=32, cell_columns=32, octaves=4)
    rows, columns = _ramp()[:, None], _ramp()[None, :]
    for _ in range(dice.whole(2, 4)):
        side = rows * dice.real(-1, 1) + columns * dice.real(-1, 1) - dice.real(-0.6, 0.6)
        levels += dice.real(-25, 25) * (side > 0)
    for _ in range(dice.whole(2, 6)):
        top, left = dice.whole(0, SIDE - 12), dice.whole(0, SIDE - 12)
        height, width = dice.whole(8, 34), dice.whole(8, 34)
        levels[top : top + height, left : left + width] += dice.real(-30, 55)
    return levels


Painter = Callable[[Dice], FloatArray]
BACKGROUNDS: tuple[tuple[str, Painter], ...] = (("sky", paint_sky), ("sea", paint_sea), ("ground", paint_ground))


def add_decoys(levels: FloatArray, dice: Dice) -> None:
    """Add bright objects that are not targets: thin lines, and warm blobs larger than any target."""
    for _ in range(dice.whole(0, 1)):
        _add_line(levels, dice)
    for _ in range(dice.whole(0, 2)):
        row, column = dice.real(0, SIDE), dice.real(0, SIDE)
        reach = dice.real(18, 28)
        squared = _squared_distance(row, column, stretch=dice.real(0.7, 1.5), tilt=dice.real(-0.3, 0.3))
        levels += dice.real(20, 70) * _spot(squared / (reach * reach))


def add_hot_pixels(levels: FloatArray, dice: Dice) -> None:
    """Add defective sensor elements: single pixels without blur, as bright as targets."""
    for _ in range(dice.whole(1, 4)):
        levels[dice.whole(0, SIDE - 1), dice.whole(0, SIDE - 1)] += dice.real(25, 90)


def add_targets(levels: FloatArray, dice: Dice) -> tuple[Pixels, tuple[Target, ...]]:
    """Add 0 to 4 targets; the mask is 255 where a target's own contribution exceeds half of its peak, else 0."""
    clutter = levels.copy()
    mask = np.zeros((SIDE, SIDE), np.uint8)
    targets: list[Target] = []
    for _ in range(TARGET_COUNTS[dice.whole(0, len(TARGET_COUNTS) - 1)]):
        row, column = _free_place(targets, dice)
        area = AREAS[dice.whole(0, len(AREAS) - 1)]
        ratio = SIGNAL_TO_CLUTTER[dice.whole(0, len(SIGNAL_TO_CLUTTER) - 1)]
        squared = _squared_distance(row, column, stretch=dice.real(0.8, 1.25), tilt=dice.real(-0.2, 0.2))
        reach_squared = max(area, 1.6) / 3.14159265 / HALF
        shape = _spot(squared / reach_squared)
        shape /= shape.max()
        peak = ratio * _local_clutter(clutter, row, column)
        levels += peak * shape
        inside = shape > 0.5
        mask[inside] = 255
        targets.append(Target(row, column, int(inside.sum()), ratio, peak))
    return mask, tuple(targets)


def _lattice(dice: Dice, cell_rows: int, cell_columns: int) -> FloatArray:
    values = dice.plane(SIDE // cell_rows + 2, SIDE // cell_columns + 2)
    top, down = _cells(cell_rows)
    left, across = _cells(cell_columns)
    upper = values[top][:, left] + across * (values[top][:, left + 1] - values[top][:, left])
    lower = values[top + 1][:, left] + across * (values[top + 1][:, left + 1] - values[top + 1][:, left])
    return upper + down[:, None] * (lower - upper)


def _cells(cell: int) -> tuple[NDArray[np.int64], FloatArray]:
    position = np.arange(SIDE)
    inside = (position % cell).astype(np.float64) / cell
    return position // cell, inside * inside * (3.0 - 2.0 * inside)


def _ramp() -> FloatArray:
    return np.arange(SIDE).astype(np.float64) / SIDE


def _smooth_step(values: FloatArray) -> FloatArray:
    inside = np.clip(values + 0.5, 0.0, 1.0)
    return inside * inside * (3.0 - 2.0 * inside)


def _squared_distance(row: float, column: float, *, stretch: float, tilt: float) -> FloatArray:
    rows = np.arange(SIDE).astype(np.float64)[:, None] - row
    columns = np.arange(SIDE).astype(np.float64)[None, :] - column
    leaning = columns + tilt * rows
    return rows * rows * stretch + leaning * leaning / stretch


def _spot(relative: FloatArray) -> FloatArray:
    inside = np.clip(1.0 - relative, 0.0, 1.0)
    return inside * inside


def _add_line(levels: FloatArray, dice: Dice) -> None:
    """Add a wire or mast: one or two pixels wide, from border to border, at any angle."""
    rows = np.arange(SIDE).astype(np.float64)[:, None]
    columns = np.arange(SIDE).astype(np.float64)[None, :]
    across, slope = (rows, columns) if dice.whole(0, 1) else (columns, rows)
    distance = np.abs(across - dice.real(0, SIDE) - dice.real(-0.6, 0.6) * (slope - SIDE / 2))
    levels += dice.real(12, 45) * np.clip(dice.real(1.0, 1.6) - distance, 0.0, 1.0)


def _free_place(targets: list[Target], dice: Dice) -> tuple[float, float]:
    while True:
        row, column = dice.real(BORDER, SIDE - 1 - BORDER), dice.real(BORDER, SIDE - 1 - BORDER)
        if all(max(abs(row - t.row), abs(column - t.column)) >= GAP for t in targets):
            return row, column


def _local_clutter(levels: FloatArray, row: float, column: float) -> float:
    """Standard deviation of the 33x33 pixels around a place, limited to 3 to 8 levels; exact, as it sums integers."""
    top, left = max(int(row) - 16, 0), max(int(column) - 16, 0)
    window = np.rint(levels[top : top + 33, left : left + 33]).astype(np.int64)
    count, total, squares = window.size, int(window.sum()), int((window * window).sum())
    return min(max(math.sqrt((squares * count - total * total) / (count * count)), 3.0), 8.0)
