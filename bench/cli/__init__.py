"""The command line: parses arguments, calls the library and prints. No other package prints.

What needs torch, MLflow or matplotlib is imported inside the command that needs it, so that --help answers at once.
"""

from __future__ import annotations

import logging
import os
import shlex
import sys
import tempfile
import time
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.logging import RichHandler

from bench._version import __version__
from bench.cli import (
    audit,
    bundle,
    collect,
    compare,
    cost,
    data_import,
    data_new,
    data_reports,
    data_verify,
    gate,
    listing,
    mlflow,
    report,
    run,
    score,
    weights,
)
from bench.cli.console import err, out
from bench.cli.options import FAILED, WRONG
from bench.data.cache.folder import cache_folder
from bench.errors import BenchError, BrokenGroupError
from bench.run.torchrun import Place
from bench.stop import Stopped, describe_stop, raising_on_signals

__all__ = ["app", "main"]

log = logging.getLogger("bench")

FIRST_FAILS_WITHIN = 60
"""Seconds within which an error of all processes that torchrun started ends the first one, and torchrun the others."""

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Compare infrared small target detectors under the same, named rules.",
)
app.command()(run.run)
app.command("report")(report.report_command)
app.command("gate")(gate.gate_command)
app.command("score")(score.score_)
app.command("compare")(compare.compare_command)
app.command()(cost.cost)
app.command()(audit.audit)
app.command("list")(listing.list_)
app.command()(bundle.bundle)
app.command()(collect.collect)
app.command()(mlflow.publish)
app.command()(mlflow.ui)

data_app = typer.Typer(no_args_is_help=True, help="Import, verify and describe images.")
data_app.command()(data_new.new)
data_app.command("import")(data_import.import_)
data_app.command()(data_import.fetch)
data_app.command()(data_verify.verify)
data_app.command()(data_import.lists)
data_app.command()(data_reports.leaks)
data_app.command()(data_reports.stats)
app.add_typer(data_app, name="data")

weights_app = typer.Typer(no_args_is_help=True, help="Fetch and import published weights.")
weights_app.command("fetch")(weights.fetch_weights_)
weights_app.command("import")(weights.import_weights_)
app.add_typer(weights_app, name="weights")


@app.callback(invoke_without_command=True)
def version(show: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    """Compare infrared small target detectors under the same, named rules."""
    if show:
        out.print(__version__)
        raise typer.Exit


def main() -> None:
    """Run the command line. An error that the user can act on becomes one line on standard error and exit code 2.

    Any other exception is a bug of ours: one line that names a file with the traceback, and exit code 1. A signal that
    asks the process to end is one line on where it stopped, and exit code 130 (Ctrl-C) or 143 (SIGTERM).
    """
    logging.basicConfig(
        level=logging.WARNING, format="%(message)s", handlers=[RichHandler(console=err, show_path=False)]
    )
    log.setLevel(logging.INFO)
    if Place.given().is_follower:
        let_first_speak()
    try:
        with raising_on_signals():
            app()
    except Stopped as stop:
        err.print(describe_stop(stop), markup=False, soft_wrap=True)
        sys.exit(stop.exit_code)
    except Exception as error:
        if os.environ.get("DFINET_BENCH_TRACEBACK"):
            raise
        if Place.given().is_follower:
            wait_for_first(error)
        expected = isinstance(error, BenchError | OSError)
        err.print(f"error: {describe_error(error) if expected else report_bug(error)}", markup=False, soft_wrap=True)
        sys.exit(WRONG if expected else FAILED)


def let_first_speak() -> None:
    """Print nothing but errors of this process alone: the first of the processes that torchrun started reports."""
    out.quiet = err.quiet = True
    logging.basicConfig(level=logging.ERROR, format="%(message)s", force=True)
    log.setLevel(logging.ERROR)


def wait_for_first(error: Exception) -> None:
    """Leave an error that all processes run into to the first one: its end ends this one. Else it is this one's."""
    if not isinstance(error, BrokenGroupError):  # which has been reported where it came up
        time.sleep(FIRST_FAILS_WITHIN)
        err.quiet = False


def describe_error(error: Exception) -> str:
    """The line for the user: an error of ours as it is, one of the system's as path and cause."""
    if isinstance(error, BenchError) or not isinstance(error, OSError) or error.strerror is None:
        return str(error)
    cause = error.strerror.lower()
    return cause if error.filename is None else f"{os.fsdecode(error.filename)}: {cause}"


def report_bug(error: Exception) -> str:
    """Write the traceback to a file of its own; one line that says what happened and where the file is."""
    text = "".join(traceback.format_exception(error))
    command = shlex.join(sys.argv)
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    for folder in (cache_folder() / "errors", Path(tempfile.gettempdir())):
        path = folder / f"dfinet-bench-{stamp}-{os.getpid()}.log"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{command}\ndfinet-bench {__version__}, Python {sys.version}\n\n{text}", encoding="utf-8")
        except OSError:
            continue
        said = (str(error).strip() or "no message").splitlines()[0]
        return f"a bug in dfinet-bench ({type(error).__name__}: {said}); please report it with {path}"
    return f"a bug in dfinet-bench, and no folder takes a log file; please report it:\n{text}"
