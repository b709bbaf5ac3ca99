"""Figures of strata: the share of the targets of each stratum that every method finds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.metrics.significance import LEVEL
from bench.metrics.strata import KINDS, detection_strata
from reports.figures.figure import CaptionedFigure, rules_words, words_of
from reports.figures.select import MOST
from reports.plots.strata import LEAST, strata_figure
from reports.results.entries import Entry
from reports.results.image_counts import Counted, CountedLine, read_counted


def strata_figures(entries: Sequence[Entry]) -> Iterator[CaptionedFigure]:
    """A figure for each dataset with targets, a panel for each kind of stratum, of the first `MOST` methods."""
    for each in read_counted(entries, mixed="mark"):
        methods = [method for method in each.methods if each.is_on_list(method)]
        if methods and any(s.targets >= LEAST for s in detection_strata(methods[0].seeds)):
            yield _figure(each, methods)


def _figure(each: Counted, methods: Sequence[CountedLine]) -> CaptionedFigure:
    shown, others = methods[:MOST], methods[MOST:]
    found = {_name(method): detection_strata(method.seeds) for method in shown}
    drawn = [entry for method in shown for entry in method.group.scored]
    caption = [
        f"{each.dataset}: share of the targets of each stratum that is found, with Wilson's {LEVEL:.0%} "
        "intervals; n: targets of the stratum.",
        rules_words(drawn, seeds="mean over seeds"),
    ]
    if others:
        caption.append(f"Not drawn: {', '.join(map(_name, others))}.")
    counted = [s for s in found[_name(shown[0])] if 0 < s.targets < LEAST]
    if few := [f"{stratum.kind.lower()} {stratum.band} ({stratum.targets})" for stratum in counted]:
        caption.append(f"Hidden, for fewer than {LEAST} targets: {', '.join(few)}.")
    units = {kind.name: kind.unit for kind in KINDS}
    return CaptionedFigure(
        f"strata-{words_of(each.dataset)}", strata_figure(each.dataset, found, units=units), " ".join(caption)
    )


def _name(method: CountedLine) -> str:
    return method.group.scored[0].name
