"""Figures of example images, one per method and dataset, with the probability maps of chosen feedback rounds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from bench.arrays import TEXT, WHOLE, checked_array
from bench.errors import RequestError, StoreError
from bench.store.files import load_arrays
from reports.figures.figure import CaptionedFigure, Drawing, NotDrawn, by_dataset, file_stem, rules_words
from reports.plots.examples import Picture, ProbabilityMap, picture_figure
from reports.results.entries import Entry, one_line

EARLY = (1, 2, 4)
"""Rounds that pictures show beside the last one."""


def example_figures(entries: Sequence[Entry]) -> Iterator[Drawing]:
    """Per method and dataset, rows of image, mask and probability maps, of the first seed with examples."""
    seen: set[tuple[str, str]] = set()
    for entry in (entry for members in by_dataset(entries).values() for entry in members):
        if (entry.row.label, entry.dataset) in seen:
            continue
        try:
            rows = read_examples(entry)
        except StoreError as error:
            yield NotDrawn(f"no pictures drawn: {one_line(str(error).replace(str(entry.folder), entry.row.key))}")
            continue
        if not rows:
            continue
        seen.add((entry.row.label, entry.dataset))
        after = "after feedback rounds" if entry.scored and entry.scored.experiment.rounds > 1 else "of a target"
        caption = (
            f"{entry.name} on {entry.dataset}: probability {after}; the largest target enlarged in a corner. "
            f"{rules_words([entry])}"
        )
        figure = picture_figure(rows, scoring=entry.row.scoring)
        yield CaptionedFigure(f"pictures-{file_stem(entry)}", figure, caption)


def read_examples(entry: Entry) -> tuple[Picture, ...]:
    """Read the pictures of an entry; none if it stored none.

    Raises:
        StoreError: if the file is broken.
    """
    path = entry.folder / "examples.npz"
    if not path.is_file():
        return ()
    try:
        return read_pictures(load_arrays(path))
    except RequestError as error:
        raise StoreError(f"{entry.row.key}/examples.npz: {error}; run the suite again") from None


def read_pictures(arrays: Mapping[str, NDArray[Any]]) -> tuple[Picture, ...]:
    """Make pictures of the arrays of an examples.npz: the maps of early rounds, and of the last, which tables score.

    Raises:
        RequestError: when an array is missing, or of another type or shape than the others.
    """
    pictures = []
    for k, name in enumerate(checked_array(arrays, "names", TEXT, (None,))):
        q = checked_array(arrays, f"rounds_{k}", WHOLE, (None, None, None))
        image = checked_array(arrays, f"image_{k}", WHOLE, (None, None))
        mask = checked_array(arrays, f"mask_{k}", WHOLE, image.shape)
        if not image.size or not q.size:
            raise RequestError(f"image or rounds of {name} are empty, expected pixels")
        shown = [*(r for r in EARLY if r < len(q)), len(q)]
        maps = tuple(ProbabilityMap(f"Round {r}" if len(q) > 1 else "Prediction", q[r - 1]) for r in shown)
        pictures.append(Picture(str(name), image, mask, maps))
    return tuple(pictures)
