"""The command `data verify`: compare a folder with its dataset's card."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from bench.api import data_folder
from bench.cli.console import out, shown_steps
from bench.cli.options import FAILED, DataOption, JsonOption


def verify(
    name: Annotated[str, typer.Argument(help="A dataset's name.")],
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare a folder with its dataset's card and list every difference; exit code 1 if there is one."""
    from bench.data.importing.verify import verify_dataset

    with shown_steps(f"verify {name}") as step:
        proof = verify_dataset(name, data_folder(data), progress=step)
    if as_json:
        out.print_json(json.dumps(asdict(proof), default=str))
    else:
        for finding in proof.findings:
            out.print(str(finding), markup=False, soft_wrap=True)
        state = "as its card says" if proof.ok else f"{len(proof.problems)} differences from its card"
        out.print(f"{name}: {proof.files} files read, {state}", markup=False, soft_wrap=True)
    if not proof.ok:
        raise typer.Exit(FAILED)
