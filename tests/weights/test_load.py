"""Weights: saved and loaded bit for bit, published containers recognised, code in files never run."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import re
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from baselines.acm import ACM
from bench import load_model
from bench.errors import CheckpointError
from bench.models.network import Built, build_model
from bench.weights.header import read_metadata
from bench.weights.load import MisfitError, save_weights, weights_digest
from bench.weights.read_checkpoint import ScalarType, read_checkpoint
from bench.weights.read_checkpoint import scalar as scalar_of
from bench.weights.safetensors_file import read_tensors, write_tensors
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


def data_parallel(state: dict[str, Tensor]) -> Any:
    return {f"module.{key}": value for key, value in state.items()}


def data_parallel_of_a_wrapper(state: dict[str, Tensor]) -> Any:
    return {"state_dict": {f"module.model.{key}": value for key, value in state.items()}}


def dnanet(state: dict[str, Tensor]) -> Any:
    """With scores as NumPy's own scalars, which torch alone refuses to read."""
    scores = {"loss": np.float32(0.25), "mean_IOU": np.float64(0.8), "hits": np.int64(7), "best": np.bool_(True)}
    return {"epoch": 1500, "state_dict": state, **scores}


def without_counters(state: dict[str, Tensor]) -> Any:
    return {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}


CONTAINERS = [
    bare,
    basicirstd,
    plain_container,
    mshnet,
    dnanet,
    data_parallel,
    data_parallel_of_a_wrapper,
    without_counters,
]


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("channels", [1, 3])
def test_published_containers_are_recognised(
    tmp_path: Path, container: Callable[..., Any], channels: int, is_zip: bool
) -> None:
    network = made(channels)
    content = container(network.state_dict())
    torch.save(content, tmp_path / "published.pth.tar", _use_new_zipfile_serialization=is_zip)
    loaded = load_model("ACM", tmp_path / "published.pth.tar")
    assert torch.equal(output(loaded, channels), output(network, channels))


def test_scalars_of_older_numpy_versions_are_read(tmp_path: Path) -> None:
    path = tmp_path / "old.pth"
    torch.save(dnanet({"x": torch.ones(2)}), path, _use_new_zipfile_serialization=False)
    path.write_bytes(path.read_bytes().replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    assert torch.equal(read_checkpoint(path)["x"], torch.ones(2))


class Scalar:
    """A pickle that asks for NumPy's scalar with other things than a plain number's type and bytes."""

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return np.float64(0).__reduce__()[0], self.arguments


@pytest.mark.parametrize(
    "scalar",
    [
        Scalar(np.dtype("O"), b""),
        Scalar(np.dtype("U4"), bytes(16)),
        Scalar(np.dtype("f8"), b"short"),
        Scalar({"format": "<d"}, bytes(8)),
        np.zeros(3),
    ],
    ids=["object", "text", "short", "no type", "array"],
)
def test_of_numpy_plain_scalars_alone_are_read(tmp_path: Path, scalar: Any) -> None:
    torch.save({"state_dict": {"x": torch.ones(1)}, "score": scalar}, tmp_path / "odd.pth")
    with pytest.raises(CheckpointError, match=r"odd\.pth: (refused before reading on|not a whole file)"):
        read_checkpoint(tmp_path / "odd.pth")


@pytest.mark.parametrize(
    ("scalar", "value"),
    [
        (np.float64(0.8), 0.8),
        (np.float32(0.25), 0.25),
        (np.float16(-2), -2.0),
        (np.int64(-(2**40)), -(2**40)),
        (np.uint8(255), 255),
        (np.bool_(True), True),
        (np.float64(0.8).astype(">f8"), 0.8),
        (np.array(3, ">i2")[()], 3),
    ],
    ids=str,
)
def test_what_stands_in_for_numpy_reads_the_same_number(scalar: Any, value: float) -> None:
    _, (kind, data) = scalar.__reduce__()
    _, arguments, state = kind.__reduce__()
    ours = ScalarType(*arguments)
    ours.__setstate__(state)
    assert scalar_of(ours, data) == value


class Malicious:
    """A pickle that would create a file when it is read."""

    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.victim,)


def legacy_save(content: Any, path: Path) -> None:
    torch.save(content, path, _use_new_zipfile_serialization=False)


def plain_pickle(content: Any, path: Path) -> None:
    path.write_bytes(pickle.dumps(content))


def old_pickle(content: Any, path: Path) -> None:
    path.write_bytes(pickle.dumps(content, protocol=2))


@pytest.mark.parametrize("write", [torch.save, legacy_save, plain_pickle, old_pickle])
@pytest.mark.parametrize("name", ["evil.pth", "evil.pth.tar", "evil.pkl", "evil.safetensors"])
def test_code_in_a_checkpoint_is_refused_before_it_runs(
    tmp_path: Path, write: Callable[[Any, Path], None], name: str
) -> None:
    write({"state_dict": Malicious(tmp_path / "victim")}, tmp_path / name)
    with pytest.raises(
        CheckpointError,
        match=rf"{name}: refused before reading on, for it (would run getattr|is no checkpoint or would run code); "
        "expected tensors alone",
    ):
        load_model("ACM", tmp_path / name)
    assert not (tmp_path / "victim").exists()
    pickle.loads(pickle.dumps(Malicious(tmp_path / "victim")))
    assert (tmp_path / "victim").exists()  # it would have


@pytest.mark.parametrize("write", [torch.save, legacy_save])
def test_a_whole_pickled_network_is_refused_named_and_explained(
    tmp_path: Path, write: Callable[[Any, Path], None]
) -> None:
    write(made(), tmp_path / "whole.pkl")
    with pytest.raises(CheckpointError) as refused:
        read_checkpoint(tmp_path / "whole.pkl")
    said = str(refused.value)
    assert "whole.pkl: a whole pickled network, not its weights: reading it would run baselines.acm.ACM, so" in said
    assert "torch.save(torch.load('whole.pkl', weights_only=False).state_dict(), 'weights.pth')" in said
    assert "\n" not in said


def tar_of(content: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("weights.pth"), io.BytesIO(content))
    return file.getvalue()


def zip_of(name: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, b"")
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "an empty file"),
        (b"not a checkpoint", "refused before reading on, for it is no checkpoint"),
        (b"PK\x03\x04 cut short", "not a whole file of weights"),
        (b"\x80\x02", "not a whole file of weights"),
        (b"\x09" + bytes(7) + b"{", "not a whole safetensors file"),
        ((0x112).to_bytes(8, "little") + bytes(100), "parameters of MXNet"),
        (b"<!DOCTYPE html><title>Virus scan warning</title>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a Git LFS pointer"),
        (gzip.compress(b"weights"), "a gzip archive"),
        (tar_of(b"weights"), "a tar archive"),
        (zip_of("weights/checkpoint.pth"), "a zip archive"),
        (zip_of("net/constants.pkl"), "a TorchScript program"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_file_that_is_no_checkpoint_is_named_and_told(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "odd.pth").write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"odd\.pth: {said}"):
        read_checkpoint(tmp_path / "odd.pth")


@pytest.mark.parametrize("write", [torch.save, legacy_save])
@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_a_checkpoint_that_is_cut_short_is_refused(
    tmp_path: Path, write: Callable[[Any, Path], None], share: float
) -> None:
    path = tmp_path / "short.pth"
    write({"weight": torch.rand(1000)}, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(CheckpointError, match=r"short\.pth: not a whole file of weights"):
        read_checkpoint(path)


def refused_when_damaged(path: Path) -> int:
    """How often of 300 times the file is refused with one to five bytes of it changed; the rest are read."""
    whole, random = np.frombuffer(path.read_bytes(), np.uint8), np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        damaged = whole.copy()
        damaged[random.integers(len(whole), size=random.integers(1, 6))] = random.integers(256)
        path.write_bytes(damaged.tobytes())
        try:
            read_checkpoint(path)
        except CheckpointError:
            refused += 1
    return refused


@pytest.mark.parametrize("write", [torch.save, legacy_save])
def test_a_damaged_checkpoint_is_read_or_refused_but_never_breaks_the_reader(
    tmp_path: Path, write: Callable[[Any, Path], None]
) -> None:
    path = tmp_path / "damaged.pth"
    write(dnanet({"weight": torch.rand(3, 4)}), path)
    assert 30 < refused_when_damaged(path) < 300


def test_a_folder_is_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="a folder, expected a file"):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize(
    "content",
    [{}, {1: torch.ones(1)}, {"x": torch.ones(1, device="meta")}, {"x": torch.eye(2).to_sparse()}, [torch.ones(1)]],
    ids=["nothing", "number as key", "no storage", "sparse", "list"],
)
def test_a_state_dict_holds_plain_tensors_by_their_names(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "odd.pth")
    with pytest.raises(CheckpointError, match=r"odd\.pth: holds .*expected a state dict"):
        read_checkpoint(tmp_path / "odd.pth")


def test_a_misfit_names_some_keys_and_in_full_all_of_them_each_on_a_line(tmp_path: Path) -> None:
    state = made().state_dict()
    lost = [key for key in state if key.startswith("stem.") and not key.endswith("num_batches_tracked")]
    for key in lost:
        del state[key]
    torch.save(state | {"odd\x1b[31m": torch.ones(1)}, tmp_path / "misfit.pth")
    with pytest.raises(MisfitError, match=rf"{len(lost)} missing \({re.escape(lost[0])}, .*, …\); 1 unexp") as misfit:
        load_model("ACM", tmp_path / "misfit.pth")
    first, *keys = misfit.value.in_full().splitlines()
    assert first.endswith(f"misfit.pth: does not fit ACM: {len(lost)} missing, 1 unexpected")
    assert keys == [f"missing: {key}" for key in lost] + [r"unexpected: 'odd\x1b[31m'"]


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
    with pytest.raises(CheckpointError, match=r"acm\.safetensors: tensor odd is complex64, expected one of float64"):
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


def test_the_same_content_makes_the_same_bytes_whatever_the_library_shuffles(tmp_path: Path) -> None:
    metadata = {
        name: name for name in ["training", "dataset", "epoch", "model", "channels", "settings", "input", "start"]
    }
    files = [write_tensors(tmp_path / str(i), TENSORS, metadata=metadata).read_bytes() for i in range(5)]
    assert set(files) == {files[0]}
    assert int.from_bytes(files[0][:8], "little") % 8 == 0


def test_tensors_that_share_memory_are_each_written(tmp_path: Path) -> None:
    tied = torch.arange(4.0)
    tensors, _ = read_tensors(write_tensors(tmp_path / "t", {"a": tied, "b": tied, "tail": tied[2:]}, metadata={}))
    assert {name: tensor.tolist() for name, tensor in tensors.items()} == {
        "a": [0.0, 1.0, 2.0, 3.0],
        "b": [0.0, 1.0, 2.0, 3.0],
        "tail": [2.0, 3.0],
    }


def test_the_weights_of_the_gate_are_read(tmp_path: Path) -> None:
    for name, model in (("acm", "ACM"), ("dfinet-width-8", "DFINet")):
        assert load_model(model, Path("bench/suites/gate") / f"{name}.safetensors").built is not None


def write_safetensors(path: Path, header: bytes, data: bytes) -> Path:
    path.write_bytes(len(header).to_bytes(8, "little") + header + data)
    return path


@pytest.mark.parametrize("kind", ["C64", "F8_E5M2", "U16"])
def test_a_type_that_no_network_has_is_refused(tmp_path: Path, kind: str) -> None:
    size = {"C64": 8, "F8_E5M2": 1, "U16": 2}[kind]
    header = json.dumps({"x": {"dtype": kind, "shape": [1], "data_offsets": [0, size]}}).encode()
    with pytest.raises(CheckpointError, match=r"odd: tensor x is .*, expected one of float64"):
        read_checkpoint(write_safetensors(tmp_path / "odd", header, bytes(size)))


@pytest.mark.parametrize(
    ("header", "data"),
    [
        (b'{"a":' + b"[" * 100_000, b""),
        (b'{"\xff":1}', b""),
        (b'{"x\\n\\u001b[31m":{"dtype":"F32","shape":[1],"data_offsets":[0,8]}}', bytes(8)),
        (b'{"x":{"dtype":"F32","shape":[4611686018427387904,8],"data_offsets":[0,0]}}', b""),
        (b'{"__metadata__":{"model":7}}', b""),
    ],
    ids=["nested", "no UTF-8", "name that steers a terminal", "too large", "number as metadata"],
)
def test_a_hostile_header_is_refused_in_one_plain_line(tmp_path: Path, header: bytes, data: bytes) -> None:
    with pytest.raises(CheckpointError, match="not a whole safetensors file") as refused:
        read_checkpoint(write_safetensors(tmp_path / "odd", header, data))
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("share", [0.0001, 0.01, 0.5, 0.99])
def test_a_safetensors_file_that_is_cut_short_is_refused(tmp_path: Path, share: float) -> None:
    path = save_weights(made(), tmp_path / "short.safetensors", metadata={})
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(CheckpointError, match=r"short\.safetensors: (not a whole safetensors file|refused)"):
        read_checkpoint(path)


def test_a_damaged_safetensors_file_is_read_or_refused_but_never_breaks_the_reader(tmp_path: Path) -> None:
    path = tmp_path / "damaged"
    contiguous = {name: tensor.contiguous() for name, tensor in TENSORS.items()}
    save_file(contiguous, path, metadata={"model": "ACM", "settings": "{}"})
    assert 30 < refused_when_damaged(path) < 300


def test_a_safetensors_file_of_this_project_is_refused_wherever_it_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "damaged"
    write_tensors(path, TENSORS, metadata={"model": "ACM", "settings": "{}"})
    assert read_tensors(path)[1] == {"model": "ACM", "settings": "{}"}
    assert refused_when_damaged(path) == 300


def test_a_checkpoint_of_pytorch_with_a_changed_weight_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "damaged.pth"
    torch.save({"a": torch.arange(1000.0)}, path)
    content = bytearray(path.read_bytes())
    content[content.index(torch.tensor([500.0]).numpy().tobytes())] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"not a whole file of weights; fetch it again \(.*CRC-32"):
        read_checkpoint(path)


def test_a_checkpoint_of_pytorch_that_was_written_without_checksums_is_read(tmp_path: Path) -> None:
    before = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(False)
    try:
        torch.save({"a": torch.arange(4.0)}, tmp_path / "unchecked.pth")
    finally:
        torch.serialization.set_crc32_options(before)
    assert read_checkpoint(tmp_path / "unchecked.pth")["a"].tolist() == [0, 1, 2, 3]


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
