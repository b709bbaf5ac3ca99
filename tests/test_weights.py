"""Weights: saved and loaded bit for bit, published containers recognised, code in files never run."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from baselines.acm import ACM
from bench import load_model
from bench.network import Built, build_model
from bench.tensorfile import CheckpointError, read_tensors, write_tensors
from bench.weights import read_checkpoint, read_metadata, save_weights, weights_digest
from tests.parity import rule


def made(channels: int = 1) -> ACM:
    network = build_model("ACM", channels=channels)
    rule.fill(network, gain=1.2)
    assert isinstance(network, ACM)
    return network.eval()


@torch.no_grad()
def output(network: torch.nn.Module, channels: int = 1) -> Tensor:
    return network(rule.image(32, 32, channels=channels))


@pytest.mark.parametrize("channels", [1, 3])
def test_saved_weights_give_the_same_output_bit_for_bit(tmp_path: Path, channels: int) -> None:
    network = made(channels)
    loaded = load_model("ACM", save_weights(network, tmp_path / "acm.safetensors", metadata={}))
    assert torch.equal(output(loaded, channels), output(network, channels))
    assert not loaded.training


def test_a_checkpoint_of_ours_brings_its_settings(tmp_path: Path) -> None:
    path = tmp_path / "slim.safetensors"
    network = build_model("DFINet", channels=1, settings={"width": 2})
    save_weights(network, path, metadata={"epoch": "7"})
    loaded = load_model("DFINet", path)
    assert loaded.built == Built("DFINet", 1, (("width", 2),))
    assert all(torch.equal(value, loaded.state_dict()[key]) for key, value in network.state_dict().items())
    assert read_metadata(path) == {"epoch": "7", "model": "DFINet", "channels": "1", "settings": '{"width": 2}'}


def test_other_settings_than_the_checkpoints_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "slim.safetensors"
    save_weights(build_model("DFINet", channels=1, settings={"width": 2}), path, metadata={})
    with pytest.raises(CheckpointError, match=r"slim\.safetensors: made with width 2, asked for 32"):
        load_model("DFINet", path, width=32)


def test_other_channels_than_the_checkpoints_are_refused(tmp_path: Path) -> None:
    torch.save(made(3).state_dict(), tmp_path / "colour.pth")
    with pytest.raises(CheckpointError, match=r"colour\.pth: made with channels 3, asked for 1"):
        load_model("ACM", tmp_path / "colour.pth", channels=1)


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    path = save_weights(made(), tmp_path / "acm.safetensors", metadata={})
    with pytest.raises(CheckpointError, match="made with model 'ACM', asked for 'DFINet'"):
        load_model("DFINet", path)


def test_without_a_checkpoint_a_model_has_its_published_channels() -> None:
    torch.manual_seed(0)
    assert load_model("DFINet", width=2).built == Built("DFINet", 3, (("width", 2),))
    assert load_model("ACM", channels=3).built == Built("ACM", 3)


def test_loading_a_checkpoint_takes_no_random_numbers(tmp_path: Path) -> None:
    path = save_weights(made(3), tmp_path / "acm.safetensors", metadata={})
    torch.manual_seed(4)
    expected = torch.rand(3)
    torch.manual_seed(4)
    load_model("ACM", path)
    assert torch.equal(torch.rand(3), expected)


def bare(state: dict[str, Tensor]) -> Any:
    return state


def basicirstd(state: dict[str, Tensor]) -> Any:
    return {"epoch": 400, "state_dict": {f"model.{key}": value for key, value in state.items()}, "total_loss": [0.3]}


def plain_container(state: dict[str, Tensor]) -> Any:
    return {"state_dict": state, "epoch": 400}


def mshnet(state: dict[str, Tensor]) -> Any:
    return {"net": state, "optimizer": {"state": {}, "param_groups": [{"lr": 0.05}]}, "epoch": 3, "iou": 0.6}


def without_counters(state: dict[str, Tensor]) -> Any:
    return {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}


@pytest.mark.parametrize("container", [bare, basicirstd, plain_container, mshnet, without_counters])
@pytest.mark.parametrize("channels", [1, 3])
def test_published_containers_are_recognised(tmp_path: Path, container: Callable[..., Any], channels: int) -> None:
    network = made(channels)
    torch.save(container(network.state_dict()), tmp_path / "published.pth.tar")
    loaded = load_model("ACM", tmp_path / "published.pth.tar")
    assert torch.equal(output(loaded, channels), output(network, channels))


class Malicious:
    """A pickle that would create a file when it is read."""

    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.victim,)


@pytest.mark.parametrize("write", [lambda thing, path: path.write_bytes(pickle.dumps(thing, protocol=2)), torch.save])
def test_code_in_a_checkpoint_is_refused_before_it_runs(tmp_path: Path, write: Callable[[Any, Path], None]) -> None:
    write({"state_dict": Malicious(tmp_path / "victim")}, tmp_path / "evil.pth")
    with pytest.raises(
        CheckpointError, match=r"evil\.pth: refused before reading on, for it would run getattr; expected tensors alone"
    ):
        load_model("ACM", tmp_path / "evil.pth")
    assert not (tmp_path / "victim").exists()
    pickle.loads(pickle.dumps(Malicious(tmp_path / "victim")))
    assert (tmp_path / "victim").exists()  # it would have


def test_a_whole_pickled_network_is_refused_and_named(tmp_path: Path) -> None:
    torch.save(made(), tmp_path / "whole.pkl")
    with pytest.raises(CheckpointError, match=r"would run baselines\.acm\.ACM; .* save its state_dict\(\)"):
        read_checkpoint(tmp_path / "whole.pkl")


@pytest.mark.parametrize(
    "content", [b"", b"not a checkpoint", b"PK\x03\x04 cut short", b"\x80\x02", b"\x09" + bytes(7) + b"{"]
)
def test_a_broken_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.pth"
    path.write_bytes(content)
    with pytest.raises(
        CheckpointError,
        match=r"broken\.pth: (not a whole .*; fetch it again|refused before reading on, for it is no checkpoint)",
    ):
        read_checkpoint(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.pth: no such file"):
        load_model("ACM", tmp_path / "none.pth")
    with pytest.raises(FileNotFoundError, match=r"none\.pth: no such file"):
        weights_digest(tmp_path / "none.pth")


def test_a_file_without_weights_says_what_it_holds(tmp_path: Path) -> None:
    torch.save({"epoch": 3, "loss": 0.5}, tmp_path / "log.pth")
    with pytest.raises(
        CheckpointError, match="holds epoch, loss, expected a state dict, alone or under state_dict or net"
    ):
        read_checkpoint(tmp_path / "log.pth")


def test_missing_unexpected_and_misshapen_weights_are_listed(tmp_path: Path) -> None:
    state = made().state_dict()
    state["extra.weight"] = state.pop("head.block.4.bias")
    state["deconv1.bias"] = torch.zeros(5)
    torch.save(state, tmp_path / "other.pth")
    with pytest.raises(CheckpointError) as raised:
        load_model("ACM", tmp_path / "other.pth")
    assert str(raised.value).endswith(
        "does not fit ACM: 1 missing (head.block.4.bias); 1 unexpected (extra.weight); "
        "1 of another shape (deconv1.bias (5,) for (16,))"
    )


def test_many_missing_weights_are_counted_and_the_first_named(tmp_path: Path) -> None:
    torch.save({"only": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match=r"250 missing \(stem\.0\.weight, .*, …\); 1 unexpected \(only\)"):
        load_model("ACM", tmp_path / "other.pth")


def test_weights_under_two_names_are_refused(tmp_path: Path) -> None:
    state = made().state_dict()
    state["model.deconv1.bias"] = state["deconv1.bias"] + 1
    torch.save(state, tmp_path / "both.pth")
    with pytest.raises(CheckpointError, match=r"1 unexpected \(model\.deconv1\.bias\)"):
        load_model("ACM", tmp_path / "both.pth")


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    state = made().state_dict()
    state["deconv1.bias"][3] = torch.nan
    torch.save(state, tmp_path / "diverged.pth")
    with pytest.raises(CheckpointError, match=r"1 not finite \(deconv1\.bias\)"):
        load_model("ACM", tmp_path / "diverged.pth")


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = save_weights(made(), tmp_path / "acm.safetensors", metadata={})
    before = weights_digest(path)
    with pytest.raises(KeyError):
        write_tensors(path, {"odd": torch.zeros(1, dtype=torch.complex64)}, metadata={})
    assert weights_digest(path) == before
    assert [p.name for p in tmp_path.iterdir()] == ["acm.safetensors"]


def test_the_digest_is_the_files_sha256(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    assert weights_digest(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


TENSORS = {
    "scalar": torch.tensor(7),
    "empty": torch.zeros(0, 3),
    "half": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
    "flags": torch.tensor([True, False, True]),
    "turned": torch.arange(6.0).view(2, 3).T,
}


def test_every_kind_of_tensor_survives(tmp_path: Path) -> None:
    tensors, metadata = read_tensors(write_tensors(tmp_path / "t", TENSORS, metadata={"é": "ü"}))
    assert tensors.keys() == TENSORS.keys()
    assert all(tensors[k].dtype == t.dtype and torch.equal(tensors[k], t) for k, t in TENSORS.items())
    assert metadata == {"é": "ü"}


def test_the_safetensors_library_and_we_read_each_others_files(tmp_path: Path) -> None:
    library = pytest.importorskip("safetensors.torch")
    theirs = library.load_file(write_tensors(tmp_path / "ours", TENSORS, metadata={"a": "b"}))
    assert all(torch.equal(theirs[k], t) for k, t in TENSORS.items())
    contiguous = {k: t.contiguous() for k, t in TENSORS.items()}
    library.save_file(contiguous, tmp_path / "theirs", metadata={"a": "b"})
    ours, metadata = read_tensors(tmp_path / "theirs")
    assert all(torch.equal(ours[k], t) for k, t in TENSORS.items())
    assert metadata == {"a": "b"}


@pytest.mark.parametrize(
    ("entry", "data"),
    [
        ({"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}, bytes(4)),
        ({"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}, bytes(4)),
        ({"dtype": "F32", "shape": [1], "data_offsets": [-4, 0]}, bytes(4)),
        ({"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}, bytes(12)),
        ({"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}, bytes(8)),
        ({"dtype": "X9", "shape": [1], "data_offsets": [0, 4]}, bytes(4)),
        ({"shape": [1]}, bytes(4)),
        ([], bytes(4)),
    ],
)
def test_a_header_that_does_not_describe_its_data_is_refused(tmp_path: Path, entry: Any, data: bytes) -> None:
    header = json.dumps({"x": entry}).encode()
    (tmp_path / "odd").write_bytes(len(header).to_bytes(8, "little") + header + data)
    with pytest.raises(CheckpointError, match="fetch it again"):
        read_checkpoint(tmp_path / "odd")
