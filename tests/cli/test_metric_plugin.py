"""A metric in a user's own file, from the command line alone: scored, listed and a column of the report."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import fakes
import pytest
from commands import Call, caller

from bench import registry
from bench.metrics.registry import METRICS, find_metrics
from bench.store.files import read_manifest, read_result

OFF = ("--mlflow", "off")
SMALL = ("--set", "recipe.epochs=1", "--set", "recipe.patch=32", "--limit", "train=7,test=3", *OFF)
PLUGIN = '''
from bench import registry
from bench.metrics.registry import metric
from bench.metrics.statistic import Ratio


@metric("Missed/per-image", head="Missed", unit="targets", better="lower", digits=3)
def missed(counts):
    """Targets of an image that nothing was matched with."""
    return Ratio.of(counts.targets - counts.matched, 1)
'''
SUITE = 'datasets = ["synthetic"]\ncolumns = ["IoU/pooled", "Missed/per-image"]\n[[row]]\nmodel = "Dot"\n'


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Call:
    """The command line in an empty folder that holds the plugin and a suite whose columns name its metric."""
    fakes.register_fakes(monkeypatch)
    find_metrics()
    monkeypatch.setattr(METRICS, "_entries", dict(METRICS._entries))
    monkeypatch.setattr(registry, "_PLUGINS", {})
    monkeypatch.chdir(tmp_path)
    Path("missed.py").write_text(PLUGIN)
    Path("mine.toml").write_text(SUITE)
    return caller(monkeypatch, capfd)


def test_a_users_own_metric_is_scored_listed_and_a_column(call: Call) -> None:
    ran = call("run", "mine.toml", "--plugin", "missed.py", *SMALL)
    assert ran.code == 0, ran.err
    (row,) = read_manifest(Path("runs"), "mine").rows
    score = read_result(Path("runs") / row.key).scores["Missed/per-image"]
    assert (score.unit, score.better) == ("targets", "lower")
    made = call("report", "mine", "--plugin", "missed.py", *OFF)
    assert made.code == 0, made.err
    (line,) = csv.DictReader(Path("reports-out/mine/table.csv").read_text().splitlines())
    assert line["synthetic Missed (targets, lower is better)"] == f"{score.value:.3f}"
    assert "synthetic nIoU (1e-2, higher is better)" not in line
    other = call("report", "mine", "--columns", "Missed/per-image,F1/pooled", "--columns", "Pd/centroid-3px", *OFF)
    assert other.code == 0, other.err
    (line,) = csv.DictReader(Path("reports-out/mine/table.csv").read_text().splitlines())
    assert list(line)[1] == "synthetic Missed (targets, lower is better)"
    assert list(line)[3] == "synthetic Pd (1e-2, higher is better)"
    listed = json.loads(call("list", "metrics", "--plugin", "missed.py", "--json").out)["metrics"]
    assert {
        "id": "Missed/per-image",
        "head": "Missed",
        "unit": "targets",
        "printed in": "targets",
        "better": "lower",
        "table": "counts.npz",
        "meaning": "Targets of an image that nothing was matched with.",
    } in listed


def test_a_users_own_metric_is_among_the_scores_of_ones_own_predictions(call: Call) -> None:
    call("run", "mine.toml", "--plugin", "missed.py", *SMALL)
    (row,) = read_manifest(Path("runs"), "mine").rows
    answer = call("score", f"runs/{row.key}", "--plugin", "missed.py", "--json")
    assert answer.code == 0, answer.err
    stored = read_result(Path("runs") / row.key).scores["Missed/per-image"].value
    assert json.loads(answer.out)["scorings"][0]["scores"]["Missed/per-image"]["value"] == stored


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run", "mine.toml"), "suite mine: no metric is called 'Missed/per-image'"),
        (("report", "mine", "--columns", "Missd/per-image"), "columns: no metric is called 'Missd/per-image'"),
        (("report", "mine", "--columns", "IoU/pooled,IoU/pooled"), "columns: IoU/pooled is named twice"),
    ],
)
def test_a_column_that_cannot_be_is_refused_in_one_line(call: Call, words: tuple[str, ...], said: str) -> None:
    if words[0] == "report":
        call("run", "mine.toml", "--plugin", "missed.py", *SMALL)
    answer = call(*words, *OFF)
    assert answer.code == 2
    assert said in answer.err
    assert not Path("reports-out").exists()


def test_a_metric_that_exits_is_one_line(call: Call) -> None:
    call("run", "mine.toml", "--plugin", "missed.py", *SMALL)
    (row,) = read_manifest(Path("runs"), "mine").rows
    exits = PLUGIN.replace("return Ratio.of(counts.targets - counts.matched, 1)", "raise SystemExit(7)")
    Path("missed.py").write_text(exits.replace("Missed/per-image", "Exits/always"))
    METRICS._entries.pop("Missed/per-image")
    registry._PLUGINS.clear()
    for name in [name for name in sys.modules if name.startswith("bench_plugin_")]:
        del sys.modules[name]
    answer = call("score", f"runs/{row.key}", "--plugin", "missed.py")
    assert answer.code == 2
    assert "error: metric Exits/always called sys.exit(7); let it return or raise an error" in answer.err
