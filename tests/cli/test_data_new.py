"""`dfinet-bench data new` as users call it: from two folders to a trained and tested network, without a checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from commands import Call, caller
from toy_data import place

SUITE = 'protocol = "basicirstd"\ndatasets = ["MySet"]\n[[row]]\nmodel = "ACM"\n'


@pytest.fixture(autouse=True)
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working folder with eight images of 64x64 pixels, masks of 0 and 1, and no settings of the user's."""
    monkeypatch.chdir(tmp_path)
    for name in ("DFINET_BENCH_DATA", "DFINET_BENCH_TRACEBACK"):
        monkeypatch.delenv(name, raising=False)
    write_pictures(Path("mine"), [f"f{number}" for number in range(8)])


def write_pictures(folder: Path, names: list[str], target: int = 1) -> None:
    for number, name in enumerate(names):
        image, mask = place(number, (64, 64)) // 2, np.zeros((64, 64), np.uint8)
        image[20:23, 30:33], mask[20:23, 30:33] = 250, target
        for kind, pixels in (("images", image), ("masks", mask)):
            path = folder / kind / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), pixels)


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Call:
    return caller(monkeypatch, capfd)


NEW = ("data", "new", "MySet", "mine/images", "mine/masks", "--data", "D")


def test_a_dataset_of_ones_own_is_made_proven_listed_run_and_scored_outside_the_checkout(tmp_path: Path) -> None:
    """Commands are processes of their own, so that all that one knows of the dataset is in its folder."""
    Path("mine.toml").write_text(SUITE)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def command(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "bench", *words], capture_output=True, text=True, check=False, env=environment
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    made = command(*NEW, "--split", "train=0.75,test=0.25").splitlines()
    assert made == [
        "8 masks of 0 and 1 stored as 0 and 255",
        made[1],
        "split own (train 6, held-out 1, test 2)",
        "D/MySet: made; dfinet-bench run SUITE --dataset MySet --data D",
    ]
    assert made[1].startswith("MySet: 8 images, 8 targets, 0 masks without one, mean ")
    assert command("data", "verify", "MySet", "--data", "D") == "MySet: 16 files read, as its card says\n"
    environment["DFINET_BENCH_DATA"] = "D"
    (listed,) = (one for one in json.loads(command("list", "datasets", "--json"))["datasets"] if one["name"] == "MySet")
    assert (listed["images"], listed["splits"], listed["digests"]) == (8, "own (6/1/2)", "8 of 8")
    run = json.loads(command("run", "mine.toml", "--set", "recipe.epochs=1", "--mlflow", "off", "--json"))
    (row,) = run["results"]
    assert (row["result"]["status"], row["row"]["dataset"]) == ("done", "MySet")
    assert row["result"]["experiment"]["images"]["split"] == "own"
    command("score", f"runs/{row['row']['key']}")
    command("collect", "mine.toml", "--out", "results")
    assert "MySet: no split learns from what it judges on" in command("data", "leaks", "MySet")


def test_lists_from_files_are_taken_as_they_are_and_more_can_be_added(call: Call) -> None:
    for name, names in {"a": "f0 f1 f2", "b": "f3.png", "c": "f4 f5", "d": "f6 f7"}.items():
        Path(f"{name}.txt").write_text("\n".join(names.split()))
    answer = call(*NEW, "--split", "train=a.txt", "--split", "val=b.txt,test=c.txt")
    assert answer.out.splitlines()[1] == "2 images in no list"
    assert Path("D/MySet/splits/own/val.txt").read_text() == "f3\n"
    assert (
        "split second (train 3, held-out 1, test 2)"
        in call("data", "lists", "MySet", "a.txt", "d.txt", "--split", "second", "--data", "D").out
    )


def test_without_a_split_all_images_are_tested_on(call: Call) -> None:
    answer = call(*NEW)
    assert "no --split: all images are one test list, to train on some give shares or lists" in answer.out
    assert "split own (test 8)" in answer.out
    Path("train.toml").write_text('datasets = ["MySet"]\n[[row]]\nmodel = "ACM"\n')
    refused = call("run", "train.toml", "--data", "D", "--mlflow", "off")
    assert refused.code == 2
    assert "or add a split by dfinet-bench data lists MySet TRAIN.txt TEST.txt --split NAME" in refused.err


def test_shares_keep_copies_and_near_duplicates_in_one_list(call: Call) -> None:
    write_pictures(Path("mine"), [f"f{number}" for number in range(8)])
    for number in range(4):
        for kind in ("images", "masks"):
            content = Path(f"mine/{kind}/f{number}.png").read_bytes()
            Path(f"mine/{kind}/again{number}.png").write_bytes(content)
    answer = call(*NEW, "--split", "train=0.5,test=0.5", "--seed", "3")
    assert "4 pairs of copies and near duplicates, each in one list" in answer.out
    for part in ("train", "test"):
        names = Path(f"D/MySet/splits/own/{part}.txt").read_text().split()
        assert len(names) == 6
        copied = [name for name in names if name in {f"f{number}" for number in range(4)}]
        assert {f"again{name[1:]}" for name in copied} == {name for name in names if name.startswith("again")}


def test_shares_are_decided_by_names_and_seed(call: Call) -> None:
    tests = []
    for name, seed in (("A", "0"), ("B", "0"), ("C", "1")):
        call("data", "new", name, "mine/images", "mine/masks", "--split", "train=0.5,test=0.5", "--seed", seed)
        tests.append(Path(f"data/{name}/splits/own/test.txt").read_text())
    assert tests[0] == tests[1] != tests[2]


def test_a_folder_in_place_gets_a_card_alone(call: Call) -> None:
    write_pictures(Path("D/MySet"), ["a", "b"], target=255)
    before = {path: path.read_bytes() for path in Path("D/MySet").rglob("*.png")}
    assert call("data", "new", "MySet", "D/MySet/images", "D/MySet/masks", "--data", "D").code == 0
    assert {path: path.read_bytes() for path in Path("D/MySet").rglob("*.png")} == before
    assert call("data", "verify", "MySet", "--data", "D").code == 0


def test_a_folder_in_place_whose_files_would_change_is_left_alone(call: Call) -> None:
    write_pictures(Path("D/MySet"), ["a", "b"], target=1)
    answer = call("data", "new", "MySet", "D/MySet/images", "D/MySet/masks", "--data", "D")
    assert "files would have to be changed or renamed, which are left as they are" in answer.err
    assert sorted(path.name for path in Path("D/MySet").iterdir()) == ["images", "masks"]


WRONG = {
    "name 'a b': expected up to 64 letters": ("a b", "mine/images", "mine/masks"),
    "there is a dataset 'NUAA-SIRST' already": ("nuaa_sirst", "mine/images", "mine/masks"),
    "nosuch: no such folder, expected a folder of images": ("X", "nosuch", "mine/masks"),
    "--split: shares 0.5, expected above 0, and 1 in all": ("X", "mine", "--split", "train=0.5"),
    "--split: no test list": ("X", "mine", "--split", "train=1"),
    "--split 'all=1': expected each of train, val, test": ("X", "mine", "--split", "all=1"),
    "no.txt: no such file, expected a list of image names": ("X", "mine", "--split", "test=no.txt"),
    "'f99' is no image of X": ("X", "mine", "--split", "test=wrong.txt"),
    "masks/f1.png: empty file, expected an image; nothing was imported": ("X", "damaged"),
    "mask 64x64 over image 32x64": ("X", "unequal"),
    "1 file without mask: images/more.png": ("X", "alone"),
    "--boxes: no folder of labels, expected": ("X", "mine", "--boxes"),
}


@pytest.mark.parametrize(("said", "words"), WRONG.items(), ids=WRONG)
def test_what_cannot_be_made_is_one_line_and_leaves_nothing(call: Call, said: str, words: tuple[str, ...]) -> None:
    Path("wrong.txt").write_text("f99\n")
    for folder in ("damaged", "unequal", "alone"):
        write_pictures(Path(folder), ["f1", "f2"], target=255)
    Path("damaged/masks/f1.png").write_bytes(b"")
    cv2.imwrite("unequal/images/f1.png", np.zeros((32, 64), np.uint8))
    cv2.imwrite("alone/images/more.png", np.zeros((32, 64), np.uint8))
    answer = call("data", "new", *words, "--data", "D")
    assert answer.code == 2
    assert answer.err.count("\n") == 1
    assert said in answer.err
    assert not Path("D").exists() or list(Path("D").iterdir()) == []


def test_a_dataset_is_not_made_or_imported_twice(call: Call) -> None:
    assert call(*NEW).code == 0
    assert "there is a dataset 'MySet' already; choose another name" in call(*NEW).err
    answer = call("data", "import", "MySet", "mine", "--replace", "--data", "D")
    assert "a dataset of your own with its card, expected images alone; it is not replaced" in answer.err


def test_a_card_that_lacks_fields_is_told_of_as_ones_own(call: Call) -> None:
    call(*NEW)
    card = Path("D/MySet/card.toml")
    lines = card.read_text().splitlines(keepends=True)
    card.write_text("".join(line for line in lines if not line.startswith(("title", "cite"))))
    answer = call("data", "verify", "MySet", "--data", "D")
    assert answer.err == (
        "error: D/MySet/card.toml: not a dataset card, it lacks title, cite; correct it, or move the folder away and "
        "make it again with dfinet-bench data new\n"
    )
    card.write_text("".join(lines).replace("images = 8", 'images = "8"'))
    assert "images is '8', expected a whole number" in call("data", "verify", "MySet", "--data", "D").err
    card.write_text("".join(lines))
    Path("D/MySet/splits/own/test.txt").write_text("f1\n")
    assert "git checkout" not in call("data", "verify", "MySet", "--data", "D").err


def test_no_card_in_a_data_folder_stands_in_for_a_published_one(call: Call) -> None:
    call(*NEW)
    Path("D/MySet").rename("D/NUAA-SIRST")
    (listed,) = (
        one
        for one in json.loads(call("list", "datasets", "--data", "D", "--json").out)["datasets"]
        if one["name"] == "NUAA-SIRST"
    )
    assert listed["images"] == 427
