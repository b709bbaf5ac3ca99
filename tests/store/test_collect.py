"""Collected results hold scores and integers, and nothing of other people's images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from records import RESULT, ROW

from bench.errors import StoreError
from bench.store.collect import KEPT, PICTURES, collect_suite
from bench.store.files import Manifest, read_manifest, read_result, write_manifest, write_result, write_text
from bench.types import ImageList, Row, RunResult, Training
from reports.results.entries import read_suite

SYNTHETIC = replace(RESULT.experiment.images, dataset="synthetic", split="bench", part="test")
REAL = ImageList("NUDT-SIRST", "basicirstd", "test", digest="d", count=664)


def finished(folder: Path, images: ImageList) -> Row:
    """A finished result on these images, with every file that a run leaves, and its row."""
    experiment = replace(RESULT.experiment, images=images)
    made = replace(RESULT, key=experiment.key, experiment=experiment, status="done")
    write_result(folder / made.key, made)
    for name in ("predictions.npz", PICTURES, *KEPT[:-1]):
        write_text(folder / made.key / name, f"{name} of {images.dataset}")
    assert isinstance(experiment.weights, Training)
    for name in ("log.jsonl", "checkpoint.safetensors"):
        write_text(folder / "trainings" / experiment.weights.key / name, name)
    return replace(ROW, key=made.key, dataset=images.dataset, split=images.split)


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_scores_and_integers_are_collected_and_images_only_where_they_are_generated(tmp_path: Path) -> None:
    runs, out = tmp_path / "runs", tmp_path / "results"
    rows = (finished(runs, SYNTHETIC), finished(runs, REAL))
    write_manifest(runs, Manifest("mine", "Mine", rows))
    collected = collect_suite(runs, "mine", out)
    assert (collected.suite, collected.rows, collected.absent) == ("mine", 2, ())
    training = RESULT.experiment.weights
    assert isinstance(training, Training)
    assert files(out) == {
        "suites/mine.json",
        f"trainings/{training.key}/log.jsonl",
        f"{rows[0].key}/{PICTURES}",
        *(f"{row.key}/{name}" for row in rows for name in KEPT),
    }
    assert read_manifest(out, "mine") == read_manifest(runs, "mine")
    assert all(read_result(out / row.key) == read_result(runs / row.key) for row in rows)


def test_collecting_again_takes_away_what_is_gone(tmp_path: Path) -> None:
    runs, out = tmp_path / "runs", tmp_path / "results"
    row = finished(runs, REAL)
    write_manifest(runs, Manifest("mine", "Mine", (row,)))
    collect_suite(runs, "mine", out)
    (runs / row.key / "rounds.npz").unlink()
    collect_suite(runs, "mine", out)
    assert not (out / row.key / "rounds.npz").exists()
    assert (out / row.key / "counts.npz").is_file()


def failed(folder: Path) -> RunResult:
    experiment = replace(RESULT.experiment, images=REAL, rounds=3)
    made = replace(RESULT, key=experiment.key, experiment=experiment, status="failed", reason="boom", scores={})
    write_result(folder / made.key, made)
    return made


def test_rows_that_are_not_finished_are_named_and_their_dashes_kept(tmp_path: Path) -> None:
    runs, out = tmp_path / "runs", tmp_path / "results"
    row, broken = finished(runs, REAL), failed(runs)
    rows = (row, replace(row, label="broken", key=broken.key), replace(row, label="never", key="0" * 12))
    write_manifest(runs, Manifest("mine", "Mine", rows))
    collected = collect_suite(runs, "mine", out)
    assert collected.rows == 1
    assert collected.absent[0] == "broken on NUDT-SIRST: boom"
    assert collected.absent[1].startswith("never on NUDT-SIRST: ")
    assert not (out / broken.key).exists()
    assert read_manifest(out, "mine").rows == rows
    assert read_suite(out, "mine")[1][1].reason == "failed: boom"


def test_a_limited_trial_takes_no_place_among_results(tmp_path: Path) -> None:
    runs, out = tmp_path / "runs", tmp_path / "results"
    whole = Manifest("mine", "Mine", (finished(runs, REAL),))
    write_manifest(runs, whole)
    collect_suite(runs, "mine", out)
    write_manifest(runs, replace(whole, limited=True))
    with pytest.raises(StoreError, match=r"suite mine: .* was a limited trial, .*; run it without --limit"):
        collect_suite(runs, "mine", out)
    assert read_manifest(out, "mine") == whole


def test_what_cannot_be_collected_is_one_line(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    broken = failed(runs)
    write_manifest(runs, Manifest("mine", "Mine", (replace(ROW, key=broken.key),)))
    with pytest.raises(StoreError, match=r"suite mine: no finished result in .* \(.*: boom\); run it first"):
        collect_suite(runs, "mine", tmp_path / "results")
    with pytest.raises(StoreError, match=r"other\.json: no such file"):
        collect_suite(runs, "other", tmp_path / "results")
    with pytest.raises(StoreError, match="is where the results lie already"):
        collect_suite(runs, "mine", runs)
