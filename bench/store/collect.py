"""Collection of finished results into a folder that can be passed on: integers and scores, no images of others."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from bench.data.catalogue.cards import is_generated
from bench.errors import StoreError
from bench.part_files import replacing
from bench.store.files import RESULT_FILE, read_manifest, read_result, write_manifest
from bench.types import RunResult, Training

KEPT = (
    "counts.npz",
    "curves.npz",
    "distances.npz",
    "errors.npz",
    "contrast.npz",
    "rounds.npz",
    "scorings.json",
    RESULT_FILE,
)
"""Files of a result that hold integers and scores alone; the result itself comes last and says that all are there."""

PICTURES = "examples.npz"
"""Images, masks and maps: passed on where the images are generated, since other people's images may not be."""


@dataclass(frozen=True)
class Collected:
    """The outcome of a collection.

    Attributes:
        suite: its name.
        rows: how many rows were collected.
        absent: label and dataset of each row that has no finished result, with the reason.
    """

    suite: str
    rows: int
    absent: tuple[str, ...] = ()


def collect_suite(runs: Path, suite: str, out: Path) -> Collected:
    """Copy a suite's manifest and the small files of its finished results from one folder of results to another.

    The manifest keeps why the other rows have none, so that a report of what was collected says it as well.

    Raises:
        StoreError: when the suite was not run there, its last run was a limited trial, no row of it is finished, or
            both folders are the same.
    """
    if out.resolve() == runs.resolve():
        raise StoreError(f"{out}: is where the results lie already; collect them into another folder")
    manifest = read_manifest(runs, suite)
    if manifest.limited:
        raise StoreError(
            f"suite {suite}: its last run in {runs} was a limited trial, expected whole lists; run it without --limit"
        )
    absent, found = [], []
    reasons = dict(manifest.unreached)
    for row in manifest.rows:
        try:
            result = read_result(runs / row.key)
        except StoreError as error:
            absent.append(f"{row.title} on {row.test_set}: {error}")
            continue
        if result.status == "failed":
            absent.append(f"{row.title} on {row.test_set}: {result.reason}")
            reasons[row.key] = f"failed: {result.reason}"
        else:
            found.append(result)
    if not found:
        raise StoreError(f"suite {suite}: no finished result in {runs} ({absent[0]}); run it first")
    for result in found:
        _copy_result(runs, out, result)
    write_manifest(out, replace(manifest, unreached=reasons))
    return Collected(suite, len(found), tuple(absent))


def files_of_result(runs: Path, result: RunResult) -> list[Path]:
    """The small files of a result, and the log of its training, whether they are there or not."""
    weights = result.experiment.weights
    logs = [runs / "trainings" / weights.key / "log.jsonl"] if isinstance(weights, Training) else []
    pictures = [PICTURES] if is_generated(result.experiment.images.dataset) else []
    return [*logs, *(runs / result.key / name for name in (*pictures, *KEPT))]


def _copy_result(runs: Path, out: Path, result: RunResult) -> None:
    for source in files_of_result(runs, result):
        _copy(source, out / source.relative_to(runs))


def _copy(source: Path, target: Path) -> None:
    """Copy a file, whole or not at all; one that is not there is taken away at the target."""
    if source.is_file():
        with replacing(target) as part:
            shutil.copyfile(source, part)
    else:
        target.unlink(missing_ok=True)
