"""Columns of tables, and the metrics that stand in them unless a suite or `--columns` chooses others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from bench.errors import RequestError, UnknownNameError
from bench.metrics.ids import CUMULATIVE, LEGACY
from bench.metrics.registry import MetricInfo, find_metrics, info_of
from bench.protocols.scorings import STANDARD as STANDARD_IDS
from bench.registry import unknown
from bench.types import Better, Score

STANDARD: tuple[MetricInfo, ...] = tuple(map(info_of, STANDARD_IDS.values()))
"""The columns of a table under a scoring that has standard metrics."""

FAMILIES = tuple(metric.family for metric in STANDARD)


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        head: heading.
        group: dataset or kind of column, printed above several headings.
        unit: of its numbers, on the heading's second line: a power of ten as `1e-2`, a word, or nothing.
        better: direction; None where the column is not judged.
        is_text: True where cells are words.
        is_centred: True where words are centred.
        marks: of the notes that the heading refers to.
    """

    head: str
    group: str = ""
    unit: str = ""
    better: Better | None = None
    is_text: bool = False
    is_centred: bool = False
    marks: tuple[str, ...] = ()


def metrics_shown(results: Iterable[Mapping[str, Score]], chosen: Sequence[str] = ()) -> tuple[MetricInfo, ...]:
    """The chosen metrics; without any the standard ones, or the legacy ones where no result has a standard value.

    Args:
        results: each result's scores by metric id.
        chosen: ids, in the order of the columns.

    Raises:
        RequestError: when an id is chosen twice.
        UnknownNameError: with suggestions, when a chosen id is neither registered nor among the scores.
    """
    found = [scores for scores in results if scores]
    if chosen:
        return _chosen(chosen, found)
    if not found or any(_value(metric.score_in(scores)) is not None for metric in STANDARD for scores in found):
        return STANDARD
    scored = {name: score for scores in found for name, score in scores.items() if _is_of_one_round(name)}
    shown = [
        replace(info_of(name, score), is_exact=True)
        for name, score in scored.items()
        if any(_value(scores.get(name)) is not None for scores in found)
    ]
    return tuple(sorted(shown, key=_rank)) or STANDARD


def _chosen(names: Sequence[str], found: Sequence[Mapping[str, Score]]) -> tuple[MetricInfo, ...]:
    if twice := next((name for name in names if names.count(name) > 1), ""):
        raise RequestError(f"columns: {twice} is named twice, expected different metrics; name it once")
    stored = {name: score for scores in found for name, score in scores.items()}
    try:
        return tuple(info_of(name, stored.get(name)) for name in names)
    except UnknownNameError:
        known = {*find_metrics(), *stored}
        missing = next(name for name in names if name not in known)
        raise UnknownNameError(f"columns: {unknown('metric', missing, known)}") from None


def _is_of_one_round(name: str) -> bool:
    return name.startswith(LEGACY) and CUMULATIVE not in name


def _value(score: Score | None) -> float | None:
    return score.value if score else None


def _rank(metric: MetricInfo) -> int:
    return FAMILIES.index(metric.family) if metric.family in FAMILIES else len(FAMILIES)
