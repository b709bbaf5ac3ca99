"""Folders of a dataset's files: its own, or those of the datasets that it is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.data.catalogue.cards import Card, load_card
from bench.data.catalogue.file_names import plain
from bench.data.images.decode import find_files
from bench.errors import DataError


@dataclass(frozen=True)
class Files:
    """The image and mask files of a dataset by name.

    Attributes:
        dataset: name of the card.
        folder: where they are, or where a missing one was looked for.
        images, masks: name without extension to file.
    """

    dataset: str
    folder: Path
    images: Mapping[str, Path]
    masks: Mapping[str, Path]

    def pair(self, name: str) -> tuple[Path, Path]:
        """Image and mask of a name.

        Raises:
            DataError: when one of them is not there.
        """
        for kind, files in (("images", self.images), ("masks", self.masks)):
            if name not in files:
                raise DataError(
                    f"{self.folder / kind / name}.png: no such file, the list names it; "
                    f"run dfinet-bench data verify {self.dataset}"
                )
        return self.images[name], self.masks[name]


def find_dataset(card: Card, root: Path | None) -> Files:
    """The files under `root/<name>`; without that folder, of a mixture those of its parts.

    Raises:
        DataError: when no folder was given or one is not there, or two files of a folder have one name.
    """
    if root is not None and card.mixture_of and not (root / card.name).is_dir():
        return _find_parts(card, root)
    folder = _dataset_folder(card, root)
    return Files(card.name, folder, find_files(folder / "images"), find_files(folder / "masks"))


def _find_parts(card: Card, root: Path) -> Files:
    absent = [name for name in card.mixture_of if not (root / name).is_dir()]
    if absent:
        raise DataError(
            f"{root}: no folder {card.name}, and of the datasets that it is made of no {', '.join(absent)}; "
            f"run dfinet-bench data fetch {absent[0]}"
        )
    parts = [find_dataset(load_card(name), root) for name in card.mixture_of]
    images = {name: path for part in parts for name, path in part.images.items()}
    return Files(card.name, root, images, {name: path for part in parts for name, path in part.masks.items()})


def no_folder(card: Card, root: Path | None) -> str:
    """The sentence about a dataset that is not where it was looked for, with what lies there under another spelling."""
    name = card.name
    pass_it = f"pass the folder that holds {name} with --data DIR or DFINET_BENCH_DATA"
    if card.sources:
        pass_it += f", or see dfinet-bench data fetch {name}"
    if root is None:
        return f"{name}: no data folder was given; {pass_it}"
    alike = [path for path in _folders(root) if plain(path.name) == plain(name) and path.name != name]
    if alike:
        pass_it = f"{alike[0].name} lies there: dfinet-bench data import {name} {alike[0]} --data {root}"
    return f"{root / name}: no such folder, expected {name}/images and {name}/masks; {pass_it}"


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []


def _dataset_folder(card: Card, root: Path | None) -> Path:
    if root is None or not (root / card.name).is_dir():
        raise DataError(no_folder(card, root))
    folder = root / card.name
    for wanted in (folder / "images", folder / "masks"):
        if not wanted.is_dir():
            raise DataError(
                f"{wanted}: no such folder, expected {card.name}/images and {card.name}/masks; pass the folder that "
                f"holds {card.name} with --data DIR or DFINET_BENCH_DATA, or bring it in with dfinet-bench data import"
            )
    return folder
