"""The header of a checkpoint: complete after training, checked before it is used, absent from published files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import fakes
import pytest
import torch
from fakes import make_training, synthetic_frames

from bench import load_model
from bench.errors import BenchError, CheckpointError, UnknownNameError
from bench.models.network import build_model
from bench.training.train import train
from bench.types import Input, Selection
from bench.weights.header import CheckpointHeader, header_metadata, read_checkpoint_header
from bench.weights.load import load_trained, save_weights
from bench.weights.safetensors_file import read_tensors, write_tensors

NATIVE = Input("pillow-grey", 1, mean=107.3, std=33.1, multiple=32, source="its card")
RESIZED = Input("opencv-bgr", 3, size=(256, 320))


@pytest.fixture(autouse=True)
def fake_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    fakes.register_fakes(monkeypatch)


@pytest.mark.parametrize("input", [NATIVE, RESIZED])
@pytest.mark.parametrize(("model", "settings", "start"), [("DFINet", {"width": 2}, "otsu"), ("ACM", {}, "")])
def test_a_network_is_built_from_the_file_alone(
    tmp_path: Path, model: str, settings: Mapping[str, int], start: str, input: Input
) -> None:
    network = build_model(model, channels=input.channels, settings=settings)
    path = save_weights(network, tmp_path / "checkpoint.safetensors", metadata={}, input=input, start=start)
    loaded, header = load_trained(path)
    assert header == CheckpointHeader(model, settings, input, start)
    assert loaded.built == network.built
    assert not loaded.training
    assert all(torch.equal(value, loaded.state_dict()[key]) for key, value in network.state_dict().items())


@pytest.mark.parametrize(("model", "start"), [("Dot", ""), ("Echo", "otsu")])
def test_training_writes_all_that_prediction_needs(tmp_path: Path, model: str, start: str) -> None:
    training = make_training(model, epochs=1, selection=Selection("last"))
    trained = train(training, synthetic_frames("fit", 8), folder=tmp_path)
    loaded, header = load_trained(trained.checkpoint)
    assert header == CheckpointHeader(model, {}, training.input, start)
    assert loaded.needs_start == bool(start)


def test_an_older_checkpoint_is_loaded_by_name_and_refused_without(tmp_path: Path) -> None:
    path = save_weights(build_model("ACM", channels=1), tmp_path / "old.safetensors", metadata={"epoch": "7"})
    assert load_model("ACM", path).built is not None
    with pytest.raises(CheckpointError, match=r"old\.safetensors: its header lacks input, start, expected .* training"):
        load_trained(path)


def test_a_published_checkpoint_has_no_header(tmp_path: Path) -> None:
    torch.save(build_model("ACM", channels=1).state_dict(), tmp_path / "acm.pth")
    with pytest.raises(CheckpointError, match=r"acm\.pth: its header lacks model, settings, channels, input, start"):
        read_checkpoint_header(tmp_path / "acm.pth")
    with pytest.raises(FileNotFoundError, match=r"none\.pth: no such file"):
        load_trained(tmp_path / "none.pth")


def write_changed(path: Path, **changes: str) -> Path:
    """A checkpoint of ACM, some of its metadata replaced."""
    save_weights(build_model("ACM", channels=1), path, metadata={}, input=NATIVE, start="")
    tensors, metadata = read_tensors(path)
    return write_tensors(path, tensors, metadata=metadata | changes)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"settings": "{"}, "settings cannot be read"),
        ({"settings": "[]"}, r"settings cannot be read \(no JSON object\)"),
        ({"settings": '{"width": [2]}'}, r"settings cannot be read \(a value that is no number, text or truth value\)"),
        ({"settings": "[" * 100_000}, "settings cannot be read"),
        ({"channels": "one"}, r"channels cannot be read \(no whole number\)"),
        ({"channels": "9" * 5000}, "channels cannot be read"),
        ({"channels": "3"}, "a network of 3 channels an input of 1"),
        ({"input": "null"}, "input cannot be read"),
        ({"input": "{}"}, "input cannot be read .*missing"),
        ({"input": '{"decoder": "eyes", "channels": 1}'}, r"input\.decoder is 'eyes', expected 'pillow-grey' or"),
        (
            {"input": '{"decoder": "pillow-grey", "channels": 1, "std": "wide"}'},
            "input.std is 'wide', expected a number",
        ),
        ({"input": '{"decoder": "pillow-grey", "channels": 2}'}, "channels is 2, expected 1 or 3"),
        (
            {"input": '{"decoder": "pillow-grey", "channels": 1, "gamma": 2}'},
            r"input cannot be read \(unknown input\.gamma",
        ),
    ],
)
def test_a_header_that_was_tampered_with_is_refused_in_one_line(
    tmp_path: Path, changes: Mapping[str, str], said: str
) -> None:
    path = write_changed(tmp_path / "odd.safetensors", **changes)
    with pytest.raises(CheckpointError, match=said) as refused:
        load_trained(path)
    assert str(refused.value).isprintable()
    assert "odd.safetensors" in str(refused.value)


def test_settings_that_build_nothing_are_refused_in_one_line(tmp_path: Path) -> None:
    network = build_model("DFINet", channels=1, settings={"width": 2})
    path = save_weights(network, tmp_path / "odd.safetensors", metadata={}, input=NATIVE, start="otsu")
    tensors, metadata = read_tensors(path)
    for settings in ({"width": -2}, {"width": "wide"}, {"depth": 3}):
        write_tensors(path, tensors, metadata=metadata | {"settings": json.dumps(settings)})
        with pytest.raises(BenchError) as refused:
            load_trained(path)
        assert "\n" not in str(refused.value)


def test_a_model_that_is_not_registered_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="no model is called 'ACMM'; did you mean ACM"):
        load_trained(write_changed(tmp_path / "odd.safetensors", model="ACMM"))


def test_broken_settings_are_refused_by_name_too(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="settings cannot be read"):
        load_model("ACM", write_changed(tmp_path / "odd.safetensors", settings="{"))


def test_an_input_record_survives_as_metadata() -> None:
    assert json.loads(header_metadata(RESIZED, start="otsu")["input"])["size"] == [256, 320]
