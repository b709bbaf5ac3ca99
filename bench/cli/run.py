"""The command `run`: run the experiments of a suite."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Column, Table

from bench.cli.console import err, format_score, out
from bench.cli.display.log_file import logged_to, quiet_console, rows_log
from bench.cli.display.rows import RunDisplay
from bench.cli.options import (
    DEFAULT_RUNS,
    FAILED,
    WRONG,
    DataOption,
    JsonOption,
    PluginOption,
    RunsOption,
    UriOption,
    WeightsOption,
)
from bench.errors import BenchError, RequestError
from bench.parallel import give_way

if TYPE_CHECKING:
    from bench.api import SuiteResult
    from bench.suites.expand import Job
    from bench.types import RunResult


def run(
    suite: Annotated[list[str], typer.Argument(help="Names of suites, or TOML files; run in this order.")],
    data: DataOption = None,
    weights: WeightsOption = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    executor: Annotated[str, typer.Option(help="local, or ray: each experiment a task of a cluster.")] = "local",
    ray_address: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="Head of the Ray cluster, or auto. Default $RAY_ADDRESS, else Ray on this machine alone.",
        ),
    ] = None,
    share: Annotated[
        str,
        typer.Option(
            help="cpus=2,gpus=0.5,memory=3: part of a node for each experiment on Ray, memory in GiB. "
            "Default 1 CPU, 1 GPU on CUDA, 2 GiB."
        ),
    ] = "",
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="recipe.epochs=40, start=zeros and the like; repeatable.")
    ] = None,
    limit: Annotated[str, typer.Option(help="train=32,test=32: a trial on fewer images.")] = "",
    dataset: Annotated[
        list[str] | None, typer.Option(help="Run the suite on this dataset instead of its own; repeatable.")
    ] = None,
    corruption: Annotated[
        list[str] | None,
        typer.Option(help="Corrupt test images so, not as the suite says: drift, drift@3, all or clean; repeatable."),
    ] = None,
    trained_on: Annotated[
        list[str] | None,
        typer.Option(
            help="Train on this dataset; repeatable. Default --dataset, where the suite says what to train on."
        ),
    ] = None,
    seed: Annotated[
        list[int] | None, typer.Option(help="Train with this seed instead of the suite's own; repeatable.")
    ] = None,
    plugin: PluginOption = None,
    runs: RunsOption = DEFAULT_RUNS,
    mlflow: UriOption = None,
    allow_leak: Annotated[
        bool, typer.Option("--allow-leak", help="Run although test images are learnt from; every table says so.")
    ] = False,
    budget: Annotated[
        float | None, typer.Option(help="Minutes after which no further experiment is begun.", min=0)
    ] = None,
    workers: Annotated[
        str | None,
        typer.Option(
            metavar="N",
            help="Experiments at the same time, each in a process of its own with its share of the threads. "
            "Default $DFINET_BENCH_WORKERS, else one for each processor on a CPU, 1 on CUDA.",
        ),
    ] = None,
    background: Annotated[
        bool, typer.Option("--background", help="One experiment at a time, on one thread, at the lowest priority.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", help="Show no progress, only warnings, errors and what came out.")
    ] = False,
    log_file: Annotated[
        Path | None,
        typer.Option(help="File that takes every line with its time, also those that are not shown.", metavar="FILE"),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Train, predict, score and measure every experiment of one or several suites; finished ones are kept."""
    if background:
        if workers is not None:
            raise RequestError("--background runs one experiment at a time; leave out --workers")
        if executor == "ray":
            raise RequestError("--background runs one experiment at a time here; leave out --executor ray")
        give_way()
        workers = "1"
    from bench.api import run_suite, worker_limit
    from bench.protocols.resolve import parse_overrides
    from bench.run.torchrun import Place

    seconds = None if budget is None else 60 * budget
    display = RunDisplay(quiet=quiet, budget=seconds)
    run_one = partial(
        run_suite,
        data=data,
        weights=weights,
        runs=runs,
        device=device,
        executor=executor,
        ray_address=ray_address,
        share=share,
        overrides=parse_overrides(set_ or []),
        limit=limit,
        datasets=dataset or (),
        corruptions=corruption or (),
        trained_on=trained_on or (),
        seeds=seed or (),
        plugins=plugin or (),
        mlflow=mlflow,
        allow_leak=allow_leak,
        workers=None if workers is None else worker_limit(workers),
        progress=display,
    )
    with quiet_console(quiet), logged_to(None if Place.given().is_follower else log_file):
        outcomes, wrong = run_in_order(suite, run_one, budget=seconds, show=not as_json, display=display)
    if as_json:
        out.print_json(json.dumps({"results": [row for outcome in outcomes for row in plain_results(outcome)]}))
    if wrong:
        raise typer.Exit(WRONG)
    if any(outcome.failed for outcome in outcomes):
        raise typer.Exit(FAILED)


def run_in_order(
    suites: Sequence[str],
    run_one: partial[SuiteResult],
    *,
    budget: float | None,
    show: bool,
    display: RunDisplay,
) -> tuple[list[SuiteResult], bool]:
    """Run suites one after the other within one budget (seconds); their outcomes, and whether a request was wrong.

    All names and files are read before the first one begins. Of several suites one that cannot run is told of, and the
    others run.
    """
    from bench.suites.suite import load_suite

    described = [load_suite(name) for name in suites]
    outcomes: list[SuiteResult] = []
    began, wrong = time.monotonic(), False
    for name, each in zip(suites, described, strict=True):
        left = None if budget is None else max(0.0, budget - (time.monotonic() - began))
        try:
            with display.shown():
                outcome = replace(run_one(each, budget=left), budget=budget)
        except BenchError as error:
            if len(suites) == 1:
                raise
            tell_user(f"error: {name}: {error}")
            wrong = True
            continue
        outcomes.append(outcome)
        for reason in dict.fromkeys(outcome.absent.values()):
            rows = sum(each == reason for each in outcome.absent.values())
            tell_user(f"note: {rows} of {len(outcome.jobs)} rows left out: {reason}")
        if outcome.unreached:
            count = f"{len(outcome.unreached)} of {len(outcome.jobs)} rows"
            tell_user(f"note: {count} {outcome.unreached_reason}; the same command goes on with them")
        if show:
            show_results(outcome.jobs, outcome.results)
    return outcomes, wrong


def tell_user(line: str) -> None:
    """Print a line on standard error, which the log file gets as well."""
    rows_log.info(line)
    err.print(line, markup=False, soft_wrap=True)


def plain_results(outcome: SuiteResult) -> list[dict[str, Any]]:
    """Rows and results of a suite in plain types, with null where none was reached."""
    from bench.records import to_plain

    pairs = zip(outcome.jobs, outcome.results, strict=True)
    return [{"row": to_plain(job.row), "result": to_plain(result)} for job, result in pairs]


def show_results(jobs: Sequence[Job], results: Sequence[RunResult | None]) -> None:
    """Print one line for each experiment."""
    from bench.protocols.scorings import prints_of

    printed = [prints_of(job.row.scoring) for job in jobs]
    names = list(dict.fromkeys(name for ids in printed for name in ids))
    table = Table("method", "dataset", *names, "rounds", Column("run", overflow="fold", min_width=12))
    for job, result in zip(jobs, results, strict=True):
        if result is None:
            table.add_row(
                escape(job.row.title), job.row.test_set, *["—"] * len(names), "—", f"{job.row.key} not reached"
            )
            continue
        values = [format_score(name, result.scores.get(name)) for name in names]
        state = {"done": "", "limited": " (limited)", "failed": f" failed: {result.reason}"}[result.status]
        leak = f" (leak: {job.row.leaked} of {job.experiment.images.count} test images learnt from)"
        ran = escape(f"{result.key}{state}{leak if job.row.leaked else ''}")
        table.add_row(escape(job.row.title), job.row.test_set, *values, str(len(result.rounds) or "—"), ran)
    out.print(table)
