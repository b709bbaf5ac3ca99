"""All figures that the files of a suite allow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from reports.figures.curves import curve_figures
from reports.figures.distances import distance_figure
from reports.figures.errors import error_figures
from reports.figures.examples import example_figures
from reports.figures.feedback import feedback_figures
from reports.figures.figure import CaptionedFigure, Drawing, NotDrawn
from reports.figures.loss import loss_figures
from reports.figures.select import without_ablations
from reports.figures.start_masks import start_figures
from reports.figures.strata import strata_figures
from reports.figures.tradeoff import tradeoff_figures
from reports.figures.variants import variant_figures
from reports.results.entries import Entry

MAKERS: tuple[Callable[[Sequence[Entry]], Iterable[Drawing]], ...] = (
    tradeoff_figures,
    curve_figures,
    distance_figure,
    error_figures,
    strata_figures,
    feedback_figures,
    start_figures,
    loss_figures,
)
"""The figures that compare methods, in the order of the report."""


@dataclass(frozen=True)
class Figures:
    """The figures of a suite, and sentences about those that could not be drawn."""

    figures: tuple[CaptionedFigure, ...]
    notes: tuple[str, ...]


def draw_figures(entries: Sequence[Entry]) -> Figures:
    """Draw every figure that the files of a suite allow.

    Of many methods, ablations are drawn beside their full network alone, in a figure of their own.
    """
    if not entries:
        return Figures((), ())
    shown = without_ablations(entries)
    made = [drawing for make in MAKERS for drawing in make(shown.entries)]
    if shown.left_out:
        made = [_with_words(drawing, shown.left_out) for drawing in made]
        made.append(
            NotDrawn(f"figures of so many methods show no ablations but in figures/rounds-ablation. {shown.left_out}")
        )
        made += variant_figures(entries)
    made += example_figures(shown.entries)
    return Figures(
        tuple(drawing for drawing in made if isinstance(drawing, CaptionedFigure)),
        tuple(drawing.reason for drawing in made if isinstance(drawing, NotDrawn)),
    )


def _with_words(drawing: Drawing, words: str) -> Drawing:
    """The drawing with a sentence added to its caption."""
    return replace(drawing, caption=f"{drawing.caption} {words}") if isinstance(drawing, CaptionedFigure) else drawing
