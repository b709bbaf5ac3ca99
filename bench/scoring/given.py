"""Scores of given predictions as results of a suite, so that reports are made of what `score` has written."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench._version import __version__
from bench.characters import refuse_steering, show_steering
from bench.data.catalogue.splits import names_digest
from bench.digest import file_digest
from bench.errors import BenchError, RecordError, RequestError, StoreError
from bench.metrics.counting.counts import CountTable
from bench.protocols.scorings import ScoringRecord, write_records
from bench.records import from_plain
from bench.scoring.request import FILES, SCORES_FILE
from bench.store.files import Manifest, load_arrays, read_json, write_manifest, write_result
from bench.types import Experiment, ImageList, Input, ModelInfo, Predictions, Row, RunResult, Score, Scoring

PROTOCOL = "none (given predictions)"
SPLIT = "as given"


@dataclass(frozen=True)
class WrittenScores:
    """Scores of one method as `score --out` or `score --json` writes them.

    Attributes:
        label: name of the folder, or of the file.
        records: under each scoring; the first one is that of the tables.
        folder: with the integers; None where there are none.
        names: of the images; empty where there are no integers.
    """

    label: str
    path: Path
    records: tuple[ScoringRecord, ...]
    folder: Path | None = None
    names: tuple[str, ...] = ()


def given_result(
    experiment: Experiment, scoring: Scoring, scores: Mapping[str, Score], environment: Mapping[str, Any]
) -> RunResult:
    """The result of given predictions."""
    given = experiment.weights
    assert isinstance(given, Predictions)
    return RunResult(
        key=experiment.key,
        status="done",
        experiment=experiment,
        scoring=scoring,
        protocol=PROTOCOL,
        model=ModelInfo(given.model, cite="", source=f"given predictions in {given.place}", licence="", recipe=""),
        scores=scores,
        rounds=(scores,),
        environment={"dfinet_bench": __version__, **environment},
    )


def given_row(result: RunResult) -> Row:
    """The row of a manifest that the result of given predictions answers."""
    label, images = result.experiment.model, result.experiment.images
    return Row(
        label, label, images.dataset, images.split, PROTOCOL, result.scoring, 0, result.key, leaked=result.leaked
    )


def written_scores(path: Path) -> tuple[Path, ...]:
    """The scores at a path: a folder or JSON file that `score` has written, or a folder of such folders; or none."""
    if path.is_file():
        return (path,) if path.suffix == ".json" else ()
    if (path / SCORES_FILE).is_file():
        return (path,)
    return tuple(sorted(inner.parent for inner in path.glob(f"*/{SCORES_FILE}")))


def store_scores(paths: Sequence[Path], root: Path, name: str) -> Manifest:
    """Store written scores below `root` as the results of a suite of that name, which is that of the dataset, too.

    Raises:
        RequestError: when two methods have one name.
        StoreError: when a file is missing, broken, or of other images than the first one's.
    """
    refuse_steering(name, "the report's name")
    if Path(name).name != name:
        raise RequestError(f"report {name!r}: a path, expected a name for the report of these scores")
    found = [_read_scores(path) for path in paths]
    for number, one in enumerate(found):
        if twin := next((other for other in found[:number] if other.label == one.label), None):
            raise RequestError(
                f"{twin.path} and {one.path} are both called {one.label!r}, expected a name for each; rename a folder"
            )
        _refuse_other_images(found[0], one)
    has_names = all(one.names for one in found)
    rows = tuple(given_row(_store(one, root, dataset=name, has_names=has_names)) for one in found)
    manifest = Manifest(name, name, rows)
    write_manifest(root, manifest)
    return manifest


def _refuse_other_images(first: WrittenScores, other: WrittenScores) -> None:
    counts = [one.records[0].images for one in (first, other)]
    if counts[0] == counts[1] and (not (first.names and other.names) or set(first.names) == set(other.names)):
        return
    lone = sorted(set(first.names) ^ set(other.names))
    named = f", of which {len(lone)} are of one alone, the first {lone[0]!r}" if lone else ""
    raise StoreError(
        f"{first.path} and {other.path}: {counts[0]} and {counts[1]} images{named}, expected the same images; "
        "score both with one --list"
    )


def _read_scores(path: Path) -> WrittenScores:
    file = path / SCORES_FILE if path.is_dir() else path
    content = read_json(file)
    try:
        records = _records(content)
    except BenchError as error:
        raise StoreError(f"{file}: not what dfinet-bench score writes ({error}); score the predictions again") from None
    resolved = path.resolve()
    label = show_steering(resolved.name if path.is_dir() else resolved.stem)
    if not path.is_dir():
        return WrittenScores(label, path, records)
    folder = path if len(records) == 1 else path / records[0].scoring.name.partition(",")[0]
    counts = folder / "counts.npz"
    try:
        table = CountTable.from_arrays(load_arrays(counts))
    except ValueError as error:
        text = str(error)
        raise StoreError(text if str(counts) in text else f"{counts}: {text}") from None
    return WrittenScores(label, path, records, folder, table.names)


def _records(content: Any) -> tuple[ScoringRecord, ...]:
    several = content.get("scorings") if isinstance(content, dict) else None
    plain = several if isinstance(several, list) else [content]
    if not plain or not all(isinstance(one, dict) for one in plain):
        raise RecordError("no scoring in it")
    return tuple(
        from_plain(ScoringRecord, {key: value for key, value in one.items() if key != "notes"}) for one in plain
    )


def _store(scores: WrittenScores, root: Path, *, dataset: str, has_names: bool) -> RunResult:
    """Write one method's files as those of a run, its result last, and return that."""
    file = scores.path / SCORES_FILE if scores.path.is_dir() else scores.path
    first = scores.records[0]
    digest = names_digest(sorted(scores.names)) if has_names else ""
    images = ImageList(dataset, SPLIT, "test", digest, first.images)
    given = Predictions(scores.label, file_digest(file), place=str(scores.path))
    result = given_result(Experiment(given, images, Input("pillow-grey", 1)), first.scoring, first.scores, {})
    folder = root / result.key
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILES if scores.folder is not None else ():
        assert scores.folder is not None
        if (scores.folder / f"{name}.npz").is_file():
            shutil.copyfile(scores.folder / f"{name}.npz", folder / f"{name}.npz")
    if len(scores.records) > 1:
        write_records(folder, scores.records)
    write_result(folder, result)
    return result
