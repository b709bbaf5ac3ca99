"""Threads, kernels and arithmetic of trainings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fakes
import pytest
import torch
from fakes import make_training, synthetic_frames

from bench.training.execution import LEAST_STEPS, execution, fastest_threads
from bench.training.train import Trained, in_float32, train

CPU = torch.device("cpu")


@pytest.fixture
def two_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def chosen(seconds: dict[int, float], monkeypatch: pytest.MonkeyPatch, **options: Any) -> int:
    """The threads that a training runs on, where a step takes so many seconds by the number of threads."""
    clock = [0.0]

    def trial() -> None:
        clock[0] += seconds[torch.get_num_threads()]

    monkeypatch.setattr("bench.training.execution.perf_counter", lambda: clock[0])
    settings = {"deterministic": False, "earlier": (), "steps": LEAST_STEPS} | options
    with execution(device=CPU, make_trial=lambda: trial, **settings):
        found = torch.get_num_threads()
    assert torch.get_num_threads() == 2
    return found


@pytest.mark.usefixtures("two_threads")
def test_two_threads_are_taken_where_they_pay(monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen({1: 1.0, 2: 0.6}, monkeypatch) == 2
    assert chosen({1: 1.0, 2: 0.9}, monkeypatch) == 1
    assert chosen({1: 1.0, 2: 20.0}, monkeypatch) == 1


@pytest.mark.usefixtures("two_threads")
def test_a_deterministic_training_has_one_thread_untried(monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen({}, monkeypatch, deterministic=True) == 1


@pytest.mark.usefixtures("two_threads")
def test_a_resumed_training_keeps_its_threads_if_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen({}, monkeypatch, earlier=[{"epochs": [1, 3], "threads": 1}]) == 1
    assert chosen({1: 1.0, 2: 0.6}, monkeypatch, earlier=[{"epochs": [1, 3], "threads": 8}]) == 2
    assert chosen({1: 1.0, 2: 0.6}, monkeypatch, earlier=[{"epochs": [1, 3], "device": "a GPU"}]) == 2


@pytest.mark.usefixtures("two_threads")
def test_a_number_of_the_user_and_a_short_training_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen({}, monkeypatch, steps=LEAST_STEPS - 1) == 2
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert chosen({}, monkeypatch) == 2


@pytest.mark.usefixtures("two_threads")
def test_threads_come_back_after_an_error() -> None:
    untried = {"earlier": (), "steps": 1, "make_trial": lambda: lambda: None}
    with pytest.raises(KeyError), execution(device=CPU, deterministic=True, **untried):  # type: ignore[arg-type]
        raise KeyError
    assert torch.get_num_threads() == 2


def test_the_fastest_of_real_trials_is_one_of_them() -> None:
    before = torch.get_num_threads()
    x = torch.randn(64, 64)
    assert fastest_threads((1, 2), lambda: (x @ x).sum().item()) in (1, 2)
    torch.set_num_threads(before)


def trained(folder: Path, *, epochs: int = 2, **recipe: Any) -> tuple[Trained, dict[str, Any]]:
    frames = synthetic_frames("fit", fakes.FIT)
    made = train(make_training("ACM", epochs=epochs, **recipe), frames, folder=folder, selection_frames=frames)
    return made, torch.load(folder / "state.pt", weights_only=True)


def test_a_deterministic_training_gives_the_same_bits_whatever_the_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before, states = torch.get_num_threads(), []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        made, state = trained(tmp_path / str(threads), deterministic=True)
        states.append(state["network"])
        assert [stretch["threads"] for stretch in made.stretches] == [1]
    torch.set_num_threads(before)
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_bfloat16_keeps_weights_and_optimiser_in_float32_and_learns_nearly_the_same(tmp_path: Path) -> None:
    short, state = trained(tmp_path / "short", precision="bfloat16")
    full, _ = trained(tmp_path / "full")
    kinds = {tensor.dtype for tensor in state["network"].values() if tensor.is_floating_point()}
    moments = {slot["exp_avg"].dtype for slot in state["optimiser"]["state"].values()}
    assert kinds == moments == {torch.float32}
    losses = [[record["loss"] for record in made.log] for made in (short, full)]
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=0.02)


def test_the_loss_of_bfloat16_logits_is_calculated_in_float32() -> None:
    seen = []

    def loss(logits: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        seen.append((logits.dtype, (logits @ logits).dtype))
        return logits.sum()

    with torch.autocast("cpu", torch.bfloat16):
        in_float32(loss)(torch.ones(2, 2, dtype=torch.bfloat16), torch.ones(2, 2))
    assert seen == [(torch.float32, torch.float32)]
