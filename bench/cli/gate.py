"""The command `gate`: compare a suite with a stored reference."""

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
    reference: Annotated[Path | None, typer.Option(help="Stored rows with their margins.")] = None,
    data: DataOption = None,
    weights: WeightsOption = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="settings.width=8, start=zeros and the like; repeatable.")
    ] = None,
    limit: Annotated[str, typer.Option(help="test=32: compare on the first images alone.")] = "",
    plugin: PluginOption = None,
    junit: Annotated[Path | None, typer.Option(help="Write a JUnit XML file, too.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write Markdown for a pull request, too.")] = None,
    update: Annotated[bool, typer.Option("--update", help="Store what the suite gives now as the reference.")] = False,
    reason: Annotated[str, typer.Option(help="Why the reference is updated; stored with date and commit.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Compare a suite with a stored reference: accuracy, images, rules, cost, time; exit code 1 when any was lost."""
    from bench import api
    from bench.protocols.resolve import parse_overrides
    from bench.run.gate_text import to_junit, to_markdown
    from bench.store.files import write_text

    if reference is None:
        raise RequestError(
            "gate: no --reference FILE, expected stored rows to compare with; the same command with "
            "--reference FILE --update --reason TEXT stores them first"
        )
    if reason and not update:
        raise RequestError("gate: --reason without --update, expected both; nothing is stored without --update")
    verdict = api.gate(
        suite,
        reference,
        data=data,
        weights=weights,
        device=device,
        overrides=parse_overrides(set_ or []),
        limit=limit,
        plugins=plugin or (),
        update=update,
        reason=reason,
        progress=ProgressBar(),
    )
    if verdict is None:
        out.print(str(reference), markup=False)
        return
    if junit is not None:
        write_text(junit, to_junit(verdict))
    if markdown is not None:
        write_text(markdown, to_markdown(verdict))
    if as_json:
        out.print_json(json.dumps(asdict(verdict)))
    else:
        show_gate(verdict)
    if not verdict.passed:
        raise typer.Exit(FAILED)


def show_gate(verdict: GateReport) -> None:
    """Print every check and the verdict."""
    from bench.run.gate_text import HEADS, cells_of

    table = Table(*HEADS)
    for check in verdict.checks:
        table.add_row(*map(escape, cells_of(check)))
    out.print(table)
    for check in verdict.checks:
        if check.verdict != "kept":
            out.print(check.sentence(), markup=False, soft_wrap=True)
    for row in verdict.unknown_rows:
        out.print(f"{row}: not in the reference, not compared", markup=False, soft_wrap=True)
    for sentence in verdict.notes:
        out.print(sentence, markup=False, soft_wrap=True)
    out.print("gate: passed" if verdict.passed else "gate: failed")
