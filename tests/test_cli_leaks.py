"""What the command line says of lists that share images, and of runs that learn from what they are tested on."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import fakes
import pytest
from commands import Call, caller

from bench.data import splits
from bench.data.splits import list_names
from bench.store import read_manifest, read_result

SMALL = ("--set", "recipe.epochs=1", "--set", "recipe.patch=32", "--limit", "train=7,test=3", "--mlflow", "off")
DOT = 'datasets = ["synthetic"]\n[[row]]\nmodel = "Dot"\n'


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty working folder, networks that learn nothing, and no settings of the user's."""
    fakes.register_fakes(monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DFINET_BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("DFINET_BENCH_DATA", raising=False)
    before = dict(os.environ)
    yield
    for name in set(os.environ) - set(before):
        del os.environ[name]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Call:
    return caller(monkeypatch, capfd)


@pytest.fixture
def leaky_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Synthetic lists whose first test image is the first one that is learnt from; its name."""
    folder = tmp_path / "lists" / "synthetic" / "splits" / "bench"
    folder.mkdir(parents=True)
    named = {part: list(list_names("synthetic", "bench", part)) for part in ("train", "held-out", "test")}
    learnt = list_names("synthetic", "bench", "fit")[0]
    named["test"][0] = learnt
    for part, names in named.items():
        (folder / f"{part}.txt").write_text("\n".join(names))
    monkeypatch.setattr(splits, "datasets_root", lambda: tmp_path / "lists")
    splits._full_list.cache_clear()
    yield learnt
    splits._full_list.cache_clear()


def write_suite(text: str) -> str:
    Path("mine.toml").write_text(text)
    return "mine.toml"


def test_a_leak_is_refused_with_what_to_do_before_anything_is_written(call: Call, leaky_lists: str) -> None:
    answer = call("run", write_suite(DOT), *SMALL)
    assert answer.code == 2
    assert answer.err.count("\n") == 1
    assert (
        f"share 1 images, the first '{leaky_lists}'; choose lists that share none, or pass --allow-leak" in answer.err
    )
    assert not Path("runs").exists()


@pytest.mark.usefixtures("leaky_lists")
@pytest.mark.parametrize(("text", "more"), [(DOT, ("--allow-leak",)), (f"allow_leak = true\n{DOT}", ())])
def test_a_leak_that_is_allowed_is_recorded_and_in_every_table(text: str, more: tuple[str, ...], call: Call) -> None:
    answer = call("run", write_suite(text), *SMALL, *more)
    assert answer.code == 0, answer.err
    assert "(leak: 1 of 3 test images learnt from)" in " ".join(answer.out.split())
    (row,) = read_manifest(Path("runs"), "mine").rows
    assert (row.leaked, read_result(Path("runs") / row.key).leaked) == (1, 1)
    assert call("report", "mine", "--mlflow", "off").code == 0
    for name in ("table.csv", "table.md", "table.tex", "index.html"):
        text = (Path("reports-out/mine") / name).read_text()
        assert "1 of 3 test images were in the training list" in text, name


@pytest.mark.usefixtures("leaky_lists")
def test_a_gate_is_never_held_on_images_that_were_learnt_from(call: Call) -> None:
    refused = call("gate", write_suite(DOT), "--reference", "x.json", "--update")
    assert (refused.code, "share 1 images" in refused.err) == (2, True)
    allowed = call("gate", write_suite(f"allow_leak = true\n{DOT}"), "--reference", "x.json", "--update")
    assert (allowed.code, "has allow_leak = true, expected false" in allowed.err) == (2, True)
    assert not Path("x.json").exists()


def test_a_clean_run_says_nothing_of_leaks(call: Call) -> None:
    answer = call("run", write_suite(DOT), *SMALL, "--allow-leak")
    assert "leak" not in answer.out
    assert json.loads(next(Path("runs").glob("*/result.json")).read_text())["leaked"] == 0
