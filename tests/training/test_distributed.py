"""A training in two processes: the numbers of one, also after a kill; no error in one leaves the other waiting."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fakes
import pytest
import torch
import two_processes
from two_processes import COUNT, fit, make

from bench.data.batches.loader import Feed, Share
from bench.errors import RequestError
from bench.models.network import MODELS, find_models
from bench.run.torchrun import Place, own_device
from bench.store.files import read_result
from bench.training.distributed import changed, updated
from bench.training.stored_masks import restore_masks
from bench.training.trained_with import describe_changes, extend_stretches
from bench.weights.read_checkpoint import read_checkpoint

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
CPU = torch.device("cpu")

CASES = [
    *(f"small:{model}" for model in two_processes.STEPS),
    *("train:Norm", "train:DFINet", "train:Precise", "train:Echo", "again:Echo", "single:Norm", "resumed:Norm"),
    *(
        "seed:",
        "tiny:Norm",
        "lonely:ACM",
        "train:LossBreaks",
        "train:EvaluationFails",
        "train:Odd",
        "train:HalfLoss",
        "apart:Norm",
        "joined:Norm",
    ),
    "train:OneFails",  # the last one, for nothing goes on after it
]


@dataclass(frozen=True)
class Outcome:
    """What came out of the cases in each process, and the folder with their trainings."""

    folder: Path
    found: tuple[dict[str, Any], dict[str, Any]]

    def of(self, case: str) -> Any:
        """The outcome of a case that is the same in both processes."""
        first, second = (found[case] for found in self.found)
        assert first == second
        return first


def launch(folder: Path, *cases: str) -> subprocess.CompletedProcess[str]:
    """Carry out cases in two processes."""
    script = Path(two_processes.__file__)
    return subprocess.run([*TORCHRUN, script, folder, *cases], capture_output=True, text=True, timeout=600)


@pytest.fixture(autouse=True, scope="module")
def networks() -> Iterator[None]:
    """The networks of two_processes.py, known to the tests of this file alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MODELS, "_entries", dict(find_models()._entries))
        two_processes.register()
        yield


@pytest.fixture(scope="module")
def outcome(networks: None, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """One launch whose processes are killed in the second epoch, and one that resumes it and does all the rest."""
    folder = tmp_path_factory.mktemp("two")
    killed = launch(folder, "killed:Norm")
    assert killed.returncode, killed.stderr
    shutil.copytree(folder / "killed:Norm", folder / "resumed:Norm")
    shutil.copytree(folder / "killed:Norm", folder / "for-one")
    (folder / "apart:Norm-0").mkdir()
    shutil.copy(folder / "killed:Norm/state.pt", folder / "apart:Norm-0")
    with pytest.raises(KeyboardInterrupt):
        fit("Norm", folder / "joined:Norm", progress=two_processes.Dying(epoch=2))
    done = launch(folder, *CASES)
    assert not done.returncode, done.stderr
    first, second = (json.loads((folder / f"found-{rank}.json").read_text()) for rank in range(2))
    return Outcome(folder, (first, second))


@pytest.mark.parametrize("model", two_processes.STEPS)
def test_a_step_has_the_loss_gradients_and_statistics_of_one_process(model: str, outcome: Outcome) -> None:
    """In double precision; BatchNorm over the two values of an ACM of two images amplifies rounding to 3e-10."""
    differences = outcome.of(f"small:{model}")
    assert differences["norms"] > 30
    assert greatest(differences) < (1e-9 if model == "ACM" else 1e-10)


def greatest(differences: dict[str, float]) -> float:
    """The greatest difference of a step from that of one process."""
    return max(differences[name] for name in ("loss", "gradient", "buffer"))


def test_two_processes_log_what_one_does(outcome: Outcome, tmp_path: Path) -> None:
    """Not more closely than to 1e-4: rounding grows in DFINet, as it does between two orders of one batch."""
    one = fit("DFINet", tmp_path)
    assert outcome.of("train:DFINet") == pytest.approx([record["loss"] for record in one.log], abs=1e-4)


@pytest.mark.parametrize(("model", "tolerance"), [("Norm", 1e-5), ("Precise", 1e-8)])
def test_two_processes_learn_what_one_does(model: str, tolerance: float, outcome: Outcome, tmp_path: Path) -> None:
    one = fit(model, tmp_path)
    assert outcome.of(f"train:{model}") == pytest.approx([record["loss"] for record in one.log], abs=tolerance)
    folder = outcome.folder / f"train:{model}"
    logged = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    for name in ("selection_loss", "selection_IoU", "selection_Fa"):
        assert [record[name] for record in logged] == pytest.approx([record[name] for record in one.log], abs=tolerance)
    weights, others = (read_checkpoint(each / "checkpoint.safetensors") for each in (tmp_path, folder))
    assert list(weights) == list(others)
    for name in weights:
        assert torch.allclose(weights[name].double(), others[name].double(), rtol=0, atol=tolerance), name


def test_every_process_knows_the_history_masks_of_all_images(outcome: Outcome, tmp_path: Path) -> None:
    fit("Precise", tmp_path)
    masks, shared = (
        restore_masks(torch.load(folder / "state.pt", weights_only=True)["feedback"])["masks"]
        for folder in (tmp_path, outcome.folder / "train:Precise")
    )
    assert sorted(shared) == sorted(masks) == list(range(COUNT))
    for index, mask in masks.items():
        assert torch.equal(mask, shared[index])


def test_a_batch_of_fewer_images_than_processes_is_calculated_whole(outcome: Outcome, tmp_path: Path) -> None:
    one = fit("Norm", tmp_path, batch=3)
    assert outcome.of("single:Norm") == pytest.approx([record["loss"] for record in one.log], abs=1e-5)


def test_a_layer_of_one_value_refuses_a_single_image_as_in_one_process(outcome: Outcome) -> None:
    assert outcome.of("lonely:ACM").startswith("ValueError: Expected more than 1 value per channel when training")


def test_killed_processes_resume_and_end_as_ones_that_were_never_stopped(outcome: Outcome) -> None:
    assert outcome.of("resumed:Norm") == outcome.of("train:Norm")
    resumed, whole = (
        (outcome.folder / case / "checkpoint.safetensors").read_bytes() for case in ("resumed:Norm", "train:Norm")
    )
    assert resumed == whole


def test_one_process_goes_on_with_the_training_of_two_and_says_so(
    outcome: Outcome, caplog: pytest.LogCaptureFixture
) -> None:
    done = fit("Norm", outcome.folder / "for-one")
    assert [record["loss"] for record in done.log] == pytest.approx(outcome.of("train:Norm"), abs=1e-4)
    assert [(one["epochs"], one.get("processes")) for one in done.stretches] == [([1, 1], 2), ([2, 3], None)]
    assert any("resumes with processes 1 after 2" in message for message in caplog.messages)


def test_two_processes_go_on_with_the_training_of_one(outcome: Outcome) -> None:
    assert outcome.of("joined:Norm") == pytest.approx(outcome.of("train:Norm"), abs=1e-5)
    state = torch.load(outcome.folder / "joined:Norm/state.pt", weights_only=True)
    stretches = state["done"]["stretches"]
    assert [(one["epochs"], one.get("processes")) for one in stretches] == [([1, 1], None), ([2, 3], 2)]


def test_dropout_differs_by_process_and_is_repeatable(outcome: Outcome) -> None:
    assert outcome.found[0]["seed:"] == 5
    assert outcome.found[1]["seed:"] not in (5, 6)
    assert outcome.of("train:Echo") == outcome.of("again:Echo")


def test_an_error_of_all_processes_is_the_error_of_one(outcome: Outcome) -> None:
    broken = outcome.of("train:LossBreaks")
    assert broken.startswith("NonFiniteLossError: the loss is nan in epoch 2 on the batch of images ")
    assert broken.count("scene-") == 4, "the images of both processes"


def test_an_error_of_the_first_process_is_told_to_the_other_one(outcome: Outcome) -> None:
    assert [found["train:EvaluationFails"] for found in outcome.found] == [
        "ValueError: no evaluation",
        "ProcessError: process 0 of 2 failed: ValueError: no evaluation",
    ]


def test_an_error_of_one_process_ends_both(outcome: Outcome) -> None:
    assert [found["train:OneFails"] for found in outcome.found] == [
        "BrokenGroupError: another process of the training ended",
        "BrokenGroupError: process 1 of 2 failed: ValueError: a bad day",
    ]


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("tiny:Norm", "recipe.batch is 1, expected at least 2, an image for each process; start fewer processes or"),
        ("train:Odd", "Odd.body.1 is a OddNorm, expected a plain BatchNorm"),
        ("train:HalfLoss", "HalfLoss: took a loss of 1 of 2 images, expected all of its batch; train it in one"),
        ("apart:Norm", "2 processes go on after epochs 1, 0; expected one folder that all see"),
    ],
)
def test_requests_that_several_processes_cannot_carry_out_are_refused(case: str, said: str, outcome: Outcome) -> None:
    assert outcome.of(case).startswith(f"RequestError: {said}")


@pytest.mark.parametrize("processes", [2, 3, 5])
def test_the_shares_of_a_batch_make_up_the_batch(processes: int) -> None:
    training = make("Norm")
    feed = Feed(
        fakes.synthetic_frames("fit", COUNT), input=training.input, recipe=training.recipe, seed=3, needs_start=True
    )
    whole = list(feed.epoch(2))
    shares = [list(feed.epoch(2, share=Share(rank, processes))) for rank in range(processes)]
    assert [batch.name for batch in whole] == list(feed.names(2))
    for batch, *parts in zip(whole, *shares, strict=True):
        if len(batch.name) < processes:
            parts = parts[:1]
        assert [name for part in parts for name in part.name] == batch.name
        for field in ("image", "mask", "start", "index"):
            assert torch.equal(torch.cat([getattr(part, field) for part in parts]), getattr(batch, field))
        assert max(len(part.name) for part in parts) - min(len(part.name) for part in parts) <= 1


def test_changes_of_a_state_are_found_and_put_into_another() -> None:
    before = {"masks": {1: torch.zeros(2), 2: torch.zeros(2)}, "count": 3}
    after = {"masks": {1: torch.zeros(2), 2: torch.ones(2), 4: torch.ones(3)}, "count": 3}
    changes = changed(before, after)
    assert set(changes) == {"masks"}
    assert set(changes["masks"]) == {2, 4}
    merged = updated(updated(before, changes), changed(before, {"masks": {7: torch.ones(1)}, "count": 4}))
    assert sorted(merged["masks"]) == [1, 2, 4, 7]
    assert merged["count"] == 4
    assert torch.equal(merged["masks"][2], torch.ones(2))
    assert changed(after, after) is None


def test_more_or_fewer_processes_are_a_change_that_is_told() -> None:
    here = extend_stretches([], 1, CPU)[0]
    assert describe_changes({**here, "processes": 2}, here) == "processes 1 after 2"
    assert describe_changes(here, {**here, "processes": 4}) == "processes 4 after 1"
    assert len(extend_stretches([{**here, "processes": 2}], 2, CPU)) == 2


def torchrun_place(rank: int, count: int) -> dict[str, str]:
    """The variables that torchrun sets."""
    numbers = {"RANK": rank, "WORLD_SIZE": count, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": count}
    return {"TORCHELASTIC_RUN_ID": "none", **{name: str(number) for name, number in numbers.items()}}


def test_only_torchrun_makes_a_process_one_of_several() -> None:
    assert Place.given({"RANK": "1", "WORLD_SIZE": "2"}) == Place()
    assert Place.given(torchrun_place(1, 2)) == Place(1, 2, 1, 2)
    assert Place.given(torchrun_place(1, 2)).is_follower


def test_fewer_gpus_than_processes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in torchrun_place(1, 4).items():
        monkeypatch.setitem(os.environ, name, value)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(RequestError, match="--device cuda: 4 processes, 2 GPUs, expected a GPU for each process"):
        own_device(torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)
    assert own_device(torch.device("cuda")) == torch.device("cuda", 1)
    assert own_device(CPU) == CPU


PLUGIN = """
import os
from baselines.acm import ACM
from bench.models.network import model

class Moody(ACM):
    def training_loss(self, batch, loss, *, epoch):
        if os.environ.get("RANK") == "1" and os.environ.get("MOOD") == "bad":
            os.abort()
        return super().training_loss(batch, loss, epoch=epoch)

@model("Moody", cite="none", source="tests", licence="MIT", recipe="basicirstd")
def build(*, channels):
    return Moody(channels=channels)
"""
SUITE = """
title = "Two"
protocol = "native"
datasets = ["synthetic"]
plugins = ["moody.py"]
[[row]]
model = "Moody"
"""


def run_suite_in_two(folder: Path, *arguments: str, mood: str = "") -> subprocess.CompletedProcess[str]:
    """The command `run` in two processes."""
    (folder / "moody.py").write_text(PLUGIN)
    (folder / "two.toml").write_text(SUITE)
    command = [*TORCHRUN, "-m", "bench", "run", "two.toml", "--limit", "train=7,test=3", "--set", "recipe.epochs=2"]
    command += ["--set", "recipe.patch=32", "--set", "recipe.batch=4", "--mlflow", "off", *arguments]
    variables = {**os.environ, "MOOD": mood, "PYTHONPATH": str(Path(fakes.__file__).parents[1])}
    return subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, timeout=240)


@pytest.mark.slow
def test_the_command_run_trains_in_two_processes_and_reports_once(tmp_path: Path) -> None:
    lost = run_suite_in_two(tmp_path, mood="bad")
    assert lost.returncode
    said = "stopped because another process of the training ended (Moody on synthetic); the same command goes on"
    assert lost.stderr.splitlines().count(said) == 1, lost.stderr
    assert not list(tmp_path.glob("runs/*/result.json"))
    ran = run_suite_in_two(tmp_path)
    assert not ran.returncode, ran.stderr
    assert ran.stdout.count("Moody") == 1
    (path,) = tmp_path.glob("runs/*/result.json")
    result = read_result(path.parent)
    assert result.epochs == 2
    assert [one["processes"] for one in result.environment["trained_with"]] == [2]


@pytest.mark.slow
def test_every_network_steps_in_two_processes_as_in_one(tmp_path: Path) -> None:
    models = [name for name in find_models() if name not in two_processes.NETWORKS and trains(name)]
    done = launch(tmp_path, *(f"step:{name}" for name in models))
    assert not done.returncode, done.stderr
    found = json.loads((tmp_path / "found-0.json").read_text())
    assert {case: differences for case, differences in found.items() if not greatest(differences) < 1e-8} == {}
    assert len(found) >= 12


def trains(model: str) -> bool:
    """True for a network, false for a classical detector and for the variants of another network."""
    info = find_models().get(model).info
    return bool(info.recipe) and not info.ablates


@pytest.mark.slow
def test_a_wrong_request_is_one_line_from_two_processes(tmp_path: Path) -> None:
    refused = run_suite_in_two(tmp_path, "--device", "cuda:7")
    assert refused.returncode
    assert refused.stderr.count("error: --device 'cuda:7': expected cpu or cuda") == 1
