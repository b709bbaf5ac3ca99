"""Import of a dataset into the data folder: its layout is recognised, its files are checked, and it is moved in place.

All work is done in a hidden folder beside the goal, on the same file system; the last step is one rename. So a killed
import leaves either no dataset or the finished one, and the next import removes its hidden folder.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import chain, count
from pathlib import Path, PurePosixPath

from PIL import Image

from bench._version import __version__
from bench.data.catalogue.cards import CARD_FILE, Card, load_card
from bench.data.catalogue.file_names import SUFFIXES, composed, counted, named_files
from bench.data.catalogue.splits import check_names, read_list
from bench.data.images.decode import open_image_size
from bench.data.importing.archives import Contents, Limits, open_source
from bench.data.importing.box_labels import draw_masks, label_kind, refusal_of_labels
from bench.data.importing.convert import convert_folder, find_unread, refuse_unread
from bench.data.importing.layouts import Plan, listed_name, recognise
from bench.data.importing.mask_rules import parse_mask_rule, settle_masks
from bench.data.importing.verify import LISTS, Verification, verify_folder
from bench.errors import DataError, WriteError
from bench.lock import refusing_lock
from bench.part_files import writing
from bench.progress import Step

RECORD_FILE = "import.json"
ADVICE = "dfinet-bench data new NAME IMAGES LABELS --boxes draws them as masks"
FOLDER, FOLDERS_APART = "folder", "folders of images and masks"
"""Forms of a source whose files are copied."""

Steps = Callable[[str, int, int], None]
"""Called with (name of the step, done, total)."""


@dataclass(frozen=True)
class ImportRequest:
    """Source and options of an import.

    Attributes:
        dataset: name of the card.
        source: a folder or an archive.
        data: the folder in which `<dataset>` is made.
        layout: name of the layout; None recognises it.
        convert: whether every file becomes an 8-bit PNG; if not, bmp and jpg stay and deep images are refused.
        origin: address or path that the source came from, for the record; default its path.
        masks: folder of masks, where the source is one of images alone.
        target_values: stored values of masks that are target; empty for masks of 0 and 255, or 0 and 1.
    """

    dataset: str
    source: Path
    data: Path
    layout: str | None = None
    convert: bool = False
    origin: str = ""
    masks: Path | None = None
    target_values: str = ""


@dataclass(frozen=True)
class Import:
    """Result of an import.

    Attributes:
        folder: the dataset's folder, which a trial does not make.
        origin, sha256, form: origin, digest and format of the source; the digest only of an archive.
        layout, root: the layout that was recognised, and the folder inside the source that held it.
        images, lists: numbers of pairs and lists that were taken.
        renamed: number of image and mask files whose name changed.
        left_out: number of files of the source that were not taken.
        conversions: changes of pixels or formats, one sentence each.
        notes: lists that were renamed, or left out although they name images, one sentence each.
        proof: comparison of the folder with its card.
    """

    dataset: str
    folder: Path
    origin: str
    sha256: str
    form: str
    layout: str
    root: str
    images: int
    lists: int
    renamed: int
    left_out: int
    conversions: tuple[str, ...]
    notes: tuple[str, ...]
    proof: Verification


def import_dataset(request: ImportRequest, *, steps: Steps | None = None, limits: Limits | None = None) -> Import:
    """Import a dataset whose folder does not exist yet.

    Raises:
        UnknownNameError: with suggestions, when there is no such dataset or layout.
        DataError: when the source cannot be read, no layout fits, a file is unusable, or the folder exists.
    """
    goal = request.data / request.dataset
    if os.path.lexists(goal):
        raise DataError(f"{goal}: is there already, expected a free place; pass --replace to put the new one there")
    with _staged(request, steps, limits) as (made, stage):
        stage.rename(goal)
    return made


def replace_dataset(request: ImportRequest, *, steps: Steps | None = None, limits: Limits | None = None) -> Import:
    """Import a dataset in place of an older one, which is removed once the new one is in place.

    Raises:
        LookupError, DataError: as for `import_dataset`; the older one is unchanged then.
    """
    goal = request.data / request.dataset
    if (goal / CARD_FILE).is_file():
        raise DataError(f"{goal}: a dataset of your own with its card, expected images alone; it is not replaced")
    with _staged(request, steps, limits) as (made, stage):
        aside = _aside(request)
        if os.path.lexists(goal):
            goal.rename(aside)
        stage.rename(goal)
        _remove(aside)
    return made


def try_import(request: ImportRequest, *, steps: Steps | None = None, limits: Limits | None = None) -> Import:
    """Try an import: do everything but the last step, remove the result, and report on it.

    Raises:
        LookupError, DataError: as for `import_dataset`.
    """
    with _staged(request, steps, limits) as (made, _):
        return made


@contextmanager
def _staged(request: ImportRequest, steps: Steps | None, limits: Limits | None) -> Iterator[tuple[Import, Path]]:
    """Make the dataset in a hidden folder; what the context does not move away is removed at its end."""
    card = load_card(request.dataset)
    if card.generated:
        raise DataError(f"{card.name}: is generated, expected a dataset of files; there is nothing to import")
    parse_mask_rule(request.target_values)
    with staging(request) as stage:
        yield _stage(card, request, stage, StepsByName(steps), limits), stage


@contextmanager
def staging(request: ImportRequest) -> Iterator[Path]:
    """Provide the path of a folder to be made in a hidden one of the data folder, which is removed at the end.

    Raises:
        DataError: when the data folder cannot be written to, or another import of the dataset is at work.
    """
    work_in(request.data)
    busy = f"{request.data}: another import of {request.dataset} is at work there; wait for it"
    with refusing_lock(request.data / f".import-{request.dataset}.lock", busy):
        _recover(request)
        work = Path(tempfile.mkdtemp(prefix=f".import-{request.dataset}-", dir=request.data))
        try:
            with writing(request.data):
                yield work / request.dataset
        finally:
            _remove(work)


def work_in(folder: Path) -> None:
    """Make the data folder if it does not exist.

    Raises:
        DataError: when it cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise DataError(
            f"{folder}: {reason}, expected a folder that can be written; name another with --data"
        ) from None


def _recover(request: ImportRequest) -> None:
    """Remove leftovers of a killed import, and restore an older dataset that no new one replaced."""
    goal, aside = request.data / request.dataset, _aside(request)
    if os.path.lexists(aside) and not os.path.lexists(goal):
        aside.rename(goal)
    _remove(aside)
    for leftover in request.data.glob(f".import-{request.dataset}-*"):
        _remove(leftover)


def _aside(request: ImportRequest) -> Path:
    return request.data / f".replaced-{request.dataset}"


def _remove(path: Path) -> None:
    if path.is_symlink():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)


class StepsByName:
    """Progress of each step by its name; silent without a receiver."""

    def __init__(self, steps: Steps | None) -> None:
        self._steps = steps

    def of(self, what: str) -> Step | None:
        return None if self._steps is None else partial(self._steps, what)


def _stage(card: Card, request: ImportRequest, stage: Path, told: StepsByName, limits: Limits | None) -> Import:
    contents, plan = gather_pairs(request, stage, told, limits)
    lists, told_lists = _write_lists(request, contents, plan, stage)
    with origins_told(request, contents, plan, stage):
        conversions = settle_formats(request, stage, told)
        proof = verify_folder(card, stage, told.of("check"))
        refuse_broken(proof)
    made = Import(
        dataset=card.name,
        folder=request.data / card.name,
        origin=request.origin or str(request.source),
        sha256=contents.sha256,
        form=contents.form,
        layout=plan.layout.name,
        root=str(plan.root),
        images=len(plan.images),
        lists=lists,
        renamed=plan.renamed,
        left_out=contents.total - 2 * len(plan.images) - lists,
        conversions=conversions,
        notes=told_lists,
        proof=_told_of(proof, stage, request.data / card.name),
    )
    (stage / RECORD_FILE).write_text(_record(made), encoding="utf-8")
    return made


def gather_pairs(
    request: ImportRequest, stage: Path, told: StepsByName, limits: Limits | None, *, boxes: bool = False
) -> tuple[Contents, Plan]:
    """Put all images and masks of a source into the staged folder under their new names.

    Args:
        boxes: whether the masks are drawn from labels.

    Raises:
        DataError: when the source cannot be read, no layout fits, or a file has no partner.
    """
    unpacked = stage.parent / "unpacked"
    unpacked.mkdir()
    if request.masks is None:
        contents = open_source(request.source, unpacked, limits=limits, progress=told.of("unpack"))
    else:
        images = _files_of(request.source)
        masks = _drawn(images, request.masks, unpacked) if boxes else _files_of(request.masks)
        files = {PurePosixPath("images") / name: path for name, path in images.items()}
        files |= {PurePosixPath("masks") / name: path for name, path in masks.items()}
        contents = Contents(files, len(files), FOLDERS_APART)
    plan = _recognised(request, contents)
    _check_room(contents, plan, request.data)
    _place(contents, plan, stage, told.of("copy"))
    return contents, plan


def _files_of(folder: Path) -> Mapping[PurePosixPath, Path]:
    if not folder.is_dir():
        if folder.is_file() and (labels := label_kind([(PurePosixPath(folder.name), folder)])):
            raise DataError(f"{folder}: {refusal_of_labels(*labels, ADVICE)}")
        found = "a file" if folder.exists() else "no such folder"
        raise DataError(f"{folder}: {found}, expected a folder of images, and one of masks behind it")
    return open_source(folder, folder).files


def _drawn(images: Mapping[PurePosixPath, Path], labels: Path, work: Path) -> dict[PurePosixPath, Path]:
    """Masks drawn from the boxes of label files, by the images' names."""
    pictures = {name: path for name, path in images.items() if name.suffix.lower() in SUFFIXES}
    sizes = {composed(name.with_suffix("").as_posix()): open_image_size(path) for name, path in pictures.items()}
    drawn = {}
    for number, (name, mask) in enumerate(draw_masks(sizes, labels)):
        path = work / f"{number:07d}.png"
        Image.fromarray(mask).save(path)
        drawn[PurePosixPath(f"{name}.png")] = path
    return drawn


def _recognised(request: ImportRequest, contents: Contents) -> Plan:
    try:
        return recognise(contents.files.keys(), request.dataset, layout=request.layout)
    except DataError as error:
        if labels := label_kind(sorted(contents.files.items())):
            raise DataError(f"{request.masks or request.source}: {refusal_of_labels(*labels, ADVICE)}") from None
        raise DataError(f"{request.source}: {error}") from None


def _check_room(contents: Contents, plan: Plan, data: Path) -> None:
    """Raise DataError if copies of a folder's files do not fit; files of an archive are unpacked already."""
    if contents.form not in (FOLDER, FOLDERS_APART):
        return
    needed = sum(_file_size(contents.files[path]) for path in (*plan.images.values(), *plan.masks.values()))
    free = shutil.disk_usage(data).free
    if needed > free:
        raise DataError(f"{data}: {free:,} bytes free, expected {needed:,} for the copies; make room or choose another")


def _file_size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise DataError(f"{path}: {(error.strerror or str(error)).lower()}, expected a readable file") from None


def _place(contents: Contents, plan: Plan, stage: Path, progress: Step | None) -> None:
    """Copy or move every image and mask to its name, with its own extension in lower case."""
    pairs = [("images", *item) for item in plan.images.items()] + [("masks", *item) for item in plan.masks.items()]
    take = shutil.copyfile if contents.form in (FOLDER, FOLDERS_APART) else shutil.move
    for kind in ("images", "masks"):
        (stage / kind).mkdir(parents=True)
    for done, (kind, name, path) in enumerate(pairs, start=1):
        source, target = contents.files[path], stage / kind / f"{name}{path.suffix.lower()}"
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with writing(target):
                take(source, target)
        except WriteError:
            raise
        except OSError as error:
            raise DataError(f"{source}: {(error.strerror or str(error)).lower()}, expected a readable file") from None
        if progress is not None:
            progress(done, len(pairs))


def _write_lists(request: ImportRequest, contents: Contents, plan: Plan, stage: Path) -> tuple[int, tuple[str, ...]]:
    """Store the text files that name images, with the images' new names; return their number, and notes on others.

    Raises:
        DataError: when a list names images that are not there, or a text file cannot be read.
    """
    kept: set[str] = set()
    notes = []
    for path in plan.lists:
        names, broken = _listed(request.dataset, contents.files[path], plan.images)
        known = [name for name in names if name in plan.images]
        if not known:
            continue
        if broken or 2 * len(known) <= len(names):
            few = f"{len(known)} of its {counted(len(names), 'line')} {'names' if len(known) == 1 else 'name'} images"
            notes.append(f"{path}: not kept as a list, {broken or few}")
            continue
        _refuse_absent(request, plan, path, names)
        target = _free_name(_list_file(path, plan.root), kept)
        kept.add(target.casefold())
        if target != _list_file(path, plan.root):
            notes.append(f"{path}: kept as {LISTS}/{target}, as another list has its name")
        (stage / LISTS).mkdir(exist_ok=True)
        (stage / LISTS / target).write_text("".join(f"{name}\n" for name in names), encoding="utf-8", newline="\n")
    return len(kept), tuple(notes)


def _refuse_absent(request: ImportRequest, plan: Plan, path: PurePosixPath, names: Sequence[str]) -> None:
    absent = [name for name in names if name not in plan.images]
    if absent:
        shown = ", ".join(absent[:3])
        lacking = f"{path} lists {counted(len(absent), 'image')} that the source does not hold: {shown}"
        raise DataError(f"{request.source}: {lacking}; fetch it again")


def _listed(dataset: str, path: Path, images: Collection[str]) -> tuple[tuple[str, ...], str]:
    """Names in a text file, and the reason if it cannot be a list, with the names that it seems to hold."""
    try:
        written = read_list(path)
        names = tuple(listed_name(line, dataset) for line in written)
        check_names(path, names)
        for line, name in zip(written, names, strict=True):
            if "/" in name and name not in images:
                raise DataError(f"{path}: {line!r} is a path, expected an image name without folder or extension")
    except DataError as error:
        return _seeming_names(dataset, path), str(error).removeprefix(f"{path}: ")
    return names, ""


def _seeming_names(dataset: str, path: Path) -> tuple[str, ...]:
    """Lines of a file that is no list, without folders and the zero bytes of UTF-16.

    Raises:
        DataError: when it cannot be read at all.
    """
    try:
        text = path.read_bytes().replace(b"\0", b"").decode(errors="ignore")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise DataError(f"{path}: {reason}, expected a readable file; make it so or take it out") from None
    lines = (line.strip().replace("\\", "/").rpartition("/")[2] for line in text.splitlines())
    return tuple(listed_name(line, dataset) for line in lines if line)


def _list_file(path: PurePosixPath, root: PurePosixPath) -> str:
    """Name of a list's copy: `img_idx/train.txt` becomes `train.txt`, `idx_427/train.txt` `idx_427-train.txt`."""
    folders = [part for part in path.relative_to(root).parts[:-1] if part != LISTS]
    return "-".join((*folders, f"{path.stem}.txt"))


def _free_name(file: str, taken: Collection[str]) -> str:
    """File's name, with the first number that makes it unique if another list has it; letter case is ignored.

    >>> _free_name("train.txt", ["train.txt"])
    'train-2.txt'
    """
    stem = file.removesuffix(".txt")
    names = chain([file], (f"{stem}-{number}.txt" for number in count(2)))
    return next(name for name in names if name.casefold() not in taken)


def settle_formats(request: ImportRequest, stage: Path, told: StepsByName) -> tuple[str, ...]:
    """Bring staged files to what a run reads, and return a sentence for each kind of change.

    Raises:
        DataError: when a file is not usable, or has to be converted and the request does not say so.
    """
    changed = settle_masks(stage / "masks", parse_mask_rule(request.target_values))
    if request.convert:
        return (*changed, *convert_folder(stage, told.of("convert")))
    paths = [path for kind in ("images", "masks") for _, path in named_files(stage / kind, SUFFIXES)]
    refuse_unread(find_unread(paths))
    return changed


def _told_of(proof: Verification, stage: Path, goal: Path) -> Verification:
    """Verification with the staging folder's path replaced by the final one in its sentences."""
    told = {
        name: tuple(sentence.replace(str(stage), str(goal)) for sentence in getattr(proof, name))
        for name in ("problems", "notes", "broken")
    }
    return replace(proof, **told)  # type: ignore[arg-type]


@contextmanager
def origins_told(request: ImportRequest, contents: Contents, plan: Plan, stage: Path) -> Iterator[None]:
    """Raise errors about a staged file as errors about the file that it came from."""
    try:
        yield
    except DataError as error:
        staged, _, rest = str(error).partition(": ")
        file = Path(staged)
        kind, files = ("images", plan.images) if file.is_relative_to(stage / "images") else ("masks", plan.masks)
        inside = file.relative_to(stage / kind) if file.is_relative_to(stage / kind) else Path()
        found = files.get(inside.with_suffix("").as_posix()) if inside.name else None
        if found is not None:
            staged = str(contents.files[found]) if contents.form == FOLDERS_APART else f"{request.source}: {found}"
        raise DataError(f"{staged}: {rest}; nothing was imported") from None


def refuse_broken(proof: Verification) -> None:
    """Raise DataError if a file, pair or list cannot be used."""
    if proof.broken:
        more = f" (and {len(proof.broken) - 1} more such)" if len(proof.broken) > 1 else ""
        raise DataError(f"{proof.broken[0]}{more}")


def _record(made: Import) -> str:
    told: Mapping[str, object] = {
        **{name: value for name, value in asdict(made).items() if name not in ("folder", "proof")},
        "problems": len(made.proof.problems),
        "made_by": f"dfinet-bench {__version__}",
    }
    return json.dumps(told, indent=1, ensure_ascii=False) + "\n"
