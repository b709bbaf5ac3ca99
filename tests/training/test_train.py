"""Training: the same numbers to the last bit, also after a kill; the right epoch kept; nothing that trains on NaN."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import fakes
import numpy as np
import pytest
import torch
from fakes import FIT, HELD_OUT, make_training, synthetic_frames

from bench.data.images.frames import Frame, Frames
from bench.errors import DataError, NonFiniteLossError, StoreError
from bench.models.network import build_model
from bench.progress import Silent
from bench.training.stored_masks import restore_masks
from bench.training.train import Trained, evaluate_epoch, seed_of_epoch, train
from bench.types import Selection, Training
from bench.weights.header import read_metadata
from bench.weights.read_checkpoint import read_checkpoint

LAST = Selection("last")


@pytest.fixture(autouse=True)
def fake_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    fakes.register_fakes(monkeypatch)


class Watched(Silent):
    """Progress that remembers the steps, and dies in the middle of one of them."""

    def __init__(self, dies_in: str = "") -> None:
        self.dies_in = dies_in
        self.begun: list[str] = []

    def begin(self, what: str, total: int) -> None:
        self.begun.append(what)

    def advance(self, note: str = "") -> None:
        if self.begun[-1] == self.dies_in:
            raise KeyboardInterrupt


def run_training(training: Training, folder: Path, **options: Any) -> Trained:
    """The training on the first frames of the synthetic dataset, with or without a selection list."""
    return train(
        training,
        synthetic_frames("fit", FIT),
        folder=folder,
        selection_frames=synthetic_frames("held-out", HELD_OUT),
        **options,
    )


def read_log(folder: Path) -> list[dict[str, float]]:
    """What `log.jsonl` holds, without how long it took."""
    records = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{name: value for name, value in record.items() if name != "seconds"} for record in records]


def assert_same(one: Path, other: Path) -> None:
    """Both folders hold the same weights, byte by byte, and the same log."""
    assert (one / "checkpoint.safetensors").read_bytes() == (other / "checkpoint.safetensors").read_bytes()
    assert read_log(one) == read_log(other)


@pytest.mark.parametrize("model", ["Dot", "Echo", "DFINet"])
def test_the_same_seed_makes_the_same_bytes_and_another_seed_other_ones(model: str, tmp_path: Path) -> None:
    for folder, seed in (("one", 42), ("two", 42), ("other", 43)):
        run_training(make_training(model, epochs=2, seed=seed), tmp_path / folder)
    assert_same(tmp_path / "one", tmp_path / "two")
    weights = [read_checkpoint(tmp_path / folder / "checkpoint.safetensors") for folder in ("one", "other")]
    assert any(not torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert read_log(tmp_path / "one") != read_log(tmp_path / "other")


def test_random_numbers_drawn_elsewhere_change_nothing(tmp_path: Path) -> None:
    run_training(make_training("Echo"), tmp_path / "one")
    torch.rand(7)
    run_training(make_training("Echo"), tmp_path / "two", on_epoch=lambda record: torch.manual_seed(0))
    assert_same(tmp_path / "one", tmp_path / "two")


@pytest.mark.parametrize(
    ("model", "selection", "recipe"),
    [
        ("Dot", Selection("best"), {"schedule": "multistep", "milestones": (1, 3)}),
        ("Dot", LAST, {"schedule": "plateau", "patience": 0, "optimiser": "adagrad"}),
        ("Echo", Selection("best", criterion="loss"), {"schedule": "plateau", "patience": 0}),
        ("Echo", Selection("best", every=3), {}),
        ("Dot", LAST, {"schedule": "poly", "stepped": "iteration", "optimiser": "sgd", "momentum": 0.9}),
        ("Dot", LAST, {"schedule": "cosine", "warm_up": 2, "lr_end": 0.01}),
    ],
)
@pytest.mark.parametrize("killed_in", [1, 3])
def test_a_killed_training_ends_as_one_that_was_never_stopped(
    model: str, selection: Selection, recipe: dict[str, Any], killed_in: int, tmp_path: Path
) -> None:
    training = make_training(model, selection=selection, lr=0.05, **recipe)
    whole = run_training(training, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run_training(training, tmp_path / "killed", progress=Watched(dies_in=f"epoch {killed_in}/4"))
    again = Watched()
    resumed = run_training(training, tmp_path / "killed", progress=again)
    assert again.begun == [f"epoch {epoch}/4" for epoch in range(killed_in, 5)]
    assert_same(tmp_path / "whole", tmp_path / "killed")
    assert (resumed.best_epoch, resumed.epochs) == (whole.best_epoch, 4)


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    """Setter of the number of threads, which is put back afterwards."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def test_a_training_that_resumes_with_other_threads_says_so_in_one_line_and_records_it(
    tmp_path: Path, threads: Callable[[int], None], caplog: pytest.LogCaptureFixture
) -> None:
    training = make_training("Dot")
    threads(1)
    with pytest.raises(KeyboardInterrupt):
        run_training(training, tmp_path, progress=Watched(dies_in="epoch 3/4"))
    threads(2)
    with caplog.at_level(logging.WARNING):
        done = run_training(training, tmp_path)
    assert caplog.messages == [
        f"training {training.key} resumes with threads 2 after 1: "
        "its weights will differ from those of an uninterrupted one"
    ]
    assert [(one["epochs"], one["threads"]) for one in done.stretches] == [([1, 2], 1), ([3, 4], 2)]
    caplog.clear()
    threads(1)
    with caplog.at_level(logging.WARNING):
        assert run_training(training, tmp_path).stretches == done.stretches
    assert caplog.messages == []


def test_a_state_that_does_not_say_what_it_was_trained_with_is_resumed_in_silence(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    training = make_training("Dot")
    with pytest.raises(KeyboardInterrupt):
        run_training(training, tmp_path, progress=Watched(dies_in="epoch 3/4"))
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    del state["done"]["stretches"]
    torch.save(state, tmp_path / "state.pt")
    with caplog.at_level(logging.WARNING):
        assert [one["epochs"] for one in run_training(training, tmp_path).stretches] == [[3, 4]]
    assert caplog.messages == []


def test_a_killed_dfinet_goes_on_with_its_history_masks(tmp_path: Path) -> None:
    training = make_training("DFINet", selection=LAST, schedule="plateau", patience=0, epochs=3, lr=0.05)
    run_training(training, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run_training(training, tmp_path / "killed", progress=Watched(dies_in="epoch 3/3"))
    assert sorted(history_masks(tmp_path / "killed")) == list(range(FIT))
    run_training(training, tmp_path / "killed")
    assert_same(tmp_path / "whole", tmp_path / "killed")
    whole, killed = history_masks(tmp_path / "whole"), history_masks(tmp_path / "killed")
    assert all(torch.equal(whole[index], killed[index]) for index in range(FIT))


def history_masks(folder: Path) -> dict[int, torch.Tensor]:
    """Position in the training list to the stored mask."""
    state = restore_masks(torch.load(folder / "state.pt", weights_only=True)["feedback"])
    masks: dict[int, torch.Tensor] = state["masks"]
    return masks


def test_a_state_whose_masks_are_not_compressed_is_resumed_to_the_same_numbers(tmp_path: Path) -> None:
    training = make_training("DFINet", selection=LAST, epochs=3)
    run_training(training, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run_training(training, tmp_path / "plain", progress=Watched(dies_in="epoch 3/3"))
    file = tmp_path / "plain" / "state.pt"
    state = torch.load(file, weights_only=True)
    torch.save(state | {"feedback": restore_masks(state["feedback"])}, file)
    run_training(training, tmp_path / "plain")
    assert_same(tmp_path / "whole", tmp_path / "plain")


def test_the_best_weights_are_written_once_in_the_epoch_that_they_are_of(tmp_path: Path) -> None:
    """Adam keeps two tensors for each weight that learns, so that the best ones are the fourth and last part."""
    run_training(make_training("DFINet", epochs=1), tmp_path / "new")
    state = torch.load(tmp_path / "new" / "state.pt", weights_only=True)
    assert state["best"].keys() == state["network"].keys()
    assert all(torch.equal(best, state["network"][name]) for name, best in state["best"].items())
    state["best"] = {name: best.clone() for name, best in state["best"].items()}
    torch.save(state, tmp_path / "twice.pt")
    saved = (tmp_path / "twice.pt").stat().st_size - (tmp_path / "new" / "state.pt").stat().st_size
    assert saved > sum(best.untyped_storage().nbytes() for best in state["best"].values())


def test_a_training_told_from_its_files_tells_every_epoch_again(tmp_path: Path) -> None:
    training = make_training("Dot")
    live: list[Mapping[str, float]] = []
    run_training(training, tmp_path, on_epoch=live.append)
    assert [record["epoch"] for record in live] == [1, 2, 3, 4]
    stored: list[Mapping[str, float]] = []
    done = run_training(training, tmp_path, on_epoch=stored.append, progress=Watched(dies_in="epoch 1/4"))
    assert stored == live
    assert done.log == tuple(live)


@pytest.mark.parametrize("selection", [Selection("best"), LAST])
def test_log_and_checkpoint_lost_or_older_than_the_state_are_made_again(selection: Selection, tmp_path: Path) -> None:
    training = make_training("Dot", selection=selection)
    run_training(training, tmp_path / "whole")
    shutil.copytree(tmp_path / "whole", tmp_path / "lost")
    (tmp_path / "lost" / "checkpoint.safetensors").unlink()
    (tmp_path / "lost" / "log.jsonl").unlink()
    run_training(training, tmp_path / "lost")
    assert_same(tmp_path / "whole", tmp_path / "lost")

    run_training(make_training("Dot", selection=selection, seed=1), tmp_path / "stale")
    shutil.copy(tmp_path / "whole" / "state.pt", tmp_path / "stale" / "state.pt")
    newest = (tmp_path / "stale" / "state.pt").stat().st_mtime + 60
    os.utime(tmp_path / "stale" / "checkpoint.safetensors", (newest, newest))
    run_training(training, tmp_path / "stale")
    assert_same(tmp_path / "whole", tmp_path / "stale")


def test_a_truncated_state_is_named_in_one_line(tmp_path: Path) -> None:
    run_training(make_training("Dot", epochs=1), tmp_path)
    state = tmp_path / "state.pt"
    state.write_bytes(state.read_bytes()[:300])
    assert_refused(make_training("Dot", epochs=1), tmp_path, "not a readable state")


def test_a_state_with_one_flipped_bit_is_named_in_one_line(tmp_path: Path) -> None:
    run_training(make_training("Dot", epochs=1), tmp_path)
    state = tmp_path / "state.pt"
    content = bytearray(state.read_bytes())
    weight = torch.load(state, weights_only=True)["network"]["conv.weight"].numpy().tobytes()
    content[content.index(weight)] ^= 1
    state.write_bytes(content)
    assert_refused(make_training("Dot", epochs=1), tmp_path, "another CRC-32 than was stored with it")


def test_a_state_of_another_training_is_named_in_one_line(tmp_path: Path) -> None:
    run_training(make_training("Dot", epochs=1, seed=1), tmp_path)
    training = make_training("Dot", epochs=1, seed=2)
    assert_refused(training, tmp_path, f"expected '{training.key}'")


@pytest.mark.parametrize("content", [[], {"training": None}, {}])
def test_a_state_that_is_none_is_named_in_one_line(content: Any, tmp_path: Path) -> None:
    training = make_training("Dot", epochs=1)
    torch.save(content, tmp_path / "state.pt")
    assert_refused(training, tmp_path, "state.pt")


def test_a_state_of_another_version_is_named_in_one_line(tmp_path: Path) -> None:
    training = make_training("Dot", epochs=1)
    run_training(training, tmp_path)
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    for lacking in ("network", "best", "done"):
        torch.save({name: value for name, value in state.items() if name != lacking}, tmp_path / "state.pt")
        assert_refused(training, tmp_path, lacking)


def assert_refused(training: Training, folder: Path, named: str) -> None:
    """The training says in one line that its state cannot be used."""
    with pytest.raises(StoreError) as caught:
        run_training(training, folder)
    assert named in str(caught.value)
    assert "delete it to train again" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("model", "said"), [("LossBreaks", "nan"), ("LossExplodes", "inf")])
def test_a_loss_that_is_no_number_stops_training_and_names_epoch_and_images(
    model: str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(NonFiniteLossError) as caught:
        run_training(make_training(model), tmp_path)
    message = str(caught.value)
    assert f"the loss is {said} in epoch 2 on the batch of images" in message
    named = message.partition("images ")[2].split(", ")
    assert len(named) == 3
    assert set(named) <= set(synthetic_frames("fit", FIT).names)
    assert [record["epoch"] for record in read_log(tmp_path)] == [1]
    assert not (tmp_path / "checkpoint.safetensors").exists()


@pytest.mark.parametrize("criterion", ["loss", "IoU/pooled"])
def test_a_network_that_is_nan_outside_training_is_stopped_after_its_first_epoch(
    criterion: Any, tmp_path: Path
) -> None:
    with pytest.raises(NonFiniteLossError, match="the loss is nan after epoch 1 on the held-out list"):
        run_training(make_training("MapBreaks", selection=Selection("best", criterion=criterion)), tmp_path)
    assert not (tmp_path / "log.jsonl").exists()


def test_the_epoch_with_the_best_iou_is_kept_and_the_network_is_told(tmp_path: Path) -> None:
    trained = run_training(make_training("Ages"), tmp_path)
    assert trained.best_epoch == 2
    assert read_metadata(trained.checkpoint)["epoch"] == "2"
    assert read_checkpoint(trained.checkpoint)["age"].item() == 2
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    assert state["feedback"]["told"] == [True, True, False, False]


def test_of_equally_good_epochs_the_first_is_kept(tmp_path: Path) -> None:
    assert run_training(make_training("Ages", epochs=1), tmp_path / "one").best_epoch == 1
    looks_late = Selection("best", every=3)
    trained = run_training(make_training("Ages", selection=looks_late), tmp_path / "late")
    assert trained.best_epoch == 3, "epochs 3 and 4 are looked at, and equal"
    assert ["selection_IoU" in record for record in trained.log] == [False, False, True, True]


def test_the_last_epoch_is_kept_where_the_rules_say_so(tmp_path: Path) -> None:
    training = make_training("Ages", selection=Selection("last", every=2), schedule="plateau")
    trained = run_training(training, tmp_path)
    assert trained.best_epoch == 4
    assert read_checkpoint(trained.checkpoint)["age"].item() == 4
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    assert state["feedback"]["told"] == [True, True, True, True]


def test_the_log_shows_the_rate_that_each_epoch_learnt_with(tmp_path: Path) -> None:
    trained = run_training(make_training("Dot", schedule="multistep", milestones=(1, 3), lr=0.5), tmp_path)
    assert [record["lr"] for record in trained.log] == pytest.approx([0.5, 0.05, 0.05, 0.005], rel=1e-12)


def test_a_poly_schedule_falls_to_nothing_by_epochs_or_by_iterations(tmp_path: Path) -> None:
    by_epoch = run_training(make_training("Dot", schedule="poly", power=0.5, lr=0.5), tmp_path / "epoch")
    assert [record["lr"] for record in by_epoch.log] == pytest.approx(
        [0.5, 0.5 * 0.75**0.5, 0.5 * 0.5**0.5, 0.5 * 0.25**0.5], rel=1e-12
    )
    by_step = make_training("Dot", schedule="poly", stepped="iteration", power=1.0, lr=0.5)
    run_training(by_step, tmp_path / "step")
    state = torch.load(tmp_path / "step" / "state.pt", weights_only=True)
    assert state["schedule"]["last_epoch"] == 4 * 2, "four epochs of six images in batches of three"
    assert state["optimiser"]["param_groups"][0]["lr"] == 0


@pytest.mark.parametrize("stepped", ["epoch", "iteration"])
def test_a_cosine_schedule_of_no_more_than_its_warm_up_ends_with_the_rise(tmp_path: Path, stepped: str) -> None:
    training = make_training("Dot", epochs=1, schedule="cosine", warm_up=1, lr=0.8, stepped=stepped)
    assert [record["lr"] for record in run_training(training, tmp_path).log] == [0.4]


def test_a_cosine_schedule_rises_through_its_warm_up_and_falls_to_its_end(tmp_path: Path) -> None:
    training = make_training("Dot", epochs=6, schedule="cosine", warm_up=2, lr=0.6, lr_end=0.2)
    rates = [record["lr"] for record in run_training(training, tmp_path).log]
    half = 0.5**0.5
    cut = make_training("Dot", epochs=2, schedule="cosine", warm_up=3, lr=0.8)
    assert [record["lr"] for record in run_training(cut, tmp_path / "cut").log] == pytest.approx([0.2, 0.4])
    assert rates == pytest.approx([0.2, 0.4, 0.6, 0.4 + 0.2 * half, 0.4, 0.4 - 0.2 * half], rel=1e-12)


def test_a_plateau_lowers_the_rate_by_the_loss_on_the_selection_list(tmp_path: Path) -> None:
    training = make_training("Ages", selection=LAST, schedule="plateau", patience=0, lr=0.5, loss="dice-bce")
    trained = run_training(training, tmp_path)
    losses = [record["selection_loss"] for record in trained.log]
    assert losses[1] > losses[0] == losses[2] == losses[3]
    assert [record["lr"] for record in trained.log] == pytest.approx([0.5, 0.5, 0.05, 0.005], rel=1e-12)


def test_too_few_images_for_a_batch_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="1 training images make no batch of 3"):
        train(make_training("Dot", selection=LAST), synthetic_frames("fit", 1), folder=tmp_path)


@pytest.mark.parametrize("without", ["fit", "held-out"])
def test_images_without_masks_are_not_trained_on(tmp_path: Path, without: str) -> None:
    lists = {"fit": synthetic_frames("fit", FIT), "held-out": synthetic_frames("held-out", HELD_OUT)}
    lists[without] = Frames("synthetic", [Frame("plain", frame.image, frame.grey) for frame in lists[without]])
    with pytest.raises(DataError, match="image plain: no ground-truth mask"):
        train(make_training("Dot"), lists["fit"], folder=tmp_path, selection_frames=lists["held-out"])


def test_padding_is_no_part_of_the_iou_that_chooses_the_epoch() -> None:
    """Two sizes in one padded batch; every pixel is predicted, so the IoU is labelled over image pixels."""

    def frame(name: str, height: int, width: int) -> Frame:
        grey, mask = np.zeros((height, width), np.uint8), np.zeros((height, width), np.uint8)
        mask[1:3, 1:3] = 255
        return Frame(name, grey, grey, mask)

    network = build_model("Ages", channels=1)
    network.age.fill_(2)
    frames = Frames("synthetic", [frame("a", 20, 10), frame("b", 32, 25)])
    judged = evaluate_epoch(network, frames, make_training("Ages"), torch.device("cpu"))
    assert judged["selection_IoU"] == 8 / (20 * 10 + 32 * 25)


def test_neighbouring_seeds_and_epochs_have_different_random_numbers() -> None:
    assert len({seed_of_epoch(seed, epoch) for seed in range(40, 50) for epoch in range(1, 500)}) == 10 * 499
