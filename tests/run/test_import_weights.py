"""Published checkpoints made into safetensors: every container, the proof, and what is left when it fails: nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fakes
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench.errors import CheckpointError
from bench.models.network import MODELS, ModelEntry, Segmenter, build_model, find_models
from bench.run.import_weights import default_out, import_weights
from bench.weights.load import load_model, weights_digest
from bench.weights.safetensors_file import read_tensors
from tests.parity import rule

State = dict[str, Tensor]


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def network_of(name: str, **settings: int) -> Segmenter:
    torch.manual_seed(0)
    return build_model(name, channels=find_models().get(name).info.channels, settings=settings).eval()


def write_acm(path: str = "acm.pth", *, without: str = "(?!)", **more: Tensor) -> Path:
    """A state dict of ACM, but for the keys that match `without`, plus some."""
    state = network_of("ACM").state_dict()
    torch.save({key: value for key, value in state.items() if not re.search(without, key)} | more, path)
    return Path(path)


def bare(state: State) -> Any:
    return state


def basicirstd(state: State) -> Any:
    return {"epoch": 400, "state_dict": {f"model.{key}": value for key, value in state.items()}, "total_loss": [0.3]}


def dnanet(state: State) -> Any:
    return {"epoch": 1500, "state_dict": state, "loss": np.float64(0.1), "mean_IOU": np.float64(0.8)}


def mshnet_tar(state: State) -> Any:
    return {"state_dict": state, "epoch": 400}


def mshnet_pkl(state: State) -> Any:
    optimiser = {"state": {0: {"step": torch.tensor(3.0), "sum": torch.ones(2)}}, "param_groups": [{"lr": 0.05}]}
    return {"net": state, "optimizer": optimiser, "epoch": 3, "iou": np.float64(0.6)}


def data_parallel(state: State) -> Any:
    return {f"module.{key}": value for key, value in state.items()}


@pytest.mark.parametrize(
    ("model", "container", "file", "settings"),
    [
        ("DFINet", bare, "checkpoint.pth", {"width": 4}),
        ("FANet", bare, "checkpoint.pth", {"width": 4}),
        ("ACM", basicirstd, "ACM_400.pth.tar", {}),
        ("DNANet", dnanet, "mIoU_0.88_DNANet.pth.tar", {}),
        ("MSHNet", bare, "weight.pkl", {}),
        ("MSHNet", mshnet_tar, "MSHNet.tar", {}),
        ("MSHNet", mshnet_pkl, "checkpoint.pkl", {}),
        ("RPCANet", bare, "RPCANet.pkl", {}),
        ("ACM", data_parallel, "parallel.pth", {}),
    ],
)
@torch.no_grad()
def test_every_published_container_becomes_a_file_that_gives_the_same_output(
    model: str, container: Callable[[State], Any], file: str, settings: dict[str, int]
) -> None:
    network = network_of(model, **settings)
    torch.save(container(network.state_dict()), file)
    made = import_weights(Path(file), model, out=default_out(Path(file)), settings=settings)
    again = load_model(model, made.out)
    image, start = rule.image(32, 48, channels=made.channels), rule.binary_mask(32, 48)
    ours, theirs = (next(iter(one.rounds(image, start))) for one in (again, network))
    assert torch.equal(ours, theirs)
    assert made.tensors == len(network.state_dict())
    assert made.parameters == sum(p.numel() for p in network.parameters())
    assert made.absent == 0


def test_a_file_says_what_it_was_made_of() -> None:
    torch.save(network_of("DFINet", width=2).state_dict(), "slim.pth")
    made = import_weights(Path("slim.pth"), "DFINet", out=Path("new/dfinet.safetensors"), settings={"width": 2})
    assert (made.sha256, made.source_sha256) == (weights_digest(made.out), weights_digest("slim.pth"))
    assert (made.model, made.channels, made.settings) == ("DFINet", 3, {"width": 2})
    assert read_tensors(made.out)[1] == {
        "source": "slim.pth",
        "source_sha256": made.source_sha256,
        "model": "DFINet",
        "channels": "3",
        "settings": '{"width": 2}',
    }


def test_other_input_channels_are_read_off_the_file() -> None:
    torch.save(build_model("ACM", channels=3).state_dict(), "colour.pth")
    assert import_weights(Path("colour.pth"), "ACM", out=Path("acm.safetensors")).channels == 3


def test_a_file_that_was_imported_can_be_imported_again() -> None:
    first = import_weights(write_acm(), "ACM", out=Path("one.safetensors"))
    again = import_weights(first.out, "ACM", out=Path("two.safetensors"))
    one, two = (read_tensors(made.out)[0] for made in (first, again))
    assert all(torch.equal(one[key], two[key]) for key in one)


def test_absent_counters_of_batches_are_counted() -> None:
    made = import_weights(write_acm(without="num_batches_tracked$"), "ACM", out=Path("acm.safetensors"))
    counters = sum(key.endswith("num_batches_tracked") for key in network_of("ACM").state_dict())
    assert (made.absent, made.tensors) == (counters, len(network_of("ACM").state_dict()) - counters)


def left() -> set[str]:
    return {path.name for path in Path().iterdir()}


def test_missing_and_unexpected_keys_are_listed_in_full_and_nothing_is_written() -> None:
    source = write_acm(without=r"^stem\.\d+\.weight", **{"head_ops": torch.zeros(1), "head_params": torch.zeros(1)})
    missing = [key for key in network_of("ACM").state_dict() if re.search(r"^stem\.\d+\.weight", key)]
    assert len(missing) > 5
    with pytest.raises(CheckpointError) as refused:
        import_weights(source, "ACM", out=Path("acm.safetensors"))
    assert str(refused.value).splitlines() == [
        f"checkpoint acm.pth: does not fit ACM: {len(missing)} missing, 2 unexpected",
        *(f"missing: {key}" for key in missing),
        "unexpected: head_ops",
        "unexpected: head_params",
    ]
    assert left() == {"acm.pth"}


def test_a_file_that_is_there_is_replaced_on_request_alone() -> None:
    source, out = write_acm(), Path("acm.safetensors")
    out.write_bytes(b"precious")
    with pytest.raises(FileExistsError, match=r"acm\.safetensors: is there already; choose another with --out, or"):
        import_weights(source, "ACM", out=out)
    assert out.read_bytes() == b"precious"
    import_weights(source, "ACM", out=out, replace_old=True)
    assert load_model("ACM", out)


def test_a_failure_leaves_the_file_that_is_there() -> None:
    source, out = write_acm(without=r"^head\."), Path("acm.safetensors")
    out.write_bytes(b"precious")
    with pytest.raises(CheckpointError):
        import_weights(source, "ACM", out=out, replace_old=True)
    assert out.read_bytes() == b"precious"


def test_the_source_is_never_replaced() -> None:
    source = write_acm("acm.safetensors")
    with pytest.raises(FileExistsError, match="is the source itself"):
        import_weights(source, "ACM", out=Path("../") / Path.cwd().name / source, replace_old=True)


def test_a_folder_is_not_replaced() -> None:
    source = write_acm()
    Path("weights").mkdir()
    with pytest.raises(FileExistsError, match="weights: a folder, expected the name of a file"):
        import_weights(source, "ACM", out=Path("weights"), replace_old=True)


class Forgetful(Segmenter):
    """A network whose output depends on numbers that its state does not hold."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 1, 1)
        self.offset = float(np.random.default_rng().random())

    def forward(self, image: Tensor, start: Tensor | None = None) -> Tensor:
        logits: Tensor = self.conv(image) + self.offset
        return logits


def test_what_does_not_give_the_same_output_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS._entries, "Forgetful", ModelEntry(find_models().get("ACM").info, Forgetful))
    torch.save(network_of("Forgetful").state_dict(), "forgetful.pth")
    with pytest.raises(CheckpointError, match="not written, for what was read back gives another output"):
        import_weights(Path("forgetful.pth"), "Forgetful", out=Path("out.safetensors"))
    assert left() == {"forgetful.pth"}


def test_a_setting_that_the_model_has_not_is_refused() -> None:
    with pytest.raises(ValueError, match=r"model ACM: no setting is called 'width'; there are none"):
        import_weights(write_acm(), "ACM", out=Path("out.safetensors"), settings={"width": 8})


def test_a_classical_detector_has_no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    fakes.register_fakes(monkeypatch)
    with pytest.raises(ValueError, match="model Bright: learns nothing, so there are no weights to import"):
        import_weights(write_acm(), "Bright", out=Path("out.safetensors"))


@pytest.mark.parametrize(
    ("source", "out"),
    [
        ("/far/away/checkpoint.pth", "checkpoint.safetensors"),
        ("ACM_400.pth.tar", "ACM_400.safetensors"),
        ("mIoU_0.88_DNANet.PTH.TAR", "mIoU_0.88_DNANet.safetensors"),
        ("weights.v2", "weights.v2.safetensors"),
        ("weight", "weight.safetensors"),
    ],
)
def test_the_file_is_called_after_its_source_and_stands_in_the_working_folder(source: str, out: str) -> None:
    assert default_out(Path(source)) == Path(out)
