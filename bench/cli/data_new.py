"""The command `data new`: describe images and masks of one's own by a card in the data folder."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.api import data_folder
from bench.cli.console import out
from bench.cli.data_import import ConvertOption, LayoutOption, Stages, TargetValuesOption
from bench.cli.options import DataOption, JsonOption, split_names
from bench.data.catalogue.file_names import counted

if TYPE_CHECKING:
    from bench.data.importing.new_dataset import NewDataset


def new(
    name: Annotated[str, typer.Argument(help="Name of the dataset: letters, digits, '-', '_' and '.'.")],
    images: Annotated[Path, typer.Argument(help="Folder of images; without MASKS a folder or archive of both.")],
    masks: Annotated[Path | None, typer.Argument(help="Folder of masks, or with --boxes of labels.")] = None,
    data: DataOption = None,
    split: Annotated[
        list[str] | None,
        typer.Option("--split", help="train=0.5,test=0.5 or train=A.txt,test=B.txt; default: all are tested on."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the choice by shares.")] = 0,
    title: Annotated[str, typer.Option("--title", help="One line that says what it is.")] = "",
    layout: LayoutOption = None,
    convert: ConvertOption = False,
    target_values: TargetValuesOption = "",
    boxes: Annotated[bool, typer.Option("--boxes", help="Draw masks from VOC, YOLO or COCO boxes.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Make a dataset of your own: copy, check and measure its files, and write its card and lists beside them."""
    from bench.data.importing.importer import ImportRequest
    from bench.data.importing.new_dataset import NewRequest, make_dataset

    source = ImportRequest(
        name, images, data_folder(data) or Path("data"), layout, convert, masks=masks, target_values=target_values
    )
    request = NewRequest(source, split=split_names(split), seed=seed, title=title, boxes=boxes)
    with Stages() as stages:
        made = make_dataset(request, steps=stages.step)
    if as_json:
        out.print_json(json.dumps(new_json(made)))
        return
    for line in new_lines(made):
        out.print(line, markup=False, soft_wrap=True)


def new_lines(made: NewDataset) -> Iterator[str]:
    """A new dataset as lines of text."""
    card = made.card
    yield from made.conversions
    yield from made.notes
    targets = f"{counted(card.targets or 0, 'target')}, {counted(card.empty_masks or 0, 'mask')} without one"
    yield f"{card.name}: {counted(card.images, 'image')}, {targets}, mean {card.mean:g}, std {card.std:g}"
    for split, parts in card.splits.items():
        yield f"split {split} ({', '.join(f'{part} {count}' for part, count in parts.items())})"
    yield f"{made.folder}: made; dfinet-bench run SUITE --dataset {card.name} --data {made.folder.parent}"


def new_json(made: NewDataset) -> dict[str, object]:
    """A new dataset as plain values."""
    card = made.card
    return {
        "dataset": card.name,
        "folder": str(made.folder),
        "images": card.images,
        "targets": card.targets,
        "empty_masks": card.empty_masks,
        "mean": card.mean,
        "std": card.std,
        "digest": card.digest,
        "splits": {split: dict(parts) for split, parts in card.splits.items()},
        "conversions": list(made.conversions),
        "notes": list(made.notes),
    }
