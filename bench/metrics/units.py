"""Units of printed numbers: a power of ten such as `1e-6` that scales stored values, or a word such as `px`."""

from __future__ import annotations

import math
import re

POWER = re.compile(r"1e([+-]?)(\d+)")
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def scale_of(unit: str) -> float:
    """Factor from a stored value to the number printed in that unit.

    >>> scale_of("1e-6"), scale_of("px")
    (1000000.0, 1.0)
    """
    exponent = _exponent(unit)
    return 1.0 if exponent is None else float(f"1e{-exponent}")


def unit_text(unit: str) -> str:
    """The unit as plain text.

    >>> unit_text("1e-6"), unit_text("px")
    ('×10⁻⁶', 'px')
    """
    exponent = _exponent(unit)
    return unit if exponent is None else f"×10{str(exponent).translate(SUPERSCRIPTS)}"


def unit_latex(unit: str) -> str:
    r"""A power of ten in LaTeX; empty for a word, which has to be escaped.

    >>> unit_latex("1e-6"), unit_latex("px")
    ('$\\times 10^{-6}$', '')
    """
    exponent = _exponent(unit)
    return "" if exponent is None else rf"$\times 10^{{{exponent}}}$"


def rate_text(images_per_s: float) -> str:
    """A rate as printed: with one decimal, or with two digits that are not zero where it is below one a second.

    >>> rate_text(24.24), rate_text(1.0), rate_text(0.0312), rate_text(0.00102)
    ('24.2', '1.0', '0.031', '0.0010')
    """
    if not 0 < images_per_s < 1:
        return f"{images_per_s:.1f}"
    return f"{images_per_s:.{1 - math.floor(math.log10(images_per_s))}f}"


def _exponent(unit: str) -> int | None:
    found = POWER.fullmatch(unit)
    return int(found[1] + found[2]) if found else None
