"""The command `compare`: hold predictions of several methods against each other, without training."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from bench.cli.console import ProgressBar, err, out
from bench.cli.options import (
    ColumnsOption,
    DataOption,
    JsonOption,
    ListOption,
    MaskSuffixOption,
    PluginOption,
    ProtocolOption,
    ScoringSetOption,
    SuffixOption,
    split_names,
)

if TYPE_CHECKING:
    from bench.api import ComparisonResult
    from reports.tables.compared_values import ComparedNumber, PlainInterval

DEFAULT_OUT = Path("reports-out/comparison")


def compare_command(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PREDICTIONS... [MASKS]",
            help="Folders of maps, .npz files or runs/KEY, then the folder of masks; of runs alone no masks.",
        ),
    ],
    label: Annotated[list[str] | None, typer.Option(help="Name of a method; once for each, in their order.")] = None,
    scoring: Annotated[str, typer.Option(help="A named scoring. Default native, of runs alone their own.")] = "",
    protocol: ProtocolOption = "",
    set_: ScoringSetOption = None,
    images: Annotated[Path | None, typer.Option(help="Folder of images, for pictures and contrast.")] = None,
    list_file: ListOption = None,
    common: Annotated[
        bool, typer.Option("--common", help="Compare the images that all have, where they have different ones.")
    ] = False,
    suffix: SuffixOption = "",
    mask_suffix: MaskSuffixOption = "",
    dataset: Annotated[
        str, typer.Option(help="Name of the dataset in tables; default that of MASKS.", show_default=False)
    ] = "",
    data: DataOption = None,
    to: Annotated[
        Path | None, typer.Option("--out", help=f"Folder for the report; default {DEFAULT_OUT}, with --json none.")
    ] = None,
    columns: ColumnsOption = None,
    plugin: PluginOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare predictions of several methods on the same images: differences with intervals and p, and a report."""
    from bench import api
    from bench.protocols.resolve import parse_overrides
    from bench.scoring.comparison import split_masks

    predictions, masks = split_masks(paths)
    found = api.compare(
        predictions,
        masks,
        labels=label or (),
        scoring=scoring,
        protocol=protocol,
        overrides=parse_overrides(set_ or []),
        images=images,
        names=list_file,
        suffix=suffix,
        mask_suffix=mask_suffix,
        common=common,
        dataset=dataset,
        data=data,
        out=to or (None if as_json else DEFAULT_OUT),
        columns=split_names(columns),
        plugins=plugin or (),
        progress=ProgressBar(),
        on_scored=lambda found: show_compared(found, as_json=as_json),
    )
    if found.report is None:
        return
    for note in found.report.notes:
        err.print(f"note: {note}", markup=False, soft_wrap=True)
    for path in found.report.paths:
        (err if as_json else out).print(str(path), markup=False, soft_wrap=True)


def show_compared(found: ComparisonResult, *, as_json: bool) -> None:
    """Print every value with its interval, difference to the best and p; or one JSON object."""
    from bench.protocols.scorings import describe_scoring
    from bench.records import to_plain

    for note in found.notes:
        err.print(f"note: {note}", markup=False, soft_wrap=True)
    manifest, scoring = found.manifest, found.manifest.rows[0].scoring
    if as_json:
        methods = [row.label for row in manifest.rows]
        described = {"title": manifest.title, "scoring": to_plain(scoring), "methods": methods}
        content = {**described, "numbers": to_plain(found.numbers), "notes": list(found.notes)}
        out.print_json(json.dumps(content))
        return
    out.print(f"{manifest.title}; {describe_scoring(scoring)}", markup=False, soft_wrap=True)
    out.print(compared_table(found.numbers))
    out.print(
        "[]: 95 % BCa interval over images. Δ: to the best. p: paired permutation test over images, by Holm over the "
        "table.",
        markup=False,
        soft_wrap=True,
    )


def compared_table(numbers: Sequence[ComparedNumber]) -> Table:
    """A line for each metric of each method, metric by metric."""
    from reports.tables.intervals import p_words

    table = Table("metric", "method", "value", "interval", "Δ", "interval of Δ", "p", "note")
    for _, group in groupby(numbers, key=lambda number: number.metric):
        members = list(group)
        for number in members:
            table.add_row(
                escape(number.head if number is members[0] else ""),
                escape(number.method),
                *_words(number.metric, number.score),
                *(("best", "") if number.is_best else _words(number.metric, number.difference, signed=True)),
                "" if number.p is None else p_words(number.p),
                escape(number.reason),
                end_section=number is members[-1],
            )
    return table


def _words(metric: str, interval: PlainInterval | None, *, signed: bool = False) -> tuple[str, str]:
    """A value and its interval in the unit of tables."""
    from bench.metrics.registry import metric_info

    if interval is None or interval.value is None:
        return ("" if signed else "—"), ""
    info = metric_info(metric)
    unit = f" {info.unit_text}" if info.unit_text else ""
    sign = "+" if signed and float(info.printed(interval.value)) > 0 else ""
    limits = (
        ""
        if interval.low is None or interval.high is None
        else (f"[{info.printed(interval.low)}, {info.printed(interval.high)}]")
    )
    return f"{sign}{info.printed(interval.value)}{unit}", limits
