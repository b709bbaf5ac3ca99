"""Sentences that several captions of a page share, stated once."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class StatedRules:
    """The sentences that several captions share, stated once, and what is left of each caption.

    Attributes:
        sentences: the shared ones, in order of first use.
        title: of the page, which no caption repeats.
    """

    sentences: tuple[str, ...]
    title: str

    @classmethod
    def of(cls, captions: Sequence[str], *, title: str) -> StatedRules:
        """Those of these captions."""
        found = Counter(part for caption in captions for part in dict.fromkeys(sentences_of(caption)))
        opening = f"{title.rstrip('.')}."
        return cls(tuple(part for part, count in found.items() if count > 1 and part != opening), opening)

    def own(self, caption: str) -> str:
        """The sentences that no other caption has."""
        return " ".join(part for part in sentences_of(caption) if part not in self.sentences and part != self.title)

    def shared(self, caption: str) -> tuple[int, ...]:
        """Numbers from 1 of the shared sentences."""
        mine = set(sentences_of(caption))
        return tuple(number for number, part in enumerate(self.sentences, start=1) if part in mine)


def sentences_of(caption: str) -> list[str]:
    """The caption cut behind every full stop before a capital letter.

    >>> sentences_of("Split a.b, 80 images. Seed 42. Best bold.")
    ['Split a.b, 80 images.', 'Seed 42.', 'Best bold.']
    """
    return re.split(r"(?<=\.) (?=[A-Z])", caption)
