"""Checkpoints in the forms that training scripts leave them in, read by rule and equal to the plain file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from commands import caller
from torch import Tensor

from bench.errors import CheckpointError
from bench.models.network import build_model
from bench.run.import_weights import import_weights
from bench.weights.load import load_model
from bench.weights.read_checkpoint import read_checkpoint
from bench.weights.safetensors_file import read_tensors
from bench.weights.unwrap import Unwrapping

State = dict[str, Tensor]


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def state() -> State:
    torch.manual_seed(0)
    return build_model("ACM", channels=1, settings={}).state_dict()


def prefixed(state: State, prefix: str) -> State:
    return {prefix + key: tensor for key, tensor in state.items()}


def imported(content: Any, **words: Any) -> tuple[State, tuple[str, ...]]:
    """The tensors that an import writes, and what it says of finding them."""
    torch.save(content, "odd.pth")
    made = import_weights(
        Path("odd.pth"), "ACM", out=Path("odd.safetensors"), replace_old=True, words=Unwrapping(**words)
    )
    return read_tensors(made.out)[0], made.steps


def plain(state: State) -> State:
    torch.save(state, "plain.pth")
    return read_tensors(import_weights(Path("plain.pth"), "ACM", out=Path("plain.safetensors"), replace_old=True).out)[
        0
    ]


def assert_same(found: State, expected: State) -> None:
    assert found.keys() == expected.keys()
    assert all(torch.equal(tensor, expected[key]) for key, tensor in found.items())


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module.", "net.module."])
def test_prefixes_of_compiled_and_parallel_networks_are_removed(state: State, prefix: str) -> None:
    """Reported as 250 missing keys in timm's pull request 2003 and in PyTorch's issue 101107."""
    found, steps = imported(prefixed(state, prefix))
    assert_same(found, plain(state))
    assert steps == (f"prefix {prefix} removed, which all keys share",)


@pytest.mark.parametrize("name", ["model_state_dict", "model", "weight", "ema", "state_dict", "net", "my_weights"])
def test_weights_are_found_one_level_down_under_any_name(state: State, name: str) -> None:
    """Reported in DSRNet's issue 12 (`weight`) and of rslearn's checkpoints (`model`)."""
    optimiser = {"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 0.05}]}
    found, steps = imported({"epoch": 3, "optimizer": optimiser, name: state})
    assert_same(found, plain(state))
    assert steps == (() if name in ("state_dict", "net") else (f"weights taken from {name}",))
    assert_same(dict(load_model("ACM", "odd.pth").state_dict()), plain(state))


def test_weights_are_found_two_levels_down(state: State) -> None:
    found, steps = imported({"ema": {"decay": 0.99, "shadow": prefixed(state, "module.")}})
    assert_same(found, plain(state))
    assert steps == ("weights taken from ema/shadow", "prefix module. removed, which all keys share")


def test_counters_that_thop_leaves_are_ignored(state: State) -> None:
    """Reported in pytorch-OpCounter's issue 82 and in Inf-Net's issue 15 as unexpected keys."""
    counters = {f"{place}{name}": torch.zeros(1) for place in ("", "stem.0.") for name in ("total_ops", "total_params")}
    found, steps = imported(prefixed(state | counters, "module."))
    assert_same(found, plain(state))
    assert steps[0] == "4 counters of thop ignored (total_ops and total_params)"


def test_two_containers_that_both_fit_are_refused_naming_both_and_the_option(state: State) -> None:
    other = {key: tensor + 1 for key, tensor in state.items()}
    content = {"model": state, "ema": other}
    with pytest.raises(CheckpointError, match="holds weights under model and ema; choose one with --container NAME"):
        imported(content)
    with pytest.raises(CheckpointError, match="holds weights under model and ema; choose one with --container NAME"):
        read_checkpoint("odd.pth")
    found, steps = imported(content, container="ema")
    assert_same(found, plain(other))
    assert steps == ("weights taken from ema",)


def test_of_two_containers_the_one_that_fits_or_either_of_two_equal_ones_is_taken(state: State) -> None:
    assert_same(imported({"generator": state, "critic": {"conv.weight": torch.ones(1)}})[0], plain(state))
    assert_same(imported({"model": state, "ema": dict(state)})[0], plain(state))


def test_a_named_prefix_takes_its_keys_and_says_what_was_left_out(state: State) -> None:
    found, steps = imported(prefixed(state, "student.") | {"teacher.conv.weight": torch.ones(1)}, prefix="student")
    assert_same(found, plain(state))
    assert steps == (f"prefix 'student.' removed from {len(state)} keys, 1 others left out",)
    words = Unwrapping(prefix="pupil")
    with pytest.raises(CheckpointError, match=r"no key begins with 'pupil\.', expected one as in student\."):
        import_weights(Path("odd.pth"), "ACM", out=Path("new.safetensors"), words=words)


def test_ignored_keys_are_left_out_and_told(
    state: State, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    torch.save(state | {"aux.weight": torch.ones(1), "epoch": 3}, "odd.pth")
    call = caller(monkeypatch, capfd, "weights", "import", "odd.pth", "--model", "ACM")
    made = call("--ignore", "aux.*", "--ignore", "epoch")
    assert made.code == 0, made.err
    assert "2 keys ignored as asked (aux.*, epoch)" in made.out
    assert_same(read_tensors(Path("odd.safetensors"))[0], plain(state))
    refused = call("--container", "nosuch", "--force")
    assert refused.code == 2
    assert "expected a state dict, under nosuch" in refused.err


def complex_(tensor: Tensor) -> Tensor:
    return tensor.to(torch.complex64)


def whole(tensor: Tensor) -> Tensor:
    return tensor.to(torch.int32)


@pytest.mark.parametrize(("change", "kind"), [(complex_, "complex64"), (whole, "int32")])
def test_weights_of_another_type_are_refused_by_name(
    state: State, change: Callable[[Tensor], Tensor], kind: str
) -> None:
    first = next(iter(state))
    torch.save(state | {first: change(state[first])}, "odd.pth")
    with pytest.raises(CheckpointError, match=rf"1 of another type \({first} {kind} for float32\)"):
        load_model("ACM", "odd.pth")


def test_a_tensor_that_repeats_its_storage_without_end_is_refused_at_once(state: State) -> None:
    first = next(iter(state))
    torch.save(state | {first: torch.zeros(1).expand(2**21, 2**20)}, "odd.pth")
    with pytest.raises(CheckpointError, match=f"tensor {first} asks for {2**43} bytes and holds fewer"):
        load_model("ACM", "odd.pth")


@pytest.mark.parametrize(
    ("precision", "said"),
    [
        (torch.float16, "250 tensors converted from float16 to float32"),
        (torch.bfloat16, "250 tensors converted from bfloat16 to float32"),
        (torch.float64, "250 tensors rounded from float64 to float32"),
    ],
)
def test_weights_of_another_precision_are_taken_and_said(state: State, precision: torch.dtype, said: str) -> None:
    """Half-precision files are common where weights are passed on; single precision holds them exactly."""
    odd = {key: tensor.to(precision) if tensor.is_floating_point() else tensor for key, tensor in state.items()}
    found, steps = imported(odd)
    assert steps == (said,)
    assert_same(
        found,
        plain(
            {
                key: tensor.float() if key in odd and tensor.is_floating_point() else tensor
                for key, tensor in odd.items()
            }
        ),
    )


def test_patterns_that_fit_no_key_or_every_key_are_told(state: State) -> None:
    assert imported(state, ignore=("aux.*",))[1] == (
        "0 keys ignored as asked (aux.*)",
        "no key fits the pattern 'aux.*'",
    )
    with pytest.raises(CheckpointError, match=r"odd\.pth: \* ignores every key, expected patterns that leave some"):
        imported({"net": state}, ignore=("*",))
