"""Columns of tables, and the metrics that stand in them unless a suite or `--columns` chooses others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from bench.errors import RequestError, UnknownNameError
from bench.metrics.ids import CUMULATIVE, LEGACY
from bench.metrics.registry import MetricInfo, metric_info
from bench.protocols.scorings import STANDARD_IDS
from bench.types import Better, Score

STANDARD_METRICS: tuple[MetricInfo, ...] = tuple(map(metric_info, STANDARD_IDS.values()))
"""The columns of a table under a scoring that has standard metrics."""

FAMILIES = tuple(metric.family for metric in STANDARD_METRICS)


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


def chosen_metrics(names: Sequence[str], results: Iterable[Mapping[str, Score]]) -> tuple[MetricInfo, ...]:
    """The metrics of columns that a suite or `--columns` names, in that order.

    Unit and direction of a metric that is not registered, for its plugin is not loaded, are those of its stored scores.

    Args:
        names: metric ids.
        results: each result's scores by metric id.

    Raises:
        RequestError: when an id is named twice.
        UnknownNameError: with suggestions, when an id is neither registered nor among the scores.
    """
    if twice := next((name for name in names if names.count(name) > 1), ""):
        raise RequestError(f"columns: {twice} is named twice, expected every metric once")
    stored = {name: score for scores in results for name, score in scores.items()}
    try:
        return tuple(metric_info(name, stored.get(name)) for name in names)
    except UnknownNameError as error:
        raise UnknownNameError(f"columns: {error}") from None


def metrics_shown(results: Iterable[Mapping[str, Score]]) -> tuple[MetricInfo, ...]:
    """The standard metrics, or the legacy ones where no result has a standard value.

    Args:
        results: each result's scores by metric id.
    """
    found = [scores for scores in results if scores]
    if not found or any(_value(metric.score_in(scores)) is not None for metric in STANDARD_METRICS for scores in found):
        return STANDARD_METRICS
    scored = {name: score for scores in found for name, score in scores.items() if _is_of_one_round(name)}
    shown = [
        replace(metric_info(name, score), is_exact=True)
        for name, score in scored.items()
        if any(_value(scores.get(name)) is not None for scores in found)
    ]
    return tuple(sorted(shown, key=_rank)) or STANDARD_METRICS


def _is_of_one_round(name: str) -> bool:
    return name.startswith(LEGACY) and CUMULATIVE not in name


def _value(score: Score | None) -> float | None:
    return score.value if score else None


def _rank(metric: MetricInfo) -> int:
    return FAMILIES.index(metric.family) if metric.family in FAMILIES else len(FAMILIES)
