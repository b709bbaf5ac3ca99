"""Experiments from weights to recorded results: the same numbers again, failures recorded, what is done left alone."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import fakes
import numpy as np
import pytest
import torch
from aligned import align
from fakes import LossBreaks, make_jobs, synthetic_frames
from numpy.typing import NDArray

from bench.cost.measure import measure_cost
from bench.data.catalogue.cards import load_card
from bench.data.catalogue.splits import image_list
from bench.data.images.corruptions import parse_corruption
from bench.data.images.decode import resize_bilinear
from bench.data.images.frames import Frame, Frames
from bench.data.images.start_masks import STARTS
from bench.errors import CheckpointError, DataError, SuiteError
from bench.metrics.contrast import CONTRAST, ContrastWriter
from bench.metrics.counting.counts import CountsWriter, CountTable, count_image
from bench.metrics.curve_scores import score_curves
from bench.metrics.curves import CurveCounts
from bench.metrics.errors import ERRORS, ErrorsWriter
from bench.metrics.registry import score_counts, score_rounds
from bench.metrics.rounds import RoundTable
from bench.models.network import MODELS
from bench.prediction.tune_threshold import best_level
from bench.run.experiment import run_job
from bench.run.local import run_all
from bench.run.preflight import check_jobs, check_weights, is_done, read_images
from bench.run.workspace import Session, Workspace
from bench.store.files import Manifest, load_arrays, read_result, write_result
from bench.store.tracker import Tracker
from bench.suites.expand import Job, expand
from bench.suites.suite import Limit, load_suite
from bench.types import Cost, Input, Method, Reported, Row, RunResult, Score, Scoring, Weights
from bench.weights import catalogue
from bench.weights.catalogue import PublishedWeights
from bench.weights.load import weights_digest


@pytest.fixture(autouse=True)
def fake_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    fakes.register_fakes(monkeypatch)


class Diary(Tracker):
    """A tracker that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def begin_suite(self, manifest: Manifest) -> None:
        self.told.append(f"suite {manifest.suite}")

    def begin_experiment(self, row: Row) -> None:
        self.told.append(f"begin {row.label}")

    def log_epoch(self, record: Mapping[str, float]) -> None:
        self.told.append(f"epoch {record['epoch']}")

    def end_experiment(self, row: Row, result: RunResult, folder: Path) -> None:
        self.told.append(f"end {row.label}: {result.status}")
        assert read_result(folder) == result

    def log_stored(self, row: Row, result: RunResult, folder: Path) -> None:
        self.told.append(f"stored {row.label}: {result.status}")
        assert read_result(folder) == result


FILES = tuple(
    f"{stem}.npz"
    for stem in ("counts", "curves", "distances", "predictions", "examples", "rounds", "errors", "contrast")
)
"""What a run of several rounds leaves beside its result."""


def make_session(runs: Path, diary: Diary | None = None) -> Session:
    """A session without a data folder, on the CPU."""
    return Session(Workspace.open(runs), tracker=diary or Diary())


def run_here(jobs: list[Job], runs: Path) -> tuple[list[RunResult], list[str]]:
    """The jobs' results, and what the tracker was told."""
    diary = Diary()
    return run_all(jobs, make_session(runs, diary)), diary.told


def test_a_result_says_how_it_came_about(tmp_path: Path) -> None:
    (job,) = make_jobs(tmp_path, "Echo", rounds=3, recipe__epochs=2)
    (result,), told = run_here([job], tmp_path)
    assert told == ["begin Echo", "epoch 1", "epoch 2", "end Echo: limited"]
    assert read_result(tmp_path / job.row.key) == result
    assert (result.key, result.status, result.reason) == (job.row.key, "limited", "")
    assert (result.protocol, result.scoring, result.experiment) == ("native", job.row.scoring, job.experiment)
    assert (result.epochs, result.optimistic) == (2, False)
    assert result.best_epoch in (1, 2)
    assert len(result.rounds) == 3
    assert result.scores == result.rounds[-1]
    assert (result.costs[0].size, result.costs[0].rounds, result.costs[0].parameters) == ((256, 256), 3, 3)
    assert result.environment["dataset_digest"] == load_card("synthetic").digest
    assert result.environment["images_digest"] == synthetic_frames("test", fakes.TEST).digest
    assert result.environment["other_images"] == 0
    (stretch,) = result.environment["trained_with"]
    assert stretch["epochs"] == [1, result.epochs]
    assert stretch["threads"] == torch.get_num_threads()
    assert set(result.times) == {"train_s", "predict_s", "score_s"}
    written = {path.name for path in (tmp_path / job.row.key).iterdir()}
    assert written == {"result.json", "scorings.json", *FILES}


def test_weights_chosen_on_the_test_list_are_called_optimistic(tmp_path: Path) -> None:
    (job,) = make_jobs(tmp_path, "Dot", selection__on="test")
    (result,), _ = run_here([job], tmp_path)
    assert result.optimistic


@pytest.mark.parametrize(("model", "settings"), [("Echo", ()), ("DFINet", (("width", 2),))])
def test_the_same_experiment_has_the_same_numbers_to_the_last_bit(
    model: str, settings: tuple[tuple[str, int], ...], tmp_path: Path
) -> None:
    (planned,) = make_jobs(tmp_path, model, rounds=2, input__size=[32, 32], recipe__patch="none")
    slim = replace(planned.experiment, weights=replace(planned.experiment.weights, config=settings))
    job = Job(replace(planned.row, key=slim.key), slim)
    results = [run_here([job], tmp_path / folder)[0][0] for folder in ("one", "two")]
    assert results[0].status == "limited"
    assert results[0].rounds == results[1].rounds
    for name in FILES:
        one, two = ((tmp_path / folder / job.row.key / name).read_bytes() for folder in ("one", "two"))
        assert one == two, name


@pytest.mark.parametrize(
    ("protocol", "changes"),
    [
        ("native", {}),
        ("native", {"input.size": [48, 80], "recipe.patch": "none"}),
        ("native", {"input.size": [48, 80], "recipe.patch": "none", "scoring.resolution": "network"}),
        ("dfinet", {"input.size": [96, 96]}),
    ],
)
def test_stored_predictions_are_exactly_what_was_scored(
    protocol: str, changes: dict[str, object], tmp_path: Path
) -> None:
    overrides = {name.replace(".", "__"): value for name, value in changes.items()}
    (job,) = make_jobs(tmp_path, "Echo", protocol=protocol, rounds=3, **overrides)
    (result,), _ = run_here([job], tmp_path)
    assert result.status == "limited", result.reason
    folder, scoring = tmp_path / job.row.key, job.row.scoring
    stored = load_arrays(folder / "predictions.npz")
    table = CountTable.from_arrays(load_arrays(folder / "counts.npz"))
    frames = synthetic_frames("test", fakes.TEST)
    assert tuple(stored) == table.names == frames.names
    writer, curves = CountsWriter(scoring), CurveCounts(scoring)
    for frame in frames:
        assert stored[frame.name].dtype == np.uint16
        levels, truth = align(stored[frame.name], frame, scoring)
        writer.add(frame.name, [levels], truth=truth)
        curves.add(levels, truth)
    again = writer.table().round(0)
    last = table.round(-1)
    for field in ("pixels", "intersection", "predicted", "hits", "matched", "unmatched_area", "target_matched"):
        assert np.array_equal(getattr(again, field), getattr(last, field)), field
    beside = score_curves(curves, scoring) | causes_of(stored, frames, scoring)
    *before, final = score_rounds(table, scoring)
    assert (*before, final | beside) == result.rounds
    assert not set(final) & set(beside)
    alone = score_counts(again, scoring) | beside
    assert alone == {name: result.scores[name] for name in alone}
    assert all("cumulative-rounds" in name for name in result.scores if name not in alone)
    kept = load_arrays(folder / "curves.npz")
    assert all(np.array_equal(array, kept[name]) for name, array in curves.to_arrays().items())


def causes_of(stored: Mapping[str, NDArray[np.uint16]], frames: Frames, scoring: Scoring) -> dict[str, Score]:
    """Scores of errors and contrast from stored predictions; none on soft masks."""
    if scoring.ground_truth == "soft":
        return {}
    errors, contrast = ErrorsWriter(scoring), ContrastWriter(scoring)
    for frame in frames:
        levels, truth = align(stored[frame.name], frame, scoring)
        errors.add(frame.name, levels, truth=truth)
        contrast.add(
            frame.name, levels, truth=truth, grey=resize_bilinear(frame.grey, (truth.shape[0], truth.shape[1]))
        )
    return ERRORS.score(errors.table(), scoring) | CONTRAST.score(contrast.table(), scoring)


def test_soft_masks_have_no_errors_by_cause(tmp_path: Path) -> None:
    (job,) = make_jobs(tmp_path, "Echo", protocol="dfinet", rounds=2, input__size=[96, 96])
    (result,), _ = run_here([job], tmp_path)
    assert not [name for name in result.scores if name.startswith(("hIoU", "SCRG", "BSF"))]
    assert not (tmp_path / job.row.key / "errors.npz").exists()
    assert not (tmp_path / job.row.key / "contrast.npz").exists()


def test_every_round_is_counted_afresh(tmp_path: Path) -> None:
    (job,) = make_jobs(tmp_path, "Echo", rounds=3)
    run_here([job], tmp_path)
    examples = load_arrays(tmp_path / job.row.key / "examples.npz")
    table = CountTable.from_arrays(load_arrays(tmp_path / job.row.key / "counts.npz"))
    assert table.rounds == 3
    assert len(examples["names"]) > 0
    for number, name in enumerate(examples["names"].tolist()):
        maps, mask = examples[f"rounds_{number}"], examples[f"mask_{number}"]
        assert len(maps) == 3
        for turn, levels in enumerate(maps):
            alone = count_image(levels, mask, scoring=job.row.scoring)
            image = table.names.index(name)
            assert table.predicted[turn, image] == alone.predicted
            assert table.intersection[turn, image] == alone.intersection
            assert table.matched[turn, image] == alone.matched


def test_what_happens_between_rounds_is_stored(tmp_path: Path) -> None:
    """The network turns its last mask over: from all pixels nothing ever changes, from noise about half of them do."""
    ones, noise = (make_jobs(tmp_path, "Parrot", rounds=4, start=start)[0] for start in ("ones", "noise"))
    run_here([ones, noise], tmp_path)
    frames = synthetic_frames("test", fakes.TEST)
    actual = [int(frame.binary_mask.sum()) for frame in frames]
    still, moving = (
        RoundTable.from_arrays(load_arrays(tmp_path / job.row.key / "rounds.npz")) for job in (ones, noise)
    )
    assert still.names == moving.names == frames.names
    assert still.changed.tolist() == [[0] * fakes.TEST] * 3
    assert (still.fixed.tolist(), still.repeats.tolist()) == ([1] * fakes.TEST, [2] * fakes.TEST)
    assert still.start_predicted.tolist() == still.pixels.tolist() == [128 * 128] * fakes.TEST
    assert still.start_intersection.tolist() == still.actual.tolist() == moving.actual.tolist() == actual
    for place, frame in enumerate(frames):
        start = STARTS.get("noise")(frame, (128, 128))
        turned = int((start != start[:, ::-1]).sum())
        assert moving.changed[:, place].tolist() == [turned] * 3
        assert moving.flicker[place] == turned > 0
        assert moving.start_predicted[place] == start.sum()
        assert moving.start_intersection[place] == (start & frame.binary_mask).sum()
    assert (moving.fixed.tolist(), moving.repeats.tolist()) == ([4] * fakes.TEST, [0] * fakes.TEST)


def test_a_network_without_rounds_stores_nothing_of_them(tmp_path: Path) -> None:
    (job,) = make_jobs(tmp_path, "Dot", rounds=4, start="noise")
    (result,), _ = run_here([job], tmp_path)
    assert not (tmp_path / job.row.key / "rounds.npz").exists()
    assert not any("cumulative" in name for name in result.scores)


def test_one_training_serves_all_start_masks_and_all_are_other_experiments(tmp_path: Path) -> None:
    jobs = [make_jobs(tmp_path, "Parrot", rounds=2, start=start)[0] for start in STARTS]
    first, _ = run_here(jobs[:1], tmp_path)
    state = next((tmp_path / "trainings").glob("*/state.pt")).stat().st_mtime_ns
    others, _ = run_here(jobs[1:], tmp_path)
    results = [*first, *others]
    (training,) = (tmp_path / "trainings").iterdir()
    assert (training / "state.pt").stat().st_mtime_ns == state, "nothing was learnt again"
    assert len({result.key for result in results}) == 5
    assert [result.experiment.start for result in results] == ["otsu", "zeros", "ones", "noise", "ground-truth"]
    values = [result.scores["Recall/pooled"].value for result in results]
    assert (values[1], values[2], values[4]) == (0.0, 1.0, 1.0), "after two turns the start mask is back"


def test_a_training_is_read_from_its_folder_once_and_told_of_with_every_experiment(tmp_path: Path) -> None:
    first, second = (make_jobs(tmp_path, "Parrot", rounds=2, start=start)[0] for start in ("otsu", "zeros"))
    diary = Diary()
    session = Session(Workspace.open(tmp_path), tracker=diary)
    run_all([first], session)
    once = [line for line in diary.told if line.startswith("epoch")]
    next((tmp_path / "trainings").glob("*/state.pt")).write_bytes(b"broken, and nobody looks")
    (result,) = run_all([second], session)
    assert result is not None
    assert result.status == "limited"
    assert once
    assert [line for line in diary.told if line.startswith("epoch")] == 2 * once


def test_rounds_so_far_are_scored_beside_every_round(tmp_path: Path) -> None:
    """From the mask itself the odd rounds are turned over and miss all; of k rounds, k // 2 find every target."""
    (job,) = make_jobs(tmp_path, "Parrot", rounds=4, start="ground-truth")
    (result,), _ = run_here([job], tmp_path)
    assert [scores["Recall/pooled"].value for scores in result.rounds[1::2]] == [1.0, 1.0]
    targets = sum(count_image_targets(frame) for frame in synthetic_frames("test", fakes.TEST))
    matched = [round((scores["Pd/centroid-3px"].value or 0) * targets) for scores in result.rounds]
    for k, scores in enumerate(result.rounds, start=1):
        expected = sum(matched[:k]) / (k * targets)
        assert scores["legacy:Pd/cumulative-rounds"].value == expected
    assert [name for name in result.scores if "cumulative" in name] == [
        "legacy:IoU/cumulative-rounds",
        "legacy:Pd/cumulative-rounds",
        "legacy:Fa/cumulative-rounds",
    ]


def count_image_targets(frame: Frame) -> int:
    """Targets of a frame's mask."""
    empty = np.zeros(frame.size, np.uint16)
    return count_image(empty, frame.binary_mask, scoring=Scoring("native")).targets


def test_a_failed_experiment_is_recorded_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    jobs = make_jobs(tmp_path, "Dot", "LossBreaks", "Echo", recipe__epochs=2, rounds=2)
    with caplog.at_level(logging.ERROR):
        results, told = run_here(jobs, tmp_path)
    assert [result.status for result in results] == ["limited", "failed", "limited"]
    failed = tmp_path / jobs[1].row.key
    assert read_result(failed) == results[1]
    assert results[1].reason.startswith("NonFiniteLossError: the loss is nan in epoch 2 on the batch of images scene-")
    assert results[1].scores == {}
    assert "LossBreaks on synthetic failed: the loss is nan" in caplog.text
    assert "Traceback" in (failed / "error.log").read_text()
    assert told[-1] == "end Echo: limited"

    monkeypatch.setattr(LossBreaks, "found", 1.0)
    again, told = run_here(jobs, tmp_path)
    assert told == [
        "stored Dot: limited",
        "begin LossBreaks",
        "epoch 1",
        "epoch 2",
        "end LossBreaks: limited",
        "stored Echo: limited",
    ]
    assert (again[0], again[2]) == (results[0], results[2])
    assert again[1].scores
    assert not (failed / "error.log").exists()


def test_a_prediction_that_is_no_number_fails_its_experiment_by_the_images_name(tmp_path: Path) -> None:
    (job,) = make_jobs(tmp_path, "MapBreaks", selection__rule="last")
    (result,), _ = run_here([job], tmp_path)
    assert result.status == "failed"
    first = synthetic_frames("test", 1).names[0]
    assert result.reason.startswith(f"RequestError: image {first}: probabilities hold NaN")
    assert not (tmp_path / job.row.key / "predictions.npz").exists()


def test_an_interrupt_ends_the_list_and_keeps_what_was_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = make_jobs(tmp_path, "Dot", "LossBreaks", "Echo", recipe__epochs=2)

    def interrupt(network: LossBreaks, *args: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(LossBreaks, "training_loss", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run_here(jobs, tmp_path)
    assert [is_done(job, make_session(tmp_path).workspace) for job in jobs] == [True, False, False]
    assert not (tmp_path / jobs[1].row.key / "result.json").exists()


def test_a_broken_result_is_made_again(tmp_path: Path) -> None:
    (job,) = make_jobs(tmp_path, "Dot")
    (first,), _ = run_here([job], tmp_path)
    (tmp_path / job.row.key / "result.json").write_text("{")
    (again,), told = run_here([job], tmp_path)
    assert told[0] == "begin Dot"
    assert again.scores == first.scores


def test_another_scoring_is_judged_again_and_nothing_is_trained(tmp_path: Path) -> None:
    (job,) = make_jobs(tmp_path, "Dot")
    (first,), _ = run_here([job], tmp_path)
    state = next((tmp_path / "trainings").glob("*/state.pt")).stat().st_mtime_ns
    other = Job(replace(job.row, scoring=Scoring("low", threshold=0.1)), job.experiment)
    (again,), _ = run_here([other], tmp_path)
    assert again.scoring.threshold == 0.1
    assert again.scores != first.scores
    assert next((tmp_path / "trainings").glob("*/state.pt")).stat().st_mtime_ns == state


def given_weights_job(tmp_path: Path, **changes: object) -> tuple[Job, RunResult]:
    """A job on the weights of a trained Dot, and the result of the training's own experiment."""
    (trained,) = make_jobs(tmp_path, "Dot")
    (result,), _ = run_here([trained], tmp_path)
    made = next((tmp_path / "trainings").glob("*/checkpoint.safetensors"))
    shutil.copy(made, tmp_path / "dot.safetensors")
    weights = Weights("Dot", sha256=weights_digest(made), path=str(tmp_path / "dot.safetensors"))
    experiment = replace(trained.experiment, weights=weights, **changes)  # type: ignore[arg-type]
    return Job(replace(trained.row, key=experiment.key), experiment), result


def test_given_weights_predict_what_they_did_when_they_were_trained(tmp_path: Path) -> None:
    job, trained = given_weights_job(tmp_path)
    result = run_job(job, make_session(tmp_path))
    assert result.scores == trained.scores
    assert (result.epochs, result.best_epoch, result.key != trained.key) == (0, 0, True)


def test_weights_that_changed_after_planning_are_refused(tmp_path: Path) -> None:
    job, _ = given_weights_job(tmp_path)
    path = tmp_path / "dot.safetensors"
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(ValueError, match=r"dot\.safetensors: SHA-256 is .*, the experiment was planned with"):
        run_job(job, make_session(tmp_path))
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"dot\.safetensors: no such file"):
        run_job(job, make_session(tmp_path))


def checkpoint_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Job, RunResult, Path]:
    """An experiment with weights that stand in the catalogue, the result they had when trained, and their file."""
    job, trained = given_weights_job(tmp_path)
    weights = job.experiment.weights
    assert isinstance(weights, Weights)
    folder = tmp_path / "weights"
    folder.mkdir()
    file = Path(weights.path).rename(folder / "any name")
    digest, size = weights.sha256, file.stat().st_size
    entry = PublishedWeights("Dot-A", "Dot", "dot.pth", digest, size, page="https://example.org", licence="MIT")
    monkeypatch.setattr(catalogue, "weights_catalogue", lambda: {"Dot-A": entry})
    experiment = replace(job.experiment, weights=replace(weights, path="", name="Dot-A"))
    assert experiment.key == job.row.key
    return Job(job.row, experiment), trained, file


def test_a_published_checkpoint_is_found_by_its_digest_and_keeps_its_own_published_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, trained, file = checkpoint_job(tmp_path, monkeypatch)
    mine, others = (Reported("synthetic", "bench", "IoU/pooled", 0.5, "x", weights=name) for name in ("Dot-A", "Dot-B"))
    entry = MODELS.get("Dot")
    monkeypatch.setitem(MODELS._entries, "Dot", replace(entry, info=replace(entry.info, reported=(others, mine))))
    session = Session(Workspace.open(tmp_path, weights=file.parent))
    result = run_job(job, session)
    assert result.scores == trained.scores
    assert result.model.reported == (mine,)


def test_a_checkpoint_that_is_missing_fails_its_row_alone_and_says_where_it_is_to_be_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, _, file = checkpoint_job(tmp_path, monkeypatch)
    (other,) = make_jobs(tmp_path, "Dot")
    file.unlink()
    session = Session(Workspace.open(tmp_path, weights=file.parent))
    check_weights([job], session.workspace)
    missing, trained = run_all([job, other], session)
    assert missing is not None
    assert trained is not None
    assert missing.reason == (
        f"CheckpointError: weights Dot-A: no file with its SHA-256 in {file.parent}; save it from https://example.org"
    )
    assert (missing.status, trained.status) == ("failed", "limited")


def test_a_file_that_bears_a_checkpoints_name_and_is_another_is_refused_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, _, file = checkpoint_job(tmp_path, monkeypatch)
    (file.parent / "dot.pth").write_bytes(b"something else")
    with pytest.raises(CheckpointError, match=r"dot\.pth: SHA-256 is .*, that of Dot-A is "):
        check_weights([job], Workspace.open(tmp_path, weights=file.parent))


def test_weights_for_another_number_of_channels_are_refused(tmp_path: Path) -> None:
    job, _ = given_weights_job(tmp_path)
    wider = replace(job.experiment, input=replace(job.experiment.input, channels=3))
    with pytest.raises(ValueError, match="made with channels 1, asked for 3"):
        run_job(Job(replace(job.row, key=wider.key), wider), make_session(tmp_path))


def test_images_are_read_before_anything_runs_and_only_for_what_is_not_done(tmp_path: Path) -> None:
    text = 'datasets = ["NUDT-SIRST"]\n[[row]]\nmodel = "Dot"\n'
    (tmp_path / "real.toml").write_text(text)
    jobs = expand(load_suite(str(tmp_path / "real.toml")), info_of=lambda name: MODELS.get(name).info)
    with pytest.raises(DataError, match="NUDT-SIRST: no data folder was given"):
        read_images(jobs, make_session(tmp_path))
    job = jobs[0]
    done = RunResult(job.row.key, "done", job.experiment, job.row.scoring, "native", MODELS.get("Dot").info)
    write_result(tmp_path / job.row.key, done)
    session = make_session(tmp_path)
    read_images(jobs, session)
    assert session.frames == {}


def test_a_list_is_read_once_for_all_experiments(tmp_path: Path) -> None:
    session = make_session(tmp_path)
    read_images(make_jobs(tmp_path, "Dot", "Echo"), session)
    assert len(session.frames) == 3
    images = image_list("synthetic", "bench", "test", limit=fakes.TEST)
    one, two = (session.frames_of(images, decoder="pillow-grey") for _ in range(2))
    assert one is two


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"recipe__loss": "soft-iuo"}, "no loss is called 'soft-iuo'; did you mean soft-iou"),
        ({"recipe__augmentation": "basicirst"}, "no augmentation is called 'basicirst'; did you mean basicirstd"),
        ({"start": "zero"}, "no start mask is called 'zero'; did you mean zeros"),
        ({"start": ""}, "no start mask is called ''; there are ground-truth, noise, ones, otsu, zeros"),
    ],
)
def test_a_name_that_does_not_exist_is_found_before_anything_runs(
    changes: dict[str, str], named: str, tmp_path: Path
) -> None:
    with pytest.raises(LookupError, match=named):
        check_jobs(make_jobs(tmp_path, "Echo", **changes))


def test_a_start_mask_is_not_asked_of_a_network_without_feedback(tmp_path: Path) -> None:
    plain, named = (make_jobs(tmp_path, "Dot", **changes) for changes in ({}, {"start": "zero"}))
    check_jobs(named)
    assert named[0].row.key == plain[0].row.key


def test_a_setting_that_the_model_lacks_is_found_before_anything_runs(tmp_path: Path) -> None:
    (job,) = make_jobs(tmp_path, "DFINet")
    check_jobs([job])
    odd = replace(job.experiment, weights=replace(job.experiment.weights, config=(("widht", 8), ("width", 2))))
    with pytest.raises(ValueError, match=r"model DFINet has other settings: .*widht"):
        check_jobs([Job(job.row, odd)])


def test_the_examples_are_images_of_one_size_with_every_round(tmp_path: Path) -> None:
    (job,) = make_jobs(tmp_path, "Echo", rounds=2, input__size=[48, 80], recipe__patch="none")
    run_here([job], tmp_path)
    examples = load_arrays(tmp_path / job.row.key / "examples.npz")
    count = len(examples["names"])
    assert count == len([name for name in examples if name.startswith("image_")])
    for number in range(count):
        assert examples[f"image_{number}"].shape == examples[f"mask_{number}"].shape == (48, 80)
        assert examples[f"rounds_{number}"].shape == (2, 48, 80)
        assert set(np.unique(examples[f"mask_{number}"])) <= {0, 1}
    assert json.dumps(examples["names"].tolist())


def test_a_result_names_the_commit_it_was_started_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.run.workspace.describe_environment", lambda device: {"commit": "at the start"})
    session = make_session(tmp_path)
    monkeypatch.setattr("bench.run.workspace.describe_environment", lambda device: {"commit": "in the meantime"})
    (result,) = run_all(make_jobs(tmp_path, "Dot"), session)
    assert result.environment["commit"] == "at the start"


def test_a_classical_detector_runs_without_a_training_and_says_its_level(tmp_path: Path) -> None:
    (job,) = make_jobs(tmp_path, "Bright", settings='rule = "k-sigma", level = 4.0', recipe__epochs=3)
    (result,), told = run_here([job], tmp_path)
    assert told == ["begin Bright", "end Bright: limited"]
    assert result.experiment.weights == Method("Bright", (("level", 4.0), ("rule", "k-sigma")))
    assert result.experiment.input == Input("pillow-grey", 1, mean=0.0, std=1.0)
    assert (result.tuned, result.epochs, result.times["train_s"]) == ({"level": 4.0}, 0, 0.0)
    assert (result.costs[0].macs, result.costs[0].parameters, result.costs[0].precision) == (None, 0, "float64")
    frames = synthetic_frames("test", fakes.TEST)
    counts = CountTable.from_arrays(load_arrays(tmp_path / job.row.key / "counts.npz")).round(0)
    predicted = []
    for frame in frames:
        scores = fakes.Bright().score(frame.grey.astype(float))
        predicted.append(int((scores > scores.mean() + 4 * scores.std()).sum()))
    assert counts.predicted.tolist() == predicted


def test_a_detectors_best_level_is_found_on_the_training_list_alone(tmp_path: Path) -> None:
    (job,) = make_jobs(tmp_path, "Bright", settings='level = "best"')
    (result,), _ = run_here([job], tmp_path)
    method = result.experiment.weights
    assert isinstance(method, Method)
    assert method.images == image_list("synthetic", "bench", "train", limit=7)
    assert result.experiment.is_limited
    stored = json.loads((tmp_path / "trainings" / method.key / "level.json").read_text())
    assert result.tuned == {"level": stored["level"]}
    frames = synthetic_frames("train", 7)
    pairs = [(fakes.Bright().score(frame.grey.astype(float)), frame.binary_mask) for frame in frames]
    assert best_level("share-of-max", pairs).level == stored["level"]


def test_a_detector_keeps_one_row_whatever_the_seeds_and_refuses_weights(tmp_path: Path) -> None:
    suite = tmp_path / "seeds.toml"
    suite.write_text('datasets = ["synthetic"]\nseeds = [1, 2, 3]\n[[row]]\nmodel = "Bright"\n[[row]]\nmodel = "Dot"\n')
    jobs = expand(load_suite(str(suite)), info_of=lambda name: MODELS.get(name).info)
    assert [job.row.model for job in jobs] == ["Bright", "Dot", "Dot", "Dot"]
    suite.write_text('datasets = ["synthetic"]\n[[row]]\nmodel = "Bright"\nweights = "w.safetensors"\n')
    with pytest.raises(SuiteError, match="Bright has no weights to be given"):
        expand(load_suite(str(suite)), info_of=lambda name: MODELS.get(name).info)


def test_a_budget_ends_the_list_before_the_next_experiment_and_keeps_what_is_done(tmp_path: Path) -> None:
    jobs = make_jobs(tmp_path, "Dot", "Bright", "Echo", rounds=1)
    run_here([jobs[1]], tmp_path)
    results = run_all(jobs, make_session(tmp_path), budget=0)
    assert [result.status if result else None for result in results] == [None, "limited", None]
    assert [result.status for result in run_all(jobs, make_session(tmp_path), budget=600) if result] == ["limited"] * 3


def test_costs_are_measured_once_for_all_datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = make_jobs(tmp_path, "Dot")
    session = make_session(tmp_path)
    first = run_job(jobs[0], session).costs
    monkeypatch.setattr("bench.run.experiment.measure_fresh", lambda *_, **__: pytest.fail("it was measured again"))
    assert run_job(jobs[0], session).costs == first


def test_a_feedback_network_is_timed_on_images_of_its_own_test_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (echo,), (dot,) = (make_jobs(tmp_path, name, rounds=rounds) for name, rounds in (("Echo", 3), ("Dot", 1)))
    timed: list[list[tuple[int, ...]]] = []

    def measure(network: Any, *, images: Any, **settings: Any) -> Cost:
        timed.append([tuple(image.shape) for image, _ in images])
        return measure_cost(network, images=images, **settings)

    monkeypatch.setattr("bench.run.experiment.measure_fresh", measure)
    session = make_session(tmp_path)
    costs = [run_job(job, session).costs[0] for job in (echo, dot)]
    assert [len(shapes) for shapes in timed] == [fakes.TEST, 0]
    assert [(cost.rounds, cost.every_round, cost.early_end) for cost in costs] == [(3, True, None), (1, True, None)]


def corrupted_jobs(folder: Path, *models: str) -> list[Job]:
    """The models on three clean and three corrupted synthetic images."""
    rows = "".join(f'[[row]]\nmodel = "{model}"\n' for model in models)
    path = folder / "corrupted.toml"
    path.write_text(f'datasets = ["synthetic"]\ncorruptions = ["drift@5", "dead-pixels@5"]\n{rows}')
    return expand(
        load_suite(str(path)),
        info_of=lambda name: MODELS.get(name).info,
        overrides={"recipe.epochs": 1, "recipe.patch": 32},
        limit=Limit(train=7, test=fakes.TEST),
    )


def test_a_corruption_changes_predictions_and_neither_weights_nor_ground_truth(tmp_path: Path) -> None:
    jobs = corrupted_jobs(tmp_path, "Dot")
    results, told = run_here(jobs, tmp_path)
    assert [result.status for result in results] == ["limited"] * 3
    assert [line for line in told if line.startswith("epoch")] == ["epoch 1"] * 3
    assert len(list((tmp_path / "trainings").iterdir())) == 1
    state = next((tmp_path / "trainings").iterdir()) / "state.pt"
    written = state.stat().st_mtime_ns  # every epoch writes it
    clean, *others = (load_arrays(tmp_path / job.row.key / "predictions.npz") for job in jobs)
    tables = [CountTable.from_arrays(load_arrays(tmp_path / job.row.key / "counts.npz")) for job in jobs]
    for other, table in zip(others, tables[1:], strict=True):
        assert all(not np.array_equal(clean[name], other[name]) for name in clean)
        assert np.array_equal(table.target_area, tables[0].target_area)
        assert np.array_equal(table.target_scr, tables[0].target_scr, equal_nan=True)
    shutil.rmtree(tmp_path / jobs[1].row.key)
    again, _ = run_here(jobs, tmp_path)
    assert again[1].scores == results[1].scores
    assert state.stat().st_mtime_ns == written


def test_a_corrupted_frame_is_predicted_as_if_it_had_been_taken_so(tmp_path: Path) -> None:
    jobs = corrupted_jobs(tmp_path, "Bright")
    run_here(jobs, tmp_path)
    corruption = parse_corruption("dead-pixels@5")
    maps = load_arrays(tmp_path / jobs[2].row.key / "predictions.npz")
    detector = fakes.Bright()
    for frame in synthetic_frames("test", fakes.TEST):
        scores = detector.score(corruption(frame.grey, name=frame.name).astype(float))
        above = detector.logits(scores) > 0
        assert np.array_equal(maps[frame.name] > 32768, above)


def test_pictures_show_what_the_network_saw(tmp_path: Path) -> None:
    jobs = corrupted_jobs(tmp_path, "Bright")
    run_here(jobs, tmp_path)
    shown = load_arrays(tmp_path / jobs[1].row.key / "examples.npz")
    frames = {frame.name: frame for frame in synthetic_frames("test", fakes.TEST)}
    name = str(shown["names"][0])
    assert np.array_equal(shown["image_0"], parse_corruption("drift@5")(frames[name].grey, name=name))


def test_a_corruption_that_does_not_exist_is_found_before_anything_runs(tmp_path: Path) -> None:
    (job,) = make_jobs(tmp_path, "Dot")
    slip = replace(job, experiment=replace(job.experiment, corruption="drfit@3"))
    with pytest.raises(LookupError, match="did you mean drift"):
        check_jobs([slip])


def test_a_network_tested_elsewhere_is_trained_once(tmp_path: Path) -> None:
    path = tmp_path / "cross.toml"
    names = '["synthetic-sky", "synthetic-sea"]'
    path.write_text(f'datasets = {names}\ntrained_on = {names}\n[[row]]\nmodel = "Dot"\n')
    jobs = expand(
        load_suite(str(path)),
        info_of=lambda name: MODELS.get(name).info,
        overrides={"recipe.epochs": 1, "recipe.patch": 32},
        limit=Limit(train=7, test=fakes.TEST),
    )
    results, told = run_here(jobs, tmp_path)
    assert [result.status for result in results] == ["limited"] * 4
    assert "begin Dot" in told
    assert len(list((tmp_path / "trainings").iterdir())) == 2
