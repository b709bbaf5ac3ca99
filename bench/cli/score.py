"""The command `score`: score prediction files, or those of a run again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from bench.api import data_folder
from bench.cli.console import ProgressBar, err, format_score, out
from bench.cli.options import (
    DataOption,
    JsonOption,
    ListOption,
    MaskSuffixOption,
    PluginOption,
    ProtocolOption,
    ScoringSetOption,
    SuffixOption,
)
from bench.registry import load_plugin

if TYPE_CHECKING:
    from bench.scoring.score import Scored


def score_(
    predictions: Annotated[
        Path, typer.Argument(help="Folder of maps (PNG, BMP, TIFF, JPEG, .npy, .npz, .mat), an .npz file, or runs/KEY.")
    ],
    masks: Annotated[Path | None, typer.Argument(help="Folder of masks; of runs/KEY default its dataset's.")] = None,
    scoring: Annotated[list[str] | None, typer.Option(help="A named scoring; repeatable. Default native.")] = None,
    protocol: ProtocolOption = "",
    set_: ScoringSetOption = None,
    images: Annotated[Path | None, typer.Option(help="Folder of images, to measure contrast on.")] = None,
    list_file: ListOption = None,
    suffix: SuffixOption = "",
    mask_suffix: MaskSuffixOption = "",
    data: DataOption = None,
    to: Annotated[
        Path | None, typer.Option("--out", help="Folder that takes scores.json and the integers (counts.npz, …).")
    ] = None,
    record: Annotated[
        bool, typer.Option("--record", help="Write a run's scorings.json again, under every named scoring.")
    ] = False,
    plugin: PluginOption = None,
    as_json: JsonOption = False,
) -> None:
    """Score prediction files, or the stored predictions of a run, under any named scorings; no network is needed."""
    from bench.protocols.resolve import parse_overrides
    from bench.scoring.request import ScoreRequest, score_request, write_record, write_scored

    for path in plugin or []:
        load_plugin(path)
    request = ScoreRequest(
        predictions,
        masks,
        scorings=tuple(scoring or ()),
        protocol=protocol,
        changes=parse_overrides(set_ or []),
        images=images,
        names=list_file,
        suffix=suffix,
        mask_suffix=mask_suffix,
        data=data_folder(data),
        out=to,
        record=record,
    )
    found = score_request(request, progress=ProgressBar())
    written = write_scored(found, to) if to is not None else []
    if record:
        written.append(write_record(found, predictions))
    show_scored(found, as_json=as_json)
    for path in written:
        err.print(f"wrote {path}", markup=False, soft_wrap=True)


def show_scored(found: Sequence[Scored], *, as_json: bool) -> None:
    """Print all scores of one scoring; for several scorings, only the numbers that each code base prints."""
    from bench.data.catalogue.file_names import counted
    from bench.protocols.scorings import describe_scoring
    from bench.scoring.request import scored_json

    for note in dict.fromkeys(note for one in found for note in one.notes):
        err.print(f"note: {note}", markup=False, soft_wrap=True)
    if as_json:
        out.print_json(json.dumps(scored_json(found)))
        return
    if len(found) > 1:
        show_side_by_side(found)
        return
    (one,) = found
    sizes = f"{counted(one.images, 'image')}, {counted(one.targets, 'target')}"
    out.print(f"{sizes}; {describe_scoring(one.named.scoring)}", markup=False, soft_wrap=True)
    table = Table("metric", "value", "better", "note")
    for name, value in one.scores.items():
        table.add_row(escape(name), format_score(name, value), value.better, escape(value.reason))
    out.print(table)


def show_side_by_side(found: Sequence[Scored]) -> None:
    """Print one line for each scoring: the numbers that its code base prints for the same predictions."""
    from bench.protocols.scorings import HEADS

    out.print(f"{found[0].images} images; rules: dfinet-bench list scorings", markup=False)
    table = Table("scoring", "targets", *HEADS)
    for one in found:
        ids, scores = one.named.printed_ids(), one.scores
        printed = (format_score(ids[head], scores.get(ids[head])) if head in ids else "" for head in HEADS)
        table.add_row(escape(one.named.scoring.name), str(one.targets), *printed)
    out.print(table)
    out.print("—: undefined; empty: that code base prints no such number", markup=False)
