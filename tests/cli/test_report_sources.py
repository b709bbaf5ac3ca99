"""`dfinet-bench report --from`: folders of scores, JSON of scores, an MLflow store, and one line for every slip."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import fakes
import numpy as np
import pytest
from commands import Call, caller

import bench


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty working folder, and no settings of the user's."""
    monkeypatch.chdir(tmp_path)
    for name in ("DFINET_BENCH_DATA", "DFINET_BENCH_TRACEBACK", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Call:
    """`dfinet-bench` as a function of its words."""
    return caller(monkeypatch, capfd)


def write(folder: str, **maps: Any) -> str:
    """A folder of pictures in the working folder."""
    Path(folder).mkdir(exist_ok=True)
    for name, values in maps.items():
        assert cv2.imwrite(f"{folder}/{name}.png", np.asarray(values, np.uint8))
    return folder


@pytest.fixture
def scored(call: Call) -> tuple[str, str]:
    """Two folders of scores, of five images."""
    masks = {}
    for number in range(5):
        masks[f"im{number}"] = np.zeros((32, 32), np.uint8)
        masks[f"im{number}"][4 + number : 7 + number, 10:13] = 255
    write("masks", **masks)
    write("ours", **{name: mask // 255 * 210 for name, mask in masks.items()})
    theirs = {name: mask // 255 * (90 + 30 * k) for k, (name, mask) in enumerate(masks.items())}
    theirs["im1"][25:27, 25:27] = 170
    write("theirs", **theirs)
    for name in ("ours", "theirs"):
        assert call("score", name, "masks", "--out", f"scores/{name}").code == 0
    return "scores/ours", "scores/theirs"


def test_scores_become_the_report_that_compare_makes(call: Call, scored: tuple[str, str]) -> None:
    answer = call("report", "mine", "--from", scored[0], "--from", scored[1], "--out", "page")
    assert answer.code == 0, answer.err
    assert call("compare", "ours", "theirs", "masks", "--dataset", "mine", "--out", "compared").code == 0
    rows = [Path(page, "intervals-mine.csv").read_bytes() for page in ("page", "compared")]
    assert rows[0] == rows[1]
    assert {"roc", "pd-fa", "errors", "strata-mine"} <= {path.stem for path in Path("page/figures").iterdir()}
    text = Path("page/index.html").read_text(encoding="utf-8")
    assert "given predictions scores/ours" in text


def test_a_folder_of_folders_of_scores_is_all_of_them(call: Call, scored: tuple[str, str]) -> None:
    assert call("report", "mine", "--from", "scores", "--out", "page").code == 0
    assert Path("page/table.csv").read_text(encoding="utf-8").count("theirs") == 1


def test_scores_under_several_scorings_have_their_table(call: Call, scored: tuple[str, str]) -> None:
    for name in ("ours", "theirs"):
        several = ("--scoring", "native", "--scoring", "overlap", "--out", f"many/{name}")
        assert call("score", name, "masks", *several).code == 0
    assert call("report", "mine", "--from", "many", "--out", "page").code == 0
    assert Path("page/scorings-mine.csv").is_file()


def test_json_alone_gives_the_tables_and_says_what_is_missing(call: Call, scored: tuple[str, str]) -> None:
    for name in ("ours", "theirs"):
        Path(f"{name}.json").write_text(call("score", name, "masks", "--json").out)
    answer = call("report", "mine", "--from", "ours.json", "--from", "theirs.json", "--out", "page")
    assert answer.code == 0, answer.err
    assert "no intervals and strata for ours on mine" in answer.err
    assert "theirs" in Path("page/table.csv").read_text(encoding="utf-8")


def broken(what: str) -> None:
    """Damage the second folder of scores."""
    file = Path("scores/theirs/scores.json")
    if what == "json":
        file.write_text("{")
    elif what == "other":
        file.write_text(json.dumps({"scores": {}}))
    elif what == "counts":
        Path("scores/theirs/counts.npz").write_bytes(b"PK")
    elif what == "gone":
        Path("scores/theirs/counts.npz").unlink()


@pytest.mark.parametrize(
    ("damage", "words", "expected"),
    [
        ("json", ["mine", "--from", "scores"], "scores/theirs/scores.json: not a JSON file"),
        ("other", ["mine", "--from", "scores"], "scores/theirs/scores.json: not what dfinet-bench score writes"),
        ("counts", ["mine", "--from", "scores"], "scores/theirs/counts.npz: not a readable .npz file"),
        ("gone", ["mine", "--from", "scores"], "scores/theirs/counts.npz: no such file"),
        ("", ["mine", "--from", "scores/ours", "--from", "scores/ours"], "are both called 'ours'"),
        ("", ["a/b", "--from", "scores"], "report 'a/b': a path, expected a name for the report"),
        ("", ["mine", "--from", "scores", "--from", "masks"], "--from masks: holds no scores"),
        ("", ["mine", "--from", "masks", "--from", "ours"], "--from: 2 given, expected one"),
        ("", ["quick", "--from", "sqlite:///none.db"], "MLflow store sqlite:///none.db: no such file"),
    ],
)
def test_a_slip_is_one_line_and_exit_code_2(
    call: Call, scored: tuple[str, str], damage: str, words: list[str], expected: str
) -> None:
    broken(damage)
    answer = call("report", *words)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("error: ")
    assert answer.err.count("\n") == 1
    assert expected in answer.err
    assert not Path("none.db").exists()


def test_scores_of_other_images_are_refused(call: Call, scored: tuple[str, str]) -> None:
    for folder in ("theirs", "masks"):
        Path(f"{folder}/im4.png").rename(f"{folder}/im9.png")
    assert call("score", "theirs", "masks", "--out", "scores/theirs").code == 0
    answer = call("report", "mine", "--from", "scores")
    assert answer.code == 2
    assert "5 and 5 images, of which 2 are of one alone, the first 'im4', expected the same images" in answer.err


NEED_PICTURES = ("pictures-", "side-by-side-", "surface-")
"""Figures of images and maps, which a store does not hold."""


def test_an_mlflow_store_gives_the_report_of_the_folder_of_results(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    fakes.register_fakes(monkeypatch)
    uri = f"sqlite:///{Path.cwd()}/store.db"
    rows = "".join(f'[[row]]\nmodel = "{model}"\n' for model in ("Dot", "Echo"))
    Path("mine.toml").write_text(f'datasets = ["synthetic"]\n{rows}')
    small = {"recipe.epochs": 1, "recipe.patch": 32}
    bench.run_suite("mine.toml", overrides=small, limit="train=7,test=5", mlflow=uri)
    for out, source in (("page", "runs"), ("stored", uri)):
        bench.report("mine", source=source, out=out)
    names = {path.relative_to("page") for path in Path("page").rglob("*") if path.is_file()}
    mirrored = {path.relative_to("stored") for path in Path("stored").rglob("*") if path.is_file()}
    assert {name for name in names - mirrored if not name.name.startswith(NEED_PICTURES)} == set()
    same = ["table.csv", "intervals-synthetic.csv", "rounds.csv", "strata-synthetic.csv", "figures/loss.png"]
    assert [name for name in same if Path("page", name).read_bytes() != Path("stored", name).read_bytes()] == []
    for files in Path("mlartifacts").glob("*/artifacts/results"):
        shutil.rmtree(files)  # as in a store of before they were sent
    refused = call("report", "mine", "--from", uri)
    assert refused.code == 2
    assert "suite 'mine' was logged without its files; send them with dfinet-bench publish mine" in refused.err
    assert call("publish", "mine", "--mlflow", uri).code == 0
    bench.report("mine", source=uri, out="later")
    assert Path("page/table.csv").read_bytes() == Path("later/table.csv").read_bytes()
    refused = call("report", "other", "--from", uri)
    assert refused.code == 2
    assert "no suite 'other' (found there: mine (limited))" in refused.err
