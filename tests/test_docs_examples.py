"""The examples of CONTRIBUTING.md and docs run as they are printed."""

from __future__ import annotations

import doctest
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pages import PAGES, ROOT, blocks_of
from PIL import Image

from bench.metrics.counting.counts import count_masks
from bench.metrics.registry import METRICS, find_metrics, score_counts
from bench.models.network import MODELS, build_model, find_models
from bench.registry import load_plugin
from bench.store.files import read_manifest, read_result
from bench.types import Scoring

CONTRIBUTING = ROOT / "CONTRIBUTING.md"
EXAMPLES = {block.file: block.text for block in blocks_of(CONTRIBUTING) if block.file}
PLUGINS = sorted(name for name in EXAMPLES if name.endswith(".py"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the examples of CONTRIBUTING.md as files."""
    made = tmp_path_factory.mktemp("examples")
    for name, text in EXAMPLES.items():
        (made / name).write_text(text, encoding="utf-8")
    return made


@pytest.fixture
def registries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the test registers is forgotten after it."""
    for registry in (find_models() and MODELS, find_metrics() and METRICS):
        monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    monkeypatch.setattr("bench.registry._PLUGINS", {})
    for name in [name for name in sys.modules if name.startswith("bench_plugin_")]:
        monkeypatch.delitem(sys.modules, name)


def test_every_example_of_contributing_is_a_file_that_is_run() -> None:
    code = [block for block in blocks_of(CONTRIBUTING) if block.language]
    assert {block.language for block in code} == {"python", "toml"}
    assert all(block.file for block in code), "begin the example with `# NAME.py` or `# NAME.toml`"
    assert len(EXAMPLES) == len(code)
    assert len(PLUGINS) >= 4


@pytest.mark.usefixtures("registries")
def test_every_plugin_loads_and_builds_its_model(folder: Path) -> None:
    before = set(find_models())
    for name in PLUGINS:
        load_plugin(folder / name)
    new = set(find_models()) - before
    assert new == {"TinyNet", "Peaks", "DFINet/narrow-theta"}
    for name in new:
        settings = {"width": 8} if name.startswith("DFINet") else {}
        assert build_model(name, channels=find_models().get(name).info.channels, settings=settings) is not None


@pytest.mark.usefixtures("registries")
def test_the_metric_is_scored_and_gives_the_value_of_its_own_example(folder: Path) -> None:
    load_plugin(folder / "silence.py")
    found = score_counts(count_masks([[1, 1, 0, 0]], [[0, 1, 1, 0]]), Scoring("native"))["Specificity/pooled"]
    assert found.value == 0.5
    compute = find_metrics().get("Specificity/pooled").compute
    tests = doctest.DocTestFinder(recurse=False).find(compute, globs=dict(compute.__globals__))
    runner = doctest.DocTestRunner()
    assert [runner.run(test).failed for test in tests] == [0]


def test_the_suite_runs_with_the_plugins_as_printed(folder: Path) -> None:
    """One epoch on four generated frames: every row is done, under the settings of the file, and the metric scored."""
    (line,) = (
        line
        for block in blocks_of(CONTRIBUTING)
        for line in block.text.splitlines()
        if line.startswith("dfinet-bench run mine.toml")
    )
    words = shlex.split(line)[1:]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MLFLOW_DISABLE_TELEMETRY": "true"}
    done = subprocess.run(
        [sys.executable, "-m", "bench", *words, "--mlflow", "off"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    manifest = read_manifest(folder / "runs", "mine")
    rows = tomllib.loads(EXAMPLES["mine.toml"])["row"]
    assert [row.label for row in manifest.rows] == [row.get("label", row["model"]) for row in rows]
    for row in manifest.rows:
        result = read_result(folder / "runs" / row.key)
        assert result.status == "limited"
        assert result.scores["Specificity/pooled"].value is not None


def test_the_python_example_of_the_statistics_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "runs").symlink_to(ROOT / "results")
    monkeypatch.chdir(tmp_path)
    keys = [row.key for row in read_manifest(ROOT / "results", "quick").rows]
    (block,) = (block for block in blocks_of(ROOT / "docs/statistics.md") if block.language == "python")
    names: dict[str, object] = {"KEY": keys[0], "OTHER": keys[1]}
    exec(compile(block.text, "docs/statistics.md", "exec"), names)
    assert 0 < names["test"].p <= 1  # type: ignore[attr-defined]
    assert np.isfinite(names["difference"].smallest_detectable())  # type: ignore[attr-defined]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_toml_example_can_be_read(page: Path) -> None:
    for block in blocks_of(page):
        if block.language == "toml":
            assert tomllib.loads(block.text)
        if block.language == "python":
            compile(block.text, page.name, "exec")
        assert re.fullmatch("|python|toml|json", block.language), "name a language that is checked, or none"


@pytest.mark.slow
def test_the_python_example_of_the_running_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    mask = np.zeros((16, 16), dtype=np.uint8)
    mask[4:7, 5:8] = 255
    for name in ("my_predictions", "masks"):
        Path(name).mkdir()
        Image.fromarray(mask).save(f"{name}/one.png")
    shutil.copy(ROOT / "bench/suites/gate/acm.safetensors", "acm.safetensors")
    (block,) = (block for block in blocks_of(ROOT / "docs/running.md") if block.language == "python")
    names: dict[str, Any] = {}
    exec(compile(block.text, "docs/running.md", "exec"), names)
    assert [result.status for result in names["outcome"].results] == ["limited"] * 5
    assert Path("reports-out/quick/index.html") in names["pages"].paths
    assert names["scored"].scores["IoU/pooled"].value == 1
