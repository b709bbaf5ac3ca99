"""`dfinet-bench score` as users call it: a folder, a run, JSON for scripts, and one line for every slip."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import fakes
import numpy as np
import pytest
from commands import Call, caller
from fakes import make_jobs

from bench.metrics.counting.counts import CountTable
from bench.metrics.curves import CurveCounts
from bench.protocols.scorings import SCORINGS, SCORINGS_FILE, named_scoring
from bench.run.local import run_all
from bench.run.workspace import Session, Workspace
from bench.store.files import load_arrays, read_result

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty working folder, and no settings of the user's."""
    monkeypatch.chdir(tmp_path)
    for name in ("DFINET_BENCH_DATA", "DFINET_BENCH_TRACEBACK"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Call:
    """`dfinet-bench score` as a function of its words."""
    return caller(monkeypatch, capfd, "score")


def write(folder: str, suffix: str = ".png", **maps: Any) -> str:
    """A folder of maps or masks in the working folder."""
    Path(folder).mkdir(exist_ok=True)
    for name, values in maps.items():
        if suffix == ".npy":
            np.save(Path(folder) / f"{name}.npy", values)
        else:
            assert cv2.imwrite(f"{folder}/{name}{suffix}", np.asarray(values, np.uint8))
    return folder


MASK = np.zeros((20, 25), np.uint8)
MASK[4:6, 4:6] = 255
HALF = np.zeros((20, 25))
HALF[4:6, 4], HALF[15, 15] = 0.9, 0.45
"""Half of the target at 0.9, and a pixel far from it at 0.45."""


@pytest.fixture
def folders() -> tuple[str, str]:
    """Two predictions and their masks: IoU 2/8, Pd 1/2, Fa 0 at 0.5; at 0.4 two pixels of 1000 are false alarms."""
    return write("my maps", ".npy", a=HALF, b=np.zeros((20, 25)) + HALF * (HALF < 0.5)), write("masks", a=MASK, b=MASK)


def test_a_folder_is_scored_by_one_command(call: Call, folders: tuple[str, str]) -> None:
    answer = call(*folders)
    assert answer.code == 0, answer.err
    first, *table = answer.out.splitlines()
    assert first.startswith(
        "2 images, 2 targets; native (masks binary (grey > 127), native resolution, probability > 0.5"
    )
    values = {cells[1].strip(): cells[2].strip() for line in table if len(cells := line.split("│")) > 3}
    assert values["IoU/pooled"] == "0.2500"
    assert values["Pd/centroid-3px"] == "0.5000"
    assert values["Fa/unmatched-area"] == "0.00e-6"


def test_json_is_one_object_in_the_forms_of_the_result_file(call: Call, folders: tuple[str, str]) -> None:
    answer = call(*folders, "--json", "--set", "scoring.threshold=0.4")
    found = json.loads(answer.out)
    assert (found["images"], found["targets"], found["notes"]) == (2, 2, [])
    assert found["scoring"]["threshold"] == 0.4
    assert found["scoring"]["name"] == "native, threshold 0.4"
    assert found["scores"]["IoU/pooled"] == {"value": 2 / 10, "unit": "fraction", "better": "higher", "reason": ""}
    assert found["scores"]["Fa/unmatched-area"]["value"] == 2 / 1000
    assert found["prints"]["Fa"] == "Fa/unmatched-area"


def test_several_scorings_stand_side_by_side(call: Call, folders: tuple[str, str]) -> None:
    answer = call(*folders, "--scoring", "native", "--scoring", "uiunet", "--scoring", "native")
    lines = [[cell.strip() for cell in line.split("│")[1:-1]] for line in answer.out.splitlines() if "│" in line]
    assert lines[0] == ["native", "2", "0.2500", "0.2500", "0.4000", "0.5000", "0.00e-6"]
    assert lines[1] == ["uiunet", "2", "0.2000", "", "", "", ""], "b is stretched, so that its 0.45 becomes 1"
    found = json.loads(call(*folders, "--scoring", "native", "--scoring", "uiunet", "--json").out)
    assert [one["scoring"]["name"] for one in found["scorings"]] == ["native", "uiunet"]


def test_a_protocols_scoring_can_be_asked_for_by_its_name(call: Call, folders: tuple[str, str]) -> None:
    found = json.loads(call(*folders, "--protocol", "dfinet", "--json").out)
    assert found["scoring"]["ground_truth"] == "soft"
    assert found["scores"]["legacy:IoU/soft-mask"]["value"] == 0.25


def test_counts_and_curves_are_kept_where_asked(call: Call, folders: tuple[str, str]) -> None:
    assert call(*folders, "--out", "kept").code == 0
    table = CountTable.from_arrays(load_arrays(Path("kept/counts.npz")))
    curves = CurveCounts.from_arrays(load_arrays(Path("kept/curves.npz")), named_scoring("native").scoring)
    assert (table.names, curves.images) == (("a", "b"), 2)
    assert json.loads(Path("kept/scores.json").read_text())["scores"]["IoU/pooled"]["value"] == 0.25
    assert call(*folders, "--scoring", "native", "--scoring", "dnanet", "--out", "both").code == 0
    written = {path.relative_to("both").as_posix() for path in Path("both").rglob("*") if path.is_file()}
    files = ("counts.npz", "curves.npz", "distances.npz", "errors.npz")
    assert written == {"scores.json", *(f"{name}/{file}" for name in ("native", "dnanet") for file in files)}


def test_a_list_file_chooses_images(call: Call, folders: tuple[str, str]) -> None:
    Path("names.txt").write_bytes(b"a.png\r\n")
    found = json.loads(call(*folders, "--list", "names.txt", "--json").out)
    assert (found["images"], found["scores"]["IoU/pooled"]["value"]) == (1, 0.5)


def test_notes_go_to_standard_error(call: Call) -> None:
    answer = call(write("maps", a=MASK // 255), write("masks", a=MASK), "--json")
    assert json.loads(answer.out)["scores"]["IoU/pooled"]["value"] == 1.0
    assert answer.err == f"note: {json.loads(answer.out)['notes'][0]}\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nowhere", "masks"), "nowhere: no such file or folder, expected a folder of maps, an .npz file or a run's"),
        (("my maps", "nowhere"), "nowhere: no such file or folder"),
        (("my maps",), "my maps: no run's folder (no result.json in it); name the folder of masks behind it"),
        (("my maps", "masks", "--scoring", "dnanets"), "no scoring is called 'dnanets'; did you mean dnanet"),
        (("my maps", "masks", "--protocol", "nativ"), "no protocol is called 'nativ'; did you mean native"),
        (("my maps", "masks", "--protocol", "native", "--scoring", "native"), "give one of them"),
        (("my maps", "masks", "--set", "scoring.treshold=1"), "did you mean scoring.threshold"),
        (("my maps", "masks", "--set", "scoring.threshold=1.5"), "threshold is 1.5, expected a probability in [0, 1)"),
        (("my maps", "masks", "--set", "scoring.threshold=high"), "scoring.threshold is 'high', expected a number"),
        (("my maps", "masks", "--set", "scoring.name=x"), "no setting of a scoring is called 'scoring.name'"),
        (("my maps", "masks", "--set", "scoring.ground_truth=soft"), "exists only at resolution 'network'"),
        (("my maps", "masks", "--list", "none.txt"), "none.txt: no such file, expected a list of image names"),
        (("my maps", "masks", "--record"), "--record is of a run under every named scoring: give runs/KEY alone"),
        (("masks", "my maps"), "were PREDICTIONS and MASKS exchanged?"),
        (("my maps", "masks", "--images", "masks/a.png"), "not a directory"),
    ],
)
def test_a_slip_is_one_line_and_exit_code_2(
    words: tuple[str, ...], said: str, call: Call, folders: tuple[str, str]
) -> None:
    answer = call(*words)
    assert answer.code == 2
    assert said in answer.err
    assert answer.err.startswith("error: ")
    assert answer.err.count("\n") == 1
    assert answer.out == ""


def test_an_empty_list_is_one_line(call: Call, folders: tuple[str, str]) -> None:
    Path("names.txt").write_text("\n")
    answer = call(*folders, "--list", "names.txt")
    assert (answer.code, answer.err) == (2, "error: names.txt: no names, expected one a line\n")


def test_a_soft_ground_truth_can_be_set_with_its_resolution(call: Call, folders: tuple[str, str]) -> None:
    soft = ("--set", "scoring.ground_truth=soft", "--set", "scoring.resolution=network")
    found = json.loads(call(*folders, *soft, "--json").out)
    assert found["prints"]["IoU"] == "legacy:IoU/soft-mask"


@pytest.fixture
def run_folder(monkeypatch: pytest.MonkeyPatch) -> str:
    """A run on synthetic images."""
    fakes.register_fakes(monkeypatch)
    (job,) = make_jobs(Path(), "Echo", rounds=2)
    run_all([job], Session(Workspace.open(Path("runs"))))
    return f"runs/{job.row.key}"


def test_a_run_is_scored_under_every_scoring_without_masks(call: Call, run_folder: str) -> None:
    recorded = json.loads((Path(run_folder) / SCORINGS_FILE).read_text())["scorings"]
    found = json.loads(call(run_folder, "--json").out)["scorings"]
    assert [one["scoring"]["name"] for one in found] == list(SCORINGS)
    for ours, theirs in zip(found, recorded, strict=True):
        assert theirs["scores"].items() <= ours["scores"].items()
        assert {name: ours[name] for name in ("scoring", "prints", "images", "targets")} == {
            name: theirs[name] for name in ("scoring", "prints", "images", "targets")
        }
    assert call(run_folder).out.count("│ native ") == 1


def test_an_older_runs_record_is_made_from_its_stored_predictions(call: Call, run_folder: str) -> None:
    path = Path(run_folder) / SCORINGS_FILE
    whole = path.read_bytes()
    path.unlink()
    answer = call(run_folder, "--record")
    assert answer.code == 0, answer.err
    assert path.read_bytes() == whole
    assert f"wrote {path}" in answer.err


def test_a_record_is_not_made_from_other_predictions(call: Call, run_folder: str) -> None:
    path = Path(run_folder) / SCORINGS_FILE
    path.unlink()
    stored = load_arrays(Path(run_folder) / "predictions.npz")
    np.savez(Path(run_folder) / "predictions.npz", **{name: 65535 - q for name, q in stored.items()})  # type: ignore[arg-type]
    answer = call(run_folder, "--record")
    assert answer.code == 2
    assert "scorings.json is not written: IoU/pooled is" in answer.err
    assert not path.exists()


def test_a_runs_own_counts_are_not_replaced(call: Call, run_folder: str) -> None:
    before = read_result(Path(run_folder))
    answer = call(run_folder, "--out", run_folder)
    assert answer.code == 2
    assert "a run's folder, whose counts.npz is its own; name another folder" in answer.err
    assert read_result(Path(run_folder)) == before


def test_a_runs_images_are_not_chosen_here(call: Call, run_folder: str) -> None:
    answer = call(run_folder, "--list", "names.txt")
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert "--images and --list go with a folder of MASKS" in answer.err


def test_scoring_starts_neither_torch_nor_mlflow(folders: tuple[str, str]) -> None:
    program = (
        "import sys; from bench.cli import main\n"
        "try: main()\nexcept SystemExit as end: assert not end.code\n"
        "assert not {'torch', 'mlflow'} & set(sys.modules), 'too much was imported'"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", program, "score", *folders], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "IoU/pooled" in done.stdout


def test_what_is_scored_is_not_written_over(call: Call, folders: tuple[str, str]) -> None:
    predictions, masks = folders
    for folder in folders:
        answer = call(predictions, masks, "--out", folder)
        assert (answer.code, answer.out) == (2, "")
        assert answer.err == f"error: --out {folder}: holds what is scored; name another folder\n"
    Path("file.txt").write_text("mine")
    answer = call(predictions, masks, "--out", "file.txt")
    assert (answer.code, answer.err) == (2, "error: --out file.txt: a file, expected a folder\n")


def test_a_second_call_leaves_nothing_of_the_first_beside_its_own(call: Call, folders: tuple[str, str]) -> None:
    assert call(*folders, "--out", "kept").code == 0
    assert call(*folders, "--out", "kept", "--scoring", "native", "--scoring", "dnanet").code == 0
    assert {path.name for path in Path("kept").iterdir()} == {"scores.json", "native", "dnanet"}


def test_a_list_that_names_an_image_twice_is_refused(call: Call, folders: tuple[str, str]) -> None:
    Path("names.txt").write_text("a\na.png\n")
    answer = call(*folders, "--list", "names.txt")
    assert answer.code == 2
    assert answer.err.startswith("error: list: 'a' stands twice, once with an extension")
