"""What MLflow would drop, cut, collapse or refuse: all that we send comes back as it was sent, and as often."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fakes
import pytest
from fakes import make_jobs
from mlflow_stores import child_of, client_of, metrics_of, run_suite, runs_in
from records import EXPERIMENT, RESULT, ROW, TRAINING

from bench.metrics.registry import find_metrics
from bench.protocols.scorings import all_scorings
from bench.store import mlflow_tracker
from bench.store.files import Manifest, read_log, read_result, write_manifest, write_result, write_text
from bench.store.mlflow_tracker import SUITE_TAG, MlflowTracker
from bench.store.publish import publish_suite
from bench.store.tracker import SuiteSummary
from bench.types import RunResult, Score, freeze_config
from reports.tables.suite_summary import summarise_suite
from tests.reports.fake_runs import result, row_of, write_suite

pytestmark = pytest.mark.usefixtures("environment")

MANIFEST = Manifest("s", "Title", (ROW,))


def set_clock(monkeypatch: pytest.MonkeyPatch, times: Iterator[float]) -> None:
    """Let each sending of metrics bear the next of the times."""
    monkeypatch.setattr(mlflow_tracker, "time", SimpleNamespace(time=lambda: next(times)))


@pytest.fixture
def standing_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """All metrics bear one time: of equal steps MLflow then shows the largest value as the latest."""
    set_clock(monkeypatch, cycle([1e9]))


def scored(value: float) -> RunResult:
    """A result all of whose scores, of every round too, are one value."""
    scores = {name: replace(score, value=value) for name, score in RESULT.scores.items()}
    return replace(RESULT, scores=scores, rounds=(scores,) * 8)


def metrics_on_disk(uri: str) -> Counter[str]:
    """The number of values of each metric of all runs, active or not, in the database itself."""
    with sqlite3.connect(uri.removeprefix("sqlite:///")) as database:
        return Counter(key for (key,) in database.execute("SELECT key FROM metrics"))


@pytest.mark.usefixtures("standing_clock")
def test_curves_and_rounds_come_back_value_for_value_where_all_values_are_equal(tmp_path: Path, uri: str) -> None:
    """MLflow stores values of one metric at equal step, time and value once."""
    found = scored(0.5)
    write_result(tmp_path / ROW.key, found)
    write_manifest(tmp_path, MANIFEST)
    epochs = [{"epoch": epoch, "loss": 0.25, "lr": 1e-3, "seconds": 1.0} for epoch in range(1, 41)]
    lines = "".join(json.dumps(epoch) + "\n" for epoch in epochs)
    write_text(tmp_path / "trainings" / TRAINING.key / "log.jsonl", lines)
    assert publish_suite(tmp_path, "s", MlflowTracker(uri)) == 1
    expected = {f"train/{name}": [(n, epochs[0][name]) for n in range(1, 41)] for name in ("loss", "lr", "seconds")}
    expected |= {name: [(0, 0.5)] for name in found.scores}
    expected |= {f"round/{name}": [(number, 0.5) for number in range(1, 9)] for name in found.scores}
    expected["time/train_s"] = [(0, 1.5)]
    assert metrics_of(uri, child_of(uri, ROW.key)) == expected
    assert metrics_on_disk(uri) == {name: len(values) for name, values in expected.items()}


def test_a_run_that_repeats_itself_in_every_round_comes_back_whole(
    tmp_path: Path, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fakes.register_fakes(monkeypatch)
    (job,) = make_jobs(tmp_path, "Parrot", rounds=6, recipe__epochs=3)
    run_suite([job], tmp_path, uri)
    found, runs = read_result(tmp_path / "runs" / job.row.key), tmp_path / "runs"
    assert len({each["IoU/pooled"].value for each in found.rounds}) < 6, "no values repeat, so that nothing is shown"
    metrics = metrics_of(uri, child_of(uri, job.row.key))
    log = list(read_log(runs / "trainings" / job.experiment.training_key / "log.jsonl"))
    for name in set(log[0]) - {"epoch"}:
        assert metrics.pop(f"train/{name}") == [(int(epoch["epoch"]), epoch[name]) for epoch in log]
    for name, score in found.scores.items():
        assert metrics.pop(name, []) == values_of({0: score})
        assert metrics.pop(f"round/{name}", []) == values_of(
            {number: scores[name] for number, scores in enumerate(found.rounds, start=1) if name in scores}
        )
    assert {name.partition("/")[0] for name in metrics} == {"FLOPs", "FPS", "cost", "time"}
    assert all(len(values) == 1 for values in metrics.values())


def values_of(scores: Mapping[int, Score]) -> list[tuple[int, float]]:
    return [(step, score.value) for step, score in scores.items() if score.value is not None]


@pytest.mark.usefixtures("standing_clock")
def test_a_run_that_goes_on_and_a_result_made_again_leave_the_later_values_though_they_are_smaller(
    tmp_path: Path, uri: str
) -> None:
    interrupted = MlflowTracker(uri)
    interrupted.begin_suite(MANIFEST)
    interrupted.begin_experiment(ROW)
    for epoch, loss in ((1, 0.9), (2, 0.8)):
        interrupted.log_epoch({"epoch": epoch, "loss": loss})
    for last, value in ((0.5, 0.75), (0.25, 0.5)):
        later = MlflowTracker(uri)
        later.begin_suite(MANIFEST)
        later.begin_experiment(ROW)
        for epoch, loss in ((1, 0.9), (2, last)):
            later.log_epoch({"epoch": epoch, "loss": loss})
        later.end_experiment(ROW, scored(value), tmp_path)
        run = child_of(uri, ROW.key)
        assert metrics_of(uri, run)["train/loss"] == [(1, 0.9), (2, last)]
        assert run.data.metrics["train/loss"] == last
        for name in RESULT.scores:
            assert run.data.metrics[name] == run.data.metrics[f"round/{name}"] == value
            assert metrics_of(uri, run)[name] == [(0, value)]


def outcome_in(uri: str) -> tuple[dict[str, float], dict[str, list[tuple[int, float]]]]:
    """Latest values and histories of the parent's metrics."""
    (parent,) = [run for run in runs_in(uri) if SUITE_TAG in run.data.tags]
    return parent.data.metrics, metrics_of(uri, parent)


def send_outcome(uri: str, metrics: Mapping[str, float]) -> None:
    tracker = MlflowTracker(uri)
    tracker.begin_suite(MANIFEST)
    tracker.end_suite(MANIFEST, failed=False, summary=SuiteSummary(metrics))


def test_a_suites_outcome_is_its_latest_whatever_the_clocks_say_and_is_sent_once(
    uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clocks of two machines with one server differ: by time alone the value of the later clock stays the latest."""
    set_clock(monkeypatch, iter([3e9, 2e9, 1e9]))
    for _ in range(3):
        send_outcome(uri, {"IoU/pooled/D/ACM": 0.75, "IoU/pooled/D/ACM low": 0.5})
    send_outcome(uri, {"IoU/pooled/D/ACM": 0.625, "IoU/pooled/D/ACM low": 0.5})
    send_outcome(uri, {"IoU/pooled/D/ACM": 0.75, "IoU/pooled/D/ACM low": 0.5})
    latest, histories = outcome_in(uri)
    assert latest == {"IoU/pooled/D/ACM": 0.75, "IoU/pooled/D/ACM low": 0.5}
    assert histories == {
        "IoU/pooled/D/ACM": [(1, 0.75), (2, 0.625), (3, 0.75)],
        "IoU/pooled/D/ACM low": [(1, 0.5)],
    }


def test_an_outcome_of_before_outcomes_had_steps_is_followed_by_the_next(uri: str) -> None:
    tracker = MlflowTracker(uri)
    tracker.begin_suite(MANIFEST)
    client_of(uri).log_metric(runs_in(uri)[0].info.run_id, "IoU", 0.75, timestamp=9_000_000_000_000, step=0)
    send_outcome(uri, {"IoU": 0.5})
    assert outcome_in(uri) == ({"IoU": 0.5}, {"IoU": [(0, 0.75), (1, 0.5)]})


def sent_params(uri: str, config: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
    """Parameters, and those in the file beside them, of an experiment whose network has these settings."""
    training = replace(TRAINING, config=freeze_config(config))
    found = replace(RESULT, experiment=replace(EXPERIMENT, weights=training))
    tracker = MlflowTracker(uri)
    tracker.begin_suite(MANIFEST)
    tracker.log_stored(ROW, found, Path("none"))
    run = child_of(uri, ROW.key)
    names = [item.path for item in client_of(uri).list_artifacts(run.info.run_id)]
    if "parameters.json" not in names:
        return run.data.params, {}
    kept = client_of(uri).download_artifacts(run.info.run_id, "parameters.json")
    return run.data.params, json.loads(Path(kept).read_text())


CONFIG = "experiment.weights.config"


def test_a_long_parameter_is_whole_in_a_file_and_says_so(uri: str, caplog: pytest.LogCaptureFixture) -> None:
    """MLflow cuts parameters at 6,000 characters."""
    config = {"images": [f"image {number}" for number in range(1000)], "words": "é × @" * 1500}
    params, kept = sent_params(uri, config)
    assert list(kept) == [CONFIG]
    assert dict(json.loads(kept[CONFIG])) == config
    assert len(params[CONFIG]) == 6000
    begin, _, note = params[CONFIG].rpartition("… ")
    assert kept[CONFIG].startswith(begin)
    assert note == "(parameters.json has it whole)"
    assert not [record for record in caplog.records if "truncated" in record.message]


def test_a_parameter_that_just_fits_is_sent_whole_and_there_is_no_file(uri: str) -> None:
    empty = sent_params(uri, {"words": ""})[0][CONFIG]
    params, kept = sent_params(uri, {"words": "y" * (6000 - len(empty))})
    assert params[CONFIG] == json.dumps([["words", "y" * (6000 - len(empty))]])
    assert kept == {}


def test_every_metric_of_the_registry_is_taken_under_every_scoring(
    tmp_path: Path, uri: str, caplog: pytest.LogCaptureFixture
) -> None:
    """MLflow refuses names with @ × ( ) % and commas."""
    metrics = [find_metrics().get(name) for name in find_metrics()]
    scorings = [each.scoring for each in all_scorings()]
    scorings += [replace(each, distance=2.5, connectivity=4) for each in scorings if each.matching != "shooting"]
    names = {metric.named_by(metric.id, scoring) for metric in metrics for scoring in scorings}
    assert len(names) > len(metrics)
    found = {name: Score(place / 1024, "fraction", "higher") for place, name in enumerate(sorted(names))}
    tracker = MlflowTracker(uri)
    tracker.begin_suite(MANIFEST)
    tracker.log_stored(ROW, replace(RESULT, scores=found, rounds=(found, found), times={}), tmp_path)
    assert metrics_of(uri, child_of(uri, ROW.key)) == {
        **{name: [(0, score.value)] for name, score in found.items()},
        **{f"round/{name}": [(1, score.value), (2, score.value)] for name, score in found.items()},
    }
    assert not [record for record in caplog.records if "left out" in record.message]


LABELS = ("3x3 × 3 @ 50 % (a, b)", "3x3 x 3 @ 50 % (a, b)", "..", "a/b//c", "n" * 400, "n" * 401)


def test_every_row_has_its_mean_whatever_its_label(tmp_path: Path, uri: str, caplog: pytest.LogCaptureFixture) -> None:
    """Labels are free text; the name of a mean holds the row's."""
    made = [result(seed=seed) for seed in range(len(LABELS))]
    write_suite(tmp_path, [(label, each, row_of(each, label)) for label, each in zip(LABELS, made, strict=True)])
    assert publish_suite(tmp_path, "trial", MlflowTracker(uri), summarise=summarise_suite) == len(LABELS)
    means = [name for name in outcome_in(uri)[0] if name.startswith("IoU/pooled/")]
    assert len(means) == len(LABELS)
    assert not [record for record in caplog.records if "left out" in record.message]
