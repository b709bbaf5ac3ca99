"""The outcome of a suite over all its rows, for trackers: means with intervals, and the main table."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean

from bench.errors import BenchError
from bench.store.tracker import SuiteSummary, TextTable
from reports.columns import chosen_metrics, metrics_shown
from reports.results.entries import plain_entries, read_suite
from reports.results.image_counts import Counted, read_counted
from reports.table import Table
from reports.tables.cells import values_of
from reports.tables.comparison import comparison_table
from reports.tables.significance import ComparedTable, compare_with_line

log = logging.getLogger(__name__)

LONGEST_NAME = 240
"""Characters of a mean's name at most, which leaves trackers that take 250 some for `low` and a number."""


def summarise_suite(root: Path, suite: str) -> SuiteSummary | None:
    """The outcome of a suite's last run below a folder of results; None where its rows make no table.

    Raises:
        StoreError: if the suite has not been run there.
    """
    manifest, entries = read_suite(root, suite)
    plain = plain_entries(entries)
    scores = [entry.scored.scores for entry in plain if entry.scored]
    try:
        metrics = chosen_metrics(manifest.columns, scores) or metrics_shown(scores)
        table = comparison_table(plain, title=manifest.title or suite, mixed=manifest.mixed, metrics=metrics)
        counted = read_counted(plain, mixed=manifest.mixed, metrics=metrics)
    except BenchError as error:
        log.info("%s: no means over its rows go to trackers (%s)", suite, error)
        return None
    intervals = compare_with_line(counted, "")  # a label that no line has: intervals alone, no tests
    return SuiteSummary(dict(_values(counted, intervals)), {"table": _text_of(table)})


def _values(counted: Sequence[Counted], intervals: ComparedTable) -> Iterator[tuple[str, float]]:
    """Names and values: `IoU/pooled/NUDT-SIRST/ACM`, and the same with `low` and `high` for its interval."""
    for each in counted:
        for metric in each.metrics:
            names: set[str] = set()
            stem = f"{metric.id}/{_plain(each.dataset)}/"
            for line in each.methods:
                found, _ = values_of(line.group, metric)
                if not found:
                    continue
                name = _unused(stem + _plain(line.row.label)[: LONGEST_NAME - len(stem)], names)
                yield name, fmean(found)
                own = intervals.of(line.position, each.dataset, metric)
                if own and own.interval.low is not None and own.interval.high is not None:
                    yield from ((f"{name} low", own.interval.low), (f"{name} high", own.interval.high))


def _plain(text: str) -> str:
    """The text without the characters that a tracker refuses in names.

    >>> _plain("3x3, w/o CHPP (50 %)"), _plain("..")
    ('3x3_ w_o CHPP _50 __', '_')
    """
    return re.sub(r"[^\w.:\- ]|^\.+$", "_", text)


def _unused(name: str, names: set[str]) -> str:
    """The name, with a number where another label came to the same; it is used from now on."""
    number, found = 1, name
    while found in names:
        number += 1
        found = f"{name} {number}"
    names.add(found)
    return found


def _text_of(table: Table) -> TextTable:
    """The table's cells as printed, without marks."""
    columns = (" ".join(filter(None, (c.group, c.head, f"({c.unit})" if c.unit else ""))) for c in table.columns)
    lines = tuple((line.label, *(cell.plain.strip() for cell in line.cells)) for line in table.lines)
    return TextTable((table.first_head, *columns), lines)
