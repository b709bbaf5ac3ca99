"""The catalogue of published checkpoints that suites can name, and the search for their files by SHA-256."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bench.digest import file_digest
from bench.errors import CheckpointError, UnknownNameError
from bench.records import from_plain
from bench.registry import unknown

CATALOGUE = Path(__file__).with_name("catalogue.toml")
SHOWN = 12  # digits of a SHA-256 in messages


@dataclass(frozen=True)
class PublishedWeights:
    """A published checkpoint.

    Attributes:
        name: what suites and the command line call it.
        model: the network that it is of.
        file: a name for its file.
        sha256, size: of the file, hexadecimal digits and bytes.
        page: the public page that its folder is shown on.
        licence: of that repository; `none stated` where there is none.
        url: the file's own address; empty where it is not known.
        learnt_from: its training lists, `dataset/split/part`; empty where they are not known.
        mean, std: grey levels, 0 to 255, that its images were normalised with; None where they are not known.
        remark: what a reader should know of its training.
    """

    name: str
    model: str
    file: str
    sha256: str
    size: int
    page: str
    licence: str
    url: str = ""
    learnt_from: tuple[str, ...] = ()
    mean: float | None = None
    std: float | None = None
    remark: str = ""

    @property
    def how_to_get(self) -> str:
        """A sentence's end on how to get the file."""
        by_hand = f"save it from {self.page}"
        return f"fetch it by dfinet-bench weights fetch {self.name}, or {by_hand}" if self.url else by_hand


@cache
def weights_catalogue() -> Mapping[str, PublishedWeights]:
    """Every published checkpoint that is known here, by name."""
    content = tomllib.loads(CATALOGUE.read_text(encoding="utf-8"))
    return {name: from_plain(PublishedWeights, {"name": name, **entry}) for name, entry in content.items()}


def published_weights(name: str) -> PublishedWeights:
    """The published checkpoint of that name.

    Raises:
        UnknownNameError: with suggestions, when there is none.
    """
    known = weights_catalogue()
    if name not in known:
        raise UnknownNameError(unknown("published checkpoint", name, known))
    return known[name]


def find_weights(wanted: PublishedWeights, folder: Path | None) -> Path | None:
    """The file with the checkpoint's SHA-256 in a folder, whatever it is called; None where there is none.

    Raises:
        CheckpointError: when the file that bears its name has another digest.
    """
    if folder is None or not folder.is_dir():
        return None
    named = folder / wanted.file
    if named.is_file():
        if (found := file_digest(named)) != wanted.sha256:
            raise CheckpointError(
                f"weights {named}: SHA-256 is {found[:SHOWN]}…, that of {wanted.name} is {wanted.sha256[:SHOWN]}…; "
                f"take the file away, and {wanted.how_to_get}"
            )
        return named
    alike = (path for path in sorted(folder.iterdir()) if path.is_file() and path.stat().st_size == wanted.size)
    return next((path for path in alike if file_digest(path) == wanted.sha256), None)


def refuse_no_folder(folder: Path | None) -> None:
    """Raise CheckpointError if a folder of weights is named and there is none."""
    if folder is not None and not folder.is_dir():
        raise CheckpointError(f"weights folder {folder}: no such folder; name another with --weights DIR")


def existing_weights(wanted: PublishedWeights, folder: Path | None) -> Path:
    """The file with the checkpoint's SHA-256 in a folder.

    Raises:
        CheckpointError: when there is none, with where to get it; or the one that bears its name has another digest.
    """
    found = find_weights(wanted, folder)
    if found is None:
        place = f"no file with its SHA-256 in {folder}" if folder else "no folder of weights, expected --weights DIR"
        raise CheckpointError(f"weights {wanted.name}: {place}; {wanted.how_to_get}")
    return found
