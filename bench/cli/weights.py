"""The commands `weights import`, which converts a published checkpoint, and `weights fetch`, which downloads one."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.console import out
from bench.cli.options import JsonOption, PluginOption, WeightsOption

if TYPE_CHECKING:
    from bench.run.import_weights import Imported


def import_weights_(
    file: Annotated[Path, typer.Argument(help="A checkpoint, as its authors ship it.")],
    model: Annotated[str, typer.Option(help="The model that it is of.")],
    to: Annotated[
        Path | None, typer.Option("--out", help="File to write; default FILE's name, .safetensors, in this folder.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there already.")] = False,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="A setting of the model, width=8 and the like; repeatable.")
    ] = None,
    prefix: Annotated[
        str, typer.Option(help="Take the keys that begin with this, without it; default removes what all keys share.")
    ] = "",
    ignore: Annotated[
        list[str] | None, typer.Option("--ignore", help="Leave out keys of this pattern, as aux.*; repeatable.")
    ] = None,
    container: Annotated[str, typer.Option(help="The key that the weights lie under, where FILE holds several.")] = "",
    plugin: PluginOption = None,
    as_json: JsonOption = False,
) -> None:
    """Convert a published checkpoint to safetensors, and verify that the network's output is the same bit for bit."""
    from bench.api import info_lookup
    from bench.protocols.resolve import parse_overrides
    from bench.run.import_weights import default_out, import_weights
    from bench.weights.unwrap import Unwrapping

    info_lookup(plugin)
    made = import_weights(
        file,
        model,
        out=to or default_out(file),
        replace_old=force,
        settings=parse_overrides(set_ or []),
        words=Unwrapping(container, prefix, tuple(ignore or ())),
    )
    if as_json:
        record = asdict(made)
        if not made.steps:
            del record["steps"]
        out.print_json(json.dumps(record, default=str))
        return
    show_converted(made)


def fetch_weights_(
    name: Annotated[list[str], typer.Argument(help="Published checkpoints, as list weights names them.")],
    weights: WeightsOption = None,
) -> None:
    """Download published checkpoints into the folder of weights, and verify their SHA-256."""
    from bench.run.fetch_weights import fetch_weights
    from bench.weights.catalogue import published_weights

    for wanted in [published_weights(each) for each in name]:
        path = fetch_weights(wanted, weights or Path("weights"))
        out.print(f"{wanted.name}: {path}, licence of its repository: {wanted.licence}", markup=False, soft_wrap=True)


def show_converted(made: Imported) -> None:
    """Print the source, the written file and the outcome of the comparison."""
    settings = "".join(f", {name} {value}" for name, value in made.settings.items())
    lines = [
        f"{made.model}: {made.tensors} tensors taken from {made.source}, {made.parameters} parameters, "
        f"channels {made.channels}{settings}",
        *made.steps,
        f"{made.out}: SHA-256 {made.sha256}",
        "read back: the same output as the source, bit for bit",
    ]
    if made.absent:
        lines.append(f"note: {made.absent} num_batches_tracked are absent from the source; outputs do without them")
    for line in lines:
        out.print(line, markup=False, soft_wrap=True)
