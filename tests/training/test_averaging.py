"""Moving averages of weights."""

from __future__ import annotations

from pathlib import Path

import fakes
import pytest
import torch
from fakes import make_training, synthetic_frames
from torch import nn

from bench.errors import RequestError
from bench.models.network import Segmenter
from bench.stop import Stopped
from bench.training.averaging import WARM_UP, average_of
from bench.training.train import evaluate_epoch, train
from bench.types import Recipe, Selection
from bench.weights.load import load_model


class Normed(Segmenter):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(1)


def test_an_average_forgets_by_its_decay_and_faster_at_first() -> None:
    network = Normed()
    average = average_of(network, decay=0.5)
    values, expected = [0.0, 1.0, 4.0, 2.0], 0.0
    for count, value in enumerate(values):
        nn.init.constant_(network.norm.weight, value)
        network.norm.running_mean.fill_(value)  # type: ignore[union-attr]
        network.norm.num_batches_tracked.fill_(count)  # type: ignore[union-attr]
        average.update_parameters(network)
        decay = min(0.5, count / (count + WARM_UP))
        expected = decay * expected + (1 - decay) * value if count else value
        norm = average.module.norm
        assert norm.weight.item() == norm.running_mean.item() == pytest.approx(expected, abs=1e-6)
        assert norm.num_batches_tracked.item() == count


def test_the_average_is_judged_kept_and_resumed(tmp_path: Path) -> None:
    frames = synthetic_frames("fit", fakes.FIT)
    training = make_training("ACM", epochs=4, average=0.9, selection=Selection("last"))
    straight = train(training, frames, folder=tmp_path / "straight", selection_frames=frames)

    def stop(record: dict[str, float]) -> None:
        if record["epoch"] == 2:
            raise Stopped(15)

    with pytest.raises(Stopped):
        train(training, frames, folder=tmp_path / "resumed", selection_frames=frames, on_epoch=stop)  # type: ignore[arg-type]
    resumed = train(training, frames, folder=tmp_path / "resumed", selection_frames=frames)
    assert resumed.checkpoint.read_bytes() == straight.checkpoint.read_bytes()

    kept = load_model("ACM", straight.checkpoint)
    state = torch.load(tmp_path / "straight/state.pt", weights_only=True)
    for name, value in kept.state_dict().items():
        assert torch.equal(value, state["average"][f"module.{name}"]), name
    weights = dict(kept.named_parameters())
    assert any(not torch.equal(state["network"][name], weights[name]) for name in weights)
    scores = evaluate_epoch(kept, frames, training, torch.device("cpu"))
    assert straight.log[-1]["selection_loss"] == pytest.approx(scores["selection_loss"], abs=1e-6)


def test_a_decay_of_one_is_refused() -> None:
    with pytest.raises(RequestError, match=r"recipe: average is 1\.0, expected a decay in \[0, 1\)"):
        Recipe("adam", lr=1e-3, epochs=1, batch=1, loss="dice", augmentation="none", average=1.0)
