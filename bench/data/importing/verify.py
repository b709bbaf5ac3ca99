"""Verification of a dataset's folder against its card: every difference in one sentence."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bench.data.catalogue.cards import Card, load_card
from bench.data.catalogue.file_names import SUFFIXES, published_name, stem_of
from bench.data.catalogue.splits import list_names, read_list
from bench.data.images.decode import Pixels, decode_grey, decode_rgb, file_format, pixel_digest, same_name, scan_files
from bench.data.images.find_dataset import no_folder
from bench.data.images.photograph import refuse_photograph
from bench.data.images.synthetic import checked_scene
from bench.data.importing.convert import find_turned, turned_note
from bench.errors import DataError
from bench.progress import Step

FOLDERS = ("images", "masks")
LISTS = "img_idx"
FORMAT_SUFFIXES = {"PNG": (".png",), "BMP": (".bmp",), "JPEG": (".jpg", ".jpeg"), "TIFF": (".tif", ".tiff")}
MOST_ALIKE = 3
"""Notes of one kind that are reported singly; the rest are counted."""


@dataclass(frozen=True)
class Verification:
    """Differences between a folder and a card.

    Attributes:
        dataset: name of the card.
        files: number of image and mask files that were decoded.
        problems: differences from the card, one sentence each.
        notes: findings that do not contradict the card: repairs, missing digests, ignored files.
        broken: problems that would stop a run: files, pairs and lists that hold no usable image.
    """

    dataset: str
    files: int
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    broken: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """True if no difference from the card was found."""
        return not self.problems

    @property
    def findings(self) -> tuple[str, ...]:
        """Problems followed by notes."""
        return self.problems + self.notes


@dataclass
class Findings:
    """Collector of problems and notes."""

    problems: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    _notes: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def problem(self, sentence: str) -> None:
        """Add a difference from the card."""
        self.problems.append(sentence)

    def unusable(self, sentence: str) -> None:
        """Add a difference from the card that would stop a run."""
        self.problems.append(sentence)
        self.broken.append(sentence)

    def note(self, kind: str, sentence: str) -> None:
        """Add a note to the others of its kind."""
        self._notes[kind].append(sentence)

    @property
    def notes(self) -> Iterator[str]:
        """Notes by kind: the first three of each, and the number of others."""
        for kind, sentences in self._notes.items():
            yield from sentences[:MOST_ALIKE]
            if len(sentences) > MOST_ALIKE:
                yield f"and {len(sentences) - MOST_ALIKE} more: {kind}"

    def report(self, card: Card, files: int) -> Verification:
        """Result of the verification."""
        return Verification(card.name, files, tuple(self.problems), tuple(self.notes), tuple(self.broken))


def verify_dataset(name: str, root: Path | None, progress: Step | None = None) -> Verification:
    """Compare a dataset's folder with its card: names, sizes, decoded pixels, mask values, lists and repairs.

    Args:
        root: the folder that holds `<name>/images` and `<name>/masks`; not looked at for generated datasets.

    Raises:
        UnknownNameError: with suggestions, when no dataset has that name.
    """
    card = load_card(name)
    if card.generated:
        return _verify_generated(card, progress)
    if root is not None and card.mixture_of and not (root / name).is_dir():
        return _verify_parts(card, root, progress)
    if root is None or not (root / name).is_dir():
        return Verification(name, 0, (no_folder(card, root),), ())
    return verify_folder(card, root / name, progress)


def verify_folder(card: Card, folder: Path, progress: Step | None = None) -> Verification:
    """Compare a folder that holds `images` and `masks` with a card."""
    findings = Findings()
    found = {kind: _list_folder(folder / kind, findings) for kind in FOLDERS}
    _compare_names(card, folder, found, findings)
    _check_own_lists(card, folder, found["images"], findings)
    if card.digested_images < card.images:
        masks = f", masks were compared with {card.digested_masks} digests" if card.digested_masks else ""
        findings.note(
            "digests",
            f"{card.name}: no digests to prove pixels of {card.images - card.digested_images} images with "
            f"({card.digest_note}); they were only decoded{masks}",
        )
    files = _check_pixels(card, found, findings, progress)
    if turned := find_turned(path for kind in FOLDERS for path in found[kind].values()):
        findings.note("orientation tags", turned_note(turned))
    return findings.report(card, files)


def expected_files(card: Card) -> frozenset[str]:
    """Names of a dataset's images: those with digests and those in its lists; empty if there are neither."""
    listed = {
        name for split, parts in card.splits.items() for part in parts for name in list_names(card.name, split, part)
    }
    return frozenset(listed | {file.partition("/")[2] for file in card.digests})


def _verify_generated(card: Card, progress: Step | None) -> Verification:
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


def _verify_parts(card: Card, root: Path, progress: Step | None) -> Verification:
    reports = [verify_dataset(part, root, progress) for part in card.mixture_of]
    note = f"{root / card.name}: no such folder, {card.name} is read from {', '.join(card.mixture_of)}"
    return Verification(
        card.name,
        sum(report.files for report in reports),
        tuple(problem for report in reports for problem in report.problems),
        (note, *(note for report in reports for note in report.notes)),
        tuple(sentence for report in reports for sentence in report.broken),
    )


def _list_folder(folder: Path, findings: Findings) -> dict[str, Path]:
    try:
        found, doubles = scan_files(folder)
    except DataError as error:
        findings.unusable(str(error))
        return {}
    for name, path in doubles:
        findings.unusable(same_name(path, found[name]))
    paths = [path for path in folder.iterdir() if path.suffix.lower() not in SUFFIXES]
    others = sorted(path.name for path in paths if not any("/" in name for name in found) or path.is_file())
    if others:
        findings.note(
            "ignored", f"{folder}: files that are no images are ignored ({len(others)}): {', '.join(others[:3])}"
        )
    return found


def _compare_names(card: Card, folder: Path, found: dict[str, dict[str, Path]], findings: Findings) -> None:
    expected = expected_files(card)
    if not expected:
        _compare_counts(card, folder, found, findings)
        return
    for kind in FOLDERS:
        for name in sorted(expected - found[kind].keys()):
            findings.problem(f"{folder / kind / name}: missing, the card names it")
        for name in sorted(found[kind].keys() - expected):
            findings.problem(f"{found[kind][name]}: extra, the card does not name it")


def _compare_counts(card: Card, folder: Path, found: dict[str, dict[str, Path]], findings: Findings) -> None:
    """Compare the number of images with the card, and images with masks, where no names are known."""
    if len(found["images"]) != card.images:
        findings.problem(f"{folder / 'images'}: {len(found['images'])} images, the card says {card.images}")
    for kind, other in (("images", "masks"), ("masks", "images")):
        for name in sorted(found[kind].keys() - found[other].keys()):
            findings.problem(f"{found[kind][name]}: nothing of that name in {other}, expected a pair")


def _check_own_lists(card: Card, folder: Path, images: dict[str, Path], findings: Findings) -> None:
    """Check that every name in the lists of `img_idx` has an image, and that every image is named."""
    listed: set[str] = set()
    paths = sorted((folder / LISTS).glob("*.txt"))
    for path in paths:
        try:
            names = [(name, published_name(stem_of(name), card.name)) for name in read_list(path)]
        except DataError as error:
            findings.unusable(str(error))
            continue
        for written, name in names:
            if name not in images:
                findings.unusable(f"{path}: {written!r} is listed, there is no such image")
        listed |= {name for _, name in names}
    unlisted = sorted(images.keys() - listed) if listed else []
    if unlisted:
        findings.note("unlisted", f"{folder / LISTS}: in no list: {', '.join(unlisted[:3])} (images: {len(unlisted)})")


def _check_pixels(card: Card, found: dict[str, dict[str, Path]], findings: Findings, progress: Step | None) -> int:
    names = sorted(found["images"].keys() | found["masks"].keys())
    files = 0
    empty: list[Path] = []
    for done, name in enumerate(names, start=1):
        paths = {kind: found[kind][name] for kind in FOLDERS if name in found[kind]}
        pair = {kind: pixels for kind, path in paths.items() if (pixels := _decoded(kind, path, findings)) is not None}
        files += len(pair)
        for kind, pixels in pair.items():
            _check_file(card, f"{kind}/{name}", paths[kind], pixels, findings)
        if "masks" in pair and not pair["masks"].any():
            empty.append(paths["masks"])
        if len(pair) == len(FOLDERS):
            _check_pair(card, name, paths["masks"], pair, findings)
        if progress is not None:
            progress(done, len(names))
    _check_empty(card, empty, findings, is_whole=len(found["masks"]) >= card.images)
    return files


def _decoded(kind: str, path: Path, findings: Findings) -> Pixels | None:
    try:
        return decode_rgb(path) if kind == "images" else decode_grey(path)
    except DataError as error:
        findings.unusable(str(error))
        return None


def _check_file(card: Card, file: str, path: Path, pixels: Pixels, findings: Findings) -> None:
    """Check size and pixels against the digest, or only the size without one; mask values; and the extension."""
    published = card.digests.get(file)
    if published is not None and published.size != pixels.shape[:2]:
        findings.problem(
            f"{path}: size differs, {_by(pixels.shape)} (height x width), the card says {_by(published.size)}"
        )
    elif published is not None and published.sha256 != pixel_digest(pixels):
        findings.problem(f"{path}: digest differs, the pixels are not the published ones; fetch it again")
    elif published is None and file.startswith("images/") and not _fits(card, pixels):
        findings.problem(f"{path}: {_by(pixels.shape)} (height x width), the card says {_span(card)}")
    if file.startswith("masks/"):
        _check_levels(path, pixels, findings)
    kind = file_format(path)
    if path.suffix.lower() not in FORMAT_SUFFIXES.get(kind, ()):
        findings.note("called by another extension", f"{path}: is a {kind} file by its content and is read as one")


def _check_levels(path: Path, mask: Pixels, findings: Findings) -> None:
    try:
        refuse_photograph(mask, path)
    except DataError as error:
        findings.unusable(str(error))
        return
    values = np.unique(mask)
    if values[-1] in range(1, 128):
        findings.unusable(f"{path}: mask values reach only {values[-1]}, expected 0 and 255; it would be read as empty")
    elif values[0] > 127:
        findings.problem(f"{path}: the whole mask is target, expected 0 where there is none; fetch the pair again")
    elif not np.isin(values, (0, 255)).all():
        findings.note(
            "masks with values between 0 and 255",
            f"{path}: mask values between 0 and 255 ({len(values)} in all), those above 127 count as target",
        )


def _check_empty(card: Card, empty: list[Path], findings: Findings, *, is_whole: bool) -> None:
    """Compare the number of masks without a target with the card, or note them if the card has no number.

    A folder that lacks masks may hold fewer of them than the card counts.
    """
    if card.empty_masks is None:
        for path in empty:
            findings.note(
                "masks without a target", f"{path}: no target in the mask; the card does not say how many are"
            )
    elif len(empty) > card.empty_masks or (is_whole and len(empty) < card.empty_masks):
        for path in empty:
            findings.problem(f"{path}: no target in the mask, the card counts {card.empty_masks} such masks")
        if not empty:
            findings.problem(f"{card.name}: every mask has a target, the card counts {card.empty_masks} without")


def _check_pair(card: Card, name: str, path: Path, pair: Mapping[str, Pixels], findings: Findings) -> None:
    image, mask = pair["images"], pair["masks"]
    repair = card.repairs.get(f"masks/{name}")
    if mask.shape == image.shape[:2]:
        if repair is not None:
            findings.note("repairs", f"{path}: its declared repair is not needed, mask and image are {_by(mask.shape)}")
        return
    sizes = f"mask {_by(mask.shape)} over image {_by(image.shape)}"
    if repair is not None and mask.shape == repair.found and image.shape[:2] == repair.becomes:
        findings.note("repairs", f"{path}: {sizes}, repaired on reading: {repair.why}")
    else:
        findings.unusable(f"{path}: {sizes} (height x width), expected equal sizes; fetch the pair again")


def _fits(card: Card, pixels: Pixels) -> bool:
    spans = ((card.height, pixels.shape[0]), (card.width, pixels.shape[1]))
    return all(span is None or span[0] <= length <= span[1] for span, length in spans)


def _span(card: Card) -> str:
    return " x ".join(
        "any" if span is None else f"{span[0]}" if span[0] == span[1] else f"{span[0]} to {span[1]}"
        for span in (card.height, card.width)
    )


def _by(shape: tuple[int, ...]) -> str:
    return f"{shape[0]}x{shape[1]}"
