"""The commands `data leaks` and `data stats`: images shared between lists, and statistics of images."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from bench.api import data_folder
from bench.cli.console import out, shown_steps
from bench.cli.options import FAILED, DataOption, JsonOption

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from bench.data.catalogue.overlaps import ListName
    from bench.data.quality.dataset_statistics import Summary
    from bench.data.quality.leak_search import LeakReport, ListLeak, Twin

FIRST = 3
"""Pairs or names that are printed of each list; files have all."""

SplitOption = Annotated[str, typer.Option("--split", help="This split alone; all by default.")]
OutOption = Annotated[Path | None, typer.Option("--out", help="Folder for tables and figures; none by default.")]


def leaks(
    name: Annotated[str, typer.Argument(help="A dataset's name.")],
    data: DataOption = None,
    split: SplitOption = "",
    to: OutOption = None,
    as_json: JsonOption = False,
) -> None:
    """Report the images that a dataset's lists share: by name, by identical pixels, and near duplicates.

    Exit code 1 when a split trains on an image that it tests on, by name or by pixels. Near duplicates are reported
    and change no exit code.
    """
    from bench.data.quality.leak_search import find_leaks, open_sources
    from reports.datasets.leak_files import write_leaks

    root = data_folder(data)
    with shown_steps(f"compare {name}") as step:
        report = find_leaks(name, root, split=split, step=step)
    sources = open_sources(name, root)
    paths = [] if to is None else write_leaks(report, None if isinstance(sources, str) else sources, to)
    if as_json:
        out.print_json(json.dumps({**report.plain(), "files": [str(path) for path in paths]}))
    else:
        show_leaks(report)
        for path in paths:
            out.print(str(path), markup=False, soft_wrap=True)
    if not report.is_clean:
        raise typer.Exit(FAILED)


def show_leaks(report: LeakReport) -> None:
    """Print the matrices, one line for each list that is tested on, and the verdict."""
    lists = report.overlaps.lists
    out.print(matrix("names in both lists", lists, report.overlaps.shared))
    if report.near is not None:
        out.print(
            matrix(
                "images of the row's list with a near duplicate in the column's (blank: not compared)",
                lists,
                report.near,
            )
        )
    for leak in report.leaks:
        say(f"{leak.judged.title} ({leak.images} images) against {leak.learnt.title}: {leak_summary(leak)}")
        for line in _examples(leak):
            say(f"  {line}")
    for other in dict.fromkeys(crossing.other.dataset for crossing in report.crossings):
        out.print(crossing_table(other, report))
    if report.note:
        say(report.note)
    say(f"{report.dataset}: {'no split learns from what it judges on' if report.is_clean else 'leaks'}")


def matrix(title: str, lists: Sequence[ListName], counts: NDArray[np.int64]) -> Table:
    """A square table of counts whose columns are headed by row numbers; 0 is a dot, -1 is blank."""
    table = Table("", "list", *(str(at + 1) for at in range(len(lists))), title=title, title_justify="left")
    for column in table.columns[2:]:
        column.justify = "right"
    for at, (each, line) in enumerate(zip(lists, counts.tolist(), strict=True)):
        table.add_row(str(at + 1), each.title, *({0: "·", -1: ""}.get(count, str(count)) for count in line))
    return table


def crossing_table(other: str, report: LeakReport) -> Table:
    """A table of shared images: lists of another dataset as rows, lists of this one as numbered columns."""
    counts = {(one.other, one.own): one.count for one in report.crossings if one.other.dataset == other}
    lists = report.overlaps.lists
    table = Table("list", *(str(at + 1) for at in range(len(lists))), title=f"images that lists of {other} hold too")
    table.title_justify = "left"
    for column in table.columns[1:]:
        column.justify = "right"
    for each in dict.fromkeys(theirs for theirs, _ in counts):
        table.add_row(each.title, *(str(counts.get((each, own), "·")) for own in lists))
    return table


def leak_summary(leak: ListLeak) -> str:
    """`0 shared, 0 with the same pixels, 118 near (17.8 %), 54 of them the same view`."""
    words = f"{len(leak.shared)} shared, {len(leak.exact)} with the same pixels"
    if leak.near is None:
        return f"{words} as far as the card's digests tell, near duplicates not looked for"
    share = f" ({leak.near / leak.images:.1%})" if leak.images else ""
    return f"{words}, {leak.near} near{share}, {leak.same_view} of them the same view"


def _examples(leak: ListLeak) -> list[str]:
    """The first names of each kind."""
    lines = [f"shared: {name}" for name in leak.shared[:FIRST]]
    lines += [f"same pixels: {name}" for name in leak.exact[:FIRST]]
    return lines + [f"near: {twin_words(twin)}" for twin in leak.first[:FIRST]]


def twin_words(twin: Twin) -> str:
    """`000616 and 000609, correlation 0.997`, with shift and orientation where there is one."""
    moved = f", moved by {twin.rows} rows and {twin.cols} columns" if twin.rows or twin.cols else ""
    turned = f", {twin.orientation}" if twin.orientation != "upright" else ""
    return f"{twin.one} and {twin.two}, correlation {twin.correlation:.3f}{turned}{moved}"


def stats(
    names: Annotated[list[str], typer.Argument(help="Names of datasets.")],
    data: DataOption = None,
    split: Annotated[
        str, typer.Option("--split", help="This split alone; all by default, and the default one on the sheet.")
    ] = "",
    to: OutOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure datasets list by list: image sizes, contrast, and number, position and brightness of targets.

    With --out, also a LaTeX, CSV and Markdown table, a sheet of figures a dataset, and the raw numbers.
    """
    from bench.data.catalogue.cards import load_card
    from bench.data.quality.dataset_statistics import describe, summarise
    from reports.datasets.dataset_tables import write_datasets

    root = data_folder(data)
    chosen = {name: split or load_card(name).default_split for name in dict.fromkeys(names)}
    described = []
    for name in chosen:
        with shown_steps(f"measure {name}") as step:
            described.append(describe(name, root, split=split, progress=step))
    summaries = [summary for each in described for summary in summarise(each)]
    paths = [] if to is None else write_datasets(described, chosen, to)
    if as_json:
        lines = [{key: _plain(value) for key, value in asdict(summary).items()} for summary in summaries]
        out.print_json(json.dumps({"lists": lines, "files": [str(path) for path in paths]}))
        return
    show_stats(summaries)
    for path in paths:
        out.print(str(path), markup=False, soft_wrap=True)


def show_stats(summaries: Sequence[Summary]) -> None:
    """Print one line for each list."""
    heads = ("dataset", "list", "images", "targets", "an image", "area (px)", "SCR", "signal (levels)", "level")
    table = Table(*heads)
    for column in table.columns[2:]:
        column.justify = "right"
    for one in summaries:
        level = f"{one.level:.1f} ± {one.deviation:.1f}"
        numbers = (str(one.images), str(one.targets), f"{one.targets_an_image:.2f}")
        spread = (_quartiles(one.area, 0), _quartiles(one.ratio, 1), _quartiles(one.signal, 0))
        table.add_row(one.dataset, one.list, *numbers, *spread, level)
    out.print(table)


def _quartiles(values: tuple[float, float, float], digits: int) -> str:
    """`20 (14 to 39)`: median and quartiles; a dash where there are no values."""
    low, median, high = (f"{value:.{digits}f}" for value in values)
    return "—" if median == "nan" else f"{median} ({low} to {high})"


def _plain(value: object) -> object:
    """The value in JSON form; undefined values become null."""
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and value != value else value


def say(sentence: str) -> None:
    """Print a sentence without markup."""
    out.print(sentence, markup=False, soft_wrap=True)
