"""Every network against the outputs of its reference implementation, under weights made by a rule."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.network import MODEL_PACKAGES, Segmenter, build_model, find_models, parameter_count
from tests.parity import rule

HERE = Path(__file__).parent
TOLERANCE = 2e-6  # what float32 rounding leaves between two faithful implementations


@dataclass(frozen=True)
class Golden:
    """A network and the form its reference returned, of one round: `logits` or `probabilities`."""

    model: str
    keys: str
    parameters: int
    output: str


GOLDENS = {
    "dfinet": Golden("DFINet", "dfinet", 9_300_337, "logits"),
    "dfinet_128x160": Golden("DFINet", "dfinet", 9_300_337, "logits"),
    "acm": Golden("ACM", "acm_basicirstd", 397_823, "probabilities"),
}


def described(name: str) -> dict[str, int | float]:
    return json.loads((HERE / "golden" / f"{name}.json").read_text())


def build(name: str) -> Segmenter:
    network = build_model(GOLDENS[name].model, channels=int(described(name)["channels"]))
    return network.eval()


@torch.no_grad()
def run(name: str, network: Segmenter) -> Tensor:
    about = described(name)
    height, width = int(about["H"]), int(about["W"])
    image = rule.image(height, width, channels=int(about["channels"]))
    logits = next(iter(network.rounds(image, rule.soft_mask(height, width))))
    return torch.sigmoid(logits) if GOLDENS[name].output == "probabilities" else logits


@pytest.mark.parametrize("name", GOLDENS)
def test_outputs_equal_the_reference_implementation(name: str) -> None:
    network = build(name)
    rule.fill(network, gain=float(described(name)["gain"]))
    golden = np.load(HERE / "golden" / f"{name}.npz")["out0"]
    ours = run(name, network).numpy()
    assert ours.shape == golden.shape
    assert np.abs(ours - golden).max() <= TOLERANCE


@pytest.mark.parametrize("name", GOLDENS)
def test_keys_and_shapes_equal_the_published_checkpoint_in_order(name: str) -> None:
    ours = [
        f"{key} {tuple(tensor.shape)}"
        for key, tensor in build(name).state_dict().items()
        if not key.endswith("num_batches_tracked")
    ]
    assert ours == (HERE / "keys" / f"{GOLDENS[name].keys}.txt").read_text().splitlines()


@pytest.mark.parametrize("name", GOLDENS)
def test_parameter_counts_equal_the_reference_implementation(name: str) -> None:
    assert parameter_count(build(name)) == GOLDENS[name].parameters


def test_every_network_of_ours_that_is_not_an_ablation_has_a_golden_output() -> None:
    models = find_models()
    ours = {name for name in models if models.get(name).build.__module__.startswith(MODEL_PACKAGES)}
    assert {name for name in ours if not models.get(name).info.ablates} == {golden.model for golden in GOLDENS.values()}


@pytest.mark.parametrize("name", GOLDENS)
def test_a_state_dict_makes_the_same_outputs_again(name: str) -> None:
    network, again = build(name), build(name)
    again.load_state_dict(network.state_dict())
    assert torch.equal(run(name, network), run(name, again))
