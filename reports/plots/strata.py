"""Detection by stratum: a panel for each kind of stratum, the methods side by side in each band, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MultipleLocator, NullLocator

from bench.metrics.strata import Stratum
from reports.plots.legend import draw_samples, even_columns, legend_rows
from reports.plots.style import draw_grid, drawable, house_style, panel_axes, stroke

LEAST = 5
"""Targets of a stratum that is drawn: of fewer, an interval covers nearly everything."""

PANEL_HEIGHT = 2.05
SPREAD, STEP = 0.72, 0.15
"""Most of a band's width that all its methods take, and that one takes."""


def strata_figure(dataset: str, found: Mapping[str, Sequence[Stratum]], *, units: Mapping[str, str]) -> Figure:
    """Pd of every stratum of at least `LEAST` targets, a colour for each method.

    Args:
        found: method to its strata, the same ones for all.
        units: kind of stratum to the unit of its bands, or nothing.
    """
    kinds = list(dict.fromkeys(s.kind for strata in found.values() for s in strata if s.targets >= LEAST))
    names = [drawable(name) for name in found]
    with house_style():
        figure, every = panel_axes(len(kinds), height=PANEL_HEIGHT, legend_rows=legend_rows(names, len(kinds)), most=2)
        for axes, kind in zip(every, kinds, strict=True):
            of_kind = [[s for s in strata if s.kind == kind and s.targets >= LEAST] for strata in found.values()]
            for index, strata in enumerate(of_kind):
                _draw(axes, strata, index, among=len(found))
            unit = f" ({units[kind]})" if units.get(kind) else ""
            _dress(axes, of_kind[0], f"{dataset}: {kind[0].lower()}{kind[1:]}{unit}")
        _legend(figure, names)
    return figure


def _draw(axes: Axes, strata: Sequence[Stratum], index: int, *, among: int) -> None:
    look = stroke(index)
    offset = min(SPREAD / among, STEP) * (index + 0.5 - among / 2)
    values = np.array([s.pd.value for s in strata], dtype=float)
    low = np.array([s.pd.low for s in strata], dtype=float)
    high = np.array([s.pd.high for s in strata], dtype=float)
    axes.errorbar(
        np.arange(len(strata)) + offset,
        100 * values,
        yerr=100 * np.stack([values - low, high - values]),
        linestyle="none",
        marker=look.marker,
        markersize=3.6,
        markeredgecolor="white",
        markeredgewidth=0.3,
        color=look.colour,
        elinewidth=0.9,
        clip_on=False,
        zorder=4,
    )


def _dress(axes: Axes, strata: Sequence[Stratum], title: str) -> None:
    axes.set_title(drawable(title), pad=4)
    axes.set_ylabel("Pd (×10⁻²)", labelpad=2)
    axes.set_ylim(0.0, 102.0)
    axes.yaxis.set_major_locator(MultipleLocator(25))
    axes.set_xlim(-0.5, len(strata) - 0.5)
    axes.set_xticks(np.arange(len(strata)), [f"{s.band}\nn = {s.targets}" for s in strata])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.tick_params(axis="x", length=0, pad=3)
    for edge in range(1, len(strata)):
        axes.axvline(edge - 0.5, color="0.88", linewidth=0.6, zorder=1)
    draw_grid(axes, axis="y")


def _legend(figure: Figure, names: Sequence[str]) -> None:
    """Markers and bars of all methods, below the panels."""
    samples = [
        Line2D([], [], color=stroke(index).colour, marker=stroke(index).marker, linewidth=0.9, label=name)
        for index, name in enumerate(names)
    ]
    draw_samples(figure, samples, columns=even_columns(names, len(figure.axes)), handlelength=1.6)
