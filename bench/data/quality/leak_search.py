"""Search for leaks between the lists of a dataset: shared names, equal pixels, near duplicates; results are cached."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.data.cache.folder import cache_folder
from bench.data.catalogue.cards import Card, load_card
from bench.data.catalogue.overlaps import (
    JUDGED,
    Crossing,
    ListName,
    Overlaps,
    crossings,
    lists_of,
    name_overlaps,
    pixel_digests,
)
from bench.data.catalogue.splits import FIT, HELD_OUT
from bench.data.images.decode import Pixels, decode_grey, decode_rgb, pixel_digest
from bench.data.images.find_dataset import find_dataset
from bench.data.images.synthetic import checked_scene
from bench.data.quality.near_duplicates import ORIENTATIONS, SAME_VIEW, THRESHOLDS, confirm, propose, sketch
from bench.errors import DataError, RecordError, StoreError
from bench.input_files import regular_file
from bench.progress import Step
from bench.records import from_plain, to_plain
from bench.store.files import read_json, write_json

log = logging.getLogger(__name__)

SEARCH_VERSION = 1
"""Part of the cache key; it is incremented when the search finds other pairs under the same thresholds."""


@dataclass(frozen=True)
class Twin:
    """Two images of a dataset that show the same place.

    Attributes:
        one, two: names.
        correlation: of their band-pass maps over the common part, at full size.
        orientation: turn that brings the first onto the second, in words.
        rows, cols: pixels by which the turned image is then moved down and to the right.
        common: share of the second that both show.
    """

    one: str
    two: str
    correlation: float
    orientation: str
    rows: int
    cols: int
    common: float

    @property
    def is_same_view(self) -> bool:
        """True if both show the same view and not two adjacent ones."""
        return self.common >= SAME_VIEW


@dataclass(frozen=True)
class Pairs:
    """Duplicates among the images of some lists.

    Attributes:
        images: number of images compared.
        exact: names of images with the same pixels, in order.
        twins: near duplicates that are not exact, by falling correlation.
    """

    images: int
    exact: tuple[tuple[str, str], ...] = ()
    twins: tuple[Twin, ...] = ()


@dataclass(frozen=True)
class ListLeak:
    """Comparison of a list used for selection or testing with the training list of its split.

    Attributes:
        judged, learnt: the two lists.
        images: number of images in the judged list.
        shared: names of the judged list that the other list contains too.
        exact: names of the judged list whose pixels the other list has under another name.
        near: number of further images with a near duplicate in the other list; None where pixels were not compared.
        same_view: number of these whose near duplicate shows the same view.
        first: the near duplicates, by falling correlation.
    """

    judged: ListName
    learnt: ListName
    images: int
    shared: tuple[str, ...] = ()
    exact: tuple[str, ...] = ()
    near: int | None = None
    same_view: int | None = None
    first: tuple[Twin, ...] = ()

    @property
    def is_clean(self) -> bool:
        """True if none of its images is trained on; near duplicates do not count."""
        return not self.shared and not self.exact


@dataclass(frozen=True, eq=False)
class LeakReport:
    """Result of a search for leaks between the lists of a dataset.

    Attributes:
        overlaps: names shared by any two lists.
        near: (L, L) number of images of the row's list that have a twin or an exact copy in the column's; -1 where both
            are training lists, which are not compared; None without pixels.
        leaks: every judged list of every split, compared with the training list.
        pairs: duplicates that were found; None where pixels were not compared.
        crossings: lists of other datasets that share images with one of these.
        note: reason why pixels were not compared, or empty.
    """

    dataset: str
    overlaps: Overlaps
    leaks: tuple[ListLeak, ...]
    near: NDArray[np.int64] | None = None
    pairs: Pairs | None = None
    crossings: tuple[Crossing, ...] = ()
    note: str = ""

    @property
    def is_clean(self) -> bool:
        """True if no split trains on images that it selects or tests on."""
        return all(leak.is_clean for leak in self.leaks)

    def plain(self) -> dict[str, object]:
        """The report as plain JSON types."""
        return {
            "dataset": self.dataset,
            "clean": self.is_clean,
            "lists": [each.title for each in self.overlaps.lists],
            "shared": self.overlaps.shared.tolist(),
            "near": None if self.near is None else [[None if n < 0 else n for n in row] for row in self.near.tolist()],
            "leaks": [
                {**asdict(leak), "judged": leak.judged.title, "learnt": leak.learnt.title} for leak in self.leaks
            ],
            "exact": None if self.pairs is None else [list(pair) for pair in self.pairs.exact],
            "twins": None if self.pairs is None else [asdict(twin) for twin in self.pairs.twins],
            "crossings": [asdict(crossing) for crossing in self.crossings],
            "note": self.note,
        }


@dataclass(frozen=True)
class Sources:
    """Images of a dataset, from files or generated.

    Attributes:
        files: name to path; empty for a generated dataset.
    """

    card: Card
    files: Mapping[str, Path] = field(default_factory=dict, repr=False)

    def grey(self, name: str) -> Pixels:
        """Grey levels (H, W)."""
        return checked_scene(self.card, name)[0] if self.card.generated else decode_grey(self._path(name))

    def digest(self, name: str) -> str:
        """Digest of the decoded pixels."""
        if self.card.generated:
            return self.card.digests[f"images/{name}"].sha256
        return pixel_digest(decode_rgb(self._path(name)))

    def content(self, name: str) -> bytes:
        """Content that the cache key depends on: the file's bytes, or the card's digest."""
        return self.digest(name).encode() if self.card.generated else regular_file(self._path(name)).read_bytes()

    def _path(self, name: str) -> Path:
        if name not in self.files:
            raise DataError(f"{self.card.name}: no image is called {name!r}; run dfinet-bench data verify")
        return self.files[name]


def open_sources(dataset: str, root: Path | None) -> Sources | str:
    """Find the images of a dataset, or return a sentence that says why there are none."""
    card = load_card(dataset)
    if card.generated:
        return Sources(card)
    try:
        return Sources(card, find_dataset(card, root).images)
    except DataError as error:
        return f"names were compared and pixels were not: {error}"


def find_leaks(
    dataset: str, root: Path | None = None, *, split: str = "", step: Step | None = None, cache: Path | None = None
) -> LeakReport:
    """Search for leaks between the lists of a dataset: by name, and by pixels if the images are there.

    Args:
        root: the folder that holds `<dataset>/images`.
        split: search this split only; empty searches all.
        step: called with (done, total) while images are read and pairs compared.
        cache: folder of the cache; default `cache_folder()`.

    Raises:
        UnknownNameError: with suggestions, when there is no such dataset or split.
        DataError: when an image of a list is missing or damaged, or the dataset has no lists.
    """
    lists = lists_of(dataset, split=split)
    if not lists:
        raise DataError(
            f"{dataset}: no list of its images is known here, so there is nothing to compare; add yours with "
            f"dfinet-bench data lists {dataset} TRAIN.txt TEST.txt"
        )
    sources = open_sources(dataset, root)
    overlaps = name_overlaps(lists)
    across = tuple(crossings(dataset))
    if isinstance(sources, str):
        known = pixel_digests(dataset, [name for each in lists for name in each.names])
        leaks = tuple(_leaks(lists, Pairs(len(known), _exact(known)), compared=False))
        return LeakReport(dataset, overlaps, leaks, crossings=across, note=sources)
    pairs = search(sources, lists, step=step, cache=cache)
    leaks = tuple(_leaks(lists, pairs, compared=True))
    return LeakReport(dataset, overlaps, leaks, near=_near_matrix(lists, pairs), pairs=pairs, crossings=across)


def _leaks(lists: Sequence[ListName], pairs: Pairs, *, compared: bool) -> Iterator[ListLeak]:
    """Compare every judged list with its split's training list, or a held-out fifth with the other four fifths.

    Lists of a split for testing alone have no such list.
    """
    partners = _partners(pairs.exact)
    for judged in lists:
        learnt = replace(judged, part=FIT if judged.part == HELD_OUT else "train")
        if judged.part not in JUDGED or learnt not in lists:
            continue
        known = set(learnt.names)
        shared = tuple(name for name in judged.names if name in known)
        rest = [name for name in judged.names if name not in known]
        exact = tuple(name for name in rest if partners.get(name, set()) & known)
        leak = ListLeak(judged, learnt, len(judged.names), shared, exact)
        yield _with_near(leak, set(rest) - set(exact), known, pairs.twins) if compared else leak


def _with_near(leak: ListLeak, judged: set[str], known: set[str], twins: Sequence[Twin]) -> ListLeak:
    between = [
        twin
        for twin in twins
        if (twin.one in judged and twin.two in known) or (twin.two in judged and twin.one in known)
    ]
    near = {name for twin in between for name in (twin.one, twin.two)} & judged
    same = {name for twin in between if twin.is_same_view for name in (twin.one, twin.two)} & judged
    return replace(leak, near=len(near), same_view=len(same), first=tuple(between))


def _partners(pairs: Sequence[tuple[str, str]]) -> dict[str, set[str]]:
    """Names that each name is paired with."""
    found: dict[str, set[str]] = {}
    for one, two in pairs:
        found.setdefault(one, set()).add(two)
        found.setdefault(two, set()).add(one)
    return found


def _near_matrix(lists: Sequence[ListName], pairs: Pairs) -> NDArray[np.int64]:
    partners = _partners([*pairs.exact, *((twin.one, twin.two) for twin in pairs.twins)])
    members = [(each.names, frozenset(each.names)) for each in lists]
    counts = [
        [sum(not partners.get(name, set()).isdisjoint(other) for name in names) for _, other in members]
        for names, _ in members
    ]
    found = np.array(counts, dtype=np.int64).reshape(len(lists), len(lists))
    is_judged = np.array([each.part in JUDGED for each in lists])
    found[~(is_judged[:, None] | is_judged[None, :])] = -1
    return found


def search(
    sources: Sources, lists: Sequence[ListName], *, step: Step | None = None, cache: Path | None = None
) -> Pairs:
    """Find exact and near duplicates among the images of the lists; pairs of two training images are not searched for.

    Results are cached under names, file contents and thresholds, so that a change of any of them starts a new search.
    """
    judged = dict.fromkeys(name for each in lists if each.part in JUDGED for name in each.names)
    others = dict.fromkeys(name for each in lists for name in each.names if name not in judged)
    names = [*judged, *others]
    path = (cache or cache_folder()) / "leaks" / f"{_search_key(sources, names, len(judged))}.json"
    stored = _read_cached(path)
    if stored is not None:
        return stored
    pairs = _search(sources, names, judged=len(judged), step=step)
    try:
        write_json(path, to_plain(pairs))
    except OSError as error:
        log.warning("%s: the search is not cached (%s)", path, error.strerror or error)
    return pairs


def pairs_among(sources: Sources, names: Sequence[str], *, step: Step | None = None) -> Pairs:
    """Find all exact and near duplicates among some images, which no list parts yet."""
    return _search(sources, names, judged=len(names), step=step)


def _search_key(sources: Sources, names: Sequence[str], judged: int) -> str:
    rules = json.dumps([SEARCH_VERSION, THRESHOLDS, sources.card.name, judged], sort_keys=True)
    digest = hashlib.sha256(rules.encode())
    for name in names:
        digest.update(f"{name}\t{hashlib.sha256(sources.content(name)).hexdigest()}\n".encode())
    return digest.hexdigest()[:24]


def _read_cached(path: Path) -> Pairs | None:
    """Result of an earlier search, or None if none can be read."""
    if not path.is_file():
        return None
    try:
        found: Pairs = from_plain(Pairs, read_json(path))
    except StoreError as error:
        log.warning("%s; searched again", error)
        return None
    except RecordError as error:
        log.warning("%s: %s; searched again", path, error)
        return None
    return found


def _search(sources: Sources, names: Sequence[str], *, judged: int, step: Step | None) -> Pairs:
    """Search in three stretches of one progress bar: read images, propose pairs, confirm them."""
    bar = _Stretches(step, first=len(names) + judged)
    sketches, digests = [], {}
    for name in names:
        digests[name] = sources.digest(name)
        sketches.append(sketch(sources.grey(name)))
        bar.advance()
    proposals = propose(sketches, judged=judged, step=lambda done, total: bar.advance())
    bar.lengthen(len(proposals))
    matches = confirm(proposals, lambda index: sources.grey(names[index]), step=lambda done, total: bar.advance())
    exact = _exact(digests)
    alike = set(exact)
    twins = tuple(
        Twin(names[m.one], names[m.two], round(m.correlation, 4), ORIENTATIONS[m.orientation], m.rows, m.cols, m.common)
        for m in matches
        if (names[m.one], names[m.two]) not in alike and (names[m.two], names[m.one]) not in alike
    )
    return Pairs(len(names), exact, twins)


def _exact(digests: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """All pairs of names with equal digests."""
    alike: dict[str, list[str]] = {}
    for name, digest in digests.items():
        alike.setdefault(digest, []).append(name)
    return tuple((one, two) for names in alike.values() for at, one in enumerate(names) for two in names[at + 1 :])


class _Stretches:
    """Progress over several loops, of which the last one's length becomes known later."""

    def __init__(self, step: Step | None, *, first: int) -> None:
        self._step, self._total, self._done = step, first, 0

    def lengthen(self, more: int) -> None:
        """Add further steps."""
        self._total += more

    def advance(self) -> None:
        """Report one more step."""
        self._done += 1
        if self._step is not None:
            self._step(self._done, self._total)
