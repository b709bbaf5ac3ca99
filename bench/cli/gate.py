"""The command `gate`: compare a suite's scores with stored ones."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from bench.cli.console import ProgressBar, out
from bench.cli.options import FAILED, DataOption, JsonOption, PluginOption, WeightsOption
from bench.errors import RequestError

if TYPE_CHECKING:
    from bench.run.gate import GateReport


def gate_command(
    suite: Annotated[str, typer.Argument(help="A suite of given weights, as a rule.")],
    reference: Annotated[Path | None, typer.Option(help="Stored scores with their margins.")] = None,
    data: DataOption = None,
    weights: WeightsOption = None,
    plugin: PluginOption = None,
    junit: Annotated[Path | None, typer.Option(help="Write a JUnit XML file, too.")] = None,
    update: Annotated[bool, typer.Option("--update", help="Store the present scores as the reference.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Compare a suite's scores with stored ones; print every change; exit code 1 when accuracy was lost."""
    from bench import api
    from bench.run.gate import to_junit
    from bench.store.files import write_text

    if reference is None:
        raise RequestError(
            "gate: no --reference FILE, expected stored scores to compare with; the same command with "
            "--reference FILE --update stores them first"
        )
    verdict = api.gate(
        suite,
        reference,
        data=data,
        weights=weights,
        plugins=plugin or (),
        update=update,
        progress=ProgressBar(),
    )
    if verdict is None:
        out.print(str(reference), markup=False)
        return
    if junit is not None:
        write_text(junit, to_junit(verdict))
    if as_json:
        out.print_json(json.dumps(asdict(verdict)))
    else:
        show_gate(verdict)
    if not verdict.passed:
        raise typer.Exit(FAILED)


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
    for sentence in verdict.powerless:
        out.print(sentence, markup=False, soft_wrap=True)
    out.print("gate: passed" if verdict.passed else "gate: failed")
