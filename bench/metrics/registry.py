"""The registry of metrics: a function of a table of integers, and everything that tables and lists say of it.

One `@metric` line declares a metric's id, heading, unit, direction and the table it is computed from. It is then
scored, listed, and printed as a table column where a suite or `--columns` asks for it. Stored values are plain
fractions at the scoring's threshold, or numbers in the metric's own unit.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Generic, Literal, TypeVar, get_args

from bench.characters import refuse_steering
from bench.errors import PluginError, RequestError
from bench.metrics.counting.counts import Counts, CountTable
from bench.metrics.ids import NamedBy, as_it_is, check_id, default_head, family_of, id_under, is_variant
from bench.metrics.statistic import Statistic, Value
from bench.metrics.units import scale_of, unit_text
from bench.registry import PLUGIN_ADVICE, Registry, discover, refusing_exit
from bench.types import Better, Score, Scoring

TableName = Literal["counts", "curves", "errors", "contrast"]
"""The table of integers a metric is computed from, by the name of its file: counts.npz, curves.npz, …"""

TABLES: tuple[TableName, ...] = get_args(TableName)

Compute = Callable[[Any], Statistic | Value]
"""A function from the table to the metric. A statistic keeps its terms image by image, so that it has intervals."""

Computed = TypeVar("Computed", bound=Compute)
T = TypeVar("T")

FRACTION = "fraction"


@dataclass(frozen=True, kw_only=True)
class MetricInfo:
    """Facts about a metric that lists and tables print.

    Attributes:
        id: name at 3 px and 8 neighbours, unless `is_exact`.
        head: heading of its table column.
        unit: of stored values: fraction, pixels, ratio, …
        better: direction.
        scale: power of ten in which tables print it, as `1e-2`; empty where they print stored values.
        digits: behind the point in tables.
        table: integers it is computed from.
        summary: first line of its docstring.
        is_exact: True where other matching rules, distances and connectivities are other metrics.
    """

    id: str
    head: str
    unit: str
    better: Better
    scale: str = ""
    digits: int = 2
    table: TableName = "counts"
    summary: str = ""
    is_exact: bool = False

    def __post_init__(self) -> None:
        refuse_steering({"id": self.id, "head": self.head, "unit": self.unit}, "metric")
        for field, value, known in (("better", self.better, get_args(Better)), ("table", self.table, TABLES)):
            if value not in known:
                raise RequestError(f"metric {self.id}: {field} is {value!r}, expected {' or '.join(known)}")
        if self.scale and self.factor == 1:
            raise RequestError(f"metric {self.id}: scale is {self.scale!r}, expected a power of ten as '1e-3'")

    @property
    def family(self) -> str:
        """The quantity it is about, however it is counted: `Fa` for `legacy:Fa/equal-area`, too."""
        return family_of(self.id)

    @property
    def printed_unit(self) -> str:
        """Unit of printed numbers: the power of ten, or the unit itself where that is not a plain number."""
        return self.scale or ("" if self.unit in (FRACTION, "ratio") else self.unit)

    @property
    def unit_text(self) -> str:
        """Unit of printed numbers as plain text: `×10⁻²`."""
        return unit_text(self.printed_unit)

    @property
    def factor(self) -> float:
        """Factor from stored values to printed numbers."""
        return scale_of(self.scale)

    def printed(self, value: float) -> str:
        """A stored value as tables print it: 0.694 is `69.40` in 1e-2."""
        return f"{value * self.factor:.{self.digits}f}"

    def score_in(self, scores: Mapping[str, Score]) -> Score | None:
        """This metric's score among those of a result, under the matching rule they have; None where it is absent."""
        if self.id in scores or self.is_exact:
            return scores.get(self.id)
        return next((score for name, score in scores.items() if is_variant(name, self.id)), None)


@dataclass(frozen=True, kw_only=True)
class Metric(MetricInfo):
    """A registered metric.

    Attributes:
        compute: table to statistic or value.
        undefined: reason for a table to print where the metric has no value.
        undefined_value: value that stands for it there; None is null.
        ground_truth: the kind of mask it is a statement about.
        cumulative: True where it takes all feedback rounds so far, given as one list of counts.
        named_by: its id under a scoring.
    """

    compute: Compute
    undefined: str = ""
    undefined_value: float | None = None
    ground_truth: Literal["binary", "soft"] = "binary"
    cumulative: bool = False
    named_by: NamedBy = as_it_is

    @property
    def info(self) -> MetricInfo:
        """The facts without the function."""
        return MetricInfo(**{field.name: getattr(self, field.name) for field in fields(MetricInfo)})

    def evaluate(self, table: Any) -> Statistic | Value:
        """The metric of a table, with its terms image by image where it has any.

        Raises:
            PluginError: when the metric's function returns something else.
        """
        with refusing_exit(f"metric {self.id}"):
            found: object = self.compute(table)
        if isinstance(found, Statistic | Value):
            return found
        raise PluginError(
            f"metric {self.id} returned {type(found).__name__}, expected a Statistic; "
            "return Ratio.of(part, whole) with a number an image (bench.metrics.statistic)"
        )

    def statistic(self, table: Any) -> Statistic:
        """The metric's terms image by image.

        Raises:
            PluginError: when the metric's function returns no statistic.
        """
        found = self.evaluate(table)
        if isinstance(found, Value):
            raise PluginError(f"metric {self.id} has a value alone, expected a Statistic for an interval")
        return found

    def score(self, table: Any) -> Score:
        """The metric's value over the table's images, or null with the reason."""
        if self.table == "counts" and not len(table):
            return Score(None, unit=self.unit, better=self.better, reason="no images in the list")
        found = self.evaluate(table)
        value = found.value() if isinstance(found, Statistic) else found.value
        if value is None:
            reason = found.reason or self.undefined
            return Score(self.undefined_value, unit=self.unit, better=self.better, reason=reason)
        return Score(value, unit=self.unit, better=self.better, reason=found.reason)

    def id_under(self, scoring: Scoring) -> str:
        """The id under a scoring: another matching rule, distance or connectivity is another metric.

        >>> find_metrics().get("Pd/centroid-3px").id_under(Scoring("near", distance=5))
        'Pd/centroid-5px'
        >>> find_metrics().get("Fa/unmatched-area").id_under(Scoring("near", distance=5, connectivity=4))
        'Fa/unmatched-area-5px-4conn'
        """
        return self.named_by(self.id, scoring)


METRICS: Registry[Metric] = Registry("metric", advice=PLUGIN_ADVICE.format(kind="metric"))


def metric(
    name: str,
    *,
    unit: str,
    better: Better,
    undefined: str = "",
    undefined_value: float | None = None,
    head: str = "",
    scale: str | None = None,
    digits: int = 2,
    table: TableName = "counts",
    ground_truth: Literal["binary", "soft"] = "binary",
    of_components: bool = False,
    cumulative: bool = False,
    named_by: NamedBy | None = None,
) -> Callable[[Computed], Computed]:
    """Register a function of a table as a metric: `@metric("IoU/pooled", head="IoU", unit="fraction", …)`.

    Args:
        name: the id, `family/rule`, of letters, digits, spaces and `_ - . :`, which MLflow takes.
        unit: of the value: fraction, pixels, …
        better: which way is better.
        undefined: reason that stands where there is no value.
        undefined_value: number that stands there; None is null.
        head: heading of a table column; default made of the id.
        scale: power of ten in which tables print it, as `1e-6`; default `1e-2` for fractions and none for the rest.
        digits: behind the point in tables.
        table: integers that the function is given.
        ground_truth: the kind of mask it is a statement about.
        of_components: True where matching rule, distance and connectivity change the value, and with it the id.
        cumulative: True where it takes all feedback rounds so far.
        named_by: its id under a scoring, where `of_components` does not say it.

    Raises:
        RequestError: when the name is taken, or cannot be an id.
    """

    def register(compute: Computed) -> Computed:
        entry = Metric(
            id=name,
            head=head or default_head(name),
            unit=unit,
            better=better,
            scale=("1e-2" if unit == FRACTION else "") if scale is None else scale,
            digits=digits,
            table=table,
            summary=(inspect.getdoc(compute) or "").partition("\n")[0],
            compute=compute,
            undefined=undefined,
            undefined_value=undefined_value,
            ground_truth=ground_truth,
            cumulative=cumulative,
            named_by=named_by or (id_under if of_components else as_it_is),
        )
        check_id(name)
        METRICS.add(name, entry)
        return compute

    return register


@functools.cache
def _import_metrics() -> None:
    discover(("bench.metrics",))


def find_metrics() -> Registry[Metric]:
    """The registry with every metric of this project in it, and those of plugins loaded so far."""
    _import_metrics()
    return METRICS


def ordered_metrics(table: TableName = "counts") -> tuple[Metric, ...]:
    """The metrics of one table: of pixels, of components, legacy ones, cumulative ones; as defined within those."""
    entries = [find_metrics().get(name) for name in find_metrics()]
    mine = (entry for entry in entries if entry.table == table)
    return tuple(sorted(mine, key=_position) if table == "counts" else mine)


def _position(entry: Metric) -> tuple[bool, bool, bool]:
    return entry.cumulative, entry.id.startswith("legacy:"), entry.named_by is not as_it_is


def metric_info(name: str, score: Score | None = None) -> MetricInfo:
    """The facts about any id: registered, registered under other rules, or unknown here but for its stored score.

    Raises:
        UnknownNameError: with suggestions, when the id is not registered and there is no score.

    >>> metric_info("Pd/overlap").head, metric_info("Fa/unmatched-area-5px").scale
    ('Pd (overlap)', '1e-6')
    """
    metrics = find_metrics()
    if name in metrics:
        return metrics.get(name)
    base = next((metrics.get(known) for known in metrics if is_variant(name, known)), None)
    if base is not None:
        return replace(base.info, id=name, head=default_head(name), is_exact=True)
    if score is None:
        raise metrics.no_entry(name)
    scale = "1e-2" if score.unit == FRACTION else ""
    return MetricInfo(
        id=name, head=default_head(name), unit=score.unit, better=score.better, scale=scale, is_exact=True
    )


def metric_infos(table: TableName = "counts") -> tuple[MetricInfo, ...]:
    """The facts about every metric of one table, in the order of `score_counts`."""
    return tuple(entry.info for entry in ordered_metrics(table))


class MetricsOf(Generic[T]):
    """The metrics of one table, in order of definition; those of plugins behind them."""

    def __init__(self, table: TableName) -> None:
        self.table = table

    def __iter__(self) -> Iterator[Metric]:
        return iter(ordered_metrics(self.table))

    def score(self, table: T, scoring: Scoring) -> dict[str, Score]:
        """Every score of the table that is valid under the scoring, by metric id."""
        return _scores(self, table, scoring)


def score_counts(counts: Counts, scoring: Scoring) -> dict[str, Score]:
    """Every score of one round that is valid under the scoring, by metric id, standard ones first.

    >>> from bench.metrics.counting.counts import count_masks
    >>> scores = score_counts(count_masks([[1, 1, 0, 0]], [[0, 1, 1, 0]]), Scoring("native"))
    >>> list(scores)[0], scores["Pd/centroid-3px"].value
    ('IoU/pooled', 1.0)
    """
    return _scores((entry for entry in ordered_metrics() if not entry.cumulative), counts, scoring)


def score_rounds(table: CountTable, scoring: Scoring) -> tuple[dict[str, Score], ...]:
    """Every round's scores, first to last; behind them, where there are several, those of all rounds so far.

    >>> import numpy as np
    >>> from bench.metrics.counting.counts import CountsWriter
    >>> writer, mask = CountsWriter(Scoring("native")), np.array([[1]], np.uint8)
    >>> _ = writer.add("a", [np.array([[0]], np.uint16), np.array([[65535]], np.uint16)], truth=mask)
    >>> second = score_rounds(writer.table(), Scoring("native"))[1]
    >>> second["Pd/centroid-3px"].value, second["legacy:Pd/cumulative-rounds"].value
    (1.0, 0.5)
    """
    alone = [score_counts(table.round(number), scoring) for number in range(table.rounds)]
    if table.rounds == 1:
        return tuple(alone)
    so_far = [entry for entry in ordered_metrics() if entry.cumulative]
    return tuple(scores | _scores(so_far, table.through(k), scoring) for k, scores in enumerate(alone))


def _scores(entries: Iterable[Metric], table: Any, scoring: Scoring) -> dict[str, Score]:
    """The scores of a table by those metrics that are valid under the scoring, by metric id."""
    valid = (entry for entry in entries if entry.ground_truth == scoring.ground_truth)
    return {entry.id_under(scoring): entry.score(table) for entry in valid}
