"""The strata tables: detection by size, contrast, place and company of targets, IoU and false alarms by image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from bench.metrics.ids import BY_CENTROID
from bench.metrics.registry import metric_info
from bench.metrics.significance import LEVEL, RESAMPLES, Interval
from bench.metrics.strata import KINDS, UNDEFINED, detection_strata, image_strata_of
from reports.columns import Column
from reports.results.image_counts import Counted, CountedLine
from reports.table import Cell, Line, Notes, Table
from reports.tables.captions import all_notes, caption, signs
from reports.tables.significance import SEED

Key = tuple[str, str]
"""What a column is about, and its band."""

DIGITS = 1
DETECTION = "Pd by "
IMAGE_GROUPS = {
    "IoU/pooled": "IoU by targets per image",
    "Fa/images-without-targets": "Images without targets",
    "Fa/unmatched-area": "Images without targets",
}
"""Metric id to the group of its column."""

PD = metric_info(BY_CENTROID)

EMPTY_HEADS = {"Fa/images-without-targets": "alarmed", "Fa/unmatched-area": "Fa"}


def strata_tables(counted: Sequence[Counted], *, title: str) -> Iterator[tuple[str, Table]]:
    """Per dataset on which anything was counted its name and table."""
    for each in counted:
        if any(method.seeds for method in each.methods):
            yield each.dataset, strata_table(each, title=title)


def strata_table(each: Counted, *, title: str) -> Table:
    """Pd of every stratum of targets, IoU and false alarms by image; the first line says how many there are."""
    notes = Notes()
    found = _strata_of(each)
    reference = next(found[m.position] for m in each.methods if each.is_on_list(m))
    shown = [key for key, (count, _) in reference.items() if count]
    lines = [Line("number in the list", tuple(Cell(str(reference[key][0])) for key in shown))]
    for method in each.methods:
        cells = tuple(_cell(each, method, found[method.position].get(key), key, notes) for key in shown)
        lines.append(Line(method.row.label, cells, signs(method.row.on(each.dataset))))
    return Table(
        caption=caption(
            each.entries,
            title=f"{title.rstrip('.')}: strata of {each.dataset}",
            remarks=[*_remarks(each, reference)],
            several="Mean",
        ),
        columns=tuple(_column(key) for key in shown),
        lines=tuple(lines),
        notes=all_notes(each.entries, notes),
        limited=any(entry.is_limited for entry in each.entries),
        label="tab:strata",
    )


def _strata_of(each: Counted) -> dict[int, Mapping[Key, tuple[int, Interval]]]:
    """Of every method on the list, per column how many targets or images there are, and the value."""
    shown = [method for method in each.methods if method.seeds and each.is_on_list(method)]
    found: dict[int, Mapping[Key, tuple[int, Interval]]] = {method.position: {} for method in each.methods}
    for count in sorted({len(method.seeds) for method in shown}):
        alike = [method for method in shown if len(method.seeds) == count]
        images = image_strata_of([method.seeds for method in alike], generator=np.random.default_rng(SEED))
        for method, strata in zip(alike, images, strict=True):
            found[method.position] = {
                **{(_of_kind(s.kind), s.band): (s.targets, s.pd) for s in detection_strata(method.seeds)},
                **{(s.metric, s.band): (s.images, s.score) for s in strata},
            }
    return found


def _of_kind(name: str) -> str:
    """Heading above the columns of a kind of stratum: `Pd by target size`."""
    return f"{DETECTION}{name[0].lower()}{name[1:]}"


def _column(key: Key) -> Column:
    name, band = key
    if name in IMAGE_GROUPS:
        info = metric_info(name)
        return Column(EMPTY_HEADS.get(name, band), IMAGE_GROUPS[name], info.printed_unit, info.better)
    units = {_of_kind(kind.name): kind.unit for kind in KINDS}
    return Column(band, name + (f", {units[name]}" if units[name] else ""), PD.printed_unit, PD.better)


def _cell(each: Counted, method: CountedLine, found: tuple[int, Interval] | None, key: Key, notes: Notes) -> Cell:
    """A value with its limits; a dash with the reason where the method has no such targets, or others."""
    if method.reason:
        return Cell(marks=(notes.mark(method.reason),))
    if not each.is_on_list(method) or found is None:
        return Cell(marks=(notes.mark("tested on other images, whose strata hold other targets"),))
    interval = found[1]
    scale = metric_info(key[0]).factor if key[0] in IMAGE_GROUPS else PD.factor
    text = "" if interval.value is None else f"{scale * interval.value:.{DIGITS}f}"
    if interval.low is None or interval.high is None:
        return Cell(text, marks=(notes.mark(f"no interval: {interval.reason}"),))
    return Cell(text, limits=(f"{scale * interval.low:.{DIGITS}f}", f"{scale * interval.high:.{DIGITS}f}"))


def _remarks(each: Counted, reference: Mapping[Key, tuple[int, Interval]]) -> Iterator[str]:
    several = any(len(method.seeds) > 1 for method in each.methods)
    what = "images and seeds" if several else "images"
    yield (
        f"Brackets: {LEVEL:.0%} intervals, of Pd by Wilson over the targets, of IoU and of false alarms by BCa "
        f"over {RESAMPLES:,} bootstrap resamples of the {what} (generator seed {SEED})."
    )
    yield "Signal-to-clutter ratio: of a target to its surroundings of 20 px; border: from the target's nearest pixel."
    if any(band == UNDEFINED for _, band in reference):
        yield "Undefined: targets whose surroundings are constant or were not stored have no such ratio."
    if empty := [key for key, (count, _) in reference.items() if not count]:
        words = "; ".join(dict.fromkeys(map(_words, empty)))
        yield f"Not shown, for there are none in the list: {words}."


def _words(key: Key) -> str:
    name, band = key
    if name in EMPTY_HEADS:
        return "images without targets"
    if name in IMAGE_GROUPS:
        return f"images with {band} targets"
    unit = next(kind.unit for kind in KINDS if _of_kind(kind.name) == name)
    return f"{name.removeprefix(DETECTION)} {band}{f' {unit}' if unit else ''}"
