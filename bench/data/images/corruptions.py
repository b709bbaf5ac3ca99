"""Corruptions of test images by infrared cameras: ten kinds of five levels each, applied to the grey levels.

A corruption is named `kind@level`, such as `gaussian-noise@3`. Its result depends only on the kind, the level and the
image's name (or, for kinds that belong to the sensor, the image's size). All levels of a kind draw the same random
numbers, so that levels differ in strength alone; all channels of an image are corrupted by the same draws.

As for the generated scenes, only a bit generator's raw output, integers, and single float64 additions, multiplications,
divisions and square roots are used, which IEEE 754 fixes to the last bit; levels are rounded to the nearest, half to
even, and clipped to 0 to 255. So every machine makes the same images.
"""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.arrays import FloatArray
from bench.data.images.decode import Pixels
from bench.data.images.synthetic import Dice
from bench.errors import UnknownNameError
from bench.registry import Registry, unknown

Corrupt = Callable[[Pixels, float, Dice], FloatArray]
"""`((H, W) grey levels, strength, random numbers) -> (H, W) levels, neither rounded nor clipped`."""

SEVERITIES = (1, 2, 3, 4, 5)
CLEAN = "clean"
ALL = "all"
FULL = 255.0
"""Brightest level, at which a sensor saturates."""


@dataclass(frozen=True)
class CorruptionKind:
    """Kind of corruption, with five strengths.

    Attributes:
        name: as in `name@level`.
        title: name in figures.
        sets: quantity that a level sets, with its unit.
        strengths: values of that quantity at levels 1 to 5.
        belongs_to: `image`: drawn for every image, by its name; `sensor`: equal for all images of a size; `nothing`:
            no random numbers are drawn.
        source: origin in a camera, and how the levels were chosen.
        corrupt: the function that applies it.
    """

    name: str
    title: str
    sets: str
    strengths: tuple[float, float, float, float, float]
    belongs_to: Literal["image", "sensor", "nothing"]
    source: str
    corrupt: Corrupt


@dataclass(frozen=True)
class Corruption:
    """Kind of corruption at a level from 1 to 5."""

    kind: CorruptionKind
    level: int

    @property
    def name(self) -> str:
        """Kind and level, such as `gaussian-noise@3`."""
        return f"{self.kind.name}@{self.level}"

    @property
    def strength(self) -> float:
        """Value of the quantity that the level sets."""
        return self.kind.strengths[self.level - 1]

    def __call__(self, pixels: Pixels, *, name: str) -> Pixels:
        """Corrupt an image: the result has its shape, and levels 0 to 255.

        Args:
            pixels: (H, W), or (H, W, 3), whose channels are corrupted by the same draws.
            name: name of the image, which seeds the random numbers.
        """
        if pixels.ndim == 3:
            channels = [self(pixels[..., channel], name=name) for channel in range(pixels.shape[2])]
            return np.stack(channels, axis=2)
        made = self.kind.corrupt(pixels, self.strength, self._dice(pixels, name))
        return np.clip(np.rint(made), 0, FULL).astype(np.uint8)

    def _dice(self, pixels: Pixels, name: str) -> Dice:
        """Random numbers of a Philox generator with the SHA-256 of `kind/image` or `kind/HEIGHTxWIDTH` as its key."""
        owner = f"{pixels.shape[0]}x{pixels.shape[1]}" if self.kind.belongs_to == "sensor" else name
        digest = hashlib.sha256(f"{self.kind.name}/{owner}".encode()).digest()
        return Dice(*(int.from_bytes(digest[i : i + 4], "big") for i in range(0, 32, 4)))


def parse_corruption(text: str) -> Corruption:
    """Parse the name of a corruption.

    Raises:
        UnknownNameError: with suggestions, when there is no such kind, or no such level of it.
    """
    name, at, level = text.partition("@")
    if name in (CLEAN, ALL):
        raise UnknownNameError(f"corruption {text!r}: {name!r} has no levels, expected it alone")
    if name not in CORRUPTIONS:
        raise UnknownNameError(unknown("corruption", name, list(CORRUPTIONS)))
    if not at or level not in map(str, SEVERITIES):
        raise UnknownNameError(f"corruption {text!r}: expected a level from 1 to 5, as in {name}@3")
    return Corruption(CORRUPTIONS.get(name), int(level))


def corruption_names(words: Sequence[str]) -> tuple[str, ...]:
    """Expand `all`, `clean`, kinds (five levels each) and `kind@level` to names, the clean image (empty) first.

    >>> corruption_names(["drift@2", "clean"])
    ('', 'drift@2')

    Raises:
        UnknownNameError: with suggestions, for any other word.
    """
    found = {"": None}
    for word in words:
        found |= dict.fromkeys(_names_of(word))
    return tuple(found)


def _names_of(word: str) -> Sequence[str]:
    if word in ("", CLEAN):
        return ("",)
    if word == ALL:
        return [name for kind in CORRUPTIONS for name in _names_of(kind)]
    if "@" in word:
        return (parse_corruption(word).name,)
    if word not in CORRUPTIONS:
        raise UnknownNameError(unknown("corruption", word, [*CORRUPTIONS, ALL, CLEAN]))
    return [f"{word}@{level}" for level in SEVERITIES]


def stripes(levels: Pixels, deviation: float, dice: Dice) -> FloatArray:
    """Add an offset to every column or to every row; the image's name decides which of the two."""
    height, width = levels.shape
    offsets = dice.bell(1, width) if dice.whole(0, 1) else dice.bell(height, 1)
    return levels + deviation * offsets


def fixed_pattern(levels: Pixels, deviation: float, dice: Dice) -> FloatArray:
    """Give every sensor element a gain, of a hundredth of the deviation around 1, and an offset."""
    height, width = levels.shape
    gain = 1.0 + deviation / 100.0 * dice.bell(height, width)
    return levels * gain + deviation * dice.bell(height, width)


def gaussian_noise(levels: Pixels, deviation: float, dice: Dice) -> FloatArray:
    """Add independent noise of one deviation to every pixel."""
    return levels + deviation * dice.bell(*levels.shape)


def poisson_noise(levels: Pixels, photons: float, dice: Dice) -> FloatArray:
    """Draw photon counts, where level 255 stands for `photons`; noise grows with brightness and with fewer photons."""
    chance = dice.plane(*levels.shape).ravel()
    flat, counts = levels.ravel(), np.zeros(levels.size, dtype=np.float64)
    order = np.argsort(flat, kind="stable")
    present, first = np.unique(flat[order], return_index=True)
    for level, places in zip(present.tolist(), np.split(order, first[1:]), strict=True):
        least, cumulative = _poisson(level, photons)
        counts[places] = least + np.searchsorted(cumulative, chance[places], side="right")
    return counts.reshape(levels.shape) * (FULL / photons)


def defocus(levels: Pixels, radius: float, dice: Dice) -> FloatArray:
    """Spread every point over a disc."""
    return _convolved(levels, _disc(radius))


def motion_blur(levels: Pixels, length: float, dice: Dice) -> FloatArray:
    """Spread every point over a line, whose direction the image's name decides."""
    return _convolved(levels, _line(length, *_direction(dice)))


def dead_pixels(levels: Pixels, share: float, dice: Dice) -> FloatArray:
    """Set a share of the pixels to 0 or 255, half of them each; those of a level are dead at all higher levels."""
    chance, stuck = dice.plane(*levels.shape), dice.plane(*levels.shape)
    return np.where(chance < share, np.where(stuck < 0.5, 0.0, FULL), levels.astype(np.float64))


def low_contrast(levels: Pixels, share: float, dice: Dice) -> FloatArray:
    """Scale the differences to the image's mean level, in the same 8 bits."""
    mean = int(levels.sum(dtype=np.int64)) / levels.size
    return mean + share * (levels.astype(np.float64) - mean)


def bit_depth(levels: Pixels, bits: float, dice: Dice) -> FloatArray:
    """Round to the nearest of 2 ** bits levels from 0 to 255."""
    steps = 2.0**bits - 1.0
    return np.asarray(np.rint(levels.astype(np.float64) * steps / FULL) * FULL / steps)


def drift(levels: Pixels, peak: float, dice: Dice) -> FloatArray:
    """Add a smooth surface of offsets with that peak, and apply one of gains with half as many hundredths."""
    height, width = levels.shape
    offset, gain = _surface(height, width, dice), _surface(height, width, dice)
    return np.asarray(levels * (1.0 + peak / 200.0 * gain) + peak * offset)


@functools.lru_cache(maxsize=256 * len(SEVERITIES))
def _poisson(level: int, photons: float) -> tuple[int, FloatArray]:
    """Least photon count with any probability, and the cumulative probabilities of that count and the following ones.

    Outwards from the likeliest count each probability is the last one times a ratio: no exponential is needed, whose
    last bit would differ between machines.
    """
    mean = level * photons / FULL
    likeliest, reach = int(mean), 9 * math.isqrt(int(mean) + 1) + 9
    least = max(likeliest - reach, 0)
    above = np.cumprod(mean / np.arange(likeliest + 1, likeliest + reach + 1))
    below = np.cumprod(np.arange(likeliest, least, -1) / mean) if likeliest > least else np.zeros(0)
    cumulative = np.cumsum(np.concatenate([below[::-1], [1.0], above]))
    return least, cumulative / cumulative[-1]


FINE = 16
"""Parts that a pixel's side is divided into where kernels are sampled."""


def _disc(radius: float) -> NDArray[np.int64]:
    """Kernel (2r + 1, 2r + 1) of a disc: the number of each pixel's 16 x 16 parts that lie in it."""
    reach = math.ceil(radius)
    places = (np.arange((2 * reach + 1) * FINE) + 0.5) / FINE - reach - 0.5
    inside = places[:, None] * places[:, None] + places * places <= radius * radius
    side = 2 * reach + 1
    return np.asarray(inside.reshape(side, FINE, side, FINE).sum(axis=(1, 3), dtype=np.int64))


def _line(length: float, down: float, across: float) -> NDArray[np.int64]:
    """Kernel of a straight line through the middle; each of its points is divided among the four pixels around it."""
    reach = math.ceil(length / 2) + 1
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), dtype=np.int64)
    points = round(FINE * length)
    for index in range(points):
        along = ((index + 0.5) / points - 0.5) * length
        row, column = round(along * down * FINE), round(along * across * FINE)
        (top, low), (left, right) = divmod(row, FINE), divmod(column, FINE)
        shares = np.outer([FINE - low, low], [FINE - right, right])
        kernel[reach + top : reach + top + 2, reach + left : reach + left + 2] += shares
    return kernel


def _direction(dice: Dice) -> tuple[float, float]:
    """Random direction, all equally likely: (down, across) of length 1."""
    # Points in the disc around 0 have uniform directions; sine and cosine of an angle would differ between machines.
    while True:
        down, across = dice.real(-1, 1), dice.real(-1, 1)
        if 0.01 < (squared := down * down + across * across) <= 1:
            return down / math.sqrt(squared), across / math.sqrt(squared)


def _convolved(levels: Pixels, kernel: NDArray[np.int64]) -> FloatArray:
    """Convolve an image that is mirrored at its borders with a kernel; exact, as it sums integers."""
    height, width = levels.shape
    reach = len(kernel) // 2
    wide = np.pad(levels.astype(np.int64), reach, mode="reflect")
    total = np.zeros((height, width), dtype=np.int64)
    for row, column in zip(*np.nonzero(kernel), strict=True):
        total += kernel[row, column] * wide[row : row + height, column : column + width]
    return total / int(kernel.sum())


def _surface(height: int, width: int, dice: Dice) -> FloatArray:
    """Sum of a random tilt and a random bowl, scaled to a largest absolute value of 1."""
    rows = (np.arange(height) + 0.5)[:, None] * (2.0 / height) - 1.0
    columns = (np.arange(width) + 0.5)[None, :] * (2.0 / width) - 1.0
    bowl = rows * rows + columns * columns - 2.0 / 3.0
    surface = dice.real(-1, 1) * rows + dice.real(-1, 1) * columns + dice.real(-1, 1) * bowl
    return np.asarray(surface / np.abs(surface).max())


CORRUPTIONS: Registry[CorruptionKind] = Registry("corruption")


def _add(
    name: str,
    title: str,
    corrupt: Corrupt,
    *,
    sets: str,
    strengths: tuple[float, float, float, float, float],
    belongs_to: Literal["image", "sensor", "nothing"],
    source: str,
) -> None:
    CORRUPTIONS.add(name, CorruptionKind(name, title, sets, strengths, belongs_to, source, corrupt))


_add(
    "stripes",
    "Stripes",
    stripes,
    sets="standard deviation of the offsets of columns or rows, in grey levels",
    strengths=(2, 4, 6, 9, 13),
    belongs_to="image",
    source="read-out amplifiers, one a column or row, that differ and drift between two calibrations",
)
_add(
    "fixed-pattern",
    "Fixed pattern",
    fixed_pattern,
    sets="standard deviation of the detectors' offsets, in grey levels, and of their gains, in hundredths",
    strengths=(1.5, 3, 5, 8, 12),
    belongs_to="sensor",
    source="what two-point non-uniformity correction leaves of a focal plane array's spread, growing as it ages",
)
_add(
    "gaussian-noise",
    "Gaussian noise",
    gaussian_noise,
    sets="standard deviation, in grey levels",
    strengths=(2, 4, 7, 11, 16),
    belongs_to="image",
    source="temporal noise of detector and read-out (its NETD), independent of the scene",
)
_add(
    "poisson-noise",
    "Poisson noise",
    poisson_noise,
    sets="photons that level 255 stands for",
    strengths=(4000, 1500, 600, 250, 100),
    belongs_to="image",
    source="photon noise at ever shorter integration times: sqrt(255 g / photons) levels at level g",
)
_add(
    "defocus",
    "Defocus",
    defocus,
    sets="radius of the disc, in pixels",
    strengths=(0.8, 1.1, 1.5, 2, 2.5),
    belongs_to="nothing",
    source="optics that move out of focus with temperature; a disc of uniform light, as geometric optics has it",
)
_add(
    "motion-blur",
    "Motion blur",
    motion_blur,
    sets="length of the path, in pixels",
    strengths=(2, 3, 4, 5, 7),
    belongs_to="image",
    source="a camera that turns evenly during the integration time, in any direction",
)
_add(
    "dead-pixels",
    "Dead pixels",
    dead_pixels,
    sets="share of the detectors",
    strengths=(0.0002, 0.0005, 0.001, 0.002, 0.005),
    belongs_to="sensor",
    source="defective detectors that no replacement map covers; makers allow up to 0.5 to 1 % of them",
)
_add(
    "low-contrast",
    "Low contrast",
    low_contrast,
    sets="share of the contrast that is left",
    strengths=(0.7, 0.5, 0.35, 0.25, 0.15),
    belongs_to="nothing",
    source="haze and humid air, which attenuate the scene towards its mean radiance before it is digitised",
)
_add(
    "bit-depth",
    "Bit depth",
    bit_depth,
    sets="bits",
    strengths=(7, 6, 5, 4, 3),
    belongs_to="nothing",
    source="coarse converters, and video links and codecs that keep few levels",
)
_add(
    "drift",
    "Drift",
    drift,
    sets="peak of the shading, in grey levels, and twice the peak of its gain, in hundredths",
    strengths=(6, 12, 20, 30, 45),
    belongs_to="image",
    source="lens, housing and cold shield that warm up after calibration: smooth shading across the frame",
)
