"""The command `bundle`: pack suites for a machine without network, and take back what it made."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.console import ProgressBar, err, out
from bench.cli.options import DEFAULT_RUNS, DataOption, PluginOption, RunsOption, WeightsOption
from bench.errors import RequestError

MIB = 1024 * 1024


def bundle(
    suite: Annotated[
        list[str] | None, typer.Argument(help="Names of suites, or TOML files; run in this order.")
    ] = None,
    to: Annotated[Path, typer.Option("--out", help="The archive, whose name ends in .zip.")] = Path("bundle.zip"),
    data: DataOption = None,
    weights: WeightsOption = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="recipe.epochs=40, start=zeros and the like; repeatable.")
    ] = None,
    limit: Annotated[str, typer.Option(help="train=32,test=32: a trial on fewer images.")] = "",
    dataset: Annotated[
        list[str] | None, typer.Option(help="Run the suites on this dataset instead of their own; repeatable.")
    ] = None,
    corruption: Annotated[list[str] | None, typer.Option(help="Corrupt test images so; repeatable.")] = None,
    trained_on: Annotated[list[str] | None, typer.Option(help="Train on this dataset; repeatable.")] = None,
    seed: Annotated[
        list[int] | None, typer.Option(help="Train with this seed instead of the suites' own; repeatable.")
    ] = None,
    plugin: PluginOption = None,
    allow_leak: Annotated[
        bool, typer.Option("--allow-leak", help="Run although test images are learnt from; every table says so.")
    ] = False,
    max_size: Annotated[float, typer.Option(help="MiB that the archive may take.", min=0)] = 64,
    take_back: Annotated[
        Path | None,
        typer.Option(help="Folder of the parts of a slice, whose results, states and weights go to --runs instead."),
    ] = None,
    runs: RunsOption = DEFAULT_RUNS,
) -> None:
    """Pack suites, code, images and weights into one archive that runs them elsewhere: python bundle.zip --out DIR."""
    if take_back is not None:
        if suite:
            raise RequestError("--take-back takes no suites; leave them out")
        take(take_back, runs)
        return
    if not suite:
        raise RequestError("bundle: no suite, expected at least one; dfinet-bench list suites names them")
    from bench.api import bundle_suite
    from bench.protocols.resolve import parse_overrides

    made = bundle_suite(
        suite,
        to,
        data=data,
        weights=weights,
        overrides=parse_overrides(set_ or []),
        limit=limit,
        datasets=dataset or (),
        corruptions=corruption or (),
        trained_on=trained_on or (),
        seeds=seed or (),
        plugins=plugin or (),
        allow_leak=allow_leak,
        max_size=int(max_size * MIB),
        progress=ProgressBar(),
    )
    if made.dirty:
        err.print("note: the code has uncommitted changes; results will say so", markup=False, soft_wrap=True)
    takes = ", ".join(f"{name} {size / MIB:.1f}" for name, size in made.sizes.items())
    out.print(f"{made.path}: {made.size / MIB:.1f} MiB ({takes})", markup=False, soft_wrap=True)


def take(folder: Path, runs: Path) -> None:
    """Take back the parts in a folder, and print one line."""
    from bench.bundle.carry import carry_back

    found = carry_back(folder, runs)
    for reason in found.left_out:
        err.print(f"note: {reason}", markup=False, soft_wrap=True)
    out.print(
        f"slice {found.number}: {found.finished} of {found.rows} rows finished; taken into {runs}",
        markup=False,
        soft_wrap=True,
    )
