"""A dataset of the user's own: images and masks brought into the data folder, measured, and described by a card there.

Like an import, all is made in a hidden folder and put in place by one rename, so that a failure leaves nothing behind.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bench._version import __version__
from bench.data.catalogue.cards import (
    CARD_FILE,
    DIGEST_FILE,
    Card,
    card_names,
    read_card,
    read_cards_in,
)
from bench.data.catalogue.file_names import counted, plain
from bench.data.images.decode import decode_grey, decode_rgb, find_files, pixel_digest
from bench.data.importing.box_labels import CAVEAT
from bench.data.importing.choose_split import parse_parts, share_out
from bench.data.importing.importer import (
    ImportRequest,
    Steps,
    StepsByName,
    gather_pairs,
    origins_told,
    refuse_broken,
    settle_formats,
    staging,
)
from bench.data.importing.mask_rules import parse_mask_rule
from bench.data.importing.verify import verify_folder
from bench.data.importing.write_lists import own_names, put_split
from bench.data.quality.leak_search import Sources, pairs_among
from bench.errors import DataError, RequestError
from bench.metrics.counting.components import find_components
from bench.progress import Step

OWN_SPLIT = "own"


@dataclass(frozen=True)
class NewRequest:
    """Images and masks of a dataset that has no card yet.

    Attributes:
        source: its name, images and masks, as for an import.
        split: `part=share` or `part=file`; empty for one test list of all images.
        seed: of the choice by shares.
        title: one line that says what it is; empty for its name.
        boxes: whether masks are drawn from the boxes of label files.
    """

    source: ImportRequest
    split: tuple[str, ...] = ()
    seed: int = 0
    title: str = ""
    boxes: bool = False

    def __post_init__(self) -> None:
        if self.boxes and self.source.masks is None:
            raise RequestError(
                "--boxes: no folder of labels, expected dfinet-bench data new NAME IMAGES LABELS --boxes"
            )


@dataclass(frozen=True)
class NewDataset:
    """A dataset that was made.

    Attributes:
        folder: of the dataset.
        card: its card, as every command reads it.
        conversions: changes of pixels or formats, one sentence each.
        notes: what else is to be known, one sentence each.
    """

    folder: Path
    card: Card
    conversions: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass
class _Measured:
    """Facts of a dataset's files that its card holds."""

    names: list[str] = field(default_factory=list)
    sizes: list[tuple[int, int]] = field(default_factory=list)
    levels: list[tuple[float, float]] = field(default_factory=list)
    digests: list[str] = field(default_factory=list)
    targets: int = 0
    empty: int = 0


def make_dataset(request: NewRequest, *, steps: Steps | None = None) -> NewDataset:
    """Make a dataset with its card in the data folder; every command finds it there by its name.

    Raises:
        RequestError: when the name, a share or a value that is target cannot be used.
        DataError: when there is such a dataset, or an image, mask, label or list is not usable; nothing is left then.
    """
    source = request.source
    _check_name(source)
    parse_mask_rule(source.target_values)
    parse_parts(request.split)
    goal, told = source.data / source.dataset, StepsByName(steps)
    in_place = _is_in_place(source, goal)
    with staging(source) as stage:
        contents, plan = gather_pairs(source, stage, told, None, boxes=request.boxes)
        with origins_told(source, contents, plan, stage):
            conversions = settle_formats(source, stage, told)
            found = _measure(stage, told.of("measure"))
        (stage / CARD_FILE).write_text(_card_text(request, found, conversions), encoding="utf-8")
        (stage / DIGEST_FILE).write_text("".join(found.digests), encoding="utf-8", newline="\n")
        with origins_told(source, contents, plan, stage):
            proof = verify_folder(read_card(stage), stage, told.of("check"))
            refuse_broken(proof)
        notes = _write_split(request, stage, found, told)
        if in_place:
            _put_beside(stage, goal, changed=bool(conversions) or plan.renamed > 0)
        else:
            stage.rename(goal)
    read_cards_in(None)  # so that the card is read anew
    read_cards_in(source.data)
    told_notes = (note.replace(str(stage), str(goal)) for note in proof.notes)
    return NewDataset(goal, read_card(goal), conversions, (*read_card(goal).defects, *notes, *told_notes))


def _check_name(request: ImportRequest) -> None:
    read_cards_in(request.data)
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", request.dataset, re.ASCII) is None:
        raise RequestError(f"name {request.dataset!r}: expected up to 64 letters, digits, '-', '_' and '.'")
    for name in card_names():
        if plain(name) == plain(request.dataset):
            raise DataError(f"{request.dataset}: there is a dataset {name!r} already; choose another name")


def _is_in_place(request: ImportRequest, goal: Path) -> bool:
    """Return true if images and masks lie in the dataset's folder already, which then gets a card alone.

    Raises:
        DataError: when there is a folder of that name with anything else.
    """
    if not os.path.lexists(goal):
        return False
    given = (
        (request.source, request.masks) if request.masks is not None else (request.source / "images", goal / "masks")
    )
    if [path.resolve() for path in given if path is not None] == [(goal / of).resolve() for of in ("images", "masks")]:
        taken = [name for name in (CARD_FILE, DIGEST_FILE, "splits") if os.path.lexists(goal / name)]
        if not taken:
            return True
        raise DataError(f"{goal / taken[0]}: is there already, expected images and masks alone; move it away")
    raise DataError(f"{goal}: is there already, expected a free place; choose another name or move it away")


def _put_beside(stage: Path, goal: Path, *, changed: bool) -> None:
    """Move card, digests and lists beside images and masks that stay as they are; the card last, or nothing at all."""
    if changed:
        raise DataError(
            f"{goal}: files would have to be changed or renamed, which are left as they are where they lie; "
            "move them to another folder and name it"
        )
    names = ("splits", DIGEST_FILE, CARD_FILE)
    moved: list[str] = []
    try:
        for name in names:
            (stage / name).rename(goal / name)
            moved.append(name)
    except OSError:
        for name in moved:
            (goal / name).rename(stage / name)
        raise


def _measure(folder: Path, progress: Step | None) -> _Measured:
    """Measure all pairs of a folder: sizes, grey levels as BasicIRSTD averages them, targets, and digests of pixels."""
    found = _Measured()
    images, masks = (find_files(folder / kind) for kind in ("images", "masks"))
    lines = {}
    for done, (name, path) in enumerate(sorted(images.items()), start=1):
        grey, mask = decode_grey(path), decode_grey(masks[name])
        levels = grey.astype(np.float64)
        targets = len(find_components(mask > 127).areas)
        found.names.append(name)
        found.sizes.append((grey.shape[0], grey.shape[1]))
        found.levels.append((float(levels.mean()), float(levels.std())))
        found.targets += targets
        found.empty += not mask.any()
        for file, pixels in ((f"images/{name}", decode_rgb(path)), (f"masks/{name}", mask)):
            lines[file] = f"{file}\t{pixels.shape[0]}\t{pixels.shape[1]}\t{pixel_digest(pixels)}\n"
        if progress is not None:
            progress(done, len(images))
    found.digests = [lines[file] for file in sorted(lines)]
    return found


def _card_text(request: NewRequest, found: _Measured, conversions: Sequence[str]) -> str:
    """The card as TOML, without a split."""
    heights, widths = zip(*found.sizes, strict=True)
    mean, std = (round(float(np.mean(each)), 5) for each in zip(*found.levels, strict=True))
    of = f"dfinet-bench data new, version {__version__}"
    values: Mapping[str, object] = {
        "name": request.source.dataset,
        "title": request.title or request.source.dataset,
        "source": "a dataset of one's own; not recorded here",
        "licence": "not recorded here",
        "cite": "not recorded here",
        "images": len(found.names),
        "targets": found.targets,
        "mean": mean,
        "std": std,
        "measured_mean": mean,
        "measured_std": std,
        "statistics": f"mean over all images of each one's mean and standard deviation, Pillow grey, measured by {of}",
        "naming": "images/<name> and masks/<name>",
        "height": [min(heights), max(heights)],
        "width": [min(widths), max(widths)],
        "empty_masks": found.empty,
        "default_split": "",
        "digest_note": "; ".join([f"taken by {of}", *conversions]),
        "defects": [CAVEAT] if request.boxes else [],
    }
    return "".join(f"{key} = {_toml(value)}\n" for key, value in values.items()) + "\n[splits]\n"


def _toml(value: object) -> str:
    """A TOML value: what JSON writes is one, but for the delete character."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _write_split(request: NewRequest, stage: Path, found: _Measured, told: StepsByName) -> tuple[str, ...]:
    """Write the split that the request asks for, and return what is to be known of it."""
    shares, files = parse_parts(request.split)
    card = read_card(stage)
    notes = ""
    if files:
        names = {part: own_names(path, card) for part, path in files.items()}
        listed = sum(map(len, names.values()))
        notes = f"{counted(len(found.names) - listed, 'image')} in no list" if listed < len(found.names) else ""
        said: Mapping[str, Path | str] = files
        source = "lists of one's own"
    elif shares:
        pairs = pairs_among(Sources(card, find_files(stage / "images")), found.names, step=told.of("compare"))
        together = [*pairs.exact, *((twin.one, twin.two) for twin in pairs.twins)]
        names = share_out(found.names, shares, together, seed=request.seed)
        said = dict.fromkeys(names, "--split")
        source = (
            f"shares {', '.join(f'{part} {share:g}' for part, share in shares.items())} under seed {request.seed}, by "
            "SHA-256 of the names; sequences, copies and near duplicates are in one list"
        )
        if together:
            notes = f"{counted(len(together), 'pair')} of copies and near duplicates, each in one list"
    else:
        names, said = {"test": tuple(found.names)}, {"test": "--split"}
        source = "all images, for testing alone"
        notes = "no --split: all images are one test list, to train on some give shares or lists"
    put_split(stage, OWN_SPLIT, names, source=source, said=said)
    return (notes,) if notes else ()
