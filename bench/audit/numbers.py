"""Intervals of printed digits: a number in a table stands for an interval, in exact fractions."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction

from bench.errors import BenchError

SINGLE = Fraction(1, 2**22)
"""Relative error of numbers printed in full, with nine digits or more: published codes divide in single precision."""

FULL_DIGITS = 9

PERCENT = Fraction(1, 100)

FRACTION_FROM = -3
"""Exponent (`2.02e-6`) up to which a number is a fraction: in 1e-6 it would be less than a pixel of any list known."""

LONGEST = 60
"""Characters of a number, at most."""

_WRAPPERS = re.compile(r"\\(?:textbf|underline|mathbf|bm|textit|textcolor\{\w+\})\{([^{}]*)\}|</?\w+>|†|‡|§|↑|↓")
_NUMBER = re.compile(r"[-+−]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+−]?\d+)?", re.ASCII)
_THOUSANDS = re.compile(r"[-+−]?\d{1,3}(?:,\d{3})+\.\d+|[-+−]?\d{1,3}(?:,\d{3}){2,}", re.ASCII)
_POWER = re.compile(
    r"\s*(?:×|x|·|\*|\\times|\\cdot)\s*10(?:\^\s*[{(]?\s*([-+−]?\d{1,3})\s*[})]?|([-−]\d{1,3}))$", re.ASCII
)
SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻−", "0123456789--")
_ABSENT = frozenset(("", "-", "–", "—", "--", "---", "/", "n/a", "na", "nan", "none", "null", "\\"))


class UnreadableError(BenchError, ValueError):
    """A cell that is neither a number nor empty."""


@dataclass(frozen=True)
class DigitInterval:
    """Everything from `low` to `high`, both included."""

    low: Fraction
    high: Fraction

    def scaled(self, unit: Fraction) -> DigitInterval:
        """The interval in another unit."""
        return DigitInterval(self.low * unit, self.high * unit)

    def meets(self, other: DigitInterval) -> bool:
        """True if the two have a number in common.

        >>> DigitInterval(Fraction(0), Fraction(1)).meets(DigitInterval(Fraction(1), Fraction(2)))
        True
        """
        return self.low <= other.high and other.low <= self.high

    def wholes(self, total: int) -> range:
        """The whole numbers of `total` whose share lies in the interval, 0 and `total` at the ends.

        >>> DigitInterval(Fraction(93265, 100000), Fraction(93275, 100000)).wholes(297)
        range(277, 278)
        """
        return range(max(math.ceil(self.low * total), 0), min(math.floor(self.high * total), total) + 1)

    def is_wider_than_one_of(self, total: int) -> bool:
        """True if it holds a whole number of `total` wherever it lies."""
        return (self.high - self.low) * total >= 1


@dataclass(frozen=True)
class PrintedNumber:
    """A number as it stands in a cell.

    Attributes:
        text: the cell.
        value: what is printed.
        step: one of its last digit.
        digits: significant ones.
        is_mean: whether a deviation stands beside it, so that it is a mean over runs.
        unit: what a printed 1 is, where the cell says it: by %, or by a power of ten that makes a fraction of it.
    """

    text: str
    value: Fraction
    step: Fraction
    digits: int
    is_mean: bool = False
    unit: Fraction | None = None

    @property
    def rounded(self) -> DigitInterval:
        """The values that may have been rounded to it, halves up or to even; in full print, in single precision."""
        reach = self.step / 2
        if self.digits >= FULL_DIGITS:
            reach += abs(self.value) * SINGLE
        return DigitInterval(self.value - reach, self.value + reach)

    @property
    def cut(self) -> DigitInterval:
        """The values that may have been truncated to it."""
        return DigitInterval(self.value, self.value + self.step * Fraction(999999, 1000000))


def read_number(cell: str, *, decimal_comma: bool = False) -> PrintedNumber | None:
    """The number in a cell, or None where it holds none; arrows, bold print and footnote signs are passed over.

    Args:
        decimal_comma: whether `69,4` is 69.4.

    Raises:
        UnreadableError: when something stands there that is no single number.

    >>> one = read_number("**93.27**%")
    >>> (one.value, one.rounded.low, one.digits)
    (Fraction(9327, 100), Fraction(18653, 200), 4)
    >>> read_number("69.4 ± 0.3").is_mean
    True
    """
    text = cell.strip()
    bare, unit = _without_percent(_WRAPPERS.sub(lambda found: found.group(1) or "", text).replace("\xa0", " "))
    bare = bare.strip(" *_$")
    if bare.lower() in _ABSENT:
        return None
    bare, power = _without_power(bare)
    value, *spread = re.split(r"±|\+/-|\+-|\\pm", bare)
    value = value.strip()
    if decimal_comma and value.count(",") == 1 and "." not in value:
        value = value.replace(",", ".")
    if _THOUSANDS.fullmatch(value):
        value = value.replace(",", "")
    if not _NUMBER.fullmatch(value) or len(value) > LONGEST:
        shown = text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
        raise UnreadableError(f"{shown!r} is not a number")
    if power is not None and "e" not in value.lower():
        value = f"{value}e{power}"
        unit = unit or (Fraction(1) if power < 0 else None)
    return _printed(text, value.replace("−", "-"), is_mean=bool(spread), unit=unit)


def _without_percent(text: str) -> tuple[str, Fraction | None]:
    """The text without percent signs, and the unit that they say."""
    return text.replace("\\%", "").replace("%", ""), PERCENT if "%" in text else None


def _without_power(text: str) -> tuple[str, int | None]:
    """The text without a written power of ten at its end, and its exponent.

    >>> [_without_power(text) for text in ("2.02×10⁻⁶", "(2.0 ± 0.1) x 10^{-6}", "2.02e-6")]
    [('2.02', -6), ('2.0 ± 0.1', -6), ('2.02e-6', None)]
    """
    plain = re.sub("[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+", lambda found: "^" + found.group().translate(SUPERSCRIPTS), text)
    found = _POWER.search(plain)
    if not found:
        return text, None
    exponent = (found.group(1) or found.group(2)).replace("−", "-")
    return plain[: found.start()].strip(" ()"), int(exponent)


def _printed(text: str, value: str, *, is_mean: bool, unit: Fraction | None) -> PrintedNumber:
    mantissa, _, exponent = value.lower().partition("e")
    decimals = len(mantissa.partition(".")[2])
    power = int(exponent or 0)
    if abs(power) > 300:
        raise UnreadableError(f"{text!r} is not a number that a score can be")
    digits = len(re.sub(r"[^0-9]", "", mantissa).lstrip("0"))
    if unit is None and power <= FRACTION_FROM:
        unit = Fraction(1)
    return PrintedNumber(text, Fraction(value), Fraction(10) ** (power - decimals), digits, is_mean, unit)
