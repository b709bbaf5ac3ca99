"""The command `collect`: copy finished results into a folder that can be passed on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.console import err, out
from bench.cli.options import DEFAULT_RUNS


def collect(
    suite: Annotated[list[str], typer.Argument(help="Names of suites that were run.")],
    source: Annotated[
        Path, typer.Option("--from", help="Folder of results, or of the parts of a bundle's slice.")
    ] = DEFAULT_RUNS,
    to: Annotated[Path, typer.Option("--out", help="Folder that takes them.")] = Path("results"),
) -> None:
    """Copy the small files of finished results: scores and counts, no maps, and images only of generated datasets."""
    from bench.bundle.parts import results_in
    from bench.store.collect import collect_suite
    from bench.suites.suite import stored_suite

    with results_in(source) as runs:
        for name in suite:
            collected = collect_suite(runs, stored_suite(name, runs), to)
            for absent in collected.absent:
                err.print(f"note: not collected: {absent}", markup=False, soft_wrap=True)
            out.print(f"{collected.suite}: {collected.rows} results are in {to}", markup=False, soft_wrap=True)
