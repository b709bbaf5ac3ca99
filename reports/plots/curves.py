"""Receiver operating characteristic, precision-recall, Pd-Fa and training curves, one panel for each dataset."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bench.arrays import FloatArray
from reports.plots.decades import draw_decades, whole_decades
from reports.plots.legend import draw_legend, legend_rows
from reports.plots.style import draw_grid, drawable, house_style, panel_axes, stroke

Panels = Mapping[str, Sequence["Curve"]]
"""Dataset to the curves of its panel."""

HIGHEST_FA = 1e4
"""Right end of the Pd-Fa axis, 1e-6: one pixel in a hundred, far beyond any use."""

USEFUL = 0.5
"""Least share of a curve's best IoU at which precision and recall are of interest."""

INNER = (0.05, 0.95)
"""Thresholds between which the values of IoU determine its axis."""

PANEL_HEIGHT = 2.5

TICKS = (1, 2, 5, 10)
"""First digits of the distance between two ticks."""


@dataclass(frozen=True, eq=False)
class Curve:
    """One method's curve on one dataset.

    Attributes:
        label: of the method; curves of one label (its seeds) share a stroke and one entry of the legend.
        x, y: (K,) plain fractions.
        at: the point at the scoring's threshold, or None.
        thin: a second pair of coordinates, drawn as a thin line, or None.
    """

    label: str
    x: FloatArray
    y: FloatArray
    at: tuple[float, float] | None = None
    thin: tuple[FloatArray, FloatArray] | None = None


@dataclass(frozen=True)
class AxisStyle:
    """Labels, look and scale of a figure's axes.

    Attributes:
        x, y: labels with the unit.
        dress: sets limits and ticks of axes on which the curves are drawn.
        x_scale, y_scale: from fractions to the unit of the axis.
        steps: matplotlib's way to join two points; between two thresholds nothing changes.
    """

    x: str
    y: str
    dress: Callable[[Axes], None]
    x_scale: float = 1.0
    y_scale: float = 100.0
    steps: Any = "steps-post"


def roc_figure(panels: Panels) -> Figure:
    """True-positive rate over the logarithm of the false-positive rate, because targets fill few pixels."""
    x, y = "False-positive rate of pixels (×10⁻⁶)", "True-positive rate of pixels (×10⁻²)"
    return _figure(panels, AxisStyle(x, y, _dress_roc, x_scale=1e6))


def precision_recall_figure(panels: Panels) -> Figure:
    """Precision over recall of pixels, in the steps whose area is the average precision."""
    x, y = "Recall of pixels (×10⁻²)", "Precision of pixels (×10⁻²)"
    return _figure(panels, AxisStyle(x, y, _dress_precision_recall, x_scale=100.0, steps="steps-pre"))


def iou_figure(panels: Panels) -> Figure:
    """Pooled IoU over the threshold."""
    return _figure(panels, AxisStyle("Threshold of probability", "IoU (×10⁻²)", _dress_iou))


def pd_fa_figure(panels: Panels) -> Figure:
    """Probability of detection of targets over the false-alarm rate, in 1e-6."""
    x, y = "False-alarm rate Fa (×10⁻⁶)", "Probability of detection Pd (×10⁻²)"
    return _figure(panels, AxisStyle(x, y, _dress_pd_fa, x_scale=1e6))


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
    x, y = curve.x * axis.x_scale, curve.y * axis.y_scale
    axes.plot(x, y, color=look.colour, linestyle=look.dashes, drawstyle=axis.steps)
    if curve.thin is not None:
        axes.plot(*curve.thin, color=look.colour, linewidth=0.6, marker=".", markersize=2.2)
    if curve.at is not None:
        axes.plot(
            [curve.at[0] * axis.x_scale],
            [curve.at[1] * axis.y_scale],
            color=look.colour,
            marker=look.marker,
            markeredgecolor="white",
            markeredgewidth=0.5,
            markersize=5.5,
            linestyle="none",
            clip_on=False,
            zorder=5,
        )


def _drawn(axes: Axes) -> list[tuple[FloatArray, FloatArray]]:
    """Both coordinates of everything drawn on the axes: curves, and points of one value each."""
    return [(np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)) for line in axes.lines]


def _joined(parts: Sequence[FloatArray]) -> FloatArray:
    return np.concatenate([*parts, np.zeros(0)])


def percent_limits(values: FloatArray) -> tuple[float, float]:
    """The tens around some values in percent, at least twenty, and a little more, so that no marker is cut.

    >>> percent_limits(np.array([63.0, 88.0])), percent_limits(np.array([99.0, 100.0]))
    ((59.4, 90.6), (79.6, 100.4))
    """
    known = values[np.isfinite(values)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 100.0)
    high = min(100.0, 10.0 * np.ceil(high / 10))
    low = max(0.0, min(10.0 * np.floor(low / 10), high - 20))
    high = max(high, low + 20)
    margin = 0.02 * (high - low)
    return round(low - margin if low else 0.0, 2), round(high + margin, 2)


def _fit_percents(axes: Axes, values: FloatArray) -> None:
    axes.set_ylim(*percent_limits(values))
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=TICKS))


def _dress_roc(axes: Axes) -> None:
    drawn = _drawn(axes)
    _fit_percents(axes, _joined([y for _, y in drawn]))
    draw_decades(axes, "x", *(whole_decades(_joined([x for x, _ in drawn])) or (1.0, 1e6)))


def _dress_precision_recall(axes: Axes) -> None:
    """Fit both axes to the points whose IoU is at least `USEFUL` of their curve's best; the rest is cut off."""
    kept = []
    for recall, precision in _drawn(axes):
        with np.errstate(divide="ignore", invalid="ignore"):
            iou = np.nan_to_num(1 / (100 / recall + 100 / precision - 1))
        kept.append((iou >= USEFUL * iou.max(initial=0.0)) & np.isfinite(recall + precision))
    drawn = list(zip(_drawn(axes), kept, strict=True))
    _fit_percents(axes, _joined([y[use] for (_, y), use in drawn]))
    axes.set_xlim(*percent_limits(_joined([x[use] for (x, _), use in drawn])))
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=TICKS))


def _dress_iou(axes: Axes) -> None:
    """Fit the axis of values to those at the `INNER` thresholds and at the scoring's."""
    low, high = INNER
    axes.set_xlim(-0.02, 1.02)
    inner = [np.interp(np.linspace(low, high, 91), x[::-1], y[::-1]) if len(x) > 1 else y for x, y in _drawn(axes)]
    _fit_percents(axes, _joined(inner))


def _dress_pd_fa(axes: Axes) -> None:
    """Fit the axis of Fa to the decades from the least rate to that of every curve's highest Pd and every marker.

    It ends at 1 % of the pixels (1e4), or beyond for an operating point.
    """
    drawn = _drawn(axes)
    rates = _joined([x for x, _ in drawn])
    highest = [x[[int(np.argmax(y))]] for x, y in drawn if len(x) > 1]
    points = [x for x, _ in drawn if len(x) == 1]
    fitted = np.minimum(_joined([*highest, np.sort(rates[rates > 0])[:1]]), HIGHEST_FA)
    low, high = whole_decades(_joined([fitted, *points])) or (1.0, 10.0)
    shown = [y[x <= high] for x, y in drawn]
    _fit_percents(axes, _joined(shown))
    draw_decades(axes, "x", low, high)


@dataclass(frozen=True, eq=False)
class LossCurve:
    """The losses of one training.

    Attributes:
        label: of the method.
        epoch, loss: (E,) of the training list.
        kept: the epoch whose weights were kept, or None.
        checked: epochs (V,) and losses (V,) of the list that weights are selected on, or None.
    """

    label: str
    epoch: FloatArray
    loss: FloatArray
    kept: int | None = None
    checked: tuple[FloatArray, FloatArray] | None = None


def loss_figure(panels: Mapping[str, Sequence[LossCurve]]) -> Figure:
    """Mean training loss of every epoch, with the epoch marked whose weights were kept; thin: the selection list's."""
    curves = {
        dataset: [Curve(c.label, c.epoch, c.loss, at=_kept_point(c), thin=c.checked) for c in losses]
        for dataset, losses in panels.items()
    }
    is_checked = any(curve.checked for losses in panels.values() for curve in losses)
    words = "Loss (thin: selection list)" if is_checked else "Training loss"
    return _figure(curves, AxisStyle("Epoch", words, _dress_loss, y_scale=1.0, steps="default"))


def _kept_point(curve: LossCurve) -> tuple[float, float] | None:
    found = np.flatnonzero(curve.epoch == curve.kept)
    return (float(curve.epoch[found[0]]), float(curve.loss[found[0]])) if len(found) else None


def _dress_loss(axes: Axes) -> None:
    """Start the axis of losses at zero, to show their fall in proportion, or below it for negative losses."""
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=TICKS))
    axes.margins(x=0.02)
    axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
