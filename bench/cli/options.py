"""Options that several commands share, and what they open."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.console import Bar
from bench.errors import RequestError
from bench.registry import load_plugin

if TYPE_CHECKING:
    import torch

    from bench.run.experiment import Place
    from bench.types import ModelInfo

FAILED, WRONG = 1, 2
"""Exit codes: a run, a gate or a proof failed; the request was wrong."""

DEFAULT_RUNS = Path("runs")

DataOption = Annotated[
    Path | None,
    typer.Option("--data", help="Folder that holds <NAME>/images and <NAME>/masks.", envvar="DFINET_BENCH_DATA"),
]
RunsOption = Annotated[Path, typer.Option("--runs", help="Folder that takes the results.")]
PluginOption = Annotated[
    list[Path] | None, typer.Option("--plugin", help="Python file of your own that registers a model; repeatable.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
UriOption = Annotated[
    str | None,
    typer.Option("--mlflow", help="MLflow store; `off` for none. Default $MLFLOW_TRACKING_URI, else ./mlflow.db."),
]


def open_device(name: str) -> torch.device:
    """The processor to run on.

    Raises:
        RequestError: for an unknown kind, or CUDA where there is none.
    """
    import torch

    if name not in ("cpu", "cuda"):
        raise RequestError(f"--device {name!r}: expected cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise RequestError("--device cuda: torch finds no CUDA device here; use --device cpu")
    if name == "cuda":
        torch.backends.cudnn.deterministic = True
    return torch.device(name)


def data_folder(given: Path | None) -> Path | None:
    """The folder of datasets: the one that was given, else ./data where there is one."""
    return given or (Path("data") if Path("data").is_dir() else None)


def open_place(runs: Path, data: Path | None, device: torch.device) -> Place:
    """Where experiments run, with progress on the terminal."""
    from bench.run.experiment import Place

    return Place(runs=runs, data=data_folder(data), device=device, progress=Bar())


def info_lookup(plugins: Sequence[Path] | None) -> Callable[[str], ModelInfo]:
    """A function from a model's name to what it is, the user's own models included."""
    from bench.models.network import find_models

    for path in plugins or []:
        load_plugin(path)
    models = find_models()
    return lambda name: models.get(name).info
