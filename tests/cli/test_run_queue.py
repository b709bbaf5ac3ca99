"""`run` with several suites, one seed of them, in the background, and without the datasets that are not there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import fakes
import pytest
from commands import Call, caller

from bench.parallel import LOWEST_PRIORITY
from bench.store.files import read_manifest, read_result

SMALL = ("--set", "recipe.epochs=1", "--set", "recipe.patch=32", "--limit", "train=7,test=3", "--mlflow", "off")
DOT = 'datasets = ["synthetic"]\nseeds = [1, 2]\n[[row]]\nmodel = "Dot"\n'
ABSENT = 'datasets = ["NUAA-SIRST"]\n[[row]]\nmodel = "Dot"\n'


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty working folder with three suites, no datasets, and networks of a few lines."""
    fakes.register_fakes(monkeypatch)
    monkeypatch.chdir(tmp_path)
    for name in ("DFINET_BENCH_DATA", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    for name, text in {"first": DOT, "absent": ABSENT, "last": DOT.replace("1, 2", "3")}.items():
        Path(f"{name}.toml").write_text(text)


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Call:
    return caller(monkeypatch, capfd)


def seeds_of(suite: str) -> list[int]:
    """The seeds of the finished results of a suite."""
    manifest = read_manifest(Path("runs"), suite)
    results = [read_result(Path("runs") / row.key) for row in manifest.rows]
    return [result.experiment.weights.seed for result in results if result is not None]  # type: ignore[union-attr]


def test_suites_run_in_their_order_and_json_holds_all_results(call: Call) -> None:
    answer = call("run", "last.toml", "first.toml", *SMALL, "--json")
    assert answer.code == 0, answer.err
    rows = json.loads(answer.out)["results"]
    assert [row["result"]["experiment"]["weights"]["seed"] for row in rows] == [3, 1, 2]


def test_a_suite_that_cannot_run_is_told_of_and_the_others_run(call: Call) -> None:
    answer = call("run", "absent.toml", "first.toml", *SMALL)
    assert answer.code == 2
    assert answer.err.count("error: absent.toml: ") == 1
    assert seeds_of("first") == [1, 2]


def test_a_wrong_name_ends_the_list_before_anything_runs(call: Call) -> None:
    answer = call("run", "first.toml", "frist", *SMALL)
    assert answer.code == 2
    assert "frist" in answer.err
    assert not Path("runs").exists()


def test_one_budget_is_for_all_suites(call: Call) -> None:
    answer = call("run", "first.toml", "last.toml", *SMALL, "--budget", "0")
    assert answer.code == 0
    assert answer.err.count("not reached within the time budget of 0 min; the same command goes on with them") == 2


def test_a_seed_replaces_those_of_a_suite(call: Call) -> None:
    assert call("run", "first.toml", *SMALL, "--seed", "7").code == 0
    assert seeds_of("first") == [7]
    refused = call("run", "first.toml", *SMALL, "--seed", "-1")
    assert refused.code == 2
    assert "--seed is [-1], expected whole numbers from 0 to 4294967295" in refused.err


def test_rows_of_absent_datasets_are_dashes_where_a_suite_says_so(call: Call) -> None:
    both = DOT.replace('"synthetic"', '"synthetic", "NUAA-SIRST"').replace("1, 2", "1")
    Path("both.toml").write_text('absent = "leave-out"\n' + both)
    answer = call("run", "both.toml", *SMALL)
    assert answer.code == 0, answer.err
    assert answer.err.count("note: 1 of 2 rows left out: ") == 1
    manifest = read_manifest(Path("runs"), "both")
    (reason,) = manifest.unreached.values()
    assert "NUAA-SIRST" in reason
    assert "not reached within the time budget" not in answer.err
    made = call("report", "both", "--mlflow", "off")
    assert made.code == 0, made.err
    table = Path("reports-out/both/table.md").read_text()
    assert "—" in table
    assert reason in table + made.err


def test_a_suite_of_absent_datasets_alone_is_refused(call: Call) -> None:
    Path("absent.toml").write_text('absent = "leave-out"\n' + ABSENT)
    refused = call("run", "absent.toml", *SMALL)
    assert refused.code == 2
    assert "NUAA-SIRST" in refused.err
    Path("absent.toml").write_text('absent = "skip"\n' + ABSENT)
    assert "'absent' is 'skip', expected refuse or leave-out" in call("run", "absent.toml", *SMALL).err


def test_background_takes_no_workers(call: Call) -> None:
    answer = call("run", "first.toml", *SMALL, "--background", "--workers", "2")
    assert answer.code == 2
    assert answer.err.strip() == "error: --background runs one experiment at a time; leave out --workers"


PLUGIN = """
import os

import torch
from torch import nn

from bench.models.network import Segmenter, model


class Tells(Segmenter):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, 1, 1)

    def forward(self, image, start=None):
        with open("told", "a") as file:
            file.write(f"{os.getpriority(os.PRIO_PROCESS, 0)} {torch.get_num_threads()}\\n")
        return self.conv(image)


@model("Tells", cite="none", source="tests", licence="MIT", recipe="basicirstd")
def build(*, channels):
    return Tells(channels)
"""


def test_background_work_has_the_lowest_priority_and_one_thread(tmp_path: Path) -> None:
    Path("tells.py").write_text(PLUGIN)
    Path("tells.toml").write_text('plugins = ["tells.py"]\n' + DOT.replace("Dot", "Tells"))
    ran = subprocess.run(
        [sys.executable, "-m", "bench", "run", "tells.toml", "--background", *SMALL],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    assert set(Path("told").read_text().splitlines()) == {f"{LOWEST_PRIORITY} 1"}
