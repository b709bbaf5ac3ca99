"""Messages that leave a new user at a loss, each met by trying the commands with wrong words, and their right form."""

from __future__ import annotations

import json
from pathlib import Path

import fakes
import pytest
from commands import Answer, Call, caller

from bench import registry
from bench.metrics.registry import METRICS, find_metrics
from bench.models.network import MODELS, find_models
from bench.store.files import read_manifest, read_result
from bench.store.mlflow_tracker import EXPERIMENT

OFF = ("--mlflow", "off")
SMALL = ("--set", "recipe.epochs=1", "--set", "recipe.patch=32", "--limit", "train=7,test=3")
PLUGIN = '''
from torch import Tensor, nn

from bench import Ratio, Segmenter, metric, model


class Mine(Segmenter):
    """A convolution."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(channels, width, 3, padding=1), nn.Conv2d(width, 1, 1))

    def forward(self, image: Tensor, start: Tensor | None = None) -> Tensor:
        return self.layers(image)


@model("Mine", cite="none", source="mine.py", licence="MIT", recipe="basicirstd", config={"width": 4})
def build(*, channels: int, width: int) -> Mine:
    """Build it."""
    return Mine(channels, width)


@metric("Missed/per-image", unit="targets", better="lower")
def missed(counts):
    """Targets of an image that nothing was matched with."""
    return Ratio.of(counts.targets - counts.matched, 1)
'''
SUITE = 'datasets = ["synthetic"]\n{}\n[[row]]\nmodel = "Mine"\n'


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Call:
    """The command line in an empty folder."""
    find_models()  # before the registry is copied, so that its own models are not lost with the copy
    fakes.register_fakes(monkeypatch)
    find_metrics()
    monkeypatch.setattr(METRICS, "_entries", dict(METRICS._entries))
    monkeypatch.setattr(MODELS, "_entries", dict(MODELS._entries))
    monkeypatch.setattr(registry, "_PLUGINS", {})
    monkeypatch.delenv("DFINET_BENCH_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    return caller(monkeypatch, capfd)


def assert_one_line(answer: Answer, *said: str) -> None:
    assert answer.code == 2
    assert answer.err.count("\n") == 1, answer.err
    for words in said:
        assert words in answer.err


def test_a_suite_names_its_plugins_beside_its_own_file(call: Call) -> None:
    Path("suites").mkdir()
    Path("suites/mine.py").write_text(PLUGIN)
    Path("suites/own.toml").write_text(SUITE.format('plugins = ["mine.py"]\ncolumns = ["Missed/per-image"]'))
    ran = call("run", "suites/own.toml", *SMALL, *OFF)
    assert ran.code == 0, ran.err
    (row,) = read_manifest(Path("runs"), "own").rows
    assert "Missed/per-image" in read_result(Path("runs") / row.key).scores
    made = call("report", "suites/own.toml", *OFF)
    assert made.code == 0, made.err


def test_a_plugin_that_a_suite_names_in_vain_is_one_line(call: Call) -> None:
    Path("own.toml").write_text(SUITE.format('plugins = ["none.py"]'))
    assert_one_line(call("run", "own.toml", *OFF), "plugin none.py: no such file")
    assert_one_line(call("gate", "own.toml", "--reference", "r.json", "--update"), "plugin none.py: no such file")
    Path("own.toml").write_text(SUITE.format('plugins = "none.py"'))
    assert_one_line(call("run", "own.toml", *OFF), "'plugins' is 'none.py', expected list")


def test_a_suite_without_its_plugin_names_what_is_unknown_and_the_option(call: Call) -> None:
    Path("own.toml").write_text(SUITE.format(""))
    assert_one_line(call("run", "own.toml", *OFF), "no model is called 'Mine'", "a model of a plugin", "--plugin")
    Path("own.toml").write_text(SUITE.format("") + '[[row]]\nmodel = "Theirs"\n')
    assert_one_line(call("run", "own.toml", *OFF), "no models are called 'Mine', 'Theirs'", "--plugin")
    Path("own.toml").write_text(SUITE.format('columns = ["Missed/per-image"]').replace("Mine", "Dot"))
    assert_one_line(call("run", "own.toml", *OFF), "no metric is called 'Missed/per-image'", "--plugin")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run", "own.toml", "--set", "settings.widht=3"), "no setting is called 'widht'; did you mean width?"),
        (("run", "own.toml", "--set", "recipe.epoch=3"), "did you mean recipe.epochs"),
        (("run", "own.tml"), "a suite of your own is named by its file, which ends in .toml"),
        (("data", "verify", "NUDT"), "did you mean NUDT-SIRST or NUDT-SIRST-Sea?"),
        (("report", "ownn"), "no suite in runs is called 'ownn'; there are none; run the suite first"),
        (("publish", "ownn"), "no suite in runs is called 'ownn'"),
        (("collect", "ownn"), "no suite in runs is called 'ownn'"),
        (("list", "models", "--plugin", "my_net"), "plugin my_net: no such file, expected a Python file, as my_net.py"),
        (("run", "own.toml", "--dataset", "Mine", "--data", "none"), "'Mine'; there are"),
        (("run", "own.toml", "--dataset", "Mine", "--data", "none"), "there is no folder none (--data)"),
        (("gate", "quick", "--reference", "own.toml"), "reference own.toml: not JSON ("),
        (("gate", "quick"), "gate: no --reference FILE"),
        (("gate", "quick", "--reference", "none.json"), "none.json: no such file; make it with --update"),
    ],
)
def test_a_wrong_word_is_answered_with_what_to_do(call: Call, words: tuple[str, ...], said: str) -> None:
    Path("own.toml").write_text('datasets = ["synthetic"]\n[[row]]\nmodel = "DFINet"\n')
    assert_one_line(call(*words), said)


def test_a_report_of_no_such_suite_names_those_that_were_run(call: Call) -> None:
    Path("own.toml").write_text('datasets = ["synthetic"]\n[[row]]\nmodel = "Dot"\n')
    assert call("run", "own.toml", *SMALL, *OFF).code == 0
    assert_one_line(call("report", "owm", *OFF), "no suite in runs is called 'owm'; did you mean own?")
    assert_one_line(call("report", "zzzz", *OFF), "no suite in runs is called 'zzzz'; there are own; run the suite")


def test_a_missing_dataset_of_several_offers_the_others(call: Call) -> None:
    Path("own.toml").write_text(
        'datasets = ["NUAA-SIRST", "synthetic", "NUDT-SIRST", "synthetic-sky"]\n[[row]]\nmodel = "Dot"\n'
    )
    answer = call("run", "own.toml", "--data", "nowhere", *OFF)
    assert_one_line(
        answer,
        "nowhere/NUAA-SIRST: no such folder",
        "or run the others alone with --dataset synthetic --dataset synthetic-sky",
    )
    Path("own.toml").write_text('datasets = ["NUAA-SIRST"]\n[[row]]\nmodel = "Dot"\n')
    assert "--dataset" not in call("run", "own.toml", "--data", "nowhere", *OFF).err


def test_a_result_names_the_folder_of_its_training(call: Call) -> None:
    Path("own.toml").write_text('datasets = ["synthetic"]\n[[row]]\nmodel = "Dot"\n')
    assert call("run", "own.toml", *SMALL, *OFF).code == 0
    (row,) = read_manifest(Path("runs"), "own").rows
    named = json.loads((Path("runs") / row.key / "result.json").read_text())["training"]
    assert (Path("runs/trainings") / named / "checkpoint.safetensors").is_file()


def test_publish_restores_an_experiment_that_was_deleted(call: Call) -> None:
    """mlflow#6445 and #2690: a deleted experiment keeps its name, and logging to it fails with "must be 'active'"."""
    import mlflow

    Path("own.toml").write_text('datasets = ["synthetic"]\n[[row]]\nmodel = "Dot"\n')
    assert call("run", "own.toml", *SMALL, *OFF).code == 0
    store = "sqlite:///store.db"
    assert call("publish", "own", "--mlflow", store).code == 0
    client = mlflow.MlflowClient(tracking_uri=store)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    client.delete_experiment(experiment.experiment_id)
    again = call("publish", "own", "--mlflow", store)
    assert (again.code, again.out) == (0, "own: 1 results are in MLflow\n")
    restored = client.get_experiment_by_name(EXPERIMENT)
    assert restored is not None
    assert restored.lifecycle_stage == "active"
    assert len(client.search_runs([restored.experiment_id])) == 2
