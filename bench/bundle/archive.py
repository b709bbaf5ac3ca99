"""Pack a bundle: code, cards and lists, the images and weights that suites need, and the suites, in one archive.

The archive is a zip file that Python runs. Equal content gives equal bytes.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory

import bench
from bench.bundle import start
from bench.bundle.images import packed_image, packed_mask
from bench.bundle.order import CODE, DATA, ORDER_FILE, PLUGINS, SUITES, WEIGHTS, Order
from bench.data.catalogue.cards import datasets_root, load_card, own_root
from bench.data.catalogue.splits import list_names
from bench.data.images.find_dataset import find_dataset
from bench.environment import COMMIT_FILE, commit_of_code
from bench.errors import RequestError, SuiteError
from bench.part_files import replacing
from bench.progress import Progress, counting
from bench.run.preflight import lists_read_by
from bench.run.workspace import Session
from bench.suites.expand import Job
from bench.suites.suite import Suite
from bench.types import Weights
from bench.weights.catalogue import existing_weights, published_weights

PACKAGES = ("bench", "dfinet", "baselines", "reports")
LEFT_OUT = ("__pycache__", "gate")
"""Folders that no run reads: compiled files, and the reference weights of the gate."""
MIB = 1024 * 1024
PRESSED = (".png", ".jpg", ".jpeg", ".npz", ".safetensors", ".pt", ".pth", ".tar", ".gz")
"""Endings of files that are not compressed again."""

BundleContents = dict[str, bytes | Path]
"""Content by name in the archive: bytes, or the file that holds them."""


@dataclass(frozen=True)
class Bundled:
    """A bundle that was made.

    Attributes:
        size: bytes of the archive.
        sizes: bytes in the archive of each dataset, the code, the weights and the suites.
        dirty: whether the code has uncommitted changes.
    """

    path: Path
    size: int
    sizes: Mapping[str, int] = field(default_factory=dict)
    dirty: bool = False


def code_contents() -> BundleContents:
    """The packages, and the cards and lists of datasets, as they are on disk."""
    root = Path(bench.__file__).parents[1]
    contents: BundleContents = {}
    for package in PACKAGES:
        contents |= _folder_contents(root / package, f"{CODE}/{package}")
    return contents | _folder_contents(datasets_root(), f"{CODE}/datasets")


def _folder_contents(folder: Path, name: str) -> BundleContents:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix != ".pyc")
    inside = ((path, path.relative_to(folder)) for path in files)
    return {f"{name}/{place.as_posix()}": path for path, place in inside if not set(place.parts) & set(LEFT_OUT)}


def code_digest(contents: BundleContents) -> str:
    """SHA-256 over names and contents of the code."""
    return _digest({name: content for name, content in contents.items() if name.startswith(f"{CODE}/")})


def _digest(contents: BundleContents) -> str:
    lines = (f"{name}\0{hashlib.sha256(_read(content)).hexdigest()}\n" for name, content in sorted(contents.items()))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _read(content: bytes | Path) -> bytes:
    return content if isinstance(content, bytes) else content.read_bytes()


def suite_contents(suite: Suite, path: Path, name: str) -> BundleContents:
    """A suite's own file, with the plugins and weights that it names relative to itself.

    Raises:
        SuiteError: when one of them lies outside the folder of the suite's file.
    """
    contents: BundleContents = {f"{name}/{path.name}": path}
    for file in (*suite.plugins, *(row.weights for row in suite.rows if row.weights is not None)):
        place = PurePath(file.relative_to(path.parent)) if file.is_relative_to(path.parent) else None
        if place is None or ".." in place.parts:
            raise SuiteError(f"{path}: {file} lies outside the suite's folder; put it beside the suite to bundle it")
        contents[f"{name}/{place.as_posix()}"] = file
    return contents


def image_contents(jobs: Sequence[Job], data: Path | None, scratch: Path, progress: Progress) -> BundleContents:
    """The images and masks that jobs read, once each, and the cards of datasets of the user's own.

    Raises:
        DataError: when a dataset or a file of one is missing or broken.
    """
    wanted = dict.fromkeys(images for job in jobs for images, _ in lists_read_by(job))
    files: dict[Path, bool] = {}
    contents: BundleContents = {}
    for images in wanted:
        card = load_card(images.dataset)
        if (own := own_root(card.name)) is not None:
            for path in sorted((own / card.name).rglob("*")):
                if path.is_file() and path.relative_to(own / card.name).parts[0] not in ("images", "masks"):
                    contents[f"{DATA}/{path.relative_to(own).as_posix()}"] = path
        if not card.generated:
            found = find_dataset(card, data)
            pairs = map(found.pair, list_names(images.dataset, images.split, images.part, limit=images.limit))
            for image, mask in pairs:
                files |= {image: False, mask: True}
    with counting("pack images", total=len(files), progress=progress) as tell:
        for number, (path, is_mask) in enumerate(sorted(files.items()), start=1):
            name, content = (packed_mask if is_mask else packed_image)(path, scratch)
            folder = path.parent
            contents[f"{DATA}/{folder.parent.name}/{'masks' if is_mask else 'images'}/{name}"] = content
            tell(number, len(files))
    return contents


def pack_suites(
    suites: Mapping[str, tuple[Suite, Sequence[Job]]], session: Session, *, plugins: Sequence[Path] = ()
) -> tuple[BundleContents, Order]:
    """The contents of a bundle of suites, each with its experiments, and the order without the options of the run.

    Raises:
        BenchError: when a suite names files outside its folder, or an image or weights are missing or broken.
    """
    workspace = session.workspace
    jobs = [job for _, some in suites.values() for job in some]
    contents = code_contents()
    commit, dirty = commit_of_code()
    code = code_digest(contents)
    names = []
    for number, (name, (suite, _)) in enumerate(suites.items(), start=1):
        if name.endswith(".toml"):
            contents |= suite_contents(suite, Path(name), f"{SUITES}/{number}")
            name = f"{SUITES}/{number}/{Path(name).name}"
        names.append(name)
    carried = {f"{PLUGINS}/{number}/{path.name}": path for number, path in enumerate(plugins, start=1)}
    contents |= carried
    with TemporaryDirectory(prefix="dfinet-bundle-") as scratch:
        contents |= image_contents(jobs, workspace.data, Path(scratch), session.progress)
    for weights in given_weights(jobs):
        path = existing_weights(published_weights(weights.name), workspace.weights)
        contents[f"{WEIGHTS}/{path.name}"] = path
    return contents, Order(tuple(names), code, commit, dirty, plugins=tuple(carried))


def given_weights(jobs: Sequence[Job]) -> list[Weights]:
    """The weights that suites give by the name of a published checkpoint, each once."""
    found = {job.experiment.weights for job in jobs if isinstance(job.experiment.weights, Weights)}
    return sorted((one for one in found if one.name), key=lambda one: one.name)


def write_bundle(path: Path, contents: BundleContents, order: Order, *, most: int) -> Bundled:
    """Write the archive.

    Args:
        most: bytes that it may take.

    Raises:
        RequestError: when it takes more, with how much each part of it takes.
        WriteError: when it cannot be written.
    """
    commit = json.dumps({"commit": order.commit, "dirty": order.dirty}).encode()
    whole: BundleContents = {
        **contents,
        f"{CODE}/{COMMIT_FILE}": commit,
        ORDER_FILE: order.as_bytes(),
        "__main__.py": Path(start.__file__),
    }
    sizes: dict[str, int] = {}
    with replacing(path) as part:
        with zipfile.ZipFile(part, "w") as archive:
            archive.comment = _digest(whole).encode()
            for name, content in sorted(whole.items()):
                member = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
                member.create_system, member.external_attr = 3, 0o644 << 16
                member.compress_type = zipfile.ZIP_STORED if name.lower().endswith(PRESSED) else zipfile.ZIP_DEFLATED
                archive.writestr(member, _read(content), compresslevel=9)
                group = _group(name)
                sizes[group] = sizes.get(group, 0) + member.compress_size
        size = part.stat().st_size
        if size > most:
            takes = ", ".join(f"{group} {taken / MIB:.1f}" for group, taken in sizes.items())
            raise RequestError(
                f"{path}: the bundle takes {size / MIB:.1f} MiB, expected at most {most / MIB:.4g}: {takes}; "
                "choose datasets with --dataset, shorten lists with --limit, or raise --max-size"
            )
    return Bundled(path, size, sizes, dirty=bool(order.dirty))


def _group(name: str) -> str:
    """The dataset of an image; else the archive's folder that a file lies in, the start script as code."""
    first, *rest = name.split("/")
    return rest[0] if first == DATA else first if rest else CODE
