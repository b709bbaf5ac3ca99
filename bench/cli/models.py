"""Commands about what there is: names, costs, published weights."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from bench.cli.console import Bar, out
from bench.cli.options import JsonOption, PluginOption, info_lookup, open_device
from bench.errors import RequestError
from bench.registry import load_plugin

if TYPE_CHECKING:
    from bench.run.import_weights import Imported


def list_(
    what: Annotated[str, typer.Argument(help="models, datasets, suites, protocols, scorings, metrics, starts, …")],
    plugin: PluginOption = None,
    as_json: JsonOption = False,
) -> None:
    """Name what there is."""
    from bench.cli.catalogue import list_rows

    for path in plugin or []:
        load_plugin(path)
    rows = list_rows(what)
    if as_json:
        out.print_json(json.dumps({what: rows}))
        return
    table = Table(*(str(name) for name in rows[0]))
    for row in rows:
        table.add_row(*(escape(str(value)) for value in row.values()))
    out.print(table)


def cost(
    models: Annotated[list[str] | None, typer.Argument(help="Models' names; none means all but ablations.")] = None,
    size: Annotated[int, typer.Option(help="Side of the square input in pixels.")] = 256,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    plugin: PluginOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print parameters, MACs, latency, images/s and memory of new networks and detectors, each in its own process."""
    import torch

    from bench.cost.fresh_process import measure_fresh
    from bench.models.network import build_model, find_models
    from bench.progress import track

    info_of, on = info_lookup(plugin), open_device(device)
    if size < 1:
        raise RequestError(f"--size {size}: expected a number of pixels, at least 1")
    everything = map(info_of, sorted(find_models(), key=str.casefold))
    infos = [info_of(name) for name in models] if models else [info for info in everything if not info.ablates]
    costs = {}
    for info in track(infos, "measure", total=len(infos), progress=Bar()):
        torch.manual_seed(0)
        network = build_model(info.name, channels=info.channels)
        costs[info.name] = measure_fresh(
            network, size=(size, size), channels=info.channels, device=on, rounds=info.rounds
        )
    if as_json:
        out.print_json(json.dumps({name: asdict(one) for name, one in costs.items()}))
        return
    table = Table("model", "params (M)", "MACs (G/round)", "rounds", "p50 (ms)", "p95 (ms)", "images/s", "memory (MB)")
    for name, one in costs.items():
        memory = "—" if one.peak_memory is None else f"{one.peak_memory / 1e6:.0f}"
        table.add_row(
            escape(name),
            f"{one.parameters / 1e6:.3f}",
            "—" if one.macs is None else f"{one.macs / 1e9:.3f}",
            str(one.rounds),
            f"{one.latency_p50:.1f}",
            f"{one.latency_p95:.1f}",
            f"{one.images_per_s:.2f}",
            memory,
        )
    out.print(table)
    for device_name, precision in dict.fromkeys((one.device, one.precision) for one in costs.values()):
        out.print(f"{device_name}, {precision}, batch 1, {size} x {size}", markup=False)
    counters = dict.fromkeys(one.macs_counter for one in costs.values() if one.macs is not None)
    if counters:
        out.print(f"MACs: {', '.join(counters)}, one round; — : a classical detector, whose work is not counted")


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
    plugin: PluginOption = None,
    as_json: JsonOption = False,
) -> None:
    """Convert a published checkpoint to safetensors, read it back and prove that the output is the same bit for bit."""
    from bench.protocols.resolve import parse_overrides
    from bench.run.import_weights import default_out, import_weights

    info_lookup(plugin)
    made = import_weights(
        file, model, out=to or default_out(file), replace_old=force, settings=parse_overrides(set_ or [])
    )
    if as_json:
        out.print_json(json.dumps(asdict(made), default=str))
        return
    show_import(made)


def show_import(made: Imported) -> None:
    """Print what was taken from a checkpoint, what was written and what was proved."""
    settings = "".join(f", {name} {value}" for name, value in made.settings.items())
    lines = [
        f"{made.model}: {made.tensors} tensors taken from {made.source}, {made.parameters} parameters, "
        f"channels {made.channels}{settings}",
        f"{made.out}: SHA-256 {made.sha256}",
        "read back: the same output as the source, bit for bit",
    ]
    if made.absent:
        lines.append(f"note: {made.absent} num_batches_tracked are absent from the source; outputs do without them")
    for line in lines:
        out.print(line, markup=False, soft_wrap=True)
