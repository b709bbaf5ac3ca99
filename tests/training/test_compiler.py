"""Trainings through torch.compile."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from fakes import make_training, record_losses, synthetic_frames
from torch import Tensor, nn

from bench.errors import RequestError
from bench.models.network import ModelEntry, Segmenter, find_models
from bench.training.train import train
from bench.types import Config, ModelInfo, Selection, freeze_config

pytestmark = [
    pytest.mark.filterwarnings("ignore:`torch.jit.script_method`"),  # in torch's compiler itself
    pytest.mark.filterwarnings("ignore:<class 'torch.autograd.function.Function'> should not be instantiated"),
]
IMAGES = 7


class Small(Segmenter):
    """Two convolutions with normalisation, without dropout, for which a compiler draws other numbers."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.norm, self.last = nn.Conv2d(channels, 8, 3, padding=1), nn.BatchNorm2d(8), nn.Conv2d(8, 1, 1)

    def forward(self, image: Tensor, start: Tensor | None = None) -> Tensor:
        logits: Tensor = self.last(self.norm(self.first(image)).relu())
        return logits


def losses_of(
    model: str, config: Config, device: str, folder: Path, patch: pytest.MonkeyPatch, *, compiled: bool
) -> list[float]:
    """The losses of all steps of two epochs; the last batch of each is smaller."""
    losses = record_losses(patch)
    training = make_training(
        model, selection=Selection("last"), epochs=2, batch=4, lr=1e-4, compiled=compiled, device=device
    )
    training = replace(training, config=config)
    train(training, synthetic_frames("fit", IMAGES), folder=folder / str(compiled), device=torch.device(device))
    return losses


def compare(model: str, config: Config, device: str, folder: Path, patch: pytest.MonkeyPatch) -> None:
    torch.compiler.reset()
    found = {compiled: losses_of(model, config, device, folder, patch, compiled=compiled) for compiled in (False, True)}
    assert len(found[True]) == 4
    assert found[True] == pytest.approx(found[False], abs=1e-4)


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_compiled_steps_have_the_losses_of_plain_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = ModelInfo("Small", cite="none", source="tests", licence="MIT", recipe="basicirstd")
    monkeypatch.setitem(find_models()._entries, "Small", ModelEntry(info, Small))
    compare("Small", (), "cpu", tmp_path, monkeypatch)
    counters = torch._dynamo.utils.counters
    assert counters["stats"]["unique_graphs"] == 2  # of whole batches and of the last one, not of every epoch
    assert not counters["graph_break"]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_dfinet_learns_compiled_on_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = freeze_config({"width": 4, "history": "aligned"})
    compare("DFINet", config, "cuda", tmp_path, monkeypatch)


def test_a_machine_without_a_compiler_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch._inductor.config as inductor

    torch.compiler.reset()
    monkeypatch.setattr(inductor.cpp, "cxx", ("no-such-compiler",))
    monkeypatch.setattr(inductor, "force_disable_caches", True)
    with pytest.raises(RequestError) as caught:
        losses_of("ACM", (), "cpu", tmp_path, monkeypatch, compiled=True)
    assert "\n" not in str(caught.value)
    assert "recipe.compiled: torch.compile failed" in str(caught.value)
