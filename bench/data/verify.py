"""A dataset folder proven against its card: every difference, one sentence each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.data.cards import Card, DataError, load_card
from bench.data.decode import SUFFIXES, Pixels, decode_grey, decode_rgb, find_files, pixel_digest
from bench.data.shelf import Progress
from bench.data.splits import list_names, read_list
from bench.data.synthetic import checked_scene

Say = Callable[[str], None]
FOLDERS = ("images", "masks")


@dataclass(frozen=True)
class Verification:
    """What a folder holds, measured against a card.

    Attributes:
        dataset: name of the card.
        files: image and mask files that were decoded.
        problems: what differs from the card, one sentence each.
        notes: what is as declared and yet worth knowing: repairs, missing digests, files that are ignored.
    """

    dataset: str
    files: int
    problems: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing differs from what the card can prove."""
        return not self.problems

    @property
    def findings(self) -> tuple[str, ...]:
        """Problems, then notes."""
        return self.problems + self.notes


def verify(name: str, root: Path | None, progress: Progress | None = None) -> Verification:
    """A dataset's folder compared with its card: names, sizes, decoded pixels, mask values, list entries and repairs.

    Args:
        root: the folder that holds `<name>/images` and `<name>/masks`; not looked at for generated datasets.

    Raises:
        LookupError: with suggestions, when no dataset has that name.
    """
    card = load_card(name)
    if card.generated:
        return _verify_generated(card, progress)
    if root is None or not (root / name).is_dir():
        where = "no data folder was given" if root is None else f"{root / name}: no such folder"
        pass_it = f"pass the folder that holds {name} with --data DIR or DFINET_BENCH_DATA"
        return Verification(name, 0, (f"{where}, expected {name}/images and {name}/masks; {pass_it}",), ())
    return verify_folder(card, root / name, progress)


def verify_folder(card: Card, folder: Path, progress: Progress | None = None) -> Verification:
    """A folder that holds `images` and `masks`, compared with a card."""
    problems: list[str] = []
    notes: list[str] = []
    found = {kind: _list_folder(folder / kind, problems.append, notes.append) for kind in FOLDERS}
    expected = expected_files(card)
    _compare_names(folder, found, expected, problems.append)
    _check_own_lists(folder, found["images"], problems.append)
    if not card.digests:
        notes.append(f"{card.name}: no digests to prove pixels with ({card.digest_note}); files were only decoded")
    files = _check_pixels(card, found, problems=problems.append, notes=notes.append, progress=progress)
    return Verification(card.name, files, tuple(problems), tuple(notes))


def expected_files(card: Card) -> frozenset[str]:
    """The names a dataset's images have: those with digests, or else all that its lists name."""
    if card.digests:
        return frozenset(file.partition("/")[2] for file in card.digests)
    return frozenset(
        name for split, parts in card.splits.items() for part in parts for name in list_names(card.name, split, part)
    )


def _verify_generated(card: Card, progress: Progress | None) -> Verification:
    problems = []
    names = sorted(expected_files(card))
    for done, name in enumerate(names, start=1):
        try:
            checked_scene(card, name)
        except DataError as error:
            problems.append(str(error))
        if progress is not None:
            progress(done, len(names))
    return Verification(card.name, 2 * len(names), tuple(problems), ("generated from a seed, no folder is needed",))


def _list_folder(folder: Path, problem: Say, note: Say) -> dict[str, Path]:
    try:
        found = find_files(folder)
    except DataError as error:
        problem(str(error))
        return {}
    others = sorted(path.name for path in folder.iterdir() if path.suffix.lower() not in SUFFIXES)
    if others:
        note(f"{folder}: files that are no images are ignored ({len(others)}): {', '.join(others[:3])}")
    return found


def _compare_names(folder: Path, found: dict[str, dict[str, Path]], expected: frozenset[str], problem: Say) -> None:
    for kind in FOLDERS:
        for name in sorted(expected - found[kind].keys()):
            problem(f"{folder / kind / name}: missing, the card names it")
        for name in sorted(found[kind].keys() - expected):
            problem(f"{found[kind][name]}: extra, the card does not name it")


def _check_own_lists(folder: Path, images: dict[str, Path], problem: Say) -> None:
    """The lists a downloaded folder carries in `img_idx`: every name must have its image."""
    for path in sorted((folder / "img_idx").glob("*.txt")):
        try:
            names = read_list(path)
        except DataError as error:
            problem(str(error))
            continue
        for name in names:
            if name not in images:
                problem(f"{path}: {name!r} is listed, there is no such image")


def _check_pixels(
    card: Card, found: dict[str, dict[str, Path]], *, problems: Say, notes: Say, progress: Progress | None
) -> int:
    names = sorted(found["images"].keys() | found["masks"].keys())
    files = 0
    for done, name in enumerate(names, start=1):
        pair: dict[str, Pixels] = {}
        for kind in FOLDERS:
            path = found[kind].get(name)
            if path is None:
                continue
            try:
                pair[kind] = decode_rgb(path) if kind == "images" else decode_grey(path)
            except DataError as error:
                problems(str(error))
                continue
            files += 1
            for sentence in _differences(card, f"{kind}/{name}", path, pair[kind]):
                problems(sentence)
        if len(pair) == len(FOLDERS):
            _check_pair(card, name, found["masks"][name], pair, problems, notes)
        if progress is not None:
            progress(done, len(names))
    return files


def _differences(card: Card, file: str, path: Path, pixels: Pixels) -> Iterator[str]:
    published = card.digests.get(file)
    if published is None:
        return
    if published.size != pixels.shape[:2]:
        yield f"{path}: size differs, {_by(pixels.shape)} (height x width), the card says {_by(published.size)}"
    elif published.sha256 != pixel_digest(pixels):
        yield f"{path}: digest differs, the pixels are not the published ones; fetch it again"


def _check_pair(card: Card, name: str, path: Path, pair: dict[str, Pixels], problem: Say, note: Say) -> None:
    image, mask = pair["images"], pair["masks"]
    values = np.unique(mask)
    if values[-1] in range(1, 128):
        problem(f"{path}: mask values reach only {values[-1]}, expected 0 and 255; it would be read as empty")
    elif not np.isin(values, (0, 255)).all():
        note(f"{path}: mask values between 0 and 255 ({len(values)} in all), those above 127 count as target")
    if mask.shape == image.shape[:2]:
        return
    repair = card.repairs.get(f"masks/{name}")
    sizes = f"mask {_by(mask.shape)} over image {_by(image.shape)}"
    if repair is not None and mask.shape == repair.found and image.shape[:2] == repair.becomes:
        note(f"{path}: {sizes}, repaired on reading: {repair.why}")
    else:
        problem(f"{path}: {sizes} (height x width), expected equal sizes; fetch the pair again")


def _by(shape: tuple[int, ...]) -> str:
    return f"{shape[0]}x{shape[1]}"
