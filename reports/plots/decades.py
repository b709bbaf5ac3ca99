"""Logarithmic axes over whole decades, on which zero has a marked place beyond the lower end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from bench.arrays import FloatArray

ZONE = 0.13
"""Share of an axis that the place of zero takes."""

MOST_TICKS = 8


def whole_decades(values: FloatArray) -> tuple[float, float] | None:
    """The powers of ten around the values above zero, at least one decade apart; None without such values.

    >>> whole_decades(np.array([0.0, 20.0, 300.0])), whole_decades(np.array([0.0]))
    ((10.0, 1000.0), None)
    """
    positive = values[np.isfinite(values) & (values > 0)]
    if not len(positive):
        return None
    low, high = np.floor(np.log10(positive.min() * 1.001)), np.ceil(np.log10(positive.max() * 0.999))
    return float(10.0**low), float(10.0 ** max(high, low + 1))


def draw_decades(axes: Axes, which: Literal["x", "y"], low: float, high: float) -> None:
    """Make an axis logarithmic from `low` to `high`; zeros among the lines drawn stand in a grey strip before it.

    Args:
        low, high: powers of ten.
    """
    across = which == "x"
    drawn = [np.asarray(line.get_xdata() if across else line.get_ydata(), dtype=float) for line in axes.lines]
    has_zero = any(bool(np.any(values <= 0)) for values in drawn)
    decades = np.log10(high / low)
    strip = decades * ZONE / (1 - ZONE)
    zero, end = low / 10 ** (0.6 * strip), low / 10**strip
    if has_zero:
        for line, values in zip(axes.lines, drawn, strict=True):
            moved = np.where(values <= 0, zero, values)
            line.set_xdata(moved) if across else line.set_ydata(moved)
    (axes.set_xscale if across else axes.set_yscale)("log")
    limits = (end if has_zero else low, high)
    (axes.set_xlim if across else axes.set_ylim)(*limits)
    step = int(-(-decades // MOST_TICKS)) or 1
    ticks = [10.0**power for power in range(round(np.log10(low)), round(np.log10(high)) + 1, step)]
    names = decade_words(ticks)
    axis = axes.xaxis if across else axes.yaxis
    if has_zero:
        ticks, names = [zero, *ticks], ["0", *names]
        span = axes.axvspan if across else axes.axhspan
        span(end, low, facecolor="0.93", edgecolor="none", zorder=0)
        (axes.axvline if across else axes.axhline)(low, color="0.45", linewidth=0.6, linestyle=(0, (2, 2)), zorder=1)
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_major_formatter(FixedFormatter(names))
    axis.set_minor_locator(NullLocator())


def decade_words(ticks: Sequence[float]) -> list[str]:
    """Labels of powers of ten, all alike: plain numbers if all lie between 0.001 and 1000, else powers.

    >>> decade_words([1, 10, 100]), decade_words([1e-6, 1])
    (['1', '10', '100'], ['10⁻⁶', '10⁰'])
    """
    if all(0.0009 < tick < 1100 for tick in ticks):
        return [f"{tick:g}" for tick in ticks]
    digits = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
    return [f"10{str(round(np.log10(tick))).translate(digits)}" for tick in ticks]
