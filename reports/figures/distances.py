"""The figure of detections and false alarms over the matching distance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.errors import StoreError
from bench.metrics.distances import DistanceTable, pd_fa_by_distance
from reports.figures.figure import CaptionedFigure, Drawing, NotDrawn, by_dataset, read_stored, rules_words
from reports.plots.curves import Curve
from reports.plots.rounds import CurvePanel, rounds_figure
from reports.results.entries import Entry, one_line


def distance_figure(entries: Sequence[Entry]) -> Iterator[Drawing]:
    """Pd and Fa over the distance within which a target counts as found."""
    try:
        panels = distance_panels(entries)
    except StoreError as error:
        yield NotDrawn(f"detections over distance are not drawn: {one_line(str(error))}")
        return
    if panels:
        own = " and ".join(dict.fromkeys(f"{entry.row.scoring.distance:g} px" for entry in entries))
        caption = (
            "Detections and false alarms when a target counts as found with a component's centroid nearer than 1 to "
            f"10 px; the tables use {own}. An Fa of zero lies in the grey strip. {rules_words(entries)}"
        )
        yield CaptionedFigure("distances", rounds_figure(panels, most=2, x="Distance of centroids (px)"), caption)


def distance_panels(entries: Sequence[Entry]) -> list[CurvePanel]:
    """Pd and Fa over the matching distance, two panels for each dataset, of all entries that stored them.

    Raises:
        StoreError: if a file is broken.
    """
    panels = []
    for dataset, members in by_dataset(entries).items():
        found = [(entry, read) for entry in members if (read := read_distances(entry)) is not None]
        curves = {
            head: tuple(
                Curve(entry.name, read.distances.astype(float), scale * getattr(pd_fa_by_distance(read), head))
                for entry, read in found
            )
            for head, scale in (("pd", 1e2), ("fa", 1e6))
        }
        if found:
            panels.append(CurvePanel(dataset, "Pd (×10⁻²)", curves["pd"], ceiling=100.0))
            panels.append(CurvePanel(dataset, "Fa (×10⁻⁶)", curves["fa"], is_logarithmic=True))
    return panels


def read_distances(entry: Entry) -> DistanceTable | None:
    """Read the counts of an entry at every distance; None if it stored none.

    Raises:
        StoreError: if the file is broken.
    """
    is_there = (entry.folder / "distances.npz").is_file()
    return read_stored(entry, "distances.npz", DistanceTable.from_arrays) if is_there else None
