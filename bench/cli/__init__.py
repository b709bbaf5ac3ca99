"""The command line: words into calls, records into text. The only package that prints.

What needs torch, MLflow or matplotlib is imported inside the command that needs it, so that --help answers at once.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import Annotated

import typer
from rich.logging import RichHandler

from bench import __version__
from bench.cli import data_import, data_reports, data_verify, models, run, score
from bench.cli.console import err, out
from bench.cli.options import WRONG

__all__ = ["app", "main"]

log = logging.getLogger("bench")

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Compare infrared small target detectors under the same, named rules.",
)
app.command()(run.run)
app.command()(run.report)
app.command()(run.gate)
app.command("score")(score.score_)
app.command()(models.cost)
app.command()(score.audit)
app.command("list")(models.list_)
app.command()(run.publish)
app.command()(run.ui)

data_app = typer.Typer(no_args_is_help=True, help="Bring in, prove and describe the images.")
data_app.command("import")(data_import.import_)
data_app.command()(data_import.fetch)
data_app.command()(data_verify.verify)
data_app.command()(data_import.lists)
data_app.command()(data_reports.leaks)
data_app.command()(data_reports.stats)
app.add_typer(data_app, name="data")

weights_app = typer.Typer(no_args_is_help=True, help="Bring in published weights.")
weights_app.command("import")(models.import_weights_)
app.add_typer(weights_app, name="weights")


@app.callback(invoke_without_command=True)
def version(show: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    """Compare infrared small target detectors under the same, named rules."""
    if show:
        out.print(__version__)
        raise typer.Exit


def main() -> None:
    """Run the command line; expected errors become one line on standard error and exit code 2."""
    from bench.data.catalogue.cards import DataError
    from bench.store.files import StoreError
    from bench.store.mlflow_tracker import TrackingError
    from bench.suites.suite import SuiteError

    logging.basicConfig(
        level=logging.WARNING, format="%(message)s", handlers=[RichHandler(console=err, show_path=False)]
    )
    log.setLevel(logging.INFO)
    try:
        app()
    except (DataError, StoreError, SuiteError, TrackingError, LookupError, OSError, ValueError) as error:
        message = error.args[0] if isinstance(error, LookupError) and error.args else str(error)
        if os.environ.get("DFINET_BENCH_TRACEBACK"):
            raise
        err.print(f"error: {message}", markup=False, soft_wrap=True)
        sys.exit(WRONG)
    except KeyboardInterrupt:
        err.print("interrupted; the same command goes on from here")
        sys.exit(130)
