"""Files of a search for leaks: matrices and all pairs as CSV, and a contact sheet of the closest pairs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.csv_cells import to_csv
from bench.data.catalogue.overlaps import ListName
from bench.data.quality.leak_search import LeakReport, Sources, Twin
from bench.store.files import write_text
from reports.figures.figure import words_of

MOST = 18
"""Most pairs on a contact sheet."""


def write_leaks(report: LeakReport, sources: Sources | None, out: Path) -> list[Path]:
    """Write overlaps.csv, and where pixels were compared near.csv, pairs.csv and pairs.pdf and .png, under the
    dataset's name.

    Args:
        sources: of the images, or None.
    """
    stem, lists = words_of(report.dataset), report.overlaps.lists
    paths = [write_text(out / f"{stem}-overlaps.csv", _matrix(lists, report.overlaps.shared.tolist()))]
    if report.near is None or report.pairs is None:
        return paths
    paths.append(write_text(out / f"{stem}-near.csv", _matrix(lists, report.near.tolist())))
    paths.append(write_text(out / f"{stem}-pairs.csv", to_csv(_pair_lines(report))))
    if report.pairs.twins and sources is not None:
        paths += _draw(report, sources, out / f"{stem}-pairs")
    return paths


def _draw(report: LeakReport, sources: Sources, stem: Path) -> tuple[Path, Path]:
    from reports.plots.near_duplicates import Pictured, contact_sheet
    from reports.plots.style import write_figure  # matplotlib only when there is something to draw

    shown = [Pictured(twin, sources.grey(twin.one), sources.grey(twin.two)) for twin in closest(report)]
    return write_figure(contact_sheet(shown), stem)


def closest(report: LeakReport) -> tuple[Twin, ...]:
    """The closest pairs between a test list and what is learnt from; of all pairs if there are none between them."""
    between = dict.fromkeys(twin for leak in report.leaks for twin in leak.first)
    twins = list(between) or list(report.pairs.twins if report.pairs else ())
    return tuple(sorted(twins, key=lambda twin: -twin.correlation)[:MOST])


def _pair_lines(report: LeakReport) -> Iterator[Sequence[object]]:
    yield (
        "one",
        "two",
        "kind",
        "correlation",
        "orientation",
        "rows",
        "columns",
        "common",
        "lists of one",
        "lists of two",
    )
    member: dict[str, list[str]] = {}
    for each in report.overlaps.lists:
        for name in each.names:
            member.setdefault(name, []).append(each.title)
    pairs = report.pairs
    for one, two in pairs.exact if pairs else ():
        yield one, two, "exact", 1, "upright", 0, 0, 1, " ".join(member[one]), " ".join(member[two])
    for twin in pairs.twins if pairs else ():
        kind = "same view" if twin.is_same_view else "shifted view"
        how = twin.correlation, twin.orientation, twin.rows, twin.cols, round(twin.common, 4)
        yield twin.one, twin.two, kind, *how, " ".join(member[twin.one]), " ".join(member[twin.two])


def _matrix(lists: Sequence[ListName], counts: Sequence[Sequence[int]]) -> str:
    heads = [each.title for each in lists]
    lines = ([head, *(count if count >= 0 else "" for count in line)] for head, line in zip(heads, counts, strict=True))
    return to_csv([["list", *heads], *lines])
