"""The command `list`: print the names and facts of everything registered."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from bench.api import data_folder
from bench.cli import catalogue
from bench.cli.console import out
from bench.cli.options import DataOption, JsonOption, PluginOption
from bench.registry import load_plugin


def list_(
    what: Annotated[str, typer.Argument(help=f"One of {', '.join(catalogue.LISTS)}.")],
    name: Annotated[str, typer.Argument(help="Tell all of this one alone.", show_default=False)] = "",
    data: DataOption = None,
    plugin: PluginOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the models, datasets, suites, rules, metrics and so on that can be named, or tell all of one of them."""
    data_folder(data)  # whose own datasets are listed too
    for path in plugin or []:
        load_plugin(path)
    rows = catalogue.list_rows(what)
    if name:
        rows = [catalogue.row_called(what, name, rows)]
    if as_json:
        out.print_json(json.dumps({what: rows}))
        return
    if name:
        for head, value in rows[0].items():
            out.print(f"{head}: {value if value != '' else '—'}", markup=False, soft_wrap=True)
        return
    heads = catalogue.BRIEF.get(what, tuple(rows[0]))
    table = Table(pad_edge=False)
    for head in heads:
        table.add_column(head, overflow="fold", no_wrap=head == heads[0])  # a name or an address is of no use cut short
    for row in rows:
        table.add_row(*(escape(str(row[head])) for head in heads))
    out.print(table)
    if what in catalogue.BRIEF:
        out.print(f"list {what} NAME tells all of one, list {what} --json all of all", markup=False)
