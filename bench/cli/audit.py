"""The command `audit`: check a table of published numbers by arithmetic."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from bench.cli.console import out
from bench.cli.options import FAILED, JsonOption


def audit(
    table: Annotated[Path, typer.Argument(help="CSV file: a table of published numbers, or a report's results.csv.")],
    dataset: Annotated[str, typer.Option(help="What rows are about that name no dataset.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Check a table of numbers by arithmetic; exit code 1 when a number in it is impossible."""
    from bench.audit import audit_file

    found = audit_file(table, dataset=dataset)
    if as_json:
        out.print_json(json.dumps(found.to_plain()))
    else:
        for sentence in found.sentences():
            out.print(sentence, markup=False, soft_wrap=True)
    if not found.is_sound:
        raise typer.Exit(FAILED)
