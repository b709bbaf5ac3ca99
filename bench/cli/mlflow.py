"""The commands `publish` and `ui`: send results to MLflow, and open MLflow's page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.console import out
from bench.cli.options import DEFAULT_RUNS, UriOption
from bench.errors import RequestError


def publish(
    suite: Annotated[str, typer.Argument(help="A suite's name.")],
    source: Annotated[Path, typer.Option("--from", help="Folder of results.")] = DEFAULT_RUNS,
    mlflow: UriOption = None,
    models: Annotated[bool, typer.Option("--models", help="Send the trained networks too.")] = False,
) -> None:
    """Send stored results to MLflow, except those that it has already."""
    from bench.store.mirror import send_missed
    from bench.store.mlflow_tracker import OFF, MlflowTracker, is_available, open_tracker
    from bench.store.publish import publish_suite, send_models
    from bench.suites.suite import stored_suite
    from reports.tables.suite_summary import summarise_suite

    if not is_available() or mlflow == OFF:
        raise RequestError("publish needs MLflow: install it with `pip install mlflow` and name a store with --mlflow")
    name = stored_suite(suite, source)
    tracker = open_tracker(mlflow)
    count = publish_suite(source, name, tracker, summarise=summarise_suite)
    send_missed(source, name, tracker, uri=mlflow)
    if models and isinstance(tracker, MlflowTracker):
        send_models(source, name, tracker)
    out.print(f"{name}: {count} results are in MLflow")


def ui(mlflow: UriOption = None, port: Annotated[int, typer.Option(help="Port on this machine.")] = 5000) -> None:
    """Open MLflow's page with the results."""
    from bench.store.publish import open_page

    raise typer.Exit(open_page(mlflow, port=port))
