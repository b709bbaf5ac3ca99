"""A bundle on another machine: a Python that knows neither checkout nor MLflow, several slices, and what goes wrong."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sysconfig
import time
import venv
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from commands import Call, caller
from safetensors.numpy import load_file
from toy_data import place, write_card

import bench
from bench.bundle.archive import Bundled
from bench.bundle.carry import carry_back
from bench.bundle.parts import PARTS_FILE, PartsList, read_parts_list
from bench.store.files import read_manifest, read_result, write_json

pytestmark = pytest.mark.slow

NETWORK = """
import time

from torch import nn

from bench.models.network import Segmenter, model


class Slow(Segmenter):
    def __init__(self, channels):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(channels, 8, 3, padding=1), nn.Dropout(0.1), nn.Conv2d(8, 1, 1))

    def forward(self, image, start=None):
        time.sleep(0.2)
        return self.layers(image)


@model("Slow", cite="none", source="tests", licence="MIT", recipe="basicirstd")
def build(*, channels):
    return Slow(channels)
"""
SUITE = """
plugins = ["slow.py"]
datasets = ["HERE"]
[set]
"recipe.epochs" = 24
"recipe.patch" = 32
"recipe.batch" = 4
[[row]]
model = "Slow"
[[row]]
model = "TopHat"
"""
BLOCKED = ("mlflow", "fvcore", "pydantic", "ray", "typer", "rich")
BLOCK = f"""
import sys
from importlib.machinery import PathFinder

class Unblocked:
    @staticmethod
    def find_spec(name, path=None, target=None):
        return None if name.partition(".")[0] in {BLOCKED} else PathFinder.find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Unblocked
"""


@dataclass(frozen=True)
class Elsewhere:
    """Another machine: a Python, a home, and the folders of a user who works there."""

    python: Path
    home: Path
    bundle: Path

    def words(self, *words: str, out: str = "out", work: str = "work", minutes: float = 0.3) -> list[str]:
        """The command of a slice."""
        given = ["--work", work, "--out", out, "--minutes", str(minutes), "--check", "0", *words]
        return [str(self.python), str(self.bundle), *given]

    @property
    def environment(self) -> dict[str, str]:
        """Nothing but what no process is without."""
        return {"PATH": "/usr/bin:/bin", "HOME": str(self.home), "OMP_NUM_THREADS": "1"}

    def slice(self, *words: str, out: str = "out", work: str = "work", minutes: float = 0.3) -> tuple[int, str]:
        """Exit code and output of a slice."""
        done = subprocess.run(
            self.words(*words, out=out, work=work, minutes=minutes),
            cwd=self.home,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return done.returncode, done.stdout


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with the libraries of this one, without the checkout and without the blocked modules."""
    folder = tmp_path_factory.mktemp("python")
    venv.create(folder, symlinks=True, with_pip=False)
    (site,) = folder.glob("lib/*/site-packages")
    (site / "block_modules.py").write_text(BLOCK)
    (site / "libraries.pth").write_text(f"import block_modules\n{sysconfig.get_path('purelib')}\n")
    return folder / "bin" / "python"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A suite with a plugin, and its dataset of twelve small images, each with a target."""
    folder = tmp_path_factory.mktemp("source")
    (folder / "slow.py").write_text(NETWORK)
    (folder / "here.toml").write_text(SUITE)
    names = [f"im{number}" for number in range(12)]
    lists = {"train": names[:8], "fit": names[:6], "held-out": names[6:8], "test": names[8:]}
    write_card(folder / "data", "HERE", {"own": lists})
    card = folder / "data/HERE/card.toml"
    card.write_text("mean = 100.0\nstd = 30.0\n" + card.read_text())
    for kind in ("images", "masks"):
        (folder / "data/HERE" / kind).mkdir()
    for number, name in enumerate(names):
        image, mask = place(number, (48, 48)), np.zeros((48, 48), np.uint8)
        mask[10:13, 20 + number : 23 + number] = 255
        image[mask > 0] = 250
        colour = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
        cv2.imwrite(str(folder / f"data/HERE/images/{name}.bmp"), colour)
        cv2.imwrite(str(folder / f"data/HERE/masks/{name}.bmp"), mask)
    return folder


@pytest.fixture(scope="module")
def made(source: Path) -> Bundled:
    return bench.bundle_suite(source / "here.toml", source / "here.zip", data=source / "data")


@pytest.fixture
def elsewhere(python: Path, made: Bundled, tmp_path: Path) -> Elsewhere:
    home = tmp_path / "home"
    home.mkdir()
    machine = Elsewhere(python, home, made.path)
    unpacked = made.path.parent / "unpacked"  # once with all that a first run compiles, for every test
    if not unpacked.exists():
        code, said = machine.slice(minutes=5)
        assert code == 0, said
        shutil.rmtree(home / "work/runs")
        shutil.copytree(home / "work", unpacked)
        shutil.rmtree(home / "out")
    shutil.copytree(unpacked, home / "work", dirs_exist_ok=True)
    return machine


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Call:
    return caller(monkeypatch, capfd)


def until_done(run: Callable[[int], tuple[int, str]], *, most: int = 10) -> int:
    """How many slices it took until all is done."""
    for number in range(1, most + 1):
        code, said = run(number)
        assert code == 0, said
        if "all is done" in said:
            return number
    raise AssertionError(f"not done after {most} slices: {said}")


def test_slices_on_fresh_machines_give_the_bits_of_one_uninterrupted_training(
    elsewhere: Elsewhere, source: Path, call: Call, tmp_path: Path
) -> None:
    def on_a_fresh_machine(number: int) -> tuple[int, str]:
        shutil.rmtree(elsewhere.home / "work/runs", ignore_errors=True)
        state = ["--state", f"out{number - 1}"] if number > 1 else []
        return elsewhere.slice(*state, out=f"out{number}", minutes=0.3 * 1.5 ** (number - 1))  # also on a busy machine

    count = until_done(on_a_fresh_machine)
    assert count > 1
    last = elsewhere.home / f"out{count}"
    assert len(list(last.iterdir())) <= 8
    taken = call("bundle", "--take-back", str(last), "--runs", str(tmp_path / "taken"))
    assert (taken.code, taken.err) == (0, "")
    whole = bench.run_suite(source / "here.toml", data=source / "data", runs=tmp_path / "whole", workers=1)
    for job, result in zip(whole.jobs, whole.results, strict=True):
        assert result is not None
        there = read_result(tmp_path / "taken" / job.row.key)
        assert there.scores == result.scores
        assert there.environment["trained_with"] == result.environment["trained_with"] if job.row.model == "Slow" else 1
    (ours,), (theirs,) = ((tmp_path / name).glob("trainings/*/checkpoint.safetensors") for name in ("whole", "taken"))
    weights, brought = load_file(ours), load_file(theirs)
    assert weights.keys() == brought.keys()
    assert all(np.array_equal(weights[name], brought[name]) for name in weights)
    collected = call("collect", "here", "--from", str(last), "--out", str(tmp_path / "results"))
    assert collected.code == 0, collected.err
    assert "2 results are in" in collected.out
    assert len(read_manifest(tmp_path / "results", "here").rows) == 2


def test_a_killed_slice_loses_what_came_after_the_last_saved_epoch_alone(elsewhere: Elsewhere) -> None:
    home = elsewhere.home
    process = subprocess.Popen(
        elsewhere.words(minutes=5), cwd=home, env=elsewhere.environment, stdout=subprocess.DEVNULL
    )
    logs = home / "work/runs/trainings"
    deadline = time.monotonic() + 300
    while not any(len(log.read_text().splitlines()) > 2 for log in logs.glob("*/log.jsonl")):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not list((home / "out").iterdir())
    code, said = elsewhere.slice(minutes=5)
    assert code == 0, said
    assert "resumes after epoch" in said
    assert "2 of 2 rows finished" in said


@pytest.fixture
def begun(elsewhere: Elsewhere) -> PartsList:
    """The parts of a slice that trained some epochs."""
    for number in range(8):
        code, said = elsewhere.slice("--state", "out", minutes=0.25 * 1.4**number)
        assert code == 0, said
        found = read_parts_list(elsewhere.home / "out")
        if any(parcel.kind == "state" for parcel in found.parcels):
            return found
    raise AssertionError(said)


def test_parts_that_do_not_fit_are_refused_in_one_line(
    elsewhere: Elsewhere, begun: PartsList, tmp_path: Path, call: Call
) -> None:
    out = elsewhere.home / "out"
    (part,) = (part for parcel in begun.parcels if parcel.kind == "state" for part in parcel.parts)
    path, content = out / part.file, (out / part.file).read_bytes()
    words = {"state": "out", "out": "next", "work": "fresh"}

    def refusal() -> str:
        code, said = elsewhere.slice("--state", words["state"], out=words["out"], work=words["work"])
        assert code == 2, said
        assert len(said.splitlines()) == 1
        return said

    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert refusal().startswith(f"error: out/{part.file}: SHA-256 is ")
    path.unlink()
    assert refusal().startswith(f"error: out/{part.file}: no such file, {PARTS_FILE} names it; copy all of its files")
    assert call("bundle", "--take-back", str(out), "--runs", str(tmp_path / "runs")).code == 2
    path.write_bytes(content)
    listed = json.loads((out / PARTS_FILE).read_text())
    write_json(out / PARTS_FILE, listed | {"code": "0" * 64})
    assert "made by code 000000000000…, this bundle has " in refusal()
    write_json(out / PARTS_FILE, listed)
    assert carry_back(out, tmp_path / "runs") == begun


def test_a_state_without_room_leaves_its_best_weights_and_says_so(elsewhere: Elsewhere, begun: PartsList) -> None:
    sizes = {parcel.kind: sum(part.size for part in parcel.parts) for parcel in begun.parcels}
    room = (sizes["results"] + sizes["state"]) / 2**20 + 0.25
    code, said = elsewhere.slice("--state", "out", "--total", f"{room - 0.001:.6f}", out="small", minutes=0.05)
    assert code == 0, said
    assert said.count(" finds no room in ") == 1
    assert "go instead, and on another machine its training starts over" in said
    small = read_parts_list(elsewhere.home / "small")
    assert [parcel.kind for parcel in small.parcels] == ["results", "weights"]


def test_another_bundle_and_parts_of_a_slice_are_not_written_over(elsewhere: Elsewhere, begun: PartsList) -> None:
    code, said = elsewhere.slice(work="fresh")
    assert (code, said.count("\n")) == (2, 1)
    assert "holds the parts of slice" in said
    other = elsewhere.home / "work/unpacked"
    other.write_text("0" * 64)
    code, said = elsewhere.slice("--state", "out")
    assert (code, said.count("\n")) == (1, 1)
    assert "holds another bundle (000000000000)" in said


def test_a_damaged_bundle_and_a_python_without_a_library_are_told_in_one_line(
    elsewhere: Elsewhere, tmp_path: Path
) -> None:
    cut = tmp_path / "cut.zip"
    content = elsewhere.bundle.read_bytes()
    middle = len(content) // 3
    cut.write_bytes(content[:middle] + bytes(64) + content[middle + 64 :])
    code, said = replace(elsewhere, bundle=cut).slice(work="fresh")
    assert (code, said.count("\n")) == (1, 1)
    assert "a damaged bundle" in said
    bare = tmp_path / "bare"
    venv.create(bare, symlinks=True, with_pip=False)
    code, said = replace(elsewhere, python=bare / "bin/python").slice()
    assert (code, said.count("\n")) == (1, 1)
    assert "error: no module torch, numpy" in said


def test_the_machine_is_checked_once(elsewhere: Elsewhere) -> None:
    words = [*elsewhere.words(minutes=0.2), "--check", "1"]
    said = [
        subprocess.run([*words, *more], cwd=elsewhere.home, env=elsewhere.environment, capture_output=True, text=True)
        for more in ([], ["--state", "out"])
    ]
    first, second = (one.stdout for one in said)
    assert first.startswith("device: ")
    assert "Slow on HERE: " in first
    assert "images/s in training" in first
    assert "images/s in testing" in first
    assert "images/s" not in second
