"""The command `list`: print the names and facts of everything registered."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from bench.api import data_folder
from bench.cli.console import out
from bench.cli.options import DataOption, JsonOption, PluginOption
from bench.registry import load_plugin


def list_(
    what: Annotated[str, typer.Argument(help="models, datasets, suites, protocols, scorings, metrics, starts, …")],
    data: DataOption = None,
    plugin: PluginOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the models, datasets, suites, rules, metrics and so on that can be named."""
    from bench.cli.catalogue import list_rows

    data_folder(data)  # whose own datasets are listed too
    for path in plugin or []:
        load_plugin(path)
    rows = list_rows(what)
    if as_json:
        out.print_json(json.dumps({what: rows}))
        return
    table = Table()
    for name in rows[0]:
        table.add_column(str(name), overflow="fold")  # an address is of no use cut short
    for row in rows:
        table.add_row(*(escape(str(value)) for value in row.values()))
    out.print(table)
