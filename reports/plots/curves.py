"""Receiver operating characteristic, precision-recall, Pd-Fa and training curves, one panel for each dataset."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from bench.arrays import FloatArray
from reports.plots.legend import draw_legend, legend_rows
from reports.plots.style import draw_grid, drawable, house_style, panel_axes, stroke

Panels = Mapping[str, Sequence["Curve"]]
"""Dataset to the curves of its panel."""

LOWEST_RATE = 1e-6
"""Left end of the false-positive axis: about one pixel in fifteen 256 x 256 frames."""

HIGHEST_FA = 1e4
"""Right end of the Pd-Fa axis, 1e-6: one pixel in a hundred, far beyond any use."""

PANEL_HEIGHT = 2.5


@dataclass(frozen=True, eq=False)
class Curve:
    """One method's curve on one dataset.

    Attributes:
        label: of the method; curves of one label (its seeds) share a stroke and one entry of the legend.
        x, y: (K,) plain fractions.
        at: the point at the scoring's threshold, or None.
    """

    label: str
    x: FloatArray
    y: FloatArray
    at: tuple[float, float] | None = None


@dataclass(frozen=True)
class AxisStyle:
    """Labels, look and scale of a figure's axes."""

    x: str
    y: str
    dress: Callable[[Axes], None]
    x_scale: float = 1.0


def roc_figure(panels: Panels) -> Figure:
    """True-positive rate over the logarithm of the false-positive rate, because targets fill few pixels."""
    return _figure(panels, AxisStyle("False-positive rate of pixels", "True-positive rate of pixels", _dress_roc))


def precision_recall_figure(panels: Panels) -> Figure:
    """Precision over recall of pixels."""
    return _figure(panels, AxisStyle("Recall of pixels", "Precision of pixels", _dress_unit_square))


def iou_figure(panels: Panels) -> Figure:
    """Pooled IoU over the threshold."""
    return _figure(panels, AxisStyle("Threshold of probability", "IoU", _dress_unit_square))


def pd_fa_figure(panels: Panels) -> Figure:
    """Probability of detection of targets over the false-alarm rate, in 1e-6."""
    return _figure(
        panels, AxisStyle("False-alarm rate Fa (×10⁻⁶)", "Probability of detection Pd", _dress_pd_fa, x_scale=1e6)
    )


def _figure(panels: Panels, axis: AxisStyle) -> Figure:
    labels = list(dict.fromkeys(curve.label for curves in panels.values() for curve in curves))
    names = [drawable(label) for label in labels]
    with house_style():
        figure, every = panel_axes(len(panels), height=PANEL_HEIGHT, legend_rows=legend_rows(names, len(panels)))
        for axes, (dataset, curves) in zip(every, panels.items(), strict=True):
            axes.set_title(drawable(dataset), pad=4)
            for curve in curves:
                _draw(axes, curve, labels.index(curve.label), axis)
            axis.dress(axes)
            axes.set_xlabel(axis.x, labelpad=2)
            axes.set_ylabel(axis.y, labelpad=2)
            draw_grid(axes)
        draw_legend(figure, names)
    return figure


def _draw(axes: Axes, curve: Curve, index: int, axis: AxisStyle) -> None:
    look = stroke(index)
    axes.plot(curve.x * axis.x_scale, curve.y, color=look.colour, linestyle=look.dashes)
    if curve.at is not None:
        axes.plot(
            [curve.at[0] * axis.x_scale],
            [curve.at[1]],
            color=look.colour,
            marker=look.marker,
            markeredgecolor="white",
            markeredgewidth=0.5,
            markersize=5.5,
            linestyle="none",
            clip_on=False,
            zorder=5,
        )


def _dress_roc(axes: Axes) -> None:
    axes.set_xscale("log")
    axes.set_xlim(LOWEST_RATE, 1.0)
    _pin_to_left_edge(axes, LOWEST_RATE)
    axes.set_ylim(0.0, 1.02)
    _decades(axes)


def _dress_unit_square(axes: Axes) -> None:
    axes.set_xlim(0.0, 1.02)
    axes.set_ylim(0.0, 1.02)


def _dress_pd_fa(axes: Axes) -> None:
    """Logarithmic from 1, or from the smallest rate above zero where that is less, to 1 % of pixels (1e4).

    An operating point beyond extends the axis.
    """
    lines = [np.asarray(line.get_xdata(), dtype=float) for line in axes.lines]
    drawn = np.concatenate(lines or [np.ones(1)])
    positive = drawn[drawn > 0]
    low = min(1.0, 10.0 ** np.floor(np.log10(positive.min(initial=1.0))))
    points = [float(x[0]) for x in lines if len(x) == 1]
    high = max([HIGHEST_FA, *(2 * x for x in points)])
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    _pin_to_left_edge(axes, low)
    axes.set_ylim(0.0, 1.02)
    _decades(axes)


def _pin_to_left_edge(axes: Axes, low: float) -> None:
    """Move what a logarithmic axis cannot show, such as zero, to its left end, for curves and markers."""
    for line in axes.lines:
        line.set_xdata(np.maximum(np.asarray(line.get_xdata(), dtype=float), low))


def _decades(axes: Axes) -> None:
    """Set ticks at powers of ten, labelled 10⁻⁴, or 0.1, 1 and 10 near one."""
    axes.xaxis.set_major_locator(LogLocator(base=10, numticks=12))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: power_of_ten(value)))
    axes.xaxis.set_minor_locator(NullLocator())


def power_of_ten(value: float) -> str:
    """1e-4 as `10⁻⁴`, 100 as `100`: plain from 0.1 to 1000."""
    if 0.09 < value < 1100:
        return f"{value:g}"
    digits = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
    return f"10{str(round(np.log10(value))).translate(digits)}" if value > 0 else "0"


@dataclass(frozen=True, eq=False)
class LossCurve:
    """The training loss of one training.

    Attributes:
        label: of the method.
        epoch, loss: (E,).
        kept: the epoch whose weights were kept, or None.
    """

    label: str
    epoch: FloatArray
    loss: FloatArray
    kept: int | None = None


def loss_figure(panels: Mapping[str, Sequence[LossCurve]]) -> Figure:
    """Mean training loss of every epoch, with the epoch marked whose weights were kept."""
    curves = {
        dataset: [Curve(c.label, c.epoch, c.loss, at=_kept_point(c)) for c in losses]
        for dataset, losses in panels.items()
    }
    return _figure(curves, AxisStyle("Epoch", "Training loss", _dress_loss))


def _kept_point(curve: LossCurve) -> tuple[float, float] | None:
    found = np.flatnonzero(curve.epoch == curve.kept)
    return (float(curve.epoch[found[0]]), float(curve.loss[found[0]])) if len(found) else None


def _dress_loss(axes: Axes) -> None:
    """Start the axis of losses at zero, to show their fall in proportion, or below it for negative losses."""
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.margins(x=0.02)
    axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
