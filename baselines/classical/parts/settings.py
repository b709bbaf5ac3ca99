"""Readers of the classical detectors' settings: odd window sizes, lists of them, numbers of pixels or in a range."""

from __future__ import annotations

import math

from bench.errors import RequestError


def odd(name: str, size: int) -> int:
    """A window's size: an odd number of pixels from 3.

    Raises:
        RequestError: when it is none, by the setting's `name`.
    """
    if isinstance(size, bool) or not isinstance(size, int) or size < 3 or size % 2 == 0:
        raise RequestError(f"{name} is {size!r}, expected an odd number of pixels from 3")
    return size


def numbers(name: str, text: str) -> tuple[int, ...]:
    """The whole numbers of a text such as `3-5-7-9`.

    Raises:
        RequestError: when it is no such text, by the setting's `name`.
    """
    parts = str(text).split("-")
    if not all(part.isascii() and part.isdigit() for part in parts):
        raise RequestError(f"{name} is {text!r}, expected whole numbers such as '3-5-7-9'")
    return tuple(int(part) for part in parts)


def scales(name: str, text: str) -> tuple[int, ...]:
    """Cell sizes from a text such as `3-5-7-9`.

    Raises:
        RequestError: when one is no odd number from 3, by the setting's `name`.
    """
    return tuple(odd(name, size) for size in numbers(name, text))


def pixels(name: str, count: int, *, size: int) -> int:
    """A number of pixels of a cell of `size` x `size`.

    Raises:
        RequestError: when the cell has not so many, by the setting's `name`.
    """
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= size**2:
        raise RequestError(
            f"{name} is {count!r}, expected a number of pixels from 1 to {size**2}, a {size} x {size} cell"
        )
    return count


def whole(name: str, number: int, *, most: float = math.inf) -> int:
    """A whole number from 1 to `most`.

    Raises:
        RequestError: when it is none, by the setting's `name`.
    """
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= most:
        raise RequestError(
            f"{name} is {number!r}, expected a whole number from 1" + f" to {most}" * math.isfinite(most)
        )
    return number


def between(name: str, number: float, *, low: float = 0, high: float = math.inf) -> float:
    """A finite number greater than `low` and less than `high`.

    Raises:
        RequestError: when it is none, by the setting's `name`.
    """
    if isinstance(number, bool) or not isinstance(number, int | float) or not low < number < high:
        raise RequestError(
            f"{name} is {number!r}, expected a number above {low}" + f" and below {high}" * math.isfinite(high)
        )
    return number
