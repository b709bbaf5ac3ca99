"""Dataset cards, read from `datasets/<NAME>/card.toml`, and the digests of the datasets' files.

A data folder may hold further cards beside the images that they describe: those of datasets of the user's own.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args

from bench.characters import refuse_steering
from bench.errors import DataError, RecordError, UnknownNameError
from bench.input_files import parse_toml, read_utf8, whole_number
from bench.records import field_types, from_plain
from bench.registry import unknown

CARD_FILE = "card.toml"
DIGEST_FILE = "digests.tsv"
SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class FileDigest:
    """Decoded size of a published file, (height, width) in pixels, and its SHA-256 by `pixel_digest`."""

    size: tuple[int, int]
    sha256: str


@dataclass(frozen=True)
class Repair:
    """Correction of a published file before it is used.

    Attributes:
        file: the file, as `masks/<name>`.
        rule: `nearest`: the mask is resized to its image by centre-sampled nearest neighbour.
        found, becomes: (height, width) in pixels before and after.
        why: what is wrong with the file as published, for the reader.
    """

    file: str
    rule: str
    found: tuple[int, int]
    becomes: tuple[int, int]
    why: str

    def __post_init__(self) -> None:
        if self.rule != "nearest":
            raise DataError(f"repair of {self.file}: rule is {self.rule!r}, expected 'nearest'")


SourceKind = Literal["direct", "page", "mixture"]


@dataclass(frozen=True)
class Source:
    """An address that a dataset can be obtained from.

    Attributes:
        url: the file itself, or the page that leads to it.
        kind: `direct`: one request gives an archive; `page`: a person follows a link there (a shared drive, a form);
            `mixture`: no files of its own, its parts are fetched.
        holds: which file or folder to take, and how it is laid out.
        layout: name of that layout for `data import`; empty where nobody has seen the file.
        sha256, size: of the archive, in bytes; empty and None where nobody has recorded them.
        tried: whether a download from there was made and imported when the card was written.
    """

    url: str
    kind: SourceKind
    holds: str
    layout: str = ""
    sha256: str = ""
    size: int | None = None
    tried: bool = False

    def __post_init__(self) -> None:
        if self.kind not in get_args(SourceKind):
            raise DataError(
                f"source {self.url}: kind is {self.kind!r}, expected one of {', '.join(get_args(SourceKind))}"
            )
        if self.sha256 and len(self.sha256) != 64:
            raise DataError(f"source {self.url}: sha256 has {len(self.sha256)} digits, expected 64")


@dataclass(frozen=True)
class Card:
    """A dataset as its authors published it and as this project reads it.

    Attributes:
        name, title: the folder's name, and one line that says what it is.
        source, licence, cite: where it is published, under what terms, and what to cite.
        images: number of images.
        targets: connected components (8 neighbours) of all masks, or None where nobody has counted them here.
        mean, std: grey levels 0 to 255 that protocols normalise with, or None where none are published.
        measured_mean, measured_std: the same, measured on the copy the digests were taken from; None without a copy.
        statistics: where mean and std come from and whether they reproduce.
        naming: how image and mask files are called.
        default_split: the split a protocol uses that names none; empty where no list is at hand.
        splits: split to part to number of names.
        split_sources: split to who published it.
        defects: known defects, one sentence each.
        repairs: file to its declared repair.
        digests: `images/<name>` and `masks/<name>` to what the file decodes to; empty where no copy was at hand, and of
            masks alone where only they were.
        digest_note: which copy the digests come from, or why there are none.
        generated: whether the images are made by a program and no folder is needed.
        height, width: smallest and largest of the images in pixels; None where nobody has recorded them.
        empty_masks: masks without a target; None where nobody has counted them here.
        mixture_of: the datasets that it is made of; their digests and repairs are its own.
        sources: addresses that it can be obtained from, the best first.
    """

    name: str
    title: str
    source: str
    licence: str
    cite: str
    images: int
    targets: int | None
    mean: float | None
    std: float | None
    measured_mean: float | None
    measured_std: float | None
    statistics: str
    naming: str
    default_split: str
    splits: Mapping[str, Mapping[str, int]]
    split_sources: Mapping[str, str]
    defects: tuple[str, ...]
    repairs: Mapping[str, Repair]
    digest_note: str
    generated: bool = False
    height: tuple[int, int] | None = None
    width: tuple[int, int] | None = None
    empty_masks: int | None = None
    mixture_of: tuple[str, ...] = ()
    sources: tuple[Source, ...] = ()
    digests: Mapping[str, FileDigest] = field(default_factory=dict, repr=False)

    @property
    def digest(self) -> str:
        """SHA-256 over the digests of all files that have one, in the order of their names; empty where none has."""
        if not self.digests:
            return ""
        lines = [f"{name}\t{self.digests[name].sha256}\n" for name in sorted(self.digests)]
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    @property
    def digested_images(self) -> int:
        """Number of images whose pixels can be proven."""
        return sum(file.startswith("images/") for file in self.digests)

    @property
    def digested_masks(self) -> int:
        """Number of masks whose pixels can be proven."""
        return len(self.digests) - self.digested_images


def datasets_root() -> Path:
    """The folder of cards: `datasets/` of a checkout, or the copy inside an installed wheel."""
    package = Path(__file__).parents[2]
    checkout = package.parent / "datasets"
    return checkout if any(checkout.glob(f"*/{CARD_FILE}")) else package / "_datasets"


_own_folders: list[Path] = []
"""The data folder whose cards are read beside the project's, if there is one."""


def read_cards_in(folder: Path | None) -> None:
    """Read the cards of a data folder beside the project's from now on, in place of those of an earlier one."""
    found = [] if folder is None else [folder]
    if found != _own_folders:
        _own_folders[:] = found
        load_card.cache_clear()


def card_names() -> tuple[str, ...]:
    """The names of all datasets that have a card, the project's and those in the data folder, sorted."""
    own = (path.parent.name for root in _own_folders for path in root.glob(f"*/{CARD_FILE}"))
    return tuple(sorted({*shipped_names(), *(name for name in own if not name.startswith("."))}))


def shipped_names() -> tuple[str, ...]:
    """The names of the datasets that the project has cards of, sorted."""
    return tuple(sorted(path.parent.name for path in datasets_root().glob(f"*/{CARD_FILE}")))


def own_root(name: str) -> Path | None:
    """The data folder that holds the card of a dataset of the user's own; None for one that the project has a card of.

    A card in a data folder never replaces one of the project.
    """
    if (datasets_root() / name / CARD_FILE).is_file():
        return None
    return next((root for root in _own_folders if (root / name / CARD_FILE).is_file()), None)


def is_generated(name: str) -> bool:
    """Return true if a dataset's images are made by a program; false for one that is not known here."""
    return name in card_names() and load_card(name).generated


@functools.cache
def load_card(name: str) -> Card:
    """The card of the dataset called `name`.

    Raises:
        UnknownNameError: with suggestions, when no dataset has that name.
        DataError: when the card cannot be read.
    """
    if name not in card_names():
        gone = next((f"there is no folder {root} (--data)" for root in _own_folders if not root.is_dir()), "")
        raise UnknownNameError(unknown("dataset", name, card_names(), advice=gone))
    card = read_card((own_root(name) or datasets_root()) / name)
    return _mixed(card) if card.mixture_of else card


def _mixed(card: Card) -> Card:
    """Card of a mixture, with its parts' digests and repairs."""
    parts = [load_card(name) for name in card.mixture_of]
    return replace(
        card,
        repairs=MappingProxyType({file: repair for part in parts for file, repair in part.repairs.items()}),
        digests=MappingProxyType({file: digest for part in parts for file, digest in part.digests.items()}),
    )


def read_card(folder: Path) -> Card:
    """The card kept in `folder`, with the digests beside it.

    Raises:
        DataError: when a file is missing, is not TOML, or lacks or invents a field.
    """
    path = folder / CARD_FILE
    absent: list[str] = []
    try:
        raw = parse_toml(read_utf8(path))
        refuse_steering(raw, "card")
        absent = [name for name in REQUIRED if name not in raw]
        repairs = [from_plain(Repair, item) for item in raw.pop("repairs", [])]
        splits = raw.pop("splits")
        listed = {
            "defects": tuple(raw.pop("defects", [])),
            "mixture_of": tuple(raw.pop("mixture_of", [])),
            "sources": tuple(Source(**item) for item in raw.pop("sources", [])),
            "height": _pair(raw.pop("height")) if "height" in raw else None,
            "width": _pair(raw.pop("width")) if "width" in raw else None,
        }
        sources = {split: parts.pop("source") for split, parts in splits.items()}
        for optional in OPTIONAL:
            raw.setdefault(optional, None)
        kinds = field_types(Card)
        values = {key: from_plain(kinds.get(key, Any), value, where=key) for key, value in raw.items()}
        card = Card(
            **{**values, **listed},
            repairs=MappingProxyType({repair.file: repair for repair in repairs}),
            splits=_freeze(splits),
            split_sources=MappingProxyType(sources),
            digests=MappingProxyType(read_digests(folder / DIGEST_FILE)),
        )
    except FileNotFoundError as error:
        raise DataError(f"{error}, expected the dataset's card") from None
    except DataError:
        raise
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        why = "" if absent and "required positional" in str(error) else f" ({error})"
        lacking = f", it lacks {', '.join(absent)}" if absent else ""
        raise DataError(f"{path}: not a dataset card{why}{lacking}; {restoring(path)}") from None
    if card.name != folder.name:
        raise DataError(f"{path}: the card's name is {card.name!r}, its folder's {folder.name!r}; make them equal")
    return card


def read_digests(path: Path) -> dict[str, FileDigest]:
    """Read sizes and digests by file name from lines of `file TAB height TAB width TAB sha256`; empty without a table.

    Raises:
        DataError: when a line has another form.
    """
    if not path.is_file():
        return {}
    digests = {}
    try:
        lines = read_utf8(path).splitlines()
    except RecordError as error:
        raise DataError(f"{path}: {error}; {restoring(path)}") from None
    for number, line in enumerate(lines, start=1):
        file, *numbers, digest = line.split("\t")
        size = [whole_number(text) for text in numbers]
        if len(size) != 2 or size[0] is None or size[1] is None or not SHA256.fullmatch(digest):
            raise DataError(f"{path}:{number}: expected file, height, width and SHA-256; {restoring(path)}")
        digests[file] = FileDigest((size[0], size[1]), digest)
    return digests


def restoring(path: Path) -> str:
    """Advice on a damaged file of the project, or of a card of the user's own."""
    if path.is_relative_to(datasets_root()):
        return f"restore it with git checkout datasets/{path.relative_to(datasets_root()).parts[0]}"
    return "correct it, or move the folder away and make it again with dfinet-bench data new"


OPTIONAL = ("targets", "mean", "std", "measured_mean", "measured_std")
"""Fields of a card that are None where they are left out."""

REQUIRED = tuple(
    one.name
    for one in fields(Card)
    if one.default is MISSING and one.default_factory is MISSING
    if one.name not in (*OPTIONAL, "split_sources", "repairs", "defects")
)
"""Fields that every card has."""


def _pair(numbers: Any) -> tuple[int, int]:
    first, second = numbers
    return int(first), int(second)


def _freeze(splits: dict[str, dict[str, int]]) -> Mapping[str, Mapping[str, int]]:
    return MappingProxyType({split: MappingProxyType(parts) for split, parts in splits.items()})
