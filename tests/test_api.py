"""The Python functions of `bench`: they do what the commands do, and print nothing."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import fakes
import numpy as np
import pytest
from PIL import Image

import bench
from bench.errors import BenchError, UnknownNameError
from bench.run.executor import Executor, executor
from bench.run.local import run_all
from bench.store.files import read_manifest, read_result

ROOT = Path(__file__).parents[1]
SUITE = 'datasets = ["synthetic"]\n[[row]]\nmodel = "Dot"\n'
SMALL = {"recipe.epochs": 1, "recipe.patch": 32}
WEIGHTS = ROOT / "bench/suites/gate/acm.safetensors"
GIVEN = f'datasets = ["synthetic"]\n[[row]]\nmodel = "ACM"\nweights = "{WEIGHTS}"\n'


@pytest.fixture(autouse=True)
def fake_networks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fakes.register_fakes(monkeypatch)
    monkeypatch.chdir(tmp_path)
    Path("mine.toml").write_text(SUITE)


def test_every_public_name_is_there() -> None:
    assert {name for name in bench.ROOMS if getattr(bench, name) is None} == set()
    assert set(bench.ROOMS) <= set(dir(bench))
    with pytest.raises(AttributeError, match="no attribute 'run_suit'"):
        _ = bench.run_suit


def test_a_suite_runs_and_its_report_is_made(capsys: pytest.CaptureFixture[str]) -> None:
    outcome = bench.run_suite("mine.toml", overrides=SMALL, limit="train=7,test=3")
    (result,) = outcome.results
    assert result is not None
    assert (outcome.failed, outcome.unreached) == ((), ())
    assert read_result(Path("runs") / result.key) == result
    assert [row.key for row in read_manifest(Path("runs"), "mine").rows] == [result.key]
    made = bench.report("mine", out="page")
    assert (Path("page") / "index.html") in made.paths
    printed = capsys.readouterr()
    assert printed.out == ""


def test_a_budget_leaves_jobs_unreached_and_the_manifest_says_so() -> None:
    outcome = bench.run_suite("mine.toml", overrides=SMALL, limit="train=7,test=3", budget=0)
    (job,) = outcome.unreached
    assert outcome.results == (None,)
    reason = "not reached within the time budget of 0 min"
    assert read_manifest(Path("runs"), "mine").unreached == {job.row.key: reason}


def test_an_executor_is_one_registered_function(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    monkeypatch.setattr("bench.run.executor._EXECUTORS._entries", {"local": run_all})

    @executor("counting")
    def count_and_run(jobs, session, *, budget=None):  # type: ignore[no-untyped-def]
        seen.append(len(jobs))
        return run_all(jobs, session, budget=budget)

    run: Executor = count_and_run
    assert run is count_and_run
    outcome = bench.run_suite("mine.toml", overrides=SMALL, limit="train=7,test=3", executor="counting")
    assert (seen, len(outcome.results)) == ([1], 1)
    with pytest.raises(UnknownNameError, match="--executor 'slurm': expected counting or local"):
        bench.run_suite("mine.toml", executor="slurm")


def test_results_that_are_removed_while_the_suite_runs_are_told_and_made_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("bench.run.executor._EXECUTORS._entries", {"local": run_all})

    @executor("careless")
    def run_and_remove(jobs, session, *, budget=None):  # type: ignore[no-untyped-def]
        results = run_all(jobs, session, budget=budget)
        shutil.rmtree("runs")
        return results

    outcome = bench.run_suite("mine.toml", overrides=SMALL, limit="train=7,test=3", executor="careless")
    (key,) = (job.row.key for job in outcome.jobs)
    assert f"runs: 1 of 1 results were removed while the suite ran, the first {key}" in caplog.text
    assert read_manifest(Path("runs"), "mine").unreached == {key: "its files were removed while the suite ran"}
    bench.run_suite("mine.toml", overrides=SMALL, limit="train=7,test=3")
    assert read_manifest(Path("runs"), "mine").unreached == {}
    assert read_result(Path("runs") / key).status == "limited"


def test_predictions_are_scored() -> None:
    mask = np.zeros((16, 16), dtype=np.uint8)
    mask[4:7, 5:8] = 255
    for folder in ("maps", "masks"):
        Path(folder).mkdir()
        Image.fromarray(mask).save(f"{folder}/one.png")
    (found,) = bench.score("maps", "masks")
    assert found.scores["IoU/pooled"].value == 1
    with pytest.raises(BenchError, match=r"maps|nowhere"):
        bench.score("maps", "nowhere")


def test_a_gate_stores_scores_and_compares_with_them() -> None:
    Path("given.toml").write_text(GIVEN)
    assert bench.gate("given.toml", "reference.json", limit="test=16", update=True, reason="the first") is None
    stored = json.loads(Path("reference.json").read_text())
    verdict = bench.gate("given.toml", "reference.json", limit="test=16")
    assert verdict is not None
    assert verdict.passed
    assert stored["rows"]


def test_importing_bench_loads_nothing_but_the_standard_library() -> None:
    code = """
        import sys
        before = set(sys.modules)
        import bench
        new = {name.partition(".")[0] for name in set(sys.modules) - before}
        assert new <= {"bench"} | set(sys.stdlib_module_names), new
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
