"""Damaged results: every reader of a run's files says what is wrong in one line, and a report goes on without them."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import caller

from bench.errors import BenchError
from bench.protocols.scorings import read_records
from bench.run.gate_reference import read_reference
from bench.store.files import load_arrays, read_manifest, read_result
from reports.figures.curves import read_curves
from reports.figures.distances import read_distances
from reports.figures.examples import read_examples
from reports.figures.loss import read_loss
from reports.results.entries import Entry, read_suite
from reports.results.image_counts import missing_counts, read_counted
from reports.results.mask_changes import read_changes
from tests.reports.fake_runs import DFINET, measured, result, write_suite

READERS: dict[str, Callable[[Entry], object]] = {
    "counts.npz": lambda entry: read_counted([entry], mixed="refuse"),
    "curves.npz": read_curves,
    "distances.npz": read_distances,
    "examples.npz": read_examples,
    "rounds.npz": read_changes,
    "scorings.json": lambda entry: read_records(entry.folder),
}
VALUES = (None, "text", -1, 0, 1e308, 10**400, [], {}, [[1]], True, "\ud800", float("nan"), [[[[["deep"]]]]])
SEEDS = range(25)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with all its files."""
    root = tmp_path_factory.mktemp("whole")
    write_suite(root, [("DFINet", measured(result(DFINET), root, skill=0.8, frames=4), None)])
    return root


@pytest.fixture
def runs(whole: Path, tmp_path: Path) -> Path:
    """A copy of it, to be damaged."""
    return Path(shutil.copytree(whole, tmp_path / "runs"))


def folder_in(runs: Path) -> Path:
    return next(path.parent for path in runs.glob("*/result.json"))


def damaged(data: bytes, rng: random.Random) -> bytes:
    """The bytes with one bit flipped, cut short, zeroed in part, or replaced by something else."""
    place = rng.randrange(len(data))
    flipped = data[:place] + bytes([data[place] ^ 1 << rng.randrange(8)]) + data[place + 1 :]
    zeroed = data[:place] + bytes(len(data[place : place + 40])) + data[place + 40 :]
    return rng.choice([flipped, flipped, data[:place], zeroed, b"[" * 20_000, b"<html>", b""])


def replaced(array: np.ndarray[Any, Any], rng: random.Random) -> np.ndarray[Any, Any]:
    """An array of another type, shape or size."""
    is_text = array.dtype.kind == "U"
    return rng.choice(
        [
            array.astype("U"),
            array[..., None],
            array.ravel()[:0],
            array.ravel()[:-1],
            np.array(3),
            np.zeros(3, np.complex64),
            array if is_text else array.astype(float) * np.nan,
            array if is_text else -array.astype(np.int64) - 5,
            array if is_text else array.astype(np.int64) * 10**9,
        ]
    )


def read_all(runs: Path) -> list[str]:
    """One line for each file that cannot be read; anything but an error for the user is raised."""
    said = []
    try:
        _, entries = read_suite(runs, "trial")
    except BenchError as error:
        return [str(error)]
    for entry in entries:
        said += [entry.reason]
        for read in (*READERS.values(), read_loss):
            try:
                read(entry)
            except BenchError as error:
                said.append(str(error))
    return [*filter(None, said), *filter(None, [missing_counts(read_counted(entries, mixed="refuse"))])]


def test_a_whole_run_is_read_without_a_word(runs: Path) -> None:
    assert read_all(runs) == []


@pytest.mark.parametrize("seed", SEEDS)
def test_damaged_bytes_of_any_file_end_in_one_line_or_change_nothing(runs: Path, seed: int) -> None:
    rng = random.Random(seed)
    for path in sorted(path for path in runs.rglob("*") if path.is_file()):
        content = path.read_bytes()
        path.write_bytes(damaged(content, rng))
        assert all(len(line.splitlines()) == 1 for line in read_all(runs))
        path.write_bytes(content)


@pytest.mark.parametrize("name", [name for name in READERS if name.endswith(".npz")])
def test_arrays_of_another_type_or_shape_end_in_one_line(runs: Path, name: str) -> None:
    rng, path = random.Random(name), folder_in(runs) / name
    arrays = load_arrays(path)
    for array in arrays:
        for _ in range(2):
            np.savez(path, **{**arrays, array: replaced(arrays[array], rng)})  # type: ignore[arg-type]
            assert all(len(line.splitlines()) == 1 for line in read_all(runs))


def leaves(content: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of every value in plain content."""
    yield path
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in items:
        yield from leaves(value, (*path, key))


def with_value(content: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    copy = content.copy()
    copy[path[0]] = with_value(content[path[0]], path[1:], value)
    return copy


def complaint(read: Callable[[], object]) -> str:
    """The message of an error for the user; empty where there is none."""
    try:
        read()
    except BenchError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", ["result.json", "scorings.json", "suites/trial.json"])
def test_json_values_of_another_type_end_in_one_line(runs: Path, name: str) -> None:
    rng = random.Random(name)
    path = runs / name if "/" in name else folder_in(runs) / name
    content = json.loads(path.read_text())
    paths = list(leaves(content))
    read = {
        "result.json": lambda: read_result(path.parent),
        "scorings.json": lambda: read_records(path.parent),
        "suites/trial.json": lambda: read_manifest(runs, "trial"),
    }[name]
    for place in rng.sample(paths, min(len(paths), 120)):
        path.write_text(json.dumps(with_value(content, place, rng.choice(VALUES))))
        said = complaint(read)
        assert len(said.splitlines()) <= 1
        assert len(said) < len(str(path)) + 400


@pytest.mark.parametrize(
    ("place", "value", "told"),
    [
        (("scores",), [1, 2], "scores: found list, expected an object"),
        (("scores", "IoU/pooled", "value"), "0.5", "scores: IoU/pooled: value is '0.5', expected a number or none"),
        (
            ("scores", "IoU/pooled", "value"),
            2**90,
            "not a JSON file (found a whole number of 91 bits",
        ),
        (("model", "name"), 7, "model: name is 7, expected text"),
        (("reason",), "\ud800", r"not a JSON file (found '\ud800', expected text without surrogates)"),
    ],
)
def test_a_wrong_type_is_told_by_its_field(runs: Path, place: tuple[Any, ...], value: Any, told: str) -> None:
    path = folder_in(runs) / "result.json"
    path.write_text(json.dumps(with_value(json.loads(path.read_text()), place, value)))
    (entry,) = read_suite(runs, "trial")[1]
    assert entry.scored is None
    assert entry.reason.startswith(f"unreadable result: {entry.row.key}/result.json: {told}")


def test_a_report_of_damaged_files_names_each_and_prints_no_traceback(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Failures are told, one line a file, and the tables are made of what is left."""
    for name in READERS:
        path = folder_in(runs) / name
        path.write_bytes(path.read_bytes()[:-100] if name.endswith(".npz") else b"[" * 20_000)
    for log in runs.glob("trainings/*/log.jsonl"):
        log.write_text('{"epoch": 1, "loss": {}}\n')
    call = caller(monkeypatch, capfd)
    made = call("report", "trial", "--from", str(runs), "--out", str(tmp_path / "out"), "--mlflow", "off")
    assert made.code == 0, made.err
    assert "Traceback" not in made.err
    assert "a bug in" not in made.err
    notes = [line for line in made.err.splitlines() if line.startswith("note: ")]
    for name in (*READERS, "log.jsonl"):
        assert [note for note in notes if name in note], (name, notes)
    assert (tmp_path / "out/index.html").is_file()


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 20_000, b"\xff\xfe", b'{"schema": 1, "key": 3}'])
def test_score_and_gate_refuse_a_damaged_file_in_one_line(
    runs: Path, content: bytes, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    path = folder_in(runs) / "result.json"
    path.write_bytes(content)
    call = caller(monkeypatch, capfd)
    for words in (["score", str(path.parent)], ["gate", "quick", "--reference", str(path)]):
        made = call(*words)
        assert made.code == 2
        assert len(made.err.splitlines()) == 1
        assert made.err.startswith("error: ")
    with pytest.raises(BenchError, match=r"result\.json"):
        read_reference(path)


@pytest.mark.parametrize(("name", "value"), [("title", 7), ("limited", "no"), ("columns", 3)])
def test_a_damaged_field_of_a_suites_manifest_is_named_with_its_file(
    runs: Path, name: str, value: object, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    path = runs / "suites/trial.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {name: value}))
    call = caller(monkeypatch, capfd)
    for words in (
        ("report", "trial", "--from", str(runs), "--out", str(runs / "out"), "--mlflow", "off"),
        ("publish", "trial", "--from", str(runs), "--mlflow", f"sqlite:///{runs}/mlflow.db"),
        ("collect", "trial", "--from", str(runs), "--out", str(runs / "out")),
    ):
        made = call(*words)
        assert made.code == 2
        assert made.err.startswith(f"error: {path}: {name} is {value!r}, expected ")
        assert len(made.err.splitlines()) == 1
