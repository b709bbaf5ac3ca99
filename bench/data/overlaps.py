"""Which images two lists share: by name within a dataset, by the digest of their pixels wherever digests are known.

Nothing here opens an image: names come from the lists, digests from the cards.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.data.cards import Card, card_names, load_card
from bench.data.splits import FIT, HELD_OUT, list_names
from bench.registry import unknown
from bench.types import ImageList

TEST = "test"
PARTS = ("train", FIT, HELD_OUT, "val", TEST)
JUDGED = (HELD_OUT, "val", TEST)
"""Parts that weights are chosen or judged on, so that nothing in them may be learnt from."""


@dataclass(frozen=True, order=True)
class ListName:
    """One list of one split of a dataset."""

    dataset: str
    split: str
    part: str

    @property
    def title(self) -> str:
        """`basicirstd/test`: as tables of one dataset print it."""
        return f"{self.split}/{self.part}"

    @property
    def names(self) -> tuple[str, ...]:
        """The images in it."""
        return list_names(self.dataset, self.split, self.part)


@dataclass(frozen=True, eq=False)
class Overlaps:
    """How many names any two lists of a dataset share.

    Attributes:
        lists: of the dataset, split by split: `train`, `fit` (without the held-out fifth), `held-out`, `val`, `test`.
        shared: (L, L) names that two lists share; a list's length on the diagonal.
    """

    lists: tuple[ListName, ...]
    shared: NDArray[np.int64]

    def of(self, one: ListName, other: ListName) -> int:
        """Names that two of the lists share."""
        return int(self.shared[self.lists.index(one), self.lists.index(other)])


@dataclass(frozen=True)
class Crossing:
    """A list of another dataset that holds images of a list of this one, by their pixels' digest."""

    own: ListName
    other: ListName
    count: int


def lists_of(dataset: str, *, split: str = "") -> tuple[ListName, ...]:
    """All lists of a dataset, or those of one split, in the order of `PARTS`.

    Raises:
        LookupError: with suggestions, when there is no such dataset or split.
    """
    splits = load_card(dataset).splits
    if split and split not in splits:
        raise LookupError(unknown(f"split of {dataset}", split, splits))
    return tuple(
        ListName(dataset, name, part)
        for name in ([split] if split else splits)
        for part in PARTS
        if part in splits[name] or (part == FIT and HELD_OUT in splits[name])
    )


def name_overlaps(lists: Sequence[ListName]) -> Overlaps:
    """The matrix of names that lists of one dataset share."""
    members = [frozenset(each.names) for each in lists]
    shared = np.array([[len(one & other) for other in members] for one in members], dtype=np.int64)
    return Overlaps(tuple(lists), shared.reshape(len(lists), len(lists)))


def crossings(dataset: str) -> Iterator[Crossing]:
    """Every list of another dataset that shares pixels with a list of this one; nothing where digests are not known."""
    own = [(each, set(pixel_digests(dataset, each.names).values())) for each in lists_of(dataset)]
    for name in card_names():
        if name == dataset or not _shares_pixels(load_card(dataset), load_card(name)):
            continue
        for other in lists_of(name):
            theirs = set(pixel_digests(name, other.names).values())
            yield from (Crossing(one, other, len(mine & theirs)) for one, mine in own if mine & theirs)


def _shares_pixels(one: Card, other: Card) -> bool:
    return bool(_image_digests(one) & _image_digests(other))


def _image_digests(card: Card) -> set[str]:
    return {found.sha256 for file, found in card.digests.items() if file.startswith("images/")}


def shared_images(seen: ImageList, test: ImageList) -> tuple[str, ...]:
    """Names of the test images that are in the other list: by name within a dataset, by their pixels' digest in all."""
    names = list_names(seen.dataset, seen.split, seen.part, seen.limit)
    tested = list_names(test.dataset, test.split, test.part, test.limit)
    known = set(names) if seen.dataset == test.dataset else set()
    pixels = set(pixel_digests(seen.dataset, names).values())
    digests = pixel_digests(test.dataset, tested)
    return tuple(name for name in tested if name in known or digests.get(name) in pixels)


def pixel_digests(dataset: str, names: Sequence[str]) -> dict[str, str]:
    """Name to the digest of its decoded pixels, where the card knows it."""
    published = load_card(dataset).digests
    return {name: published[f"images/{name}"].sha256 for name in names if f"images/{name}" in published}
