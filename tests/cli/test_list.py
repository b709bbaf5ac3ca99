"""`dfinet-bench list`: what fits a screen, all of one name, and lists that wait for nothing heavy."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from commands import Call, caller
from rich.console import Console

from bench.cli.catalogue import LISTS

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "numba", "scipy", "pandas", "cv2", "mlflow", "matplotlib")


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Call:
    return caller(monkeypatch, capfd)


def test_the_list_of_models_fits_80_columns_a_line_a_model(call: Call) -> None:
    lines = call("list", "models").out.splitlines()
    models = json.loads(call("list", "models", "--json").out)["models"]
    assert max(map(len, lines)) <= 80
    assert len([line for line in lines if line.startswith("│")]) == len(models)
    assert "list models NAME" in lines[-1]
    assert {"source", "cite", "ablates", "channels"} <= set(models[0])


@pytest.mark.parametrize("what", ["datasets", "metrics", "corruptions"])
def test_lists_of_short_facts_have_a_line_a_name_at_80_columns(
    what: str, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.cli.listing.out", Console(width=80))
    lines = [line for line in call("list", what).out.splitlines() if line.startswith("│")]
    assert len(lines) == len(json.loads(call("list", what, "--json").out)[what])


@pytest.mark.parametrize("what", sorted(LISTS))
def test_no_name_is_broken_at_80_columns(what: str, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.cli.listing.out", Console(width=80))
    lines = call("list", what).out.splitlines()
    rows = json.loads(call("list", what, "--json").out)[what]
    shown = [line.split("│")[1].strip() for line in lines if line.startswith("│")]
    assert [name for name in shown if name] == [str(next(iter(row.values()))) for row in rows]
    assert max(map(len, lines)) <= 80


def test_one_name_is_told_whole(call: Call) -> None:
    out = call("list", "models", "DFINet").out.splitlines()
    assert out[0] == "name: DFINet"
    assert "ablates: —" in out
    assert any(line.startswith("cite: J. Wu") and line.endswith("111958") for line in out)
    (row,) = json.loads(call("list", "protocols", "native", "--json").out)["protocols"]
    assert row["name"] == "native"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("models", "DFINte"), "no model is called 'DFINte'; did you mean DFINet"),
        (("metrics", "IoU/poold"), "no metric is called 'IoU/poold'; did you mean IoU/pooled"),
        (("suites", "quik"), "no suite is called 'quik'; did you mean quick?"),
        (("modles",), "no list is called 'modles'; did you mean models?"),
    ],
)
def test_an_unknown_name_is_one_line_with_the_nearest(call: Call, words: tuple[str, ...], said: str) -> None:
    answer = call("list", *words)
    assert (answer.code, answer.out, answer.err.count("\n")) == (2, "", 1)
    assert said in answer.err


@pytest.mark.parametrize("what", ["protocols", "datasets", "weights", "layouts"])
def test_a_list_that_needs_nothing_heavy_imports_nothing_heavy(what: str) -> None:
    code = (
        "import sys; from bench.cli import main; sys.argv = ['dfinet-bench', 'list', sys.argv[1]]\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        f"found = set({HEAVY!r}) & set(sys.modules)\nassert not found, found"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code, what], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
