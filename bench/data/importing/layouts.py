"""Folder layouts of datasets as people keep them, recognised by their folders, and the one that a run reads."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from bench.data.catalogue.file_names import SUFFIXES, counted, plain, published_name, stem_of
from bench.errors import DataError, UnknownNameError
from bench.registry import unknown

PIXELS = "_pixels0"
LIST_DEPTH = 2
"""Most folders between the root and a list, as in img_idx/train_NAME.txt."""


@dataclass(frozen=True)
class Part:
    """Folders of images and masks below the root of a dataset; `part` is set where names depend on it."""

    images: str
    masks: str
    part: str = ""


@dataclass(frozen=True)
class FolderLayout:
    """Folders in which a dataset is kept.

    Attributes:
        name: value of `--layout`.
        whose: publishers or projects that use it.
        parts: its folders; letter case is ignored.
        mask_suffix: suffix of the masks' names after the image's name.
        image_suffix: suffix of the images' names, where images and masks lie in one folder.
    """

    name: str
    whose: str
    parts: tuple[Part, ...]
    mask_suffix: str = ""
    image_suffix: str = ""

    @property
    def folders(self) -> str:
        """Folders in one line."""
        if self.image_suffix:
            return f"<name>{self.image_suffix} + <name>{self.mask_suffix} in one folder"
        return ", ".join(f"{part.images} + {part.masks}" for part in self.parts)

    def suffix_of(self, kind: str) -> str:
        """Suffix of the names of images or masks."""
        return self.image_suffix if kind == "images" else self.mask_suffix


LAYOUTS = (
    FolderLayout("images-masks", "BasicIRSTD, DNANet and most others", (Part("images", "masks"),)),
    FolderLayout("sirst", "SIRST, version 1 as published", (Part("images", "masks"),), PIXELS),
    FolderLayout("sirst-v2", "SIRST, version 2 as published", (Part("mixed", "annotations/masks"),), PIXELS),
    FolderLayout("irstd-1k", "IRSTD-1k as published", (Part("IRSTD1k_Img", "IRSTD1k_Label"),)),
    FolderLayout(
        "sirst-aug",
        "SIRST-Aug as published (AGPCNet)",
        (Part("trainval/images", "trainval/masks", "trainval"), Part("test/images", "test/masks", "test")),
    ),
    FolderLayout(
        "train-test", "many", (Part("train/images", "train/masks", "train"), Part("test/images", "test/masks", "test"))
    ),
    FolderLayout(
        "train-val-test",
        "many",
        (
            Part("train/images", "train/masks", "train"),
            Part("val/images", "val/masks", "val"),
            Part("test/images", "test/masks", "test"),
        ),
    ),
    FolderLayout("image-mask", "some", (Part("image", "mask"),)),
    FolderLayout("img-mask", "some", (Part("img", "mask"),)),
    FolderLayout("imgs-masks", "some", (Part("imgs", "masks"),)),
    FolderLayout("img-label", "some", (Part("img", "label"),)),
    FolderLayout("image-label", "some", (Part("image", "label"),)),
    FolderLayout("images-labels", "some", (Part("images", "labels"),)),
    FolderLayout("voc", "those who follow Pascal VOC", (Part("JPEGImages", "SegmentationClass"),)),
    FolderLayout("pairs", "MDvsFA (image `_1`, mask `_2`)", (Part(".", "."),), "_2", "_1"),
)


@dataclass(frozen=True)
class Plan:
    """Files that an import takes, by their new names.

    Attributes:
        layout: the layout that was recognised.
        root: the folder inside the source that holds it; `.` for the source itself.
        images, masks: name without extension to path inside the source.
        lists: text files that may be lists of names.
        renamed: image and mask files whose name changes.
    """

    layout: FolderLayout
    root: PurePosixPath
    images: Mapping[str, PurePosixPath]
    masks: Mapping[str, PurePosixPath]
    lists: tuple[PurePosixPath, ...]
    renamed: int


@dataclass(frozen=True)
class _Place:
    """A folder of images or masks.

    Attributes:
        kind: images or masks.
        part: part of the dataset.
        depth: number of folders above its files' names, which keep the folders below it.
        paths: its files, or those of its subfolders where it has none.
        sequence: folder in front of its files' names, where each sequence has folders of its own.
    """

    kind: str
    part: str
    depth: int
    paths: tuple[PurePosixPath, ...]
    sequence: str = ""

    def name(self, path: PurePosixPath) -> str:
        return PurePosixPath(self.sequence, *path.parts[self.depth :]).with_suffix("").as_posix()


@dataclass(frozen=True)
class _Fit:
    """A layout at a place, with the files of each part's two folders."""

    layout: FolderLayout
    root: PurePosixPath
    files: tuple[_Place, ...]

    @property
    def taken(self) -> frozenset[PurePosixPath]:
        return frozenset(path for place in self.files for path in place.paths)


def recognise(paths: Collection[PurePosixPath], dataset: str, *, layout: str | None = None) -> Plan:
    """Plan what to take from a source that holds these paths.

    Raises:
        UnknownNameError: with suggestions, when no layout is called `layout`.
        DataError: when none or several fit, two files would get one name, or an image or mask has no partner.
    """
    fit = _choose(_find_fits(paths, layout), paths, dataset)
    images, masks = (_named(fit, kind, dataset) for kind in ("images", "masks"))
    _check_partners(images, masks)
    renamed = sum(path.stem != name.rpartition("/")[2] for names in (images, masks) for name, path in names.items())
    return Plan(fit.layout, fit.root, images, masks, _list_files(paths, fit.root), renamed)


def _find_fits(paths: Collection[PurePosixPath], wanted: str | None) -> list[_Fit]:
    """Find every layout at every place, without those whose files are part of another one's."""
    known = {layout.name: layout for layout in LAYOUTS}
    if wanted is not None and wanted not in known:
        raise UnknownNameError(unknown("layout", wanted, known))
    folders = _image_folders(paths)
    fits = [
        fit
        for layout in (LAYOUTS if wanted is None else (known[wanted],))
        for root in _roots(layout, folders)
        if (fit := _fit(layout, root, folders)) is not None
    ]
    return [one for one in fits if not any(one.taken < other.taken for other in fits)]


def _image_folders(paths: Iterable[PurePosixPath]) -> dict[str, list[PurePosixPath]]:
    """Image files by folder, in lower case."""
    folders: dict[str, list[PurePosixPath]] = defaultdict(list)
    for path in paths:
        if path.suffix.lower() in SUFFIXES:
            folders[path.parent.as_posix().casefold()].append(path)
    return folders


def _roots(layout: FolderLayout, folders: Iterable[str]) -> list[PurePosixPath]:
    """Folders below which the layout's first folder of images lies, with files of its own or in its subfolders."""
    tail = PurePosixPath(layout.parts[0].images.casefold()).parts
    found: set[PurePosixPath] = set()
    for parts in (PurePosixPath(folder).parts for folder in folders):
        ends = range(len(tail), len(parts) + 1) if tail else [len(parts)]
        found |= {PurePosixPath(*parts[: end - len(tail)]) for end in ends if parts[end - len(tail) : end] == tail}
    return sorted(found)


def _fit(layout: FolderLayout, root: PurePosixPath, folders: Mapping[str, list[PurePosixPath]]) -> _Fit | None:
    places = [
        _place(
            kind, part.part, root / folder.casefold(), layout.suffix_of(kind) if layout.image_suffix else "", folders
        )
        for part in layout.parts
        for kind, folder in (("images", part.images), ("masks", part.masks))
    ]
    if not all(place.paths for place in places):
        return None
    masks = [path for place in places for path in place.paths if place.kind == "masks"]
    suffixed = sum(path.stem.endswith(PIXELS) for path in masks)
    if (2 * suffixed > len(masks)) != (layout.mask_suffix == PIXELS):
        return None
    if layout.image_suffix and sum(len(place.paths) for place in places) < len(folders[root.as_posix()]):
        return None
    return _Fit(layout, PurePosixPath(*places[0].paths[0].parts[: len(root.parts)]), tuple(places))


def _place(
    kind: str, part: str, folder: PurePosixPath, suffix: str, folders: Mapping[str, list[PurePosixPath]]
) -> _Place:
    """The files of a folder whose names end in the suffix, or those of its subfolders where it has no file."""
    within = "" if folder == PurePosixPath() else f"{folder.as_posix()}/"
    files = folders.get(folder.as_posix(), [])
    if not files and within:
        files = [path for place, paths in folders.items() if place.startswith(within) for path in paths]
    return _Place(kind, part, len(folder.parts), tuple(sorted(path for path in files if path.stem.endswith(suffix))))


def _choose(fits: list[_Fit], paths: Collection[PurePosixPath], dataset: str) -> _Fit:
    """Choose the only fit, or of several the one in a folder named like the dataset."""
    named = [fit for fit in fits if plain(fit.root.name) == plain(dataset)]
    chosen = named if len(fits) > 1 and named else fits
    if len(chosen) == 1:
        return chosen[0]
    if (joined := _join_sequences(chosen)) is not None:
        return joined
    if chosen:
        places = "; ".join(f"{fit.layout.name} in {fit.root}" for fit in chosen[:4])
        raise DataError(
            f"several layouts fit ({len(chosen)}): {places}; pass the folder that holds one of them, or --layout; "
            "folders that differ in a number alone, as seq1 and seq2, are taken as sequences of one dataset"
        )
    found = sorted({path.parent.as_posix() for path in paths if path.suffix.lower() in SUFFIXES})
    known = "; ".join(f"{layout.name}: {layout.folders}" for layout in LAYOUTS)
    raise DataError(
        f"no known layout: images lie in {', '.join(found[:6]) or 'no folder'}{' …' if len(found) > 6 else ''}, "
        f"expected one of {known}"
    )


def _join_sequences(fits: list[_Fit]) -> _Fit | None:
    """One fit of all, if they are of one layout in sibling folders whose names differ in a number alone."""
    alike = {(fit.layout.name, fit.root.parent, re.sub(r"[0-9]+", "0", fit.root.name.casefold())) for fit in fits}
    if len(alike) != 1 or len({fit.root for fit in fits}) != len(fits):
        return None
    places = tuple(replace(place, sequence=fit.root.name) for fit in fits for place in fit.files)
    return _Fit(fits[0].layout, fits[0].root.parent, places)


def _named(fit: _Fit, kind: str, dataset: str) -> dict[str, PurePosixPath]:
    """Files of a kind by their new names."""
    named: dict[str, PurePosixPath] = {}
    seen: dict[str, PurePosixPath] = {}
    suffix = fit.layout.suffix_of(kind)
    for place, path in ((one, path) for one in fit.files if one.kind == kind for path in one.paths):
        name = published_name(place.name(path).removesuffix(suffix), dataset, place.part)
        other = seen.setdefault(name.casefold(), path)
        if other != path:
            raise DataError(f"{path}: would be called {name!r} as {other} is, expected one file per image; remove one")
        named[name] = path
    return named


def _check_partners(images: Mapping[str, PurePosixPath], masks: Mapping[str, PurePosixPath]) -> None:
    for one, other, wanted in ((images, masks, "mask"), (masks, images, "image")):
        alone = sorted(one.keys() - other.keys())
        if alone:
            shown = ", ".join(str(one[name]) for name in alone[:3])
            raise DataError(f"{counted(len(alone), 'file')} without {wanted}: {shown}; expected a pair for every name")


def _list_files(paths: Iterable[PurePosixPath], root: PurePosixPath) -> tuple[PurePosixPath, ...]:
    """Text files at most `LIST_DEPTH` levels below the root."""
    inside = (path for path in paths if path.suffix.lower() == ".txt" and path.is_relative_to(root))
    return tuple(sorted(path for path in inside if len(path.relative_to(root).parts) <= LIST_DEPTH))


def listed_name(written: str, dataset: str) -> str:
    """Name in a line of a list, without extension, in the dataset's published form."""
    return published_name(stem_of(written), dataset)
