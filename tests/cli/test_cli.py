"""The command line: exit codes, one-line errors before anything is written, JSON a script can read."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from importlib.metadata import requires
from pathlib import Path
from typing import Any

import cv2
import fakes
import numpy as np
import pytest
import torch
from commands import Answer, Call, caller
from fakes import LossBreaks

from bench.cost.measure import count_macs
from bench.data.catalogue.splits import list_names
from bench.models.network import MODELS, build_model
from bench.store.files import read_manifest, read_result

ROOT = Path(__file__).parents[2]
LIMIT = ("--limit", "train=7,test=3")
SMALL = ("--set", "recipe.epochs=1", "--set", "recipe.patch=32", *LIMIT, "--mlflow", "off")


@pytest.fixture(autouse=True)
def fake_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    fakes.register_fakes(monkeypatch)


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty working folder, and no settings of the user's; the environment is put back."""
    monkeypatch.chdir(tmp_path)
    for name in ("DFINET_BENCH_DATA", "MLFLOW_TRACKING_URI", "DFINET_BENCH_TRACEBACK"):
        monkeypatch.delenv(name, raising=False)
    before = dict(os.environ)
    yield
    for name in set(os.environ) - set(before):
        del os.environ[name]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Call:
    """The command line as a function of its words."""
    return caller(monkeypatch, capfd)


def write_suite(text: str, name: str = "mine.toml") -> str:
    """A suite in the working folder, by its path."""
    Path(name).write_text(textwrap.dedent(text))
    return name


DOT = 'datasets = ["synthetic"]\n[[row]]\nmodel = "Dot"\n'


def test_a_suite_runs_and_is_done_the_second_time(call: Call, caplog: pytest.LogCaptureFixture) -> None:
    suite = write_suite('title = "Two"\n' + DOT + '[[row]]\nmodel = "Echo"\nset = { rounds = 2 }\n')
    first = call("run", suite, *SMALL)
    assert first.code == 0, first.err
    assert "Dot" in first.out
    assert "(limited)" in first.out
    manifest = read_manifest(Path("runs"), "mine")
    assert (manifest.title, manifest.limited, [row.label for row in manifest.rows]) == ("Two", True, ["Dot", "Echo"])
    results = [read_result(Path("runs") / row.key) for row in manifest.rows]
    assert [result.status for result in results] == ["limited", "limited"]
    second = call("run", suite, *SMALL)
    assert second.code == 0
    assert "Dot on synthetic: done already" in caplog.text
    assert second.out == first.out


def test_json_is_one_object_with_ids_and_forms_of_the_result_file(call: Call) -> None:
    answer = call("run", write_suite(DOT), *SMALL, "--json")
    (only,) = json.loads(answer.out)["results"]
    stored = json.loads((Path("runs") / only["row"]["key"] / "result.json").read_text())
    assert only["result"] == stored
    assert only["result"]["scores"]["IoU/pooled"].keys() >= {"value", "unit", "better"}


def test_a_failed_row_makes_exit_code_1_and_a_rerun_tries_it_alone(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    suite = write_suite(DOT + '[[row]]\nmodel = "LossBreaks"\n')
    words = ("run", suite, *SMALL, "--set", "recipe.epochs=2")
    answer = call(*words)
    assert answer.code == 1
    assert "failed: NonFiniteLossError" in " ".join(answer.out.split())
    rows = read_manifest(Path("runs"), "mine").rows
    assert [read_result(Path("runs") / row.key).status for row in rows] == ["limited", "failed"]
    kept = (Path("runs") / rows[0].key / "result.json").stat().st_mtime_ns
    monkeypatch.setattr(LossBreaks, "found", 1.0)
    assert call(*words).code == 0
    assert (Path("runs") / rows[0].key / "result.json").stat().st_mtime_ns == kept
    assert read_result(Path("runs") / rows[1].key).status == "limited"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ('rule = "k-sigmas"', "no threshold rule is called 'k-sigmas'; did you mean k-sigma"),
        ("level = -1", "level is -1, expected a number above 0 or 'best'"),
        ("widht = 3", "model Bright has other settings"),
    ],
)
def test_a_detectors_settings_are_refused_before_anything_runs(call: Call, settings: str, said: str) -> None:
    suite = write_suite(f'datasets = ["synthetic"]\n[[row]]\nmodel = "Bright"\nsettings = {{ {settings} }}\n')
    assert_refused(call("run", suite), said)


def test_rows_that_a_budget_did_not_reach_are_named_and_the_report_says_why(call: Call) -> None:
    suite = write_suite('title = "Two"\n' + DOT + '[[row]]\nmodel = "Echo"\n')
    first = call("run", suite, *SMALL, "--budget", "0")
    assert first.code == 0
    assert "2 of 2 rows not reached within the time budget of 0 min; the same command goes on with them" in first.err
    assert (
        list(read_manifest(Path("runs"), "mine").unreached.values())
        == ["not reached within the time budget of 0 min"] * 2
    )
    made = call("report", "mine", "--mlflow", "off")
    assert made.code == 0, made.err
    assert "not reached within the time budget of 0 min" in (Path("reports-out") / "mine" / "table.md").read_text()
    assert call("run", suite, *SMALL).code == 0
    assert read_manifest(Path("runs"), "mine").unreached == {}


def assert_refused(answer: Answer, said: str) -> None:
    """Exit code 2, one line on standard error that says so, and nothing written."""
    assert answer.code == 2
    assert answer.out == ""
    assert answer.err.count("\n") == 1, answer.err
    assert answer.err.startswith("error: ")
    assert said in answer.err
    assert not Path("runs").exists()
    assert not Path("mlflow.db").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run", "quik"), "no suite is called 'quik'; did you mean quick?"),
        (("run", "none.toml"), "none.toml: no such file"),
        (("run", "mine.toml", "--set", "recipe.epoch=3"), "did you mean recipe.epochs"),
        (("run", "mine.toml", "--set", "recipe.epochs"), "--set 'recipe.epochs': expected NAME=VALUE"),
        (("run", "mine.toml", "--set", "recipe.epochs=many"), "recipe.epochs is 'many', expected a whole number"),
        (("run", "mine.toml", "--set", "recipe.loss=soft"), "no loss is called 'soft'"),
        (("run", "mine.toml", "--set", "recipe.augmentation=all"), "no augmentation is called 'all'"),
        (("run", "loop.toml", "--set", "start=zero"), "no start mask is called 'zero'; did you mean zeros?"),
        (("run", "loop.toml", "--set", "start=3"), "start is 3, expected text"),
        (("run", "mine.toml", "--limit", "train=none"), "--limit 'train=none': expected train=N,test=N"),
        (("run", "mine.toml", "--device", "tpu"), "--device 'tpu': expected cpu or cuda"),
        (("run", "mine.toml", "--workers", "0"), "--workers '0': expected a whole number of at least 1"),
        (("run", "mine.toml", "--workers", "two"), "--workers 'two': expected a whole number of at least 1"),
        (("run", "mine.toml", "--executor", "slurm"), "--executor 'slurm': expected local or ray"),
        (("run", "mine.toml", "--plugin", "none.py"), "plugin none.py: no such file"),
        (("run", "mine.toml", "--mlflow", "nonsense://x"), "MLflow store nonsense://x: cannot be used"),
        (("run", "real.toml"), "NUAA-SIRST: no data folder was given"),
        (("run", "real.toml", "--data", "nowhere"), "nowhere/NUAA-SIRST: no such folder"),
        (("run", "settings.toml"), "model Dot has other settings"),
        (("cost", "ACMM"), "no model is called 'ACMM'; did you mean ACM?"),
        (("list", "modles"), "no list is called 'modles'; did you mean models?"),
        (("report", "quick"), "runs/suites/quick.json: no such file; run the suite with `dfinet-bench run quick`"),
        (("publish", "quick", "--mlflow", "off"), "publish needs MLflow"),
        (("gate", "quick", "--reference", "none.json"), "none.json: no such file"),
        (("weights", "import", "mine.toml", "--model", "ACMM"), "no model is called 'ACMM'; did you mean ACM?"),
        (("weights", "import", "mine.toml", "--model", "ACM", "--set", "width"), "--set 'width': expected NAME=VALUE"),
        (("data", "verify", "NUAA-SIRTS"), "no dataset is called 'NUAA-SIRTS'; did you mean NUAA-SIRST"),
    ],
)
def test_a_wrong_request_is_answered_in_one_line_and_writes_nothing(
    words: tuple[str, ...], said: str, call: Call
) -> None:
    write_suite(DOT)
    write_suite(DOT.replace("synthetic", "NUAA-SIRST"), "real.toml")
    write_suite(DOT + "settings = { width = 8 }\n", "settings.toml")
    write_suite(DOT.replace("Dot", "Echo"), "loop.toml")
    assert_refused(call(*words), said)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_without_cuda_is_refused(call: Call) -> None:
    assert_refused(call("run", write_suite(DOT), "--device", "cuda"), "torch finds no CUDA device here")


@pytest.mark.parametrize("words", [("run",), ("run", "quick", "--frobnicate"), ("frobnicate",)])
def test_words_that_are_no_command_have_exit_code_2(words: tuple[str, ...], call: Call) -> None:
    assert call(*words).code == 2


def test_a_plugin_that_fails_is_named_in_one_line(call: Call) -> None:
    Path("broken.py").write_text("raise RuntimeError('no weights here')\n")
    answer = call("run", write_suite(DOT), "--plugin", "broken.py")
    assert_refused(answer, "plugin broken.py: RuntimeError: no weights here")


def test_results_that_cannot_be_written_are_answered_in_one_line(call: Call) -> None:
    Path("occupied").write_text("a file")
    answer = call("run", write_suite(DOT), *SMALL, "--runs", "occupied")
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert "occupied" in answer.err


@pytest.fixture
def real_images(tmp_path: Path) -> Path:
    """A folder that calls itself NUAA-SIRST and holds noise, and noisy masks, for the first images of the lists."""
    folder = tmp_path / "data" / "NUAA-SIRST"
    noise = np.random.default_rng(0).integers(0, 256, (40, 40), dtype=np.uint8)
    for part, count in (("fit", 5), ("held-out", 1), ("test", 2)):
        for name in list_names("NUAA-SIRST", "basicirstd", part, count):
            for kind in ("images", "masks"):
                (folder / kind).mkdir(parents=True, exist_ok=True)
                levels = noise if kind == "images" else np.where(noise > 127, np.uint8(255), np.uint8(0))
                assert cv2.imwrite(str(folder / kind / f"{name}.png"), levels)
    return folder


def test_a_folder_called_data_is_proved_without_being_named(
    call: Call, real_images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DFINET_BENCH_DATA", raising=False)
    answer = call("data", "verify", "NUAA-SIRST")
    assert answer.code == 1
    assert answer.out.endswith("NUAA-SIRST: 16 files read, 854 differences from its card\n")


def test_a_missing_image_is_named_before_anything_runs(call: Call, real_images: Path) -> None:
    suite = write_suite(DOT.replace("synthetic", "NUAA-SIRST"))
    lost = list_names("NUAA-SIRST", "basicirstd", "test", 2)[1]
    (real_images / "images" / f"{lost}.png").unlink()
    answer = call("run", suite, "--limit", "train=6,test=2", "--data", str(real_images.parent))
    assert_refused(answer, f"{real_images}/images/{lost}.png: no such file, the list names it")


@pytest.mark.parametrize("kind", ["images", "masks"])
def test_a_truncated_image_is_named_before_anything_runs(kind: str, call: Call, real_images: Path) -> None:
    suite = write_suite(DOT.replace("synthetic", "NUAA-SIRST"))
    broken = real_images / kind / f"{list_names('NUAA-SIRST', 'basicirstd', 'fit', 5)[4]}.png"
    content = broken.read_bytes()
    broken.write_bytes(content[: len(content) // 2])
    answer = call("run", suite, "--limit", "train=6,test=2", "--data", str(real_images.parent))
    assert_refused(answer, str(broken))


def test_a_data_folder_that_the_environment_names_is_read(
    call: Call, real_images: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DFINET_BENCH_DATA", str(real_images.parent))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    suite = write_suite(DOT.replace("synthetic", "NUAA-SIRST"))
    answer = call("run", suite, "--set", "recipe.epochs=1", "--limit", "train=6,test=2", "--mlflow", "off")
    assert answer.code == 0, answer.err


PLUGIN = """
from torch import nn
from bench.models.network import Segmenter, model


class Mine(Segmenter):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, 1, 3, padding=1)

    def forward(self, image, start=None):
        return self.conv(image)


@model("Mine", cite="me", source="my_net.py", licence="mine", recipe="basicirstd")
def build(*, channels):
    return Mine(channels)
"""


def test_a_users_own_network_stands_beside_ours(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MODELS, "_entries", dict(MODELS._entries))
    Path("my_net.py").write_text(PLUGIN)
    suite = write_suite(DOT + '[[row]]\nmodel = "Mine"\nlabel = "My network"\n')
    answer = call("run", suite, "--plugin", "my_net.py", *SMALL, "--json")
    assert answer.code == 0, answer.err
    results = json.loads(answer.out)["results"]
    assert [one["row"]["label"] for one in results] == ["Dot", "My network"]
    assert results[1]["result"]["model"]["source"] == "my_net.py"
    assert "Mine" in call("list", "models", "--plugin", "my_net.py").out


@pytest.mark.parametrize(
    ("what", "column", "named"),
    [
        ("models", "name", {"DFINet", "ACM", "Dot"}),
        ("datasets", "name", {"NUAA-SIRST", "NUDT-SIRST", "IRSTD-1k", "SIRST-Aug", "synthetic"}),
        ("suites", "name", {"quick", "table-main"}),
        ("protocols", "name", {"native", "basicirstd", "dfinet"}),
        ("metrics", "id", {"IoU/pooled", "nIoU/per-image", "Pd/centroid-3px", "Fa/unmatched-area"}),
        ("metrics", "id", {"legacy:IoU/cumulative-rounds", "legacy:Fa/cumulative-rounds"}),
        ("starts", "name", {"otsu", "zeros", "ones", "noise", "ground-truth"}),
        ("corruptions", "name", {"stripes", "gaussian-noise", "dead-pixels", "drift"}),
    ],
)
def test_every_list_is_a_table_and_a_json_object(what: str, column: str, named: set[str], call: Call) -> None:
    rows = json.loads(call("list", what, "--json").out)[what]
    assert named <= {row[column] for row in rows}
    table = call("list", what)
    assert table.code == 0
    assert all(name in table.out for name in named)


def test_the_list_of_protocols_says_what_is_wrong_with_them(call: Call) -> None:
    rows = {row["name"]: row for row in json.loads(call("list", "protocols", "--json").out)["protocols"]}
    assert rows["dfinet"]["selection"] == "best on test"
    assert "test list" in rows["dfinet"]["defects"]
    assert rows["native"]["defects"] == "none known"
    assert rows["dfinet"]["input"] == "opencv-bgr, 256 x 256"


def test_cost_counts_a_network_and_names_its_counter(call: Call) -> None:
    made = json.loads(call("cost", "ACM", "--size", "64", "--json").out)["ACM"]
    network = build_model("ACM", channels=1)
    macs, _ = count_macs(network.eval(), torch.zeros(1, 1, 64, 64), None)
    assert (made["parameters"], made["macs"], made["size"], made["rounds"]) == (397_823, macs, [64, 64], 1)
    table = call("cost", "TopHat", "ACM", "--size", "64")
    assert table.code == 0
    assert "0.398" in table.out, "ACM's 398 thousand parameters"
    assert "MACs: torch FlopCounterMode / 2, one round" in table.out


def write_weights(path: str, **more: torch.Tensor) -> str:
    """A checkpoint of ACM with another one's keys beside its own."""
    torch.manual_seed(0)
    torch.save({"state_dict": {**build_model("ACM", channels=1).state_dict(), **more}, "epoch": 400}, path)
    return path


def test_published_weights_are_imported_and_the_record_is_printed(call: Call) -> None:
    answer = call("weights", "import", write_weights("acm.pth.tar"), "--model", "ACM")
    assert answer.code == 0, answer.err
    digest = hashlib.sha256(Path("acm.safetensors").read_bytes()).hexdigest()
    tensors = len(build_model("ACM", channels=1).state_dict())
    assert answer.out.splitlines() == [
        f"ACM: {tensors} tensors taken from acm.pth.tar, 397823 parameters, channels 1",
        f"acm.safetensors: SHA-256 {digest}",
        "read back: the same output as the source, bit for bit",
    ]
    answer = call("weights", "import", "acm.pth.tar", "--model", "ACM", "--out", "new/w.safetensors", "--json")
    assert json.loads(answer.out) == {
        "source": "acm.pth.tar",
        "source_sha256": hashlib.sha256(Path("acm.pth.tar").read_bytes()).hexdigest(),
        "out": "new/w.safetensors",
        "sha256": digest,
        "model": "ACM",
        "channels": 1,
        "settings": {},
        "tensors": tensors,
        "parameters": 397823,
        "absent": 0,
    }
    assert Path("new/w.safetensors").read_bytes() == Path("acm.safetensors").read_bytes()


def test_absent_counters_of_batches_are_said(call: Call) -> None:
    state = build_model("ACM", channels=1).state_dict()
    without = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    torch.save(without, "old.pth")
    answer = call("weights", "import", "old.pth", "--model", "ACM")
    count = len(state) - len(without)
    assert f"note: {count} num_batches_tracked are absent from the source; outputs do without them\n" in answer.out


def test_settings_of_a_network_are_given_as_they_are_to_a_suite(call: Call) -> None:
    torch.save(build_model("DFINet", channels=3, settings={"width": 2}).state_dict(), "slim.pth")
    answer = call("weights", "import", "slim.pth", "--model", "DFINet", "--set", "width=2")
    assert answer.code == 0, answer.err
    assert "channels 3, width 2\n" in answer.out


def test_weights_that_do_not_fit_are_answered_with_every_key_on_a_line_of_its_own(call: Call) -> None:
    odd = {f"odd{number}": torch.ones(1) for number in range(9)}
    answer = call("weights", "import", write_weights("acm.pth", **odd), "--model", "ACM")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.splitlines() == [
        "error: checkpoint acm.pth: does not fit ACM: 9 unexpected",
        *(f"unexpected: {key}" for key in odd),
    ]
    assert not Path("acm.safetensors").exists()


class Malicious:
    """A pickle that would create a file when it is read."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("victim"),)


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (lambda path: None, "no such file"),
        (lambda path: path.mkdir(), "a folder, expected a file"),
        (lambda path: path.write_bytes(b""), "an empty file"),
        (lambda path: path.write_bytes(b"\x12\x01" + bytes(99)), "parameters of MXNet"),
        (lambda path: torch.save({"epoch": 3}, path), "holds epoch, expected a state dict"),
        (lambda path: torch.save(torch.nn.Conv2d(1, 1, 1), path), "a whole pickled network, not its weights"),
        (lambda path: torch.save({"net": Malicious()}, path), "it would run getattr"),
        (lambda path: path.write_bytes(pickle.dumps({"net": Malicious()})), "would run code"),
    ],
    ids=["none", "folder", "empty", "mxnet", "log", "network", "code", "code in a bare pickle"],
)
def test_a_file_without_weights_is_answered_in_one_line_and_writes_nothing(
    write: Callable[[Path], None], said: str, call: Call
) -> None:
    write(Path("odd.pth"))
    before = set(Path().iterdir())
    assert_refused(call("weights", "import", "odd.pth", "--model", "ACM"), said)
    assert set(Path().iterdir()) == before


def test_a_file_that_is_there_is_replaced_with_force_alone(call: Call) -> None:
    words = ("weights", "import", write_weights("acm.pth"), "--model", "ACM")
    Path("acm.safetensors").write_bytes(b"precious")
    assert_refused(call(*words), "acm.safetensors: is there already")
    assert Path("acm.safetensors").read_bytes() == b"precious"
    assert call(*words, "--force").code == 0
    assert Path("acm.safetensors").read_bytes() != b"precious"


HOSTILE = "[/red] [bold]x[/bold] \\\\ & % $ _ <script>alert(1)</script> ü"


def test_hostile_titles_and_labels_are_printed_as_they_are(call: Call) -> None:
    suite = write_suite(f'title = "{HOSTILE}"\n{DOT}label = "{HOSTILE}"\n')
    answer = call("run", suite, *SMALL)
    assert answer.code == 0, answer.err
    assert "[/red] [bold]x[/bold]" in answer.out
    assert read_manifest(Path("runs"), "mine").rows[0].label == HOSTILE.replace("\\\\", "\\")


def test_hostile_reasons_are_printed_as_they_are(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **options: object) -> None:
        raise RuntimeError("[/red] said so\nsecond line")

    monkeypatch.setattr(LossBreaks, "training_loss", fail)
    answer = call("run", write_suite(DOT.replace("Dot", "LossBreaks")), *SMALL)
    assert answer.code == 1
    assert "[/red] said so" in " ".join(answer.out.split())
    row = read_manifest(Path("runs"), "mine").rows[0]
    assert read_result(Path("runs") / row.key).reason == "RuntimeError: [/red] said so"


BRIGHT = 'datasets = ["synthetic"]\n[[row]]\nmodel = "Bright"\n'
TWENTY = ("--reference", "reference.json", "--limit", "test=20")


def test_a_gate_passes_its_own_reference_and_fails_a_better_one(call: Call) -> None:
    suite = write_suite(BRIGHT)
    made = call("gate", suite, *TWENTY, "--update", "--reason", "the first")
    assert made.code == 0, made.err
    kept = call("gate", suite, *TWENTY, "--json")
    assert kept.code == 0, kept.err
    assert json.loads(kept.out)["checks"][0]["verdict"] == "kept"
    (change,) = json.loads(Path("reference.json").read_text())["history"]
    assert change["reason"] == "the first"
    worse = ("--set", "settings.level=0.99", "--junit", "junit.xml", "--markdown", "gate.md")
    lost = call("gate", suite, *TWENTY, *worse)
    assert lost.code == 1
    assert "gate: failed" in lost.out
    assert "Bright on synthetic: IoU/pooled is 0." in lost.out
    assert Path("junit.xml").is_file()
    assert Path("gate.md").read_text().startswith("### Gate mine: failed\n")
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--update",), "gate: --update without --reason TEXT, expected why the reference changes"),
        (("--reason", "why"), "gate: --reason without --update, expected both"),
        (("--update", "--reason", "r", "--limit", "test=3"), "3 images are too few to tell even the worst predictions"),
        (("--limit", "tset=3"), "--limit 'tset=3': expected train=N,test=N"),
        (("--device", "tpu"), "--device 'tpu': expected cpu or cuda"),
        (("--set", "scoring.treshold=0.4"), "did you mean"),
    ],
)
def test_a_wrong_request_of_the_gate_is_answered_in_one_line(words: tuple[str, ...], said: str, call: Call) -> None:
    suite = write_suite(BRIGHT)
    if "--update" not in words:
        assert call("gate", suite, *TWENTY, "--update", "--reason", "the first").code == 0
    stored = Path("reference.json").read_text() if Path("reference.json").is_file() else ""
    answer = call("gate", suite, "--reference", "reference.json", *words)
    assert answer.code == 2
    assert said in answer.err
    assert len(answer.err.splitlines()) == 1
    assert (Path("reference.json").read_text() if stored else "") == stored


def test_a_gate_over_several_seeds_is_refused(call: Call) -> None:
    suite = write_suite("seeds = [1, 2]\n" + DOT)
    assert_refused(call("gate", suite, "--reference", "x.json", "--update"), "has seeds [1, 2], expected one")


def test_the_store_is_made_before_anything_runs_and_publishing_finds_the_run_in_it(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []
    monkeypatch.setattr(LossBreaks, "epoch_ended", lambda network, improved: seen.append(Path("mlflow.db").is_file()))
    suite = write_suite(DOT.replace("Dot", "LossBreaks"))
    answer = call("run", suite, "--set", "recipe.epochs=1", "--set", "recipe.patch=32", *LIMIT, "--json")
    assert answer.code == 0, answer.err
    assert seen == [True]
    assert json.loads(answer.out)["results"]
    published = call("publish", "mine")
    assert (published.code, published.out) == (0, "mine: 1 results are in MLflow\n")


def test_a_bug_of_ours_is_one_line_that_names_a_log_and_exit_code_1(
    call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DFINET_BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("bench.cli.catalogue.list_rows", lambda what: {}["no such key"])
    answer = call("list", "models")
    assert answer.code == 1
    (log,) = (tmp_path / "cache" / "errors").iterdir()
    (line,) = answer.err.splitlines()
    assert line == f"error: a bug in dfinet-bench (KeyError: 'no such key'); please report it with {log}"
    written = log.read_text()
    assert written.startswith("dfinet-bench list models\n")
    assert "Traceback" in written
    assert "KeyError: 'no such key'" in written


def test_a_bug_is_logged_elsewhere_where_the_cache_takes_no_file(
    call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DFINET_BENCH_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr("bench.cli.catalogue.list_rows", lambda what: {}["no such key"])
    answer = call("list", "models")
    log = Path(answer.err.rpartition(" ")[2].strip())
    assert log.parent == Path(tempfile.gettempdir())
    assert "KeyError" in log.read_text()
    log.unlink()


def python(*words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """A Python process that finds this checkout, one thread."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **options.pop("env", {})}
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, env=environment, **options)


def test_importing_bench_and_asking_for_help_load_nothing_heavy() -> None:
    code = """
        import sys
        import bench
        heavy = {"torch", "mlflow", "pandas", "matplotlib", "seaborn", "fvcore", "ray"}
        assert not heavy & set(sys.modules), heavy & set(sys.modules)
        from bench.cli import main
        sys.argv = ["dfinet-bench", "--help"]
        try:
            main()
        except SystemExit as end:
            assert not end.code
        assert not heavy & set(sys.modules), heavy & set(sys.modules)
    """
    done = python("-c", textwrap.dedent(code))
    assert done.returncode == 0, done.stderr
    assert "dfinet-bench" in done.stdout


BLOCKER = """
import sys
from importlib.machinery import PathFinder

BLOCKED = {"mlflow", "fvcore", "seaborn", "ray", "imagehash", "pywt"}


class Without(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in BLOCKED else super().find_spec(name, path, target)


sys.meta_path[sys.meta_path.index(PathFinder)] = Without
"""


@pytest.mark.slow
def test_the_engine_runs_without_optional_packages(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    blocker = BLOCKER
    if not any(need.startswith("pydantic") for need in requires("typer") or ()):  # some versions of typer need it
        blocker = blocker.replace('"ray"', '"ray", "pydantic"')
    (tmp_path / "site" / "sitecustomize.py").write_text(blocker)
    path = {"PYTHONPATH": f"{tmp_path / 'site'}{os.pathsep}{ROOT}"}
    absent = python("-c", "import mlflow", env=path)
    assert "No module named 'mlflow'" in absent.stderr
    words = ("-m", "bench", "run", "quick", "--set", "recipe.epochs=1", "--limit", "train=4,test=2")
    done = python(*words, "--mlflow", "off", "--json", env=path, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [one["result"]["status"] for one in json.loads(done.stdout)["results"]] == 5 * ["limited"]


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on_to_the_same_result(tmp_path: Path) -> None:
    words = ["-m", "bench", "run", "quick", "--set", "recipe.epochs=6", "--set", "recipe.patch=64"]
    words += ["--limit", "train=24,test=4", "--mlflow", "off"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    (tmp_path / "killed").mkdir()
    (tmp_path / "whole").mkdir()
    process = subprocess.Popen(
        [sys.executable, *words],
        cwd=tmp_path / "killed",
        env=environment,
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    until = time.monotonic() + 120
    while not has_epochs(tmp_path / "killed", 2):
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < until
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not list((tmp_path / "killed" / "runs").glob("*/result.json"))
    for folder in ("killed", "whole"):
        done = python(*words, cwd=tmp_path / folder)
        assert done.returncode == 0, done.stderr
        if folder == "killed":
            assert "resumes after epoch" in done.stderr
    made = {
        path.relative_to(tmp_path / "whole") for path in (tmp_path / "whole" / "runs").rglob("*.*") if path.is_file()
    }
    assert made == {
        path.relative_to(tmp_path / "killed") for path in (tmp_path / "killed" / "runs").rglob("*.*") if path.is_file()
    }
    for name in made:
        if name.suffix in (".npz", ".safetensors"):
            assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "killed" / name).read_bytes(), name
        if name.name == "result.json":
            one, two = (read_result(tmp_path / folder / name.parent) for folder in ("whole", "killed"))
            assert (one.rounds, one.best_epoch) == (two.rounds, two.best_epoch)


def has_epochs(folder: Path, count: int) -> bool:
    """Whether a log of training below the folder has that many epochs."""
    logs = folder.glob("runs/trainings/*/log.jsonl")
    return any(len(path.read_text().splitlines()) >= count for path in logs)


def test_a_suite_runs_on_another_dataset_than_its_own(call: Call) -> None:
    Path("mine.toml").write_text('datasets = ["NUDT-SIRST"]\n[[row]]\nmodel = "Dot"\n')
    answer = call("run", "mine.toml", "--dataset", "synthetic", *SMALL)
    assert answer.code == 0, answer.err
    assert [row.dataset for row in read_manifest(Path("runs"), "mine").rows] == ["synthetic"]
    wrong = call("run", "mine.toml", "--dataset", "synthetik", *SMALL)
    assert wrong.code == 2
    assert "did you mean synthetic or synthetic-s" in wrong.err


def test_corruptions_are_asked_for_on_the_command_line(call: Call) -> None:
    suite = write_suite(DOT)
    answer = call("run", suite, "--corruption", "drift@5", *SMALL)
    assert answer.code == 0, answer.err
    assert "synthetic + drift@5" in answer.out
    assert [row.corruption for row in read_manifest(Path("runs"), "mine").rows] == ["", "drift@5"]
    wrong = call("run", suite, "--corruption", "drfit", *SMALL)
    assert (wrong.code, wrong.err) == (
        2,
        "error: --corruption: no corruption is called 'drfit'; did you mean drift?\n",
    )


def test_a_suite_of_transfer_trains_on_the_datasets_that_it_is_restricted_to(call: Call) -> None:
    suite = write_suite('datasets = ["NUDT-SIRST"]\ntrained_on = ["NUDT-SIRST"]\n[[row]]\nmodel = "Dot"\n')
    words = ["run", suite, "--dataset", "synthetic-sky", "--dataset", "synthetic-sea", *SMALL]
    answer = call(*words)
    assert answer.code == 0, answer.err
    assert "Dot (trained on synthetic-sea)" in answer.out
    rows = read_manifest(Path("runs"), "mine").rows
    kinds = ("synthetic-sky", "synthetic-sea")
    assert [(row.dataset, row.trained_on) for row in rows] == [(one, other) for one in kinds for other in kinds]
    assert call(*words, "--trained-on", "synthetic-sea").code == 0
    assert [row.trained_on for row in read_manifest(Path("runs"), "mine").rows] == ["synthetic-sea"] * 2


NAMED = """
datasets = ["synthetic"]

[[row]]
model = "ACM"
weights = "LESPS-ACM-full"
"""


def test_the_list_of_weights_shows_whole_addresses(call: Call) -> None:
    shown = "".join(call("list", "weights").out.split())
    assert "9292bba" in shown
    assert "…" not in shown


def test_a_folder_of_weights_that_does_not_exist_is_one_line_before_anything_runs(call: Call) -> None:
    Path("named.toml").write_text(NAMED)
    answer = call("run", "named.toml", "--weights", "wieghts", "--limit", "test=2", "--mlflow", "off")
    assert answer.code == 2
    assert answer.err == "error: weights folder wieghts: no such folder; name another with --weights DIR\n"
    assert not Path("runs/suites").exists()


def test_a_gate_without_its_checkpoint_says_where_to_get_it(call: Call) -> None:
    Path("named.toml").write_text(NAMED)
    Path("weights").mkdir()
    answer = call("gate", "named.toml", "--weights", "weights", "--reference", "reference.json", "--update")
    assert answer.code == 2
    assert answer.err.startswith(
        "error: weights LESPS-ACM-full: no file with its SHA-256 in weights; fetch it by dfinet-bench weig"
    )
    assert answer.err.count("\n") == 1
    assert not Path("reference.json").exists()


def test_a_wide_table_of_results_keeps_whole_keys(call: Call) -> None:
    row = '[[row]]\nmodel = "TopHat"\nlabel = "{0}"\nprotocol = "{0}"\nset = {{ "input.size" = [{1}, {1}] }}\n'
    rows = [row.format(name, size) for name, size in (("native", 64), ("dfinet", 96), ("rpcanet", 128))]
    Path("wide.toml").write_text('datasets = ["synthetic"]\nmixed = "mark"\n' + "".join(rows))
    answer = call("run", "wide.toml", "--limit", "test=2", "--mlflow", "off")
    assert answer.code == 0
    keys = [row.key for row in read_manifest(Path("runs"), "wide").rows]
    assert all(key in answer.out for key in keys)
