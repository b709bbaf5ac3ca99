"""The command `report`: tables, figures and the page of a suite that was run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.console import err, out
from bench.cli.options import DEFAULT_RUNS, ColumnsOption, DataOption, PluginOption, UriOption, split_names


def report_command(
    suite: Annotated[str, typer.Argument(help="A suite's name; of scores a name for the report.")],
    source: Annotated[
        list[str] | None,
        typer.Option(
            "--from",
            help="Folder of results; URI of an MLflow store; or what score --out or --json wrote, repeatable.",
            show_default=str(DEFAULT_RUNS),
        ),
    ] = None,
    to: Annotated[Path | None, typer.Option("--out", help="Folder for the report; default reports-out/SUITE.")] = None,
    mixed: Annotated[
        str, typer.Option(help="refuse or mark a table that would mix splits or scorings; default as the suite says.")
    ] = "",
    columns: ColumnsOption = None,
    images: Annotated[
        list[str] | None,
        typer.Option(help="Test images to show methods side by side on, as NAME,NAME; default by rule."),
    ] = None,
    data: DataOption = None,
    plugin: PluginOption = None,
    mlflow: UriOption = None,
) -> None:
    """Make the tables (LaTeX, CSV, Markdown), figures (PDF, PNG) and the page of a suite that was run."""
    from bench import api

    made = api.report(
        suite,
        source=source or DEFAULT_RUNS,
        out=to,
        mixed=mixed,
        columns=split_names(columns),
        plugins=plugin or (),
        images=split_names(images),
        data=data,
        mlflow=mlflow,
    )
    for note in made.notes:
        err.print(f"note: {note}", markup=False, soft_wrap=True)
    for path in made.paths:
        out.print(str(path), markup=False, soft_wrap=True)
