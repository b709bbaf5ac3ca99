"""Commands about suites: run one, report it, hold it to a reference, send it to MLflow."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from bench.cli.console import err, format_score, out
from bench.cli.options import (
    DEFAULT_RUNS,
    FAILED,
    DataOption,
    JsonOption,
    PluginOption,
    RunsOption,
    UriOption,
    info_lookup,
    open_device,
    open_place,
)
from bench.errors import RequestError

if TYPE_CHECKING:
    from bench.run.gate import GateReport
    from bench.suites.suite import Job
    from bench.types import RunResult


def run(
    suite: Annotated[str, typer.Argument(help="A suite's name, or a TOML file.")],
    data: DataOption = None,
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
    as_json: JsonOption = False,
) -> None:
    """Train, predict, score and measure every experiment of a suite; what is done already is kept."""
    from bench.protocols.resolve import parse_overrides
    from bench.run.experiment import check_names, read_images, with_leaks
    from bench.run.local import run_all
    from bench.store.files import write_manifest
    from bench.store.mlflow_tracker import Mirror, open_tracker
    from bench.suites.suite import expand, load_suite, manifest_of, parse_limit, restricted

    if executor != "local":
        raise RequestError(f"--executor {executor!r}: expected local")
    place_device = open_device(device)
    described = load_suite(suite)
    described = restricted(described, datasets=dataset or (), corruptions=corruption or (), trained_on=trained_on or ())
    described = replace(described, allow_leak=described.allow_leak or allow_leak)
    jobs = expand(
        described,
        info_of=info_lookup(plugin),
        overrides=parse_overrides(set_ or []),
        limit=parse_limit(limit),
        device="cuda" if place_device.type == "cuda" else "cpu",
    )
    check_names(jobs)
    place = open_place(runs, data, place_device)
    read_images(jobs, place)
    jobs = with_leaks(jobs, place, allowed=described.allow_leak)
    place.tracker = Mirror(open_tracker(mlflow))
    manifest = manifest_of(described, jobs)
    write_manifest(runs, manifest)
    place.tracker.begin_suite(manifest)
    results = run_all(jobs, place, budget=None if budget is None else 60 * budget)
    failed = [result for result in results if result is not None and result.status == "failed"]
    place.tracker.end_suite(failed=bool(failed))
    unreached = [job.row.key for job, result in zip(jobs, results, strict=True) if result is None]
    if unreached:
        reason = f"not reached within the time budget of {budget:g} min"
        write_manifest(runs, replace(manifest, unreached=dict.fromkeys(unreached, reason)))
        err.print(f"note: {len(unreached)} of {len(jobs)} rows {reason}; the same command goes on with them")
    show_results(jobs, results, as_json=as_json)
    if failed:
        raise typer.Exit(FAILED)


def report(
    suite: Annotated[str, typer.Argument(help="A suite's name.")],
    source: Annotated[Path, typer.Option("--from", help="Folder of results.")] = DEFAULT_RUNS,
    to: Annotated[Path | None, typer.Option("--out", help="Folder for the report; default reports-out/SUITE.")] = None,
    mixed: Annotated[
        str, typer.Option(help="refuse or mark: what to do with a table that would mix splits or scorings.")
    ] = "refuse",
    mlflow: UriOption = None,
) -> None:
    """Make the tables (LaTeX, CSV, Markdown), figures (PDF, PNG) and the page of a suite that was run."""
    from bench.store.files import read_manifest
    from bench.store.mlflow_tracker import open_tracker
    from bench.suites.suite import suite_stem
    from reports.build import build_report

    name = suite_stem(suite)
    folder = to or Path("reports-out") / name
    made = build_report(source, name, out=folder, mixed=mixed)
    open_tracker(mlflow).log_report(read_manifest(source, name), folder)
    for note in made.notes:
        err.print(f"note: {note}", markup=False, soft_wrap=True)
    for path in made.paths:
        out.print(str(path), markup=False, soft_wrap=True)


def gate(
    suite: Annotated[str, typer.Argument(help="A suite of given weights, as a rule.")],
    reference: Annotated[Path, typer.Option(help="Stored scores with their margins.")],
    data: DataOption = None,
    plugin: PluginOption = None,
    junit: Annotated[Path | None, typer.Option(help="Write a JUnit XML file, too.")] = None,
    update: Annotated[bool, typer.Option("--update", help="Store the present scores as the reference.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Compare a suite's scores with stored ones: exit code 1, and what moved, when accuracy was lost."""
    from bench.run.experiment import check_names, read_images
    from bench.run.gate import compare, read_reference, to_junit, write_reference
    from bench.run.local import run_all
    from bench.store.files import write_text
    from bench.suites.suite import expand, load_suite

    stored = None if update else read_reference(reference)
    described = load_suite(suite)
    if len(described.seeds) > 1:
        raise RequestError(f"gate: suite {described.name} has seeds {list(described.seeds)}, expected one")
    if described.allow_leak:
        raise RequestError(
            f"gate: suite {described.name} has allow_leak = true, expected false: what was learnt from is no test; "
            "take it out"
        )
    jobs = expand(described, info_of=info_lookup(plugin))
    check_names(jobs)
    with TemporaryDirectory() as runs:
        place = open_place(Path(runs), data, open_device("cpu"))
        read_images(jobs, place)
        results = {
            f"{job.row.title} on {job.row.test_set}": result.scores
            for job, result in zip(jobs, run_all(jobs, place), strict=True)
            if result is not None
        }
    if stored is None:
        write_reference(results, reference, suite=described.name)
        out.print(str(reference), markup=False)
        return
    verdict = compare(results, stored)
    if junit is not None:
        write_text(junit, to_junit(verdict))
    if as_json:
        out.print_json(json.dumps(asdict(verdict)))
    else:
        show_gate(verdict)
    if not verdict.passed:
        raise typer.Exit(FAILED)


def publish(
    suite: Annotated[str, typer.Argument(help="A suite's name.")],
    source: Annotated[Path, typer.Option("--from", help="Folder of results.")] = DEFAULT_RUNS,
    mlflow: UriOption = None,
) -> None:
    """Send stored results to MLflow; those that are there already are left alone."""
    from bench.store.mlflow_tracker import OFF, is_available, open_tracker
    from bench.store.mlflow_tracker import publish as send
    from bench.suites.suite import suite_stem

    if not is_available() or mlflow == OFF:
        raise RequestError("publish needs MLflow: install it with `pip install mlflow` and name a store with --mlflow")
    name = suite_stem(suite)
    count = send(source, name, open_tracker(mlflow))
    out.print(f"{name}: {count} results are in MLflow")


def ui(mlflow: UriOption = None, port: Annotated[int, typer.Option(help="Port on this machine.")] = 5000) -> None:
    """Open MLflow's page on the results."""
    from bench.store.mlflow_tracker import open_page

    raise typer.Exit(open_page(mlflow, port=port))


def show_results(jobs: Sequence[Job], results: Sequence[RunResult | None], *, as_json: bool) -> None:
    """Print one line an experiment, with where its files are, or all results as one JSON object; null: not reached."""
    from bench.protocols.scorings import with_prints
    from bench.store.files import to_plain

    if as_json:
        rows = [
            {"row": to_plain(job.row), "result": to_plain(result)} for job, result in zip(jobs, results, strict=True)
        ]
        out.print_json(json.dumps({"results": rows}))
        return
    printed = [with_prints(job.row.scoring).printed_ids().values() for job in jobs]
    names = list(dict.fromkeys(name for ids in printed for name in ids))
    table = Table("method", "dataset", *names, "rounds", "run")
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


def show_gate(verdict: GateReport) -> None:
    """Print every compared score and the verdict."""
    table = Table("row", "metric", "reference", "margin", "measured", "moved", "verdict")
    for one in verdict.checks:
        measured, moved = ("—", "—") if one.value is None else (f"{one.value:.6g}", f"{one.moved:+.3g}")
        table.add_row(
            escape(one.row), one.metric, f"{one.reference:.6g}", f"{one.margin:.3g}", measured, moved, one.verdict
        )
    out.print(table)
    for failure in verdict.failures:
        out.print(failure.sentence(), markup=False, soft_wrap=True)
    for row in verdict.unknown_rows:
        out.print(f"{row}: not in the reference, not judged", markup=False, soft_wrap=True)
    out.print("gate: passed" if verdict.passed else "gate: failed")
