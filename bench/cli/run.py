"""The command `run`: run the experiments of a suite."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Column, Table

from bench.cli.console import ProgressBar, err, format_score, out
from bench.cli.options import (
    DEFAULT_RUNS,
    FAILED,
    DataOption,
    JsonOption,
    PluginOption,
    RunsOption,
    UriOption,
    WeightsOption,
)

if TYPE_CHECKING:
    from bench.suites.expand import Job
    from bench.types import RunResult


def run(
    suite: Annotated[str, typer.Argument(help="A suite's name, or a TOML file.")],
    data: DataOption = None,
    weights: WeightsOption = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    executor: Annotated[str, typer.Option(help="local.")] = "local",
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
    as_json: JsonOption = False,
) -> None:
    """Train, predict, score and measure every experiment of a suite; finished ones are kept."""
    from bench.api import run_suite, worker_limit
    from bench.protocols.resolve import parse_overrides

    outcome = run_suite(
        suite,
        data=data,
        weights=weights,
        runs=runs,
        device=device,
        executor=executor,
        overrides=parse_overrides(set_ or []),
        limit=limit,
        datasets=dataset or (),
        corruptions=corruption or (),
        trained_on=trained_on or (),
        plugins=plugin or (),
        mlflow=mlflow,
        allow_leak=allow_leak,
        budget=None if budget is None else 60 * budget,
        workers=worker_limit(workers),
        progress=ProgressBar(),
    )
    if outcome.unreached:
        count = f"{len(outcome.unreached)} of {len(outcome.jobs)} rows"
        err.print(f"note: {count} {outcome.unreached_reason}; the same command goes on with them")
    show_results(outcome.jobs, outcome.results, as_json=as_json)
    if outcome.failed:
        raise typer.Exit(FAILED)


def show_results(jobs: Sequence[Job], results: Sequence[RunResult | None], *, as_json: bool) -> None:
    """Print one line for each experiment, or all results as one JSON object with null where none was reached."""
    from bench.protocols.scorings import prints_of
    from bench.records import to_plain

    if as_json:
        rows = [
            {"row": to_plain(job.row), "result": to_plain(result)} for job, result in zip(jobs, results, strict=True)
        ]
        out.print_json(json.dumps({"results": rows}))
        return
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
