"""What the command line says of lists that share images, and of runs that learn from what they are tested on."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import cv2
import fakes
import numpy as np
import pytest
from commands import Call, caller

from bench.data.catalogue import splits
from bench.data.catalogue.splits import list_names
from bench.store.files import read_manifest, read_result

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
    shutil.copytree(splits.datasets_root(), tmp_path / "lists")
    folder = tmp_path / "lists" / "synthetic" / "splits" / "bench"
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


CROSS = 'datasets = ["SIRST-UAVB"]\ntrained_on = ["IRSTD-1k"]\n[[row]]\nmodel = "Dot"\n'


@pytest.fixture
def same_pixels() -> str:
    """Two datasets without digests, one of whose test images is a training image of the other; its name there."""
    noise = np.random.default_rng(0).integers(0, 256, (20, 40, 40), dtype=np.uint8)
    lists = {("IRSTD-1k", "basicirstd"): {"fit": 6, "held-out": 1}, ("SIRST-UAVB", "dfinet"): {"test": 3}}
    number = 0
    for (dataset, split), parts in lists.items():
        for part, count in parts.items():
            for name in list_names(dataset, split, part, count):
                planes = {"images": noise[number], "masks": (noise[number] > 250).astype(np.uint8) * 255}
                for kind, plane in planes.items():
                    path = Path("data") / dataset / kind / f"{name}.png"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    assert cv2.imwrite(str(path), plane)
                number += 1
    copy = list_names("SIRST-UAVB", "dfinet", "test", 3)[1]
    assert cv2.imwrite(f"data/SIRST-UAVB/images/{copy}.png", noise[3])
    return copy


def test_a_copy_in_another_dataset_is_found_by_its_pixels_where_cards_have_no_digests(
    call: Call, same_pixels: str
) -> None:
    refused = call("run", write_suite(CROSS), *SMALL)
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert (
        "IRSTD-1k/basicirstd/fit, which is learnt from, and SIRST-UAVB/dfinet/test, which is tested on, share 1 "
        f"images, the first {same_pixels!r}" in refused.err
    )
    assert not Path("runs").exists()
    for _ in range(2):
        allowed = call("run", write_suite(CROSS), *SMALL, "--allow-leak")
        assert allowed.code == 0, allowed.err
        assert "(leak: 1 of 3 test images learnt from)" in " ".join(allowed.out.split())
        (row,) = read_manifest(Path("runs"), "mine").rows
        assert (row.leaked, read_result(Path("runs") / row.key).leaked) == (1, 1)


def test_a_clean_run_says_nothing_of_leaks(call: Call) -> None:
    answer = call("run", write_suite(DOT), *SMALL, "--allow-leak")
    assert "leak" not in answer.out
    assert json.loads(next(Path("runs").glob("*/result.json")).read_text())["leaked"] == 0


def test_lists_that_share_nothing_have_exit_code_0_and_say_so(call: Call) -> None:
    answer = call("data", "leaks", "synthetic")
    assert answer.code == 0, answer.err
    assert "bench/test (80 images) against bench/train: 0 shared, 0 with the same pixels, 0 near (0.0%)" in answer.out
    assert answer.out.rstrip().endswith("synthetic: no split learns from what it judges on")


def test_a_leak_in_a_datasets_own_lists_has_exit_code_1(call: Call, leaky_lists: str) -> None:
    answer = call("data", "leaks", "synthetic")
    assert answer.code == 1
    assert f"shared: {leaky_lists}" in answer.out
    assert answer.out.rstrip().endswith("synthetic: leaks")


def test_without_images_the_names_are_compared_and_the_answer_says_that_pixels_were_not(call: Call) -> None:
    answer = call("data", "leaks", "NUDT-SIRST")
    assert answer.code == 0
    cells = [line.replace("│", " ").split() for line in answer.out.splitlines() if "basicirstd/test" in line]
    assert cells[0] == ["4", "basicirstd/test", "·", "·", "·", "664", "417", "340", "77", "119", "128"]
    assert "names were compared and pixels were not: NUDT-SIRST: no data folder was given" in answer.out
    assert "near duplicates not looked for" in answer.out


def test_leaks_as_json_are_one_object_and_its_files_are_written(call: Call, tmp_path: Path) -> None:
    answer = call("data", "leaks", "synthetic", "--split", "bench", "--json", "--out", str(tmp_path / "out"))
    found = json.loads(answer.out)
    assert (found["dataset"], found["clean"], found["twins"], found["exact"]) == ("synthetic", True, [], [])
    assert found["lists"] == ["bench/train", "bench/fit", "bench/held-out", "bench/test"]
    assert [Path(path).name for path in found["files"]] == [
        "synthetic-overlaps.csv",
        "synthetic-near.csv",
        "synthetic-pairs.csv",
    ]
    assert all(Path(path).is_file() for path in found["files"])


def test_statistics_are_a_line_a_list_and_files(call: Call, tmp_path: Path) -> None:
    answer = call("data", "stats", "synthetic", "--out", str(tmp_path / "out"))
    assert answer.code == 0, answer.err
    (line,) = [line.replace("│", " ").split() for line in answer.out.splitlines() if "bench/test" in line]
    assert line[:5] == ["synthetic", "bench/test", "80", "143", "1.79"]
    assert (tmp_path / "out/datasets.tex").is_file()
    assert (tmp_path / "out/synthetic-sheet.pdf").is_file()


def test_statistics_as_json_are_one_object(call: Call) -> None:
    answer = call("data", "stats", "synthetic", "synthetic", "--json")
    found = json.loads(answer.out)
    assert [one["list"] for one in found["lists"]] == ["all images", "bench/train", "bench/test"]
    assert (found["lists"][0]["images"], found["lists"][0]["targets"], found["files"]) == (400, 724, [])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("leaks", "synthetik"), "no dataset is called 'synthetik'; did you mean synthetic"),
        (("leaks", "synthetic", "--split", "benck"), "no split of synthetic is called 'benck'; did you mean bench?"),
        (("stats", "synthetik"), "no dataset is called 'synthetik'; did you mean synthetic"),
        (("stats", "synthetic", "--split", "benck"), "no split of synthetic is called 'benck'; did you mean bench?"),
        (("stats", "NUDT-SIRST"), "NUDT-SIRST: no data folder was given; pass the folder that holds NUDT-SIRST"),
        (("stats", "NUDT-SIRST", "--data", "nowhere"), "nowhere/NUDT-SIRST: no such folder"),
    ],
)
def test_a_wrong_request_is_answered_in_one_line(words: tuple[str, ...], said: str, call: Call) -> None:
    answer = call("data", *words)
    assert answer.code == 2
    assert answer.err.count("\n") == 1
    assert said in answer.err


def test_a_mixture_shows_what_its_lists_share_with_those_of_its_parts(call: Call) -> None:
    answer = call("data", "leaks", "SIRST3")
    assert answer.code == 0
    assert "images that lists of NUDT-SIRST hold too" in answer.out
    _, _, part = answer.out.partition("images that lists of NUDT-SIRST hold too")
    (test,) = [line.replace("│", " ").split() for line in part.splitlines() if "dfinet/test" in line]
    assert (test[0], test[1], test[-1]) == ("dfinet/test", "138", "128")  # in SIRST3's train and test
