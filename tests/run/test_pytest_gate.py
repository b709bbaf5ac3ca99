"""The pytest plugin: every check of a gate is a test, told in one sentence where it fails."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import bench

ROOT = Path(__file__).parents[2]
SUITE = 'datasets = ["synthetic"]\n[[row]]\nmodel = "TopHat"\n'


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a suite, its reference, pytest's settings and a test."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "own.toml").write_text(SUITE)
    (folder / "test_own.py").write_text("def test_own(): pass\n")
    settings = "[pytest]\ndfinet_gate_suite = own.toml\ndfinet_gate_reference = reference.json\n"
    (folder / "pytest.ini").write_text(settings)
    bench.gate(folder / "own.toml", folder / "reference.json", limit="test=20", update=True, reason="a test")
    return folder


def run_pytest(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """pytest in the folder, with the plugin."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    # once, however the plugin is known: as an entry point, where this project is installed, or by `-p`
    environment |= {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-m", "pytest", "-p", "bench.pytest_gate", "-p", "no:cacheprovider", "-q", *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_without_its_option_the_plugin_adds_nothing(folder: Path) -> None:
    assert "1 passed" in run_pytest(folder).stdout


def test_every_check_of_the_reference_is_a_test(folder: Path) -> None:
    done = run_pytest(folder, "--dfinet-gate", "--dfinet-gate-limit", "test=20", "-vv")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "TopHat on synthetic: IoU/pooled PASSED" in done.stdout
    assert "TopHat on synthetic: images PASSED" in done.stdout


def test_a_check_that_fails_is_told_in_one_sentence(folder: Path) -> None:
    (folder / "other.toml").write_text(SUITE + 'label = "TopHat"\nsettings = { level = 0.99 }\n')
    done = run_pytest(folder, "--dfinet-gate", "--dfinet-gate-suite", "other.toml", "--dfinet-gate-limit", "test=20")
    assert done.returncode == 1
    assert "TopHat on synthetic: IoU/pooled is 0." in done.stdout
    assert "Traceback" not in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--dfinet-gate-reference", "none.json"), "reference none.json: no such file"),
        (("--dfinet-gate-reference", "own.toml"), "reference own.toml: not JSON"),
    ],
)
def test_a_wrong_request_is_one_line(words: tuple[str, ...], said: str, folder: Path) -> None:
    done = run_pytest(folder, "--dfinet-gate", *words)
    assert done.returncode == 4
    (line,) = (line for line in done.stderr.splitlines() if line.strip())
    assert said in line


def test_a_suite_that_is_not_named_is_asked_for(folder: Path) -> None:
    done = run_pytest(folder, "--dfinet-gate", "-c", os.devnull, "--rootdir", str(folder))
    assert "ERROR: --dfinet-gate: no suite, expected --dfinet-gate-suite" in done.stderr
