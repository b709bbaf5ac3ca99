"""The commands `data import`, `data fetch` and `data lists`: add datasets and lists to the data folder."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.filesize import decimal
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from bench.api import data_folder
from bench.cli.console import err, out
from bench.cli.options import FAILED, DataOption, JsonOption
from bench.data.catalogue.file_names import counted

if TYPE_CHECKING:
    from bench.data.importing.importer import Import

DOWNLOAD = "download"
MISSING = "missing, the card names it"
MOST_FINDINGS = 10
"""Differences told one by one after an import; `data verify` tells all."""

LayoutOption = Annotated[
    str | None, typer.Option("--layout", help="Layout of the source; default: recognised by its folders.")
]
ConvertOption = Annotated[
    bool, typer.Option("--convert", help="Store every image as an 8-bit PNG; 16-bit and CMYK images need it.")
]
TargetValuesOption = Annotated[
    str,
    typer.Option("--target-values", help="Mask values that are target, else 0/255 or 0/1: nonzero, 1,3 or #ff0000."),
]
ReplaceOption = Annotated[bool, typer.Option("--replace", help="Replace the dataset's folder if it is there already.")]


def import_(
    name: Annotated[str, typer.Argument(help="A dataset's name.")],
    path: Annotated[Path, typer.Argument(help="Folder, zip, tar, tar.gz, tar.bz2 or tar.xz that holds it.")],
    data: DataOption = None,
    layout: LayoutOption = None,
    convert: ConvertOption = False,
    target_values: TargetValuesOption = "",
    replace: ReplaceOption = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Do everything but put the result in place.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Import a dataset from any known layout, completely or not at all; exit code 1 when it differs from its card."""
    from bench.data.importing.importer import ImportRequest, import_dataset, replace_dataset, try_import

    bring = try_import if dry_run else replace_dataset if replace else import_dataset
    with Stages() as stages:
        folder = data_folder(data) or Path("data")
        made = bring(ImportRequest(name, path, folder, layout, convert, target_values=target_values), steps=stages.step)
    show_import(made, as_json=as_json, kept=not dry_run)


def fetch(
    name: Annotated[str, typer.Argument(help="A dataset's name.")],
    data: DataOption = None,
    url: Annotated[str, typer.Option("--from", help="Address of an archive; default: the card's.")] = "",
    sha256: Annotated[str, typer.Option("--sha256", help="SHA-256 that the archive must have.")] = "",
    layout: LayoutOption = None,
    convert: ConvertOption = False,
    replace: ReplaceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Download a dataset and import it, or print the steps where only a person can download it."""
    from bench.data.catalogue.cards import load_card
    from bench.data.importing.fetch import fetch_dataset, instructions, plan_fetch
    from bench.data.importing.importer import ImportRequest

    folder = data_folder(data) or Path("data")
    plan = plan_fetch(ImportRequest(name, Path(), folder, layout, convert), url=url, sha256=sha256)
    if plan is None:
        for line in instructions(load_card(name), folder):
            out.print(line, markup=False, soft_wrap=True)
        raise typer.Exit(FAILED)
    if not as_json:
        out.print(f"{name}: from {plan.url}", markup=False, soft_wrap=True)
    with Stages() as stages:
        made = fetch_dataset(plan, replacing=replace, received=stages.received, steps=stages.step)
    show_import(made, as_json=as_json, kept=True)


def lists(
    name: Annotated[str, typer.Argument(help="A dataset's name.")],
    train: Annotated[Path, typer.Argument(help="Text file: names of training images, one a line.")],
    test: Annotated[Path, typer.Argument(help="Text file: names of test images.")],
    val: Annotated[Path | None, typer.Option("--val", help="Text file: names of validation images.")] = None,
    data: DataOption = None,
    split: Annotated[str, typer.Option("--split", help="What the split is called from now on.")] = "own",
    source: Annotated[str, typer.Option("--source", help="Who made the lists.")] = "lists of one's own",
) -> None:
    """Put lists of your own beside a dataset's published ones, with a held-out fifth of the training list."""
    from bench.data.catalogue.cards import load_card
    from bench.data.importing.write_lists import add_split

    data_folder(data)  # whose own datasets can get lists too
    parts = {"train": train, "val": val, "test": test}
    add_split(name, split, {part: path for part, path in parts.items() if path is not None}, source=source)
    counts = ", ".join(f"{part} {count}" for part, count in load_card(name).splits[split].items())
    out.print(f"{name}: split {split} ({counts})", markup=False, soft_wrap=True)


def show_import(made: Import, *, as_json: bool, kept: bool) -> None:
    """Print the imported files, their conversions and every difference from the card; exit code 1 if there is one."""
    if as_json:
        out.print_json(json.dumps({**asdict(made), "kept": kept}, default=str))
    else:
        for line in import_lines(made, kept=kept):
            out.print(line, markup=False, soft_wrap=True)
    if not made.proof.ok:
        raise typer.Exit(FAILED)


def import_lines(made: Import, *, kept: bool) -> Iterator[str]:
    """An import as lines of text."""
    inside = "" if made.root == "." else f" in {made.root}"
    taken = f"{counted(made.images, 'pair')} and {counted(made.lists, 'list')}"
    changed = f"{counted(made.renamed, 'file')} renamed, {made.left_out} left out"
    yield f"{made.dataset}: {taken} from {made.origin} ({made.form}, layout {made.layout}{inside}); {changed}"
    if made.sha256:
        yield f"SHA-256 of the archive: {made.sha256}"
    yield from made.conversions
    yield from made.notes
    yield from difference_lines(made)
    yield from made.proof.notes
    kept_as = "imported" if kept else "not imported (--dry-run)"
    state = "as its card says" if made.proof.ok else f"{len(made.proof.problems)} differences from its card"
    yield f"{made.folder}: {kept_as}, {state}"


def difference_lines(made: Import) -> Iterator[str]:
    """The differences from the card as lines of text: the first few, the number of missing files, how to see all."""
    problems = made.proof.problems
    missing = [problem for problem in problems if problem.endswith(MISSING)]
    others = [problem for problem in problems if not problem.endswith(MISSING)]
    yield from others[:MOST_FINDINGS]
    if len(others) > MOST_FINDINGS:
        yield f"and {len(others) - MOST_FINDINGS} more such differences"
    if missing:
        yield f"{counted(len(missing), 'file')} missing that the card names, {missing[0].partition(': ')[0]} the first"
    if len(others) > MOST_FINDINGS or missing:
        yield f"all of them: dfinet-bench data verify {made.dataset} --data {made.folder.parent}"


class Stages:
    """Progress of one stage after the other on a terminal, in counts or in bytes with their rate; silent elsewhere."""

    def __init__(self) -> None:
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[amount]}"),
            TimeRemainingColumn(),
            console=err,
            transient=True,
            disable=not err.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Stages:
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def step(self, what: str, done: int, total: int) -> None:
        """Show that `done` of `total` parts are done."""
        self._show(what, done, total, f"{done}/{total}")

    def received(self, done: int, total: int | None) -> None:
        """Show the number of bytes received, and the total where it is known."""
        speed = next((task.speed for task in self._bar.tasks if task.id == self._tasks.get(DOWNLOAD)), None)
        rate = f", {decimal(int(speed))}/s" if speed else ""
        self._show(DOWNLOAD, done, total, f"{decimal(done)} of {decimal(total) if total else 'unknown'}{rate}")

    def _show(self, what: str, done: int, total: int | None, amount: str) -> None:
        if what not in self._tasks:
            for task in self._tasks.values():
                self._bar.update(task, visible=False)
            self._tasks[what] = self._bar.add_task(what, total=total, amount=amount)
        self._bar.update(self._tasks[what], completed=done, total=total, amount=amount)
