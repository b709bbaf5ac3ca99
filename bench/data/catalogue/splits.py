"""Lists of images that make a split, `<NAME>/splits/<split>/<part>.txt` beside the card, counted and digested."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from pathlib import Path

from bench.data.catalogue.cards import Card, datasets_root, load_card, own_root, restoring
from bench.data.catalogue.file_names import composed
from bench.errors import DataError, RequestError, UnknownNameError
from bench.input_files import regular_file
from bench.registry import unknown
from bench.types import ImageList

FIT = "fit"
HELD_OUT = "held-out"
LEARNT = ("train", FIT, HELD_OUT)
"""Parts that a split for testing alone does not have."""


def list_names(dataset: str, split: str, part: str, limit: int | None = None) -> tuple[str, ...]:
    """Names of one part of a split, in the published order; only the first `limit` of them if it is given.

    Args:
        part: `train`, `val`, `test`, `held-out`, or `fit`: the training list without the held-out names.

    Raises:
        UnknownNameError: with suggestions, when there is no such dataset, split or part; naming the splits that can be
            trained on, when this one is for testing alone.
        DataError: when a list does not hold what the card says.
        RequestError: when `limit` is less than 1.
    """
    if limit is not None and limit < 1:
        raise RequestError(f"limit is {limit}, expected at least 1 image")
    own = own_root(dataset)
    # Lists of the project stay as they are while a process runs; a user's own may be written meanwhile.
    names = _full_list(dataset, split, part) if own is None else _read_names(dataset, split, part, own)
    return names[:limit]


def image_list(dataset: str, split: str, part: str, *, limit: int | None = None) -> ImageList:
    """Record of one part of a split, after `limit`: number and digest of its names.

    Raises:
        LookupError, DataError, ValueError: as for `list_names`, and when no name is in it.
    """
    names = list_names(dataset, split, part, limit)
    if not names:
        raise DataError(
            f"{dataset}: no image in the {part} list of {split!r}, expected at least 1; choose another split"
        )
    return ImageList(dataset, split, part, digest=names_digest(names), count=len(names), limit=limit)


def names_digest(names: Sequence[str]) -> str:
    """SHA-256 of the names in order, one per line."""
    return hashlib.sha256("".join(f"{name}\n" for name in names).encode()).hexdigest()


def choose_held_out(train: Sequence[str]) -> tuple[str, ...]:
    """Choose the held-out fifth of a training list, in its order: the names of the smallest SHA-256.

    A fifth is rounded down, but is at least one of two or more names. An image's rank depends on its name alone, so
    that it tends to be held out of every list that it stands in.
    """
    ranked = sorted(train, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    chosen = set(ranked[: len(train) // 5 or int(len(train) > 1)])
    return tuple(name for name in train if name in chosen)


def read_list(path: Path) -> tuple[str, ...]:
    """Read the names in a list file, one per line; CRLF, blank lines and a missing last newline are accepted.

    Raises:
        DataError: when the file is missing or not text, or a name occurs twice or is a path.
    """
    try:
        lines = regular_file(path, expected="a list of image names").read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError as error:
        raise DataError(str(error)) from None
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}, expected a list of image names") from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: not UTF-8 text, expected a list of image names, one a line") from None
    names = tuple(composed(line.strip()) for line in lines if line.strip())
    check_names(path, names)
    return names


def check_names(path: Path, names: Sequence[str]) -> None:
    """Raise DataError if a name of a list cannot be used; a frame of a sequence has its folder in front.

    Raises:
        DataError: when a name occurs twice, or is a path that leads out of the dataset.
    """
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise DataError(f"{path}: {name!r} stands twice, expected every name once")
        if {"", ".", ".."}.intersection(name.split("/")) or "\\" in name or "\0" in name:
            raise DataError(f"{path}: {name!r} is a path, expected an image name without folder or extension")
        seen.add(name)


def known_names(card: Card) -> frozenset[str]:
    """Names of all images of a dataset; empty if neither its digests nor its lists name every one."""
    digested = frozenset(file.removeprefix("images/") for file in card.digests if file.startswith("images/"))
    listed = frozenset(
        name for split, parts in card.splits.items() for part in parts for name in list_names(card.name, split, part)
    )
    return next((names for names in (digested, listed) if len(names) == card.images), frozenset())


@functools.cache
def _full_list(dataset: str, split: str, part: str) -> tuple[str, ...]:
    return _read_names(dataset, split, part, datasets_root())


def _read_names(dataset: str, split: str, part: str, root: Path) -> tuple[str, ...]:
    card = load_card(dataset)
    if not card.splits:
        raise DataError(
            f"{dataset}: no list of its images is known here, expected train and test lists; add yours with "
            f"dfinet-bench data lists {dataset} TRAIN.txt TEST.txt"
        )
    if split not in card.splits:
        raise UnknownNameError(unknown(f"split of {dataset}", split, card.splits))
    if part in LEARNT and "train" not in card.splits[split]:
        raise UnknownNameError(_no_training_list(card, split, part))
    if part == FIT:
        held_out = set(_read_part(card, split, HELD_OUT, root))
        return tuple(name for name in _read_part(card, split, "train", root) if name not in held_out)
    return _read_part(card, split, part, root)


def _no_training_list(card: Card, split: str, part: str) -> str:
    others = [name for name, parts in card.splits.items() if "train" in parts]
    new_split = (
        f", or add a split by dfinet-bench data lists {card.name} TRAIN.txt TEST.txt --split NAME and name it in the "
        f'suite: splits = {{ {card.name} = "NAME" }}'
        if own_root(card.name)
        else ""
    )
    return (
        f"{card.name}: split {split!r} has no {part} list, it is for testing alone; "
        f"train on {', '.join([*others, 'another dataset'])}{new_split}"
    )


def _read_part(card: Card, split: str, part: str, root: Path) -> tuple[str, ...]:
    counts = card.splits[split]
    if part not in counts:
        known = [*counts, FIT] if "train" in counts else [*counts]
        raise UnknownNameError(unknown(f"part of {card.name}'s split {split!r}", part, known))
    relative = f"{card.name}/splits/{split}/{part}.txt"
    names = read_list(root / relative)
    if len(names) != counts[part]:
        raise DataError(f"{relative}: {len(names)} names, the card says {counts[part]}; {restoring(root / relative)}")
    return names
