"""All figures that the files of a suite allow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from reports.figures.curves import curve_figures
from reports.figures.distances import distance_figure
from reports.figures.errors import error_figures
from reports.figures.examples import example_figures
from reports.figures.feedback import feedback_figures
from reports.figures.figure import CaptionedFigure, Drawing, NotDrawn
from reports.figures.loss import loss_figures
from reports.figures.select import BEST, FEW, best_methods, without_ablations
from reports.figures.side_by_side import run_figures
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


def draw_figures(entries: Sequence[Entry], *, images: Sequence[str] = (), data: Path | None = None) -> Figures:
    """Draw every figure that the files of a suite allow, as `iterate_figures` does."""
    made = list(iterate_figures(entries, images=images, data=data))
    return Figures(
        tuple(drawing for drawing in made if isinstance(drawing, CaptionedFigure)),
        tuple(drawing.reason for drawing in made if isinstance(drawing, NotDrawn)),
    )


def iterate_figures(
    entries: Sequence[Entry], *, images: Sequence[str] = (), data: Path | None = None
) -> Iterator[Drawing]:
    """Draw every figure that the files of a suite allow, one by one.

    Of many methods, ablations are drawn beside their full network alone, in a figure of their own; of very many, only
    the best are drawn.

    Args:
        images: names of those that methods are shown side by side on; default by rule.
        data: folder of datasets.

    Raises:
        RequestError: if an image to show is on no test list of the suite.
    """
    if not entries:
        return
    full = without_ablations(entries)
    shown = best_methods(full.entries)
    words = " ".join(filter(None, (full.left_out, shown.left_out)))
    for make in MAKERS:
        for drawing in make(shown.entries):
            yield _with_words(drawing, words) if words else drawing
    if full.left_out:
        yield NotDrawn(f"figures of so many methods show no ablations but in figures/rounds-ablation. {full.left_out}")
        yield from variant_figures(entries)
    if shown.left_out:
        yield NotDrawn(f"figures show {BEST} methods of so many. {shown.left_out}")
    yield from run_figures(shown.entries, images=images, data=data)
    yield from example_figures(best_methods(full.entries, count=FEW).entries)


def _with_words(drawing: Drawing, words: str) -> Drawing:
    """The drawing with a sentence added to its caption."""
    return replace(drawing, caption=f"{drawing.caption} {words}") if isinstance(drawing, CaptionedFigure) else drawing
