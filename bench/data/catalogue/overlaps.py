"""Images that two lists share, by name within a dataset and its mixtures, by digest of pixels wherever it is known.

No image is opened: names come from the lists, digests from the cards.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.data.catalogue.cards import Card, card_names, load_card
from bench.data.catalogue.splits import FIT, HELD_OUT, list_names
from bench.errors import UnknownNameError
from bench.registry import unknown
from bench.types import ImageList

TEST = "test"
PARTS = ("train", FIT, HELD_OUT, "val", TEST)
JUDGED = (HELD_OUT, "val", TEST)
"""Parts that weights are selected or tested on, whose images must not be trained on."""


@dataclass(frozen=True, order=True)
class ListName:
    """One list of one split of a dataset."""

    dataset: str
    split: str
    part: str

    @property
    def title(self) -> str:
        """Split and part as tables of one dataset print them, such as `basicirstd/test`."""
        return f"{self.split}/{self.part}"

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the images in it."""
        return list_names(self.dataset, self.split, self.part)


@dataclass(frozen=True, eq=False)
class Overlaps:
    """Numbers of names that any two lists of a dataset share.

    Attributes:
        lists: of the dataset, split by split: `train`, `fit` (without the held-out fifth), `held-out`, `val`, `test`.
        shared: (L, L) names that two lists share; a list's length on the diagonal.
    """

    lists: tuple[ListName, ...]
    shared: NDArray[np.int64]

    def of(self, one: ListName, other: ListName) -> int:
        """Number of names that two of the lists share."""
        return int(self.shared[self.lists.index(one), self.lists.index(other)])


@dataclass(frozen=True)
class Crossing:
    """A list of another dataset that shares images with a list of this one.

    They are compared by name where one dataset is made of the other, elsewhere by the digest of their pixels.

    Attributes:
        count: number of images that they share.
    """

    own: ListName
    other: ListName
    count: int


def lists_of(dataset: str, *, split: str = "") -> tuple[ListName, ...]:
    """All lists of a dataset, or those of one split, in the order of `PARTS`.

    Raises:
        UnknownNameError: with suggestions, when there is no such dataset or split.
    """
    splits = load_card(dataset).splits
    if split and split not in splits:
        raise UnknownNameError(unknown(f"split of {dataset}", split, splits))
    return tuple(
        ListName(dataset, name, part)
        for name in ([split] if split else splits)
        for part in PARTS
        if part in splits[name] or (part == FIT and HELD_OUT in splits[name])
    )


def name_overlaps(lists: Sequence[ListName]) -> Overlaps:
    """Count the names that lists of one dataset share."""
    members = [frozenset(each.names) for each in lists]
    shared = np.array([[len(one & other) for other in members] for one in members], dtype=np.int64)
    return Overlaps(tuple(lists), shared.reshape(len(lists), len(lists)))


def crossings(dataset: str) -> Iterator[Crossing]:
    """Yield every list of another dataset that is known to share images with a list of this one."""
    own = lists_of(dataset)
    for name in card_names():
        if name != dataset and _may_share(load_card(dataset), load_card(name)):
            for other in lists_of(name):
                counts = ((each, len(_shared(other, each))) for each in own)
                yield from (Crossing(each, other, count) for each, count in counts if count)


def _may_share(one: Card, other: Card) -> bool:
    return _are_mixed(one, other) or bool(_image_digests(one) & _image_digests(other))


def _are_mixed(one: Card, other: Card) -> bool:
    """Return true if a name stands for the same image in both: they are one dataset, or are made of one."""
    return not {one.name, *one.mixture_of}.isdisjoint({other.name, *other.mixture_of})


def _image_digests(card: Card) -> set[str]:
    return {found.sha256 for file, found in card.digests.items() if file.startswith("images/")}


def shared_images(seen: ImageList, test: ImageList) -> tuple[str, ...]:
    """Names of the test images that the other list holds too.

    Images are compared by name within a dataset and its mixtures, and by digest of pixels wherever cards have it.
    """
    names = list_names(seen.dataset, seen.split, seen.part, seen.limit)
    tested = list_names(test.dataset, test.split, test.part, test.limit)
    return _in_both(seen.dataset, names, test.dataset, tested)


def _shared(seen: ListName, tested: ListName) -> tuple[str, ...]:
    return _in_both(seen.dataset, seen.names, tested.dataset, tested.names)


def _in_both(seen: str, names: Sequence[str], tested: str, candidates: Sequence[str]) -> tuple[str, ...]:
    """Candidates of the tested dataset that are among the names of the other one, which may be the same."""
    known = set(names) if _are_mixed(load_card(seen), load_card(tested)) else set()
    pixels = set(pixel_digests(seen, names).values())
    digests = pixel_digests(tested, candidates)
    return tuple(name for name in candidates if name in known or digests.get(name) in pixels)


def pixel_digests(dataset: str, names: Sequence[str]) -> dict[str, str]:
    """Digests of decoded pixels by name, where the card has them."""
    published = load_card(dataset).digests
    return {name: published[f"images/{name}"].sha256 for name in names if f"images/{name}" in published}
