"""The command `cost`: measure networks and detectors."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from bench.cli.console import ProgressBar, out
from bench.cli.options import JsonOption, PluginOption
from bench.errors import RequestError


def cost(
    models: Annotated[list[str] | None, typer.Argument(help="Models' names; none means all but ablations.")] = None,
    size: Annotated[int, typer.Option(help="Side of the square input in pixels.")] = 256,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    plugin: PluginOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print parameters, MACs, latency, images/s and memory of new networks and detectors, each in its own process."""
    import torch

    from bench.api import info_lookup, open_device
    from bench.cost.fresh_process import measure_fresh
    from bench.metrics.units import rate_text
    from bench.models.network import build_model, find_models
    from bench.progress import track

    info_of, on = info_lookup(plugin), open_device(device)
    if size < 1:
        raise RequestError(f"--size {size}: expected a number of pixels, at least 1")
    everything = map(info_of, sorted(find_models(), key=str.casefold))
    infos = [info_of(name) for name in models] if models else [info for info in everything if not info.ablates]
    costs = {}
    for info in track(infos, "measure", total=len(infos), progress=ProgressBar()):
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
            "—" if one.macs is None else f"{'≥ ' if one.macs_uncounted else ''}{one.macs / 1e9:.3f}",
            str(one.rounds),
            f"{one.latency_p50:.1f}",
            f"{one.latency_p95:.1f}",
            f"{'~ ' if one.disturbance else ''}{rate_text(one.images_per_s)}",
            memory,
        )
    out.print(table)
    for device_name, precision in dict.fromkeys((one.device, one.precision) for one in costs.values()):
        out.print(f"{device_name}, {precision}, batch 1, {size} x {size}", markup=False)
    counters = dict.fromkeys(one.macs_counter for one in costs.values() if one.macs is not None)
    if counters:
        out.print("times: all rounds calculated, also where a network would end early")
        out.print(f"MACs: {', '.join(counters)}, one round; — : a classical detector, whose work is not counted")
    for name, one in costs.items():
        if one.macs_uncounted:
            out.print(f"{name}: at least; not counted are {', '.join(one.macs_uncounted)}", markup=False)
        if one.disturbance:
            out.print(f"{name}: {one.disturbance}; measure again on an idle machine", markup=False)
