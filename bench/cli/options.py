"""Options and exit codes that several commands share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

FAILED, WRONG = 1, 2
"""Exit codes: a run, a gate or a proof failed; the request was wrong."""

DEFAULT_RUNS = Path("runs")

DataOption = Annotated[
    Path | None,
    typer.Option("--data", help="Folder that holds <NAME>/images and <NAME>/masks.", envvar="DFINET_BENCH_DATA"),
]
WeightsOption = Annotated[
    Path | None,
    typer.Option("--weights", help="Folder of published checkpoints.", envvar="DFINET_BENCH_WEIGHTS"),
]
RunsOption = Annotated[Path, typer.Option("--runs", help="Folder that takes the results.")]
PluginOption = Annotated[
    list[Path] | None,
    typer.Option("--plugin", help="Python file of your own that registers a model or a metric; repeatable."),
]
ColumnsOption = Annotated[
    list[str] | None,
    typer.Option("--columns", help="Metric ids of the tables' columns, as IoU/pooled,Pd/centroid-3px; repeatable."),
]
ProtocolOption = Annotated[str, typer.Option("--protocol", help="A protocol whose scoring is to be used.")]
ScoringSetOption = Annotated[
    list[str] | None, typer.Option("--set", help="scoring.threshold=0.4 and the like; repeatable.")
]
ListOption = Annotated[Path | None, typer.Option("--list", help="File of the names to score, one a line.")]
SuffixOption = Annotated[
    str,
    typer.Option("--suffix", help="Ending of predictions' names, as _Pred; others are left aside.", show_default=False),
]
MaskSuffixOption = Annotated[
    str,
    typer.Option("--mask-suffix", help="Ending of masks' names, as _GT; others are left aside.", show_default=False),
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
UriOption = Annotated[
    str | None,
    typer.Option("--mlflow", help="MLflow store; `off` for none. Default $MLFLOW_TRACKING_URI, else ./mlflow.db."),
]


def split_names(words: Sequence[str] | None) -> tuple[str, ...]:
    """The names given by a repeatable option that takes several at once: `a,b` and `c` are three."""
    return tuple(name.strip() for word in words or () for name in word.split(",") if name.strip())
